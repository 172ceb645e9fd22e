"""The token endpoint: client credentials against a short-lived bearer token.

A client proves who it is by its secret, by its TLS certificate, or by an assertion under the key of that
certificate; in the latter two ways the token is bound to what it was asked for with.

Source: RFC 6749, sections 4.4 (client credentials), 2.3.1 (how they travel) and 5.2 (errors); RFC 8705,
section 2.1 (tls_client_auth); RFC 7523, section 2.2 (private_key_jwt).
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from foundation.client_assertion import ALGORITHMS, ASSERTION_TYPE
from foundation.errors import NotAuthenticated, PermissionDenied
from foundation.http import PROBLEMS, REALM, TOKEN_PATH
from foundation.identity import Identity
from foundation.secret import Secret
from foundation.tokens import AccessToken

_FORM, _JSON = "application/x-www-form-urlencoded", "application/json"
METADATA_PATH = "/.well-known/oauth-authorization-server"
_TOKEN_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in", "scope"],
    "properties": {
        "access_token": {"type": "string", "minLength": 1},
        "token_type": {"const": "Bearer"},
        "expires_in": {"type": "integer", "minimum": 1},
        "scope": {"type": "string"},
    },
    "additionalProperties": False,
}
_OAUTH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {
        "error": {"type": "string"},
        "error_description": {"type": "string"},
        "error_description_ar": {"type": "string"},
    },
    "additionalProperties": False,
}


def token_router(
    identity: Identity, endpoints: Sequence[str] = (), *, by_certificate: bool = False
) -> APIRouter:
    """The token endpoint: client credentials, by HTTP Basic or in the form, by certificate or by assertion.

    Args:
        identity: knows clients.
        endpoints: URLs under which clients reach the endpoint; an assertion has to be for one of them. They
            are never taken from a request: who stole an assertion would send it with the host that suits it.
        by_certificate: clients can show certificates there; said to those that configure themselves.

    Source: RFC 6749, sections 4.4, 2.3.1 and 5.2; RFC 8705, section 2.1; RFC 7523, section 2.2.
    """
    router = APIRouter(responses=PROBLEMS)
    form = {
        "type": "object",
        "required": ["grant_type"],
        "properties": {
            "grant_type": {"type": "string", "const": "client_credentials"},
            "client_id": {"type": "string"},
            "client_secret": {"type": "string", "format": "password"},
            "client_assertion_type": {"type": "string", "const": ASSERTION_TYPE},
            "client_assertion": {"type": "string"},
        },
    }
    described = {"requestBody": {"content": {_FORM: {"schema": form}}, "required": True}}
    answers: dict[int | str, dict[str, Any]] = {
        200: {"description": "The token.", "content": {_JSON: {"schema": _TOKEN_SCHEMA}}},
        400: {"description": "No client credentials grant.", "content": {_JSON: {"schema": _OAUTH_SCHEMA}}},
        401: {"description": "They do not hold.", "content": {_JSON: {"schema": _OAUTH_SCHEMA}}},
    }

    @router.post(TOKEN_PATH, openapi_extra=described, responses=answers, response_class=Response)
    async def token(request: Request) -> Response:
        """A short-lived access token for an API client."""
        try:
            form = _form(request.headers.get("content-type", ""), await request.body())
            tls = request.scope.get("extensions", {}).get("tls", {})
            asked = _asked(
                identity,
                form,
                request.headers.get("authorization"),
                tls.get("client_certificate"),
                endpoints,
            )
            made = await run_in_threadpool(asked)
        except _OAuthError as error:
            return error.response()
        except NotAuthenticated as error:
            return _OAuthError("invalid_client", error.message, 401, error.message_ar).response()
        except PermissionDenied as error:
            return _OAuthError("unauthorized_client", error.message, 400, error.message_ar).response()
        body = {
            "access_token": made.token.reveal(),
            "token_type": "Bearer",
            "expires_in": made.expires_in,
            "scope": " ".join(made.roles),
        }
        return JSONResponse(body, headers={"Pragma": "no-cache"})

    @router.get(METADATA_PATH)
    def metadata() -> dict[str, Any]:
        """What the token endpoint takes, for clients that configure themselves."""
        return _metadata(endpoints, by_certificate)

    return router


def _metadata(endpoints: Sequence[str], by_certificate: bool) -> dict[str, Any]:
    """Source: RFC 8414, section 2; RFC 8705, section 3.3."""
    place = endpoints[0] if endpoints else TOKEN_PATH
    methods = ["client_secret_basic", "client_secret_post"]
    methods += ["tls_client_auth"] if by_certificate else []
    methods += ["private_key_jwt"] if endpoints else []
    return {
        "issuer": place.removesuffix(TOKEN_PATH) or "/",
        "token_endpoint": place,
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "tls_client_certificate_bound_access_tokens": by_certificate,
    }


class _OAuthError(Exception):
    def __init__(self, code: str, description: str, status: int = 400, arabic: str = "") -> None:
        super().__init__(description)
        self._body = {"error": code, "error_description": description}
        if arabic:
            self._body["error_description_ar"] = arabic
        self._status = status

    def response(self) -> JSONResponse:
        headers = {"Pragma": "no-cache"}
        if self._status == 401:
            headers["WWW-Authenticate"] = f"Basic {REALM}"
        return JSONResponse(self._body, self._status, headers=headers)


def _form(kind: str, body: bytes) -> dict[str, str]:
    if kind.partition(";")[0].strip().lower() != _FORM:
        raise _OAuthError("invalid_request", f"The body must be {_FORM}.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except ValueError as error:
        raise _OAuthError("invalid_request", "The body is no form.") from error
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _OAuthError("invalid_request", "A field stands twice.")
    if form.get("grant_type") != "client_credentials":
        code = "unsupported_grant_type" if form.get("grant_type") else "invalid_request"
        raise _OAuthError(code, "grant_type must be client_credentials.")
    return form


def _asked(
    identity: Identity,
    form: dict[str, str],
    authorization: str | None,
    certificate: bytes | None,
    endpoints: Sequence[str],
) -> Callable[[], AccessToken]:
    # In which of the ways the client proves who it is: one, and no more (RFC 6749, section 2.3).
    ways = [authorization is not None, "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise _OAuthError("invalid_request", "Credentials are sent in more than one way.")
    client_id = form.get("client_id") or None
    if authorization is not None:
        return partial(identity.token, *_basic(authorization))
    if "client_assertion" in form:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise _OAuthError("invalid_request", f"client_assertion_type must be {ASSERTION_TYPE}.")
        return partial(identity.token_by_assertion, form["client_assertion"], endpoints, client_id)
    if client_id and form.get("client_secret"):
        return partial(identity.token, client_id, Secret(form["client_secret"]))
    if client_id and certificate is not None and "client_secret" not in form:
        return partial(identity.token_by_certificate, client_id, certificate)
    raise _OAuthError(
        "invalid_client",
        "client_id and client_secret, a client certificate or an assertion are missing.",
        401,
    )


def _basic(authorization: str) -> tuple[str, Secret]:
    scheme, _, value = authorization.partition(" ")
    try:
        decoded = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    client_id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon:
        raise _OAuthError("invalid_client", "The Authorization header is no Basic credentials.", 401)
    return unquote_plus(client_id), Secret(unquote_plus(secret))
