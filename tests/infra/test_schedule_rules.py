"""Rules of moments that come again, in both calendars."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from foundation.calendar import hijri
from foundation.errors import InvalidInput
from infra.changes.calendar import WEEKDAYS
from infra.changes.recurring import FORMS, Rule
from infra.changes.words import read_day, read_moment
from tests.infra.change_calendars import RIYADH, local


def moments(rule: str, since: str, count: int, zone: ZoneInfo = RIYADH) -> list[str]:
    found = Rule.parse(rule).upcoming(local(since, zone), zone, count)
    return [f"{moment.astimezone(zone):%Y-%m-%d %H:%M}" for moment in found]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("daily 02:00", ["2026-11-24 02:00", "2026-11-25 02:00"]),
        ("Wednesday,SUNDAY  02:00", ["2026-11-25 02:00", "2026-11-29 02:00", "2026-12-02 02:00"]),
        ("monthly 1 02:00", ["2026-12-01 02:00", "2027-01-01 02:00"]),
        (
            "monthly 31 02:00",
            ["2026-11-30 02:00", "2026-12-31 02:00", "2027-01-31 02:00", "2027-02-28 02:00"],
        ),
        # 15 Jumada al-Akhirah and 15 Rajab 1448.
        ("hijri-monthly 15 02:00", ["2026-11-25 02:00", "2026-12-24 02:00"]),
        ("yearly 12-31 23:00", ["2026-12-31 23:00", "2027-12-31 23:00"]),
        ("yearly 2-29 01:30", ["2027-02-28 01:30", "2028-02-29 01:30"]),
        # 1 Ramadan 1448 and 1449.
        ("hijri-yearly 9-1 10:00", ["2027-02-08 10:00", "2028-01-28 10:00"]),
        ("once 2026-12-01 02:00", ["2026-12-01 02:00"]),
        ("once 1448-06-22 02:00", ["2026-12-02 02:00"]),
        ("once 2026-11-23 12:00", []),
    ],
)
def test_the_next_moments_of_a_rule(rule: str, expected: list[str]) -> None:
    count = max(len(expected), 1)
    assert moments(rule, "2026-11-23T12:00", count) == expected


def test_a_moment_is_not_its_own_next_one() -> None:
    assert moments("daily 12:00", "2026-11-23T12:00", 1) == ["2026-11-24 12:00"]
    assert moments("daily 12:00", "2026-11-23T11:59", 1) == ["2026-11-23 12:00"]


def test_a_day_that_a_hijri_month_lacks_is_its_last_one() -> None:
    found = Rule.parse("hijri-monthly 30 02:00").upcoming(local("2026-11-23T12:00"), RIYADH, 24)
    days = [moment.astimezone(RIYADH).date() for moment in found]
    assert {hijri(day).day for day in days} == {29, 30}
    for day in days:
        assert hijri(day + timedelta(days=1)).day == 1


def test_where_the_clock_is_put_forward_a_moment_comes_later_and_where_back_once() -> None:
    cairo = ZoneInfo("Africa/Cairo")
    # 24 April 2026 has no 00:30 there; 29 October 2026 has two of 23:30.
    assert moments("daily 00:30", "2026-04-23T12:00", 2, cairo) == ["2026-04-24 01:30", "2026-04-25 00:30"]
    assert moments("daily 23:30", "2026-10-29T12:00", 2, cairo) == ["2026-10-29 23:30", "2026-10-30 23:30"]


def test_beyond_the_table_of_dates_there_is_no_moment() -> None:
    assert moments("daily 02:00", "2077-11-15T12:00", 5) == ["2077-11-16 02:00"]
    assert moments("hijri-monthly 1 02:00", "2077-11-01T12:00", 5) == []
    assert moments("yearly 12-31 02:00", "2077-01-01T12:00", 5) == []


@pytest.mark.parametrize("form", FORMS)
def test_every_form_that_is_told_is_a_rule_and_is_kept_as_it_is(form: str) -> None:
    assert Rule.parse(form).text == form


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "does not say when"),
        ("daily", "does not say when"),
        ("02:00", "does not say when"),
        ("daily 24:00", "no time of day"),
        ("daily 2:00", "no time of day"),
        ("daily ٠٢:٠٠", "no time of day"),
        ("daily 02:00 03:00", "does not say when"),
        ("someday 02:00", "does not say when"),
        ("sunday,sunday 02:00", "does not say when"),
        ("sunday, wednesday 02:00", "does not say when"),
        ("monthly 32 02:00", "no number from 1 to 31"),
        ("monthly 0 02:00", "no number from 1 to 31"),
        ("monthly -1 02:00", "no number from 1 to 31"),
        ("hijri-monthly 31 02:00", "no number from 1 to 30"),
        ("yearly 13-1 02:00", "no number from 1 to 12"),
        ("yearly 1231 02:00", "does not say when"),
        ("yearly 12-31-1 02:00", "no number from 1 to 31"),
        ("hijri-once 1448-06-12 02:00", "does not say when"),
        ("once 2026-02-30 02:00", "no date"),
        ("once 1448-06-31 02:00", "no date"),
        ("once 2099-01-01 02:00", "no date"),
        ("once tomorrow 02:00", "no date"),
        ("* * * * *", "no time of day"),
    ],
)
def test_what_is_no_rule_is_refused_in_both_languages(text: str, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        Rule.parse(text)
    assert any("\u0600" <= letter <= "\u06ff" for letter in caught.value.message_ar)


@settings(max_examples=120, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.data())
def test_a_rules_next_moment_is_the_first_day_that_fits(data: st.DataObject) -> None:
    lunar = data.draw(st.booleans())
    most = 30 if lunar else 31
    kind = data.draw(st.sampled_from(("weekdays", "monthly", "yearly")))
    number, month = data.draw(st.integers(1, most)), data.draw(st.integers(1, 12))
    names = data.draw(st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True))
    clock = data.draw(st.sampled_from(("00:00", "02:00", "23:59")))
    prefix = "hijri-" if lunar else ""
    text = {
        "weekdays": f"{','.join(names)} {clock}",
        "monthly": f"{prefix}monthly {number} {clock}",
        "yearly": f"{prefix}yearly {month}-{number} {clock}",
    }[kind]

    def parts(day: date) -> tuple[int, int]:
        found = hijri(day)
        return (found.month, found.day) if lunar else (day.month, day.day)

    def fits(day: date) -> bool:
        if kind == "weekdays":
            return WEEKDAYS[day.weekday()] in names
        is_last = parts(day + timedelta(days=1))[0] != parts(day)[0]
        right = parts(day)[1] == number or (is_last and parts(day)[1] < number)
        return right and (kind == "monthly" or parts(day)[0] == month)

    since = local("2023-01-01T00:00") + timedelta(minutes=data.draw(st.integers(0, 5 * 366 * 24 * 60)))
    day = since.astimezone(RIYADH).date()
    while not (fits(day) and local(f"{day}T{clock}") > since):
        day += timedelta(days=1)
    assert Rule.parse(text).after(since, RIYADH) == local(f"{day}T{clock}")


def test_moments_are_read_in_both_calendars_and_an_end_takes_its_day_in() -> None:
    assert read_day("1448-06-12") == read_day("2026-11-22") == date(2026, 11, 22)
    assert read_moment("1448-06-12T22:00", RIYADH) == local("2026-11-22T22:00")
    assert read_moment("2026-11-22 22:00", RIYADH) == local("2026-11-22T22:00")
    assert read_moment("2026-11-22T19:00:00Z", RIYADH) == local("2026-11-22T22:00")
    assert read_moment("2026-11-22", RIYADH) == local("2026-11-22T00:00")
    assert read_moment("2026-11-22", RIYADH, end=True) == local("2026-11-23T00:00")
    for text in ("1448-06-31", "2026-11-22T25:00", "2078-01-01", "2078-01-01T00:00:00Z", "22:00", "", "T"):
        with pytest.raises(InvalidInput) as caught:
            read_moment(text, RIYADH)
        assert caught.value.message_ar
