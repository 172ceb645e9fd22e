"""The SOAP face, /v1/soap: reads, checks and binds a message, and calls the route of REST that does it.

Raw ASGI, around the application whose routes it calls: no framework reads the message before it does.

Source: SOAP 1.1, section 6; SOAP 1.2 part 2, section 7; MTOM 1.0.
"""

import json
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from foundation.admission import Admission
from foundation.caller import Caller
from foundation.confirmation import shown
from foundation.errors import NotAuthenticated, RakeezaError
from foundation.http_admission import caller_of
from integrations.contracts.binding import binding
from integrations.entrypoints.soap import attachments, contract_files, faults, messages
from integrations.entrypoints.soap.dispatch import called
from integrations.entrypoints.soap.envelope import Version, version_in
from integrations.entrypoints.soap.faults import Fault
from integrations.entrypoints.soap.holding import Holding, Room
from integrations.entrypoints.soap.messages import Asked, Kind, Reading, UnsupportedMediaType
from integrations.entrypoints.soap.received import Body, Gone, headers_of
from integrations.entrypoints.soap.replies import Reply, sent
from integrations.entrypoints.soap.security import Authenticator, is_signed, said_sender

PATH = "/v1/soap"
LARGE = 65_536
"""Octets from which a message is worked on in a thread; a smaller one costs less than the way there."""

_AT_ONCE = 1
# Octets of a message of an unknown type in which its version is looked for.
_BEGINNING = 4_096
_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@dataclass
class _Known:
    # What is known of a message so far, for the fault that it may get.
    version: Version = Version.SOAP_11
    language: str = "en"
    asked: Asked | None = None
    caller: Caller | None = None
    body: Body | None = None

    @property
    def operation(self) -> str:
        return self.asked.operation.name if self.asked else "-"

    @property
    def sender(self) -> str:
        if self.caller is not None:
            return self.caller.actor
        said = said_sender(self.asked.envelope) if self.asked else ""
        return f"{said} by its own word" if said else "-"


class SoapFace:
    """Wraps an application: answers what is sent to `PATH`, and lets all else pass.

    Args:
        app: has the routes of REST.
        authenticator: knows who sends signed messages.
        public_url: under which others reach the platform; None is how a request reached it.
        most_message, most_package: octets of a message without and with attachments.
        admission: gives those who sign their turns; without it everybody has one.
    """

    path = PATH

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticator: Authenticator,
        public_url: str | None,
        most_message: int,
        most_package: int,
        admission: Admission | None = None,
    ) -> None:
        self._app = app
        self._admission = admission
        self._authenticator = authenticator
        self._public_url = public_url
        self._most_message, self._most_package = most_message, most_package
        self._room = Room(most_package)
        # One for the event loop, one for the threads: neither waits for the other's messages.
        self._here, self._in_threads = Reading(), Reading()
        binding()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
            return
        # What metrics call this by, as the framework does with its own routes.
        scope["route"] = self
        method = scope["method"]
        if method == "POST":
            try:
                reply = await self._posted(scope, receive)
            except Gone:
                return
        elif method in ("GET", "HEAD"):
            reply = self._contract(scope)
        else:
            reply = _problem(405, faults.not_allowed(method), (("allow", "GET, HEAD, POST"),))
        await sent(reply, send, head=method == "HEAD")

    async def _posted(self, scope: Scope, receive: Receive) -> Reply:
        known = _Known()
        reply = await self._answered(scope, receive, known)
        if known.body is None or known.body.whole:
            return reply
        # Else its sender would find the connection closed under what he still sends, and no fault. Of the
        # message nothing is kept meanwhile, as he may take his time.
        known.asked = None
        if await known.body.passed_over(self._most_package):
            return reply
        # The connection cannot serve another message.
        return replace(reply, headers=[*reply.headers, ("connection", "close")])

    async def _answered(self, scope: Scope, receive: Receive, known: _Known) -> Reply:
        try:
            with self._room.holding(shown(scope).certificate or "") as held:
                return await self._carried_out(scope, receive, known, held)
        except Gone:
            raise
        except UnsupportedMediaType as error:
            return self._refused(faults.of_error(error, 415), known)
        except RakeezaError as error:
            return self._refused(faults.of_error(error), known)
        except Exception:  # noqa: BLE001 # whatever it is, the caller gets a fault and the log the rest
            reference = secrets.token_hex(6)
            _log.exception(
                "unexpected error %s in %s by SOAP",
                reference,
                known.operation,
                extra={"reference": reference},
            )
            return self._refused(faults.unexpected(reference), known)

    async def _carried_out(self, scope: Scope, receive: Receive, known: _Known, held: Holding) -> Reply:
        headers = headers_of(scope)
        known.language = faults.language_of(headers.get("accept-language", ""))
        body = known.body = Body(headers, receive, held)
        kind = await self._kind(headers, body, known)
        body.check_coding()
        if kind.package:
            await body.until(lambda octets: attachments.root_is_there(octets, kind.type), self._most_message)
        else:
            await body.all(self._most_message)
        large = kind.package or len(body.octets) > LARGE
        asked = await self._read(large, lambda reading: reading.opened(body.octets, kind, headers))
        known.asked, known.version = asked, asked.envelope.version
        if kind.package or (large and not asked.operation.public and not is_signed(asked.envelope)):
            # What costs much is done only for those who have proven who they are.
            held.proven(await self._sender(asked, scope, headers))
        if kind.package:
            octets, opened = await body.all(self._most_package), asked
            asked = await self._read(large, lambda reading: reading.completed(opened, octets, kind))
        async with self._turn(asked, scope):
            caller = known.caller = await self._caller(asked, scope, headers)
            if caller is not None:
                held.proven(caller.name)
            request = await self._read(large, lambda reading: reading.bound(asked))
            answer = await called(self._app, scope, caller, request)
        if answer.status >= 400:
            return self._refused(faults.of_answer(answer), known)
        packed = kind.package or "application/xop+xml" in headers.get("accept", "")
        if len(answer.body) <= LARGE:
            return messages.written(asked, answer, packed)
        return await self._in_thread(lambda: messages.written(asked, answer, packed))

    async def _kind(self, headers: Mapping[str, str], body: Body, known: _Known) -> Kind:
        try:
            kind = messages.kind_of(headers)
        except UnsupportedMediaType:
            await body.until(lambda octets: len(octets) >= _BEGINNING, LARGE)
            known.version = version_in(bytes(body.octets[:_BEGINNING]))
            raise
        known.version = kind.version
        return kind

    async def _sender(self, asked: Asked, scope: Scope, headers: Mapping[str, str]) -> str:
        if is_signed(asked.envelope):
            async with self._turn(asked, scope):
                return await to_thread.run_sync(self._authenticator.announced, asked.envelope, scope)
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return await to_thread.run_sync(self._authenticator.bearer, token.strip(), scope)
        raise _nobody()

    def _turn(self, asked: Asked, scope: Scope) -> AbstractAsyncContextManager[object]:
        if self._admission is None or not is_signed(asked.envelope):
            return nullcontext()
        return self._admission.turn(caller_of(scope, said_sender(asked.envelope)))

    async def _caller(self, asked: Asked, scope: Scope, headers: Mapping[str, str]) -> Caller | None:
        if is_signed(asked.envelope):
            # With its document in place a message takes several times its size.
            limiter = None if asked.content is None else self._limiter
            return await to_thread.run_sync(self._authenticated, asked, scope, limiter=limiter)
        if not asked.operation.public and "authorization" not in headers:
            raise _nobody()
        return None

    def _authenticated(self, asked: Asked, scope: Scope) -> Caller:
        with asked.whole():
            return self._authenticator.authenticated(asked.envelope, scope)

    async def _read(self, large: bool, work: Callable[[Reading], _T]) -> _T:
        if large:
            return await self._in_thread(lambda: work(self._in_threads))
        return work(self._here)

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        return await to_thread.run_sync(work, limiter=self._limiter)

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        # So many large messages are worked on at once in a process, whose one interpreter all others share.
        return CapacityLimiter(_AT_ONCE)

    def _refused(self, fault: Fault, known: _Known) -> Reply:
        # Neither the sentence nor the path: they may quote what names a person.
        _log.warning(
            "refused by SOAP: %s%s in %s for %s",
            fault.problem["type"],
            f" ({fault.reason})" if fault.reason else "",
            known.operation,
            known.sender,
        )
        status = int(fault.problem["status"])
        document = json.dumps(fault.problem, ensure_ascii=False).encode()
        operation = known.asked.operation if known.asked else None
        element = messages.detail(operation, status, document)
        out = faults.written(fault, known.version, element, known.language)
        headers = [("retry-after", str(fault.retry_after))] if fault.retry_after is not None else []
        return Reply(out.status, f"{out.media_type}; charset=utf-8", out.body, headers)

    def _contract(self, scope: Scope) -> Reply:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        address = contract_files.address_of(scope, headers, self._public_url)
        found = contract_files.served(scope["query_string"], address)
        if found is None:
            return _problem(404, faults.nothing_here(address))
        etag, octets = found
        said = [("etag", etag)]
        if etag in (each.strip() for each in headers.get("if-none-match", "").split(",")):
            return Reply(304, "text/xml; charset=utf-8", b"", said, stored=True)
        return Reply(200, "text/xml; charset=utf-8", octets, said, stored=True)


def _nobody() -> NotAuthenticated:
    return NotAuthenticated(
        "The message is not signed, and no bearer token was sent.",
        remedy="Sign it by WS-Security, as the contract says.",
        message_ar="الرسالة غير موقعة ولم يُرسل رمز دخول؛ وقّعها وفق WS-Security.",
    )


def _problem(status: int, document: Mapping[str, Any], headers: tuple[tuple[str, str], ...] = ()) -> Reply:
    octets = json.dumps(document, ensure_ascii=False).encode()
    return Reply(status, "application/problem+json", octets, headers)
