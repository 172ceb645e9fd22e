"""What becomes of licences over REST: renewal, transfer, closure, suspension, objection, history."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from tests.integrations.desk import FORM, OTHER_APPLICANT, PERSONAL
from tests.integrations.face import CENTRE, KIOSK, OTHER, REVIEWER, Face, submission

pytest_plugins = ["tests.integrations.face_fixtures"]

GROUNDS = {"grounds": "تعطلت المنصة في الأيام الثلاثة الأخيرة."}


def _office(face: Face, procedure: str, licence: str, form: dict[str, Any]) -> str:
    """A case that an inspector opens of the municipality's own accord, and a reviewer decides."""
    number = face.submit(form, "inspector", applicant=None, procedure=procedure, licence=licence)
    assert face.act(REVIEWER, number, "decide")["state"] == "decided"
    return number


def _corrected() -> dict[str, Any]:
    return {name: value for name, value in FORM.items() if name != "years"} | {"street": "شارع التحلية"}


def _days_on(face: Face, day: date) -> None:
    face.desk.now.append(datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=8))


def test_a_licence_is_renewed_at_a_kiosk(face: Face) -> None:
    _, licence = face.issued()
    early = face.write(KIOSK, "/v1/cases", submission({"years": 1}, procedure="renew", licence=licence))
    assert early.status_code == 409
    end = date.fromisoformat(face.get(None, f"/v1/verify/{licence}")["valid_to"])
    _days_on(face, end - timedelta(days=3))
    number = face.submit({"years": 2}, KIOSK, procedure="renew", licence=licence)
    second = face.write(CENTRE, "/v1/cases", submission({"years": 1}, procedure="renew", licence=licence))
    assert second.status_code == 409
    assert number in second.json()["detail_ar"]
    quote = face.done(KIOSK, f"/v1/cases/{number}/quote")
    assert quote["total"] == "1446.00"
    bill = face.done(KIOSK, f"/v1/cases/{number}/invoice")
    face.pay(bill, reference="bank-9", paid_at=f"{end - timedelta(days=3)}T12:00:00Z")
    assert face.get(KIOSK, f"/v1/cases/{number}")["state"] == "granted"
    renewed = face.get(None, f"/v1/verify/{licence}")
    assert date.fromisoformat(renewed["valid_to"]) > end + timedelta(days=700)
    assert renewed["version"] == 2
    assert [case["number"] for case in face.get(KIOSK, f"/v1/cases?licence={licence}")["items"]] == [number]


def test_a_licence_is_transferred_and_its_history_tells_no_name(face: Face) -> None:
    issue, licence = face.issued()
    number = face.submit({"new_holder": OTHER_APPLICANT}, procedure="transfer", licence=licence)
    face.complete(number)
    face.act(REVIEWER, number, "approve")
    face.settled(number)
    history = face.get("auditor", f"/v1/licences/{licence}/history")
    assert [(step["case"], step["outcome"]) for step in history["steps"]] == [
        (issue, "issue"),
        (number, "transfer"),
    ]
    assert history["children"] == []
    told = str(history)
    for marker in (*PERSONAL, OTHER_APPLICANT["name"], OTHER_APPLICANT["identifier"]):
        assert marker not in told
    for who, status in ((REVIEWER, 200), (CENTRE, 200), (OTHER, 404), (KIOSK, 404)):
        assert face.call(who, "GET", f"/v1/licences/{licence}/history").status_code == status


def test_a_licence_is_closed_free_of_charge_at_its_holders_wish(face: Face) -> None:
    _, licence = face.issued()
    strangers = submission({}, OTHER_APPLICANT, procedure="close", licence=licence)
    refused = face.write(CENTRE, "/v1/cases", strangers)
    assert refused.status_code == 403
    assert refused.json()["detail_ar"]
    number = face.submit({}, procedure="close", licence=licence)
    quote = face.done(CENTRE, f"/v1/cases/{number}/quote")
    assert (quote["total"], quote["lines"]) == ("0.00", [])
    assert face.get(CENTRE, f"/v1/cases/{number}")["state"] == "granted"
    assert face.get(None, f"/v1/verify/{licence}")["status"] == "closed"
    assert face.write(CENTRE, f"/v1/cases/{number}/invoice").status_code == 409


def test_a_suspension_is_decided_by_a_second_person_and_undone_by_objection(face: Face) -> None:
    _, licence = face.issued()
    proposal = submission(GROUNDS, None, procedure="suspend", licence=licence)
    assert face.write(CENTRE, "/v1/cases", proposal).status_code == 403
    own = face.submit(GROUNDS, REVIEWER, applicant=None, procedure="suspend", licence=licence)
    assert face.write(REVIEWER, f"/v1/cases/{own}/actions/decide").status_code == 403
    face.act("supervisor", own, "decide")
    verified = face.get(None, f"/v1/verify/{licence}")
    assert (verified["status"], verified["since"]) == ("suspended", "2026-11-22")
    assert face.call(CENTRE, "GET", f"/v1/licences/{licence}/document.pdf").status_code == 409
    objection = face.submit(GROUNDS, procedure="uphold", licence=licence)
    assert [item["number"] for item in face.get("objections", "/v1/inbox")["items"]] == [objection]
    face.act("objections", objection, "approve", comment="الاعتراض في محله.")
    assert face.get(None, f"/v1/verify/{licence}")["status"] == "valid"
    shown = face.get(CENTRE, f"/v1/cases/{objection}/comments")["items"]
    assert [each["text"] for each in shown] == ["الاعتراض في محله."]


def test_an_objection_after_sixty_days_is_too_late(face: Face) -> None:
    _, licence = face.issued()
    _office(face, "revoke", licence, GROUNDS)
    assert face.get(None, f"/v1/verify/{licence}")["status"] == "revoked"
    _days_on(face, date(2027, 2, 15))
    late = face.write(CENTRE, "/v1/cases", submission(GROUNDS, procedure="uphold", licence=licence))
    assert late.status_code == 409
    assert "21 January 2027" in late.json()["detail"]


def test_a_copy_a_correction_and_a_voiding_over_http(face: Face) -> None:
    _, licence = face.issued()
    copy = face.submit({}, procedure="copy", licence=licence)
    face.settled(copy)
    _office(face, "correct", licence, _corrected())
    lines = face.get(KIOSK, f"/v1/licences/{licence}")["lines"]
    assert "شارع التحلية" in str(lines)
    _office(face, "void", licence, GROUNDS)
    assert face.get(None, f"/v1/verify/{licence}")["status"] == "void"


@pytest.mark.parametrize("who", ["bank", "finance", "privacy", "engineer", "administrator"])
def test_who_reads_no_licences_is_refused(face: Face, who: str) -> None:
    assert face.call(who, "GET", "/v1/licences/SL-2026-000001").status_code == 403


def test_a_procedure_on_a_licence_names_one_that_is_there(face: Face) -> None:
    missing = submission({"years": 1}, procedure="renew")
    assert face.write(CENTRE, "/v1/cases", missing).json()["errors"][0]["pointer"] == "/licence"
    absent = {**missing, "licence": "SL-2026-000009"}
    assert face.write(CENTRE, "/v1/cases", absent).status_code == 404
    assert face.write(CENTRE, "/v1/cases", submission(procedure="no_such")).status_code == 404
