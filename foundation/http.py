"""What every HTTP face shares: problem documents, tokens, idempotent writes, server-sent events.

`create_app` gives an application with all of it; a wing adds its routes.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.security import OAuth2
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from foundation.confirmation import Shown, shown
from foundation.errors import (
    Malformed,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    RakeezaError,
    problem,
)
from foundation.events import StoredEvent
from foundation.http_faults import refused
from foundation.http_guard import PROBLEM, Guard
from foundation.idempotency import Answer, fingerprint, once
from foundation.identity import Caller, Identity
from foundation.witness import called

__all__ = [
    "PROBLEM",
    "PROBLEMS",
    "Answer",
    "authenticated",
    "create_app",
    "fingerprint",
    "handed_over",
    "once",
    "server_sent",
    "still_bears",
]

TOKEN_PATH = "/v1/oauth/token"
HEARTBEAT = 15.0
"""Seconds of silence after which an event stream says that it is still there."""
RETRY_AFTER = 2
"""Seconds after which a request that met an unavailable part may be sent again."""

# Events taken from the database before the reader has taken those before them.
_READ_AHEAD = 100
# Seconds between two questions whether the reader of a stream is let in still. What is believed of him may be
# half a second old; together less than a second.
_BETWEEN_LOOKS = 0.3
_TITLES_AR = {405: "الطريقة غير مسموحة لهذا العنوان", 415: "نوع المحتوى غير مدعوم"}
_DETAILS_AR = {
    405: "هذه الطريقة غير مسموحة لهذا العنوان؛ انظر الترويسة Allow.",
    415: "نوع المحتوى المرسل لا يُقبل في هذا العنوان.",
}
_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")
REALM = 'realm="rakeeza"'
"""How the platform calls itself to whoever has to authenticate."""

_PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "title_ar": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "detail_ar": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "pointer": {"type": "string", "description": "JSON Pointer into the body (RFC 6901)."},
                    "detail": {"type": "string"},
                    "detail_ar": {"type": "string"},
                },
            },
        },
        "reference": {"type": "string", "description": "Names one unexpected error in the log."},
    },
}

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {"description": "Refused or failed.", "content": {PROBLEM: {"schema": _PROBLEM_SCHEMA}}}
}
"""What a route answers that names none of its refusals one by one; for `include_router(responses=...)`."""

_bearer = OAuth2(
    flows=OAuthFlows(clientCredentials=OAuthFlowClientCredentials(tokenUrl=TOKEN_PATH, scopes={})),
    auto_error=False,
)


def create_app(
    title: str, *, max_body: int, max_file: int | None = None, one_by_one: bool = False
) -> FastAPI:
    """An application that answers every error with a problem document.

    Args:
        title: as the OpenAPI description has it.
        max_body: largest request body, in bytes.
        max_file: largest body of a PUT request, in bytes; as any other body if it is not given.
        one_by_one: the routes name their refusals one by one; otherwise each is described with `PROBLEMS`.

    Source: RFC 9457 (problem details).
    """
    # No documentation pages: they would load scripts from elsewhere. The description itself is served.
    described = {} if one_by_one else PROBLEMS
    app = FastAPI(title=title, docs_url=None, redoc_url=None, responses=described)
    app.add_middleware(Guard, max_body=max_body, max_file=max_file or max_body)
    app.add_exception_handler(RakeezaError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    return app


@dataclass(frozen=True)
class _HandedOver:
    # A type of this process: no header, body or connection can make one.
    caller: Caller | None


_HANDED_OVER = "rakeeza.caller"

_log = logging.getLogger(__name__)


def handed_over(scope: Scope, caller: Caller | None) -> Scope:
    """A request of this process itself, made by another face, which also notes what becomes of it.

    Args:
        scope: of ASGI, without a caller.
        caller: whom that face has authenticated; None leaves it to the bearer token.

    Returns:
        A copy whose caller `authenticated` believes without a token.
    """
    return {**scope, _HANDED_OVER: _HandedOver(caller)}


def authenticated(identity: Identity, *roles: str) -> Callable[..., Awaitable[Caller]]:
    """A dependency that gives the caller of a request.

    Args:
        identity: knows tokens.
        roles: the caller needs one of these; none means that any caller may.

    Raises:
        NotAuthenticated: from the dependency; there is no bearer token, or it does not hold, or it is bound
            to a key that the request was not sent with.
        PermissionDenied: from the dependency; the caller has none of the roles, or is let in nowhere now.

    Source: RFC 6750 (bearer tokens); RFC 8705, section 3 (those that are bound).
    """

    # On the event loop, as long as nobody has to be asked: every hop to a thread costs a third of what a
    # request does.
    async def caller(request: Request, given: Annotated[str | None, Security(_bearer)]) -> Caller:
        handed = request.scope.get(_HANDED_OVER)
        if isinstance(handed, _HandedOver) and handed.caller is not None:
            return _having(handed.caller, roles)
        witness = called(request.app)
        if witness is not None:
            await witness.look(request)
        try:
            known = _having(await _bearer_of(identity, given, shown(request.scope)), roles)
        except (NotAuthenticated, PermissionDenied) as refusal:
            if not isinstance(handed, _HandedOver):
                _note(request, refusal)
            raise
        return known if witness is None else await witness.vouch(request, known)

    return caller


def _note(request: Request, refusal: RakeezaError) -> None:
    # The route's own path: what stands in its places may be about a person.
    path = getattr(request.scope.get("route"), "path", "-")
    whence = request.client.host if request.client else "-"
    kind = type(refusal).__name__
    _log.warning("%s %s from %s was refused: %s", request.method, path, whence, kind)


def _having(caller: Caller, roles: tuple[str, ...]) -> Caller:
    if roles:
        caller.require(*roles)
    return caller


async def _bearer_of(identity: Identity, given: str | None, sent_with: Shown) -> Caller:
    scheme, _, token = (given or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticated(
            "No bearer token was sent.",
            remedy=f"Ask for one at {TOKEN_PATH}.",
            message_ar="لم يُرسل رمز الدخول.",
        )
    known = identity.believed(token.strip(), sent_with)
    return known if known is not None else await run_in_threadpool(identity.caller, token.strip(), sent_with)


def still_bears(request: Request, identity: Identity) -> Callable[[], Awaitable[bool]]:
    """Whether a request would still be let in, asked again while its answer goes on.

    Args:
        request: that `authenticated` let in.
    """
    given, sent_with = request.headers.get("authorization"), shown(request.scope)

    async def holds() -> bool:
        try:
            await _bearer_of(identity, given, sent_with)
        except RakeezaError:
            return False
        return True

    return holds


def server_sent(
    events: AsyncIterator[StoredEvent],
    *,
    heartbeat: float = HEARTBEAT,
    holds: Callable[[], Awaitable[bool]] | None = None,
) -> StreamingResponse:
    """Events as a stream that a browser's EventSource reads.

    The caller reads `Last-Event-ID` and begins `events` after that cursor.

    Args:
        events: ends with the stream; closed when the reader goes.
        heartbeat: seconds of silence until a comment line is sent.
        holds: whether the reader is let in still, as `still_bears` asks; the stream ends when he is not.

    Source: WHATWG HTML, section 9.2 (server-sent events).
    """
    # Proxies such as nginx would hold the stream back.
    headers = {"X-Accel-Buffering": "no"}
    frames = _frames(events, heartbeat, holds)
    return StreamingResponse(frames, media_type="text/event-stream", headers=headers)


async def _frames(
    events: AsyncIterator[StoredEvent], heartbeat: float, holds: Callable[[], Awaitable[bool]] | None
) -> AsyncIterator[bytes]:
    waiting: asyncio.Queue[StoredEvent | None] = asyncio.Queue(_READ_AHEAD)

    async def pump() -> None:
        try:
            async for event in events:
                await waiting.put(event)
        finally:
            if isinstance(events, AsyncGenerator):
                await events.aclose()
            with contextlib.suppress(asyncio.QueueFull):
                waiting.put_nowait(None)

    # A task of its own: when the reader goes, this generator is cancelled again and again until it ends, and
    # `events` could not close what it holds.
    pumping = asyncio.create_task(pump())
    pause, silent = heartbeat if holds is None else min(heartbeat, _BETWEEN_LOOKS), 0.0
    try:
        while True:
            told: list[StoredEvent | None] = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    told.append(await waiting.get())
            # What has come meanwhile goes with it: sending costs more than what is sent.
            while not waiting.empty():
                told.append(waiting.get_nowait())
            # After what was waited for: nothing is told that came when he was shut out.
            if holds is not None and not await holds():
                return
            if not told and pumping.done():
                break
            if not told:
                silent += pause
                if silent >= heartbeat:
                    silent = 0.0
                    yield b": still here\n\n"
                continue
            silent = 0.0
            if frames := b"".join(_frame(event) for event in told if event is not None):
                yield frames
            if told[-1] is None:
                break
        await pumping
    finally:
        pumping.cancel()
        await asyncio.wait({pumping})


def _frame(event: StoredEvent) -> bytes:
    return f"id: {event.cursor}\nevent: {event.kind}\ndata: {event.told}\n\n".encode()


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RakeezaError)
    document = problem(error)
    headers = {}
    if error.retryable:
        headers["Retry-After"] = str(RETRY_AFTER)
    if isinstance(error, NotAuthenticated):
        # RFC 6750, section 3: no error code where no token was sent.
        sent = "authorization" in request.headers
        headers["WWW-Authenticate"] = f'Bearer {REALM}, error="invalid_token"' if sent else f"Bearer {REALM}"
    if type(error) is PermissionDenied:
        # RFC 6750, section 3.1. What has a type of its own lacks something else, and no wider token helps.
        headers["WWW-Authenticate"] = f'Bearer {REALM}, error="insufficient_scope"'
    return JSONResponse(document, document["status"], headers, PROBLEM)


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    items = error.errors()
    broken = next((item for item in items if item["type"] == "json_invalid"), None)
    if broken is not None:
        where = f"character {int(broken['loc'][-1]) + 1}"
        reason = broken["ctx"]["error"]
        malformed = Malformed(
            f"The body is not JSON: {reason} at {where}.",
            remedy="Correct the body.",
            message_ar="محتوى الطلب ليس JSON صحيحًا.",
        )
        return await _on_error(request, malformed)
    kind = request.headers.get("content-type", "")
    if items[0]["loc"] == ("body",) and items[0]["type"] != "missing" and "json" not in kind:
        return _by_status(415, f"The body is {kind or 'of no stated type'}; send application/json.")
    return await _on_error(request, refused(items))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        nothing = NotFound(
            f"There is nothing at {request.url.path}.",
            remedy="See /openapi.json.",
            message_ar="لا يوجد شيء في هذا العنوان.",
        )
        return await _on_error(request, nothing)
    if error.status_code == 400:
        unreadable = Malformed(
            "The body cannot be read.",
            remedy="Send JSON in UTF-8.",
            message_ar="تعذّرت قراءة محتوى الطلب؛ أرسل JSON بترميز UTF-8.",
        )
        return await _on_error(request, unreadable)
    if error.status_code == 405:
        detail = f"{request.method} is not allowed at {request.url.path}."
        return _by_status(405, detail, {"Allow": ", ".join(_allowed(request))})
    return _by_status(error.status_code, str(error.detail), error.headers)


def _allowed(request: Request) -> list[str]:
    # The framework names those of the first route at the path; several routes may share one.
    return [
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    ]


def _by_status(code: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    status = HTTPStatus(code)
    document = {
        "type": f"urn:rakeeza:problem:{status.phrase.lower().replace(' ', '-')}",
        "title": status.phrase,
        "title_ar": _TITLES_AR.get(code, "تعذّر تنفيذ الطلب"),
        "status": code,
        "detail": detail,
        "detail_ar": _DETAILS_AR.get(code, "تعذّر تنفيذ الطلب؛ صحّحه ثم أعد إرساله."),
    }
    return JSONResponse(document, code, headers, PROBLEM)
