"""Licensing by REST: a message in, one call of `Licensing`, its answer out. The contract is
`integrations/contracts/licensing.openapi.yaml`."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from foundation.errors import Malformed, problem
from foundation.http import PROBLEM, authenticated
from foundation.idempotency import HEADER
from foundation.identity import Caller, Identity, Role
from integrations.cases.invoices import Notice
from integrations.cases.money import PATTERN, read_amount
from integrations.contracts import promised
from integrations.licensing import LARGEST_PAGE, Licensing, NotReady

_RETRY_AFTER = 1

_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def _written(value: Any) -> Any:
    # A number would be read as seconds since 1970: of what clock, nobody said.
    if not isinstance(value, str):
        raise ValueError("a time is text such as 2026-11-22T10:00:00Z")
    return value


def _sensible(value: datetime) -> datetime:
    if not _EARLIEST <= value < _LATEST:
        raise ValueError("a time lies between the years 2000 and 2100")
    return value.astimezone(UTC)


Moment = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_sensible)]


class Submission(BaseModel):
    """An application."""

    model_config = ConfigDict(extra="forbid")

    service: str = Field(max_length=63, description="Code of the service.")
    applicant: dict[str, Any] = Field(description="kind, identifier, name, mobile.")
    form: dict[str, Any] = Field(description="As the service's JSON Schema has it.")


class PaymentNotice(BaseModel):
    """A bank's notification of one payment."""

    model_config = ConfigDict(extra="forbid")

    bill_number: str = Field(pattern=r"^[0-9]{1,32}$")
    amount: Any = Field(
        description="SAR with halalas, as text.", json_schema_extra={"type": "string", "pattern": PATTERN}
    )
    paid_at: Moment
    reference: str = Field(pattern=r"^[A-Za-z0-9._/-]{1,64}$", description="The bank's own; one a payment.")


Number = Annotated[str, Path(description="Such as SC-2026-000001.")]


def _key(request: Request) -> str | None:
    # Read past the framework: `once` tells a missing key as every other fault of a key, with status 400.
    return request.headers.get(HEADER)


def _version(request: Request) -> int | None:
    if_match = request.headers.get("If-Match", "*")
    if if_match == "*":
        return None
    found = re.fullmatch(r'"([0-9]{1,9})"', if_match)
    if found is None:
        raise Malformed("If-Match is no version of a case.", remedy="Send the ETag of the case as it came.")
    return int(found[1])


Key = Annotated[str | None, Depends(_key)]
Version = Annotated[int | None, Depends(_version)]


def router(licensing: Licensing, identity: Identity) -> APIRouter:
    """The routes of service centres, banks, reviewers and kiosks."""
    routes = APIRouter(prefix="/v1")
    centre = Depends(authenticated(identity, Role.CENTRE))
    bank = Depends(authenticated(identity, Role.PAYMENT))
    reviewer = Depends(authenticated(identity, Role.REVIEWER))
    reader = Depends(authenticated(identity, Role.CENTRE, Role.REVIEWER, Role.AUDITOR))
    scanner = Depends(authenticated(identity, Role.CENTRE, Role.KIOSK))

    @routes.get("/services", **promised("list_services"))
    def list_services() -> JSONResponse:
        """Services of this municipality."""
        return JSONResponse({"items": [s.summary() for s in licensing.services.items()]})

    @routes.get("/services/{code}", **promised("get_service"))
    def get_service(code: str) -> JSONResponse:
        """A service: titles, form, activities."""
        return JSONResponse(licensing.services.get(code).for_clients())

    @routes.post("/cases", status_code=201, **promised("submit"))
    def submit(body: Submission, caller: Caller = centre, key: Key = None) -> JSONResponse:
        """Open a case."""
        return licensing.submit(caller, body.service, body.applicant, body.form, key).response()

    @routes.get("/cases", **promised("list_cases"))
    def list_cases(
        caller: Caller = reader,
        after: Annotated[str | SkipJsonSchema[None], Query()] = None,
        limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 50,
    ) -> JSONResponse:
        """The caller's cases, newest first, a page at a time."""
        return JSONResponse(licensing.cases(caller, after, limit))

    @routes.get("/cases/{number}", **promised("get_case"))
    def get_case(number: Number, caller: Caller = reader) -> JSONResponse:
        """A case with its journal, quote, bill and licence number."""
        case = licensing.case(caller, number)
        return JSONResponse(case, headers={"ETag": f'"{case["version"]}"'})

    @routes.post("/cases/{number}/quote", status_code=201, **promised("quote"))
    def quote(
        number: Number, caller: Caller = centre, key: Key = None, version: Version = None
    ) -> JSONResponse:
        """Reckon the fees of a case."""
        return licensing.quote(caller, number, key, version).response()

    @routes.post("/cases/{number}/invoice", status_code=201, **promised("invoice"))
    def invoice(
        number: Number, caller: Caller = centre, key: Key = None, version: Version = None
    ) -> JSONResponse:
        """Bill the quote of a case."""
        return licensing.invoice(caller, number, key, version).response()

    @routes.post("/cases/{number}/decisions/{action}", status_code=201, **promised("decide"))
    def decide(
        number: Number, action: str, caller: Caller = reviewer, key: Key = None, version: Version = None
    ) -> JSONResponse:
        """Take an action of a reviewer, such as approve or reject."""
        return licensing.decide(caller, number, action, key, version).response()

    @routes.post("/payments", status_code=201, **promised("payment"))
    def payment(body: PaymentNotice, caller: Caller = bank, key: Key = None) -> JSONResponse:
        """Keep a notification of a payment; one of exactly the bill's amount settles it."""
        amount = read_amount(body.amount, "/amount")
        notice = Notice(body.bill_number, amount, body.paid_at, body.reference)
        return licensing.payment_notified(caller, notice, key).response()

    @routes.get("/licences/{number}", dependencies=[scanner], **promised("get_licence"))
    def get_licence(number: Number) -> JSONResponse:
        """The public part of a licence's paper."""
        return JSONResponse(licensing.licence(number))

    @routes.get("/licences/{number}/document.pdf", response_class=Response, **promised("get_document"))
    def get_document(number: Number, caller: Caller = centre) -> Response:
        """The paper of a licence."""
        try:
            pdf = licensing.document(caller, number)
        except NotReady as error:
            return JSONResponse(
                problem(error), 404, media_type=PROBLEM, headers={"Retry-After": str(_RETRY_AFTER)}
            )
        named = {"Content-Disposition": f'inline; filename="{number}.pdf"'}
        return Response(pdf, media_type="application/pdf", headers=named)

    return routes
