"""Durable events: rows written in the transaction that causes them, read by cursor.

A reader by number alone would miss events: a transaction may commit after another that took a higher
number. So an event also carries its transaction, and is shown only once every transaction that began writing
before it has ended. Then the order (transaction, number) never grows behind a reader's cursor. The price: an
open writing transaction holds back everything that began after it, so transactions are kept short.

NOTIFY only wakes the readers; what they miss they find by reading.

Source: PostgreSQL 18 manual, section 9.28.5 (pg_current_snapshot), NOTIFY.
"""

import contextlib
import functools
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import DatabaseUnavailable, Malformed

_log = logging.getLogger(__name__)

CHANNEL = "rakeeza_event"
"""What NOTIFY wakes the readers by; its payload is the subject."""

Place = tuple[int, int]
"""Where an event stands among all: its transaction, and its number."""

_LIMIT = 500
# Seconds: between two looks when nothing wakes us; after a wake that found its event still held back; between
# two questions whether to stop; before a new connection.
_POLL = 2.0
_SOON = 0.05
_STOP_STEP = 0.25
_PAUSE = 0.5

WRITTEN = """
    INSERT INTO event (kind, subject, payload)
    SELECT event ->> 0, event ->> 1, event -> 2
    FROM jsonb_array_elements(CAST(:events AS jsonb)) WITH ORDINALITY AS given (event, number)
    WHERE {condition}
    ORDER BY number
    RETURNING subject
"""
"""What writes events, for a larger statement that calls it `written`; of the parameters of `words`."""
TOUCHED = "(SELECT DISTINCT subject FROM written) AS touched"
"""The subjects that `pg_notify(:channel, subject)` is to be called for, beside `WRITTEN`."""
_PUBLISH = text(
    f"WITH written AS ({WRITTEN.format(condition='true')}) SELECT pg_notify(:channel, subject) FROM {TOUCHED}"
)

_READ = text(
    """
    SELECT transaction::text || '-' || id AS cursor, kind, subject, payload, at
    FROM event
    WHERE transaction < pg_snapshot_xmin(pg_current_snapshot())
      AND (transaction, id) > (CAST(CAST(:transaction AS text) AS xid8), CAST(:id AS bigint))
      AND (CAST(:subject AS text) IS NULL OR subject = :subject)
      AND (CAST(:subjects AS text[]) IS NULL OR subject = ANY (CAST(:subjects AS text[])))
      AND (CAST(:kind_prefix AS text) IS NULL OR starts_with(kind, :kind_prefix))
    ORDER BY transaction, id
    LIMIT :limit
    """
)


@dataclass(frozen=True)
class StoredEvent:
    """An event as it was published.

    Args:
        cursor: its place in the order of all events; opaque, and given back to read on from there.
        kind: what happened, as "play.host_ok".
        subject: to what, as "play/7".
        payload: JSON object.
        at: when it was published, in UTC.
    """

    cursor: str
    kind: str
    subject: str
    payload: dict[str, Any]
    at: datetime

    @functools.cached_property
    def told(self) -> str:
        """What its readers are sent, as JSON; made once for all of them."""
        data = {"subject": self.subject, "at": self.at.isoformat(), **self.payload}
        return json.dumps(data, ensure_ascii=False)


def publish(session: Session, kind: str, subject: str, payload: Mapping[str, Any]) -> None:
    """Write an event in the caller's transaction; see `publish_all`."""
    publish_all(session, [(kind, subject, payload)])


def publish_all(session: Session, events: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
    """Write events in the caller's transaction: they exist if and only if that commits, in this order.

    Args:
        events: kind, what happened, as "play.host_ok"; subject, to what, as "play/7", at most 200 characters;
            payload, a JSON object.
    """
    if events:
        session.execute(_PUBLISH, words(events))


def words(events: Sequence[tuple[str, str, Mapping[str, Any]]]) -> dict[str, str]:
    """The parameters of `WRITTEN`, and the channel that wakes the readers."""
    # One parameter: the driver takes longer to write lists than we take to write JSON.
    rows = [(kind, subject, dict(payload)) for kind, subject, payload in events]
    return {"events": json.dumps(rows), "channel": CHANNEL}


def read(
    session: Session,
    *,
    after: str | None,
    subject: str | None = None,
    subjects: Sequence[str] | None = None,
    kind_prefix: str | None = None,
    limit: int = _LIMIT,
) -> list[StoredEvent]:
    """The next events after a cursor, in the order that every reader sees.

    Args:
        after: cursor of the last event seen; None reads from the first.
        subject: only of this subject.
        subjects: only of these.
        kind_prefix: only of kinds that begin so, as "play.".
        limit: most events to return.

    Raises:
        Malformed: `after` is no cursor.
    """
    transaction, number = place(after)
    rows = session.execute(
        _READ,
        {
            "transaction": str(transaction),
            "id": number,
            "subject": subject,
            "subjects": None if subjects is None else list(subjects),
            "kind_prefix": kind_prefix,
            "limit": limit,
        },
    )
    return [StoredEvent(r.cursor, r.kind, r.subject, r.payload, r.at.astimezone(UTC)) for r in rows]


def newest(session: Session) -> str | None:
    """The cursor of the last event that can be read now, to follow only what comes; None without events."""
    return session.execute(
        text(
            "SELECT transaction::text || '-' || id FROM event "
            "WHERE transaction < pg_snapshot_xmin(pg_current_snapshot()) "
            "ORDER BY transaction DESC, id DESC LIMIT 1"
        )
    ).scalar_one_or_none()


def follow(
    database: Database,
    *,
    after: str | None,
    subject: str | None = None,
    kind_prefix: str | None = None,
    stop: Callable[[], bool],
) -> Iterator[StoredEvent]:
    """Every event after a cursor, and then those to come; blocks, and survives a restart of PostgreSQL.

    Args:
        after: cursor of the last event seen; None begins with the first.
        subject: only of this subject.
        kind_prefix: only of kinds that begin so.
        stop: asked several times a second.

    Raises:
        Malformed: `after` is no cursor.
    """
    reader = _Reader(database, after, subject, kind_prefix)
    while not stop():
        try:
            with psycopg.connect(database.connection_info, autocommit=True) as listener:
                listener.execute(f"LISTEN {CHANNEL}")
                while not stop():
                    yield from reader.batch()
                    limit = time.monotonic() + reader.wait
                    while not stop() and (left := limit - time.monotonic()) > 0:
                        notices = listener.notifies(timeout=min(left, _STOP_STEP), stop_after=1)
                        subjects = [notice.payload for notice in notices]
                        if any(map(reader.wakes, subjects)):
                            break
        except (psycopg.OperationalError, DatabaseUnavailable) as error:
            _log.warning("Events wait for PostgreSQL: %s", error)
            limit = time.monotonic() + _PAUSE
            while not stop() and time.monotonic() < limit:
                time.sleep(_SOON)


def _never() -> bool:
    return False


async def afollow(
    database: Database,
    *,
    after: str | None,
    subject: str | None = None,
    kind_prefix: str | None = None,
    stop: Callable[[], bool] = _never,
) -> AsyncGenerator[StoredEvent, None]:
    """`follow` for an event loop; ends by `stop`, or when the iterator is closed or its task cancelled.

    All that follow in one loop share one connection that listens, and one query: see `event_hub`.
    """
    # It reads by what stands here.
    from foundation import event_hub

    following = event_hub.follow(
        database,
        after=place(after),
        subject=subject,
        kind_prefix=kind_prefix,
        stop=None if stop is _never else stop,
    )
    async with contextlib.aclosing(following):
        async for event in following:
            yield event


class _Reader:
    """Where a follower stands, and how long it may sleep."""

    def __init__(
        self, database: Database, after: str | None, subject: str | None, kind_prefix: str | None
    ) -> None:
        place(after)
        self._database = database
        self._after = after
        self._subject = subject
        self._kind_prefix = kind_prefix
        self.wait = 0.0

    def batch(self) -> list[StoredEvent]:
        with self._database.transaction() as session:
            found = read(session, after=self._after, subject=self._subject, kind_prefix=self._kind_prefix)
        if found:
            self._after = found[-1].cursor
        # What woke us may still be held back by an older transaction, whose end wakes nobody: look again
        # soon, then ever later.
        self.wait = 0.0 if len(found) == _LIMIT else min(_POLL, max(_SOON, self.wait * 2))
        return found

    def wakes(self, subject: str) -> bool:
        if self._subject not in (None, subject):
            return False
        self.wait = 0.0
        return True


def place(cursor: str | None) -> Place:
    """Where a cursor stands; None before the first event.

    Raises:
        Malformed: it is no cursor.
    """
    if cursor is None:
        return 0, 0
    with contextlib.suppress(ValueError):
        transaction, number = (int(part) for part in cursor.split("-"))
        if 0 <= transaction < 2**64 and 0 <= number < 2**63:
            return transaction, number
    raise Malformed(
        f"{cursor[:60]!r} is no cursor of an event.", remedy="Give back one that was read, or none."
    )


def cursor_at(at: Place) -> str:
    """The cursor of a place."""
    return f"{at[0]}-{at[1]}"
