"""What the grammar knows of parties and their periods, of agreements, and of fees of several quantities."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from foundation.definitions import parse_yaml
from integrations.cases.conditions import Condition, Facts
from integrations.cases.explore import Walk
from integrations.service import Service, load_service
from tests.integrations.definition_texts import BOARDS, DIG, SHOP, SIGN, line_of, refused

WATER = "roles: water_company, answers: {water: passed}}"
ALL_AGREE = "when: {checks: [water, power, telecom, traffic], are: passed}"
EXTENDED = "from: coordination, to: coordination, roles: coordinator, extends: water, comment: required}"
ENDS = "deadline: {periods: last, then: end_period}"
ALL_FAILED = "are: failed, at_least: 1}"
WATER_ASKED = """    title: {ar: رأي شركة المياه, en: Water company}
    by: water_company
    silence: passed
"""
FIVE = "      - effective_from: 2023-01-01\n        working_days: 5\n"

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
     "a period is extended by somebody, in the one state that the action leads from and to"),
    (EXTENDED, EXTENDED.replace("extends: water", "extends: gas"), "'gas' is no check"),
    (EXTENDED, EXTENDED.replace("extends: water", "extends: []"), "at least 1"),
    (EXTENDED, EXTENDED.replace("extends: water", "extends: water, edits: street"),
     "a form that is changed is asked anew, and its periods begin anew with it"),
    ("        extensions: 1\n", "", "the check 'water' has no period with extensions"),
    (WATER_ASKED, WATER_ASKED.replace("    by: water_company\n", ""),
     "a check is asked of either a backend or, with by, the roles of a party"),
    (WATER_ASKED, WATER_ASKED.replace("by: water_company", "by: water_board"), "'water_board' is no role"),
    (WATER_ASKED, WATER_ASKED.replace("silence: passed", "silence: passed\n    asks: {a: project}"),
     "backend and asks go together"),
    (WATER_ASKED,
     WATER_ASKED.replace("by: water_company", "backend: registry\n    asks: {a: project}"),
     "a period is a party's; a back-end is asked again until it answers"),
    (WATER_ASKED, WATER_ASKED.replace("    silence: passed\n", ""), "periods and silence go together"),
    (WATER_ASKED, WATER_ASKED.replace("silence: passed", "silence: maybe"), "'passed' or 'failed'"),
    (FIVE, FIVE.replace("working_days: 5", "working_days: 0"), "greater than or equal to 1"),
    (FIVE, FIVE.replace("working_days: 5", "hours: 5\n        working_days: 5"),
     "a period is either working_days or hours"),
    (FIVE, FIVE.replace("        working_days", "        effective_until: 2022-12-31\n        working_days"),
     "the last day is before the first"),
    (FIVE, FIVE.replace("        working_days", "        effective_until: 2026-12-31\n        working_days"),
     "the last period has no last day"),
    (FIVE, FIVE + "        source: a\n" + FIVE, "a period starts the day after the one before it ends"),
    (ENDS, ENDS.replace("periods: last", "periods: first"), "Input should be 'last'"),
    (ENDS, ENDS.replace("periods: last", "periods: last, hours: 5"),
     "exactly one of working_days, hours and periods"),
    ("deadline: {working_days: 3, escalate: supervisor}", "deadline: {periods: last, escalate: supervisor}",
     "the state asks no party whose period it could last"),
    ("        timed: true\n", "        timed: true\n        answers: {water: passed}\n",
     "the clock answers for nobody; what silence says stands with the check"),
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


def test_a_state_that_lasts_as_long_as_its_parties_needs_a_period_of_each(tmp_path: Path) -> None:
    start = DIG.index("    silence: passed\n", DIG.index("  traffic:\n"))
    endless = DIG[start : DIG.index("\n\n", start)]
    error = refused(tmp_path, DIG.replace(endless, "", 1))
    told = {each.detail: each.line for each in error.fields}
    wanted = "the check 'traffic' has no period, and may be waited for without end"
    assert told[wanted] == line_of(DIG.replace(endless, "", 1), ENDS)


def test_what_silence_says_is_walked_and_may_be_a_dead_end(tmp_path: Path) -> None:
    refusing = DIG.replace("silence: passed", "silence: failed")
    path = tmp_path / "excavation_permit.yaml"
    path.write_text(refusing, encoding="utf-8")
    assert load_service(path).checks["water"].silence == "failed"
    # With three of four silent nobody would take the case up: no party need object for it to be stuck.
    told = [
        field.detail
        for field in refused(tmp_path, refusing, (ALL_FAILED, "are: failed, at_least: 4}")).fields
    ]
    assert [each for each in told if "dead end: nothing leaves the state 'coordinated'" in each] != []


def test_no_state_waits_for_the_answer_of_a_back_end_that_another_state_asked(tmp_path: Path) -> None:
    # What comes to a case that has moved on is dropped, and so is no way out of the state it moved to.
    state = "      cleared: {title: {ar: تمت الموافقة, en: Cleared}}\n"
    waiting = "      waiting: {title: {ar: انتظار, en: Waiting}}\n"
    price = "      - {name: price, title: {ar: حساب, en: Price}"
    steps = (
        "      - {name: rest, title: {ar: ترك, en: Rest}, from: with_commerce, to: waiting, roles: centre}\n"
        "      - {name: take, title: {ar: قبول, en: Take}, from: waiting, to: cleared, roles: reviewer,\n"
        "         when: {check: commerce, is: passed}}\n"
        "      - {name: leave, title: {ar: رفض, en: Leave}, from: waiting, to: refused, roles: reviewer,\n"
        "         when: {check: commerce, is: failed}}\n"
    )
    told = refused(tmp_path, SIGN, (state, state + waiting), (price, steps + price)).fields
    assert [each for each in told if "dead end: nothing leaves the state 'waiting'" in each.detail] != []


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
    shop = parse_yaml(SHOP, "shop", Service)
    action = shop.content["flows"]["issuing"]["actions"][0]
    assert {"answers", "extends"} & action.keys() == set()
    assert {"bars", "agreed"} & (shop.content.keys() | shop.content["procedures"]["issue"].keys()) == set()
    assert shop.content["fees"][0]["unit"] == "area_m2"
    assert "weeks" not in shop.content["validity"]
