"""Every refusal is reached, and has its fault code, one English and one Arabic sentence."""

import ast
import re
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree

from foundation.errors import NotAuthenticated, problem
from foundation.secret import Secret
from integrations import ws_security
from integrations.ws_security import faults, names
from integrations.ws_security.faults import SecurityFault
from integrations.ws_security.keys import KeyReference
from integrations.ws_security.username_token import check_username
from integrations.ws_security.verification import verify
from tests.integrations.ws_security.changes import CERTIFICATE, CHANGES, rename
from tests.integrations.ws_security.messages import (
    NOW,
    NS,
    SECRET,
    Signer,
    Template,
    again,
    binary_token,
    by_xmlsec1,
    by_zeep,
    identified,
    make_signer,
    one,
    parsed,
    security,
    username_token,
)

CODES = {
    "wsse:UnsupportedSecurityToken",
    "wsse:UnsupportedAlgorithm",
    "wsse:InvalidSecurity",
    "wsse:InvalidSecurityToken",
    "wsse:FailedAuthentication",
    "wsse:FailedCheck",
    "wsse:SecurityTokenUnavailable",
    "wsu:MessageExpired",
}
"""Source: SOAP Message Security 1.1.1, section 12."""

ARABIC = re.compile("[\u0621-\u064a]")


def refused(message: etree._Element, signer: Signer, code: str, reason: str) -> None:
    with pytest.raises(SecurityFault) as caught:
        verify(message, signer.lookup, NOW)
    check(caught.value, code, reason)


def check(fault: SecurityFault, code: str, reason: str) -> None:
    assert (fault.code, fault.reason) == (code, reason)
    assert code in CODES
    assert fault.message.endswith((".", "#"))
    assert ARABIC.search(fault.message_ar)
    assert isinstance(fault, NotAuthenticated)
    assert problem(fault)["status"] == 401


@pytest.mark.parametrize("index", range(len(CHANGES)))
def test_a_message_that_is_built_in_another_way_is_refused(centre: Signer, index: int) -> None:
    change, code, reason = CHANGES[index]
    message = by_zeep(centre)
    change(message)
    refused(again(message), centre, code, reason)


def test_sha_1_is_refused_in_signatures_and_digests(centre: Signer) -> None:
    old = Template(centre, method="xmldsig-more#rsa-sha256").text()
    signed = old.replace("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256", f"{names.DS}rsa-sha1")
    digested = old.replace("http://www.w3.org/2001/04/xmlenc#sha256", f"{names.DS}sha1", 1)
    hmac = old.replace("xmldsig-more#rsa-sha256", "xmldsig-more#hmac-sha256")
    for text in (signed, digested):
        assert text != old
        message = by_xmlsec1(Template(centre), text)
        refused(message, centre, "wsse:UnsupportedAlgorithm", "algorithm")
    assert hmac != old
    refused(parsed(hmac), centre, "wsse:UnsupportedAlgorithm", "algorithm")


@pytest.mark.parametrize("kind", ["short", "other kind", "curve"])
def test_a_key_that_does_not_go_with_the_algorithm_is_refused(
    centre: Signer, curved_centre: Signer, tmp_path: Path, kind: str
) -> None:
    code, reason = "wsse:UnsupportedAlgorithm", "key"
    if kind == "short":
        weak = make_signer(tmp_path, rsa.generate_private_key(65537, 1024))
        refused(by_xmlsec1(Template(weak)), weak, code, reason)
    elif kind == "curve":
        other = make_signer(tmp_path, ec.generate_private_key(ec.SECP521R1()))
        refused(by_xmlsec1(Template(other, method="xmldsig-more#ecdsa-sha256")), other, code, reason)
    else:
        # The certificate of another centre, whose key is of another kind than the signature's.
        message = by_xmlsec1(Template(centre, tokens=binary_token(curved_centre)))
        refused(message, curved_centre, code, reason)


def test_a_certificate_is_valid_from_its_first_moment_to_its_last(centre: Signer, tmp_path: Path) -> None:
    for name, begins, ends, good in (
        ("today", timedelta(0), timedelta(0), True),
        ("tomorrow", timedelta(seconds=1), timedelta(1), False),
        ("yesterday", timedelta(-1), timedelta(seconds=-1), False),
    ):
        signer = make_signer(tmp_path / name, centre.key, begins=NOW + begins, ends=NOW + ends)
        message = by_xmlsec1(Template(signer))
        if good:
            assert verify(message, signer.lookup, NOW).certificate == signer.der
        else:
            refused(message, signer, "wsse:FailedAuthentication", "certificate-not-valid")


def test_a_register_that_gives_another_certificate_is_not_believed(
    centre: Signer, curved_centre: Signer
) -> None:
    for given, reason in ((curved_centre.der, "another-certificate"), (b"x", "certificate-unreadable")):

        def lookup(_: KeyReference, given: bytes = given) -> bytes:
            return given

        with pytest.raises(SecurityFault) as caught:
            verify(by_zeep(centre), lookup, NOW)
        check(caught.value, "wsse:FailedAuthentication", reason)


@pytest.mark.parametrize("kind", ["serial", "subject key", "thumbprint"])
def test_a_register_is_not_believed_about_a_name_of_a_certificate(
    centre: Signer, curved_centre: Signer, kind: str
) -> None:
    message = by_xmlsec1(Template(centre, tokens="", key_info=identified(centre, kind)))
    with pytest.raises(SecurityFault) as caught:
        verify(message, lambda _: curved_centre.der, NOW)
    check(caught.value, "wsse:FailedAuthentication", "another-certificate")


def test_an_issuer_and_serial_number_must_both_be_the_certificates(centre: Signer) -> None:
    for path, text in (
        (".//ds:X509IssuerName", "CN=Other"),
        (".//ds:X509IssuerName", "no name"),
        (f".//{CERTIFICATE}", "AAAA"),
    ):
        message = by_zeep(centre, binary=False)
        one(message, path).text = text
        refused(message, centre, "wsse:FailedAuthentication", "another-certificate")
    message = by_zeep(centre, binary=False)
    one(message, ".//ds:X509SerialNumber").text = "0x12"
    refused(message, centre, "wsse:InvalidSecurityToken", "serial")
    message = by_zeep(centre, binary=False)
    one(message, ".//ds:X509SerialNumber").text = "12"
    refused(message, centre, "wsse:FailedAuthentication", "certificate-not-known")
    message = by_zeep(centre, binary=False)
    rename(".//ds:X509IssuerSerial", f"{{{names.DS}}}X509SKI")(message)
    refused(message, centre, "wsse:UnsupportedSecurityToken", "key-reference")


def test_no_key_is_taken_from_the_message_or_fetched(centre: Signer) -> None:
    for tag in ("KeyValue", "RetrievalMethod", "KeyName", "X509Data"):
        message = by_zeep(centre)
        rename(".//wsse:SecurityTokenReference", f"{{{names.DS}}}{tag}")(message)
        refused(message, centre, "wsse:InvalidSecurity", "unexpected-content")


def test_what_has_no_canonical_form_is_refused(centre: Signer) -> None:
    message = by_zeep(centre)
    text = etree.tostring(message, encoding="unicode").replace(
        "<soap:Envelope ", '<soap:Envelope xmlns:r="r" '
    )
    refused(parsed(text), centre, "wsse:InvalidSecurity", "no-canonical-form")


def test_a_message_out_of_its_time_is_refused(centre: Signer) -> None:
    for ahead, reason in ((-301, "too-old"), (61, "from-the-future")):
        message = by_zeep(centre, at=NOW + timedelta(seconds=ahead))
        refused(message, centre, "wsu:MessageExpired", reason)
    message = by_zeep(centre, at=NOW - timedelta(seconds=300))
    refused(message, centre, "wsu:MessageExpired", "expired")


def test_another_secret_is_refused(centre: Signer) -> None:
    message = by_xmlsec1(Template(centre, tokens=username_token() + binary_token(centre)))
    token = verify(message, centre.lookup, NOW).username_token
    assert token is not None
    check_username(token, Secret(SECRET), NOW)
    with pytest.raises(SecurityFault) as caught:
        check_username(token, Secret(SECRET + " "), NOW)
    check(caught.value, "wsse:FailedAuthentication", "password-digest")


def test_the_security_header_of_a_stranger_costs_no_canonical_form(
    centre: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever has no certificate of ours does not get as far as hashing what he sent.
    asked: list[object] = []
    from integrations.ws_security import verification

    monkeypatch.setattr(verification, "octets", lambda *given: asked.append(given))
    with pytest.raises(SecurityFault):
        verify(by_zeep(centre), lambda _: None, NOW)
    assert asked == []


# Reasons whose messages are in test_signature.py, because they need a tree that no change of one makes.
ELSEWHERE = {"doctype", "no-element", "unfixed-prefix"}
HERE = {
    "algorithm",
    "key",
    "certificate-not-valid",
    "another-certificate",
    "certificate-unreadable",
    "serial",
    "no-canonical-form",
    "too-old",
    "from-the-future",
    "expired",
    "password-digest",
}


def test_every_reason_in_the_code_has_a_message_that_meets_it() -> None:
    folder = Path(ws_security.__file__).parent
    kinds = {name for name, kind in vars(faults).items() if isinstance(kind, type)}
    found: set[str] = set()
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
                reason = node.args[0]
                assert isinstance(reason, ast.Constant)
                found.add(str(reason.value))
    assert found == {reason for _, _, reason in CHANGES} | HERE | ELSEWHERE


def test_every_code_is_one_of_the_standards() -> None:
    kinds = [
        kind
        for kind in vars(faults).values()
        if isinstance(kind, type) and issubclass(kind, SecurityFault) and "code" in vars(kind)
    ]
    assert {kind.code for kind in kinds} == CODES


def test_a_leaf_with_a_child_is_no_text(centre: Signer) -> None:
    message = by_zeep(centre)
    etree.SubElement(one(message, ".//ds:DigestValue"), "{urn:x}a")
    refused(message, centre, "wsse:InvalidSecurity", "not-a-text")
    assert security(message).find("ds:Signature", NS) is not None
