import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from integrations.form import FormField, PlainField, faults_of, schema_of_fields
from integrations.identifiers import fault

FIELD: TypeAdapter[Any] = TypeAdapter(FormField)
LABEL = {"ar": "حقل", "en": "Field"}

PLOT: list[list[float]] = [[520100.5, 2380000], [520150, 2380000], [520150, 2380040], [520100.5, 2380000]]
POLYGON: dict[str, Any] = {
    "name": "plot",
    "label": LABEL,
    "type": "polygon",
    "crs": "EPSG:20437",
    "example": {"type": "Polygon", "coordinates": [PLOT], "crs": "EPSG:20437"},
}
PATH: dict[str, Any] = {
    "name": "path",
    "label": LABEL,
    "type": "line",
    "crs": "EPSG:4326",
    "max_points": 3,
    "example": {"type": "LineString", "coordinates": [[39.17, 21.54], [39.18, 21.54]], "crs": "EPSG:4326"},
}
PATHS: dict[str, Any] = {
    "name": "boards",
    "label": LABEL,
    "type": "list",
    "min_rows": 1,
    "max_rows": 2,
    "fields": [
        {"name": "title", "label": LABEL, "type": "text", "max_length": 5, "example": "a"},
        {"name": "lit", "label": LABEL, "type": "boolean", "required": False, "example": True},
    ],
}
PARTY: dict[str, Any] = {
    "name": "holder",
    "label": LABEL,
    "type": "party",
    "example": {"kind": "national_id", "identifier": "1001244019", "name": "سعد", "mobile": "+966501234567"},
}


def made(content: dict[str, Any], **changes: Any) -> PlainField:
    field: PlainField = FIELD.validate_python({**content, **changes})
    return field


def wrong(field: PlainField, value: Any) -> list[str]:
    """What the schema, and then the field itself, say of a value."""
    schema = json.loads(json.dumps(schema_of_fields({field.name: field}), default=float))
    said = [error.message for error in Draft202012Validator(schema).iter_errors({field.name: value})]
    return said or [text.en for _, text in faults_of({field.name: field}, {field.name: value})]


def ring(*points: Sequence[float], crs: str = "EPSG:20437") -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [list(points)], "crs": crs}


def test_a_boundary_is_a_closed_ring_in_its_own_system() -> None:
    field = made(POLYGON)
    assert wrong(field, ring(*PLOT)) == []
    assert wrong(field, ring(*PLOT[:3], [520100.6, 2380000])) == [
        "The boundary is not closed: its last point must be its first."
    ]
    assert "'EPSG:20437' was expected" in wrong(field, ring(*PLOT, crs="EPSG:32637"))
    assert wrong(field, ring(PLOT[0], PLOT[1], PLOT[0])) != []
    assert wrong(field, ring([39.1, 21.5], [39.2, 21.5], [39.2, 21.6], [39.1, 21.5])) != []


@pytest.mark.parametrize(
    "corners",
    [
        [[0, 0], [10, 10], [10, 0], [0, 10]],  # a bow tie
        [[0, 0], [10, 0], [10, 10], [10, 0]],  # goes back the way it came
        [[0, 0], [10, 0], [5, 0], [5, 10]],  # folds onto its own side
        [[0, 0], [10, 0], [10, 10], [5, 0], [0, 10]],  # touches a side with a corner
        [[0, 0], [10, 0], [20, 0]],  # has no area
        [[0, 0], [10, 0], [10, 0], [0, 10]],  # stands still
    ],
)
def test_a_boundary_that_crosses_touches_or_repeats_itself_is_refused(corners: list[list[int]]) -> None:
    points = [[500_000 + x, 2_000_000 + y] for x, y in [*corners, corners[0]]]
    assert len(wrong(made(POLYGON), ring(*points))) == 1


@given(st.integers(3, 12), st.integers(0, 11), st.booleans())
def test_any_simple_boundary_is_taken_from_any_corner_and_in_both_directions(
    corners: int, start: int, turned: bool
) -> None:
    # A staircase below a straight side: simple, and not convex.
    points = [[500_000 + index, 2_000_000 + (index % 2) + 5 * (index > 0)] for index in range(corners)]
    points += [[500_000 + corners, 2_000_000]]
    points = points[::-1] if turned else points
    start %= len(points)
    points = points[start:] + points[:start]
    assert wrong(made(POLYGON), ring(*points, points[0])) == []


def test_a_line_has_no_more_points_than_its_field_takes() -> None:
    field = made(PATH)
    points = [[39.17, 21.54], [39.18, 21.54], [39.19, 21.54], [39.2, 21.54]]
    line = {"type": "LineString", "crs": "EPSG:4326"}
    assert wrong(field, {**line, "coordinates": points[:3]}) == []
    assert len(wrong(field, {**line, "coordinates": points})) == 1
    assert wrong(field, {**line, "coordinates": [points[0], points[0]]}) == [
        "This point is the same as the one before it."
    ]
    assert wrong(field, {**line, "coordinates": [points[0], [21.54, 139.18]]}) != []


@pytest.mark.parametrize(
    ("crs", "value", "sound"),
    [
        ("EPSG:4326", {"latitude": 21.5, "longitude": 39.1}, True),
        ("EPSG:4326", {"latitude": 21.5, "longitude": 39.1, "crs": "EPSG:4326"}, True),
        ("EPSG:4326", {"latitude": 21.5, "longitude": 39.1, "crs": "EPSG:9357"}, False),
        ("EPSG:9357", {"easting": 520100.5, "northing": 2380000, "crs": "EPSG:9357"}, True),
        ("EPSG:9357", {"easting": 520100.5, "northing": 2380000}, False),
        ("EPSG:20437", {"easting": 520100.5, "northing": 2380000, "crs": "EPSG:32637"}, False),
        ("EPSG:20437", {"latitude": 21.5, "longitude": 39.1, "crs": "EPSG:20437"}, False),
        ("EPSG:20437", {"easting": 2380000, "northing": 520100.5, "crs": "EPSG:20437"}, False),
    ],
)
def test_a_point_names_its_system_and_is_never_taken_for_another(
    crs: str, value: dict[str, Any], sound: bool
) -> None:
    example = (
        {"latitude": 21.5, "longitude": 39.1}
        if crs == "EPSG:4326"
        else {"easting": 520000, "northing": 2380000, "crs": crs}
    )
    field = made({"name": "spot", "label": LABEL, "type": "place", "crs": crs, "example": example})
    assert (wrong(field, value) == []) is sound


def test_a_system_that_is_not_named_here_is_refused() -> None:
    with pytest.raises(ValidationError, match="EPSG:9357"):
        made(POLYGON, crs="EPSG:3857")


def test_a_list_takes_its_rows_and_no_others() -> None:
    field = made(PATHS)
    assert wrong(field, [{"title": "a"}, {"title": "b", "lit": False}]) == []
    assert wrong(field, []) != []
    assert wrong(field, [{"title": "a"}] * 3) != []
    assert wrong(field, [{"lit": True}]) != []
    assert wrong(field, [{"title": "longer"}]) != []
    assert wrong(field, [{"title": "a", "size": 3}]) != []
    assert field.show([{"title": "a", "lit": True}, {"title": "b"}]).en == "a, Yes; b"


def test_a_list_whose_rows_mean_nothing_is_refused() -> None:
    for changes, said in (
        ({"min_rows": 3}, "min_rows is above max_rows"),
        ({"fields": [PATHS["fields"][0]] * 2}, "stands twice in a row"),
        ({"fields": [{**PATHS["fields"][0], "personal": True}]}, "itself personal"),
    ):
        with pytest.raises(ValidationError, match=said):
            made(PATHS, **changes)


def test_a_party_is_personal_and_its_identifier_is_one_of_its_kind() -> None:
    field = made(PARTY)
    assert field.personal
    value = PARTY["example"]
    assert wrong(field, value) == []
    assert wrong(field, {**value, "identifier": "1001244018"}) == [
        "The national id is mistyped: its check digit does not fit."
    ]
    assert wrong(field, {**value, "kind": "border_number"}) != []
    assert wrong(field, {**value, "mobile": "0501234567"}) != []
    with pytest.raises(ValidationError, match="always personal"):
        made(PARTY, personal=False)


def test_a_number_keeps_its_tenths() -> None:
    field = made(
        {"name": "size", "label": LABEL, "type": "number", "min": "0.1", "max": "0.3", "decimals": 1,
         "unit": LABEL, "example": "0.1"}
    )  # fmt: skip
    schema = field.json_schema()
    assert schema["minimum"] == Decimal("0.1")
    assert list(Draft202012Validator(schema).iter_errors(Decimal("0.3"))) == []


@pytest.mark.parametrize(
    ("kind", "number", "sound"),
    [
        ("national_id", "1058529940", True),
        ("national_id", "1058529941", False),
        ("national_id", "2058529940", False),
        ("iqama", "2000000000", False),
        ("unified_number", "7001234567", True),
        ("unified_number", "1058529940", False),
        ("border_number", "3001234567", True),
        ("border_number", "1058529941", True),
        ("border_number", "300123456", False),
        ("border_number", "30012345678", False),
        ("border_number", "300123456x", False),
        ("border_number", "٣٠٠١٢٣٤٥٦٧", False),
    ],
)
def test_only_what_is_published_of_an_identifier_is_asked_of_it(kind: Any, number: str, sound: bool) -> None:
    assert (fault(kind, number) is None) is sound


def test_a_day_is_shown_as_people_write_it() -> None:
    field = made({"name": "on", "label": LABEL, "type": "date", "example": "2026-11-20"})
    shown = field.show("2026-11-20")
    assert (shown.ar, shown.en) == ("20 نوفمبر 2026م", "20 November 2026")
