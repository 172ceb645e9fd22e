"""The engine and the clock: deadlines, escalation, promises, a clock set back."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.closures import Closures
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Conflict
from tests.integrations.desk import (
    CENTRE,
    OPENS,
    REVIEWER,
    Desk,
    open_desk,
)
from tests.integrations.engine_probing import CHIEF, PROBE, judged, kinds, opened


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """An office with the engine's own service."""
    return open_desk(database, tmp_path, (Path(__file__).parent / "engine_definitions",))


def test_a_deadline_is_shown_and_nothing_happens_before_it(desk: Desk) -> None:
    number = judged(desk)
    # Judged on Sunday: two working days later is Tuesday, at the hour the office closes.
    assert desk.case(number)["due"] == "2026-11-24T11:30:00Z"
    desk.now.append(datetime(2026, 11, 24, 11, 29, 59, tzinfo=UTC))
    assert desk.licensing.cases.time_passed() == 0
    assert desk.state(number) == "judged"


def test_a_case_that_nobody_decides_is_deemed_approved(desk: Desk) -> None:
    number = judged(desk)
    desk.now.append(datetime(2026, 11, 24, 11, 30, tzinfo=UTC))
    assert desk.licensing.cases.time_passed() == 1
    case = desk.case(number)
    assert (case["state"], case["licence"], case["due"]) == ("granted", "PL-2026-000001", None)
    assert (case["journal"][-1]["action"], case["journal"][-1]["actor"]) == ("deem", "system/clock")
    # Once: the clock has nothing more to do with it.
    assert desk.licensing.cases.time_passed() == 0
    assert desk.count("licence") == 1


def test_a_case_that_its_applicant_leaves_lying_expires(desk: Desk) -> None:
    number = opened(desk)
    desk.do.take(REVIEWER, number, "send_back", comment="المخطط")
    # Three working days after a Sunday: Wednesday.
    desk.now.append(datetime(2026, 11, 25, 11, 30, tzinfo=UTC))
    assert desk.licensing.cases.time_passed() == 1
    assert desk.state(number) == "expired"
    with pytest.raises(Conflict, match="Expired"):
        desk.do.take(CENTRE, number, "refile")


def test_an_escalated_case_stays_keeps_its_deadline_and_is_shown_to_the_chief(desk: Desk) -> None:
    number = opened(desk)
    due = desk.case(number)["due"]
    desk.later(hours=48)
    assert desk.licensing.cases.time_passed() == 1
    case = desk.case(number)
    assert (case["state"], case["escalated"], case["due"], case["version"]) == ("filed", True, due, 1)
    assert (case["journal"][-1]["action"], case["journal"][-1]["details"]["role"]) == ("escalated", "chief")
    assert kinds(desk, number)[-1] == "case.escalated"
    desk.later(days=3)
    assert desk.licensing.cases.time_passed() == 0
    # Whoever acts then begins a new state, which is late only by its own deadline.
    desk.do.take(CHIEF, number, "send_back", comment="تأخر")
    assert desk.case(number)["escalated"] is False


def test_an_outage_of_ours_stops_the_hours_of_a_deadline(desk: Desk) -> None:
    with desk.database.transaction() as session:
        Closures().add(
            session,
            starts_at=OPENS + timedelta(hours=1),
            ends_at=OPENS + timedelta(hours=7),
            title=Bilingual(ar="انقطاع", en="Outage"),
            actor="cli/test",
            outage=True,
        )
    number = opened(desk)
    assert desk.case(number)["due"] == "2026-11-24T13:00:00Z"


def test_the_promise_stands_still_while_it_is_the_applicants_turn(desk: Desk) -> None:
    number = opened(desk)
    # Four working days after a Sunday: Thursday, at the hour the office closes.
    assert desk.case(number)["promised_for"] == "2026-11-26T11:30:00Z"
    desk.do.take(REVIEWER, number, "send_back", comment="المخطط")
    # Until Tuesday at the same hour: two working days of seven hours.
    desk.later(days=2)
    desk.do.take(CENTRE, number, "refile")
    # Friday and Saturday are none: Sunday and Monday are.
    assert desk.case(number)["promised_for"] == "2026-11-30T11:30:00Z"


def test_a_promise_that_was_broken_before_stays_as_late_as_it_was(desk: Desk) -> None:
    number = opened(desk)
    desk.later(days=5)
    desk.do.take(REVIEWER, number, "send_back", comment="المخطط")
    desk.later(days=1)
    desk.do.take(CENTRE, number, "refile")
    assert desk.case(number)["promised_for"] == "2026-11-26T11:30:00Z"


def test_the_event_tells_how_long_a_case_stayed_by_the_clock_and_by_working_time(desk: Desk) -> None:
    number = opened(desk)
    desk.later(days=1)
    desk.do.take(REVIEWER, number, "send_back", comment="المخطط")
    with desk.database.transaction() as session:
        query = text("SELECT payload FROM event WHERE kind = 'case.moved' AND subject = :of")
        told = session.execute(query, {"of": f"case/{number}"}).scalar_one()
    # 10:00 in Riyadh on Sunday to the same on Monday, of a day of seven hours from 7:30.
    assert (told["stayed_s"], told["working_s"]) == (86_400, 7 * 3_600)
    assert (told["from"], told["to"], told["place"]) == ("filed", "returned", PROBE["zone"])
    assert told["procedure"] == "issue"


def test_the_clock_set_back_a_day_makes_no_case_younger_and_stops_nothing(desk: Desk) -> None:
    number = opened(desk)
    before = desk.case(number)["changed_at"]
    desk.later(days=-1)
    desk.do.take(REVIEWER, number, "send_back", comment="المخطط")
    case = desk.case(number)
    assert (case["state"], case["changed_at"]) == ("returned", before)
    desk.do.take(CENTRE, number, "refile")
    assert desk.case(number)["promised_for"] == "2026-11-26T11:30:00Z"
    assert desk.breaks() == []


def test_a_case_whose_clock_fails_holds_up_no_other(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    broken, sound = judged(desk), judged(desk)
    with desk.database.transaction() as session:
        session.execute(text("UPDATE case_file SET personal = '\\x00' WHERE number = :n"), {"n": broken})
    desk.later(days=10)
    assert desk.licensing.cases.time_passed() == 2
    assert desk.state(sound) == "granted"
    assert f"could not act on the case {broken}" in caplog.text
    # It is looked at again later, not in the same round.
    assert desk.licensing.cases.time_passed() == 0
    desk.later(minutes=10)
    assert desk.licensing.cases.time_passed() == 1
