"""Cases over REST: sending back, documents, comments, inbox, assignment, many at once."""

from typing import Any

import httpx
import pytest

from tests.integrations.desk import FORM, PNG, REVIEWED
from tests.integrations.face import (
    BANK,
    CENTRE,
    KIOSK,
    MAX_FILE,
    OTHER,
    REVIEWER,
    Face,
    submission,
)

pytest_plugins = ["tests.integrations.face_fixtures"]


def test_a_case_that_was_sent_back_is_corrected_and_resubmitted(face: Face) -> None:
    number = face.submit(REVIEWED)
    silent = face.write(REVIEWER, f"/v1/cases/{number}/actions/send_back", {})
    assert (silent.status_code, silent.json()["errors"][0]["pointer"]) == (422, "/comment")
    face.act(REVIEWER, number, "send_back", comment="اسم الشارع ناقص.")
    read = face.call(CENTRE, "GET", f"/v1/cases/{number}")
    assert [action["name"] for action in read.json()["actions"]] == ["resubmit", "withdraw"]
    wrong = face.write(CENTRE, f"/v1/cases/{number}/actions/resubmit", {"form": {"years": 9}})
    assert wrong.json()["errors"][0]["pointer"] == "/form/years"
    sent = {"form": {"street": "شارع التحلية", "manager_name": None}, "comment": "أُكمل الاسم."}
    again = face.write(CENTRE, f"/v1/cases/{number}/actions/resubmit", sent, If_Match=read.headers["etag"])
    assert (again.status_code, again.json()["state"]) == (201, "under_review")
    case = face.get(REVIEWER, f"/v1/cases/{number}")
    assert case["form"]["street"] == "شارع التحلية"
    assert "manager_name" not in case["form"]
    assert case["intact"]
    said = face.get(CENTRE, f"/v1/cases/{number}/comments")["items"]
    assert [(each["actor"], each["action"]) for each in said] == [
        ("client/reviewer", "send_back"),
        ("client/centre-1", "resubmit"),
    ]


def test_an_action_is_taken_without_a_body_and_not_with_a_strange_one(face: Face) -> None:
    number = face.submit()
    bodies: list[Any] = [
        {"why": "x"},
        {"comment": ""},
        {"comment": "x" * 2_001},
        {"comment": None},
        {"form": None},
        [],
        "x",
        1,
    ]
    for body in bodies:
        refused = face.write(CENTRE, f"/v1/cases/{number}/actions/withdraw", body)
        assert refused.status_code == 422, body
    assert face.write(CENTRE, f"/v1/cases/{number}/actions/fly").status_code == 404
    assert face.write(CENTRE, f"/v1/cases/{number}/actions/submit").status_code == 404
    assert face.write(CENTRE, f"/v1/cases/{number}/actions/pay").status_code == 404
    assert face.write(CENTRE, f"/v1/cases/{number}/actions/withdraw").json()["state"] == "withdrawn"


def test_documents_are_handed_in_and_given_out_as_files_to_save(face: Face) -> None:
    number = face.submit(REVIEWED)
    put = face.put(CENTRE, number, "lease_or_deed", name="عقد الإيجار.png")
    assert (put.status_code, put.headers["etag"]) == (201, '"3"')
    assert (put.json()["type"], put.json()["version"]) == ("image/png", 1)
    listed = face.get(CENTRE, f"/v1/cases/{number}/documents")["items"]
    (lease,) = [each for each in listed if each["code"] == "lease_or_deed"]
    assert lease["document"]["name"] == "عقد الإيجار.png"
    given = face.call(REVIEWER, "GET", f"/v1/cases/{number}/documents/lease_or_deed")
    assert (given.content, given.headers["content-type"]) == (PNG, "image/png")
    assert given.headers["content-disposition"] == 'attachment; filename="lease_or_deed.png"'
    assert "sandbox" in given.headers["content-security-policy"]
    assert given.headers["x-content-type-options"] == "nosniff"
    path = f"/v1/cases/{number}/documents/lease_or_deed"
    assert face.call(CENTRE, "GET", f"{path}?version=1").status_code == 200
    assert face.call(CENTRE, "GET", f"{path}?version=2").status_code == 404
    assert face.call(OTHER, "GET", path).status_code == 404
    assert face.call(CENTRE, "GET", f"/v1/cases/{number}/documents/building_permit").status_code == 404


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"", "application/octet-stream", 422),
        (b"MZ\x90\x00", "application/pdf", 422),
        (PNG[:-4], "image/png", 422),
        (PNG + b"%PDF-1.4", "image/png", 422),
        (PNG, "text/html", 415),
        (PNG, "multipart/form-data; boundary=x", 415),
        (PNG + b"\x00" * MAX_FILE, "application/octet-stream", 413),
        (PNG, "application/pdf", 201),
    ],
)
def test_what_is_handed_in_is_judged_by_its_content(face: Face, data: bytes, kind: str, status: int) -> None:
    number = face.submit(REVIEWED)
    answer = face.put(CENTRE, number, "lease_or_deed", data, Content_Type=kind)
    assert answer.status_code == status
    assert face.desk.count("case_document") == (status == 201)


def test_a_document_may_be_larger_than_a_message_and_is_counted_while_it_comes(face: Face) -> None:
    number = face.submit(REVIEWED)
    path = f"/v1/cases/{number}/documents/lease_or_deed?name=a.png"
    headers = {**face.bearer(CENTRE), "Idempotency-Key": "k", "Content-Type": "application/octet-stream"}
    # As large as no message may be: judged, and refused for what it is.
    answer = face.anyone.put(path, content=b"x" * (MAX_FILE - 1), headers=headers)
    assert answer.status_code == 422
    # In pieces, without a length.
    answer = face.anyone.put(path, content=(b"x" * 1_000 for _ in range(100)), headers=headers)
    assert answer.status_code == 413
    assert face.desk.count("case_document") == 0


def test_a_document_needs_a_name_a_key_and_a_place_on_the_checklist(face: Face) -> None:
    number = face.submit(REVIEWED)
    path = f"/v1/cases/{number}/documents/lease_or_deed"
    headers = {"Idempotency_Key": "k", "Content_Type": "application/octet-stream"}
    assert face.call(CENTRE, "PUT", path, PNG, **headers).status_code == 422
    assert face.call(CENTRE, "PUT", f"{path}?name=%00", PNG, **headers).status_code == 422
    without = face.call(CENTRE, "PUT", f"{path}?name=a", PNG, Content_Type="application/pdf")
    assert without.status_code == 400
    assert face.put(CENTRE, number, "no_such_paper").status_code == 404
    assert face.put(OTHER, number, "lease_or_deed").status_code == 404
    assert face.put(BANK, number, "lease_or_deed").status_code == 404


def test_centre_and_office_speak_of_a_case(face: Face) -> None:
    number = face.submit(REVIEWED)
    told = face.done(CENTRE, f"/v1/cases/{number}/comments", {"text": "المحل جاهز\nللمعاينة."})
    assert "text" not in told
    face.done(REVIEWER, f"/v1/cases/{number}/comments", {"text": "بين الموظفين."})
    path = f"/v1/cases/{number}/comments"
    assert [each["text"] for each in face.get(REVIEWER, path)["items"]] == [
        "المحل جاهز\nللمعاينة.",
        "بين الموظفين.",
    ]
    # What officers say among themselves is theirs.
    assert [each["text"] for each in face.get(CENTRE, path)["items"]] == ["المحل جاهز\nللمعاينة."]
    for who, status in ((OTHER, 404), (KIOSK, 404), ("auditor", 403)):
        assert face.write(who, path, {"text": "x"}).status_code == status
    for text in ("", " ", "x" * 2_001, "\x00", "\u202e", None):
        assert face.write(CENTRE, path, {"text": text}).status_code == 422
    assert face.desk.count("case_comment") == 2


def test_the_inbox_shows_each_his_own_and_an_assignment_is_one_persons(face: Face) -> None:
    first, second = face.submit(REVIEWED), face.submit(REVIEWED)
    quick = face.submit()

    def shown(who: str, query: str = "") -> list[str]:
        return [item["number"] for item in face.get(who, f"/v1/inbox{query}")["items"]]

    assert shown(REVIEWER) == [first, second]
    assert shown("reviewer-there") == []
    assert shown(CENTRE) == [quick]
    assert shown(OTHER) == []
    page = face.get(REVIEWER, "/v1/inbox?limit=1&count=true")
    assert (page["count"], [item["number"] for item in page["items"]]) == ("2", [first])
    assert shown(REVIEWER, f"?limit=1&after={page['next']}") == [second]
    etag = face.call(REVIEWER, "GET", f"/v1/cases/{first}").headers["etag"]
    path = f"/v1/cases/{first}/assignment"
    taken = face.write(REVIEWER, path, {"to": "client/reviewer"}, If_Match=etag)
    assert (taken.status_code, taken.json()["assignee"]) == (201, "client/reviewer")
    assert face.write(REVIEWER, path, {"to": "client/reviewer"}, If_Match=etag).status_code == 412
    assert shown(REVIEWER, "?mine=true") == [first]
    assert shown(REVIEWER, "?unassigned=true") == [second]
    assert shown(REVIEWER, f"?place={FORM['district']}&service=shop_licence") == [first, second]
    for to in ("client/reviewer-there", "client/nobody", "x"):
        assert face.write(REVIEWER, path, {"to": to}).status_code == 422
    for body in ({}, {"to": ""}, {"to": 1}, {"to": "ا"}):
        assert face.write(REVIEWER, path, body).status_code == 422
    assert face.write(CENTRE, path, {"to": None}).status_code == 403
    assert face.write("reviewer-there", path, {"to": None}).status_code == 404
    freed = face.write(REVIEWER, path, {"to": None}, If_Match=taken.headers["etag"])
    assert freed.json()["assignee"] is None


def test_many_cases_are_opened_each_by_itself(face: Face) -> None:
    rows: list[Any] = [
        submission(),
        submission({**FORM, "years": 9}),
        {"service": "shop_licence"},
        submission(service="no_such_service"),
        {**submission(), "colour": "red"},
        submission(REVIEWED),
        {**submission(), "licence": "SL-2026-000001"},
    ]
    answer = face.write(CENTRE, "/v1/cases/bulk", {"cases": rows}, key="many")
    assert answer.status_code == 200
    told = answer.json()["rows"]
    assert [row["status"] for row in told] == [201, 422, 422, 404, 422, 201, 422]
    assert [row["body"]["state"] for row in told if "body" in row] == ["submitted", "under_review"]
    pointers = [row["problem"]["errors"][0]["pointer"] for row in told if row["status"] == 422]
    assert pointers == ["/form/years", "/form", "/colour", "/licence"]
    for row in told:
        for error in row.get("problem", {}).get("errors", ()):
            assert error["detail_ar"]
    assert face.desk.count("case_file") == 2
    # The same again is done once; what was refused may be mended in its place.
    rows[1] = submission()
    again = face.write(CENTRE, "/v1/cases/bulk", {"cases": rows}, key="many").json()["rows"]
    assert [row["status"] for row in again] == [201, 201, 422, 404, 422, 201, 422]
    assert again[0]["body"] == told[0]["body"]
    assert face.desk.count("case_file") == 3


@pytest.mark.parametrize("cases", [[], [{}] * 201, {}, [1], None])
def test_a_bulk_that_is_no_list_of_cases_is_refused_whole(face: Face, cases: Any) -> None:
    assert face.write(CENTRE, "/v1/cases/bulk", {"cases": cases}).status_code == 422


def test_a_bulk_without_a_key_or_with_too_long_a_one_is_refused(face: Face) -> None:
    rows = {"cases": [submission()]}
    assert face.call(CENTRE, "POST", "/v1/cases/bulk", rows).status_code == 400
    # With its number behind it, the key of a row is too long.
    long = face.done(CENTRE, "/v1/cases/bulk", rows, Idempotency_Key="k" * 128)
    assert [row["status"] for row in long["rows"]] == [400]
    assert face.desk.count("case_file") == 0


def test_a_centre_does_not_learn_of_anothers_case(face: Face) -> None:
    number = face.submit()
    absent = face.call(OTHER, "GET", "/v1/cases/SC-2026-999999").json()
    for method, path, body in (
        ("GET", "", None),
        ("POST", "/quote", None),
        ("POST", "/invoice", None),
        ("POST", "/actions/withdraw", None),
        ("GET", "/documents", None),
        ("GET", "/documents/lease_or_deed", None),
        ("POST", "/assignment", {"to": None}),
        ("POST", "/comments", {"text": "x"}),
        ("GET", "/comments", None),
        ("GET", "/calls", None),
    ):
        answer: httpx.Response = (
            face.call(OTHER, method, f"/v1/cases/{number}{path}")
            if method == "GET"
            else face.write(OTHER, f"/v1/cases/{number}{path}", body)
        )
        assert answer.status_code == 404, path
        if not path.startswith("/documents/"):
            assert answer.json()["detail"].replace(number, "SC-2026-999999") == absent["detail"]
    assert face.get(CENTRE, f"/v1/cases/{number}")["version"] == 1
