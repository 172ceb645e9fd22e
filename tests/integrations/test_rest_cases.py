"""Cases over REST: sending back, documents, comments, inbox, assignment, many at once."""

import uuid
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


def test_a_case_that_was_sent_back_is_corrected_and_resubmitted(api: Face) -> None:
    number = api.submit(REVIEWED)
    silent = api.write(REVIEWER, f"/v1/cases/{number}/actions/send_back", {})
    assert (silent.status_code, silent.json()["errors"][0]["pointer"]) == (422, "/comment")
    api.act(REVIEWER, number, "send_back", comment="اسم الشارع ناقص.")
    read = api.call(CENTRE, "GET", f"/v1/cases/{number}")
    assert [action["name"] for action in read.json()["actions"]] == ["resubmit", "withdraw"]
    wrong = api.write(CENTRE, f"/v1/cases/{number}/actions/resubmit", {"form": {"years": 9}})
    assert wrong.json()["errors"][0]["pointer"] == "/form/years"
    sent = {"form": {"street": "شارع التحلية", "manager_name": None}, "comment": "أُكمل الاسم."}
    again = api.write(CENTRE, f"/v1/cases/{number}/actions/resubmit", sent, If_Match=read.headers["etag"])
    assert (again.status_code, again.json()["state"]) == (201, "under_review")
    case = api.get(REVIEWER, f"/v1/cases/{number}")
    assert case["form"]["street"] == "شارع التحلية"
    assert "manager_name" not in case["form"]
    assert case["intact"]
    said = api.get(CENTRE, f"/v1/cases/{number}/comments")["items"]
    assert [(each["actor"], each["action"]) for each in said] == [
        ("client/reviewer", "send_back"),
        ("client/centre-1", "resubmit"),
    ]


def test_an_action_is_taken_without_a_body_and_not_with_a_strange_one(api: Face) -> None:
    number = api.submit()
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
        refused = api.write(CENTRE, f"/v1/cases/{number}/actions/withdraw", body)
        assert refused.status_code == 422, body
    assert api.write(CENTRE, f"/v1/cases/{number}/actions/fly").status_code == 404
    assert api.write(CENTRE, f"/v1/cases/{number}/actions/submit").status_code == 404
    assert api.write(CENTRE, f"/v1/cases/{number}/actions/pay").status_code == 404
    assert api.write(CENTRE, f"/v1/cases/{number}/actions/withdraw").json()["state"] == "withdrawn"


def test_documents_are_handed_in_and_given_out_as_files_to_save(api: Face) -> None:
    number = api.submit(REVIEWED)
    put = api.put(CENTRE, number, "lease_or_deed", name="عقد الإيجار.png")
    assert (put.status_code, put.headers["etag"]) == (201, '"3"')
    assert (put.json()["type"], put.json()["version"]) == ("image/png", 1)
    listed = api.get(CENTRE, f"/v1/cases/{number}/documents")["items"]
    (lease,) = [each for each in listed if each["code"] == "lease_or_deed"]
    assert lease["document"]["name"] == "عقد الإيجار.png"
    given = api.call(REVIEWER, "GET", f"/v1/cases/{number}/documents/lease_or_deed")
    assert (given.content, given.headers["content-type"]) == (PNG, "image/png")
    assert given.headers["content-disposition"] == 'attachment; filename="lease_or_deed.png"'
    assert "sandbox" in given.headers["content-security-policy"]
    assert given.headers["x-content-type-options"] == "nosniff"
    path = f"/v1/cases/{number}/documents/lease_or_deed"
    assert api.call(CENTRE, "GET", f"{path}?version=1").status_code == 200
    assert api.call(CENTRE, "GET", f"{path}?version=2").status_code == 404
    assert api.call(OTHER, "GET", path).status_code == 404
    assert api.call(CENTRE, "GET", f"/v1/cases/{number}/documents/building_permit").status_code == 404


def test_a_document_is_not_handed_in_on_a_case_that_was_changed_meanwhile(api: Face) -> None:
    number = api.submit(REVIEWED)
    seen = api.call(CENTRE, "GET", f"/v1/cases/{number}").headers["etag"]
    key = str(uuid.uuid4())
    first = api.put(CENTRE, number, "lease_or_deed", If_Match=seen, Idempotency_Key=key)
    assert first.status_code == 201
    late = api.put(CENTRE, number, "lease_or_deed", If_Match=seen)
    assert (late.status_code, bool(late.json()["detail_ar"])) == (412, True)
    again = api.put(CENTRE, number, "lease_or_deed", If_Match=seen, Idempotency_Key=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert api.put(CENTRE, number, "lease_or_deed", If_Match="3").status_code == 400
    assert api.put(CENTRE, number, "lease_or_deed", If_Match=first.headers["etag"]).status_code == 201
    assert api.put(CENTRE, number, "lease_or_deed", If_Match="*").status_code == 201
    assert api.desk.count("case_document") == 3


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
def test_what_is_handed_in_is_judged_by_its_content(api: Face, data: bytes, kind: str, status: int) -> None:
    number = api.submit(REVIEWED)
    answer = api.put(CENTRE, number, "lease_or_deed", data, Content_Type=kind)
    assert answer.status_code == status
    assert api.desk.count("case_document") == (status == 201)


def test_a_document_may_be_larger_than_a_message_and_is_counted_while_it_comes(api: Face) -> None:
    number = api.submit(REVIEWED)
    path = f"/v1/cases/{number}/documents/lease_or_deed?name=a.png"
    headers = {**api.bearer(CENTRE), "Idempotency-Key": "k", "Content-Type": "application/octet-stream"}
    # As large as no message may be: judged, and refused for what it is.
    answer = api.anyone.put(path, content=b"x" * (MAX_FILE - 1), headers=headers)
    assert answer.status_code == 422
    # In pieces, without a length.
    answer = api.anyone.put(path, content=(b"x" * 1_000 for _ in range(100)), headers=headers)
    assert answer.status_code == 413
    assert api.desk.count("case_document") == 0


def test_a_document_needs_a_name_a_key_and_a_place_on_the_checklist(api: Face) -> None:
    number = api.submit(REVIEWED)
    path = f"/v1/cases/{number}/documents/lease_or_deed"
    headers = {"Idempotency_Key": "k", "Content_Type": "application/octet-stream"}
    assert api.call(CENTRE, "PUT", path, PNG, **headers).status_code == 422
    assert api.call(CENTRE, "PUT", f"{path}?name=%00", PNG, **headers).status_code == 422
    without = api.call(CENTRE, "PUT", f"{path}?name=a", PNG, Content_Type="application/pdf")
    assert without.status_code == 400
    assert api.put(CENTRE, number, "no_such_paper").status_code == 404
    assert api.put(OTHER, number, "lease_or_deed").status_code == 404
    assert api.put(BANK, number, "lease_or_deed").status_code == 404


def test_centre_and_office_speak_of_a_case(api: Face) -> None:
    number = api.submit(REVIEWED)
    told = api.done(CENTRE, f"/v1/cases/{number}/comments", {"comment": "المحل جاهز\nللمعاينة."})
    assert "text" not in told
    seen = api.call(CENTRE, "GET", f"/v1/cases/{number}").headers["etag"]
    api.done(REVIEWER, f"/v1/cases/{number}/comments", {"comment": "بين الموظفين."})
    path = f"/v1/cases/{number}/comments"
    # Who decides is not disturbed by what is said meanwhile.
    assert api.call(CENTRE, "GET", f"/v1/cases/{number}").headers["etag"] == seen
    assert [each["text"] for each in api.get(REVIEWER, path)["items"]] == [
        "المحل جاهز\nللمعاينة.",
        "بين الموظفين.",
    ]
    # What officers say among themselves is theirs.
    assert [each["text"] for each in api.get(CENTRE, path)["items"]] == ["المحل جاهز\nللمعاينة."]
    for who, status in ((OTHER, 404), (KIOSK, 404), ("auditor", 403)):
        assert api.write(who, path, {"comment": "x"}).status_code == status
    for text in ("", " ", "x" * 2_001, "\x00", "\u202e", None):
        assert api.write(CENTRE, path, {"comment": text}).status_code == 422
    assert api.desk.count("case_comment") == 2


def test_the_inbox_shows_each_his_own_and_an_assignment_is_one_persons(api: Face) -> None:
    first, second = api.submit(REVIEWED), api.submit(REVIEWED)
    quick = api.submit()

    def shown(who: str, query: str = "") -> list[str]:
        return [item["number"] for item in api.get(who, f"/v1/inbox{query}")["items"]]

    assert shown(REVIEWER) == [first, second]
    assert shown("reviewer-there") == []
    assert shown(CENTRE) == [quick]
    assert shown(OTHER) == []
    page = api.get(REVIEWER, "/v1/inbox?limit=1&count=true")
    assert (page["count"], [item["number"] for item in page["items"]]) == ("2", [first])
    assert shown(REVIEWER, f"?limit=1&after={page['next']}") == [second]
    etag = api.call(REVIEWER, "GET", f"/v1/cases/{first}").headers["etag"]
    path = f"/v1/cases/{first}/assignment"
    taken = api.write(REVIEWER, path, {"to": "client/reviewer"}, If_Match=etag)
    assert (taken.status_code, taken.json()["assignee"]) == (201, "client/reviewer")
    assert api.write(REVIEWER, path, {"to": "client/reviewer"}, If_Match=etag).status_code == 412
    assert shown(REVIEWER, "?whose=mine") == [first]
    assert shown(REVIEWER, "?whose=unassigned") == [second]
    assert shown(REVIEWER, f"?place={FORM['district']}&service=shop_licence") == [first, second]
    for to in ("client/reviewer-there", "client/nobody", "x"):
        assert api.write(REVIEWER, path, {"to": to}).status_code == 422
    for body in ({}, {"to": ""}, {"to": 1}, {"to": "ا"}):
        assert api.write(REVIEWER, path, body).status_code == 422
    assert api.write(CENTRE, path, {"to": None}).status_code == 403
    assert api.write("reviewer-there", path, {"to": None}).status_code == 404
    freed = api.write(REVIEWER, path, {"to": None}, If_Match=taken.headers["etag"])
    assert freed.json()["assignee"] is None


def test_many_cases_are_opened_each_by_itself(api: Face) -> None:
    rows: list[Any] = [
        submission(),
        submission({**FORM, "years": 9}),
        {"service": "shop_licence"},
        submission(service="no_such_service"),
        {**submission(), "colour": "red"},
        submission(REVIEWED),
        {**submission(), "licence": "SL-2026-000001"},
    ]
    answer = api.write(CENTRE, "/v1/bulk/cases", {"cases": rows}, key="many")
    assert answer.status_code == 200
    told = answer.json()["rows"]
    assert [row["status"] for row in told] == [201, 422, 422, 404, 422, 201, 422]
    assert [row["body"]["state"] for row in told if "body" in row] == ["submitted", "under_review"]
    pointers = [row["problem"]["errors"][0]["pointer"] for row in told if row["status"] == 422]
    assert pointers == ["/form/years", "/form", "/colour", "/licence"]
    for row in told:
        for error in row.get("problem", {}).get("errors", ()):
            assert error["detail_ar"]
    assert api.desk.count("case_file") == 2
    # The same again is done once; what was refused may be mended in its place.
    rows[1] = submission()
    again = api.write(CENTRE, "/v1/bulk/cases", {"cases": rows}, key="many").json()["rows"]
    assert [row["status"] for row in again] == [201, 201, 422, 404, 422, 201, 422]
    assert again[0]["body"] == told[0]["body"]
    assert api.desk.count("case_file") == 3


@pytest.mark.parametrize("cases", [[], [{}] * 201, {}, [1], None])
def test_a_bulk_that_is_no_list_of_cases_is_refused_whole(api: Face, cases: Any) -> None:
    assert api.write(CENTRE, "/v1/bulk/cases", {"cases": cases}).status_code == 422


def test_a_bulk_without_a_key_or_with_too_long_a_one_is_refused(api: Face) -> None:
    rows = {"cases": [submission()]}
    assert api.call(CENTRE, "POST", "/v1/bulk/cases", rows).status_code == 400
    # The number of the row stands behind it.
    for key in ("k" * 125, '"', "a b"):
        assert api.write(CENTRE, "/v1/bulk/cases", rows, key=key).status_code == 400
    assert api.desk.count("case_file") == 0


def test_a_centre_does_not_learn_of_anothers_case(api: Face) -> None:
    number = api.submit()
    absent = api.call(OTHER, "GET", "/v1/cases/SC-2026-999999").json()
    for method, path, body in (
        ("GET", "", None),
        ("POST", "/quote", None),
        ("POST", "/invoice", None),
        ("POST", "/actions/withdraw", None),
        ("GET", "/documents", None),
        ("GET", "/documents/lease_or_deed", None),
        ("POST", "/assignment", {"to": None}),
        ("POST", "/comments", {"comment": "x"}),
        ("GET", "/comments", None),
        ("GET", "/calls", None),
    ):
        answer: httpx.Response = (
            api.call(OTHER, method, f"/v1/cases/{number}{path}")
            if method == "GET"
            else api.write(OTHER, f"/v1/cases/{number}{path}", body)
        )
        assert answer.status_code == 404, path
        if not path.startswith("/documents/"):
            assert answer.json()["detail"].replace(number, "SC-2026-999999") == absent["detail"]
    assert api.get(CENTRE, f"/v1/cases/{number}")["version"] == 1
