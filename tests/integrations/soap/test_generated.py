"""What chance makes from the XSD is answered or refused by the contract, and never by a defect of ours."""

import logging
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from foundation.http_guard import PROBLEM
from integrations.contracts.binding import binding
from integrations.contracts.names import by_element, operations
from tests.integrations.desk import Desk
from tests.integrations.face import CENTRE, REVIEWER
from tests.integrations.soap.generator import SCHEMA, request, with_one_fault
from tests.integrations.soap.soap_client import SOAP_11, SOAP_12, content_type, enveloped, said
from tests.integrations.soap.soap_town import SoapTown, open_soap, state

NAMES = [each.name for each in operations()]
CALM = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
# What is asked for is done; it cannot be asked for again to find a smaller example.
FEW = settings(CALM, max_examples=6, phases=[Phase.generate])


@pytest.fixture
def town(desk: Desk) -> Iterator[SoapTown]:
    with open_soap(desk) as opened:
        yield opened


@CALM
@given(st.data())
def test_what_the_xsd_makes_is_valid_by_it_and_becomes_a_request(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    made = data.draw(request(name))

    assert SCHEMA.validate(made), SCHEMA.error_log
    bound = binding().to_json(made)
    assert bound.operation.name == name
    assert bound.path.startswith("/v1/")


def test_chance_gets_the_same_answer_over_both_faces_and_meets_no_defect(
    town: SoapTown, caplog: pytest.LogCaptureFixture
) -> None:
    seen: Counter[tuple[str, int]] = Counter()

    # REST is asked first: what it then did is SOAP's answer under the same key, and nothing is done twice.
    @FEW
    @given(st.data())
    def ask(name: str, data: st.DataObject) -> None:
        made = data.draw(request(name))
        who = data.draw(st.sampled_from([CENTRE, CENTRE, REVIEWER, "auditor"]))
        version = data.draw(st.sampled_from([SOAP_11, SOAP_12]))
        by_rest = _by_rest(town, made, who)
        message = enveloped(etree.tostring(made, encoding="unicode"), version)
        by_soap = said(town.post(message, content_type(version, by_element()[name]), who), version)
        # All of it, beside what stands in HTTP alone.
        seen[name, by_rest.status_code] += 1
        if by_element()[name].method == "DELETE" and by_rest.status_code < 400:
            # It has no key, and was there when REST was asked to end it.
            assert by_soap.name == "NotFound"
            return
        blamed = "Client" if version is SOAP_11 else "Sender"
        assert by_soap.code == ("" if by_rest.status_code < 400 else blamed), name
        if by_rest.headers["content-type"].partition(";")[0] in (PROBLEM, "application/json"):
            assert by_soap.json == by_rest.json(), name
        else:
            assert (by_soap.content or b"") == by_rest.content, name
        if "etag" in by_soap.headers:
            assert by_soap.headers["etag"] == by_rest.headers["etag"]

    with caplog.at_level(logging.ERROR):
        for name in NAMES:
            ask(name)
    assert {name for name, _ in seen} == set(NAMES)
    assert {200, 403, 404, 422} <= {status for _, status in seen}
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


def _by_rest(town: SoapTown, made: etree._Element, who: str) -> httpx.Response:
    bound = binding().to_json(made)
    # REST has no word for a document that was handed in before.
    assume(bound.reference is None)
    headers = [*bound.headers, *town.rest.bearer(who).items()]
    url = f"{town.url}{bound.path}" + (f"?{bound.query}" if bound.query else "")
    return town.http.request(bound.operation.method, url, headers=headers, content=bound.body)


def test_one_thing_wrong_is_refused_with_its_place_and_does_nothing(
    town: SoapTown, caplog: pytest.LogCaptureFixture
) -> None:
    refused: Counter[str] = Counter()
    before = state(town.rest.desk.database)

    @FEW
    @given(st.data())
    def ask(name: str, data: st.DataObject) -> None:
        # As it arrives: an empty text is none.
        made = etree.fromstring(etree.tostring(data.draw(with_one_fault(name))))
        if SCHEMA.validate(made):
            return
        message = enveloped(etree.tostring(made, encoding="unicode"), SOAP_12)
        answer = said(town.post(message, content_type(SOAP_12, by_element()[name]), CENTRE), SOAP_12)
        assert (answer.code, answer.name) == ("Sender", "InvalidInput")
        if answer.json["type"] != "urn:rakeeza:problem:unknown-operation":
            assert all(each["pointer"] and each["detail_ar"] for each in answer.json["errors"])
        refused[name] += 1

    with caplog.at_level(logging.ERROR):
        for name in NAMES:
            ask(name)
    assert set(refused) == set(NAMES)
    left = state(town.rest.desk.database)
    assert [name for name in left if left[name] != before[name]] == []
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []
