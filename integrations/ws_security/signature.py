"""The Signature: its form, what it covers, and that it holds.

Source: W3C XML Signature 1.1, sections 3.2 and 4; Basic Security Profile 1.1, section 8.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass

from lxml import etree

from integrations.ws_security import names
from integrations.ws_security.algorithms import DIGESTS, LONGEST_SIGNATURE, METHODS, Method
from integrations.ws_security.canonical import inclusive_prefixes, octets
from integrations.ws_security.faults import FailedCheck, InvalidSecurity, UnsupportedAlgorithm
from integrations.ws_security.header import Parts
from integrations.ws_security.strict_xml import called, elements, exactly, only_attributes
from integrations.ws_security.strict_xml import octets as octets_of

_SIGNED_INFO = f"{{{names.DS}}}SignedInfo"
_SIGNATURE_VALUE = f"{{{names.DS}}}SignatureValue"
_KEY_INFO = f"{{{names.DS}}}KeyInfo"
_CANONICALIZATION = f"{{{names.DS}}}CanonicalizationMethod"
_SIGNATURE_METHOD = f"{{{names.DS}}}SignatureMethod"
_REFERENCE = f"{{{names.DS}}}Reference"
_TRANSFORMS, _TRANSFORM = f"{{{names.DS}}}Transforms", f"{{{names.DS}}}Transform"
_DIGEST_METHOD, _DIGEST_VALUE = f"{{{names.DS}}}DigestMethod", f"{{{names.DS}}}DigestValue"
_LONGEST_DIGEST = 64
# What may be signed: Body, Timestamp, UsernameToken, BinarySecurityToken.
_MOST_REFERENCES = 4
_ID_ATTRIBUTES = (names.WSU_ID, "Id", "ID")
_SAME_DOCUMENT = re.compile(r"#([^\W\d][\w.\-]*)")


@dataclass(frozen=True)
class Reference:
    """One element that a signature covers.

    Args:
        identifier: of the element, without "#".
        prefixes: InclusiveNamespaces of its canonical form.
        hashed: name for hashlib.
        digest: of its canonical octets.
    """

    identifier: str
    prefixes: tuple[str, ...]
    hashed: str
    digest: bytes


@dataclass(frozen=True)
class Signature:
    """A signature as it is written; nothing of it is believed yet.

    Args:
        signed_info: what the signature is over.
        prefixes: InclusiveNamespaces of its canonical form.
        method: the algorithm.
        references: two to four.
        octets: of SignatureValue.
        key_info: names the certificate.
    """

    signed_info: etree._Element
    prefixes: tuple[str, ...]
    method: Method
    references: tuple[Reference, ...]
    octets: bytes
    key_info: etree._Element


@dataclass(frozen=True)
class Cover:
    """An element that a signature says it covers, and how.

    Args:
        element: found by its place, and meant by the reference.
        reference: to it.
    """

    element: etree._Element
    reference: Reference


def read(element: etree._Element) -> Signature:
    """Read a Signature of the profile's one form.

    Raises:
        InvalidSecurity: it is written in another form.
        UnsupportedAlgorithm: it names an algorithm or transform that is not taken.
        FailedCheck: it refers to something else than elements of its document.
    """
    only_attributes(element, "Id")
    signed_info, value, key_info = exactly(element, _SIGNED_INFO, _SIGNATURE_VALUE, _KEY_INFO)
    only_attributes(signed_info, "Id")
    only_attributes(value, "Id")
    children = elements(signed_info)
    references = children[2:]
    if [child.tag for child in children[:2]] != [_CANONICALIZATION, _SIGNATURE_METHOD] or any(
        child.tag != _REFERENCE for child in references
    ):
        raise InvalidSecurity(
            "signed-info-content",
            "SignedInfo must hold CanonicalizationMethod, SignatureMethod and References.",
            "يجب أن يحتوي SignedInfo على CanonicalizationMethod ثم SignatureMethod ثم References.",
            place=called(signed_info),
        )
    if len(references) > _MOST_REFERENCES:
        raise InvalidSecurity(
            "too-many-references",
            f"A signature has at most {_MOST_REFERENCES} references.",
            f"لا يزيد عدد المراجع في التوقيع على {_MOST_REFERENCES}.",
            place=called(signed_info),
        )
    return Signature(
        signed_info,
        inclusive_prefixes(children[0]),
        METHODS[_algorithm(children[1], METHODS)],
        tuple(_reference(child) for child in references),
        octets_of(value, LONGEST_SIGNATURE),
        key_info,
    )


def _reference(element: etree._Element) -> Reference:
    only_attributes(element, "URI", "Id")
    same = _SAME_DOCUMENT.fullmatch(element.get("URI", ""))
    if same is None:
        raise FailedCheck(
            "reference-not-an-id",
            "A reference must name an element of this message by its Id.",
            "يجب أن يشير كل مرجع إلى عنصر في هذه الرسالة بمعرّفه (Id).",
            place=called(element),
            remedy="Use no other addresses, no XPointer and no empty URI.",
        )
    transforms, method, value = exactly(element, _TRANSFORMS, _DIGEST_METHOD, _DIGEST_VALUE)
    only_attributes(transforms)
    # The one transform has the canonical method's form, and says so by its Algorithm.
    steps = elements(transforms)
    if [step.tag for step in steps] != [_TRANSFORM]:
        raise UnsupportedAlgorithm(
            "transforms",
            "A reference has exactly one transform, exclusive canonical XML.",
            "لكل مرجع تحويل واحد فقط هو الصيغة القانونية الحصرية (exc-c14n).",
            place=called(transforms),
        )
    only_attributes(value)
    hashed = DIGESTS[_algorithm(method, DIGESTS)]
    return Reference(same[1], inclusive_prefixes(steps[0]), hashed, octets_of(value, _LONGEST_DIGEST))


def _algorithm(element: etree._Element, known: dict[str, Method] | dict[str, str]) -> str:
    only_attributes(element, "Algorithm")
    # No parameters: neither a truncated output nor a hash of its own.
    exactly(element)
    name = element.get("Algorithm", "")
    if name not in known:
        raise UnsupportedAlgorithm(
            "algorithm",
            f"The algorithm {name[:200]} is not taken.",
            f"الخوارزمية {name[:200]} غير مقبولة.",
            place=called(element),
            remedy="Take rsa-sha256 or ecdsa-sha256, and sha256 for digests.",
        )
    return name


def covered(parts: Parts, signature: Signature) -> list[Cover]:
    """The elements that a signature's references mean, each found by its place in the message.

    An element is never looked for by its id. A reference that means none of the four is refused, whatever
    else in the message may have that id.

    Raises:
        InvalidSecurity: one of the elements has several ids.
        FailedCheck: a reference means something else, two mean the same, or Body or Timestamp is not covered.
    """
    candidates = [parts.body, parts.timestamp, parts.username_token, parts.binary_token]
    places: dict[str, etree._Element] = {}
    for element in candidates:
        identifier = None if element is None else _identifier(element)
        if element is not None and identifier is not None:
            if identifier in places:
                raise _twice(element)
            places[identifier] = element
    found: list[Cover] = []
    for reference in signature.references:
        element = places.pop(reference.identifier, None)
        if element is None:
            raise FailedCheck(
                "reference-elsewhere",
                "A reference means another element than this envelope's own Body, Timestamp or tokens, "
                "or the same one twice.",
                "يشير أحد المراجع إلى غير Body وTimestamp والرموز الخاصة بهذا المغلّف، أو إلى أحدها مرتين.",
                place=f"#{reference.identifier[:200]}",
            )
        found.append(Cover(element, reference))
    for element in (parts.body, parts.timestamp):
        if not any(cover.element is element for cover in found):
            raise FailedCheck(
                "not-covered",
                "The signature does not cover this element.",
                "التوقيع لا يشمل هذا العنصر.",
                place=called(element),
                remedy="Sign the Body and the Timestamp.",
            )
    return found


def _identifier(element: etree._Element) -> str | None:
    ids = [name for name in element.attrib if is_id(str(name))]
    if len(ids) > 1:
        raise InvalidSecurity(
            "several-ids",
            "An element that can be signed has one Id at most.",
            "لا يكون للعنصر القابل للتوقيع أكثر من معرّف (Id) واحد.",
            place=called(element),
        )
    return element.get(ids[0]) if ids and ids[0] in _ID_ATTRIBUTES else None


def is_id(attribute: str) -> bool:
    """Whether some program may take an attribute for an id: wsu:Id, xml:id, Id, ID, id."""
    return attribute[-2:].lower() == "id" and attribute[-3:-2] in ("", "}")


def check_ids(identifiers: list[tuple[str, etree._Element]]) -> None:
    """Refuse a message in which two elements have one id, whatever their attributes are called.

    Raises:
        InvalidSecurity: two have.
    """
    seen: set[str] = set()
    for identifier, element in identifiers:
        # Of an ID the space around it is no part (XML 1.0, section 3.3.3).
        if identifier.strip() in seen:
            raise _twice(element)
        seen.add(identifier.strip())


def _twice(element: etree._Element) -> InvalidSecurity:
    return InvalidSecurity(
        "id-twice",
        "Two elements of the message have the same Id.",
        "في الرسالة عنصران لهما المعرّف (Id) نفسه.",
        place=called(element),
    )


def check_digest(cover: Cover) -> None:
    """Refuse an element that is not as it was signed.

    Raises:
        FailedCheck: it was changed.
        InvalidSecurity: it has no canonical form.
    """
    reference = cover.reference
    made = hashlib.new(reference.hashed, octets(cover.element, reference.prefixes)).digest()
    if not hmac.compare_digest(made, reference.digest):
        raise FailedCheck(
            "digest",
            "The element is not as it was signed.",
            "العنصر ليس كما وُقّع.",
            place=called(cover.element),
            remedy="Sign the message as it is sent; nothing may change it after that.",
        )
