"""Quotes and bills: what a case owes, and since when. A bill is apart from its licence.

Tables: `case_quote`, `case_invoice`. A case has at most one open bill. What is credited to a bill is never
more than its amount; it is settled exactly when it is all of it. Voiding a bill takes the claim back in the
ledger, and what was credited to it is owed back.

The bill of a test (see `integrations.rules_of_tests`) claims nothing: it stands in no ledger, has a number
that no bank takes, and nobody is told of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import BigInteger, Column, Date, Identity, Integer, Table, Text, insert, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from foundation.chain import JSON
from foundation.database import Base
from foundation.errors import Conflict, NotFound
from integrations.cases import ledger, refunds
from integrations.cases.case import MOMENT, MONEY, Case, Work
from integrations.cases.ledger import Posting, Row
from integrations.cases.money import amount_text, plus
from integrations.cases.numbers import bill_number, bill_number_of_test, is_bill_number, is_test, is_test_bill
from integrations.cases.refunds import Reason
from integrations.centres import share

PRESENTED = "invoice.presented"
"""A bill is ready to be paid. Subject: case/NUMBER. Payload: bill_number, amount, due, currency; what
`integrations.cases.bill_uploads` tells the payment system."""
VOIDED = "invoice.voided"
"""A bill is owed no more. Subject: case/NUMBER. Payload: bill_number; the payment system takes it down."""

InvoiceState = Literal["open", "settled", "void"]

QUOTES = Table(
    "case_quote",
    Base.metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("case_id", BigInteger, nullable=False),
    Column("definition", Text, nullable=False),
    Column("day", Date, nullable=False),
    Column("fee_class", Integer, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("total", MONEY, nullable=False),
    Column("made_at", MOMENT, nullable=False),
)
INVOICES = Table(
    "case_invoice",
    Base.metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("bill_number", Text, nullable=False, unique=True),
    Column("case_id", BigInteger, nullable=False),
    Column("quote_id", BigInteger, nullable=False),
    Column("amount", MONEY, nullable=False),
    Column("credited", MONEY, nullable=False, server_default="0"),
    Column("due", Date, nullable=False),
    Column("state", Text, nullable=False),
    Column("issued_at", MOMENT, nullable=False),
    Column("settled_at", MOMENT),
    Column("voided_at", MOMENT),
    # By `integrations.cases.bill_uploads` alone.
    Column("told", MONEY),
)


@dataclass(frozen=True)
class Quote:
    """The fees of a case on a day.

    Args:
        definition: fingerprint of the one they were reckoned by.
        lines: as `fees.Line.to_json` writes them.
        total: SAR, tax included; zero is a free one.
    """

    id: int
    case_id: int
    definition: str
    day: date
    fee_class: int
    lines: list[dict[str, Any]]
    total: Decimal
    made_at: datetime


@dataclass
class Invoice:
    """A bill.

    Args:
        amount: SAR, more than zero.
        credited: SAR paid towards it; all of it when it is settled, nothing when it is void.
        due: last day, in the kingdom's legal time, on which a payment is in time.
    """

    id: int
    bill_number: str
    case_id: int
    quote_id: int
    amount: Decimal
    credited: Decimal
    due: date
    state: InvoiceState
    issued_at: datetime
    settled_at: datetime | None
    voided_at: datetime | None

    @property
    def rest(self) -> Decimal:
        """What is still to be paid, SAR."""
        return self.amount - self.credited if self.state == "open" else Decimal("0.00")


@dataclass
class Payment:
    """A payment that a bank told us of, and what became of it; see `integrations.cases.payments`.

    Args:
        reference: the bank's own.
        bill_number: as the bank wrote it, whether or not there is such a bill.
        invoice_id: the bill that it was judged against.
        status: "paid", or "refused" if the bank says that it failed.
        late: after the bill's due day.
        settles: it settled its bill.
        credited: SAR of it that went to the bill.
        refunding: SAR of it that is owed back or was sent back.
        day: of `paid_at`, in the kingdom's legal time.
        from_file: taken in from a bank's file, where only the day is known.
    """

    id: int
    reference: str
    bill_number: str
    invoice_id: int | None
    amount: Decimal
    status: str
    outcome: str
    late: bool
    settles: bool
    credited: Decimal
    refunding: Decimal
    paid_at: datetime
    day: date
    client: str
    from_file: bool
    received_at: datetime

    @property
    def waiting(self) -> Decimal:
        """What waits for a person to say where it goes, SAR."""
        return self.amount - self.credited - self.refunding if self.status == "paid" else Decimal("0.00")


_QUOTE_COLUMNS = ", ".join(field.name for field in fields(Quote))
_COLUMNS = ", ".join(field.name for field in fields(Invoice))

_KEEP_QUOTE = insert(QUOTES)
_NEWEST_QUOTE = text(
    f"SELECT {_QUOTE_COLUMNS} FROM case_quote WHERE case_id = :case ORDER BY id DESC LIMIT 1"
)
_NEWEST = text(f"SELECT {_COLUMNS} FROM case_invoice WHERE case_id = :case ORDER BY id DESC LIMIT 1")
_BY_NUMBER = text(f"SELECT {_COLUMNS} FROM case_invoice WHERE bill_number = :number")
_TO_BILL = text(
    """
    SELECT quote.id, quote.lines, quote.total, nextval('case_bill_seq') AS serial,
           (SELECT state FROM case_invoice WHERE case_id = :case ORDER BY id DESC LIMIT 1) AS before
    FROM case_quote AS quote WHERE quote.case_id = :case ORDER BY quote.id DESC LIMIT 1
    """
)
_OPEN = text(
    """
    WITH made AS (
        INSERT INTO case_invoice (bill_number, case_id, quote_id, amount, due, state, issued_at)
        VALUES (:bill_number, :case, :quote, :amount, :due, 'open', :at)
    )
    """
    + ledger.INTO
    + ledger.ROWS
)
_LINES = text("SELECT lines FROM case_quote WHERE id = :quote")
# Of two who void one bill, the second waits here for the first, and finds nothing left to take back.
_VOID = text(
    "UPDATE case_invoice SET state = 'void', credited = 0, voided_at = :at "
    "WHERE id = :invoice AND state <> 'void' RETURNING id"
)
# Locked before they are read: a refund of the same payment waits for us, or we for it.
_RELEASE = text(
    """
    UPDATE case_payment AS payment SET credited = 0
    FROM (SELECT id, credited FROM case_payment WHERE invoice_id = :invoice AND credited > 0
          ORDER BY id FOR UPDATE) AS before
    WHERE payment.id = before.id
    RETURNING payment.id, before.credited
    """
)
_COVERED = text("SELECT state = 'settled' FROM case_invoice WHERE case_id = :case ORDER BY id DESC LIMIT 1")


def keep_quote(work: Work, fee_class: int, lines: list[dict[str, Any]], total: Decimal) -> None:
    """Keep the quote of a case; it holds from now on."""
    values = {
        "case_id": work.case.id,
        "definition": work.service.fingerprint,
        "day": work.day,
        "fee_class": fee_class,
        "lines": lines,
        "total": total,
        "made_at": work.at,
    }
    work.session.execute(_KEEP_QUOTE, values)


def open_invoice(work: Work) -> Mapping[str, JSON]:
    """Effect `invoice`: a bill over the newest quote, presented to the payment system.

    An open bill that the case has is void from now on; what was paid towards it is owed back.

    Raises:
        Conflict: the case has no quote, its quote is free, or its bill was paid.
    """
    case = work.case
    row = work.session.execute(_TO_BILL, {"case": case.id}).one_or_none()
    if row is None or row.total == 0 or row.before == "settled":
        raise _nothing_to_bill(case, row)
    did: dict[str, JSON] = {}
    if row.before == "open":
        did["voided"] = void_newest(work, ("open",))["bill_number"]
    test = is_test(case.number)
    number = bill_number_of_test(row.serial) if test else bill_number(row.serial, work.day)
    due = work.day + timedelta(days=work.service.payment.due_days)
    rows = () if test else ledger.of_bill(row.lines, row.total, 1)
    posting = Posting("bill", case.context, number, work.day, work.at, rows)
    words = {"bill_number": number, "case": case.id, "quote": row.id, "amount": row.total, "due": due}
    work.session.execute(_OPEN, {**words, **posting.words()})
    presented: dict[str, JSON] = {
        "bill_number": number,
        "amount": amount_text(row.total),
        "due": due.isoformat(),
    }
    if not test:
        work.publish(PRESENTED, case.context, {**presented, "currency": "SAR"})
    return {**did, **presented}


def void_bill(work: Work) -> Mapping[str, JSON]:
    """Effect `void_bill`: the case's bill is owed no more; what was credited to it is owed back.

    A case without a bill has nothing to void.
    """
    return void_newest(work, ("open", "settled"))


def void_newest(
    work: Work,
    states: Sequence[InvoiceState] = ("open", "settled"),
    case: Case | None = None,
    reason: Reason = "void",
) -> dict[str, JSON]:
    """Void the newest bill of a case, if it is in one of these states.

    Args:
        case: locked, or one whose bill changes no more; the one that is worked on if none is named.
        reason: of the refunds.

    Returns:
        `bill_number` and `owed_back`, the sum of the refunds now due; nothing if no bill was voided.
    """
    of = case or work.case
    invoice = newest_invoice(work.session, of)
    if invoice is None or invoice.state not in states:
        return {}
    if work.session.execute(_VOID, {"invoice": invoice.id, "at": work.at}).scalar() is None:
        return {}
    released = [tuple(row) for row in work.session.execute(_RELEASE, {"invoice": invoice.id})]
    refunds.owe(work.session, released, reason, _cause(work), work.at)
    if is_test(of.number):
        return {"bill_number": invoice.bill_number, "owed_back": amount_text(plus(()))}
    lines = work.session.execute(_LINES, {"quote": invoice.quote_id}).scalar_one()
    owed = plus(amount for _, amount in released)
    rows = (
        *ledger.of_bill(lines, invoice.amount, -1),
        Row(ledger.RECEIVABLE, owed),
        Row(ledger.REFUNDS_PAYABLE, -owed),
    )
    ledger.post(work.session, Posting("void", of.context, invoice.bill_number, work.day, work.at, rows))
    if of.clerk is not None:
        share.take_back(work, of)
    work.publish(VOIDED, of.context, {"bill_number": invoice.bill_number})
    return {"bill_number": invoice.bill_number, "owed_back": amount_text(owed)}


def newest_quote(session: Session, case: Case) -> Quote | None:
    """The quote that holds for a case."""
    row = session.execute(_NEWEST_QUOTE, {"case": case.id}).one_or_none()
    return Quote(*row) if row is not None else None


def newest_invoice(session: Session, case: Case) -> Invoice | None:
    """The bill that holds for a case, void ones included."""
    row = session.execute(_NEWEST, {"case": case.id}).one_or_none()
    return Invoice(*row) if row is not None else None


def by_number(session: Session, number: str, *, tests: bool = False) -> Invoice:
    """A bill by its number.

    Args:
        tests: also one of a test, which no payment is ever of.

    Raises:
        NotFound: there is none.
    """
    known = is_bill_number(number) or (tests and is_test_bill(number))
    row = session.execute(_BY_NUMBER, {"number": number}).one_or_none() if known else None
    if row is None:
        raise NotFound(
            "There is no bill of this number.",
            remedy="Check the number; the case shows its bill.",
            message_ar="لا توجد فاتورة بهذا الرقم؛ تحقق من الرقم، وهو ظاهر في المعاملة.",
        )
    return Invoice(*row)


def is_settled(session: Session, case: Case) -> bool:
    """Whether the newest bill of a case is settled."""
    return bool(session.execute(_COVERED, {"case": case.id}).scalar())


def quote_view(case: str, code: str, version: int, quote: Quote) -> dict[str, Any]:
    """A quote with its lines, as JSON.

    Args:
        case: number.
        code, version: of the service's definition that it was reckoned by.
    """
    return {
        "case": case,
        "lines": quote.lines,
        "total": amount_text(quote.total),
        "currency": "SAR",
        "day": quote.day.isoformat(),
        "fee_class": quote.fee_class,
        "definition": {"code": code, "version": version, "sha256": quote.definition},
    }


def invoice_view(case: str, invoice: Invoice) -> dict[str, Any]:
    """A bill, as JSON: what a payment system presents.

    Args:
        case: number.
    """
    return {
        "case": case,
        "bill_number": invoice.bill_number,
        "amount": amount_text(invoice.amount),
        "credited": amount_text(invoice.credited),
        "rest": amount_text(invoice.rest),
        "currency": "SAR",
        "due": invoice.due.isoformat(),
        "state": invoice.state,
    }


def _cause(work: Work) -> str:
    # Whoever set off what now follows by itself: he may not approve what it owes back either.
    return work.entries[0][0] if work.entries else work.caller.actor


def _nothing_to_bill(case: Case, quote: Any) -> Conflict:
    if quote is None:
        return Conflict(
            f"The case {case.number} has no quote.",
            remedy="Ask for a quote first.",
            message_ar="لم تُحسب رسوم هذه المعاملة بعد؛ اطلب حساب الرسوم أولًا.",
        )
    if quote.total == 0:
        return Conflict(
            f"The quote of the case {case.number} is free: there is nothing to bill.",
            remedy="Go on without a bill.",
            message_ar="رسوم هذه المعاملة صفر، فلا تصدر لها فاتورة.",
        )
    return Conflict(
        f"The bill of the case {case.number} was paid.",
        remedy="Void it before billing again; what was paid is then owed back.",
        message_ar="فاتورة هذه المعاملة مسددة؛ ألغها أولًا لإصدار غيرها، فيصبح المبلغ المسدد مستحق الرد.",
    )
