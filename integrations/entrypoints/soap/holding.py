"""What messages hold in memory while they come and are worked on: bounded for each sender, and for strangers.

Whoever has proven nothing yet shares a little room with all others like him. A message no larger than most
are takes none of it, so that strangers who send large ones leave the ordinary ones alone.
"""

from collections import Counter
from types import TracebackType

from foundation.errors import Unavailable

FREE = 65_536
"""Octets of each message that are not counted."""
STRANGERS = 16_000_000
"""Octets that all who have proven nothing yet hold together."""
ONE = 2
"""Largest messages that one known sender holds."""
ALL = 6
"""Largest messages that all known senders hold together."""


class TooMuchHeld(Unavailable):
    """So many large messages are on their way that no room is left for this one."""

    titles = ("Too many large messages at once", "رسائل كبيرة كثيرة في وقت واحد")

    def __init__(self) -> None:
        super().__init__(
            "Too many large messages are on their way at once.",
            remedy="Send this one again after the seconds in Retry-After, and one large message at a time; "
            "with a TLS client certificate you do not share room with those who have shown nothing.",
            message_ar="الرسائل الكبيرة المتزامنة أكثر من المتاح الآن؛ أعيدوا الإرسال بعد المهلة المذكورة.",
        )


class Room:
    """The memory that messages may take in a process; for one event loop.

    Args:
        largest: octets of the largest message.
    """

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._by_sender: Counter[str] = Counter()
        self._known = 0

    @property
    def held(self) -> int:
        """Octets that are held now, beside those that are free."""
        return self._known + self._by_sender[""]

    def holding(self, sender: str) -> "Holding":
        """What one message holds, until it is left with `with`.

        Args:
            sender: who has proven that it is from him; empty for a stranger.
        """
        return Holding(self, sender)

    def take(self, sender: str, octets: int) -> None:
        """Take room.

        Raises:
            TooMuchHeld: there is none.
        """
        mine, known = self._by_sender[sender] + octets, self._known + octets
        full = mine > ONE * self._largest or known > ALL * self._largest if sender else mine > STRANGERS
        if full:
            raise TooMuchHeld
        self._set(sender, mine)

    def give_back(self, sender: str, octets: int) -> None:
        """Give room back."""
        self._set(sender, self._by_sender[sender] - octets)

    def _set(self, sender: str, octets: int) -> None:
        if sender:
            self._known += octets - self._by_sender[sender]
        self._by_sender[sender] = octets
        if not octets:
            del self._by_sender[sender]


class Holding:
    """What one message holds.

    Args:
        room: where.
        sender: whose it is.
    """

    def __init__(self, room: Room, sender: str) -> None:
        self._room, self._sender = room, sender
        self._octets = self._counted = 0

    def take(self, octets: int) -> None:
        """Hold more.

        Raises:
            TooMuchHeld: there is no room.
        """
        more = max(0, self._octets + octets - FREE) - self._counted
        if more > 0:
            self._room.take(self._sender, more)
            self._counted += more
        self._octets += octets

    def proven(self, sender: str) -> None:
        """Hold it for another sender from now on, who has proven that it is his.

        Raises:
            TooMuchHeld: he has no room.
        """
        self._room.take(sender, self._counted)
        self._room.give_back(self._sender, self._counted)
        self._sender = sender

    def __enter__(self) -> "Holding":
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _at: TracebackType | None) -> None:
        self._room.give_back(self._sender, self._counted)
        self._counted = 0
