"""Signed requests of service centres: what `foundation.http.authenticated` asks beside the token.

A request without signatures costs nothing here but the look for one header, and where a client with the role
`centre` writes, one question whether it is a centre with a record.

Source: RFC 9421; `docs/centres.md` for what a centre signs.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from foundation.caller import Caller, Role
from foundation.confirmation import show_signature
from foundation.database import Database
from foundation.errors import InvalidInput, PermissionDenied
from foundation.wire.content_digest import WrongDigest
from foundation.wire.http_signature import Message
from integrations.centres import proof as proofs
from integrations.centres.proof import Checked, Proof
from integrations.centres.proof_refusals import SignatureUnreadable
from integrations.centres.refusals import CentreKeyRevoked, ProofMissing

_CHECKED, _VOUCHED = "rakeeza.proof", "rakeeza.vouched"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Shown:
    checked: Checked
    proof: Proof


class Signatures:
    """The witness of the API: see `foundation.witness`.

    Args:
        database: holds certificates, clerks' keys and nonces.
        origins: under which others reach the API, as "https://licences.example.sa"; what comes by any other
            is taken for the first. None take what each request says itself, which its signature covers.
        clock: the present moment, aware.
    """

    def __init__(
        self,
        database: Database,
        origins: Sequence[str] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._origins = [origin.rstrip("/") for origin in origins]
        self._clock = clock

    async def look(self, request: Request) -> None:
        """Check the signatures of a request, where it has some, and note whose they are.

        Raises:
            PermissionDenied: one of them does not hold, and why.
            WrongDigest: the body is not the one that was signed.
        """
        if "signature-input" not in request.headers or _CHECKED in request.scope:
            return
        try:
            checked = await run_in_threadpool(self._check, _message(request, self._origins))
            if checked is None:
                return
            body = await request.body() if checked.digest is not None else b""
            proof = await run_in_threadpool(_proof, checked, body)
        except (PermissionDenied, WrongDigest) as refusal:
            _log.warning("A request to %s was refused: %s", request.url.path, type(refusal).__name__)
            raise
        request.scope[_CHECKED] = _Shown(checked, proof)
        show_signature(request.scope, checked.shown)

    async def vouch(self, request: Request, caller: Caller) -> Caller:
        """The caller with his clerk and the proof of what is asked, once for each signed write.

        Raises:
            ProofMissing: a centre with a record writes, and has not signed, or its clerk has not.
            CentreKeyRevoked: it was signed by another than the caller.
            SignatureReused: it was taken before.
            Unavailable: it is not known whether it was.
        """
        try:
            return await self._vouched(request, caller)
        except PermissionDenied as refusal:
            kind = type(refusal).__name__
            _log.warning("%s was refused at %s: %s", caller.actor, request.url.path, kind)
            raise

    async def _vouched(self, request: Request, caller: Caller) -> Caller:
        shown = request.scope.get(_CHECKED)
        if not isinstance(shown, _Shown):
            if _may_have_record(caller) and proofs.writes(request.method):
                await run_in_threadpool(self._refuse_unsigned, caller)
            return caller
        if shown.checked.centre != caller.name or caller.kind != "client":
            raise CentreKeyRevoked(caller.name)
        if not _may_have_record(caller) or not proofs.writes(request.method):
            return caller
        # A route may ask for its caller twice; the request is taken once.
        if _VOUCHED not in request.scope:
            request.scope[_VOUCHED] = await run_in_threadpool(self._take, caller, shown)
        vouched: Caller = request.scope[_VOUCHED]
        return vouched

    def _check(self, message: Message) -> Checked | None:
        with self._database.transaction() as session:
            return proofs.check(session, message, self._clock())

    def _refuse_unsigned(self, caller: Caller) -> None:
        with self._database.transaction() as session:
            if proofs.has_record(session, caller.name):
                raise ProofMissing(caller.name)

    def _take(self, caller: Caller, shown: _Shown) -> Caller:
        if shown.proof.clerk is None:
            # A counter of the municipality may sign, and has no clerks.
            self._refuse_unsigned(caller)
            return caller
        proofs.take(self._database, shown.checked)
        return replace(caller, clerk=shown.proof.clerk, proof=shown.proof.values())


def _proof(checked: Checked, body: bytes) -> Proof:
    try:
        return checked.proof(body)
    except WrongDigest:
        raise
    except InvalidInput as error:
        raise SignatureUnreadable(error.message) from error


def _message(request: Request, origins: Sequence[str]) -> Message:
    """The request as its sender had it: httptools and uvicorn leave path and query as they came."""
    scope = request.scope
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    host = next((value for name, value in fields if name == "host"), "")
    query = scope["query_string"].decode("latin-1")
    path = (scope.get("raw_path") or b"").decode("latin-1")
    origin = f"{scope['scheme']}://{host}"
    if origins and origin not in origins:
        # A proxy stands before us; what it was asked for is the address that others know.
        origin = origins[0]
    target = origin + path + (f"?{query}" if query else "")
    return Message(scope["method"], target, fields)


def _may_have_record(caller: Caller) -> bool:
    return caller.kind == "client" and Role.CENTRE in caller.roles
