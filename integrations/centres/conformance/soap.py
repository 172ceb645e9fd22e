"""Checks: the other face of the contract is served, and refuses what no face may take."""

from collections.abc import Sequence

import httpx
from lxml import etree

from integrations.centres.conformance import expecting
from integrations.centres.conformance.checking import Check, Failed
from integrations.centres.conformance.talking import Server

_PATH = "/v1/soap"
_NAMESPACE = "urn:rakeeza:licensing:1"
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_BODY = f'<l:ListCases xmlns:l="{_NAMESPACE}"/>'
_THEIRS = "Tell the municipality; this is the server's fault."
_WSDL_SECTION = "WSDL 1.1; licensing.wsdl"
_SOAP_SECTION = "SOAP 1.1; SOAP Message Security 1.1.1"


def _wsdl(server: Server) -> None:
    root = _xml(_file(server, "wsdl"), "The WSDL")
    if root.get("targetNamespace") != _NAMESPACE:
        raise Failed(f"The WSDL is of {root.get('targetNamespace')!r}, not {_NAMESPACE}.", _THEIRS)
    addresses = [each.get("location", "") for each in _named(root, "address")]
    if not addresses or not all(address.endswith(_PATH) for address in addresses):
        raise Failed(f"The WSDL names no address that ends with {_PATH}: {addresses}.", _THEIRS)


def _schema(server: Server) -> None:
    root = _xml(_file(server, "xsd"), "The schema")
    try:
        etree.XMLSchema(root)
    except etree.XMLSchemaParseError as error:
        raise Failed(f"The schema cannot be used: {error}.", _THEIRS) from error


def _unsigned(server: Server) -> None:
    _refused(server, _enveloped(_BODY), "not-authenticated")


def _doctype(server: Server) -> None:
    _refused(server, f"<!DOCTYPE Envelope>{_enveloped(_BODY)}", "malformed")


def _two_bodies(server: Server) -> None:
    inside = f"<s:Body>{_BODY}</s:Body><s:Body>{_BODY}</s:Body>"
    _refused(server, f'<s:Envelope xmlns:s="{_ENVELOPE}">{inside}</s:Envelope>', "malformed")


def _enveloped(body: str) -> str:
    return f'<s:Envelope xmlns:s="{_ENVELOPE}"><s:Body>{body}</s:Body></s:Envelope>'


def _file(server: Server, name: str) -> bytes:
    answer = server.http.get(f"{server.url}{_PATH}?{name}")
    if answer.status_code != 200:
        raise Failed(f"The server answered {answer.status_code} {expecting.told(answer)}.", _THEIRS)
    return answer.content


def _refused(server: Server, message: str, kind: str) -> None:
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'}
    answer = server.http.post(server.url + _PATH, content=message.encode(), headers=headers)
    seen = _fault(answer)
    if seen != kind:
        raise Failed(f"The server answered {answer.status_code} {seen}, not a fault {kind}.", _THEIRS)


def _fault(answer: httpx.Response) -> str:
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind != "text/xml":
        return f"({kind or 'nothing'})"
    root = _xml(answer.content, "The answer")
    types = [each.text or "" for fault in _named(root, "Fault") for each in _named(fault, "type")]
    return types[0].removeprefix("urn:rakeeza:problem:") if types else "(no fault)"


def _named(root: etree._Element, name: str) -> list[etree._Element]:
    return list(root.iter(f"{{*}}{name}"))


def _xml(octets: bytes, what: str) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        return etree.fromstring(octets, parser)
    except etree.XMLSyntaxError as error:
        raise Failed(f"{what} is no XML: {error}.", _THEIRS) from error


CHECKS: Sequence[Check] = (
    Check("The WSDL is served", _WSDL_SECTION, _wsdl),
    Check("The schema is served and can be used", "licensing.xsd", _schema),
    Check("A message that nobody signed is refused", _SOAP_SECTION, _unsigned),
    Check("A message with a document type is refused", _SOAP_SECTION, _doctype),
    Check("A message with two bodies is refused", _SOAP_SECTION, _two_bodies),
)
