"""What anyone may ask without an account: a licence's status now, and the keys that verify one offline."""

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from integrations.contracts import promised
from integrations.entrypoints.rest.messages import Number
from integrations.licensing import Licensing


class JwkSet(Response):
    """A JWK Set (RFC 7517, section 8.5.2)."""

    media_type = "application/jwk-set+json"


def router(licensing: Licensing) -> APIRouter:
    """The public routes."""
    routes = APIRouter()

    @routes.get("/v1/verify/{number}", **promised("verify"))
    def verify(number: Number) -> JSONResponse:
        """Whether a licence is valid now; nothing of a person."""
        return JSONResponse(licensing.licences.verify(number))

    @routes.get("/.well-known/rakeeza-keys.json", response_class=Response, **promised("keys"))
    def keys() -> Response:
        """Public keys of the municipality."""
        return JwkSet(licensing.licences.public_keys().to_json())

    return routes
