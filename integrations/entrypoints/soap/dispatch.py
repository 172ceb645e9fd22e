"""Calls the routes of REST in the same process: what SOAP does is what REST does, by construction."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Scope

from foundation.caller import Caller
from foundation.errors import Malformed
from foundation.http import handed_over
from integrations.contracts.binding import Request

# What a SOAP message's own HTTP headers say of its transport, and nothing of the operation.
_CARRIED = frozenset({b"authorization", b"user-agent", b"x-request-id", b"traceparent"})
_REFERENCE = re.compile(r"([A-Za-z0-9-]{1,40})/([a-z][a-z0-9_]{0,62})")


@dataclass(frozen=True)
class Answer:
    """What a route answered.

    Args:
        status: of HTTP.
        headers: names in small letters.
        body: all of it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


async def called(app: ASGIApp, scope: Scope, caller: Caller | None, request: Request) -> Answer:
    """Let the route of REST do what a message asks for.

    Args:
        app: what the routes are in.
        scope: of the SOAP request; connection, TLS and state are the same.
        caller: whom the message's own security has shown; None leaves it to the bearer token.
        request: its parameters were valid by the XSD.

    Raises:
        Malformed: the document that it refers to is named as none is.
    """
    said, body = request.operation, request.body or b""
    if request.reference is not None:
        found = await _asked(app, scope, caller, "GET", _document(request.reference), "", (), b"")
        if found.status != 200:
            return found
        body = found.body
    return await _asked(app, scope, caller, said.method, request.path, request.query, request.headers, body)


def _document(reference: str) -> str:
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise Malformed(
            "contentId names no document.",
            remedy="Give the case and the code of a document handed in before: SC-2026-000001/lease.",
            message_ar="قيمة contentId لا تدل على مستند سبق تقديمه؛ اكتبها رقم المعاملة/رمز المستند.",
        )
    return f"/v1/cases/{found[1]}/documents/{found[2]}"


async def _asked(
    app: ASGIApp,
    scope: Scope,
    caller: Caller | None,
    method: str,
    path: str,
    query: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
) -> Answer:
    kept = _CARRIED if caller is None else _CARRIED - {b"authorization"}
    carried = [each for each in scope["headers"] if each[0] in kept]
    own = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]
    length = [(b"content-length", str(len(body)).encode())] if body else []
    inner: Scope = {
        **scope,
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": [*carried, *own, *length],
        "state": dict(scope.get("state", {})),
    }
    inner.pop("route", None)
    conversation = _Conversation(body)
    await app(handed_over(inner, caller), conversation.receive, conversation.send)
    return conversation.answer()


class _Conversation:
    def __init__(self, body: bytes) -> None:
        self._body: bytes | None = body
        self._status = 500
        self._headers: dict[str, str] = {}
        self._said: list[bytes] = []

    async def receive(self) -> Message:
        if self._body is None:
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {
                name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]
            }
        elif message["type"] == "http.response.body":
            self._said.append(message.get("body", b""))

    def answer(self) -> Answer:
        return Answer(self._status, self._headers, b"".join(self._said))
