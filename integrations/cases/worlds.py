"""The worlds of a procedure: every way in which what its conditions compare can stand, none of them twice.

An area may take any value, but a flow that asks only whether it is at least 500 knows two areas. For each
name that is compared, one value stands for all values that every comparison answers alike.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any, get_args

from integrations.cases.conditions import Condition, Facts
from integrations.cases.money import half_up, multiply
from integrations.form import (
    ActivityField,
    BooleanField,
    ChoiceField,
    IntegerField,
    NumberField,
    PlainField,
)
from integrations.procedure import LicenceStatus, Procedure

if TYPE_CHECKING:
    from integrations.fee_table import Exemption, Fee, Rate
    from integrations.service import Service

World = Mapping[str, Any]
_OTHER = "\x00other"


@dataclass(frozen=True)
class TooMany(Exception):
    """There are more worlds than are walked."""

    worlds: int


def worlds_of(service: "Service", procedure: str, conditions: Iterable[Condition], most: int) -> list[World]:
    """Every combination of what conditions compare that a case of a procedure can find.

    Args:
        conditions: those of its flow, and of what its bill depends on.
        most: more combinations than this are not made.

    Raises:
        TooMany: there would be more.
    """
    comparisons = [each for condition in conditions for each in condition.comparisons()]
    names = sorted({each.field or "" for each in comparisons} - {"quote.free"})
    asked = {name: [each for each in comparisons if each.field == name] for name in names}
    parts = [
        [{name: value} for value in _alike(_values(service, procedure, name, asked[name]), asked[name])]
        for name in names
        if not name.startswith("activity.")
    ]
    if any(name.startswith("activity.") for name in names):
        parts.append(_activities(service, procedure, [c for c in comparisons if _of_activity(c)]))
    count = 1
    for part in parts:
        count *= len(part)
    if count > most:
        raise TooMany(count)
    return [{k: v for part in combination for k, v in part.items()} for combination in product(*parts)]


def opens_in(procedure: Procedure, world: World) -> bool:
    """Whether a case of a procedure can be opened in a world: on a licence that stands as it says."""
    status = world.get("licence.status")
    return status is None or procedure.on is None or status in procedure.on.statuses


def may_become(world: World, other: World) -> bool:
    """Whether a world can turn into another by what happens to the licence outside the case.

    It may come to stand in any way, and be excused or no more; its days late are counted to the day of the
    application, and outages that are noted later are taken from them.
    """
    if any(other.get(name) != value for name, value in world.items() if not name.startswith("licence.")):
        return False
    late, then = world.get("licence.days_late"), other.get("licence.days_late")
    return late is None or then is None or then <= late


def may_cost_nothing(service: "Service", procedure: str) -> Callable[[World], bool]:
    """Whether the bill of a procedure can come to nothing in a world.

    Returns:
        A judgement of worlds that know `bill_conditions`; what depends on more than they say may be nothing.
    """
    fees = _charged(service, procedure)
    return lambda world: all(_not_yet(fee, fees) or _may_be_nothing(service, fee, world) for fee in fees)


def bill_conditions(service: "Service", procedure: str) -> list[Condition]:
    """The conditions that decide whether a bill comes to nothing; none where some fee is always due."""
    fees = _charged(service, procedure)
    if any(_always_due(service, fee) and not _not_yet(fee, fees) for fee in fees):
        return []
    # What a row of a list says is not one fact of the case.
    return [condition for fee in fees if fee.each is None for condition in _deciding(service, fee)]


def _charged(service: "Service", procedure: str) -> list["Fee"]:
    return [fee for fee in service.fees if fee.code in service.procedures[procedure].fees]


def _deciding(service: "Service", fee: "Fee") -> list[Condition]:
    whole = [exemption.when for exemption in fee.exemptions if _waives_all(service, fee, exemption)]
    return [*([fee.when] if fee.when is not None else []), *whole]


def _always_due(service: "Service", fee: "Fee") -> bool:
    return not _deciding(service, fee) and not _free_by_rate(service, fee)


def _not_yet(fee: "Fee", fees: list["Fee"]) -> bool:
    # On a day on which one fee is in effect and another is not, the other is not charged.
    ends = [each.rates[-1].effective_until or date.max for each in fees]
    first = min(each.rates[0].effective_from for each in fees)
    return fee.rates[0].effective_from > first or (fee.rates[-1].effective_until or date.max) < max(ends)


def _may_be_nothing(service: "Service", fee: "Fee", world: World) -> bool:
    if _free_by_rate(service, fee):
        return True
    facts = Facts(world)
    if fee.each is not None:
        return bool(_deciding(service, fee))
    if fee.when is not None and not fee.when.holds(facts):
        return True
    # An exemption may not be in effect yet, or no more; the first that holds is applied.
    return any(each.when.holds(facts) for each in fee.exemptions if _waives_all(service, fee, each))


def _waives_all(service: "Service", fee: "Fee", exemption: "Exemption") -> bool:
    rest = 1 - exemption.share
    return any(half_up(multiply(_least(service, fee, rate), rest)) == 0 for rate in fee.rates)


def _free_by_rate(service: "Service", fee: "Fee") -> bool:
    rows = service.fields.get(fee.each or "")
    if rows is not None and getattr(rows, "min_rows", 1) == 0:
        return True
    return any(_least(service, fee, rate) == 0 for rate in fee.rates)


def _least(service: "Service", fee: "Fee", rate: "Rate") -> Decimal:
    # What the fee comes to at the least, rounded as its line is: less than half a halala is nothing.
    prices = [price for slab in rate.slabs for price in slab.by_class.values()]
    prices += rate.by_class.values() if rate.by_class is not None else []
    factors = [min(table.factors.values()) for table in fee.tables]
    quantities = [_least_quantity(service, fee, unit) for unit in fee.units]
    least = max(multiply(min(prices), *quantities, *factors), rate.minimum)
    return half_up(least if rate.maximum is None else min(least, rate.maximum))


def _least_quantity(service: "Service", fee: "Fee", name: str) -> Decimal:
    fields: Mapping[str, Any] = service.fields
    if fee.each is not None:
        fields = {**fields, **getattr(service.fields.get(fee.each), "row", {})}
    unit = fields.get(name)
    if isinstance(unit, IntegerField | NumberField):
        return Decimal(unit.min)
    # Days late: the fee's own condition says whether there are any.
    compared = [c for c in fee.when.comparisons() if c.field == name] if fee.when is not None else []
    return Decimal(any(c.at_least is not None and c.at_least > 0 for c in compared))


def _of_activity(comparison: Condition) -> bool:
    return (comparison.field or "").startswith("activity.")


def _activities(service: "Service", procedure: str, comparisons: list[Condition]) -> list[dict[str, Any]]:
    known = service.known_to(procedure)
    field = next((each for each in service.form if isinstance(each, ActivityField)), None)
    if field is None or field.name not in known:
        return [{}]
    told: list[dict[str, Any]] = [] if field.required else [{}]
    told += [activity_facts(each) for each in service.activities]
    return _different(told, lambda each: [_answer(comparison, each) for comparison in comparisons])


def _alike(values: list[Any], comparisons: list[Condition]) -> list[Any]:
    return _different(
        values, lambda value: [_answer(each, {each.field or "": value}) for each in comparisons]
    )


def _different(values: list[Any], answers: Callable[[Any], list[bool]]) -> list[Any]:
    kept: dict[tuple[bool, ...], Any] = {}
    for value in values:
        kept.setdefault(tuple(answers(value)), value)
    return list(kept.values())


def _answer(comparison: Condition, fields: Mapping[str, Any]) -> bool:
    return comparison.holds(Facts(fields))


def _values(service: "Service", procedure: str, name: str, comparisons: list[Condition]) -> list[Any]:
    asked = service.procedures[procedure]
    of_none = not asked.acts_on_licence
    match name:
        case "procedure":
            return [procedure]
        case "applicant.kind":
            return list(service.applicant.identifiers)
        case "applicant.capacity":
            return list(asked.capacities) or [None]
        case "licence.status":
            # Those it may be opened on first: one of them stands for all that are judged alike.
            return [None] if of_none or asked.on is None else [*asked.on.statuses, *get_args(LicenceStatus)]
        case "licence.excused":
            return [None] if of_none else [True, False]
        case "licence.days_late":
            if of_none:
                return [None]
            if asked.on is not None and asked.on.statuses == ("valid",):
                return [Decimal(0)]
            return _numbers(comparisons, Decimal(0), Decimal(100_000), Decimal(1))
    field = service.known_to(procedure).get(name)
    return [None] if field is None else _of_field(field, comparisons)


def _of_field(field: PlainField, comparisons: list[Condition]) -> list[Any]:
    values: list[Any] = [] if field.required else [None]
    match field:
        case BooleanField():
            return [*values, True, False]
        case ChoiceField():
            return [*values, *(choice.code for choice in field.choices)]
        case IntegerField():
            return values + _numbers(comparisons, Decimal(field.min), Decimal(field.max), Decimal(1))
        case NumberField():
            step = Decimal(1).scaleb(-field.decimals)
            return values + _numbers(comparisons, field.min, field.max, step)
    for comparison in comparisons:
        values += comparison.one_of or ([comparison.equals] if comparison.equals is not None else [])
    return [*values, _OTHER]


def _numbers(comparisons: list[Condition], low: Decimal, high: Decimal, step: Decimal) -> list[Any]:
    limits = {low, high}
    for each in comparisons:
        named = [*(each.one_of or ()), each.equals, each.at_least, each.below]
        for value in named:
            if isinstance(value, int | Decimal) and not isinstance(value, bool):
                limits |= {value - step, Decimal(value), value + step}
    return sorted(limit for limit in limits if low <= limit <= high)


def activity_facts(activity: Any) -> dict[str, Any]:
    """What conditions may ask of an activity."""
    return {"activity.code": activity.code, "activity.immediate": activity.immediate}


def told(world: World) -> str:
    """A world as a fault tells of it: " when size = 500", or nothing."""
    known = ", ".join(f"{name} = {value}" for name, value in world.items() if value not in (_OTHER, None))
    return f" when {known}" if known else ""
