"""What anyone may ask without an account: a licence's status now, and the keys that verify one offline."""

from typing import Annotated

from fastapi import APIRouter, Path, Response
from fastapi.responses import JSONResponse

from integrations.licensing import Licensing


def router(licensing: Licensing) -> APIRouter:
    """The public routes."""
    routes = APIRouter()

    @routes.get("/v1/verify/{number}")
    def verify(number: Annotated[str, Path(description="Such as SL-2026-000001.")]) -> JSONResponse:
        """Whether a licence is valid now; nothing of a person."""
        return JSONResponse(licensing.verify(number))

    @routes.get("/.well-known/rakeeza-keys.json")
    def keys() -> Response:
        """Public keys of the municipality: a JWK Set (RFC 7517)."""
        return Response(licensing.public_keys().to_json(), media_type="application/jwk-set+json")

    return routes
