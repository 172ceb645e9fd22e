"""Definitions of calendars: what they may say, and what is refused."""

from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from foundation.definitions import parse_yaml
from foundation.errors import DefinitionError
from foundation.working_time import DEFAULT, WorkingCalendar, WorkingTime, load_calendars

SMALL = """
code: small
title: {ar: صغير, en: Small}
zone: Africa/Cairo
weekend: [friday, saturday]
hours:
  days:
    sunday: ["09:00-12:00", "16:00-20:00"]
    monday: ["09:00-12:00", "16:00-20:00"]
    tuesday: ["09:00-12:00", "16:00-20:00"]
    wednesday: ["09:00-12:00", "16:00-20:00"]
    thursday: ["09:00-12:00"]
  source: a test
  sample: true
holidays:
  - code: eid
    title: {ar: عيد, en: Eid}
    calendar: umm_al_qura
    first: {month: 9, day: 30}
    days: 5
    source: a test
    sample: true
  - code: day
    title: {ar: يوم, en: Day}
    calendar: gregorian
    first: {month: 2, day: 29}
    days: 1
    on_weekend: moved
    effective_from: 2020-01-01
    effective_until: 2030-12-31
    announced:
      2027: {first: 2027-03-07, last: 2027-03-08}
    source: a test
    sample: true
"""


def small(text: str = SMALL) -> WorkingTime:
    return WorkingTime(parse_yaml(text, "small.yaml", WorkingCalendar))


def holidays_of(reckoned: WorkingTime, first: date, last: date) -> list[date]:
    days = [date.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]
    return [day for day in days if day.weekday() not in (4, 5) and not reckoned.is_working_day(day)]


def test_our_own_calendar_says_of_every_figure_where_it_stands() -> None:
    calendar = load_calendars().get(DEFAULT)
    assert calendar.ramadan is not None
    assert calendar.bridge is not None
    assert [holiday.code for holiday in calendar.holidays] == [
        "eid_al_fitr",
        "eid_al_adha",
        "foundation_day",
        "national_day",
    ]
    # For these no source was found that holds today.
    assert calendar.hours.sample
    assert calendar.bridge.sample


def test_hours_with_a_pause_follow_the_wall_clock_of_a_zone_that_changes_it() -> None:
    reckoned = small()
    place = reckoned.opening(date(2026, 1, 4))
    assert [(opens.hour, closes.hour) for opens, closes in place] == [(7, 10), (14, 18)]
    summer = reckoned.opening(date(2026, 7, 5))
    assert [(opens.hour, closes.hour) for opens, closes in summer] == [(6, 9), (13, 17)]
    start, end = datetime(2026, 1, 4, tzinfo=UTC), datetime(2026, 1, 4, 15, tzinfo=UTC)
    assert reckoned.working_seconds(start, end) == 4 * 3600
    assert reckoned.after_working_days(start, 1) == datetime(2026, 1, 5, 18, tzinfo=UTC)


def test_a_holiday_from_the_last_of_a_short_month_begins_on_its_last_day() -> None:
    # Ramadan 1446 had 29 days and 1447 had 30: five days from its last.
    assert holidays_of(small(), date(2025, 3, 1), date(2025, 4, 10)) == [
        date(2025, 3, 30),
        date(2025, 3, 31),
        date(2025, 4, 1),
        date(2025, 4, 2),
    ]
    assert holidays_of(small(), date(2026, 3, 8), date(2026, 4, 10)) == [
        date(2026, 3, 19),
        date(2026, 3, 22),
        date(2026, 3, 23),
    ]


def test_what_was_announced_stands_in_the_place_of_the_rule() -> None:
    reckoned = small()
    assert holidays_of(reckoned, date(2027, 2, 20), date(2027, 3, 8)) == [date(2027, 3, 7), date(2027, 3, 8)]
    assert holidays_of(reckoned, date(2028, 2, 20), date(2028, 2, 26)) == []
    # 28 February 2026 was a Saturday; the next day outside the weekend is Sunday.
    assert holidays_of(reckoned, date(2026, 2, 25), date(2026, 3, 5)) == [date(2026, 3, 1)]
    # The rule holds from 2020 to 2030.
    assert holidays_of(reckoned, date(2018, 2, 25), date(2018, 3, 5)) == []
    assert holidays_of(reckoned, date(2031, 2, 25), date(2031, 3, 5)) == []


def test_a_moved_day_that_falls_into_another_holiday_is_lost() -> None:
    # 1 Shawwal 1447 is Friday 20 March 2026: the day would be within the Eid already.
    inside = SMALL.replace("first: {month: 2, day: 29}", "first: {month: 3, day: 20}")
    expected = [date(2026, 3, 19), date(2026, 3, 22), date(2026, 3, 23)]
    assert holidays_of(small(inside), date(2026, 3, 8), date(2026, 3, 31)) == expected


def test_a_single_day_between_a_holiday_and_a_weekend_is_free_only_where_it_is_said() -> None:
    # 29 February 2028 is a Tuesday; 28 February 2024 was a Wednesday, and the Thursday after it is alone.
    wednesday = SMALL.replace("first: {month: 2, day: 29}", "first: {month: 2, day: 28}")
    days = (date(2024, 2, 25), date(2024, 3, 5))
    assert holidays_of(small(wednesday), *days) == [date(2024, 2, 28)]
    bridged = wednesday + "bridge: {source: a test, sample: true}\n"
    assert holidays_of(small(bridged), *days) == [date(2024, 2, 28), date(2024, 2, 29)]


def test_ramadan_has_its_own_hours_on_every_working_day() -> None:
    text = SMALL + 'ramadan: {hours: ["21:00-23:30"], source: a test, sample: true}\n'
    calendar = parse_yaml(text, "small.yaml", WorkingCalendar)
    assert calendar.ramadan is not None
    assert calendar.ramadan.hours == ((time(21), time(23, 30)),)
    assert len(WorkingTime(calendar).opening(date(2026, 3, 12))) == 1
    assert len(WorkingTime(calendar).opening(date(2026, 4, 1))) == 2


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        (
            "weekend: [friday, saturday]",
            "weekend: [friday]",
            "saturday is either of the weekend or has hours",
        ),
        ("weekend: [friday,", "weekend: [sunday, friday,", "sunday is either"),
        ("Africa/Cairo", "Africa/Nowhere", "is no time zone"),
        ("Africa/Cairo", "../etc", "is no time zone"),
        ('thursday: ["09:00-12:00"]', 'thursday: ["12:00-09:00"]', "hours end after they begin"),
        ('thursday: ["09:00-12:00"]', 'thursday: ["9 to 12"]', "write hours as"),
        ('thursday: ["09:00-12:00"]', 'thursday: ["09:00-12:00", "11:00-13:00"]', "stand in order"),
        ('thursday: ["09:00-12:00"]', "thursday: []", "at least 1"),
        ("    days: 5", "    days: 5\n    last: {month: 10, day: 3}", "either its last day or its number"),
        ("    days: 5\n", "", "either its last day or its number"),
        ("    days: 5", "    last: {month: 1, day: 3}", "in the same year"),
        ("first: {month: 9, day: 30}", "first: {month: 9, day: 31}", "at most 30 days"),
        ("code: day", "code: eid", "the holiday eid stands twice"),
        (
            "first: 2027-03-07, last: 2027-03-08",
            "first: 2027-03-07, last: 2027-03-01",
            "ends after it begins",
        ),
        ("    sample: true\n  - code: day", "  - code: day", "Field required"),
    ],
)
def test_a_faulty_calendar_is_refused_with_the_line(right: str, wrong: str, reason: str) -> None:
    assert right in SMALL
    with pytest.raises(DefinitionError, match=reason) as refused:
        small(SMALL.replace(right, wrong, 1))
    assert refused.value.place.startswith("small.yaml:")


def test_a_further_folder_adds_calendars_under_the_name_of_their_file(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    calendars = load_calendars([tmp_path])
    assert calendars.names() == [DEFAULT, "small"]
    assert calendars.get("small").title.ar == "صغير"
    (tmp_path / "other.yaml").write_text(SMALL, encoding="utf-8")
    with pytest.raises(DefinitionError, match=r"Name the file small\.yaml"):
        load_calendars([tmp_path])
