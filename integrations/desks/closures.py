"""Follows the closures: open cases whose deadline one of them touches are reckoned anew, exactly once.

The closures' events are read by a cursor that is kept. For each event the open cases are walked by their ids
in batches; how far the walk is, is kept in the transaction that moves the deadlines of the batch. A worker
that is killed loses nothing and does nothing twice, and of two one waits for the other.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Select, Text, and_, or_
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation import audit, events
from foundation.closures import ADDED, CHAIN, ENDED, WITHDRAWN
from foundation.database import Base
from foundation.errors import Unavailable
from foundation.jobs import NewJob
from integrations.cases import case_store, deadlines
from integrations.cases.case import Case, Work
from integrations.cases.case_store import CASES
from integrations.cases.moves import CLOCK
from integrations.desks.desk import Desk

_log = logging.getLogger(__name__)


class DeadlineReader(Base):
    """How far the closures are followed; one row."""

    __tablename__ = "case_deadline_reader"

    id: Mapped[int] = mapped_column(primary_key=True)
    cursor: Mapped[str | None] = mapped_column(Text)
    last_case: Mapped[int] = mapped_column(BigInteger)


@dataclass(frozen=True)
class _Touch:
    """What a closure touches.

    Args:
        starts, until: its span; what still holds ends now.
        place: None is everywhere.
        withdrawn: it holds no more.
    """

    closure: int
    starts: datetime
    until: datetime
    place: str | None
    withdrawn: bool


def follow_closures(desk: Desk, limit: int = 100, settled: timedelta = timedelta()) -> bool:
    """Reckon the next open cases anew that a closure touches.

    Args:
        limit: cases locked at once.
        settled: age from which an event is followed; others may believe for so long what was before it.

    Returns:
        Whether there may be more to do now.

    Raises:
        Unavailable: PostgreSQL does not answer; nothing of the batch is done.
    """
    with desk.database.transaction() as session:
        # Whoever follows at the same time waits here, and then goes on where we ended.
        reader = session.get_one(DeadlineReader, 1, with_for_update=True)
        horizon = events.newest(session)
        found = events.read(session, after=reader.cursor, subject=CHAIN, limit=1)
        if not found:
            # Nothing of ours up to the horizon: the next call need not look through all of it again.
            reader.cursor = horizon or reader.cursor
            return False
        event = found[0]
        if datetime.now(UTC) - event.at < settled:
            return False
        cases: list[Case] = []
        if event.kind in (ADDED, ENDED, WITHDRAWN):
            touch = _touch(event.payload, event.kind == WITHDRAWN, desk.clock())
            rows = session.execute(_touched(touch, reader.last_case, limit)).mappings()
            cases = [case_store.read(row) for row in rows]
            _move(desk, session, cases, touch)
        if len(cases) < limit:
            reader.cursor, reader.last_case = event.cursor, 0
        else:
            reader.last_case = cases[-1].id
        return True


def _touch(said: Mapping[str, Any], withdrawn: bool, now: datetime) -> _Touch:
    until = datetime.fromisoformat(said["ends_at"]) if said["ends_at"] is not None else now
    return _Touch(said["id"], datetime.fromisoformat(said["starts_at"]), until, said["place"], withdrawn)


def _touched(touch: _Touch, after: int, limit: int) -> Select[Any]:
    # A case without a deadline may wait for parties, each with a period of its own.
    ends = or_(CASES.c.due >= touch.starts, CASES.c.timer_at >= touch.starts)
    running = and_(CASES.c.entered_at < touch.until, ends)
    promised = and_(CASES.c.submitted_at < touch.until, CASES.c.promised_for >= touch.starts)
    query = case_store.ALL.where(CASES.c.closed_at.is_(None), CASES.c.id > after, or_(running, promised))
    if touch.place is not None:
        query = query.where(CASES.c.place == touch.place)
    return query.order_by(CASES.c.id).limit(limit).with_for_update()


def _move(desk: Desk, session: Session, cases: list[Case], touch: _Touch) -> None:
    told: list[tuple[str, str, Mapping[str, Any]]] = []
    jobs: list[NewJob] = []
    desk.office.working_time(session, touch.place, fresh=True)
    for case in cases:
        at = max(desk.clock(), case.changed_at)
        try:
            # Nothing of a person is needed: the envelope stays sealed.
            service = desk.definitions.of(session, case)
            work = Work(session, case, service, desk.office, CLOCK, at, {}, {})
            changed = deadlines.reckon(work, desk.definitions, touch.closure, touch.withdrawn)
        except Unavailable:
            raise
        except Exception:  # noqa: BLE001 -- logged with its trace
            # Its own clock reckons anew before it acts; one case must not hold up all others.
            _log.exception("The deadline of the case %s could not be reckoned anew.", case.number)
            continue
        if changed:
            case_store.save(session, case)
            audit.record_all(session, chain=case.context, entries=work.entries)
            told += work.events
            jobs += work.jobs
    events.publish_all(session, told)
    desk.office.jobs.enqueue_all(session, jobs)
