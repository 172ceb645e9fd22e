"""How the contract's operations are called by SOAP: one table, made from the OpenAPI file.

A JSON member keeps its name as an element. What travels beside the body in HTTP (path, query, headers) stands
as elements before the members of a request, and behind those of an answer.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any, Literal

from foundation.errors import DefinitionError
from integrations.contracts import ARABIC, LICENSING, licensing

NAMESPACE = "urn:rakeeza:licensing:1"
"""Target namespace of the XSD and the WSDL; its number is the version of the contract that centres hold."""

OTHER_PROBLEM = "Problem"
"""The fault of a problem that the contract does not name on the operation."""

NOT_BY_SOAP: Mapping[str, str] = {
    "events": "the stream of events does not end, and a SOAP answer is one message; webhooks tell the same",
    "status_lists": "a file at a well-known address, for verifiers that know of no contract",
    "keys": "a file at a well-known address, for verifiers that know of no contract (RFC 7517)",
    "certificates": "a file at a well-known address, for verifiers that know of no contract",
}
"""Operations that only REST has, each with the reason."""

# By SOAP the device stands in the clerk's token: only there is it under the centre's signature.
_NOT_IN_REQUESTS = frozenset({"Centre-Device"})
# The challenge is HTTP's own, and a SOAP caller has no use of it.
_NOT_ELEMENTS = frozenset({"WWW-Authenticate"})
_HEADERS = {"ETag": "etag", "Idempotency-Replayed": "replayed"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_PLACES: Mapping[str, Literal["path", "query", "header"]] = {
    "path": "path",
    "query": "query",
    "header": "header",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a request carries beside its body.

    Args:
        name: as HTTP has it, `Idempotency-Key`.
        where: which part of the request it travels in.
        element: its element in the request, `idempotencyKey`.
        required: whether the request is wrong without it.
        schema: its JSON schema, references unresolved.
        description: the contract's words.
    """

    name: str
    where: Literal["path", "query", "header"]
    element: str
    required: bool
    schema: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True)
class Header:
    """A header of an answer that has an element; fields as those of `Parameter`."""

    name: str
    element: str
    required: bool
    schema: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A body that is bytes: xs:base64Binary, or an attachment (MTOM) in its place.

    Args:
        types: the media types it may be of, as the contract lists them.
        element: holds the bytes.
        type_element: holds the media type; in a request it may be left out.
        reference: in a request, stands in the place of `element` and names bytes that were sent before; None
            in an answer.
    """

    types: tuple[str, ...]
    element: str = "content"
    type_element: str = "contentType"
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answers when it succeeds.

    Args:
        status: of HTTP.
        body: name of the schema of its JSON body, or None.
        binary: its body where that is bytes, or None.
        headers: those that have an element.
        description: the contract's words.
    """

    status: int
    body: str | None
    binary: Binary | None
    headers: tuple[Header, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem that an operation names; its element is of the type `Problem`.

    Args:
        status: of HTTP.
        element: name of the response in the contract, `Conflict`.
        headers: those that have an element in `Problem`.
        description: the contract's words.
    """

    status: int
    element: str
    headers: tuple[Header, ...]
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation as both faces have it.

    Args:
        id: `take_action`.
        name: of the WSDL operation and of the request's element, `TakeAction`.
        response: of the answer's element, `TakeActionResponse`.
        action: the SOAPAction, `urn:rakeeza:licensing:1/TakeAction`.
        method: of HTTP, in capitals.
        path: template, `/v1/cases/{number}/actions/{action}`.
        parameters: in the contract's order.
        body: name of the schema of the request's JSON body, or None.
        body_required: whether a request without a body is wrong.
        binary: the request's body where that is bytes, or None.
        answer: of success.
        faults: the problems that the contract names here, by status.
        public: whether anyone may call it, without a token.
        summary, description: the contract's words.
        arabic: the summary in Arabic.
    """

    id: str
    name: str
    response: str
    action: str
    method: str
    path: str
    parameters: tuple[Parameter, ...]
    body: str | None
    body_required: bool
    binary: Binary | None
    answer: Answer
    faults: tuple[Fault, ...]
    public: bool
    summary: str
    description: str
    arabic: str

    def fault(self, status: int) -> str:
        """The fault's element of a problem of this status, `Problem` where the contract names none."""
        return next((each.element for each in self.faults if each.status == status), OTHER_PROBLEM)


def operations() -> tuple[Operation, ...]:
    """Every operation that SOAP has, in the contract's order.

    Raises:
        DefinitionError: the contract says something that has no counterpart by SOAP.
    """
    return _table()


def by_element() -> Mapping[str, Operation]:
    """The same by the name of the request's element, `TakeAction`."""
    return {each.name: each for each in operations()}


def by_id() -> Mapping[str, Operation]:
    """The same by the contract's operationId, `take_action`."""
    return {each.id: each for each in operations()}


def fault_elements() -> Mapping[str, str]:
    """Every element that a fault may be, with its description; `Problem` last."""
    named = {each.element: each.description for one in operations() for each in one.faults}
    return {**named, OTHER_PROBLEM: "A problem that the operation does not name."}


def element_of_operation(operation_id: str) -> str:
    """`take_action` -> `TakeAction`."""
    return "".join(part[:1].upper() + part[1:] for part in operation_id.split("_"))


def element_of_header(name: str) -> str:
    """`Idempotency-Key` -> `idempotencyKey`; ETag and Idempotency-Replayed -> `etag` and `replayed`."""
    first, *rest = name.split("-")
    return _HEADERS.get(name) or _element(first.lower() + "".join(part.capitalize() for part in rest))


def element_of_member(name: str) -> str:
    """The element of a JSON member or of a parameter of path or query: its name itself."""
    return _element(name)


def schema_name(schema: Mapping[str, Any]) -> str:
    """The name of the schema that a reference refers to.

    Raises:
        DefinitionError: it is no reference to `#/components/schemas/`.
    """
    reference = schema.get("$ref", "")
    folder, _, name = reference.rpartition("/")
    if folder != "#/components/schemas" or set(schema) - {"$ref", "description"}:
        raise refused(f"a body is a named schema, not {dict(schema)!r}")
    return str(name)


def refused(message: str) -> DefinitionError:
    """The error of a contract that says what SOAP cannot."""
    return DefinitionError(
        message, place=LICENSING.name, remedy="Say it in the contract by a construct that shapes.py maps."
    )


@cache
def _table() -> tuple[Operation, ...]:
    found = tuple(
        _operation(path, method, said)
        for path, methods in licensing()["paths"].items()
        for method, said in methods.items()
        if said["operationId"] not in NOT_BY_SOAP
    )
    names = [name for each in found for name in (each.name, each.response)] + sorted(
        {fault.element for each in found for fault in each.faults} | {OTHER_PROBLEM}
    )
    if twice := {name for name in names if names.count(name) > 1}:
        raise refused(f"elements have the same name: {', '.join(sorted(twice))}")
    return found


def _operation(path: str, method: str, said: Mapping[str, Any]) -> Operation:
    name = element_of_operation(said["operationId"])
    body, binary = _content(said.get("requestBody"), reference="contentId")
    answers, faults = _responses(said)
    if len(answers) != 1:
        raise refused(f"{said['operationId']} has {len(answers)} answers of success, and SOAP has one")
    return Operation(
        id=said["operationId"],
        name=name,
        response=f"{name}Response",
        action=f"{NAMESPACE}/{name}",
        method=method.upper(),
        path=path,
        parameters=tuple(
            _parameter(each)
            for each in map(resolved_once, said.get("parameters", ()))
            if each["name"] not in _NOT_IN_REQUESTS
        ),
        body=body,
        body_required=bool(said.get("requestBody", {}).get("required", False)),
        binary=binary,
        answer=answers[0],
        faults=tuple(faults),
        public=not said.get("security"),
        summary=_words(said["summary"]),
        description=_words(said.get("description", "")),
        arabic=_words(said.get(ARABIC, "")),
    )


def _parameter(said: Mapping[str, Any]) -> Parameter:
    where = _PLACES.get(said["in"])
    if where is None:
        raise refused(f"a parameter in the {said['in']} has no element")
    element = element_of_header(said["name"]) if where == "header" else element_of_member(said["name"])
    return Parameter(
        said["name"],
        where,
        element,
        said.get("required", False),
        said["schema"],
        _words(said.get("description", "")),
    )


def _responses(said: Mapping[str, Any]) -> tuple[list[Answer], list[Fault]]:
    answers: list[Answer] = []
    faults: list[Fault] = []
    for code, response in said["responses"].items():
        whole = resolved_once(response)
        status = int(code)
        headers = tuple(_headers(whole))
        if status == HTTPStatus.NOT_MODIFIED:
            continue  # answers If-None-Match, which no request by SOAP holds
        if status < HTTPStatus.MULTIPLE_CHOICES:
            body, binary = _content(whole)
            answers.append(Answer(status, body, binary, headers, _words(whole["description"])))
        elif "$ref" in response:
            name = response["$ref"].rpartition("/")[2]
            faults.append(Fault(status, name, headers, _words(whole["description"])))
        else:
            raise refused(f"{said['operationId']} has an answer {code} without a name")
    return answers, faults


def _headers(said: Mapping[str, Any]) -> Iterator[Header]:
    for name, reference in said.get("headers", {}).items():
        if name not in _NOT_ELEMENTS:
            header = resolved_once(reference)
            required = header.get("required", False)
            words = _words(header.get("description", ""))
            yield Header(name, element_of_header(name), required, header["schema"], words)


def _content(
    said: Mapping[str, Any] | None, reference: str | None = None
) -> tuple[str | None, Binary | None]:
    """The name of a JSON body's schema, or what its bytes may be."""
    content = said.get("content") if said else None
    if not content:
        return None, None
    schemas = {kind: each["schema"] for kind, each in content.items()}
    if set(schemas) == {"application/json"}:
        return schema_name(schemas["application/json"]), None
    for kind, schema in schemas.items():
        if (
            "json" in kind
            or set(schema) - {"type", "format", "contentMediaType"}
            or schema["type"] != "string"
        ):
            raise refused(f"a body of {kind} is neither bytes nor JSON alone")
    return None, Binary(tuple(schemas), reference=reference)


def resolved_once(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """A part of the contract, or what it refers to; what is inside stays as it is."""
    if set(part) == {"$ref"}:
        target: Any = licensing()
        for step in part["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return dict(target)
    return part


def _words(text: str) -> str:
    return " ".join(text.split())


def _element(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise refused(f"{name!r} is no name of an element")
    return name
