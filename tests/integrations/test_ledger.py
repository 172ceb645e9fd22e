import contextlib
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, Malformed
from integrations.cases import ledger
from tests.integrations.money_office import (
    AMOUNT,
    AUDITOR,
    FINANCE,
    SECOND,
    MoneyOffice,
    key,
    open_money_office,
)

DAY = date(2026, 11, 22)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> MoneyOffice:
    return open_money_office(database, tmp_path)


def test_an_export_is_read_back_and_must_balance(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1")
    export = desk.money.ledger(AUDITOR, DAY, DAY)
    assert export.splitlines()[0] == ",".join(ledger.EXPORT_COLUMNS)
    (read,) = ledger.read_export(b"\xef\xbb\xbf" + export.encode(), "ledger.csv")
    assert (read.reference, read.amount, read.day, read.refund) == ("r-1", Decimal(AMOUNT), DAY, False)
    lines = export.splitlines(keepends=True)
    with pytest.raises(InvalidInput, match="debits and credits"):
        ledger.read_export("".join(lines[:-1]).encode(), "ledger.csv")
    with pytest.raises(Malformed, match="no column"):
        ledger.read_export(b"a,b\n1,2\n", "ledger.csv")
    for odd in ("much", "1E+30", "NaN", "-115.58", "1_15.58", "115.580", "١١٥.٥٨", "9999999999999.00"):
        with pytest.raises(Malformed, match="cannot be read"):
            ledger.read_export(export.replace(AMOUNT, odd).encode(), "ledger.csv")
    for change in ((",SAR,", ",USD,"), ("2026-11-22,", "20261122,"), ("2026-11-22,", "2026-02-30,")):
        with pytest.raises(Malformed, match="cannot be read"):
            ledger.read_export(export.replace(*change).encode(), "ledger.csv")
    with pytest.raises(Malformed, match="not as many cells"):
        ledger.read_export("".join(lines).replace(AMOUNT, "1,115.58").encode(), "ledger.csv")


def test_exports_of_one_day_after_the_other_hold_what_a_bank_tells_late(desk: MoneyOffice) -> None:
    def exported(day: date, *, written: bool) -> list[str]:
        with desk.database.transaction() as session:
            return [
                row["kind"] for row in ledger.rows(session, day, day, written=written) if row["line"] == "1"
            ]

    paid_at = desk.now[-1]
    _, bill = desk.billed()
    # Nine in the evening of the 22nd in UTC is the 23rd in Riyadh.
    desk.now.append(paid_at.replace(hour=20, minute=59))
    desk.pay(bill, "1.00", "r-1", paid_at=paid_at)
    desk.now.append(paid_at.replace(hour=21))
    desk.pay(bill, "1.00", "r-2", paid_at=paid_at)
    later = DAY + timedelta(days=1)
    assert [exported(day, written=False) for day in (DAY, later)] == [["bill", "payment", "payment"], []]
    assert [exported(day, written=True) for day in (DAY, later)] == [["bill", "payment"], ["payment"]]
    assert exported(date.max, written=True) == exported(date.min, written=True) == []


_OPEN = ("due", "approved", "sent")

indices = st.integers(0, 9)
amounts = st.sampled_from(["0.01", "15.58", "57.79", "100.00", AMOUNT, "115.59", "200.00"])


class Money(RuleBasedStateMachine):
    """Any order of notices, voids and refunds, on a real office."""

    cases: Bundle[str] = Bundle("cases")
    office: ClassVar[MoneyOffice]

    def __init__(self) -> None:
        super().__init__()
        # All examples share one database: what earlier ones left is not this one's to draw from.
        self.refunds_before, self.waiting_before = len(self.office.refunds()), len(self.office.waiting())
        self.bills = 1
        self.paid, self.sent = self.office_paid(), self.office_sent()

    def office_paid(self) -> Decimal:
        return self.office.sum("SELECT sum(amount) FROM case_payment WHERE status = 'paid'")

    def office_sent(self) -> Decimal:
        return self.office.sum("SELECT sum(amount) FROM case_refund WHERE state IN ('sent', 'confirmed')")

    @initialize(target=cases)
    def first_bill(self) -> str:
        return self.office.billed()[0]

    @precondition(lambda self: self.bills < 3)
    @rule(target=cases)
    def bill(self) -> str:
        self.bills += 1
        return self.office.billed()[0]

    @rule(
        number=cases, amount=amounts, late=st.booleans(), status=st.sampled_from(["paid", "paid", "refused"])
    )
    def pay(self, number: str, amount: str, late: bool, status: str) -> None:
        reference = key()
        at = self.office.now[-1] + timedelta(days=10 * late)
        told = self.office.pay(self.office.bill_of(number), amount, reference, paid_at=at, status=status)
        self.paid += Decimal(amount) if status == "paid" else 0
        # The same notice again, whenever, is the same payment.
        again = self.office.pay(self.office.bill_of(number), amount, reference, paid_at=at, status=status)
        assert again == told

    @rule(number=cases)
    def pay_the_rest(self, number: str) -> None:
        shown = self.office.bill(self.office.bill_of(number))
        if shown["state"] == "open":
            self.office.pay(shown["bill_number"], shown["rest"], key())
            self.paid += Decimal(shown["rest"])

    @rule(amount=amounts)
    def pay_a_stranger_s_bill(self, amount: str) -> None:
        self.office.pay("2699999999990", amount, key())
        self.paid += Decimal(amount)

    @rule(
        number=cases, action=st.sampled_from(["pause", "resume", "again", "price", "bill", "drop", "cancel"])
    )
    def act(self, number: str, action: str) -> None:
        with contextlib.suppress(Conflict):
            self.office.take(number, action)

    @rule(number=cases)
    def void(self, number: str) -> None:
        self.office.void_paid(number)

    @rule(index=indices)
    def decide(self, index: int) -> None:
        if waiting := self.waiting():
            self.office.money.give_back(FINANCE, waiting[index % len(waiting)], key())

    @rule(number=cases, index=indices)
    def assign(self, number: str, index: int) -> None:
        if waiting := self.waiting():
            with contextlib.suppress(Conflict):
                reference = waiting[index % len(waiting)]
                self.office.money.assign(FINANCE, reference, self.office.bill_of(number), key())

    @rule(index=indices, steps=st.integers(1, 3), arrives=st.booleans())
    def move_a_refund_on(self, index: int, steps: int, arrives: bool) -> None:
        refunds = [each for each in self.office.refunds()[self.refunds_before :] if each["state"] in _OPEN]
        for _ in range(steps if refunds else 0):
            refund = refunds[index % len(refunds)]
            refund["state"] = self.next_state(
                refund["id"], refund["state"], Decimal(refund["amount"]), arrives
            )

    def next_state(self, refund: int, state: str, amount: Decimal, arrives: bool) -> str:
        desk = self.office.money
        if state == "due":
            return str(desk.approve_refund(SECOND, refund, key()).body["state"])
        if state == "approved":
            self.sent += amount
            return str(desk.refund_sent(FINANCE, refund, key(), key()).body["state"])
        if state == "sent" and arrives:
            return str(desk.refund_confirmed(FINANCE, refund, key()).body["state"])
        if state == "sent":
            self.sent -= amount
            return str(desk.refund_failed(FINANCE, refund, "account closed", key()).body["state"])
        return state

    def waiting(self) -> list[str]:
        return [each["reference"] for each in self.office.waiting()[self.waiting_before :]]

    @invariant()
    def the_bank_account_is_what_came_in_less_what_left(self) -> None:
        accounts = self.office.balances()
        assert accounts.get("bank", 0) == self.paid - self.sent
        assert (self.office_paid(), self.office_sent()) == (self.paid, self.sent)

    @invariant()
    def no_halala_is_lost(self) -> None:
        accounts = self.office.balances()
        credited = self.office.sum("SELECT sum(credited) FROM case_payment")
        owed = self.office.sum("SELECT sum(amount) FROM case_refund WHERE state IN ('due', 'approved')")
        waiting = sum(Decimal(each["waiting"]) for each in self.office.waiting())
        assert self.paid == credited + owed + self.sent + waiting
        assert credited == self.office.sum("SELECT sum(credited) FROM case_invoice")
        assert accounts.get("refunds_payable", 0) == -owed
        assert accounts.get("suspense", 0) == -waiting
        billed = self.office.sum("SELECT sum(amount) FROM case_invoice WHERE state <> 'void'")
        assert accounts.get("receivable", 0) == billed - credited

    @invariant()
    def a_bill_is_settled_exactly_when_all_of_it_is_credited(self) -> None:
        wrong = "SELECT count(*) FROM case_invoice WHERE (state = 'settled') <> (credited >= amount)"
        assert self.office.sum(wrong) == 0


def test_in_whatever_order_money_moves_the_books_hold(desk: MoneyOffice) -> None:
    class Here(Money):
        office = desk

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    # After the last of its lives too: something was moved, and each entry has its other side.
    assert (balances := desk.balances())
    assert sum(balances.values()) == 0
