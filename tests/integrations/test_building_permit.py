"""The building permit, every path to its end through the real desks, each sum worked out by hand.

A permit of three years costs a square metre, in class 1 and in class 5: residential 3.00 and 0.60, mixed 4.00
and 0.80, commercial 6.00 and 1.20; a metre of fence 2.00 and 0.40. Nothing of it is subject to value added
tax.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from tests.integrations.building_permit_paths import (
    AMENDMENT,
    AT_ITS_END,
    CERTIFIED,
    COMES_TO,
    DONE,
    FINISHED,
    FORM,
    FORMS,
    NEW_PAPER,
    OF_A_COMPLETED,
    OFFICES,
    PATHS,
    PATHS_ON_A_PERMIT,
    PERMIT,
)
from tests.integrations.desk import APPLICANT, CENTRE, OTHER_APPLICANT, open_desk
from tests.integrations.paths import Walker, caller_of, for_owner, untaken
from tests.integrations.permit_paths import AFTER_A_DECISION, GRANTED, ISSUE, PAID, STUDIED, standing_after


def open_office(database: Database, folder: Path, fee_class: int = 1) -> Walker:
    walker = Walker(open_desk(database, folder, fee_class=fee_class), PERMIT, FORMS, {}, for_owner())
    walker.delegate()
    return walker


@pytest.fixture
def agent(database: Database, tmp_path: Path) -> Walker:
    """The engineering office, whom the owner authorised."""
    return open_office(database, tmp_path)


def himself(agent: Walker) -> Walker:
    """The owner at the same desk."""
    return Walker(agent.desk, PERMIT, FORMS, agent.edits, APPLICANT)


def test_the_paths_of_these_tests_take_every_step_that_there_is() -> None:
    everywhere = [*PATHS, FINISHED, *PATHS_ON_A_PERMIT, *AT_ITS_END, *OF_A_COMPLETED]
    everywhere += [(procedure, steps) for _, procedure, steps in AFTER_A_DECISION]
    assert untaken(PERMIT, everywhere) == set()
    assert {path[0] for path in everywhere} == set(PERMIT.procedures)


def test_an_application_comes_to_each_of_its_ends(agent: Walker) -> None:
    for path in PATHS:
        case = agent.follow(path)
        assert (case["licence"] is not None) == (case["state"] == "issued")
    assert agent.desk.count("licence") == 6
    assert agent.desk.breaks() == []


def test_what_is_built_already_is_not_licensed(agent: Walker) -> None:
    number = agent.ask("issue", form={**FORM, "stage": "completed"})
    assert agent.desk.state(number) == "finished"
    # Nor is it when it is told only with the correction.
    number = agent.ask("issue")
    agent.go(number, ["utility_send_back"])
    agent.desk.do.take(CENTRE, number, "resubmit", form={"stage": "completed"})
    assert agent.desk.state(number) == "finished"
    assert agent.desk.count("licence") == 0


def test_what_is_done_with_a_permit_comes_to_its_end(agent: Walker) -> None:
    for path in PATHS_ON_A_PERMIT:
        permit = agent.issued(ISSUE)
        before = agent.licence(permit)
        case = agent.follow(path, permit)
        after = agent.licence(permit)
        if case["state"] in DONE and path[1] not in ("propose drop",):
            assert after["status"] == COMES_TO.get(path[0], "valid")
            assert after["version"] == before["version"] + (path[0] in NEW_PAPER)
        elif case["state"] not in DONE:
            assert after == before
    assert agent.desk.breaks() == []


@pytest.mark.parametrize(("decision", "procedure", "steps"), AFTER_A_DECISION)
def test_what_the_office_decided_is_lifted_or_stands(
    agent: Walker, decision: str, procedure: str, steps: str
) -> None:
    stood, stands = standing_after(agent, decision, (procedure, steps))
    assert stands == (stood if steps.endswith("reject") else "valid")


# ---------------------------------------------------------------- sums


@pytest.mark.parametrize("fee_class", [1, 2, 3, 4, 5])
def test_each_use_is_charged_by_its_area_and_class(
    database: Database, tmp_path: Path, fee_class: int
) -> None:
    agent = open_office(database, tmp_path, fee_class)
    worked = {
        # 640.50 m², times 3.00, 2.40, 1.80, 1.20 and 0.60; of the last 384.30.
        "residential": ("1921.50", "1537.20", "1152.90", "768.60", "384.30"),
        # Times 4.00, 3.20, 2.40, 1.60 and 0.80.
        "mixed": ("2562.00", "2049.60", "1537.20", "1024.80", "512.40"),
        # Times 6.00, 4.80, 3.60, 2.40 and 1.20.
        "commercial": ("3843.00", "3074.40", "2305.80", "1537.20", "768.60"),
    }
    # 110 m, times 2.00, 1.60, 1.20, 0.80 and 0.40.
    fence = ("220.00", "176.00", "132.00", "88.00", "44.00")[fee_class - 1]
    for use, sums in worked.items():
        assert quoted(agent, "issue", {"use": use}) == [(use, sums[fee_class - 1]), ("fence", fence)]


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        # 99.99 m² times 3.00 are 299.97: the least is 300.00. A metre more, and the least is passed.
        ({"area_m2": 99.99}, [("residential", "300.00"), ("fence", "220.00")]),
        ({"area_m2": 100.01, "fence_m": 0}, [("residential", "300.03")]),
        # 0.01 m of fence times 2.00 are two halalas.
        ({"area_m2": 1, "use": "commercial", "fence_m": 0.01}, [("commercial", "600.00"), ("fence", "0.02")]),
    ],
)
def test_the_least_is_charged_and_no_fence_costs_nothing(
    agent: Walker, changes: dict[str, Any], lines: list[tuple[str, str]]
) -> None:
    assert quoted(agent, "issue", changes) == lines


def test_a_quote_is_of_the_new_design(agent: Walker) -> None:
    number = agent.ask("issue")
    agent.go(number, ["utility_approve", "administrative_approve", "technical_send_back"])
    agent.desk.do.take(CENTRE, number, "redesign", form={"area_m2": 500, "use": "mixed"})
    agent.go(number, [*STUDIED.split()[1:], "quote"])
    # 500 times 4.00, and the fence.
    assert agent.desk.case(number)["quote"]["total"] == "2220.00"


def test_what_is_done_with_a_permit_has_its_sum(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    for procedure, steps, lines in (
        # 80 m² added at 3.00, and the study of it.
        ("amend", STUDIED, [("added_residential", "240.00"), ("change", "100.00")]),
        ("transfer", "submit approve", [("transfer", "200.00")]),
        ("complete", CERTIFIED, [("inspection", "20.00")]),
        ("copy", "submit", [("lost_document", "100.00")]),
    ):
        number = agent.ask(procedure, permit)
        agent.go(number, [*steps.split()[1:], "quote"])
        told = agent.desk.case(number)["quote"]["lines"]
        assert [(line["code"], line["total"]) for line in told] == lines
        agent.go(number, ["withdraw"])


def test_an_amendment_without_more_area_costs_its_study_alone(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    number = agent.ask("amend", permit, {**AMENDMENT, "area_m2": 640.5, "added_area_m2": 0})
    agent.go(number, [*STUDIED.split()[1:], "quote"])
    assert agent.desk.case(number)["quote"]["total"] == "100.00"


def quoted(agent: Walker, procedure: str, changes: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the quote of an application, code and total."""
    number = agent.ask(procedure, form={**FORM, **changes})
    agent.go(number, [*STUDIED.split()[1:], "quote"])
    quote = agent.desk.case(number)["quote"]
    assert quote["total"] == f"{sum(float(line['total']) for line in quote['lines']):.2f}"
    return [(line["code"], line["total"]) for line in quote["lines"]]


# ---------------------------------------------------------------- time


def test_a_permit_holds_three_hijri_years_and_is_renewed_while_unfinished(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    told = agent.licence(permit)
    # 12 Jumada al-Akhirah 1448 to the eve of that day in 1451.
    assert (told["valid_from"], told["valid_to"]) == ("2026-11-22", "2029-10-19")
    end = date.fromisoformat(told["valid_to"])
    agent.on(end - timedelta(days=91))
    with pytest.raises(Conflict, match="possible from"):
        agent.ask("renew", permit)
    agent.on(end - timedelta(days=90))
    case = agent.follow(("renew", f"submit approve {GRANTED}"), permit)
    # The fee of three years again, of the area that stands on the permit.
    assert case["quote"]["total"] == "2141.50"
    assert agent.licence(permit)["valid_to"] == "2032-09-16"


def test_a_permit_that_ran_out_is_expired_and_can_be_renewed_from_its_end(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    agent.on(date(2029, 10, 20))
    assert agent.licence(permit)["status"] == "expired"
    for procedure in ("amend", "transfer"):
        with pytest.raises(Conflict, match="expired"):
            agent.ask(procedure, permit)
    agent.follow(("renew", f"submit approve {GRANTED}"), permit)
    told = agent.licence(permit)
    assert (told["status"], told["valid_to"]) == ("valid", "2032-09-16")


def test_what_is_completed_says_so_to_everybody_and_is_not_renewed(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    agent.follow(("complete", f"{CERTIFIED} {PAID}"), permit)
    told = agent.licence(permit)
    assert "مكتمل بشهادة إتمام بناء" in str(told["lines"])
    for path in OF_A_COMPLETED:
        agent.on(date(2029, 10, 1))
        assert agent.follow(path, permit)["state"] == "finished"
    number = agent.ask("amend", permit)
    assert agent.desk.state(number) == "finished"
    # Of a house that stands its owner wants the paper long after the three years.
    agent.on(date(2040, 1, 2))
    himself(agent).follow(("copy", f"submit {GRANTED}"), permit)


def test_an_owner_who_finds_a_mistake_proves_it_and_has_it_corrected_free(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    number = himself(agent).ask("request_correction", permit)
    with pytest.raises(Conflict, match="lacks: Paper that proves"):
        agent.desk.do.take(caller_of(["reviewer"]), number, "approve", comment="ثبت الخطأ.")
    himself(agent).go(number, ["approve"])
    assert "1285" in str(agent.licence(permit)["lines"])


def test_only_what_is_complete_is_found_complete(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    number = agent.ask("complete", permit, {"stage": "planned"})
    with pytest.raises(Conflict, match="Inspection of the building"):
        agent.go(number, ["found_complete"])
    agent.go(number, ["found_wanting"])
    agent.desk.do.take(CENTRE, number, "put_right", form={"stage": "completed"})
    agent.go(number, ["found_complete", "certify", "quote", "invoice", "pay"])
    assert agent.desk.state(number) == "certified"


def test_what_the_office_leaves_lying_is_shown_to_who_looks_after_it(agent: Walker) -> None:
    steps = STUDIED.split()[1:]
    for taken in range(3):
        number = agent.ask("issue")
        agent.go(number, steps[:taken])
        assert agent.escalated(number) == "supervisor"
    permit = agent.issued(ISSUE)
    for procedure, role in (("transfer", "supervisor"), ("complete", "supervisor"), ("cancel", "objections")):
        assert agent.escalated(agent.ask(procedure, permit)) == role
        # One thing at a time is asked of a permit.
        agent.go(str(agent.desk.licensing.cases.cases(CENTRE)["items"][0]["number"]), ["withdraw"])
    assert agent.escalated(agent.ask("suspend", permit)) == "supervisor"


# ---------------------------------------------------------------- who may do what


def test_drawings_come_from_an_engineering_office_that_the_owner_authorised(
    database: Database, tmp_path: Path
) -> None:
    desk = open_desk(database, tmp_path)
    agent = Walker(desk, PERMIT, FORMS, {}, for_owner())
    with pytest.raises(PermissionDenied, match="no delegation"):
        agent.ask("issue")
    with pytest.raises(InvalidInput):
        himself(agent).ask("issue")
    agent.delegate("manager")
    with pytest.raises(PermissionDenied, match="not as authorised agent"):
        agent.ask("issue")
    agent.delegate()
    permit = agent.issued(ISSUE)
    # The permit is the owner's: what needs no drawings he asks himself.
    himself(agent).follow(("cancel", "submit approve"), permit)


def test_each_stage_is_decided_by_its_own_people(agent: Walker) -> None:
    number = agent.ask("issue")
    order = [
        ("utility_approve", "utility"),
        ("administrative_approve", "reviewer"),
        ("technical_approve", "study_engineer"),
    ]
    for action, role in order:
        for other in {"utility", "reviewer", "study_engineer", "centre"} - {role}:
            with pytest.raises(PermissionDenied):
                agent.desk.do.take(caller_of([other]), number, action)
        agent.go(number, [action])


def test_the_electricity_company_judges_a_supply_and_sees_nobody(agent: Walker) -> None:
    number = agent.ask("issue", form={**FORM, "electric_load_kva": 400})
    agent.hand_in(number)
    utility = caller_of(["utility"])
    told = agent.desk.licensing.cases.case(utility, number)
    assert (told["applicant"], told["form"]["electric_load_kva"]) == (None, 400)
    assert {each["code"] for each in told["documents"]} == {"electrical_drawings", "transformer_room"}
    for said in (*APPLICANT.values(), *OTHER_APPLICANT.values()):
        assert said not in str(told)
    with pytest.raises(NotFound):
        agent.desk.licensing.files.get(utility, number, "deed")
    assert agent.desk.licensing.files.get(utility, number, "transformer_room")[1] == "application/pdf"
    agent.go(number, ["utility_send_back"])
    assert [each["answer"] for each in agent.desk.case(number)["checks"]] == ["failed"]
    agent.desk.do.take(CENTRE, number, "resubmit", form={"electric_load_kva": 500})
    # What was said of another load is forgotten.
    assert [each["answer"] for each in agent.desk.case(number)["checks"]] == [None]


def test_the_papers_are_complete_before_the_engineers_see_them(agent: Walker) -> None:
    number = agent.ask("issue", form={**FORM, "use": "commercial", "floors": 6, "electric_load_kva": 400})
    agent.go(number, ["utility_approve"])
    with pytest.raises(Conflict, match="lacks: Deed, Survey decision") as lacking:
        agent.desk.do.take(caller_of(["reviewer"]), number, "administrative_approve")
    for title in ("Drawing of the transformer room", "Soil report", "Safety plan approved by civil defence"):
        assert title in str(lacking.value)
    house = agent.ask("issue")
    needed = {each["code"] for each in agent.desk.case(house)["documents"] if each["needed"]}
    assert needed == {
        "deed",
        "survey_decision_copy",
        "site_sketch",
        "architectural_drawings",
        "structural_drawings",
        "electrical_drawings",
        "supervision_contract",
    }


def test_a_corrected_paper_does_not_change_what_was_approved_before(agent: Walker) -> None:
    number = agent.ask("issue")
    agent.go(number, ["utility_approve", "administrative_send_back"])
    for name, value in (
        ("electric_load_kva", 5000),
        ("area_m2", 9000),
        ("use", "mixed"),
        ("stage", "completed"),
    ):
        with pytest.raises(InvalidInput):
            agent.desk.do.take(CENTRE, number, "resubmit", form={name: value})
    agent.desk.do.take(CENTRE, number, "resubmit", form=OFFICES)
    assert agent.desk.state(number) == "administrative"


def test_the_new_owner_is_who_may_ask_after_a_transfer(agent: Walker) -> None:
    permit = agent.issued(ISSUE)
    agent.follow(("transfer", f"submit approve {GRANTED}"), permit)
    with pytest.raises(PermissionDenied, match="another's"):
        himself(agent).ask("copy", permit)
    his = Walker(agent.desk, PERMIT, FORMS, {}, OTHER_APPLICANT)
    his.follow(("copy", f"submit {GRANTED}"), permit)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("plan_number", "مخطط"),
        ("deed_number", "12"),
        ("contractor", "4001234567"),
        ("floors", 0),
        ("area_m2", 0.5),
        ("fence_m", -1),
    ],
)
def test_what_is_mistyped_is_told_in_both_languages(agent: Walker, name: str, value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        agent.ask("issue", form={**FORM, name: value})
    (wrong,) = refused.value.fields
    assert wrong.pointer == f"/form/{name}"
    assert wrong.detail
    assert wrong.detail_ar
