"""Sends messages by SOAP, and reads what is answered: an answer of the contract, or one of its faults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from lxml import etree

from integrations.centres.conformance import expecting
from integrations.centres.conformance.checking import THEIRS, Failed
from integrations.centres.conformance.envelopes import SOAP_11, VERSIONS
from integrations.centres.conformance.talking import Server
from integrations.contracts import LICENSING
from integrations.contracts.binding import answer_json
from integrations.contracts.names import NAMESPACE, Operation
from integrations.ws_security import names

PATH = "/v1/soap"
TYPES = {SOAP_11: "text/xml", names.SOAP_12: "application/soap+xml"}

_NAMED = {namespace: title for title, namespace in VERSIONS.items()}
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_CODES = {names.WSSE: "wsse", names.WSU: "wsu", SOAP_11: "soap", names.SOAP_12: "soap"}


@dataclass(frozen=True)
class Said:
    """What a message was answered.

    Args:
        element: name of the answer's element, or of the one in the fault's detail.
        headers: what has elements, by the names of HTTP.
        content: JSON or bytes; of a fault the problem's JSON.
        kind: of a fault, the last part of its type; else empty.
        code: of a fault, with its prefix: "wsse:FailedCheck", "soap:VersionMismatch".
        sentences: of a fault, by language.
    """

    element: str
    headers: Mapping[str, str]
    content: bytes | None
    kind: str = ""
    code: str = ""
    sentences: Mapping[str, str] = field(default_factory=dict)

    @property
    def json(self) -> dict[str, Any]:
        """The content as JSON."""
        return expecting.json_of(httpx.Response(200, content=self.content))


def http_headers(soap: str, operation: Operation | None, language: str = "en") -> dict[str, str]:
    """The headers of HTTP that a version of SOAP has."""
    action = operation.action if operation else ""
    told = {"Accept-Language": language}
    if soap == SOAP_11:
        return {**told, "Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}
    more = f'; action="{action}"' if action else ""
    return {**told, "Content-Type": f"application/soap+xml; charset=utf-8{more}"}


def post(server: Server, octets: bytes, headers: Mapping[str, str]) -> httpx.Response:
    """Send octets to the SOAP face."""
    return server.http.post(server.url + PATH, content=octets, headers=dict(headers))


def read(answer: httpx.Response, soap: str) -> Said:
    """What an answer holds; its form is held against the version, its content against the XSD.

    Raises:
        Failed: it is no answer by that version, or is not as the contract has it.
    """
    title = _NAMED[soap]
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != TYPES[soap]:
        raise Failed(f"{title}: the server answered {answer.status_code} as {kind or 'nothing'}.", THEIRS)
    return of_root(xml(answer.content, f"{title}: the answer"), soap, answer.status_code)


def of_root(root: etree._Element, soap: str, status: int) -> Said:
    """The same of an envelope that was read."""
    title = _NAMED[soap]
    body = root.find(f"{{{soap}}}Body")
    if root.tag != f"{{{soap}}}Envelope" or body is None or len(body) != 1:
        raise Failed(f"{title}: the answer is no envelope with one Body and one element in it.", THEIRS)
    if body[0].tag != f"{{{soap}}}Fault":
        if status != 200:
            raise Failed(f"{title}: an answer that is no fault came with the status {status}.", THEIRS)
        return Said(*_content(body[0], title))
    if status < 400:
        raise Failed(f"{title}: a fault came with the status {status}.", THEIRS)
    return _fault(body[0], soap)


def xml(octets: bytes, what: str) -> etree._Element:
    """The root of a document of the server's.

    Raises:
        Failed: it is no XML.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(octets, parser)
    except etree.XMLSyntaxError as error:
        raise Failed(f"{what} is no XML: {error}.", THEIRS) from error


def _fault(fault: etree._Element, soap: str) -> Said:
    detail = fault.find("detail" if soap == SOAP_11 else f"{{{soap}}}Detail")
    if detail is None or len(detail) != 1:
        raise Failed(f"{_NAMED[soap]}: the fault has no detail with one element.", THEIRS)
    name, headers, content = _content(detail[0], _NAMED[soap])
    document = expecting.json_of(httpx.Response(200, content=content))
    kind = str(document.get("type", "")).removeprefix(expecting.URN)
    if soap == SOAP_11:
        holder, sentences = fault.find("faultcode"), fault.findall("faultstring")
    else:
        code = f"{{{soap}}}Code"
        below = fault.find(f"{code}/{{{soap}}}Subcode/{{{soap}}}Value")
        holder = below if below is not None else fault.find(f"{code}/{{{soap}}}Value")
        sentences = fault.findall(f"{{{soap}}}Reason/{{{soap}}}Text")
    by_language = {each.get(_LANG, ""): each.text or "" for each in sentences}
    return Said(name, headers, content, kind, _code(holder), by_language)


def _code(holder: etree._Element | None) -> str:
    if holder is None:
        return ""
    prefix, _, local = (holder.text or "").strip().rpartition(":")
    return f"{_CODES.get(holder.nsmap.get(prefix or None) or '', '?')}:{local}"


def _content(element: etree._Element, title: str) -> tuple[str, dict[str, str], bytes | None]:
    name = etree.QName(element)
    schema = _schema()
    if name.namespace != NAMESPACE or not schema.validate(element):
        raise Failed(f"{title}: the answer {name.localname} is not valid by the contract's schema.", THEIRS)
    return answer_json(element)


@cache
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(Path(LICENSING).with_name("licensing.xsd"))))
