"""What stands around every HTTP application of ours: size limits, safe headers, and an end for every error.

Pure ASGI, so that it holds whatever the framework inside does.
"""

import json
import logging
import secrets
from collections.abc import Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.errors import RakeezaError, TooLarge, problem

PROBLEM = "application/problem+json"

_log = logging.getLogger(__name__)

_Headers = list[tuple[bytes, bytes]]
DEFAULTS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-language", b"en, ar"),
)
"""What a response says unless it says otherwise itself. Our problems and records hold both languages."""


class Guard:
    """Wraps an application: outermost, so that nothing passes it by.

    Args:
        app: the application.
        max_body: largest request body, in bytes.
        max_file: largest body of a PUT request, in bytes; what is put is a file, not a message.
    """

    def __init__(self, app: ASGIApp, max_body: int, max_file: int) -> None:
        self._app = app
        self._max_body = max_body
        self._max_file = max_file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            most = self._max_file if scope["method"] == "PUT" else self._max_body
            await _Exchange(self._app, most, scope, receive, send).run()
        else:
            await self._app(scope, receive, send)


class _Exchange:
    def __init__(self, app: ASGIApp, max_body: int, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._scope, self._receive, self._send = app, scope, receive, send
        self._left = self._max_body = max_body
        self._too_large = False
        self._started = False

    async def run(self) -> None:
        if self._announced() > self._max_body:
            await self._refuse_body()
            return
        try:
            await self._app(self._scope, self._read, self._write)
        except Exception:
            # Whatever it is: the caller gets a problem document and a reference, the log gets the rest.
            if self._started:
                raise
            if not self._too_large:
                await self._fail()
        if self._too_large and not self._started:
            await self._refuse_body()

    async def _read(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                # The application sees its caller gone; what it then says is replaced by our refusal.
                self._too_large = True
                return {"type": "http.disconnect"}
        return message

    async def _write(self, message: Message) -> None:
        if self._too_large and not self._started:
            return
        if message["type"] == "http.response.start":
            self._started = True
            message["headers"] = _completed(message.get("headers", ()))
        await self._send(message)

    def _announced(self) -> int:
        for name, value in self._scope["headers"]:
            if name == b"content-length" and value.isdigit():
                return int(value)
        return 0

    async def _refuse_body(self) -> None:
        error = TooLarge(
            f"The body is larger than {self._max_body} bytes.",
            remedy="Send less, or in several requests.",
            message_ar=f"حجم المحتوى المرسل أكبر من {self._max_body} بايت.",
        )
        # The rest of the body is not read: the connection cannot serve another request.
        await self._answer(problem(error), [(b"connection", b"close")])

    async def _fail(self) -> None:
        reference = secrets.token_hex(6)
        path = f"{self._scope['method']} {self._scope['path']}"
        _log.exception("unexpected error %s in %s", reference, path, extra={"reference": reference})
        document = problem(
            RakeezaError(
                "Something unexpected happened; it was logged.",
                remedy="Name the reference.",
                message_ar="حدث خطأ غير متوقع وسُجّل؛ اذكر الرقم المرجعي عند المراجعة.",
            )
        )
        await self._answer(
            {**document, "instance": f"urn:rakeeza:incident:{reference}", "reference": reference}
        )

    async def _answer(self, document: dict[str, Any], headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        body = json.dumps(document, ensure_ascii=False).encode()
        own = [(b"content-type", PROBLEM.encode()), (b"content-length", str(len(body)).encode()), *headers]
        self._started = True
        start = {"type": "http.response.start", "status": document["status"], "headers": _completed(own)}
        await self._send(start)
        # A HEAD request's answer has no body; the server drops it.
        await self._send({"type": "http.response.body", "body": body})


def _completed(headers: Iterable[tuple[bytes, bytes]]) -> _Headers:
    given = [(name.lower(), value) for name, value in headers if name.lower() != b"server"]
    names = {name for name, _ in given}
    return [*given, *(default for default in DEFAULTS if default[0] not in names)]
