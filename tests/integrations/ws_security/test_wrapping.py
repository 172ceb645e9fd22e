"""Every published way to move what was signed, and to have something else executed, is refused.

Source: McIntosh and Austel, XML Signature Element Wrapping Attacks and Countermeasures (2005); Jensen, Liao,
Schwenk, The Curse of Namespaces in the Domain of XML Signature (2009); Somorovsky et al., All Your Clouds Are
Belong to us (2011) and On Breaking SAML (2012); Gajek et al., Analysis of Signature Wrapping Attacks (2009).
"""

import copy
from collections.abc import Callable
from datetime import timedelta

import pytest
from lxml import etree
from zeep.exceptions import SignatureVerificationFailed
from zeep.wsse.signature import verify_envelope

from integrations.ws_security import names, verification
from integrations.ws_security.faults import SecurityFault
from integrations.ws_security.verification import verify
from tests.integrations.ws_security.messages import (
    NOW,
    Signer,
    again,
    by_zeep,
    one,
    refusal,
    security,
    written,
)

WRAPPER = "{urn:attack}Wrapper"
XML_ID = "{http://www.w3.org/XML/1998/namespace}id"
CASE = "{urn:rakeeza:licensing:1}case"

Attack = Callable[[etree._Element], etree._Element]


def forged(body: etree._Element, identifier: str | None = None) -> etree._Element:
    """A Body that takes an action in another case; by default without an id."""
    other = copy.deepcopy(body)
    one(other, f".//{CASE}").text = "2026-999999"
    del other.attrib[names.WSU_ID]
    if identifier is not None:
        other.set(identifier, body.attrib[names.WSU_ID])
    return other


def body_into(path: str, identifier: str | None = None) -> Attack:
    """Move the signed Body into a wrapper at a place, and put a forged one where it was."""

    def attack(message: etree._Element) -> etree._Element:
        body = message[1]
        other = forged(body, identifier)
        wrapper = etree.SubElement(one(message, path), WRAPPER)
        message.replace(body, other)
        wrapper.append(body)
        return message

    return attack


def body_within_the_forged_one(message: etree._Element) -> etree._Element:
    body = message[1]
    other = forged(body)
    message.replace(body, other)
    etree.SubElement(other, WRAPPER).append(body)
    return message


def forged_body_within_the_signed_place(message: etree._Element) -> etree._Element:
    # The envelope's Body is a wrapper's child now; the first Body that is found anywhere is the forged one.
    message[0].append(forged(message[1]))
    return message


def body_before(identifier: str | None) -> Attack:
    """A forged Body as an elder sister of the signed one."""

    def attack(message: etree._Element) -> etree._Element:
        message.insert(1, forged(message[1], identifier))
        return message

    return attack


def body_after(message: etree._Element) -> etree._Element:
    message.append(forged(message[1]))
    return message


def body_of_the_other_soap(message: etree._Element) -> etree._Element:
    other = forged(message[1])
    other.tag = f"{{{names.SOAP_12}}}Body"
    message.insert(1, other)
    return message


def envelope_within_an_envelope(message: etree._Element) -> etree._Element:
    outer = etree.Element(message.tag, nsmap={"soap": names.SOAP_11})
    outer.append(copy.deepcopy(message[0]))
    outer.append(forged(message[1]))
    outer[0].append(message)
    return outer


def envelope_below_another_root(message: etree._Element) -> etree._Element:
    outer = etree.Element(WRAPPER)
    outer.append(message)
    return outer


def second_header(message: etree._Element) -> etree._Element:
    message.insert(0, copy.deepcopy(message[0]))
    return message


def header_below_another(message: etree._Element) -> etree._Element:
    # The optional element: a header that may be missing is put where nobody reads it.
    header = security(message)
    wrapper = etree.SubElement(message[0], WRAPPER, {f"{{{names.SOAP_11}}}mustUnderstand": "0"})
    wrapper.append(header)
    return message


def fresh_timestamp(message: etree._Element, identifier: str | None) -> etree._Element:
    old = one(message, ".//wsu:Timestamp")
    fresh = copy.deepcopy(old)
    one(fresh, "wsu:Created").text = written(NOW + timedelta(seconds=30))
    one(fresh, "wsu:Expires").text = written(NOW + timedelta(days=300))
    del fresh.attrib[names.WSU_ID]
    if identifier is not None:
        fresh.set(identifier, old.attrib[names.WSU_ID])
    return fresh


def timestamp_into(path: str, identifier: str | None = None) -> Attack:
    """Move the signed Timestamp into a wrapper, and put a fresh one where it was."""

    def attack(message: etree._Element) -> etree._Element:
        old = one(message, ".//wsu:Timestamp")
        fresh = fresh_timestamp(message, identifier)
        wrapper = etree.SubElement(one(message, path), WRAPPER)
        security(message).replace(old, fresh)
        wrapper.append(old)
        return message

    return attack


def timestamp_left_out(message: etree._Element) -> etree._Element:
    etree.SubElement(message[0], WRAPPER).append(one(message, ".//wsu:Timestamp"))
    return message


def second_timestamp(index: int) -> Attack:
    """A fresh Timestamp as a sibling of the signed one, before or after it."""

    def attack(message: etree._Element) -> etree._Element:
        header = security(message)
        at = header.index(one(header, "wsu:Timestamp")) + index
        header.insert(at, fresh_timestamp(message, None))
        return message

    return attack


def in_another_security_header(message: etree._Element) -> etree._Element:
    # The sibling's value: what was signed stands in a sibling that only looks like its old parent.
    old = security(message)
    other = etree.SubElement(message[0], names.SECURITY, {f"{{{names.SOAP_11}}}actor": "urn:nobody"})
    fresh = fresh_timestamp(message, None)
    signed = one(old, "wsu:Timestamp")
    old.replace(signed, fresh)
    other.append(signed)
    return message


def two_signatures(message: etree._Element) -> etree._Element:
    security(message).append(copy.deepcopy(one(message, ".//ds:Signature")))
    return message


def object_in_the_signature(message: etree._Element) -> etree._Element:
    body = message[1]
    message.replace(body, forged(body))
    etree.SubElement(one(message, ".//ds:Signature"), f"{{{names.DS}}}Object").append(body)
    return message


def other_kind_of_id(attribute: str) -> Attack:
    """A forged Body with the signed one's id, under another of the names that ids have."""
    return body_into("s:Header", attribute)


def same_id_elsewhere(attribute: str) -> Attack:
    """Another element, anywhere, with the signed Body's id; nothing was moved."""

    def attack(message: etree._Element) -> etree._Element:
        etree.SubElement(message[0], WRAPPER, {attribute: message[1].get(names.WSU_ID, "")})
        return message

    return attack


def second_id_on_the_body(attribute: str) -> Attack:
    """The Body has the signed id, and another id as well."""

    def attack(message: etree._Element) -> etree._Element:
        message[1].set(attribute, "another")
        return message

    return attack


def id_under_xml_id(message: etree._Element) -> etree._Element:
    message[1].set(XML_ID, message[1].attrib.pop(names.WSU_ID))
    return message


SHAPES: dict[str, tuple[Attack, str]] = {
    # McIntosh and Austel: simple ancestry, optional element, sibling value, sibling order.
    "simple ancestry: Body into a header": (body_into("s:Header"), "reference-elsewhere"),
    "simple ancestry: the forged Body has the id too": (
        body_into("s:Header", names.WSU_ID),
        "out-of-place",
    ),
    "optional element: the Security header itself": (header_below_another, "security-headers"),
    "optional element: the Timestamp": (timestamp_left_out, "missing-part"),
    "sibling value: another Security header": (in_another_security_header, "security-headers"),
    "sibling order: a forged Body before": (body_before(None), "envelope-content"),
    "sibling order: a forged Body before, same id": (body_before(names.WSU_ID), "envelope-content"),
    "sibling order: a forged Body after": (body_after, "envelope-content"),
    "sibling order: a Timestamp before": (second_timestamp(0), "second-of-a-kind"),
    "sibling order: a Timestamp after": (second_timestamp(1), "second-of-a-kind"),
    # Somorovsky: Timestamp wrapping, and the places of a wrapper.
    "Timestamp into a header": (timestamp_into("s:Header"), "reference-elsewhere"),
    "Timestamp into a header, same id": (timestamp_into("s:Header", names.WSU_ID), "out-of-place"),
    "Timestamp into the Security header": (timestamp_into("s:Header/wsse:Security"), "unsupported-token"),
    "Timestamp into the Signature": (timestamp_into(".//ds:Signature"), "unexpected-content"),
    "Timestamp into the KeyInfo": (timestamp_into(".//ds:KeyInfo"), "reference-elsewhere"),
    "Timestamp into the UsernameToken": (timestamp_into(".//wsse:UsernameToken"), "username-token-content"),
    "Body into the Security header": (body_into("s:Header/wsse:Security"), "unsupported-token"),
    "Body into the Signature": (object_in_the_signature, "unexpected-content"),
    "Body into the SignedInfo": (body_into(".//ds:SignedInfo"), "signed-info-content"),
    "Body into the Envelope": (body_into("."), "envelope-content"),
    "Body into the forged Body": (body_within_the_forged_one, "reference-elsewhere"),
    "forged Body in a header": (forged_body_within_the_signed_place, "out-of-place"),
    "Body of the other SOAP": (body_of_the_other_soap, "envelope-content"),
    "Envelope in an envelope": (envelope_within_an_envelope, "reference-elsewhere"),
    "Envelope below another root": (envelope_below_another_root, "no-envelope"),
    "second Header": (second_header, "envelope-content"),
    "second Signature": (two_signatures, "second-of-a-kind"),
    # Ids: two of them, and their other names.
    "forged Body with Id": (other_kind_of_id("Id"), "out-of-place"),
    "forged Body with ID": (other_kind_of_id("ID"), "out-of-place"),
    "forged Body with id": (other_kind_of_id("id"), "reference-elsewhere"),
    "forged Body with xml:id": (other_kind_of_id(XML_ID), "reference-elsewhere"),
    "id twice: wsu:Id": (same_id_elsewhere(names.WSU_ID), "id-twice"),
    "id twice: Id": (same_id_elsewhere("Id"), "id-twice"),
    "id twice: ID": (same_id_elsewhere("ID"), "id-twice"),
    "id twice: id": (same_id_elsewhere("id"), "id-twice"),
    "id twice: xml:id": (same_id_elsewhere(XML_ID), "id-twice"),
    "two ids: Id": (second_id_on_the_body("Id"), "several-ids"),
    "two ids: xml:id": (second_id_on_the_body(XML_ID), "several-ids"),
    "xml:id is no id of ours": (id_under_xml_id, "reference-elsewhere"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_moved_element_is_refused(centre: Signer, name: str) -> None:
    attack, reason = SHAPES[name]
    message = by_zeep(centre)
    verify(again(message), centre.lookup, NOW)
    assert refusal(attack(message), centre).reason == reason


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_taken_by_its_place_does_not_rest_on_the_walk_over_the_message(
    centre: Signer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # Two walls: without the second, no shape still gets a forged Body or a fresh Timestamp through the first.
    message = by_zeep(centre)
    signed = [etree.tostring(part, method="c14n", exclusive=True) for part in verified_parts(message, centre)]
    monkeypatch.setattr(verification, "_check_whole", lambda *_: None)
    arrived = again(SHAPES[name][0](message))
    try:
        found = verified_parts(arrived, centre)
    except SecurityFault:
        return
    assert [etree.tostring(part, method="c14n", exclusive=True) for part in found] == signed
    assert found[0] is arrived[1]


def verified_parts(message: etree._Element, centre: Signer) -> list[etree._Element]:
    """Body and Timestamp as verifying gives them."""
    verified = verify(message, centre.lookup, NOW)
    return [verified.body, verified.timestamp.element]


# Messages on which a program that looks elements up by their ids says that the signature holds.
HOLDS_FOR_OTHERS = (
    "simple ancestry: Body into a header",
    "simple ancestry: the forged Body has the id too",
    "sibling order: a forged Body after",
    "Timestamp into a header",
    "Timestamp into the Security header",
    "Timestamp into the UsernameToken",
    "Body into the Security header",
    "Body into the Envelope",
    "Body into the forged Body",
    "forged Body in a header",
    "second Signature",
    "forged Body with Id",
    "id twice: id",
)


@pytest.mark.parametrize("name", HOLDS_FOR_OTHERS)
def test_the_shapes_are_those_that_deceive_others(centre: Signer, name: str) -> None:
    verifies: Callable[[etree._Element, str], object] = verify_envelope
    verifies(again(SHAPES[name][0](by_zeep(centre))), centre.certificate_file)


def test_what_is_no_wrapping_does_not_deceive_others(centre: Signer) -> None:
    message = by_zeep(centre)
    one(message, f".//{CASE}").text = "2026-999999"
    verifies: Callable[[etree._Element, str], object] = verify_envelope
    with pytest.raises(SignatureVerificationFailed):
        verifies(message, centre.certificate_file)
    assert refusal(message, centre).reason == "digest"
