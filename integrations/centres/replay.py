"""A message is taken once: nonces and signatures that were seen, shared by every process and both faces."""

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar

from foundation.database import Database
from foundation.errors import NotAuthenticated, Unavailable


class Replayed(NotAuthenticated):
    """This message, or a part of it that is good for one use, was taken before."""

    code: ClassVar[str] = "wsse:InvalidSecurity"


class OutOfTime(NotAuthenticated):
    """The message is more than 300 s old, or more than 60 s ahead of the database's clock."""

    code: ClassVar[str] = "wsu:MessageExpired"


class NotRemembered(Unavailable):
    """The database lost what it had seen when it crashed; a message made since then is taken."""

    code: ClassVar[str] = "wsu:MessageExpired"


def accept(database: Database, sender: str, nonces: Iterable[bytes], created: datetime) -> None:
    """Take a message, for the first and only time; committed before the message is carried out.

    Only what was verified is taken: anybody could fill the table otherwise, or use up another's nonce.

    Args:
        sender: the centre; nonces of different senders are different.
        nonces: octets that are good for one use: the nonce of the clerk's token or of a request signature, and
            `Verified.digest`. Not the signature's own octets (see there).
        created: aware; when the message says it was made, as its signature covers it.

    Raises:
        Replayed: one of them was taken before; none is taken now.
        OutOfTime: the message is too old or from the future.
        NotRemembered: it may have been taken before the database crashed.
        DatabaseUnavailable: nothing is known; the message must not be carried out.
    """
    raise NotImplementedError
