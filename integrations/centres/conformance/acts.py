"""Checks: with an application, that an act is done once, and only what the contract delegates."""

import secrets
from collections.abc import Sequence
from typing import Any

from integrations.centres.conformance import expecting
from integrations.centres.conformance.checking import Check, Failed, LeftOut
from integrations.centres.conformance.talking import Server

_CASES = "/v1/cases"
_ONCE = "docs/centres.md, Sending again; OpenAPI, submit"
_THEIRS = "Tell the municipality; this is the server's fault."
_APPLICATION = "Is it one of a service that the contract delegates, as POST /v1/cases takes it?"


def _opened(server: Server) -> None:
    number = _submitted(server, _application(server), secrets.token_hex(16))["number"]
    answer = server.send(server.signed(server.request("GET", f"{_CASES}/{number}")))
    if expecting.success(answer, _THEIRS).get("number") != number:
        raise Failed("The case that was opened is not the one that is read.", _THEIRS)


def _once(server: Server) -> None:
    key, application = secrets.token_hex(16), _application(server)
    first = _submitted(server, application, key)
    request = server.request("POST", _CASES, application, Idempotency_Key=key)
    answer = server.send(server.signed(request))
    again = expecting.success(answer, _THEIRS)
    if again.get("number") != first["number"] or answer.headers.get("idempotency-replayed") != "true":
        raise Failed(f"The same write opened {first['number']} and {again.get('number')}.", _THEIRS)


def _another_under_one_key(server: Server) -> None:
    key, application = secrets.token_hex(16), _application(server)
    _submitted(server, application, key)
    other = {**application, "form": {**application.get("form", {}), "_": secrets.token_hex(4)}}
    request = server.request("POST", _CASES, other, Idempotency_Key=key)
    expecting.problem(server.send(server.signed(request)), 422, "idempotency-mismatch", _THEIRS)


def _undelegated(server: Server) -> None:
    application = _application(server)
    own = server.send(server.signed(server.request("GET", "/v1/centre")))
    contract = expecting.success(own, _THEIRS).get("contract") or {}
    delegated = {each["service"] for each in contract.get("services", [])}
    offered = expecting.success(server.http.get(f"{server.url}/v1/services?channel=centre"), _THEIRS)["items"]
    others = [each["code"] for each in offered if each["code"] not in delegated]
    if not others:
        raise LeftOut("The contract delegates every service.")
    request = server.request("POST", _CASES, {**application, "service": others[0]})
    expecting.problem(server.send(server.signed(request)), 403, "service-not-delegated", _THEIRS)


def _application(server: Server) -> dict[str, Any]:
    if server.credentials.application is None:
        raise LeftOut("No application was given.")
    return dict(server.credentials.application)


def _submitted(server: Server, application: dict[str, Any], key: str) -> dict[str, Any]:
    request = server.request("POST", _CASES, application, Idempotency_Key=key)
    told: dict[str, Any] = expecting.success(server.send(server.signed(request)), _APPLICATION)
    return told


CHECKS: Sequence[Check] = (
    Check("An application is taken, and its case is read", "OpenAPI, submit and get_case", _opened),
    Check("The same write twice is done once", _ONCE, _once),
    Check("Another write under the same key is refused", _ONCE, _another_under_one_key),
    Check("A service that is not delegated is refused", "The contract of the centre", _undelegated),
)
