"""Packages by MTOM: a document beside its message, out and in.

Source: XOP 1.0; MTOM 1.0; RFC 2387.
"""

from email.message import Message

import httpx
from lxml import etree

from integrations.centres.conformance.checking import THEIRS, Failed
from integrations.centres.conformance.envelopes import written
from integrations.centres.conformance.messages import TYPES, xml
from integrations.contracts.names import NAMESPACE
from integrations.ws_security.names import XOP

_BOUNDARY = "centre-boundary-7f3a"
_HOLDER = f"{{{NAMESPACE}}}content"
_INCLUDE = f"{{{XOP}}}Include"


def packed(message: etree._Element, content: bytes, soap: str) -> tuple[bytes, str]:
    """A signed message with its document as an attachment; it was signed with the document in its place.

    Args:
        message: its element `content` holds the document; afterwards an include.
        soap: namespace of the envelope.

    Returns:
        Its octets and its Content-Type.
    """
    (holder,) = message.iter(_HOLDER)
    holder.text = None
    etree.SubElement(holder, _INCLUDE, {"href": "cid:document@centre"}, nsmap={"xop": XOP})
    kind = TYPES[soap]
    octets = (
        f"--{_BOUNDARY}\r\n"
        f'Content-Type: application/xop+xml; charset=UTF-8; type="{kind}"\r\n'
        "Content-ID: <envelope@centre>\r\n\r\n".encode()
        + written(message)
        + f"\r\n--{_BOUNDARY}\r\n"
        "Content-Type: application/octet-stream\r\n"
        "Content-Transfer-Encoding: binary\r\n"
        "Content-ID: <document@centre>\r\n\r\n".encode()
        + content
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )
    outer = (
        f'multipart/related; type="application/xop+xml"; start="<envelope@centre>"; start-info="{kind}";'
        f' boundary="{_BOUNDARY}"'
    )
    return octets, outer


def unpacked(answer: httpx.Response, soap: str) -> bytes:
    """The document that an answer has as its attachment.

    Raises:
        Failed: the package is not as MTOM has it.
    """
    outer = _headers(f"Content-Type: {answer.headers.get('content-type', '')}")
    boundary = f"--{outer.get_param('boundary', '')}".encode()
    pieces = (b"\r\n" + answer.content).split(b"\r\n" + boundary)[1:-1]
    parts: dict[str, tuple[Message, bytes]] = {}
    for piece in pieces:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        said = _headers(head.decode("latin-1"))
        parts[(said.get("Content-ID") or "").strip("<> ")] = (said, content)
    root = parts.pop(str(outer.get_param("start", "")).strip("<> "), None)
    if root is None or root[0].get_content_type() != "application/xop+xml":
        raise _wrong("has no root part as application/xop+xml")
    if root[0].get_param("type") != TYPES[soap] or outer.get_param("start-info") != TYPES[soap]:
        raise _wrong("does not say which SOAP its root part is")
    envelope = xml(root[1], "The root part")
    includes = [each for holder in envelope.iter(_HOLDER) for each in holder if each.tag == _INCLUDE]
    if len(includes) != 1:
        raise _wrong(f"has {len(includes)} includes")
    name = includes[0].get("href", "").removeprefix("cid:")
    if set(parts) != {name}:
        raise _wrong("has other parts than the one that is included")
    return parts[name][1]


def _headers(text: str) -> Message:
    message = Message()
    for line in text.split("\r\n"):
        name, _, value = line.partition(":")
        message[name] = value.strip()
    return message


def _wrong(what: str) -> Failed:
    return Failed(f"The package of the answer {what}.", THEIRS)
