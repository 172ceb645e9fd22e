"""What becomes of a payment of a known bill: a pure decision, taken under the case's lock."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from integrations.cases.invoices import Invoice


class Outcome(StrEnum):
    """What became of a payment."""

    SETTLED = "settled"
    """It paid the bill, or the rest of it, to the halala."""
    PARTIAL = "partial"
    """It is less than the rest; credited, and the bill stays open."""
    OVER = "over"
    """It is more than the rest; the bill is settled and the surplus owed back."""
    SURPLUS = "surplus"
    """The bill was settled before; all of it is owed back."""
    LATE = "late"
    """It came after the bill's due day, and the service refuses that; all of it is owed back."""
    HELD = "held"
    """The bill is void, and it is owed back; or the case takes no payment in its state, and it waits for a
    person."""
    UNKNOWN_BILL = "unknown_bill"
    """No bill has this number; it waits for a person."""
    REFUSED = "refused"
    """The bank says that it failed."""


@dataclass(frozen=True)
class Judgement:
    """What becomes of a payment of a known bill; SAR.

    Args:
        credited: to the bill.
        owed: back to the payer.
        settles: the bill is paid with it.
        late: after the due day.
    """

    outcome: Outcome
    credited: Decimal = Decimal("0.00")
    owed: Decimal = Decimal("0.00")
    settles: bool = False
    late: bool = False


def judge(invoice: Invoice, amount: Decimal, day: date, *, takes: bool, refuse_late: bool) -> Judgement:
    """What becomes of a payment of a known bill.

    Args:
        invoice: as it stands, under its case's lock.
        day: when it was paid, in the kingdom's legal time.
        takes: whether the case's state has an action that settles.
        refuse_late: whether the service gives late money back.
    """
    late = day > invoice.due
    if invoice.state == "void":
        return Judgement(Outcome.HELD, owed=amount, late=late)
    if invoice.state == "settled":
        return Judgement(Outcome.SURPLUS, owed=amount, late=late)
    if late and refuse_late:
        return Judgement(Outcome.LATE, owed=amount, late=True)
    if not takes:
        return Judgement(Outcome.HELD, late=late)
    if amount < invoice.rest:
        return Judgement(Outcome.PARTIAL, credited=amount, late=late)
    over = amount - invoice.rest
    return Judgement(
        Outcome.OVER if over else Outcome.SETTLED,
        credited=invoice.rest,
        owed=over,
        settles=True,
        late=late,
    )
