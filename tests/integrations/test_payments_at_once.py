"""Notices, and what else moves a bill, at the same moment."""

import contextlib
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.errors import Conflict
from tests.integrations.money_office import AMOUNT, MoneyOffice, open_money_office


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> MoneyOffice:
    return open_money_office(database, tmp_path)


def test_parts_paid_at_the_same_moment_are_both_credited(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda n: desk.pay(bill, "57.79", f"r-{n}"), range(4)))
    assert sorted(each["outcome"] for each in told) == ["partial", "settled", "surplus", "surplus"]
    assert desk.state(number) == "paid"


def test_a_payment_that_races_with_the_void_of_its_bill_is_credited_or_owed_back(desk: MoneyOffice) -> None:
    for turn in range(3):
        number, bill = desk.billed()
        before = desk.balances().get("refunds_payable", Decimal(0))

        def cancel(number: str = number) -> None:
            # A case that was paid first is not cancelled any more.
            with contextlib.suppress(Conflict):
                desk.take(number, "cancel")

        with ThreadPoolExecutor(2) as pool:
            cancelling = pool.submit(cancel)
            told = pool.submit(desk.pay, bill, AMOUNT, f"r-{turn}").result()
            cancelling.result()
        owed = before - desk.balances().get("refunds_payable", Decimal(0))
        if desk.state(number) == "paid":
            assert (told["outcome"], desk.bill(bill)["state"], owed) == ("settled", "settled", Decimal(0))
        else:
            assert (told["outcome"], desk.bill(bill)["state"]) == ("held", "void")
            assert owed == Decimal(AMOUNT)


def test_one_notice_sent_twice_at_the_same_moment_is_one_payment(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: desk.pay(bill, AMOUNT, "r-1"), range(4)))
    assert told == [told[0]] * 4
    assert desk.balances()["bank"] == Decimal(AMOUNT)
