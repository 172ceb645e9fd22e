"""A machine that verifies licences, for tests: its folder, its key, its list, and the command line."""

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.cli.main import main
from foundation.calendar import today
from foundation.definitions import Bilingual
from foundation.settings import Licences
from foundation.wire.credential import LicenceClaims, SigningKey
from foundation.wire.status_list import (
    StatusList,
    StatusReference,
    StatusValue,
    empty,
    put,
    sign_list,
)
from integrations.licences.document import LicenceDocument, Line, render
from tests.integrations.paper_signing import NAME

DAY = today()
NOW = datetime.now(UTC).replace(microsecond=0)
URI = "https://licences.example.gov.sa/v1/status-lists/0"
CLAIMS = LicenceClaims(
    number="2026-004512",
    service="shop_licence",
    title=Bilingual(ar="رخصة محل تجاري", en="Shop licence"),
    municipality="sample",
    valid_from=DAY,
    valid_to=DAY + timedelta(days=364),
    issued_at=datetime.now(UTC).replace(microsecond=0),
    public={"trade_name": "مخبز الأحمدي"},
    status=StatusReference(7, URI),
)


def listed(
    key: SigningKey, value: StatusValue = StatusValue.VALID, age: timedelta = timedelta(hours=3)
) -> bytes:
    """A list that says something of `CLAIMS`."""
    statuses, at = empty(64), NOW - age
    put(statuses, [(7, value)])
    life, ttl = timedelta(days=7), timedelta(hours=12)
    return sign_list(StatusList(URI, key.municipality, 1, at, at + life, ttl, bytes(statuses)), key)


def page(text: str, claims: LicenceClaims = CLAIMS) -> bytes:
    """The page of a licence, unsigned.

    Args:
        text: of the code on it.
        claims: what is printed on it.
    """
    paper = LicenceDocument(
        number=claims.number,
        title=claims.title,
        municipality=NAME,
        lines=(Line(Bilingual(ar="الاسم", en="Name"), Bilingual(ar="مخبز", en="Bakery")),),
        issued_at=claims.issued_at,
        valid_from=claims.valid_from,
        valid_to=claims.valid_to,
        credential=text,
    )
    return render(paper, Licences().fonts)


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Desk:
    """A machine that verifies: a folder with nothing but public keys and a list, and the key of both."""

    folder: Path
    key: SigningKey

    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch

    def run(self, *arguments: str, stdin: bytes = b"") -> Done:
        self.patch.setenv("RAKEEZA_PLATFORM_FOLDER", str(self.folder))
        self.patch.setattr("sys.argv", ["rakeeza", *arguments])
        self.patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self.capture.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, printed.out, printed.err)

    def verify(
        self, source: str, stdin: bytes = b"", more: tuple[str, ...] = ()
    ) -> tuple[int, dict[str, Any]]:
        done = self.run("licence", "verify", source, "--format", "json", *more, stdin=stdin)
        document: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, document

    def verify_as_a_program(self, text: str, *libraries: str) -> tuple[str, list[str]]:
        """Verify a code in a process of its own: what that prints, and which of these libraries it loaded."""
        program = (
            "import atexit, json, sys\n"
            f"loaded = lambda: [name for name in {libraries!r} if name in sys.modules]\n"
            "atexit.register(lambda: print(json.dumps(loaded()), file=sys.stderr))\n"
            "from console.cli.main import main\nmain()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program, "licence", "verify", text],
            capture_output=True,
            env={**os.environ, "RAKEEZA_PLATFORM_FOLDER": str(self.folder), "PYTHONUTF8": "1"},
            check=True,
        )
        loaded: list[str] = json.loads(done.stderr)
        return done.stdout.decode(), loaded
