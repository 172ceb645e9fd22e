"""The town of client_town.py, served; named by `pytest_plugins` in the modules that use it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.database import Database
from tests.integrations.client_town import Town, open_town


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Iterator[Town]:
    """An API over TLS."""
    with open_town(database, tmp_path) as opened:
        yield opened
