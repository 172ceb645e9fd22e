from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.calendar import (
    FIRST_DATE,
    LAST_DATE,
    Calendar,
    HijriDate,
    add_months,
    add_years,
    format_date,
    hijri,
    next_fixed,
    today,
)
from foundation.errors import InvalidInput

DAYS = st.dates(FIRST_DATE, LAST_DATE)


@pytest.mark.parametrize(
    ("day", "lunar"),
    [
        # Days that Saudi announcements name in both calendars.
        (date(2015, 1, 23), HijriDate(1436, 4, 3)),  # the death of King Abdullah
        (date(2024, 3, 11), HijriDate(1445, 9, 1)),  # first day of Ramadan 1445
        (date(2025, 6, 26), HijriDate(1447, 1, 1)),  # new year 1447
        (FIRST_DATE, HijriDate(1343, 1, 1)),
        (LAST_DATE, HijriDate(1500, 12, 30)),
    ],
)
def test_known_days_convert_both_ways(day: date, lunar: HijriDate) -> None:
    assert hijri(day) == lunar
    assert lunar.gregorian() == day


@given(DAYS)
def test_every_day_converts_there_and_back(day: date) -> None:
    assert hijri(day).gregorian() == day
    assert HijriDate.parse(str(hijri(day))) == hijri(day)


@given(DAYS.filter(lambda day: day < LAST_DATE))
def test_the_next_day_is_the_next_day_in_both_calendars(day: date) -> None:
    this, following = hijri(day), hijri(day + timedelta(days=1))
    assert this < following
    assert following.day == this.day + 1 or following.day == 1


@pytest.mark.parametrize("day", [FIRST_DATE - timedelta(days=1), LAST_DATE + timedelta(days=1), date.max])
def test_a_day_outside_the_table_is_refused_with_the_span(day: date) -> None:
    with pytest.raises(InvalidInput, match="1924-08-01 to 2077-11-16"):
        hijri(day)
    with pytest.raises(InvalidInput, match="outside"):
        format_date(day, "ar", "umm_al_qura")


@pytest.mark.parametrize("text", ["1436-01-30", "1448-13-01", "1342-12-29", "1501-01-01", "1448-06-00"])
def test_a_hijri_day_that_never_was_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="There is no Hijri date"):
        HijriDate.parse(text)


@pytest.mark.parametrize("text", ["", "1448", "12/06/1448", "1448-06-xx", "١٤٤٨-٠٦-١٢", "1448-06-12-1"])
def test_a_hijri_date_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="Write it as"):
        HijriDate.parse(text)


def test_dates_are_written_as_people_write_them() -> None:
    day = date(2026, 11, 22)
    assert format_date(day, "ar", "umm_al_qura") == "12 جمادى الآخرة 1448هـ"
    assert format_date(day, "ar", "gregorian") == "22 نوفمبر 2026م"
    assert format_date(day, "en", "umm_al_qura") == "12 Jumada al-Akhirah 1448 AH"
    assert format_date(day, "en", "gregorian") == "22 November 2026"


def test_every_month_has_a_name_of_its_own() -> None:
    for language in ("ar", "en"):
        for calendar in ("gregorian", "umm_al_qura"):
            days = [HijriDate(1447, month, 1).gregorian() for month in range(1, 13)]
            names = {format_date(day, language, calendar).split(" ", 1)[1] for day in days}
            assert len(names) == 12


@pytest.mark.parametrize(
    ("day", "years", "calendar", "expected"),
    [
        (date(2024, 2, 29), 1, "gregorian", date(2025, 2, 28)),
        (date(2024, 2, 29), 4, "gregorian", date(2028, 2, 29)),
        (date(2026, 11, 22), -3, "gregorian", date(2023, 11, 22)),
        (HijriDate(1447, 6, 1).gregorian(), 3, "umm_al_qura", HijriDate(1450, 6, 1).gregorian()),
        # Muharram of 1435 had 30 days, that of 1436 had 29.
        (HijriDate(1435, 1, 30).gregorian(), 1, "umm_al_qura", HijriDate(1436, 1, 29).gregorian()),
    ],
)
def test_an_anniversary_falls_on_the_same_day_or_on_the_months_last(
    day: date, years: int, calendar: str, expected: date
) -> None:
    assert calendar in ("gregorian", "umm_al_qura")
    assert add_years(day, years, "umm_al_qura" if calendar == "umm_al_qura" else "gregorian") == expected


@given(DAYS, st.integers(-200, 200))
def test_an_anniversary_keeps_its_month_or_is_refused(day: date, years: int) -> None:
    lunar = hijri(day)
    if not 1343 <= lunar.year + years <= 1500:
        with pytest.raises(InvalidInput, match="outside"):
            add_years(day, years, "umm_al_qura")
        return
    later = hijri(add_years(day, years, "umm_al_qura"))
    assert (later.year, later.month) == (lunar.year + years, lunar.month)
    assert later.day == lunar.day or (lunar.day, later.day) == (30, 29)


def test_a_gregorian_anniversary_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(InvalidInput, match="outside the years 1 to 9999"):
        add_years(date(2026, 1, 1), 8000)


@pytest.mark.parametrize(
    ("day", "months", "calendar", "expected"),
    [
        (date(2026, 1, 31), 1, "gregorian", date(2026, 2, 28)),
        (date(2026, 1, 31), -2, "gregorian", date(2025, 11, 30)),
        (date(2024, 12, 31), 14, "gregorian", date(2026, 2, 28)),
        (date(2026, 11, 22), 0, "gregorian", date(2026, 11, 22)),
        # Ramadan of 1447 had 30 days, Shawwal 29.
        (HijriDate(1447, 9, 30).gregorian(), 1, "umm_al_qura", HijriDate(1447, 10, 29).gregorian()),
        (HijriDate(1447, 11, 3).gregorian(), 3, "umm_al_qura", HijriDate(1448, 2, 3).gregorian()),
        (HijriDate(1447, 1, 3).gregorian(), -1, "umm_al_qura", HijriDate(1446, 12, 3).gregorian()),
    ],
)
def test_months_later_it_is_the_same_day_or_the_months_last(
    day: date, months: int, calendar: Calendar, expected: date
) -> None:
    assert add_months(day, months, calendar) == expected


@given(DAYS, st.integers(-2500, 2500))
def test_twelve_months_are_a_year_and_a_month_keeps_its_day_or_is_shorter(day: date, months: int) -> None:
    lunar = hijri(day)
    place = lunar.year * 12 + lunar.month - 1 + months
    if not 1343 <= place // 12 <= 1500:
        with pytest.raises(InvalidInput, match="outside the calendar's years 1343 to 1500"):
            add_months(day, months, "umm_al_qura")
        return
    later = hijri(add_months(day, months, "umm_al_qura"))
    assert (later.year, later.month) == (place // 12, place % 12 + 1)
    assert later.day == lunar.day or (lunar.day, later.day) == (30, 29)
    if months % 12 == 0:
        assert later.gregorian() == add_years(day, months // 12, "umm_al_qura")


@pytest.mark.parametrize(
    ("day", "month", "day_of_month", "calendar", "expected"),
    [
        # The seasonal card that ends on 15 Muharram: this year's, on the day itself, and after it.
        (HijriDate(1446, 9, 1).gregorian(), 1, 15, "umm_al_qura", HijriDate(1447, 1, 15).gregorian()),
        (HijriDate(1447, 1, 15).gregorian(), 1, 15, "umm_al_qura", HijriDate(1447, 1, 15).gregorian()),
        (HijriDate(1447, 1, 16).gregorian(), 1, 15, "umm_al_qura", HijriDate(1448, 1, 15).gregorian()),
        # Muharram of 1435 had 30 days, that of 1436 had 29.
        (HijriDate(1435, 1, 30).gregorian(), 1, 30, "umm_al_qura", HijriDate(1435, 1, 30).gregorian()),
        (HijriDate(1435, 2, 1).gregorian(), 1, 30, "umm_al_qura", HijriDate(1436, 1, 29).gregorian()),
        (date(2026, 11, 22), 2, 29, "gregorian", date(2027, 2, 28)),
        (date(2027, 3, 1), 2, 29, "gregorian", date(2028, 2, 29)),
        (date(2026, 12, 31), 12, 31, "gregorian", date(2026, 12, 31)),
        (date(2026, 11, 22), 4, 31, "gregorian", date(2027, 4, 30)),
    ],
)
def test_a_fixed_day_is_found_from_any_day(
    day: date, month: int, day_of_month: int, calendar: Calendar, expected: date
) -> None:
    assert next_fixed(day, month, day_of_month, calendar) == expected


@given(DAYS.filter(lambda day: day.year < 2076), st.integers(1, 12), st.integers(1, 30))
def test_the_next_fixed_day_is_the_first_of_its_kind(day: date, month: int, day_of_month: int) -> None:
    found = next_fixed(day, month, day_of_month, "umm_al_qura")
    assert day <= found <= day + timedelta(days=355)
    lunar = hijri(found)
    assert lunar.month == month
    assert lunar.day == day_of_month or (day_of_month, lunar.day) == (30, 29)
    between = [day + timedelta(days=number) for number in range((found - day).days)]
    assert (month, lunar.day) not in [(hijri(one).month, hijri(one).day) for one in between]


@pytest.mark.parametrize(
    ("month", "day_of_month", "calendar"),
    [
        (0, 1, "gregorian"),
        (13, 1, "umm_al_qura"),
        (1, 0, "gregorian"),
        (1, 31, "umm_al_qura"),
        (1, 32, "gregorian"),
    ],
)
def test_a_fixed_day_that_no_year_has_is_refused(month: int, day_of_month: int, calendar: Calendar) -> None:
    with pytest.raises(InvalidInput, match="There is no day"):
        next_fixed(date(2026, 1, 1), month, day_of_month, calendar)


def test_a_fixed_day_beyond_the_table_is_refused() -> None:
    assert next_fixed(LAST_DATE, 12, 30, "umm_al_qura") == LAST_DATE
    with pytest.raises(InvalidInput, match="The year 1501 is outside"):
        next_fixed(LAST_DATE, 1, 15, "umm_al_qura")
    with pytest.raises(InvalidInput, match="outside the Umm al-Qura table"):
        next_fixed(LAST_DATE + timedelta(days=1), 1, 15, "umm_al_qura")
    with pytest.raises(InvalidInput, match="The year 10000 is outside"):
        next_fixed(date.max, 1, 15, "gregorian")


def test_today_is_the_date_in_riyadh() -> None:
    late = datetime(2026, 11, 22, 21, 30, tzinfo=UTC)
    assert today(now=late) == date(2026, 11, 23)
    assert today("UTC", late) == date(2026, 11, 22)
    assert today(now=late.astimezone(timezone(timedelta(hours=-8)))) == date(2026, 11, 23)
    assert today("UTC") in {datetime.now(UTC).date(), datetime.now(UTC).date() - timedelta(days=1)}
    with pytest.raises(ValueError, match="aware"):
        today(now=datetime(2026, 11, 22))
