"""Conditions of a definition: structured data, so that there is nothing to parse and nothing to run.

::

    when: {field: activity.immediate, equals: true}
    when: {field: size, at_least: 500}
    when: {any: [{field: activity.code, one_of: [fuel, gas]}, {not: {done: approve}}]}
    when: {check: register, is: passed}
    when: {field: examined_on, known: true}
    when: {checks: [water, power, telecom], are: passed, at_least: 2}
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field, model_validator

from foundation.definitions import Strict

Value = bool | int | str
CheckAnswer = Literal["passed", "failed"]
CheckAnswers = Literal["passed", "failed", "answered"]
_OPERATORS = ("equals", "one_of", "at_least", "below", "known")
_FORMS = ("field", "all", "any", "not", "done", "check", "checks")


FactType = Literal["text", "integer", "boolean"]
FACTS: dict[str, FactType] = {
    "activity.code": "text",
    "activity.immediate": "boolean",
    "applicant.kind": "text",
    "applicant.capacity": "text",
    "licence.status": "text",
    "licence.days_late": "integer",
    "licence.excused": "boolean",
    "quote.free": "boolean",
    "procedure": "text",
}
"""What conditions can name beside the fields of the form, and its type.

`activity.*` is what the chosen activity says of itself; `licence.*` is not known in a procedure that issues;
`licence.days_late` counts whole days after the end; `quote.free` is false until a quote comes to nothing."""


@dataclass(frozen=True)
class Facts:
    """What a condition is judged on.

    Args:
        fields: value of each field by name, and the facts of `FACTS` that are known. In a procedure on a
            licence a field that the procedure does not ask has the licence's own value.
        done: names of the actions the case has been through.
        checks: what back-ends and parties answered, by the name of the check: "passed", "failed"; nothing yet
            is no entry.
    """

    fields: Mapping[str, Any]
    done: frozenset[str] = frozenset()
    checks: Mapping[str, str] = field(default_factory=dict)


class Condition(Strict):
    """One condition: a comparison of a field, a past action, or a combination of conditions.

    Args:
        field: name of the field compared; with one of `equals`, `one_of`, `at_least`, `below`,
            `known` (it was given, whatever it says).
        done: an action that the case must have been through.
        check: a question to a back-end or a party, and with `is` what it must have answered.
        checks: several questions, and with `are` what all of them must have been answered, or with `at_least`
            so many of them; "answered" is either way.
        all, any, not: combinations.
    """

    field: str | None = None
    equals: Value | None = None
    one_of: tuple[Value, ...] | None = None
    at_least: Decimal | None = None
    below: Decimal | None = None
    known: Literal[True] | None = None
    done: str | None = None
    check: str | None = None
    is_: CheckAnswer | None = Field(None, alias="is")
    checks: tuple[str, ...] | None = None
    are: CheckAnswers | None = None
    all_: tuple["Condition", ...] | None = Field(None, alias="all")
    any_: tuple["Condition", ...] | None = Field(None, alias="any")
    not_: "Condition | None" = Field(None, alias="not")

    @model_validator(mode="after")
    def _one_form(self) -> "Condition":
        forms = [self.field, self.all_, self.any_, self.not_, self.done, self.check, self.checks]
        if sum(form is not None for form in forms) != 1:
            raise ValueError(f"a condition is exactly one of: {', '.join(_FORMS)}")
        # Of several checks "at_least" counts answers; it compares no field.
        counts = self.checks is not None and self.at_least is not None
        operators = sum(getattr(self, name) is not None for name in _OPERATORS) - counts
        if operators != (self.field is not None):
            raise ValueError(f"a field is compared by exactly one of: {', '.join(_OPERATORS)}")
        if (self.check is None) != (self.is_ is None):
            raise ValueError("check and is go together")
        if (self.checks is None) != (self.are is None):
            raise ValueError("checks and are go together")
        if self.all_ == () or self.any_ == () or self.one_of == () or self.checks == ():
            raise ValueError("an empty list says nothing")
        return self

    def holds(self, facts: Facts) -> bool:
        """Whether the condition is true; a comparison with a value that is not known is false."""
        if self.all_ is not None:
            return all(part.holds(facts) for part in self.all_)
        if self.any_ is not None:
            return any(part.holds(facts) for part in self.any_)
        if self.not_ is not None:
            return not self.not_.holds(facts)
        if self.done is not None:
            return self.done in facts.done
        if self.check is not None:
            return facts.checks.get(self.check) == self.is_
        if self.checks is not None:
            return self._answers(facts.checks) >= self.least_answers
        assert self.field is not None
        return self._compares(facts.fields.get(self.field))

    def _compares(self, value: Any) -> bool:
        if value is None:
            return False
        if self.equals is not None:
            return _same(value, self.equals)
        if self.one_of is not None:
            return any(_same(value, wanted) for wanted in self.one_of)
        if self.known is not None:
            return True
        number = Decimal(str(value))
        if self.at_least is not None:
            return number >= self.at_least
        assert self.below is not None
        return number < self.below

    @property
    def least_answers(self) -> Decimal:
        """How many of its checks must have been answered so: all where nothing else is said."""
        return self.at_least if self.at_least is not None else Decimal(len(self.checks or ()))

    def _answers(self, known: Mapping[str, str]) -> int:
        said = [known[name] for name in self.checks or () if name in known]
        return len(said) if self.are == "answered" else said.count(self.are or "")

    def comparisons(self) -> Iterator["Condition"]:
        """Every comparison of a field inside."""
        if self.field is not None:
            yield self
        for part in self._parts():
            yield from part.comparisons()

    def actions(self) -> Iterator[str]:
        """Every past action named inside."""
        if self.done is not None:
            yield self.done
        for part in self._parts():
            yield from part.actions()

    def asked_checks(self) -> Iterator[str]:
        """Every check named inside."""
        if self.check is not None:
            yield self.check
        yield from self.checks or ()
        for part in self._parts():
            yield from part.asked_checks()

    def counts(self) -> Iterator["Condition"]:
        """Every count of answers inside."""
        if self.checks is not None:
            yield self
        for part in self._parts():
            yield from part.counts()

    def __str__(self) -> str:
        """As a person reads it: `activity.immediate = false and not (approve done)`."""
        if self.all_ is not None:
            return " and ".join(part.as_part() for part in self.all_)
        if self.any_ is not None:
            return " or ".join(part.as_part() for part in self.any_)
        if self.not_ is not None:
            return f"not {self.not_.as_part()}"
        if self.done is not None:
            return f"{self.done} done"
        if self.check is not None:
            return f"{self.check} {self.is_}"
        if self.checks is not None:
            most = f"{self.at_least} of " if self.at_least is not None else ""
            return f"{most}{', '.join(self.checks)} {self.are}"
        if self.known is not None:
            return f"{self.field} known"
        if self.one_of is not None:
            return f"{self.field} in {', '.join(map(_word, self.one_of))}"
        if self.equals is not None:
            return f"{self.field} = {_word(self.equals)}"
        return (
            f"{self.field} ≥ {self.at_least}" if self.at_least is not None else f"{self.field} < {self.below}"
        )

    def as_part(self) -> str:
        """As it stands inside another condition: a combination in brackets."""
        return f"({self})" if self.all_ is not None or self.any_ is not None else str(self)

    def _parts(self) -> tuple["Condition", ...]:
        return (*(self.all_ or ()), *(self.any_ or ()), *((self.not_,) if self.not_ else ()))


def _word(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _same(value: Any, wanted: Value) -> bool:
    # In Python True == 1; in a definition they are different words.
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)
