from pathlib import Path

import pytest

from foundation.database import Database
from tests.integrations.desk import DEFINITIONS, Desk, open_desk


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """An office with the shop licence and the services of `definitions/`."""
    return open_desk(database, tmp_path, (DEFINITIONS,))
