"""A case: one application on its way through its service's states, and what the way leaves behind.

Tables: `case_definition` (every definition a case was opened under), `case_file`, `case_quote`,
`case_invoice`, `case_payment`.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, Numeric, select
from sqlalchemy.dialects.postgresql import BYTEA, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.calendar import today
from foundation.database import Base
from foundation.errors import NotFound
from foundation.identity import Caller
from integrations.cases.numbers import is_number
from integrations.municipality import Office
from integrations.service import Service

MONEY = Numeric(14, 2)
MOMENT = TIMESTAMP(timezone=True)


class KeptDefinition(Base):
    """A definition as it was when the first case was opened under it; never changed."""

    __tablename__ = "case_definition"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    version: Mapped[int]
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    kept_at: Mapped[datetime] = mapped_column(MOMENT)


class Case(Base):
    """One application.

    Args:
        definition: fingerprint of the definition it runs under, whatever the file says later.
        version: counts the actions taken; a writer who saw an older one is refused.
        centre: who opened it, as the audit trail names it.
        applicant, form: as sent; personal data.
        salt: of the digest that the journal keeps instead of personal data.
        done: names of the actions taken.
    """

    __tablename__ = "case_file"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    service: Mapped[str]
    definition: Mapped[str] = mapped_column(ForeignKey("case_definition.fingerprint"))
    state: Mapped[str]
    version: Mapped[int]
    centre: Mapped[str]
    applicant: Mapped[dict[str, str]] = mapped_column(JSONB)
    form: Mapped[dict[str, Any]] = mapped_column(JSONB)
    salt: Mapped[bytes] = mapped_column(BYTEA)
    done: Mapped[list[str]] = mapped_column(JSONB)
    submitted_at: Mapped[datetime] = mapped_column(MOMENT)
    changed_at: Mapped[datetime] = mapped_column(MOMENT)


class Quote(Base):
    """What a licence costs, with the definition and the lines it was reckoned by."""

    __tablename__ = "case_quote"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"), index=True)
    definition: Mapped[str] = mapped_column(ForeignKey("case_definition.fingerprint"))
    day: Mapped[date]
    fee_class: Mapped[int]
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    total: Mapped[Decimal] = mapped_column(MONEY)
    made_at: Mapped[datetime] = mapped_column(MOMENT)


class Invoice(Base):
    """A bill: apart from the licence, with its own number and state (`open`, `settled`)."""

    __tablename__ = "case_invoice"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    bill_number: Mapped[str] = mapped_column(unique=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"), index=True)
    quote_id: Mapped[int] = mapped_column(ForeignKey("case_quote.id"))
    amount: Mapped[Decimal] = mapped_column(MONEY)
    due: Mapped[date]
    state: Mapped[str]
    issued_at: Mapped[datetime] = mapped_column(MOMENT)
    settled_at: Mapped[datetime | None] = mapped_column(MOMENT)


class Payment(Base):
    """A payment that a bank told us of: every one is kept, whatever became of it.

    Args:
        reference: the bank's own; one reference is one payment.
        bill_number: as the bank sent it; it may be none of ours.
        outcome: see `integrations.cases.invoices.Outcome`.
    """

    __tablename__ = "case_payment"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    bill_number: Mapped[str] = mapped_column(index=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("case_file.id"), index=True)
    amount: Mapped[Decimal] = mapped_column(MONEY)
    paid_at: Mapped[datetime] = mapped_column(MOMENT)
    outcome: Mapped[str]
    client: Mapped[str]
    received_at: Mapped[datetime] = mapped_column(MOMENT)


@dataclass(frozen=True)
class Work:
    """What an effect works with: one case, in one transaction.

    Args:
        at: the moment of the action, aware.
        paid: the payment that caused the action and its bill, where one did.
    """

    session: Session
    case: Case
    service: Service
    office: Office
    caller: Caller
    at: datetime
    paid: tuple[Payment, Invoice] | None = None

    @property
    def day(self) -> date:
        """The date of the action, in the kingdom's legal time."""
        return today(now=self.at)


def find(session: Session, number: str) -> Case:
    """The case of a number, as it stands.

    Raises:
        NotFound: there is none.
    """
    case = session.scalar(select(Case).where(Case.number == number)) if is_number(number) else None
    if case is None:
        raise absent(number)
    return case


def locked(session: Session, number: str) -> Case:
    """The case of a number, kept from other writers until the transaction ends. Raises as `find` does."""
    query = select(Case).where(Case.number == number).with_for_update()
    # Fresh: what this session read before it had the lock may be old.
    case = session.scalar(query.execution_options(populate_existing=True)) if is_number(number) else None
    if case is None:
        raise absent(number)
    return case


def absent(number: str) -> NotFound:
    """The error for a case that does not exist, or that the caller may not know of."""
    shown = number if is_number(number) else "this number"
    return NotFound(f"There is no case {shown}.", message_ar="لا توجد معاملة بهذا الرقم.")
