"""What a document is, by its content: PDF, JPEG or PNG, whole, and nothing else beside.

Nothing is rendered or decoded here: the file is walked by its own structure, with every step bounded. So a
hostile file meets no decoder in the process that holds the keys, and no small file can grow in memory.

What is refused, and why: a file that is two things at once (something reads it as the other); one that is cut
off (its reader would decide on half of it); a picture that unpacks to more than a scanner makes; a PDF that
runs something, carries other files, or is encrypted so that this cannot be seen. No paper of a checklist
needs them, and a flag would leave the risk to the officer who opens it.

Source: ISO 32000-2 (PDF), ITU-T T.81 annex B (JPEG), W3C PNG third edition, PKWARE APPNOTE 4.3.16 (ZIP).
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Literal

from foundation.errors import InvalidInput

MediaType = Literal["application/pdf", "image/jpeg", "image/png"]
MOST_PIXELS = 100_000_000
"""Of a picture: A3 at 600 dots per inch has 70 million."""

_LONGEST_SIDE = 30_000
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PIECE = 1 << 16
_MOST_INFLATED = 400_000_000
# Start of frame with its size; the three that are missing are tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
# One byte before the code and not a run of them: a file of 0xff alone must not be walked once for each byte.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FILL = re.compile(rb"\xff+")
# Of a PDF: what an object stream may unpack to, all together. Large plans have some ten megabytes.
_MOST_UNPACKED = 64_000_000
_MOST_STREAMS = 20_000
_WHITE = b"\x00\t\n\x0c\r "
_ACTIVE = {
    b"/JavaScript": "a script",
    b"/Launch": "a program to start",
    b"/EmbeddedFile": "other files inside",
    b"/EmbeddedFiles": "other files inside",
    b"/RichMedia": "a film or a game",
    b"/SubmitForm": "a form that sends itself",
    b"/ImportData": "a form that reads files",
    b"/XFA": "a form with scripts",
}
_ENCRYPTED = b"/Encrypt"
_HIDING = (*_ACTIVE, _ENCRYPTED, b"/ObjStm")
# Each letter as itself or as an escape; what is escaped is hidden, for no honest writer escapes these.
_WATCHED = re.compile(
    b"/(?:"
    + b"|".join(b"".join(b"(?:%c|#(?i:%02x))" % (letter, letter) for letter in name[1:]) for name in _HIDING)
    + rb")(?=[\x00\t\n\x0c\r ()<>\[\]{}/%]|$)"
)
_OBJECT_STREAM = re.compile(rb"/ObjStm(?=[\x00\t\n\x0c\r ()<>\[\]{}/%])")
_STREAM = re.compile(rb"stream\r?\n")
_FLATE = re.compile(rb"/Filter\s*(?:/FlateDecode|\[\s*/FlateDecode\s*\])")
_LONGEST_DICTIONARY = 4_096
_ZIP_END = b"PK\x05\x06"
_ZIP_TAIL = 65_557


class NotADocument(InvalidInput):
    """The content is none of the types taken, is damaged, or holds more than a document does."""


def sniff(content: bytes) -> MediaType:
    """What a content is.

    Args:
        content: whole.

    Raises:
        NotADocument: none of the three, cut off, or one of what this module refuses; says which.
    """
    _check_single(content)
    if content.startswith(b"%PDF-"):
        _check_pdf(content)
        return "application/pdf"
    if content.startswith(b"\xff\xd8\xff"):
        _check_jpeg(content)
        return "image/jpeg"
    if content.startswith(_PNG):
        _check_png(content)
        return "image/png"
    raise _refused(
        "The file is no PDF, JPEG or PNG, whatever it is called.",
        "الملف ليس PDF ولا JPEG ولا PNG، مهما كان اسمه.",
        "Scan the document to PDF, or send a photograph.",
    )


def _check_single(content: bytes) -> None:
    at = content.rfind(_ZIP_END, max(0, len(content) - _ZIP_TAIL))
    while at >= 0:
        # By chance four bytes may be there; that their comment ends with the file is no chance.
        if at + 22 <= len(content) and at + 22 + struct.unpack_from("<H", content, at + 20)[0] == len(
            content
        ):
            raise _two_things()
        at = content.rfind(_ZIP_END, max(0, len(content) - _ZIP_TAIL), at)
    if not content.startswith(b"%PDF-") and b"%PDF-" in content[:1_024]:
        # Readers of PDF look for its beginning so far.
        raise _two_things()


def _check_png(content: bytes) -> None:
    at, size, packed = len(_PNG), 0, []
    for kind, start, end in _chunks(content, at):
        if at == len(_PNG) and kind != b"IHDR":
            raise _damaged()
        at = end + 4
        if kind == b"IHDR":
            if size or end - start != 13:
                raise _damaged()
            size = _png_size(content[start:end])
        elif kind == b"IDAT":
            packed.append(memoryview(content)[start:end])
        elif kind == b"IEND":
            if at != len(content):
                raise _two_things()
            if not _unpacks_to(packed, size):
                raise _damaged()
            return
    raise _damaged()


def _chunks(content: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    while at + 12 <= len(content):
        length: int
        kind: bytes
        length, kind = struct.unpack_from(">I4s", content, at)
        start, end = at + 8, at + 8 + length
        if end + 4 > len(content):
            return
        if zlib.crc32(memoryview(content)[at + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            raise _damaged()
        yield kind, start, end
        at = end + 4


def _png_size(header: bytes) -> int:
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    depth, colour, packing, filtering, interlaced = header[8:]
    if packing or filtering or interlaced > 1 or depth not in _PNG_DEPTHS.get(colour, ()):
        raise _damaged()
    _check_size(width, height)
    row = (width * _PNG_CHANNELS[colour] * depth + 7) // 8 + 1
    # Interlaced, the seven passes have their own rows; never twice as many bytes.
    return row * height * (2 if interlaced else 1) + (8 * height if interlaced else 0)


def _unpacks_to(packed: list[memoryview], most: int) -> bool:
    """Whether a stream ends within what its picture needs; it is unpacked a piece at a time and let go."""
    reader, made = zlib.decompressobj(), 0
    try:
        for part in packed:
            for at in range(0, len(part), _PIECE):
                waiting: bytes | memoryview = part[at : at + _PIECE]
                while waiting and not reader.eof:
                    made += len(reader.decompress(waiting, _PIECE))
                    waiting = reader.unconsumed_tail
                    if made > min(most, _MOST_INFLATED):
                        raise _too_large()
    except zlib.error:
        return False
    return reader.eof and made > 0


def _check_jpeg(content: bytes) -> None:
    at = _jpeg_end(content, 0)
    # Telephones append further pictures, and some fill up with zeros.
    while at < len(content) and content.startswith(b"\xff\xd8\xff", at):
        at = _jpeg_end(content, at)
    if content[at:].strip(b"\x00"):
        raise _two_things()


def _jpeg_end(content: bytes, at: int) -> int:
    """Where a JPEG that begins at a place ends."""
    at, framed, scanned = at + 2, False, False
    while True:
        filled = _FILL.match(content, at)
        if filled is None or filled.end() == len(content):
            raise _damaged()
        marker, at = content[filled.end()], filled.end() + 1
        if marker == 0xD9:
            if not (framed and scanned):
                raise _damaged()
            return at
        if marker in _ALONE:
            continue
        if marker in (0x00, 0xD8) or at + 2 > len(content):
            raise _damaged()
        length = int.from_bytes(content[at : at + 2], "big")
        if length < 2 or at + length > len(content):
            raise _damaged()
        if marker in _FRAMES:
            if length < 8:
                raise _damaged()
            height, width = struct.unpack_from(">HH", content, at + 3)
            _check_size(width, height)
            framed = True
        at += length
        if marker == 0xDA:
            # The picture itself, up to the next marker that is none of its own.
            following = _MARKER.search(content, at)
            if following is None:
                raise _damaged()
            at, scanned = following.start(), True


def _check_size(width: int, height: int) -> None:
    if not width or not height:
        raise _damaged()
    if max(width, height) > _LONGEST_SIDE or width * height > MOST_PIXELS:
        raise _too_large()


def _check_pdf(content: bytes) -> None:
    if not re.match(rb"%PDF-[12]\.[0-9]", content):
        raise _damaged()
    body = content.rstrip(_WHITE)
    if not body.endswith(b"%%EOF"):
        # Something follows the end, or there is none.
        raise _two_things() if b"%%EOF" in body[-_ZIP_TAIL:] else _damaged()
    if b"startxref" not in body[-1_024:] or b"obj" not in body:
        raise _damaged()
    _check_names(content)
    room = _MOST_UNPACKED
    for number, found in enumerate(_OBJECT_STREAM.finditer(content)):
        if number == _MOST_STREAMS:
            raise _too_large()
        objects = _unpacked(content, found.start(), room)
        room -= len(objects)
        _check_names(objects)


def _check_names(part: bytes) -> None:
    for found in _WATCHED.finditer(part):
        if found[0] != b"/ObjStm":
            raise _active(found[0])


def _unpacked(content: bytes, at: int, room: int) -> bytes:
    """The objects in the stream whose dictionary names its type at a place."""
    start = content.rfind(b"obj", max(0, at - _LONGEST_DICTIONARY), at)
    found = _STREAM.search(content, at, at + _LONGEST_DICTIONARY)
    if start < 0 or found is None:
        raise _damaged()
    said = content[start : found.start()]
    if b"/Filter" not in said:
        end = content.find(b"endstream", found.end())
        return content[found.end() : end if end >= 0 else len(content)]
    # Other packings than the one that every writer uses would have to be unpacked to be looked into.
    if not _FLATE.search(said) or b"/DecodeParms" in said:
        raise _active(b"/ObjStm")
    reader, objects = zlib.decompressobj(), bytearray()
    try:
        # Piece by piece: what follows the end of the stream would be copied each time.
        for piece in range(found.end(), len(content), _PIECE):
            objects += reader.decompress(content[piece : piece + _PIECE], room + 1 - len(objects))
            while reader.unconsumed_tail and len(objects) <= room:
                objects += reader.decompress(reader.unconsumed_tail, room + 1 - len(objects))
            if len(objects) > room:
                raise _too_large()
            if reader.eof:
                return bytes(objects)
    except zlib.error as error:
        raise _damaged() from error
    raise _damaged()


def _active(name: bytes) -> NotADocument:
    if name == _ENCRYPTED:
        return _refused(
            "The PDF is encrypted or locked.",
            "ملف PDF مشفّر أو مقفل.",
            "Save it without a password.",
        )
    what = _ACTIVE.get(name, "parts that are hidden")
    return _refused(
        f"The PDF holds more than a document: {what}.",
        "في ملف PDF محتوى نشط أو ملفات مرفقة أو أجزاء مخفية، وهي غير مسموحة.",
        "Print it to a new PDF, or scan it.",
    )


def _two_things() -> NotADocument:
    return _refused(
        "The file holds something else beside its document.",
        "في الملف محتوى آخر غير المستند.",
        "Scan the document anew, or save it as a new file.",
    )


def _damaged() -> NotADocument:
    return _refused("The file is damaged or cut off.", "الملف تالف أو ناقص.", "Send it again, whole.")


def _too_large() -> NotADocument:
    return _refused(
        "The file unpacks to more than a document has.",
        "أبعاد المستند أو محتواه بعد فك الضغط أكبر من المسموح.",
        "Scan it with 300 dots per inch.",
    )


def _refused(en: str, ar: str, remedy: str) -> NotADocument:
    return NotADocument(en, remedy=remedy, message_ar=ar)
