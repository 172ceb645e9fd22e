"""Rules of fees: their numbers exist, their dates join, their slabs rise, their zones are all named."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from integrations.cases.explore import Fault, Place
from integrations.condition_rules import row_fields
from integrations.dated import broken_dates
from integrations.fee_table import Fee, Rate, Zones
from integrations.form import ChoiceField, IntegerField, ListField, NumberField, PlainField

if TYPE_CHECKING:
    from integrations.service import Service

_LATE = "licence.days_late"


def broken_fees(service: "Service") -> Iterator[Fault]:
    """Every fault of the fees, as the procedures charge them."""
    for index, fee in enumerate(service.fees):
        place: Place = ("fees", index)
        for where, reason in broken_dates(fee.rates, "a rate"):
            yield (*place, "rates", *where), reason
        yield from _exemptions(fee, place)
        for number, rate in enumerate(fee.rates):
            yield from _rate(fee, rate, (*place, "rates", number))
        for name, procedure in service.procedures.items():
            if fee.code in procedure.fees:
                yield from _charged(service, fee, name, place)


def _charged(service: "Service", fee: Fee, procedure: str, place: Place) -> Iterator[Fault]:
    known: Mapping[str, PlainField] = service.known_to(procedure)
    if fee.each is not None:
        rows = known.get(fee.each)
        if not isinstance(rows, ListField) or not rows.required:
            yield (*place, "each"), f"{fee.each!r} is no required list that {procedure!r} asks for"
        known = {**known, **row_fields(service, fee.each)}
    for name in fee.units:
        yield from _unit(service, name, known, procedure, (*place, "unit"))
    if len(set(fee.units)) != len(fee.units):
        yield (*place, "unit"), "a unit stands twice"
    yield from _years(service, fee, procedure, place)
    for table in fee.tables:
        yield from _zones(table, known, procedure, place)
    fields = [table.field for table in fee.tables]
    if len(set(fields)) != len(fields):
        yield (*place, "zones"), "a field has two tables of factors"


def _unit(
    service: "Service", name: str, known: Mapping[str, PlainField], procedure: str, place: Place
) -> Iterator[Fault]:
    if name == _LATE:
        if not service.procedures[procedure].acts_on_licence:
            yield place, f"{procedure!r} acts on no licence that could be late"
        return
    unit = known.get(name)
    if not isinstance(unit, IntegerField | NumberField) or not unit.required:
        yield place, f"{name!r} is no required number that {procedure!r} asks for"
    elif unit.personal:
        yield place, f"{name!r} is personal; no fee is reckoned from it"
    elif unit.min < 0:
        yield place, f"{name!r} may be below zero, and a fee may not"


def _years(service: "Service", fee: Fee, procedure: str, place: Place) -> Iterator[Fault]:
    if not fee.yearly:
        return
    years = service.validity.years
    if years is None:
        yield (*place, "yearly"), "the licence is not counted in years"
    elif isinstance(years, str) and years not in service.known_to(procedure):
        yield (*place, "yearly"), f"{procedure!r} does not ask for {years!r}"


def _zones(table: Zones, known: Mapping[str, PlainField], procedure: str, place: Place) -> Iterator[Fault]:
    field = known.get(table.field)
    if not isinstance(field, ChoiceField) or not field.required:
        yield (
            (*place, "zones", "field"),
            f"{table.field!r} is no required choice that {procedure!r} asks for",
        )
        return
    if field.personal:
        yield (*place, "zones", "field"), f"{field.name!r} is personal; no fee is reckoned from it"
    choices = [choice.code for choice in field.choices]
    for code in choices:
        if code not in table.factors:
            yield (*place, "zones", "factors"), f"the choice {code!r} has no factor"
    for code in table.factors:
        if code not in choices:
            yield (*place, "zones", "factors", code), f"{code!r} is no choice of {field.name!r}"


def _exemptions(fee: Fee, place: Place) -> Iterator[Fault]:
    codes = [exemption.code for exemption in fee.exemptions]
    for number, exemption in enumerate(fee.exemptions):
        here = (*place, "exemptions", number)
        if exemption.effective_until is not None and exemption.effective_until < exemption.effective_from:
            yield (*here, "effective_until"), "the last day is before the first"
        if exemption.code in codes[:number]:
            yield (*here, "code"), f"{exemption.code!r} stands twice"


def _rate(fee: Fee, rate: Rate, place: Place) -> Iterator[Fault]:
    if rate.maximum is not None and rate.maximum < rate.minimum:
        yield (*place, "maximum"), "the most is less than the least"
    if not rate.slabs:
        return
    if not fee.units:
        yield (*place, "slabs"), "slabs are ranges of a unit, and the fee has none"
    for number, slab in enumerate(rate.slabs):
        here = (*place, "slabs", number)
        last = number == len(rate.slabs) - 1
        if last and slab.up_to is not None:
            yield (*here, "up_to"), "the last slab has no end, so that every quantity has a rate"
        if not last and slab.up_to is None:
            yield here, "only the last slab has no end"
        below = rate.slabs[number - 1].up_to if number else None
        if below is not None and slab.up_to is not None and slab.up_to <= below:
            yield (*here, "up_to"), "slabs rise: each ends above the one before it"
