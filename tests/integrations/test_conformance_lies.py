"""Servers that do not conform: the suite finds each, so that every check can fail, and fails for its reason.

Between the suite and the real server stands a transport that changes what is answered.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import httpx
import pytest
from lxml import etree

from integrations.centres.conformance import CHECKS, GROUPS, Check, Outcome, Server, carry_out, licence
from integrations.centres.conformance.acts import TAKEN
from integrations.centres.conformance.checking import Group
from integrations.centres.conformance.reach import CLOCKS, REACHED
from integrations.centres.conformance.talking import Credentials
from integrations.contracts.versions import HEADER
from tests.integrations.conformance_town import (
    APPLICATION,
    TEST_CENTRE,
    Change,
    Lying,
    add_test_centre,
    known_of,
    papers_made,
    serve_rest_of_contract,
    soap_secret,
)
from tests.integrations.signed_town import Kit, Town

pytest_plugins = ["tests.integrations.signed_fixtures"]

SOAP = "/v1/soap"
PROBLEM = "application/problem+json"
LICENCES = {each.name for each in CHECKS if each.name.startswith("A licence is issued")}
ONCE = {
    "An assertion is good for one token",
    "A request is taken once",
    "A nonce is taken once",
    "A message is taken once",
    "A token's nonce is taken once",
}


@dataclass
class Suite:
    """The suite, with somebody between it and the server.

    Args:
        between: tells no lie at first.
    """

    server: Server
    between: Lying

    @cached_property
    def honest(self) -> dict[str, Outcome]:
        """What becomes of each check that is tried when nobody lies."""
        found = {each.name: each for each in carry_out(self.server, GROUPS) if each.result != "left out"}
        assert all(each.result == "passed" for each in found.values())
        return found

    def under(self, change: Change, *names: str) -> dict[str, Outcome]:
        """What becomes of checks when this lie is told, each for itself: no other failure hides it.

        Args:
            names: of the checks; none for every one that is tried.
        """
        assert self.server.token
        chosen = [each for each in CHECKS if each.name in (names or self.honest)]
        found = {}
        self.between.change = change
        for check in chosen:
            alone = Check(check.name, check.section, check.ask)
            (found[check.name],) = carry_out(self.server, [Group("alone", (alone,))])
        self.between.change = honestly
        return found

    def caught(self, change: Change, *names: str) -> set[str]:
        """The checks that fail when this lie is told."""
        return {name for name, each in self.under(change, *names).items() if each.result == "failed"}

    def refusing(self) -> set[str]:
        """The checks that expect a refusal."""
        return {
            name
            for name, outcome in self.honest.items()
            if any(each.answer is not None and each.answer.status_code >= 400 for each in outcome.exchanges)
            # A licence's paper is asked for until it is there.
            and name not in LICENCES
        }


def honestly(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
    """No lie."""
    return answer


def other(answer: httpx.Response, status: int, content: bytes, kind: str | None = None) -> httpx.Response:
    """Another answer in the place of one."""
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("content-length", "content-type")
    }
    return httpx.Response(
        status, headers={**headers, "content-type": kind or answer.headers["content-type"]}, content=content
    )


def rewritten(
    pattern: bytes, replacement: bytes, only: Callable[[httpx.Request], bool] = lambda _: True
) -> Change:
    """A lie that writes something of its answers otherwise."""

    def change(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if not only(request) or "content-type" not in answer.headers:
            return answer
        content = re.sub(pattern, replacement, answer.content, flags=re.DOTALL)
        return other(answer, answer.status_code, content)

    return change


@contextmanager
def opened(town: Town, known: Credentials) -> Iterator[Suite]:
    """The suite before a town."""
    serve_rest_of_contract(town)
    between = Lying(honestly)
    with httpx.Client(timeout=60, transport=between) as http:
        yield Suite(Server(town.url, known, http), between)


@pytest.fixture
def suite(town: Town, kit: Kit) -> Iterator[Suite]:
    """The suite without an application."""
    with opened(town, known_of(kit, secret=soap_secret(town))) as found:
        yield found


@pytest.fixture
def applying(town: Town, monkeypatch: pytest.MonkeyPatch) -> Iterator[Suite]:
    """The suite with an application of the test service."""
    monkeypatch.setattr(licence, "PATIENCE", 5.0)
    known = known_of(add_test_centre(town), APPLICATION, soap_secret(town, TEST_CENTRE))
    with papers_made(town), opened(town, known) as found:
        yield found


def test_a_server_that_answers_200_to_everything_fails_every_check_of_a_refusal(applying: Suite) -> None:
    refusing = applying.refusing()
    assert len(refusing) > 45
    envelopes = {
        each.answer.headers["content-type"].partition(";")[0]: each.answer.content
        for each in applying.honest["A message that the centre signs is answered"].exchanges
        if each.answer is not None
    }

    def welcoming(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if answer.status_code < 400:
            return answer
        if request.url.path == SOAP:
            kind = answer.headers["content-type"].partition(";")[0]
            return other(answer, 200, envelopes[kind])
        return other(answer, 200, b'{"code": "dev-1", "number": "TESTC-2026-000001"}', "application/json")

    assert refusing - applying.caught(welcoming) == set()


def test_a_server_that_refuses_everything_fails_every_check_of_an_answer(applying: Suite) -> None:
    (fault,) = [
        each
        for each in applying.honest["A write without the clerk's token is refused"].exchanges
        if each.answer is not None and each.answer.headers["content-type"].startswith("text/xml")
    ]
    (fault_12,) = [
        each
        for each in applying.honest["A write without the clerk's token is refused"].exchanges
        if each.answer is not None and not each.answer.headers["content-type"].startswith("text/xml")
    ]

    def closed(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if request.url.path == SOAP and request.method == "POST":
            told = fault_12 if b"2003/05/soap-envelope" in request.content else fault
            assert told.answer is not None
            return told.answer
        document = {
            "type": "urn:rakeeza:problem:proof-missing",
            "status": 403,
            "detail": "No.",
            "title": "No",
        }
        return other(answer, 403, json.dumps(document).encode(), PROBLEM)

    caught = applying.caught(closed)
    # The one that expects this very refusal by SOAP, and what no answer can make fail.
    assert set(applying.honest) - caught == {
        REACHED,
        CLOCKS,
        "A write without the clerk's token is refused",
    }


def test_a_server_that_breaks_fails_every_check_and_ends_none(applying: Suite) -> None:
    def broken(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return other(answer, 500, b"<html>It works!\x1b[31m", "text/html")

    found = applying.under(broken)
    assert {name for name, each in found.items() if each.result != "failed"} == {REACHED, CLOCKS}
    for each in found.values():
        if each.result == "failed":
            assert each.detail
            assert each.remedy


def test_answers_that_are_half_json_or_half_xml_fail_every_check_and_end_none(suite: Suite) -> None:
    def halved(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return other(answer, answer.status_code, answer.content[: len(answer.content) // 2])

    found = suite.under(halved)
    assert {name for name, each in found.items() if each.result != "failed"} == {REACHED, CLOCKS}


def test_a_server_that_names_its_refusals_otherwise_fails_every_check_of_a_refusal(suite: Suite) -> None:
    def misnamed(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        content = re.sub(rb"urn:rakeeza:problem:[a-z-]+", b"urn:rakeeza:problem:other", answer.content)
        content = content.replace(b'"error":"invalid_client"', b'"error":"invalid_request"')
        return other(answer, answer.status_code, content)

    assert suite.refusing() - suite.caught(misnamed) == set()


def test_a_fault_in_another_element_is_found(suite: Suite) -> None:
    misplaced = rewritten(rb"(</?)(?:NotAuthenticated|Malformed|InvalidInput)\b", rb"\1Conflict")
    expected = {
        name
        for name in suite.refusing()
        if any(each.request.url.path == SOAP for each in suite.honest[name].exchanges)
    }
    told_by_type_alone = {
        "A write without the clerk's token is refused",
        "A message that is sent as JSON is refused",
        "A write that is refused by SOAP leaves nothing",
    }
    assert expected - told_by_type_alone - suite.caught(misplaced) == set()


def test_the_standards_own_code_of_a_fault_is_looked_at(suite: Suite) -> None:
    miscoded = rewritten(
        rb">(wsse|wsu):(FailedCheck|MessageExpired|FailedAuthentication)<", rb">soap:Client<"
    )
    caught = suite.caught(miscoded)
    assert {
        "A Body that was changed is refused",
        "A Timestamp of ten minutes ago is refused",
        "A clerk's wrong secret is refused",
    } <= caught
    assert "A message with a DOCTYPE is refused" not in caught


def test_a_refusal_that_is_told_in_english_alone_is_found(suite: Suite) -> None:
    def english(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        content = answer.content
        if answer.status_code >= 400:
            content = re.sub(rb"(?:[\xd8-\xdb][\x80-\xbf])+", b"?", content)
        return other(answer, answer.status_code, content)

    oauth = {each for each in suite.honest if each.startswith("An assertion ")}
    assert suite.refusing() - oauth - suite.caught(english) == set()


def test_a_server_that_forgets_what_it_has_seen_is_found_by_the_checks_of_it(suite: Suite) -> None:
    taken: dict[str, httpx.Response] = {}

    def forgetful(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        kind = request.headers.get("content-type", "").partition(";")[0]
        refused = re.search(rb"signature-reused|received before|used before|already", answer.content)
        key = f"{request.url.path} {kind}"
        if refused and key in taken:
            return taken[key]
        taken[key] = answer
        return answer

    assert suite.caught(forgetful) == ONCE


def test_a_write_that_is_done_twice_is_found(applying: Suite) -> None:
    twice = {"The same write twice is done once", "The same write by REST and by SOAP is done once"}
    silent = rewritten(rb"<replayed>true</replayed>", b"")

    def unmarked(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        changed = silent(request, answer)
        changed.headers.pop("idempotency-replayed", None)
        return changed

    assert applying.caught(unmarked, *twice) == twice
    count = iter(range(100_000, 900_000))

    def counting(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if request.url.path != "/v1/cases" or request.method != "POST" or answer.status_code != 201:
            return answer
        number = str(json.loads(answer.content)["number"])
        return other(answer, 201, answer.content.replace(number.encode(), b"TESTC-2026-%d" % next(count)))

    assert twice == applying.caught(counting, *twice)


def test_a_refused_write_that_leaves_a_case_or_uses_the_quota_is_found(applying: Suite) -> None:
    count = iter(range(10_000))

    def growing(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if b"ListCases" not in request.content and request.url.path != "/v1/cases":
            return answer
        return other(
            answer,
            answer.status_code,
            re.sub(rb"TESTC-2026-\d+", b"TESTC-2026-%06d" % next(count), answer.content),
        )

    names = {f"A write that is refused by {face} leaves nothing" for face in ("REST", "SOAP")}
    assert applying.under(honestly, TAKEN)[TAKEN].result == "passed"
    assert applying.caught(honestly, *names) == set()
    assert applying.caught(growing, *names) == names


def test_faces_that_tell_different_things_and_papers_that_are_others_are_found(applying: Suite) -> None:
    by_soap = rewritten(
        rb"<(title_ar|ar)>[^<]+<", rb"<\1>\xd8\xba\xd9\x8a\xd8\xb1<", lambda each: each.url.path == SOAP
    )
    same = "Both faces tell the same of a case"
    assert applying.caught(by_soap, same) == {same}
    paper = rewritten(rb"%PDF-1\.\d", b"%PNG-1.0")
    assert applying.caught(paper, "A licence is issued by REST") == {"A licence is issued by REST"}
    attached = rewritten(rb"%%EOF", b"%%FOE", lambda each: "multipart" in each.headers.get("accept", ""))
    by_soap_too = LICENCES - {"A licence is issued by REST"}
    assert applying.caught(attached, *by_soap_too) == by_soap_too


def test_another_wsdl_or_schema_is_found_and_a_newer_one_is_told(suite: Suite) -> None:
    wsdl, schema = (
        "The WSDL is the one that this program knows",
        "The schema is the one that this program knows",
    )
    moved = rewritten(rb'urn:rakeeza:licensing:1/Submit"', b'urn:rakeeza:licensing:1/Send"')
    assert suite.caught(moved, wsdl) == {wsdl}
    fewer = rewritten(rb'<xs:element name="Submit" type="l:Submit">.*?</xs:element>', b"")
    assert suite.caught(fewer, schema) == {schema}

    def newer(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if request.url.query != b"wsdl":
            return answer
        root = etree.fromstring(answer.content)
        for binding in root.iter("{http://schemas.xmlsoap.org/wsdl/}binding"):
            added = etree.SubElement(binding, "{http://schemas.xmlsoap.org/wsdl/}operation", name="Later")
            etree.SubElement(
                added, "{http://schemas.xmlsoap.org/wsdl/soap/}operation", soapAction="urn:later"
            )
        return other(answer, 200, etree.tostring(root))

    told = suite.under(newer, wsdl)[wsdl]
    assert (told.result, "newer" in told.detail) == ("passed", True)


def test_another_openapi_and_a_server_of_something_else_are_found(suite: Suite) -> None:
    contract = "The licensing contract is served"
    without = rewritten(rb'"/v1/bulk/cases"', b'"/v1/bulk/none"')
    found = suite.under(without, contract)[contract]
    assert (found.result, "/v1/bulk/cases" in found.detail) == ("failed", True)
    version = "Its version is told, and known here"

    def later(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        answer.headers[HEADER] = "2"
        return answer

    def ending(_request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        answer.headers["Sunset"] = "Tue, 01 Jan 2030 00:00:00 GMT"
        return answer

    assert "says version 2" in suite.under(later, version)[version].detail
    told = suite.under(ending, version)[version]
    assert (told.result, "ends on Tue, 01 Jan 2030" in told.detail) == ("passed", True)
    strange = rewritten(rb'"/v1/', b'"/v9/', lambda each: each.url.path == "/openapi.json")
    assert "not the licensing contract" in suite.under(strange, contract)[contract].detail
