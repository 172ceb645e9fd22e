"""Each party's own period: what its silence says and when, what moves it, and who comes first."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict
from integrations.service import Service, load_service
from tests.integrations.definition_texts import DIG, PRODUCT, changed
from tests.integrations.desk import ADMINISTRATOR, CENTRE, REVIEWER, open_desk
from tests.integrations.excavation_town import (
    COORDINATOR,
    NEW,
    SHORT,
    TELECOM,
    WATER,
    WHY,
    Town,
    other_town,
    utc,
)
from tests.integrations.test_concurrency import together

TELECOM_ASKED = "by: telecom_company\n    silence: passed\n"


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Iterator[Town]:
    town = Town(open_desk(database, tmp_path))
    yield town
    assert town.desk.breaks() == []


# ---------------------------------------------------------------- who is silent, and who is not


def test_a_deemed_answer_is_one_entry_of_the_clock_and_moves_no_version(town: Town) -> None:
    number = town.sent()
    version = town.desk.case(number)["version"]
    town.clock(utc(25, 11, 30))
    case = town.desk.case(number)
    assert case["version"] == version
    [entry] = [each for each in case["journal"] if each["action"] == "deemed"]
    assert (entry["actor"], entry["from"], entry["to"]) == ("system/clock", "coordination", "coordination")
    assert entry["details"] == {"answers": {"telecom": "passed"}}
    told = {each["name"]: (each["answer"], each["deemed"]) for each in case["checks"]}
    assert told == {
        "water": (None, False), "power": (None, False), "telecom": ("passed", True),
        "traffic": ("passed", False),
    }  # fmt: skip


def test_when_each_period_ends_stands_in_the_journal_from_the_first(town: Town) -> None:
    number = town.sent()
    [begun] = [
        e["details"]["periods"] for e in town.desk.case(number)["journal"] if "periods" in e["details"]
    ]
    # No road is closed: traffic has no period.
    assert begun == {
        "water": "2026-11-29T11:30:00Z", "power": "2026-11-29T11:30:00Z", "telecom": "2026-11-25T11:30:00Z",
    }  # fmt: skip


def test_who_has_answered_is_not_answered_for_when_his_period_ends(town: Town) -> None:
    number = town.sent()
    town.say(number, "telecom", "objects", WHY)
    town.clock(utc(25, 11, 30))
    assert town.answers(number)["telecom"] == "failed"
    assert town.deemed(number) == []


def test_a_party_may_still_object_after_its_silence_until_the_coordination_ends(town: Town) -> None:
    number = town.sent()
    town.clock(utc(25, 11, 30))
    town.say(number, "telecom", "objects", WHY)
    [telecom] = [each for each in town.desk.case(number)["checks"] if each["name"] == "telecom"]
    assert (telecom["answer"], telecom["deemed"]) == ("failed", False)
    town.clock(utc(29, 11, 30))
    assert town.state(number) == "objected"
    with pytest.raises(Conflict):
        town.say(number, "telecom")


def test_the_longest_period_is_the_last_also_where_all_others_have_answered(town: Town) -> None:
    number = town.sent({**NEW, "closes_road": True})
    town.say(number, "water", "objects", WHY)
    town.say(number, "power")
    town.say(number, "telecom")
    # Seven working days for traffic: Tuesday, 1 December.
    assert town.due(number) == "2026-12-01T11:30:00Z"
    town.clock(utc(30, 11, 30))
    assert town.state(number) == "coordination"
    town.clock(datetime(2026, 12, 1, 11, 30, tzinfo=UTC))
    assert (town.state(number), town.deemed(number)) == ("objected", [{"traffic": "passed"}])


def test_the_coordinator_ends_it_once_each_has_answered_or_was_silent(town: Town) -> None:
    number = town.sent()
    town.say(number, "water", "objects", WHY)
    town.say(number, "power")
    with pytest.raises(Conflict):
        town.desk.do.take(COORDINATOR, number, "end_coordination")
    town.clock(utc(25, 11, 30))
    town.desk.do.take(COORDINATOR, number, "end_coordination")
    assert town.state(number) == "objected"


def test_a_changed_form_has_all_its_periods_anew(town: Town) -> None:
    number = town.sent()
    town.say(number, "water", "objects", WHY)
    town.clock(utc(29, 11, 30))
    town.desk.do.take(COORDINATOR, number, "send_back", comment=WHY)
    town.desk.now.append(utc(30, 7))
    town.desk.do.take(CENTRE, number, "resubmit", form={"paths": SHORT})
    town.desk.do.take(CENTRE, number, "send")
    # Three and five working days after Monday, the 30th.
    assert town.until(number)["telecom"] == "2026-12-03T11:30:00Z"
    assert town.due(number) == "2026-12-07T11:30:00Z"


def test_periods_that_end_at_one_moment_are_answered_for_one_by_one_and_then_the_case_goes_on(
    town: Town,
) -> None:
    number = town.sent()
    # Nobody looked for a week.
    town.clock(datetime(2026, 12, 6, 11, 30, tzinfo=UTC))
    assert [list(each) for each in town.deemed(number)] == [["water"], ["power"], ["telecom"]]
    steps = [step["action"] for step in town.steps(number)]
    assert steps[-2:] == ["all_agree", "study"]


# ---------------------------------------------------------------- who comes first


def test_two_parties_that_answer_at_once_have_both_answered(town: Town) -> None:
    for _ in range(4):
        number = town.sent()
        town.say(number, "power")
        together(2, lambda n, number=number: town.say(number, ("water", "telecom")[n]))  # type: ignore[misc]
        assert town.state(number) == "under_review"
        answered = [
            e["details"]["answers"] for e in town.desk.case(number)["journal"] if "answers" in e["details"]
        ]
        assert sorted(map(str, answered[1:])) == sorted(
            str({n: "passed"}) for n in ("power", "telecom", "water")
        )


def test_of_an_objection_and_the_end_of_the_last_period_one_is_first_and_the_case_is_whole(
    town: Town,
) -> None:
    numbers = [town.sent() for _ in range(6)]
    for number in numbers:
        town.say(number, "power")
        town.say(number, "telecom")
    town.desk.now.append(utc(29, 11, 30))

    def act(thread: int) -> None:
        if thread == 0:
            town.desk.licensing.cases.time_passed(100)
            return
        for number in numbers:
            try:
                town.say(number, "water", "objects", WHY)
            except Conflict:
                continue

    together(2, act)
    town.desk.licensing.cases.time_passed(100)
    for number in numbers:
        assert (town.state(number), town.answers(number)["water"]) in {
            ("under_review", "passed"),
            ("objected", "failed"),
        }
        assert len(town.deemed(number)) == (town.state(number) == "under_review")


def test_an_answer_after_the_end_is_refused_and_changes_nothing(town: Town) -> None:
    number = town.sent()
    town.clock(utc(29, 11, 30))
    before = town.desk.case(number)
    with pytest.raises(Conflict):
        town.say(number, "water", "objects", WHY)
    assert town.desk.case(number) == before


def test_two_workers_let_each_silence_answer_once(town: Town) -> None:
    numbers = [town.sent() for _ in range(6)]
    town.desk.now.append(utc(25, 11, 30))
    together(2, lambda _: town.desk.licensing.cases.time_passed(100))
    assert [town.deemed(number) for number in numbers] == [[{"telecom": "passed"}]] * 6


# ---------------------------------------------------------------- what moves a period


def test_a_storm_moves_each_period_that_it_touches_and_the_journal_says_which(town: Town) -> None:
    number = town.sent()
    town.clock(utc(25, 11, 30))
    # On Thursday: telecommunication has answered by its silence, water and power have a day more.
    town.closure(utc(26, 4), utc(26, 12), outage=False)
    town.desk.licensing.rounds()
    assert town.until(number) == {
        "water": "2026-11-30T11:30:00Z", "power": "2026-11-30T11:30:00Z", "telecom": "2026-11-25T11:30:00Z",
        "traffic": None,
    }  # fmt: skip
    [moved] = [e["details"] for e in town.desk.case(number)["journal"] if e["action"] == "deadline_moved"]
    assert set(moved["periods"]) == {"water", "power"}
    assert moved["due"] == {"from": "2026-11-29T11:30:00Z", "to": "2026-11-30T11:30:00Z"}


def test_a_storm_that_nobody_followed_yet_is_known_before_silence_answers(town: Town) -> None:
    number = town.sent()
    town.closure(utc(24, 4), utc(24, 12), outage=False)
    town.clock(utc(25, 11, 30))
    assert town.answers(number)["telecom"] is None
    assert town.until(number)["telecom"] == "2026-11-26T11:30:00Z"


def test_an_extension_is_moved_with_the_period_that_it_follows(town: Town) -> None:
    number = town.sent()
    town.desk.do.take(COORDINATOR, number, "extend_telecom", comment=WHY)
    # Three and three working days: Monday, the 30th.
    assert town.until(number)["telecom"] == "2026-11-30T11:30:00Z"
    town.closure(utc(24, 4), utc(24, 12), outage=False)
    town.desk.licensing.rounds()
    assert town.until(number)["telecom"] == "2026-12-01T11:30:00Z"


# ---------------------------------------------------------------- what another municipality may say


def test_silence_may_refuse_and_our_own_outage_then_gives_the_time_back(
    database: Database, tmp_path: Path
) -> None:
    town = other_town(database, tmp_path, (TELECOM_ASKED, TELECOM_ASKED.replace("passed", "failed")))
    number = town.sent()
    town.closure(utc(24, 4), utc(24, 12), outage=True)
    town.desk.licensing.rounds()
    # The objection of who is silent costs the applicant something; the agreement of who is silent does not.
    assert town.until(number)["telecom"] == "2026-11-26T11:30:00Z"
    assert town.until(number)["water"] == "2026-11-29T11:30:00Z"
    town.clock(utc(26, 11, 30))
    assert town.deemed(number) == [{"telecom": "failed"}]
    town.say(number, "telecom")
    town.clock(utc(29, 11, 30))
    assert town.state(number) == "under_review"


def test_the_period_of_the_day_on_which_a_party_is_asked_counts(database: Database, tmp_path: Path) -> None:
    five = "      - effective_from: 2023-01-01\n        working_days: 5\n        extensions: 1\n"
    dated = (
        "      - effective_from: 2023-01-01\n        effective_until: 2026-11-22\n        hours: 30\n"
        "        source: A test\n"
        "      - effective_from: 2026-11-23\n        working_days: 2\n        extensions: 1\n"
    )
    town = other_town(database, tmp_path, (five, dated))
    sunday = town.sent()
    town.desk.now.append(utc(23, 7))
    monday = town.sent()
    # Thirty hours of the clock after Sunday, 07:00; two working days after Monday.
    assert town.until(sunday)["water"] == "2026-11-23T13:00:00Z"
    assert town.until(monday)["water"] == "2026-11-25T11:30:00Z"
    with pytest.raises(Conflict):
        town.desk.do.take(COORDINATOR, sunday, "extend_water", comment=WHY)


def test_who_is_asked_before_any_period_is_in_effect_is_waited_for(
    database: Database, tmp_path: Path
) -> None:
    five = "by: water_company\n    silence: passed\n    periods:\n      - effective_from: 2023-01-01"
    town = other_town(database, tmp_path, (five, five.replace("2023", "2030")))
    number = town.sent()
    assert town.until(number)["water"] is None
    town.clock(utc(29, 11, 30))
    # The periods of the others are over; the last that anybody set has ended the coordination.
    assert (town.state(number), town.answers(number)["water"]) == ("coordination", None)


def test_a_period_runs_also_in_a_state_without_a_deadline(database: Database, tmp_path: Path) -> None:
    deadline = "        deadline: {periods: last, then: end_period}\n"
    end = DIG[DIG.index("      - name: end_period\n") : DIG.index("      - name: all_agree\n")]
    town = other_town(database, tmp_path, (deadline, ""), (end, ""))
    number = town.sent()
    assert town.desk.case(number)["due"] is None
    town.closure(utc(24, 4), utc(24, 12), outage=False)
    town.desk.licensing.rounds()
    assert town.until(number)["telecom"] == "2026-11-26T11:30:00Z"
    town.clock(utc(26, 11, 30))
    assert town.answers(number)["telecom"] == "passed"
    town.say(number, "power")
    town.clock(utc(30, 11, 30))
    assert town.state(number) == "under_review"


def test_a_case_that_goes_on_under_a_new_version_keeps_when_its_parties_were_asked(
    database: Database, tmp_path: Path
) -> None:
    town = other_town(database, tmp_path)
    number = town.sent()
    town.say(number, "power")
    path = tmp_path / "definitions/road_works.yaml"
    said = changed(
        path.read_text(encoding="utf-8"),
        ("version: 1\n", "version: 2\n"),
        ("working_days: 3", "working_days: 4"),
    )
    path.write_text(said, encoding="utf-8")
    later = Town(open_desk(database, tmp_path, (tmp_path / "definitions",)), "road_works")
    later.desk.now.append(utc(24, 7))
    later.desk.licensing.cases.migrate(ADMINISTRATOR, "road_works", 1, {})
    assert later.until(number)["telecom"] == "2026-11-26T11:30:00Z"
    assert later.answers(number)["power"] == "passed"
    later.clock(utc(25, 11, 30))
    assert later.answers(number)["telecom"] is None
    later.clock(utc(26, 11, 30))
    assert later.deemed(number) == [{"telecom": "passed"}]


def test_cases_of_before_have_no_periods_and_their_parties_are_waited_for(town: Town) -> None:
    number = town.sent()
    with town.desk.database.transaction() as session:
        session.execute(text("UPDATE case_file SET periods = '{}', timer_at = NULL, due = NULL"))
    town.clock(utc(29, 11, 30))
    assert town.state(number) == "coordination"
    town.all_agree(number)
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.state(number) == "approved"


def test_the_product_s_own_periods_are_samples_with_a_source() -> None:
    service: Service = load_service(PRODUCT / "excavation_permit.yaml")
    asked = [each.period_on(date(2026, 11, 22)) for each in service.checks.values()]
    assert [(each.working_days, each.sample) for each in asked if each] == [
        (5, True),
        (5, True),
        (3, True),
        (7, True),
    ]
    assert all(each.source for each in asked if each)


def test_a_party_reads_how_long_it_has_and_the_others_too(town: Town) -> None:
    number = town.sent()
    for party in (WATER, TELECOM):
        checks = town.desk.licensing.cases.case(party, number)["checks"]
        assert {each["name"]: each["until"] for each in checks} == town.until(number)
