import json
import subprocess
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from foundation import audit
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, NotAuthenticated, NotFound, PermissionDenied
from foundation.identity import Caller, Identity, Role
from foundation.secret import Secret, SecretFile
from foundation.tokens import ALGORITHM

_WRONG = "The client id or the secret is wrong"


@pytest.fixture
def secrets(tmp_path: Path) -> SecretFile:
    return SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")


@pytest.fixture
def identity(database: Database, secrets: SecretFile) -> Identity:
    return Identity(database, secrets, 600, cache_s=0)


def _add(database: Database, identity: Identity, client_id: str, *roles: str) -> Secret:
    with database.transaction() as session:
        return identity.add_client(session, client_id, roles, "مركز الخدمة", actor="cli/test")


def _enable(database: Database, identity: Identity, client_id: str, enabled: bool) -> None:
    with database.transaction() as session:
        identity.enable_client(session, client_id, enabled, actor="cli/test")


def test_a_client_gets_a_token_that_says_who_it_is(database: Database, identity: Identity) -> None:
    secret = _add(database, identity, "centre-7", "kiosk", "centre")
    made = identity.token("centre-7", secret)
    assert (made.expires_in, made.roles) == (600, ("centre", "kiosk"))
    caller = identity.caller(made.token.reveal())
    assert caller == Caller("centre-7", "client", frozenset({"centre", "kiosk"}))
    assert caller.actor == "client/centre-7"


def test_a_token_has_the_claims_and_names_its_key(
    database: Database, identity: Identity, secrets: SecretFile
) -> None:
    made = identity.token("c", _add(database, identity, "c", "centre")).token.reveal()
    claims = jwt.decode(made, options={"verify_signature": False})
    assert sorted(claims) == ["aud", "exp", "iat", "iss", "jti", "roles", "sub"]
    assert claims["exp"] - claims["iat"] == 600
    header = jwt.get_unverified_header(made)
    assert header["alg"] == ALGORITHM
    # Another process with the same secrets takes it for its own.
    assert Identity(database, secrets, 600).caller(made).name == "c"
    other = identity.token("c", _add_again(database, identity)).token.reveal()
    assert jwt.get_unverified_header(other)["kid"] == header["kid"]
    assert jwt.decode(other, options={"verify_signature": False})["jti"] != claims["jti"]


def _add_again(database: Database, identity: Identity) -> Secret:
    with database.transaction() as session:
        session.execute(text("DELETE FROM api_client"))
    return _add(database, identity, "c", "centre")


def test_neither_the_table_nor_the_trail_holds_a_secret(database: Database, identity: Identity) -> None:
    secret = _add(database, identity, "c", "centre").reveal()
    with database.transaction() as session:
        identity.add_person(session, "amal", Secret("correct horse battery"), ["auditor"])
    with database.transaction() as session:
        kept = " ".join(
            str(row)
            for table in ("api_client", "person", "audit")
            for row in session.execute(text(f"SELECT to_json({table}) FROM {table}")).scalars()
        )
    assert secret not in kept
    assert secret.encode().hex() not in kept
    assert "horse" not in kept
    assert "$argon2id$" in kept


@pytest.mark.parametrize(("client_id", "end"), [("c", "x"), ("c", ""), ("nobody", "")])
def test_a_wrong_secret_and_an_unknown_id_get_the_same_sentence(
    database: Database, identity: Identity, client_id: str, end: str
) -> None:
    secret = _add(database, identity, "c", "centre").reveal()
    given = secret + end if client_id == "nobody" or end else secret[:-1]
    with pytest.raises(NotAuthenticated, match=_WRONG):
        identity.token(client_id, Secret(given))


def test_a_disabled_client_is_refused_at_once_with_all_its_tokens(
    database: Database, identity: Identity
) -> None:
    secret = _add(database, identity, "c", "centre")
    token = identity.token("c", secret).token.reveal()
    assert identity.caller(token).name == "c"
    _enable(database, identity, "c", False)
    with pytest.raises(NotAuthenticated, match="c is disabled or no longer known"):
        identity.caller(token)
    with pytest.raises(NotAuthenticated, match="c is disabled"):
        identity.token("c", secret)
    with pytest.raises(NotAuthenticated, match=_WRONG):
        identity.token("c", Secret("guessed"))
    _enable(database, identity, "c", True)
    assert identity.caller(token).name == "c"
    with database.transaction() as session:
        entries = audit.entries(session, "client/c")
    assert [(entry.action, entry.actor) for entry in entries] == [
        ("added", "cli/test"),
        ("disabled", "cli/test"),
        ("enabled", "cli/test"),
    ]
    with database.transaction() as session:
        session.execute(text("DELETE FROM api_client"))
    with pytest.raises(NotAuthenticated, match="no longer known"):
        identity.caller(token)


def test_a_role_that_was_taken_away_is_gone_from_a_running_token(
    database: Database, identity: Identity
) -> None:
    token = identity.token("c", _add(database, identity, "c", "centre", "kiosk")).token.reveal()
    with database.transaction() as session:
        session.execute(text("UPDATE api_client SET roles = ARRAY['kiosk', 'engineer']"))
    assert identity.caller(token).roles == {"kiosk"}


def test_places_are_those_of_the_record_and_none_is_everywhere(
    database: Database, identity: Identity
) -> None:
    with database.transaction() as session:
        secret = identity.add_client(session, "c", ["centre"], "c", places=["olaya", "malaz", "olaya"])
        identity.add_person(session, "amal", Secret("three long words"), ["reviewer"], places=["malaz"])
        with pytest.raises(InvalidInput, match=r"'a,b' cannot be a place"):
            identity.add_client(session, "d", ["centre"], "d", places=["olaya", "a,b"])
        details = audit.entries(session, "client/c")[0].details
    assert details == {"roles": ["centre"], "places": ["malaz", "olaya"], "title": "c"}
    token = identity.token("c", secret).token.reveal()
    assert identity.caller(token).places == {"olaya", "malaz"}
    person = identity.sign_in("amal", Secret("three long words"))
    assert person.places == {"malaz"}
    assert identity.caller(identity.person_token(person).token.reveal()) == person
    # Where somebody acts is no matter of his token: it changes at once.
    with database.transaction() as session:
        session.execute(text("UPDATE api_client SET places = '{}'"))
    assert identity.caller(token).places == frozenset()


def test_a_role_that_a_service_declares_is_known_where_it_is_declared(
    database: Database, identity: Identity, secrets: SecretFile
) -> None:
    declared = {"fire-safety": Bilingual(ar="الدفاع المدني", en="Civil defence")}
    open_ = Identity(database, secrets, 600, roles=declared, cache_s=0)
    assert open_.declared_roles == declared
    secret = _add(database, open_, "c", "fire-safety", Role.INSPECTOR, Role.FINANCE, Role.PRIVACY)
    caller = open_.caller(open_.token("c", secret).token.reveal())
    assert caller.roles == {"fire-safety", "inspector", "finance", "privacy"}
    caller.require("fire-safety")
    with pytest.raises(InvalidInput, match=r"no role 'king'.*auditor, fire-safety\."):
        _add(database, open_, "d", "king")
    with pytest.raises(InvalidInput, match="no role 'fire-safety'"):
        _add(database, identity, "d", "fire-safety")


def test_a_new_secret_takes_the_place_of_the_old_one(database: Database, identity: Identity) -> None:
    old = _add(database, identity, "c", "centre")
    with database.transaction() as session:
        new = identity.rotate_client(session, "c", actor="cli/test")
        with pytest.raises(NotFound, match="nobody"):
            identity.rotate_client(session, "nobody")
    assert new.reveal() != old.reveal()
    assert identity.token("c", new).roles == ("centre",)
    with pytest.raises(NotAuthenticated, match=_WRONG):
        identity.token("c", old)
    with database.transaction() as session:
        assert [(e.action, e.actor, e.details) for e in audit.entries(session, "client/c")][1:] == [
            ("rotated", "cli/test", {})
        ]


def test_a_disabled_person_is_refused_at_once(database: Database, identity: Identity) -> None:
    with database.transaction() as session:
        identity.add_person(session, "amal", Secret("three long words"), ["auditor"])
    token = identity.person_token(identity.sign_in("amal", Secret("three long words"))).token.reveal()
    for enabled in (False, False, True):
        with database.transaction() as session:
            identity.enable_person(session, "amal", enabled, actor="cli/test")
        if enabled:
            assert identity.caller(token).name == "amal"
        else:
            with pytest.raises(NotAuthenticated, match="amal is disabled"):
                identity.caller(token)
    with database.transaction() as session:
        assert [e.action for e in audit.entries(session, "person/amal")] == ["added", "disabled", "enabled"]
        with pytest.raises(NotFound, match="nobody"):
            identity.enable_person(session, "nobody", False)


def test_a_record_is_believed_no_longer_than_it_may_be(database: Database, secrets: SecretFile) -> None:
    patient = Identity(database, secrets, 600, cache_s=3600)
    token = patient.token("c", _add(database, patient, "c", "centre")).token.reveal()
    assert patient.caller(token).name == "c"
    _enable(database, patient, "c", False)
    # Believed for an hour it is still let in; the default is a second.
    assert patient.caller(token).name == "c"
    with pytest.raises(NotAuthenticated):
        Identity(database, secrets, 600, cache_s=0).caller(token)


def test_nobody_is_believed_before_he_was_asked_for_or_after_the_record_is_old(
    database: Database, secrets: SecretFile
) -> None:
    keen, doubting = (
        Identity(database, secrets, 600, cache_s=600),
        Identity(database, secrets, 600, cache_s=0),
    )
    secret = _add(database, keen, "centre-7", "centre")
    token = keen.token("centre-7", secret).token.reveal()
    assert keen.believed(token) is None
    known = keen.caller(token)
    assert keen.believed(token) == known
    assert keen.believed(token[:-2]) is None
    doubting.caller(token)
    assert doubting.believed(token) is None


def test_an_expired_token_is_refused_with_the_time(database: Database, secrets: SecretFile) -> None:
    past = Identity(database, secrets, -60)
    token = past.token("c", _add(database, past, "c", "centre")).token.reveal()
    with pytest.raises(
        NotAuthenticated, match=r"expired at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\. Ask for a new one"
    ):
        past.caller(token)


def _part(data: object) -> str:
    return urlsafe_b64encode(json.dumps(data).encode()).rstrip(b"=").decode()


def test_a_forged_token_is_refused_whatever_was_done_to_it(database: Database, identity: Identity) -> None:
    token = identity.token("c", _add(database, identity, "c", "centre")).token.reveal()
    header, body, signature = token.split(".")
    claims = jwt.decode(token, options={"verify_signature": False})
    kid = jwt.get_unverified_header(token)["kid"]
    stranger = ec.generate_private_key(ec.SECP256R1())
    more = _part({**claims, "roles": ["administrator"]})
    forged = [
        f"{header}.{more}.{signature}",
        f"{header}.{body}.{signature[:-4]}AAAA",
        f"{_part({'alg': 'none', 'typ': 'JWT', 'kid': kid})}.{more}.",
        jwt.encode(claims, stranger, algorithm=ALGORITHM, headers={"kid": kid}),
        jwt.encode(claims, stranger, algorithm=ALGORITHM, headers={"kid": "other"}),
        jwt.encode(claims, stranger, algorithm=ALGORITHM),
        jwt.encode(claims, "k" * 32, algorithm="HS256", headers={"kid": kid}),
    ]
    for text_ in forged:
        with pytest.raises(NotAuthenticated, match=r"not signed by this platform|not one of this platform"):
            identity.caller(text_)
    assert urlsafe_b64decode(body + "==")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "....", "é.é.é", "e30.e30.e30", "x" * 100_000])
def test_a_malformed_token_is_refused(identity: Identity, token: str) -> None:
    with pytest.raises(NotAuthenticated, match=r"malformed|not signed by this platform"):
        identity.caller(token)


@pytest.mark.parametrize(
    "change", [{"aud": "other"}, {"iss": "other"}, {"roles": None}, {"iat": 9_999_999_999}]
)
def test_a_token_that_this_platform_signed_for_something_else_is_refused(
    database: Database, identity: Identity, change: dict[str, object]
) -> None:
    token = identity.token("c", _add(database, identity, "c", "centre")).token.reveal()
    claims = {**jwt.decode(token, options={"verify_signature": False}), **change}
    key, kid = identity._tokens._key
    signed = jwt.encode(
        {name: value for name, value in claims.items() if value is not None}, key, ALGORITHM, {"kid": kid}
    )
    with pytest.raises(NotAuthenticated, match=r"not one of this platform|malformed|in the future"):
        identity.caller(signed)


def test_a_caller_without_the_role_is_named() -> None:
    caller = Caller("kiosk-1", "client", frozenset({"kiosk"}))
    caller.require("centre", "kiosk")
    with pytest.raises(PermissionDenied, match="kiosk-1 does not have the role centre or payment"):
        caller.require("centre", "payment")


def test_an_id_is_given_once_and_roles_are_known(database: Database, identity: Identity) -> None:
    _add(database, identity, "c", "centre")
    with pytest.raises(Conflict, match="already"):
        _add(database, identity, "c", "centre")
    with pytest.raises(InvalidInput, match=r"no role 'king'.*administrator"):
        _add(database, identity, "d", "king")
    with pytest.raises(InvalidInput, match="At least one role"):
        _add(database, identity, "d")
    for name in ("", "a:b", "a b", "مركز", "x" * 65):
        with pytest.raises(InvalidInput, match="cannot be a client id"):
            _add(database, identity, name, "centre")
    with pytest.raises(NotFound, match="nobody"):
        _enable(database, identity, "nobody", False)
    with database.transaction() as session:
        assert [client.client_id for client in identity.clients(session)] == ["c"]


def test_a_person_signs_in_by_password(database: Database, identity: Identity) -> None:
    with database.transaction() as session:
        identity.add_person(
            session, "amal", Secret("correct horse battery"), [Role.AUDITOR], actor="cli/test"
        )
    caller = identity.sign_in("amal", Secret("correct horse battery"))
    assert caller == Caller("amal", "person", frozenset({"auditor"}))
    assert identity.caller(identity.person_token(caller).token.reveal()) == caller
    for name, password in (("amal", "correct horse batterx"), ("nobody", "correct horse battery")):
        with pytest.raises(NotAuthenticated, match="The user name or the password is wrong"):
            identity.sign_in(name, Secret(password))
    with database.transaction() as session:
        session.execute(text("UPDATE person SET enabled = false"))
    with pytest.raises(NotAuthenticated, match="The user name or the password is wrong"):
        identity.sign_in("amal", Secret("correct horse battery"))


def test_a_short_password_and_a_taken_name_are_refused(database: Database, identity: Identity) -> None:
    with database.transaction() as session:
        identity.add_person(session, "amal", Secret("correct horse battery"), ["auditor"])
        with pytest.raises(InvalidInput, match="has 5 characters"):
            identity.add_person(session, "badr", Secret("short"), ["auditor"])
        with pytest.raises(Conflict, match="already"):
            identity.add_person(session, "amal", Secret("correct horse battery"), ["auditor"])
        assert [person.username for person in identity.people(session)] == ["amal"]


def test_an_old_hash_is_renewed_when_its_person_signs_in(database: Database, identity: Identity) -> None:
    weak = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQxMjM0$"
    with database.transaction() as session:
        identity.add_person(session, "amal", Secret("correct horse battery"), ["auditor"])
    import argon2

    old = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("correct horse battery")
    assert old.startswith(weak[:24])
    with database.transaction() as session:
        session.execute(text("UPDATE person SET password_hash = :old"), {"old": old})
    identity.sign_in("amal", Secret("correct horse battery"))
    with database.transaction() as session:
        assert not identity.people(session)[0].password_hash.startswith(weak[:24])


_SIGNER = """
import sys
from pathlib import Path
from foundation.database import Database
from foundation.identity import Caller, Identity
from foundation.secret import SecretFile
folder = Path(sys.argv[1])
database = Database(sys.argv[2])
identity = Identity(database, SecretFile(folder / "secrets.json", folder / "secrets.key"), 600)
print(identity.person_token(Caller("amal", "person", frozenset({"auditor"}))).token.reveal())
database.dispose()
"""


def test_processes_that_start_together_sign_with_one_key(
    database: Database, database_url: str, identity: Identity, tmp_path: Path
) -> None:
    with database.transaction() as session:
        identity_before_key = "token-signing-key" in SecretFile(tmp_path / "s", tmp_path / "k").names()
        identity.add_person(session, "amal", Secret("correct horse battery"), ["auditor"])
    assert not identity_before_key
    signers = [
        subprocess.Popen(
            [sys.executable, "-c", _SIGNER, str(tmp_path), database_url], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    tokens = [signer.communicate()[0].strip() for signer in signers]
    assert {signer.returncode for signer in signers} == {0}
    assert [identity.caller(token).name for token in tokens] == ["amal"] * 4
