import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.bootstrap import open_platform
from foundation.database import Database
from foundation.settings import load
from tests.console.rakeeza_types import Rakeeza
from tests.integrations.backends.payment_system import PaymentSystem, keep_token, payment_system, section_of
from tests.integrations.money_office import AMOUNT, MoneyOffice, open_money_office

pytest_plugins = ["tests.console.rakeeza_command"]


@pytest.fixture
def system() -> Iterator[PaymentSystem]:
    with payment_system() as one:
        yield one


@pytest.fixture
def settings_file(tmp_path: Path, database_url: str, system: PaymentSystem) -> Path:
    """Settings with the payment system."""
    section = section_of(system, tmp_path)
    path = tmp_path / "rakeeza.toml"
    path.write_text(
        f"[platform]\nfolder = {json.dumps(str(tmp_path / 'platform'))}\n"
        f"[database]\nurl = {json.dumps(database_url)}\n"
        f"[backends.bills]\nurl = {json.dumps(section.url)}\ndriver = 'sadad'\nsecret = 'bills-token'\n"
        f"signed = 'http'\nanswer_keys = {json.dumps(str(section.answer_keys))}\n",
        encoding="utf-8",
    )
    keep_token(load(path, {}).secrets())
    return path


@pytest.fixture
def desk(database: Database, settings_file: Path) -> MoneyOffice:
    """An office on the database and with the secrets that the command has."""
    return open_money_office(database, load(settings_file, {}).platform.folder)


def _upload(settings_file: Path) -> None:
    with open_platform(load(settings_file, {}), "test") as platform:
        platform.licensing.bills.upload()


def test_what_was_not_taken_is_shown_and_told_again(
    rakeeza: Rakeeza, desk: MoneyOffice, system: PaymentSystem, settings_file: Path
) -> None:
    _, bill = desk.billed()
    system.told("answer", refused={bill: "amount_refused"})
    _upload(settings_file)
    (found,) = rakeeza("bills", "show", "--format", "json").rows["discrepancies"]
    assert (found["bill_number"], found["code"]) == (bill, "amount_refused")
    assert bill in rakeeza("bills", "show").out
    system.told("answer")
    assert rakeeza("bills", "seen", str(found["upload"]), bill, "--again").code == 0
    _upload(settings_file)
    assert system.owed()[bill] == AMOUNT
    assert rakeeza("bills", "show", "--format", "json").rows["discrepancies"] == []
    assert rakeeza("bills", "seen", str(found["upload"]), bill).code != 0


def test_a_rejected_upload_is_shown_and_given_up(
    rakeeza: Rakeeza, desk: MoneyOffice, system: PaymentSystem, settings_file: Path
) -> None:
    _, bill = desk.billed()
    system.told("reject", times=1)
    _upload(settings_file)
    (found,) = rakeeza("bills", "show", "--format", "json").rows["uploads"]
    assert (found["state"], found["reason"]) == ("parked", "status_422")
    assert rakeeza("bills", "again", str(found["id"])).code == 0
    _upload(settings_file)
    assert system.owed()[bill] == AMOUNT


def test_a_settlement_that_differs_ends_with_one(
    rakeeza: Rakeeza, desk: MoneyOffice, system: PaymentSystem, settings_file: Path
) -> None:
    _, bill = desk.billed()
    _upload(settings_file)
    clean = rakeeza("bills", "settle", "2026-11-21")
    assert (clean.code, clean.err) == (0, "")
    paid = system.pay(bill, AMOUNT, paid_at=desk.now[-1].isoformat(), notified=False)
    report = rakeeza("bills", "settle", "2026-11-22", "--format", "json")
    assert report.code == 1
    (item,) = report.rows["items"]
    assert (item["class"], item["reference"]) == ("missing_in_engine", paid["reference"])
    assert paid["reference"] in rakeeza("bills", "settle", "2026-11-22").out
    shown = rakeeza("bills", "show", "--format", "json").rows["settlements"]
    assert [(each["day"], each["clean"]) for each in shown] == [("2026-11-22", False), ("2026-11-21", True)]


def test_a_settlement_that_is_not_there_is_one_sentence(rakeeza: Rakeeza, system: PaymentSystem) -> None:
    system.told("answer", unsettled=("2026-11-22",))
    done = rakeeza("bills", "settle", "2026-11-22")
    assert done.code != 0
    assert done.err.count("\n") == 1
