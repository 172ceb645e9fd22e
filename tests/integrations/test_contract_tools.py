"""What the tools of other languages make of the WSDL and the XSD: their rules, and the tools themselves.

Source: WS-I Basic Profile 1.1 (rules by their numbers); for .NET and Java, what their generators are known to
stumble over.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from lxml import etree

from integrations.contracts import ARABIC, licensing, wsdl, xsd
from integrations.contracts.names import NAMESPACE, operations
from integrations.contracts.xsd import XS
from tests.processes import PATIENCE, ROOT

WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
SOAP_11, SOAP_12 = "{http://schemas.xmlsoap.org/wsdl/soap/}", "{http://schemas.xmlsoap.org/wsdl/soap12/}"
TREE = etree.parse(wsdl.LICENSING_WSDL).getroot()
SCHEMA = etree.parse(xsd.LICENSING_XSD).getroot()
NODE = ROOT / "tests" / "clients" / "node" / "node_modules"


def named(kind: str) -> dict[str, etree._Element]:
    return {str(each.get("name")): each for each in TREE.findall(f"{WSDL}{kind}")}


def test_the_description_is_in_the_order_and_namespace_that_the_profile_asks_for() -> None:
    # R2023: the types come first; R2002, R2003: a schema is imported, by a schema.
    order = ["documentation", "types", "message", "portType", "binding", "service"]
    found = [etree.QName(each).localname for each in TREE]
    assert [kind for kind in order if kind in found] == list(dict.fromkeys(found))
    (imported,) = TREE.iterfind(f"{WSDL}types/{{{XS}}}schema/*")
    assert imported.tag == f"{{{XS}}}import"
    assert (
        imported.get("namespace") == SCHEMA.get("targetNamespace") == TREE.get("targetNamespace") == NAMESPACE
    )
    assert imported.get("schemaLocation") == xsd.LICENSING_XSD.name
    assert TREE.find(f"{WSDL}import") is None


def test_no_two_operations_are_the_same_on_the_wire() -> None:
    # R2304, R2710: a server tells operations apart by the element in the Body.
    (port_type,) = named("portType").values()
    asked = [
        named("message")[str(each.find(f"{WSDL}input").get("message")).removeprefix("l:")][0].get("element")  # type: ignore[union-attr]
        for each in port_type.findall(f"{WSDL}operation")
    ]
    assert len(set(asked)) == len(asked) == len(operations())
    names = [each.get("name") for each in port_type.findall(f"{WSDL}operation")]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(("name", "soap"), [("LicensingSoap11", SOAP_11), ("LicensingSoap12", SOAP_12)])
def test_a_binding_says_what_the_port_type_says_and_no_more(name: str, soap: str) -> None:
    binding, (port_type,) = named("binding")[name], named("portType").values()
    said = binding.find(f"{soap}binding")
    # R2701, R2702, R2705: one style, over HTTP.
    assert said is not None
    assert (said.get("transport"), said.get("style")) == ("http://schemas.xmlsoap.org/soap/http", "document")
    told = {str(each.get("name")): each for each in port_type.findall(f"{WSDL}operation")}
    bound = {str(each.get("name")): each for each in binding.findall(f"{WSDL}operation")}
    assert list(told) == list(bound)  # R2718
    for each, operation in bound.items():
        action = operation.find(f"{soap}operation")
        assert action is not None
        assert action.get("soapAction")  # R2744: there is one, which is sent in quotes
        assert action.get("style", "document") == "document"
        faults = operation.findall(f"{WSDL}fault")
        assert [fault.get("name") for fault in faults] == [
            fault.get("name") for fault in told[each].findall(f"{WSDL}fault")
        ]  # R2740
        for fault in faults:
            (written,) = fault
            assert (written.get("name"), written.get("use")) == (
                fault.get("name"),
                "literal",
            )  # R2721, R2723, R2754
            assert written.get("namespace") is None  # R2716
        for direction in (f"{WSDL}input", f"{WSDL}output"):
            found = operation.find(direction)
            assert found is not None
            (body,) = found
            assert [*body.attrib.items()] == [("use", "literal")]  # R2706, R2716


def test_the_schema_has_nothing_that_a_generator_is_known_to_drop() -> None:
    # R2105, R2110, R2111: a target namespace, and no arrays of SOAP's encoding. And for .NET and Java: no
    # mixed content, no wildcard, no group, no type inside an element, nothing that extends another.
    assert SCHEMA.get("elementFormDefault") == "qualified"
    strange = {
        each
        for kind in (
            "any",
            "anyAttribute",
            "group",
            "all",
            "union",
            "list",
            "complexContent",
            "simpleContent",
        )
        for each in SCHEMA.iter(f"{{{XS}}}{kind}")
    }
    assert strange == set()
    assert [each.get("name") for each in SCHEMA.iter(f"{{{XS}}}complexType") if each.get("mixed")] == []
    inside = [
        each.get("name")
        for each in SCHEMA.iter(f"{{{XS}}}element")
        if each.find(f"{{{XS}}}complexType") is not None
    ]
    assert inside == []


def test_no_two_names_are_the_same_where_letters_or_underscores_do_not_count() -> None:
    # A class or a file by the one name would be written over by the other.
    kinds = [(etree.QName(each).localname, str(each.get("name"))) for each in SCHEMA if each.get("name")]
    for kind in ("element", "Type"):
        names = Counter(name.lower() for found, name in kinds if found.endswith(kind))
        assert [name for name, count in names.items() if count > 1] == []
    assert {name.lower() for _, name in kinds} == {name.lower() for name in {name for _, name in kinds}}
    assert len({name for _, name in kinds}) == len({name.lower() for _, name in kinds})
    for type_ in SCHEMA.iter(f"{{{XS}}}complexType"):
        members = [str(each.get("name")) for each in type_.iter(f"{{{XS}}}element", f"{{{XS}}}attribute")]
        plain = Counter(re.sub("[_.-]", "", each).lower() for each in members)
        assert [each for each, count in plain.items() if count > 1] == [], type_.get("name")


def test_no_list_holds_what_is_nothing_but_a_list() -> None:
    # .NET makes arrays of arrays of such, and code for them that cannot be compiled (CS0030).
    lists = set()
    for each in SCHEMA.findall(f"{{{XS}}}complexType"):
        held = list(each.iter(f"{{{XS}}}element", f"{{{XS}}}attribute"))
        if len(held) == 1 and held[0].get("maxOccurs", "1") != "1":
            lists.add(f"l:{each.get('name')}")
    assert lists
    several = [each for each in SCHEMA.iter(f"{{{XS}}}element") if each.get("maxOccurs", "1") != "1"]
    assert [each.get("type") for each in several if each.get("type") in lists] == []


def test_every_operation_is_told_in_english_and_arabic() -> None:
    arabic = re.compile("[؀-ۿ]")
    for path, methods in licensing()["paths"].items():
        for method, said in methods.items():
            assert arabic.search(said.get(ARABIC, "")), f"{method} {path}"
    (port_type,) = named("portType").values()
    for each in operations():
        (told,) = [one for one in port_type if one.get("name") == each.name]
        words = str(told.findtext(f"{WSDL}documentation"))
        assert words.startswith(each.summary)
        assert words.endswith(f"\n{each.arabic}")
        (element,) = [one for one in SCHEMA.findall(f"{{{XS}}}element") if one.get("name") == each.name]
        texts = element.findall(f".//{{{XS}}}documentation")
        assert [text.get("{http://www.w3.org/XML/1998/namespace}lang") for text in texts] == ["en", "ar"]


def _run(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_zeep_prints_every_operation() -> None:
    printed = _run(sys.executable, "-m", "zeep", str(wsdl.LICENSING_WSDL))
    for each in operations():
        assert printed.count(f" {each.name}(") >= 2, each.name


def test_node_describes_every_operation_with_its_members_in_their_order() -> None:
    script = """
    const names = (held) => Object.fromEntries(Object.entries(held).map(([name, operation]) =>
        [name, Object.keys(operation.input)]));
    require('soap').createClientAsync(process.argv[1]).then((client) => {
        const { LicensingSoap11, LicensingSoap12 } = client.describe().Licensing;
        console.log(JSON.stringify([names(LicensingSoap11), names(LicensingSoap12)]));
    });
    """
    described = json.loads(_run("node", "-e", script, str(wsdl.LICENSING_WSDL), NODE_PATH=str(NODE)))
    types = {each.get("name"): each for each in SCHEMA.findall(f"{{{XS}}}complexType")}
    for port in described:
        assert list(port) == [each.name for each in operations()]
        for each in operations():
            asked = [str(one.get("name")) for one in types[each.name].iter(f"{{{XS}}}element")]
            told = [name for name in port[each.name] if name not in ("targetNSAlias", "targetNamespace")]
            assert told or not asked
            # Alternatives stand in a choice, which it does not describe.
            assert [name for name in asked if name in told] == told, each.name


def test_php_reads_it_the_same_from_its_cache(tmp_path: Path) -> None:
    script = (
        "ini_set('soap.wsdl_cache_dir', $argv[2]); foreach ([1, 2] as $each) {"
        " $made = new SoapClient($argv[1], ['cache_wsdl' => WSDL_CACHE_DISK]);"
        " $told[] = [$made->__getFunctions(), $made->__getTypes()]; } echo json_encode($told);"
    )
    first, cached = json.loads(_run("php", "-r", script, str(wsdl.LICENSING_WSDL), str(tmp_path)))
    assert first == cached
    assert len(first[0]) == 2 * len(operations())
    assert list(tmp_path.iterdir())
