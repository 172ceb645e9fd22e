"""A migrated database for the tests of records; named by `pytest_plugins` in the modules that use it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database, migrate
from foundation.postgres import PrivatePostgres

_TABLES = "audit, audit_head, audit_seal, asset_link, asset, person, api_client, idempotency, event"


@pytest.fixture(scope="session")
def records_url() -> Iterator[str]:
    """URL of a private PostgreSQL that lives as long as the test run."""
    # Not pytest's own folder: when we are root the server runs as another user, who may not pass through.
    with tempfile.TemporaryDirectory(prefix="rakeeza-records-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        with PrivatePostgres(folder / "postgres", max_connections=60).lease() as url:
            yield url


@pytest.fixture(scope="session")
def records_database(records_url: str) -> Iterator[Database]:
    """The database, migrated."""
    database = Database(records_url, pool=30, role="test")
    migrate(database)
    yield database
    database.dispose()


@pytest.fixture
def records(records_database: Database) -> Database:
    """The database with every table of records empty."""
    with records_database.transaction() as session:
        session.execute(text(f"TRUNCATE {_TABLES}"))
    return records_database
