"""Bills told to a real payment system over loopback: each once, in order, until it stands there as here."""

import multiprocessing
from datetime import date, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict, NotFound, PermissionDenied, SettingsError
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from foundation.settings import Settings
from integrations.bill_presentment import Request, open_presenter
from integrations.cases import bill_uploads
from integrations.desks.bills import SETTLE, UPLOAD, BillsDesk
from integrations.resilience.look_ups import standings
from tests.integrations.backends.conftest import moment
from tests.integrations.backends.fault_table import column
from tests.integrations.backends.payment_system import PaymentSystem, section_of
from tests.integrations.money_office import (
    AMOUNT,
    AUDITOR,
    CENTRE,
    FINANCE,
    MoneyOffice,
    key,
    open_money_office,
)
from tests.processes import until

LONG = timedelta(hours=2)


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


@pytest.mark.parametrize(("mode", "reasons"), column("uploads").items())
def test_an_upload_without_an_answer_is_neither_lost_nor_taken_for_one(
    house: MoneyOffice, hurried: BillsDesk, system: PaymentSystem, mode: str, reasons: tuple[str, ...]
) -> None:
    house.billed()
    assert hurried.upload() == 1
    _, bill = house.billed()
    if mode == "down":
        system.stop()
    else:
        system.told(mode, seconds=0.1 if mode.startswith("drip") else 5)
    assert hurried.upload() == 0
    waits = _waits(house)
    assert waits is not None
    assert (waits[0], waits[1] in reasons) == (1, True), waits
    if mode == "down":
        # What comes up after that has another key, and forgot all.
        system.start()
        return
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
    with house.database.transaction() as session:
        (stands,) = standings(session, ["bills"])
    assert (stands.reason, stands.answered_at) == ("server", None)
    assert stands.unanswered_since is not None
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


def work_elsewhere(url: str, folder: str, port: int) -> None:
    """Run a worker until killed: what a process of its own does."""
    house = open_money_office(Database(url), Path(folder))
    secrets = SecretFile(Path(folder) / "bills.json", Path(folder) / "bills.key")
    settings = Settings(backends={"bills": section_of(PaymentSystem("sadad_server", port), Path(folder))})
    BillsDesk(house.money.desk, house.money, open_presenter(settings, secrets, moment))
    house.office.jobs.work(queues=["bills"])


def test_an_upload_whose_worker_was_killed_goes_on_and_is_taken_once(
    house: MoneyOffice, bills: BillsDesk, system: PaymentSystem, database_url: str, tmp_path: Path
) -> None:
    _, bill = house.billed()
    bills.follow()
    system.told("slow", times=1, seconds=60)
    worker = multiprocessing.get_context("spawn").Process(
        target=work_elsewhere, args=(database_url, str(tmp_path), system.port)
    )
    worker.start()
    until(lambda: len(system.uploads()) == 1, "the upload")
    worker.kill()
    worker.join()
    worker.close()

    def put_back() -> bool:
        bills.follow()
        return bool(house.sum("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"))

    until(put_back, "the killed worker's job")
    undone = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
    house.office.jobs.work(["bills"], stop=lambda: not house.sum(undone))
    assert _waits(house) is None
    assert _statuses(system, bill) == [("new", AMOUNT)]


# Settings.


def test_without_a_payment_system_nothing_is_done(house: MoneyOffice, tmp_path: Path) -> None:
    secrets = SecretFile(tmp_path / "bills.json", tmp_path / "bills.key")
    assert open_presenter(Settings(), secrets, lambda: house.now[-1]) is None
    desk = BillsDesk(house.money.desk, house.money, None)
    house.billed()
    desk.follow()
    assert house.sum("SELECT count(*) FROM procrastinate_jobs WHERE task_name LIKE 'bills.%'") == 0
    for act in (
        lambda: desk.settle(FINANCE, date(2026, 11, 21)),
        lambda: desk.notified(Request("POST", "/", [], b"")),
    ):
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
