"""A change of the contract that breaks a client is caught in all three files, a harmless one in none."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from lxml import etree

from integrations import contracts
from integrations.contracts import names, shapes, wsdl, xsd
from integrations.contracts.compatibility import Release, breaking, releases
from integrations.contracts.wsdl_compatibility import breaking_wsdl
from integrations.contracts.xsd_compatibility import breaking_xsd
from tests.integrations.test_contract_compatibility import STEP, SUMMARY, Change, changed, put

VERSION_1 = releases()[0]
_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_SOAP = "{http://schemas.xmlsoap.org/wsdl/soap/}"
Written = Callable[[Change], tuple[dict[str, Any], bytes, bytes]]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    """The three files as they would be written after a change of the contract."""
    kept = (contracts.licensing, contracts._operations, names._table, shapes.named)

    def forget() -> None:
        for each in kept:
            each.cache_clear()

    def write(change: Change) -> tuple[dict[str, Any], bytes, bytes]:
        document = changed(change)
        file = tmp_path / contracts.LICENSING.name
        file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
        monkeypatch.setattr(contracts, "LICENSING", file)
        forget()
        return document, xsd.written(), wsdl.written()

    yield write
    monkeypatch.undo()
    forget()


def caught(files: tuple[dict[str, Any], bytes, bytes]) -> tuple[bool, bool, bool]:
    """Whether each of the three files is found to break who holds version 1."""
    document, schema, description = files
    return (
        bool(breaking(VERSION_1.openapi, document)),
        bool(breaking_xsd(VERSION_1.xsd, schema)),
        bool(breaking_wsdl(VERSION_1.wsdl, description)),
    )


def renamed(path: str, old: str, new: str) -> Change:
    """A key that is called otherwise, in its place."""

    def change(document: dict[str, Any]) -> None:
        part: Any = document
        for step in path.split():
            part = part[step]
        held = dict(part)
        part.clear()
        part.update({new if name == old else name: value for name, value in held.items()})

    return change


def dropped(document: dict[str, Any]) -> None:
    """An answer without a member that it always had."""
    case = document["components"]["schemas"]["Case"]
    del case["properties"]["intact"]
    case["required"].remove("intact")


TEXT = {"type": "string"}
LIMIT = "components parameters limit"
STATUS = "components schemas LicenceStatus enum"
CONFLICT = {"$ref": "#/components/responses/Conflict"}
ASKED = "components schemas Submission required"
WHOSE = "components parameters whose schema enum"
STALE = {"$ref": "#/components/responses/Stale"}
# The WSDL has operations and faults; what is in a message stands in the XSD alone.
BREAKING: list[tuple[str, Change, bool]] = [
    ("a member of a request is removed", put(f"{STEP} properties comment", None), False),
    ("a member of an answer is removed", dropped, False),
    ("a member of a request is made required", put(f"{ASKED} -", "procedure"), False),
    ("a type is narrowed", put(f"{STEP} properties comment maxLength", 10), False),
    ("a value of an enumeration is removed", put(f"{WHOSE} 0", None), False),
    ("a value of an answer's enumeration is new", put(f"{STATUS} -", "lost"), False),
    ("an answer has a new member", put(f"{SUMMARY} properties extra", TEXT), False),
    ("a member is renamed", renamed(f"{STEP} properties", "comment", "remark"), False),
    ("a parameter is renamed", put(f"{LIMIT} name", "most"), False),
    ("a fault is removed", put("@quote responses 412", None), True),
    ("a fault is another", put("@quote responses 409", STALE), True),
    ("an operation is removed", put("paths /v1/inbox get", None), True),
    ("an operation is renamed", put("@inbox operationId", "in_tray"), True),
]  # fmt: skip
ALLOWED: list[tuple[str, Change]] = [
    ("a request may hold more", put(f"{STEP} properties more", TEXT)),
    ("a request may be longer", put(f"{STEP} properties comment maxLength", 3000)),
    ("a request may leave out", put("components schemas Reason required 0", None)),
    ("an enumeration takes more", put(f"{WHOSE} -", "others")),
    ("an answer has fewer values", put(f"{STATUS} 0", None)),
    ("an operation has another fault", put("@get_case responses 409", CONFLICT)),
    ("other words", put(f"{STEP} properties comment description", "Other words.")),
    (
        "another operation",
        put(
            "paths /v1/news",
            {
                "get": {
                    "operationId": "news",
                    "summary": "News",
                    "responses": {
                        "200": {
                            "description": "News.",
                            "content": {
                                "application/json": {"schema": {"$ref": "#/components/schemas/CaseSummary"}}
                            },
                        }
                    },
                }
            },
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "in_wsdl"), [each[1:] for each in BREAKING], ids=[each[0] for each in BREAKING]
)
def test_a_change_that_breaks_is_caught_in_each_file_that_tells_of_it(
    written: Written, change: Change, in_wsdl: bool
) -> None:
    openapi, schema, description = caught(written(change))
    assert openapi
    # A fault that one operation has no more is still an element of the schema.
    assert schema or in_wsdl
    assert description is in_wsdl


@pytest.mark.parametrize("change", [each[1] for each in ALLOWED], ids=[each[0] for each in ALLOWED])
def test_a_change_that_breaks_nobody_is_let_pass(written: Written, change: Change) -> None:
    assert caught(written(change)) == (False, False, False)


@pytest.mark.parametrize("release", releases(), ids=lambda each: f"version-{each.version}")
def test_todays_wsdl_breaks_nobody(release: Release) -> None:
    assert breaking_wsdl(release.wsdl, wsdl.LICENSING_WSDL.read_bytes()) == ()


Edit = Callable[[etree._Element], None]


def found(root: etree._Element, path: str) -> etree._Element:
    """The one element of a path."""
    (element,) = root.iterfind(path, namespaces={"w": _WSDL[1:-1], "s": _SOAP[1:-1]})
    return element


def edit(path: str, **attributes: str) -> Edit:
    """A change of one element."""

    def change(root: etree._Element) -> None:
        element = root if path == "." else found(root, path)
        for name, value in attributes.items():
            element.set(name, value)

    return change


def without(path: str) -> Edit:
    """An element less."""

    def change(root: etree._Element) -> None:
        element = found(root, path)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return change


QUOTE_11 = "w:binding[@name='LicensingSoap11']/w:operation[@name='Quote']"
QUOTE = "w:portType/w:operation[@name='Quote']"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (edit(".", targetNamespace="urn:rakeeza:licensing:2"), "its namespace was urn:rakeeza:licensing:1"),
        (without(QUOTE), "port type Licensing/Quote: the operation is gone"),
        (without(QUOTE_11), "binding LicensingSoap11/Quote: the operation is gone"),
        (edit(QUOTE, name="Reckon"), "port type Licensing/Quote: the operation is gone"),
        (without(f"{QUOTE}/w:fault[@name='Stale']"), "Licensing/Quote/fault Stale: the fault is gone"),
        (without(f"{QUOTE_11}/w:fault[@name='Stale']"), "Soap11/Quote/fault Stale: the fault is gone"),
        (edit(f"{QUOTE}/w:input", message="l:InvoiceRequest"), "the input was parameters l:Quote, and is"),
        (edit(f"{QUOTE}/w:output", message="l:InvoiceResponse"), "Licensing/Quote/output: the output was"),
        (edit("w:message[@name='QuoteRequest']/w:part", element="l:Invoice"), "Licensing/Quote/input"),
        (edit("w:message[@name='QuoteRequest']/w:part", name="body"), "Licensing/Quote/input"),
        (edit(f"{QUOTE_11}/s:operation", soapAction="urn:other"), "LicensingSoap11/Quote: the operation was"),
        (edit(f"{QUOTE_11}/w:input/s:body", use="encoded"), "LicensingSoap11/Quote/input: the input was"),
        (edit("w:binding[@name='LicensingSoap11']/s:binding", style="rpc"), "binding LicensingSoap11: the"),
        (without("w:service/w:port[1]"), "service Licensing: the first port was LicensingSoap11"),
        (without("w:service/w:port[2]"), "service Licensing/LicensingSoap12: the port is gone"),
        (edit("w:service/w:port[2]", binding="l:LicensingSoap11"), "LicensingSoap12: the port was l:Lic"),
        (edit("w:service", name="Licences"), "service Licensing: the first port is gone"),
        (edit("w:service/w:port[1]/s:address", location="https://elsewhere.sa/v1/soap"), ""),
        (without("w:service/w:documentation"), ""),
    ],
)  # fmt: skip
def test_a_change_of_the_wsdl_that_breaks_is_named(change: Edit, named: str) -> None:
    root = etree.fromstring(VERSION_1.wsdl)
    change(root)
    told = [str(each) for each in breaking_wsdl(VERSION_1.wsdl, etree.tostring(root))]
    assert any(named in each for each in told) if named else told == [], told
