"""What becomes of licences over REST: renewal, transfer, closure, suspension, objection, history."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.integrations.desk import FORM, OTHER_APPLICANT, PERSONAL
from tests.integrations.face import CENTRE, KIOSK, OTHER, REVIEWER, Face, submission

pytest_plugins = ["tests.integrations.face_fixtures"]

GROUNDS = {"grounds": "تعطلت المنصة في الأيام الثلاثة الأخيرة."}


def _office(api: Face, procedure: str, licence: str, form: dict[str, Any]) -> str:
    """A case that an inspector opens of the municipality's own accord, and a reviewer decides."""
    number = api.submit(form, "inspector", applicant=None, procedure=procedure, licence=licence)
    assert api.act(REVIEWER, number, "decide")["state"] == "decided"
    return number


def _corrected() -> dict[str, Any]:
    return {name: value for name, value in FORM.items() if name != "years"} | {"street": "شارع التحلية"}


def _days_on(api: Face, day: date) -> None:
    api.desk.now.append(datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=8))


def test_a_licence_is_renewed_at_a_kiosk(api: Face) -> None:
    _, licence = api.issued()
    early = api.write(KIOSK, "/v1/cases", submission({"years": 1}, procedure="renew", licence=licence))
    assert early.status_code == 409
    end = date.fromisoformat(api.get(None, f"/v1/verify/{licence}")["valid_to"])
    _days_on(api, end - timedelta(days=3))
    number = api.submit({"years": 2}, KIOSK, procedure="renew", licence=licence)
    second = api.write(CENTRE, "/v1/cases", submission({"years": 1}, procedure="renew", licence=licence))
    assert second.status_code == 409
    assert number in second.json()["detail_ar"]
    quote = api.done(KIOSK, f"/v1/cases/{number}/quote")
    assert quote["total"] == "1446.00"
    bill = api.done(KIOSK, f"/v1/cases/{number}/invoice")
    api.pay(bill, reference="bank-9", paid_at=f"{end - timedelta(days=3)}T12:00:00Z")
    assert api.get(KIOSK, f"/v1/cases/{number}")["state"] == "granted"
    renewed = api.get(None, f"/v1/verify/{licence}")
    assert date.fromisoformat(renewed["valid_to"]) > end + timedelta(days=700)
    assert renewed["version"] == 2
    assert [case["number"] for case in api.get(KIOSK, f"/v1/cases?licence={licence}")["items"]] == [number]


def test_a_licence_is_transferred_and_its_history_tells_no_name(api: Face) -> None:
    issue, licence = api.issued()
    number = api.submit({"new_holder": OTHER_APPLICANT}, procedure="transfer", licence=licence)
    api.complete(number)
    api.act(REVIEWER, number, "approve")
    api.settled(number)
    history = api.get("auditor", f"/v1/licences/{licence}/history")
    assert [(step["case"], step["outcome"]) for step in history["steps"]] == [
        (issue, "issue"),
        (number, "transfer"),
    ]
    assert history["children"] == []
    told = str(history)
    for marker in (*PERSONAL, OTHER_APPLICANT["name"], OTHER_APPLICANT["identifier"]):
        assert marker not in told
    for who, status in ((REVIEWER, 200), (CENTRE, 200), (OTHER, 404), (KIOSK, 404)):
        assert api.call(who, "GET", f"/v1/licences/{licence}/history").status_code == status


def test_a_licence_is_closed_free_of_charge_at_its_holders_wish(api: Face) -> None:
    _, licence = api.issued()
    strangers = submission({}, OTHER_APPLICANT, procedure="close", licence=licence)
    refused = api.write(CENTRE, "/v1/cases", strangers)
    assert refused.status_code == 403
    assert refused.json()["detail_ar"]
    number = api.submit({}, procedure="close", licence=licence)
    quote = api.done(CENTRE, f"/v1/cases/{number}/quote")
    assert (quote["total"], quote["lines"]) == ("0.00", [])
    assert api.get(CENTRE, f"/v1/cases/{number}")["state"] == "granted"
    assert api.get(None, f"/v1/verify/{licence}")["status"] == "closed"
    assert api.write(CENTRE, f"/v1/cases/{number}/invoice").status_code == 409


def test_a_suspension_is_decided_by_a_second_person_and_undone_by_objection(api: Face) -> None:
    _, licence = api.issued()
    proposal = submission(GROUNDS, None, procedure="suspend", licence=licence)
    assert api.write(CENTRE, "/v1/cases", proposal).status_code == 403
    own = api.submit(GROUNDS, REVIEWER, applicant=None, procedure="suspend", licence=licence)
    assert api.write(REVIEWER, f"/v1/cases/{own}/actions/decide").status_code == 403
    api.act("supervisor", own, "decide")
    verified = api.get(None, f"/v1/verify/{licence}")
    assert (verified["status"], verified["since"]) == ("suspended", "2026-11-22")
    assert api.call(CENTRE, "GET", f"/v1/licences/{licence}/document.pdf").status_code == 409
    objection = api.submit(GROUNDS, procedure="uphold", licence=licence)
    assert [item["number"] for item in api.get("objections", "/v1/inbox")["items"]] == [objection]
    api.act("objections", objection, "approve", comment="الاعتراض في محله.")
    assert api.get(None, f"/v1/verify/{licence}")["status"] == "valid"
    shown = api.get(CENTRE, f"/v1/cases/{objection}/comments")["items"]
    assert [each["text"] for each in shown] == ["الاعتراض في محله."]


def test_an_objection_after_sixty_days_is_too_late(api: Face) -> None:
    _, licence = api.issued()
    _office(api, "revoke", licence, GROUNDS)
    assert api.get(None, f"/v1/verify/{licence}")["status"] == "revoked"
    _days_on(api, date(2027, 2, 15))
    late = api.write(CENTRE, "/v1/cases", submission(GROUNDS, procedure="uphold", licence=licence))
    assert late.status_code == 409
    assert "21 January 2027" in late.json()["detail"]


def test_a_copy_a_correction_and_a_voiding_over_http(api: Face) -> None:
    _, licence = api.issued()
    copy = api.submit({}, procedure="copy", licence=licence)
    api.settled(copy)
    _office(api, "correct", licence, _corrected())
    lines = api.get(KIOSK, f"/v1/licences/{licence}")["lines"]
    assert "شارع التحلية" in str(lines)
    _office(api, "void", licence, GROUNDS)
    assert api.get(None, f"/v1/verify/{licence}")["status"] == "void"


@pytest.mark.parametrize("who", ["bank", "finance", "privacy", "engineer", "administrator"])
def test_who_reads_no_licences_is_refused(api: Face, who: str) -> None:
    assert api.call(who, "GET", "/v1/licences/SL-2026-000001").status_code == 403


def test_a_procedure_on_a_licence_names_one_that_is_there(api: Face) -> None:
    missing = submission({"years": 1}, procedure="renew")
    assert api.write(CENTRE, "/v1/cases", missing).json()["errors"][0]["pointer"] == "/licence"
    absent = {**missing, "licence": "SL-2026-000009"}
    assert api.write(CENTRE, "/v1/cases", absent).status_code == 404
    assert api.write(CENTRE, "/v1/cases", submission(procedure="no_such")).status_code == 404
