"""Checks: a refused write leaves nothing, and one that is taken is done once, whichever face it comes by."""

import secrets
from collections.abc import Sequence
from typing import Any

from integrations.cases.numbers import is_test
from integrations.centres.conformance import expecting
from integrations.centres.conformance.checking import THEIRS, Check, Failed, LeftOut
from integrations.centres.conformance.faces import Answer, Face, Rest, Soap
from integrations.centres.conformance.signing import BOTH
from integrations.centres.conformance.soap_security import CLERKS
from integrations.centres.conformance.talking import Server

TAKEN = "An application is taken, and its case is read"

# Its form is missing, which is told before anybody asks of what service it is.
_ANY = "any"
_ONCE = "docs/centres.md, Sending again; OpenAPI, submit"
_CONTRACT = "docs/centres.md, Refusals"
# A test centre is told that what is real is not for it.
_NOT_DELEGATED = ("service-not-delegated", "centre-is-test")
_APPLICATION = "Is it one of a service that the contract delegates, as POST /v1/cases takes it?"


def application_of(server: Server) -> dict[str, Any]:
    """The application that was given.

    Raises:
        LeftOut: none was.
    """
    if server.credentials.application is None:
        raise LeftOut("Give --application: an application of a test service.")
    return dict(server.credentials.application)


def submitted(face: Face, application: dict[str, Any], key: str) -> Answer:
    """An application that is taken.

    Raises:
        Failed: it is not, and by which face.
    """
    try:
        return face.done("submit", {"idempotencyKey": key}, application)
    except Failed as failure:
        raise Failed(failure.detail, _APPLICATION) from failure


def new_key() -> str:
    """An Idempotency-Key that no other write has."""
    return secrets.token_hex(16)


def _nothing_left_by_rest(server: Server) -> None:
    face, before = Rest(server), _state(Rest(server))
    refused = face.ask("submit", {"idempotencyKey": new_key()}, {"service": _ANY})
    _nothing_left(face, refused, before)


def _nothing_left_by_soap(server: Server) -> None:
    face, before = Soap(server), _state(Soap(server))
    whole = {"service": _ANY, "form": {}}
    refused = face.ask("submit", {"idempotencyKey": new_key()}, whole, without="form")
    _nothing_left(face, refused, before)


def _nothing_left(face: Face, refused: Answer, before: tuple[Any, ...]) -> None:
    if refused.kind != "invalid-input":
        said = refused.kind or "an answer"
        raise Failed(f"{face.name}: an application without its form was met with {said}.", THEIRS)
    expecting.check_languages(refused.json, refused.kind)
    if _state(face) != before:
        raise Failed(f"{face.name}: a write that was refused left something behind.", THEIRS)


def _state(face: Face) -> tuple[Any, ...]:
    cases = face.done("list_cases").json["items"]
    contract = face.done("get_centre").json.get("contract") or {}
    return [each["number"] for each in cases], contract.get("used")


def _opened(server: Server) -> str:
    face = Rest(server)
    number = str(submitted(face, application_of(server), new_key()).json["number"])
    if not is_test(number):
        raise Failed(
            f"The application opened {number}, which is a real case; nothing more is opened.",
            "Withdraw it, and give an application of a test service, as a test centre.",
        )
    if face.done("get_case", {"number": number}).json.get("number") != number:
        raise Failed("The case that was opened is not the one that is read.", THEIRS)
    return f"Case {number}."


def _once(server: Server) -> None:
    key, application = new_key(), application_of(server)
    _same(submitted(Rest(server), application, key), submitted(Rest(server), application, key))


def _once_on_both(server: Server) -> None:
    application, rest, soap = application_of(server), Rest(server), Soap(server)
    for first, second in ((rest, soap), (soap, rest)):
        key = new_key()
        _same(submitted(first, application, key), submitted(second, application, key))


def _same(first: Answer, again: Answer) -> None:
    if first.json != again.json:
        raise Failed(f"The same write opened {first.json['number']} and {again.json['number']}.", THEIRS)
    if first.replayed or not again.replayed:
        raise Failed("What was done before is not told by Idempotency-Replayed.", THEIRS)


def _another_under_one_key(server: Server) -> None:
    key, application = new_key(), application_of(server)
    submitted(Rest(server), application, key)
    other = {**application, "form": {**application.get("form", {}), "_": secrets.token_hex(4)}}
    faces: list[Face] = [Rest(server)]
    if server.credentials.soap_clerk is not None:
        faces.append(Soap(server))
    for face in faces:
        refused = face.ask("submit", {"idempotencyKey": key}, other)
        if refused.kind != "idempotency-mismatch":
            raise Failed(
                f"{face.name}: it was met with {refused.kind or 'an answer'}, not idempotency-mismatch.",
                THEIRS,
            )
        expecting.check_languages(refused.json, refused.kind)


def _undelegated(server: Server) -> None:
    application = application_of(server)
    contract = Rest(server).done("get_centre").json.get("contract") or {}
    delegated = {each["service"] for each in contract.get("services", [])}
    offered = expecting.success(server.http.get(f"{server.url}/v1/services?channel=centre"), THEIRS)["items"]
    others = [each["code"] for each in offered if each["code"] not in delegated]
    if not others:
        raise LeftOut("The contract delegates every service.")
    faces: list[Face] = [Rest(server)]
    if server.credentials.soap_clerk is not None:
        faces.append(Soap(server))
    for face in faces:
        refused = face.ask("submit", {"idempotencyKey": new_key()}, {**application, "service": others[0]})
        if refused.kind not in _NOT_DELEGATED:
            raise Failed(
                f"{face.name}: it was met with {refused.kind or 'an answer'}, not {_NOT_DELEGATED[0]}.",
                THEIRS,
            )
        expecting.check_languages(refused.json, refused.kind)


CHECKS: Sequence[Check] = (
    Check(
        "A write that is refused by REST leaves nothing", "OpenAPI, submit", _nothing_left_by_rest, (BOTH,)
    ),
    Check(
        "A write that is refused by SOAP leaves nothing",
        "licensing.wsdl, Submit",
        _nothing_left_by_soap,
        (CLERKS,),
    ),
    Check(TAKEN, "OpenAPI, submit and get_case", _opened, (BOTH,)),
    Check("The same write twice is done once", _ONCE, _once, (TAKEN,)),
    Check("The same write by REST and by SOAP is done once", _ONCE, _once_on_both, (TAKEN, CLERKS)),
    Check("Another write under the same key is refused", _ONCE, _another_under_one_key, (TAKEN,)),
    Check("A service that is not delegated is refused", _CONTRACT, _undelegated, (TAKEN,)),
)
