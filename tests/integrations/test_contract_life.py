"""A life of cases and licences by REST: each of its messages goes through SOAP and back."""

import httpx

from integrations.contracts.binding import answer_json, request_text, to_xml
from integrations.contracts.names import Operation, operations
from tests.integrations.contract_messages import asked, said, valid
from tests.integrations.contract_values import same
from tests.integrations.desk import REVIEWED
from tests.integrations.face import BANK, CENTRE, OTHER, REVIEWER, Face, notice, submission

pytest_plugins = ["tests.integrations.face_fixtures"]


def operation_of(request: httpx.Request) -> Operation | None:
    """The operation that a request by REST calls, if SOAP has it."""
    steps = request.url.path.split("/")
    found = [
        each
        for each in operations()
        if each.method == request.method
        and len(each.path.split("/")) == len(steps)
        and all(w.startswith("{") or w == s for w, s in zip(each.path.split("/"), steps, strict=True))
    ]
    return min(found, key=lambda each: each.path.count("{"), default=None)


def as_asked(operation: Operation, request: httpx.Request) -> dict[str, str]:
    """The parameters of a request by REST, by element."""
    steps = zip(operation.path.split("/"), request.url.path.split("/"), strict=True)
    path = {template[1:-1]: step for template, step in steps if template.startswith("{")}
    sources = {"path": path, "query": dict(request.url.params), "header": dict(request.headers)}
    found = {}
    for each in operation.parameters:
        name = each.name.lower() if each.where == "header" else each.name
        if name in sources[each.where]:
            found[each.element] = sources[each.where][name]
    return found


def test_a_life_by_rest_is_the_same_by_soap(api: Face) -> None:
    kept: list[httpx.Response] = []

    def keep(response: httpx.Response) -> None:
        response.read()
        kept.append(response)

    api.anyone.event_hooks["response"].append(keep)
    number, licence = api.issued(REVIEWED)
    repeated = api.write(CENTRE, "/v1/cases", submission(), key="again")
    assert api.write(CENTRE, "/v1/cases", submission(), key="again").headers["Idempotency-Replayed"] == "true"
    for who, method, path in (
        (CENTRE, "GET", "/v1/services"),
        (CENTRE, "GET", "/v1/services/shop_licence"),
        (CENTRE, "GET", f"/v1/cases/{number}"),
        (CENTRE, "GET", "/v1/cases?limit=1&service=shop_licence"),
        (CENTRE, "GET", f"/v1/cases/{number}/documents"),
        (CENTRE, "GET", f"/v1/cases/{number}/documents/lease_or_deed"),
        (CENTRE, "GET", f"/v1/cases/{number}/calls"),
        (REVIEWER, "GET", "/v1/inbox?count=true"),
        (CENTRE, "GET", f"/v1/licences/{licence}"),
        (CENTRE, "GET", f"/v1/licences/{licence}/history"),
        ("finance", "GET", "/v1/ledger?from=2026-01-01&to=2027-01-01"),
        ("finance", "GET", "/v1/ledger/balance"),
        (None, "GET", f"/v1/verify/{licence}"),
        (None, "GET", "/v1/verify?code=RKZ1:nothing"),
        (OTHER, "GET", f"/v1/cases/{number}"),
        (None, "GET", f"/v1/cases/{number}"),
        (BANK, "GET", "/v1/refunds"),
    ):
        api.call(who, method, path)
    api.write(
        CENTRE, f"/v1/cases/{repeated.json()['number']}/comments", {"comment": "نقص\r\nاسم <الشارع> & رقمه"}
    )
    api.call(CENTRE, "GET", f"/v1/cases/{repeated.json()['number']}/comments")
    api.write(CENTRE, f"/v1/cases/{number}/actions/withdraw", {"comment": "x"}, If_Match='"1"')
    bulk = {"cases": [submission(), {"service": "none", "form": {}}]}
    assert {row["status"] for row in api.write(CENTRE, "/v1/bulk/cases", bulk).json()["rows"]} == {201, 404}
    api.write(CENTRE, "/v1/cases", {"service": "shop_licence", "form": {"years": 1.50}})
    api.write(BANK, "/v1/payments", notice({"bill_number": "1", "amount": "1.00"}))

    seen = set()
    for response in kept:
        operation = operation_of(response.request)
        assert operation is not None, response.request.url
        headers = {name.lower(): value for name, value in response.headers.items()}
        element = to_xml(operation, response.status_code, headers, response.content)
        valid(element)
        _, _, back = answer_json(element)
        if "json" in headers.get("content-type", ""):
            assert same(back or b"", response.content), response.text
        else:
            assert back == response.content
        body = response.request.content or None
        beside = as_asked(operation, response.request)
        again = asked(request_text(operation, beside, body))
        assert again.path == response.request.url.raw_path.decode().partition("?")[0]
        assert said(again) == beside
        assert again.body == body or same(again.body or b"", body or b"")
        seen.add((operation.id, response.status_code))
    assert {status for _, status in seen} >= {200, 201, 401, 403, 404, 412, 422}
    assert len({name for name, _ in seen}) >= 24
