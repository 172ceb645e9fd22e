"""Delegations: who may give one, whom it lets do what until when, and what a refusal says."""

import threading
from typing import Any

import pytest
from sqlalchemy import text

from foundation.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from integrations.cases import delegations
from tests.integrations.desk import (
    APPLICANT,
    BANK,
    CENTRE,
    FORM,
    NATIONAL_ID,
    OTHER_APPLICANT,
    OTHER_CENTRE,
    OWNER,
    PRIVACY,
    REVIEWER,
    Desk,
    message,
    new_key,
)

PRINCIPAL = {name: APPLICANT[name] for name in ("kind", "identifier", "name")}
AGENT = {name: OTHER_APPLICANT[name] for name in ("kind", "identifier", "name")}
THIRD = {"kind": "iqama", "identifier": "2000000006", "name": "محمد إقبال"}


def _given(desk: Desk, **parts: Any) -> int:
    said = {
        "principal": PRINCIPAL,
        "agent": AGENT,
        "capacity": "agent",
        "valid_until": "2027-11-21",
        **parts,
    }
    return int(desk.licensing.people.delegate(CENTRE, said, new_key()).body["id"])


def _for_him(capacity: str = "agent", **parts: Any) -> dict[str, Any]:
    applicant = {**APPLICANT, "capacity": capacity, "actor": AGENT}
    return message(applicant=applicant, **parts)


def _refusal(desk: Desk, said: dict[str, Any]) -> PermissionDenied:
    with pytest.raises(PermissionDenied) as refused:
        desk.do.submit(CENTRE, said)
    assert refused.value.message_ar
    return refused.value


def test_an_agent_acts_with_a_delegation_and_not_without(desk: Desk) -> None:
    assert "has given this person no delegation" in _refusal(desk, _for_him()).message

    _given(desk)

    number = desk.do.submit(CENTRE, _for_him()).body["number"]
    assert desk.case(number)["applicant"]["actor_name"] == AGENT["name"]


def test_a_manager_may_be_let_act_until_it_is_ended(desk: Desk) -> None:
    _given(desk, capacity="manager", valid_until=None)
    desk.later(days=3_000)

    assert desk.do.submit(CENTRE, _for_him("manager")).status == 201
    said = _refusal(desk, _for_him("agent"))
    assert "given as manager, not as authorised agent" in said.message
    assert "بصفة «المدير»" in said.message_ar


def test_an_expired_delegation_says_since_when(desk: Desk) -> None:
    _given(desk, valid_until="2026-11-30")
    desk.later(days=8)
    assert desk.do.submit(CENTRE, _for_him()).status == 201

    desk.later(days=1)

    said = _refusal(desk, _for_him())
    assert said.message == "The delegation expired on 30 November 2026."
    assert said.message_ar == "انتهى التفويض في 30 نوفمبر 2026م."


def test_a_revoked_delegation_lets_nobody_act_from_that_moment(desk: Desk) -> None:
    number = _given(desk)

    ended = desk.licensing.people.end_delegation(OTHER_CENTRE, number, new_key()).body

    assert ended["status"] == "revoked"
    said = _refusal(desk, _for_him())
    assert said.message == "The delegation was revoked on 22 November 2026."
    assert said.message_ar == "أُلغي التفويض في 22 نوفمبر 2026م."
    with pytest.raises(Conflict, match="was revoked on"):
        desk.licensing.people.end_delegation(CENTRE, number, new_key())
    with pytest.raises(NotFound):
        desk.licensing.people.end_delegation(CENTRE, number + 1, new_key())


def test_a_delegation_that_is_yet_to_begin_says_when(desk: Desk) -> None:
    _given(desk, valid_from="2026-12-01")

    assert _refusal(desk, _for_him()).message == "The delegation begins on 1 December 2026."
    desk.later(days=9)
    assert desk.do.submit(CENTRE, _for_him()).status == 201


def test_a_delegation_is_for_what_it_names(desk: Desk) -> None:
    _given(desk, services=["shop_licence"], procedures=["renew"])

    said = _refusal(desk, _for_him())

    assert said.message == "The delegation does not cover 'Issue of a shop licence'."
    assert said.message_ar == "التفويض لا يشمل «إصدار رخصة محل تجاري»."
    _given(desk, procedures=["issue"])
    assert desk.do.submit(CENTRE, _for_him()).status == 201


def test_of_several_delegations_the_nearest_is_told_and_one_that_holds_is_enough(desk: Desk) -> None:
    _given(desk, procedures=["renew"])
    ended = _given(desk)
    desk.licensing.people.end_delegation(CENTRE, ended, new_key())
    assert "was revoked" in _refusal(desk, _for_him()).message

    _given(desk)

    assert desk.do.submit(CENTRE, _for_him()).status == 201


def test_nobody_acts_on_the_licence_of_another(desk: Desk) -> None:
    _, licence = desk.issued()
    said = message({}, procedure="copy", licence=licence, applicant=OTHER_APPLICANT)

    assert "The licence is another's" in _refusal(desk, said).message
    _given(desk, procedures=["copy"])
    assert desk.do.submit(CENTRE, said).status == 201


def test_what_is_for_the_holder_himself_is_asked_by_nobody_whom_he_let_act(desk: Desk) -> None:
    _, licence = desk.issued()
    _given(desk)
    # An agent who may do everything would otherwise give himself the licence.
    new_holder = {name: OTHER_APPLICANT[name] for name in ("kind", "identifier", "name", "mobile")}
    said = message(
        {"new_holder": new_holder}, procedure="transfer", licence=licence, applicant=OTHER_APPLICANT
    )

    refusal = _refusal(desk, said)

    assert "'Transfer to a new holder' is for its holder himself" in refusal.message
    assert "لا يطلبها إلا صاحب الرخصة بنفسه" in refusal.message_ar


def test_who_acts_for_an_agent_does_not_act_on_what_the_agent_was_let_do(desk: Desk) -> None:
    _, licence = desk.issued()
    _given(desk)
    _given(desk, principal=AGENT, agent=THIRD)
    passed_on = {**OTHER_APPLICANT, "capacity": "agent", "actor": THIRD}

    refusal = _refusal(desk, message({}, procedure="copy", licence=licence, applicant=passed_on))

    assert "passes that on to nobody" in refusal.message


def test_a_delegation_is_passed_on_by_nobody_but_the_owner(desk: Desk) -> None:
    _given(desk)
    with pytest.raises(PermissionDenied, match="passes nothing on") as refused:
        _given(desk, agent=THIRD, actor=AGENT)
    assert "إلا المالك" in refused.value.message_ar

    # What the agent gives in his own name lets act for himself alone.
    _given(desk, principal=AGENT, agent=THIRD)

    said = message(applicant={**APPLICANT, "capacity": "agent", "actor": THIRD})
    assert "has given this person no delegation" in _refusal(desk, said).message


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({"valid_until": None}, "/valid_until"),
        ({"valid_until": "2026-11-01"}, "/valid_until"),
        ({"valid_until": "2032-01-01"}, "/valid_until"),
        ({"valid_until": "soon"}, "/valid_until"),
        ({"valid_from": "2026-11-21"}, "/valid_from"),
        ({"agent": PRINCIPAL}, "/agent"),
        ({"agent": {**AGENT, "identifier": "1058529941"}}, "/agent/identifier"),
        ({"agent": {"kind": "unified_number", "identifier": "7001234567", "name": "شركة"}}, "/agent/kind"),
        ({"capacity": "owner"}, "/capacity"),
        ({"services": ["no_such"]}, "/services/0"),
        ({"procedures": ["issue", "no_such"]}, "/procedures/1"),
        ({"evidence": "x"}, "/evidence"),
        ({"further": 1}, "/further"),
    ],
)
def test_what_a_delegation_cannot_say_is_refused_at_its_place(
    desk: Desk, parts: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        _given(desk, **parts)

    assert [each.pointer for each in refused.value.fields] == [pointer]
    assert all(each.detail_ar for each in refused.value.fields)
    assert desk.count("delegation") == 0


def test_only_centres_take_delegations(desk: Desk) -> None:
    said = {"principal": PRINCIPAL, "agent": AGENT, "capacity": "manager"}

    for caller in (BANK, REVIEWER, PRIVACY):
        with pytest.raises(PermissionDenied):
            desk.licensing.people.delegate(caller, said, new_key())
    with pytest.raises(PermissionDenied):
        desk.licensing.people.delegations(REVIEWER, "national_id", NATIONAL_ID)


def test_people_lie_sealed_and_the_chain_holds_hashes_of_them(desk: Desk) -> None:
    number = _given(desk, evidence="ab" * 32)

    with desk.database.transaction() as session:
        for table in ("delegation", "audit", "idempotency", "event"):
            for row in session.scalars(text(f"SELECT CAST({table} AS text) FROM {table}")):
                for value in (OWNER, NATIONAL_ID, AGENT["name"], AGENT["identifier"]):
                    assert value not in row
                    assert value.encode().hex() not in row
    assert desk.count(f"audit WHERE chain = 'delegation/{number}' AND action = 'granted'") == 1
    assert desk.breaks() == []


def test_both_find_the_delegation_and_a_centre_sees_the_number_of_one_only(desk: Desk) -> None:
    _given(desk)
    people = desk.licensing.people

    (mine,) = people.delegations(CENTRE, "national_id", NATIONAL_ID)
    (his,) = people.delegations(PRIVACY, "national_id", AGENT["identifier"])

    assert mine["principal"]["identifier"] == NATIONAL_ID
    assert mine["agent"] == {**AGENT, "identifier": "10******19"}
    assert his["principal"] == PRINCIPAL
    assert people.delegations(CENTRE, "iqama", NATIONAL_ID) == []


def test_a_case_that_is_being_opened_and_a_revocation_wait_for_each_other(desk: Desk) -> None:
    number = _given(desk)
    ended = threading.Event()

    def end() -> None:
        desk.licensing.people.end_delegation(CENTRE, number, new_key())
        ended.set()

    with desk.database.transaction() as session:
        vault = desk.licensing.people.desk.office.vault
        subjects = {
            "principal": vault.subject("national_id", NATIONAL_ID),
            "agent": vault.subject("national_id", AGENT["identifier"]),
        }
        # As a case that is being opened does.
        assert session.execute(delegations._BETWEEN, subjects).all()
        other = threading.Thread(target=end)
        other.start()
        _wait_for_a_lock(desk)
        assert not ended.is_set()
    other.join(30)
    assert ended.is_set()
    _refusal(desk, _for_him())


def test_a_case_waits_for_a_revocation_and_is_then_refused(desk: Desk) -> None:
    number = _given(desk)
    refused: list[Exception] = []

    def submit() -> None:
        try:
            desk.do.submit(CENTRE, _for_him(form=FORM))
        except PermissionDenied as error:
            refused.append(error)

    with desk.database.transaction() as session:
        delegations.end(session, delegations.locked(session, number), CENTRE, desk.now[-1])
        other = threading.Thread(target=submit)
        other.start()
        _wait_for_a_lock(desk)
    other.join(30)
    assert [str(error).startswith("The delegation was revoked") for error in refused] == [True]
    assert desk.count("case_file") == 0


def _wait_for_a_lock(desk: Desk) -> None:
    waiting = threading.Event()
    for _ in range(500):
        if desk.count("pg_locks WHERE NOT granted"):
            return
        waiting.wait(0.02)
    raise AssertionError("nobody waits")
