"""DIGIT's trade licence, expressed in our grammar and compared with its own workflow, row by row.

Source: DIGIT, egov-workflow-v2 business services NewTL (service SLA 432,000,000 ms) and EDITRENEWAL
(172,800,000 ms), states, actions and roles as deployed. Its complaint workflow (PGR) ends in no licence; a
service here always issues one, so that workflow is not expressible (see test_service.py).
"""

from pathlib import Path
from typing import get_args

import pytest

from integrations.flow import Action, Flow
from integrations.procedure import LicenceStatus
from integrations.service import Service, load_service

FILE = Path(__file__).parent / "definitions/digit_trade_licence.yaml"

# State, action, state after it, roles; names in DIGIT's own capitals.
NEW_TL = [
    ("null", "INITIATE", "INITIATED", {"CITIZEN", "TL_CEMP"}),
    ("INITIATED", "APPLY", "APPLIED", {"CITIZEN", "TL_CEMP"}),
    ("INITIATED", "INITIATE", "INITIATED", {"CITIZEN", "TL_CEMP"}),
    ("APPLIED", "FORWARD", "FIELDINSPECTION", {"TL_DOC_VERIFIER"}),
    ("APPLIED", "REJECT", "REJECTED", {"TL_DOC_VERIFIER"}),
    ("APPLIED", "SENDBACKTOCITIZEN", "CITIZENACTIONREQUIRED", {"TL_DOC_VERIFIER"}),
    ("FIELDINSPECTION", "FORWARD", "PENDINGAPPROVAL", {"TL_FIELD_INSPECTOR"}),
    ("FIELDINSPECTION", "REJECT", "REJECTED", {"TL_FIELD_INSPECTOR"}),
    ("FIELDINSPECTION", "SENDBACK", "APPLIED", {"TL_FIELD_INSPECTOR"}),
    ("FIELDINSPECTION", "SENDBACKTOCITIZEN", "CITIZENACTIONREQUIRED", {"TL_FIELD_INSPECTOR"}),
    ("CITIZENACTIONREQUIRED", "FORWARD", "APPLIED", {"CITIZEN", "TL_CEMP"}),
    ("CITIZENACTIONREQUIRED", "RESUBMIT", "APPLIED", {"TL_CEMP"}),
    ("PENDINGAPPROVAL", "APPROVE", "PENDINGPAYMENT", {"TL_APPROVER"}),
    ("PENDINGAPPROVAL", "REJECT", "REJECTED", {"TL_APPROVER"}),
    ("PENDINGAPPROVAL", "SENDBACK", "FIELDINSPECTION", {"TL_APPROVER"}),
    ("PENDINGPAYMENT", "PAY", "APPROVED", {"CITIZEN", "TL_CEMP", "SYSTEM_PAYMENT"}),
    ("PENDINGPAYMENT", "ADHOC", "PENDINGPAYMENT", {"TL_CEMP"}),
]
AFTER_APPROVAL = [
    ("APPROVED", "MANUALEXPIRE", "MANUALEXPIRED", {"TL_APPROVER"}),
    ("APPROVED", "CANCEL", "CANCELLED", {"TL_APPROVER"}),
]
TERMINAL = {"REJECTED", "CANCELLED", "MANUALEXPIRED"}
SLA_MS = {"newtl": 432_000_000, "editrenewal": 172_800_000}

Row = tuple[str, str, str, frozenset[str]]


@pytest.fixture(scope="module")
def digit() -> Service:
    return load_service(FILE)


def resting(flow: Flow, state: str) -> str:
    """Where a case stands after its automatic actions."""
    following = [action for action in flow.actions if action.automatic and state in action.from_]
    return resting(flow, following[0].to) if following else state


def rows(flow: Flow) -> set[Row]:
    """The actions that people take, as DIGIT's table has them."""
    taken: list[tuple[str, Action]] = [
        (state, action)
        for action in flow.actions
        if action.taker == "role"
        for state in (action.from_ or ("null",))
    ]
    return {
        (
            state if state == "null" else state.upper(),
            action.name.upper(),
            resting(flow, action.to).upper(),
            frozenset(role.upper() for role in action.roles),
        )
        for state, action in taken
    }


def expected(table: list[tuple[str, str, str, set[str]]]) -> set[Row]:
    return {(state, action, after, frozenset(roles)) for state, action, after, roles in table}


@pytest.mark.parametrize("procedure", ["newtl", "editrenewal"])
def test_every_row_of_digits_workflow_is_there_and_none_beside_it(digit: Service, procedure: str) -> None:
    assert rows(digit.flow_of(procedure)) == expected(NEW_TL)


def test_what_digit_does_after_approval_are_procedures_of_the_office(digit: Service) -> None:
    for state, action, after, roles in AFTER_APPROVAL:
        procedure = digit.procedures[action.lower()]
        assert procedure.initiator == "office"
        assert (state, action, after, frozenset(roles)) in rows(digit.flow_of(action.lower()))


def test_expire_needs_no_action_because_a_licence_ends_by_its_date(digit: Service) -> None:
    assert digit.validity.fixed_end is not None
    assert "expired" in get_args(LicenceStatus)


def test_the_states_people_meet_are_digits(digit: Service) -> None:
    met = {resting(flow, state).upper() for flow in digit.flows.values() for state in flow.states}
    named = {state for row in [*NEW_TL, *AFTER_APPROVAL] for state in (row[0], row[2])}
    assert met == named - {"null"}


def test_the_terminal_states_of_digit_are_final(digit: Service) -> None:
    final = {
        name.upper() for flow in digit.flows.values() for name, state in flow.states.items() if state.final
    }
    # A case of ours ends with the licence; DIGIT keeps it open for what comes years later.
    assert final == {*TERMINAL, "APPROVED"}


@pytest.mark.parametrize(("procedure", "milliseconds"), SLA_MS.items())
def test_the_service_level_is_the_promise(digit: Service, procedure: str, milliseconds: int) -> None:
    promise = digit.procedures[procedure].promise
    assert promise is not None
    assert promise.hours is not None
    assert promise.hours * 3_600_000 == milliseconds


def test_every_role_of_digit_is_declared(digit: Service) -> None:
    named = {role for row in [*NEW_TL, *AFTER_APPROVAL] for role in row[3]}
    assert {role.upper() for role in digit.roles} == named
