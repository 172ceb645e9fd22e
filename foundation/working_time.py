"""Working time: deadlines in working days and clock hours, and how long something took while we worked.

A deadline of N working days ends when the office closes on the N-th working day after the day it began on.
A day counts as a working day if at least half of its hours are left after all closures, and if the office is
open when that day's hours end: a deadline must never run out while nobody could act on it.

Clock hours run day and night, and stand still while an outage of ours lasts; a holiday or a closed office
does not stop them.

What is reckoned depends only on the calendar and on the closures given; see `Closures.bearing` for those of
a place. For a deadline that binds the office itself, an outage of its own is no excuse: see
`WorkingTime.despite_outages`.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from foundation.calendar import FIRST_DATE, LAST_DATE
from foundation.closures import Closure, Closures
from foundation.errors import InvalidInput
from foundation.working_calendar import DEFAULT, Table, WorkingCalendar, load_calendars

__all__ = ["DEFAULT", "Closure", "Closures", "WorkingCalendar", "WorkingTime", "load_calendars"]


class WorkingTime:
    """A calendar, less some closures.

    Args:
        calendar: of the office.
        closures: all of them are taken, wherever they are; they may overlap.
    """

    def __init__(self, calendar: WorkingCalendar, closures: Sequence[Closure] = ()) -> None:
        self._calendar = calendar
        self._closures = tuple(closures)
        self._zone = calendar.place
        self._table = calendar.table
        self._outages = _merged((one.starts, one.until) for one in closures if one.ours)
        self._shut = _seconds(_merged((one.starts, one.until) for one in closures))
        self._lost = self._lost_days(self._shut)
        # Working seconds shut before each closure; one more is the sum.
        self._shut_before = [0]
        for start, end in self._shut:
            self._shut_before.append(
                self._shut_before[-1] + self._open_before(end) - self._open_before(start)
            )

    @cached_property
    def despite_outages(self) -> "WorkingTime":
        """The same without outages of ours: for what binds the office, whose own faults are no excuse."""
        if not self._outages:
            return self
        return WorkingTime(self._calendar, [one for one in self._closures if not one.ours])

    def is_working_day(self, day: date) -> bool:
        """Whether a day counts as a working day, by the rule above.

        Raises:
            InvalidInput: it lies outside the Umm al-Qura table.
        """
        ordinal = _within(day).toordinal()
        return self._index(ordinal) is not None and not _holds(self._lost, ordinal)

    def opening(self, day: date) -> list[tuple[datetime, datetime]]:
        """When the office is open on a day, in UTC, less the closures; empty if it is not.

        Raises:
            InvalidInput: the day lies outside the Umm al-Qura table.
        """
        place = self._index(_within(day).toordinal())
        if place is None:
            return []
        left = [
            part
            for span in range(self._table.first[place], self._table.first[place + 1])
            for part in self._less_closures(self._table.opens[span], self._table.closes[span])
        ]
        return [(_moment(opens), _moment(closes)) for opens, closes in left]

    def after_working_days(self, start: datetime, days: int) -> datetime:
        """When the office closes on the N-th working day after the day of a moment, in UTC.

        Args:
            start: an aware moment; its own day never counts.
            days: at least 1.

        Raises:
            InvalidInput: fewer than 1 day, or the answer lies beyond 1500 H.
        """
        if days < 1:
            raise InvalidInput(f"{days} working days are no span.", remedy="Give 1 or more.")
        table, lost = self._table, self._lost
        began = _aware(start).astimezone(self._zone)
        if began.date() < FIRST_DATE:
            raise _outside()
        ordinal = began.toordinal()
        wanted = bisect_right(table.days, ordinal) - 1 + days
        passed = bisect_right(lost, ordinal)
        place = wanted
        # Each lost day on the way takes one more; those may be lost again.
        while place < len(table.days):
            further = wanted + bisect_right(lost, table.days[place]) - passed
            if further == place:
                return _moment(table.closes[table.first[place + 1] - 1])
            place = further
        raise _outside()

    def after_hours(self, start: datetime, hours: int) -> datetime:
        """The first moment by which so many clock hours have passed without an outage of ours, in UTC.

        Args:
            start: an aware moment.
            hours: not negative.

        Raises:
            InvalidInput: negative hours, or the answer lies beyond 1500 H.
        """
        if hours < 0:
            raise InvalidInput(f"{hours} hours are no span.", remedy="Give 0 or more.")
        moment = _aware(start).astimezone(UTC)
        try:
            left = timedelta(hours=hours)
            for begins, ends in self._outages[bisect_right(self._outages, moment, key=lambda one: one[1]) :]:
                running = max(begins - moment, timedelta())
                if running >= left:
                    break
                left -= running
                moment = ends
            moment += left
        except OverflowError as error:
            raise _outside() from error
        if not self._table.begins <= moment.timestamp() < self._table.ends:
            raise _outside()
        return moment

    def working_seconds(self, start: datetime, end: datetime) -> int:
        """Whole seconds that the office was open from one moment to another; each is cut to its second.

        Args:
            start, end: aware moments; a clock that was set back between them gives 0.

        Raises:
            InvalidInput: one of them lies outside the Umm al-Qura table.
        """
        begins, ends = math.floor(_aware(start).timestamp()), math.floor(_aware(end).timestamp())
        if min(begins, ends) < self._table.begins or max(begins, ends) >= self._table.ends:
            raise _outside()
        return self._left_before(ends) - self._left_before(begins) if begins < ends else 0

    def outage_days(self, start: date, end: date) -> int:
        """Days of the calendar that do not count as working days because of outages of ours alone.

        Args:
            start, end: first and last day looked at.

        Raises:
            InvalidInput: one of them lies outside the Umm al-Qura table.
        """
        lost = self._lost_days(_seconds(self._outages))
        first, last = _within(start).toordinal(), _within(end).toordinal()
        return max(0, bisect_right(lost, last) - bisect_left(lost, first))

    def _index(self, ordinal: int) -> int | None:
        place = bisect_left(self._table.days, ordinal)
        found = place < len(self._table.days) and self._table.days[place] == ordinal
        return place if found else None

    def _open_before(self, second: int) -> int:
        span = bisect_right(self._table.opens, second) - 1
        if span < 0:
            return 0
        return self._table.before[span] + min(second, self._table.closes[span]) - self._table.opens[span]

    def _left_before(self, second: int) -> int:
        place = bisect_right(self._shut, second, key=lambda one: one[0])
        shut = self._shut_before[place]
        if place and second < self._shut[place - 1][1]:
            # In the midst of a closure: what of it is still to come is not yet lost.
            shut -= self._open_before(self._shut[place - 1][1]) - self._open_before(second)
        return self._open_before(second) - shut

    def _less_closures(self, opens: int, closes: int) -> Iterable[tuple[int, int]]:
        place = bisect_right(self._shut, opens, key=lambda one: one[1])
        for begins, ends in self._shut[place:]:
            if begins >= closes:
                break
            if opens < begins:
                yield opens, begins
            opens = max(opens, ends)
        if opens < closes:
            yield opens, closes

    def _lost_days(self, shut: list[tuple[int, int]]) -> list[int]:
        table = self._table
        closed: dict[int, int] = {}
        at_its_end: set[int] = set()
        for begins, ends in shut:
            span = bisect_right(table.closes, begins)
            while span < len(table.opens) and table.opens[span] < ends:
                place = bisect_right(table.first, span) - 1
                overlap = min(ends, table.closes[span]) - max(begins, table.opens[span])
                closed[place] = closed.get(place, 0) + overlap
                if span + 1 == table.first[place + 1] and ends >= table.closes[span]:
                    at_its_end.add(place)
                span += 1
        return [
            table.days[place]
            for place, seconds in sorted(closed.items())
            if place in at_its_end or 2 * seconds > _length(table, place)
        ]


def _length(table: Table, place: int) -> int:
    return table.before[table.first[place + 1]] - table.before[table.first[place]]


def _merged(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    merged: list[tuple[datetime, datetime]] = []
    for begins, ends in sorted((_aware(begins), _aware(ends)) for begins, ends in spans):
        if merged and begins <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ends))
        elif begins < ends:
            merged.append((begins.astimezone(UTC), ends.astimezone(UTC)))
    return merged


def _seconds(spans: list[tuple[datetime, datetime]]) -> list[tuple[int, int]]:
    return [(math.floor(begins.timestamp()), math.floor(ends.timestamp())) for begins, ends in spans]


def _holds(ordered: list[int], value: int) -> bool:
    place = bisect_left(ordered, value)
    return place < len(ordered) and ordered[place] == value


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("the clock must be aware of its zone")
    return moment


def _within(day: date) -> date:
    if not FIRST_DATE <= day <= LAST_DATE:
        raise _outside()
    return day


def _moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _outside() -> InvalidInput:
    return InvalidInput(
        f"The day lies outside the calendar's table, {FIRST_DATE} to {LAST_DATE}.",
        remedy="Give a day or a span within it.",
        message_ar="التاريخ خارج نطاق التقويم المعتمد (1343هـ إلى 1500هـ).",
    )
