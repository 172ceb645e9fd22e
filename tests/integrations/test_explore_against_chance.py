"""The walk through a definition's flows, held against cases played at random: they have to agree."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from foundation.definitions import parse_yaml
from integrations.flow import Flow
from integrations.service import Service
from tests.integrations.definition_texts import BOARDS, CARD, DIG, DIGIT, SEASON, SHOP, SIGN
from tests.integrations.simulation import trouble

TEXTS = {
    "card": CARD, "season": SEASON, "sign": SIGN, "shop": SHOP, "digit": DIGIT, "dig": DIG, "boards": BOARDS,
}  # fmt: skip
GOOD = {
    name: parse_yaml(text, name, Service).model_dump(mode="json", by_alias=True, exclude_none=True)
    for name, text in TEXTS.items()
}


@pytest.mark.parametrize("name", GOOD)
def test_random_cases_of_the_sound_definitions_come_to_no_harm(name: str) -> None:
    assert trouble(Service.model_validate(GOOD[name]), seed=1, cases=300) is None


@st.composite
def spoiled(draw: st.DrawFn) -> tuple[str, Mapping[str, Any]]:
    """A sound definition with one to three things changed in its flows."""
    name = draw(st.sampled_from(sorted(GOOD)))
    content = copy.deepcopy(GOOD[name])
    for _ in range(draw(st.integers(1, 3))):
        flow = content["flows"][draw(st.sampled_from(sorted(content["flows"])))]
        index = draw(st.integers(0, len(flow["actions"]) - 1))
        action = flow["actions"][index]
        match draw(
            st.sampled_from(["drop", "target", "start", "role", "effect", "when", "automatic", "swap"])
        ):
            case "drop":
                del flow["actions"][index]
            case "target":
                action["to"] = draw(st.sampled_from(sorted(flow["states"])))
            case "start":
                action["from"] = [draw(st.sampled_from(sorted(flow["states"])))]
            case "role":
                action["roles"] = []
            case "effect":
                action["effect"] = draw(
                    st.sampled_from(["quote", "invoice", "settle", "void_bill", "fulfil"])
                )
            case "when":
                action.pop("when", None)
            case "automatic":
                action |= {"automatic": True, "roles": []}
            case "swap":
                other = flow["actions"][draw(st.integers(0, len(flow["actions"]) - 1))]
                action["to"], other["to"] = other["to"], action["to"]
        if not flow["actions"]:
            break
    return name, content


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spoiled(), st.integers(0, 2**32))
def test_a_spoiled_definition_that_is_accepted_comes_to_no_harm_in_random_cases(
    changed: tuple[str, Mapping[str, Any]], seed: int
) -> None:
    try:
        service = Service.model_validate(changed[1])
    except ValidationError:
        event("refused")
        return
    event("accepted")
    assert trouble(service, seed) is None


def test_what_random_cases_show_to_be_bad_is_refused() -> None:
    """Every single change of a target, an effect or a condition, tried in turn."""
    shown, missed = 0, []
    for name in ("card", "sign"):
        for flow_name, flow in GOOD[name]["flows"].items():
            for index in range(len(flow["actions"])):
                for key, value in [
                    ("effect", None),
                    ("when", None),
                    *(("to", state) for state in flow["states"]),
                ]:
                    content = copy.deepcopy(GOOD[name])
                    content["flows"][flow_name]["actions"][index][key] = value
                    unchecked = _unchecked(content)
                    if unchecked is None or trouble(unchecked, seed=index, cases=25) is None:
                        continue
                    shown += 1
                    try:
                        Service.model_validate(content)
                        missed.append((name, flow_name, index, key, value))
                    except ValidationError:
                        pass
    assert missed == []
    # Otherwise nothing was tried.
    assert shown > 30


def _unchecked(content: Mapping[str, Any]) -> Service | None:
    # The parts are read one by one, so that no rule of the whole is applied.
    parts = {
        name: getattr(Service.model_validate(GOOD[_code(content)]), name) for name in Service.model_fields
    }
    flows = {name: Flow.model_validate(flow) for name, flow in content["flows"].items()}
    if any(not any(not action.from_ for action in flow.actions) for flow in flows.values()):
        return None
    return Service.model_construct(**{**parts, "flows": flows})


def _code(content: Mapping[str, Any]) -> str:
    return next(name for name, good in GOOD.items() if good["code"] == content["code"])


def test_the_simulation_itself_sees_what_is_wrong() -> None:
    content = copy.deepcopy(GOOD["card"])
    del content["flows"]["examined"]["actions"][5]["effect"]
    unchecked = _unchecked(content)
    assert unchecked is not None
    assert trouble(unchecked, seed=3) == "issue: gives what is not paid, or twice"
