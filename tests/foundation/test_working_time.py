"""Working time against announced days, against a reckoning day by day, and with closures of every shape."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from foundation.calendar import LAST_DATE, HijriDate, hijri
from foundation.definitions import Bilingual
from foundation.errors import InvalidInput
from foundation.working_time import (
    DEFAULT,
    Closure,
    WorkingTime,
    load_calendars,
)

RIYADH = ZoneInfo("Asia/Riyadh")
CALENDAR = load_calendars().get(DEFAULT)
PLAIN = WorkingTime(CALENDAR)
WHY = Bilingual(ar="عطل", en="Outage")

# Several years with both Eids and Ramadan in winter and in summer.
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2032, 12, 31), timezones=st.just(UTC))
SPANS = st.tuples(MOMENTS, st.timedeltas(timedelta(minutes=1), timedelta(days=12)), st.booleans())
CLOSURES = st.lists(SPANS, max_size=6).map(
    lambda spans: [Closure(begins, begins + length, WHY, ours) for begins, length, ours in spans]
)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=RIYADH)


def clock(spans: list[tuple[datetime, datetime]]) -> list[str]:
    return [f"{opens.astimezone(RIYADH):%H:%M}-{closes.astimezone(RIYADH):%H:%M}" for opens, closes in spans]


def shut(begins: str, until: str, ours: bool = True) -> Closure:
    return Closure(local(begins), local(until), WHY, ours)


@pytest.mark.parametrize(
    ("last", "next_"),
    [
        # Announced: the Eid of 1447 from the end of Thursday 23 Ramadan to Tuesday 5 Shawwal.
        (date(2026, 3, 12), date(2026, 3, 25)),
        # Announced at first: the Eid of 1438 from the end of Monday 24 Ramadan.
        (date(2017, 6, 19), date(2017, 7, 2)),
        # Announced: the Adha of 1438 from the end of Thursday 2 Dhu al-Hijjah; 16 Dhu al-Hijjah, a single
        # Thursday before the weekend, was free.
        (date(2017, 8, 24), date(2017, 9, 10)),
        # National Day of 2023 on a Saturday gives Sunday; Foundation Day of 2030 on a Friday gives Thursday.
        (date(2023, 9, 21), date(2023, 9, 25)),
        (date(2030, 2, 20), date(2030, 2, 24)),
        # Foundation Day of 2023 on a Wednesday made Thursday free.
        (date(2023, 2, 21), date(2023, 2, 26)),
    ],
)
def test_between_two_working_days_lies_an_announced_holiday(last: date, next_: date) -> None:
    days = [last + timedelta(days=number) for number in range((next_ - last).days + 1)]
    assert [day for day in days if PLAIN.is_working_day(day)] == [last, next_]


def test_a_holiday_is_none_before_it_was_made_one() -> None:
    assert PLAIN.is_working_day(date(2021, 2, 22))
    assert not PLAIN.is_working_day(date(2022, 2, 22))


def test_days_open_by_their_own_hours_in_riyadh_which_never_changes_its_clock() -> None:
    assert clock(PLAIN.opening(date(2026, 11, 22))) == ["07:30-14:30"]
    assert clock(PLAIN.opening(date(2026, 3, 12))) == ["10:00-15:00"]
    assert PLAIN.opening(date(2026, 3, 20)) == PLAIN.opening(date(2026, 11, 20)) == []
    for day in (date(2026, 1, 4), date(2026, 7, 5)):
        ((opens, closes),) = PLAIN.opening(day)
        assert (opens.hour, opens.minute, closes.hour, closes.tzinfo) == (4, 30, 11, UTC)


@pytest.mark.parametrize(
    ("start", "days", "ends"),
    [
        ("2026-11-22T09:30", 1, "2026-11-23T14:30"),
        # The day it begins on never counts, at whatever hour.
        ("2026-11-22T00:00", 1, "2026-11-23T14:30"),
        ("2026-11-22T23:59", 1, "2026-11-23T14:30"),
        ("2026-11-19T10:00", 1, "2026-11-22T14:30"),
        ("2026-11-20T10:00", 10, "2026-12-03T14:30"),
        # Across Ramadan and the Eid.
        ("2026-03-11T10:00", 1, "2026-03-12T15:00"),
        ("2026-03-11T10:00", 2, "2026-03-25T14:30"),
    ],
)
def test_a_deadline_ends_with_the_work_of_its_last_day(start: str, days: int, ends: str) -> None:
    assert PLAIN.after_working_days(local(start), days) == local(ends)


@pytest.mark.parametrize(
    ("closures", "counts"),
    [
        # Of the seven hours from 07:30 to 14:30:
        ([shut("2026-11-23T07:30", "2026-11-23T11:00")], True),  # exactly half is left
        ([shut("2026-11-23T07:30", "2026-11-23T11:01")], False),
        ([shut("2026-11-23T00:00", "2026-11-23T10:00")], True),  # the night does not matter
        ([shut("2026-11-23T14:29", "2026-11-23T15:00")], False),  # shut when the day ends
        ([shut("2026-11-23T14:30", "2026-11-24T07:30")], True),  # shut from the day's end to the next
        # What overlaps is shut once; what adds up is shut.
        ([shut("2026-11-23T08:00", "2026-11-23T10:00"), shut("2026-11-23T09:00", "2026-11-23T11:00")], True),
        ([shut("2026-11-23T08:00", "2026-11-23T10:00"), shut("2026-11-23T12:00", "2026-11-23T14:00")], False),
        ([shut("2026-11-23T07:30", "2026-11-23T12:00", ours=False)], False),  # a closed office, too
        ([shut("2026-11-24T07:30", "2026-11-24T12:00")], True),  # another day
    ],
)
def test_a_day_counts_if_half_of_it_is_left_and_its_end_is_open(
    closures: list[Closure], counts: bool
) -> None:
    reckoned = WorkingTime(CALENDAR, closures)
    assert reckoned.is_working_day(date(2026, 11, 23)) is counts
    ends = reckoned.after_working_days(local("2026-11-22T09:00"), 1)
    assert (ends == local("2026-11-23T14:30")) is counts


def test_an_outage_of_twenty_four_days_prolongs_every_deadline_and_is_told_in_days() -> None:
    outage = shut("2026-11-01T08:00", "2026-11-25T08:00")
    reckoned = WorkingTime(CALENDAR, [outage])
    assert reckoned.after_working_days(local("2026-10-29T09:00"), 1) == local("2026-11-25T14:30")
    assert reckoned.after_hours(local("2026-10-31T08:00"), 48) == local("2026-11-26T08:00")
    assert reckoned.outage_days(date(2026, 11, 1), date(2026, 11, 30)) == 18
    assert reckoned.outage_days(date(2026, 11, 24), date(2026, 11, 24)) == 1
    assert reckoned.outage_days(date(2026, 11, 30), date(2026, 11, 1)) == 0
    closed = WorkingTime(CALENDAR, [Closure(outage.starts, outage.until, WHY, ours=False)])
    assert closed.outage_days(date(2026, 11, 1), date(2026, 11, 30)) == 0


def test_the_opening_of_a_day_leaves_out_what_was_shut() -> None:
    day = date(2026, 11, 23)
    parts = [
        shut("2026-11-23T06:00", "2026-11-23T08:00"),
        shut("2026-11-23T10:00", "2026-11-23T10:30"),
        shut("2026-11-23T10:20", "2026-11-23T11:00", ours=False),
    ]
    assert clock(WorkingTime(CALENDAR, parts).opening(day)) == ["08:00-10:00", "11:00-14:30"]
    assert WorkingTime(CALENDAR, [shut("2026-11-22T00:00", "2026-11-24T00:00")]).opening(day) == []


@pytest.mark.parametrize(
    ("start", "hours", "ends"),
    [
        ("2026-11-22T09:00", 0, "2026-11-22T09:00"),
        ("2026-11-22T09:00", 24, "2026-11-23T12:00"),  # three hours were ours
        ("2026-11-22T09:00", 23, "2026-11-23T08:00"),  # over at the very moment the outage begins
        ("2026-11-23T09:00", 0, "2026-11-23T09:00"),
        ("2026-11-23T09:00", 1, "2026-11-23T12:00"),  # begins to run when we are back
        ("2026-11-23T11:00", 24, "2026-11-24T11:00"),
    ],
)
def test_clock_hours_stand_still_while_we_are_down(start: str, hours: int, ends: str) -> None:
    outages = [
        shut("2026-11-23T08:00", "2026-11-23T10:00"),
        shut("2026-11-23T09:30", "2026-11-23T11:00"),
        shut("2026-11-23T20:00", "2026-11-23T22:00", ours=False),
    ]
    assert WorkingTime(CALENDAR, outages).after_hours(local(start), hours) == local(ends)


def naive_day(reckoned: WorkingTime, day: date, days: int) -> date:
    while days:
        day += timedelta(days=1)
        days -= reckoned.is_working_day(day)
    return day


@given(MOMENTS, st.integers(1, 60), CLOSURES)
@settings(deadline=None)
def test_a_deadline_is_the_same_as_counted_day_by_day(
    start: datetime, days: int, closures: list[Closure]
) -> None:
    reckoned = WorkingTime(CALENDAR, closures)
    ends = reckoned.after_working_days(start, days)
    last = naive_day(reckoned, start.astimezone(RIYADH).date(), days)
    assert ends.astimezone(RIYADH).date() == last
    assert ends == PLAIN.opening(last)[-1][1]
    # It never runs out while nobody could act.
    assert ends == reckoned.opening(last)[-1][1]
    assert not any(one.starts < ends <= one.until for one in closures)


@given(MOMENTS, st.integers(1, 40), st.integers(1, 40), CLOSURES)
@settings(deadline=None)
def test_working_days_add_up(start: datetime, first: int, second: int, closures: list[Closure]) -> None:
    reckoned = WorkingTime(CALENDAR, closures)
    step = reckoned.after_working_days(reckoned.after_working_days(start, first), second)
    assert step == reckoned.after_working_days(start, first + second)


@given(MOMENTS, MOMENTS, st.integers(1, 60), CLOSURES)
@settings(deadline=None)
def test_who_begins_later_ends_no_sooner_and_a_closure_never_shortens(
    one: datetime, other: datetime, days: int, closures: list[Closure]
) -> None:
    early, late = sorted((one, other))
    reckoned = WorkingTime(CALENDAR, closures)
    assert reckoned.after_working_days(early, days) <= reckoned.after_working_days(late, days)
    assert reckoned.after_working_days(early, days) < reckoned.after_working_days(early, days + 1)
    assert reckoned.after_hours(early, days) <= reckoned.after_hours(late, days)
    assert reckoned.after_working_days(early, days) >= PLAIN.after_working_days(early, days)
    assert reckoned.after_hours(early, days) >= PLAIN.after_hours(early, days)


@given(MOMENTS, st.integers(0, 500), st.integers(0, 500), CLOSURES)
@settings(deadline=None)
def test_clock_hours_add_up_and_leave_out_our_outages_alone(
    start: datetime, first: int, second: int, closures: list[Closure]
) -> None:
    reckoned = WorkingTime(CALENDAR, closures)
    ends = reckoned.after_hours(start, first + second)
    assert reckoned.after_hours(reckoned.after_hours(start, first), second) == ends
    down = WorkingTime(CALENDAR, [one for one in closures if one.ours])
    assert down.after_hours(start, first + second) == ends
    lost = timedelta()
    reached = start
    for one in sorted((one for one in closures if one.ours), key=lambda one: one.starts):
        begins, until = max(one.starts, reached, start), min(one.until, ends)
        lost += max(until - begins, timedelta())
        reached = max(reached, one.until)
    assert ends - start - lost == timedelta(hours=first + second)


@given(MOMENTS, st.timedeltas(timedelta(), timedelta(days=40)), CLOSURES)
@settings(deadline=None)
def test_working_seconds_are_what_the_days_were_open(
    start: datetime, length: timedelta, closures: list[Closure]
) -> None:
    start = start.replace(microsecond=0)
    end = (start + length).replace(microsecond=0)
    reckoned = WorkingTime(CALENDAR, [_whole(one) for one in closures])
    total, day = timedelta(), start.astimezone(RIYADH).date()
    while day <= end.astimezone(RIYADH).date():
        for opens, closes in reckoned.opening(day):
            total += max(min(closes, end) - max(opens, start), timedelta())
        day += timedelta(days=1)
    assert reckoned.working_seconds(start, end) == total / timedelta(seconds=1)


def _whole(one: Closure) -> Closure:
    return Closure(one.starts.replace(microsecond=0), one.until.replace(microsecond=0), WHY, one.ours)


@given(MOMENTS, MOMENTS, MOMENTS, CLOSURES)
@settings(deadline=None)
def test_working_seconds_add_up_to_the_second_and_a_clock_set_back_gives_none(
    one: datetime, two: datetime, three: datetime, closures: list[Closure]
) -> None:
    first, middle, last = sorted((one, two, three))
    reckoned = WorkingTime(CALENDAR, closures)
    parts = reckoned.working_seconds(first, middle), reckoned.working_seconds(middle, last)
    assert min(parts) >= 0
    assert sum(parts) == reckoned.working_seconds(first, last) <= PLAIN.working_seconds(first, last)
    assert reckoned.working_seconds(last, first) == 0


@given(st.integers(1440, 1499), st.integers(1, 30))
@settings(deadline=None)
def test_no_deadline_of_any_year_ends_on_an_eid_or_a_weekend(year: int, days: int) -> None:
    for month, day in ((9, 20), (12, 1)):
        start = datetime.combine(HijriDate(year, month, day).gregorian(), datetime.min.time(), RIYADH)
        ends = PLAIN.after_working_days(start, days).astimezone(RIYADH)
        lunar = hijri(ends.date())
        assert ends.weekday() not in (4, 5)
        assert not (9, 25) <= (lunar.month, lunar.day) <= (10, 5)
        assert not (12, 5) <= (lunar.month, lunar.day) <= (12, 15)
        assert ends.hour == (15 if lunar.month == 9 else 14)


def test_the_end_of_the_table_is_refused_and_never_guessed() -> None:
    last = PLAIN.after_working_days(datetime(2077, 11, 1, tzinfo=UTC), 10)
    assert last < datetime(2077, 11, 17, tzinfo=RIYADH)
    near = datetime(2077, 11, 10, tzinfo=UTC)
    with pytest.raises(InvalidInput, match="2077-11-16"):
        PLAIN.after_working_days(near, 10)
    with pytest.raises(InvalidInput, match="2077-11-16"):
        PLAIN.after_working_days(datetime(1924, 7, 1, tzinfo=UTC), 1)
    for hours in (24 * 7, 10**9, 10**30):
        with pytest.raises(InvalidInput, match="2077-11-16"):
            PLAIN.after_hours(near, hours)
    with pytest.raises(InvalidInput, match="2077-11-16"):
        PLAIN.is_working_day(LAST_DATE + timedelta(days=1))
    with pytest.raises(InvalidInput, match="2077-11-16"):
        PLAIN.opening(date(1924, 7, 31))
    with pytest.raises(InvalidInput, match="2077-11-16"):
        PLAIN.working_seconds(near, near + timedelta(days=10))
    # All that is left of the table is shut: there is no next working day.
    forever = Closure(near, datetime(2100, 1, 1, tzinfo=UTC), WHY, ours=True)
    with pytest.raises(InvalidInput, match="2077-11-16"):
        WorkingTime(CALENDAR, [forever]).after_working_days(near, 1)


def test_what_is_no_span_and_no_clock_is_refused() -> None:
    with pytest.raises(InvalidInput, match="0 working days"):
        PLAIN.after_working_days(local("2026-11-22T09:00"), 0)
    with pytest.raises(InvalidInput, match="-1 hours"):
        PLAIN.after_hours(local("2026-11-22T09:00"), -1)
    with pytest.raises(ValueError, match="aware"):
        PLAIN.after_working_days(datetime(2026, 11, 22), 1)
    with pytest.raises(ValueError, match="aware"):
        PLAIN.working_seconds(datetime(2026, 11, 22), datetime(2026, 11, 23))


@given(SPANS.filter(lambda span: span[2]))
@settings(deadline=None)
def test_outage_days_are_the_days_that_would_have_counted(
    span: tuple[datetime, timedelta, bool],
) -> None:
    begins, length, _ = span
    reckoned = WorkingTime(CALENDAR, [Closure(begins, begins + length, WHY, ours=True)])
    first, days = begins.astimezone(RIYADH).date(), length.days + 2
    assume(first + timedelta(days=days) <= LAST_DATE)
    every = [first + timedelta(days=number) for number in range(days)]
    lost = [day for day in every if PLAIN.is_working_day(day) and not reckoned.is_working_day(day)]
    assert reckoned.outage_days(every[0], every[-1]) == len(lost)
