"""A centre's own affairs: its contract, its report, its clerks' shifts."""

from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse

from foundation.http import authenticated
from foundation.identity import Caller, Identity, Role
from integrations.cases.money import half_up, read_amount
from integrations.contracts import promised
from integrations.entrypoints.rest.messages import After, Day, Flag, Id, Key, Limit
from integrations.entrypoints.rest.shift_messages import ShiftCount, ShiftMovement, ShiftOpening
from integrations.licensing import Licensing


def add(routes: APIRouter, licensing: Licensing, identity: Identity) -> None:
    """Add the routes."""
    centre = Depends(authenticated(identity, Role.CENTRE))

    @routes.get("/centre", **promised("get_centre"))
    def get_centre(caller: Caller = centre) -> JSONResponse:
        """The caller's own centre."""
        return JSONResponse(licensing.centres.own(caller))

    @routes.get("/centre/report", **promised("get_centre_report"))
    def get_centre_report(
        since: Annotated[Day, Query(alias="from")],
        until: Annotated[Day, Query(alias="to")],
        caller: Caller = centre,
    ) -> JSONResponse:
        """What the caller's centre did in a period."""
        return JSONResponse(licensing.centres.report(caller, since, until))

    @routes.get("/centre/shifts", **promised("list_shifts"))
    def list_shifts(
        caller: Caller = centre,
        after: After = None,
        limit: Limit = 50,
        only_open: Annotated[Flag, Query(alias="open")] = False,
    ) -> JSONResponse:
        """Shifts of the caller's centre, newest first, a page at a time."""
        return JSONResponse(licensing.shifts.page(caller, after, limit, only_open))

    @routes.post("/centre/shifts", **promised("open_shift"))
    def open_shift(body: ShiftOpening, caller: Caller = centre, key: Key = None) -> JSONResponse:
        """Open the clerk's shift at the device that he signs for."""
        return licensing.shifts.open(caller, body.amount(), key).response()

    @routes.post("/centre/shifts/{shift}/movements", **promised("move_shift"))
    def move_shift(shift: Id, body: ShiftMovement, caller: Caller = centre, key: Key = None) -> JSONResponse:
        """Put money into the drawer of the clerk's shift, or take it out."""
        amount = read_amount(body.amount, "/amount")
        return licensing.shifts.move(caller, shift, body.direction, amount, body.reason, key).response()

    @routes.post("/centre/shifts/{shift}/close", **promised("close_shift"))
    def close_shift(shift: Id, body: ShiftCount, caller: Caller = centre, key: Key = None) -> JSONResponse:
        """Close the clerk's shift with what he counted."""
        counted = half_up(Decimal(body.counted))
        return licensing.shifts.close(caller, shift, counted, body.note, key).response()
