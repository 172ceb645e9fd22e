"""What travels by SOAP as what travels by REST, and back, by the table of `names`.

Everything is compiled once, at the first use of `binding()`: a request costs one walk over its elements. They
are to be valid by the XSD. JSON is to be as the contract says, and OutOfContract is raised where it is not.
"""

import json
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any
from urllib.parse import quote, urlencode

from lxml import etree

from integrations.contracts.names import (
    NAMESPACE,
    OTHER_PROBLEM,
    Binary,
    Header,
    Operation,
    Parameter,
    fault_elements,
    operations,
)
from integrations.contracts.readers import Reader, plain, quoted, reader, tag, text_of
from integrations.contracts.shapes import Use, body, of_parameter
from integrations.contracts.writers import OutOfContract, escaped, members

__all__ = [
    "Binding",
    "OutOfContract",
    "Request",
    "answer_json",
    "binding",
    "request_text",
    "to_json",
    "to_xml",
]

_OPEN = f'<{{}} xmlns="{NAMESPACE}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
_JSON = "application/json"
_BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as REST has it.

    Args:
        operation: that it calls.
        path: with its parameters, percent-encoded.
        query: encoded; empty where there is none.
        headers: by lower-case name, the content type among them where there is a body.
        body: JSON in UTF-8, or bytes; None where there is none.
        reference: names bytes that were sent before and are the body (`contentId`); whoever keeps them puts
            them in.
    """

    operation: Operation
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    reference: str | None


def binding() -> "Binding":
    """The binding of today's contract, compiled once a process."""
    return _binding()


def to_json(element: etree._Element, content: bytes | None = None) -> Request:
    """See `Binding.to_json`."""
    return _binding().to_json(element, content)


def to_xml(
    operation: Operation | None,
    status: int,
    headers: Mapping[str, str],
    body: bytes | None,
    inline: bool = True,
) -> etree._Element:
    """See `Binding.to_xml`."""
    return _binding().to_xml(operation, status, headers, body, inline)


def request_text(operation: Operation, parameters: Mapping[str, str], sent: bytes | None) -> str:
    """See `Binding.request_text`."""
    return _binding().request_text(operation, parameters, sent)


def answer_json(element: etree._Element) -> tuple[str, dict[str, str], bytes | None]:
    """See `Binding.answer_json`."""
    return _binding().answer_json(element)


class Binding:
    """Readers and writers of every operation's request, answer and faults."""

    def __init__(self) -> None:
        self._requests = {tag(each.name): _Asked(each) for each in operations()}
        self._answers = {tag(each.response): _Answered.of(each) for each in operations()}
        headers = {
            header.element: header for one in operations() for fault in one.faults for header in fault.headers
        }
        problem = tuple(headers.values())
        self._faults = {tag(name): _Answered(name, "Problem", None, problem) for name in fault_elements()}

    def to_json(self, element: etree._Element, content: bytes | None = None) -> Request:
        """What REST would be sent in the place of this request.

        Args:
            element: the request, valid by the XSD: the child of Body.
            content: the bytes of its attachment, where its `content` was one (MTOM) and is empty here.

        Raises:
            LookupError: no operation has such an element.
            InvalidInput: a free object names a field twice.
        """
        return self._requests[element.tag].read(element, content)

    def to_xml(
        self,
        operation: Operation | None,
        status: int,
        headers: Mapping[str, str],
        body: bytes | None,
        inline: bool = True,
    ) -> etree._Element:
        """The element of an answer or problem; arguments as those of `answer_text`."""
        return etree.fromstring(self.answer_text(operation, status, headers, body, inline))

    def answer_text(
        self,
        operation: Operation | None,
        status: int,
        headers: Mapping[str, str],
        body: bytes | None,
        inline: bool = True,
    ) -> str:
        """The same as text, which can stand in an envelope as it is: it declares its namespaces.

        Args:
            operation: that answered; None where the message was refused before one was known.
            status: of HTTP; of 400 and above the element is a fault's, and stands in the fault's detail.
            headers: of the answer, by lower-case name.
            body: of the answer.
            inline: whether bytes are written as base64; else `content` is empty, for an attachment's sake.

        Raises:
            OutOfContract: the answer is not as the contract says.
        """
        if status >= 400:
            answered = self._faults[tag(operation.fault(status) if operation else OTHER_PROBLEM)]
        elif operation is None or status != operation.answer.status:
            raise OutOfContract(f"{operation.id if operation else 'nothing'} answered {status}")
        else:
            answered = self._answers[tag(operation.response)]
        return answered.write(headers, body, inline)

    def request_text(self, operation: Operation, parameters: Mapping[str, str], sent: bytes | None) -> str:
        """A request as text, as a client sends it.

        Args:
            operation: that it calls.
            parameters: those of path, query and header, by element; the media type of bytes as `contentType`.
            sent: the body, JSON or bytes.
        """
        return self._requests[tag(operation.name)].write(parameters, sent)

    def answer_json(self, element: etree._Element) -> tuple[str, dict[str, str], bytes | None]:
        """What REST would have answered in the place of an answer or a fault's detail.

        Args:
            element: valid by the XSD.

        Returns:
            The element's name, the headers that have elements by lower-case name, and the body.

        Raises:
            LookupError: no operation has such an element.
        """
        known = self._answers.get(element.tag) or self._faults[element.tag]
        return known.read(element)


class _Asked:
    """The request of one operation."""

    def __init__(self, operation: Operation) -> None:
        self.operation = operation
        shape = body(operation.body) if operation.body else None
        self._parameters: dict[str, tuple[Parameter, Reader]] = {}
        for each in operation.parameters:
            use = _use(each)
            self._parameters[tag(each.element)] = (each, plain(use.shape))
        self._members: dict[str, tuple[str, Reader]] = {}
        for member in shape.members if shape else ():
            self._members[tag(member.name)] = (f"{quoted(member.name)}:", reader(member.use))
        self._write = members(shape) if shape else None
        self._path = tuple(_path_parts(operation.path))

    def read(self, element: etree._Element, content: bytes | None) -> Request:
        values: dict[str, str] = {}
        query: list[tuple[str, str]] = []
        headers: list[tuple[str, str]] = []
        parts: list[str] = []
        beside: dict[str, etree._Element] = {}
        for child in element:
            member = self._members.get(child.tag)
            if member is not None:
                parts.append(member[0] + member[1](child))
            elif child.tag in self._parameters:
                parameter, read = self._parameters[child.tag]
                if parameter.where == "path":
                    values[parameter.name] = quote(read(child), safe="")
                elif parameter.where == "query":
                    query.append((parameter.name, read(child)))
                else:
                    headers.append((parameter.name.lower(), read(child)))
            elif isinstance(child.tag, str):
                beside[child.tag] = child
        sent, reference = self._body(parts, beside, content, headers)
        path = "".join(values[part] if named else part for named, part in self._path)
        return Request(self.operation, path, urlencode(query), tuple(headers), sent, reference)

    def _body(
        self,
        parts: list[str],
        beside: Mapping[str, etree._Element],
        content: bytes | None,
        headers: list[tuple[str, str]],
    ) -> tuple[bytes | None, str | None]:
        binary = self.operation.binary
        if binary is not None:
            kind = beside.get(tag(binary.type_element))
            headers.append(("content-type", _BYTES if kind is None else plain_text(kind)))
            reference = beside.get(tag(binary.reference)) if binary.reference else None
            if reference is not None:
                return None, plain_text(reference)
            return (_bytes(beside[tag(binary.element)]) if content is None else content), None
        if self._write is None or (not parts and not self.operation.body_required):
            return None, None
        headers.append(("content-type", _JSON))
        return f"{{{','.join(parts)}}}".encode(), None

    def write(self, parameters: Mapping[str, str], sent: bytes | None) -> str:
        parts = [_OPEN.format(self.operation.name)]
        for each in self.operation.parameters:
            if each.element in parameters:
                parts.append(f"<{each.element}>{escaped(parameters[each.element])}</{each.element}>")
        binary = self.operation.binary
        if binary is not None and sent is not None:
            parts.append(_content(binary, sent, parameters.get(binary.type_element), True))
        elif self._write is not None and sent is not None:
            parts.append(self._write(loaded(sent)))
        return "".join([*parts, f"</{self.operation.name}>"])


class _Answered:
    """An answer of success, or a fault."""

    def __init__(
        self, name: str, schema: str | None, binary: Binary | None, headers: tuple[Header, ...]
    ) -> None:
        self._name = name
        self._opened = _OPEN.format(name)
        self._headers = tuple((each.name.lower(), each) for each in headers)
        self._readers = {tag(each.element): (each.name.lower(), plain(_use(each).shape)) for each in headers}
        self._binary = binary
        shape = body(schema) if schema else None
        self._write: Callable[[Any], str] | None = members(shape) if shape else None
        self._members: dict[str, tuple[str, Reader]] = {}
        for member in shape.members if shape else ():
            self._members[tag(member.name)] = (f"{quoted(member.name)}:", reader(member.use))

    @classmethod
    def of(cls, operation: Operation) -> "_Answered":
        answer = operation.answer
        return cls(operation.response, answer.body, answer.binary, answer.headers)

    def write(self, headers: Mapping[str, str], body: bytes | None, inline: bool) -> str:
        parts = [self._opened]
        if self._write is not None:
            parts.append(self._write(loaded(body or b"")))
        elif self._binary is not None:
            kind = headers.get("content-type", "").partition(";")[0].strip()
            if kind not in self._binary.types:
                raise OutOfContract(f"{self._name} is of the media type {kind!r}")
            parts.append(_content(self._binary, body or b"", kind, inline))
        for name, header in self._headers:
            if name in headers:
                parts.append(f"<{header.element}>{escaped(headers[name])}</{header.element}>")
            elif header.required:
                raise OutOfContract(f"{self._name} is without {header.name}")
        return "".join([*parts, f"</{self._name}>"])

    def read(self, element: etree._Element) -> tuple[str, dict[str, str], bytes | None]:
        headers: dict[str, str] = {}
        parts: list[str] = []
        content: bytes | None = None
        for child in element:
            if child.tag in self._members:
                prefix, read = self._members[child.tag]
                parts.append(prefix + read(child))
            elif child.tag in self._readers:
                name, read = self._readers[child.tag]
                headers[name] = read(child)
            elif self._binary is not None and child.tag == tag(self._binary.type_element):
                headers["content-type"] = plain_text(child)
            elif self._binary is not None and child.tag == tag(self._binary.element):
                content = _bytes(child)
        if self._write is not None:
            content = f"{{{','.join(parts)}}}".encode()
        return self._name, headers, content


def loaded(text: bytes) -> Any:
    """JSON with exact numbers: a Decimal where there is a point or an exponent."""
    return json.loads(text, parse_float=Decimal, parse_constant=_no_number)


def plain_text(element: etree._Element) -> str:
    """The text of an element without the spaces around it."""
    return text_of(element).strip()


def _no_number(name: str) -> Any:
    raise OutOfContract(f"{name} is no number")


def _use(each: Parameter | Header) -> Use:
    return of_parameter(each.schema, each.element)


def _content(binary: Binary, sent: bytes, kind: str | None, inline: bool) -> str:
    text = b64encode(sent).decode("ascii") if inline else ""
    said = f"<{binary.type_element}>{escaped(kind)}</{binary.type_element}>" if kind else ""
    return f"<{binary.element}>{text}</{binary.element}>{said}"


def _bytes(element: etree._Element) -> bytes:
    return a2b_base64(plain_text(element))


def _path_parts(template: str) -> list[tuple[bool, str]]:
    """`/v1/cases/{number}` as pieces, each with whether it names a parameter."""
    parts = []
    for piece in template.split("{"):
        name, closed, rest = piece.rpartition("}")
        if closed:
            parts.append((True, name))
        parts.append((False, rest))
    return parts


@cache
def _binding() -> Binding:
    return Binding()
