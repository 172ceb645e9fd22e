"""What travels by SOAP is what travels by REST."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from foundation.errors import InvalidInput
from integrations import contracts
from integrations.contracts import xsd
from integrations.contracts.binding import (
    OutOfContract,
    answer_json,
    binding,
    request_text,
    to_json,
    to_xml,
)
from integrations.contracts.names import NAMESPACE, Operation, by_id, fault_elements, operations
from tests.integrations.contract_messages import asked, said, valid
from tests.integrations.contract_values import answered, parameters, same, sent, values
from tests.integrations.desk import PNG

pytest_plugins = ["tests.integrations.face_fixtures"]

OPERATIONS = operations()
NAMES = [each.id for each in OPERATIONS]
XSI = "http://www.w3.org/2001/XMLSchema-instance"
TWICE = '<field name="a"><nothing>true</nothing></field><field name="a"><nothing>true</nothing></field>'
FIELDS = (
    f'<Submit xmlns="{NAMESPACE}"><idempotencyKey>k</idempotencyKey><service>shop</service>'
    "<form>{}</form></Submit>"
)


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_a_right_request_is_valid_and_read_as_it_was_meant(operation: Operation, data: st.DataObject) -> None:
    beside, body = data.draw(parameters(operation)), data.draw(sent(operation))
    request = asked(request_text(operation, beside, body))
    assert request.operation is operation
    assert said(request) == beside
    if body is None or operation.binary:
        assert request.body == body
    else:
        assert request.body is not None
        assert same(request.body, body)
        assert ("content-type", "application/json") in request.headers


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_a_promised_answer_is_valid_and_read_back_as_it_was(
    operation: Operation, data: st.DataObject
) -> None:
    headers, body = data.draw(answered(operation.answer))
    element = to_xml(operation, operation.answer.status, headers, body)
    valid(element)
    name, told, back = answer_json(element)
    assert (name, told) == (operation.response, headers)
    if operation.answer.body:
        assert back is not None
        assert same(back, body)
    else:
        assert (back or b"") == body


@settings(max_examples=30, deadline=None)
@given(
    problem=values({"$ref": "#/components/schemas/Problem"}),
    status=st.sampled_from([400, 404, 409, 422, 429, 500, 503]),
)
def test_a_problem_is_a_valid_fault_with_the_same_words(problem: dict[str, Any], status: int) -> None:
    body = json.dumps(problem).encode()
    for operation in (by_id()["submit"], None):
        element = to_xml(operation, status, {"retry-after": "3", "www-authenticate": "Bearer"}, body)
        valid(element)
        name, told, back = answer_json(element)
        assert name in fault_elements()
        assert told == ({"retry-after": "3"})
        assert json.loads(back or b"") == problem


def test_each_named_problem_of_an_operation_is_its_own_fault() -> None:
    submit = by_id()["submit"]
    names = {
        status: submit.fault(status) for status in (400, 401, 403, 404, 409, 413, 415, 422, 503, 429, 500)
    }
    assert names[409] == "Conflict"
    assert names[422] == "InvalidInput"
    assert names[429] == names[500] == "Problem"
    assert set(names.values()) <= set(fault_elements())


def test_the_examples_of_the_contract_are_read_as_they_are_written() -> None:
    seen = 0
    for operation in OPERATIONS:
        said_of = contracts.licensing()["paths"][operation.path][operation.method.lower()]
        content = said_of.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in content.get("examples", {}).values():
            body = json.dumps(example["value"]).encode()
            beside = {each.element: "k1" for each in operation.parameters if each.name == "Idempotency-Key"}
            beside |= {each.element: "7" for each in operation.parameters if each.where == "path"}
            assert same(asked(request_text(operation, beside, body)).body or b"", body)
            seen += 1
    assert seen >= 3


def test_a_number_keeps_every_digit() -> None:
    written = FIELDS.format(
        '<field name="a"><number>+0012.500</number></field><field name="b"><number>-.5</number></field>'
        '<field name="c"><number> 7. </number></field><field name="d"><number>-0</number></field>'
        f'<field name="e"><number>{"9" * 60}.{"1" * 60}</number></field>'
    )
    body = asked(written).body or b""
    assert body.endswith(
        b'"form":{"a":12.500,"b":-0.5,"c":7,"d":-0,"e":' + b"9" * 60 + b"." + b"1" * 60 + b"}}"
    )


def test_the_order_of_free_fields_and_of_lists_is_kept() -> None:
    form = {"z": 1, "a": [3, {"y": None, "b": True}, "x"], "m": {}}
    text = request_text(
        by_id()["submit"], {"idempotencyKey": "k"}, json.dumps({"service": "s", "form": form}).encode()
    )
    read = json.loads(asked(text).body or b"")
    assert json.dumps(read["form"]) == json.dumps(form)


@pytest.mark.parametrize(
    "fields",
    [
        '<field name="a"><flag>1</flag></field><field name="a"><flag>0</flag></field>',
        f'<field name="o"><object>{TWICE}</object></field>',
        f'<field name="l"><list><item><object>{TWICE}</object></item></list></field>',
    ],
)
def test_a_field_that_stands_twice_is_refused(fields: str) -> None:
    element = etree.fromstring(FIELDS.format(fields))
    valid(element)
    with pytest.raises(InvalidInput, match="twice") as refused:
        to_json(element)
    assert "مكرر" in refused.value.message_ar


@pytest.mark.parametrize(
    ("value", "why"),
    [("", "no value"), ("<!-- -->", "no value"), ("<text>a</text><number>1</number>", "several values")],
)
def test_a_field_that_holds_not_one_value_is_refused(value: str, why: str) -> None:
    for fields in (
        f'<field name="a">{value}</field>',
        f'<field name="a"><list><item>{value}</item></list></field>',
    ):
        element = etree.fromstring(FIELDS.format(fields))
        valid(element)
        with pytest.raises(InvalidInput, match=why) as refused:
            to_json(element)
        assert "قيمة" in refused.value.message_ar


def test_a_comment_in_a_text_does_not_cut_it() -> None:
    parser = etree.XMLParser(remove_comments=False)
    text = FIELDS.format('<field name="a"><text>ab<!-- x -->cd<?y z?>ef</text></field><!-- x -->')
    element = etree.fromstring(text.replace("shop", "sh<!-- -->op").replace(">k<", ">k<!-- -->1<"), parser)
    valid(element)
    request = to_json(element)
    assert json.loads(request.body or b"") == {"service": "shop", "form": {"a": "abcdef"}}
    assert ("idempotency-key", "k1") in request.headers


def test_spaces_around_a_number_a_flag_and_a_day_are_none_of_it() -> None:
    inbox = f'<Inbox xmlns="{NAMESPACE}"><limit> 07 </limit><count> 1 </count></Inbox>'
    assert asked(inbox).query == "limit=7&count=true"
    ledger = f'<GetLedger xmlns="{NAMESPACE}"><from> 2026-01-01\n</from><to>2026-01-31</to></GetLedger>'
    assert asked(ledger).query == "from=2026-01-01&to=2026-01-31"


def test_null_is_told_from_nothing_at_all() -> None:
    assign = (
        f'<Assign xmlns="{NAMESPACE}" xmlns:xsi="{XSI}"><number>SC-1</number>'
        "<idempotencyKey>k</idempotencyKey>{}</Assign>"
    )
    assert asked(assign.format('<to xsi:nil="true"/>')).body == b'{"to":null}'
    assert asked(assign.format('<to xsi:nil="1"/>')).body == b'{"to":null}'
    assert asked(assign.format("<to>person/amal</to>")).body == b'{"to":"person/amal"}'
    assert not xsd.schema().validate(etree.fromstring(assign.format("")))


def test_an_empty_list_is_told_from_none() -> None:
    subscribe = f'<Subscribe xmlns="{NAMESPACE}"><idempotencyKey>k</idempotencyKey><url>https://a.example</url>{{}}</Subscribe>'
    assert asked(subscribe.format("")).body == b'{"url":"https://a.example"}'
    assert asked(subscribe.format("<kinds/>")).body == b'{"url":"https://a.example","kinds":[]}'


def test_a_document_comes_as_text_as_an_attachment_or_by_reference() -> None:
    put = (
        f'<PutDocument xmlns="{NAMESPACE}"><number>SC-1</number><code>deed</code><name>عقد 1/2.png</name>'
        "<idempotencyKey>k</idempotencyKey>{}</PutDocument>"
    )
    read = asked(put.format("<content>aGVs\nbG8=</content><contentType>image/png</contentType>"))
    assert (read.body, read.reference) == (b"hello", None)
    assert ("content-type", "image/png") in read.headers
    assert read.query == "name=%D8%B9%D9%82%D8%AF+1%2F2.png"
    empty = etree.fromstring(put.format("<content/>"))
    valid(empty)
    attached = to_json(empty, PNG)
    assert attached.body == PNG
    assert ("content-type", "application/octet-stream") in attached.headers
    named = asked(put.format("<contentId>a1@centre</contentId>"))
    assert (named.body, named.reference) == (None, "a1@centre")
    both = put.format("<content/><contentId>a1</contentId>")
    assert not xsd.schema().validate(etree.fromstring(both))


def test_a_paper_is_answered_for_an_attachment_with_its_type_and_without_its_bytes() -> None:
    paper = by_id()["get_document"]
    headers = {"content-type": "application/pdf", "content-disposition": "inline"}
    element = to_xml(paper, 200, headers, b"%PDF-", inline=False)
    valid(element)
    assert element.findtext(f"{{{NAMESPACE}}}content") in ("", None)
    assert element.findtext(f"{{{NAMESPACE}}}contentType") == "application/pdf"
    with pytest.raises(OutOfContract, match="text/html"):
        to_xml(paper, 200, {**headers, "content-type": "text/html"}, b"<p>")


def test_what_xml_cannot_carry_is_shown_as_the_sign_for_it() -> None:
    receipt = {
        "items": [
            {
                "actor": "client/c",
                "action": None,
                "text": "a\x01\x0b\ufffe\rb",
                "erased": False,
                "at": "2026-01-01T00:00:00Z",
            }
        ]
    }
    element = to_xml(by_id()["list_comments"], 200, {}, json.dumps(receipt).encode())
    valid(element)
    assert json.loads(answer_json(element)[2] or b"")["items"][0]["text"] == "a���\rb"


@pytest.mark.parametrize(
    ("operation", "status", "headers", "body", "why"),
    [
        ("list_comments", 200, {}, b"{}", "items"),
        ("list_comments", 200, {}, b'{"items":[],"x":1}', "x"),
        ("list_comments", 200, {}, b'{"items":{}}', "items"),
        ("list_comments", 201, {}, b'{"items":[]}', "201"),
        ("list_webhooks", 200, {}, b'{"items":[null]}', "null"),
        ("comment", 201, {}, b'{"case":1,"actor":"a","action":null,"at":""}', "case"),
        ("comment", 201, {}, b'{"case":"a","actor":"a","action":"b","at":""}', "action"),
        ("quote", 201, {}, b"", None),
        ("get_case", 200, {"etag": '"1"'}, b'{"form":{"a":1e99999}}', None),
        ("get_case", 200, {"etag": '"1"'}, b'{"form":{"a":NaN}}', "NaN"),
    ],
)
def test_an_answer_that_the_contract_does_not_have_is_a_defect_and_not_sent(
    operation: str, status: int, headers: dict[str, str], body: bytes, why: str | None
) -> None:
    with pytest.raises(ValueError, match=why):
        to_xml(by_id()[operation], status, headers, body)


def test_a_header_that_is_promised_cannot_be_missing() -> None:
    with pytest.raises(OutOfContract, match="ETag"):
        to_xml(by_id()["status_list"], 200, {"content-type": "application/statuslist+cwt"}, b"x")


def test_a_number_of_a_billion_digits_is_not_written_out() -> None:
    body = b'{"number":"SC-2026-000001","service":"a","form":{"a":1e1000000000}}'
    with pytest.raises(OutOfContract):
        binding().request_text(
            by_id()["submit"], {"idempotencyKey": "k"}, body.replace(b'"number":"SC-2026-000001",', b"")
        )


def test_an_element_that_no_operation_has_is_not_found() -> None:
    with pytest.raises(LookupError):
        to_json(etree.fromstring(f'<Fly xmlns="{NAMESPACE}"/>'))
    with pytest.raises(LookupError):
        to_json(etree.fromstring("<Submit/>"))
