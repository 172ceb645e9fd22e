"""What the contract's schemas say is mapped exactly, or refused."""

from typing import Any

import pytest

from foundation.errors import DefinitionError
from integrations.contracts import licensing, names, shapes
from integrations.contracts.shapes import Free, ListOf, MapOf, Nothing, Record, Text, Use, Whole, shape_of

CLOSED: dict[str, Any] = {"type": "object", "additionalProperties": False}
TEXT = {"type": "string"}
NUMBER = {"type": "integer"}


def test_each_construct_has_its_shape() -> None:
    cases: list[tuple[dict[str, Any], Use]] = [
        ({"type": ["string", "null"], "maxLength": 3}, Use(Text(maximum=3), True)),
        ({"enum": ["a", None]}, Use(Text(values=("a",)), True)),
        ({"const": 201}, Use(Whole(minimum=201, maximum=201))),
        ({"oneOf": [{"type": "null"}, {"const": "a"}]}, Use(Text(values=("a",)), True)),
        ({"anyOf": [{"enum": ["a", "b"]}, {"const": "c"}]}, Use(Text(values=("a", "b", "c")))),
        ({"type": "null"}, Use(Nothing())),
        ({"type": "object"}, Use(Free())),
        ({"type": ["object", "null"]}, Use(Free(), True)),
        ({"type": "array", "items": NUMBER, "maxItems": 2}, Use(ListOf("P", Use(Whole()), 0, 2))),
        ({"type": "object", "additionalProperties": TEXT}, Use(MapOf("P", Text(), Use(Text()), 0))),
    ]
    for schema, use in cases:
        assert shape_of(schema, "P") == use, schema


def test_two_objects_that_begin_alike_become_one_with_alternatives() -> None:
    row = shape_of(
        {
            "oneOf": [
                {
                    **CLOSED,
                    "required": ["status", "body"],
                    "properties": {"status": {"const": 201}, "body": TEXT},
                },
                {
                    **CLOSED,
                    "required": ["status", "problem"],
                    "properties": {
                        "status": {"type": "integer", "minimum": 400, "maximum": 599},
                        "problem": TEXT,
                    },
                },
            ]
        },
        "Row",
    ).shape
    assert isinstance(row, Record)
    assert row.choice == (("body",), ("problem",))
    assert row.members[0].use.shape == Whole(patterns=("201", "[4-5][0-9][0-9]"))


def test_an_object_of_one_of_its_members_is_a_choice() -> None:
    for said in (
        {"minProperties": 1, "maxProperties": 1},
        {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
    ):
        shape = shape_of({**CLOSED, "properties": {"a": TEXT, "b": TEXT}, **said}, "P").shape
        assert isinstance(shape, Record)
        assert shape.choice == (("a",), ("b",))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "number"},
        {"type": ["string", "integer"]},
        {},
        {"not": TEXT},
        {"allOf": [TEXT]},
        {"if": TEXT, "then": TEXT},
        {"type": "string", "format": "ipv4"},
        {"type": "string", "format": "date", "maxLength": 10},
        {"type": "string", "contentEncoding": "base64"},
        {"type": "string", "pattern": "^a|b$"},
        {"type": "integer", "multipleOf": 5},
        {"type": "integer", "exclusiveMinimum": 5},
        {"type": "array", "items": TEXT, "uniqueItems": True},
        {"type": "array", "prefixItems": [TEXT], "items": TEXT},
        {"enum": ["a", 1]},
        {"enum": [1, 2]},
        {"enum": [True]},
        {"oneOf": [TEXT, NUMBER]},
        {"oneOf": [{"const": "a"}, {"const": "a"}]},
        {"oneOf": [TEXT, {"type": "null"}], "pattern": "^a$"},
        CLOSED,
        {"type": "object", "properties": {"a": TEXT}, "additionalProperties": NUMBER},
        {"type": "object", "properties": {"a": TEXT, "more": TEXT}, "additionalProperties": True},
        {"type": "object", "patternProperties": {"a": TEXT}},
        {"type": "object", "additionalProperties": TEXT, "propertyNames": NUMBER},
        {"type": "object", "additionalProperties": TEXT, "maxProperties": 2},
        {**CLOSED, "properties": {"a b": TEXT}},
        {**CLOSED, "properties": {"a": TEXT}, "required": ["b"]},
        {**CLOSED, "properties": {"a": TEXT}, "dependentRequired": {"a": ["b"]}},
        {**CLOSED, "properties": {"a": TEXT, "b": TEXT}, "minProperties": 1, "maxProperties": 2},
        {**CLOSED, "properties": {"a": TEXT, "b": TEXT}, "oneOf": [{"required": ["a"]}, {"properties": {}}]},
        {
            **CLOSED,
            "properties": {"a": TEXT, "x": TEXT, "b": TEXT},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
        },
        {"oneOf": [{**CLOSED, "properties": {"a": TEXT}}, {**CLOSED, "properties": {"a": TEXT, "b": TEXT}}]},
        {"$ref": "#/components/schemas/Name", "maxLength": 3},
        {"$ref": "#/components/responses/Stale"},
    ],
    ids=str,
)
def test_what_has_no_counterpart_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=r"licensing\.openapi\.yaml"):
        shape_of(schema, "P")


def test_names_are_kept_and_only_headers_are_written_otherwise() -> None:
    assert names.element_of_operation("take_action") == "TakeAction"
    assert names.element_of_member("bill_number") == "bill_number"
    assert [
        names.element_of_header(each)
        for each in ("Idempotency-Key", "If-Match", "ETag", "Idempotency-Replayed")
    ] == [
        "idempotencyKey",
        "ifMatch",
        "etag",
        "replayed",
    ]


def test_every_operation_is_had_by_soap_or_said_why_not() -> None:
    told = {each["operationId"] for methods in licensing()["paths"].values() for each in methods.values()}
    assert set(names.by_id()) | set(names.NOT_BY_SOAP) == told
    assert set(names.by_id()) & set(names.NOT_BY_SOAP) == set()
    assert all(names.NOT_BY_SOAP.values())


def test_every_body_of_the_table_has_a_shape() -> None:
    for operation in names.operations():
        for name in (operation.body, operation.answer.body):
            assert name is None or shapes.body(name).members
        for each in operation.parameters:
            shapes.of_parameter(each.schema, each.element)
