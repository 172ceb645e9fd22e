import csv
import io
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import PermissionDenied
from integrations.cases import ledger
from integrations.cases.reconciliation import Class, Report
from tests.integrations.money_office import (
    AMOUNT,
    AUDITOR,
    CENTRE,
    FINANCE,
    SECOND,
    MoneyOffice,
    key,
    open_money_office,
)

DAY = date(2026, 11, 22)
HEADER = "reference,direction,amount,day,bill_number,reversal\n"


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> MoneyOffice:
    return open_money_office(database, tmp_path)


def row(
    reference: str,
    amount: str,
    way: str = "credit",
    day: date = DAY,
    bill: str = "",
    reversal: bool = False,
) -> str:
    return f"{reference},{way},{amount},{day},{bill},{'true' if reversal else ''}\n"


def reconcile(desk: MoneyOffice, *rows: str, books: str | None = None, take_in: bool = False) -> Report:
    bank = ("bank.csv", (HEADER + "".join(rows)).encode())
    export = desk.money.ledger(AUDITOR, DAY, DAY) if books is None else books
    return desk.money.reconcile(FINANCE, bank, ("ledger.csv", export.encode()), DAY, take_in)


def classes(report: Report) -> dict[str, str]:
    return {item.reference: str(item.kind) for item in report.items}


def test_a_day_on_which_all_agree_is_clean(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1")
    report = reconcile(desk, row("r-1", AMOUNT, bill=bill))
    assert report.clean
    assert report.items[0].to_json() == {
        "class": "matched",
        "also": [],
        "direction": "credit",
        "reference": "r-1",
        "bill_number": bill,
        "engine": AMOUNT,
        "bank": AMOUNT,
        "ledger": AMOUNT,
        "engine_day": "2026-11-22",
        "bank_day": "2026-11-22",
    }


def test_every_way_in_which_the_three_can_differ_is_told(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    for reference in ("fine", "unbanked", "unposted", "other", "twice", "day"):
        desk.pay(bill, "1.00", reference)
    desk.pay(bill, "9.00", "failed", status="refused")
    export = desk.money.ledger(AUDITOR, DAY, DAY)
    rows = list(csv.DictReader(io.StringIO(export)))
    without = ledger.as_csv([each for each in rows if each["reference"] != "unposted"])
    report = reconcile(
        desk,
        row("fine", "1.00"),
        row("unposted", "1.00"),
        row("other", "2.00"),
        row("twice", "1.00"),
        row("twice", "1.00"),
        row("day", "1.00", day=DAY + timedelta(days=1)),
        row("stranger", "5.00"),
        row("failed", "9.00"),
        row("undone", "4.00", reversal=True),
        books=without,
    )
    assert classes(report) == {
        "fine": "matched",
        "unbanked": "missing_at_bank",
        "unposted": "missing_in_ledger",
        "other": "amounts_differ",
        "twice": "double_in_file",
        "day": "dates_differ",
        "stranger": "missing_in_engine",
        "failed": "refused",
        "undone": "reversed",
    }
    assert set(classes(report).values()) == {str(each) for each in Class}
    twice = next(item for item in report.items if item.reference == "twice")
    assert twice.also == (Class.AMOUNTS_DIFFER,)


def test_the_sums_of_the_classes_are_the_sums_of_the_sources(desk: MoneyOffice) -> None:
    desk.sent_refund()
    desk.pay("2699999999990", "7.77", "r-2")
    report = reconcile(desk, row("r-1", "119.00"), row("r-3", "3.00"), row("out-1", "4.42", "debit"))
    totals = report.to_json()["totals"]
    assert totals["credit"]["total"] == {"count": 3, "engine": "127.77", "bank": "122.00", "ledger": "127.77"}
    assert totals["debit"]["total"] == {"count": 1, "engine": "4.42", "bank": "4.42", "ledger": "4.42"}
    for way in ("credit", "debit"):
        for source in ("count", "engine", "bank", "ledger"):
            of = totals[way]
            assert sum(Decimal(each[source]) for each in of["classes"].values()) == Decimal(
                of["total"][source]
            )


def test_a_payment_of_another_day_that_the_file_names_is_found(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "1.00", "r-1", paid_at=desk.now[-1] - timedelta(days=3))
    books = desk.money.ledger(AUDITOR, DAY - timedelta(days=9), DAY)
    report = reconcile(desk, row("r-1", "1.00"), books=books)
    assert classes(report) == {"r-1": "dates_differ"}
    assert classes(reconcile(desk, books=books)) == {}


def test_a_refund_that_failed_is_nothing_in_the_three(desk: MoneyOffice) -> None:
    desk.money.refund_failed(FINANCE, desk.sent_refund(), "account closed", key())
    assert classes(reconcile(desk, row("r-1", "120.00"))) == {"r-1": "matched"}


def test_reconciling_changes_nothing_however_often(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "1.00", "r-1")
    before = desk.balances()
    reports = [reconcile(desk, row("r-9", "5.00", bill=bill)) for _ in range(2)]
    assert reports[0] == reports[1]
    assert desk.balances() == before


def test_a_payment_that_only_the_bank_knows_is_taken_in_once(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    first = reconcile(desk, row("r-1", AMOUNT, bill=bill), row("r-2", "5.00"), take_in=True)
    assert classes(first) == {"r-1": "missing_in_engine", "r-2": "missing_in_engine"}
    assert desk.state(number) == "paid"
    after = desk.balances()
    assert (after["bank"], after["suspense"]) == (Decimal(AMOUNT) + 5, Decimal(-5))
    second = reconcile(desk, row("r-1", AMOUNT, bill=bill), row("r-2", "5.00"), take_in=True)
    assert second.clean
    assert desk.balances() == after
    # The bank's own notice, when it comes at last, is the same payment.
    told = desk.pay(bill, AMOUNT, "r-1", paid_at=desk.now[-1] + timedelta(hours=5))
    assert (told["outcome"], desk.balances()) == ("settled", after)


def test_what_the_file_says_twice_is_not_taken_in(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    reconcile(desk, row("r-1", "5.00", bill=bill), row("r-1", "5.00", bill=bill), take_in=True)
    assert "bank" not in desk.balances()


def test_a_refund_that_the_bank_carried_out_is_confirmed_by_its_file(desk: MoneyOffice) -> None:
    desk.sent_refund()
    rows = (row("r-1", "120.00"), row("out-1", "4.42", "debit"))
    assert reconcile(desk, *rows).clean
    assert [each["state"] for each in desk.refunds()] == ["sent"]
    for _ in range(2):
        reconcile(desk, *rows, take_in=True)
        assert [each["state"] for each in desk.refunds()] == ["confirmed"]


def left(report: Report) -> dict[str, str]:
    return {each.reference: each.why for each in report.left}


def test_one_entry_that_cannot_be_taken_in_does_not_keep_the_others_out(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pay(bill, "7.00", "r-1", status="refused")
    report = reconcile(desk, row("r-1", "9.00", bill=bill), row("r-2", AMOUNT, bill=bill), take_in=True)
    assert classes(report) == {"r-1": "refused", "r-2": "missing_in_engine"}
    assert left(report) == {"r-1": "The reference r-1 was used for another payment."}
    assert desk.state(number) == "paid"
    assert report.to_json()["left"] == [
        {
            "reference": "r-1",
            "direction": "credit",
            "place": "bank.csv:2",
            "why": "The reference r-1 was used for another payment.",
        }
    ]


def test_a_payment_that_the_bank_told_us_failed_and_then_booked_is_taken_in(desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1", status="refused")
    rows = row("r-1", AMOUNT, bill=bill)
    assert classes(reconcile(desk, rows, take_in=True)) == {"r-1": "refused"}
    assert desk.state(number) == "paid"
    assert reconcile(desk, rows).clean


def test_a_payment_notified_under_another_reference_is_not_taken_in_a_second_time(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, AMOUNT, "notified")
    for _ in range(2):
        report = reconcile(
            desk, row("booked", AMOUNT, bill=bill), row("more", "5.00", bill=bill), take_in=True
        )
    assert list(left(report)) == ["booked"]
    assert "under another reference" in left(report)["booked"]
    assert desk.balances()["bank"] == Decimal(AMOUNT) + 5


@pytest.mark.parametrize("marked", [True, False])
def test_a_refund_that_came_back_is_no_payment_whether_or_not_the_bank_marks_it(
    desk: MoneyOffice, marked: bool
) -> None:
    refund = desk.sent_refund()
    rows = (row("r-1", "120.00"), row("out-1", "4.42", "debit"), row("out-1", "4.42", reversal=marked))
    report = reconcile(desk, *rows, take_in=True)
    assert [str(item.kind) for item in report.items if item.reference == "out-1"] == ["reversed", "matched"]
    assert "note that it failed" in left(report)["out-1"]
    # The bank's own debit confirmed it; that it came back after all, a person notes.
    assert desk.balances()["bank"] == Decimal(AMOUNT)
    assert desk.money.waiting(FINANCE)["items"] == []
    assert desk.refunds()[0]["id"] == refund


def test_a_refund_that_failed_and_was_booked_both_ways_matches_both_entries(desk: MoneyOffice) -> None:
    desk.money.refund_failed(SECOND, desk.sent_refund(), "account closed", key())
    rows = (row("r-1", "120.00"), row("out-1", "4.42", "debit"), row("out-1", "4.42"))
    report = reconcile(desk, *rows)
    assert report.clean
    totals = report.to_json()["totals"]
    sums = {"engine": "124.42", "bank": "124.42", "ledger": "124.42"}
    assert totals["credit"]["total"] == {"count": 2, **sums}
    # Only one of the two is half of the truth.
    half = reconcile(desk, *rows[:2])
    assert [str(item.kind) for item in half.items] == ["matched", "missing_at_bank", "matched"]


def test_a_refund_that_came_back_days_later_is_a_movement_of_each_day(desk: MoneyOffice) -> None:
    refund = desk.sent_refund()
    desk.pass_days(3)
    desk.money.refund_failed(SECOND, refund, "account closed", key())
    first = (row("r-1", "120.00"), row("out-1", "4.42", "debit"))
    assert reconcile(desk, *first).clean
    later = DAY + timedelta(days=3)
    books = ("ledger.csv", desk.money.ledger(AUDITOR, later, later).encode())
    bank = HEADER + row("out-1", "4.42", day=later, reversal=True)
    assert desk.money.reconcile(FINANCE, ("bank.csv", bank.encode()), books, later).clean
    # The books say that it came back: a file of that day without it is told.
    without = desk.money.reconcile(FINANCE, ("bank.csv", HEADER.encode()), books, later)
    assert classes(without) == {"out-1": "missing_at_bank"}


def test_a_payment_that_the_bank_took_back_is_told_beside_the_payment(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1")
    report = reconcile(
        desk,
        row("r-1", AMOUNT),
        row("r-1", AMOUNT, "debit", reversal=True),
        row("fee", "2.00", "debit"),
        take_in=True,
    )
    assert [(item.direction, str(item.kind)) for item in report.items] == [
        ("credit", "matched"),
        ("debit", "missing_in_engine"),
        ("debit", "reversed"),
    ]
    assert set(left(report)) == {"r-1", "fee"}


def test_a_reference_of_another_day_in_the_other_direction_is_not_missed(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "1.00", "r-1", paid_at=desk.now[-1] - timedelta(days=3))
    report = reconcile(desk, row("r-1", "1.00", "debit", reversal=True))
    assert [(item.direction, str(item.kind)) for item in report.items] == [("debit", "reversed")]


def test_only_who_sees_money_reconciles_and_only_finance_takes_in(desk: MoneyOffice) -> None:
    files = ("b", HEADER.encode()), ("l", desk.money.ledger(AUDITOR, DAY, DAY).encode())
    assert desk.money.reconcile(AUDITOR, *files, DAY).clean
    with pytest.raises(PermissionDenied):
        desk.money.reconcile(CENTRE, *files, DAY)
    with pytest.raises(PermissionDenied):
        desk.money.reconcile(AUDITOR, *files, DAY, take_in=True)


def test_a_money_report_holds_nothing_of_a_person(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1")
    told: list[Any] = [reconcile(desk).to_json(), desk.money.ledger(AUDITOR, DAY, DAY), desk.bill(bill)]
    assert not any("1058529940" in str(each) or "نورة" in str(each) for each in told)
