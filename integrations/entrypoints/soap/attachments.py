"""Attachments by MTOM: multipart/related packages in and out, with XOP includes.

A part is put into the place of its include as text, as the original message had it: what is checked, signed
and executed is then one tree. A reference leads into the package only; nothing is ever fetched.

Source: W3C XOP 1.0; MTOM 1.0; RFC 2387 (multipart/related); RFC 2046, section 5.1; RFC 2392 (cid).
"""

import base64
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from urllib.parse import unquote

from lxml import etree

from foundation.errors import Malformed, TooLarge
from integrations.ws_security.names import XOP

PACKAGE, ROOT = "multipart/related", "application/xop+xml"
MOST_PARTS = 20
"""Attachments of one message."""
LONGEST_HEADERS = 4_096
"""Octets of the headers of one part."""

_INCLUDE = f"{{{XOP}}}Include"
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_PLAIN_TRANSFER = frozenset({"", "binary", "8bit", "7bit"})


@dataclass(frozen=True)
class MediaType:
    """A media type and its parameters.

    Args:
        name: in small letters, "multipart/related".
        parameters: names in small letters.
    """

    name: str
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Package:
    """A message in parts.

    Args:
        root: the octets of its XML.
        type: of the root part; parameter type says which SOAP it is.
        parts: octets of the others, by their content id.
    """

    root: bytes
    type: MediaType
    parts: Mapping[str, memoryview]


@lru_cache(maxsize=256)
def media_type(header: str) -> MediaType:
    """What a Content-Type says. Of a parameter that stands twice nothing is believed: it is refused.

    Raises:
        Malformed: it cannot be read.
    """
    message = Message()
    message["content-type"] = header[:2_000]
    found = message.get_params(failobj=[], unquote=True)
    names = [name.lower() for name, _ in found]
    if not found or len(header) > 2_000 or len(set(names)) != len(names):
        raise _misbuilt("the Content-Type cannot be read")
    return MediaType(names[0], {name.lower(): value for name, value in found[1:] if isinstance(value, str)})


def root_is_there(octets: bytearray, type: MediaType) -> bool:
    """Whether the beginning of a package holds its root part whole, as its first.

    Raises:
        Malformed, TooLarge: as `taken_apart`.
    """
    # A package may begin with an empty line, of which the boundary's own is no part.
    return octets.find(b"\r\n--" + _boundary(type), 2) > 0 and begun(octets, type) is not None


def begun(octets: bytearray, type: MediaType) -> tuple[MediaType, bytes] | None:
    """The root part of a package, where it comes first.

    Args:
        octets: of the package, up to the end of its first part or further.
        type: its Content-Type.

    Returns:
        Its Content-Type and octets; None where another part comes first.

    Raises:
        Malformed, TooLarge: as `taken_apart`.
    """
    boundary = _boundary(type)
    end = octets.find(b"\r\n--" + boundary, 2)
    if end < 0:
        raise _misbuilt("the last boundary is missing")
    (part,) = _between(bytes(octets[:end]) + b"\r\n--" + boundary + b"--", boundary)
    name, kind, content = _part(part)
    start = _bare(type.parameters.get("start", ""))
    if start and name != start:
        return None
    if kind.name != ROOT:
        raise _misbuilt(f"the root part is not {ROOT}")
    return kind, bytes(content)


def taken_apart(body: bytes | bytearray, type: MediaType) -> Package:
    """The parts of a package.

    Args:
        body: the whole request, within its limit.
        type: its Content-Type.

    Raises:
        Malformed: it is not built as a package is.
        TooLarge: it has too many parts, or a part too many headers.
    """
    found = [_part(each) for each in _between(body, _boundary(type))]
    ids = [name for name, _, _ in found]
    if len(set(ids)) != len(ids):
        raise _misbuilt("two parts have the same Content-ID")
    start = _bare(type.parameters.get("start", ""))
    wanted = [each for each in found if each[0] == start] if start else found[:1]
    if not wanted:
        raise _misbuilt("the part that start names is missing")
    name, kind, content = wanted[0]
    if kind.name != ROOT:
        raise _misbuilt(f"the root part is not {ROOT}")
    others = {part: octets for part, _, octets in found if part != name}
    if "" in others:
        raise _misbuilt("a part has no Content-ID")
    return Package(bytes(content), kind, others)


def taken_out(
    root: etree._Element, parts: Mapping[str, memoryview]
) -> list[tuple[etree._Element, memoryview]]:
    """The parts that a message includes; its includes are taken out, and where they stood nothing is left.

    Returns:
        Each element that held an include, with the part it named.

    Raises:
        Malformed: an include is not alone in its element, leads elsewhere, or a part is missing, named twice
            or not named.
    """
    left = dict(parts)
    found = []
    for include in list(root.iter(_INCLUDE)):
        holder = include.getparent()
        if holder is None or len(holder) != 1 or len(include) or _text_beside(holder, include):
            raise _misbuilt("an include is not alone in its element")
        scheme, _, name = (include.get("href") or "").partition(":")
        if scheme.lower() != "cid":
            raise _misbuilt("an include leads out of the message")
        content = left.pop(unquote(name), None)
        if content is None:
            raise _misbuilt("a part that is included is missing, or is included twice")
        holder.remove(include)
        holder.text = None
        found.append((holder, content))
    if left:
        raise _misbuilt("a part is included nowhere")
    return found


def put_in_place(found: Iterable[tuple[etree._Element, memoryview]]) -> None:
    """Let each element hold its part in base64, as the message had it before it was packed."""
    for holder, content in found:
        holder.text = base64.b64encode(content).decode()


def put_together(
    root: bytes, version_type: str, parts: Iterable[tuple[str, str, bytes]]
) -> tuple[str, bytes]:
    """A package.

    Args:
        root: the envelope.
        version_type: media type of its version of SOAP.
        parts: content id, media type and octets of each.

    Returns:
        Its Content-Type, and its octets.
    """
    boundary = f"rakeeza-{secrets.token_hex(16)}"
    inner = f'{ROOT}; charset=UTF-8; type="{version_type}"'
    pieces = [_headed(boundary, "envelope@rakeeza", inner), root]
    for name, kind, content in parts:
        pieces += [b"\r\n", _headed(boundary, name, kind), content]
    pieces.append(f"\r\n--{boundary}--\r\n".encode())
    outer = (
        f'{PACKAGE}; type="{ROOT}"; start="<envelope@rakeeza>"; start-info="{version_type}";'
        f' boundary="{boundary}"'
    )
    return outer, b"".join(pieces)


def included(name: str) -> str:
    """What stands in the place of a part's octets."""
    return f'<xop:Include xmlns:xop="{XOP}" href="cid:{name}"/>'


def _headed(boundary: str, name: str, kind: str) -> bytes:
    return (
        f"--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: binary\r\n"
        f"Content-ID: <{name}>\r\n\r\n"
    ).encode()


def _boundary(type: MediaType) -> bytes:
    boundary = type.parameters.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _misbuilt("the boundary is missing, or is none")
    return boundary.encode()


def _between(body: bytes | bytearray, boundary: bytes) -> list[memoryview]:
    """The parts between the boundaries, headers and all."""
    view, mark = memoryview(body), b"--" + boundary
    if body.startswith(mark):
        at = len(mark)
    else:
        first = body.find(b"\r\n" + mark)
        # A preamble is allowed by the standard; nobody who speaks SOAP sends one, save an empty line.
        if first != 0:
            raise _misbuilt("it does not begin with the boundary")
        at = 2 + len(mark)
    found: list[memoryview] = []
    while True:
        line = body.find(b"\r\n", at, at + 80)
        ending = body[at : at + 2] == b"--"
        if ending:
            break
        if line < 0 or body[at:line].strip(b" \t"):
            raise _misbuilt("a boundary is not alone in its line")
        if len(found) > MOST_PARTS:
            raise _too_many()
        # From the line's end, so that an empty part is seen.
        following = body.find(b"\r\n" + mark, line)
        if following < 0:
            raise _misbuilt("the last boundary is missing")
        found.append(view[line + 2 : max(following, line + 2)])
        at = following + 2 + len(mark)
    if body[at + 2 :].strip():
        raise _misbuilt("something stands behind the last boundary")
    if not found:
        raise _misbuilt("it has no part")
    return found


def _part(part: memoryview) -> tuple[str, MediaType, memoryview]:
    """Content id, media type and octets of a part."""
    start = bytes(part[:LONGEST_HEADERS])
    end = start.find(b"\r\n\r\n")
    if end < 0:
        if len(part) >= LONGEST_HEADERS:
            raise _too_many()
        raise _misbuilt("a part has no end of headers")
    headers: dict[str, str] = {}
    for line in re.sub(rb"\r\n[ \t]+", b" ", start[:end]).split(b"\r\n"):
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        if not colon or name.strip().lower() in headers:
            raise _misbuilt("a header of a part is none, or stands twice")
        headers[name.strip().lower()] = value.strip()
    if headers.get("content-transfer-encoding", "").lower() not in _PLAIN_TRANSFER:
        raise _misbuilt("a part is encoded for transfer; send it as binary")
    kind = media_type(headers.get("content-type", "application/octet-stream"))
    return _bare(headers.get("content-id", "")), kind, part[end + 4 :]


def _bare(content_id: str) -> str:
    return content_id.strip().removeprefix("<").removesuffix(">")


def _text_beside(holder: etree._Element, include: etree._Element) -> bool:
    return any(text and text.strip() for text in (holder.text, include.text, include.tail))


def _too_many() -> TooLarge:
    return TooLarge(
        f"More than {MOST_PARTS} parts, or a part with more than {LONGEST_HEADERS} octets of headers.",
        remedy="Send one document a message.",
        message_ar=f"في الرسالة أكثر من {MOST_PARTS} مرفقًا، أو مرفق ترويساته طويلة.",
    )


def _misbuilt(what: str) -> Malformed:
    return Malformed(
        f"The attachments of the message are not as MTOM has them: {what}.",
        remedy="Send multipart/related with one root part, and each other part included exactly once.",
        message_ar="مرفقات الرسالة (MTOM) غير صحيحة: لكل مرفق إشارة واحدة فقط، ولا مرفق ناقص أو زائد.",
    )
