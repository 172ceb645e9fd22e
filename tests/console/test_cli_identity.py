import json
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.errors import NotAuthenticated
from foundation.identity import Identity
from foundation.secret import Secret
from foundation.settings import load
from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]


@pytest.fixture
def identity(settings_file: Path, database: Database) -> Identity:
    """What a process that serves would know."""
    return Identity(database, load(settings_file, {}).secrets(), 600, cache_s=0)


def test_a_client_gets_a_secret_that_is_printed_once_and_works(rakeeza: Rakeeza, identity: Identity) -> None:
    made = rakeeza(
        "identity", "client", "add", "centre-7", "--role", "centre", "--role", "kiosk", "--format", "json"
    )
    secret = made.rows["secret"]
    assert made.rows == {
        "client_id": "centre-7",
        "secret": secret,
        "roles": ["centre", "kiosk"],
        "places": [],
    }
    assert identity.caller(identity.token("centre-7", Secret(secret)).token.reveal()).name == "centre-7"
    listed = rakeeza("identity", "client", "list", "--format", "json")
    assert secret not in listed.out
    (row,) = listed.rows
    assert (row["client_id"], row["title"], row["roles"], row["enabled"]) == (
        "centre-7",
        "centre-7",
        "centre kiosk",
        True,
    )
    again = rakeeza("identity", "client", "add", "centre-7", "--role", "centre")
    assert (again.code, again.out) == (65, "")
    assert "already" in again.err


def test_a_client_is_shut_out_and_let_in_again(rakeeza: Rakeeza, identity: Identity) -> None:
    printed = rakeeza("identity", "client", "add", "bank", "--role", "payment", "--title", "مصرف").out
    secret = Secret(printed.split("Secret:")[1].split()[0])
    token = identity.token("bank", secret).token.reveal()
    assert rakeeza("identity", "client", "disable", "bank").out == "bank is disabled.\n"
    with pytest.raises(NotAuthenticated, match="disabled"):
        identity.caller(token)
    assert rakeeza("identity", "client", "enable", "bank").out == "bank is enabled.\n"
    assert identity.caller(token).roles == {"payment"}
    trail = rakeeza("audit", "list", "--chain", "client/bank", "--format", "json").rows
    assert [entry["action"] for entry in trail] == ["added", "disabled", "enabled"]
    assert all(entry["actor"].startswith("cli/") for entry in trail)
    assert rakeeza("identity", "client", "disable", "nobody").code == 66


def test_a_person_is_added_by_standard_input_and_signs_in(rakeeza: Rakeeza, identity: Identity) -> None:
    password = "ثلاث كلمات طويلة"
    done = rakeeza("identity", "person", "add", "amal", "--role", "auditor", "--stdin", text=f"{password}\n")
    assert (done.code, done.out) == (0, "Added amal.\n")
    assert identity.sign_in("amal", Secret(password)).roles == {"auditor"}
    (row,) = rakeeza("identity", "person", "list", "--format", "json").rows
    assert (row["username"], row["roles"], row["enabled"]) == ("amal", "auditor", True)
    short = rakeeza("identity", "person", "add", "badr", "--role", "auditor", "--stdin", text="short\n")
    assert (short.code, "has 5 characters" in short.err) == (65, True)


def test_a_new_secret_works_and_the_old_one_no_more(rakeeza: Rakeeza, identity: Identity) -> None:
    old = Secret(
        rakeeza("identity", "client", "add", "bank", "--role", "payment", "--format", "json").rows["secret"]
    )
    token = identity.token("bank", old).token.reveal()
    made = rakeeza("identity", "client", "rotate", "bank", "--format", "json").rows
    assert sorted(made) == ["client_id", "secret"]
    assert identity.token("bank", Secret(made["secret"])).roles == ("payment",)
    with pytest.raises(NotAuthenticated, match="rakeeza identity client rotate"):
        identity.token("bank", old)
    assert identity.caller(token).name == "bank"
    printed = rakeeza("identity", "client", "rotate", "bank").out
    identity.token("bank", Secret(printed.split("Secret:")[1].split()[0]))
    trail = rakeeza("audit", "list", "--chain", "client/bank", "--format", "json").rows
    assert [entry["action"] for entry in trail] == ["added", "rotated", "rotated"]
    assert rakeeza("identity", "client", "rotate", "nobody").code == 66


def test_a_person_is_shut_out_and_let_in_again(rakeeza: Rakeeza, identity: Identity) -> None:
    password = "three long words"
    rakeeza("identity", "person", "add", "amal", "--role", "auditor", "--stdin", text=f"{password}\n")
    token = identity.person_token(identity.sign_in("amal", Secret(password))).token.reveal()
    assert rakeeza("identity", "person", "disable", "amal").out == "amal is disabled.\n"
    with pytest.raises(NotAuthenticated, match="disabled"):
        identity.caller(token)
    with pytest.raises(NotAuthenticated, match="wrong"):
        identity.sign_in("amal", Secret(password))
    assert rakeeza("identity", "person", "enable", "amal").out == "amal is enabled.\n"
    assert identity.caller(token).roles == {"auditor"}
    trail = rakeeza("audit", "list", "--chain", "person/amal", "--format", "json").rows
    assert [entry["action"] for entry in trail] == ["added", "disabled", "enabled"]
    assert rakeeza("identity", "person", "disable", "nobody").code == 66


def test_places_are_kept_and_listed(rakeeza: Rakeeza, identity: Identity) -> None:
    where = ("--place", "olaya", "--place", "العزيزية الجنوبية")
    made = rakeeza("identity", "client", "add", "c", "--role", "centre", *where, "--format", "json").rows
    assert made["places"] == ["olaya", "العزيزية الجنوبية"]
    assert identity.caller(identity.token("c", Secret(made["secret"])).token.reveal()).places == {
        "olaya",
        "العزيزية الجنوبية",
    }
    rakeeza(
        "identity",
        "person",
        "add",
        "amal",
        "--role",
        "reviewer",
        *where[:2],
        "--stdin",
        text="three long words\n",
    )
    assert [
        rakeeza("identity", kind, "list", "--format", "json").rows[0]["places"]
        for kind in ("client", "person")
    ] == ["olaya, العزيزية الجنوبية", "olaya"]
    wrong = rakeeza("identity", "client", "add", "d", "--role", "centre", "--place", "a,b")
    assert (wrong.code, "cannot be a place" in wrong.err) == (65, True)


def test_an_unknown_role_and_no_role_are_refused(rakeeza: Rakeeza) -> None:
    unknown = rakeeza("identity", "client", "add", "c", "--role", "king")
    assert (unknown.code, unknown.out) == (65, "")
    assert "no role 'king'" in unknown.err
    assert "centre" in unknown.err
    assert rakeeza("identity", "client", "add", "c").code == 2


def test_no_secret_stands_in_the_platforms_files(rakeeza: Rakeeza, settings_file: Path) -> None:
    made = json.loads(rakeeza("identity", "client", "add", "c", "--role", "centre", "--format", "json").out)
    for path in (settings_file.parent / "platform").rglob("*"):
        if path.is_file():
            assert made["secret"].encode() not in path.read_bytes()
