"""The API on a real server, with clients of every role; every answer is held against the contract."""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI
from jsonschema import Draft202012Validator, FormatChecker
from starlette.types import ASGIApp, Receive, Scope, Send

from console.bootstrap import declared_roles
from foundation.http import create_app, handed_over
from foundation.http_tokens import token_router
from foundation.identity import Caller, Identity
from foundation.secret import SecretFile
from integrations import contracts
from integrations.entrypoints import rest, verify
from tests.foundation.http_face import served
from tests.integrations.desk import APPLICANT, FORM, PNG, REVIEWED, Desk

MAX_BODY = 20_000
MAX_FILE = 60_000
PROBLEM = "application/problem+json"
# Client by client: its roles, and its places where it has some.
CLIENTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "centre-1": (("centre",), ()),
    "centre-2": (("centre",), ()),
    "kiosk-1": (("kiosk",), ()),
    "bank": (("payment",), ()),
    "reviewer": (("reviewer",), ()),
    "reviewer-there": (("reviewer",), ("حي الملز",)),
    "supervisor": (("supervisor",), ()),
    "inspector": (("inspector",), ()),
    "objections": (("objections",), ()),
    "finance": (("finance",), ()),
    "finance-2": (("finance",), ()),
    "privacy": (("privacy",), ()),
    "auditor": (("auditor",), ()),
    "administrator": (("administrator",), ()),
    "engineer": (("engineer",), ()),
}
CENTRE, OTHER, KIOSK, BANK, REVIEWER = "centre-1", "centre-2", "kiosk-1", "bank", "reviewer"


Vouched = dict[bytes, Callable[[], Caller]]
"""By the header `Authorization` of their requests, callers whose signatures were checked before."""


class Checked:
    """Hands over the callers of requests that somebody has vouched for.

    Args:
        vouched: filled by whoever vouches.
    """

    def __init__(self, app: ASGIApp, vouched: Vouched) -> None:
        self._app, self._vouched = app, vouched

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = dict(scope.get("headers", ())).get(b"authorization")
        caller = self._vouched.get(told) if told is not None else None
        await self._app(scope if caller is None else handed_over(scope, caller()), receive, send)


@dataclass
class Face:
    """The API and its clients.

    Args:
        anyone: speaks with the server, without a token.
        tokens: of each client of `CLIENTS`, and of those whom `vouch` named.
    """

    desk: Desk
    identity: Identity
    app: FastAPI
    anyone: httpx.Client
    tokens: dict[str, str]
    vouched: Vouched = field(default_factory=dict)

    def vouch(self, name: str, caller: Callable[[], Caller]) -> None:
        """Let requests of a name be taken for a caller's whose signatures were checked.

        Args:
            caller: with a proof of its own for each request.
        """
        self.tokens[name] = f"checked-{name}"
        self.vouched[f"Bearer {self.tokens[name]}".encode()] = caller

    def call(
        self, who: str | None, method: str, path: str, body: Any = None, **headers: str
    ) -> httpx.Response:
        """One request; its answer is held against the contract."""
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        response = self.anyone.request(
            method, path, headers={**self.bearer(who), **_dashed(headers)}, **content
        )
        promised(method, path, response)
        return response

    def bearer(self, who: str | None) -> dict[str, str]:
        """The header of a client."""
        return {} if who is None else {"Authorization": f"Bearer {self.tokens[who]}"}

    def get(self, who: str | None, path: str) -> Any:
        """What a read gives; it has to succeed."""
        response = self.call(who, "GET", path)
        assert response.status_code == 200, response.text
        return response.json()

    def write(
        self, who: str | None, path: str, body: Any = None, key: str = "", **headers: str
    ) -> httpx.Response:
        """One POST with a new key, or with the one given."""
        return self.call(who, "POST", path, body, **{"Idempotency_Key": key or str(uuid.uuid4()), **headers})

    def done(self, who: str, path: str, body: Any = None, **headers: str) -> Any:
        """What a write gives; it has to succeed."""
        response = self.write(who, path, body, **headers)
        assert response.status_code in (200, 201), response.text
        return response.json()

    def submit(self, form: Mapping[str, Any] = FORM, who: str = CENTRE, **parts: Any) -> str:
        """Open a case; its number."""
        return str(self.done(who, "/v1/cases", submission(form, **parts))["number"])

    def act(self, who: str, number: str, action: str, **body: Any) -> Any:
        """Take an action; the case then."""
        return self.done(who, f"/v1/cases/{number}/actions/{action}", body or None)

    def put(
        self, who: str, number: str, code: str, data: bytes = PNG, name: str = "scan.png", **headers: str
    ) -> httpx.Response:
        """Hand in a document."""
        path = f"/v1/cases/{number}/documents/{code}"
        sent = {"Content_Type": "application/octet-stream", "Idempotency_Key": str(uuid.uuid4()), **headers}
        url = str(httpx.URL(path, params={"name": name}))
        return self.call(who, "PUT", url, data, **sent)

    def complete(self, number: str) -> None:
        """Hand in all that a case needs."""
        for asked in self.get(CENTRE, f"/v1/cases/{number}")["documents"]:
            if asked["required"]:
                assert self.put(CENTRE, number, asked["code"]).status_code == 201

    def billed(self, number: str) -> dict[str, Any]:
        """Quote and bill a case; the bill."""
        self.done(CENTRE, f"/v1/cases/{number}/quote")
        bill: dict[str, Any] = self.done(CENTRE, f"/v1/cases/{number}/invoice")
        return bill

    def pay(self, bill: Mapping[str, Any], **changes: Any) -> Any:
        """Notify a payment; what became of it."""
        return self.done(BANK, "/v1/payments", notice(bill, **changes))

    def settled(self, number: str) -> str:
        """Quote, bill and pay a case; its licence."""
        self.pay(self.billed(number), reference=f"bank-{number}")
        return str(self.get(CENTRE, f"/v1/cases/{number}")["licence"])

    def issued(self, form: Mapping[str, Any] = FORM) -> tuple[str, str]:
        """A case and its licence."""
        number = self.submit(form)
        if form is REVIEWED:
            self.complete(number)
            self.act(REVIEWER, number, "approve")
        return number, self.settled(number)


def submission(
    form: Mapping[str, Any] = FORM, applicant: Mapping[str, Any] | None = APPLICANT, **parts: Any
) -> dict[str, Any]:
    """An application; further parts are `procedure`, `licence`, `parent`."""
    said = {} if applicant is None else {"applicant": dict(applicant)}
    return {"service": "shop_licence", **parts, **said, "form": dict(form)}


def notice(bill: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """A bank's notification of the payment of a bill."""
    told = {
        "bill_number": bill["bill_number"],
        "amount": bill["amount"],
        "paid_at": "2026-11-22T10:00:00+03:00",
        "reference": "bank-1",
    }
    return {**told, **changes}


def promised(method: str, path: str, response: httpx.Response) -> None:
    """Hold an answer against the contract: its status, headers, type and body."""
    plain = path.partition("?")[0]
    if response.status_code == 405 or _operation(method, plain) is None:
        assert response.headers["content-type"] == PROBLEM
        return
    answers = _answers(method, plain)
    assert str(response.status_code) in answers, f"{response.status_code} is not promised: {response.text}"
    answer = answers[str(response.status_code)]
    for name, header in answer.get("headers", {}).items():
        if header.get("required"):
            assert name in response.headers, name
    kind = response.headers.get("content-type", "").partition(";")[0]
    if not answer.get("content"):
        assert response.content == b""
        return
    assert kind in answer["content"], kind
    if kind.endswith("json"):
        faults = [*_validator(method, plain, str(response.status_code), kind).iter_errors(response.json())]
        assert faults == [], faults
    if kind == PROBLEM:
        assert response.json()["status"] == response.status_code


@contextmanager
def open_face(desk: Desk) -> Iterator[Face]:
    """The API of an office, on a port of its own."""
    folder = desk.settings.platform.folder
    secrets = SecretFile(folder / "secrets.json", folder / "secrets.key")
    roles = declared_roles(desk.licensing.services)
    identity = Identity(desk.database, secrets, 3_600, roles=roles)
    app = create_app("Rakeeza", max_body=MAX_BODY, max_file=MAX_FILE, one_by_one=True)
    app.include_router(token_router(identity))
    app.include_router(rest.router(desk.licensing, identity))
    app.include_router(verify.router(desk.licensing))
    contracts.describe(app)
    vouched: Vouched = {}
    app.add_middleware(Checked, vouched=vouched)
    tokens = {}
    for client, (of, places) in CLIENTS.items():
        with desk.database.transaction() as session:
            secret = identity.add_client(session, client, of, client, places=places)
        tokens[client] = identity.token(client, secret).token.reveal()
    with served(app) as url, httpx.Client(base_url=url, timeout=60) as anyone:
        yield Face(desk, identity, app, anyone, tokens, vouched)


def _dashed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@cache
def _operation(method: str, path: str) -> str | None:
    """The pattern of a path in the contract, if it has the method; one without a variable comes first."""
    steps = path.split("/")
    for pattern in sorted(contracts.licensing()["paths"], key=lambda each: each.count("{")):
        wanted = pattern.split("/")
        if len(wanted) == len(steps) and all(
            w.startswith("{") or w == s for w, s in zip(wanted, steps, strict=True)
        ):
            return pattern if method.lower() in contracts.licensing()["paths"][pattern] else None
    return None


def _answers(method: str, path: str) -> dict[str, Any]:
    pattern = _operation(method, path)
    assert pattern is not None
    return _resolved_answers(pattern, method.lower())


@cache
def _resolved_answers(pattern: str, method: str) -> dict[str, Any]:
    answers: dict[str, Any] = contracts.resolved(contracts.licensing()["paths"][pattern][method]["responses"])
    return answers


@cache
def _validator(method: str, path: str, status: str, kind: str) -> Draft202012Validator:
    schema = _answers(method, path)[status]["content"][kind]["schema"]
    return Draft202012Validator(json.loads(json.dumps(schema)), format_checker=FormatChecker())
