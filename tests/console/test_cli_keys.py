"""`rakeeza keys` and the doctor's line of signing keys, run as a person runs them."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from console import checks
from foundation.database import Database
from foundation.secret import SecretFile
from foundation.wire.credential import open_credential, seal
from foundation.wire.credential_keys import LICENCE_KEY, KeySet, SigningKey, read_keys
from tests.console import licence_desk
from tests.console.rakeeza_types import Rakeeza
from tests.soft_token import MODULE, PIN, fresh_token

pytest_plugins = ["tests.console.rakeeza_command"]

CLAIMS = replace(licence_desk.CLAIMS, status=None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "platform"


@pytest.fixture
def secrets(folder: Path) -> SecretFile:
    return SecretFile(folder / "secrets.json", folder / "secrets.key")


def listed(rakeeza: Rakeeza) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = rakeeza("keys", "list", "--format", "json").rows
    return rows


def test_where_there_is_no_key_listing_makes_none(rakeeza: Rakeeza, secrets: SecretFile) -> None:
    assert rakeeza("keys", "list").out == "Keys: none.\n"
    assert secrets.names() == []


def test_a_rotation_is_followed_from_the_list(rakeeza: Rakeeza, secrets: SecretFile) -> None:
    assert rakeeza("keys", "export").code == 0
    (first,) = listed(rakeeza)
    assert (first["state"], first["since"], first["until"], first["store"]) == ("signing", None, None, "file")
    assert first["municipality"] == "sample"
    before = datetime.now(UTC)
    done = rakeeza("keys", "rotate", "--overlap", "2")
    assert done.code == 0
    old, new = listed(rakeeza)
    assert f"Published {new['key']} (file); it signs from {new['since']}." in done.out
    assert (old["key"], old["state"], new["state"]) == (first["key"], "signing", "next")
    assert old["until"] == new["since"]
    since = datetime.fromisoformat(new["since"])
    assert timedelta(hours=2) - timedelta(minutes=1) < since - before < timedelta(hours=2, minutes=5)
    again = rakeeza("keys", "rotate")
    assert again.code == 65
    assert new["key"] in again.err
    assert secrets.names() == [LICENCE_KEY, f"{LICENCE_KEY}/{new['key']}"]


def test_a_retired_key_is_exported_as_revoked(rakeeza: Rakeeza) -> None:
    rakeeza("keys", "rotate")
    first, second = listed(rakeeza)
    refused = rakeeza("keys", "retire", first["key"])
    assert refused.code == 2
    assert "--because" in refused.err
    done = rakeeza("keys", "retire", first["key"], "--because", "A backup was lost.")
    assert done.code == 0
    assert f"Retired {first['key']} at " in done.out
    assert [row["state"] for row in listed(rakeeza)] == ["retired", "signing"]
    exported = KeySet.from_json(rakeeza("keys", "export").out)
    revoked = exported.get(bytes.fromhex(first["key"]))
    assert revoked is not None
    assert revoked.revoked_at is not None
    only = rakeeza("keys", "retire", second["key"], "--because", "Another was lost.")
    assert only.code == 65
    assert "rakeeza keys rotate --overlap 0" in only.err
    assert "A backup was lost." in rakeeza("audit", "list", "--format", "json").out
    assert rakeeza("audit", "verify").code == 0


def test_exported_keys_verify_on_another_machine(
    rakeeza: Rakeeza, secrets: SecretFile, tmp_path: Path
) -> None:
    file = tmp_path / "public.json"
    own = SigningKey.generate("sample")
    secrets.set(LICENCE_KEY, own.to_pem())
    rakeeza("keys", "rotate")
    done = rakeeza("keys", "export", "--output", str(file))
    assert (done.code, done.out) == (0, "")
    assert all(row["key"] in done.err for row in listed(rakeeza))
    # The same keys again, not new ones.
    assert rakeeza("keys", "export").out == file.read_text()
    away = KeySet.from_json(file.read_text())
    assert open_credential(seal(CLAIMS, own), away, today=licence_desk.DAY).claims == CLAIMS
    assert "PRIVATE" not in file.read_text()
    assert '"d"' not in file.read_text()


def test_keys_that_cannot_be_written_are_named(rakeeza: Rakeeza, tmp_path: Path) -> None:
    done = rakeeza("keys", "export", "--output", str(tmp_path / "none" / "keys.json"))
    assert done.code == 78
    assert "cannot be written" in done.err


def test_a_machine_without_a_database_lists_each_key_that_it_trusts_once(
    rakeeza: Rakeeza, folder: Path, secrets: SecretFile, settings_file: Path
) -> None:
    settings_file.write_text(f"[platform]\nfolder = {json.dumps(str(folder))}\n")
    folder.mkdir()
    own, other = SigningKey.generate("sample"), SigningKey.generate("other")
    secrets.set(LICENCE_KEY, own.to_pem())
    revoked = replace(other.public, revoked_at=datetime(2026, 1, 2, tzinfo=UTC))
    (folder / "rakeeza-keys.json").write_text(KeySet([revoked, own.public]).to_json())
    rows = {row["key"]: row for row in listed(rakeeza)}
    assert set(rows) == {own.public.kid.hex(), other.public.kid.hex()}
    assert {row["state"] for row in rows.values()} == {"trusted"}
    assert rows[other.public.kid.hex()]["until"] == "2026-01-02T00:00:00Z"
    assert rows[other.public.kid.hex()]["municipality"] == "other"
    # No database was made for the asking.
    assert not (folder / "postgres").exists()


def verified(rakeeza: Rakeeza, *keys: str) -> str:
    """What `rakeeza licence verify` answers to `CLAIMS` on this machine."""
    done = rakeeza("licence", "verify", *keys, "--format", "json")
    answer: str = json.loads(done.out)["licences"][0]["answer"]
    return answer


def test_whoever_verifies_on_this_machine_knows_of_a_rotation_and_a_retirement_at_once(
    rakeeza: Rakeeza, folder: Path, secrets: SecretFile
) -> None:
    own = SigningKey.generate("sample")
    secrets.set(LICENCE_KEY, own.to_pem())
    code = seal(CLAIMS, own)
    # Believed, without a list: the key is known, and no more is asked here.
    assert verified(rakeeza, code) == "list_missing"
    rakeeza("keys", "rotate")
    first, second = listed(rakeeza)
    file = folder / "rakeeza-keys.json"
    told = {key.kid.hex(): key for key in read_keys(file)}
    assert set(told) == {first["key"], second["key"]}
    assert told[second["key"]].not_before == told[first["key"]].not_after is not None
    assert verified(rakeeza, code) == "list_missing"
    rakeeza("keys", "retire", first["key"], "--because", "A backup was lost.")
    assert verified(rakeeza, code) == "revoked_key"
    assert read_keys(file).to_json() == KeySet.from_json(rakeeza("keys", "export").out).to_json()


def test_what_a_command_was_killed_before_the_next_one_makes_up_for(
    rakeeza: Rakeeza, folder: Path, settings_file: Path
) -> None:
    rakeeza("keys", "rotate")
    first, _ = listed(rakeeza)
    file = folder / "rakeeza-keys.json"
    before = file.read_text()
    rakeeza("keys", "retire", first["key"], "--because", "A backup was lost.")
    # As if it had been killed when the table had it, and the file did not.
    file.write_text(before)
    found = signing_keys(settings_file)
    assert (found.state, first["key"] in found.detail) == (checks.State.WRONG, True)
    assert "rakeeza keys export" in found.remedy
    again = rakeeza("keys", "retire", first["key"], "--because", "A backup was lost.")
    assert again.code == 65
    assert signing_keys(settings_file).state is checks.State.GOOD
    revoked = read_keys(file).get(bytes.fromhex(first["key"]))
    assert revoked is not None
    assert revoked.revoked_at is not None


def test_a_key_is_not_changed_where_the_file_of_keys_cannot_be_brought_up_to_date(
    rakeeza: Rakeeza, folder: Path, secrets: SecretFile
) -> None:
    rakeeza("keys", "export")
    before = listed(rakeeza)
    (folder / "rakeeza-keys.json").write_text("{}")
    done = rakeeza("keys", "rotate")
    assert done.code == 65
    assert "rakeeza-keys.json" in done.err
    (folder / "rakeeza-keys.json").unlink()
    assert listed(rakeeza) == before
    assert secrets.names() == [LICENCE_KEY]


def test_how_far_the_licences_of_a_retired_key_are_is_told(rakeeza: Rakeeza) -> None:
    rakeeza("keys", "rotate")
    first, _ = listed(rakeeza)
    early = rakeeza("keys", "reissue", first["key"])
    assert early.code == 65
    assert "is not retired" in early.err
    unknown = rakeeza("keys", "reissue", "0011223344556677")
    assert unknown.code == 66
    done = rakeeza("keys", "retire", first["key"], "--because", "A backup was lost.")
    assert f"rakeeza keys reissue {first['key']}" in done.out
    told = rakeeza("keys", "reissue", first["key"])
    assert (told.code, told.out) == (
        0,
        "Waits for the worker: 0 licences signed anew, 0 could not be.\n",
    )


@pytest.mark.parametrize("overlap", ["-1", "2161", "soon"])
def test_an_overlap_that_is_none_is_refused(rakeeza: Rakeeza, overlap: str) -> None:
    assert rakeeza("keys", "rotate", "--overlap", overlap).code == 2
    assert listed(rakeeza) == []


def test_keys_are_made_in_the_token_that_the_settings_name(
    rakeeza: Rakeeza, settings_file: Path, secrets: SecretFile
) -> None:
    rakeeza("keys", "export")
    plain = settings_file.read_text()
    settings_file.write_text(
        f'{plain}[licences]\nkey_store = "pkcs11"\n'
        f"[pkcs11]\nmodule = {json.dumps(str(MODULE))}\ntoken = {json.dumps(fresh_token())}\n"
    )
    without = rakeeza("keys", "rotate")
    assert without.code == 66
    assert "rakeeza secret set pkcs11-pin" in without.err
    assert rakeeza("secret", "set", "pkcs11-pin", "--stdin", text=f"{PIN}\n").code == 0
    assert rakeeza("keys", "rotate", "--overlap", "0").code == 0
    assert [(row["state"], row["store"]) for row in listed(rakeeza)] == [
        ("signing", "file"),
        ("next", "pkcs11"),
    ]
    assert secrets.names() == [LICENCE_KEY, "pkcs11-pin"]
    (line,) = [line for line in checks.examine(settings_file) if line.check == "signing keys"]
    assert line.state is checks.State.GOOD
    assert "(file)" in line.detail
    assert "(pkcs11)" in line.detail


def signing_keys(settings_file: Path) -> checks.Finding:
    (found,) = [line for line in checks.examine(settings_file) if line.check == "signing keys"]
    return found


def test_the_doctor_tells_which_key_signs_and_which_will(rakeeza: Rakeeza, settings_file: Path) -> None:
    assert signing_keys(settings_file).detail == "the key of sample will be made with its first licence"
    rakeeza("keys", "list")
    assert signing_keys(settings_file).detail == "the key of sample will be made with its first licence"
    rakeeza("keys", "rotate")
    first, second = listed(rakeeza)
    found = signing_keys(settings_file)
    assert found.state is checks.State.GOOD
    since = second["since"].replace("T", " ")[:16]
    assert (
        found.detail == f"sample: {first['key']} signs (file); {second['key']} signs from {since} UTC (file)"
    )


def test_the_doctor_finds_a_private_half_that_is_not_here(
    rakeeza: Rakeeza, settings_file: Path, secrets: SecretFile
) -> None:
    rakeeza("keys", "rotate")
    first, second = listed(rakeeza)
    secrets.remove(f"{LICENCE_KEY}/{second['key']}")
    found = signing_keys(settings_file)
    assert found.state is checks.State.WRONG
    assert second["key"] in found.detail
    assert "rakeeza keys rotate --overlap 0" in found.remedy
    assert first["key"] not in found.detail


def test_a_key_that_was_changed_in_the_table_is_not_listed_as_ours(
    rakeeza: Rakeeza, database: Database
) -> None:
    rakeeza("keys", "export")
    (first,) = listed(rakeeza)
    stranger = json.dumps(SigningKey.generate("sample").public.to_jwk())
    with database.transaction() as session:
        session.execute(text("UPDATE licence_key SET jwk = CAST(:jwk AS jsonb)"), {"jwk": stranger})
    done = rakeeza("keys", "list")
    assert done.code == 65
    assert first["key"] in done.err


def test_the_doctor_finds_a_private_key_that_was_never_published(
    rakeeza: Rakeeza, settings_file: Path, secrets: SecretFile
) -> None:
    rakeeza("keys", "export")
    assert signing_keys(settings_file).state is checks.State.GOOD
    stray = SigningKey.generate("sample")
    secrets.set(f"{LICENCE_KEY}/{stray.public.kid.hex()}", stray.to_pem())
    found = signing_keys(settings_file)
    assert found.state is checks.State.ADVICE
    assert f"rakeeza secret remove {LICENCE_KEY}/{stray.public.kid.hex()}" in found.remedy
    assert rakeeza("secret", "remove", f"{LICENCE_KEY}/{stray.public.kid.hex()}").code == 0
    assert signing_keys(settings_file).state is checks.State.GOOD


def test_the_doctor_tells_of_licences_that_could_not_be_signed_anew(
    rakeeza: Rakeeza, settings_file: Path, database: Database
) -> None:
    rakeeza("keys", "rotate")
    first, _ = listed(rakeeza)
    rakeeza("keys", "retire", first["key"], "--because", "A backup was lost.")
    assert signing_keys(settings_file).state is checks.State.GOOD
    with database.transaction() as session:
        session.execute(
            text("INSERT INTO licence_reissue (kid, began_at, failed) VALUES (:kid, now(), 3)"),
            {"kid": first["key"]},
        )
    found = signing_keys(settings_file)
    assert found.state is checks.State.ADVICE
    assert f"of the licences of {first['key']}, 3 could not be signed anew" in found.detail
    assert f"rakeeza keys reissue {first['key']} --again" in found.remedy


def test_no_command_of_keys_shows_a_private_half(
    rakeeza: Rakeeza, folder: Path, secrets: SecretFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    shown = []
    for words in (["export"], ["rotate"], ["list"], ["rotate"]):
        done = rakeeza("keys", *words)
        shown += [done.out, done.err]
    first, _ = listed(rakeeza)
    done = rakeeza("keys", "retire", first["key"], "--because", "A backup was lost.")
    shown += [done.out, done.err, caplog.text, (folder / "rakeeza-keys.json").read_text()]
    for name in secrets.names():
        pem = secrets.get(name).reveal()
        for line in pem.splitlines()[1:-1]:
            assert not any(line in each for each in shown)
    for each in folder.iterdir():
        if each.name.startswith("secrets"):
            assert each.stat().st_mode & 0o077 == 0, each
