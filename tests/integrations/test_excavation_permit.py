"""The excavation permit: parties are asked, answer, change their mind or are silent; the sum of the paths."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation import audit
from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, PermissionDenied
from tests.integrations.desk import (
    APPLICANT,
    CENTRE,
    PERSONAL,
    REVIEWER,
    SUPERVISOR,
    open_desk,
)
from tests.integrations.excavation_town import (
    COORDINATOR,
    NEW,
    PLAN,
    ROWS,
    SHORT,
    WATER,
    WHY,
    Town,
    utc,
)


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Iterator[Town]:
    town = Town(open_desk(database, tmp_path))
    yield town
    assert town.desk.breaks() == []


# ---------------------------------------------------------------- coordination


def test_when_all_parties_agree_the_case_goes_on_at_once_and_ends_in_a_permit(town: Town) -> None:
    number = town.sent()
    assert town.state(number) == "coordination"
    # No road is closed: traffic is not concerned.
    assert town.answers(number) == {"water": None, "power": None, "telecom": None, "traffic": "passed"}
    town.say(number, "water")
    town.say(number, "power")
    assert town.state(number) == "coordination"
    town.say(number, "telecom")
    assert town.state(number) == "under_review"
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.pay(number) == "1620.38"
    case = town.desk.case(number)
    assert case["state"] == "granted"
    permit = town.desk.licensing.licences.licence(case["licence"])
    assert (permit["valid_from"], permit["valid_to"]) == ("2026-11-22", "2026-12-21")


def test_every_answer_stands_in_the_journal_with_who_gave_it_and_nothing_of_a_person(town: Town) -> None:
    number = town.sent()
    town.say(number, "water", "objects", WHY)
    town.say(number, "water")
    with town.desk.database.transaction() as session:
        entries = audit.entries(session, f"case/{number}")
        told = [(entry.actor, entry.details["answers"]) for entry in entries if "answers" in entry.details]
        events = str(session.execute(text("SELECT array_agg(payload::text) FROM event")).scalar_one())
    assert told == [
        ("system/engine", {"traffic": "passed"}),
        (WATER.actor, {"water": "failed"}),
        (WATER.actor, {"water": "passed"}),
    ]
    assert [word for word in (*PERSONAL, WHY) if word in events] == []


def test_where_a_road_is_closed_traffic_is_asked_too_and_its_plan_is_needed(town: Town) -> None:
    number = town.ask({**NEW, "closes_road": True})
    for code in ("route_plan", "safety_plan", "team_classification"):
        town.desk.do.put(CENTRE, number, code)
    with pytest.raises(Conflict, match="Traffic plan") as refused:
        town.desk.do.take(CENTRE, number, "send")
    assert "خطة الحركة المرورية" in refused.value.message_ar
    town.send(number)
    town.all_agree(number)
    assert town.state(number) == "coordination"
    town.say(number, "traffic")
    assert town.state(number) == "under_review"


def test_traffic_has_no_say_where_no_road_is_closed(town: Town) -> None:
    number = town.sent()
    with pytest.raises(Conflict):
        town.say(number, "traffic", "objects", WHY)


def test_the_silence_of_each_party_is_agreement_when_its_own_period_is_over(town: Town) -> None:
    number = town.sent()
    # Three working days for telecommunication: Monday to Wednesday, until the office closes.
    town.clock(utc(25, 11, 29))
    assert town.answers(number)["telecom"] is None
    town.clock(utc(25, 11, 30))
    assert town.answers(number) == {"water": None, "power": None, "telecom": "passed", "traffic": "passed"}
    # Five for water and power: Thursday, the weekend, and Sunday.
    assert town.due(number) == "2026-11-29T11:30:00Z"
    town.clock(utc(29, 11, 29))
    assert town.state(number) == "coordination"
    town.clock(utc(29, 11, 30))
    assert town.state(number) == "under_review"
    assert set(town.answers(number).values()) == {"passed"}
    assert town.deemed(number) == [{"telecom": "passed"}, {"water": "passed"}, {"power": "passed"}]


def test_silence_answers_for_nobody_who_has_objected(town: Town) -> None:
    number = town.sent()
    town.say(number, "power", "objects", WHY)
    town.say(number, "telecom")
    town.clock(utc(29, 11, 30))
    assert town.state(number) == "objected"
    assert town.answers(number) == {
        "water": "passed", "power": "failed", "telecom": "passed", "traffic": "passed",
    }  # fmt: skip
    assert town.deemed(number) == [{"water": "passed"}]


def test_our_own_outage_does_not_put_off_a_deemed_approval_and_a_storm_does(town: Town) -> None:
    number = town.sent()
    town.closure(utc(23, 4), utc(23, 12), outage=True)
    town.desk.licensing.rounds()
    assert town.due(number) == "2026-11-29T11:30:00Z"
    town.closure(utc(24, 4), utc(24, 12), outage=False)
    town.desk.licensing.rounds()
    assert town.due(number) == "2026-11-30T11:30:00Z"
    assert town.until(number)["telecom"] == "2026-11-26T11:30:00Z"
    town.clock(utc(25, 11, 30))
    assert town.answers(number)["telecom"] is None


def test_an_objection_is_sent_back_and_the_changed_form_is_asked_of_every_party_anew(town: Town) -> None:
    number = town.sent()
    town.say(number, "water", "objects", WHY)
    town.say(number, "telecom")
    town.clock(utc(29, 11, 30))
    town.desk.do.take(COORDINATOR, number, "send_back", comment=WHY)
    assert town.state(number) == "returned"
    town.desk.do.take(CENTRE, number, "resubmit", form={"paths": SHORT})
    town.desk.do.take(CENTRE, number, "send")
    assert town.answers(number) == {"water": None, "power": None, "telecom": None, "traffic": "passed"}
    town.all_agree(number)
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.pay(number) == "400.00"


def test_an_objection_that_stands_is_refused_and_nothing_was_paid(town: Town) -> None:
    number = town.sent()
    town.say(number, "water", "objects", WHY)
    town.clock(utc(29, 11, 30))
    with pytest.raises(InvalidInput):
        town.desk.do.take(COORDINATOR, number, "reject")
    town.desk.do.take(COORDINATOR, number, "reject", comment=WHY)
    assert town.state(number) == "rejected"
    assert town.desk.count("case_invoice") == 0


def test_an_objection_that_waits_is_shown_to_the_supervisor_who_decides(town: Town) -> None:
    number = town.sent()
    town.say(number, "water", "objects", WHY)
    town.clock(utc(29, 11, 30))
    # Three working days after Sunday, the 29th: Wednesday, 2 December.
    town.clock(datetime(2026, 12, 2, 11, 30, tzinfo=UTC))
    assert (town.state(number), town.desk.case(number)["escalated"]) == ("objected", True)
    # Whom it is shown to decides it.
    town.desk.do.take(SUPERVISOR, number, "reject", comment=WHY)
    assert town.state(number) == "rejected"


def test_an_answer_may_change_until_the_coordination_ends_and_no_later(town: Town) -> None:
    number = town.sent()
    town.say(number, "water")
    town.say(number, "water", "objects", WHY)
    town.say(number, "power")
    town.say(number, "telecom")
    # Everyone has answered, and the objection may yet be taken back.
    assert (town.state(number), town.answers(number)["water"]) == ("coordination", "failed")
    town.say(number, "water")
    assert town.state(number) == "under_review"
    with pytest.raises(Conflict):
        town.say(number, "water", "objects", WHY)


def test_the_coordinator_ends_the_coordination_once_all_have_answered(town: Town) -> None:
    number = town.sent()
    town.say(number, "water", "objects", WHY)
    town.say(number, "power")
    with pytest.raises(Conflict):
        town.desk.do.take(COORDINATOR, number, "end_coordination")
    town.say(number, "telecom")
    town.desk.do.take(COORDINATOR, number, "end_coordination")
    assert town.state(number) == "objected"


def test_the_period_of_a_party_is_extended_once_by_as_much_again(town: Town) -> None:
    number = town.sent()
    town.say(number, "power", "objects", WHY)
    town.desk.now.append(utc(26, 9))
    town.desk.do.take(COORDINATOR, number, "extend_water", comment=WHY)
    # Five working days after Sunday, the 29th: Sunday, 6 December. It is the last of the periods.
    assert town.until(number) == {
        "water": "2026-12-06T11:30:00Z", "power": "2026-11-29T11:30:00Z", "telecom": "2026-11-25T11:30:00Z",
        "traffic": None,
    }  # fmt: skip
    assert town.due(number) == "2026-12-06T11:30:00Z"
    assert town.answers(number)["power"] == "failed"
    with pytest.raises(Conflict):
        town.desk.do.take(COORDINATOR, number, "extend_water", comment=WHY)
    town.clock(utc(29, 11, 30))
    assert town.state(number) == "coordination"
    town.clock(datetime(2026, 12, 6, 11, 30, tzinfo=UTC))
    assert town.state(number) == "objected"
    assert town.deemed(number) == [{"telecom": "passed"}, {"water": "passed"}]


@pytest.mark.parametrize("party", ["power", "telecom", "traffic"])
def test_nobody_gets_more_time_who_has_answered_is_silent_by_now_or_is_not_concerned(
    town: Town, party: str
) -> None:
    number = town.sent()
    town.say(number, "power")
    town.clock(utc(25, 11, 30))
    with pytest.raises(Conflict):
        town.desk.do.take(COORDINATOR, number, f"extend_{party}", comment=WHY)
    offered = {each["name"] for each in town.desk.licensing.cases.case(COORDINATOR, number)["actions"]}
    assert offered == {"extend_water"}


def test_a_party_answers_for_itself_alone_and_says_why_it_objects(town: Town) -> None:
    number = town.sent()
    with pytest.raises(PermissionDenied):
        town.desk.do.take(WATER, number, "power_agrees")
    with pytest.raises(InvalidInput):
        town.desk.do.take(WATER, number, "water_objects")


def test_a_party_finds_the_case_in_its_inbox_and_sees_nothing_of_a_person(town: Town) -> None:
    number = town.sent()
    [item] = town.desk.licensing.inbox.page(WATER)["items"]
    assert item["number"] == number
    seen = town.desk.licensing.cases.case(WATER, number)
    assert seen["applicant"] is None
    assert [word for word in PERSONAL if word in str(seen)] == []
    assert seen["form"]["route"] == PLAN["route"]
    assert {each["name"] for each in seen["actions"]} == {"water_agrees", "water_objects"}
    # Who decides sees who applies.
    assert town.desk.licensing.cases.case(REVIEWER, number)["applicant"]["name"] == APPLICANT["name"]


@pytest.mark.parametrize("where", ["submitted", "coordination", "approved"])
def test_an_application_is_withdrawn_before_it_is_billed(town: Town, where: str) -> None:
    number = town.ask()
    if where != "submitted":
        town.send(number)
    if where == "approved":
        town.all_agree(number)
        town.desk.do.take(REVIEWER, number, "approve")
    assert town.state(number) == where
    town.desk.do.take(CENTRE, number, "withdraw")
    assert town.state(number) == "withdrawn"


def test_what_the_applicant_leaves_lapses_and_an_unpaid_bill_is_void(town: Town) -> None:
    left = town.ask()
    billed = town.sent()
    town.all_agree(billed)
    town.desk.do.take(REVIEWER, billed, "approve")
    town.desk.do.quote(CENTRE, billed)
    town.desk.do.invoice(CENTRE, billed)
    # Ten working days after Sunday, 22 November: Sunday, 6 December.
    town.clock(datetime(2026, 12, 6, 11, 30, tzinfo=UTC))
    assert (town.state(left), town.state(billed)) == ("lapsed", "lapsed")
    assert town.desk.case(billed)["invoice"]["state"] == "void"


@pytest.mark.parametrize("action", ["reject", "send_back"])
def test_a_reviewer_may_refuse_or_send_back_what_all_parties_agreed_to(town: Town, action: str) -> None:
    number = town.sent()
    town.all_agree(number)
    town.desk.do.take(REVIEWER, number, action, comment=WHY)
    assert town.state(number) == {"reject": "rejected", "send_back": "returned"}[action]


# ---------------------------------------------------------------- fees


@pytest.mark.parametrize(
    ("fee_class", "rows", "study", "total"),
    [
        (1, ROWS, "100.00", "1620.38"),
        # A metre 1.00: 180.75; 40.00; 66.66; 16.665 is 16.67.
        (5, ["180.75", "40.00", "66.66", "16.67"], "20.00", "324.08"),
    ],
)
def test_the_fee_is_the_sum_over_the_paths_each_by_its_work_and_its_road(
    database: Database, tmp_path: Path, fee_class: int, rows: list[str], study: str, total: str
) -> None:
    town = Town(open_desk(database, tmp_path, fee_class=fee_class))
    number = town.sent()
    town.all_agree(number)
    town.desk.do.take(REVIEWER, number, "approve")
    town.desk.do.quote(CENTRE, number)
    quote = town.desk.case(number)["quote"]
    assert [(line["code"], line["total"]) for line in quote["lines"]] == [
        *(("paths", each) for each in rows),
        ("study", study),
    ]
    assert [line["factor"] for line in quote["lines"][:4]] == ["1.5", "4", "2", "0.5"]
    assert [line["row"]["number"] for line in quote["lines"][:4]] == [1, 2, 3, 4]
    assert quote["total"] == total
