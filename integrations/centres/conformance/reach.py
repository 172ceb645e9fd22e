"""Checks: the server can be reached, knows the centre, and gives it tokens."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from integrations.centres.conformance import expecting
from integrations.centres.conformance.checking import Check, Failed, LeftOut
from integrations.centres.conformance.talking import Server

_CLOCK = 60  # seconds
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_TOKENS = "docs/centres.md, Tokens; RFC 7523"


def _tls(server: Server) -> None:
    parts = urlsplit(server.url)
    if parts.scheme == "https":
        return
    if parts.hostname in _HERE:
        raise LeftOut("The server is on this machine.")
    raise Failed("The address is not one of TLS.", "Use the address that begins with https.")


def _contract(server: Server) -> None:
    answer = server.http.get(server.url + "/openapi.json")
    document = expecting.success(answer, "Is this the address of the API, without a path?")
    if not str(document.get("openapi", "")).startswith("3.") or "/v1/cases" not in document.get("paths", {}):
        raise Failed("What is served is not the licensing contract.", "Is this the address of the API?")


def _clock(server: Server) -> None:
    said = server.http.get(server.url + "/openapi.json").headers.get("date")
    if said is None:
        raise LeftOut("The server does not tell the time.")
    apart = abs((datetime.now(UTC) - parsedate_to_datetime(said)).total_seconds())
    if apart > _CLOCK:
        raise Failed(f"The clocks are {apart:.0f} seconds apart.", "Set the clock by a time server.")


def _token(server: Server) -> None:
    assert server.token


def _used_assertion(server: Server) -> None:
    form = server.assertion()
    first = _asked(server, form)
    expecting.success(first, "See the check that asks for a token.")
    _refused(_asked(server, form), "An assertion was taken twice.")


def _misdirected_assertion(server: Server) -> None:
    form = server.assertion(aud="https://another.example/v1/oauth/token")
    _refused(_asked(server, form), "An assertion for another server was taken.")


def _old_assertion(server: Server) -> None:
    form = server.assertion(iat=1_600_000_000, exp=1_600_000_060)
    _refused(_asked(server, form), "An assertion that has expired was taken.")


def _own(server: Server) -> None:
    answer = server.send(server.signed(server.request("GET", "/v1/centre")))
    told = expecting.success(answer, "Is the code the centre's, and has it a contract in force?")
    if told.get("code") != server.credentials.centre:
        raise Failed(f"The server takes this centre for {told.get('code')!r}.", "Whose certificate is it?")


def _asked(server: Server, form: dict[str, Any]) -> httpx.Response:
    return server.http.post(server.url + "/v1/oauth/token", data=form)


def _refused(answer: httpx.Response, otherwise: str) -> None:
    # RFC 6749, section 5.2: no problem document here, but what OAuth has for it.
    kind = answer.headers.get("content-type", "").partition(";")[0]
    error = answer.json().get("error") if kind == "application/json" else None
    if answer.status_code != 401 or error != "invalid_client":
        raise Failed(
            f"{otherwise} The answer was {answer.status_code} {error}.",
            "Tell the municipality; this is the server's fault.",
        )


CHECKS: Sequence[Check] = (
    Check("The server is reached over TLS", "docs/centres.md, Tokens; RFC 8446", _tls),
    Check("The licensing contract is served", "OpenAPI, paths", _contract),
    Check("Both clocks agree", "docs/centres.md, What is signed", _clock),
    Check("An assertion under the centre's key gets a token", _TOKENS, _token),
    Check("An assertion is good for one token", _TOKENS, _used_assertion),
    Check("An assertion for another server gets none", _TOKENS, _misdirected_assertion),
    Check("An assertion that has expired gets none", _TOKENS, _old_assertion),
    Check("The centre reads its own contract", "OpenAPI, get_centre", _own),
)
