"""Fields of a form that hold one value: their schema, and how their values read in Arabic and English."""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from foundation.calendar import dated
from foundation.definitions import Bilingual, Strict

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


def _not_blank(text: Bilingual) -> Bilingual:
    if not text.ar.strip() or not text.en.strip():
        raise ValueError("both languages are needed")
    return text


Text = Annotated[Bilingual, AfterValidator(_not_blank)]


def one_or_more(value: Any) -> Any:
    """A lone word as a list of one: `from: submitted` reads better than `from: [submitted]`."""
    return (value,) if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(one_or_more)]
Names = Annotated[tuple[Name, ...], BeforeValidator(one_or_more)]

ValueFault = tuple[tuple[str | int, ...], Bilingual]
"""Steps into a value, and what is wrong there."""


class Choice(Strict):
    """One value a field may take.

    Args:
        code: the value, as it is sent and stored.
        title: how people read it.
    """

    code: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,40}$")
    title: Text


class Activity(Choice):
    """A trade that a service licenses.

    Args:
        code: as the national classification (ISIC4) or the municipality writes it.
        immediate: licensed at once on payment; otherwise a reviewer decides first.
        sample: the value stands for one that the municipality has to set.
    """

    immediate: bool
    sample: bool = False


class BaseField(Strict):
    """What every field has.

    Args:
        name: key in the form.
        label: how people read it.
        hint: help beside the field, before anything is wrong.
        required: whether an application without it is refused.
        personal: says something of a person; never shown to the public.
    """

    name: Name
    label: Text
    hint: Text | None = None
    required: bool = True
    personal: bool = False

    def show(self, value: Any) -> Bilingual:
        """The value as people read it."""
        return Bilingual(ar=str(value), en=str(value))

    def faults(self, value: Any) -> Iterator[ValueFault]:  # noqa: ARG002 -- others read it
        """What is wrong with a value that satisfies the schema: what no schema can say."""
        yield from ()


class TextField(BaseField):
    """One line of text.

    Args:
        min_length, max_length: in characters.
        pattern: regular expression that the whole text must match.
        pattern_text: what to tell who breaks the pattern; needed with one.
    """

    type: Literal["text"]
    min_length: int = Field(1, ge=0)
    max_length: int = Field(ge=1, le=2_000)
    pattern: str | None = None
    pattern_text: Text | None = None
    example: str

    @model_validator(mode="after")
    def _explained(self) -> "TextField":
        if (self.pattern is None) != (self.pattern_text is None):
            raise ValueError("pattern and pattern_text go together")
        if self.min_length > self.max_length:
            raise ValueError("min_length is above max_length")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"the pattern is no regular expression: {error}") from error
        return self

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        schema: dict[str, Any] = {
            "type": "string",
            "minLength": self.min_length,
            "maxLength": self.max_length,
            "examples": [self.example],
        }
        if self.pattern is None or self.pattern_text is None:
            return schema
        return {**schema, "pattern": f"^(?:{self.pattern})$", "x-error": self.pattern_text.model_dump()}


class NumberField(BaseField):
    """A measured number.

    Args:
        min, max: bounds, both inclusive, in `unit`.
        decimals: decimal places taken.
        unit: unit of the value.
    """

    type: Literal["number"]
    min: Decimal
    max: Decimal
    decimals: int = Field(0, ge=0, le=6)
    unit: Text
    example: Decimal

    @model_validator(mode="after")
    def _range(self) -> "NumberField":
        if self.min > self.max:
            raise ValueError("min is above max")
        return self

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value; bounds stay Decimal, so that 0.1 is a tenth."""
        return {
            "type": "number",
            "minimum": self.min,
            "maximum": self.max,
            "multipleOf": Decimal(1).scaleb(-self.decimals),
            "examples": [self.example],
        }

    def show(self, value: Any) -> Bilingual:
        """The value with its unit."""
        return Bilingual(ar=f"{value} {self.unit.ar}", en=f"{value} {self.unit.en}")


class IntegerField(BaseField):
    """A counted number between two bounds, both inclusive."""

    type: Literal["integer"]
    min: int
    max: int
    example: int

    @model_validator(mode="after")
    def _range(self) -> "IntegerField":
        if self.min > self.max:
            raise ValueError("min is above max")
        return self

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        return {"type": "integer", "minimum": self.min, "maximum": self.max, "examples": [self.example]}


class ChoiceField(BaseField):
    """One of a list."""

    type: Literal["choice"]
    choices: tuple[Choice, ...] = Field(min_length=1)
    example: str

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value; each choice carries its titles."""
        options = [
            {"const": choice.code, "title": choice.title.en, "x-title": choice.title.model_dump()}
            for choice in self.choices
        ]
        return {"type": "string", "oneOf": options, "examples": [self.example]}

    def show(self, value: Any) -> Bilingual:
        """The title of the choice."""
        return next(choice.title for choice in self.choices if choice.code == value)


class ActivityField(BaseField):
    """One of the service's activities."""

    type: Literal["activity"]
    example: str

    def as_choice(self, activities: tuple[Activity, ...]) -> ChoiceField:
        """The same field as a choice among the activities."""
        return ChoiceField(
            name=self.name,
            label=self.label,
            hint=self.hint,
            required=self.required,
            personal=self.personal,
            type="choice",
            choices=activities,
            example=self.example,
        )


class BooleanField(BaseField):
    """Yes or no."""

    type: Literal["boolean"]
    example: bool

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        return {"type": "boolean", "examples": [self.example]}

    def show(self, value: Any) -> Bilingual:
        """Yes or no."""
        return Bilingual(ar="نعم", en="Yes") if value else Bilingual(ar="لا", en="No")


class DateField(BaseField):
    """A Gregorian date, ISO 8601."""

    type: Literal["date"]
    example: date

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the value."""
        # The format alone lets 20261122 and 2026-W47-7 pass: Python's reader takes all of ISO 8601.
        return {
            "type": "string",
            "format": "date",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            "examples": [self.example.isoformat()],
        }

    def show(self, value: Any) -> Bilingual:
        """The day as people write it."""
        return dated(date.fromisoformat(value))


ScalarField = TextField | NumberField | IntegerField | ChoiceField | BooleanField | DateField
"""Fields of one value; also what the rows of a list are made of."""
