"""The contracts of the faces: what is promised to centres, banks and kiosks, written before the code."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml
from fastapi import FastAPI

LICENSING = Path(__file__).parent / "licensing.openapi.yaml"

ARABIC = "x-summary-ar"
"""Member of an operation: its summary in Arabic."""

_JSON = "application/json"


@cache
def licensing() -> dict[str, Any]:
    """The licensing contract, OpenAPI 3.1."""
    document: dict[str, Any] = yaml.safe_load(LICENSING.read_text(encoding="utf-8"))
    return document


def promised(operation_id: str) -> dict[str, Any]:
    """What a route says of itself, its headers and every answer as the contract has them.

    Schemas stay references: `describe` puts what they name into the description of the application.

    Returns:
        Arguments for FastAPI's route decorators.

    Raises:
        KeyError: the contract has no such operation.
    """
    operation = _operations()[operation_id]
    answers = {int(code): _shallow(answer) for code, answer in operation["responses"].items()}
    headers = [resolved(each) for each in _parameters(operation) if each["in"] == "header"]
    extra: dict[str, Any] = {ARABIC: operation.get(ARABIC, "")}
    if headers:
        extra["parameters"] = headers
    body = operation.get("requestBody")
    if body is not None and _JSON not in body["content"]:
        # It passes the framework by, which then cannot describe it.
        extra["requestBody"] = resolved(body)
    elif body is not None and "examples" in body["content"][_JSON]:
        extra["requestBody"] = {"content": {_JSON: {"examples": body["content"][_JSON]["examples"]}}}
    return {
        "operation_id": operation_id,
        "summary": operation["summary"],
        "description": operation.get("description", ""),
        "status_code": min(answers),
        "responses": answers,
        "openapi_extra": extra,
    }


def describe(app: FastAPI) -> None:
    """Let an application's description hold the schemas that its promises name.

    What the application takes stays as its own code describes it; a test holds that against the contract.
    """
    own = app.openapi

    def described() -> dict[str, Any]:
        document = own()
        components = document.setdefault("components", {})
        components["schemas"] = {**licensing()["components"]["schemas"], **components.get("schemas", {})}
        return document

    app.openapi = described  # type: ignore[method-assign] # the way that FastAPI's own manual shows


def resolved(part: Any) -> Any:
    """A part of the contract with every reference replaced by what it names."""
    if isinstance(part, dict):
        if "$ref" in part:
            return resolved(_named(part["$ref"]))
        return {key: resolved(value) for key, value in part.items()}
    return [resolved(item) for item in part] if isinstance(part, list) else part


@cache
def _operations() -> dict[str, dict[str, Any]]:
    return {
        operation["operationId"]: operation
        for path in licensing()["paths"].values()
        for operation in path.values()
    }


def _parameters(operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [_named(each["$ref"]) if "$ref" in each else each for each in operation.get("parameters", [])]


def _shallow(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with its headers in place, and its schemas as references."""
    whole = dict(_named(answer["$ref"]) if "$ref" in answer else answer)
    if "headers" in whole:
        whole["headers"] = resolved(whole["headers"])
    return whole


def _named(reference: str) -> Any:
    target: Any = licensing()
    for step in reference.removeprefix("#/").split("/"):
        target = target[step]
    return target
