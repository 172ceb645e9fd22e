"""Verdicts against an oracle that looks at every minute."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from infra.changes.calendar import WEEKDAYS, ChangeCalendar, Frozen
from infra.changes.verdict import stretches, verdict_of
from tests.infra.change_calendars import MINUTE, Oracle, declared, local, small

DAYS = 3
# A failing case is read as it is: making it smaller takes minutes.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
RISKS = ("low", "medium", "high")
# The first and the last evening of Ramadan by the table and as announced, the ends of freezes, leap days, the
# turns of both calendars' years.
EDGES = [
    local(text)
    for text in (
        "2027-02-07T12:00", "2027-03-08T12:00", "2028-01-28T12:00", "2028-02-26T12:00", "2027-05-06T12:00",
        "2027-05-19T12:00", "2028-04-25T12:00", "2028-02-28T12:00", "2027-02-27T12:00", "2027-12-31T12:00",
        "2027-06-05T12:00", "2026-11-26T12:00", "2077-11-10T12:00",
    )
]  # fmt: skip

titles = st.just({"ar": "عنوان", "en": "Title"})
sourced = {"source": st.just("a test"), "sample": st.just(True)}
days_of_week = st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True)
clocks = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from((0, 1, 30, 59)))
hours = st.builds("{}-{}".format, clocks, clocks | st.just("24:00")).filter(lambda text: text[:5] != text[6:])
sites = st.just("all") | st.lists(st.sampled_from(("north", "south")), min_size=1, unique=True)
risks = st.lists(st.sampled_from(RISKS), min_size=1, unique=True)
months = st.sampled_from((1, 2, 9, 10, 12))
fixed = st.fixed_dictionaries({"month": months, "day": st.sampled_from((1, 13, 20, 28, 29, 30))})
nights = st.fixed_dictionaries({"weekdays": days_of_week, "hours": st.lists(hours, max_size=2)})


@st.composite
def yearly(draw: st.DrawFn, code: str) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "code": code,
        "title": draw(titles),
        "calendar": draw(st.sampled_from(("umm_al_qura", "gregorian"))),
        "first": draw(fixed),
        "sites": draw(sites),
        "risks": draw(risks),
        **{name: draw(value) for name, value in sourced.items()},
    }
    last = draw(fixed)
    if (last["month"], last["day"]) >= (rule["first"]["month"], rule["first"]["day"]):
        return {**rule, "last": last}
    return {**rule, "days": draw(st.integers(1, 5))}


@st.composite
def calendars(draw: st.DrawFn) -> ChangeCalendar:
    windows = [
        draw(
            st.fixed_dictionaries(
                {
                    "name": st.just(f"w{number}"),
                    "title": titles,
                    "sites": sites,
                    "weekdays": days_of_week,
                    "hours": st.lists(hours, min_size=1, max_size=2),
                    "ramadan": st.none() | nights,
                    "risks": risks,
                    **sourced,
                }
            )
        )
        for number in range(draw(st.integers(1, 3)))
    ]
    freezes = [draw(yearly(f"f{number}")) for number in range(draw(st.integers(0, 3)))]
    announced = draw(st.sampled_from(({}, {1449: {"first": "2028-01-29", "last": "2028-02-26"}})))
    whole: dict[str, Any] = {
        "code": "drawn",
        "title": draw(titles),
        "zone": "Asia/Riyadh",
        "ramadan_announced": announced,
        "windows": windows,
        "freezes": freezes,
    }
    return ChangeCalendar.model_validate(whole)


@st.composite
def moments(draw: st.DrawFn) -> datetime:
    return draw(st.sampled_from(EDGES)) + draw(st.integers(-720, 2160)) * MINUTE


@st.composite
def people(draw: st.DrawFn, around: datetime) -> list[Frozen]:
    found = []
    for _ in range(draw(st.integers(0, 2))):
        starts = around + draw(st.integers(-3000, 3000)) * MINUTE
        where = draw(st.sampled_from((None, ("north",), ("south",), ("north", "south"))))
        found.append(declared(starts, starts + draw(st.integers(1, 3000)) * MINUTE, where))
    return found


@settings(max_examples=50, deadline=None, phases=PHASES)
@given(st.data())
def test_a_verdict_and_the_next_opening_are_those_of_an_oracle(data: st.DataObject) -> None:
    calendar, moment = data.draw(calendars()), data.draw(moments())
    freezes = data.draw(people(moment))
    asked = data.draw(
        st.lists(st.sampled_from(("north", "south", None)), min_size=1, max_size=2, unique=True)
    )
    risk, window = data.draw(st.sampled_from(RISKS)), data.draw(st.sampled_from(("change", "always")))
    found = verdict_of(calendar, freezes, sites=asked, risk=risk, window=window, moment=moment)  # type: ignore[arg-type]
    oracle = Oracle(calendar, freezes)
    now = oracle.is_open(asked, risk, window, moment)
    assert found.open == now
    if now:
        assert (found.reason, found.reason_ar, found.opens_at) == (None, None, None)
        return
    assert found.reason
    assert found.reason_ar
    later = (moment + number * MINUTE for number in range(1, DAYS * 24 * 60))
    first = next((each for each in later if oracle.is_open(asked, risk, window, each)), None)
    if first is None:
        assert found.opens_at is None or found.opens_at >= moment + timedelta(days=DAYS)
        if found.opens_at is not None:
            # Much later: it is open then, and was not the minute before.
            assert oracle.is_open(asked, risk, window, found.opens_at)
            assert not oracle.is_open(asked, risk, window, found.opens_at - MINUTE)
    else:
        assert found.opens_at == first


@settings(max_examples=25, deadline=None, phases=PHASES)
@given(st.data())
@example(None)
def test_stretches_are_those_of_an_oracle(data: st.DataObject | None) -> None:
    calendar, moment, freezes, site, risk, window = (
        (small(), local("2027-02-06T12:00"), [], "north", "medium", "change")
        if data is None
        else (
            data.draw(calendars()),
            moment := data.draw(moments()),
            data.draw(people(moment)),
            data.draw(st.sampled_from(("north", "south", None))),
            data.draw(st.sampled_from(RISKS)),
            data.draw(st.sampled_from(("change", "always"))),
        )
    )
    until = moment + timedelta(days=DAYS)
    found = stretches(calendar, freezes, site=site, risk=risk, window=window, since=moment, until=until)  # type: ignore[arg-type]
    assert [found[0].starts, *(one.until for one in found)] == [*(one.starts for one in found), until]
    oracle = Oracle(calendar, freezes)
    for one in found:
        for number in range((one.until - one.starts) // MINUTE):
            at = one.starts + number * MINUTE
            assert one.open == oracle.is_open([site], risk, window, at)


def test_the_oracle_itself_tells_open_from_shut() -> None:
    friday_noon = local("2026-11-27T12:30")
    oracle = Oracle(small(), [])
    assert oracle.is_open(["north"], "high", "change", friday_noon)
    assert not oracle.is_open(["south"], "high", "change", friday_noon)
    assert not oracle.is_open(["north"], "low", "always", local("2028-05-09T23:59"))
    assert oracle.is_open(["north"], "low", "always", local("2028-05-10T00:00"))
    held = Oracle(small(), [declared(friday_noon, friday_noon + MINUTE, ("north",))])
    assert not held.is_open(["north"], "high", "change", friday_noon)
    assert held.is_open(["north"], "high", "change", friday_noon + MINUTE)
