"""What chance makes from the XSD is answered or refused by the contract, and never by a defect of ours."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from integrations.contracts.binding import binding
from integrations.contracts.names import by_element, operations
from tests.integrations.desk import Desk
from tests.integrations.face import CENTRE
from tests.integrations.soap.generator import SCHEMA, request, with_one_fault
from tests.integrations.soap.soap_client import SOAP_12, content_type, enveloped, said
from tests.integrations.soap.soap_town import SoapTown, open_soap

NAMES = [each.name for each in operations()]
CALM = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


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


def test_chance_gets_an_answer_or_a_typed_fault_and_meets_no_defect(
    town: SoapTown, caplog: pytest.LogCaptureFixture
) -> None:
    codes: set[str] = set()

    @CALM
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(NAMES))
        made = data.draw(st.one_of(request(name), with_one_fault(name)))
        valid = SCHEMA.validate(made)
        message = enveloped(etree.tostring(made, encoding="unicode"), SOAP_12)
        answer = said(town.post(message, content_type(SOAP_12, by_element()[name]), CENTRE), SOAP_12)
        codes.add(answer.code)
        assert answer.code in ("", "Sender"), answer.json
        if not valid:
            assert answer.name in ("InvalidInput", "UnknownOperation")
            assert answer.json["errors"]

    with caplog.at_level(logging.ERROR):
        ask()
    assert codes == {"", "Sender"}
    assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []
