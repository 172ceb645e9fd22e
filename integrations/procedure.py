"""A procedure of a service: what is applied for, by whom, and what becomes of it in the end."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from foundation.calendar import Calendar
from foundation.definitions import Strict
from integrations.cases.conditions import CheckAnswer, Condition, Facts
from integrations.dated import Dated
from integrations.form import Name, Names, Text, Words, one_or_more

Outcome = Literal[
    "issue",
    "agree",
    "renew",
    "amend",
    "transfer",
    "correct",
    "copy",
    "void",
    "suspend",
    "reinstate",
    "revoke",
    "close",
    "uphold",
    "excuse",
]
"""What fulfilling a procedure does. `issue` makes a licence, `agree` makes nothing (the case itself is the
record of what was agreed), all others act on a licence: `close` ends it for its
holder, `revoke` takes it away, `uphold` grants an objection (what was suspended or revoked holds again),
`excuse` notes that it lapsed by our own fault."""
LicenceStatus = Literal["valid", "expired", "suspended", "revoked", "closed", "void"]
Standing = Literal["valid", "expired", "suspended"]
"""How a licence that has not ended may stand."""
Capacity = Literal["owner", "manager", "agent"]
Channel = Literal["centre", "kiosk", "online", "office"]


class Window(Strict):
    """Which licence a procedure may be opened on; days are of the calendar.

    Args:
        statuses: what it has to be on that day.
        from_days_before_end: not earlier than so many days before its last day.
        until_days_after_end: not later than so many days after its last day.
        within_days: not later than so many days after it got its present status.
        same_day: only on the day of its issue.
    """

    statuses: Annotated[tuple[LicenceStatus, ...], BeforeValidator(one_or_more)] = Field(
        ("valid",), min_length=1
    )
    from_days_before_end: int | None = Field(None, ge=0, le=3_660)
    until_days_after_end: int | None = Field(None, ge=0, le=3_660)
    within_days: int | None = Field(None, ge=1, le=3_660)
    same_day: bool = False


class Promise(Strict):
    """What the applicant is told at the counter: decided within so many working days or clock hours."""

    working_days: int | None = Field(None, ge=1, le=365)
    hours: int | None = Field(None, ge=1, le=8_760)

    @model_validator(mode="after")
    def _one(self) -> "Promise":
        if (self.working_days is None) == (self.hours is None):
            raise ValueError("a promise is either working_days or hours")
        return self


class Procedure(Strict):
    """One thing that can be asked of a service.

    Args:
        outcome: what fulfilling it does.
        flow: name of the flow it follows.
        initiator: "applicant" through a centre, or "office": the municipality itself, about a licence; the
            case's applicant is then the licence's holder.
        capacities: in which the applicant may act; an agent or a manager needs a delegation of the owner.
            None where the office begins.
        form: fields of the service that are asked, "*" is all. A condition or a fee of a procedure on a
            licence
            may also name a field that issuing asks: it is then the licence's own.
        documents: codes of the service's checklist that apply.
        fees: codes of the service's fees that apply; none means it is free.
        on: which licence it may be opened on; all outcomes but `issue` and `agree` need it.
        promise: what the applicant is told.
        channels: where it is offered; at the office alone where the office begins.
        bars: what stands in its way; names of the service's bars.
        agreed: the field that holds the number of an earlier case of the applicant, in which this was agreed
            (outcome `agree`).
    """

    title: Text
    outcome: Outcome
    flow: Name
    initiator: Literal["applicant", "office"] = "applicant"
    capacities: Annotated[tuple[Capacity, ...], BeforeValidator(one_or_more)] = ("owner",)
    form: Words = ()
    documents: Names = ()
    fees: Names = ()
    on: Window | None = None
    promise: Promise | None = None
    channels: Annotated[tuple[Channel, ...], BeforeValidator(one_or_more)] = Field(("centre",), min_length=1)
    # None and not empty: the content of a definition without the keys stays what it was.
    bars: Annotated[tuple[Name, ...] | None, BeforeValidator(one_or_more)] = Field(None, min_length=1)
    agreed: Name | None = None

    @property
    def acts_on_licence(self) -> bool:
        """Whether it is about a licence that is there."""
        return self.outcome not in ("issue", "agree")

    @model_validator(mode="before")
    @classmethod
    def _office(cls, data: Any) -> Any:
        # What the municipality begins has no applicant, and is begun at its own desks.
        if isinstance(data, dict) and data.get("initiator") == "office":
            return {"capacities": (), "channels": ("office",), **data}
        return data


class Requirement(Strict):
    """A document of the checklist.

    Args:
        code: its name in the interface.
        when: needed only if this holds.
        required: whether the checklist is incomplete without it.
        types: media types taken, by the content and not by what the sender says.
        max_mb: largest size in megabytes (10^6 bytes).
        parties: whether the parties that a check is asked of see it; it then shows nothing of a person.
    """

    code: Name
    title: Text
    when: Condition | None = None
    required: bool = True
    types: tuple[Literal["application/pdf", "image/jpeg", "image/png"], ...] = (
        "application/pdf",
        "image/jpeg",
        "image/png",
    )
    max_mb: int = Field(10, ge=1, le=50)
    # None and not false: the content of a definition without the key stays what it was.
    parties: bool | None = None


class Period(Dated):
    """How long a party has to answer, where it is asked while this is in effect.

    Args:
        working_days: until the end of that working day; the day on which it is asked does not count.
        hours: of the clock.
        extensions: how often it may be extended, each time by as much again.
    """

    working_days: int | None = Field(None, ge=1, le=365)
    hours: int | None = Field(None, ge=1, le=8_760)
    extensions: int = Field(0, ge=0, le=10)

    @model_validator(mode="after")
    def _one(self) -> "Period":
        if (self.working_days is None) == (self.hours is None):
            raise ValueError("a period is either working_days or hours")
        return self


class Check(Strict):
    """A question to a back-end or to a party, asked when a case enters a state that names it.

    Args:
        backend: name of the back-end in the settings.
        asks: what is sent: parameter to field of the form, or `applicant.identifier`, `applicant.kind`.
        attempts: tries before the question is parked for a person.
        by: in place of a back-end, roles of the party that is asked; its people answer by actions that have
            `answers`.
        periods: how long the party has, in the order of their dates; without one it is waited for.
        silence: what a party has answered that lets its period pass without a word.
    """

    title: Text
    backend: Name | None = None
    asks: dict[Name, str] | None = Field(None, min_length=1)
    attempts: int = Field(8, ge=1, le=50)
    by: Annotated[tuple[Name, ...] | None, BeforeValidator(one_or_more)] = None
    periods: tuple[Period, ...] | None = Field(None, min_length=1)
    silence: CheckAnswer | None = None

    def period_on(self, day: date) -> Period | None:
        """How long the party has that is asked on a day."""
        return next((period for period in self.periods or () if period.covers(day)), None)

    @model_validator(mode="after")
    def _one(self) -> "Check":
        if (self.backend is None) == (self.by is None):
            raise ValueError("a check is asked of either a backend or, with by, the roles of a party")
        if (self.backend is None) != (self.asks is None):
            raise ValueError("backend and asks go together")
        if (self.periods is None) != (self.silence is None):
            raise ValueError("periods and silence go together")
        if self.periods is not None and self.by is None:
            raise ValueError("a period is a party's; a back-end is asked again until it answers")
        return self


def _length(value: Any) -> Any:
    # YAML's true would count as one.
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | str)):
        raise ValueError("a number or the name of a field is needed")
    return value


Length = Annotated[int | str | None, BeforeValidator(_length)]
"""How many years, months or days: a number, or the field of the form that holds it."""


class FixedEnd(Strict):
    """The day of the year on which every licence ends; a month that is shorter ends on its last day."""

    month: int = Field(ge=1, le=12)
    day: int = Field(ge=1, le=31)


class Term(Strict):
    """A length of time, in a named calendar.

    Args:
        years, months, weeks, days: how long; a number or the field of the form that holds it.
        fixed_end: in their place, the day of the year it ends.
    """

    calendar: Calendar
    years: Length = None
    months: Length = None
    weeks: Length = None
    days: Length = None
    fixed_end: FixedEnd | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        lengths = (self.years, self.months, self.weeks, self.days, self.fixed_end)
        if sum(each is not None for each in lengths) != 1:
            raise ValueError("validity is exactly one of years, months, weeks, days and fixed_end")
        return self


class SpecialTerm(Term):
    """How long some licences of a service hold, in place of the usual.

    Args:
        when: which ones, by the fields that a licence is issued on.
    """

    when: Condition


class Validity(Term):
    """How long a licence holds.

    Args:
        renew_from: a renewal begins the day after the old end, or on the day it is granted.
        special: other lengths; the first whose condition holds is taken.
    """

    renew_from: Literal["end", "day"] = "end"
    # None and not empty: the content of a definition without the key stays what it was.
    special: tuple[SpecialTerm, ...] | None = Field(None, min_length=1)

    def of(self, form: Mapping[str, Any]) -> Term:
        """How long a licence on this form holds."""
        facts = Facts(form)
        return next((each for each in self.special or () if each.when.holds(facts)), self)


class Parent(Strict):
    """The licence that this one hangs on: it falls and is suspended with it.

    Args:
        service: code of the parent's service.
        remaining_months: life that the parent must have left on the day of the application, in this service's
            calendar.
        ends_with_parent: this one ends no later than its parent.
    """

    service: Name
    remaining_months: int = Field(0, ge=0, le=120)
    ends_with_parent: bool = True


class Bar(Strict):
    """What keeps somebody from being given more: how other licences of the service stand.

    Args:
        title: what stands against it, as the applicant is told.
        same: the field in which those others have the same value; "applicant" are those of the applicant.
        statuses: what one of them has to be, that it stands in the way.
    """

    title: Text
    same: Name
    statuses: Annotated[tuple[Standing, ...], BeforeValidator(one_or_more)] = Field(min_length=1)


class Retention(Strict):
    """Years that personal data is kept after the case ended and its licence too; then it is erased."""

    years: int = Field(ge=1, le=100)
