"""Change calendars: what they may say, when changes may be made, and why not."""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from foundation.errors import DefinitionError, InvalidInput, NotFound
from infra.changes.calendar import ChangeCalendar, ChangeWindow, Frozen, YearlyFreeze, load_change_calendars
from infra.changes.verdict import Verdict, verdict, verdict_of
from infra.plays.definition import Risk
from tests.infra.change_calendars import MINUTE, RIYADH, SMALL, declared, local, small


def asked(
    moment: str,
    *freezes: Frozen,
    site: str | None = "north",
    risk: Risk = "medium",
    calendar: ChangeCalendar | None = None,
) -> Verdict:
    return verdict(calendar or small(), freezes, site=site, risk=risk, window="change", moment=local(moment))


def clock(moment: datetime | None, zone: ZoneInfo = RIYADH) -> str:
    return moment.astimezone(zone).strftime("%Y-%m-%dT%H:%M") if moment else "never"


def test_our_own_calendar_says_of_every_rule_where_it_stands_and_that_it_is_a_sample() -> None:
    calendar = load_change_calendars().get("municipality")
    rules: list[ChangeWindow | YearlyFreeze] = [*calendar.windows, *calendar.freezes]
    assert len(calendar.windows) >= 2
    assert {freeze.calendar for freeze in calendar.freezes} == {"gregorian", "umm_al_qura"}
    for rule in rules:
        assert rule.source
        assert rule.sample
        assert rule.title.ar != rule.title.en


def test_our_own_calendar_is_shut_in_the_hajj_season_and_in_the_working_day() -> None:
    calendar = load_change_calendars().get("municipality")
    # 1 to 13 Dhu al-Hijjah 1448 are 7 to 19 May 2027.
    assert asked("2027-05-05T23:00", calendar=calendar).open
    for day in ("07", "13", "19"):
        found = asked(f"2027-05-{day}T23:00", calendar=calendar)
        assert not found.open
        assert found.reason is not None
        assert "Hajj freeze" in found.reason
        # The night of the Wednesday before goes on.
        assert clock(found.opens_at) == "2027-05-20T00:00"
    assert not asked("2026-11-23T11:00", calendar=calendar).open
    # In Ramadan the night is shut, and the hours before offices open are not.
    assert not asked("2027-02-10T23:00", calendar=calendar).open
    assert asked("2027-02-10T06:00", calendar=calendar).open


def test_what_only_reads_is_never_shut_out() -> None:
    everything = declared(local("2026-01-01T00:00"), None)
    assert asked("2026-11-23T11:00", everything, risk="reads") == Verdict(True)
    assert asked("2100-01-01T00:00", risk="reads") == Verdict(True)


@pytest.mark.parametrize(
    ("moment", "is_open", "opens"),
    [
        # Ramadan 1448 is 8 February to 8 March 2027 by the table.
        ("2027-02-07T22:00", True, ""),
        ("2027-02-07T23:59", True, ""),
        ("2027-02-08T00:00", False, "2027-02-12T06:00"),
        ("2027-03-08T23:00", False, "2027-03-09T22:00"),
        ("2027-03-09T00:00", False, "2027-03-09T22:00"),
        ("2027-03-09T03:59", False, "2027-03-09T22:00"),
        ("2027-03-10T03:59", True, ""),
        # Ramadan 1449 was announced for 29 January to 26 February 2028.
        ("2028-01-28T23:59", True, ""),
        ("2028-01-29T01:00", False, "2028-01-29T06:00"),
        ("2028-02-26T08:59", True, ""),
        ("2028-02-26T23:00", False, "2028-02-27T22:00"),
    ],
)
def test_ramadan_begins_and_ends_at_midnight(moment: str, is_open: bool, opens: str) -> None:
    found = asked(moment)
    assert found.open == is_open
    assert is_open or clock(found.opens_at) == opens


def test_a_window_over_midnight_is_shut_by_the_freeze_that_begins_then() -> None:
    assert asked("2027-05-06T23:59").open
    found = asked("2027-05-07T00:00")
    assert not found.open
    assert clock(found.opens_at) == "2027-05-20T00:00"
    evening = asked("2027-05-06T21:00")
    assert evening.reason is not None
    assert "from Thursday 6 May 2027, 22:00 (29 Dhu al-Qadah 1448 AH) to Friday 7 May 2027, 00:00" in (
        evening.reason
    )


def test_an_announced_freeze_replaces_the_years_rule() -> None:
    # By the table 1 Dhu al-Hijjah 1449 is 25 April 2028; announced was the 26th.
    assert asked("2028-04-25T23:00").open
    assert clock(asked("2028-04-26T00:00").opens_at) == "2028-05-10T00:00"


def test_a_freeze_may_hold_most_of_a_year() -> None:
    calendar = small(SMALL.replace("    days: 1\n", "    last: {month: 12, day: 30}\n"))
    assert asked("2029-02-27T23:00", site="south", calendar=calendar).open
    found = asked("2029-12-01T23:00", site="south", calendar=calendar)
    assert not found.open
    assert clock(found.opens_at) == "2029-12-31T00:00"


def test_a_leap_day_is_frozen_on_the_last_of_february_in_other_years() -> None:
    assert asked("2028-02-28T23:00", site="south").open
    assert not asked("2028-02-29T23:00", site="south").open
    assert not asked("2026-02-28T23:00", site="south", risk="medium").open
    assert asked("2029-02-28T23:00", site="north").open
    found = asked("2029-02-28T23:00", site="south")
    assert not found.open
    assert clock(found.opens_at) == "2029-03-01T00:00"


def test_the_reason_names_the_freeze_and_both_calendars_in_both_languages() -> None:
    found = asked("2027-05-10T12:00")
    assert found.reason == (
        "Changes of medium risk at north are frozen until Thursday 20 May 2027, 00:00 "
        "(14 Dhu al-Hijjah 1448 AH): Hajj freeze. No change window for medium risk at north is open. "
        "It may be made from Thursday 20 May 2027, 00:00 (14 Dhu al-Hijjah 1448 AH) to "
        "Thursday 20 May 2027, 04:00 (14 Dhu al-Hijjah 1448 AH): Nights."
    )
    assert found.reason_ar == (
        "التغييرات متوسطة الخطورة في الموقع north مجمَّدة حتى الخميس 14 ذو الحجة 1448هـ "
        "الموافق 20 مايو 2027م الساعة 00:00: تجميد الحج. "
        "لا توجد نافذة مفتوحة للتغييرات متوسطة الخطورة في الموقع north. "
        "ويُسمح بها من الخميس 14 ذو الحجة 1448هـ الموافق 20 مايو 2027م الساعة 00:00 "
        "إلى الخميس 14 ذو الحجة 1448هـ الموافق 20 مايو 2027م الساعة 04:00: «الليالي»."
    )


def test_a_freeze_that_swallows_the_next_window_is_named_before_it_holds() -> None:
    visit = declared(local("2026-11-23T20:00"), local("2026-11-24T05:00"))
    found = asked("2026-11-23T12:00", visit)
    assert clock(found.opens_at) == "2026-11-24T22:00"
    assert found.reason is not None
    assert (
        "No change window for medium risk at north is open. Changes of medium risk at north are frozen from "
        "Monday 23 November 2026, 20:00 (13 Jumada al-Akhirah 1448 AH) until Tuesday 24 November 2026, 05:00 "
        "(14 Jumada al-Akhirah 1448 AH): Visit. It may be made from Tuesday 24 November 2026, 22:00"
    ) in found.reason
    assert found.reason_ar is not None
    assert "مجمَّدة من الاثنين 13 جمادى الآخرة 1448هـ الموافق 23 نوفمبر 2026م الساعة 20:00 إلى الثلاثاء 14" in (
        found.reason_ar
    )
    # One that no window is lost to is nothing to wait for.
    noon = declared(local("2026-11-23T13:00"), local("2026-11-23T14:00"))
    assert "frozen" not in (asked("2026-11-23T12:00", noon).reason or "")


def test_a_play_without_a_window_still_obeys_freezes() -> None:
    def always(moment: str) -> Verdict:
        return verdict(small(), (), site="north", risk="low", window="always", moment=local(moment))

    assert always("2026-11-23T11:00").open
    found = always("2027-05-10T12:00")
    assert clock(found.opens_at) == "2027-05-20T00:00"
    assert found.reason is not None
    assert found.reason.endswith(
        "It may be made from Thursday 20 May 2027, 00:00 (14 Dhu al-Hijjah 1448 AH)."
    )


def test_of_a_freeze_without_an_end_nobody_says_when_it_opens() -> None:
    found = asked("2026-11-23T23:00", declared(local("2026-11-23T12:00"), None))
    assert (found.open, found.opens_at) == (False, None)
    assert found.reason is not None
    assert "frozen until somebody ends it: Visit." in found.reason
    assert found.reason_ar is not None
    assert "إلى أن يُنهى التجميد: زيارة." in found.reason_ar


def test_an_opening_is_looked_for_through_two_years_and_no_farther() -> None:
    begins = local("2026-11-23T12:00")
    near = declared(begins, local("2028-11-01T00:00"))
    far = declared(begins, local("2028-12-01T00:00"))
    assert clock(asked("2026-11-23T23:00", near).opens_at) == "2028-11-01T00:00"
    assert asked("2026-11-23T23:00", far).opens_at is None


def test_overlapping_freezes_are_all_named_and_all_waited_for() -> None:
    first = declared(local("2026-11-23T12:00"), local("2026-11-24T12:00"), label="Visit")
    second = declared(local("2026-11-23T13:00"), local("2026-11-25T23:00"), label="Election")
    found = asked("2026-11-23T23:00", first, second)
    assert clock(found.opens_at) == "2026-11-25T23:00"
    assert found.reason is not None
    assert ": Visit. " in found.reason
    assert ": Election. " in found.reason


def test_hosts_of_several_sites_need_all_of_them_open_at_once() -> None:
    north = declared(local("2026-11-23T22:00"), local("2026-11-24T03:00"), ("north",), "North works")
    south = declared(local("2026-11-24T02:00"), local("2026-11-24T23:30"), ("south",), "South works")
    moment = local("2026-11-23T22:30")
    found = verdict_of(
        small(), [north, south], sites=["north", "south"], risk="low", window="change", moment=moment
    )
    assert clock(found.opens_at) == "2026-11-24T23:30"
    assert found.reason is not None
    assert "low risk at north are frozen" in found.reason
    assert "low risk at south are frozen from Tuesday 24 November 2026, 02:00" in found.reason
    alone = verdict_of(small(), [north, south], sites=["south"], risk="low", window="change", moment=moment)
    assert alone.open


def test_hosts_whose_site_is_not_recorded_are_held_by_every_freeze_and_served_by_no_sites_own_window() -> (
    None
):
    friday = "2026-11-27T12:30"
    assert asked(friday, risk="high", site="north").open
    shut = asked(friday, risk="high", site=None)
    assert not shut.open
    assert shut.reason is not None
    assert "at hosts whose site is not recorded" in shut.reason
    assert shut.opens_at is None
    night, works = (
        "2026-11-23T23:00",
        declared(local("2026-11-23T22:00"), local("2026-11-24T01:00"), ("south",)),
    )
    assert asked(night, works, site="north").open
    assert not asked(night, works, site=None).open


def test_beyond_the_table_of_dates_is_an_error_and_not_open() -> None:
    assert asked("2077-11-16T23:59").open
    for window in ("change", "always"):
        with pytest.raises(InvalidInput, match="outside the Umm al-Qura table"):
            verdict(
                small(),
                (),
                site=None,
                risk="low",
                window=window,
                moment=local("2077-11-17T00:00"),
            )
    until_the_end = declared(local("2077-11-16T00:00"), local("2077-11-17T00:00"))
    assert asked("2077-11-16T12:00", until_the_end).opens_at is None


def test_a_clock_without_a_zone_is_a_fault() -> None:
    with pytest.raises(ValueError, match="aware"):
        verdict(small(), (), site=None, risk="low", window="change", moment=datetime(2026, 11, 23))


def test_an_hour_that_the_clock_leaps_over_is_never_open() -> None:
    cairo = ZoneInfo("Africa/Cairo")
    text = SMALL.replace("Asia/Riyadh", "Africa/Cairo").replace(
        '"22:00-04:00"', '"00:00-01:00", "02:00-03:00"'
    )
    calendar = small(text)
    # On 24 April 2026 Cairo's clock goes from 23:59 to 01:00.
    before = local("2026-04-23T23:00", cairo)
    found = verdict(calendar, (), site="north", risk="low", window="change", moment=before)
    assert clock(found.opens_at, cairo) == "2026-04-24T02:00"
    assert found.opens_at == before + timedelta(hours=2)
    assert not verdict(
        calendar, (), site="north", risk="low", window="change", moment=found.opens_at - MINUTE
    ).open


@pytest.mark.parametrize(
    ("before", "after", "line", "reason"),
    [
        ('"22:00-04:00"', '"22:00-25:00"', 12, "write hours as 22:00-04:00"),
        ('"22:00-04:00"', '"22:00-22:00"', 12, "no length; a whole day is 00:00-24:00"),
        ("[friday, saturday], hours", "[friday, friday], hours", 13, "friday stands twice"),
        ("[low, medium]", "[low, reads]", 14, "'low', 'medium' or 'high'"),
        ("[low, medium]", "[]", 14, "at least 1"),
        ("name: north_noon", "name: nights", 7, "nights stands twice"),
        ("code: leap", "code: hajj", 25, "hajj stands twice"),
        ("    sites: [north]\n", "", 17, "Field required"),
        ("sites: [north]", "sites: [North Site]", 19, "should match pattern"),
        ("sites: [north]", "sites: north", 19, "a list is needed"),
        ("last: {month: 12, day: 13}", "last: {month: 12, day: 31}", 26, "at most 30 days"),
        ("2028-04-26, last", "2027-04-26, last", 34, "ends after it begins, within 60 days"),
        ("1449: {first: 2028-04", "1439: {first: 2028-04", 26, "2028-04-26 is not announced for 1439"),
        ("1449: {first: 2028-04", "2028: {first: 2028-04", 26, "2028 is no year of the Umm al-Qura"),
        ("2028-01-29, last", "2028-01-09, last", 5, "Ramadan 1449 does not begin about 2028-01-09"),
        ("2028-02-26}", "2028-02-28}", 5, "29 or 30 days"),
        ("    days: 1\n", "    days: 1\n    on_weekend: moved\n", 37, "take on_weekend away"),
        ("zone: Asia/Riyadh", "zone: Asia/Atlantis", 4, "is no time zone"),
        ("risks: [medium]", "risk: [medium]", 37, "Field required"),
    ],
)
def test_a_faulty_calendar_is_refused_with_line_and_reason(
    before: str, after: str, line: int, reason: str
) -> None:
    assert before in SMALL
    with pytest.raises(DefinitionError) as caught:
        small(SMALL.replace(before, after, 1))
    assert reason in str(caught.value)
    assert caught.value.fields[0].line == line


def test_calendars_of_further_folders_are_found_and_misnamed_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    calendars = load_change_calendars([tmp_path])
    assert calendars.names() == ["municipality", "small"]
    with pytest.raises(NotFound, match="no change calendar 'other'"):
        calendars.get("other")
    (tmp_path / "small.yaml").rename(tmp_path / "other.yaml")
    with pytest.raises(DefinitionError, match="file of another name"):
        load_change_calendars([tmp_path])
