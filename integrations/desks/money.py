"""The desk for money: notices of banks, bills, refunds, the ledger, and the reconciliation of a day."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy.orm import Session

from foundation import audit
from foundation.errors import Malformed, PermissionDenied, RakeezaError
from foundation.idempotency import Answer
from foundation.identity import Caller, Role
from integrations.cases import (
    bank_file,
    case_store,
    invoices,
    ledger,
    payment_store,
    payments,
    reconciliation,
    refunds,
)
from integrations.cases.bank_file import Entry
from integrations.cases.money import amount_text, plus
from integrations.cases.payments import Notice, NotTaken, Till
from integrations.cases.reconciliation import Left, Report
from integrations.cases.refunds import Refund
from integrations.desks.desk import Desk

LARGEST_PAGE = 200
"""Refunds or payments in one page of a list, at most."""

# Noon in Riyadh: of a day taken from a file, a moment that is of that day in every reading.
_NOON = time(9, tzinfo=UTC)


@dataclass(frozen=True)
class Money:
    """Takes payments, gives money back, and tells what became of it.

    Args:
        desk: what all desks share.
    """

    desk: Desk

    def notify(self, caller: Caller, notice: Notice, key: str | None) -> Answer:
        """Keep a bank's notice, once for its reference; the case moves when its bill is covered.

        Raises:
            PermissionDenied: the caller may not notify payments.
            Conflict: the bank's reference was used for another payment.
            Malformed: there is no key.
        """
        # Before anything is kept: what strangers tell us of money is no record of ours.
        caller.require(Role.PAYMENT)
        return self._received(caller, notice, key)

    def bill(self, caller: Caller, number: str) -> dict[str, Any]:
        """A bill: what a payment system presents and, for who may know more, what was paid of it.

        Raises:
            NotFound: there is none, or it is of another centre's case.
            PermissionDenied: the caller has none of the roles.
        """
        if caller.kind != "system":
            caller.require(Role.PAYMENT, Role.FINANCE, Role.CENTRE, Role.AUDITOR)
        with self.desk.database.transaction() as session:
            invoice = invoices.by_number(session, number, tests=caller.roles == {Role.CENTRE})
            case = case_store.by_id(session, invoice.case_id)
            presented = invoices.invoice_view(case.number, invoice)
            if not _sees_money(caller):
                if Role.PAYMENT in caller.roles:
                    return presented
                self.desk.read_case(session, caller, case.number)
            paid = payment_store.of_bill(session, invoice)
            back = refunds.of_bill(session, number, invoice.id)
        return {
            **presented,
            "payments": [payment_store.view(payment, of) for payment, of in paid],
            "refunds": [refunds.view(refund) for refund in back],
        }

    def waiting(self, caller: Caller, after: str | None = None, limit: int = 50) -> dict[str, Any]:
        """Payments of which something waits for a person to say where it goes, oldest first.

        Raises:
            PermissionDenied: the caller may not see money.
            Malformed: `after` is no place in the list.
        """
        _require_sight(caller)
        size = min(limit, LARGEST_PAGE)
        with self.desk.database.transaction() as session:
            found = payment_store.waiting(session, _place(after), size + 1)
        items = [payment_store.view(payment, case) for payment, case in found[:size]]
        return {"items": items, "next": str(found[size - 1][0].id) if len(found) > size else None}

    def assign(self, caller: Caller, reference: str, bill_number: str, key: str | None) -> Answer:
        """Credit a payment that waits to the bill it was meant for. Raises as `payments.assign` does."""
        caller.require(Role.FINANCE)

        def act(session: Session, at: datetime) -> dict[str, Any]:
            paid, case = payments.assign(session, self._till(), reference, bill_number, caller, at)
            return payment_store.view(paid, case)

        try:
            return self.desk.once(caller, key, "assign", reference, {"bill_number": bill_number}, act)
        except NotTaken as refused:
            raise refused.why from refused

    def give_back(self, caller: Caller, reference: str, key: str | None) -> Answer:
        """Let what waits of a payment be owed back; another person approves it.

        Raises:
            NotFound: there is no such payment.
            Conflict: nothing of it waits.
        """
        caller.require(Role.FINANCE)

        def act(session: Session, at: datetime) -> dict[str, Any]:
            paid, case = payments.give_back(session, reference, caller, at)
            return payment_store.view(paid, case)

        return self.desk.once(caller, key, "give_back", reference, {}, act)

    def refunds(
        self, caller: Caller, after: str | None = None, limit: int = 50, state: str | None = None
    ) -> dict[str, Any]:
        """Refunds, oldest first.

        Args:
            after: the `next` of the page before.
            limit: refunds on the page, at most `LARGEST_PAGE`.
            state: only in this one.

        Raises:
            PermissionDenied: the caller may not see money.
            Malformed: `after` is no place in the list.
        """
        _require_sight(caller)
        size = min(limit, LARGEST_PAGE)
        with self.desk.database.transaction() as session:
            found = refunds.page(session, state, _place(after), size + 1)
        items = [refunds.view(refund) for refund in found[:size]]
        return {"items": items, "next": str(items[-1]["id"]) if len(found) > size else None}

    def approve_refund(self, caller: Caller, id: int, key: str | None) -> Answer:
        """Let a refund be paid out.

        Raises:
            NotFound: there is no such refund.
            Conflict: it is not due.
            PermissionDenied: the caller asked for it himself, or has not the role.
        """
        return self._moved(caller, id, key, "approve_refund", {}, refunds.approve)

    def refund_sent(self, caller: Caller, id: int, reference: str, key: str | None) -> Answer:
        """Note that a refund has left. Raises as `refunds.sent` does."""

        def act(session: Session, refund: Refund, caller: Caller, at: datetime) -> None:
            refunds.sent(session, refund, reference, caller, at)

        return self._moved(caller, id, key, "refund_sent", {"reference": reference}, act)

    def refund_confirmed(self, caller: Caller, id: int, key: str | None) -> Answer:
        """Note that a refund has arrived. Raises as `refunds.confirmed` does."""
        return self._moved(caller, id, key, "refund_confirmed", {}, refunds.confirmed)

    def refund_failed(self, caller: Caller, id: int, why: str, key: str | None) -> Answer:
        """Note that a refund came back; it is due again as a new one. Raises as `refunds.failed` does."""

        def act(session: Session, refund: Refund, caller: Caller, at: datetime) -> None:
            refunds.failed(session, refund, why, caller, at)

        return self._moved(caller, id, key, "refund_failed", {"why": why}, act)

    def ledger(self, caller: Caller, since: date, until: date, *, written: bool = False) -> str:
        """The ledger of some days as CSV, for the financial system.

        Args:
            since, until: days, both inclusive.
            written: of the days on which we wrote it down, and not on which the money moved.
        """
        _require_sight(caller)
        with self.desk.database.transaction() as session:
            return ledger.export(session, since, until, written=written)

    def balance(self, caller: Caller, until: date | None = None) -> dict[str, Any]:
        """The trial balance; its debits are its credits.

        Args:
            until: only what moved up to this day, inclusive.
        """
        _require_sight(caller)
        with self.desk.database.transaction() as session:
            found = ledger.trial_balance(session, until)
        rows = [
            {
                "account": each.account,
                "debit": amount_text(each.debit),
                "credit": amount_text(each.credit),
                "balance": amount_text(each.balance),
            }
            for each in found
        ]
        return {
            "currency": "SAR",
            "accounts": rows,
            "debit": amount_text(plus(each.debit for each in found)),
            "credit": amount_text(plus(each.credit for each in found)),
        }

    def reconcile(
        self,
        caller: Caller,
        bank: tuple[str, bytes],
        books: tuple[str, bytes],
        day: date,
        take_in: bool = False,
        client: str | None = None,
    ) -> Report:
        """Compare the engine, a bank's file and a ledger export; nothing is changed by it alone.

        Args:
            bank, books: name and content of the bank's file and of the export.
            take_in: take in payments of the file that we were never notified of, and note refunds that the
                bank has carried out; the report is then of before, and says what a person has to look at.
            client: whose file it is, as the audit trail names it: a payment system has only the payments that
                it told us of itself. None is the bank's, which has all that moved.

        Raises:
            Malformed, InvalidInput, TooLarge: a file that cannot be read whole.
            PermissionDenied: the caller may not see money, or may not take it in.
        """
        _require_sight(caller)
        if take_in:
            caller.require(Role.FINANCE)
        entries = bank_file.read(bank[1], bank[0])
        posted = ledger.read_export(books[1], books[0])
        with self.desk.database.transaction() as session:
            known = reconciliation.movements(session, entries, day)
            if client is not None:
                known = reconciliation.of_channel(session, client, known, entries)
                told = {each.reference for each in known} | {entry.reference for entry in entries}
                posted = [row for row in posted if row.reference in told and not row.refund]
        report = reconciliation.compare(known, entries, posted, day)
        return replace(report, left=self._take_in(caller, report)) if take_in else report

    def _take_in(self, caller: Caller, report: Report) -> tuple[Left, ...]:
        taken, left = reconciliation.take_in(report)
        for item in taken:
            (entry,) = item.entries
            try:
                if entry.direction == "credit":
                    self._received(caller, _as_notice(entry), _file_key(entry))
                else:
                    self._confirm(caller, entry)
            except RakeezaError as error:
                if error.retryable:
                    raise
                # One entry that cannot be taken in does not keep the others out.
                left.append(Left(entry.reference, entry.direction, entry.place, error.message))
        return tuple(left)

    def _confirm(self, caller: Caller, entry: Entry) -> None:
        with self.desk.database.transaction() as session:
            refund = refunds.by_reference(session, entry.reference)
            if refund is not None and refund.state == "sent":
                refunds.confirmed(session, refund, caller, self.desk.clock())

    def _received(self, caller: Caller, notice: Notice, key: str | None) -> Answer:
        request = {
            "bill_number": notice.bill_number,
            "amount": amount_text(notice.amount),
            "paid_at": notice.paid_at.isoformat(),
            "status": notice.status,
        }

        def act_with(why: str | None) -> Callable[[Session, datetime], dict[str, Any]]:
            def act(session: Session, at: datetime) -> dict[str, Any]:
                paid, case = payments.receive(session, self._till(why is None), notice, caller, at)
                if why is not None and case is not None:
                    said = {"reference": notice.reference, "why": why}
                    chain = f"case/{case}"
                    audit.record(
                        session, chain=chain, actor=caller.actor, action="payment_held", details=said
                    )
                return payment_store.view(paid, case)

            return act

        try:
            return self.desk.once(caller, key, "payment", notice.reference, request, act_with(None))
        except NotTaken as refused:
            # The notice is kept whatever the case says: the money has moved.
            return self.desk.once(
                caller, key, "payment", notice.reference, request, act_with(refused.why.message)
            )

    def _moved(
        self,
        caller: Caller,
        id: int,
        key: str | None,
        command: str,
        request: dict[str, str],
        act: Callable[[Session, Refund, Caller, datetime], None],
    ) -> Answer:
        caller.require(Role.FINANCE)

        def write(session: Session, at: datetime) -> dict[str, Any]:
            refund = refunds.locked(session, id)
            act(session, refund, caller, at)
            return refunds.view(refund)

        return self.desk.once(caller, key, command, str(id), request, write)

    def _till(self, takes: bool = True) -> Till:
        return Till(self.desk.engine, self.desk.definitions.of, takes)


def _as_notice(entry: Entry) -> Notice:
    paid_at = datetime.combine(entry.day, _NOON)
    return Notice(entry.bill_number, entry.amount, paid_at, entry.reference, from_file=True)


def _file_key(entry: Entry) -> str:
    # A reference may hold what a key may not.
    return "file-" + hashlib.sha256(entry.reference.encode()).hexdigest()


def _sees_money(caller: Caller) -> bool:
    return caller.kind == "system" or bool(caller.roles & {Role.FINANCE, Role.AUDITOR})


def _require_sight(caller: Caller) -> None:
    if not _sees_money(caller):
        raise PermissionDenied(
            f"{caller.name} does not have the role finance or auditor.",
            remedy="Ask an administrator for it.",
            message_ar="ليس لديك صلاحية الاطلاع على الشؤون المالية.",
        )


def _place(after: str | None) -> int:
    if after is None:
        return 0
    if not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise Malformed("This is no place in the list.", remedy="Use the `next` of the page before.")
    return int(after)
