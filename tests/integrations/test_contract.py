"""What is served is the contract, and the contract holds together."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from foundation.database import Database
from foundation.http import create_app
from foundation.identity import Identity
from foundation.secret import SecretFile
from integrations import contracts
from integrations.entrypoints import rest, verify
from integrations.service import load_services
from tests.integrations.desk import DEFINITIONS, open_desk

METHODS = {"get", "post", "put", "delete"}
OPERATIONS = [
    (path, method, operation)
    for path, methods in contracts.licensing()["paths"].items()
    for method, operation in methods.items()
]
NAMES = [operation["operationId"] for _, _, operation in OPERATIONS]


@pytest.fixture
def described(database: Database, tmp_path: Path) -> dict[str, Any]:
    """What the application says of itself."""
    desk = open_desk(database, tmp_path, (DEFINITIONS,))
    secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    identity = Identity(database, secrets, 600)
    app = create_app("Rakeeza", max_body=1_000, one_by_one=True)
    app.include_router(rest.router(desk.licensing, identity))
    app.include_router(verify.router(desk.licensing))
    contracts.describe(app)
    document: dict[str, Any] = app.openapi()
    return document


def _plain(part: Any, schemas: dict[str, Any]) -> Any:
    """A part without its prose, and with every schema in its place."""
    if isinstance(part, dict):
        if "$ref" in part:
            # A default is of the framework's making: an optional body.
            assert set(part) <= {"$ref", "description", "default"}, part
            return _plain(schemas[part["$ref"].rpartition("/")[2]], schemas)
        return {
            key: _plain(value, schemas)
            for key, value in part.items()
            if key not in ("title", "description") or isinstance(value, dict)
        }
    return [_plain(item, schemas) for item in part] if isinstance(part, list) else part


def _said(operation: dict[str, Any], read: Callable[[Any], Any]) -> dict[str, Any]:
    found = read(operation)
    body = found.get("requestBody")
    return {
        "id": found["operationId"],
        "parameters": sorted(found.get("parameters", []), key=lambda each: (each["in"], each["name"])),
        # Absent is false (OpenAPI 3.1, section 4.8.13).
        "body": None if body is None else {"required": False, **body},
        "secured": bool(found.get("security")),
        "answers": found["responses"],
    }


def test_what_is_served_is_the_contract(described: dict[str, Any]) -> None:
    # The schemas of bodies are those that the code makes; of answers, the contract's own.
    own = described["components"]["schemas"]
    promised = contracts.licensing()
    assert set(described["paths"]) == set(promised["paths"])
    for path, method, operation in OPERATIONS:
        served = described["paths"][path]
        assert set(served) == set(promised["paths"][path])
        theirs = _said(served[method], lambda part: _plain(part, own))
        ours = _said(operation, lambda part: _plain(contracts.resolved(part), {}))
        assert theirs == ours, f"{method} {path}"


def test_what_is_served_is_described_with_every_schema_it_names(described: dict[str, Any]) -> None:
    named = set(_references(described))
    assert named
    assert {name for name in named if name not in described["components"]["schemas"]} == set()


def test_every_part_of_the_contract_is_used() -> None:
    document = contracts.licensing()
    named = {each for part in (document["paths"], document["components"]) for each in _whole_references(part)}
    for kind, parts in document["components"].items():
        if kind != "securitySchemes":
            unused = [name for name in parts if f"#/components/{kind}/{name}" not in named]
            assert unused == [], kind


def test_every_schema_is_one_and_is_closed() -> None:
    for name, schema in contracts.licensing()["components"]["schemas"].items():
        Draft202012Validator.check_schema(schema)
        for part in _objects(schema):
            if "properties" in part:
                assert "additionalProperties" in part, name
                assert set(part.get("required", ())) <= set(part["properties"]), name


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)
def test_every_operation_names_its_refusals(path: str, method: str, operation: dict[str, Any]) -> None:
    assert method in METHODS
    codes = set(operation["responses"])
    parameters = [contracts.resolved(each) for each in operation.get("parameters", [])]
    if operation.get("security"):
        assert "401" in codes
    if "{" in path:
        assert {"404", "422"} <= codes
    if any(each["name"] == "Idempotency-Key" for each in parameters):
        assert {"400", "422"} <= codes
    else:
        # What may be done twice without harm: reads, and what is gone.
        assert method in ("get", "delete") or operation["operationId"] in {
            "search_delegations",
            "copy_subject",
            "reconcile",
        }
    assert ("412" in codes) is any(each["name"] == "If-Match" for each in parameters)
    if "requestBody" in operation:
        assert {"413", "415", "422"} <= codes
    if any(each["name"] == "after" for each in parameters):
        assert "400" in codes
    assert len([code for code in codes if code < "300"]) == 1


def _endless(schema: Any, place: str) -> Iterator[str]:
    """Places of a schema that let any number of characters, digits or items pass."""
    if not isinstance(schema, dict):
        return
    kinds = schema.get("type")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    told = schema.keys() & {"maxLength", "enum", "const", "format"}
    # A pattern ends where nothing in it may be repeated without end; a sign that is escaped or listed repeats
    # nothing.
    pattern = re.sub(r"\\.|\[[^\]]*\]", "x", schema.get("pattern", "*"))
    if "string" in kinds and not told and ("*" in pattern or "+" in pattern):
        yield place
    if "array" in kinds and "maxItems" not in schema:
        yield place
    if "integer" in kinds and not schema.keys() & {"maximum", "enum", "const"}:
        yield place
    for name, part in schema.get("properties", {}).items():
        yield from _endless(part, f"{place}/{name}")
    yield from _endless(schema.get("items"), f"{place}/*")
    for key in ("oneOf", "anyOf"):
        for part in schema.get(key, ()):
            yield from _endless(part, place)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS, ids=NAMES)
def test_whatever_a_caller_sends_has_a_limit(path: str, method: str, operation: dict[str, Any]) -> None:
    asked = contracts.resolved(operation)
    places = {each["name"]: each["schema"] for each in asked.get("parameters", ())}
    for kind, content in asked.get("requestBody", {}).get("content", {}).items():
        # Bytes are limited as a whole, and a file's type says no more.
        if kind == "application/json":
            places["body"] = content["schema"]
    endless = [place for name, schema in places.items() for place in _endless(schema, name)]
    assert endless == [], f"{method} {path}"


def test_what_may_go_on_without_end_is_found() -> None:
    wrong = {
        "a": {"type": "string"},
        "b": {"type": "string", "pattern": "^[a-z]+$"},
        "c": {"type": "array", "items": {"type": "string", "maxLength": 3}},
        "d": {"type": ["integer", "null"], "minimum": 1},
        "e": {"type": "array", "maxItems": 2, "items": {"type": "string", "pattern": "^a*$"}},
    }
    right = {"f": {"type": "string", "pattern": "^[*+]{2}\\+$"}, "g": {"type": "string", "format": "date"}}
    found = list(_endless({"type": "object", "properties": {**wrong, **right}}, "body"))
    assert found == ["body/a", "body/b", "body/c", "body/d", "body/e/*"]


def test_every_example_is_right() -> None:
    found: dict[tuple[str, str], Any] = {}
    for _, _, operation in OPERATIONS:
        for content in operation.get("requestBody", {}).get("content", {}).values():
            for name, example in content.get("examples", {}).items():
                Draft202012Validator(contracts.resolved(content["schema"])).validate(example["value"])
                found[operation["operationId"], name] = example["value"]
    # What the contract leaves to the service is right too.
    application = found["submit", "issue"]
    service = load_services(()).get(application["service"]).for_clients()
    Draft202012Validator(service["procedures"]["issue"]["form"]).validate(application["form"])


def test_names_of_operations_are_their_own() -> None:
    assert len(set(NAMES)) == len(NAMES)
    links = {
        link["operationId"]
        for _, _, operation in OPERATIONS
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    }
    assert links
    assert links <= set(NAMES)


def _references(part: Any) -> Iterator[str]:
    for reference in _whole_references(part):
        yield reference.rpartition("/")[2]


def _whole_references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _whole_references(value)
    elif isinstance(part, list):
        for item in part:
            yield from _whole_references(item)


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if part.get("type") == "object":
            yield part
        for value in part.values():
            yield from _objects(value)
    elif isinstance(part, list):
        for item in part:
            yield from _objects(item)
