"""Checks: an application becomes a licence, by each face, and both tell the same of it."""

import json
import time
from collections.abc import Sequence
from typing import Any

from integrations.centres.conformance import expecting, papers
from integrations.centres.conformance.acts import TAKEN, application_of, new_key, submitted
from integrations.centres.conformance.checking import THEIRS, Check, Failed
from integrations.centres.conformance.envelopes import SOAP_12
from integrations.centres.conformance.faces import Face, Rest, Soap
from integrations.centres.conformance.soap_security import CLERKS
from integrations.centres.conformance.talking import Server

PATIENCE = 30.0  # seconds
_BETWEEN = 0.5  # seconds
_MOST_STEPS = 40
_NOT_YET = ("not-found", "not-ready")
_WALK = "docs/centres.md, A licence, step by step"
_TEST_SERVICE = "Give an application that asks to be approved; see docs/services.md, test services."


def _by_rest(server: Server) -> str:
    return _issued(server, Rest(server))


def _by_soap_11(server: Server) -> str:
    return _issued(server, Soap(server))


def _by_soap_12(server: Server) -> str:
    return _issued(server, Soap(server, SOAP_12))


def _issued(server: Server, face: Face) -> str:
    """Walk an application until its licence is there."""
    number = submitted(face, application_of(server), new_key()).json["number"]
    ends = time.monotonic() + PATIENCE
    for _ in range(_MOST_STEPS):
        case = face.done("get_case", {"number": number}).json
        if case["licence"] and case["final"]:
            break
        if not _step(face, case):
            if case["final"] or time.monotonic() > ends:
                raise Failed(
                    f"{face.name}: the case {number} stays in {case['state']}{_bill(case)}.", _TEST_SERVICE
                )
            time.sleep(_BETWEEN)
    else:
        raise Failed(f"{face.name}: the case {number} comes to no end.", THEIRS)
    _check(server, face, case["licence"])
    return f"Case {number}, licence {case['licence']}."


def _step(face: Face, case: dict[str, Any]) -> bool:
    """Do what the centre can do now; whether there was anything."""
    write = {"number": case["number"], "idempotencyKey": new_key()}
    for each in case["documents"]:
        if each["needed"] and not each["present"]:
            kind, paper = papers.of(each["types"])
            name = f"{each['code']}.{kind.rpartition('/')[2]}"
            more = {"code": each["code"], "name": name, "contentType": kind}
            face.done("put_document", {**write, **more}, paper)
            return True
    # Every service lets a centre withdraw, which leads to no licence.
    names = [each["name"] for each in case["actions"]]
    onward = next((each for each in names if not each.startswith("withdraw")), None)
    if onward in ("quote", "invoice"):
        face.done(onward, write)
    elif onward is not None:
        face.done("take_action", {**write, "action": onward}, {})
    return onward is not None


def _bill(case: dict[str, Any]) -> str:
    bill = case["invoice"]
    if bill is None or bill["state"] != "open":
        return ""
    return f"; its bill {bill['bill_number']} of {bill['rest']} {bill['currency']} is not paid"


def _check(server: Server, face: Face, licence: str) -> None:
    told = face.done("get_licence", {"number": licence}).json
    if told["number"] != licence or told["status"] != "valid":
        raise Failed(f"{face.name}: the licence {told['number']} is {told['status']}.", THEIRS)
    paper = _paper(face, licence)
    if not paper.startswith(b"%PDF-"):
        raise Failed(f"{face.name}: the paper of {licence} is no PDF.", THEIRS)
    if isinstance(face, Soap):
        rest = Rest(server)
        if rest.done("get_licence", {"number": licence}).json != told:
            raise Failed(f"REST and {face.name} tell different things of {licence}.", THEIRS)
        if paper != _paper(rest, licence):
            raise Failed(f"The paper of {licence} is another by REST than by {face.name}.", THEIRS)
        if face.packed_answer("get_document", {"number": licence}) != paper:
            raise Failed(f"The paper of {licence} is another as an attachment.", THEIRS)
    # Nobody may take a test for a licence.
    verified = server.http.get(f"{server.url}/v1/verify/{licence}")
    expecting.problem(verified, 404, "licence-is-test", THEIRS)


def _paper(face: Face, licence: str) -> bytes:
    """The paper, which is made after the licence is."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if face.ask("get_document", {"number": licence}).kind not in _NOT_YET:
            break
        time.sleep(_BETWEEN)
    return face.done("get_document", {"number": licence}).content


def _same_reading(server: Server) -> None:
    rest, soaps = Rest(server), (Soap(server), Soap(server, SOAP_12))
    number = submitted(rest, application_of(server), new_key()).json["number"]
    for operation, parameters in (
        ("get_case", {"number": number}),
        ("list_documents", {"number": number}),
        ("get_centre", {}),
        ("list_services", {"channel": "centre"}),
    ):
        told = json.loads(rest.done(operation, parameters).content)
        for soap in soaps:
            if json.loads(soap.done(operation, parameters).content) != told:
                raise Failed(f"{operation} is answered otherwise by {soap.name} than by REST.", THEIRS)


CHECKS: Sequence[Check] = (
    Check("Both faces tell the same of a case", "OpenAPI; licensing.wsdl", _same_reading, (TAKEN, CLERKS)),
    Check("A licence is issued by REST", _WALK, _by_rest, (TAKEN,)),
    Check("A licence is issued by SOAP 1.1", f"{_WALK}; MTOM 1.0", _by_soap_11, (TAKEN, CLERKS)),
    Check("A licence is issued by SOAP 1.2", f"{_WALK}; MTOM 1.0", _by_soap_12, (TAKEN, CLERKS)),
)
