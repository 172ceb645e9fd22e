"""The XSD and the WSDL are those of the contract, and those who make software from them can read them."""

import json
import re
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import zeep
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from integrations.contracts import wsdl, xsd
from integrations.contracts.binding import request_text, to_json, to_xml
from integrations.contracts.names import NAMESPACE, Operation, by_id, fault_elements, operations
from integrations.contracts.readers import NIL
from tests.integrations.contract_messages import asked, valid
from tests.integrations.contract_values import answered, parameters, sent

OPERATIONS = operations()
NAMES = [each.id for each in OPERATIONS]
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
SOAP = {
    "LicensingSoap11": "{http://schemas.xmlsoap.org/wsdl/soap/}",
    "LicensingSoap12": "{http://schemas.xmlsoap.org/wsdl/soap12/}",
}
PHP = """
class Client extends SoapClient {
    public $sent;
    public function __doRequest($request, $location, $action, $version, $one_way = false): ?string {
        $this->sent[] = [$action, $version, $request];
        return '';
    }
}
$options = ['cache_wsdl' => WSDL_CACHE_NONE, 'exceptions' => false];
foreach ([SOAP_1_1, SOAP_1_2] as $version) {
    $client = new Client($argv[1], $options + ['soap_version' => $version]);
    $client->Submit([
        'service' => 'shop_licence', 'idempotencyKey' => 'k',
        'form' => ['field' => [
            ['name' => 'trade_name', 'text' => 'مخبز الندى'],
            ['name' => 'area_m2', 'number' => '120.50'],
            ['name' => 'parts', 'list' => ['item' => [['flag' => true], ['nothing' => true]]]],
        ]],
    ]);
    $client->Assign(['number' => 'SC-1', 'to' => null, 'idempotencyKey' => 'k']);
    $client->ReplayWebhook(['webhook' => 1, 'since' => '2026-01-01T00:00:00Z', 'idempotencyKey' => 'k']);
    $client->PutDocument([
        'number' => 'SC-1', 'code' => 'deed', 'name' => 'a.png', 'idempotencyKey' => 'k',
        'content' => "\\x00hello",
    ]);
    $sent[] = $client->sent;
}
$told = ['functions' => $client->__getFunctions(), 'types' => $client->__getTypes(), 'sent' => $sent];
echo json_encode($told);
"""


@pytest.fixture(scope="module")
def client() -> zeep.Client:
    """A client that zeep made from the WSDL."""
    return zeep.Client(str(wsdl.LICENSING_WSDL))  # type: ignore[no-untyped-call] # zeep has no types


def test_the_files_are_in_step_with_the_contract() -> None:
    remedy = "run script/contracts"
    assert xsd.LICENSING_XSD.read_bytes() == xsd.written(), remedy
    assert wsdl.LICENSING_WSDL.read_bytes() == wsdl.written(), remedy


def test_every_message_names_one_element_that_the_xsd_has() -> None:
    tree = etree.parse(wsdl.LICENSING_WSDL)
    elements = {
        each.get("name") for each in etree.parse(xsd.LICENSING_XSD).getroot() if each.tag.endswith("element")
    }
    named = set()
    for message in tree.iter(f"{WSDL}message"):
        (part,) = message.findall(f"{WSDL}part")
        assert part.get("type") is None
        assert part.get("name") == ("fault" if str(message.get("name")).endswith("Fault") else "parameters")
        named.add(str(part.get("element")).removeprefix("l:"))
    assert named == elements
    messages = [each.get("name") for each in tree.iter(f"{WSDL}message")]
    assert len(set(messages)) == len(messages)


def test_both_bindings_are_document_literal_with_an_action_and_the_faults_of_the_contract() -> None:
    tree = etree.parse(wsdl.LICENSING_WSDL)
    for binding in tree.iter(f"{WSDL}binding"):
        soap = SOAP[str(binding.get("name"))]
        said = binding.find(f"{soap}binding")
        assert said is not None
        assert said.get("style") == "document"
        found = {str(each.get("name")): each for each in binding.findall(f"{WSDL}operation")}
        assert list(found) == [each.name for each in OPERATIONS]
        assert {each.get("use") for each in binding.iter(f"{soap}body", f"{soap}fault")} == {"literal"}
        for operation in OPERATIONS:
            element = found[operation.name]
            action = element.find(f"{soap}operation")
            assert action is not None
            assert action.get("soapAction") == f"urn:rakeeza:licensing:1/{operation.name}"
            named = [each.get("name") for each in element.iter(f"{soap}fault")]
            assert named == [each.element for each in operation.faults] + ["Problem"]
            assert set(named) <= set(fault_elements())
    assert len(list(tree.iter(f"{WSDL}port"))) == 2


def test_the_served_wsdl_has_the_servers_address_and_nothing_of_the_placeholder() -> None:
    served = wsdl.served("https://licensing.example.sa/soap/v1")
    assert b"rakeeza.invalid" not in served
    assert served.count(b'location="https://licensing.example.sa/soap/v1"') == 2
    assert wsdl.LICENSING_WSDL.read_bytes().count(wsdl.ADDRESS.encode()) == 2


def test_words_of_the_contract_stand_in_both_files() -> None:
    words = "What it is is judged by its content alone"
    assert words.encode() in xsd.LICENSING_XSD.read_bytes()
    assert words.encode() in wsdl.LICENSING_WSDL.read_bytes()


def test_zeep_knows_every_operation_by_both_versions(client: zeep.Client) -> None:
    (service,) = client.wsdl.services.values()
    assert set(service.ports) == set(SOAP)
    for port in service.ports.values():
        assert set(port.binding._operations) == {each.name for each in OPERATIONS}


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_zeep_builds_every_message(client: zeep.Client, operation: Operation, data: st.DataObject) -> None:
    # What is empty zeep leaves out of a choice; a document of no bytes is refused by us too.
    body = data.draw(sent(operation).filter(lambda made: made != b""))
    text = request_text(operation, data.draw(parameters(operation)), body)
    request = rebuilt(client, etree.fromstring(text))
    assert to_json(request) == to_json(etree.fromstring(text))
    headers, told = data.draw(answered(operation.answer))
    # Where null and nothing at all are both right, zeep writes nothing.
    rebuilt(client, to_xml(operation, operation.answer.status, headers, told))


def rebuilt(client: zeep.Client, element: etree._Element) -> etree._Element:
    """A message as zeep builds it from the values that the given one holds; it is valid."""
    known = client.get_element(element.tag)  # type: ignore[no-untyped-call] # zeep has no types
    parent = etree.Element("Body")
    known.render(parent, as_values(known, element))
    found = etree.fromstring(etree.tostring(parent[0]))
    valid(found)
    return found


def as_values(known: Any, element: etree._Element) -> Any:
    """What a caller of zeep would give it for an element."""
    if element.get(NIL):
        return None
    if not isinstance(known.type, zeep.xsd.ComplexType):
        binary = isinstance(known.type, zeep.xsd.Base64Binary)
        return b64decode(element.text or "") if binary else element.text or ""
    members = dict(known.type.elements)
    values: dict[str, Any] = {name: value for name, value in element.attrib.items() if name == "name"}
    for child in element:
        name = etree.QName(child).localname
        value = as_values(members[name], child)
        if members[name].accepts_multiple:
            values.setdefault(name, []).append(value)
        else:
            values[name] = value
    return known.type(**values)


def test_php_lists_every_function_and_type_and_sends_valid_messages() -> None:
    done = subprocess.run(
        ["php", "-r", PHP, str(wsdl.LICENSING_WSDL)], capture_output=True, check=True, timeout=60
    )
    told: dict[str, Any] = json.loads(done.stdout)
    for operation in OPERATIONS:
        function = f"{operation.response} {operation.name}({operation.name} $parameters)"
        assert told["functions"].count(function) == 2, operation.name
    types = "\n".join(told["types"])
    # A fault's element has no type of its own to be listed.
    for each in etree.parse(xsd.LICENSING_XSD).getroot():
        if each.get("name", "Problem") not in fault_elements():
            assert re.search(rf"\b{each.get('name')}\b", types), each.get("name")
    bodies: list[bytes] = []
    for sent_by in told["sent"]:
        for action, version, text in sent_by:
            body = etree.fromstring(text.encode()).find("{*}Body")
            assert body is not None
            request = asked(etree.tostring(body[0]).decode())
            assert action == request.operation.action, version
            bodies.append(request.body or b"")
    assert bodies[:4] == bodies[4:]
    form = {"trade_name": "مخبز الندى", "area_m2": 120.50, "parts": [True, None]}
    assert json.loads(bodies[0]) == {"service": "shop_licence", "form": form}
    assert bodies[1:4] == [b'{"to":null}', b'{"since":"2026-01-01T00:00:00Z"}', b"\x00hello"]


def test_gsoap_makes_a_client_of_it(tmp_path: Path) -> None:
    header = tmp_path / "licensing.h"
    for command in (
        ["wsdl2h", "-o", str(header), str(wsdl.LICENSING_WSDL)],
        ["soapcpp2", "-C", "-j", "-L", "-d", str(tmp_path), str(header)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr.lower(), done.stderr
    made = "".join(each.read_text(encoding="utf-8") for each in tmp_path.glob("*Proxy.h"))
    assert [each.name for each in OPERATIONS if f" {each.name}(" not in made] == []


def test_a_message_out_of_order_with_a_stranger_or_without_its_namespace_is_not_valid() -> None:
    right = request_text(
        by_id()["take_action"], {"number": "SC-1", "action": "pay", "idempotencyKey": "k"}, None
    )
    valid(etree.fromstring(right))
    number, action = "<number>SC-1</number>", "<action>pay</action>"
    for wrong in (
        right.replace(number + action, action + number),
        right.replace(number, number * 2),
        right.replace(number, ""),
        right.replace(number, number + "<x/>"),
        right.replace(number, number + "text"),
        right.replace("SC-1", "SC 1"),
        right.replace(NAMESPACE, "urn:rakeeza:licensing:2"),
        right.replace("<number>", '<number xmlns="">').replace("xx", ""),
    ):
        assert wrong != right
        assert not xsd.schema().validate(etree.fromstring(wrong)), wrong
