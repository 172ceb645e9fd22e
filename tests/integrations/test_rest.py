"""The face itself: a licence from end to end, keys, tokens, versions, pages, and hostile requests."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from io import BytesIO
from typing import Any

import httpx
import pypdfium2  # type: ignore[import-untyped] # it ships no types
import pytest

from foundation.identity import Identity
from foundation.wire.credential import KeySet, open_credential
from tests.integrations.desk import FORM, OWNER, PERSONAL, REVIEWED
from tests.integrations.face import (
    BANK,
    CENTRE,
    KIOSK,
    MAX_BODY,
    OTHER,
    PROBLEM,
    REVIEWER,
    Face,
    submission,
)

pytest_plugins = ["tests.integrations.face_fixtures"]


def _raw(
    api: Face, content: bytes, kind: str = "application/json", path: str = "/v1/cases"
) -> httpx.Response:
    headers = {**api.bearer(CENTRE), "Idempotency-Key": "k", "Content-Type": kind}
    return api.anyone.post(path, content=content, headers=headers)


def test_a_licence_is_issued_over_http_from_the_services_own_example(api: Face) -> None:
    service = api.get(None, "/v1/services/shop_licence")
    form = service["procedures"][service["default_procedure"]]["form"]
    example = {name: field["examples"][0] for name, field in form["properties"].items()}
    opened = api.write(CENTRE, "/v1/cases", submission(example))
    assert (opened.status_code, opened.json()["state"], opened.headers["etag"]) == (201, "submitted", '"1"')
    number = opened.json()["number"]
    quote = api.write(CENTRE, f"/v1/cases/{number}/quote", If_Match='"1"')
    assert (quote.status_code, quote.json()["total"], quote.headers["etag"]) == (201, "723.00", '"2"')
    bill = api.write(CENTRE, f"/v1/cases/{number}/invoice", If_Match='"2"')
    assert (bill.status_code, bill.headers["etag"]) == (201, '"3"')
    paid = api.pay(bill.json())
    assert (paid["outcome"], paid["settled"], paid["case"]) == ("settled", True, number)
    read = api.call(CENTRE, "GET", f"/v1/cases/{number}")
    assert (read.json()["state"], read.headers["etag"]) == ("issued", '"5"')
    licence = api.get(KIOSK, f"/v1/licences/{read.json()['licence']}")
    assert licence["status"] == "valid"
    assert api.get(None, f"/v1/verify/{licence['number']}")["status"] == "valid"


def test_a_reviewed_licence_is_decided_over_http(api: Face) -> None:
    number = api.submit(REVIEWED)
    assert api.write(CENTRE, f"/v1/cases/{number}/actions/approve").status_code == 403
    lacking = api.write(REVIEWER, f"/v1/cases/{number}/actions/approve")
    assert lacking.status_code == 409
    assert "عقد الإيجار" in lacking.json()["detail_ar"]
    api.complete(number)
    approved = api.write(REVIEWER, f"/v1/cases/{number}/actions/approve")
    assert (approved.status_code, approved.json()["state"]) == (201, "approved")
    again = api.write(REVIEWER, f"/v1/cases/{number}/actions/approve")
    assert again.status_code == 409
    assert "مقبول" in again.json()["detail_ar"]
    assert api.settled(number).startswith("SL-")


def test_services_are_listed_by_where_they_are_offered(api: Face) -> None:
    def codes(channel: str) -> set[str]:
        return {each["code"] for each in api.get(None, f"/v1/services{channel}")["items"]}

    assert {"shop_licence", "exam_card"} <= codes("")
    assert codes("?channel=kiosk") == {"shop_licence", "building_permit", "health_card"}
    assert codes("?channel=online") == {"digit_trade_licence"}
    assert api.call(None, "GET", "/v1/services?channel=moon").status_code == 422
    assert api.call(None, "GET", "/v1/services/no_such_service").status_code == 404


def test_a_write_without_a_key_is_refused(api: Face) -> None:
    response = api.call(CENTRE, "POST", "/v1/cases", submission())
    assert (response.status_code, "Idempotency-Key" in response.json()["detail"]) == (400, True)
    assert api.desk.count("case_file") == 0


def test_sixteen_requests_of_one_key_get_one_answer(api: Face) -> None:
    barrier = threading.Barrier(16)

    def send(_: int) -> httpx.Response:
        barrier.wait()
        return api.write(CENTRE, "/v1/cases", submission(), key="same-key")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert [answer.headers.get("idempotency-replayed") for answer in answers].count("true") == 15
    assert api.desk.count("case_file") == 1
    other = submission({**FORM, "years": 2})
    assert api.write(CENTRE, "/v1/cases", other, key="same-key").status_code == 422


def test_an_expired_token_is_told_so(api: Face) -> None:
    short = Identity(api.desk.database, api.identity._secrets, 1)
    with api.desk.database.transaction() as session:
        secret = short.add_client(session, "short", ["centre"], "short")
    api.tokens["short"] = short.token("short", secret).token.reveal()
    deadline = time.monotonic() + 60
    while (response := api.call("short", "GET", "/v1/cases")).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert response.status_code == 401
    assert "expired" in response.json()["detail"]


@pytest.mark.parametrize(
    ("content", "kind", "status", "told"),
    [
        (b'{"service": ', "application/json", 400, "not JSON"),
        (b'{"service": "\xff"}', "application/json", 400, "UTF-8"),
        (b"[" * 9_000, "application/json", 400, ""),
        (b"", "application/json", 422, "required"),
        (b"[]", "application/json", 422, "dictionary"),
        (b"<a/>", "text/xml", 415, "text/xml"),
        (b"service=a", "application/x-www-form-urlencoded", 415, "form-urlencoded"),
        (b'{"service": "x", "form": {}, "\\ud800": 1}', "application/json", 422, "valid string"),
        (b'{"service": "a\\u0000b", "form": {}}', "application/json", 422, "pattern"),
        (b'{"service": "x", "form": {}, "licence": null}', "application/json", 422, "null"),
        (b'{"service": "x", "service": "y", "form": []}', "application/json", 422, "dictionary"),
    ],
)
def test_a_body_that_is_no_message_is_one_clear_sentence(
    api: Face, content: bytes, kind: str, status: int, told: str
) -> None:
    response = _raw(api, content, kind)
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM)
    assert told in response.json()["detail"]
    assert response.json()["title_ar"]
    assert response.json()["detail_ar"]
    assert api.desk.count("case_file") == 0


def test_an_oversized_body_is_refused(api: Face) -> None:
    response = api.write(CENTRE, "/v1/cases", submission({**FORM, "trade_name": "x" * MAX_BODY}))
    assert response.status_code == 413
    assert "بايت" in response.json()["detail_ar"]
    assert api.desk.count("case_file") == 0


@pytest.mark.parametrize(
    "form",
    [
        {**FORM, "area_m2": 1e400},
        {**FORM, "area_m2": float("nan")},
        {**FORM, "trade_name": "\x00"},
        {**FORM, "trade_name": "\ud800"},
        {**FORM, "trade_name": "\u202egnp"},
        {**FORM, "trade_name": "   "},
        {**FORM, "trade_name": ["a"]},
        {**FORM, "years": 1.5},
        {**FORM, "years": True},
        {**FORM, "area_m2": 10**4000},
        {**FORM, "area_m2": -1e300},
        {**FORM, "area_m2": "120.5"},
        {**FORM, "postal_code": "٢٣٤٣٤"},
        {**FORM, "place": json.loads("[" * 60 + "]" * 60)},
        {**FORM, "\ud800": 1},
        {},
    ],
)
def test_a_hostile_form_is_refused_field_by_field(api: Face, form: dict[str, Any]) -> None:
    response = _raw(api, json.dumps(submission(form)).encode())
    assert response.status_code == 422
    errors = response.json()["errors"]
    assert errors
    assert all(error["pointer"].startswith("/form") and error["detail_ar"] for error in errors)
    assert api.desk.count("case_file") == 0


@pytest.mark.parametrize(
    "path",
    [
        "/v1/cases/%00",
        "/v1/cases/SC-2026-000001%00",
        "/v1/cases/../../etc/passwd",
        "/v1/cases/%D8%A3",
        "/v1/cases/SC-2026-000001'--",
        "/v1/cases?service=%00",
        "/v1/cases?state=%ff",
        "/v1/cases?after=%00",
        "/v1/cases?after=!!!!",
        "/v1/cases?after=Y2FzZTo5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk",
        "/v1/cases?licence=%00",
        "/v1/cases?limit=9999999999999999999999",
        "/v1/inbox?place=%00",
        "/v1/inbox?place=" + "x" * 5_000,
        "/v1/inbox?after=aW5ib3g6MTotOi0x",
        "/v1/inbox?whose=nobody",
        "/v1/services/%00",
        "/v1/licences/%00",
        "/v1/verify/%F0%9F%92%A9",
        "/v1/cases/SC-2026-000001/documents/%00",
        "/v1/bills/00000000000000000000000000000000",
    ],
)
def test_a_hostile_address_is_refused_and_never_an_accident(api: Face, path: str) -> None:
    response = api.anyone.get(path, headers=api.bearer(CENTRE))
    assert response.status_code in (400, 404, 422), response.text
    assert response.headers["content-type"] == PROBLEM


@pytest.mark.parametrize("if_match", ["nine", "9", '"9', '"-1"', '"99999999999"', 'W/"1"', '"1", "2"', ""])
def test_an_if_match_that_is_no_version_is_refused(api: Face, if_match: str) -> None:
    number = api.submit()
    refused = api.write(CENTRE, f"/v1/cases/{number}/quote", If_Match=if_match)
    assert refused.status_code == 400
    assert api.write(CENTRE, f"/v1/cases/{number}/quote", If_Match="*").status_code == 201


def test_if_match_refuses_what_was_decided_on_an_older_version(api: Face) -> None:
    number = api.submit()
    seen = api.call(CENTRE, "GET", f"/v1/cases/{number}").headers["etag"]
    assert api.write(CENTRE, f"/v1/cases/{number}/quote", If_Match='"9"').status_code == 412
    assert api.write(CENTRE, f"/v1/cases/{number}/quote", If_Match=seen).status_code == 201
    assert api.write(CENTRE, f"/v1/cases/{number}/invoice", If_Match=seen).status_code == 412
    stale = api.write(CENTRE, f"/v1/cases/{number}/actions/withdraw", If_Match=seen)
    assert stale.status_code == 412
    assert stale.json()["detail_ar"]
    assert api.get(CENTRE, f"/v1/cases/{number}")["state"] == "quoted"


def test_public_answers_over_http_hold_no_personal_data(api: Face) -> None:
    number, licence = api.issued()
    answers = [
        api.call(KIOSK, "GET", f"/v1/licences/{licence}"),
        api.call(None, "GET", f"/v1/verify/{licence}"),
        api.call(None, "GET", "/.well-known/rakeeza-keys.json"),
        api.call(KIOSK, "GET", f"/v1/cases/{number}"),
        api.call(CENTRE, "GET", "/v1/cases"),
    ]
    for answer in answers:
        for marker in PERSONAL:
            assert marker not in json.dumps(answer.json(), ensure_ascii=False)
    assert [answer.status_code for answer in answers] == [200, 200, 200, 404, 200]


def test_the_paper_is_not_ready_and_then_is_a_pdf_with_the_holders_name(api: Face) -> None:
    _, licence = api.issued()
    path = f"/v1/licences/{licence}/document.pdf"
    early = api.call(CENTRE, "GET", path)
    assert (early.status_code, early.headers["retry-after"]) == (404, "1")
    assert "not ready" in early.json()["detail"]
    api.desk.work_off()
    ready = api.call(CENTRE, "GET", path)
    assert (ready.status_code, ready.headers["content-type"]) == (200, "application/pdf")
    assert ready.headers["content-disposition"] == f'inline; filename="{licence}.pdf"'
    text = pypdfium2.PdfDocument(BytesIO(ready.content))[0].get_textpage().get_text_range()
    # The paper names the holder; the order of words is the extractor's own.
    assert OWNER.split()[0] in text
    assert licence.removeprefix("SL-") in text
    assert api.call(KIOSK, "GET", path).status_code == 404
    assert api.call(OTHER, "GET", path).status_code == 404
    assert api.call(CENTRE, "GET", f"{path}?version=7").status_code == 409


def test_the_list_is_paged_with_a_cursor_and_filtered(api: Face) -> None:
    numbers = [api.submit() for _ in range(3)]
    api.done(CENTRE, f"/v1/cases/{numbers[0]}/quote")
    first = api.get(CENTRE, "/v1/cases?limit=2")
    rest = api.get(CENTRE, f"/v1/cases?limit=2&after={first['next']}")
    assert [case["number"] for case in (*first["items"], *rest["items"])] == numbers[::-1]
    assert rest["next"] is None
    quoted = api.get(CENTRE, "/v1/cases?state=quoted&service=shop_licence")
    assert [case["number"] for case in quoted["items"]] == numbers[:1]
    assert api.get(CENTRE, "/v1/cases?service=exam_card")["items"] == []
    assert api.get(CENTRE, "/v1/cases?licence=SL-2026-000001")["items"] == []
    assert api.get(OTHER, "/v1/cases") == {"items": [], "next": None}
    assert api.call(CENTRE, "GET", "/v1/cases?limit=0").status_code == 422
    assert api.call(CENTRE, "GET", "/v1/cases?limit=201").status_code == 422


def test_the_key_set_opens_the_served_credential(api: Face) -> None:
    _, licence = api.issued()
    keys = KeySet.from_json(api.call(None, "GET", "/.well-known/rakeeza-keys.json").text)
    text = api.get(KIOSK, f"/v1/licences/{licence}")["credential"]
    assert open_credential(text, keys, today=date(2026, 11, 22)).claims.number == licence


def test_a_wrong_method_is_told_with_the_right_ones(api: Face) -> None:
    response = api.call(CENTRE, "DELETE", "/v1/cases")
    assert (response.status_code, response.headers["allow"]) == (405, "GET, POST")
    assert response.json()["detail_ar"]
    assert api.call(BANK, "GET", "/v1/payments").status_code == 405
