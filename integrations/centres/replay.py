"""A message is taken once: what was seen, shared by every process and both faces.

It is remembered in unlogged tables, so that no message waits for a disk. A crash of PostgreSQL empties them,
also one of a single server process, after which the server's own start time is as it was; so does the loss of
the primary to a standby. Therefore a row of such a table says since when all is remembered. Where it is gone,
what may have been taken before is refused until it is too old anyway.
"""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import ClassVar

from sqlalchemy import Connection, text

from foundation.database import Database
from foundation.errors import NotAuthenticated, Unavailable

OLDEST = timedelta(seconds=300)
AHEAD = timedelta(seconds=60)

# A row is kept from when its message was taken, longer than any part of it is good for: a part may have been
# made ahead of the message's own time, and a statement may have read the clock and then waited.
_KEPT = AHEAD + OLDEST + timedelta(seconds=240)
# One message in so many clears up; each time more rows than came in between.
_CLEARS_ONE_IN = 64
_BATCH = 1_000
_LIMITS = {"kept": _KEPT, "oldest": OLDEST, "ahead": AHEAD}

_TAKE = text(
    """
    WITH moment AS MATERIALIZED (
        SELECT CASE
            WHEN CAST(:created AS timestamptz) < clock_timestamp() - CAST(:oldest AS interval) THEN 'too old'
            WHEN CAST(:created AS timestamptz) > clock_timestamp() + CAST(:ahead AS interval) THEN 'ahead'
            WHEN since IS NULL THEN 'forgotten'
            WHEN CAST(:created AS timestamptz) <= since + CAST(:ahead AS interval) THEN 'not remembered'
            ELSE 'in time'
        END AS verdict
        FROM (SELECT 1) AS one LEFT JOIN message_memory ON true
    ), taken AS (
        INSERT INTO message_nonce (sender, nonce, expires)
        SELECT :sender, nonce, clock_timestamp() + CAST(:kept AS interval)
        FROM moment, unnest(CAST(:nonces AS bytea[])) AS nonce
        WHERE verdict = 'in time'
        ON CONFLICT DO NOTHING
        RETURNING 1
    )
    SELECT verdict, (SELECT count(*) FROM taken) FROM moment
    """
)
_REMEMBER = text("INSERT INTO message_memory (since) VALUES (clock_timestamp()) ON CONFLICT DO NOTHING")
_CLEAR = text(
    """
    DELETE FROM message_nonce WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM message_nonce WHERE expires < clock_timestamp()
        ORDER BY expires LIMIT :batch
        FOR UPDATE SKIP LOCKED
    ))
    """
)


class Replayed(NotAuthenticated):
    """This message, or a part of it that is good for one use, was taken before."""

    code: ClassVar[str] = "wsse:InvalidSecurity"


class OutOfTime(NotAuthenticated):
    """The message is more than 300 s old, or more than 60 s ahead of the database's clock."""

    code: ClassVar[str] = "wsu:MessageExpired"


class NotRemembered(Unavailable):
    """The database lost what it had seen; a message that is made a little later is taken."""

    code: ClassVar[str] = "wsu:MessageExpired"


def accept(database: Database, sender: str, nonces: Iterable[bytes], created: datetime) -> None:
    """Take a message, for the first and only time; committed before the message is carried out.

    Only what was verified is taken: anybody could fill the table otherwise, or use up another's nonce.

    Args:
        sender: the centre; nonces of different senders are different.
        nonces: octets that are good for one use: the nonce of the clerk's token or of a request signature,
            and `Verified.digest`. Not the signature's own octets (see there).
        created: aware; when the message says it was made, or the oldest part of it that is good for one use:
            what was made before a crash may have been used before it, also in another message.

    Raises:
        Replayed: one of them was taken before; none is taken now.
        OutOfTime: the message is too old or from the future.
        NotRemembered: it may have been taken before the database crashed.
        DatabaseUnavailable: nothing is known; the message must not be carried out.
    """
    # In one order everywhere, so that two messages never wait for each other.
    hashed = sorted({hashlib.sha256(nonce).digest() for nonce in nonces})
    given = {"sender": sender, "nonces": hashed, "created": created, **_LIMITS}
    # Without a session, which would cost a quarter more for every message.
    with database.errors(), database.engine.begin() as connection:
        verdict, taken = connection.execute(_TAKE, given).one()
        if verdict == "forgotten":
            connection.execute(_REMEMBER)
        elif verdict == "in time" and taken < len(hashed):
            # Within the transaction: what was new of it is not taken either.
            raise _replayed(sender)
        elif secrets.randbelow(_CLEARS_ONE_IN) == 0:
            clear(connection)
    if verdict in ("too old", "ahead"):
        raise _out_of_time(sender)
    if verdict != "in time":
        raise _not_remembered()


def remember(database: Database) -> None:
    """Remember from now on, if a crash ended that; harmless at any time.

    A process that takes messages calls it when it starts: the sooner it is called after a crash, the sooner
    messages are taken again.

    Raises:
        DatabaseUnavailable: it does not answer.
    """
    with database.transaction() as session:
        session.execute(_REMEMBER)


def clear(connection: Connection) -> int:
    """Delete what is too old to come again, at most 1,000 rows a call.

    Nobody needs to call it: one message in 64 does.

    Returns:
        How many were deleted.
    """
    return connection.execute(_CLEAR, {"batch": _BATCH}).rowcount


def _replayed(sender: str) -> Replayed:
    return Replayed(
        "This message was received before.",
        place=sender,
        remedy="Sign each message anew, with a new nonce; a repeated request keeps its idempotency key.",
        message_ar="وصلت هذه الرسالة من قبل؛ وقّع كل رسالة من جديد بقيمة عشوائية (nonce) جديدة.",
    )


def _out_of_time(sender: str) -> OutOfTime:
    return OutOfTime(
        f"The message was made more than {OLDEST.seconds} seconds ago, or over {AHEAD.seconds} from now.",
        place=sender,
        remedy="Set the clock of the machine that signs by a time server, and send the message at once.",
        message_ar=f"مضى على إنشاء الرسالة أكثر من {OLDEST.seconds} ثانية، أو أن وقتها متقدم على وقتنا "
        f"بأكثر من {AHEAD.seconds} ثانية؛ اضبط ساعة الجهاز الذي يوقّع.",
    )


def _not_remembered() -> NotRemembered:
    return NotRemembered(
        "The database stopped without warning, and does not know whether it has seen this message.",
        remedy=f"Sign the message anew in {AHEAD.seconds} seconds.",
        message_ar="توقفت قاعدة البيانات فجأة فلا يُعرف هل وصلت هذه الرسالة من قبل؛ "
        f"وقّعها من جديد بعد {AHEAD.seconds} ثانية.",
    )
