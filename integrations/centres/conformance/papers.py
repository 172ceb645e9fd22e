"""The smallest documents that are whole, to be handed in with a test's application.

Source: W3C PNG third edition; ISO 32000-2, section 7.5.
"""

import struct
import zlib
from collections.abc import Sequence

from integrations.centres.conformance.checking import Failed

_PDF_OBJECTS = (
    b"<</Type/Catalog/Pages 2 0 R>>",
    b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
    b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>",
)


def of(types: Sequence[str]) -> tuple[str, bytes]:
    """A document of one of these media types: which, and its octets.

    Raises:
        Failed: of none of them.
    """
    made = {"image/png": _picture, "application/pdf": _page}
    for kind, make in made.items():
        if kind in types:
            return kind, make()
    raise Failed(
        f"The case asks for a document that the suite cannot make: {', '.join(types)}.",
        "Give an application of a service whose documents may be PNG or PDF.",
    )


def _picture() -> bytes:
    size = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pieces = ((b"IHDR", size), (b"IDAT", zlib.compress(b"\0\0")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in pieces)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _page() -> bytes:
    text, places = b"%PDF-1.4\n", []
    for number, said in enumerate(_PDF_OBJECTS, 1):
        places.append(len(text))
        text += b"%d 0 obj\n%s\nendobj\n" % (number, said)
    table = b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
    table += b"".join(b"%010d 00000 n \n" % place for place in places)
    trailer = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, len(text))
    return text + table + trailer
