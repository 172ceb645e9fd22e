"""What every part's tests share: one private PostgreSQL, and fresh migrated databases in it."""

import contextlib
import fcntl
import itertools
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from foundation.database import Database, migrate
from foundation.postgres import PrivatePostgres
from tests.own_server import OwnServer

# A shell without job control starts what runs in the background with these ignored, and so would start all
# that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)

_numbers = itertools.count(1)
_TEMPLATE = "rakeeza_template"


@contextlib.contextmanager
def reachable_folder() -> Iterator[Path]:
    """A new folder that every user can pass through; removed at the end."""
    # pytest's own temporary folders are closed to others; under root PostgreSQL runs as another user.
    folder = Path(tempfile.mkdtemp(prefix="rakeeza-test-"))
    folder.chmod(0o711)
    try:
        yield folder
        for lock in folder.rglob("keeper.lock"):
            # The keeper goes on for a moment after its last lease; the folder is its to finish with.
            with lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_EX)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def platform_folder() -> Iterator[Path]:
    """A new folder for `platform.folder`, in which a private PostgreSQL can run also under root."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of the session's private PostgreSQL, with a migrated template database."""
    with (
        reachable_folder() as folder,
        PrivatePostgres(folder / "postgres", max_connections=200).lease() as url,
    ):
        with psycopg.connect(url, autocommit=True) as connection:
            # It is thrown away, and no test kills this one; a slow disk would be waited for at every commit.
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_TEMPLATE)))
        template = Database(_named(url, _TEMPLATE))
        migrate(template)
        template.dispose()
        yield url


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """libpq URL of a fresh migrated database; for `RAKEEZA_DATABASE_URL` of a process under test."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(_TEMPLATE))
        )
        yield _named(postgres_url, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh migrated database."""
    fresh = Database(database_url, role="test")
    yield fresh
    fresh.dispose()


@pytest.fixture
def own_server(platform_folder: Path) -> Iterator[OwnServer]:
    """A server that a test may kill, with a migrated database."""
    folder = platform_folder / "postgres"
    with PrivatePostgres(folder, max_connections=50).lease() as url:
        own = Database(url, role="test")
        migrate(own)
        yield OwnServer(own, folder)
        own.dispose()


def _named(url: str, name: str) -> str:
    return url.replace("@/rakeeza?", f"@/{name}?")
