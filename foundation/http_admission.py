"""The fair bulkhead before an HTTP application: see `foundation.admission`.

It stands before signatures are verified, which is most of what a flood costs; so whom a request is from is
what it says, together with the address that it comes from: who names another takes nothing of his share.
"""

import base64
import json
import logging

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.admission import Admission, TooManyAtOnce, Turn
from foundation.confirmation import shown
from foundation.errors import problem
from foundation.http_guard import DEFAULTS, PROBLEM

RETRY_AFTER = "2"
"""Seconds; budgets are never deeper in debt than is paid back in so long."""

_LONGEST_TOKEN = 4_096

_log = logging.getLogger(__name__)


class Admitted:
    """Wraps an application: requests that show a key have turns; all others pass.

    A key is shown by a signature or by a TLS client certificate. A stream of events has no turn beyond its
    beginning, and neither has a body while its sender takes his time.

    Args:
        app: the application inside.
        admission: of this process.
        elsewhere: paths whose own face asks `admission`, as it reads there who sends.
    """

    def __init__(self, app: ASGIApp, admission: Admission, elsewhere: frozenset[str] = frozenset()) -> None:
        self._app, self._admission, self._elsewhere = app, admission, elsewhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] in self._elsewhere or not _shows_key(scope):
            await self._app(scope, receive, send)
            return
        name = _bearer(scope)
        try:
            async with self._admission.turn(caller_of(scope, name)) as turn:
                exchange = _Exchange(turn, receive, send)
                await self._app(scope, exchange.receive, exchange.send)
        except TooManyAtOnce as error:
            _log.warning("refused: more at once than the share of one, said to be %s", name or "-")
            document = problem(error)
            headers = {key.decode(): value.decode() for key, value in DEFAULTS} | {"Retry-After": RETRY_AFTER}
            await JSONResponse(document, document["status"], headers, PROBLEM)(scope, receive, send)


def caller_of(scope: Scope, name: str) -> str:
    """Whose turn a request is.

    Args:
        scope: of the request.
        name: whom it says that it is from: the id of an API client.
    """
    client = scope.get("client")
    return f"{client[0] if client else '-'} {name[:64]}"


def _shows_key(scope: Scope) -> bool:
    signed = any(name == b"signature-input" for name, _ in scope["headers"])
    return signed or shown(scope).certificate is not None


def _bearer(scope: Scope) -> str:
    """The subject of a bearer token, which is believed later; empty where it cannot be read."""
    for name, value in scope["headers"]:
        if name == b"authorization" and len(value) <= _LONGEST_TOKEN:
            try:
                part = value.split(b".")[1]
                claims = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
                return str(claims["sub"]).rpartition("/")[2]
            except (LookupError, TypeError, ValueError):
                return ""
    return ""


class _Exchange:
    """What a request and its turn have to do with one another."""

    def __init__(self, turn: Turn, receive: Receive, send: Send) -> None:
        self._turn, self._receive, self._send = turn, receive, send
        self._whole = False

    async def receive(self) -> Message:
        """A part of the body; it is no work while it is on its way."""
        if self._whole:
            return await self._receive()
        self._turn.end()
        message = await self._receive()
        self._whole = not message.get("more_body", False)
        if message["type"] == "http.request":
            await self._turn.again()
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer, with whose beginning the turn ends."""
        if message["type"] == "http.response.start":
            self._whole = True
            self._turn.end()
        await self._send(message)
