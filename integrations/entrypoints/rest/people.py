"""People: who may act for whom, a subject's own copy, erasure."""

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from foundation.http import authenticated
from foundation.identity import Caller, Identity, Role
from integrations.contracts import promised
from integrations.entrypoints.rest.answers import versioned
from integrations.entrypoints.rest.messages import (
    DelegationOrder,
    Id,
    Key,
    Number,
    Reason,
    Subject,
    Version,
)
from integrations.licensing import Licensing


def add(routes: APIRouter, licensing: Licensing, identity: Identity) -> None:
    """Add the routes."""
    centre = Depends(authenticated(identity, Role.CENTRE))
    keeper = Depends(authenticated(identity, Role.CENTRE, Role.PRIVACY))
    privacy = Depends(authenticated(identity, Role.PRIVACY))

    @routes.post("/delegations", **promised("delegate"))
    def delegate(body: DelegationOrder, caller: Caller = centre, key: Key = None) -> JSONResponse:
        """Let a manager or an agent act for an owner."""
        return licensing.people.delegate(
            caller, body.model_dump(mode="json", exclude_unset=True), key
        ).response()

    @routes.post("/delegations/search", **promised("search_delegations"))
    def search_delegations(body: Subject, caller: Caller = keeper) -> JSONResponse:
        """Delegations given by or to a person."""
        return JSONResponse({"items": licensing.people.delegations(caller, body.kind, body.identifier)})

    @routes.post("/delegations/{delegation}/end", **promised("end_delegation"))
    def end_delegation(delegation: Id, caller: Caller = keeper, key: Key = None) -> JSONResponse:
        """End a delegation at once."""
        return licensing.people.end_delegation(caller, delegation, key).response()

    @routes.post("/subjects/copy", **promised("copy_subject"))
    def copy_subject(body: Subject, caller: Caller = privacy) -> JSONResponse:
        """Everything that is held about a person, for that person."""
        return JSONResponse(licensing.people.copy(caller, body.kind, body.identifier))

    @routes.post("/cases/{number}/erasure", **promised("erase"))
    def erase(
        number: Number, body: Reason, caller: Caller = privacy, key: Key = None, version: Version = None
    ) -> JSONResponse:
        """Erase the personal data of a closed case; its chain stays verifiable."""
        return versioned(licensing.people.erase(caller, number, body.reason, key, version))
