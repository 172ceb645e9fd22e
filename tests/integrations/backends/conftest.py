"""An office that presents its bills at a real payment system over loopback."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.secret import SecretFile
from foundation.settings import Settings
from integrations.backends import sadad
from integrations.bill_presentment import open_presenter
from integrations.desks.bills import BillsDesk
from tests.integrations.backends.payment_system import PaymentSystem, keep_token, payment_system, section_of
from tests.integrations.money_office import MoneyOffice, open_money_office


def moment() -> datetime:
    """What a signature is of: the moment of this machine, whatever day the office has."""
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def one_system() -> Iterator[PaymentSystem]:
    with payment_system() as one:
        yield one


@pytest.fixture
def system(one_system: PaymentSystem) -> PaymentSystem:
    # Each test has a database of its own, and bills with the same numbers.
    one_system.told("answer", forget=True)
    return one_system


@pytest.fixture
def house(database: Database, tmp_path: Path) -> MoneyOffice:
    return open_money_office(database, tmp_path)


@pytest.fixture
def bills(house: MoneyOffice, system: PaymentSystem, tmp_path: Path) -> BillsDesk:
    secrets = SecretFile(tmp_path / "bills.json", tmp_path / "bills.key")
    keep_token(secrets)
    settings = Settings(backends={"bills": section_of(system, tmp_path)})
    return BillsDesk(house.money.desk, house.money, open_presenter(settings, secrets, moment))


@pytest.fixture
def hurried(house: MoneyOffice, system: PaymentSystem, tmp_path: Path) -> BillsDesk:
    """The same, with no patience."""
    secrets = SecretFile(tmp_path / "bills.json", tmp_path / "bills.key")
    keep_token(secrets)
    section = section_of(system, tmp_path, timeout=1.0, total=2.0)
    presenter = sadad.open_presenter("bills", section, secrets, moment)
    house.office.jobs._known.clear()
    return BillsDesk(house.money.desk, house.money, presenter)
