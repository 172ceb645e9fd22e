"""The envelope of a message, SOAP 1.1 and 1.2: its version, its one Body with one element, and its headers.

Source: SOAP 1.1, sections 4 and 6; SOAP 1.2 part 1, sections 2 and 5; WS-I Basic Profile 1.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from lxml import etree

from foundation.errors import InvalidInput, Malformed
from integrations.ws_security.names import SECURITY, SOAP_11, SOAP_12

UNDERSTOOD = frozenset({SECURITY})
"""Header blocks that a message may insist on."""

_TRUE, _FALSE = frozenset({"1", "true"}), frozenset({"0", "false"})
_NEXT_11 = "http://schemas.xmlsoap.org/soap/actor/next"
_ROLE_12 = f"{SOAP_12}/role"
_OURS = frozenset({None, "", _NEXT_11, f"{_ROLE_12}/next", f"{_ROLE_12}/ultimateReceiver"})


class _Names(NamedTuple):
    namespace: str
    media_type: str
    actor: str


class Version(Enum):
    """A version of SOAP: the namespace of its envelope, its media type, and who a header is for."""

    SOAP_11 = _Names(SOAP_11, "text/xml", "actor")
    SOAP_12 = _Names(SOAP_12, "application/soap+xml", "role")

    def named(self, local: str) -> str:
        """A name of this version's namespace, in lxml's notation."""
        return f"{{{self.value.namespace}}}{local}"


BY_MEDIA_TYPE: Mapping[str, Version] = {each.value.media_type: each for each in Version}
_BY_NAMESPACE = {each.value.namespace: each for each in Version}


class VersionMismatch(InvalidInput):
    """The message is of no version of SOAP that we speak, or not of the one that its Content-Type says."""

    titles = ("SOAP version mismatch", "إصدار SOAP غير مطابق")


class NotUnderstood(InvalidInput):
    """The message insists on headers that we do not know.

    Args:
        headers: their names, as (namespace, local name).
    """

    titles = ("SOAP header not understood", "ترويسة SOAP غير معروفة")

    def __init__(self, headers: tuple[tuple[str, str], ...]) -> None:
        names = ", ".join(local[:60] for _, local in headers)
        super().__init__(
            f"The message insists on headers that are not known here: {names}.",
            remedy="Send it without mustUnderstand on them; only wsse:Security is understood.",
            message_ar=f"تشترط الرسالة فهم ترويسات غير معروفة هنا: {names}.",
        )
        self.headers = headers


class ActionMismatch(InvalidInput):
    """SOAPAction, or the parameter action of Content-Type, names another operation than the Body holds."""

    titles = ("SOAPAction mismatch", "قيمة SOAPAction غير مطابقة")


@dataclass(frozen=True)
class Envelope:
    """An envelope whose form is right; nothing is said of who sent it.

    Args:
        version: by its namespace.
        root: the Envelope.
        header: its Header, or None.
        body: its one Body.
        request: the one element in the Body.
        digest: SHA-256 of the message as it came.
    """

    version: Version
    root: etree._Element
    header: etree._Element | None
    body: etree._Element
    request: etree._Element
    digest: bytes


def version_in(beginning: bytes) -> Version:
    """The version of SOAP of a message that is not read, by its first octets; 1.1 where they do not tell."""
    named = beginning.replace(b"\0", b"")
    return Version.SOAP_12 if SOAP_12.encode() in named and SOAP_11.encode() not in named else Version.SOAP_11


def opened(root: etree._Element, said: Version, digest: bytes) -> Envelope:
    """The parts of an envelope.

    Args:
        root: as it was read; comments are left out and instructions refused.
        said: the version that the Content-Type stands for.
        digest: SHA-256 of the message as it came.

    Raises:
        VersionMismatch: it is no envelope of that version.
        Malformed: it has other parts than it may have, or not one Body with one element.
        NotUnderstood: it insists on a header that is not known here.
    """
    name = etree.QName(root)
    if name.localname != "Envelope" or name.namespace != said.value.namespace:
        raise _mismatch(name, said)
    parts = list(root)
    headers = [each for each in parts if each.tag == said.named("Header")]
    bodies = [each for each in parts if each.tag == said.named("Body")]
    if len(bodies) != 1:
        raise _misbuilt(f"The envelope has {len(bodies)} Body elements.", "Body", len(bodies))
    if len(headers) > 1:
        raise _misbuilt(f"The envelope has {len(headers)} Header elements.", "Header", len(headers))
    if parts != [*headers, *bodies]:
        raise _misbuilt("The envelope holds more than a Header and then a Body.", "Envelope", len(parts))
    header, body = headers[0] if headers else None, bodies[0]
    if len(body) != 1:
        raise _misbuilt(f"The Body holds {len(body)} elements.", "Body", len(body))
    for part in (root, *headers, body):
        _check_blank(part)
    if header is not None:
        _check_headers(header, said)
    return Envelope(said, root, header, body, body[0], digest)


def check_action(said: str | None, action: str) -> None:
    """Let a message pass whose action is its operation's, or that names none.

    Args:
        said: SOAPAction, or the parameter action, with or without its quotation marks.
        action: of the operation that the Body holds.

    Raises:
        ActionMismatch: it names another.
    """
    bare = (said or "").strip().strip('"')
    if bare not in ("", action):
        raise ActionMismatch(
            "SOAPAction names another operation than the Body holds.",
            remedy=f"Send {action}, as the WSDL has it.",
            message_ar="قيمة SOAPAction لا تطابق العملية الموجودة في Body.",
        )


def _check_headers(header: etree._Element, version: Version) -> None:
    strange = []
    for block in header:
        insists = block.get(version.named("mustUnderstand"), "0").strip()
        if insists not in _TRUE | _FALSE:
            raise _misbuilt("mustUnderstand is neither true nor false.", "mustUnderstand", 0)
        ours = block.get(version.named(version.value.actor)) in _OURS
        if insists in _TRUE and ours and block.tag not in UNDERSTOOD:
            name = etree.QName(block)
            strange.append((name.namespace or "", name.localname))
    if strange:
        raise NotUnderstood(tuple(strange))


def _check_blank(part: etree._Element) -> None:
    for text in (part.text, *(child.tail for child in part)):
        if text is not None and text.strip():
            raise _misbuilt("Text stands between the parts of the envelope.", etree.QName(part).localname, 0)


def _mismatch(name: etree.QName, said: Version) -> VersionMismatch:
    other = _BY_NAMESPACE.get(name.namespace or "") if name.localname == "Envelope" else None
    what = "is one of another version of SOAP" if other else "is no SOAP envelope"
    return VersionMismatch(
        f"The message {what}; its Content-Type stands for {said.value.namespace}.",
        remedy="Send SOAP 1.1 as text/xml, SOAP 1.2 as application/soap+xml.",
        message_ar="الرسالة ليست مغلف SOAP بالإصدار الذي يدل عليه Content-Type.",
    )


def _misbuilt(message: str, part: str, count: int) -> Malformed:
    counted = f" (العدد {count})" if count else ""
    return Malformed(
        message,
        remedy="Send an Envelope with at most one Header, then one Body with one element of the contract.",
        message_ar=f"بنية مغلف SOAP غير صحيحة عند {part}{counted}؛ المقبول Body واحد فيه عنصر واحد.",
    )
