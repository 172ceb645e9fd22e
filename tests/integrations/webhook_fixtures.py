"""Fixtures of webhooks; named by `pytest_plugins` in the modules that use them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.database import Database
from lab.registry import Registry, registry
from tests.integrations.outside_office import OutsideOffice
from tests.integrations.webhook_office import webhook_office
from tests.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on loopback."""
    with receiving() as running:
        yield running


@pytest.fixture(scope="module")
def commerce() -> Iterator[Registry]:
    """The registry that the office asks."""
    with registry() as running:
        yield running


@pytest.fixture
def office(database: Database, tmp_path: Path, commerce: Registry) -> OutsideOffice:
    """An office that may send to loopback."""
    return webhook_office(database, tmp_path, commerce)
