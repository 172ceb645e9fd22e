"""Licensing by REST: a message in, one call of a desk, its answer out. The contract is
`integrations/contracts/licensing.openapi.yaml`."""

from fastapi import APIRouter

from foundation.identity import Identity
from integrations.entrypoints.rest import cases, centres, inbox, licences, money, outside, people
from integrations.licensing import Licensing


def router(licensing: Licensing, identity: Identity) -> APIRouter:
    """The routes of service centres, banks, officers and kiosks."""
    routes = APIRouter(prefix="/v1")
    # Into one router: of routers within routers, each is asked at every request.
    for part in (cases, inbox, money, licences, people, outside, centres):
        part.add(routes, licensing, identity)
    return routes
