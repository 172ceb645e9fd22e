from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from stdnum import luhn

from foundation.chain import JSON
from foundation.database import Database
from foundation.errors import Conflict
from integrations.cases import case_store, invoices
from integrations.cases.case import Work
from tests.integrations.money_office import AMOUNT, CENTRE, MoneyOffice, open_money_office


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> MoneyOffice:
    return open_money_office(database, tmp_path)


def bill_at_once(desk: MoneyOffice, number: str) -> dict[str, JSON]:
    """The effect alone, whatever the case's flow would allow."""
    with desk.database.transaction() as session:
        case = case_store.locked(session, number)
        work = Work(session, case, desk.service, desk.office, CENTRE, desk.now[-1], {}, {})
        return dict(invoices.open_invoice(work))


def test_a_bill_has_a_number_with_a_check_digit_and_is_due_as_its_service_says(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    assert len(bill) == 13
    assert bill.startswith("26")
    assert luhn.is_valid(bill)
    assert desk.bill(bill) == {
        "case": number,
        "bill_number": bill,
        "amount": AMOUNT,
        "credited": "0.00",
        "rest": AMOUNT,
        "currency": "SAR",
        "due": "2026-11-27",
        "state": "open",
        "payments": [],
        "refunds": [],
    }


def test_a_bill_is_presented_with_what_a_payment_system_uploads(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    presented = {"bill_number": bill, "amount": AMOUNT, "due": "2026-11-27", "currency": "SAR"}
    assert desk.events("invoice.presented") == [presented]


def test_a_bill_claims_its_revenue_and_its_tax_apart(desk: MoneyOffice) -> None:
    desk.billed()
    assert desk.balances() == {
        "receivable": Decimal(AMOUNT),
        "revenue:board": Decimal("-100.50"),
        "vat": Decimal("-15.08"),
    }


def test_the_bill_is_over_the_quote_that_was_made_whatever_the_fees_are_by_then(desk: MoneyOffice) -> None:
    old, new = desk.ask(), desk.ask()
    desk.take(old, "price")
    desk.pass_days(60)
    desk.take(new, "price")
    amounts = []
    for number in (old, new):
        desk.take(number, "bill")
        amounts.append(desk.bill(desk.bill_of(number))["amount"])
    assert amounts == [AMOUNT, "230.00"]
    with desk.database.transaction() as session:
        quote = invoices.newest_quote(session, case_store.find(session, old))
    assert quote is not None
    assert (quote.day.isoformat(), quote.definition) == ("2026-11-22", desk.service.fingerprint)


def test_a_quote_is_by_the_fees_of_its_day_in_riyadh(desk: MoneyOffice) -> None:
    # The new fees begin with the year 2027, which begins in Riyadh three hours before it does in UTC.
    last, first = datetime(2026, 12, 31, 20, 59, 59, tzinfo=UTC), datetime(2026, 12, 31, 21, tzinfo=UTC)
    amounts = []
    for moment in (last, first):
        desk.now.append(moment)
        _, bill = desk.billed()
        amounts.append((desk.bill(bill)["amount"], desk.bill(bill)["due"]))
    assert amounts == [(AMOUNT, "2027-01-05"), ("230.00", "2027-01-06")]


def test_a_case_quoted_again_is_billed_anew_and_its_first_bill_is_void(desk: MoneyOffice) -> None:
    number, first = desk.billed()
    desk.take(number, "again")
    desk.pass_days(60)
    desk.take(number, "price")
    desk.take(number, "bill")
    second = desk.bill_of(number)
    assert (desk.bill(first)["state"], desk.bill(second)["amount"]) == ("void", "230.00")
    assert desk.balances()["receivable"] == Decimal("230.00")
    assert desk.pay(first, AMOUNT, "r-1")["outcome"] == "held"
    assert desk.pay(second, "230.00", "r-2")["outcome"] == "settled"


def test_an_open_bill_is_void_once_another_takes_its_place(desk: MoneyOffice) -> None:
    number, first = desk.billed()
    desk.pay(first, "15.58", "r-1")
    with desk.database.transaction() as session:
        case = case_store.locked(session, number)
        did = invoices.open_invoice(
            Work(session, case, desk.service, desk.office, CENTRE, desk.now[-1], {}, {})
        )
    assert did["voided"] == first
    assert [(each["amount"], each["reason"]) for each in desk.refunds()] == [("15.58", "void")]
    assert desk.bill(desk.bill_of(number))["rest"] == AMOUNT


def test_a_paid_bill_is_not_billed_again(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1")
    with pytest.raises(Conflict, match="was paid"):
        bill_at_once(desk, number)


def test_a_case_without_a_quote_or_with_a_free_one_is_not_billed(desk: MoneyOffice) -> None:
    fresh, free = desk.ask(), desk.ask(mosque=True)
    desk.take(free, "price")
    for number, why in ((fresh, "has no quote"), (free, "is free")):
        with pytest.raises(Conflict, match=why) as refused:
            bill_at_once(desk, number)
        assert refused.value.message_ar


def test_voiding_a_case_without_a_bill_does_nothing(desk: MoneyOffice) -> None:
    assert desk.void_paid(desk.ask()) == {}


def test_the_database_lets_a_case_have_one_open_bill(desk: MoneyOffice) -> None:
    desk.billed()
    again = text(
        "INSERT INTO case_invoice (bill_number, case_id, quote_id, amount, due, state, issued_at) "
        "SELECT '1', case_id, quote_id, amount, due, state, issued_at FROM case_invoice"
    )
    with pytest.raises(Conflict, match="uq_case_invoice_open"), desk.database.transaction() as session:
        session.execute(again)


def test_a_bill_is_made_by_two_statements_of_ours(desk: MoneyOffice) -> None:
    number = desk.ask()
    desk.take(number, "price")
    with desk.statements() as sent:
        desk.take(number, "bill")
    assert len([each for each in sent if "case_invoice" in each or "case_ledger" in each]) == 2, sent
