"""Clients that prove themselves by a signed assertion: what is taken, and every way in which none is."""

import hashlib
import hmac
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import text

from foundation.client_keys import key_thumbprint
from foundation.errors import NotAuthenticated
from tests.integrations.centre_keys import (
    PrivateKey,
    asserted,
    assertion,
    curl,
    new_key,
    part,
    unsigned,
)
from tests.integrations.client_town import (
    ENDPOINT,
    SIGNED_BY,
    Town,
    form,
    refused,
    shut_out,
)

pytest_plugins = ["tests.integrations.client_town_fixtures"]


def test_an_assertion_gets_a_token_that_is_bound_to_the_key(town: Town) -> None:
    for name, key in (("ec", new_key()), ("rsa", rsa.generate_private_key(65537, 2048))):
        known = town.client(name, key)
        text_ = assertion(key, name, ENDPOINT)
        answer = town.ask(*form(asserted(text_)))
        assert answer.status == 200, answer.body
        token = answer.json["access_token"]
        thumb = key_thumbprint(key.public_key())
        assert jwt.decode(token, options={"verify_signature": False})["cnf"] == {"jkt": thumb}
        # The key shown by TLS, or by a signature over the request; not without.
        assert town.me(token, known).json == {"name": name}
        assert town.me(token, None, "-H", f"{SIGNED_BY}: {thumb}").json == {"name": name}
        shut_out(town.me(token), "bound to a key that this request was not sent with")
        shut_out(town.me(token, None, "-H", f"{SIGNED_BY}: {thumb[::-1]}"), "bound to a key")


def test_a_token_by_assertion_falls_with_the_certificate_of_its_key(town: Town) -> None:
    known = town.client("centre-7")
    token = town.token_by_assertion(known)
    thumb = key_thumbprint(known.key.public_key())
    assert town.me(token, None, "-H", f"{SIGNED_BY}: {thumb}").status == 200
    town.another(known)
    town.revoke(known)
    shut_out(town.me(token, None, "-H", f"{SIGNED_BY}: {thumb}"), "does not count now")
    answer = town.ask(*form(asserted(assertion(known.key, "centre-7", ENDPOINT))))
    refused(answer, "invalid_client", "not signed by a key of this client")


def test_an_assertion_is_used_once(town: Town) -> None:
    known = town.client("centre-7")
    text_ = assertion(known.key, "centre-7", ENDPOINT)
    assert town.ask(*form(asserted(text_))).status == 200
    refused(town.ask(*form(asserted(text_))), "invalid_client", "was used before")
    # Another assertion of the same jti is used before too; the same jti of another client is not.
    again = assertion(known.key, "centre-7", ENDPOINT, jti="one")
    assert town.ask(*form(asserted(again))).status == 200
    changed = assertion(known.key, "centre-7", ENDPOINT, jti="one", exp=int(time.time()) + 30)
    refused(town.ask(*form(asserted(changed))), "invalid_client", "was used before")
    # A text that no encoding has is a name all the same.
    strange = assertion(known.key, "centre-7", ENDPOINT, jti="\ud800")
    assert town.ask(*form(asserted(strange))).status == 200
    refused(town.ask(*form(asserted(strange))), "invalid_client", "was used before")
    other = town.client("centre-8")
    assert town.ask(*form(asserted(assertion(other.key, "centre-8", ENDPOINT, jti="one")))).status == 200


def test_of_many_who_send_one_assertion_at_once_one_gets_a_token(town: Town) -> None:
    known = town.client("centre-7")
    text_ = assertion(known.key, "centre-7", ENDPOINT)
    start = threading.Barrier(8)

    def ask(_number: int) -> str:
        start.wait()
        try:
            town.identity.token_by_assertion(text_, [ENDPOINT])
        except NotAuthenticated as error:
            return error.message
        return "a token"

    with ThreadPoolExecutor(8) as pool:
        got = sorted(pool.map(ask, range(8)))
    assert got == [*["The client assertion was used before."] * 7, "a token"]


def test_what_is_remembered_of_assertions_is_forgotten_when_they_have_ended(town: Town) -> None:
    known = town.client("centre-7")
    town.token_by_assertion(known)
    with town.database.transaction() as session:
        session.execute(text("UPDATE client_assertion SET expires = clock_timestamp() - interval '1 s'"))
    town.token_by_assertion(known)
    with town.database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM client_assertion")) == 1


@pytest.mark.parametrize(
    ("changes", "saying"),
    [
        ({"aud": "https://other.example/v1/oauth/token"}, "is not for this token endpoint alone"),
        ({"aud": [ENDPOINT, "https://other.example/token"]}, "is not for this token endpoint alone"),
        ({"aud": "https://api.example.sa"}, "is not for this token endpoint alone"),
        ({"aud": None}, "lacks aud"),
        ({"iss": "centre-8"}, "names another issuer"),
        ({"iss": None}, "lacks iss"),
        ({"jti": None}, "lacks jti"),
        ({"jti": ""}, "has no jti"),
        ({"jti": "x" * 257}, "has no jti"),
        ({"exp": None}, "lacks exp"),
        ({"exp": 1_700_000_000}, "has expired"),
        # Of the wrong type, and text that no encoding has.
        ({"exp": "4000000000"}, "is malformed"),
        ({"exp": [1]}, "is malformed"),
        ({"jti": 5}, "is malformed"),
        ({"sub": "\ud800"}, "is malformed"),
        ({"sub": "centre-7\0"}, "is malformed"),
        ({"sub": "مركز"}, "is malformed"),
        ({"exp": 4_000_000_000}, "holds for more than 300 seconds"),
        ({"iat": 4_000_000_000}, "is of the future"),
        ({"nbf": 4_000_000_000}, "is of the future"),
        ({"sub": "centre-8"}, "not signed by a key of this client"),
        ({"sub": None}, "is malformed"),
        ({"sub": "nobody"}, "not signed by a key of this client"),
    ],
)
def test_an_assertion_that_says_anything_else_isrefused(
    town: Town, changes: dict[str, Any], saying: str
) -> None:
    known = town.client("centre-7")
    town.client("centre-8")
    text_ = assertion(known.key, "centre-7", **{"audience": ENDPOINT, **changes})
    refused(town.ask(*form(asserted(text_))), "invalid_client", saying)


def test_an_assertion_is_for_one_audience_however_it_is_written(town: Town) -> None:
    known = town.client("centre-7")
    assert town.ask(*form(asserted(assertion(known.key, "centre-7", [ENDPOINT])))).status == 200


def test_a_forged_assertion_is_refused_whatever_was_done_to_it(town: Town) -> None:
    known = town.client("centre-7")
    stranger = new_key()
    good = assertion(known.key, "centre-7", ENDPOINT)
    claims = jwt.decode(good, options={"verify_signature": False})
    header, _, signature = good.split(".")
    spki = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    public = known.key.public_key().public_bytes(*spki)
    forged = [
        unsigned(claims),
        unsigned(claims, "None"),
        unsigned(claims, "nOnE"),
        f"{header}.{part({**claims, 'sub': 'centre-7', 'jti': 'x'})}.{signature}",
        f"{header}.{part(claims)}.",
        # The public key, which everybody has, as if it were a shared secret.
        _hmac(public, claims),
        assertion(stranger, "centre-7", ENDPOINT),
        assertion(stranger, "centre-7", ENDPOINT, header={"jwk": _jwk(stranger)}),
        assertion(stranger, "centre-7", ENDPOINT, header={"kid": known.certificate.key_thumbprint}),
        assertion(known.key, "centre-7", ENDPOINT, header={"kid": "another"}),
        assertion(known.key, "centre-7", ENDPOINT, header={"crit": ["exp"]}),
        "",
        "x",
        "a.b.c",
        "é.é.é",
        "x" * 9_000,
    ]
    for text_ in forged:
        answer = town.ask(*form(asserted(text_)))
        assert (answer.status, answer.json["error"]) == (401, "invalid_client"), text_
    kid = {"kid": known.certificate.key_thumbprint}
    assert town.ask(*form(asserted(assertion(known.key, "centre-7", ENDPOINT, header=kid)))).status == 200


def _hmac(secret: bytes, claims: dict[str, Any]) -> str:
    body = f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(claims)}"
    made = hmac.new(secret, body.encode(), hashlib.sha256).digest()
    return f"{body}.{jwt.utils.base64url_encode(made).decode()}"


def _jwk(key: PrivateKey) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))  # type: ignore[arg-type]
    return found


def test_one_way_of_proof_is_taken_and_no_two(town: Town) -> None:
    known = town.client("centre-7")
    made = asserted(assertion(known.key, "centre-7", ENDPOINT))
    both = [*form(made), "client_id=centre-7", f"client_secret={known.secret.reveal()}"]
    refused(town.ask(*both), "invalid_request", "more than one way", 400)
    other = [*form({**made, "client_assertion_type": "urn:other"})]
    refused(town.ask(*other), "invalid_request", "client_assertion_type must be", 400)
    refused(town.ask(*form(made), "client_id=centre-8"), "invalid_client", "not the one of the assertion")
    assert town.ask(*form(made), "client_id=centre-7").status == 200
    basic = ("-u", f"centre-7:{known.secret.reveal()}")
    url = f"{town.url}/v1/oauth/token"
    again = asserted(assertion(known.key, "centre-7", ENDPOINT))
    words = [word for each in form(again) for word in ("--data-urlencode", each)]
    refused(curl(url, town.trusted, *basic, *words), "invalid_request", "more than one way", 400)


def test_what_the_endpoint_takes_can_be_read_by_a_client(town: Town) -> None:
    found = curl(f"{town.url}/.well-known/oauth-authorization-server", town.trusted).json
    assert found["issuer"] + "/v1/oauth/token" == found["token_endpoint"] == ENDPOINT
    assert found["tls_client_certificate_bound_access_tokens"] is True
    assert set(found["token_endpoint_auth_methods_supported"]) == {
        "client_secret_basic",
        "client_secret_post",
        "tls_client_auth",
        "private_key_jwt",
    }
    assert found["token_endpoint_auth_signing_alg_values_supported"] == ["ES256", "PS256", "RS256"]
