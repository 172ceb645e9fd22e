"""Fees: what a procedure costs on a day, line by line, exact to the halala.

A fee is one line, or one for each row of a list of the form that it is reckoned for. A line is rate x
quantity x years x factor of the zone, kept within the fee's minimum and maximum, and rounded: that is its
gross. An exemption waives a share; what remains is rounded to the net. Value added tax
is reckoned on the net and rounded. Each rounding is half-up to halalas and happens a line, so the total is
the sum of the lines: what the applicant can add up is what is due.

Everything before a rounding is exact, whatever the number of digits.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from foundation.chain import JSON
from foundation.definitions import Bilingual
from foundation.errors import Conflict
from integrations.cases import invoices
from integrations.cases.case import Work
from integrations.cases.conditions import Facts
from integrations.cases.facts import of as facts_of
from integrations.cases.faults import exact
from integrations.cases.money import LARGEST, amount_text, half_up, multiply, plus
from integrations.fee_table import Exemption, Fee, Rate, Zones
from integrations.form import ListField
from integrations.procedure import Procedure
from integrations.service import Service

# Standard rate of value added tax from a day on. Source: GAZT's guideline on the change from 5 to 15 percent.
_STANDARD_VAT = ((date(2018, 1, 1), Decimal("0.05")), (date(2020, 7, 1), Decimal("0.15")))


@dataclass(frozen=True)
class Part:
    """A part of the quantity at one rate; a fee without `each` slabs has one part.

    Args:
        quantity: units, 1 where the fee is once a licence.
        rate: SAR per unit.
    """

    quantity: Decimal
    rate: Decimal


@dataclass(frozen=True)
class ListRow:
    """The row of a list of the form that a line is for.

    Args:
        field: name of the list.
        number: of the row, counted from 1 as people read them.
    """

    field: str
    title: Bilingual
    number: int

    def to_json(self) -> dict[str, Any]:
        """As it stands in a line."""
        return {"field": self.field, "title": self.title.model_dump(), "number": self.number}


@dataclass(frozen=True)
class Line:
    """One line of a quote; amounts in SAR.

    Args:
        row: that it is for, where the fee is reckoned for each row of a list.
        parts: the quantity by the rates it falls under.
        years: the fee is multiplied by, 1 where it is not yearly.
        factor: of the zones together, 1 where there are none.
        gross: within minimum and maximum, before any exemption.
        exemption: the one that holds, if one does.
        net: before tax.
        vat_category: S, Z, E or O.
        vat_rate: a fraction, as 0.15.
    """

    code: str
    title: Bilingual
    row: ListRow | None
    parts: tuple[Part, ...]
    years: int
    factor: Decimal
    gross: Decimal
    exemption: Exemption | None
    net: Decimal
    vat_category: str
    vat_rate: Decimal
    vat: Decimal

    @property
    def quantity(self) -> Decimal:
        """All its units."""
        return sum((part.quantity for part in self.parts), Decimal(0))

    @property
    def total(self) -> Decimal:
        """With tax."""
        return self.net + self.vat

    def to_json(self) -> dict[str, Any]:
        """As it is stored and sent; `rate` is null where parts have rates of their own, `row` stands only in
        a line of a row."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return {
            "code": self.code,
            "title": self.title.model_dump(),
            **({"row": self.row.to_json()} if self.row is not None else {}),
            "rate": amount_text(only.rate) if only else None,
            "quantity": _plain(self.quantity),
            "parts": [
                {"quantity": _plain(part.quantity), "rate": amount_text(part.rate)} for part in self.parts
            ],
            "years": self.years,
            "factor": _plain(self.factor),
            "gross": amount_text(self.gross),
            "exemption": _exemption_json(self.exemption),
            "net": amount_text(self.net),
            "vat_category": self.vat_category,
            "vat_rate": f"{self.vat_rate:f}",
            "vat": amount_text(self.vat),
            "total": amount_text(self.total),
        }


def reckon(
    service: Service, procedure: Procedure, facts: Facts, years: int, fee_class: int, day: date
) -> list[Line]:
    """What a procedure costs.

    Args:
        service: holds the fees.
        procedure: names those that apply; one without fees costs nothing.
        facts: of the case; quantities, zones and conditions are judged on them.
        years: that a yearly fee is multiplied by.
        fee_class: of the municipality, 1 to 5.
        day: the date of the quote; a fee that is not in effect on it is not charged.

    Returns:
        A line for each fee that applies, and of a fee for each row of a list one for each row that it applies
        to; their sum may be zero.

    Raises:
        Conflict: none of the fees is in effect, a quantity or zone is not known, or the total is larger than
            a bill can be.
    """
    named = [fee for fee in service.fees if fee.code in procedure.fees]
    in_effect = [(fee, rate) for fee in named if (rate := fee.rate_on(day)) is not None]
    if named and not in_effect:
        raise Conflict(
            f"No fee of {service.code} is in effect on {day}.",
            remedy="Correct the dates of its fees.",
            message_ar=f"لا يوجد رسم سارٍ لهذه الخدمة في تاريخ {day}.",
        )
    lines = [
        _line(service, fee, rate, row, judged, years if fee.yearly else 1, fee_class, day)
        for fee, rate in in_effect
        for row, judged in _judged(service, fee, facts)
        if fee.when is None or fee.when.holds(judged)
    ]
    if total_of(lines) > LARGEST:
        raise Conflict(
            f"The fees of {service.code} come to {amount_text(total_of(lines))} SAR, more than a bill holds.",
            remedy="Correct the form, or the rates of the service's fees.",
            message_ar="مجموع الرسوم أكبر من أن تُصدر به فاتورة.",
        )
    return lines


def total_of(lines: list[Line]) -> Decimal:
    """The sum of the lines, tax included."""
    return plus(line.total for line in lines)


def years_of(service: Service, form: Mapping[str, Any]) -> int:
    """What a yearly fee is multiplied by: the years asked for; 1 where validity is not counted in years.

    Raises:
        Conflict: the form does not say how many.
    """
    years = service.validity.of(form).years
    if not isinstance(years, str):
        return years or 1
    if form.get(years) is None:
        raise Conflict(
            f"How many years are asked for is not known ({years}).",
            place=service.code,
            remedy="Complete the form, then ask for the quote again.",
            message_ar="مدة الرخصة غير محددة في النموذج؛ حددها ثم اطلب الحساب مجددًا.",
        )
    return int(form[years])


def make_quote(work: Work) -> Mapping[str, JSON]:
    """Effect `quote`: the fees of today, kept with the definition they were reckoned by.

    It holds until the case is quoted again, whatever becomes of the fees meanwhile. A free one ends an open
    bill of the case: nothing is owed any more.
    """
    municipality = work.office.municipality(work.session)
    facts = facts_of(work)
    yearly = any(fee.yearly for fee in work.service.fees if fee.code in work.procedure.fees)
    years = years_of(work.service, facts.fields) if yearly else 1
    lines = reckon(work.service, work.procedure, facts, years, municipality.fee_class, work.day)
    total = total_of(lines)
    invoices.keep_quote(work, municipality.fee_class, [line.to_json() for line in lines], total)
    work.case.quote_free = total == 0
    did: dict[str, JSON] = {"total": amount_text(total), "definition": work.service.fingerprint}
    if work.case.quote_free:
        did |= invoices.void_newest(work, ("open",))
    return did


def _judged(service: Service, fee: Fee, facts: Facts) -> Iterator[tuple[ListRow | None, Facts]]:
    # What a fee is reckoned and judged on: the case, or each row of a list on top of the case.
    if fee.each is None:
        yield None, facts
        return
    field, rows = service.fields.get(fee.each), facts.fields.get(fee.each)
    if not isinstance(field, ListField) or rows is None:
        raise _not_known(service, fee, fee.each, None)
    # What a row leaves out is not known of it, whatever the form says under the same name.
    blank = dict.fromkeys(field.row)
    for number, row in enumerate(rows, 1):
        fields = {**facts.fields, **blank, **exact(row)}
        yield ListRow(field.name, field.label, number), Facts(fields, facts.done, facts.checks)


def _line(
    service: Service,
    fee: Fee,
    rate: Rate,
    row: ListRow | None,
    facts: Facts,
    years: int,
    fee_class: int,
    day: date,
) -> Line:
    quantity = multiply(*(_quantity(service, fee, unit, facts, row) for unit in fee.units))
    parts = tuple(parts_of(rate, quantity, fee_class))
    factor = multiply(*(_factor(service, fee, table, facts, row) for table in fee.tables))
    exact = plus(multiply(part.rate, part.quantity, years, factor) for part in parts)
    gross = half_up(_within(exact, rate))
    exemption = next((e for e in fee.exemptions if e.covers(day) and e.when.holds(facts)), None)
    net = gross if exemption is None else half_up(multiply(gross, 1 - exemption.share))
    vat_rate = standard_vat(day) if fee.vat == "S" else Decimal(0)
    vat = half_up(multiply(net, vat_rate))
    return Line(fee.code, fee.title, row, parts, years, factor, gross, exemption, net, fee.vat, vat_rate, vat)


def parts_of(rate: Rate, quantity: Decimal, fee_class: int) -> list[Part]:
    """The quantity by the slabs of a rate; one part where it has none, or one slab holds for the whole."""
    if rate.by_class is not None:
        return [Part(quantity, rate.by_class[fee_class])]
    if rate.slab_mode == "whole":
        slab = next(s for s in rate.slabs if s.up_to is None or quantity <= s.up_to)
        return [Part(quantity, slab.by_class[fee_class])]
    parts: list[Part] = []
    below = Decimal(0)
    for slab in rate.slabs:
        upper = quantity if slab.up_to is None else min(quantity, slab.up_to)
        if upper > below or not parts:
            parts.append(Part(upper - below, slab.by_class[fee_class]))
        below = upper
    return parts


def standard_vat(day: date) -> Decimal:
    """The standard rate of value added tax on a day, a fraction."""
    return next((rate for since, rate in reversed(_STANDARD_VAT) if since <= day), Decimal(0))


def _within(exact: Decimal, rate: Rate) -> Decimal:
    least = max(exact, rate.minimum)
    return least if rate.maximum is None else min(least, rate.maximum)


def _quantity(service: Service, fee: Fee, unit: str, facts: Facts, row: ListRow | None) -> Decimal:
    value = facts.fields.get(unit)
    if value is None or isinstance(value, bool):
        raise _not_known(service, fee, unit, row)
    quantity = Decimal(str(value))
    if quantity < 0:
        raise _not_known(service, fee, unit, row)
    return quantity


def _factor(service: Service, fee: Fee, table: Zones, facts: Facts, row: ListRow | None) -> Decimal:
    factor = table.factors.get(str(facts.fields.get(table.field)))
    if factor is None:
        raise _not_known(service, fee, table.field, row)
    return factor


def _not_known(service: Service, fee: Fee, name: str, row: ListRow | None) -> Conflict:
    # Never taken for zero, or for a factor of one: a fee that cannot be reckoned is no fee of nothing.
    where = f" in row {row.number} of {row.title.en!r}" if row is not None else ""
    where_ar = f" في الصف {row.number} من «{row.title.ar}»" if row is not None else ""
    return Conflict(
        f"The fee {fee.title.en!r} cannot be reckoned: {name} is not known{where}.",
        place=service.code,
        remedy="Complete the form, then ask for the quote again.",
        message_ar=f"لا يمكن حساب «{fee.title.ar}» لنقص في بيانات النموذج{where_ar}؛ "
        "أكملها ثم اطلب الحساب مجددًا.",
    )


def _exemption_json(exemption: Exemption | None) -> dict[str, Any] | None:
    if exemption is None:
        return None
    return {
        "code": exemption.code,
        "title": exemption.title.model_dump(),
        "share": _plain(exemption.share),
    }


def _plain(number: Decimal) -> str:
    return f"{number.normalize():f}"
