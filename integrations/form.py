"""Fields of a service's form: their schema, and how their values read in Arabic and English.

Fields of one value stand in `form_scalars`, fields on the ground in `form_shapes`; here are the list, the
party, and the schema of several fields together. Beside JSON Schema's own words a schema carries `x-title`
and `x-hint` (what to call it, and help), and `x-error` (what to tell who breaks it), each in Arabic and
English.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from foundation.definitions import Bilingual, Strict
from integrations.form_scalars import (
    Activity,
    ActivityField,
    BaseField,
    BooleanField,
    Choice,
    ChoiceField,
    DateField,
    IntegerField,
    Name,
    Names,
    NumberField,
    ScalarField,
    Text,
    TextField,
    ValueFault,
    Words,
    one_or_more,
)
from integrations.form_shapes import LineField, Place, PlaceField, PolygonField
from integrations.identifiers import Kind, fault, title

__all__ = [
    "Activity",
    "ActivityField",
    "BooleanField",
    "Choice",
    "ChoiceField",
    "DateField",
    "FormField",
    "IntegerField",
    "LineField",
    "ListField",
    "Name",
    "Names",
    "NumberField",
    "PartyField",
    "Place",
    "PlaceField",
    "PlainField",
    "PolygonField",
    "Text",
    "TextField",
    "ValueFault",
    "Words",
    "faults_of",
    "one_or_more",
    "schema_of_fields",
]

_MOBILE_TEXT = {
    "ar": "رقم الجوال هو +9665 تليها ثمانية أرقام.",
    "en": "The mobile number is +9665 followed by eight digits.",
}


class Party(Strict):
    """A person or an establishment, as an applicant is given."""

    kind: Kind
    identifier: str
    name: str
    mobile: str


class PartyField(BaseField):
    """Somebody other than the applicant, such as the new holder of a licence; always personal.

    Args:
        identifiers: kinds of identifier taken.
    """

    type: Literal["party"]
    personal: bool = True
    identifiers: tuple[Kind, ...] = Field(("national_id", "iqama", "unified_number"), min_length=1)
    example: Party

    @model_validator(mode="after")
    def _is_personal(self) -> "PartyField":
        if not self.personal:
            raise ValueError("a party is always personal")
        return self

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        return {
            "type": "object",
            "properties": {
                "kind": {
                    "type": "string",
                    "title": "Kind of identifier",
                    "x-title": {"ar": "نوع الهوية", "en": "Kind of identifier"},
                    "oneOf": [
                        {"const": kind, "title": title(kind).en, "x-title": title(kind).model_dump()}
                        for kind in self.identifiers
                    ],
                },
                "identifier": _line("رقم الهوية", "Identifier", 1, 20),
                "name": _line("الاسم", "Name", 2, 120),
                "mobile": {
                    **_line("رقم الجوال", "Mobile number", 1, 20),
                    "pattern": r"^\+9665[0-9]{8}$",
                    "x-error": _MOBILE_TEXT,
                },
            },
            "required": ["kind", "identifier", "name", "mobile"],
            "additionalProperties": False,
            "examples": [self.example.model_dump()],
        }

    def faults(self, value: Any) -> Iterator[ValueFault]:
        """The identifier is one of its kind."""
        wrong = fault(value["kind"], value["identifier"])
        if wrong is not None:
            yield ("identifier",), wrong

    def show(self, value: Any) -> Bilingual:
        """The name."""
        return Bilingual(ar=value["name"], en=value["name"])


class ListField(BaseField):
    """Rows of the same fields, such as the boards of one advertising permit.

    Args:
        fields: what each row holds.
        min_rows, max_rows: how many rows, both inclusive.
        example: one row.
    """

    type: Literal["list"]
    fields: tuple[Annotated[ScalarField, Field(discriminator="type")], ...] = Field(min_length=1)
    min_rows: int = Field(1, ge=0)
    max_rows: int = Field(ge=1, le=200)

    @model_validator(mode="after")
    def _rows(self) -> "ListField":
        if self.min_rows > self.max_rows:
            raise ValueError("min_rows is above max_rows")
        names = [field.name for field in self.fields]
        if len(set(names)) != len(names):
            raise ValueError("a field stands twice in a row")
        if not self.personal and any(field.personal for field in self.fields):
            raise ValueError("a list with a personal field is itself personal")
        return self

    @property
    def row(self) -> dict[str, ScalarField]:
        """The fields of a row by name."""
        return {field.name: field for field in self.fields}

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        row = schema_of_fields(self.row)
        return {
            "type": "array",
            "items": row,
            "minItems": self.min_rows,
            "maxItems": self.max_rows,
            "examples": [[{name: each["examples"][0] for name, each in row["properties"].items()}]],
        }

    def show(self, value: Any) -> Bilingual:
        """Each row in brackets, its values in order."""
        rows = [[field.show(row[field.name]) for field in self.fields if field.name in row] for row in value]
        return Bilingual(
            ar="؛ ".join("، ".join(cell.ar for cell in row) for row in rows),
            en="; ".join(", ".join(cell.en for cell in row) for row in rows),
        )


PlainField = ScalarField | PlaceField | LineField | PolygonField | PartyField | ListField
FormField = Annotated[PlainField | ActivityField, Field(discriminator="type")]


def schema_of_fields(fields: Mapping[str, PlainField]) -> dict[str, Any]:
    """JSON Schema of an object of these fields; bounds are Decimal."""
    return {
        "type": "object",
        "properties": {name: _described(field) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
    }


def faults_of(fields: Mapping[str, PlainField], form: Mapping[str, Any]) -> Iterator[ValueFault]:
    """What is wrong with a form that satisfies its schema: open rings, mistyped identifiers.

    Args:
        fields: those of the form, by name.
        form: as it was sent.
    """
    for name, value in form.items():
        for steps, reason in fields[name].faults(value):
            yield (name, *steps), reason


def _described(field: PlainField) -> dict[str, Any]:
    hint = {"description": field.hint.en, "x-hint": field.hint.model_dump()} if field.hint else {}
    return {"title": field.label.en, "x-title": field.label.model_dump(), **hint, **field.json_schema()}


def _line(ar: str, en: str, shortest: int, longest: int) -> dict[str, Any]:
    return {
        "type": "string",
        "title": en,
        "x-title": {"ar": ar, "en": en},
        "minLength": shortest,
        "maxLength": longest,
    }
