"""Fields of a form that lie on the ground: points, lines and boundaries in a named reference system.

Coordinates are kept as they were given, with the name of their system. Nothing here converts them: between
Ain el Abd and WGS 84 the published operations differ by metres, and a boundary is somebody's right.

Source: RFC 7946 (GeoJSON: LineString, Polygon, closed rings); EPSG registry, 4326 (WGS 84), 20437 (Ain el Abd
/ UTM zone 37N), 32637 (WGS 84 / UTM zone 37N), 9357 (KSA-GRF17 / UTM zone 37N).
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field, model_validator

from foundation.definitions import Bilingual, Strict
from integrations.form_scalars import BaseField, ValueFault

Crs = Literal["EPSG:4326", "EPSG:20437", "EPSG:32637", "EPSG:9357"]
Point = tuple[Decimal, Decimal]

_CRS_TITLE = {"ar": "نظام الإحداثيات", "en": "Reference system"}
# Of a UTM zone: what lies outside is of another zone, or has its two numbers turned round.
_UTM = {"easting": (100_000, 900_000), "northing": (0, 10_000_000)}
_DEGREES = {"longitude": (-180, 180), "latitude": (-90, 90)}


def axes(crs: Crs) -> dict[str, tuple[int, int]]:
    """Names and bounds of a system's two axes, in the order GeoJSON writes them; degrees or metres."""
    return _DEGREES if crs == "EPSG:4326" else _UTM


class Place(Strict):
    """A point: latitude and longitude in degrees, or easting and northing in metres."""

    latitude: Decimal | None = Field(None, ge=-90, le=90)
    longitude: Decimal | None = Field(None, ge=-180, le=180)
    easting: Decimal | None = None
    northing: Decimal | None = None
    crs: Crs | None = None


class PlaceField(BaseField):
    """A point on the ground; the coordinate reference system is named, never assumed.

    A point of EPSG:4326 is `{latitude, longitude}`, and may name its system; a point of a grid is
    `{easting, northing, crs}`, and must.
    """

    type: Literal["place"]
    crs: Crs
    example: Place

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        bounds = axes(self.crs)
        numbers = {
            name: {"type": "number", "minimum": low, "maximum": high} for name, (low, high) in bounds.items()
        }
        needed = list(bounds) if self.crs == "EPSG:4326" else [*bounds, "crs"]
        return {
            "type": "object",
            "properties": {**numbers, "crs": {"const": self.crs, "x-title": _CRS_TITLE}},
            "required": needed,
            "additionalProperties": False,
            "examples": [self.example.model_dump(exclude_none=True)],
        }

    def show(self, value: Any) -> Bilingual:
        """Latitude and longitude in degrees, or easting and northing in metres with their system."""
        if self.crs == "EPSG:4326":
            text = f"{value['latitude']}, {value['longitude']}"
        else:
            text = f"E {value['easting']}, N {value['northing']} ({self.crs})"
        return Bilingual(ar=text, en=text)


class Line(Strict):
    """A line as GeoJSON writes it, with its system."""

    type: Literal["LineString"]
    coordinates: tuple[Point, ...]
    crs: Crs


class Polygon(Strict):
    """A boundary as GeoJSON writes it: one closed ring, with its system."""

    type: Literal["Polygon"]
    coordinates: tuple[tuple[Point, ...]]
    crs: Crs


class _GeometryField(BaseField):
    crs: Crs
    max_points: int = Field(200, ge=2, le=500)

    def _schema(self, kind: str, coordinates: dict[str, Any], example: Any) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "type": {"const": kind},
                "coordinates": coordinates,
                "crs": {"const": self.crs, "x-title": _CRS_TITLE},
            },
            "required": ["type", "coordinates", "crs"],
            "additionalProperties": False,
            "examples": [example],
        }

    def _points(self, least: int) -> dict[str, Any]:
        numbers = [
            {"type": "number", "minimum": low, "maximum": high} for low, high in axes(self.crs).values()
        ]
        point = {"type": "array", "prefixItems": numbers, "minItems": 2, "maxItems": 2}
        return {"type": "array", "items": point, "minItems": least, "maxItems": self.max_points}


class LineField(_GeometryField):
    """A line of at least two points, such as the path of an excavation.

    Args:
        crs: the system its coordinates are given in.
        max_points: most points taken.
    """

    type: Literal["line"]
    example: Line

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value: GeoJSON's LineString, with its system."""
        return self._schema("LineString", self._points(2), self.example.model_dump())

    def faults(self, value: Any) -> Iterator[ValueFault]:
        """Two points after one another are not the same."""
        yield from _standing_still(_read(value["coordinates"]), ("coordinates",))

    def show(self, value: Any) -> Bilingual:
        """How many points, in which system."""
        count = len(value["coordinates"])
        return Bilingual(ar=f"خط من {count} نقاط ({self.crs})", en=f"Line of {count} points ({self.crs})")


class PolygonField(_GeometryField):
    """A boundary: one closed ring that does not cross itself.

    Args:
        crs: the system its coordinates are given in.
        max_points: most points taken, the closing one included.
    """

    type: Literal["polygon"]
    example: Polygon

    @model_validator(mode="after")
    def _room(self) -> "PolygonField":
        if self.max_points < 4:
            raise ValueError("a closed ring has at least four points")
        return self

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value: GeoJSON's Polygon of one ring, with its system."""
        rings = {"type": "array", "items": self._points(4), "minItems": 1, "maxItems": 1}
        return self._schema("Polygon", rings, self.example.model_dump())

    def faults(self, value: Any) -> Iterator[ValueFault]:
        """The ring ends where it began, has an area, and does not cross itself."""
        ring, place = _read(value["coordinates"][0]), ("coordinates", 0)
        if ring[0] != ring[-1]:
            yield (
                place,
                Bilingual(
                    ar="الحدود غير مغلقة: يجب أن تكون النقطة الأخيرة هي الأولى.",
                    en="The boundary is not closed: its last point must be its first.",
                ),
            )
            return
        still = list(_standing_still(ring, place))
        yield from still
        if not still and _crosses_itself(ring):
            yield place, Bilingual(ar="الحدود تقطع نفسها.", en="The boundary crosses or touches itself.")

    def show(self, value: Any) -> Bilingual:
        """How many corners, in which system."""
        count = len(value["coordinates"][0]) - 1
        return Bilingual(ar=f"حدود من {count} أركان ({self.crs})", en=f"{count} corners ({self.crs})")


def _read(coordinates: Sequence[Sequence[Any]]) -> list[Point]:
    # A float says by its shortest text what was sent; Decimal keeps products of eight-digit metres exact.
    return [(Decimal(str(x)), Decimal(str(y))) for x, y in coordinates]


def _standing_still(points: list[Point], place: tuple[str | int, ...]) -> Iterator[ValueFault]:
    for index in range(1, len(points)):
        if points[index] == points[index - 1]:
            yield (
                (*place, index),
                Bilingual(ar="هذه النقطة هي التي قبلها.", en="This point is the same as the one before it."),
            )


def _crosses_itself(ring: list[Point]) -> bool:
    sides = [(ring[index], ring[index + 1]) for index in range(len(ring) - 1)]
    last = len(sides) - 1
    for first in range(len(sides)):
        for second in range(first + 1, len(sides)):
            if second == first + 1 or (first, second) == (0, last):
                if _folds_back(sides, first, second):
                    return True
            elif _meet(*sides[first], *sides[second]):
                return True
    return False


def _folds_back(sides: list[tuple[Point, Point]], first: int, second: int) -> bool:
    # Neighbours share a corner; they may share nothing more.
    if sides[first][1] == sides[second][0]:
        before, corner, after = sides[first][0], sides[first][1], sides[second][1]
    else:
        before, corner, after = sides[second][0], sides[second][1], sides[first][1]
    straight = _turn(before, corner, after) == 0
    ahead = (corner[0] - before[0]) * (after[0] - corner[0]) + (corner[1] - before[1]) * (
        after[1] - corner[1]
    )
    return straight and ahead < 0


def _meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    if max(a[0], b[0]) < min(c[0], d[0]) or max(c[0], d[0]) < min(a[0], b[0]):
        return False
    if max(a[1], b[1]) < min(c[1], d[1]) or max(c[1], d[1]) < min(a[1], b[1]):
        return False
    # The boxes overlap; the segments meet unless one lies wholly on one side of the other.
    return _turn(a, b, c) * _turn(a, b, d) <= 0 and _turn(c, d, a) * _turn(c, d, b) <= 0


def _turn(a: Point, b: Point, c: Point) -> Decimal:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
