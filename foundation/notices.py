"""Notices: what happened is told to people and programs, once each, at least once.

A circle is some readers and what they are told of which events. Its events are read in order by a cursor that
the database keeps, and each becomes one notice a recipient in the transaction that moves the cursor: whoever
is killed between loses nothing and doubles nothing. Sending is another matter, and tried for days (see
foundation.notice_sending).
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from sqlalchemy.sql import bindparam

from foundation.bidi import isolated
from foundation.chain import JSON
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Unavailable
from foundation.events import StoredEvent, newest, read
from foundation.mail import MailServer
from foundation.notice_recipients import Recipient
from foundation.notice_sending import Sender, give_up, routes_of
from foundation.outgoing import Outgoing
from foundation.secret import SecretFile

_log = logging.getLogger(__name__)

TRIES_FOR = timedelta(days=3)
"""How long after an event a notice of it is given up."""

_PAGE = 500
# Seconds between two looks; before the next after a fault; and between two clearings away.
_PAUSE, _AFTER_FAULT, _BETWEEN_CLEARINGS = 1.0, 10.0, 3_600.0
_STEP = 0.2
# A sender has the last word on what it tried; this is for what none tries any more.
_GRACE = timedelta(hours=2)
_KEPT = timedelta(days=30)
_NOBODY = "No worker sends to this recipient any more."

_WRITTEN = text(
    """
    INSERT INTO notice (reader, cursor, channel, recipient, subject, kind, at, content, next_at)
    VALUES (:reader, :cursor, :channel, :recipient, :subject, :kind, :at, :content, :now)
    ON CONFLICT (reader, cursor, recipient) DO NOTHING
    """
).bindparams(bindparam("content", type_=JSONB))
_FORGOTTEN = text("DELETE FROM notice WHERE state = 'sent' AND ended_at < :before")
_OVERDUE = text(
    """
    UPDATE notice SET state = 'failed', ended_at = :now, last_error = COALESCE(last_error, :reason)
    WHERE state = 'waiting' AND at < :before
      AND (leased_until IS NULL OR leased_until < clock_timestamp())
    RETURNING *
    """
)


@dataclass(frozen=True)
class Telling:
    """What is told of one event.

    Args:
        topic: by which recipients choose; None is for all of them.
        title: one line for people.
        text: lines for people; what is indented is a command.
        data: for programs; never anything that may hold a configuration or a secret.
    """

    topic: str | None
    title: Bilingual
    text: Bilingual
    data: Mapping[str, JSON]


@dataclass(frozen=True)
class Circle:
    """Readers, and what they are told.

    Args:
        reader: its row in the table `notice_reader`, and the group of its letters.
        kinds: beginning of the kinds of events that it reads, as "play.".
        recipients: who is told; none leaves its events unread.
        tell: what an event is to people; None if it is nothing to tell of. It may ask the database. Of an
            event that it has no words for it raises LookupError, TypeError, ValueError or AttributeError.
    """

    reader: str
    kinds: str
    recipients: tuple[Recipient, ...]
    tell: Callable[[Session, StoredEvent], Telling | None]


@dataclass(frozen=True)
class Count:
    """How many notices of a channel wait, and how many were given up in all.

    Args:
        channel: `mail` or `webhook`.
    """

    channel: str
    waiting: int
    failed: int


@dataclass
class Notices:
    """Writes notices and sends them; several workers may do so at a time.

    Args:
        database: migrated.
        circles: who is told of what.
        mail: the mail server.
        outgoing: posts to webhooks.
        secrets: hold what signs.
        clock: the present moment, aware.
        tries_for: how long after an event a notice of it is given up.

    Raises:
        SettingsError: there are recipients of mail, and no mail server.
    """

    database: Database
    circles: Sequence[Circle]
    mail: MailServer
    outgoing: Outgoing
    secrets: SecretFile
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    tries_for: timedelta = TRIES_FOR
    _senders: list[Sender] = field(init=False)

    def __post_init__(self) -> None:
        recipients = list(chain.from_iterable(circle.recipients for circle in self.circles))
        if any(recipient.channel == "mail" for recipient in recipients):
            self.mail.check()
        routes = routes_of(recipients, self.mail, self.outgoing, self.secrets)
        self._senders = [Sender(self.database, route, self.clock, self.tries_for) for route in routes]

    def serve(self, stop: Callable[[], bool]) -> None:
        """Write and send until told to stop; what is under way then is the last."""
        parts: list[tuple[Callable[[], object], float]] = [
            (self.gather, _PAUSE),
            (self.clear, _BETWEEN_CLEARINGS),
            *((partial(sender.send, stop), _PAUSE) for sender in self._senders),
        ]
        with ThreadPoolExecutor(len(parts), "notice") as threads:
            running = [threads.submit(_repeat, act, pause, stop) for act, pause in parts]
            for ended in running:
                ended.result()

    def round(self) -> int:
        """Write what happened, and send what is due, once.

        Returns:
            How many notices were taken.
        """
        self.gather()
        return sum(sender.send(lambda: False) for sender in self._senders)

    def gather(self) -> int:
        """Write the notices of what happened since the last time.

        Returns:
            How many were written.
        """
        written = 0
        for circle in self.circles:
            is_more = bool(circle.recipients)
            while is_more:
                number, is_more = self._page(circle)
                written += number
        return written

    def clear(self) -> None:
        """Give up what nobody tries to send any more, and forget what was sent long ago."""
        now = self.clock()
        with self.database.transaction() as session:
            words = {"now": now, "before": now - self.tries_for - _GRACE, "reason": _NOBODY}
            for notice in session.execute(_OVERDUE, words).mappings().all():
                give_up(session, notice, notice["last_error"])
            session.execute(_FORGOTTEN, {"before": now - _KEPT})

    def _page(self, circle: Circle) -> tuple[int, bool]:
        with self.database.transaction() as session:
            place = session.execute(
                text("SELECT cursor FROM notice_reader WHERE name = :name"), {"name": circle.reader}
            ).one()
            # Looking costs no write, and holds up no other reader of events.
            if place.cursor == newest(session):
                return 0, False
        with self.database.transaction() as session:
            # Whoever gathers at the same time waits here, and then reads on from where we ended.
            cursor = session.execute(
                text("SELECT cursor FROM notice_reader WHERE name = :name FOR UPDATE"),
                {"name": circle.reader},
            ).scalar_one()
            horizon = newest(session)
            found = read(session, after=cursor, kind_prefix=circle.kinds, limit=_PAGE)
            rows = [row for event in found for row in self._rows(session, circle, event)]
            if rows:
                session.execute(_WRITTEN, rows)
            # Nothing of ours up to the horizon: the next look need not go through all of it again.
            session.execute(
                text("UPDATE notice_reader SET cursor = :cursor WHERE name = :name"),
                {"cursor": found[-1].cursor if found else (horizon or cursor), "name": circle.reader},
            )
        return len(rows), len(found) == _PAGE

    def _rows(self, session: Session, circle: Circle, event: StoredEvent) -> list[dict[str, Any]]:
        now = self.clock()
        if event.at < now - self.tries_for:
            # All workers were away for days, or nobody was to be told.
            return []
        telling = _told(circle, session, event)
        if telling is None:
            return []
        people = {"title": telling.title.model_dump(), "text": telling.text.model_dump()}
        return [
            {
                "reader": circle.reader,
                "cursor": event.cursor,
                "channel": recipient.channel,
                "recipient": recipient.address,
                "subject": event.subject,
                "kind": event.kind,
                "at": event.at,
                "content": people if recipient.channel == "mail" else {"data": dict(telling.data)},
                "now": now,
            }
            for recipient in circle.recipients
            if telling.topic is None or telling.topic in recipient.topics
        ]


def counts(session: Session) -> list[Count]:
    """How many notices wait and were given up, by channel; both channels always."""
    rows = session.execute(
        text(
            """
            SELECT channel, count(*) FILTER (WHERE state = 'waiting') AS waiting,
                   count(*) FILTER (WHERE state = 'failed') AS failed
            FROM notice WHERE state IN ('waiting', 'failed') GROUP BY channel
            """
        )
    )
    found = {row.channel: Count(row.channel, row.waiting, row.failed) for row in rows}
    return [found.get(channel, Count(channel, 0, 0)) for channel in ("mail", "webhook")]


def _told(circle: Circle, session: Session, event: StoredEvent) -> Telling | None:
    try:
        return circle.tell(session, event)
    except (LookupError, TypeError, ValueError, AttributeError):
        # One event that we have no words for must not keep all later ones from everybody, nor be kept silent.
        _log.exception("There are no words for %s of %s.", event.kind, event.subject)
        bare = f"{isolated(event.kind)}: {isolated(event.subject)}"
        both = Bilingual(ar=f"حدث {bare}", en=f"Event {bare}")
        return Telling(None, both, both, {})


def _repeat(act: Callable[[], object], pause: float, stop: Callable[[], bool]) -> None:
    while not stop():
        wait = pause
        try:
            act()
        except Unavailable as error:
            _log.warning("Notices wait: %s", error)
            wait = _AFTER_FAULT
        except Exception:  # noqa: BLE001 -- logged with its trace
            # A fault met once must not end the times to come.
            _log.exception("A notice failed.")
            wait = _AFTER_FAULT
        limit = time.monotonic() + wait
        while not stop() and (left := limit - time.monotonic()) > 0:
            time.sleep(min(_STEP, left))
