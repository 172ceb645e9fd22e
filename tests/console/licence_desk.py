"""A machine that verifies licences, for tests: its folder, its key, its list, and the command line."""

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from console.cli.main import main
from foundation.calendar import today
from foundation.definitions import Bilingual
from foundation.wire.credential import LicenceClaims, SigningKey
from foundation.wire.status_list import (
    StatusList,
    StatusReference,
    StatusValue,
    empty,
    put,
    sign_list,
)

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
