"""Forms and people, right and slightly wrong, made from the JSON Schema of a procedure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from stdnum import luhn

from tests.integrations.machine.terms import Terms

PLACES = ("حي الروضة", "حي الملز")
_WORDS = ("ركن", "دار", "بيت", "نخيل", "واحة", "سوق")
_FIRST = {"national_id": "1", "iqama": "2", "unified_number": "7", "border_number": "3"}


@dataclass(frozen=True)
class Person:
    """Somebody who may apply, with identifiers, names and numbers that stand nowhere else."""

    kind: str
    identifier: str
    name: str
    mobile: str

    @property
    def who(self) -> tuple[str, str]:
        """What a person is known by."""
        return self.kind, self.identifier

    def said(self) -> dict[str, str]:
        """As an application gives him."""
        return {"kind": self.kind, "identifier": self.identifier, "name": self.name, "mobile": self.mobile}


class Writer:
    """Fills in forms.

    Args:
        rng: decides everything.
        mark: stands in every personal text, so that it is found wherever it should not be.
    """

    def __init__(self, rng: Random, mark: str) -> None:
        self.rng = rng
        self.mark = mark

    def person(self, kind: str) -> Person:
        """A new person."""
        digits = _FIRST[kind] + "".join(self.rng.choices("0123456789", k=8))
        identifier = digits + luhn.calc_check_digit(digits)
        mobile = "+9665" + "".join(self.rng.choices("0123456789", k=8))
        return Person(kind, identifier, f"{self.rng.choice(_WORDS)} {self.mark}", mobile)

    def form(self, terms: Terms, procedure: str, others: list[Person]) -> dict[str, Any]:
        """A form that the procedure takes.

        Args:
            others: people that it may name.
        """
        schema = terms.service.schema_of(procedure)
        return self._object(schema, terms, others)

    def wrong_form(self, terms: Terms, procedure: str, form: Mapping[str, Any]) -> dict[str, Any]:
        """The form with one thing wrong in it."""
        schema = terms.service.schema_of(procedure)
        changes: list[Callable[[dict[str, Any]], object]] = [lambda f: f.update(stranger=1)]
        for name, each in schema["properties"].items():
            changes += [lambda f, n=name, v=value: f.update({n: v}) for value in self._wrong_values(each)]  # type: ignore[misc]
            if name in schema["required"]:
                changes.append(lambda f, n=name: f.pop(n, None))  # type: ignore[misc]
        made = dict(form)
        self.rng.choice(changes)(made)
        assert not takes(terms, procedure, made), f"{made} should be wrong"
        return made

    def _wrong_values(self, schema: Mapping[str, Any]) -> list[Any]:
        wrong: list[Any] = [[], None] if schema.get("type") != "array" else [{}, None]
        match schema.get("type"):
            case "string" if "oneOf" in schema:
                wrong.append("not-a-choice")
            case "string":
                wrong += [7, "x" * (schema["maxLength"] + 1)] if "maxLength" in schema else [7]
            case "number" | "integer":
                wrong += [float(schema["maximum"]) + 1, float(schema["minimum"]) - 1, "1"]
            case "boolean":
                wrong.append("true")
            case "array":
                wrong.append([{"stranger": 1}])
        return wrong

    def _object(self, schema: Mapping[str, Any], terms: Terms, others: list[Person]) -> dict[str, Any]:
        made = {}
        for name, each in schema["properties"].items():
            if name not in schema["required"] and self.rng.random() < 0.5:
                continue
            made[name] = self._value(name, each, terms, others)
        return made

    def _value(self, name: str, schema: Mapping[str, Any], terms: Terms, others: list[Person]) -> Any:
        rng, kind = self.rng, schema.get("type")
        if name == terms.content.get("place") and "oneOf" not in schema:
            return rng.choice(PLACES)
        if kind == "array":
            low = int(schema["minItems"])
            rows = rng.randint(low, max(low, min(2, int(schema["maxItems"]))))
            return [self._object(schema["items"], terms, others) for _ in range(rows)]
        if kind == "boolean":
            return rng.random() < 0.5
        if kind == "integer":
            return rng.randint(int(schema["minimum"]), int(schema["maximum"]))
        if kind == "number":
            return self._number(schema)
        if kind == "string":
            return self._text(name, schema, terms)
        if "identifier" in schema.get("properties", {}):
            kinds = [each["const"] for each in schema["properties"]["kind"]["oneOf"]]
            return rng.choice([each for each in others if each.kind in kinds]).said()
        return _plain(schema["examples"][0])

    def _number(self, schema: Mapping[str, Any]) -> float:
        low, high, step = (Decimal(str(schema[key])) for key in ("minimum", "maximum", "multipleOf"))
        steps = int((high - low) / step)
        taken = self.rng.choice(
            [0, steps, self.rng.randint(0, steps), self.rng.randint(0, min(steps, 10_000))]
        )
        return float(low + step * taken)

    def _text(self, name: str, schema: Mapping[str, Any], terms: Terms) -> str:
        rng = self.rng
        if "oneOf" in schema:
            return str(rng.choice(schema["oneOf"])["const"])
        if schema.get("format") == "date":
            return (date(2026, 1, 1) + timedelta(days=rng.randint(0, 700))).isoformat()
        least, most = int(schema["minLength"]), int(schema["maxLength"])
        if name in terms.compared():
            return self._one_of_few(schema)
        if "pattern" in schema:
            digits = "".join(rng.choices("0123456789", k=least))
            return digits if re.fullmatch(schema["pattern"], digits) else str(schema["examples"][0])
        known = any(field["name"] == name for field in terms.content["form"])
        said = f"{rng.choice(_WORDS)} {self.mark}" if known and terms.personal(name) else rng.choice(_WORDS)
        return (said + " و" * least)[: max(least, min(most, 40))]

    def _one_of_few(self, schema: Mapping[str, Any]) -> str:
        # Another licence with the same value stands in the way: one of this life may, and none of another.
        few = Random(f"{self.mark}{self.rng.randrange(2)}")
        said = str(schema["examples"][0])
        return said[:1] + "".join(few.choice("0123456789") if c.isdigit() else c for c in said[1:])


def takes(terms: Terms, procedure: str, form: Any) -> bool:
    """Whether a procedure's form is right, as JSON Schema and the check digits have it."""
    schema = terms.service.schema_of(procedure)
    if not Draft202012Validator(schema, format_checker=FormatChecker(["date"])).is_valid(exact(form)):
        return False
    parties = [form[name] for name in form if terms.field(name)["type"] == "party"]
    return all(identified(each) for each in parties)


def identified(person: Mapping[str, Any]) -> bool:
    """Whether an identifier is one of its kind."""
    kind, number = person["kind"], person["identifier"]
    if not re.fullmatch(r"[0-9]{10}", number):
        return False
    if kind == "border_number":
        return True
    first = bool(number[0] == _FIRST[kind])
    return first and (kind == "unified_number" or bool(luhn.is_valid(number)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value


def exact(value: Any) -> Any:
    """JSON with each float as the number it was written as."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {key: exact(item) for key, item in value.items()}
    return [exact(item) for item in value] if isinstance(value, list) else value
