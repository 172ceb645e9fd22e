"""Time in state: how long cases stayed in each state, by service, procedure and place.

A projection of the events `case.moved`: each says which state a case left, and how long it was there by the
clock and by the office's working time. They are counted into buckets, once each: the counts and the place in
the order of events change in one transaction. What an event does not say is not counted.
"""

import logging
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import ARRAY, BigInteger, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.database import Base, Database
from foundation.errors import RakeezaError
from foundation.events import StoredEvent, newest, read
from integrations.cases.numbers import is_test

_log = logging.getLogger(__name__)

_MOVED = "case.moved"
_HOUR, _DAY = 3_600, 86_400
# A working day of the sample calendar; the buckets of working time follow it.
_WORKDAY = 7 * _HOUR

STAYED_BOUNDS = (
    *(900, 1_800, _HOUR, 2 * _HOUR, 4 * _HOUR, 8 * _HOUR),
    *(days * _DAY for days in (1, 2, 3, 5, 7, 10, 14, 21, 30, 60, 90, 180)),
)
"""Upper bounds of the buckets by the clock, in seconds; one more bucket has none."""
WORKING_BOUNDS = (
    *(900, 1_800, _HOUR, 2 * _HOUR, 4 * _HOUR),
    *(days * _WORKDAY for days in (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 60, 120)),
)
"""Upper bounds of the buckets of working time, in seconds; one more bucket has none."""


class StayRow(Base):
    """The stays in one state at one place; without a place it is empty."""

    __tablename__ = "case_stay"

    service: Mapped[str] = mapped_column(Text, primary_key=True)
    procedure: Mapped[str] = mapped_column(Text, primary_key=True)
    state: Mapped[str] = mapped_column(Text, primary_key=True)
    place: Mapped[str] = mapped_column(Text, primary_key=True)
    count: Mapped[int] = mapped_column(BigInteger)
    stayed_s: Mapped[int] = mapped_column(BigInteger)
    working_s: Mapped[int] = mapped_column(BigInteger)
    stayed_buckets: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    working_buckets: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))


class StayReader(Base):
    """How far the events are counted; one row."""

    __tablename__ = "case_stay_reader"

    id: Mapped[int] = mapped_column(primary_key=True)
    cursor: Mapped[str | None] = mapped_column(Text)


@dataclass(frozen=True)
class Stay:
    """How long cases stayed in a state at a place, in working hours.

    Args:
        service, procedure, state: what they were in.
        place: where; empty if the cases have none.
        count: how many left it.
        mean: exact.
        p50, p90: upper bounds of the buckets that half and nine tenths fall into; None if that bucket is the
            last one, which has no bound.
        beyond: the greatest bound there is: what a None is longer than.
    """

    service: str
    procedure: str
    state: str
    place: str
    count: int
    mean: float
    p50: float | None
    p90: float | None
    beyond: float = WORKING_BOUNDS[-1] / _HOUR


def gather(database: Database, limit: int = 5_000) -> int:
    """Count the next events, each exactly once, however many gather at the same time.

    Args:
        database: migrated.
        limit: most events read in this call.

    Returns:
        How many were read; as many as `limit` means that there may be more.
    """
    with database.transaction() as session:
        # Whoever gathers at the same time waits here, and then reads on from where we ended.
        reader = session.get_one(StayReader, 1, with_for_update=True)
        horizon = newest(session)
        found = read(session, after=reader.cursor, kind_prefix=_MOVED, limit=limit)
        # Nothing of ours up to the horizon: the next call need not look through all of it again.
        reader.cursor = found[-1].cursor if found else (horizon or reader.cursor)
        _count(session, found)
    return len(found)


def summary(session: Session, service: str | None = None) -> list[Stay]:
    """How long cases stayed in each state, by procedure and place.

    Args:
        session: any.
        service: only of this one.
    """
    query = select(StayRow).order_by(StayRow.service, StayRow.procedure, StayRow.state, StayRow.place)
    if service is not None:
        query = query.where(StayRow.service == service)
    return [
        Stay(
            service=row.service,
            procedure=row.procedure,
            state=row.state,
            place=row.place,
            count=row.count,
            mean=row.working_s / row.count / _HOUR,
            p50=_hours(row.working_buckets, 50),
            p90=_hours(row.working_buckets, 90),
        )
        for row in session.scalars(query)
    ]


class StayCollector(Collector):
    """The stays as histograms for Prometheus; a database that does not answer gives no sample.

    Args:
        database: migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """The families without samples: what is registered must not wait for the database."""
        return _families()

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The families as of now; without samples if the database does not answer."""
        try:
            return self.read()
        except RakeezaError as error:
            _log.warning("The time in state is not known now: %s", error)
            return _families()

    def read(self) -> tuple[HistogramMetricFamily, HistogramMetricFamily]:
        """The families as of now.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        clock, working = _families()
        with self._database.transaction() as session:
            rows = session.scalars(select(StayRow)).all()
        for row in rows:
            labels = (row.service, row.procedure, row.state, row.place)
            clock.add_metric(labels, _cumulative(STAYED_BOUNDS, row.stayed_buckets), row.stayed_s)
            working.add_metric(labels, _cumulative(WORKING_BOUNDS, row.working_buckets), row.working_s)
        return (clock, working)


def _families() -> tuple[HistogramMetricFamily, HistogramMetricFamily]:
    labels = ("service", "procedure", "state", "place")
    return (
        HistogramMetricFamily(
            "rakeeza_case_state_duration_seconds",
            "Time by the clock that cases stayed in the state they left.",
            labels=labels,
        ),
        HistogramMetricFamily(
            "rakeeza_case_state_working_duration_seconds",
            "Working time that cases stayed in the state they left.",
            labels=labels,
        ),
    )


def _count(session: Session, events: Sequence[StoredEvent]) -> None:
    rows: dict[tuple[str, str, str, str], StayRow] = {}
    for event in events:
        said = event.payload
        key = _key(said)
        stayed, working = _whole(said, "stayed_s"), _whole(said, "working_s")
        if event.kind != _MOVED or key is None or stayed is None or working is None:
            continue
        if is_test(event.subject.removeprefix("case/")):
            continue
        if key not in rows:
            rows[key] = session.get(StayRow, key) or _new(session, key)
        row = rows[key]
        row.count += 1
        row.stayed_s += stayed
        row.working_s += working
        row.stayed_buckets = _one_more(row.stayed_buckets, STAYED_BOUNDS, stayed)
        row.working_buckets = _one_more(row.working_buckets, WORKING_BOUNDS, working)


def _key(said: dict[str, Any]) -> tuple[str, str, str, str] | None:
    service, procedure, state = (said.get(name) for name in ("service", "procedure", "from"))
    if not (isinstance(service, str) and isinstance(procedure, str) and isinstance(state, str) and state):
        return None
    place = said.get("place")
    return service, procedure, state, place if isinstance(place, str) else ""


def _whole(said: dict[str, Any], name: str) -> int | None:
    value = said.get(name)
    return value if type(value) is int and 0 <= value < 2**40 else None


def _new(session: Session, key: tuple[str, str, str, str]) -> StayRow:
    service, procedure, state, place = key
    row = StayRow(
        service=service,
        procedure=procedure,
        state=state,
        place=place,
        count=0,
        stayed_s=0,
        working_s=0,
        stayed_buckets=[0] * (len(STAYED_BOUNDS) + 1),
        working_buckets=[0] * (len(WORKING_BOUNDS) + 1),
    )
    session.add(row)
    return row


def _one_more(buckets: list[int], bounds: tuple[int, ...], seconds: int) -> list[int]:
    # A new list: SQLAlchemy sees no change within one.
    place = bisect_left(bounds, seconds)
    return [*buckets[:place], buckets[place] + 1, *buckets[place + 1 :]]


def _cumulative(bounds: tuple[int, ...], buckets: list[int]) -> list[tuple[str, float]]:
    names = [*(str(float(bound)) for bound in bounds), "+Inf"]
    return list(zip(names, map(float, accumulate(buckets)), strict=True))


def _hours(buckets: list[int], percent: int) -> float | None:
    sums = list(accumulate(buckets))
    # The least bucket by which so many of all have ended; in whole numbers, so that nothing is rounded.
    place = next(place for place, so_far in enumerate(sums) if so_far * 100 >= percent * sums[-1])
    return WORKING_BOUNDS[place] / _HOUR if place < len(WORKING_BOUNDS) else None
