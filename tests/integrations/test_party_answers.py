"""What the grammar knows of parties, agreements, restarted periods and fees of several quantities."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from foundation.definitions import parse_yaml
from integrations.cases.conditions import Condition, Facts
from integrations.cases.explore import Walk
from integrations.service import Service
from tests.integrations.definition_texts import PRODUCT, line_of, refused

DIG = (PRODUCT / "excavation_permit.yaml").read_text(encoding="utf-8")
BOARDS = (PRODUCT / "advertising_licence.yaml").read_text(encoding="utf-8")

WATER = "roles: water_company, answers: {water: passed}}"
ALL_AGREE = "when: {checks: [water, power, telecom, traffic], are: passed}"
EXTENDED = "        from: coordination\n        to: coordination\n        roles: coordinator\n"
WATER_ASKED = "{title: {ar: رأي شركة المياه, en: Water company}, by: water_company}"

MISTAKES = [
    (WATER, "roles: power_company, answers: {water: passed}}",
     "the role 'power_company' is none of the party that 'water' is asked of"),
    (WATER, "roles: water_company, answers: {gas: passed}}", "'gas' is no check"),
    (WATER, "roles: water_company, answers: {water: silent}}", "Input should be 'passed' or 'failed'"),
    (ALL_AGREE, "when: {checks: [water, gas], are: passed}", "no state of the flow asks the check 'gas'"),
    (ALL_AGREE, "when: {checks: [water, water], are: passed}", "a check stands twice in water, water"),
    (ALL_AGREE, "when: {checks: [water], are: passed, at_least: 2}", "a whole number from 1 to 1"),
    (ALL_AGREE, "when: {checks: [water]}", "checks and are go together"),
    (ALL_AGREE, "when: {checks: [], are: passed}", "an empty list says nothing"),
    (EXTENDED, EXTENDED.replace("to: coordination", "to: objected"),
     "a deadline is restarted by somebody, in the one state that the action leads from and to"),
    ("        deadline: {working_days: 5, then: end_period}\n", "",
     "the state 'coordination' has no deadline that could begin anew"),
    (WATER_ASKED, "{title: {ar: رأي شركة المياه, en: Water company}}",
     "a check is asked of either a backend or, with by, the roles of a party"),
    (WATER_ASKED, "{title: {ar: رأي شركة المياه, en: Water company}, by: water_board}",
     "'water_board' is no role"),
    (WATER_ASKED, "{title: {ar: رأي شركة المياه, en: Water company}, by: water_company, asks: {a: project}}",
     "backend and asks go together"),
    (WATER_ASKED,
     "{title: {ar: رأي شركة المياه, en: Water company}, backend: registry, asks: {a: project}}",
     "the check 'water' is answered by a back-end, and by no action"),
    ("    outcome: agree\n", "    outcome: agree\n    on: {statuses: valid}\n",
     "a procedure that agrees acts on no licence yet"),
    ("      - {field: road, factors", "      - {field: work, factors", "'highway' is no choice of 'work'"),
    ("    unit: length_m", "    unit: [length_m, length_m]", "a unit stands twice"),
    ("    unit: length_m", "    unit: []", "an empty list says nothing"),
    ("    unit: length_m", "    unit: [length_m, street]", "'street' is no required number"),
    ("      - {field: road, factors: {highway: \"2\", other: \"1\"}}\n",
     "      - {field: work, factors: {horizontal: \"1\", mains: \"1\", storm: \"1\", asphalting: \"1\"}}\n",
     "a field has two tables of factors"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[said[:40] for _, _, said in MISTAKES])
def test_a_mistake_is_told_with_its_reason(tmp_path: Path, old: str, new: str, said: str) -> None:
    told = [field.detail for field in refused(tmp_path, DIG, (old, new)).fields]
    assert [each for each in told if said in each] != [], told


def test_a_party_that_no_action_lets_answer_is_told_with_its_line(tmp_path: Path) -> None:
    agrees = DIG[DIG.index("      - {name: power_agrees") : DIG.index("      - {name: telecom_agrees")]
    error = refused(tmp_path, DIG, (agrees, ""))
    [found] = [each for each in error.fields if "lets the party answer" in each.detail]
    assert found.detail == "no action lets the party answer the check 'power'"
    assert found.line == line_of(DIG, "        checks: [water, power, telecom, traffic]")


def test_a_coordination_that_silence_could_not_end_is_a_dead_end_of_the_walk(tmp_path: Path) -> None:
    silence = "        answers: {water: passed, power: passed, telecom: passed, traffic: passed}\n"
    told = [field.detail for field in refused(tmp_path, DIG, (silence, "")).fields]
    assert [each for each in told if "dead end: nothing leaves the state 'coordinated'" in each] != []


def test_automatic_actions_that_some_answers_let_compete_are_told(tmp_path: Path) -> None:
    objection = "when: {checks: [water, power, telecom, traffic], are: failed, at_least: 1}"
    answered = objection.replace("failed", "answered")
    told = [field.detail for field in refused(tmp_path, DIG, (objection, answered)).fields]
    assert [each for each in told if "both automatic and both can apply" in each] != []


@pytest.mark.parametrize("text", [DIG, BOARDS], ids=["excavation", "advertising"])
def test_every_procedure_is_walked_to_its_ends(text: str) -> None:
    service = parse_yaml(text, "service", Service)
    for name in service.procedures:
        walk = Walk(service, name)
        walk.run()
        assert walk.faults == {}
        assert walk.states == set(service.flow_of(name).states)


@pytest.mark.parametrize(
    ("said", "are", "least", "holds"),
    [
        ({"a": "passed", "b": "passed"}, "passed", None, True),
        ({"a": "passed"}, "passed", None, False),
        ({"a": "passed"}, "passed", 1, True),
        ({"a": "passed", "b": "failed"}, "answered", None, True),
        ({"a": "failed"}, "answered", 2, False),
        ({"a": "failed", "b": "passed", "c": "failed"}, "failed", 2, False),
        ({}, "failed", 1, False),
    ],
)
def test_answers_are_counted_and_no_answer_is_none(
    said: dict[str, str], are: str, least: int | None, holds: bool
) -> None:
    counted = {} if least is None else {"at_least": Decimal(least)}
    condition = Condition.model_validate({"checks": ("a", "b"), "are": are, **counted})
    assert condition.holds(Facts({}, checks=said)) is holds
    assert list(condition.comparisons()) == []
    assert list(condition.asked_checks()) == ["a", "b"]


def test_a_count_reads_as_a_sentence() -> None:
    condition = Condition.model_validate({"checks": ("water", "power"), "are": "failed", "at_least": 1})
    assert str(condition) == "1 of water, power failed"
    with pytest.raises(ValidationError, match="compared by exactly one of"):
        Condition.model_validate({"checks": ("water",), "are": "failed", "below": 1})


def test_what_definitions_without_the_new_keys_were_they_still_are() -> None:
    shop = parse_yaml((PRODUCT / "shop_licence.yaml").read_text(encoding="utf-8"), "shop", Service)
    action = shop.content["flows"]["issuing"]["actions"][0]
    assert {"answers", "restarts"} & action.keys() == set()
    assert shop.content["fees"][0]["unit"] == "area_m2"
    assert "weeks" not in shop.content["validity"]
