"""Services and cases: what can be applied for, applications, and the actions that move them."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from foundation.errors import InvalidInput
from foundation.http import authenticated
from foundation.http_faults import refused
from foundation.identity import Caller, Identity
from integrations.contracts import promised
from integrations.entrypoints.rest.answers import handed_out, versioned
from integrations.entrypoints.rest.messages import (
    After,
    Channel,
    FileName,
    Key,
    Limit,
    Name,
    Number,
    OneLicence,
    OneName,
    OneVersion,
    Step,
    Submission,
    Submissions,
    Version,
)
from integrations.licensing import Licensing

_NOTHING = Step()
_FILES = frozenset({"", "application/octet-stream", "application/pdf", "image/jpeg", "image/png"})


def add(routes: APIRouter, licensing: Licensing, identity: Identity) -> None:
    """Add the routes."""
    anyone = Depends(authenticated(identity))

    @routes.get("/services", **promised("list_services"))
    def list_services(channel: Channel = None) -> JSONResponse:
        """Services of this municipality."""
        found = [
            service.summary()
            for service in licensing.services.items()
            # A test service is in no list that anybody chooses from; test centres are told its code.
            if not service.is_test
            and (channel is None or any(channel in each.channels for each in service.procedures.values()))
        ]
        return JSONResponse({"items": found})

    @routes.get("/services/{code}", **promised("get_service"))
    def get_service(code: Name) -> JSONResponse:
        """A service: titles, procedures, forms, documents, activities."""
        return JSONResponse(licensing.services.get(code).for_clients())

    @routes.post("/cases", **promised("submit"))
    def submit(body: Submission, caller: Caller = anyone, key: Key = None) -> JSONResponse:
        """Open a case."""
        return versioned(licensing.cases.submit(caller, body.message(), key))

    @routes.post("/bulk/cases", **promised("submit_many"))
    def submit_many(body: Submissions, caller: Caller = anyone, key: Key = None) -> JSONResponse:
        """Open several cases; each row succeeds or fails by itself."""
        return licensing.cases.submit_many(caller, [_row(each) for each in body.cases], key).response()

    @routes.get("/cases", **promised("list_cases"))
    def list_cases(
        caller: Caller = anyone,
        after: After = None,
        limit: Limit = 50,
        service: OneName = None,
        state: OneName = None,
        licence: OneLicence = None,
    ) -> JSONResponse:
        """The caller's cases, newest first, a page at a time."""
        page = licensing.cases.cases(
            caller, after=after, limit=limit, service=service, state=state, licence=licence
        )
        return JSONResponse(page)

    @routes.get("/cases/{number}", **promised("get_case"))
    def get_case(number: Number, caller: Caller = anyone) -> JSONResponse:
        """A case with its journal, quote, bill, licence, and what the caller may do."""
        case = licensing.cases.case(caller, number)
        return JSONResponse(case, headers={"ETag": f'"{case["version"]}"'})

    @routes.post("/cases/{number}/quote", **promised("quote"))
    def quote(
        number: Number, caller: Caller = anyone, key: Key = None, version: Version = None
    ) -> JSONResponse:
        """Reckon the fees of a case."""
        return versioned(licensing.cases.quote(caller, number, key, version))

    @routes.post("/cases/{number}/invoice", **promised("invoice"))
    def invoice(
        number: Number, caller: Caller = anyone, key: Key = None, version: Version = None
    ) -> JSONResponse:
        """Bill the quote of a case."""
        return versioned(licensing.cases.invoice(caller, number, key, version))

    @routes.post("/cases/{number}/actions/{action}", **promised("take_action"))
    def take_action(
        number: Number,
        action: Name,
        body: Annotated[Step, Body()] = _NOTHING,
        caller: Caller = anyone,
        key: Key = None,
        version: Version = None,
    ) -> JSONResponse:
        """Take an action that the case's state and the caller's roles allow."""
        answer = licensing.cases.take(
            caller, number, action, key, version, comment=body.comment, form=body.form
        )
        return versioned(answer)

    @routes.get("/cases/{number}/documents", **promised("list_documents"))
    def list_documents(number: Number, caller: Caller = anyone) -> JSONResponse:
        """The checklist of a case and what was handed in."""
        return JSONResponse({"items": licensing.files.list(caller, number)})

    @routes.put("/cases/{number}/documents/{code}", **promised("put_document"))
    async def put_document(
        request: Request,
        number: Number,
        code: Name,
        name: FileName,
        caller: Caller = anyone,
        key: Key = None,
        version: Version = None,
    ) -> JSONResponse:
        """Hand in a document; what it is is judged by its content."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _FILES:
            raise HTTPException(415, f"A document is not sent as {kind}; send application/octet-stream.")
        data = await request.body()
        answer = await run_in_threadpool(licensing.files.put, caller, number, code, name, data, key, version)
        return versioned(answer)

    @routes.get(
        "/cases/{number}/documents/{code}", response_class=Response, **promised("get_handed_document")
    )
    def get_handed_document(
        number: Number, code: Name, caller: Caller = anyone, version: OneVersion = None
    ) -> Response:
        """A document as it was handed in."""
        return handed_out(*licensing.files.get(caller, number, code, version), code)


def _row(sent: dict[str, Any]) -> dict[str, Any] | InvalidInput:
    # Wrong rows keep their place, for the key of a row is its number.
    try:
        return Submission.model_validate(sent).message()
    except ValidationError as error:
        return refused([{**item, "loc": ("body", *item["loc"])} for item in error.errors()])
