"""Messages that other programs sign verify, and say who signed what."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from lxml import etree
from xmlsec import constants

from foundation.secret import Secret
from integrations.ws_security import names
from integrations.ws_security.faults import FailedCheck
from integrations.ws_security.username_token import check_username
from integrations.ws_security.verification import verify
from tests.integrations.ws_security.messages import (
    DIRECT,
    EXCLUSIVE,
    NOW,
    NS,
    PAYLOAD,
    SECRET,
    Signer,
    Template,
    binary_token,
    by_signxml,
    by_xmlsec1,
    by_zeep,
    identified,
    parsed,
    reference,
    username_token,
)

MGF1 = "http://www.w3.org/2007/05/xmldsig-more#sha{}-rsa-MGF1"


def listing(prefixes: str, tag: str = "Transform") -> str:
    """Exclusive canonical XML with a list of prefixes."""
    return (
        f'<ds:{tag} Algorithm="{names.EXCLUSIVE}"><ec:InclusiveNamespaces xmlns:ec="{names.EXCLUSIVE}" '
        f'PrefixList="{prefixes}"/></ds:{tag}>'
    )


def test_a_message_of_zeep_says_who_signed_which_elements(centre: Signer) -> None:
    message = by_zeep(centre)
    verified = verify(message, centre.lookup, NOW)
    assert verified.body is message[1]
    assert verified.timestamp.element is message.find("s:Header/wsse:Security/wsu:Timestamp", NS)
    assert verified.timestamp.created == NOW
    assert verified.certificate == centre.der
    value = message.findtext(".//ds:SignatureValue", namespaces=NS)
    assert value is not None
    assert verified.signature == base64.b64decode(value)
    assert verified.username_token is not None
    assert verified.username_token.username == "amal@centre-7"
    assert not verified.username_signed
    check_username(verified.username_token, Secret(SECRET), NOW)


def test_the_evidence_can_be_verified_again_without_the_message(centre: Signer) -> None:
    verified = verify(by_zeep(centre), centre.lookup, NOW)
    key = centre.certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(verified.signature, verified.signed_info, padding.PKCS1v15(), hashes.SHA256())
    assert verified.digest == hashlib.sha256(verified.signed_info).digest()


def test_a_second_signature_that_anybody_can_make_is_the_same_message(curved_centre: Signer) -> None:
    # Of an ECDSA signature (r, s) the pair (r, n - s) holds as well, and needs no key.
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    message = by_zeep(curved_centre, method=constants.TransformEcdsaSha256)
    first = verify(message, curved_centre.lookup, NOW)
    other = order - int.from_bytes(first.signature[32:], "big")
    value = message.find(".//ds:SignatureValue", NS)
    assert value is not None
    value.text = base64.b64encode(first.signature[:32] + other.to_bytes(32, "big")).decode()
    second = verify(message, curved_centre.lookup, NOW)
    assert second.signature != first.signature
    assert second.digest == first.digest


def test_a_signature_of_a_curve_is_written_in_one_way(curved_centre: Signer) -> None:
    message = by_zeep(curved_centre, method=constants.TransformEcdsaSha256)
    value = message.find(".//ds:SignatureValue", NS)
    assert value is not None
    signature = verify(message, curved_centre.lookup, NOW).signature
    halves = signature[:32], signature[32:]
    longer = b"".join(b"\0" + half for half in halves)
    der = encode_dss_signature(*(int.from_bytes(half, "big") for half in halves))
    for other in (longer, der, signature[:-1], signature + b"\0"):
        value.text = base64.b64encode(other).decode()
        with pytest.raises(FailedCheck):
            verify(message, curved_centre.lookup, NOW)


def test_verifying_leaves_the_message_as_it_is(centre: Signer) -> None:
    message = by_zeep(centre)
    before = etree.tostring(message)
    verify(message, centre.lookup, NOW)
    assert etree.tostring(message) == before
    verify(message, centre.lookup, NOW)


@pytest.mark.parametrize("soap", [names.SOAP_11, names.SOAP_12])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(
    ("method", "digest"),
    [
        (constants.TransformRsaSha256, constants.TransformSha256),
        (constants.TransformRsaSha384, constants.TransformSha384),
        (constants.TransformRsaSha512, constants.TransformSha512),
    ],
)
def test_zeep_signs_by_rsa(centre: Signer, soap: str, binary: bool, method: object, digest: object) -> None:
    message = by_zeep(centre, soap=soap, binary=binary, method=method, digest=digest)
    assert verify(message, centre.lookup, NOW).certificate == centre.der


def test_zeep_signs_by_a_curve(curved_centre: Signer, wide_centre: Signer) -> None:
    for signer, method in (
        (curved_centre, constants.TransformEcdsaSha256),
        (wide_centre, constants.TransformEcdsaSha384),
    ):
        verified = verify(by_zeep(signer, method=method), signer.lookup, NOW)
        assert verified.certificate == signer.der


@pytest.mark.parametrize("bits", [256, 384, 512])
def test_xmlsec1_signs_by_rsa(centre: Signer, bits: int) -> None:
    message = by_xmlsec1(Template(centre, method=f"xmldsig-more#rsa-sha{bits}"))
    assert verify(message, centre.lookup, NOW).body is message[1]


def test_xmlsec1_signs_by_a_curve(curved_centre: Signer, wide_centre: Signer) -> None:
    for signer, bits in ((curved_centre, 256), (wide_centre, 384)):
        message = by_xmlsec1(Template(signer, method=f"xmldsig-more#ecdsa-sha{bits}"))
        assert verify(message, signer.lookup, NOW).body is message[1]


@pytest.mark.parametrize("digest", ["xmlenc#sha256", "xmldsig-more#sha384", "xmlenc#sha512"])
def test_every_digest_is_taken(centre: Signer, digest: str) -> None:
    references = reference("#body", digest=digest) + reference("#time", digest=digest)
    message = by_xmlsec1(Template(centre, references=references))
    assert verify(message, centre.lookup, NOW).body is message[1]


@pytest.mark.parametrize("bits", [256, 384, 512])
def test_signxml_signs_by_rsa_with_mgf1(centre: Signer, bits: int) -> None:
    message = by_signxml(Template(centre), MGF1.format(bits), f"sha{bits}")
    assert verify(message, centre.lookup, NOW).body is message[1]


def test_signxml_signs_by_rsa_and_by_a_curve(centre: Signer, curved_centre: Signer) -> None:
    for signer, algorithm in ((centre, "rsa-sha256"), (curved_centre, "ecdsa-sha256")):
        message = by_signxml(Template(signer), algorithm)
        assert verify(message, signer.lookup, NOW).body is message[1]


def test_tokens_may_be_signed_as_well(centre: Signer) -> None:
    references = "".join(reference(f"#{name}") for name in ("clerk", "time", "token", "body"))
    tokens = username_token() + binary_token(centre)
    message = by_xmlsec1(Template(centre, tokens=tokens, references=references))
    verified = verify(message, centre.lookup, NOW)
    assert verified.username_signed
    assert verified.username_token is not None
    check_username(verified.username_token, Secret(SECRET), NOW)


@pytest.mark.parametrize("kind", ["serial", "subject key", "thumbprint"])
def test_a_known_certificate_need_not_come_along(centre: Signer, kind: str) -> None:
    message = by_xmlsec1(Template(centre, tokens="", key_info=identified(centre, kind)))
    assert verify(message, centre.lookup, NOW).certificate == centre.der


# What the canonical form must get right: declarations inherited, hidden, unused and undone, values that
# need escaping, and prefixes that only a list names.
PAYLOADS = {
    "plain": PAYLOAD,
    "default namespace": '<Take xmlns="urn:l"><a/><b xmlns=""><c xmlns="urn:l"/></b></Take>',
    "prefix hidden": '<p:a xmlns:p="urn:1"><p:b xmlns:p="urn:2"><p:c xmlns:p="urn:1"/></p:b></p:a>',
    "declared in vain": '<a xmlns:v="urn:v" xmlns:w="urn:w"><w:b/></a>',
    "inherited": '<q:a q:x="1" x="2"><d/></q:a>',
    "attributes": '<a xmlns:z="urn:a" xmlns:y="urn:b" z:m="1" y:m="2" b="3" a="4"/>',
    "escapes": "<a t='&quot;&#9;&#10;&#13;&lt;&gt;&amp;'>&lt;&#13;&gt;&amp;\"' ]]&gt;</a>",
    "cdata": "<a><![CDATA[<رخصة> & ]]>tail</a>",
    "spaces": "<a>\n  <b> \t</b>\n</a>",
    "xml attributes": '<a xml:lang="ar" xml:space="preserve"><b xml:lang="en"/></a>',
    "qualified names in values": '<a t="q:v">q:w</a>',
    "astral": "<a t='\U0001f3e0'>\U0001f3e0 ﷺ</a>",
}


@pytest.mark.parametrize("prefixes", ["", "q", "soap q wsse", "#default", "q #default v nowhere"])
@pytest.mark.parametrize("name", PAYLOADS)
def test_the_canonical_form_is_that_of_xmlsec1(centre: Signer, name: str, prefixes: str) -> None:
    transform = listing(prefixes) if prefixes else EXCLUSIVE
    message = by_xmlsec1(
        Template(
            centre,
            payload=PAYLOADS[name],
            declared='xmlns:q="urn:q" xmlns="urn:default" xmlns:z="urn:z" xml:lang="ar"',
            canonical=listing(prefixes, "CanonicalizationMethod") if prefixes else Template.canonical,
            references=reference("#body", transform) + reference("#time", transform),
        )
    )
    assert verify(message, centre.lookup, NOW).body is message[1]


def test_an_identifier_may_be_called_id_without_a_namespace(centre: Signer) -> None:
    template = Template(centre)
    for name in ("Id", "ID"):
        changed = template.text().replace('Body wsu:Id="body"', f'Body {name}="body"')
        assert changed != template.text()
        message = by_xmlsec1(template, changed, body_id=name)
        assert verify(message, centre.lookup, NOW).body is message[1]


def test_a_type_is_taken_where_the_signature_fixes_its_prefix(centre: Signer) -> None:
    xsi = f'xmlns:xsi="{names.XSI}"'
    within = f'<q:a {xsi} xsi:type="q:T"/>'
    listed = f'<a {xsi}><b xsi:type="q:T"/></a>'
    plain = f'<a xmlns="urn:x" {xsi} xsi:type="T"/>'
    for payload, transform in ((within, EXCLUSIVE), (listed, listing("q")), (plain, EXCLUSIVE)):
        references = reference("#body", transform) + reference("#time", transform)
        template = Template(centre, payload=payload, declared='xmlns:q="urn:q"', references=references)
        message = by_xmlsec1(template)
        assert verify(message, centre.lookup, NOW).body is message[1]


def test_other_headers_may_stand_beside_ours(centre: Signer) -> None:
    template = Template(centre)
    action = '<a:Action xmlns:a="http://www.w3.org/2005/08/addressing">urn:take</a:Action></soap:Header>'
    message = parsed(etree.tostring(by_xmlsec1(template)).decode().replace("</soap:Header>", action))
    assert len(message[0]) == 2
    assert verify(message, centre.lookup, NOW).body is message[1]


def test_a_reference_may_leave_its_type_out(centre: Signer) -> None:
    plain = DIRECT.replace(f' ValueType="{names.X509_V3}"', "")
    assert plain != DIRECT
    message = by_xmlsec1(Template(centre, key_info=plain))
    assert verify(message, centre.lookup, NOW).certificate == centre.der
