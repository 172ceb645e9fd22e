"""Payments: what a bank tells us has happened, and what becomes of each halala of it.

Every readable notice is kept, once for the bank's reference, also when it moves no case. Of what was paid,
each halala is credited to a bill, owed back (`integrations.cases.refunds`), or waits for a person; the
database refuses a row for which that does not hold.

The exact payment of an open bill takes four statements beside those of the engine's step.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.calendar import today
from foundation.chain import JSON
from foundation.errors import Conflict, RakeezaError
from foundation.events import publish
from foundation.identity import Caller
from integrations.cases import case_store, invoices, ledger, payment_store, refunds
from integrations.cases.case import Case, Work
from integrations.cases.invoices import Invoice, Payment
from integrations.cases.judgement import Judgement, Outcome, judge
from integrations.cases.ledger import Posting, Row
from integrations.cases.money import amount_text
from integrations.cases.numbers import is_test
from integrations.cases.payment_store import Found, facts
from integrations.cases.refunds import Reason
from integrations.service import Service

if TYPE_CHECKING:
    from integrations.cases.engine import Engine

KEPT = "payment.kept"
"""A payment was kept. Subject: case/NUMBER, or payment/REFERENCE of one whose bill is not known. Payload:
bill_number, reference, amount, currency, status, outcome, late, credited, owed_back, waiting."""
_UNKNOWN = "payment"
_REASONS: dict[Outcome, Reason] = {
    Outcome.OVER: "over",
    Outcome.SURPLUS: "surplus",
    Outcome.LATE: "late",
    Outcome.HELD: "void",
}


_TEST_PAID = text(
    "UPDATE case_invoice SET credited = amount, state = 'settled', settled_at = :at "
    "WHERE case_id = :case AND state = 'open' RETURNING bill_number, amount"
)


@dataclass(frozen=True)
class Notice:
    """A bank's notification of one payment.

    Args:
        amount: SAR, more than zero.
        paid_at: aware.
        reference: the bank's own, unique to the payment.
        status: "refused" if the bank tells us that it failed.
        from_file: taken in from a bank's file; of `paid_at` only the day is known.
    """

    bill_number: str
    amount: Decimal
    paid_at: datetime
    reference: str
    status: Literal["paid", "refused"] = "paid"
    from_file: bool = False


class NotTaken(Exception):
    """The case refused the action that a payment of its bill should have taken; `why` is its error.

    Not of our tree: it is for `receive`'s caller, who undoes the transaction and has the payment held.
    """

    def __init__(self, why: RakeezaError) -> None:
        super().__init__(str(why))
        self.why = why


@dataclass(frozen=True)
class Till:
    """What receiving a payment needs beside its transaction.

    Args:
        engine: moves the case whose bill is settled.
        service_of: the definition that a case runs under.
        takes: False holds what would move a case; for a case that refused it.
    """

    engine: "Engine"
    service_of: Callable[[Session, Case], Service]
    takes: bool = True


def receive(session: Session, till: Till, notice: Notice, caller: Caller, at: datetime) -> Found:
    """Keep a notice and let it do what it does.

    Returns:
        The payment, and the number of the case whose bill it is; the same reference again is the same
        payment, and does nothing, unless it was refused before and is paid now, or a file that names no
        bill told of it first.

    Raises:
        Conflict: the reference was used for another payment.
        NotTaken: the case refused to be moved; receive it again in a new transaction, without `takes`.
    """
    payment = _new_payment(notice, caller, at)
    new, number = payment_store.keep(session, payment)
    if not new and not (payment.status == "paid" and payment_store.paid_after_all(session, payment)):
        found = _repeated(session, notice)
        named = notice.bill_number and payment_store.name_bill(session, notice.reference, notice.bill_number)
        return _named(session, till, notice, caller, at) if named else found
    if number is None or payment.status == "refused":
        if payment.status == "paid":
            ledger.post(session, _posting(payment, f"{_UNKNOWN}/{payment.reference}", ledger.BANK, at))
        _tell(session, payment, number, caller)
        return payment, number
    # The case's lock first, then the bill as it stands under that lock.
    case = case_store.locked(session, number)
    invoice = invoices.by_number(session, notice.bill_number)
    _apply(session, till, payment, invoice, case, caller, at, ledger.BANK)
    return payment, case.number


def settle(work: Work) -> Mapping[str, JSON]:
    """Effect `settle`: the bill of the payment is paid. It issues nothing."""
    if is_test(work.case.number):
        return _settle_test(work)
    assert work.paid is not None, "a bill is settled by a payment"
    payment, invoice = work.paid
    source = ledger.SUSPENSE if payment.invoice_id is not None else ledger.BANK
    payment.invoice_id = invoice.id
    _write(work.session, payment, invoice, work.case, source, work.at)
    work.publish(KEPT, work.case.context, facts(payment))
    return {
        "bill_number": invoice.bill_number,
        "amount": amount_text(payment.amount),
        "reference": payment.reference,
        "outcome": payment.outcome,
    }


def _settle_test(work: Work) -> Mapping[str, JSON]:
    # By word of the centre: no money moves, and no payment is kept.
    row = work.session.execute(_TEST_PAID, {"case": work.case.id, "at": work.at}).one()
    return {"bill_number": row.bill_number, "amount": amount_text(row.amount)}


def assign(
    session: Session, till: Till, reference: str, bill_number: str, caller: Caller, at: datetime
) -> tuple[Payment, str]:
    """Credit a payment that waits for a person to the bill that it was meant for.

    Raises:
        NotFound: there is no such payment or bill.
        Conflict: nothing of it waits, or the bill cannot be paid now.
        NotTaken: the case refused to be moved.
    """
    payment, _ = payment_store.waiting_one(session, reference)
    found = invoices.by_number(session, bill_number)
    case = case_store.by_id(session, found.case_id, lock=True)
    invoice = invoices.by_number(session, bill_number)
    # Judged by the day that it was paid, whatever day a person finds out what for.
    payment.invoice_id = invoice.id
    outcome = _apply(session, till, payment, invoice, case, caller, at, ledger.SUSPENSE)
    if not outcome.credited:
        raise Conflict(
            f"The bill {bill_number} takes no payment now.",
            remedy="Name another bill, or give the payment back.",
            message_ar="لا تقبل هذه الفاتورة السداد الآن؛ اختر فاتورة أخرى أو أعد المبلغ إلى صاحبه.",
        )
    return payment, case.number


def give_back(session: Session, reference: str, caller: Caller, at: datetime) -> Found:
    """Let what waits of a payment be owed back; another person approves the refund.

    Raises:
        NotFound: there is no such payment.
        Conflict: nothing of it waits.
    """
    payment, number = payment_store.waiting_one(session, reference)
    rows = (Row(ledger.SUSPENSE, payment.waiting), Row(ledger.REFUNDS_PAYABLE, -payment.waiting))
    subject = f"case/{number}" if number else f"{_UNKNOWN}/{reference}"
    ledger.post(session, Posting("returned", subject, reference, today(now=at), at, rows))
    refunds.owe(session, [(payment.id, payment.waiting)], "returned", caller.actor, at)
    details = {"reference": reference, "amount": amount_text(payment.waiting)}
    audit.record(session, chain=subject, actor=caller.actor, action="payment_returned", details=details)
    payment.refunding += payment.waiting
    return payment, number


def covered(session: Session, case: Case) -> bool:
    """Whether what the case costs is paid: its newest bill is settled, or its quote is free."""
    return case.quote_free or invoices.is_settled(session, case)


def _apply(
    session: Session,
    till: Till,
    payment: Payment,
    invoice: Invoice,
    case: Case,
    caller: Caller,
    at: datetime,
    source: str,
) -> Judgement:
    service = till.service_of(session, case)
    found = judge(
        invoice,
        payment.amount,
        payment.day,
        takes=till.takes and till.engine.allows(session, case, "settle"),
        refuse_late=service.payment.late == "refund",
    )
    payment.outcome, payment.settles, payment.late = found.outcome, found.settles, found.late
    payment.credited, payment.refunding = found.credited, found.owed
    if found.settles:
        # Whoever may take money in acts towards the case as its payment system does, however the definition
        # calls that.
        flow = service.flow_of(case.procedure)
        pays = {role for action in flow.actions if action.effect == "settle" for role in action.roles}
        payer = replace(caller, roles=caller.roles | pays)
        try:
            till.engine.take(session, case, payer, at, effect="settle", paid=(payment, invoice))
        except RakeezaError as error:
            if error.retryable:
                raise
            raise NotTaken(error) from error
    else:
        payment.invoice_id = invoice.id
        _write(session, payment, invoice, case, source, at)
        _tell(session, payment, case.number, caller)
    return found


def _write(
    session: Session, payment: Payment, invoice: Invoice, case: Case, source: str, at: datetime
) -> None:
    payment_store.write_judged(session, payment, invoice, _posting(payment, case.context, source, at))
    if payment.refunding:
        reason = _REASONS[Outcome(payment.outcome)]
        refunds.owe(session, [(payment.id, payment.refunding)], reason, payment.client, at)
    invoice.credited += payment.credited
    if payment.settles:
        invoice.state, invoice.settled_at = "settled", at


def _posting(payment: Payment, subject: str, source: str, at: datetime) -> Posting:
    kind, day = ("payment", payment.day) if source == ledger.BANK else ("assigned", today(now=at))
    rows = (
        Row(source, payment.amount),
        Row(ledger.RECEIVABLE, -payment.credited),
        Row(ledger.REFUNDS_PAYABLE, -payment.refunding),
        Row(ledger.SUSPENSE, -payment.waiting),
    )
    return Posting(kind, subject, payment.reference, day, at, rows)


def _new_payment(notice: Notice, caller: Caller, at: datetime) -> Payment:
    return Payment(
        id=0,
        reference=notice.reference,
        bill_number=notice.bill_number,
        invoice_id=None,
        amount=notice.amount,
        status=notice.status,
        outcome=Outcome.UNKNOWN_BILL if notice.status == "paid" else Outcome.REFUSED,
        late=False,
        settles=False,
        credited=Decimal("0.00"),
        refunding=Decimal("0.00"),
        paid_at=notice.paid_at,
        day=today(now=notice.paid_at),
        client=caller.actor,
        from_file=notice.from_file,
        received_at=at,
    )


def _repeated(session: Session, notice: Notice) -> Found:
    found = payment_store.find(session, notice.reference)
    assert found is not None, "a reference that is not new was kept"
    kept, number = found
    # A file knows the day alone, and often no bill; and the bank's own notice may still come after it.
    file = kept.from_file or notice.from_file
    bill_differs = kept.bill_number != notice.bill_number and not (
        file and "" in (kept.bill_number, notice.bill_number)
    )
    differs = bill_differs or (kept.amount, kept.status) != (notice.amount, notice.status)
    if differs or (kept.day != today(now=notice.paid_at) if file else kept.paid_at != notice.paid_at):
        raise Conflict(
            f"The reference {notice.reference} was used for another payment.",
            remedy="Give each payment its own reference.",
            message_ar="رقم العملية مستخدم في عملية سداد أخرى.",
        )
    return kept, number


def _named(session: Session, till: Till, notice: Notice, caller: Caller, at: datetime) -> Found:
    # Taken in from a file that names no bill, and waiting since: now the bank says which one was meant.
    found = payment_store.find(session, notice.reference)
    assert found is not None, "it was given its bill just now"
    payment, number = found
    if number is None:
        _tell(session, payment, None, caller)
        return found
    case = case_store.locked(session, number)
    invoice = invoices.by_number(session, notice.bill_number)
    payment.invoice_id = invoice.id
    _apply(session, till, payment, invoice, case, caller, at, ledger.SUSPENSE)
    return payment, number


def _tell(session: Session, payment: Payment, case: str | None, caller: Caller) -> None:
    # What the engine does not journal: the payment moved no case.
    subject = f"case/{case}" if case is not None else f"{_UNKNOWN}/{payment.reference}"
    told = facts(payment)
    audit.record(session, chain=subject, actor=caller.actor, action="payment", details=told)
    publish(session, KEPT, subject, told)
