"""A client of the SOAP face made by hand: messages as text, and REST's own requests sent as messages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
from lxml import etree

from integrations.contracts.binding import answer_json, request_text
from integrations.contracts.names import NAMESPACE, Operation, by_id, operations
from integrations.entrypoints.soap.contract_files import XSD
from integrations.entrypoints.soap.envelope import Version

SOAP_11, SOAP_12 = Version.SOAP_11, Version.SOAP_12
PATH = "/v1/soap"
_XSD = etree.XMLSchema(etree.parse(str(XSD)))
_PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Said:
    """What a message said, its form right and its content valid by the XSD.

    Args:
        http: the answer that carried it.
        name: of the contract's element.
        headers: that have elements, by lower-case name.
        content: the JSON, or the bytes.
        code: of a fault: without its prefix; "" of an answer.
        subcode: of a fault of SOAP 1.2, or the code itself in SOAP 1.1, where it is WS-Security's.
        reasons: of a fault, by language.
    """

    http: httpx.Response
    name: str
    headers: Mapping[str, str]
    content: bytes | None
    code: str = ""
    subcode: str = ""
    reasons: Mapping[str, str] | None = None

    @property
    def json(self) -> Any:
        """The content as JSON."""
        return httpx.Response(200, content=self.content).json()


def enveloped(body: str, version: Version = SOAP_11, header: str = "", declared: str = "") -> bytes:
    """A message."""
    head = f"<soap:Header>{header}</soap:Header>" if header else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<soap:Envelope xmlns:soap="{version.value.namespace}"'
        f"{declared}>{head}<soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()


def content_type(version: Version, operation: Operation | None = None) -> dict[str, str]:
    """The HTTP headers that a client of a version sends."""
    action = operation.action if operation else ""
    if version is SOAP_11:
        return {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{action}"'}
    more = f'; action="{action}"' if action else ""
    return {"Content-Type": f"application/soap+xml; charset=utf-8{more}"}


def asked(operation_id: str, parameters: Mapping[str, str] | None = None, body: bytes | None = None) -> str:
    """A request's element, as text."""
    return request_text(by_id()[operation_id], parameters or {}, body)


def said(response: httpx.Response, version: Version) -> Said:
    """What an answer holds; its form is held against the version, its content against the XSD."""
    media = response.headers["content-type"].partition(";")[0]
    assert media == version.value.media_type, response.text
    root = etree.fromstring(response.content)
    assert root.tag == version.named("Envelope")
    body = root.find(version.named("Body"))
    assert body is not None
    assert len(body) == 1
    fault = body[0] if body[0].tag == version.named("Fault") else None
    element = body[0] if fault is None else _detail(fault, version)
    assert _XSD.validate(element), _XSD.error_log
    name, headers, content = answer_json(element)
    if fault is None:
        assert response.status_code == 200
        return Said(response, name, headers, content)
    code, subcode, reasons = _codes(fault, version)
    return Said(response, name, headers, content, code, subcode, reasons)


def _detail(fault: etree._Element, version: Version) -> etree._Element:
    detail = fault.find("detail" if version is SOAP_11 else version.named("Detail"))
    assert detail is not None
    assert len(detail) == 1
    return detail[0]


def _codes(fault: etree._Element, version: Version) -> tuple[str, str, dict[str, str]]:
    lang = "{http://www.w3.org/XML/1998/namespace}lang"
    if version is SOAP_11:
        code, reason = fault.findtext("faultcode") or "", fault.find("faultstring")
        assert reason is not None
        prefix, _, local = code.partition(":")
        assert prefix in fault.nsmap
        ours = fault.nsmap[prefix] == version.value.namespace
        reasons = {reason.get(lang, ""): reason.text or ""}
        return (local if ours else "Client"), ("" if ours else code), reasons
    value = fault.findtext(f"{version.named('Code')}/{version.named('Value')}") or ""
    path = f"{version.named('Code')}/{version.named('Subcode')}/{version.named('Value')}"
    texts = fault.findall(f"{version.named('Reason')}/{version.named('Text')}")
    return (
        value.partition(":")[2],
        fault.findtext(path) or "",
        {each.get(lang, ""): each.text or "" for each in texts},
    )


class OverSoap(httpx.BaseTransport):
    """Sends what REST is asked for as a message, and gives what it says as REST would have.

    Args:
        url: of the server.
        version: of SOAP.
    """

    def __init__(self, url: str, version: Version) -> None:
        self._url, self._version = url, version
        self._inner = httpx.HTTPTransport()
        self._routes = [(_pattern(each.path), each) for each in operations()]
        self.sent = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        operation, parameters = self._bound(request)
        message = enveloped(request_text(operation, parameters, request.content or None), self._version)
        headers = content_type(self._version, operation)
        if "authorization" in request.headers:
            headers["Authorization"] = request.headers["authorization"]
        answer = self._inner.handle_request(
            httpx.Request("POST", self._url + PATH, headers=headers, content=message)
        )
        answer.read()
        self.sent += 1
        return self._unbound(operation, said(answer, self._version))

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def _bound(self, request: httpx.Request) -> tuple[Operation, dict[str, str]]:
        path = request.url.raw_path.decode().partition("?")[0]
        for pattern, operation in self._routes:
            found = pattern.fullmatch(path)
            if operation.method == request.method and found:
                break
        else:
            raise AssertionError(f"{request.method} {path} is no operation by SOAP")
        query = dict(parse_qsl(request.url.query.decode()))
        given = {
            "path": {name: unquote(value) for name, value in found.groupdict().items()},
            "query": query,
            "header": {each.name: request.headers.get(each.name) for each in operation.parameters},
        }
        parameters = {
            each.element: value
            for each in operation.parameters
            if (value := given[each.where].get(each.name)) is not None
        }
        if operation.binary is not None:
            parameters[operation.binary.type_element] = request.headers["content-type"]
        return operation, parameters

    def _unbound(self, operation: Operation, answer: Said) -> httpx.Response:
        headers = dict(answer.headers)
        if not answer.code:
            if operation.answer.body is not None:
                headers["content-type"] = "application/json"
            return httpx.Response(operation.answer.status, headers=headers, content=answer.content)
        status = int(answer.json["status"])
        expected = 500 if self._version is SOAP_11 or status >= 500 else 400
        assert answer.http.status_code == expected
        named = {"content-type": _PROBLEM, **headers}
        if status in (401, 403):
            # HTTP's own challenge; REST promises it.
            named["www-authenticate"] = "-"
        wrong = {each["pointer"].rpartition("/")[2] for each in answer.json.get("errors", ())}
        if wrong == {"ifMatch"}:
            # What is no ETag is a malformed header by REST; by SOAP it is not valid by the XSD.
            assert (answer.name, status) == ("InvalidInput", 422)
            return httpx.Response(400, headers=named, json={**answer.json, "status": 400})
        return httpx.Response(status, headers=named, content=answer.content)


def _pattern(path: str) -> re.Pattern[str]:
    pieces = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(f"(?P<{each}>[^/]+)" if number % 2 else re.escape(each) for number, each in enumerate(pieces))
    )


def unbound(name: str) -> str:
    """A name of the contract, as lxml writes it."""
    return f"{{{NAMESPACE}}}{name}"
