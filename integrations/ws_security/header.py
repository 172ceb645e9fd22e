"""The envelope's own parts, taken from their places: one Header, one Body, one Security header for us."""

from dataclasses import dataclass
from typing import cast

from lxml import etree

from integrations.ws_security import names
from integrations.ws_security.faults import InvalidSecurity, UnsupportedSecurityToken
from integrations.ws_security.strict_xml import called, elements, only_attributes

_OURSELVES = ("", f"{names.SOAP_12}/role/ultimateReceiver")


@dataclass(frozen=True)
class Parts:
    """The elements of a message that security is about.

    Args:
        envelope: the root.
        header: its first child.
        body: its second and last child.
        security: the one Security header.
        timestamp: a child of it, as all that follow.
        signature: likewise.
        username_token: None if there is none.
        binary_token: None if there is none.
    """

    envelope: etree._Element
    header: etree._Element
    body: etree._Element
    security: etree._Element
    timestamp: etree._Element
    signature: etree._Element
    username_token: etree._Element | None
    binary_token: etree._Element | None

    def places(self) -> list[etree._Element]:
        """All of them; of an element with one of their names there may be no other in the message."""
        found = [self.envelope, self.header, self.body, self.security, self.timestamp, self.signature]
        return found + [token for token in (self.username_token, self.binary_token) if token is not None]


def read(envelope: etree._Element) -> Parts:
    """Find the parts of a message by where they are, and refuse it if anything else is there.

    Args:
        envelope: root of the message.

    Raises:
        InvalidSecurity: the envelope or its Security header is built in another way.
        UnsupportedSecurityToken: the Security header has other tokens than the profile takes.
    """
    soap = _soap(envelope)
    children = elements(envelope)
    if [child.tag for child in children] != [f"{{{soap}}}Header", f"{{{soap}}}Body"]:
        raise InvalidSecurity(
            "envelope-content",
            "The envelope must hold one Header and then one Body, and nothing else.",
            "يجب أن يحتوي المغلّف على Header واحد يليه Body واحد ولا شيء غيرهما.",
            place=called(envelope),
        )
    header, body = children
    security = _security(header, soap)
    found = _tokens(security)
    return Parts(
        envelope,
        header,
        body,
        security,
        timestamp=_needed(found, names.TIMESTAMP, security),
        signature=_needed(found, names.SIGNATURE, security),
        username_token=found.get(names.USERNAME_TOKEN),
        binary_token=found.get(names.BINARY_TOKEN),
    )


def _soap(envelope: etree._Element) -> str:
    tree = envelope.getroottree()
    if cast("etree.DTD | None", tree.docinfo.internalDTD) is not None:
        raise InvalidSecurity(
            "doctype",
            "A SOAP message has no DOCTYPE.",
            "لا يجوز أن تحتوي رسالة SOAP على DOCTYPE.",
        )
    alone = envelope is tree.getroot() and envelope.getprevious() is None and envelope.getnext() is None
    for soap in (names.SOAP_11, names.SOAP_12):
        if alone and envelope.tag == f"{{{soap}}}Envelope":
            return soap
    raise InvalidSecurity(
        "no-envelope",
        "The message must be one Envelope of SOAP 1.1 or 1.2 with nothing before or after it.",
        "يجب أن تكون الرسالة مغلّف SOAP واحدًا (1.1 أو 1.2) لا شيء قبله ولا بعده.",
        place=str(envelope.tag)[:200],
    )


def _security(header: etree._Element, soap: str) -> etree._Element:
    found = [child for child in elements(header) if child.tag == names.SECURITY]
    if len(found) != 1:
        raise InvalidSecurity(
            "security-headers",
            f"The message has {len(found)} Security headers, and must have one.",
            f"عدد ترويسات الأمان (Security) في الرسالة {len(found)}، ويجب أن تكون واحدة.",
            place=called(header),
            remedy="Sign the message by WS-Security.",
        )
    role = f"{{{soap}}}actor" if soap == names.SOAP_11 else f"{{{soap}}}role"
    only_attributes(found[0], f"{{{soap}}}mustUnderstand", role, names.WSU_ID)
    if found[0].get(role, "") not in _OURSELVES:
        raise InvalidSecurity(
            "security-role",
            "The Security header is for another receiver than us.",
            "ترويسة الأمان (Security) موجّهة إلى مستقبل آخر غيرنا.",
            place=called(found[0]),
            remedy="Leave the actor or role out.",
        )
    return found[0]


def _tokens(security: etree._Element) -> dict[str, etree._Element]:
    known = (names.TIMESTAMP, names.SIGNATURE, names.USERNAME_TOKEN, names.BINARY_TOKEN)
    found: dict[str, etree._Element] = {}
    for child in elements(security):
        if child.tag not in known:
            raise UnsupportedSecurityToken(
                "unsupported-token",
                f"{called(child)[:200]} is not taken in a Security header.",
                f"العنصر {called(child)[:200]} غير مقبول في ترويسة الأمان.",
                place=called(security),
                remedy="Send a Timestamp, a UsernameToken, a BinarySecurityToken and a Signature.",
            )
        if child.tag in found:
            raise InvalidSecurity(
                "second-of-a-kind",
                f"There is a second {called(child)}.",
                f"العنصر {called(child)} مكرر.",
                place=called(security),
            )
        found[child.tag] = child
    return found


def _needed(found: dict[str, etree._Element], tag: str, security: etree._Element) -> etree._Element:
    if tag not in found:
        name = etree.QName(tag).localname
        raise InvalidSecurity(
            "missing-part",
            f"The Security header has no {name}.",
            f"ترويسة الأمان ليس فيها {name}.",
            place=called(security),
        )
    return found[tag]
