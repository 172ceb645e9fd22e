"""The contracts of the faces: what is promised to centres, banks and kiosks, written before the code."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

LICENSING = Path(__file__).parent / "licensing.openapi.yaml"


@cache
def licensing() -> dict[str, Any]:
    """The licensing contract, OpenAPI 3.1."""
    document: dict[str, Any] = yaml.safe_load(LICENSING.read_text(encoding="utf-8"))
    return document


def promised(operation_id: str) -> dict[str, Any]:
    """What a route says of itself, its headers and answers as the contract has them.

    Returns:
        Arguments for FastAPI's route decorators.

    Raises:
        KeyError: the contract has no such operation.
    """
    for path in licensing()["paths"].values():
        for operation in path.values():
            if operation["operationId"] == operation_id:
                responses = {int(code): resolved(answer) for code, answer in operation["responses"].items()}
                headers = [
                    each for each in resolved(operation.get("parameters", [])) if each["in"] == "header"
                ]
                return {
                    "operation_id": operation_id,
                    "summary": operation["summary"],
                    "responses": responses,
                    "openapi_extra": {"parameters": headers} if headers else None,
                }
    raise KeyError(operation_id)


def resolved(part: Any) -> Any:
    """A part of the contract with every reference replaced by what it names."""
    if isinstance(part, dict):
        if "$ref" in part:
            target: Any = licensing()
            for step in part["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            return resolved(target)
        return {key: resolved(value) for key, value in part.items()}
    return [resolved(item) for item in part] if isinstance(part, list) else part
