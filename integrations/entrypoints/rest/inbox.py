"""The officer's day: inbox, assignment, comments."""

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from foundation.http import authenticated
from foundation.identity import Caller, Identity
from integrations.contracts import promised
from integrations.entrypoints.rest.answers import versioned
from integrations.entrypoints.rest.messages import (
    After,
    Assignment,
    Comment,
    Flag,
    Key,
    Limit,
    Number,
    OneName,
    OnePlace,
    Version,
    Whose,
)
from integrations.licensing import Licensing


def add(routes: APIRouter, licensing: Licensing, identity: Identity) -> None:
    """Add the routes."""
    anyone = Depends(authenticated(identity))

    @routes.get("/inbox", **promised("inbox"))
    def inbox(
        caller: Caller = anyone,
        after: After = None,
        limit: Limit = 50,
        service: OneName = None,
        place: OnePlace = None,
        whose: Whose = "all",
        count: Flag = False,
    ) -> JSONResponse:
        """What waits for the caller, the most urgent first."""
        page = licensing.inbox.page(
            caller,
            after=after,
            limit=limit,
            service=service,
            place=place,
            mine=whose == "mine",
            unassigned=whose == "unassigned",
            count=count,
        )
        return JSONResponse(page)

    @routes.post("/cases/{number}/assignment", **promised("assign"))
    def assign(
        number: Number, body: Assignment, caller: Caller = anyone, key: Key = None, version: Version = None
    ) -> JSONResponse:
        """Say who works on a case."""
        return versioned(licensing.inbox.assign(caller, number, body.to, key, version))

    @routes.post("/cases/{number}/comments", **promised("comment"))
    def comment(number: Number, body: Comment, caller: Caller = anyone, key: Key = None) -> JSONResponse:
        """Say something of a case."""
        return licensing.inbox.comment(caller, number, body.comment, key).response()

    @routes.get("/cases/{number}/comments", **promised("list_comments"))
    def list_comments(number: Number, caller: Caller = anyone) -> JSONResponse:
        """What was said of a case."""
        return JSONResponse({"items": licensing.inbox.comments(caller, number)})
