"""Bills told to a real payment system over loopback, its notices and its settlements taken."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict, NotAuthenticated, NotFound, PermissionDenied, SettingsError
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from foundation.settings import Settings
from integrations.backend import BackendUnavailable
from integrations.backends import sadad
from integrations.bill_presentment import Request, open_presenter
from integrations.cases import bill_settlements, bill_uploads
from integrations.cases.reconciliation import Class
from integrations.desks.bills import SETTLE, UPLOAD, BillsDesk
from tests.integrations.backends.payment_system import PaymentSystem, keep_token, payment_system, section_of
from tests.integrations.money_office import (
    AMOUNT,
    AUDITOR,
    CENTRE,
    FINANCE,
    MoneyOffice,
    key,
    open_money_office,
)

TODAY = date(2026, 11, 22)
LONG = timedelta(hours=2)


@pytest.fixture(scope="module")
def running() -> Iterator[PaymentSystem]:
    with payment_system() as one:
        yield one


@pytest.fixture
def system(running: PaymentSystem) -> PaymentSystem:
    # Each test has a database of its own, and bills with the same numbers.
    running.told("answer", forget=True)
    return running


@pytest.fixture
def house(database: Database, tmp_path: Path) -> MoneyOffice:
    return open_money_office(database, tmp_path)


@pytest.fixture
def bills(house: MoneyOffice, system: PaymentSystem, tmp_path: Path) -> BillsDesk:
    secrets = SecretFile(tmp_path / "bills.json", tmp_path / "bills.key")
    keep_token(secrets)
    settings = Settings(backends={"bills": section_of(system, tmp_path)})
    return BillsDesk(house.money.desk, house.money, open_presenter(settings, secrets, lambda: house.now[-1]))


@pytest.fixture
def hurried(house: MoneyOffice, system: PaymentSystem, tmp_path: Path) -> BillsDesk:
    """The same, with no patience."""
    secrets = SecretFile(tmp_path / "bills.json", tmp_path / "bills.key")
    keep_token(secrets)
    section = section_of(system, tmp_path, timeout=1.0, total=2.0)
    presenter = sadad.open_presenter("bills", section, secrets, lambda: house.now[-1])
    house.office.jobs._known.clear()
    return BillsDesk(house.money.desk, house.money, presenter)


def _statuses(system: PaymentSystem, bill: str) -> list[tuple[str, str]]:
    return [
        (each["status"], each["amount"])
        for upload in system.uploads()
        for each in upload["bills"]
        if each["bill_number"] == bill
    ]


def _waits(house: MoneyOffice) -> tuple[int, str] | None:
    with house.database.transaction() as session:
        row = session.execute(
            text("SELECT attempts, reason FROM bill_upload WHERE state = 'waiting'")
        ).one_or_none()
    return None if row is None else (row.attempts, row.reason)


def test_a_bill_is_told_once_and_then_no_more(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    _, bill = house.billed()
    assert bills.upload() == 1
    assert system.owed()[bill] == AMOUNT
    assert bills.upload() == 0
    assert _statuses(system, bill) == [("new", AMOUNT)]


def test_what_changes_of_a_bill_is_told_anew(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    number, bill = house.billed()
    bills.upload()
    house.pay(bill, "15.58", "counter-1")
    bills.upload()
    assert system.owed()[bill] == "100.00"
    house.take(number, "cancel")
    bills.upload()
    assert system.owed()[bill] == "0.00"
    assert _statuses(system, bill) == [("new", AMOUNT), ("updated", "100.00"), ("expired", "0.00")]


def test_a_bill_that_was_paid_elsewhere_is_taken_down(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    _, bill = house.billed()
    bills.upload()
    house.pay(bill, AMOUNT, "counter-2")
    assert bills.upload() == 1
    assert system.owed()[bill] == "0.00"


def test_a_bill_that_is_void_before_it_was_told_is_never_told(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    number, bill = house.billed()
    house.take(number, "cancel")
    assert bills.upload() == 0
    assert bill not in system.owed()


def test_more_bills_than_one_upload_holds_go_in_several(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bill_uploads, "MOST_BILLS", 2)
    made = [house.billed()[1] for _ in range(5)]
    assert bills.upload() == 3
    assert all(system.owed()[bill] == AMOUNT for bill in made)
    assert all(len(_statuses(system, bill)) == 1 for bill in made)


def test_an_upload_whose_answer_was_lost_is_sent_again_under_its_key(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    _, bill = house.billed()
    system.told("drop_after", times=1)
    assert bills.upload() == 0
    waits = _waits(house)
    assert waits is not None
    assert waits[0] == 1
    # Not before its time, and what comes meanwhile does not overtake it.
    _, second = house.billed()
    assert bills.upload() == 0
    assert second not in system.owed()
    house.now.append(house.now[-1] + LONG)
    assert bills.upload() == 2
    assert _statuses(system, bill) == [("new", AMOUNT)]
    assert _statuses(system, second) == [("new", AMOUNT)]


FAULTS = {
    "slow": "timeout",
    "drip": "timeout",
    "drip_head": "timeout",
    "half": "protocol",
    "reset": "network",
    "drop_before": "protocol",
    "error": "server",
    "overloaded": "server",
    "rate_limit": "rate_limit",
    "nonsense": "malformed",
    "huge": "too_large",
    "redirect": "unexpected_status",
    "wrong_schema": "wrong_shape",
    "wrong_signature": "wrong_signature",
    "unsigned": "wrong_signature",
    "other_upload": "not_ours",
    "wrong_count": "not_ours",
    "wrong_sum": "not_ours",
    "strange_bill": "not_ours",
}


@pytest.mark.parametrize(("mode", "reason"), FAULTS.items())
def test_an_upload_without_an_answer_is_neither_lost_nor_taken_for_one(
    house: MoneyOffice, hurried: BillsDesk, system: PaymentSystem, mode: str, reason: str
) -> None:
    _, bill = house.billed()
    system.told(mode, seconds=0.1 if mode.startswith("drip") else 5)
    assert hurried.upload() == 0
    assert _waits(house) == (1, reason)
    system.told("answer")
    house.now.append(house.now[-1] + LONG)
    assert hurried.upload() == 1
    assert system.owed()[bill] == AMOUNT
    assert _waits(house) is None


def test_a_payment_system_that_is_away_for_long_is_told_of(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    house.billed()
    system.told("error")
    for _ in range(16):
        assert bills.upload() == 0
        house.now.append(house.now[-1] + LONG)
    told = house.events(bill_uploads.DELAYED)
    assert [each["attempts"] for each in told] == [8, 16]
    assert told[0]["reason"] == "server"


def test_each_discrepancy_is_told_and_waits_for_a_person(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    (_, good), (_, bad) = house.billed(), house.billed()
    system.told("answer", refused={bad: "amount_refused"})
    assert bills.upload() == 1
    (told,) = house.events(bill_uploads.DISCREPANCY)
    assert (told["bill_number"], told["code"], told["amount"]) == (bad, "amount_refused", AMOUNT)
    assert system.owed()[good] == AMOUNT
    assert bad not in system.owed()
    (open_one,) = bills.unfinished(AUDITOR)["discrepancies"]
    assert open_one["bill_number"] == bad
    with pytest.raises(PermissionDenied):
        bills.see(AUDITOR, open_one["upload"], bad, True, key())
    system.told("answer")
    assert bills.see(FINANCE, open_one["upload"], bad, True, key()).body["seen_by"] == FINANCE.actor
    assert bills.unfinished(AUDITOR)["discrepancies"] == []
    assert bills.upload() == 1
    assert system.owed()[bad] == AMOUNT
    with pytest.raises(NotFound):
        bills.see(FINANCE, open_one["upload"], bad, True, key())


def test_an_upload_that_is_rejected_waits_for_a_person_and_holds_nobody_up(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem
) -> None:
    number, bill = house.billed()
    system.told("reject", times=1)
    bills.upload()
    (told,) = house.events(bill_uploads.PARKED)
    assert told["reason"] == "status_422"
    _, other = house.billed()
    bills.upload()
    assert other in system.owed()
    assert bill not in system.owed()
    (parked,) = bills.unfinished(FINANCE)["uploads"]
    with pytest.raises(PermissionDenied):
        bills.tell_again(CENTRE, parked["id"], key())
    assert bills.tell_again(FINANCE, parked["id"], key()).body["state"] == "dropped"
    with pytest.raises(Conflict):
        bills.tell_again(FINANCE, parked["id"], key())
    bills.upload()
    assert system.owed()[bill] == AMOUNT
    house.take(number, "cancel")
    system.told("reject", times=1)
    bills.upload()
    (parked,) = bills.unfinished(FINANCE)["uploads"]
    bills.tell_again(FINANCE, parked["id"], key())
    bills.upload()
    assert system.owed()[bill] == "0.00"


def test_two_workers_make_one_upload(house: MoneyOffice, bills: BillsDesk, system: PaymentSystem) -> None:
    made = [house.billed()[1] for _ in range(4)]
    workers = [Thread(target=bills.upload) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(_statuses(system, bill) == [("new", AMOUNT)] for bill in made)


# Notices: their signature is by the moment of this machine, and so is the clock that reads them.


def _notice(bills: BillsDesk, **other: Any) -> Request:
    del bills
    given = {"method": "POST", "path": "/bills/notices", "fields": [], "body": b"{}"}
    return Request(**{**given, **other})


def test_a_notice_that_nobody_signed_is_refused(house: MoneyOffice, bills: BillsDesk) -> None:
    house.billed()
    with pytest.raises(NotAuthenticated) as caught:
        bills.notified(_notice(bills))
    assert caught.value.message_ar
    assert house.sum("SELECT count(*) FROM case_payment") == 0


# Settlements.


def _pay_all(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, count: int
) -> list[tuple[str, str]]:
    made = [house.billed()[1] for _ in range(count)]
    bills.upload()
    at = house.now[-1].isoformat()
    return [(bill, system.pay(bill, AMOUNT, paid_at=at, notified=False)["reference"]) for bill in made]


def _told_by_the_system(house: MoneyOffice, bill: str, reference: str, amount: str = AMOUNT) -> None:
    from integrations.cases.payments import Notice
    from integrations.desks import bills as desk

    notice = Notice(bill, Decimal(amount), house.now[-1], reference)
    house.money.notify(desk._SYSTEM, notice, key())


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


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        ("missing_page", "not_whole"),
        ("wrong_count", "not_whole"),
        ("wrong_sum", "not_whole"),
        ("other_day", "not_ours"),
        ("unsigned", "wrong_signature"),
        ("wrong_signature", "wrong_signature"),
        ("wrong_schema", "wrong_shape"),
        ("half", "protocol"),
        ("error", "server"),
    ],
)
def test_half_a_settlement_is_none(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, mode: str, reason: str
) -> None:
    _pay_all(house, bills, system, 1)
    system.told(mode)
    with pytest.raises(BackendUnavailable) as caught:
        bills.settle(FINANCE, TODAY)
    assert caught.value.reason == reason
    assert house.sum("SELECT count(*) FROM bill_settlement WHERE state = 'taken'") == 0


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


def test_the_rounds_enqueue_what_is_due_and_nothing_twice(house: MoneyOffice, bills: BillsDesk) -> None:
    def waiting() -> list[tuple[str, Any]]:
        with house.database.transaction() as session:
            rows = session.execute(
                text(
                    "SELECT task_name, args #>> '{payload,day}' AS day FROM procrastinate_jobs "
                    "WHERE task_name LIKE 'bills.%' ORDER BY id"
                )
            )
            return [(row.task_name, row.day) for row in rows]

    bills.follow()
    assert waiting() == []
    house.billed()
    bills.follow()
    bills.follow()
    assert waiting() == [(UPLOAD, None)]
    bills.upload()
    house.pass_days(2)
    bills.follow()
    bills.follow()
    assert waiting() == [(UPLOAD, None), (SETTLE, "2026-11-22"), (SETTLE, "2026-11-23")]


# Settings.


def test_without_a_payment_system_nothing_is_done(house: MoneyOffice, tmp_path: Path) -> None:
    secrets = SecretFile(tmp_path / "bills.json", tmp_path / "bills.key")
    assert open_presenter(Settings(), secrets, lambda: house.now[-1]) is None
    desk = BillsDesk(house.money.desk, house.money, None)
    house.billed()
    desk.follow()
    assert house.sum("SELECT count(*) FROM procrastinate_jobs WHERE task_name LIKE 'bills.%'") == 0
    for act in (lambda: desk.settle(FINANCE, TODAY), lambda: desk.notified(_notice(desk))):
        with pytest.raises(NotFound) as caught:
            act()
        assert caught.value.place == "backends.bills"


def test_a_payment_system_without_signatures_is_refused_at_the_start(
    house: MoneyOffice, tmp_path: Path
) -> None:
    secrets = SecretFile(tmp_path / "bills.json", tmp_path / "bills.key")
    for section, error in (
        (Section(url="http://127.0.0.1:9/", driver="sadad"), SettingsError),
        (Section(url="http://127.0.0.1:9/", driver="rest_registry"), NotFound),
    ):
        with pytest.raises(error, match=r"backends\.bills"):
            open_presenter(Settings(backends={"bills": section}), secrets, lambda: house.now[-1])
