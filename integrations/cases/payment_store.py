"""Where payments lie: table `case_payment`, read and written by statements that are spelt once."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, Identity, Table, Text, text
from sqlalchemy.orm import Session

from foundation.chain import JSON
from foundation.database import Base
from foundation.errors import Conflict, NotFound
from integrations.cases import ledger
from integrations.cases.case import MOMENT, MONEY
from integrations.cases.invoices import Invoice, Payment
from integrations.cases.ledger import Posting, moment
from integrations.cases.money import amount_text
from integrations.cases.numbers import TEST_BILLS

Found = tuple[Payment, str | None]
"""A payment, and the number of the case whose bill it is of, if it is of one."""

PAYMENTS = Table(
    "case_payment",
    Base.metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("reference", Text, nullable=False, unique=True),
    Column("bill_number", Text, nullable=False),
    Column("invoice_id", BigInteger),
    Column("amount", MONEY, nullable=False),
    Column("status", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("settles", Boolean, nullable=False),
    Column("credited", MONEY, nullable=False),
    Column("refunding", MONEY, nullable=False),
    Column("paid_at", MOMENT, nullable=False),
    Column("day", Date, nullable=False),
    Column("client", Text, nullable=False),
    Column("from_file", Boolean, nullable=False),
    Column("received_at", MOMENT, nullable=False),
)

_COLUMNS = ", ".join(f"payment.{field.name}" for field in fields(Payment))
# Of two notices of one reference at the same moment, the second waits here for the first's transaction.
# Money that names the bill of a test is real, and of no bill that we know.
_KEEP = text(
    f"""
    WITH kept AS (
        INSERT INTO case_payment (reference, bill_number, amount, status, outcome, late, settles, credited,
                                  refunding, paid_at, day, client, from_file, received_at)
        VALUES (:reference, :bill_number, :amount, :status, :outcome, false, false, 0, 0, :paid_at, :day,
                :client, :from_file, :received_at)
        ON CONFLICT (reference) DO NOTHING
        RETURNING id
    )
    SELECT (SELECT id FROM kept) AS id, file.number
    FROM (VALUES (1)) AS one (row)
    LEFT JOIN case_invoice AS invoice ON invoice.bill_number = :bill_number
        AND invoice.bill_number NOT LIKE '{TEST_BILLS}'
    LEFT JOIN case_file AS file ON file.id = invoice.case_id
    """
)
_KEPT = (
    "reference",
    "bill_number",
    "amount",
    "status",
    "outcome",
    "paid_at",
    "day",
    "client",
    "from_file",
    "received_at",
)
# The bank said that it failed, and says now that it has the money: that is later news of one payment.
_PAID_AFTER_ALL = text(
    """
    UPDATE case_payment SET status = 'paid', outcome = :outcome, paid_at = :paid_at, day = :day,
                            client = :client, from_file = :from_file, received_at = :received_at
    WHERE reference = :reference AND bill_number = :bill_number AND amount = :amount AND status = 'refused'
    RETURNING id
    """
)
# Only while nobody has decided about it.
_NAMED = text(
    """
    UPDATE case_payment SET bill_number = :bill_number
    WHERE reference = :reference AND bill_number = '' AND credited + refunding = 0 AND status = 'paid'
    RETURNING id
    """
)
_JUDGED = text(
    """
    WITH paid AS (
        UPDATE case_payment SET invoice_id = :invoice, outcome = :outcome, late = :late, settles = :settles,
                                credited = :credited
        WHERE id = :payment
    ), billed AS (
        UPDATE case_invoice SET credited = credited + :credited,
               state = CASE WHEN :settles THEN 'settled' ELSE state END,
               settled_at = CASE WHEN :settles THEN CAST(:at AS timestamptz) ELSE settled_at END
        WHERE id = :invoice AND :credited > 0
    )
    """
    + ledger.INTO
    + ledger.ROWS
)
_BY_REFERENCE = f"""
    SELECT {_COLUMNS}, file.number FROM case_payment AS payment
    LEFT JOIN case_invoice AS invoice ON invoice.id = payment.invoice_id OR
        (payment.invoice_id IS NULL AND invoice.bill_number = payment.bill_number
         AND invoice.bill_number NOT LIKE '{TEST_BILLS}')
    LEFT JOIN case_file AS file ON file.id = invoice.case_id
"""
_FOUND = text(_BY_REFERENCE + "WHERE payment.reference = :reference")
_LOCKED = text(_BY_REFERENCE + "WHERE payment.reference = :reference FOR UPDATE OF payment")
_OF_BILL = text(
    _BY_REFERENCE + "WHERE payment.bill_number = :bill OR payment.invoice_id = :id ORDER BY payment.id"
)
_WAITING = text(
    _BY_REFERENCE + "WHERE payment.status = 'paid' AND payment.amount > payment.credited + payment.refunding "
    "AND payment.id > :after ORDER BY payment.id LIMIT :limit"
)


def keep(session: Session, payment: Payment) -> tuple[bool, str | None]:
    """Write a new payment and give it its id.

    Returns:
        Whether it is new, for its reference may be known already; and the number of its bill's case.
    """
    row = session.execute(_KEEP, {name: getattr(payment, name) for name in _KEPT}).one()
    payment.id = row.id or 0
    return row.id is not None, row.number


def paid_after_all(session: Session, payment: Payment) -> bool:
    """Let a payment that its bank refused before be paid, and give it its id; whether there is such a one."""
    words = {name: getattr(payment, name) for name in _KEPT if name != "status"}
    payment.id = session.execute(_PAID_AFTER_ALL, words).scalar() or 0
    return payment.id != 0


def name_bill(session: Session, reference: str, bill_number: str) -> bool:
    """Let a payment that waits and named no bill be of this one; whether there is such a payment."""
    words = {"reference": reference, "bill_number": bill_number}
    return session.execute(_NAMED, words).scalar() is not None


def write_judged(session: Session, payment: Payment, invoice: Invoice, posting: Posting) -> None:
    """Write what became of a payment, on it, on its bill and in the ledger, in one statement."""
    words = {
        "payment": payment.id,
        "invoice": invoice.id,
        "outcome": payment.outcome,
        "late": payment.late,
        "settles": payment.settles,
        "credited": payment.credited,
    }
    session.execute(_JUDGED, {**words, **posting.words()})


def find(session: Session, reference: str) -> Found | None:
    """A payment by the bank's reference."""
    return next(iter(_pairs(session.execute(_FOUND, {"reference": reference}))), None)


def waiting_one(session: Session, reference: str) -> Found:
    """A payment of which something waits for a person, locked.

    Raises:
        NotFound: there is no such payment.
        Conflict: nothing of it waits.
    """
    row = session.execute(_LOCKED, {"reference": reference}).one_or_none()
    if row is None:
        raise NotFound(
            "There is no payment of this reference.",
            remedy="See the list of payments that wait.",
            message_ar="لا توجد عملية سداد بهذا الرقم؛ راجع قائمة المدفوعات المعلقة.",
        )
    payment = Payment(*row[:-1])
    if not payment.waiting:
        raise Conflict(
            f"Nothing of the payment {reference} waits for a decision.",
            remedy="Read its bill and refunds to see where it went.",
            message_ar="لا مبلغ معلقًا في عملية السداد هذه.",
        )
    return payment, row[-1]


def of_bill(session: Session, invoice: Invoice) -> list[Found]:
    """Payments that named a bill or were credited to it, with its case's number, oldest first."""
    return _pairs(session.execute(_OF_BILL, {"bill": invoice.bill_number, "id": invoice.id}))


def waiting(session: Session, after: int, limit: int) -> list[Found]:
    """Payments of which something waits for a person, oldest first.

    Args:
        after: id of the payment that the page before ended with; 0 begins.
    """
    return _pairs(session.execute(_WAITING, {"after": after, "limit": limit}))


def view(payment: Payment, case: str | None) -> dict[str, Any]:
    """What became of a payment, as JSON; `settled` says whether it settled its bill."""
    return {
        **facts(payment),
        "settled": payment.settles,
        "paid_at": moment(payment.paid_at),
        "case": case,
    }


def facts(payment: Payment) -> dict[str, JSON]:
    """What became of a payment, as journals and events have it."""
    return {
        "bill_number": payment.bill_number,
        "reference": payment.reference,
        "amount": amount_text(payment.amount),
        "currency": "SAR",
        "status": payment.status,
        "outcome": str(payment.outcome),
        "late": payment.late,
        "credited": amount_text(payment.credited),
        "owed_back": amount_text(payment.refunding),
        "waiting": amount_text(payment.waiting),
    }


def _pairs(rows: Iterable[Any]) -> list[Found]:
    return [(Payment(*row[:-1]), row[-1]) for row in rows]
