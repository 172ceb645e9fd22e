"""The application of http_face.py, served; named by `pytest_plugins` in the modules that use it."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.identity import Identity
from foundation.secret import SecretFile
from tests.foundation.http_face import Face, served
from tests.processes import PATIENCE


@pytest.fixture
def face(database: Database, tmp_path: Path) -> Face:
    with database.transaction() as session:
        session.execute(text("DROP TABLE IF EXISTS note"))
        session.execute(text("CREATE TABLE note (words text)"))
    secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    return Face(database, Identity(database, secrets, 600, cache_s=0))


@pytest.fixture
def http(face: Face) -> Iterator[httpx.Client]:
    with served(face.app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        yield client
