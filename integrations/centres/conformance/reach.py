"""Checks: the server can be reached, knows the centre, and gives it tokens."""

from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from integrations.centres.conformance import expecting
from integrations.centres.conformance.checking import THEIRS, Check, Failed, LeftOut
from integrations.centres.conformance.talking import Server
from integrations.contracts import licensing
from integrations.contracts.versions import HEADER

REACHED = "The server answers"
CLOCKS = "Both clocks agree"
TOKEN = "An assertion under the centre's key gets a token"

_CLOCK = 60  # seconds
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
_TOKENS = "docs/centres.md, Tokens; RFC 7523"
_CONTRACT = "/openapi.json"


def _reached(server: Server) -> None:
    server.http.get(server.url + _CONTRACT)


def _tls(server: Server) -> None:
    parts = urlsplit(server.url)
    if parts.scheme == "https":
        return
    if parts.hostname in _HERE:
        raise LeftOut("The server is on this machine.")
    raise Failed("The address is not one of TLS.", "Use the address that begins with https.")


def _contract(server: Server) -> str:
    answer = server.http.get(server.url + _CONTRACT)
    document = expecting.success(answer, "Is this the address of the API, without a path?")
    paths = document.get("paths")
    if not isinstance(paths, dict) or "/v1/cases" not in paths:
        raise Failed("What is served is not the licensing contract.", "Is this the address of the API?")
    missing = [
        f"{method.upper()} {path}"
        for path, methods in licensing()["paths"].items()
        for method in methods
        if method not in paths.get(path, {})
    ]
    if missing:
        raise Failed(
            f"The server's contract is without {missing[0]} ({len(missing)} in all).",
            "Does the municipality run an older version than this program?",
        )
    return f"This program knows version {known_version()} of the contract."


def _version(server: Server) -> str:
    answer = server.http.get(f"{server.url}/v{known_version()}/services")
    expecting.success(answer, THEIRS)
    told = answer.headers.get(HEADER)
    if told != known_version():
        raise Failed(
            f"The server says version {told or 'none'}, and this program knows version {known_version()}.",
            "Take the program that the municipality runs.",
        )
    ends = answer.headers.get("sunset")
    return f"It is version {told}{f', which ends on {ends}' if ends else ''}."


def known_version() -> str:
    """The version of the contract that this program knows."""
    return str(licensing()["info"]["version"])


def _clock(server: Server) -> None:
    said = server.http.get(server.url + _CONTRACT).headers.get("date")
    if said is None:
        raise LeftOut("The server does not tell the time.")
    ahead = (server.now() - parsedate_to_datetime(said)).total_seconds()
    if abs(ahead) > _CLOCK:
        which = "ahead of" if ahead > 0 else "behind"
        raise Failed(
            f"The clock of this machine is {abs(ahead):.0f} seconds {which} the server's.",
            "Set it by a time server (NTP); what is signed holds for 300 seconds at most.",
        )


def _token(server: Server) -> None:
    server.token = server.new_token()


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


def _own(server: Server) -> str:
    request = server.request("GET", "/v1/centre")
    answer = server.send(server.by_one("centre", request, server.credentials.by_centre))
    told = expecting.success(answer, "Is the code the centre's, and has it a contract in force?")
    if told.get("code") != server.credentials.centre:
        raise Failed(f"The server takes this centre for {told.get('code')!r}.", "Whose certificate is it?")
    contract = told.get("contract") or {}
    services = ", ".join(each["service"] for each in contract.get("services", [])) or "none"
    return f"Contract {contract.get('reference', '-')}; services: {services}."


def _asked(server: Server, form: dict[str, Any]) -> httpx.Response:
    return server.http.post(server.url + "/v1/oauth/token", data=form)


def _refused(answer: httpx.Response, otherwise: str) -> None:
    # RFC 6749, section 5.2: no problem document here, but what OAuth has for it.
    kind = answer.headers.get("content-type", "").partition(";")[0]
    error = expecting.json_of(answer).get("error") if kind == "application/json" else None
    if answer.status_code == 200:
        raise Failed(otherwise, THEIRS)
    if answer.status_code != 401 or error != "invalid_client":
        raise Failed(f"The answer was {answer.status_code} {error}, not 401 invalid_client.", THEIRS)


CHECKS: Sequence[Check] = (
    Check(REACHED, "RFC 9110", _reached),
    Check("The server is reached over TLS", "docs/centres.md, Tokens; RFC 8446", _tls),
    Check("The licensing contract is served", "OpenAPI, paths", _contract, (REACHED,)),
    Check("Its version is told, and known here", "OpenAPI, info; RFC 8594", _version, (REACHED,)),
    Check(CLOCKS, "docs/centres.md, What is signed", _clock, (REACHED,)),
    Check(TOKEN, _TOKENS, _token, (REACHED, CLOCKS)),
    Check("An assertion is good for one token", _TOKENS, _used_assertion, (TOKEN,)),
    Check("An assertion for another server gets none", _TOKENS, _misdirected_assertion, (TOKEN,)),
    Check("An assertion that has expired gets none", _TOKENS, _old_assertion, (TOKEN,)),
    Check("The centre reads its own contract", "OpenAPI, get_centre", _own, (TOKEN,)),
)
