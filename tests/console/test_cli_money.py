import csv
import io
from pathlib import Path

import pytest

from foundation.database import Database
from tests.console.rakeeza_types import Rakeeza
from tests.integrations.money_office import AMOUNT, FINANCE, MoneyOffice, key, open_money_office

pytest_plugins = ["tests.console.rakeeza_command"]


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> MoneyOffice:
    """An office on the database and with the secrets that the command has."""
    folder = tmp_path / "platform"
    folder.mkdir(mode=0o700, exist_ok=True)
    return open_money_office(database, folder)


def test_a_bill_is_shown_with_its_payments_and_refunds(rakeeza: Rakeeza, desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    shown = rakeeza("money", "bill", bill)
    assert shown.code == 0
    assert f"{bill}: settled, {AMOUNT} SAR, rest 0.00 SAR, due 2026-11-27, case {number}" in shown.out
    whole = rakeeza("money", "bill", bill, "--format", "json").rows
    assert (whole["payments"][0]["reference"], whole["refunds"][0]["amount"]) == ("r-1", "4.42")


def test_a_bill_that_is_not_there_is_one_sentence(rakeeza: Rakeeza) -> None:
    done = rakeeza("money", "bill", "2600000000017")
    assert (done.code, done.err) == (
        66,
        "rakeeza: There is no bill of this number. Check the number; the case shows its bill.\n",
    )


def test_a_refund_is_listed_and_moved_step_by_step(rakeeza: Rakeeza, desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    (row,) = rakeeza("money", "refunds", "list", "--state", "due", "--format", "json").rows
    number = str(row["id"])
    assert rakeeza("money", "refunds", "approve", number).out == f"Refund {number} of 4.42 SAR is approved.\n"
    # Whoever approved it may not send it as well.
    refused = rakeeza("money", "refunds", "sent", number, "out-1")
    assert (refused.code, "may not send it as well" in refused.err) == (77, True)
    desk.money.refund_sent(FINANCE, row["id"], "out-1", key())
    told = rakeeza("money", "refunds", "failed", number, "account closed").out
    assert told == f"Refund {number} of 4.42 SAR is failed.\n"
    page = rakeeza("money", "refunds", "list", "--limit", "1", "--format", "json")
    cursor = page.err.split()[-1]
    (again,) = rakeeza("money", "refunds", "list", "--after", cursor, "--format", "json").rows
    assert (again["state"], again["reason"]) == ("due", "failed")
    # Whoever reported the failure asks for the new one, and may not approve it as well.
    refused = rakeeza("money", "refunds", "approve", str(again["id"]))
    assert (refused.code, "may not approve it as well" in refused.err) == (77, True)
    desk.money.approve_refund(FINANCE, again["id"], key())
    assert rakeeza("money", "refunds", "sent", str(again["id"]), "out-2").code == 0
    assert rakeeza("money", "refunds", "confirmed", str(again["id"])).code == 0


def test_a_payment_that_waits_is_listed_assigned_and_given_back(rakeeza: Rakeeza, desk: MoneyOffice) -> None:
    number, bill = desk.billed()
    desk.pay("2699999999990", AMOUNT, "r-1")
    desk.pay("2699999999990", "3.00", "r-2")
    rows = rakeeza("money", "waiting", "--format", "json").rows
    assert [(row["reference"], row["waiting"]) for row in rows] == [("r-1", AMOUNT), ("r-2", "3.00")]
    page = rakeeza("money", "waiting", "--limit", "1", "--format", "json")
    assert [row["reference"] for row in page.rows] == ["r-1"]
    command = page.err.strip().removeprefix("More: rakeeza ").split()
    assert [row["reference"] for row in rakeeza(*command, "--format", "json").rows] == ["r-2"]
    assert f"settled, {AMOUNT} SAR credited to {bill}" in rakeeza("money", "assign", "r-1", bill).out
    assert desk.state(number) == "paid"
    assert rakeeza("money", "give-back", "r-2").out == "r-2: 3.00 SAR owed back.\n"


def test_the_balance_adds_up(rakeeza: Rakeeza, desk: MoneyOffice) -> None:
    desk.billed()
    rows = rakeeza("money", "balance", "--format", "json").rows
    assert rows[-1] == {"account": "total", "debit": AMOUNT, "credit": AMOUNT, "balance": None}
    early = rakeeza("money", "balance", "--until", "2026-11-21", "--format", "json").rows
    assert [row["account"] for row in early] == ["total"]


def test_a_day_is_reconciled_from_two_files(rakeeza: Rakeeza, desk: MoneyOffice, tmp_path: Path) -> None:
    number, bill = desk.billed()
    desk.pay(bill, "15.58", "r-1")
    books, bank = tmp_path / "ledger.csv", tmp_path / "bank.csv"
    days = ("--from", "2026-11-22", "--to", "2026-11-22")
    assert rakeeza("money", "ledger", *days, "--output", str(books)).code == 0
    assert rakeeza("money", "ledger", *days).out == books.read_bytes().decode()
    assert rakeeza("money", "ledger", *days, "--by", "written").out.count(",payment,") == 2
    bank.write_text("reference,amount,day\nr-1,15.58,2026-11-22\n", encoding="utf-8")
    words = ("money", "reconcile", "--bank", str(bank), "--ledger", str(books), "--day", "2026-11-22")
    clean = rakeeza(*words)
    assert (clean.code, "Reconciliation of 2026-11-22" in clean.out) == (0, True)

    bank.write_text(
        f"reference,amount,day,bill_number\nr-1,15.58,2026-11-22,\nr-2,100.00,2026-11-22,{bill}\n",
        encoding="utf-8",
    )
    found = rakeeza(*words, "--format", "csv")
    assert found.code == 1
    rows = {row["reference"]: row["class"] for row in csv.DictReader(io.StringIO(found.out))}
    assert rows == {"r-1": "matched", "r-2": "missing_in_engine"}
    assert desk.state(number) == "billed"

    with bank.open("a", encoding="utf-8") as more:
        more.write("r-3,1.00,2026-11-22,\nr-3,1.00,2026-11-22,\n")
    taken = rakeeza(*words, "--take-in")
    assert taken.code == 1
    assert taken.err.endswith("bank.csv:4): the file has it more than once.\n")
    assert desk.state(number) == "paid"
    bank.write_text("reference,amount,day\nr-1,15.58,2026-11-22\nr-2,100.00,2026-11-22\n", encoding="utf-8")
    assert rakeeza("money", "ledger", *days, "--output", str(books)).code == 0
    after = rakeeza(*words, "--format", "json")
    assert (after.code, after.rows["clean"]) == (0, True)
    assert after.rows["totals"]["credit"]["total"]["bank"] == AMOUNT


@pytest.mark.parametrize("missing", ["--bank", "--ledger"])
def test_a_file_that_is_not_there_is_one_sentence(rakeeza: Rakeeza, tmp_path: Path, missing: str) -> None:
    there = tmp_path / "there"
    there.write_text("", encoding="utf-8")
    files = {"--bank": str(there), "--ledger": str(there), missing: str(tmp_path / "none")}
    words = [word for pair in files.items() for word in pair]
    done = rakeeza("money", "reconcile", *words, "--day", "2026-11-22")
    assert (done.code, "cannot be read" in done.err, "Traceback" in done.err) == (65, True, False)
