"""Time: clocks that are set back, deadlines across holidays, limits at their last day, ends of months."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from foundation.closures import Closures
from foundation.definitions import Bilingual
from foundation.errors import Conflict
from tests.integrations.desk import (
    AUDITOR,
    BANK,
    CENTRE,
    FORM,
    INSPECTOR,
    OBJECTIONS,
    REVIEWED,
    REVIEWER,
    SUPERVISOR,
    Desk,
    message,
)

GROUNDS = {"grounds": "تعذر الدخول إلى المنصة"}
CARD = {"profession": "cook", "fit": True, "examined_on": "2026-11-01"}
SEASON = {"profession": "cook", "season_site": "منى"}


def at(desk: Desk, year: int, month: int, day: int, hour: int = 7, minute: int = 0) -> datetime:
    """Set the clock, in UTC; offices open at 4:30 and close at 11:30 of it."""
    moment = datetime(year, month, day, hour, minute, tzinfo=UTC)
    desk.now.append(moment)
    return moment


def on_day(desk: Desk, day: date) -> None:
    """Set the clock to the morning of a day."""
    at(desk, day.year, day.month, day.day)


def issued_on(
    desk: Desk, day: date, form: Mapping[str, object], service: str, steps: tuple[str, str, str]
) -> date:
    """Issue a licence of a simple service on a day; its last day.

    Args:
        steps: names of quoting, billing and, where a person issues, issuing; "" where nobody does.
    """
    on_day(desk, day)
    number = desk.submit(form, service=service)
    desk.do.take(CENTRE, number, steps[0])
    desk.do.take(CENTRE, number, steps[1])
    bill = desk.case(number)["invoice"]
    desk.pay(bill["bill_number"], bill["amount"], f"ref-{number}")
    if steps[2]:
        desk.do.take(REVIEWER, number, steps[2])
    return last_day(desk, desk.case(number)["licence"])


def last_day(desk: Desk, licence: str) -> date:
    """The last day of a licence."""
    return date.fromisoformat(desk.licensing.licences.licence(licence)["valid_to"])


def standing(desk: Desk, licence: str) -> str:
    """How a licence stands today."""
    return str(desk.licensing.licences.verify(licence)["status"])


def office_acts(desk: Desk, procedure: str, licence: str) -> str:
    """One officer proposes, another decides; the case's number."""
    said = message(GROUNDS, applicant=None, procedure=procedure, licence=licence)
    number = str(desk.do.submit(INSPECTOR, said).body["number"])
    desk.do.take(SUPERVISOR, number, "decide")
    return number


def outage(desk: Desk, day: date, days: int = 1) -> None:
    """Our systems were down for whole days."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=3)
    with desk.database.transaction() as session:
        Closures().add(
            session,
            starts_at=start,
            ends_at=start + timedelta(days=days),
            title=Bilingual(ar="انقطاع", en="Outage"),
            actor="cli/test",
            outage=True,
        )


def times(desk: Desk, number: str) -> list[datetime]:
    """When a case was changed, as its events and its row have it."""
    query = text("SELECT submitted_at, entered_at, changed_at FROM case_file WHERE number = :number")
    with desk.database.transaction() as session:
        return list(session.execute(query, {"number": number}).one())


def steps_of(desk: Desk, reviewed: bool) -> list[Callable[[str], object]]:
    """The way of a shop licence from its application to its paper, step by step."""

    def pay(number: str) -> object:
        bill = desk.case(number)["invoice"]
        return desk.pay(bill["bill_number"], bill["amount"])

    review: list[Callable[[str], object]] = [
        lambda number: desk.do.take(REVIEWER, number, "send_back", comment="ينقص المخطط"),
        lambda number: desk.do.take(CENTRE, number, "resubmit", form={"trade_name": "ركن"}),
        lambda number: desk.show_all(number),
        lambda number: desk.do.take(REVIEWER, number, "approve"),
    ]
    return [
        *(review if reviewed else []),
        lambda number: desk.do.quote(CENTRE, number),
        lambda number: desk.do.invoice(CENTRE, number),
        pay,
    ]


@pytest.mark.parametrize(("reviewed", "back"), [(False, n) for n in range(3)] + [(True, n) for n in range(7)])
def test_the_clock_set_back_a_day_before_any_step_changes_no_way_and_no_order(
    desk: Desk, reviewed: bool, back: int
) -> None:
    number = desk.submit(REVIEWED if reviewed else FORM)
    opened = times(desk, number)[0]
    last = opened
    for index, step in enumerate(steps_of(desk, reviewed)):
        desk.later(days=-1) if index == back else desk.later(hours=1)
        step(number)
        changed = times(desk, number)[2]
        assert changed >= last
        last = changed
    case = desk.case(number)
    assert (case["state"], case["intact"]) == ("issued", True)
    versions = [entry["version"] for entry in case["journal"]]
    assert versions == list(range(1, case["version"] + 1))
    # The licence begins on the day of the case's last moment, and not on the day the clock went back to.
    assert desk.licensing.licences.licence(case["licence"])["valid_from"] == opened.date().isoformat()
    assert desk.breaks() == []


def test_the_clock_set_back_lets_no_deadline_pass_twice(desk: Desk) -> None:
    number = desk.submit()
    due = datetime.fromisoformat(desk.case(number)["due"])
    desk.now.append(due)
    assert desk.licensing.cases.time_passed() == 1
    desk.later(days=-1)
    assert desk.licensing.cases.time_passed() == 0
    desk.later(days=2)
    assert desk.licensing.cases.time_passed() == 0
    assert [entry["action"] for entry in desk.case(number)["journal"]] == ["submit", "lapse"]


def test_a_deadline_waits_for_its_second(desk: Desk) -> None:
    number = desk.submit()
    due = datetime.fromisoformat(desk.case(number)["due"])
    desk.now.append(due - timedelta(seconds=1))
    assert desk.licensing.cases.time_passed() == 0
    desk.now.append(due)
    assert desk.licensing.cases.time_passed() == 1
    assert desk.state(number) == "lapsed"


@pytest.mark.parametrize(
    ("opened", "due"),
    [
        # 1448 H: Ramadan from 8 February 2027, Eid al-Fitr off from 4 to 13 March, Eid al-Adha 11 to 21 May.
        pytest.param((2027, 1, 31), "2027-02-07T11:30:00Z", id="the last day before Ramadan ends at 14:30"),
        pytest.param((2027, 2, 1), "2027-02-08T12:00:00Z", id="the first day of Ramadan ends at 15:00"),
        pytest.param((2027, 2, 9), "2027-02-16T12:00:00Z", id="within Ramadan"),
        pytest.param(
            (2027, 2, 14), "2027-02-23T12:00:00Z", id="over Foundation Day, a Monday, and its bridge"
        ),
        pytest.param(
            (2027, 3, 2), "2027-03-17T11:30:00Z", id="one working day before Eid al-Fitr, four after"
        ),
        pytest.param((2027, 3, 8), "2027-03-18T11:30:00Z", id="opened on a holiday"),
        pytest.param((2027, 5, 9), "2027-05-26T11:30:00Z", id="over Eid al-Adha"),
        pytest.param((2027, 9, 20), "2027-09-28T11:30:00Z", id="over the National Day, a Thursday"),
    ],
)
def test_five_working_days_of_review_pass_over_what_is_no_working_day(
    desk: Desk, opened: tuple[int, int, int], due: str
) -> None:
    at(desk, *opened)
    case = desk.case(desk.submit(REVIEWED))
    assert case["due"] == due
    # The promise is the same five days: told to the applicant at the counter.
    assert case["promised_for"] == due


def test_a_promise_in_hours_runs_over_holidays_and_stands_still_in_an_outage(desk: Desk) -> None:
    _, licence = desk.issued()
    on_day(desk, last_day(desk, licence) - timedelta(days=30))
    outage(desk, last_day(desk, licence) - timedelta(days=29))
    case = desk.case(desk.submit({"years": 1}, procedure="renew", licence=licence))
    promised = datetime.fromisoformat(case["promised_for"])
    # From 10:00 in Riyadh 14 hours to the outage, and 10 after it.
    assert promised - desk.now[-1] == timedelta(hours=48)


def test_a_case_that_waits_too_long_is_escalated_once_whatever_the_clock_does(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    due = datetime.fromisoformat(desk.case(number)["due"])
    for moment in (due, due + timedelta(days=3), due - timedelta(days=1), due, due + timedelta(days=400)):
        desk.now.append(moment)
        desk.licensing.cases.time_passed()
    case = desk.case(number)
    assert (case["state"], case["escalated"]) == ("under_review", True)
    assert [entry["action"] for entry in case["journal"]] == ["submit", "review", "escalated"]
    assert desk.count("event WHERE kind = 'case.escalated'") == 1
    # Sent back and again: a new stay in the state has a deadline of its own.
    desk.do.take(REVIEWER, number, "send_back", comment="ينقص المخطط")
    desk.do.take(CENTRE, number, "resubmit")
    assert desk.case(number)["escalated"] is False
    desk.now.append(datetime.fromisoformat(desk.case(number)["due"]))
    desk.licensing.cases.time_passed()
    assert desk.count("event WHERE kind = 'case.escalated'") == 2


def test_renewal_opens_thirty_days_before_the_end_and_costs_a_fine_the_day_after_it(desk: Desk) -> None:
    _, licence = desk.issued()
    end = last_day(desk, licence)
    on_day(desk, end - timedelta(days=31))
    with pytest.raises(Conflict, match="it is possible from"):
        desk.submit({"years": 1}, procedure="renew", licence=licence)
    for days, fined in ((-30, False), (0, False), (1, True)):
        on_day(desk, end + timedelta(days=days))
        number = desk.submit({"years": 1}, procedure="renew", licence=licence)
        lines = {line["code"] for line in desk.do.quote(CENTRE, number).body["lines"]}
        assert ("late_renewal" in lines) is fined
        desk.do.take(CENTRE, number, "withdraw")


def test_days_that_our_outage_took_do_not_make_a_renewal_late(desk: Desk) -> None:
    _, licence = desk.issued()
    end = last_day(desk, licence)
    # The first working day after the end, and all before it, are lost to us.
    outage(desk, end + timedelta(days=1), days=3)
    lost = [day for n in (1, 2, 3) if (day := end + timedelta(days=n)).weekday() not in (4, 5)]
    on_day(desk, end + timedelta(days=len(lost)))
    number = desk.submit({"years": 1}, procedure="renew", licence=licence)
    assert "late_renewal" not in {line["code"] for line in desk.do.quote(CENTRE, number).body["lines"]}
    desk.do.take(CENTRE, number, "withdraw")
    on_day(desk, end + timedelta(days=len(lost) + 1))
    number = desk.submit({"years": 1}, procedure="renew", licence=licence)
    assert "late_renewal" in {line["code"] for line in desk.do.quote(CENTRE, number).body["lines"]}


def test_an_objection_is_taken_on_the_sixtieth_day_and_not_on_the_next(desk: Desk) -> None:
    _, licence = desk.issued()
    office_acts(desk, "suspend", licence)
    suspended = desk.now[-1].date()
    on_day(desk, suspended + timedelta(days=61))
    with pytest.raises(Conflict, match="it was possible until") as caught:
        desk.submit(GROUNDS, procedure="uphold", licence=licence)
    assert "وكان متاحًا حتى" in caught.value.message_ar
    on_day(desk, suspended + timedelta(days=60))
    number = desk.submit(GROUNDS, procedure="uphold", licence=licence)
    # In time is who applied in time: what the office takes to decide is not his.
    on_day(desk, suspended + timedelta(days=75))
    desk.do.take(OBJECTIONS, number, "approve", comment="الأسباب وجيهة")
    assert standing(desk, licence) == "valid"


def test_a_working_day_that_we_were_down_is_added_to_the_sixty(desk: Desk) -> None:
    _, licence = desk.issued()
    office_acts(desk, "suspend", licence)
    suspended = desk.now[-1].date()
    # A Sunday within the sixty days: one working day.
    outage(desk, suspended + timedelta(days=7))
    on_day(desk, suspended + timedelta(days=62))
    with pytest.raises(Conflict, match="it was possible until"):
        desk.submit(GROUNDS, procedure="uphold", licence=licence)
    on_day(desk, suspended + timedelta(days=61))
    desk.submit(GROUNDS, procedure="uphold", licence=licence)


def test_the_day_of_issue_ends_at_midnight_in_riyadh(desk: Desk) -> None:
    at(desk, 2026, 11, 22, 20, 59)
    _, licence = desk.issued()
    said = message(GROUNDS, applicant=None, procedure="void", licence=licence)
    at(desk, 2026, 11, 22, 21, 0)
    with pytest.raises(Conflict, match="the day of its issue"):
        desk.do.submit(INSPECTOR, said)
    # Set back over midnight, it is that day again.
    at(desk, 2026, 11, 22, 20, 59)
    number = str(desk.do.submit(INSPECTOR, said).body["number"])
    at(desk, 2026, 11, 22, 21, 0)
    with pytest.raises(Conflict, match="the day of its issue"):
        desk.do.take(SUPERVISOR, number, "decide")


@pytest.mark.parametrize(
    ("day", "last"),
    [
        pytest.param(date(2027, 3, 1), date(2028, 2, 29), id="to the leap day"),
        pytest.param(date(2028, 2, 29), date(2029, 2, 27), id="the anniversary of 29 February is the 28th"),
        pytest.param(date(2028, 1, 31), date(2029, 1, 30), id="the eve of the anniversary"),
    ],
)
def test_a_gregorian_year_ends_on_the_eve_of_its_anniversary(desk: Desk, day: date, last: date) -> None:
    assert issued_on(desk, day, CARD, "exam_card", ("price", "bill", "print")) == last


def test_a_hijri_year_from_a_thirtieth_ends_before_the_last_day_of_a_shorter_month(desk: Desk) -> None:
    # 30 Shaban 1448 H is 7 February 2027; Shaban of 1449 has 29 days, and ends on 27 January 2028.
    at(desk, 2027, 2, 7)
    _, licence = desk.issued()
    assert last_day(desk, licence) == date(2028, 1, 26)


def test_a_fixed_end_takes_in_its_own_day_and_not_the_day_before_its_next(desk: Desk) -> None:
    steps = ("price", "bill", "")
    # 15 Muharram: 20 June 2027 and 8 June 2028.
    assert issued_on(desk, date(2027, 6, 20), SEASON, "seasonal_card", steps) == date(2027, 6, 20)
    assert issued_on(desk, date(2027, 6, 21), SEASON, "seasonal_card", steps) == date(2028, 6, 8)


def test_what_fell_due_while_nobody_worked_is_done_at_the_next_round_and_dated_then(desk: Desk) -> None:
    number = desk.submit()
    due = datetime.fromisoformat(desk.case(number)["due"])
    desk.now.append(due + timedelta(days=24))
    desk.licensing.cases.time_passed()
    assert desk.state(number) == "lapsed"
    assert times(desk, number)[2] == desk.now[-1]


def test_a_payment_that_comes_with_the_deadline_is_credited_or_owed_back_and_never_lost(desk: Desk) -> None:
    number, bill = desk.billed()
    due = datetime.fromisoformat(desk.case(number)["due"])
    desk.now.append(due)
    desk.licensing.cases.time_passed()
    desk.later(days=-1)
    late = desk.pay_as(BANK, bill["bill_number"], Decimal(bill["amount"]), "ref-late")
    assert (late["outcome"], late["owed_back"]) == ("held", bill["amount"])
    assert desk.state(number) == "lapsed"
    balance = desk.licensing.money.balance(AUDITOR)
    assert balance["debit"] == balance["credit"]
