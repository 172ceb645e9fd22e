"""People over REST: delegations, a person's own copy, erasure."""

from typing import Any

import pytest

from foundation import audit
from tests.integrations.desk import APPLICANT, NATIONAL_ID, OWNER, PERSONAL, REVIEWED
from tests.integrations.face import CENTRE, KIOSK, OTHER, REVIEWER, Face, submission

pytest_plugins = ["tests.integrations.face_fixtures"]

PRIVACY = "privacy"
PRINCIPAL = {name: APPLICANT[name] for name in ("kind", "identifier", "name")}
AGENT = {"kind": "national_id", "identifier": "1001244019", "name": "عبدالله بن سعد العتيبي"}
ORDER: dict[str, Any] = {
    "principal": PRINCIPAL,
    "agent": AGENT,
    "capacity": "agent",
    "procedures": ["issue"],
    "valid_until": "2027-11-22",
}
SUBJECT = {"kind": "national_id", "identifier": NATIONAL_ID}


def _by_agent() -> dict[str, Any]:
    return submission(applicant={**APPLICANT, "capacity": "agent", "actor": AGENT})


def test_an_agent_acts_for_an_owner_while_his_delegation_holds(api: Face) -> None:
    refused = api.write(CENTRE, "/v1/cases", _by_agent())
    assert refused.status_code == 403
    assert "تفويض" in refused.json()["detail_ar"]
    made = api.done(CENTRE, "/v1/delegations", ORDER)
    assert (made["status"], made["valid_from"], made["granted_by"]) == (
        "valid",
        "2026-11-22",
        "client/centre-1",
    )
    number = api.done(CENTRE, "/v1/cases", _by_agent())["number"]
    applicant = api.get(REVIEWER, f"/v1/cases/{number}")["applicant"]
    assert (applicant["capacity"], applicant["actor_name"]) == ("agent", AGENT["name"])
    ended = api.done(OTHER, f"/v1/delegations/{made['id']}/end")
    assert ended["status"] == "revoked"
    assert api.write(CENTRE, "/v1/cases", _by_agent()).status_code == 403
    assert api.write(CENTRE, f"/v1/delegations/{made['id']}/end").status_code == 409
    assert api.write(CENTRE, "/v1/delegations/999999/end").status_code == 404


def test_delegations_are_searched_without_a_name_in_an_address(api: Face) -> None:
    api.done(CENTRE, "/v1/delegations", ORDER)
    (shown,) = api.call(CENTRE, "POST", "/v1/delegations/search", SUBJECT).json()["items"]
    assert shown["principal"]["identifier"] == NATIONAL_ID
    # The other's number is not the centre's to read.
    assert AGENT["identifier"] not in str(shown)
    (whole,) = api.call(PRIVACY, "POST", "/v1/delegations/search", SUBJECT).json()["items"]
    assert whole["agent"]["identifier"] == AGENT["identifier"]
    of_agent = {"kind": AGENT["kind"], "identifier": AGENT["identifier"]}
    assert len(api.call(CENTRE, "POST", "/v1/delegations/search", of_agent).json()["items"]) == 1
    for who in (REVIEWER, KIOSK, "auditor", "finance"):
        assert api.call(who, "POST", "/v1/delegations/search", SUBJECT).status_code == 403
    for body in ({}, {**SUBJECT, "kind": "passport"}, {**SUBJECT, "identifier": "1 OR 1=1"}):
        assert api.call(CENTRE, "POST", "/v1/delegations/search", body).status_code == 422


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"capacity": "owner"}, "/capacity"),
        ({"valid_until": None}, "/valid_until"),
        ({"valid_until": "20271122"}, "/valid_until"),
        ({"valid_until": "2026-01-01"}, "/valid_until"),
        ({"valid_until": "2036-01-01"}, "/valid_until"),
        ({"valid_from": "2026-11-21"}, "/valid_from"),
        ({"agent": PRINCIPAL}, "/agent"),
        ({"agent": {**AGENT, "identifier": "1001244010"}}, "/agent/identifier"),
        ({"agent": {**AGENT, "name": "\x00\x00"}}, "/agent/name"),
        ({"agent": {**AGENT, "mobile": "x"}}, "/agent/mobile"),
        ({"services": ["no_such_service"]}, "/services/0"),
        ({"procedures": ["issue", "no_such"]}, "/procedures/1"),
        ({"procedures": ["x"] * 51}, "/procedures"),
        ({"evidence": "0" * 63}, "/evidence"),
        ({"scope": "all"}, "/scope"),
    ],
)
def test_a_delegation_that_cannot_hold_is_refused_field_by_field(
    api: Face, changes: dict[str, Any], pointer: str
) -> None:
    answer = api.write(CENTRE, "/v1/delegations", {**ORDER, **changes})
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert all(error["detail_ar"] for error in answer.json()["errors"])
    assert api.desk.count("delegation") == 0


def test_who_stands_at_the_desk_for_another_passes_nothing_on(api: Face) -> None:
    assert api.write(CENTRE, "/v1/delegations", {**ORDER, "actor": AGENT}).status_code == 403
    assert api.write(CENTRE, "/v1/delegations", {**ORDER, "actor": PRINCIPAL}).status_code == 201
    for who in (REVIEWER, KIOSK, PRIVACY):
        assert api.write(who, "/v1/delegations", ORDER).status_code == 403


def test_a_person_gets_all_that_is_held_of_him(api: Face) -> None:
    api.done(CENTRE, "/v1/delegations", ORDER)
    number, licence = api.issued(REVIEWED)
    api.done(REVIEWER, f"/v1/cases/{number}/comments", {"comment": "زرت المحل."})
    copy = api.call(PRIVACY, "POST", "/v1/subjects/copy", SUBJECT).json()
    assert [case["number"] for case in copy["cases"]] == [number]
    assert copy["cases"][0]["applicant"]["name"] == OWNER
    assert [each["number"] for each in copy["licences"]] == [licence]
    assert [each["other"] for each in copy["delegations"]] == [AGENT["name"]]
    assert "زرت المحل." in [each["text"] for each in copy["comments"]]
    assert {each["case"] for each in copy["documents"]} == {number}
    assert [each["amount"] for each in copy["payments"]] == ["743.00"]
    assert set(copy["explanations"]) >= {"cases", "licences", "not_searched"}
    nobody = {"kind": "national_id", "identifier": "1058529941"}
    assert api.call(PRIVACY, "POST", "/v1/subjects/copy", nobody).json()["cases"] == []
    for who in (CENTRE, REVIEWER, "auditor", "administrator"):
        assert api.call(who, "POST", "/v1/subjects/copy", SUBJECT).status_code == 403


def test_a_case_is_erased_and_its_chain_stays_whole(api: Face) -> None:
    number = api.submit()
    reason = {"reason": "طلب صاحب البيانات."}
    path = f"/v1/cases/{number}/erasure"
    assert api.write(PRIVACY, path, reason).status_code == 409
    api.act(CENTRE, number, "withdraw", comment="عدل عن الطلب.")
    for who in (CENTRE, REVIEWER, "administrator"):
        assert api.write(who, path, reason).status_code == 403
    for body in (None, {}, {"reason": ""}, {"reason": "\x00"}):
        assert api.write(PRIVACY, path, body).status_code == 422
    unprintable = api.write(PRIVACY, path, {"reason": "\x19\u202e"})
    assert unprintable.json()["errors"][0]["pointer"] == "/reason"
    seen = api.call(CENTRE, "GET", f"/v1/cases/{number}").headers["etag"]
    assert api.write(PRIVACY, path, reason, If_Match='"1"').status_code == 412
    told = api.write(PRIVACY, path, reason, If_Match=seen)
    assert (told.json()["erased"], told.json()["licence"]) == ([number], None)
    case = api.get(CENTRE, f"/v1/cases/{number}")
    assert told.headers["etag"] == f'"{case["version"]}"' != seen
    assert (case["applicant"], case["erased_at"]) == (None, "2026-11-22T07:00:00Z")
    assert not any(marker in str(case) for marker in PERSONAL)
    (said,) = api.get(CENTRE, f"/v1/cases/{number}/comments")["items"]
    assert (said["text"], said["erased"]) == (None, True)
    assert api.write(CENTRE, f"/v1/cases/{number}/comments", {"comment": "x"}).status_code == 409
    assert api.write(PRIVACY, path, reason).status_code == 409
    assert api.call(PRIVACY, "POST", "/v1/subjects/copy", SUBJECT).json()["cases"] == []
    with api.desk.database.transaction() as session:
        assert audit.verify(session) == []
