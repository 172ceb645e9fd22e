"""`rakeeza licence verify`, run as a person runs it."""

import io
import json
import zlib
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import base45  # type: ignore[import-untyped] # it ships no types
import cbor2
import cwt
import pytest
from PIL import Image

from foundation.secret import SecretFile
from foundation.wire.credential import PREFIX, KeySet, SigningKey, licence_key, seal
from foundation.wire.qr import Symbol
from foundation.wire.status_folder import keep
from foundation.wire.status_list import (
    OlderList,
    StatusValue,
)
from tests.console.licence_desk import CLAIMS, DAY, NOW, Desk, listed, page

pytest_plugins = ["tests.console.licence_desk_fixtures"]


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
    assert "The list of suspended and revoked licences is 3 hours old." in done.stdout
    assert "عمر قائمة الرخص الموقوفة والملغاة 3 ساعات." in done.stdout


def test_verifying_as_a_program_loads_no_database_and_leaves_nothing(desk: Desk) -> None:
    said, loaded = desk.verify_as_a_program(seal(CLAIMS, desk.key), "sqlalchemy")
    assert "سارية" in said
    assert loaded == []
    assert {file.name for file in desk.folder.iterdir()} == {"rakeeza-keys.json", "rakeeza-status"}


def test_json_has_every_claim_and_how_old_the_list_is(desk: Desk) -> None:
    code, document = desk.verify(seal(CLAIMS, desk.key))
    assert code == 0
    assert document["valid"] is True
    (verdict,) = document["licences"]
    assert verdict["answer"] == "valid"
    assert datetime.fromisoformat(verdict["list"]["made_at"]) == NOW - timedelta(hours=3)
    assert verdict["list"]["age_seconds"] >= 3 * 3600
    licence = verdict["licence"]
    assert licence["number"] == "2026-004512"
    assert licence["title"] == {"ar": "رخصة محل تجاري", "en": "Shop licence"}
    assert licence["valid_to"] == CLAIMS.valid_to.isoformat()
    assert licence["public"] == {"trade_name": "مخبز الأحمدي"}
    assert datetime.fromisoformat(licence["issued_at"]) == CLAIMS.issued_at


def test_picture_pdf_text_file_and_standard_input_say_the_same(desk: Desk, tmp_path: Path) -> None:
    text = seal(CLAIMS, desk.key)
    photo = Image.open(io.BytesIO(Symbol(text).png(5))).convert("L").rotate(11, expand=True, fillcolor=255)
    photo.save(tmp_path / "photo.jpg")
    (tmp_path / "licence.pdf").write_bytes(page(text))
    (tmp_path / "scan.txt").write_text(f"\ufeff{text}\r\n", encoding="utf-8")

    def told(source: str, stdin: bytes = b"") -> tuple[int, str, Any]:
        code, document = desk.verify(source, stdin)
        (verdict,) = document["licences"]
        return code, verdict["answer"], verdict["licence"]

    expected = told(text)
    assert expected[:2] == (0, "valid")
    # Of a PDF that nobody signed the code is told, and that the paper is not known to be whole.
    for name, code in (("photo.jpg", 0), ("licence.pdf", 3), ("scan.txt", 0)):
        assert told(str(tmp_path / name)) == (code, *expected[1:])
        assert told("-", stdin=(tmp_path / name).read_bytes()) == (code, *expected[1:])


def test_an_expired_and_an_early_licence_end_with_1(desk: Desk) -> None:
    past = replace(CLAIMS, valid_from=DAY - timedelta(days=400), valid_to=DAY - timedelta(days=1))
    code, document = desk.verify(seal(past, desk.key))
    assert (code, document["licences"][0]["answer"]) == (1, "expired")
    future = replace(CLAIMS, valid_from=DAY + timedelta(days=1))
    code, document = desk.verify(seal(future, desk.key))
    assert (code, document["licences"][0]["answer"]) == (1, "not_yet_valid")
    done = desk.run("licence", "verify", seal(past, desk.key))
    assert "EXPIRED - Shop licence" in done.stdout
    assert "منتهية الصلاحية" in done.stdout


def test_a_tampered_code_is_refused_with_its_reason_in_both_languages(desk: Desk) -> None:
    text = seal(CLAIMS, desk.key)
    swapped = text[:80] + ("A" if text[80] != "A" else "B") + text[81:]
    done = desk.run("licence", "verify", swapped)
    assert done.returncode == 4
    assert "DAMAGED" in done.stdout
    assert "رمز تالف" in done.stdout
    forger = SigningKey.generate("sample")
    code, document = desk.verify(seal(CLAIMS, forger))
    assert (code, document["licences"][0]["answer"]) == (3, "unknown_key")


@pytest.mark.parametrize(
    ("value", "answer", "words"),
    [
        (StatusValue.REVOKED, "revoked", ("REVOKED - Shop licence", "ملغاة - رخصة محل تجاري")),
        (StatusValue.SUSPENDED, "suspended", ("SUSPENDED - Shop licence", "موقوفة")),
        (StatusValue.REPLACED, "replaced", ("REPLACED - Shop licence", "مستبدلة")),
    ],
)
def test_what_the_list_says_ends_with_1(
    desk: Desk, tmp_path: Path, value: StatusValue, answer: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "list.cwt"
    file.write_bytes(listed(desk.key, value))
    done = desk.run("licence", "verify", seal(CLAIMS, desk.key), "--status", str(file))
    assert done.returncode == 1
    for told in words:
        assert told in done.stdout
    # A folder does as well as a file.
    done = desk.run(
        "licence", "verify", seal(CLAIMS, desk.key), "--status", str(tmp_path), "--format", "json"
    )
    assert (done.returncode, json.loads(done.stdout)["licences"][0]["answer"]) == (1, answer)


def test_a_list_that_is_too_old_or_not_there_is_told_and_ends_with_3(desk: Desk, tmp_path: Path) -> None:
    text, folder = seal(CLAIMS, desk.key), tmp_path / "lists"
    folder.mkdir()
    done = desk.run("licence", "verify", text, "--status", str(folder))
    assert done.returncode == 3
    assert "No list of suspended and revoked licences is held here." in done.stdout
    (folder / "old.cwt").write_bytes(listed(desk.key, age=timedelta(days=9)))
    done = desk.run("licence", "verify", text, "--status", str(folder))
    assert done.returncode == 3
    assert "THE LIST IS TOO OLD" in done.stdout
    assert "is 9 days old." in done.stdout
    assert "9 أيام" in done.stdout


def test_a_clock_that_is_wrong_is_told_and_ends_with_3(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "list.cwt"
    file.write_bytes(listed(desk.key, age=timedelta(hours=-2)))
    done = desk.run("licence", "verify", seal(CLAIMS, desk.key), "--status", str(file))
    assert done.returncode == 3
    assert "THE CLOCK IS WRONG" in done.stdout


def test_a_broken_list_is_named_and_does_not_hide_the_others(desk: Desk) -> None:
    folder = desk.folder / "rakeeza-status"
    (folder / "broken.cwt").write_bytes(listed(desk.key)[:-3])
    (folder / "forged.cwt").write_bytes(listed(SigningKey.generate("sample"), StatusValue.REVOKED))
    done = desk.run("licence", "verify", seal(CLAIMS, desk.key))
    assert done.returncode == 0
    assert [line.partition(".cwt")[0].rpartition("/")[2] for line in done.stderr.splitlines()] == [
        "broken",
        "forged",
    ]


def test_the_newest_of_several_lists_counts_and_an_older_one_is_not_kept(desk: Desk) -> None:
    folder, keys = desk.folder / "rakeeza-status", KeySet([desk.key.public])
    (folder / "older.cwt").write_bytes(listed(desk.key, StatusValue.REVOKED, timedelta(days=2)))
    assert desk.verify(seal(CLAIMS, desk.key))[0] == 0
    with pytest.raises(OlderList):
        keep(folder, listed(desk.key, StatusValue.REVOKED, timedelta(days=1)), keys)
    keep(folder, listed(desk.key, StatusValue.REVOKED, timedelta(hours=1)), keys)
    assert desk.verify(seal(CLAIMS, desk.key))[0] == 1


def test_a_picture_with_one_good_and_one_forged_licence_is_not_valid(desk: Desk, tmp_path: Path) -> None:
    sheet = Image.new("L", (1400, 700), "white")
    for x, key in ((20, desk.key), (720, SigningKey.generate("sample"))):
        sheet.paste(Image.open(io.BytesIO(Symbol(seal(CLAIMS, key)).png(7))), (x, 20))
    sheet.save(tmp_path / "two.png")
    code, document = desk.verify(str(tmp_path / "two.png"))
    assert code == 3
    assert sorted(licence["valid"] for licence in document["licences"]) == [False, True]


def test_a_picture_with_too_many_codes_is_refused(desk: Desk, tmp_path: Path) -> None:
    sheet = Image.new("L", (1000, 1000), "white")
    for number in range(21):
        code = Image.open(io.BytesIO(Symbol(f"{PREFIX}{number}").png(5)))
        sheet.paste(code, (20 + number % 5 * 190, 10 + number // 5 * 190))
    sheet.save(tmp_path / "wall.png")
    done = desk.run("licence", "verify", str(tmp_path / "wall.png"))
    assert done.returncode != 0
    assert "21 codes" in done.stderr


def test_the_code_of_someone_else_is_not_ours(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "other.png").write_bytes(Symbol("https://example.org").png())
    code, document = desk.verify(str(tmp_path / "other.png"))
    assert (code, document["licences"][0]["answer"]) == (4, "not_ours")


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
    (tmp_path / "list.cwt").write_bytes(listed(other))
    told = ("licence", "verify", text, "--status", str(tmp_path / "list.cwt"))
    assert desk.run(*told).returncode == 3
    assert desk.run(*told, "--keys", str(tmp_path / "other.json")).returncode == 0


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
    assert [file.name for file in desk.folder.iterdir()] == ["rakeeza-status"]


def test_a_machine_that_issues_needs_no_file_of_keys(desk: Desk) -> None:
    (desk.folder / "rakeeza-keys.json").unlink()
    own = licence_key(SecretFile(desk.folder / "secrets.json", desk.folder / "secrets.key"), "sample")
    keep(desk.folder / "rakeeza-status", listed(own, age=timedelta()), KeySet([own.public]))
    assert desk.verify(seal(CLAIMS, own))[0] == 0


def test_keys_list_names_each_trusted_key_once(desk: Desk) -> None:
    own = licence_key(SecretFile(desk.folder / "secrets.json", desk.folder / "secrets.key"), "sample")
    (desk.folder / "rakeeza-keys.json").write_text(KeySet([desk.key.public, own.public]).to_json())
    rows = json.loads(desk.run("keys", "list", "--format", "json").stdout)
    assert sorted(row["key"] for row in rows) == sorted([desk.key.public.kid.hex(), own.public.kid.hex()])
    assert {row["municipality"] for row in rows} == {"sample"}


def test_a_signed_text_that_is_no_licence_is_not_accepted(desk: Desk) -> None:
    header = {1: -7, 4: desk.key.public.kid}
    message = cwt.COSE.new().encode_and_sign(cbor2.dumps({1: "sample"}), desk.key.cose, header, {})
    code, document = desk.verify(PREFIX + base45.b45encode(zlib.compress(bytes(message))).decode())
    assert (code, document["licences"][0]["answer"]) == (4, "damaged")
