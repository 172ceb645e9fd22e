"""Reads elements of the security header strictly: what is not expected in them is refused, never skipped."""

import base64
import binascii
import re

from lxml import etree

from integrations.ws_security.faults import InvalidSecurity
from integrations.ws_security.names import BASE64

_SPACE = " \t\r\n"
_ENCODING = "EncodingType"


def called(element: etree._Element) -> str:
    """Name of an element as its message writes it, for an error's place."""
    local = etree.QName(element).localname
    return f"{element.prefix}:{local}" if element.prefix else local


def elements(parent: etree._Element) -> list[etree._Element]:
    """Children of an element that has nothing but elements in it.

    Raises:
        InvalidSecurity: there is text, a comment or a processing instruction between them.
    """
    found = list(parent)
    between = [parent.text, *(child.tail for child in found)]
    if any(text and text.strip(_SPACE) for text in between) or not all(
        isinstance(child.tag, str) for child in found
    ):
        raise InvalidSecurity(
            "mixed-content",
            "There is something between the elements that is no element.",
            "بين العناصر شيء ليس عنصرًا.",
            place=called(parent),
            remedy="Send no text, comments or processing instructions there.",
        )
    return found


def exactly(parent: etree._Element, *tags: str) -> list[etree._Element]:
    """Children of an element that must have these, each once and in this order.

    Raises:
        InvalidSecurity: it has others.
    """
    found = elements(parent)
    if [child.tag for child in found] != list(tags):
        wanted = ", ".join(etree.QName(tag).localname for tag in tags)
        raise InvalidSecurity(
            "unexpected-content",
            f"It must hold exactly: {wanted or 'nothing'}.",
            f"يجب ألا يحتوي إلا على: {wanted or 'لا شيء'}.",
            place=called(parent),
        )
    return found


def only_attributes(element: etree._Element, *allowed: str) -> None:
    """Refuse an element with other attributes than these.

    Raises:
        InvalidSecurity: it has one.
    """
    for name in element.attrib:
        if name not in allowed:
            raise InvalidSecurity(
                "unexpected-attribute",
                f"The attribute {str(name)[:200]} is not expected here.",
                f"السمة {str(name)[:200]} غير متوقعة هنا.",
                place=called(element),
            )


def text(element: etree._Element, longest: int) -> str:
    """What a leaf says, without the space around it.

    Args:
        longest: characters at most.

    Raises:
        InvalidSecurity: it is no leaf, says nothing, or is too long.
    """
    said = element.text or ""
    if len(element) or not 0 < len(said) <= longest or not said.strip(_SPACE):
        raise InvalidSecurity(
            "not-a-text",
            f"It must hold a text of at most {longest} characters and nothing else.",
            f"يجب أن يحتوي على نص لا يزيد على {longest} حرفًا ولا شيء غيره.",
            place=called(element),
        )
    return said.strip(_SPACE)


def octets(element: etree._Element, longest: int) -> bytes:
    """What a leaf says in base64.

    Args:
        longest: octets at most.

    Raises:
        InvalidSecurity: it is no base64, or not in the one way that encodes these octets.
    """
    # Four characters for three octets, and lines of 64 of them.
    written = re.sub(f"[{_SPACE}]", "", text(element, longest * 2 + 64))
    try:
        found = base64.b64decode(written, validate=True)
    except (ValueError, binascii.Error):
        found = b""
    # Bits that are not used may not be set: else many texts were one value.
    if not 0 < len(found) <= longest or base64.b64encode(found).decode() != written:
        raise InvalidSecurity(
            "not-base64",
            f"It must hold one to {longest} octets in base64.",
            f"يجب أن يحتوي على بيانات بترميز Base64 لا تزيد على {longest} بايت.",
            place=called(element),
        )
    return found


def in_base64(element: etree._Element) -> None:
    """Refuse an element that says it is encoded in another way than base64.

    Raises:
        InvalidSecurity: it does.
    """
    if element.get(_ENCODING, BASE64) != BASE64:
        raise InvalidSecurity(
            "encoding",
            "Its EncodingType must be Base64Binary.",
            "يجب أن يكون ترميزه (EncodingType) هو Base64Binary.",
            place=called(element),
        )
