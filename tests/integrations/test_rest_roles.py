"""Who may do what: every operation of the contract with every client, none with more than its roles give."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from integrations import contracts
from tests.integrations.desk import APPLICANT, PNG
from tests.integrations.face import CLIENTS, PROBLEM, Face, notice, submission

pytest_plugins = ["tests.integrations.face_fixtures"]

EVERYBODY = frozenset(CLIENTS)
CENTRES = frozenset({"centre-1", "centre-2"})
BOOKS = frozenset({"finance", "finance-2", "auditor"})
FINANCE = frozenset({"finance", "finance-2"})
REVIEWERS = frozenset({"reviewer", "reviewer-there"})
PERSON = {name: APPLICANT[name] for name in ("kind", "identifier", "name")}
SUBJECT = {name: APPLICANT[name] for name in ("kind", "identifier")}

# Who is let in where the role decides. Everywhere else the record does: whoever it does not concern is told
# that there is none (404), and no list shows it to him.
LET_IN: dict[str, frozenset[str]] = {
    "submit": CENTRES | {"kiosk-1"},
    "payment": frozenset({"bank"}),
    "list_waiting_payments": BOOKS,
    "assign_payment": FINANCE,
    "return_payment": FINANCE,
    "get_bill": BOOKS | CENTRES | {"bank"},
    "list_refunds": BOOKS,
    "approve_refund": FINANCE,
    "send_refund": FINANCE,
    "confirm_refund": FINANCE,
    "fail_refund": FINANCE,
    "get_ledger": BOOKS,
    "get_balance": BOOKS,
    "reconcile": BOOKS,
    "get_licence": CENTRES | REVIEWERS | {"kiosk-1", "inspector", "auditor"},
    "delegate": CENTRES,
    "search_delegations": CENTRES | {"privacy"},
    "end_delegation": CENTRES | {"privacy"},
    "get_centre": CENTRES,
    "get_centre_report": CENTRES,
    "list_shifts": CENTRES,
    # Whose contract it is: a counter of the municipality has none.
    "open_shift": frozenset(),
    "move_shift": frozenset(),
    "close_shift": frozenset(),
    "copy_subject": frozenset({"privacy"}),
    "erase": frozenset({"privacy"}),
    "subscribe": CENTRES,
    "list_webhooks": CENTRES,
    "unsubscribe": CENTRES,
    "replay_webhook": CENTRES,
    "pause_webhook": CENTRES,
    "resume_webhook": CENTRES,
    "rotate_webhook_secret": CENTRES,
    "list_parked_calls": REVIEWERS | {"administrator", "auditor"},
    "retry_call": REVIEWERS | {"administrator"},
}
# Beside the auditor, who sees what happened in his places; a centre its own alone.
SEES_A_NEW_CASE = frozenset({"centre-1", "auditor", "reviewer", "supervisor"})
OF_A_CASE = (
    "get_case",
    "list_documents",
    "list_comments",
    "list_calls",
)
BODIES: dict[str, Any] = {
    "submit": submission(),
    "submit_many": {"cases": [submission()]},
    "assign": {"to": None},
    "comment": {"comment": "x"},
    "erase": {"reason": "x"},
    "payment": notice({"bill_number": "2600000000019", "amount": "1.00"}),
    "assign_payment": {"reference": "bank-1", "bill_number": "2600000000019"},
    "return_payment": {"reference": "bank-1"},
    "send_refund": {"reference": "out-1"},
    "fail_refund": {"reason": "x"},
    "reconcile": {"day": "2026-11-22", "bank": "reference,amount,day\n", "ledger": "x"},
    "delegate": {
        "principal": PERSON,
        "agent": {"kind": "national_id", "identifier": "1001244019", "name": "عبدالله بن سعد"},
        "capacity": "manager",
    },
    "search_delegations": SUBJECT,
    "open_shift": {"float": "0"},
    "move_shift": {"direction": "in", "amount": "1.00", "reason": "x"},
    "close_shift": {"counted": "0"},
    "copy_subject": SUBJECT,
    "subscribe": {"url": "http://127.0.0.1:9/"},
    "replay_webhook": {"since": "2026-01-01T00:00:00Z"},
    "put_document": PNG,
}
QUERIES = {
    "get_ledger": "?from=2026-11-22&to=2026-11-22",
    "get_centre_report": "?from=2026-11-22&to=2026-11-22",
    "put_document": "?name=scan.png",
}
FILLED = {
    "{code}": "lease_or_deed",
    "{number}": "SC-2026-000009",
    "{action}": "withdraw",
    "{bill_number}": "2600000000019",
    "{refund}": "999",
    "{delegation}": "999",
    "{webhook}": "999",
    "{call}": "999",
    "{shift}": "999",
}


def _operations() -> Iterator[tuple[str, str, str, bool]]:
    for path, methods in contracts.licensing()["paths"].items():
        for method, operation in methods.items():
            yield operation["operationId"], method.upper(), path, bool(operation.get("security"))


SECURED = [(name, method, path) for name, method, path, secured in _operations() if secured]


def _asked(api: Face, who: str | None, name: str, method: str, path: str, **filled: str) -> Any:
    for variable, value in {**FILLED, **{f"{{{key}}}": value for key, value in filled.items()}}.items():
        path = path.replace(variable, value)
    headers = {"Idempotency_Key": str(uuid.uuid4())} if method != "GET" else {}
    if name == "put_document":
        headers["Content_Type"] = "image/png"
    return api.call(who, method, path + QUERIES.get(name, ""), BODIES.get(name), **headers)


def test_every_secured_operation_is_known_here() -> None:
    assert set(LET_IN) | set(OF_A_CASE) <= {name for name, _, _ in SECURED}
    assert all(clients <= EVERYBODY for clients in LET_IN.values())


def test_without_a_good_token_nothing_answers(api: Face) -> None:
    api.tokens["stranger"] = api.tokens["centre-1"][:-2] + "xx"
    for name, method, path in SECURED:
        for who in (None, "stranger"):
            response = _asked(api, who, name, method, path)
            assert response.status_code == 401, name
            assert response.headers["content-type"] == PROBLEM
            assert response.headers["www-authenticate"].startswith('Bearer realm="rakeeza"')
    assert api.desk.count("case_file") == 0


@pytest.mark.parametrize("name", sorted(LET_IN))
def test_an_operation_lets_in_its_roles_and_nobody_else(api: Face, name: str) -> None:
    (method, path) = next((method, path) for each, method, path in SECURED if each == name)
    for who in CLIENTS:
        status = _asked(api, who, name, method, path).status_code
        assert (status != 403) is (who in LET_IN[name]), f"{who}: {status}"


@pytest.mark.parametrize("name", OF_A_CASE)
def test_a_case_is_shown_to_whom_it_concerns_and_does_not_exist_for_others(api: Face, name: str) -> None:
    number = api.submit()
    (method, path) = next((method, path) for each, method, path in SECURED if each == name)
    for who in CLIENTS:
        status = _asked(api, who, name, method, path, number=number).status_code
        assert status == (200 if who in SEES_A_NEW_CASE else 404), who


def test_lists_show_nobody_what_does_not_concern_him(api: Face) -> None:
    number = api.submit()
    for who in CLIENTS:
        shown = [case["number"] for case in api.get(who, "/v1/cases")["items"]]
        assert (number in shown) is (who in SEES_A_NEW_CASE), who
    rows = api.done("finance", "/v1/bulk/cases", BODIES["submit_many"])["rows"]
    assert [row["status"] for row in rows] == [403]


def test_a_client_that_was_disabled_is_shut_out_with_its_token(api: Face) -> None:
    api.identity._cache_s = 0.0
    with api.desk.database.transaction() as session:
        api.identity.enable_client(session, "centre-2", False)
    assert api.call("centre-2", "GET", "/v1/cases").status_code == 401
    assert api.call("centre-1", "GET", "/v1/cases").status_code == 200
