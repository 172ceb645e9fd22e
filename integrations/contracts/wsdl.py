"""Writes licensing.wsdl from the contract: WSDL 1.1, SOAP 1.1 and 1.2, document/literal wrapped.

Source: WSDL 1.1; WS-I Basic Profile 1.1 (a message has one part, which names an element; a body names no
namespace; a fault has its name on both of its elements).
"""

from functools import cache
from pathlib import Path

from lxml import etree

from integrations.contracts import licensing
from integrations.contracts.names import NAMESPACE, Operation, fault_elements, operations
from integrations.contracts.xsd import LICENSING_XSD, XS

LICENSING_WSDL = Path(__file__).parent / "licensing.wsdl"

ADDRESS = "https://rakeeza.invalid/soap/v1"
"""Stands in the file where the server's own address belongs; see `served`."""

NAME = "Licensing"
"""Of the port type and the service; the ports and bindings are `LicensingSoap11` and `LicensingSoap12`."""

_WSDL = "http://schemas.xmlsoap.org/wsdl/"
_HTTP = "http://schemas.xmlsoap.org/soap/http"
# SOAP 1.2 comes last: a client that is not told which port to use takes the first, and 1.1 all of them speak.
_VERSIONS = {
    "Soap11": "http://schemas.xmlsoap.org/wsdl/soap/",
    "Soap12": "http://schemas.xmlsoap.org/wsdl/soap12/",
}


def written() -> bytes:
    """The WSDL of today's contract."""
    root = etree.Element(
        f"{{{_WSDL}}}definitions",
        {"name": NAME, "targetNamespace": NAMESPACE},
        nsmap={
            "wsdl": _WSDL,
            "soap": _VERSIONS["Soap11"],
            "soap12": _VERSIONS["Soap12"],
            "xs": XS,
            "l": NAMESPACE,
        },
    )
    _document(root, licensing()["info"]["description"])
    schema = etree.SubElement(_child(root, "types"), f"{{{XS}}}schema")
    etree.SubElement(
        schema, f"{{{XS}}}import", {"namespace": NAMESPACE, "schemaLocation": LICENSING_XSD.name}
    )
    for operation in operations():
        _message(root, f"{operation.name}Request", "parameters", operation.name)
        _message(root, operation.response, "parameters", operation.response)
    for fault in fault_elements():
        _message(root, f"{fault}Fault", "fault", fault)
    _port_type(root)
    for version in _VERSIONS:
        _binding(root, version)
    service = _child(root, "service", name=NAME)
    _document(service, licensing()["info"]["title"])
    for version, namespace in _VERSIONS.items():
        port = _child(service, "port", name=NAME + version, binding=f"l:{NAME}{version}")
        etree.SubElement(port, f"{{{namespace}}}address", {"location": ADDRESS})
    return etree.tostring(root, pretty_print=True, xml_declaration=True, encoding="UTF-8")


def served(address: str) -> bytes:
    """The WSDL with the address that centres reach the server at.

    Args:
        address: URL of the SOAP face, `https://licensing.example.sa/soap/v1`. The XSD is looked for beside
            the WSDL, wherever that is served.
    """
    return addressed(_file(), address)


def addressed(text: bytes, address: str) -> bytes:
    """The same of a WSDL that was written before."""
    tree = etree.fromstring(text)
    for namespace in _VERSIONS.values():
        for element in tree.iter(f"{{{namespace}}}address"):
            element.set("location", address)
    return etree.tostring(tree, xml_declaration=True, encoding="UTF-8")


def _port_type(root: etree._Element) -> None:
    port_type = _child(root, "portType", name=NAME)
    for operation in operations():
        element = _child(port_type, "operation", name=operation.name)
        _document(element, f"{operation.summary}. {operation.description}", operation.arabic)
        _child(element, "input", message=f"l:{operation.name}Request")
        _child(element, "output", message=f"l:{operation.response}")
        for fault in faults(operation):
            _child(element, "fault", name=fault, message=f"l:{fault}Fault")


def _binding(root: etree._Element, version: str) -> None:
    namespace = _VERSIONS[version]
    binding = _child(root, "binding", name=NAME + version, type=f"l:{NAME}")
    etree.SubElement(binding, f"{{{namespace}}}binding", {"style": "document", "transport": _HTTP})
    for operation in operations():
        element = _child(binding, "operation", name=operation.name)
        etree.SubElement(
            element, f"{{{namespace}}}operation", {"soapAction": operation.action, "style": "document"}
        )
        for direction in ("input", "output"):
            etree.SubElement(_child(element, direction), f"{{{namespace}}}body", {"use": "literal"})
        for fault in faults(operation):
            held = _child(element, "fault", name=fault)
            etree.SubElement(held, f"{{{namespace}}}fault", {"name": fault, "use": "literal"})


def faults(operation: Operation) -> list[str]:
    """The faults of an operation: those that the contract names, and that of any other problem."""
    return [*(each.element for each in operation.faults), list(fault_elements())[-1]]


def _message(root: etree._Element, name: str, part: str, element: str) -> None:
    _child(_child(root, "message", name=name), "part", name=part, element=f"l:{element}")


def _document(element: etree._Element, words: str, arabic: str = "") -> None:
    # There is one element for both (WSDL 1.1, appendix A 4.1): each language has a line of its own.
    said = " ".join(words.split())
    _child(element, "documentation").text = f"{said}\n{arabic}" if arabic else said


def _child(parent: etree._Element, kind: str, /, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{_WSDL}}}{kind}", dict(attributes))


@cache
def _file() -> bytes:
    return LICENSING_WSDL.read_bytes()
