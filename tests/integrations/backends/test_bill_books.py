"""Whatever comes of a payment system, in whatever order and how often: the books have each halala once."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

import pytest

from foundation.errors import Conflict, PermissionDenied
from integrations.backend import BackendUnavailable
from integrations.bill_presentment import key_of_notice
from integrations.cases.payments import Notice
from integrations.cases.reconciliation import Class
from integrations.desks.bills import SYSTEM, BillsDesk
from tests.integrations.backends.payment_system import PaymentSystem
from tests.integrations.money_office import AMOUNT, AUDITOR, FINANCE, MoneyOffice

TODAY = date(2026, 11, 22)
HALALA = Decimal("0.01")
UNKNOWN = "2699999999990"


class Told:
    """What a payment system tells a desk by itself, past its signature, which has tests of its own."""

    def __init__(self, house: MoneyOffice, bills: BillsDesk) -> None:
        self.house = house
        self.bills = bills
        self.paid_at = house.now[-1]

    def notice(
        self, bill: str, reference: str, amount: str = AMOUNT, status: Literal["paid", "refused"] = "paid"
    ) -> int:
        notice = Notice(bill, Decimal(amount), self.paid_at, reference, status)
        return self.house.money.notify(SYSTEM, notice, key_of_notice(notice)).status

    def settle(self, day: date = TODAY, take_in: bool = True) -> dict[str, Class]:
        report = self.bills.settle(FINANCE, day, take_in)
        return {item.reference: item.kind for item in report.items}


@pytest.fixture
def told(house: MoneyOffice, bills: BillsDesk) -> Told:
    return Told(house, bills)


def exact(house: MoneyOffice, **accounts: str) -> None:
    """The books have these balances and no others, and the bank what its payments say."""
    found = {name.replace(":", "_"): balance for name, balance in house.balances().items() if balance}
    assert found == {name: Decimal(balance) for name, balance in accounts.items()}
    paid = house.sum("SELECT sum(amount) FROM case_payment WHERE status = 'paid'")
    assert found.get("bank", Decimal(0)) == paid


EARNED = {"bank": AMOUNT, "revenue_board": "-100.50", "vat": "-15.08"}
OWED = {"receivable": AMOUNT, "revenue_board": "-100.50", "vat": "-15.08"}


def test_a_notice_twice_and_thrice_is_one_payment(house: MoneyOffice, told: Told) -> None:
    _, bill = house.billed()
    assert [told.notice(bill, "SD-1") for _ in range(3)] == [201, 201, 201]
    exact(house, **EARNED)


def test_a_notice_that_says_another_amount_under_a_known_reference_changes_nothing(
    house: MoneyOffice, told: Told
) -> None:
    (_, bill), (_, other) = house.billed(), house.billed()
    told.notice(bill, "SD-1")
    for amount, of in (("115.57", bill), ("115.59", bill), ("1.00", bill), (AMOUNT, other)):
        with pytest.raises(Conflict):
            told.notice(of, "SD-1", amount)
    with pytest.raises(Conflict):
        told.notice(bill, "SD-1", status="refused")
    assert (house.bill(bill)["state"], house.bill(other)["state"]) == ("settled", "open")


def test_a_payment_of_a_halala_less_or_more_leaves_a_rest_or_a_surplus(
    house: MoneyOffice, told: Told
) -> None:
    (_, less), (_, more) = house.billed(), house.billed()
    told.notice(less, "SD-less", "115.57")
    told.notice(more, "SD-more", "115.59")
    assert (house.bill(less)["state"], house.bill(more)["state"]) == ("open", "settled")
    assert house.balances()["receivable"] == HALALA
    assert house.balances()["refunds_payable"] == -HALALA
    told.notice(less, "SD-rest", "0.01")
    assert house.bill(less)["state"] == "settled"
    assert house.balances()["receivable"] == 0


def test_a_notice_before_the_answer_to_the_upload_is_taken_and_then_told_as_paid(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, told: Told
) -> None:
    _, bill = house.billed()
    system.told("drop_after", times=1)
    assert bills.upload() == 0
    told.notice(bill, "SD-early")
    exact(house, **EARNED)
    house.now.append(house.now[-1] + timedelta(hours=2))
    # The first upload again under its key, and then that nothing is owed any more.
    assert bills.upload() == 2
    assert system.owed()[bill] == "0.00"
    exact(house, **EARNED)


def test_a_notice_after_the_bill_has_expired_is_late_and_exact(house: MoneyOffice, told: Told) -> None:
    _, bill = house.billed()
    house.pass_days(30)
    told.paid_at = house.now[-1]
    told.notice(bill, "SD-late")
    exact(house, **EARNED)


def test_a_notice_of_a_bill_that_was_taken_down_is_owed_back(house: MoneyOffice, told: Told) -> None:
    number, bill = house.billed()
    house.take(number, "cancel")
    told.notice(bill, "SD-void")
    exact(house, bank=AMOUNT, refunds_payable=f"-{AMOUNT}")


def test_a_settlement_twice_and_after_its_notices_posts_nothing_twice(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, told: Told
) -> None:
    _, bill = house.billed()
    bills.upload()
    at = house.now[-1].isoformat()
    reference = system.pay(bill, AMOUNT, paid_at=at, notified=False)["reference"]
    house.pass_days(1)
    assert told.settle() == {reference: Class.MISSING_IN_ENGINE}
    exact(house, **EARNED)
    # The notice that was lost comes after all, and so does the settlement again.
    assert told.notice(bill, reference) == 201
    assert told.settle() == {reference: Class.MATCHED}
    assert told.settle() == {reference: Class.MATCHED}
    exact(house, **EARNED)


def test_settlements_out_of_order_are_each_of_their_day(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, told: Told
) -> None:
    references = []
    for _ in range(2):
        _, bill = house.billed()
        bills.upload()
        paid = system.pay(bill, AMOUNT, paid_at=house.now[-1].isoformat(), notified=False)
        references.append(paid["reference"])
        house.pass_days(1)
    assert told.settle(TODAY + timedelta(days=1)) == {references[1]: Class.MISSING_IN_ENGINE}
    assert told.settle(TODAY) == {references[0]: Class.MISSING_IN_ENGINE}
    assert house.balances()["bank"] == 2 * Decimal(AMOUNT)
    assert house.balances()["receivable"] == 0


def test_a_settled_payment_of_a_bill_that_is_not_ours_waits_for_a_person(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, told: Told
) -> None:
    house.billed()
    bills.upload()
    at = house.now[-1].isoformat()
    reference = system.pay(UNKNOWN, "50.00", paid_at=at, notified=False)["reference"]
    house.pass_days(1)
    told.settle()
    assert [each["reference"] for each in house.waiting()] == [reference]
    exact(house, **OWED, bank="50.00", suspense="-50.00")


@pytest.mark.parametrize("amount", ["115.57", "115.59"])
def test_a_settlement_that_differs_by_a_halala_is_told_and_posts_nothing(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, told: Told, amount: str
) -> None:
    _, bill = house.billed()
    bills.upload()
    at = house.now[-1].isoformat()
    reference = system.pay(bill, amount, paid_at=at, notified=False)["reference"]
    told.notice(bill, reference)
    house.pass_days(1)
    assert told.settle() == {reference: Class.AMOUNTS_DIFFER}
    exact(house, **EARNED)


def test_a_settlement_that_names_a_payment_twice_posts_none_of_it(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, told: Told
) -> None:
    _, bill = house.billed()
    bills.upload()
    at = house.now[-1].isoformat()
    for _ in range(2):
        system.pay(bill, AMOUNT, paid_at=at, notified=False, reference="SD-twice")
    house.pass_days(1)
    assert told.settle() == {"SD-twice": Class.DOUBLE_IN_FILE}
    exact(house, **OWED)


@pytest.mark.parametrize("mode", ["missing_page", "wrong_count", "wrong_sum", "other_day", "wrong_signature"])
def test_a_settlement_that_is_not_whole_not_ours_or_not_signed_posts_nothing(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, told: Told, mode: str
) -> None:
    _, bill = house.billed()
    bills.upload()
    at = house.now[-1].isoformat()
    reference = system.pay(bill, AMOUNT, paid_at=at, notified=False)["reference"]
    house.pass_days(1)
    system.told(mode)
    with pytest.raises(BackendUnavailable):
        told.settle()
    exact(house, **OWED)
    system.told("answer")
    assert told.settle() == {reference: Class.MISSING_IN_ENGINE}
    exact(house, **EARNED)


def test_a_settlement_with_payments_of_a_day_to_come_is_none(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, told: Told
) -> None:
    _, bill = house.billed()
    bills.upload()
    at = house.now[-1].isoformat()
    system.pay(bill, AMOUNT, paid_at=at, notified=False)
    house.pass_days(1)
    system.told("later_day")
    with pytest.raises(BackendUnavailable) as caught:
        told.settle()
    assert caught.value.reason == "not_ours"
    exact(house, **OWED)


def test_a_settlement_that_was_corrected_is_taken_anew_and_both_are_in_the_journal(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, told: Told
) -> None:
    _, bill = house.billed()
    bills.upload()
    at = house.now[-1].isoformat()
    house.pass_days(1)
    assert told.settle() == {}
    reference = system.pay(bill, AMOUNT, paid_at=at, notified=False)["reference"]
    # What was taken stays, until somebody who answers for money asks for it again.
    assert told.settle() == {}
    with pytest.raises(PermissionDenied):
        bills.settle(AUDITOR, TODAY, anew=True)
    report = bills.settle(FINANCE, TODAY, take_in=True, anew=True)
    assert [item.reference for item in report.items] == [reference]
    exact(house, **EARNED)
    first, second = house.journal("settlement/2026-11-22")
    assert second[1]["in_place_of"] == first[1]["sha256"] != second[1]["sha256"]


def test_a_payment_of_shortly_before_midnight_is_settled_on_the_next_day(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, told: Told
) -> None:
    _, bill = house.billed()
    bills.upload()
    told.paid_at = house.now[-1].replace(hour=20, minute=59)
    next_day = TODAY + timedelta(days=1)
    at = told.paid_at.isoformat()
    paid = system.pay(bill, AMOUNT, paid_at=at, notified=False, settled_on=next_day.isoformat())
    house.now.append(told.paid_at)
    told.notice(bill, paid["reference"])
    house.pass_days(2)
    assert told.settle(next_day) == {paid["reference"]: Class.MATCHED}
    exact(house, **EARNED)
