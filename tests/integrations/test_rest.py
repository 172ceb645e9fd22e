import json
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import Any

import httpx
import pypdfium2  # type: ignore[import-untyped] # it ships no types
import pytest
from fastapi import FastAPI
from jsonschema import Draft202012Validator, FormatChecker

from foundation.http import create_app, token_router
from foundation.identity import Identity
from foundation.secret import SecretFile
from foundation.wire.credential import KeySet, open_credential
from integrations.contracts import licensing as contract
from integrations.contracts import resolved
from integrations.entrypoints import rest, verify
from tests.foundation.http_face import served
from tests.integrations.desk import APPLICANT, FORM, OWNER, PERSONAL, REVIEWED, Desk

MAX_BODY = 20_000
PROBLEM = "application/problem+json"
ROLES = ("centre", "payment", "reviewer", "kiosk")


@dataclass
class Face:
    """The API on a real server, and a client of each role."""

    desk: Desk
    identity: Identity
    app: FastAPI
    anyone: httpx.Client
    tokens: dict[str, str]

    def call(
        self, role: str | None, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """One request; its answer is held against the contract."""
        if role is not None:
            headers["Authorization"] = f"Bearer {self.tokens[role]}"
        response = self.anyone.request(method, path, json=body, headers=headers)
        promised(method, path, response)
        return response

    def write(self, role: str, path: str, body: Any = None, key: str = "", **headers: str) -> httpx.Response:
        """One write with a new key, or with the one given."""
        return self.call(role, "POST", path, body, **{"Idempotency-Key": key or str(uuid.uuid4())}, **headers)

    def submit(self, form: dict[str, Any] = FORM, key: str = "") -> httpx.Response:
        """Open a case."""
        return self.write("centre", "/v1/cases", submission(form), key)

    def issued(self) -> tuple[str, str]:
        """A case and its licence."""
        number = self.submit().json()["number"]
        self.write("centre", f"/v1/cases/{number}/quote")
        bill = self.write("centre", f"/v1/cases/{number}/invoice").json()
        self.write("payment", "/v1/payments", notice(bill))
        return number, self.call("centre", "GET", f"/v1/cases/{number}").json()["licence"]


def submission(form: dict[str, Any] = FORM) -> dict[str, Any]:
    return {"service": "shop_licence", "applicant": APPLICANT, "form": form}


def notice(bill: dict[str, Any], **changes: Any) -> dict[str, Any]:
    told = {
        "bill_number": bill["bill_number"],
        "amount": bill["amount"],
        "paid_at": "2026-11-22T12:00:00+03:00",
    }
    return {**told, "reference": "bank-1", **changes}


def operation(method: str, path: str) -> dict[str, Any]:
    steps = path.partition("?")[0].split("/")
    for pattern, operations in contract()["paths"].items():
        wanted = pattern.split("/")
        if len(wanted) == len(steps) and all(
            w.startswith("{") or w == s for w, s in zip(wanted, steps, strict=True)
        ):
            return dict(operations[method.lower()])
    raise AssertionError(f"the contract has no {path}")


def promised(method: str, path: str, response: httpx.Response) -> None:
    if response.headers["content-type"] == PROBLEM:
        document = response.json()
        assert document["status"] == response.status_code
        assert document["title_ar"]
        return
    answers = operation(method, path)["responses"]
    kind = response.headers["content-type"].partition(";")[0]
    schema = resolved(answers[str(response.status_code)]["content"][kind]["schema"])
    if kind != "application/pdf":
        errors = list(
            Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(response.json())
        )
        assert errors == []


@pytest.fixture
def face(desk: Desk) -> Iterator[Face]:
    folder = desk.settings.platform.folder
    identity = Identity(desk.database, SecretFile(folder / "secrets.json", folder / "secrets.key"), 600)
    app = create_app("Rakeeza", max_body=MAX_BODY)
    app.include_router(token_router(identity))
    app.include_router(rest.router(desk.licensing, identity))
    app.include_router(verify.router(desk.licensing))
    with ExitStack() as stack:
        url = stack.enter_context(served(app))
        anyone = stack.enter_context(httpx.Client(base_url=url, timeout=60))
        tokens = {}
        for role in ROLES:
            with desk.database.transaction() as session:
                secret = identity.add_client(session, f"{role}-1", [role], role)
            form = {
                "grant_type": "client_credentials",
                "client_id": f"{role}-1",
                "client_secret": secret.reveal(),
            }
            tokens[role] = anyone.post("/v1/oauth/token", data=form).json()["access_token"]
        yield Face(desk, identity, app, anyone, tokens)


def test_a_licence_is_issued_over_http_from_the_services_own_example(face: Face) -> None:
    service = face.call(None, "GET", "/v1/services/shop_licence").json()
    example = {name: field["examples"][0] for name, field in service["form"]["properties"].items()}
    case = face.submit(example)
    assert (case.status_code, case.json()["state"]) == (201, "submitted")
    number = case.json()["number"]
    quote = face.write("centre", f"/v1/cases/{number}/quote")
    assert (quote.status_code, quote.json()["total"]) == (201, "723.00")
    bill = face.write("centre", f"/v1/cases/{number}/invoice")
    assert bill.status_code == 201
    paid = face.write("payment", "/v1/payments", notice(bill.json()))
    assert (paid.status_code, paid.json()["settled"], paid.json()["case"]) == (201, True, number)
    read = face.call("centre", "GET", f"/v1/cases/{number}")
    assert (read.json()["state"], read.headers["etag"]) == ("issued", '"5"')
    licence = face.call("kiosk", "GET", f"/v1/licences/{read.json()['licence']}")
    assert licence.json()["status"] == "valid"
    assert face.call(None, "GET", f"/v1/verify/{read.json()['licence']}").json()["status"] == "valid"


def test_a_reviewed_case_is_decided_over_http(face: Face) -> None:
    number = face.submit(REVIEWED).json()["number"]
    assert face.write("centre", f"/v1/cases/{number}/decisions/approve").status_code == 403
    approved = face.write("reviewer", f"/v1/cases/{number}/decisions/approve")
    assert (approved.status_code, approved.json()["state"]) == (201, "approved")
    again = face.write("reviewer", f"/v1/cases/{number}/decisions/approve")
    assert again.status_code == 409
    assert "مقبول" in again.json()["detail_ar"]


def test_the_served_description_is_the_contract(face: Face) -> None:
    served_paths = face.anyone.get("/openapi.json").json()
    schemas = served_paths["components"]["schemas"]

    def plain(part: Any) -> Any:
        # Titles, descriptions and summaries are prose; a reference is what it names.
        if isinstance(part, dict):
            if "$ref" in part:
                return plain(schemas[part["$ref"].rpartition("/")[2]])
            return {
                k: plain(v)
                for k, v in part.items()
                if k not in ("title", "description") or isinstance(v, dict)
            }
        return [plain(item) for item in part] if isinstance(part, list) else part

    def said(operations: dict[str, Any], method: str, read: Any) -> dict[str, Any]:
        found = read(operations[method])
        answers = {code: a.get("content", {}) for code, a in found["responses"].items() if code != "default"}
        return {
            "id": found["operationId"],
            "parameters": sorted(found.get("parameters", []), key=lambda p: str(p["name"])),
            "body": found.get("requestBody"),
            "secured": bool(found.get("security")),
            "answers": answers,
        }

    ours = contract()["paths"]
    assert set(served_paths["paths"]) - {"/v1/oauth/token"} == set(ours)
    for path, operations in ours.items():
        assert set(served_paths["paths"][path]) == set(operations)
        for method in operations:
            promise = said(operations, method, lambda part: plain(resolved(part)))
            assert said(served_paths["paths"][path], method, plain) == promise, f"{method} {path}"


def test_a_write_without_a_key_is_refused(face: Face) -> None:
    response = face.call("centre", "POST", "/v1/cases", submission())
    assert (response.status_code, "Idempotency-Key" in response.json()["detail"]) == (400, True)
    assert face.desk.count("case_file") == 0


def test_sixteen_requests_of_one_key_get_one_answer(face: Face) -> None:
    barrier = threading.Barrier(16)

    def send(_: int) -> httpx.Response:
        barrier.wait()
        return face.submit(key="same-key")

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert face.desk.count("case_file") == 1
    assert face.submit({**FORM, "years": 2}, key="same-key").status_code == 422


@pytest.mark.parametrize("path", ["/v1/cases", "/v1/cases/SC-2026-000001", "/v1/licences/SL-2026-000001"])
def test_without_a_token_nothing_is_read(face: Face, path: str) -> None:
    assert face.call(None, "GET", path).status_code == 401


def test_an_expired_token_is_told_so(face: Face) -> None:
    short = Identity(face.desk.database, face.identity._secrets, 1)
    with face.desk.database.transaction() as session:
        secret = short.add_client(session, "short", ["centre"], "short")
    face.tokens["short"] = short.token("short", secret).token.reveal()
    deadline = time.monotonic() + 60
    while (response := face.call("short", "GET", "/v1/cases")).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert response.status_code == 401
    assert "expired" in response.json()["detail"]


def test_malformed_json_is_one_clear_sentence(face: Face) -> None:
    headers = {"Authorization": f"Bearer {face.tokens['centre']}", "Content-Type": "application/json"}
    response = face.anyone.post("/v1/cases", content=b'{"service": ', headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (400, PROBLEM)
    assert "not JSON" in response.json()["detail"]


def test_an_oversized_body_is_refused(face: Face) -> None:
    response = face.submit({**FORM, "trade_name": "x" * MAX_BODY})
    assert response.status_code == 413
    assert face.desk.count("case_file") == 0


@pytest.mark.parametrize(
    "form",
    [
        {**FORM, "area_m2": 1e400},
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
        {},
    ],
)
def test_a_hostile_form_is_refused_field_by_field(face: Face, form: dict[str, Any]) -> None:
    content = json.dumps(submission(form)).encode()
    headers = {
        "Authorization": f"Bearer {face.tokens['centre']}",
        "Idempotency-Key": "k",
        "Content-Type": "application/json",
    }
    response = face.anyone.post("/v1/cases", content=content, headers=headers)
    assert response.status_code == 422
    errors = response.json()["errors"]
    assert errors
    assert all(error["pointer"].startswith("/form") and error["detail_ar"] for error in errors)
    assert face.desk.count("case_file") == 0


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"amount": 723.0}, "/amount"),
        ({"amount": "723.001"}, "/amount"),
        ({"amount": "0.00"}, "/amount"),
        ({"paid_at": 1763800000}, "/paid_at"),
        ({"paid_at": "2026-11-22T12:00:00"}, "/paid_at"),
        ({"paid_at": "0001-01-01T00:00:00+14:00"}, "/paid_at"),
        ({"reference": "a b"}, "/reference"),
        ({"bill_number": "x"}, "/bill_number"),
        ({"currency": "SAR"}, "/currency"),
    ],
)
def test_a_payment_that_cannot_be_read_is_refused_and_not_kept(
    face: Face, changes: dict[str, Any], pointer: str
) -> None:
    bill = {"bill_number": "2600000000019", "amount": "723.00"}
    response = face.write("payment", "/v1/payments", notice(bill, **changes))
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == pointer
    assert face.desk.count("case_payment") == 0


def test_only_a_bank_notifies_payments(face: Face) -> None:
    number = face.submit().json()["number"]
    face.write("centre", f"/v1/cases/{number}/quote")
    bill = face.write("centre", f"/v1/cases/{number}/invoice").json()
    assert face.write("centre", "/v1/payments", notice(bill)).status_code == 403
    assert face.desk.count("case_payment") == 0


def test_if_match_refuses_what_was_decided_on_an_older_version(face: Face) -> None:
    number = face.submit().json()["number"]
    seen = face.call("centre", "GET", f"/v1/cases/{number}").headers["etag"]
    assert face.write("centre", f"/v1/cases/{number}/quote", **{"If-Match": '"9"'}).status_code == 412
    assert face.write("centre", f"/v1/cases/{number}/quote", **{"If-Match": "nine"}).status_code == 400
    assert face.write("centre", f"/v1/cases/{number}/quote", **{"If-Match": seen}).status_code == 201
    assert face.write("centre", f"/v1/cases/{number}/invoice", **{"If-Match": seen}).status_code == 412


def test_public_answers_over_http_hold_no_personal_data(face: Face) -> None:
    number, licence = face.issued()
    answers = [
        face.call("kiosk", "GET", f"/v1/licences/{licence}"),
        face.call(None, "GET", f"/v1/verify/{licence}"),
        face.call(None, "GET", "/.well-known/rakeeza-keys.json"),
        face.call("kiosk", "GET", f"/v1/cases/{number}"),
    ]
    for answer in answers:
        for marker in PERSONAL:
            assert marker not in json.dumps(answer.json(), ensure_ascii=False)
    assert answers[3].status_code == 403


def test_the_paper_is_not_ready_and_then_is_a_pdf_with_the_holders_name(face: Face) -> None:
    _, licence = face.issued()
    path = f"/v1/licences/{licence}/document.pdf"
    early = face.call("centre", "GET", path)
    assert (early.status_code, early.headers["retry-after"]) == (404, "1")
    assert "not ready" in early.json()["detail"]
    face.desk.work_off()
    ready = face.call("centre", "GET", path)
    assert (ready.status_code, ready.headers["content-type"]) == (200, "application/pdf")
    text = pypdfium2.PdfDocument(BytesIO(ready.content))[0].get_textpage().get_text_range()
    # The paper names the holder; the order of words is the extractor's own.
    assert OWNER.split()[0] in text
    assert licence.removeprefix("SL-") in text
    assert face.call("kiosk", "GET", path).status_code == 403


def test_the_list_is_paged_with_a_cursor(face: Face) -> None:
    numbers = [face.submit().json()["number"] for _ in range(3)]
    first = face.call("centre", "GET", "/v1/cases?limit=2").json()
    rest_ = face.call("centre", "GET", f"/v1/cases?limit=2&after={first['next']}").json()
    assert [case["number"] for case in (*first["items"], *rest_["items"])] == numbers[::-1]
    assert rest_["next"] is None
    assert face.call("centre", "GET", "/v1/cases?after=x").status_code == 400
    assert face.call("centre", "GET", "/v1/cases?limit=0").status_code == 422


def test_the_key_set_opens_the_served_credential(face: Face) -> None:
    _, licence = face.issued()
    keys = KeySet.from_json(face.call(None, "GET", "/.well-known/rakeeza-keys.json").text)
    text = face.call("kiosk", "GET", f"/v1/licences/{licence}").json()["credential"]
    assert open_credential(text, keys, today=date(2026, 11, 22)).claims.number == licence
