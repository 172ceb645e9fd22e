"""What a change of the contract would break for who holds a released one.

A request that was right must stay right: what the released contract lets a client send, today's takes. An
answer must stay what the client was told: what today's contract lets us answer, the released one has. So also
a member added to an answer breaks it: what zeep made from the released XSD refuses what it does not know.
Such changes need a new version of the contract, beside the old one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

RELEASED = Path(__file__).parent / "released"
"""A folder a released version, named by its number, with the files as centres got them."""

_PROSE = frozenset({"description", "default", "example", "examples", "title"})
_SAYS = ("pattern", "format", "contentMediaType", "propertyNames")


@dataclass(frozen=True, slots=True)
class Breaking:
    """A change that breaks a client.

    Args:
        place: the operation and the way into its messages, `take_action request /form`.
        change: what is otherwise, in one sentence without a full stop.
    """

    place: str
    change: str

    def __str__(self) -> str:
        return f"{self.place}: {self.change}"


@dataclass(frozen=True, slots=True)
class Release:
    """The contract as a version of it was released."""

    version: int
    openapi: Mapping[str, Any]
    xsd: bytes
    wsdl: bytes


@cache
def releases() -> tuple[Release, ...]:
    """Every released version, oldest first."""
    folders = sorted((int(each.name), each) for each in RELEASED.iterdir() if each.is_dir())
    return tuple(
        Release(
            number,
            yaml.safe_load((folder / "licensing.openapi.yaml").read_text(encoding="utf-8")),
            (folder / "licensing.xsd").read_bytes(),
            (folder / "licensing.wsdl").read_bytes(),
        )
        for number, folder in folders
    )


def breaking(released: Mapping[str, Any], today: Mapping[str, Any]) -> tuple[Breaking, ...]:
    """What of today's OpenAPI contract breaks a client of the released one.

    Args:
        released: the document as it was released.
        today: the document as it is.
    """
    return tuple(_Comparison(released, today).changes())


class _Document:
    """One of the two contracts."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self.operations: dict[str, tuple[str, Mapping[str, Any]]] = {
            said["operationId"]: (f"{method.upper()} {path}", said)
            for path, methods in document["paths"].items()
            for method, said in methods.items()
        }

    def read(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """A part with what it refers to in its place, and without prose; what is inside it stays as it is."""
        while "$ref" in part:
            target: Any = self._document
            for step in part["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            part = target
        return {key: value for key, value in part.items() if key not in _PROSE}

    def whole(self, part: Any) -> Any:
        """A part with all that it refers to in its place, and without prose."""
        if isinstance(part, list):
            return [self.whole(each) for each in part]
        if not isinstance(part, dict):
            return part
        read = self.read(part)
        # Members of an object may have the names of prose.
        properties = {name: self.whole(each) for name, each in read.pop("properties", {}).items()}
        found = {key: self.whole(value) for key, value in read.items()}
        return {**found, "properties": properties} if properties else found


class _Comparison:
    """Today's contract beside a released one."""

    def __init__(self, released: Mapping[str, Any], today: Mapping[str, Any]) -> None:
        self._old = _Document(released)
        self._new = _Document(today)

    def changes(self) -> Iterator[Breaking]:
        for name, (address, said) in self._old.operations.items():
            if name not in self._new.operations:
                yield Breaking(name, "the operation is gone")
                continue
            new_address, new = self._new.operations[name]
            if address != new_address:
                yield Breaking(name, f"it was {address}, and is {new_address}")
            if new.get("security") and not said.get("security"):
                yield Breaking(name, "it asks for a token now")
            yield from self._parameters(name, said, new)
            yield from self._request(name, said, new)
            yield from self._answers(name, said, new)

    def _parameters(self, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Breaking]:
        before, after = (
            {(each["in"], each["name"]): each for each in map(document.read, said.get("parameters", ()))}
            for document, said in ((self._old, old), (self._new, new))
        )
        for (where, parameter), said in before.items():
            place = f"{name} request {parameter}"
            if (where, parameter) not in after:
                yield Breaking(place, f"the parameter in the {where} is gone")
                continue
            now = after[where, parameter]
            if now.get("required") and not said.get("required"):
                yield Breaking(place, "it is required now")
            yield from self._asked(place, said["schema"], now["schema"])
        for (where, parameter), now in after.items():
            if now.get("required") and (where, parameter) not in before:
                yield Breaking(
                    f"{name} request {parameter}", f"the parameter in the {where} is new and required"
                )

    def _request(self, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Breaking]:
        before = self._old.read(old.get("requestBody", {}))
        after = self._new.read(new.get("requestBody", {}))
        place = f"{name} request"
        if after.get("required") and not before.get("required"):
            yield Breaking(place, "its body is required now")
        for kind, said in before.get("content", {}).items():
            if kind not in after.get("content", {}):
                yield Breaking(place, f"a body of {kind} is not taken any more")
            else:
                yield from self._asked(place, said["schema"], after["content"][kind]["schema"])

    def _answers(self, name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Breaking]:
        for status, response in old["responses"].items():
            place = f"{name} answer {status}"
            if status not in new["responses"]:
                yield Breaking(place, "the answer is gone")
                continue
            names = [each.get("$ref", "").rpartition("/")[2] for each in (response, new["responses"][status])]
            if names[0] != names[1]:
                # By SOAP the name is that of the fault's element.
                yield Breaking(
                    place, f"it was {names[0] or 'without a name'}, and is {names[1] or 'without'}"
                )
            before, after = self._old.read(response), self._new.read(new["responses"][status])
            for kind, said in after.get("content", {}).items():
                if kind not in before.get("content", {}):
                    yield Breaking(place, f"a body of {kind} is new")
                else:
                    yield from self._told(place, before["content"][kind]["schema"], said["schema"])
            if before.get("content") and not after.get("content"):
                yield Breaking(place, "its body is gone")
            yield from self._headers(place, before.get("headers", {}), after.get("headers", {}))
        for status in new["responses"].keys() - old["responses"].keys():
            if int(status) < 300:
                yield Breaking(f"{name} answer {status}", "the answer of success is another")

    def _headers(self, place: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Breaking]:
        for header, reference in old.items():
            before = self._old.read(reference)
            if header not in new:
                yield Breaking(f"{place} {header}", "the header is gone")
                continue
            after = self._new.read(new[header])
            if before.get("required") and not after.get("required"):
                yield Breaking(f"{place} {header}", "the header may be missing now")
            yield from self._told(f"{place} {header}", before["schema"], after["schema"])
        for header in new.keys() - old.keys():
            yield Breaking(f"{place} {header}", "the header is new, and no element of a released answer")

    def _asked(self, place: str, old: Any, new: Any) -> Iterator[Breaking]:
        for path, gap in gaps(self._old.whole(old), self._new.whole(new)):
            yield Breaking(_at(place, path), f"a request that was right is refused: {gap}")

    def _told(self, place: str, old: Any, new: Any) -> Iterator[Breaking]:
        before, after = self._old.whole(old), self._new.whole(new)
        for path, gap in gaps(after, before):
            yield Breaking(_at(place, path), f"an answer may be what it never was: {gap}")
        for path in _gone(before, after):
            yield Breaking(_at(place, path), "the member is gone")


def gaps(inner: Any, outer: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Why some value that one schema lets pass is refused by another; both without references.

    It errs on the side of naming: two patterns that differ are taken to differ in what they let pass.

    Args:
        inner: the schema whose values must all pass.
        outer: the schema that they must pass.
        path: JSON Pointer to where the two stand.

    Returns:
        Pairs of a path and a reason.
    """
    if inner == outer or outer in (True, {}):
        return
    values = _values(inner)
    if values is not None:
        validator = Draft202012Validator(outer)
        for value in values:
            if not validator.is_valid(value):
                yield path, f"the value {value!r}"
        return
    for one, other in ((inner, True), (outer, False)):
        alternatives = _alternatives(one)
        if alternatives and other:
            for each in alternatives:
                yield from gaps(each, outer, path)
            return
        if alternatives:
            found = [list(gaps(inner, each, path)) for each in alternatives]
            if all(found):
                yield from min(found, key=len)
            return
    if _values(outer) is not None:
        yield path, f"only {', '.join(map(repr, _values(outer) or ()))}"
        return
    yield from _plain_gaps(inner, outer, path)


def _plain_gaps(inner: Mapping[str, Any], outer: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    mine, theirs = inner.get("type"), outer.get("type")
    if theirs is not None and mine != theirs and (mine, theirs) != ("integer", "number"):
        yield path, f"the type {mine}, not {theirs}"
        return
    for key in _SAYS:
        if key in outer and inner.get(key) != outer[key]:
            yield path, f"{key} {inner.get(key)!r}, not {outer[key]!r}"
    for key in ("minLength", "minimum", "minItems", "minProperties"):
        if key in outer and inner.get(key, -1) < outer[key]:
            yield path, f"{key} {inner.get(key, 'none')}, not {outer[key]}"
    for key in ("maxLength", "maximum", "maxItems", "maxProperties"):
        if key in outer and (key not in inner or inner[key] > outer[key]):
            yield path, f"{key} {inner.get(key, 'none')}, not {outer[key]}"
    if mine == "array":
        yield from gaps(inner.get("items", True), outer.get("items", True), f"{path}/items")
    if mine == "object":
        yield from _object_gaps(inner, outer, path)


def _object_gaps(inner: Mapping[str, Any], outer: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    mine, theirs = inner.get("properties", {}), outer.get("properties", {})
    others = outer.get("additionalProperties", True)
    for name, schema in mine.items():
        if name not in theirs and others is False:
            yield f"{path}/{name}", "the member, which is not known"
        else:
            yield from gaps(schema, theirs.get(name, others), f"{path}/{name}")
    for name in outer.get("required", ()):
        if name not in inner.get("required", ()):
            yield f"{path}/{name}", "the member, which is required and may be missing"
    held = inner.get("additionalProperties", True)
    if held is not False and others is False:
        yield path, "any other member"
    elif held is not False and others is not True:
        yield from gaps(held, others, f"{path}/*")
    if "oneOf" in outer and inner.get("oneOf") != outer["oneOf"]:
        yield path, "other alternatives"


def _gone(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Members that answers had, though they may have been missing; they can never come now."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return
    for one in _alternatives(before):
        same = [each for each in _alternatives(after) or [after] if each.get("type") == one.get("type")]
        if len(same) == 1:
            yield from _gone(one, same[0], path)
    if "items" in before:
        yield from _gone(before["items"], after.get("items"), f"{path}/items")
    if "properties" in before and "properties" in after:
        for name, schema in before["properties"].items():
            if name in after["properties"]:
                yield from _gone(schema, after["properties"][name], f"{path}/{name}")
            elif name not in set(before.get("required", ())) - set(after.get("required", ())):
                yield f"{path}/{name}"  # that the others may be missing is named already


def _values(schema: Any) -> list[Any] | None:
    if not isinstance(schema, dict):
        return None
    values: list[Any] | None = [schema["const"]] if "const" in schema else schema.get("enum")
    return values


def _alternatives(schema: Any) -> list[Any]:
    """The schemas of which a value is one, where a schema says so."""
    if not isinstance(schema, dict):
        return []
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": each} if each != "null" else {"type": "null"} for each in schema["type"]]
    if "properties" in schema:
        return []
    alternatives: list[Any] = schema.get("oneOf") or schema.get("anyOf") or []
    return alternatives


def _at(place: str, path: str) -> str:
    return f"{place} {path}" if path else place
