from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, PermissionDenied
from integrations.cases.payments import Notice
from tests.integrations.money_office import (
    AMOUNT,
    AUDITOR,
    BANK,
    CENTRE,
    FINANCE,
    SECOND,
    MoneyOffice,
    key,
    open_money_office,
)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> MoneyOffice:
    return open_money_office(database, tmp_path)


def test_a_waiting_payment_is_given_back_by_two_people(desk: MoneyOffice) -> None:
    desk.pay("2699999999990", "50.00", "r-1")
    desk.money.give_back(FINANCE, "r-1", key())
    (refund,) = desk.refunds("due")
    with pytest.raises(PermissionDenied, match="may not approve it as well"):
        desk.money.approve_refund(FINANCE, refund["id"], key())
    assert desk.money.approve_refund(SECOND, refund["id"], key()).body["state"] == "approved"
    assert desk.balances() == {
        "bank": Decimal("50.00"),
        "suspense": Decimal(0),
        "refunds_payable": Decimal("-50.00"),
    }


def test_a_refund_goes_from_due_to_confirmed(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    (refund,) = desk.refunds()
    steps = [
        desk.money.approve_refund(FINANCE, refund["id"], key()),
        desk.money.refund_sent(SECOND, refund["id"], "out-1", key()),
        desk.money.refund_confirmed(FINANCE, refund["id"], key()),
    ]
    assert [step.body["state"] for step in steps] == ["approved", "sent", "confirmed"]
    assert steps[-1].body["reference"] == "out-1"
    assert [action for action, _ in desk.journal(f"refund/{refund['id']}")] == [
        "approved",
        "sent",
        "confirmed",
    ]
    accounts = desk.balances()
    assert accounts["bank"] == Decimal(AMOUNT)
    assert accounts["refunds_payable"] == 0
    assert [each["state"] for each in desk.events("refund.moved")] == ["approved", "sent", "confirmed"]


def test_a_refund_that_failed_is_owed_again_and_approved_anew(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    (refund,) = desk.refunds()
    desk.money.approve_refund(FINANCE, refund["id"], key())
    desk.money.refund_sent(SECOND, refund["id"], "out-1", key())
    assert desk.money.refund_failed(SECOND, refund["id"], "account closed", key()).body["state"] == "failed"
    (again,) = desk.refunds("due")
    assert (again["amount"], again["reason"]) == ("4.42", "failed")
    with pytest.raises(PermissionDenied):
        desk.money.approve_refund(SECOND, again["id"], key())
    assert desk.balances()["refunds_payable"] == Decimal("-4.42")


def test_money_that_a_machine_owes_back_still_takes_two_people_to_leave(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    (refund,) = desk.refunds()
    assert refund["asked_by"] == "client/bank"
    desk.money.approve_refund(FINANCE, refund["id"], key())
    with pytest.raises(PermissionDenied, match="may not send it as well") as refused:
        desk.money.refund_sent(FINANCE, refund["id"], "out-1", key())
    assert refused.value.message_ar
    assert desk.balances()["bank"] == Decimal("120.00")
    assert desk.money.refund_sent(SECOND, refund["id"], "out-1", key()).body["sent_by"] == "person/majed"


def test_a_refund_that_comes_back_after_it_was_confirmed_is_owed_again(desk: MoneyOffice) -> None:
    refund = desk.sent_refund()
    desk.money.refund_confirmed(FINANCE, refund, key())
    assert desk.balances()["refunds_payable"] == 0
    told = desk.money.refund_failed(FINANCE, refund, "account closed", key()).body
    assert (told["state"], told["failure"]) == ("failed", "account closed")
    assert [(each["amount"], each["reason"]) for each in desk.refunds("due")] == [("4.42", "failed")]
    accounts = desk.balances()
    assert (accounts["bank"], accounts["refunds_payable"]) == (Decimal("120.00"), Decimal("-4.42"))
    with pytest.raises(Conflict, match="is failed, not"):
        desk.money.refund_failed(FINANCE, refund, "account closed", key())


@pytest.mark.parametrize("why", ["", "  ", "x" * 501])
def test_nobody_says_that_a_refund_failed_without_saying_why(desk: MoneyOffice, why: str) -> None:
    refund = desk.sent_refund()
    with pytest.raises(InvalidInput, match="why"):
        desk.money.refund_failed(FINANCE, refund, why, key())


@pytest.mark.parametrize("step", ["approve_refund", "refund_sent", "refund_confirmed", "refund_failed"])
def test_a_step_of_a_refund_that_two_take_at_the_same_moment_is_taken_once(
    desk: MoneyOffice, step: str
) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    (refund,) = desk.refunds()
    for before in ("approve_refund", "refund_sent"):
        if before == step or (before == "refund_sent" and step == "approve_refund"):
            break
        caller, more = (FINANCE, []) if before == "approve_refund" else (SECOND, ["out-1"])
        getattr(desk.money, before)(caller, refund["id"], *more, key())

    def take(number: int) -> str:
        more = {"refund_sent": [f"out-{number}"], "refund_failed": ["closed"]}.get(step, [])
        caller = FINANCE if step == "approve_refund" else SECOND
        try:
            return str(getattr(desk.money, step)(caller, refund["id"], *more, key()).body["state"])
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(4) as pool:
        told = sorted(pool.map(take, range(2, 6)))
    assert told.count("conflict") == 3
    assert sum(each["amount"] == "4.42" for each in desk.refunds()) == 1 + (step == "refund_failed")
    accounts = desk.balances()
    assert accounts["bank"] + accounts["refunds_payable"] == Decimal(AMOUNT)


@pytest.mark.parametrize("step", ["refund_sent", "refund_confirmed", "refund_failed"])
def test_a_refund_passes_no_step_by(desk: MoneyOffice, step: str) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    (refund,) = desk.refunds()
    more = {"refund_sent": ["out-1"], "refund_confirmed": [], "refund_failed": ["no account"]}[step]
    with pytest.raises(Conflict, match="is due, not"):
        getattr(desk.money, step)(FINANCE, refund["id"], *more, key())


def test_two_refunds_never_share_a_reference(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    desk.pay(bill, "1.00", "r-2")
    first, second = desk.refunds()
    for refund in (first, second):
        desk.money.approve_refund(FINANCE, refund["id"], key())
    desk.money.refund_sent(SECOND, first["id"], "out-1", key())
    with pytest.raises(Conflict, match="is of the refund"):
        desk.money.refund_sent(SECOND, second["id"], "out-1", key())
    for unreadable in ("", "  ", "x" * 141, "out\n1"):
        with pytest.raises(InvalidInput):
            desk.money.refund_sent(SECOND, second["id"], unreadable, key())


def test_only_finance_moves_refunds_and_only_a_bank_notifies(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    (refund,) = desk.refunds()
    for caller in (CENTRE, BANK, AUDITOR):
        with pytest.raises(PermissionDenied):
            desk.money.approve_refund(caller, refund["id"], key())
    for stranger in (CENTRE, FINANCE, AUDITOR):
        with pytest.raises(PermissionDenied):
            desk.money.notify(stranger, Notice(bill, Decimal(1), desk.now[-1], "r-9"), key())
    with pytest.raises(PermissionDenied):
        desk.money.refunds(CENTRE)
