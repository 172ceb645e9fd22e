"""What a signature may cover, how it may be written, and what it does not see."""

import pytest
from lxml import etree

from integrations.ws_security import names
from integrations.ws_security.faults import SecurityFault
from integrations.ws_security.verification import verify
from tests.integrations.ws_security.messages import (
    DIRECT,
    EXCLUSIVE,
    NOW,
    Signer,
    Template,
    again,
    binary_token,
    by_xmlsec1,
    by_zeep,
    one,
    parsed,
    reference,
    refusal,
    retyped,
    security,
    username_token,
)

CASE = "{urn:rakeeza:licensing:1}case"

# Transforms that choose something else than the element, or see it otherwise.
TRANSFORMS = {
    "XPath": f'<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>'
    f"ancestor-or-self::soap:Body</ds:XPath></ds:Transform>{EXCLUSIVE}",
    "XPath filter": '<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"><f:XPath '
    'xmlns:f="http://www.w3.org/2002/06/xmldsig-filter2" Filter="subtract">//*</f:XPath>'
    f"</ds:Transform>{EXCLUSIVE}",
    "XSLT": '<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><x:stylesheet '
    'version="1.0" xmlns:x="http://www.w3.org/1999/XSL/Transform"><x:template match="/">a</x:template>'
    "</x:stylesheet>"
    "</ds:Transform>",
    "enveloped": '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>'
    + EXCLUSIVE,
    "base64": '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/>',
    "inclusive": '<ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>',
    "inclusive 1.1": '<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"/>',
    "with comments": '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#WithComments"/>',
    "twice": EXCLUSIVE * 2,
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_only_the_one_transform_is_taken(centre: Signer, name: str) -> None:
    # Where xmlsec1 can sign so, its signature holds; the rest are refused as they are written.
    references = reference("#body", TRANSFORMS[name]) + reference("#time")
    text = Template(centre, references=references).text()
    template = Template(centre, references=references)
    message = parsed(text) if name in ("base64", "XSLT") else by_xmlsec1(template)
    filled = etree.tostring(message, encoding="unicode")
    filled = filled.replace("<ds:DigestValue/>", "<ds:DigestValue>AA==</ds:DigestValue>")
    filled = filled.replace("<ds:SignatureValue/>", "<ds:SignatureValue>AA==</ds:SignatureValue>")
    found = refusal(parsed(filled), centre)
    assert found.code == "wsse:UnsupportedAlgorithm"
    assert found.reason in ("transforms", "canonical-method")


def test_the_dereferenced_token_of_another_transform_is_refused(centre: Signer) -> None:
    transform = (
        '<ds:Transform Algorithm="http://docs.oasis-open.org/wss/2004/01/'
        'oasis-200401-wss-soap-message-security-1.0#STR-Transform"><wsse:TransformationParameters>'
        f'<ds:CanonicalizationMethod Algorithm="{names.EXCLUSIVE}"/></wsse:TransformationParameters>'
        "</ds:Transform>"
    )
    message = by_xmlsec1(Template(centre))
    changed = etree.tostring(message, encoding="unicode").replace(EXCLUSIVE, transform, 1)
    assert refusal(parsed(changed), centre).reason == "canonical-method"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "#",
        "#xpointer(/)",
        "#xpointer(id('body'))",
        "#element(/1/2)",
        "http://127.0.0.1/body.xml",
        "file:///etc/passwd",
        "cid:body",
        "#body%20",
        "# body",
        "x#body",
        "##body",
    ],
)
def test_a_reference_names_an_id_of_this_message_and_nothing_else(centre: Signer, address: str) -> None:
    message = by_xmlsec1(Template(centre))
    one(message, ".//ds:Reference").set("URI", address)
    assert refusal(message, centre).reason == "reference-not-an-id"
    del one(message, ".//ds:Reference").attrib["URI"]
    assert refusal(message, centre).reason == "reference-not-an-id"


def test_the_whole_envelope_signed_is_not_the_body_signed(centre: Signer) -> None:
    template = Template(centre)
    text = template.text().replace("<soap:Envelope ", '<soap:Envelope wsu:Id="all" ', 1)
    text = text.replace('URI="#body"', 'URI="#all"').replace(EXCLUSIVE, TRANSFORMS["enveloped"], 1)
    message = by_xmlsec1(template, text, extra_ids=(("Id", f"{names.SOAP_11}:Envelope"),))
    assert refusal(message, centre).reason == "transforms"


def test_a_signature_that_covers_less_is_refused(centre: Signer) -> None:
    for only in ("#body", "#time"):
        message = by_xmlsec1(Template(centre, references=reference(only)))
        assert refusal(message, centre).reason == "not-covered"


def test_one_element_covered_twice_does_not_stand_for_two(centre: Signer) -> None:
    message = by_xmlsec1(Template(centre, references=reference("#body") * 2))
    assert refusal(message, centre).reason == "reference-elsewhere"


def test_a_part_of_the_body_signed_is_not_the_body_signed(centre: Signer) -> None:
    payload = '<l:TakeAction xmlns:l="urn:rakeeza:licensing:1" wsu:Id="part"/>'
    references = reference("#part") + reference("#time")
    template = Template(centre, payload=payload, references=references)
    message = by_xmlsec1(template, extra_ids=(("Id", "urn:rakeeza:licensing:1:TakeAction"),))
    assert refusal(message, centre).reason == "reference-elsewhere"


def test_an_unsigned_clerk_is_said_to_be_unsigned(centre: Signer) -> None:
    # Whoever changes it still has to know the clerk's secret, and a nonce is taken once.
    tokens = username_token() + binary_token(centre)
    message = by_xmlsec1(Template(centre, tokens=tokens, key_info=DIRECT))
    one(message, ".//wsse:Username").text = "badr@centre-7"
    verified = verify(again(message), centre.lookup, NOW)
    assert not verified.username_signed
    signed = reference("#body") + reference("#time") + reference("#clerk")
    message = by_xmlsec1(Template(centre, tokens=tokens, references=signed))
    one(message, ".//wsse:Username").text = "badr@centre-7"
    assert refusal(message, centre).reason == "digest"


# Namespace injection: a prefix that stands in a value alone means what the envelope says.
def test_a_type_whose_prefix_the_signature_does_not_fix_is_refused(centre: Signer) -> None:
    payload = f'<a xmlns:xsi="{names.XSI}"><b xsi:type="q:T"/></a>'
    message = by_xmlsec1(Template(centre, payload=payload, declared='xmlns:q="urn:q"'))
    changed = retyped(message, 'xmlns:q="urn:q"', 'xmlns:q="urn:forged"')
    for one_of_both in (message, changed):
        assert refusal(one_of_both, centre).reason == "unfixed-prefix"


def test_a_listed_prefix_cannot_be_declared_anew(centre: Signer) -> None:
    payload = f'<a xmlns:xsi="{names.XSI}"><b xsi:type="q:T"/></a>'
    transform = EXCLUSIVE.replace(
        "/>", f'><e:InclusiveNamespaces xmlns:e="{names.EXCLUSIVE}" PrefixList="q"/></ds:Transform>'
    )
    references = reference("#body", transform) + reference("#time")
    message = by_xmlsec1(Template(centre, payload=payload, declared='xmlns:q="urn:q"', references=references))
    verify(again(message), centre.lookup, NOW)
    assert refusal(retyped(message, 'xmlns:q="urn:q"', 'xmlns:q="urn:forged"'), centre).reason == "digest"


def test_a_prefix_hidden_between_is_refused(centre: Signer) -> None:
    # The outer use fixes the outer meaning; the inner one stands in a value alone.
    payload = (
        f'<q:a xmlns:q="urn:q" xmlns:xsi="{names.XSI}"><b xmlns:q="urn:forged"><c xsi:type="q:T"/></b></q:a>'
    )
    assert refusal(by_xmlsec1(Template(centre, payload=payload)), centre).reason == "unfixed-prefix"


def test_a_prefix_that_only_the_envelope_is_written_with_is_not_fixed(centre: Signer) -> None:
    template = Template(centre, payload=f'<a xmlns:xsi="{names.XSI}" xsi:type="e:T"/>')
    text = template.text().replace("<soap:Envelope ", f'<e:Envelope xmlns:e="{names.SOAP_11}" ')
    message = by_xmlsec1(template, text.replace("</soap:Envelope>", "</e:Envelope>"))
    assert refusal(message, centre).reason == "unfixed-prefix"


def test_an_element_that_is_put_into_another_namespace_is_refused(centre: Signer) -> None:
    message = by_xmlsec1(Template(centre))
    changed = retyped(message, 'xmlns:l="urn:rakeeza:licensing:1"', 'xmlns:l="urn:rakeeza:licensing:2"')
    assert refusal(changed, centre).reason == "digest"
    unused = etree.tostring(by_xmlsec1(Template(centre, declared='xmlns:v="urn:v"')), encoding="unicode")
    # A declaration that nothing uses is no part of what was signed, and means nothing.
    verify(parsed(unused.replace('xmlns:v="urn:v"', 'xmlns:v="urn:w"')), centre.lookup, NOW)


# Comments and entities: the signature is over the text without them, a careless reader stops at them.
@pytest.mark.parametrize("inserted", ["<!-- -->", "<?x?>", "<!---->"])
@pytest.mark.parametrize("path", [f".//{CASE}", ".//wsu:Created", ".//wsse:Username", ".//ds:SignatureValue"])
def test_a_comment_in_a_text_is_refused(centre: Signer, inserted: str, path: str) -> None:
    message = by_zeep(centre)
    found = one(message, path)
    text = found.text or ""
    mark = "CUT"
    found.text = text[:3] + mark + text[3:]
    changed = parsed(etree.tostring(message, encoding="unicode").replace(mark, inserted))
    assert refusal(changed, centre).reason in ("no-element", "not-a-text")


@pytest.mark.parametrize("place", ["before", "after", "envelope", "header", "security", "body"])
def test_a_comment_between_elements_is_refused(centre: Signer, place: str) -> None:
    message = by_zeep(centre)
    comment = etree.Comment("x")
    if place == "before":
        message.addprevious(comment)
    elif place == "after":
        message.addnext(comment)
    else:
        parts = {
            "envelope": message,
            "header": message[0],
            "security": security(message),
            "body": message[1],
        }
        parts[place].append(comment)
    whole = parsed(etree.tostring(message.getroottree()))
    with pytest.raises(SecurityFault) as caught:
        verify(whole, centre.lookup, NOW)
    assert caught.value.reason in ("no-envelope", "mixed-content", "no-element")


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE x>",
        '<!DOCTYPE x [<!ENTITY n "2026-004512">]>',
        '<!DOCTYPE x SYSTEM "x.dtd">',
        '<!DOCTYPE x [<!ATTLIST x wsu:Id ID "body">]>',
    ],
)
def test_a_doctype_is_refused(centre: Signer, doctype: str) -> None:
    text = etree.tostring(by_zeep(centre), encoding="unicode")
    if "ENTITY" in doctype:
        assert "2026-004512" in text
        text = text.replace("2026-004512", "&n;")
    with pytest.raises(SecurityFault) as caught:
        verify(parsed(doctype + text), centre.lookup, NOW)
    assert caught.value.reason == "doctype"


def test_an_attachment_that_is_not_in_its_place_is_refused(centre: Signer) -> None:
    payload = f'<a><xop:Include xmlns:xop="{names.XOP}" href="cid:1"/></a>'
    assert refusal(by_xmlsec1(Template(centre, payload=payload)), centre).reason == "attachment-outside"


def test_a_signature_under_the_attackers_own_certificate_is_refused(
    centre: Signer, curved_centre: Signer
) -> None:
    message = by_xmlsec1(Template(curved_centre, method="xmldsig-more#ecdsa-sha256"))
    assert refusal(message, centre).reason == "certificate-not-known"


def test_another_centres_known_certificate_does_not_take_over_a_signature(
    centre: Signer, other_centre: Signer
) -> None:
    message = by_zeep(centre)
    theirs = by_zeep(other_centre)
    path = ".//wsse:BinarySecurityToken"
    one(message, path).text = one(theirs, path).text
    assert refusal(message, other_centre).reason == "signature"
