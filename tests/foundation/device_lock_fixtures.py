"""Locks on devices for tests; named by `pytest_plugins` in the modules that use them."""

from collections.abc import Iterator

import pytest

from foundation.database import Database
from foundation.device_locks import DeviceLocks, Lease
from tests.foundation.device_lock_looks import Take


@pytest.fixture
def locks(database: Database) -> DeviceLocks:
    return DeviceLocks(database)


@pytest.fixture
def take(locks: DeviceLocks) -> Iterator[Take]:
    taken: list[Lease] = []

    def call(*devices: str, holder: str = "cli/aisha", by: DeviceLocks = locks) -> Lease:
        taken.append(by.take(devices, holder=holder, purpose="play baseline", subject="play/7"))
        return taken[-1]

    yield call
    for lease in taken:
        lease.release()
