import csv
import io
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import InvalidInput, Malformed, PermissionDenied, RakeezaError, TooLarge
from integrations.cases import bank_file, ledger
from integrations.cases.bank_file import Entry
from integrations.cases.reconciliation import COLUMNS, Class, Report
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
HEADER = "reference,direction,amount,day,bill_number\n"


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> MoneyOffice:
    return open_money_office(database, tmp_path)


def row(reference: str, amount: str, way: str = "credit", day: date = DAY, bill: str = "") -> str:
    return f"{reference},{way},{amount},{day},{bill}\n"


def reconcile(desk: MoneyOffice, *rows: str, books: str | None = None, take_in: bool = False) -> Report:
    bank = ("bank.csv", (HEADER + "".join(rows)).encode())
    export = desk.money.ledger(AUDITOR, DAY, DAY) if books is None else books
    return desk.money.reconcile(FINANCE, bank, ("ledger.csv", export.encode()), DAY, take_in)


def classes(report: Report) -> dict[str, str]:
    return {item.reference: str(item.kind) for item in report.items}


def camt(*entries: str, balances: str = "", head: str = "") -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{head}'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt><Stmt><Id>1</Id>'
        f"{balances}{''.join(entries)}</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def ntry(amount: str, way: str = "CRDT", details: str = "", own: str = "r-1", status: str = "BOOK") -> str:
    return (
        f'<Ntry><Amt Ccy="SAR">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd><Sts><Cd>{status}</Cd></Sts>'
        f"<BookgDt><Dt>2026-11-22</Dt></BookgDt><AcctSvcrRef>{own}</AcctSvcrRef>{details}</Ntry>"
    )


def balance(code: str, amount: str, way: str = "CRDT") -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="SAR">{amount}</Amt><CdtDbtInd>{way}</CdtDbtInd></Bal>'
    )


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
    }
    assert set(classes(report).values()) == {str(each) for each in Class}
    twice = next(item for item in report.items if item.reference == "twice")
    assert twice.also == (Class.AMOUNTS_DIFFER,)


def test_the_sums_of_the_classes_are_the_sums_of_the_sources(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    desk.pay("2699999999990", "7.77", "r-2")
    (refund,) = desk.refunds()
    desk.money.approve_refund(FINANCE, refund["id"], key())
    desk.money.refund_sent(FINANCE, refund["id"], "out-1", key())
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
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    (refund,) = desk.refunds()
    desk.money.approve_refund(FINANCE, refund["id"], key())
    desk.money.refund_sent(FINANCE, refund["id"], "out-1", key())
    desk.money.refund_failed(FINANCE, refund["id"], "account closed", key())
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
    _, bill = desk.billed()
    desk.pay(bill, "120.00", "r-1")
    (refund,) = desk.refunds()
    desk.money.approve_refund(SECOND, refund["id"], key())
    desk.money.refund_sent(SECOND, refund["id"], "out-1", key())
    rows = (row("r-1", "120.00"), row("out-1", "4.42", "debit"))
    assert reconcile(desk, *rows).clean
    assert [each["state"] for each in desk.refunds()] == ["sent"]
    for _ in range(2):
        reconcile(desk, *rows, take_in=True)
        assert [each["state"] for each in desk.refunds()] == ["confirmed"]


def test_only_who_sees_money_reconciles_and_only_finance_takes_in(desk: MoneyOffice) -> None:
    files = ("b", HEADER.encode()), ("l", desk.money.ledger(AUDITOR, DAY, DAY).encode())
    assert desk.money.reconcile(AUDITOR, *files, DAY).clean
    with pytest.raises(PermissionDenied):
        desk.money.reconcile(CENTRE, *files, DAY)
    with pytest.raises(PermissionDenied):
        desk.money.reconcile(AUDITOR, *files, DAY, take_in=True)


def test_a_report_is_read_as_csv(desk: MoneyOffice) -> None:
    report = reconcile(desk, row("r-9", "5.00"))
    (read,) = csv.DictReader(io.StringIO(report.to_csv()))
    assert tuple(read) == COLUMNS
    assert (read["class"], read["also"], read["bank"], read["engine"]) == (
        "missing_in_engine",
        "missing_in_ledger",
        "5.00",
        "",
    )


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
    with pytest.raises(Malformed, match="no export"):
        ledger.read_export(b"a,b\n1,2\n", "ledger.csv")
    with pytest.raises(Malformed):
        ledger.read_export(export.replace(AMOUNT, "much").encode(), "ledger.csv")


def test_a_camt_statement_is_read_with_its_batches_and_its_refunds() -> None:
    def part(reference: str, amount: str) -> str:
        return (
            f"<TxDtls><Refs><AcctSvcrRef>{reference}</AcctSvcrRef></Refs>"
            f'<Amt Ccy="SAR">{amount}</Amt><RmtInf><Strd>'
            "<CdtrRefInf><Ref>2600000000017</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>"
        )

    batch = f"<NtryDtls>{part('r-1', '1.50')}{part('r-2', '2.50')}</NtryDtls>"
    refund = "<NtryDtls><TxDtls><Refs><EndToEndId>out-1</EndToEndId></Refs></TxDtls></NtryDtls>"
    pending = ntry("9.00", own="r-9", status="PDNG")
    found = bank_file.read(
        camt(
            ntry("4.00", details=batch),
            ntry("1.00", "DBIT", refund, "b-7"),
            pending,
            balances=balance("OPBD", "0.00") + balance("CLBD", "3.00"),
        ),
        "statement.xml",
    )
    assert [(each.reference, each.direction, each.amount, each.bill_number) for each in found] == [
        ("r-1", "credit", Decimal("1.50"), "2600000000017"),
        ("r-2", "credit", Decimal("2.50"), "2600000000017"),
        ("out-1", "debit", Decimal("1.00"), ""),
    ]
    assert {each.day for each in found} == {DAY}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (camt(ntry("1.00"), head="<!DOCTYPE a>"), "document type"),
        (camt(ntry("1.00"), head='<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'), "document type"),
        (camt(ntry("1.00")).replace(b"camt.053", b"pain.001"), r"no camt\.053"),
        (camt(ntry("1.00"))[:-20], "no readable XML"),
        (b"<a>" * 100_000, "no readable XML"),
        (camt(ntry("1.00").replace("SAR", "USD")), "not SAR"),
        (camt(ntry("1.00", "SIDE")), "neither credit nor debit"),
        (camt(ntry("1e3")), "amount"),
        (camt(ntry("1.00", own=" ")), "no reference"),
        (
            camt(ntry("2.00", details='<NtryDtls><TxDtls><Amt Ccy="SAR">1.00</Amt></TxDtls></NtryDtls>')),
            "do not come to",
        ),
        (camt(ntry("1.00"), balances=balance("OPBD", "5.00") + balance("CLBD", "5.00")), "do not lead"),
        (b"reference,amount\nr-1,1.00\n", "no column day"),
        (b"reference,amount,day\nr-1,1.001,2026-11-22\n", "amount or day"),
        (b"reference,amount,day\nr-1,1.00,22/11/2026\n", "amount or day"),
        (b"reference,amount,day\n,1.00,2026-11-22\n", "no reference"),
        (b"reference,amount,day,direction\nr-1,1.00,2026-11-22,up\n", "neither credit nor debit"),
        (b"reference,amount,day\nr-1,1.00\n", "amount or day"),
        (b"\xff\xfe\x00", "no readable CSV"),
        (b"", "no column"),
    ],
)
def test_a_file_that_cannot_be_read_whole_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(RakeezaError, match=why) as refused:
        bank_file.read(content, "bank")
    assert refused.value.place.startswith("bank")
    assert isinstance(refused.value, InvalidInput)


def test_a_file_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_file, "LARGEST", 10)
    with pytest.raises(TooLarge):
        bank_file.read(HEADER.encode(), "bank")


def test_other_columns_spaces_and_a_byte_order_mark_do_no_harm() -> None:
    data = "\ufeffday,channel,amount,reference\n 2026-11-22 ,صراف, 5.00 , r-1 \n".encode()
    assert bank_file.read(data, "b") == [Entry("r-1", "credit", Decimal("5.00"), DAY, "", "b:2")]


def test_a_money_report_holds_nothing_of_a_person(desk: MoneyOffice) -> None:
    _, bill = desk.billed()
    desk.pay(bill, AMOUNT, "r-1")
    told: list[Any] = [reconcile(desk).to_json(), desk.money.ledger(AUDITOR, DAY, DAY), desk.bill(bill)]
    assert not any("1058529940" in str(each) or "نورة" in str(each) for each in told)
