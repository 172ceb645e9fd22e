"""A closure that is noted, ended or withdrawn later moves the deadlines of the cases that are open."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation import audit
from foundation.database import Database
from integrations.cases import case_store
from tests.integrations.closing import (
    ELSEWHERE,
    FILED,
    HERE,
    PROMISED,
    dates,
    ended,
    filed,
    follow,
    judged,
    moves,
    noted,
    returned,
    utc,
    withdrawn,
)
from tests.integrations.desk import CENTRE, OPENS, Desk, open_desk
from tests.integrations.engine_probing import CHIEF


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """An office with the engine's own service."""
    return open_desk(database, tmp_path, (Path(__file__).parent / "engine_definitions",))


def test_an_outage_noted_after_the_case_was_opened_moves_what_it_touches(desk: Desk) -> None:
    number = filed(desk)
    assert dates(desk, number) == (FILED, PROMISED)
    # A whole day, Monday to Tuesday at eight: 24 hours, and Monday is no working day.
    closure = noted(desk, utc(23, 5), utc(24, 5))
    desk.now.append(utc(24, 6))
    desk.licensing.rounds()
    after = ("2026-11-25T07:00:00Z", "2026-11-29T11:30:00Z")
    assert dates(desk, number) == after
    said = {
        "closure": closure,
        "due": {"from": FILED, "to": after[0]},
        "promised_for": {"from": PROMISED, "to": after[1]},
    }
    assert moves(desk, number) == [said]
    with desk.database.transaction() as session:
        query = text("SELECT payload FROM event WHERE kind = 'case.deadline_moved' AND subject = :of")
        told = session.execute(query, {"of": f"case/{number}"}).scalars().all()
    around = {"service": "engine_probe", "procedure": "issue", "place": HERE, "centre": CENTRE.actor}
    assert told == [{**around, **said}]
    # Neither the old deadline nor a further round does anything, and the case was not acted upon.
    desk.now.append(utc(24, 8))
    desk.licensing.rounds()
    case = desk.case(number)
    assert (case["escalated"], case["version"], len(moves(desk, number))) == (False, 1, 1)
    desk.now.append(utc(25, 7))
    desk.licensing.rounds()
    assert desk.case(number)["escalated"]
    assert desk.breaks() == []


def test_a_closure_that_touches_no_case_moves_and_journals_nothing(desk: Desk) -> None:
    number = filed(desk)
    noted(desk, OPENS - timedelta(days=2), OPENS - timedelta(hours=1))
    noted(desk, utc(28, 0), utc(28, 6))
    # Half an hour of a storm: the day still counts, and hours of the clock run on.
    noted(desk, utc(23, 8), utc(23, 8, 30), outage=False)
    follow(desk)
    assert dates(desk, number) == (FILED, PROMISED)
    assert moves(desk, number) == []


def test_what_ended_later_is_reckoned_by_its_end(desk: Desk) -> None:
    number = filed(desk)
    closure = noted(desk, utc(23, 7), None)
    follow(desk)
    desk.now.append(utc(24, 13))
    ended(desk, closure, utc(24, 13))
    follow(desk)
    # Thirty hours; Monday and Tuesday are lost, and the promise goes to Monday after the weekend.
    assert dates(desk, number) == ("2026-11-25T13:00:00Z", "2026-11-30T11:30:00Z")
    assert moves(desk, number)[-1]["due"]["to"] == "2026-11-25T13:00:00Z"


def test_no_deadline_runs_out_while_an_outage_is_known_to_hold(desk: Desk) -> None:
    lapsing, escalating = returned(desk), filed(desk)
    closure = noted(desk, utc(23, 6), None)
    # The deadlines' own moments, with the round of the closures not yet made, and long after.
    for at in (utc(24, 7), utc(25, 11, 30), utc(28, 9)):
        desk.now.append(at)
        desk.licensing.cases.time_passed()
        assert desk.state(lapsing) == "returned"
        assert not desk.case(escalating)["escalated"]
    # While its end is not known, its length is not journalled over and over.
    desk.licensing.rounds()
    before = len(moves(desk, lapsing)), len(moves(desk, escalating))
    for _ in range(3):
        desk.later(hours=1)
        desk.licensing.rounds()
    assert (len(moves(desk, lapsing)), len(moves(desk, escalating))) == before
    ended(desk, closure, desk.now[-1])
    # Nothing waits for the next look that was put off: the end of the outage sets the clock again.
    desk.licensing.rounds()
    # Saturday at noon: Sunday to Tuesday are the three working days, and 25 of the 48 hours are left.
    assert desk.case(lapsing)["due"] == "2026-12-01T11:30:00Z"
    assert desk.case(escalating)["due"] == "2026-11-29T13:00:00Z"
    desk.now.append(datetime(2026, 12, 1, 11, 30, tzinfo=UTC))
    desk.licensing.rounds()
    assert desk.state(lapsing) == "expired"
    assert desk.case(escalating)["escalated"]


def test_the_clock_reckons_anew_before_it_acts(desk: Desk) -> None:
    number = returned(desk)
    # Noted a moment before the deadline: no round has followed it yet.
    noted(desk, utc(24, 4), utc(24, 12))
    desk.now.append(utc(25, 11, 30))
    assert desk.licensing.cases.time_passed() == 1
    assert (desk.state(number), desk.case(number)["due"]) == ("returned", "2026-11-26T11:30:00Z")
    assert moves(desk, number)[0]["due"] == {"from": "2026-11-25T11:30:00Z", "to": "2026-11-26T11:30:00Z"}
    follow(desk)
    assert len(moves(desk, number)) == 1


def test_our_outage_does_not_prolong_what_our_silence_grants(desk: Desk) -> None:
    number = judged(desk)
    assert desk.case(number)["due"] == "2026-11-24T11:30:00Z"
    closure = noted(desk, utc(22, 8), None)
    desk.licensing.rounds()
    assert desk.case(number)["due"] == "2026-11-24T11:30:00Z"
    # The platform is still known to be down: the office that let the time pass has no excuse.
    desk.now.append(utc(24, 11, 30))
    desk.licensing.rounds()
    assert desk.state(number) == "granted"
    ended(desk, closure, utc(25, 0))
    desk.licensing.rounds()
    # What was promised was prolonged; the deadline never was.
    assert [list(move) for move in moves(desk, number) if "due" in move] == []


def test_a_storm_prolongs_also_what_our_silence_grants(desk: Desk) -> None:
    number = judged(desk)
    noted(desk, utc(23, 4), utc(23, 12), outage=False)
    desk.licensing.rounds()
    assert desk.case(number)["due"] == "2026-11-25T11:30:00Z"


def test_what_lapses_against_the_applicant_is_prolonged_although_it_is_not_marked_as_his_turn(
    desk: Desk,
) -> None:
    # In the shop licence's `submitted` the centre has to go on within 30 working days, or the case lapses.
    number = desk.submit()
    before = desk.case(number)["due"]
    noted(desk, utc(23, 4), utc(23, 12))
    follow(desk)
    assert desk.case(number)["due"] > before


def test_a_closure_of_one_place_moves_the_cases_of_that_place_alone(desk: Desk) -> None:
    here, elsewhere = filed(desk), filed(desk, ELSEWHERE)
    noted(desk, utc(23, 5), utc(24, 5), place=HERE)
    follow(desk)
    assert dates(desk, here) == ("2026-11-25T07:00:00Z", "2026-11-29T11:30:00Z")
    assert dates(desk, elsewhere) == (FILED, PROMISED)
    assert moves(desk, elsewhere) == []
    # What begins now begins by its place's own time.
    desk.now.append(utc(22, 8))
    assert dates(desk, filed(desk))[1] == "2026-11-29T11:30:00Z"
    assert dates(desk, filed(desk, ELSEWHERE))[1] == PROMISED


def test_the_promise_keeps_the_applicants_turns_when_it_is_moved(desk: Desk) -> None:
    number = returned(desk)
    desk.later(days=2)
    desk.do.take(CENTRE, number, "refile")
    # Four working days, and two in which he had it (see the engine's own test of it).
    assert desk.case(number)["promised_for"] == "2026-11-30T11:30:00Z"
    turn = next(e for e in desk.case(number)["journal"] if e["action"] == "refile")["details"]
    assert turn["applicants_turn"] == {"since": "2026-11-22T07:00:00Z", "until": "2026-11-24T07:00:00Z"}
    noted(desk, utc(25, 4), utc(25, 12))
    follow(desk)
    assert desk.case(number)["promised_for"] == "2026-12-01T11:30:00Z"
    # An outage within his turn takes from the office what it takes from him: nothing is gained twice.
    noted(desk, utc(23, 4), utc(23, 12))
    follow(desk)
    assert desk.case(number)["promised_for"] == "2026-12-01T11:30:00Z"


def test_a_deadline_that_was_acted_upon_stays(desk: Desk) -> None:
    number = filed(desk)
    desk.now.append(utc(24, 7))
    desk.licensing.rounds()
    assert desk.case(number)["escalated"]
    noted(desk, utc(23, 5), utc(24, 5))
    desk.licensing.rounds()
    assert dates(desk, number) == (FILED, "2026-11-29T11:30:00Z")
    assert [set(move) for move in moves(desk, number)] == [{"closure", "promised_for"}]
    closed = returned(desk)
    desk.now.append(datetime(2026, 12, 3, 12, 0, tzinfo=UTC))
    desk.licensing.rounds()
    assert desk.state(closed) == "expired"
    noted(desk, utc(25, 4), utc(25, 12))
    desk.licensing.rounds()
    assert (desk.state(closed), moves(desk, closed)) == ("expired", [])


def test_an_end_that_is_noted_late_takes_nothing_from_the_applicant(desk: Desk) -> None:
    number = returned(desk)
    closure = noted(desk, utc(24, 4), None)
    desk.now.append(utc(25, 12))
    follow(desk)
    # Two days are lost as far as is known.
    assert desk.case(number)["due"] == "2026-11-29T11:30:00Z"
    # It was over before the office opened on the second of them.
    ended(desk, closure, utc(24, 12))
    follow(desk)
    assert desk.case(number)["due"] == "2026-11-29T11:30:00Z"


def test_a_closure_that_never_was_is_withdrawn_and_the_applicant_keeps_a_working_day(desk: Desk) -> None:
    number, other = returned(desk), filed(desk)
    closure = noted(desk, utc(23, 4), utc(26, 12))
    follow(desk)
    assert desk.case(number)["due"] == "2026-12-01T11:30:00Z"
    desk.now.append(utc(26, 9))
    withdrawn(desk, closure)
    desk.licensing.rounds()
    # Wednesday, when it should have been, is past; the next working day is Sunday.
    assert (desk.state(number), desk.case(number)["due"]) == ("returned", "2026-11-29T11:30:00Z")
    # The office has no such grace: it is late.
    assert (desk.case(other)["due"], desk.case(other)["escalated"]) == (FILED, True)
    assert [entry["promised_for"]["to"] for entry in moves(desk, other)][-1] == PROMISED


def test_the_promise_of_a_migrated_case_is_the_one_that_was_told(desk: Desk) -> None:
    number = filed(desk)
    engine, services = desk.licensing.desk.engine, desk.licensing.services
    content = services.get("engine_probe").content
    changed = {**content, "version": 2}
    changed["procedures"] = {"issue": {**content["procedures"]["issue"], "promise": {"working_days": 40}}}
    new = type(services.get("engine_probe")).model_validate(changed)
    with desk.database.transaction() as session:
        engine.migrate(session, case_store.locked(session, number), new, {}, CHIEF, desk.now[-1])
    noted(desk, utc(23, 5), utc(24, 5))
    follow(desk)
    assert desk.case(number)["promised_for"] == "2026-11-29T11:30:00Z"
    with desk.database.transaction() as session:
        (moved,) = [e for e in audit.entries(session, f"case/{number}") if e.action == "deadline_moved"]
    assert moved.actor == "system/clock"
