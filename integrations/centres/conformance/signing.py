"""Checks: what is signed rightly is taken, and what was tampered with is refused by its own name.

The write that is tried is an application without any member: who signed it is asked first, and then it is
refused as `invalid-input`, so that nothing is written.
"""

from collections.abc import Callable, Sequence
from functools import partial

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from integrations.centres.conformance import expecting
from integrations.centres.conformance.checking import THEIRS, Check
from integrations.centres.conformance.reach import TOKEN
from integrations.centres.conformance.talking import Server, Signer

BOTH = "A write that both sign is taken"

WRITE = "/v1/cases"
_READ = "/v1/centre"
_SECTION = "docs/centres.md, What is signed; RFC 9421"
_OURS = (
    "Is the clerk's key enrolled, the clerk active, and the device one of the contract? See docs/centres.md."
)


def nothing(server: Server, path: str = WRITE, **headers: str) -> httpx.Request:
    """A write of nothing, not signed."""
    return server.request("POST", path, {}, **headers)


def taken(server: Server, request: httpx.Request) -> None:
    """Expect that who signed the write of nothing is believed."""
    expecting.problem(server.send(request), 422, "invalid-input", _OURS)


def refused(server: Server, request: httpx.Request, kind: str, status: int = 403) -> None:
    """Expect a refusal by name."""
    expecting.problem(server.send(request), status, kind, THEIRS)


def _read(server: Server) -> None:
    request = server.request("GET", _READ)
    answer = server.send(server.by_one("centre", request, server.credentials.by_centre))
    expecting.success(answer, _OURS)


def _unsigned_read(server: Server) -> None:
    refused(server, server.request("GET", _READ), "not-authenticated", 401)


def _write(server: Server) -> None:
    taken(server, server.signed(nothing(server)))


def _no_clerk(server: Server) -> None:
    request = server.by_one("centre", nothing(server), server.credentials.by_centre)
    refused(server, request, "proof-missing")


def _another_body(server: Server) -> None:
    signed = server.signed(nothing(server))
    refused(server, _again(server, signed, content=b'{"service": "another"}'), "wrong-digest", 422)


def _another_path(server: Server) -> None:
    signed = server.signed(nothing(server))
    refused(server, _again(server, signed, path="/v1/bulk/cases"), "signature-wrong")


def _another_query(server: Server) -> None:
    signed = server.signed(nothing(server, f"{WRITE}?a=1&b=2"))
    refused(server, _again(server, signed, path=f"{WRITE}?b=2&a=1"), "signature-wrong")


def _uncovered(name: str, server: Server) -> None:
    refused(server, server.signed(nothing(server), leave_out=[name]), "signature-insufficient")


def _twice(server: Server) -> None:
    signed = server.signed(nothing(server))
    first = signed.headers["Signature-Input"].partition(", ")[0]
    signed.headers["Signature-Input"] += f", {first}"
    refused(server, signed, "signature-unreadable")


def _unknown_clerk(server: Server) -> None:
    stranger = Signer(ec.generate_private_key(ec.SECP256R1()), "0" * 64)
    refused(server, server.signed(nothing(server), clerk_signer=stranger), "clerk-key-unknown")


def _wrong_clerk(server: Server) -> None:
    # The enrolled key is named, and another one signs.
    forger = Signer(ec.generate_private_key(ec.SECP256R1()), server.credentials.by_clerk.keyid)
    refused(server, server.signed(nothing(server), clerk_signer=forger), "signature-wrong")


def _unknown_centre(server: Server) -> None:
    refused(server, server.signed(nothing(server), centre={"keyid": "0" * 64}), "centre-key-unknown")


def _shared_secret(server: Server) -> None:
    signed = server.signed(nothing(server))
    said = signed.headers["Signature-Input"].replace(
        f'alg="{server.credentials.by_centre.alg}"', 'alg="hmac-sha256"'
    )
    signed.headers["Signature-Input"] = said
    refused(server, signed, "algorithm-not-taken")


def _again(
    server: Server, request: httpx.Request, path: str = WRITE, content: bytes | None = None
) -> httpx.Request:
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    body = request.content if content is None else content
    return server.http.build_request(request.method, server.url + path, headers=headers, content=body)


_UNCOVERED: dict[str, Callable[[Server], None]] = {
    name: partial(_uncovered, name)
    for name in ("@method", "@target-uri", "authorization", "content-digest", "idempotency-key")
}

_ALL: Sequence[Check] = (
    Check("A write without the clerk's signature is refused", _SECTION, _no_clerk),
    Check("A body that was changed is refused", "docs/centres.md, What is signed; RFC 9530", _another_body),
    Check("A path that was changed is refused", _SECTION, _another_path),
    Check("A query in another order is refused", _SECTION, _another_query),
    *(
        Check(f"A signature that does not cover {name} is refused", _SECTION, ask)
        for name, ask in _UNCOVERED.items()
    ),
    Check("A label that stands twice is refused", _SECTION, _twice),
    Check("A clerk's key that nobody enrolled is refused", _SECTION, _unknown_clerk),
    Check("A signature by another than the named key is refused", _SECTION, _wrong_clerk),
    Check("A certificate that was not issued here is refused", _SECTION, _unknown_centre),
    Check("A shared secret is no signature", _SECTION, _shared_secret),
)

CHECKS: Sequence[Check] = (
    Check("A read that the centre signs is answered", _SECTION, _read, (TOKEN,)),
    Check(
        "A read under a bound token without a signature is refused",
        "RFC 7800, section 3",
        _unsigned_read,
        (TOKEN,),
    ),
    Check(BOTH, _SECTION, _write, (TOKEN,)),
    *(each.after(BOTH) for each in _ALL),
)
