"""Attacks on signed messages, on a real server: each gets its typed fault, is logged, and does nothing."""

import base64
import secrets
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree
from sqlalchemy import text

from tests.integrations.desk import PERSONAL, PNG, Desk
from tests.integrations.signed_town import CODE, Kit
from tests.integrations.soap.signed_soap import SoapTown, logged, open_signed, submit
from tests.integrations.soap.soap_client import SOAP_12
from tests.integrations.ws_security import test_wrapping as wrapping
from tests.integrations.ws_security.messages import parsed

FAILED = "not-authenticated", "wsse:FailedAuthentication"
PACKAGE = 'multipart/related; type="application/xop+xml"; start="<root>"; start-info="text/xml"; boundary=b'
XOP = "http://www.w3.org/2004/08/xop/include"


@pytest.fixture
def town(desk: Desk, tmp_path: Path) -> Iterator[SoapTown]:
    with open_signed(desk, tmp_path) as opened:
        yield opened


def test_no_published_wrapping_has_another_element_carried_out(
    town: SoapTown, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = town.send(town.signed(*submit())).json["number"]
    # What is forged is another case's number, and a Timestamp of just now.
    monkeypatch.setattr(wrapping, "CASE", "{urn:rakeeza:licensing:1}number")
    monkeypatch.setattr(wrapping, "NOW", datetime.now(UTC) - timedelta(seconds=30))
    before = town.left()
    told = set[tuple[str, str]]()
    with logged() as lines:
        for attack, _ in wrapping.SHAPES.values():
            named = {"number": number, "action": "withdraw", "idempotencyKey": str(uuid.uuid4())}
            message = etree.tostring(attack(parsed(town.signed("take_action", named))))
            answer = town.send(message)
            assert answer.code in ("Client", "VersionMismatch")
            assert answer.json["detail_ar"]
            told.add((answer.json["type"].rpartition(":")[2], answer.subcode))

    assert told == {
        ("malformed", ""),
        ("version-mismatch", ""),
        # Where its Security header was moved away a message is not signed.
        ("not-authenticated", ""),
        ("not-authenticated", "wsse:FailedCheck"),
        ("not-authenticated", "wsse:InvalidSecurity"),
        ("not-authenticated", "wsse:InvalidSecurityToken"),
        ("not-authenticated", "wsse:UnsupportedSecurityToken"),
    }
    assert len(lines) == len(wrapping.SHAPES)
    assert town.left() == before


def test_certificates_of_another_time_or_another_authority_are_refused(town: SoapTown) -> None:
    town.ahead.append(timedelta(days=398))
    later = datetime.now(UTC) + town.ahead[-1]
    assert "not valid at this time" in town.refused(town.signed(*submit(), at=later), *FAILED).json["detail"]
    town.ahead.append(timedelta(days=-2))
    sooner = datetime.now(UTC) + town.ahead[-1]
    assert "not valid at this time" in town.refused(town.signed(*submit(), at=sooner), *FAILED).json["detail"]
    town.ahead.append(timedelta())
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, CODE)])
    now = datetime.now(UTC)
    own = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    stranger = Kit(CODE, key, own.public_bytes(Encoding.PEM), "-", "self-signed")
    for binary in (True, False):
        told = town.refused(town.signed(*submit(), kit=stranger, binary=binary), *FAILED).json["detail"]
        assert "not known here" in told


def test_an_application_over_the_quota_is_refused_and_leaves_no_number(town: SoapTown) -> None:
    with town.desk.database.transaction() as session:
        session.execute(text("UPDATE centre_contract SET quota_day = 1 WHERE centre = :code"), {"code": CODE})

    assert town.send(town.signed(*submit())).name == "SubmitResponse"
    for _ in range(2):
        town.refused(town.signed(*submit()), "quota-exhausted")


def package(root: bytes, *parts: tuple[str, bytes]) -> bytes:
    """A message in parts."""
    octets = b'--b\r\nContent-Type: application/xop+xml; type="text/xml"\r\nContent-ID: <root>\r\n\r\n' + root
    for name, content in parts:
        octets += f"\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <{name}>\r\n\r\n".encode() + content
    return octets + b"\r\n--b--\r\n"


def test_a_signed_package_that_does_not_hold_together_is_refused(town: SoapTown) -> None:
    def root(href: str, beside: str = "") -> bytes:
        named = {"number": "SC-1", "code": "lease", "name": "a.png", "idempotencyKey": str(uuid.uuid4())}
        include = f'<x:Include xmlns:x="{XOP}" href="{href}"/>{beside}'
        return town.signed("put_document", named, PNG).replace(base64.b64encode(PNG), include.encode())

    nested = f'<x:Include xmlns:x="{XOP}" href="cid:doc"/>'
    faulty = {
        "missing": package(root("cid:doc")),
        "another": package(root("cid:doc"), ("other", PNG)),
        "in other letters": package(root("cid:DOC"), ("doc", PNG)),
        "encoded twice": package(root("cid:d%256fc"), ("doc", PNG)),
        "twice in the package": package(root("cid:doc"), ("doc", PNG), ("doc", PNG)),
        "twice, one encoded": package(root("cid:doc"), ("doc", PNG), ("d%6fc", PNG)),
        "not included": package(root("cid:doc"), ("doc", PNG), ("more", PNG)),
        "included twice": package(root("cid:doc", nested), ("doc", PNG)),
        "the root itself": package(root("cid:root"), ("doc", PNG)),
        "the root twice": package(root("cid:doc"), ("doc", PNG), ("root", b"<a/>")),
        "from elsewhere": package(root("http://127.0.0.1:9/doc"), ("doc", PNG)),
        "a boundary within": package(root("cid:doc"), ("doc", b"\r\n--bx\r\n" + PNG)),
        "an early end": package(root("cid:doc"), ("doc", b"\r\n--b--\r\n" + PNG)),
        "more behind": package(root("cid:doc"), ("doc", PNG)) + b"<a/>",
        "broken off": package(root("cid:doc"), ("doc", PNG))[:-9],
        "many parts": package(root("cid:doc"), *[(f"d{each}", b"") for each in range(200)]),
    }
    for name, octets in faulty.items():
        kind = "too-large" if name == "many parts" else "malformed"
        town.refused(octets, kind, headers={"Content-Type": PACKAGE})
    changed = package(root("cid:d%6Fc"), ("doc", PNG[::-1]))
    town.refused(changed, "not-authenticated", "wsse:FailedCheck", {"Content-Type": PACKAGE})
    # What is signed is octets; a part that is included where the signature has no document is refused too.
    other = root("cid:doc").replace(b"lease", b"deed")
    town.refused(
        package(other, ("doc", PNG)), "not-authenticated", "wsse:FailedCheck", {"Content-Type": PACKAGE}
    )


def test_a_replay_is_refused_however_it_is_dressed(town: SoapTown) -> None:
    named = {"number": "SC-1", "code": "lease", "name": "a.png", "idempotencyKey": str(uuid.uuid4())}
    message = town.signed("put_document", named, PNG)
    assert town.send(message).name == "NotFound"
    include = f'<x:Include xmlns:x="{XOP}" href="cid:{secrets.token_hex(4)}"/>'
    name = include.partition("cid:")[2].partition('"')[0]
    packed = package(message.replace(base64.b64encode(PNG), include.encode()), (name, PNG))
    again = "not-authenticated", "wsse:InvalidSecurity"
    town.refused(message, *again)
    town.refused(packed, *again, {"Content-Type": PACKAGE})
    town.refused(message.replace(b"?>", b"?><!-- x -->", 1), *again)
    town.refused(message.replace(b"<soap:Body", b"<soap:Body ", 1), *again)
    # As the other version of SOAP it is another Body, and not what was signed.
    other = message.replace(b"http://schemas.xmlsoap.org/soap/envelope/", SOAP_12.value.namespace.encode())
    headers = {"Content-Type": "application/soap+xml"}
    with logged() as lines:
        assert town.send(other, SOAP_12, headers).subcode == "wsse:FailedCheck"
    assert len(lines) == 1


def test_nothing_of_a_person_stands_in_the_log_of_refusals(
    town: SoapTown, caplog: pytest.LogCaptureFixture
) -> None:
    message = town.signed(*submit())
    for wrong in (message.replace(b"</soap:Body>", b" </soap:Body>"), message[:-20], message * 2):
        assert town.send(wrong).code == "Client"
    assert len([each for each in caplog.records if "refused by SOAP" in each.getMessage()]) == 3
    assert not any(each in caplog.text for each in PERSONAL)
