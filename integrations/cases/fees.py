"""Fees: what a licence costs on a day, line by line, exact to the halala.

A line is rate x quantity x years, at least its minimum, rounded half-up to halalas; value added tax is
reckoned and rounded a line. The total is the sum of the lines: what the applicant can add up is what is due.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from foundation.chain import JSON
from foundation.definitions import Bilingual
from foundation.errors import Conflict
from integrations.cases.application import facts_of
from integrations.cases.case import Quote, Work
from integrations.cases.money import LARGEST, amount_text, half_up, multiply
from integrations.service import Fee, Service

# Standard rate of value added tax from a day on. Source: GAZT's guideline on the change from 5 to 15 percent.
_STANDARD_VAT = ((date(2018, 1, 1), Decimal("0.05")), (date(2020, 7, 1), Decimal("0.15")))


@dataclass(frozen=True)
class Line:
    """One line of a quote; amounts in SAR.

    Args:
        rate: SAR per unit.
        quantity: units, 1 where the fee is once a licence.
        years: the fee is multiplied by, 1 where it is not yearly.
        net: before tax.
        vat_category: S, Z, E or O.
    """

    code: str
    title: Bilingual
    rate: Decimal
    quantity: Decimal
    years: int
    net: Decimal
    vat_category: str
    vat_rate: Decimal
    vat: Decimal

    @property
    def total(self) -> Decimal:
        """With tax."""
        return self.net + self.vat

    def to_json(self) -> dict[str, Any]:
        """As it is stored and sent."""
        return {
            "code": self.code,
            "title": self.title.model_dump(),
            "rate": amount_text(self.rate),
            "quantity": f"{self.quantity.normalize():f}",
            "years": self.years,
            "net": amount_text(self.net),
            "vat_category": self.vat_category,
            "vat_rate": f"{self.vat_rate:f}",
            "vat": amount_text(self.vat),
            "total": amount_text(self.total),
        }


def reckon(service: Service, form: Mapping[str, Any], fee_class: int, day: date) -> list[Line]:
    """What a licence costs.

    Args:
        form: as its service took it.
        fee_class: of the municipality, 1 to 5.
        day: the date of the quote; a fee that is not in effect on it is not charged.

    Raises:
        Conflict: no fee is in effect, or the total is larger than a bill can be.
    """
    facts = facts_of(service, form)
    years = years_of(service, form)
    lines = []
    for fee in service.fees:
        rate = fee.rate_on(day)
        if rate is None or (fee.when is not None and not fee.when.holds(facts)):
            continue
        quantity = Decimal(facts.fields[fee.unit]) if fee.unit is not None else Decimal(1)
        times = years if fee.yearly else 1
        per_unit = rate.by_class[fee_class]
        net = half_up(max(multiply(per_unit, quantity, times), rate.minimum))
        vat_rate = _vat_rate(fee, day)
        lines.append(
            Line(
                code=fee.code,
                title=fee.title,
                rate=per_unit,
                quantity=quantity,
                years=times,
                net=net,
                vat_category=fee.vat,
                vat_rate=vat_rate,
                vat=half_up(multiply(net, vat_rate)),
            )
        )
    total = total_of(lines)
    if not 0 < total <= LARGEST:
        raise Conflict(
            f"The fees of {service.code} come to {amount_text(total)} SAR on {day}.",
            remedy="Correct the dates and rates of its fees.",
        )
    return lines


def total_of(lines: list[Line]) -> Decimal:
    """The sum of the lines, tax included."""
    return sum((line.total for line in lines), Decimal("0.00"))


def years_of(service: Service, form: Mapping[str, Any]) -> int:
    """How many years the licence is asked for."""
    years = service.validity.years
    return years if isinstance(years, int) else int(form[years])


def make_quote(work: Work) -> Mapping[str, JSON]:
    """Effect `quote`: the fees of today, kept with the definition they were reckoned by."""
    municipality = work.office.municipality(work.session)
    lines = reckon(work.service, work.case.form, municipality.fee_class, work.day)
    quote = Quote(
        case_id=work.case.id,
        definition=work.service.fingerprint,
        day=work.day,
        fee_class=municipality.fee_class,
        lines=[line.to_json() for line in lines],
        total=total_of(lines),
        made_at=work.at,
    )
    work.session.add(quote)
    return {"total": amount_text(quote.total), "definition": work.service.fingerprint}


def _vat_rate(fee: Fee, day: date) -> Decimal:
    if fee.vat != "S":
        return Decimal(0)
    return next((rate for since, rate in reversed(_STANDARD_VAT) if since <= day), Decimal(0))
