"""Checks: a signature holds for minutes, and for one request."""

import secrets
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial

from integrations.centres.conformance.checking import Check
from integrations.centres.conformance.signing import BOTH, nothing, refused, taken
from integrations.centres.conformance.talking import Server

_SECTION = "docs/centres.md, What is signed"
_AGAIN = "docs/centres.md, Sending again"


def _made(moved: float, holds: float, kind: str, server: Server) -> None:
    made = server.now() + timedelta(seconds=moved)
    says = {"created": made, "expires": made + timedelta(seconds=holds)}
    for label in ("centre", "clerk"):
        request = nothing(server)
        signed = (
            server.signed(request, centre=says) if label == "centre" else server.signed(request, clerk=says)
        )
        refused(server, signed, kind)


def _same_request(server: Server) -> None:
    signed = server.signed(nothing(server))
    taken(server, signed)
    refused(server, signed, "signature-reused")


def _same_nonce(server: Server) -> None:
    says = {"nonce": secrets.token_hex(16)}
    taken(server, server.signed(nothing(server), clerk=says))
    refused(server, server.signed(nothing(server), clerk=says), "signature-reused")


def _short_nonce(server: Server) -> None:
    refused(server, server.signed(nothing(server), centre={"nonce": "short"}), "signature-insufficient")


def _at(moved: float, holds: float, kind: str) -> Callable[[Server], None]:
    return partial(_made, moved, holds, kind)


_ALL: Sequence[Check] = (
    Check("A signature that has expired is refused", _SECTION, _at(-120, 60, "signature-expired")),
    Check("A signature of ten minutes ago is refused", _SECTION, _at(-600, 300, "signature-expired")),
    Check("A signature from the future is refused", _SECTION, _at(180, 60, "signature-from-future")),
    Check("A signature that holds for an hour is refused", _SECTION, _at(0, 3_600, "signature-insufficient")),
    Check("A nonce that could be guessed is refused", _SECTION, _short_nonce),
    Check("A request is taken once", _AGAIN, _same_request),
    Check("A nonce is taken once", _AGAIN, _same_nonce),
)

CHECKS: Sequence[Check] = tuple(each.after(BOTH) for each in _ALL)
