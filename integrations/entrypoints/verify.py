"""What anyone may ask without an account: how a licence stands, and the keys and lists to tell it offline."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.responses import JSONResponse

from foundation.wire.status_list import MEDIA_TYPE
from integrations.contracts import promised
from integrations.entrypoints.rest.messages import Number
from integrations.licences.status_lists import Published
from integrations.licensing import Licensing

_ANYWHERE = {"Access-Control-Allow-Origin": "*"}


class StatusListToken(Response):
    """A status list (draft-ietf-oauth-status-list, section 14.7)."""

    media_type = MEDIA_TYPE


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

    @routes.get("/v1/verify", **promised("verify_code"))
    def verify_code(code: Annotated[str, Query(max_length=4296)]) -> JSONResponse:
        """What the text of a licence's QR code is worth now."""
        return JSONResponse(licensing.licences.verdict(code), headers={"Cache-Control": "no-store"})

    @routes.get("/v1/status-lists/{number}", response_class=Response, **promised("status_list"))
    def status_list(
        number: Annotated[int, Path(ge=0, le=2047)],
        if_none_match: Annotated[str | None, Header(include_in_schema=False)] = None,
    ) -> Response:
        """How the credentials of one list stand, signed."""
        found = licensing.licences.status_list(number)
        # Its moment too: a database restored from a backup counts the versions again.
        tag = f'"{number}-{found.version}-{int(found.made_at.timestamp())}"'
        headers = {"ETag": tag, "Cache-Control": _kept(found, licensing.licences.desk.clock()), **_ANYWHERE}
        if if_none_match is not None and tag in _tags(if_none_match):
            return Response(status_code=304, headers=headers)
        return StatusListToken(found.token, headers=headers)

    @routes.get("/.well-known/rakeeza-status.json", **promised("status_lists"))
    def status_lists() -> JSONResponse:
        """The status lists that there are."""
        return JSONResponse(
            licensing.licences.status_lists(), headers={"Cache-Control": "no-cache", **_ANYWHERE}
        )

    @routes.get("/.well-known/rakeeza-keys.json", response_class=Response, **promised("keys"))
    def keys() -> Response:
        """Public keys of the municipality."""
        return JwkSet(licensing.licences.public_keys().to_json(), headers=_ANYWHERE)

    @routes.get("/.well-known/rakeeza-certificates.json", response_class=Response, **promised("certificates"))
    def certificates() -> Response:
        """Certificates that the municipality's papers are or were signed with."""
        text = licensing.licences.certificates().to_json()
        return Response(text, media_type="application/json", headers=_ANYWHERE)

    return routes


def _tags(if_none_match: str) -> set[str]:
    # Compared weakly: what packs an answer on its way marks its tag so (RFC 9110, section 13.1.2).
    return {each.strip().removeprefix("W/") for each in if_none_match.split(",")}


def _kept(found: Published, now: datetime) -> str:
    # Until it is as old as a verifier may let it become; ours is renewed at half of that.
    left = found.made_at + found.ttl - now
    return f"public, max-age={max(0, int(left.total_seconds()))}"
