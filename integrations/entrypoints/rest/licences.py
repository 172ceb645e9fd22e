"""Licences: the register, their history and their papers."""

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from foundation.errors import problem
from foundation.http import PROBLEM, authenticated
from foundation.identity import Caller, Identity, Role
from integrations.contracts import promised
from integrations.entrypoints.rest.messages import Number, OneVersion
from integrations.licences.papers import NotReady
from integrations.licensing import Licensing

_RETRY_AFTER = 1
_SCAN = (Role.CENTRE, Role.KIOSK, Role.INSPECTOR, Role.REVIEWER, Role.AUDITOR)


def add(routes: APIRouter, licensing: Licensing, identity: Identity) -> None:
    """Add the routes."""
    anyone = Depends(authenticated(identity))
    scanner = Depends(authenticated(identity, *_SCAN))

    @routes.get("/licences/{number}", **promised("get_licence"))
    def get_licence(number: Number, caller: Caller = scanner) -> JSONResponse:
        """The public part of a licence's paper."""
        return JSONResponse(licensing.licences.licence(number, caller))

    @routes.get("/licences/{number}/history", **promised("get_history"))
    def get_history(number: Number, caller: Caller = anyone) -> JSONResponse:
        """What became of a licence, version by version, and the licences that hang on it."""
        return JSONResponse(licensing.licences.history(caller, number))

    @routes.get("/licences/{number}/document.pdf", response_class=Response, **promised("get_document"))
    def get_document(number: Number, caller: Caller = anyone, version: OneVersion = None) -> Response:
        """The paper of a licence."""
        try:
            pdf = licensing.licences.document(caller, number, version)
        except NotReady as error:
            return JSONResponse(
                problem(error), 404, media_type=PROBLEM, headers={"Retry-After": str(_RETRY_AFTER)}
            )
        named = {"Content-Disposition": f'inline; filename="{number}.pdf"'}
        return Response(pdf, media_type="application/pdf", headers=named)
