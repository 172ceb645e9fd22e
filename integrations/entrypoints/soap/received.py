"""The octets of a request: taken in within a limit, and inflated within the same limit."""

import asyncio
import zlib
from collections.abc import Callable, Mapping

from starlette.types import Receive, Scope

from foundation.errors import Malformed, RakeezaError, TooLarge
from integrations.entrypoints.soap.holding import Holding

PATIENCE = 20.0
"""Seconds that a message may take to come, beside those for its size."""
SLOWEST = 20_000
"""Octets a second that a sender has to send on the whole."""
# Seconds of silence after which a sender who is refused anyway is answered.
_SILENCE = 2.0
_PIECE = 65_536
_GZIP = 16 + zlib.MAX_WBITS


class Gone(Exception):
    """The client has gone before the end of its request."""


class TooSlow(Malformed):
    """The message did not come in a time in which a message of its size comes."""

    titles = ("Message too slow", "وصول الرسالة بطيء جدًا")


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


class Body:
    """The octets of a message as its sender wrote them, before any compression; taken in as far as is asked.

    Args:
        headers: of the request.
        receive: of ASGI.
        held: accounts for what is held in memory.
    """

    def __init__(self, headers: Mapping[str, str], receive: Receive, held: Holding) -> None:
        self._coding = headers.get("content-encoding", "identity").strip().lower()
        announced = headers.get("content-length", "")
        self._announced = int(announced) if announced.isdigit() else 0
        self._receive, self._held = receive, held
        self._inflating = None if self._coding == "identity" else _Inflating()
        self._sent = 0
        self._clock = asyncio.get_running_loop().time
        self._since = self._clock()
        self.octets = bytearray()
        self.whole = False

    def check_coding(self) -> None:
        """Let only a message pass that is compressed in a way that is read here.

        Raises:
            UnsupportedCoding: it is not.
        """
        coding = self._coding
        if coding not in ("identity", "gzip", "x-gzip"):
            raise UnsupportedCoding(
                f"The message is compressed by {coding[:40]}.",
                remedy="Send it as it is, or by gzip.",
                message_ar="طريقة ضغط الرسالة غير مدعومة؛ أرسلها دون ضغط أو بصيغة gzip.",
            )

    async def all(self, most: int) -> bytearray:
        """All of it.

        Args:
            most: octets that it may have, compressed and inflated.

        Raises:
            TooLarge: it has more; the rest is not read.
            Malformed: it is not compressed as it says.
            TooSlow: its sender takes too long.
            Unavailable: too much is held for others.
            Gone: its sender is.
        """
        if self._announced > most:
            raise _too_large(most)
        await self.until(lambda _octets: False, most)
        return self.octets

    async def until(self, enough: Callable[[bytearray], bool], most: int) -> None:
        """As much of it as is needed.

        Args:
            enough: whether that much is there; asked after each piece.

        Raises:
            Exception: as `all`.
        """
        while not self.whole and not enough(self.octets):
            piece = await self._piece()
            if self._sent > most:
                raise _too_large(most)
            if self._inflating is None:
                self._held.take(len(piece))
                self.octets += piece
            else:
                self._inflating.feed(piece, self.octets, most, self._held)
        if self.whole and self._inflating is not None:
            self._inflating.end()
        if len(self.octets) > most:
            raise _too_large(most)

    async def passed_over(self, most: int) -> bool:
        """Let the rest go by, so that its sender comes to read the answer; nothing of the whole is kept.

        Args:
            most: octets of the whole.

        Returns:
            Whether it came to its end.
        """
        self.octets = bytearray()
        try:
            while not self.whole and max(self._sent, self._announced) <= most:
                await self._piece(_SILENCE)
        except TooSlow:
            return False
        return self.whole

    async def _piece(self, longest: float = PATIENCE) -> bytes:
        until = min(self._clock() + longest, self._since + PATIENCE + self._sent / SLOWEST)
        try:
            async with asyncio.timeout_at(until):
                message = await self._receive()
        except TimeoutError:
            raise _too_slow() from None
        if message["type"] != "http.request":
            raise Gone
        piece: bytes = message.get("body", b"")
        self.whole = not message.get("more_body", False)
        self._sent += len(piece)
        return piece


class _Inflating:
    # Bounded in what it gives out, whatever it is given: a thousandth of a message may be a bomb.
    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)

    def feed(self, piece: bytes, into: bytearray, most: int, held: Holding) -> None:
        try:
            while piece:
                found = self._stream.decompress(piece, _PIECE)
                if len(into) + len(found) > most:
                    raise _too_large(most)
                held.take(len(found))
                into += found
                piece = self._stream.unconsumed_tail
        except zlib.error:
            raise _no_gzip() from None
        if self._stream.unused_data:
            raise _no_gzip()

    def end(self) -> None:
        if not self._stream.eof:
            raise _no_gzip()


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


def _too_slow() -> TooSlow:
    return TooSlow(
        f"The message did not come within {PATIENCE:.0f} seconds and one more for each {SLOWEST} bytes.",
        remedy="Send it at once, over a connection that carries it.",
        message_ar="لم تصل الرسالة كاملة في الوقت المتاح؛ أرسلها دفعة واحدة.",
    )
