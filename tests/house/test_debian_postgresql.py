"""The platform on a PostgreSQL that is not ours: Debian's own, over TCP with a password."""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.orm import Session

from foundation import events
from foundation.database import Database, migrate, pending
from foundation.errors import DatabaseUnavailable
from foundation.guard import Guard, Program, free_port, wait_for_port
from foundation.jobs import Jobs
from tests.house.repository import run
from tests.processes import PATIENCE, until

PASSWORD = "p@ss:w/ord"


def _programs() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    assert installed, "script/bootstrap installs it"
    return installed[-1]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A running cluster of Debian's PostgreSQL in a folder of its own, ended and removed afterwards."""
    user = "postgres" if os.geteuid() == 0 else None
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
    folder = Path(tempfile.mkdtemp(prefix="rakeeza-debian-"))
    try:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if user:
            for path in (folder, secret):
                shutil.chown(path, user, user)
        made = run(
            *become, _programs() / "initdb", "-D", folder / "data", "-U", "municipality", "--encoding=UTF8",
            "--locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={secret}", cwd=folder,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        port = free_port()
        server = Program(
            name="postgres",
            argv=(
                str(_programs() / "postgres"), "-D", str(folder / "data"), "-p", str(port),
                "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}",
            ),
            log=folder / "postgres.log",
            user=user,
            folder=folder,
        )  # fmt: skip
        with Guard() as guard:
            guard.start(server)
            wait_for_port("127.0.0.1", port, PATIENCE, "Debian's PostgreSQL")
            # It listens before it takes connections.
            ready = (_programs() / "pg_isready", "-h", "127.0.0.1", "-p", str(port))
            until(lambda: run(*ready).returncode == 0, "a connection to Debian's PostgreSQL")
            yield f"postgresql://municipality:p%40ss%3Aw%2Ford@127.0.0.1:{port}/postgres"
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def database(url: str) -> Iterator[Database]:
    opened = Database(url, role="test")
    migrate(opened)
    yield opened
    opened.dispose()


def test_it_is_debian_s_own(url: str) -> None:
    with psycopg.connect(url) as connection:
        assert 150000 <= connection.info.server_version < 180000


def test_every_migration_runs_on_it(database: Database) -> None:
    assert pending(database) == []
    migrate(database)
    assert pending(database) == []


def _rolled_back(database: Database, action: Callable[[Session], object]) -> None:
    def begin() -> None:
        with database.transaction() as session:
            action(session)
            raise RuntimeError("the caller changed its mind")

    with pytest.raises(RuntimeError):
        begin()


def test_an_event_is_read_in_order_and_only_once_committed(database: Database) -> None:
    with database.transaction() as session:
        start = events.read(session, after=None, subject="case/debian")
        assert start == []
        events.publish(session, "case.submitted", "case/debian", {"number": "١"})
        events.publish(session, "case.issued", "case/debian", {"number": "٢"})
    _rolled_back(database, lambda session: events.publish(session, "case.lost", "case/debian", {}))
    with database.transaction() as session:
        kept = events.read(session, after=None, subject="case/debian")
    assert [(event.kind, event.payload) for event in kept] == [
        ("case.submitted", {"number": "١"}),
        ("case.issued", {"number": "٢"}),
    ]


def test_a_job_is_done_once_its_transaction_commits(database: Database) -> None:
    done: list[int] = []
    finished = threading.Event()
    jobs = Jobs(database)

    def handler(payload: dict[str, object], _attempt: int) -> None:
        done.append(int(str(payload["n"])))
        finished.set()

    jobs.register("house.note", handler)
    with database.transaction() as session:
        jobs.enqueue(session, "house.note", {"n": 1})
    _rolled_back(database, lambda session: jobs.enqueue(session, "house.note", {"n": 2}))
    limit = threading.Timer(60, finished.set)
    limit.start()
    jobs.work(stop=finished.is_set)
    limit.cancel()
    assert done == [1]


def test_a_wrong_password_is_one_clear_sentence(url: str) -> None:
    wrong = Database(url.replace("p%40ss", "other"))
    with pytest.raises(DatabaseUnavailable) as caught, wrong.transaction() as session:
        session.connection()
    wrong.dispose()
    assert "password authentication failed" in str(caught.value)
    assert "other" not in str(caught.value)
