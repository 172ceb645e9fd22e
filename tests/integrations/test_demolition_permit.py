"""The demolition permit, every path to its end through the real desks, its sums worked out by hand."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, PermissionDenied
from tests.integrations.demolition_permit_paths import (
    COMES_TO,
    DONE,
    FORM,
    FORMS,
    PATHS,
    PATHS_ON_A_PERMIT,
    PERMIT,
    RENEWED,
)
from tests.integrations.desk import APPLICANT, CENTRE, open_desk
from tests.integrations.paths import Walker, caller_of, for_owner, untaken
from tests.integrations.permit_paths import AFTER_A_DECISION, ISSUE, STUDIED, standing_after


@pytest.fixture
def agent(database: Database, tmp_path: Path) -> Walker:
    """The engineering office, whom the owner authorised."""
    walker = Walker(open_desk(database, tmp_path), PERMIT, FORMS, {}, for_owner())
    walker.delegate()
    return walker


def test_the_paths_of_these_tests_take_every_step_that_there_is() -> None:
    everywhere = [*PATHS, *PATHS_ON_A_PERMIT, RENEWED]
    everywhere += [(procedure, steps) for _, procedure, steps in AFTER_A_DECISION]
    assert untaken(PERMIT, everywhere) == set()
    assert {path[0] for path in everywhere} == set(PERMIT.procedures)


def test_an_application_comes_to_each_of_its_ends(agent: Walker) -> None:
    for path in PATHS:
        case = agent.follow(path)
        assert (case["licence"] is not None) == (case["state"] == "issued")
    assert agent.desk.count("licence") == 4
    assert agent.desk.breaks() == []


def test_what_is_done_with_a_permit_comes_to_its_end(agent: Walker) -> None:
    for path in PATHS_ON_A_PERMIT:
        permit = agent.issued(ISSUE)
        before = agent.licence(permit)
        case = agent.follow(path, permit)
        after = agent.licence(permit)
        if case["state"] in DONE:
            assert after["status"] == COMES_TO.get(path[0], "valid")
            assert after["version"] == before["version"] + (path[0] == "correct")
        else:
            assert after == before
    assert agent.desk.breaks() == []


@pytest.mark.parametrize(("decision", "procedure", "steps"), AFTER_A_DECISION)
def test_what_the_office_decided_is_lifted_or_stands(
    agent: Walker, decision: str, procedure: str, steps: str
) -> None:
    stood, stands = standing_after(agent, decision, (procedure, steps))
    assert stands == (stood if steps.endswith("reject") else "valid")


@pytest.mark.parametrize(
    ("area", "total"),
    [
        # 240.50 m² at 1.00; 199.99 m² would be 199.99, and the least is 200.00.
        (240.5, "240.50"),
        (199.99, "200.00"),
    ],
)
def test_it_is_charged_by_its_area_with_a_least(agent: Walker, area: float, total: str) -> None:
    number = agent.ask("issue", form={**FORM, "area_m2": area})
    agent.go(number, [*STUDIED.split()[1:], "quote"])
    assert agent.desk.case(number)["quote"]["total"] == total


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({}, set()),
        ({"extent": "part"}, {"structural_report"}),
        ({"attached": True}, {"neighbour_protection"}),
    ],
)
def test_what_remains_and_who_lives_beside_it_are_looked_after(
    agent: Walker, changes: dict[str, Any], more: set[str]
) -> None:
    number = agent.ask("issue", form={**FORM, **changes})
    needed = {each["code"] for each in agent.desk.case(number)["documents"] if each["needed"]}
    assert needed == {"deed", "site_photo", "safety_plan", "supervision_contract"} | more


def test_nothing_is_studied_before_the_supply_is_cut(agent: Walker) -> None:
    number = agent.ask("issue")
    for role, action in (("reviewer", "administrative_approve"), ("study_engineer", "technical_approve")):
        with pytest.raises(Conflict, match="With the electricity company"):
            agent.desk.do.take(caller_of([role]), number, action)
        with pytest.raises(PermissionDenied):
            agent.desk.do.take(caller_of([role]), number, "utility_approve")


def test_what_the_study_corrects_is_what_it_studies_and_is_charged(agent: Walker) -> None:
    number = agent.ask("issue")
    agent.go(number, ["utility_approve", "administrative_approve", "technical_send_back"])
    with pytest.raises(InvalidInput):
        agent.desk.do.take(CENTRE, number, "resubmit", form={"parcel_number": "99"})
    agent.desk.do.take(CENTRE, number, "resubmit", form={"extent": "part", "area_m2": 300})
    # Of a part that remains, a report is asked now.
    with pytest.raises(Conflict, match="lacks: Structural report"):
        agent.desk.do.take(caller_of(["study_engineer"]), number, "technical_approve")
    agent.go(number, ["technical_approve", "quote"])
    assert agent.desk.case(number)["quote"]["total"] == "300.00"


def test_it_holds_a_hijri_year_and_is_studied_anew_before_its_renewal(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    told = agent.licence(permit)
    # 12 Jumada al-Akhirah 1448 to the eve of that day in 1449.
    assert (told["valid_from"], told["valid_to"]) == ("2026-11-22", "2027-11-10")
    end = date.fromisoformat(told["valid_to"])
    agent.on(end - timedelta(days=91))
    with pytest.raises(Conflict, match="possible from"):
        agent.ask("renew", permit)
    agent.on(end + timedelta(days=1))
    assert agent.licence(permit)["status"] == "expired"
    agent.follow(RENEWED, permit)
    told = agent.licence(permit)
    assert (told["status"], told["valid_to"]) == ("valid", "2028-10-29")


def test_it_ends_when_an_inspector_has_seen_the_site_cleared(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    number = agent.ask("clear", permit)
    with pytest.raises(PermissionDenied):
        agent.desk.do.take(CENTRE, number, "found_clear")
    with pytest.raises(Conflict, match="lacks: Photograph of the cleared site"):
        agent.desk.do.take(caller_of(["inspector"]), number, "found_clear")
    agent.go(number, ["found_clear"])
    assert agent.licence(permit)["status"] == "closed"


def test_what_the_office_leaves_lying_is_shown_to_who_looks_after_it(agent: Walker) -> None:
    steps = STUDIED.split()[1:]
    for taken in range(3):
        number = agent.ask("issue")
        agent.go(number, steps[:taken])
        assert agent.escalated(number) == "supervisor"
    for procedure, role in (("clear", "supervisor"), ("cancel", "objections"), ("suspend", "supervisor")):
        assert agent.escalated(agent.ask(procedure, agent.issued(ISSUE))) == role


def test_it_is_asked_by_an_engineering_office_that_the_owner_authorised(
    database: Database, tmp_path: Path
) -> None:
    agent = Walker(open_desk(database, tmp_path), PERMIT, FORMS, {}, for_owner())
    with pytest.raises(PermissionDenied, match="no delegation"):
        agent.ask("issue")
    with pytest.raises(InvalidInput):
        Walker(agent.desk, PERMIT, FORMS, {}, APPLICANT).ask("issue")


def test_nobody_takes_it_for_a_permit_to_build(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    told = str(agent.desk.licensing.licences.verify(permit))
    assert "رخصة هدم" in told
    assert "بناء" not in told
    assert "هدم كلي" in str(agent.licence(permit)["lines"])
