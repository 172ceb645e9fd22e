"""Invoices and payments: a bill is apart from its licence, and only its exact amount settles it.

What a bank tells us has happened: every readable notification is kept with its outcome, also when it moves no
case. What becomes of partial, surplus and unknown money is a person's decision.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from foundation.chain import JSON
from foundation.errors import Conflict
from integrations.cases.case import Case, Invoice, Payment, Quote, Work
from integrations.cases.money import amount_text
from integrations.cases.numbers import is_bill_number, next_bill_number


class Outcome(StrEnum):
    """What became of a payment."""

    SETTLED = "settled"
    """It settled its bill and moved the case."""
    PARTIAL = "partial"
    """It is less than the bill."""
    OVER = "over"
    """It is more than the bill."""
    SURPLUS = "surplus"
    """The bill was settled before."""
    HELD = "held"
    """The bill is open, and its case takes no payment in its state."""
    UNKNOWN_BILL = "unknown_bill"
    """No bill has this number."""


@dataclass(frozen=True)
class Notice:
    """A bank's notification of one payment.

    Args:
        paid_at: aware.
        reference: the bank's own, unique to the payment.
    """

    bill_number: str
    amount: Decimal
    paid_at: datetime
    reference: str


def open_invoice(work: Work) -> Mapping[str, JSON]:
    """Effect `invoice`: a bill over the newest quote."""
    quote = newest_quote(work.session, work.case)
    if quote is None:
        raise Conflict(f"The case {work.case.number} has no quote.", remedy="Ask for a quote first.")
    invoice = Invoice(
        bill_number=next_bill_number(work.session, work.day),
        case_id=work.case.id,
        quote_id=quote.id,
        amount=quote.total,
        due=work.day + timedelta(days=work.service.payment.due_days),
        state="open",
        issued_at=work.at,
    )
    work.session.add(invoice)
    return {"bill_number": invoice.bill_number, "amount": amount_text(invoice.amount)}


def settle(work: Work) -> Mapping[str, JSON]:
    """Effect `settle`: the bill of the payment is paid. It issues nothing."""
    assert work.paid is not None, "a bill is settled by a payment"
    payment, invoice = work.paid
    invoice.state = "settled"
    invoice.settled_at = work.at
    return {"bill_number": invoice.bill_number, "amount": amount_text(payment.amount)}


def keep(session: Session, notice: Notice, client: str, at: datetime) -> tuple[Payment, bool]:
    """Keep a notification, before anything is decided about it.

    Returns:
        The payment, and whether it is new: the same reference again is the same payment.

    Raises:
        Conflict: the reference was used for another payment.
    """
    values = {
        "reference": notice.reference,
        "bill_number": notice.bill_number,
        "amount": notice.amount,
        "paid_at": notice.paid_at,
        "outcome": Outcome.UNKNOWN_BILL,
        "client": client,
        "received_at": at,
    }
    # Of two at the same moment, the second waits here for the first's transaction and then finds its payment.
    statement = insert(Payment).values(**values).on_conflict_do_nothing(index_elements=[Payment.reference])
    new = session.scalar(statement.returning(Payment.id)) is not None
    payment = session.scalars(select(Payment).where(Payment.reference == notice.reference)).one()
    same = (payment.bill_number, payment.amount, payment.paid_at) == (
        notice.bill_number,
        notice.amount,
        notice.paid_at,
    )
    if not same:
        raise Conflict(
            f"The reference {notice.reference} was used for another payment.",
            remedy="Give each payment its own reference.",
            message_ar="رقم العملية مستخدم في عملية سداد أخرى.",
        )
    return payment, new


def judge(payment: Payment, invoice: Invoice, takes_payment: bool) -> Outcome:
    """What becomes of a payment of a known bill.

    Args:
        takes_payment: whether the case's state has an action that settles.
    """
    if invoice.state == "settled":
        return Outcome.SURPLUS
    if payment.amount != invoice.amount:
        return Outcome.PARTIAL if payment.amount < invoice.amount else Outcome.OVER
    return Outcome.SETTLED if takes_payment else Outcome.HELD


def case_of_bill(session: Session, number: str) -> str | None:
    """Number of the case that a bill is of, if the bill is one of ours."""
    if not is_bill_number(number):
        return None
    query = select(Case.number).join(Invoice, Invoice.case_id == Case.id)
    return session.scalar(query.where(Invoice.bill_number == number))


def newest_quote(session: Session, case: Case) -> Quote | None:
    """The quote that holds for a case."""
    return session.scalar(select(Quote).where(Quote.case_id == case.id).order_by(Quote.id.desc()).limit(1))


def newest_invoice(session: Session, case: Case) -> Invoice | None:
    """The bill that holds for a case."""
    query = select(Invoice).where(Invoice.case_id == case.id).order_by(Invoice.id.desc()).limit(1)
    return session.scalar(query)
