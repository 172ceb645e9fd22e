"""The octets of a request: taken in within a limit, and inflated within the same limit."""

import zlib
from collections.abc import Mapping

from starlette.types import Receive, Scope

from foundation.errors import Malformed, RakeezaError, TooLarge

_PIECE = 65_536
_GZIP = 16 + zlib.MAX_WBITS


class Gone(Exception):
    """The client has gone before the end of its request."""


class UnsupportedCoding(Malformed):
    """The message is compressed in a way that is not read here."""

    titles = ("Unsupported content coding", "ضغط غير مدعوم")


def headers_of(scope: Scope) -> dict[str, str]:
    """The headers of a request by their names in small letters; of one that stands twice, the last.

    Raises:
        Malformed: one that decides how the message is read stands twice.
    """
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1").lower()
        if key in found and key in ("content-type", "content-encoding", "soapaction", "authorization"):
            raise Malformed(
                f"The header {key} stands twice.",
                remedy="Send it once.",
                message_ar=f"الترويسة {key} مكررة؛ أرسلها مرة واحدة.",
            )
        found[key] = value.decode("latin-1")
    return found


async def received(headers: Mapping[str, str], receive: Receive, most: int) -> bytes:
    """The octets of a message, as its sender wrote them before any compression.

    Args:
        headers: of the request.
        most: octets that it may have, compressed and inflated.

    Raises:
        TooLarge: it has more; the rest is not read.
        Malformed: it is not compressed as it says.
        Gone: its sender is.
    """
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip"):
        raise UnsupportedCoding(
            f"The message is compressed by {coding[:40]}.",
            remedy="Send it as it is, or by gzip.",
            message_ar="طريقة ضغط الرسالة غير مدعومة؛ أرسلها دون ضغط أو بصيغة gzip.",
        )
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    inflating = None if coding == "identity" else _Inflating(most)
    pieces: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise Gone
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(piece)
        if size > most:
            raise _too_large(most)
        if inflating is None:
            pieces.append(piece)
        else:
            inflating.feed(piece)
    return b"".join(pieces) if inflating is None else inflating.all()


class _Inflating:
    # Bounded in what it gives out, whatever it is given: a thousandth of a message may be a bomb.
    def __init__(self, most: int) -> None:
        self._most = most
        self._stream = zlib.decompressobj(_GZIP)
        self._found: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> None:
        try:
            while piece:
                found = self._stream.decompress(piece, _PIECE)
                self._size += len(found)
                if self._size > self._most:
                    raise _too_large(self._most)
                self._found.append(found)
                piece = self._stream.unconsumed_tail
        except zlib.error:
            raise _no_gzip() from None
        if self._stream.unused_data:
            raise _no_gzip()

    def all(self) -> bytes:
        if not self._stream.eof:
            raise _no_gzip()
        return b"".join(self._found)


def _no_gzip() -> RakeezaError:
    return Malformed(
        "The message is not one whole gzip file, as Content-Encoding says.",
        remedy="Send it as it is, or compressed whole.",
        message_ar="الرسالة ليست ملف gzip كاملًا كما تقول الترويسة Content-Encoding.",
    )


def _too_large(most: int) -> TooLarge:
    return TooLarge(
        f"The message is larger than {most} bytes.",
        remedy="Send less; documents by MTOM, one a message.",
        message_ar=f"حجم الرسالة أكبر من {most} بايت.",
    )
