"""`rakeeza licence verify` and `rakeeza keys`, run as a person runs them."""

import io
import json
import os
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import base45  # type: ignore[import-untyped] # it ships no types
import cbor2
import cwt
import pytest
from PIL import Image

from console.cli.licence import _refused
from console.cli.main import main
from foundation.calendar import today
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Licences
from foundation.wire import qr_reader
from foundation.wire.credential import PREFIX, REFUSALS, KeySet, LicenceClaims, SigningKey, licence_key, seal
from foundation.wire.qr import Symbol
from integrations.licences.document import LicenceDocument, Line, render
from integrations.licences.papers import NotReady
from tests.integrations.desk import PERSONAL, REVIEWER, open_desk

DAY = today()
CLAIMS = LicenceClaims(
    number="2026-004512",
    service="shop_licence",
    title=Bilingual(ar="رخصة محل تجاري", en="Shop licence"),
    municipality="sample",
    valid_from=DAY,
    valid_to=DAY + timedelta(days=364),
    issued_at=datetime.now(UTC).replace(microsecond=0),
    public={"trade_name": "مخبز الأحمدي"},
)


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Desk:
    """A machine that verifies: a folder with nothing but public keys, and the key they belong to."""

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

    def verify(self, source: str, stdin: bytes = b"") -> tuple[int, dict[str, Any]]:
        done = self.run("licence", "verify", source, "--format", "json", stdin=stdin)
        document: dict[str, Any] = json.loads(done.stdout)
        return done.returncode, document


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    key = SigningKey.generate("sample")
    folder = tmp_path / "platform"
    folder.mkdir()
    (folder / "rakeeza-keys.json").write_text(KeySet([key.public]).to_json())
    return Desk(folder, key, capsys, monkeypatch)


def test_a_valid_text_is_told_in_both_languages_with_exit_0(desk: Desk) -> None:
    done = desk.run("licence", "verify", seal(CLAIMS, desk.key))
    assert done.returncode == 0
    for words in (
        "VALID - Shop licence 2026-004512",
        "سارية - رخصة محل تجاري",
        "مخبز الأحمدي",
        desk.key.public.kid.hex(),
    ):
        assert words in done.stdout
    assert "revocation are not part" in done.stdout
    assert "الإلغاء" in done.stdout


def test_verifying_as_a_program_loads_no_database_and_leaves_nothing(desk: Desk) -> None:
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('sqlalchemy' in sys.modules, file=sys.stderr))\n"
        "from console.cli.main import main\nmain()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "licence", "verify", seal(CLAIMS, desk.key)],
        capture_output=True,
        env={**os.environ, "RAKEEZA_PLATFORM_FOLDER": str(desk.folder), "PYTHONUTF8": "1"},
        check=True,
    )
    assert "سارية" in done.stdout.decode()
    assert done.stderr.decode().strip() == "False"
    assert [file.name for file in desk.folder.iterdir()] == ["rakeeza-keys.json"]


def test_json_has_every_claim_and_says_that_revocation_was_not_checked(desk: Desk) -> None:
    code, document = desk.verify(seal(CLAIMS, desk.key))
    assert code == 0
    assert document["valid"] is True
    assert document["revocation_checked"] is False
    (licence,) = document["licences"]
    assert licence["number"] == "2026-004512"
    assert licence["title"] == {"ar": "رخصة محل تجاري", "en": "Shop licence"}
    assert licence["valid_to"] == CLAIMS.valid_to.isoformat()
    assert licence["public"] == {"trade_name": "مخبز الأحمدي"}
    assert datetime.fromisoformat(licence["issued_at"]) == CLAIMS.issued_at


def test_picture_pdf_text_file_and_standard_input_say_the_same(desk: Desk, tmp_path: Path) -> None:
    text = seal(CLAIMS, desk.key)
    photo = Image.open(io.BytesIO(Symbol(text).png(5))).convert("L").rotate(11, expand=True, fillcolor=255)
    photo.save(tmp_path / "photo.jpg")
    paper = LicenceDocument(
        number=CLAIMS.number,
        title=CLAIMS.title,
        municipality=Bilingual(ar="أمانة", en="Municipality"),
        lines=(Line(Bilingual(ar="الاسم", en="Name"), Bilingual(ar="مخبز", en="Bakery")),),
        issued_at=CLAIMS.issued_at,
        valid_from=CLAIMS.valid_from,
        valid_to=CLAIMS.valid_to,
        credential=text,
    )
    (tmp_path / "licence.pdf").write_bytes(render(paper, Licences().fonts))
    (tmp_path / "scan.txt").write_text(f"\ufeff{text}\r\n", encoding="utf-8")
    expected = desk.verify(text)
    assert expected[0] == 0
    for name in ("photo.jpg", "licence.pdf", "scan.txt"):
        assert desk.verify(str(tmp_path / name)) == expected
        assert desk.verify("-", stdin=(tmp_path / name).read_bytes()) == expected


def test_an_expired_and_an_early_licence_end_with_1(desk: Desk) -> None:
    past = replace(CLAIMS, valid_from=DAY - timedelta(days=400), valid_to=DAY - timedelta(days=1))
    code, document = desk.verify(seal(past, desk.key))
    assert (code, document["licences"][0]["status"]) == (1, "expired")
    future = replace(CLAIMS, valid_from=DAY + timedelta(days=1))
    code, document = desk.verify(seal(future, desk.key))
    assert (code, document["licences"][0]["status"]) == (1, "not_yet_valid")
    done = desk.run("licence", "verify", seal(past, desk.key))
    assert "EXPIRED - Shop licence" in done.stdout
    assert "منتهية الصلاحية" in done.stdout


def test_a_tampered_code_is_refused_with_its_reason_in_both_languages(desk: Desk) -> None:
    text = seal(CLAIMS, desk.key)
    swapped = text[:80] + ("A" if text[80] != "A" else "B") + text[81:]
    done = desk.run("licence", "verify", swapped)
    assert done.returncode == 1
    assert "NOT ACCEPTED" in done.stdout
    assert "غير مقبولة" in done.stdout
    forger = SigningKey.generate("sample")
    code, document = desk.verify(seal(CLAIMS, forger))
    assert (code, document["licences"][0]["reason"]) == (1, "UnknownKey")


def test_a_picture_with_one_good_and_one_forged_licence_is_not_valid(desk: Desk, tmp_path: Path) -> None:
    sheet = Image.new("L", (1400, 700), "white")
    for x, key in ((20, desk.key), (720, SigningKey.generate("sample"))):
        sheet.paste(Image.open(io.BytesIO(Symbol(seal(CLAIMS, key)).png(7))), (x, 20))
    sheet.save(tmp_path / "two.png")
    code, document = desk.verify(str(tmp_path / "two.png"))
    assert code == 1
    assert sorted(licence["valid"] for licence in document["licences"]) == [False, True]


def test_the_code_of_someone_else_is_not_ours(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "other.png").write_bytes(Symbol("https://example.org").png())
    code, document = desk.verify(str(tmp_path / "other.png"))
    assert (code, document["licences"][0]["reason"]) == (1, "NotOurs")


def test_steering_characters_of_a_signed_name_do_not_reach_the_terminal(desk: Desk) -> None:
    done = desk.run("licence", "verify", seal(replace(CLAIMS, public={"trade_name": "a\x1b[2Jb"}), desk.key))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "a\ufffd[2Jb" in done.stdout


@pytest.mark.parametrize(
    ("source", "code", "words"),
    [
        ("nowhere.png", 66, "neither a file nor"),
        (".", 65, "cannot be read"),
        ("blank.png", 65, "No QR code was found"),
        ("note.txt", 65, "neither a picture nor a PDF"),
    ],
)
def test_what_cannot_be_read_is_one_sentence_with_place_and_remedy(
    desk: Desk, tmp_path: Path, source: str, code: int, words: str
) -> None:
    Image.new("L", (300, 300), "white").save(tmp_path / "blank.png")
    (tmp_path / "note.txt").write_text("hello")
    done = desk.run("licence", "verify", str(tmp_path / source))
    assert done.returncode == code
    assert done.stdout == ""
    assert words in done.stderr
    assert str(tmp_path)[:40] in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_keys_of_a_file_are_used_instead_of_the_platforms(desk: Desk, tmp_path: Path) -> None:
    other = SigningKey.generate("other")
    (tmp_path / "other.json").write_text(KeySet([other.public]).to_json())
    text = seal(replace(CLAIMS, municipality="other"), other)
    assert desk.run("licence", "verify", text).returncode == 1
    assert desk.run("licence", "verify", text, "--keys", str(tmp_path / "other.json")).returncode == 0


@pytest.mark.parametrize(("content", "code"), [(None, 78), (b"\xff\xfe\x00", 65), (b"{}", 65), (b"", 65)])
def test_a_broken_key_file_is_named(desk: Desk, tmp_path: Path, content: bytes | None, code: int) -> None:
    file = tmp_path / "keys.json"
    if content is not None:
        file.write_bytes(content)
    done = desk.run("licence", "verify", seal(CLAIMS, desk.key), "--keys", str(file))
    assert done.returncode == code
    assert str(file) in done.stderr


def test_without_any_key_the_remedy_says_where_keys_come_from(desk: Desk) -> None:
    (desk.folder / "rakeeza-keys.json").unlink()
    done = desk.run("licence", "verify", seal(CLAIMS, desk.key))
    assert done.returncode == 78
    assert "/.well-known/rakeeza-keys.json" in done.stderr
    assert list(desk.folder.iterdir()) == []


def test_a_machine_that_issues_needs_no_file_of_keys(desk: Desk) -> None:
    (desk.folder / "rakeeza-keys.json").unlink()
    own = licence_key(SecretFile(desk.folder / "secrets.json", desk.folder / "secrets.key"), "sample")
    assert desk.verify(seal(CLAIMS, own))[0] == 0


def test_exported_keys_verify_on_another_machine(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "public.json"
    done = desk.run("keys", "export", "--output", str(file))
    assert done.returncode == 0
    # The same key again, not a new one.
    assert desk.run("keys", "export").stdout == file.read_text()
    own = licence_key(SecretFile(desk.folder / "secrets.json", desk.folder / "secrets.key"), "sample")
    away = replace(desk, folder=tmp_path / "away")
    assert away.run("licence", "verify", seal(CLAIMS, own), "--keys", str(file)).returncode == 0
    assert "PRIVATE" not in file.read_text()
    assert '"d"' not in file.read_text()


def test_keys_list_names_each_trusted_key_once(desk: Desk) -> None:
    own = licence_key(SecretFile(desk.folder / "secrets.json", desk.folder / "secrets.key"), "sample")
    (desk.folder / "rakeeza-keys.json").write_text(KeySet([desk.key.public, own.public]).to_json())
    rows = json.loads(desk.run("keys", "list", "--format", "json").stdout)
    assert sorted(row["key"] for row in rows) == sorted([desk.key.public.kid.hex(), own.public.kid.hex()])
    assert {row["municipality"] for row in rows} == {"sample"}


def test_keys_that_cannot_be_written_are_named(desk: Desk, tmp_path: Path) -> None:
    done = desk.run("keys", "export", "--output", str(tmp_path / "none" / "keys.json"))
    assert done.returncode == 78
    assert "cannot be written" in done.stderr


def refusal_of(text: str, desk: Desk) -> dict[str, Any]:
    code, document = desk.verify(text)
    assert code == 1
    result: dict[str, Any] = document["licences"][0]
    return result


def test_a_signed_text_that_is_no_licence_says_so_in_both_languages(desk: Desk) -> None:
    header = {1: -7, 4: desk.key.public.kid}
    message = cwt.COSE.new().encode_and_sign(cbor2.dumps({1: "sample"}), desk.key.cose, header, {})
    result = refusal_of(PREFIX + base45.b45encode(zlib.compress(bytes(message))).decode(), desk)
    assert result["reason"] == "MalformedClaims"
    assert result["detail"]["ar"] == "التوقيع صحيح، لكن المحتوى الموقع ليس رخصة."


def test_every_refusal_has_its_words() -> None:
    for refusal in REFUSALS:
        result = _refused(refusal("It is so.", remedy="Do this.", message_ar="هو كذلك."))
        assert result["reason"] == refusal.__name__
        assert result["detail"] == {"en": "It is so.", "ar": "هو كذلك."}


@pytest.fixture
def issuer(
    desk: Desk, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Desk, str]:
    """The desk of a machine that issues, and the number of a licence it issued just now, its paper made."""
    (desk.folder / "rakeeza-keys.json").unlink()
    monkeypatch.setenv("RAKEEZA_DATABASE_URL", database_url)
    office = open_desk(database, desk.folder)
    office.now.append(datetime.now(UTC))
    _, number = office.issued()
    limit = time.monotonic() + 60

    def made() -> bool:
        try:
            return bool(office.licensing.licences.document(REVIEWER, number))
        except NotReady:
            assert time.monotonic() < limit, "the paper was not made"
            return False

    office.jobs.work(stop=made)
    return desk, number


def test_an_issued_licence_is_shown_and_its_paper_verifies(issuer: tuple[Desk, str], tmp_path: Path) -> None:
    desk, number = issuer
    paper = tmp_path / "paper.pdf"
    done = desk.run("licence", "show", number, "--document", str(paper))
    assert done.returncode == 0
    for words in (number, "valid", "مخبز الندى"):
        assert words in done.stdout
    code, verified = desk.verify(str(paper))
    assert (code, verified["licences"][0]["number"]) == (0, number)
    shown = json.loads(desk.run("licence", "show", number, "--format", "json").stdout)
    assert shown["number"] == number
    # What the paper's code says and what the record says is one text.
    assert qr_reader.read(paper.read_bytes()) == [shown["credential"]]


def test_the_history_of_a_licence_names_each_case_and_nothing_of_a_person(issuer: tuple[Desk, str]) -> None:
    desk, number = issuer
    told = json.loads(desk.run("licence", "history", number, "--format", "json").stdout)
    assert [(step["outcome"], step["version"]) for step in told["steps"]] == [("issue", 1)]
    assert told["status"] == "valid"
    table = desk.run("licence", "history", number)
    assert table.returncode == 0
    for words in (number, "issue", told["steps"][0]["case"][:6], "since"):
        assert words in table.stdout
    for secret in PERSONAL:
        assert secret not in table.stdout
        assert secret not in json.dumps(told, ensure_ascii=False)
    assert desk.run("licence", "history", "SL-2026-999999").returncode == 66


def test_a_licence_that_is_not_there_and_a_file_that_cannot_be_written_are_named(
    issuer: tuple[Desk, str], tmp_path: Path
) -> None:
    desk, number = issuer
    assert desk.run("licence", "show", "2026-999999").returncode == 66
    done = desk.run("licence", "show", number, "--document", str(tmp_path / "none" / "paper.pdf"))
    assert done.returncode == 65
    assert "cannot be written" in done.stderr
