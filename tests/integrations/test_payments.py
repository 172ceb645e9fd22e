from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict, NotFound
from integrations.cases import case_store, payments
from tests.integrations.money_office import (
    AMOUNT,
    BANK,
    CENTRE,
    FINANCE,
    OTHER_CENTRE,
    MoneyOffice,
    key,
    open_money_office,
)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> MoneyOffice:
    return open_money_office(database, tmp_path)


@pytest.fixture
def strict(database: Database, tmp_path: Path) -> MoneyOffice:
    """A service that gives late money back."""
    return open_money_office(database, tmp_path, "refund")


def covered(desk: MoneyOffice, number: str) -> bool:
    with desk.database.transaction() as session:
        return payments.covered(session, case_store.find(session, number))


def test_the_exact_payment_of_an_open_bill_settles_it_and_moves_its_case(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    answer = desk.pay(bill, AMOUNT, "r-1")
    assert answer == {
        "bill_number": bill,
        "reference": "r-1",
        "amount": AMOUNT,
        "currency": "SAR",
        "status": "paid",
        "outcome": "settled",
        "late": False,
        "credited": AMOUNT,
        "owed_back": "0.00",
        "waiting": "0.00",
        "settled": True,
        "paid_at": "2026-11-22T07:00:00Z",
        "case": number,
    }
    assert (desk.state(number), covered(desk, number)) == ("paid", True)
    shown = desk.bill(bill)
    assert (shown["state"], shown["credited"], shown["rest"]) == ("settled", AMOUNT, "0.00")
    action, details = desk.journal(f"case/{number}")[-1]
    assert action == "pay"
    assert details["outcome"] == "settled"


def test_an_exact_payment_takes_four_statements_of_ours(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    with desk.statements() as sent:
        desk.pay(bill, AMOUNT, "r-1")
    ours = [each for each in sent if "case_payment" in each or "case_invoice" in each or "FOR UPDATE" in each]
    assert len(ours) == 4, sent


def test_a_rest_paid_in_parts_settles_when_the_sum_is_reached(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    first = desk.pay(bill, "15.58", "r-1")
    assert (first["outcome"], first["settled"], desk.bill(bill)["rest"]) == ("partial", False, "100.00")
    assert (desk.state(number), covered(desk, number)) == ("billed", False)
    assert desk.pay(bill, "99.99", "r-2")["outcome"] == "partial"
    assert desk.pay(bill, "0.01", "r-3")["outcome"] == "settled"
    assert (desk.state(number), desk.bill(bill)["state"]) == ("paid", "settled")
    assert [action for action, _ in desk.journal(f"case/{number}")][-3:] == ["payment", "payment", "pay"]


def test_more_than_the_rest_settles_and_the_surplus_is_owed_back(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pay(bill, "100.00", "r-1")
    over = desk.pay(bill, "20.00", "r-2")
    assert (over["outcome"], over["credited"], over["owed_back"]) == ("over", "15.58", "4.42")
    assert desk.state(number) == "paid"
    (refund,) = desk.refunds()
    assert (refund["amount"], refund["reason"], refund["state"], refund["payment"]) == (
        "4.42",
        "over",
        "due",
        "r-2",
    )


def test_a_bill_paid_twice_owes_the_second_payment_back(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1")
    assert desk.pay(bill, AMOUNT, "r-2")["outcome"] == "surplus"
    assert [(each["amount"], each["reason"]) for each in desk.refunds()] == [(AMOUNT, "surplus")]


def test_the_same_notice_again_is_the_same_payment(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    first = desk.pay(bill, AMOUNT, "r-1")
    assert desk.pay(bill, AMOUNT, "r-1") == first
    assert desk.balances()["bank"] == Decimal(AMOUNT)


@pytest.mark.parametrize("other", [{"amount": "1.00"}, {"bill": "2600000000017"}, {"status": "refused"}])
def test_a_reference_of_another_payment_is_refused(desk: MoneyOffice, other: dict[str, Any]) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "5.00", "r-1")
    words = {"bill": bill, "amount": "5.00", **other}
    with pytest.raises(Conflict, match="used for another payment"):
        desk.pay(words.pop("bill"), words.pop("amount"), "r-1", **words)
    assert desk.balances()["bank"] == Decimal("5.00")


def test_a_payment_that_the_bank_refused_is_kept_and_credits_nothing(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    answer = desk.pay(bill, AMOUNT, "r-1", status="refused")
    assert (answer["outcome"], answer["credited"], answer["waiting"]) == ("refused", "0.00", "0.00")
    assert (desk.state(number), desk.bill(bill)["rest"]) == ("billed", AMOUNT)
    assert "bank" not in desk.balances()
    assert desk.journal(f"case/{number}")[-1][1]["outcome"] == "refused"


def test_a_payment_that_the_bank_refused_and_then_took_after_all_is_taken(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1", status="refused")
    answer = desk.pay(bill, AMOUNT, "r-1")
    assert (answer["status"], answer["outcome"], desk.state(number)) == ("paid", "settled", "paid")
    assert desk.pay(bill, AMOUNT, "r-1") == answer
    assert desk.balances()["bank"] == Decimal(AMOUNT)
    # Money that has come does not go by the bank's saying that it never came.
    with pytest.raises(Conflict, match="used for another payment"):
        desk.pay(bill, AMOUNT, "r-1", status="refused")
    with pytest.raises(Conflict, match="used for another payment"):
        desk.pay(bill, "5.00", "r-1")


def from_file(desk: MoneyOffice, amount: str, reference: str) -> None:
    """Take in a payment of a file that names no bill."""
    rows = f"reference,amount,day\n{reference},{amount},{desk.now[-1]:%Y-%m-%d}\n"
    day = desk.now[-1].date()
    books = ("books", desk.money.ledger(FINANCE, day, day).encode())
    desk.money.reconcile(FINANCE, ("file", rows.encode()), books, day, take_in=True)


def test_a_payment_whose_bill_only_the_later_notice_names_is_credited_to_it(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    from_file(desk, AMOUNT, "r-1")
    assert desk.balances()["suspense"] == -Decimal(AMOUNT)
    answer = desk.pay(bill, AMOUNT, "r-1")
    assert (answer["outcome"], answer["bill_number"], answer["case"]) == ("settled", bill, number)
    assert desk.state(number) == "paid"
    assert desk.pay(bill, AMOUNT, "r-1") == answer
    accounts = desk.balances()
    assert (accounts["bank"], accounts["suspense"], accounts["receivable"]) == (
        Decimal(AMOUNT),
        Decimal(0),
        Decimal(0),
    )
    assert desk.waiting() == []


def test_a_later_notice_moves_no_money_that_a_person_decided_on_before(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    from_file(desk, AMOUNT, "r-1")
    desk.money.give_back(FINANCE, "r-1", key())
    assert desk.pay(bill, AMOUNT, "r-1")["owed_back"] == AMOUNT
    assert desk.state(number) == "billed"
    with pytest.raises(Conflict, match="used for another payment"):
        desk.pay(bill, "1.00", "r-1")


def test_a_later_notice_of_an_unknown_or_void_bill_loses_nothing(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.take(number, "cancel")
    from_file(desk, "5.00", "r-1")
    from_file(desk, "6.00", "r-2")
    assert desk.pay(bill, "5.00", "r-1")["owed_back"] == "5.00"
    assert desk.pay("2699999999990", "6.00", "r-2")["waiting"] == "6.00"
    assert [each["bill_number"] for each in desk.waiting()] == ["2699999999990"]
    assert (desk.balances()["suspense"], desk.balances()["refunds_payable"]) == (Decimal(-6), Decimal(-5))


def test_of_a_refused_payment_another_amount_or_bill_is_another_payment(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1", status="refused")
    for other, amount in ((bill, "5.00"), ("2699999999990", AMOUNT)):
        with pytest.raises(Conflict, match="used for another payment"):
            desk.pay(other, amount, "r-1")
    assert "bank" not in desk.balances()


def test_a_late_payment_is_taken_where_the_service_accepts_it(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pass_days(6)
    answer = desk.pay(bill, AMOUNT, "r-1")
    assert (answer["outcome"], answer["late"], desk.state(number)) == ("settled", True, "paid")


def test_a_late_payment_is_owed_back_where_the_service_refuses_it(strict: MoneyOffice) -> None:
    number, bill = strict.billed()
    strict.pass_days(6)
    assert strict.pay(bill, AMOUNT, "r-1")["outcome"] == "late"
    assert (strict.state(number), strict.refunds()[0]["reason"]) == ("billed", "late")


def test_a_payment_is_late_by_the_day_it_was_paid_and_not_by_the_day_we_hear_of_it(
    strict: MoneyOffice,
) -> None:
    _, bill = strict.billed()
    # The due day ends at midnight in Riyadh, three hours before it ends in UTC.
    last = strict.now[-1].replace(hour=20, minute=59) + timedelta(days=5)
    strict.pass_days(30)
    assert strict.pay(bill, "1.00", "r-1", paid_at=last)["outcome"] == "partial"
    assert strict.pay(bill, "1.00", "r-2", paid_at=last + timedelta(minutes=1))["outcome"] == "late"


def test_money_for_a_cancelled_case_is_owed_back(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.take(number, "cancel")
    assert desk.bill(bill)["state"] == "void"
    assert desk.pay(bill, AMOUNT, "r-1")["outcome"] == "held"
    assert [(each["amount"], each["reason"]) for each in desk.refunds()] == [(AMOUNT, "void")]
    assert desk.state(number) == "dropped"


def test_no_claim_outlives_its_case_and_money_for_it_is_owed_back(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.take(number, "drop")
    assert desk.bill(bill)["state"] == "void"
    assert [each["bill_number"] for each in desk.events("invoice.voided")] == [bill]
    assert desk.pay(bill, AMOUNT, "r-1")["outcome"] == "held"
    assert [each["reason"] for each in desk.refunds()] == ["void"]
    assert desk.balances()["receivable"] == 0


def test_money_for_a_case_that_takes_none_now_waits_for_a_person(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.take(number, "pause")
    answer = desk.pay(bill, AMOUNT, "r-1")
    assert (answer["outcome"], answer["waiting"]) == ("held", AMOUNT)
    assert desk.refunds() == []
    (waiting,) = desk.money.waiting(FINANCE)["items"]
    assert (waiting["reference"], waiting["case"]) == ("r-1", number)
    assert desk.balances()["suspense"] == -Decimal(AMOUNT)


def test_voiding_a_bill_owes_back_what_was_paid_of_it(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pay(bill, "40.00", "r-1")
    desk.pay(bill, "0.58", "r-2")
    desk.take(number, "cancel")
    assert [
        (each["payment"], each["amount"], each["reason"], each["asked_by"]) for each in desk.refunds()
    ] == [
        ("r-1", "40.00", "void", "client/centre-1"),
        ("r-2", "0.58", "void", "client/centre-1"),
    ]
    accounts = desk.balances()
    assert accounts["receivable"] == accounts["revenue:board"] == accounts["vat"] == 0
    assert desk.events("invoice.voided") == [{"bill_number": bill}]


def test_voiding_a_settled_bill_owes_all_of_it_back(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1")
    assert desk.void_paid(number) == {"bill_number": bill, "owed_back": AMOUNT}
    assert [each["amount"] for each in desk.refunds()] == [AMOUNT]
    assert (desk.bill(bill)["state"], covered(desk, number)) == ("void", False)


def test_a_bill_that_is_not_ours_waits_for_a_person(desk: MoneyOffice) -> None:
    answer = desk.pay("2699999999990", "50.00", "r-1")
    assert (answer["outcome"], answer["case"], answer["waiting"]) == ("unknown_bill", None, "50.00")
    assert desk.journal("payment/r-1")[0][1]["outcome"] == "unknown_bill"
    assert desk.balances() == {"bank": Decimal("50.00"), "suspense": Decimal("-50.00")}


def test_a_person_credits_a_waiting_payment_to_the_bill_it_was_meant_for(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pay("2699999999990", "120.00", "r-1")
    answer = desk.money.assign(FINANCE, "r-1", bill, key()).body
    assert (answer["outcome"], answer["settled"], answer["case"]) == ("over", True, number)
    assert desk.state(number) == "paid"
    accounts = desk.balances()
    assert accounts["bank"] == Decimal("120.00")
    assert accounts["suspense"] == accounts["receivable"] == 0
    assert [each["amount"] for each in desk.refunds()] == ["4.42"]
    with pytest.raises(Conflict, match="Nothing of the payment"):
        desk.money.assign(FINANCE, "r-1", bill, key())


def test_a_waiting_payment_is_not_credited_to_a_bill_that_takes_none(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.take(number, "cancel")
    desk.pay("2699999999990", "120.00", "r-1")
    with pytest.raises(Conflict, match="takes no payment now"):
        desk.money.assign(FINANCE, "r-1", bill, key())
    assert desk.balances()["suspense"] == Decimal("-120.00")
    with pytest.raises(NotFound):
        desk.money.assign(FINANCE, "r-1", "2699999999990", key())


def test_a_bill_is_shown_to_whom_it_concerns(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "5.00", "r-1")
    presented = desk.money.bill(BANK, bill)
    assert (presented["rest"], presented["due"], "payments" in presented) == ("110.58", "2026-11-27", False)
    assert [each["reference"] for each in desk.money.bill(CENTRE, bill)["payments"]] == ["r-1"]
    with pytest.raises(NotFound):
        desk.money.bill(OTHER_CENTRE, bill)
    with pytest.raises(NotFound):
        desk.money.bill(FINANCE, "2600000000000")


def test_a_free_quote_covers_its_case_and_has_no_bill(desk: MoneyOffice) -> None:
    number = desk.ask(mosque=True)
    assert desk.take(number, "price").quote_free
    assert covered(desk, number)
    with pytest.raises(Conflict):
        desk.take(number, "bill")
    assert desk.take(number, "gift").state == "done"
    assert desk.balances() == {}


def test_a_free_quote_of_a_form_that_was_changed_since_covers_nothing(desk: MoneyOffice) -> None:
    number = desk.ask(mosque=True)
    desk.take(number, "price")
    assert not desk.take(number, "correct", form={"mosque": False}).quote_free
    assert not covered(desk, number)
    desk.take(number, "price")
    with pytest.raises(Conflict):
        desk.take(number, "gift")


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("UPDATE case_payment SET credited = amount + 1", "ck_case_payment_whole"),
        ("UPDATE case_invoice SET credited = amount", "ck_case_invoice_settled"),
        ("UPDATE case_invoice SET state = 'lost'", "ck_case_invoice_state"),
        ("UPDATE case_payment SET outcome = 'lost'", "ck_case_payment_outcome"),
        ("UPDATE case_payment SET amount = 0", "ck_case_payment_amount"),
        ("UPDATE case_refund SET amount = amount + 1", "ck_case_refund_kept"),
        (
            "INSERT INTO case_refund (payment_id, amount, reason, state, asked_by, due_at) "
            "SELECT payment_id, amount, reason, 'due', asked_by, due_at FROM case_refund",
            "ck_case_payment_whole",
        ),
        (
            "UPDATE case_refund SET state = 'approved', approved_at = due_at, approved_by = asked_by",
            "ck_case_refund_four_eyes",
        ),
        ("UPDATE case_ledger SET debit = 1", "ck_case_ledger_kept"),
        ("DELETE FROM case_ledger", "ck_case_ledger_kept"),
        (
            "INSERT INTO case_ledger SELECT transaction + 1000, line, kind, account, debit, credit, subject, "
            "reference, fee, day, at FROM case_ledger WHERE account = 'bank'",
            "ck_case_ledger_balanced",
        ),
    ],
)
def test_the_database_itself_refuses_what_would_lose_money(
    desk: MoneyOffice, statement: str, rule: str
) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "20.00", "r-1")
    desk.pay("2699999999990", "50.00", "r-2")
    desk.money.give_back(FINANCE, "r-2", key())
    with (
        pytest.raises(sqlalchemy.exc.IntegrityError) as refused,
        desk.database.engine.begin() as connection,
    ):
        connection.execute(text(statement))
    assert isinstance(refused.value.orig, psycopg.Error)
    assert refused.value.orig.diag.constraint_name == rule


def test_a_payment_whose_case_refuses_to_be_moved_is_kept_and_held(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    with desk.database.transaction() as session:
        session.execute(text("UPDATE case_file SET personal = 'damaged'"))
    assert desk.pay(bill, AMOUNT, "r-1")["outcome"] == "held"
    assert (desk.state(number), desk.bill(bill)["state"]) == ("billed", "open")
    held = dict(desk.journal(f"case/{number}"))["payment_held"]
    assert (held["reference"], "does not open" in str(held["why"])) == ("r-1", True)
    assert desk.balances()["suspense"] == -Decimal(AMOUNT)
