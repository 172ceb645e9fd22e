"""Refunds: money that we owe back, from due to confirmed, each step by a person who may.

due -> approved -> sent -> confirmed, and from sent or confirmed -> failed. Nobody approves what he asked for
himself, and nobody sends what he approved: what a machine found to be owed back (a bank's client, the clock)
would else leave by one hand. The sum of a payment's refunds that did not fail, with what of it is credited to
a bill, is never more than was paid: its own row carries the sum, and the database refuses the rest (migration
0012). A refund that failed is followed by a new one that is due: the money is still owed. Table:
`case_refund`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import BigInteger, Column, Identity, Table, Text, insert, text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.calendar import today
from foundation.chain import JSON
from foundation.database import Base
from foundation.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from foundation.events import publish
from foundation.identity import Caller
from integrations.cases import ledger
from integrations.cases.case import MOMENT, MONEY
from integrations.cases.ledger import Posting, Row, moment
from integrations.cases.money import amount_text

MOVED = "refund.moved"
"""A refund was approved, sent, confirmed, or failed; that one falls due, its case's events say. Subject:
refund/ID. Payload: state, amount, payment (the bank's reference)."""

RefundState = Literal["due", "approved", "sent", "confirmed", "failed"]
Reason = Literal["over", "surplus", "late", "void", "closed", "returned", "failed"]

_LONGEST_REFERENCE, _LONGEST_WHY = 140, 500

REFUNDS = Table(
    "case_refund",
    Base.metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("payment_id", BigInteger, nullable=False),
    Column("amount", MONEY, nullable=False),
    Column("reason", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("asked_by", Text, nullable=False),
    Column("due_at", MOMENT, nullable=False),
    Column("approved_by", Text),
    Column("approved_at", MOMENT),
    Column("reference", Text, unique=True),
    Column("sent_by", Text),
    Column("sent_at", MOMENT),
    Column("ended_by", Text),
    Column("ended_at", MOMENT),
    Column("failure", Text),
)


@dataclass
class Refund:
    """Money of one payment that is owed back.

    Args:
        amount: SAR, more than zero.
        asked_by: who caused it: the bank's client for money we could not use, a clerk who voided the bill.
        reference: of the outgoing payment, once it is sent.
        ended_by: who told us that it arrived or failed.
        failure: why it failed.
        payment: the bank's reference of the payment it is of.
        bill_number: that the payment named.
    """

    id: int
    payment_id: int
    amount: Decimal
    reason: Reason
    state: RefundState
    asked_by: str
    due_at: datetime
    approved_by: str | None
    approved_at: datetime | None
    reference: str | None
    sent_by: str | None
    sent_at: datetime | None
    ended_by: str | None
    ended_at: datetime | None
    failure: str | None
    payment: str
    bill_number: str

    @property
    def context(self) -> str:
        """Name of its chain, and subject of its events."""
        return f"refund/{self.id}"


_OF_PAYMENT = {"payment": "payment.reference", "bill_number": "payment.bill_number"}
_ALL = f"""
    SELECT {", ".join(_OF_PAYMENT.get(each.name, f"refund.{each.name}") for each in fields(Refund))}
    FROM case_refund AS refund JOIN case_payment AS payment ON payment.id = refund.payment_id
"""
_LOCKED = text(_ALL + "WHERE refund.id = :id FOR UPDATE OF refund")
_OF_REFERENCE = text(_ALL + "WHERE refund.reference = :reference FOR UPDATE OF refund")
_LIST = text(
    _ALL + "WHERE (CAST(:state AS text) IS NULL OR refund.state = :state) AND refund.id > :after "
    "ORDER BY refund.id LIMIT :limit"
)
_OF_BILL = text(
    _ALL + "WHERE payment.bill_number = :bill OR payment.invoice_id = :invoice ORDER BY refund.id"
)
_OWE = insert(REFUNDS)
_APPROVE = text(
    "UPDATE case_refund SET state = 'approved', approved_by = :actor, approved_at = :at WHERE id = :id"
)
_SEND = text(
    "UPDATE case_refund SET state = 'sent', reference = :reference, sent_by = :actor, sent_at = :at "
    "WHERE id = :id"
)
_END = text(
    "UPDATE case_refund SET state = :state, ended_by = :actor, ended_at = :at, failure = :failure "
    "WHERE id = :id"
)
_TAKEN = text("SELECT id FROM case_refund WHERE reference = :reference")


def owe(
    session: Session, owed: Sequence[tuple[int, Decimal]], reason: Reason, asked_by: str, at: datetime
) -> None:
    """Note that money is owed back; the ledger is the caller's to post.

    Args:
        owed: payment and amount; what of the payment is credited must be taken back before.
    """
    rows = [
        {
            "payment_id": payment,
            "amount": amount,
            "reason": reason,
            "state": "due",
            "asked_by": asked_by,
            "due_at": at,
        }
        for payment, amount in owed
    ]
    if rows:
        session.execute(_OWE, rows)


def locked(session: Session, id: int) -> Refund:
    """A refund; until the transaction ends, others wait to move it.

    Raises:
        NotFound: there is none.
    """
    # A bigint's end: a larger number is asked of no database.
    row = session.execute(_LOCKED, {"id": id}).one_or_none() if 0 < id < 2**63 else None
    if row is None:
        raise NotFound(
            "There is no such refund.",
            remedy="See the list of refunds.",
            message_ar="لا توجد عملية رد مبلغ بهذا الرقم؛ راجع قائمة المبالغ المردودة.",
        )
    return Refund(*row)


def page(session: Session, state: str | None, after: int, limit: int) -> list[Refund]:
    """Refunds, oldest first.

    Args:
        state: only in this one.
        after: the id that the page before ended with; 0 begins.
    """
    rows = session.execute(_LIST, {"state": state, "after": after, "limit": limit})
    return [Refund(*row) for row in rows]


def of_bill(session: Session, bill_number: str, invoice_id: int) -> list[Refund]:
    """The refunds of what was paid to a bill."""
    rows = session.execute(_OF_BILL, {"bill": bill_number, "invoice": invoice_id})
    return [Refund(*row) for row in rows]


def approve(session: Session, refund: Refund, caller: Caller, at: datetime) -> None:
    """Let a refund be sent.

    Args:
        refund: locked.

    Raises:
        Conflict: it is not due.
        PermissionDenied: the caller asked for it himself.
    """
    _must_be(refund, "due")
    if caller.actor == refund.asked_by:
        raise PermissionDenied(
            f"The refund {refund.id} was asked for by {caller.actor}, who may not approve it as well.",
            remedy="Let another person approve it.",
            message_ar="لا يعتمد ردَّ المبلغ من طلبه؛ يعتمده شخص آخر.",
        )
    session.execute(_APPROVE, {"id": refund.id, "actor": caller.actor, "at": at})
    refund.approved_by, refund.approved_at = caller.actor, at
    _moved(session, refund, caller, "approved", {})


def sent(session: Session, refund: Refund, reference: str, caller: Caller, at: datetime) -> None:
    """Note the outgoing payment of a refund.

    Args:
        refund: locked.
        reference: of the outgoing payment, its own.

    Raises:
        Conflict: it is not approved, or the reference is another refund's.
        PermissionDenied: the caller approved it himself.
        InvalidInput: the reference is empty or longer than 140 characters.
    """
    _must_be(refund, "approved")
    if caller.actor == refund.approved_by:
        raise PermissionDenied(
            f"The refund {refund.id} was approved by {caller.actor}, who may not send it as well.",
            remedy="Let another person send it.",
            message_ar="لا يحوّل المبلغَ من اعتمد ردَّه؛ يحوّله شخص آخر.",
        )
    if not reference.strip() or len(reference) > _LONGEST_REFERENCE or not reference.isprintable():
        raise InvalidInput(
            "The reference of the outgoing payment is not readable.",
            remedy=f"Give 1 to {_LONGEST_REFERENCE} printable characters, as the bank has it.",
            message_ar="رقم عملية التحويل غير مقروء؛ أدخله كما يظهر لدى البنك.",
        )
    taken = session.execute(_TAKEN, {"reference": reference}).scalar()
    if taken is not None:
        raise Conflict(
            f"The reference {reference} is of the refund {taken}.",
            remedy="Give each outgoing payment its own reference.",
            message_ar="رقم عملية التحويل مستخدم في عملية رد أخرى.",
        )
    words = {"id": refund.id, "reference": reference, "actor": caller.actor, "at": at}
    session.execute(_SEND, words)
    refund.reference, refund.sent_by, refund.sent_at = reference, caller.actor, at
    rows = (Row(ledger.REFUNDS_PAYABLE, refund.amount), Row(ledger.BANK, -refund.amount))
    ledger.post(session, Posting("refund_sent", refund.context, reference, today(now=at), at, rows))
    _moved(session, refund, caller, "sent", {"reference": reference})


def confirmed(session: Session, refund: Refund, caller: Caller, at: datetime) -> None:
    """Note that the bank has carried out a refund.

    Args:
        refund: locked.

    Raises:
        Conflict: it is not sent.
    """
    _must_be(refund, "sent")
    _end(session, refund, "confirmed", None, caller, at)
    _moved(session, refund, caller, "confirmed", {})


def failed(session: Session, refund: Refund, why: str, caller: Caller, at: datetime) -> None:
    """Note that an outgoing payment came back: its money is in the bank again, and still owed.

    Args:
        refund: locked; a new one takes its place and is due.
        why: in the bank's words; must say nothing of a person.

    Raises:
        Conflict: it has not left, or failed before.
        InvalidInput: `why` is empty or longer than 500 characters.
    """
    # A bank books what leaves on the same day, and what comes back days later.
    _must_be(refund, "sent", "confirmed")
    if not why.strip() or len(why) > _LONGEST_WHY:
        raise InvalidInput(
            "It is not said why the refund failed.",
            remedy=f"Say it in 1 to {_LONGEST_WHY} characters.",
            message_ar="لم يُذكر سبب تعذّر رد المبلغ؛ اكتبه بإيجاز.",
        )
    _end(session, refund, "failed", why, caller, at)
    owe(session, [(refund.payment_id, refund.amount)], "failed", caller.actor, at)
    rows = (Row(ledger.BANK, refund.amount), Row(ledger.REFUNDS_PAYABLE, -refund.amount))
    reference = refund.reference or ""
    ledger.post(session, Posting("refund_failed", refund.context, reference, today(now=at), at, rows))
    _moved(session, refund, caller, "failed", {"why": why})


def by_reference(session: Session, reference: str) -> Refund | None:
    """The refund that an outgoing payment is of, locked."""
    row = session.execute(_OF_REFERENCE, {"reference": reference}).one_or_none()
    return Refund(*row) if row is not None else None


def view(refund: Refund) -> dict[str, Any]:
    """A refund, as JSON."""

    def when(at: datetime | None) -> str | None:
        return moment(at) if at is not None else None

    return {
        "id": refund.id,
        "state": refund.state,
        "amount": amount_text(refund.amount),
        "currency": "SAR",
        "reason": refund.reason,
        "payment": refund.payment,
        "bill_number": refund.bill_number,
        "asked_by": refund.asked_by,
        "due_at": moment(refund.due_at),
        "approved_by": refund.approved_by,
        "approved_at": when(refund.approved_at),
        "reference": refund.reference,
        "sent_by": refund.sent_by,
        "sent_at": when(refund.sent_at),
        "ended_by": refund.ended_by,
        "ended_at": when(refund.ended_at),
        "failure": refund.failure,
    }


def _end(
    session: Session, refund: Refund, state: RefundState, why: str | None, caller: Caller, at: datetime
) -> None:
    words = {"id": refund.id, "state": state, "actor": caller.actor, "at": at, "failure": why}
    session.execute(_END, words)
    refund.ended_by, refund.ended_at, refund.failure = caller.actor, at, why


def _moved(
    session: Session, refund: Refund, caller: Caller, state: RefundState, more: Mapping[str, JSON]
) -> None:
    refund.state = state
    facts = {"amount": amount_text(refund.amount), "payment": refund.payment}
    audit.record(session, chain=refund.context, actor=caller.actor, action=state, details={**facts, **more})
    publish(session, MOVED, refund.context, {"state": state, **facts})


def _must_be(refund: Refund, *states: RefundState) -> None:
    if refund.state not in states:
        raise Conflict(
            f"The refund {refund.id} is {refund.state}, not {' or '.join(states)}.",
            remedy="Read it again, then decide.",
            message_ar="لا تسمح حالة عملية رد المبلغ بهذا الإجراء؛ اقرأها مرة أخرى ثم قرّر.",
        )
