"""How a request that the XSD refuses is told: each fault with path and line, in two languages, by threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from lxml import etree

from foundation.errors import InvalidInput
from integrations.entrypoints.soap.contract_files import XSD
from integrations.entrypoints.soap.validation import MOST_TOLD, Schema

NAMESPACE = "urn:rakeeza:licensing:1"
SCHEMA = Schema(XSD)
FORM = """<{p}Submit xmlns{c}="urn:rakeeza:licensing:1">
<{p}idempotencyKey>k</{p}idempotencyKey>
<{p}service>{service}</{p}service>
<{p}form>
<{p}field name="a"><{p}text>x</{p}text></{p}field>
<{p}field name="b"><{p}number>{number}</{p}number></{p}field>
<{p}field name="c"><{p}list><{p}item><{p}flag>true</{p}flag></{p}item><{p}item><{p}flag>{flag}</{p}flag>
</{p}item></{p}list></{p}field>
</{p}form>
</{p}Submit>"""


def _request(prefix: str = "", **values: str) -> etree._Element:
    said = {"service": "shop_licence", "number": "1.5", "flag": "false", **values}
    written = FORM.format(p=prefix and f"{prefix}:", c=prefix and f":{prefix}", **said)
    return etree.fromstring(f"<e><b>{written}</b></e>")[0][0]


def _refusal(request: etree._Element) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        SCHEMA.check(request)
    return caught.value


@pytest.mark.parametrize("prefix", ["", "l"])
def test_a_fault_is_told_by_the_names_of_the_senders_elements(prefix: str) -> None:
    SCHEMA.check(_request(prefix))
    refusal = _refusal(_request(prefix, service="Shop!", number="a lot", flag="maybe"))

    assert [each.pointer for each in refusal.fields] == [
        "/Submit/service",
        "/Submit/form/field[2]/number",
        "/Submit/form/field[3]/list/item[2]/flag",
    ]
    assert [each.line for each in refusal.fields] == [3, 6, 7]
    assert all(each.detail.startswith(f"line {each.line}: Element '") for each in refusal.fields)
    assert all(each.detail_ar.startswith(f"السطر {each.line}: ") for each in refusal.fields)
    assert NAMESPACE not in "".join(each.detail for each in refusal.fields)
    assert "(2 more)" in refusal.message


def test_prefixes_of_the_senders_choice_lead_to_the_same_place() -> None:
    request = etree.fromstring(
        f'<x:Submit xmlns:x="{NAMESPACE}"><y:idempotencyKey xmlns:y="{NAMESPACE}">k</y:idempotencyKey>'
        f'<service xmlns="{NAMESPACE}">!</service><x:form/></x:Submit>'
    )

    assert [each.pointer for each in _refusal(request).fields] == ["/Submit/service"]


def test_what_is_missing_or_too_much_is_told_where_it_is_noticed() -> None:
    request = _request()
    request.remove(request[1])
    (field,) = _refusal(request).fields
    assert (field.pointer, "service" in field.detail) == ("/Submit/form", True)
    nothing = etree.fromstring("<Submit/>")
    (field,) = _refusal(nothing).fields
    assert field.pointer == "/Submit"


def test_of_many_faults_the_first_are_told() -> None:
    request = _request()
    form = request[2]
    for _ in range(3_000):
        field = etree.SubElement(form, f"{{{NAMESPACE}}}field", {"name": "x"})
        etree.SubElement(field, f"{{{NAMESPACE}}}number").text = "none"
    refusal = _refusal(request)

    assert len(refusal.fields) == MOST_TOLD
    assert refusal.fields[-1].pointer == f"/Submit/form/field[{MOST_TOLD + 3}]/number"
    assert f"({3_000 - 1} more)" in refusal.message


def test_threads_get_each_the_faults_of_their_own_message() -> None:
    wrong = ["service", "number", "flag"]

    def told(round_: int) -> bool:
        name = wrong[round_ % 3]
        (field,) = _refusal(_request(**{name: f"?{round_}"})).fields
        SCHEMA.check(_request())
        return name in field.pointer and f"?{round_}'" in field.detail

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(told, range(400)))
