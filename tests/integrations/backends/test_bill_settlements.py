"""Settlements of a real payment system, taken over loopback and reconciled with engine and ledger."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from foundation.errors import InvalidInput, PermissionDenied
from integrations.backend import BackendUnavailable
from integrations.cases import bill_settlements
from integrations.cases.payments import Notice
from integrations.cases.reconciliation import Class
from integrations.desks.bills import SYSTEM, BillsDesk
from tests.integrations.backends.fault_table import column
from tests.integrations.backends.payment_system import PaymentSystem
from tests.integrations.money_office import AMOUNT, AUDITOR, CENTRE, FINANCE, MoneyOffice, key

TODAY = date(2026, 11, 22)


def _pay_all(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, count: int
) -> list[tuple[str, str]]:
    made = [house.billed()[1] for _ in range(count)]
    bills.upload()
    at = house.now[-1].isoformat()
    return [(bill, system.pay(bill, AMOUNT, paid_at=at, notified=False)["reference"]) for bill in made]


def _told_by_the_system(house: MoneyOffice, bill: str, reference: str, amount: str = AMOUNT) -> None:
    notice = Notice(bill, Decimal(amount), house.now[-1], reference)
    house.money.notify(SYSTEM, notice, key())


def test_a_settlement_is_taken_page_by_page_and_reconciled_with_what_was_told(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    house.now.append(house.now[-1] + timedelta(days=3))
    day = date(2026, 11, 25)
    paid = _pay_all(house, bills, system, 60)
    for bill, reference in paid:
        _told_by_the_system(house, bill, reference)
    # What was paid at a counter is no part of it.
    _, counter = house.billed()
    house.pay(counter, AMOUNT, "counter-3")
    house.pass_days(1)
    report = bills.settle(AUDITOR, day)
    assert report.clean
    assert len(report.items) == 60
    (told,) = house.events(bill_settlements.SETTLED)
    assert told == {"day": "2026-11-25", "entries": 60, "clean": True, "differs": {}}
    assert bills.unfinished(AUDITOR)["settlements"][0]["clean"] is True


def test_what_a_settlement_has_and_we_were_not_told_is_said_and_taken_in_by_a_person(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    house.now.append(house.now[-1] + timedelta(days=4))
    day = date(2026, 11, 26)
    (lost, lost_reference), (known, reference), (less, less_reference) = _pay_all(house, bills, system, 3)
    _told_by_the_system(house, known, reference)
    _told_by_the_system(house, less, less_reference, "100.00")
    _, never = house.billed()
    _told_by_the_system(house, never, "SD-never-settled")
    house.pass_days(1)
    report = bills.settle(FINANCE, day)
    kinds = {item.reference: item.kind for item in report.items}
    assert kinds == {
        lost_reference: Class.MISSING_IN_ENGINE,
        reference: Class.MATCHED,
        less_reference: Class.AMOUNTS_DIFFER,
        "SD-never-settled": Class.MISSING_AT_BANK,
    }
    (told,) = house.events(bill_settlements.SETTLED)
    assert told["differs"] == {"missing_in_engine": 1, "amounts_differ": 1, "missing_at_bank": 1}
    with pytest.raises(PermissionDenied):
        bills.settle(AUDITOR, day, take_in=True)
    bills.settle(FINANCE, day, take_in=True)
    assert house.bill(lost)["state"] == "settled"
    assert {item.reference: item.kind for item in bills.settle(FINANCE, day).items}[
        lost_reference
    ] is Class.MATCHED


def test_a_day_that_is_not_over_has_no_settlement(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    _pay_all(house, bills, system, 1)
    with pytest.raises(InvalidInput, match="not over"):
        bills.settle(FINANCE, TODAY)
    with pytest.raises(PermissionDenied):
        bills.settle(CENTRE, TODAY)


@pytest.mark.parametrize(("mode", "reasons"), column("settlements").items())
def test_what_is_no_whole_settlement_of_the_day_is_none(
    house: MoneyOffice, hurried: BillsDesk, system: PaymentSystem, mode: str, reasons: tuple[str, ...]
) -> None:
    # Of the day before there is one, that can be said again.
    _pay_all(house, hurried, system, 1)
    house.pass_days(1)
    hurried.settle(FINANCE, TODAY)
    _pay_all(house, hurried, system, 1)
    house.pass_days(1)
    if mode == "down":
        system.stop()
    else:
        system.told(mode, seconds=0.1 if mode.startswith("drip") else 5)
    with pytest.raises(BackendUnavailable) as caught:
        hurried.settle(FINANCE, TODAY + timedelta(days=1))
    if mode == "down":
        system.start()
    assert caught.value.reason in reasons
    assert house.sum("SELECT count(*) FROM bill_settlement WHERE state = 'taken'") == 1


def test_a_day_that_is_not_settled_yet_is_asked_for_until_it_is(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    house.billed()
    bills.upload()
    house.pass_days(1)
    system.told("answer", unsettled=("2026-11-22",))
    for _ in range(12):
        bills._settle_job({"day": "2026-11-22"}, 0)
        house.now.append(house.now[-1] + timedelta(minutes=11))
    (told,) = house.events(bill_settlements.DELAYED)
    assert told == {"day": "2026-11-22", "attempts": 12, "reason": "too_early"}
    system.told("answer")
    bills._settle_job({"day": "2026-11-22"}, 0)
    assert len(house.events(bill_settlements.SETTLED)) == 1
    bills._settle_job({"day": "2026-11-22"}, 0)
    assert len(house.events(bill_settlements.SETTLED)) == 1
