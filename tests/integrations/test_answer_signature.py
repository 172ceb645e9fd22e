"""Signed answers: made by PyJWT and by RFC 9421's signer, and everything that must not pass for them."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from jwt.api_jws import PyJWS

from foundation.errors import Damaged, SettingsError
from foundation.wire.content_digest import content_digest
from foundation.wire.http_signature import Message, PrivateKey, asked, sign
from integrations import answer_signature
from integrations.answer_signature import Scheme, read_keys

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
BODY = '{"question": "case/1/check/a/1", "answer": "match", "note": "نعم"}'.encode()
P256, STRANGER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()
OURS = (RSA.public_key(), ED.public_key(), P256.public_key())
CRITICAL = {"b64": False, "crit": ["b64"]}

Fields = list[tuple[str, str]]


def holds(scheme: Scheme, fields: Fields, body: bytes = BODY, status: int = 200, now: datetime = NOW) -> bool:
    try:
        answer_signature.check(scheme, status, fields, body, OURS, now)
    except Damaged:
        return False
    return True


def jws(key: Any = P256, alg: str = "ES256", **header: Any) -> str:
    return PyJWS().encode(BODY, key, algorithm=alg, headers={**CRITICAL, **header})


def made(header: dict[str, Any] | str, key: Any = P256, alg: str = "ES256", payload: str = "") -> str:
    # As no library makes it.
    text = header if isinstance(header, str) else json.dumps(header)
    protected = base64.urlsafe_b64encode(text.encode()).rstrip(b"=")
    algorithm = PyJWS().get_algorithm_by_name(alg)
    signature = algorithm.sign(protected + b"." + BODY, key)
    return f"{protected.decode()}.{payload}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    ("key", "alg"), [(P256, "ES256"), (RSA, "RS256"), (RSA, "PS512"), (ED, "EdDSA")], ids=lambda v: str(v)[:5]
)
def test_a_detached_jws_of_another_library_holds_for_its_body_alone(key: Any, alg: str) -> None:
    assert set(answer_signature.ALGORITHMS) == {"ES256", "RS256", "PS512", "EdDSA"}
    fields = [("X-JWS-Signature", jws(key, alg, kid="any"))]
    assert holds("jws", fields)
    assert not holds("jws", fields, BODY + b" ")
    assert not holds("jws", fields, BODY.replace(b"match", b"other"))


def test_the_one_made_by_hand_holds_too() -> None:
    # So that those of the next test fail for their one fault.
    assert holds("jws", [("x-jws-signature", made({"alg": "ES256", **CRITICAL}))])


@pytest.mark.parametrize(
    "value",
    [
        jws(STRANGER),
        made({"alg": "ES256", "b64": False}),
        made({"alg": "ES256", "crit": ["b64"]}),
        made({"alg": "ES256", "b64": True, "crit": ["b64"]}),
        made({"alg": "ES256", "b64": 0, "crit": ["b64"]}),
        made({"alg": "ES256", "b64": False, "crit": ["b64", "exp"], "exp": 1}),
        made({"alg": "ES256", "b64": False, "crit": "b64"}),
        made({"alg": "RS256", **CRITICAL}),
        made({"alg": "none", **CRITICAL}),
        made({"alg": ["ES256"], **CRITICAL}),
        made({**CRITICAL}),
        made('{"alg": "ES256", "alg": "ES256", "b64": false, "crit": ["b64"]}'),
        made("[]"),
        made("{"),
        made({"alg": "ES256", **CRITICAL}, payload=base64.urlsafe_b64encode(BODY).rstrip(b"=").decode()),
        made({"alg": "ES256", **CRITICAL}) + ".",
        made({"alg": "ES256", **CRITICAL}) + "=",
        made({"alg": "ES256", **CRITICAL}).replace(".", "", 1),
        "",
        "..",
        "ى..ى",
    ],
    # Signatures are others in each process; so are names made of them.
    ids=lambda _: "value",
)
def test_what_is_no_detached_jws_by_our_key_is_no_signature(value: str) -> None:
    assert not holds("jws", [("x-jws-signature", value)])


def test_a_public_key_is_never_taken_for_a_shared_secret() -> None:
    pem = P256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    forged = made({"alg": "HS256", **CRITICAL}, base64.b64encode(pem), "HS256")
    assert not holds("jws", [("x-jws-signature", forged)])


def test_two_signatures_in_two_lines_are_none() -> None:
    good = jws()
    assert not holds("jws", [("x-jws-signature", good), ("x-jws-signature", good)])
    assert not holds("jws", [])


@given(st.integers(0, len(jws()) - 1), st.characters(codec="ascii", exclude_characters="\r\n"))
def test_no_other_character_passes(place: int, character: str) -> None:
    value = jws()
    changed = value[:place] + character + value[place + 1 :]
    # The last of the signature's characters carries two bits that nobody reads.
    if changed != value and place != len(value) - 1:
        assert not holds("jws", [("x-jws-signature", changed)])


def signed(
    key: PrivateKey = P256,
    names: tuple[str, ...] = ("@status", "content-digest"),
    body: bytes = BODY,
    expires: datetime | None = None,
) -> Fields:
    fields = [("Content-Type", "application/json"), ("Content-Digest", content_digest(body))]
    told = asked(names, created=NOW, expires=expires, alg=None)
    return [*fields, *sign(Message(None, None, fields, 200), "backend", told, key).items()]


def test_an_http_signature_holds_for_its_status_and_body() -> None:
    assert holds("http", signed())
    assert holds("http", signed(ED))
    assert holds("http", signed(expires=NOW + timedelta(seconds=1)))
    assert not holds("http", signed(), status=201)
    assert not holds("http", signed(), BODY + b" ")
    assert not holds("http", signed(STRANGER))
    assert not holds("http", signed(expires=NOW))


def test_an_http_signature_of_before_or_of_later_is_none() -> None:
    for seconds, good in ((299, True), (301, False), (-59, True), (-61, False)):
        assert holds("http", signed(), now=NOW + timedelta(seconds=seconds)) is good
    fields = [("Content-Type", "application/json"), ("Content-Digest", content_digest(BODY))]
    undated = asked(("@status", "content-digest"), created=None, alg=None)
    assert not holds("http", [*fields, *sign(Message(None, None, fields, 200), "b", undated, P256).items()])


@pytest.mark.parametrize("names", [("@status",), ("content-digest",), ("content-type",), ()])
def test_one_that_covers_less_is_none(names: tuple[str, ...]) -> None:
    assert not holds("http", signed(names=names))


def test_a_header_changed_or_taken_away_leaves_none() -> None:
    good = signed()
    assert [name for name, _ in good] == ["Content-Type", "Content-Digest", "Signature-Input", "Signature"]
    for gone in good[1:]:
        assert not holds("http", [field for field in good if field != gone])
    other = content_digest(b"another body")
    assert not holds("http", [("Content-Digest", other), *(f for f in good if f[0] != "Content-Digest")])
    assert not holds("http", [*good[:2], ("Signature-Input", "backend=("), good[3]])


def _file(folder: Path, *pems: bytes) -> Path:
    file = folder / "keys.pem"
    file.write_bytes(b"".join(pems))
    return file


def _public(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def test_keys_and_certificates_are_read_from_one_file(tmp_path: Path) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry")])
    certificate = (
        x509.CertificateBuilder(name, name, RSA.public_key(), 7, NOW, NOW + timedelta(days=1))
        .sign(RSA, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )
    keys = read_keys(_file(tmp_path, b"The new one:\n", _public(P256), certificate, _public(ED)))
    assert keys == (P256.public_key(), RSA.public_key(), ED.public_key())


def test_a_file_with_anything_else_is_refused(tmp_path: Path) -> None:
    private = P256.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    p384, short = ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 1024)
    for pem in (private, _public(p384), _public(short), b"", b"no key", "مفتاح".encode()):
        with pytest.raises(SettingsError, match=r"keys\.pem.*cannot be used"):
            read_keys(_file(tmp_path, pem))
    with pytest.raises(SettingsError):
        read_keys(tmp_path / "absent.pem")
