"""Fees of a service as data: rates by date, class, slab and zone, exemptions, category of value added tax."""

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from foundation.definitions import Strict
from integrations.cases.conditions import Condition
from integrations.cases.money import Amount
from integrations.dated import Dated
from integrations.form import Name, Text

FeeClass = Annotated[int, Field(ge=1, le=5)]


def _no_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError('a factor is text such as "0.8"')
    return value


Factor = Annotated[
    Decimal, BeforeValidator(_no_float), Field(ge=0, le=1_000, decimal_places=6, allow_inf_nan=False)
]


class Slab(Strict):
    """A range of the quantity and what a unit costs in it.

    Args:
        up_to: last quantity of the range, inclusive; the last slab has none.
        by_class: SAR per unit, by the class of the municipality; all five classes.
    """

    up_to: Decimal | None = Field(None, gt=0)
    by_class: dict[FeeClass, Amount] = Field(min_length=5)


class Rate(Dated):
    """What a fee costs while it is in effect.

    Args:
        by_class: SAR per unit, by class.
        slabs: in place of `by_class`, rising; which slab holds is the quantity's.
        slab_mode: "whole" charges the whole quantity at the slab it falls in, "each" each part at its own.
        minimum, maximum: SAR; the least and the most that the fee comes to, before exemptions.
    """

    by_class: dict[FeeClass, Amount] | None = Field(None, min_length=5)
    slabs: tuple[Slab, ...] = ()
    slab_mode: Literal["whole", "each"] = "whole"
    minimum: Amount = Decimal(0)
    maximum: Amount | None = None

    @model_validator(mode="after")
    def _one(self) -> "Rate":
        if (self.by_class is None) == (not self.slabs):
            raise ValueError("a rate has either by_class or slabs")
        return self


class Zones(Strict):
    """The fee is multiplied by the factor of the zone that a choice field names."""

    field: Name
    factors: dict[str, Factor] = Field(min_length=1)


class Exemption(Dated):
    """A share of the fee is waived.

    Args:
        share: more than 0, at most 1 (all of it).
    """

    code: Name
    title: Text
    when: Condition
    share: Factor = Field(gt=0, le=1)


def _some(value: object) -> object:
    if isinstance(value, list | tuple) and not value:
        raise ValueError("an empty list says nothing")
    return value


class Fee(Strict):
    """One line of the bill.

    Args:
        unit: field of the form, or fact such as `licence.days_late`, whose value multiplies the rate;
            several are multiplied with one another, as height and width are. Without one the fee is once a
            licence.
        each: a list of the form; the fee is reckoned and rounded for each of its rows and is their sum.
            `unit`, `zones` and the conditions then read the row's fields before the form's; minimum and
            maximum are a row's. Without a `unit` it is once a row.
        yearly: multiplied by the years of the licence.
        vat: category of value added tax: S standard, Z zero rate, E exempt, O not subject.
        when: charged only if this holds.
        zones: one table of factors, or several that all multiply the fee.
        rates: in the order of their dates; they may not overlap or leave a gap.
        exemptions: the first that holds is applied.

    Source: UN/CEFACT 5305 as used by ZATCA's e-invoicing (categories).
    """

    code: Name
    title: Text
    unit: Annotated[str | tuple[str, ...] | None, BeforeValidator(_some)] = None
    each: Name | None = None
    yearly: bool = False
    vat: Literal["S", "Z", "E", "O"]
    when: Condition | None = None
    zones: Annotated[Zones | tuple[Zones, ...] | None, BeforeValidator(_some)] = None
    rates: tuple[Rate, ...] = Field(min_length=1)
    exemptions: tuple[Exemption, ...] = ()

    @property
    def units(self) -> tuple[str, ...]:
        """What multiplies the rate; nothing where the fee is once a licence."""
        return (self.unit,) if isinstance(self.unit, str) else self.unit or ()

    @property
    def tables(self) -> tuple[Zones, ...]:
        """The tables of factors; none where the fee is the same everywhere."""
        return (self.zones,) if isinstance(self.zones, Zones) else self.zones or ()

    def rate_on(self, day: date) -> Rate | None:
        """The rate in effect on a day."""
        return next((rate for rate in self.rates if rate.covers(day)), None)
