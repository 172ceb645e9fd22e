"""The database: transactions, the table of errors with real errors, migrations."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import text

from foundation.database import ERRORS, Database, migrate, open_database, pending, translated
from foundation.errors import (
    Conflict,
    DatabaseUnavailable,
    InvalidInput,
    RakeezaError,
    SettingsError,
    Unavailable,
    problem,
)
from foundation.settings import load
from tests.own_server import OwnServer
from tests.processes import PATIENCE, ROOT, until


def _execute(database: Database, *statements: str) -> None:
    with database.transaction() as session:
        for statement in statements:
            session.execute(text(statement))


def _ask(database: Database, question: str) -> object:
    with database.transaction() as session:
        return session.execute(text(question)).scalar_one()


def test_a_transaction_is_committed_whole_or_not_at_all(database: Database) -> None:
    _execute(database, "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (1)")

    def fail() -> None:
        with database.transaction() as session:
            session.execute(text("INSERT INTO kept VALUES (2)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _ask(database, "SELECT array_agg(n)::text FROM kept") == "{1}"


def test_a_session_is_in_utc_and_names_its_role(database_url: str) -> None:
    database = Database(database_url, role="collector")
    assert _ask(database, "SHOW timezone") == "UTC"
    assert _ask(database, "SHOW application_name") == "rakeeza collector"
    database.dispose()


def test_a_wrong_url_is_refused_without_showing_it() -> None:
    with pytest.raises(SettingsError) as caught:
        Database("postgresql://rakeeza:tiger@[::1")
    assert "tiger" not in str(caught.value)


def test_a_database_that_is_not_there_is_named_with_its_remedy(tmp_path: Path) -> None:
    absent = Database(f"postgresql://rakeeza:tiger@/rakeeza?host={tmp_path}")
    with pytest.raises(DatabaseUnavailable) as caught:
        _execute(absent, "SELECT 1")
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}/rakeeza: PostgreSQL does not answer (")
    assert message.endswith("rakeeza doctor")
    assert "\n" not in message
    assert "tiger" not in message


# Each row of the table, by a real error of a real PostgreSQL.


def _together(database: Database, first: list[str], second: list[str]) -> list[RakeezaError]:
    """Two transactions that both do their first statement before either does its others."""
    meeting = threading.Barrier(2)
    errors: list[RakeezaError] = []

    def run(statements: list[str]) -> None:
        try:
            with database.transaction() as session:
                for number, statement in enumerate(statements):
                    if number == len(statements) - 1:
                        meeting.wait(PATIENCE)
                    session.execute(text(statement))
        except RakeezaError as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(statements,)) for statements in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def _two_rows(database: Database) -> None:
    _execute(
        database, "CREATE TABLE pair (id int PRIMARY KEY, n int)", "INSERT INTO pair VALUES (1, 0), (2, 0)"
    )


def _raise_deadlock(database: Database) -> None:
    _two_rows(database)
    one, two = "UPDATE pair SET n = 1 WHERE id = 1", "UPDATE pair SET n = 2 WHERE id = 2"
    (error,) = _together(database, [one, two], [two, one])
    raise error


def _raise_serialization_failure(database: Database) -> None:
    _two_rows(database)
    begin = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"
    look = "SELECT sum(n) FROM pair"
    first = [begin, look, "UPDATE pair SET n = n + 1 WHERE id = 1"]
    second = [begin, look, "UPDATE pair SET n = n + 1 WHERE id = 2"]
    (error,) = _together(database, first, second)
    raise error


def _raise_lock_timeout(database: Database) -> None:
    _two_rows(database)
    with database.transaction() as holder:
        holder.execute(text("SELECT * FROM pair FOR UPDATE"))
        _execute(database, "SET LOCAL lock_timeout = '10ms'", "UPDATE pair SET n = 1")


def _raise_statement_timeout(database: Database) -> None:
    _execute(database, "SET LOCAL statement_timeout = '10ms'", "SELECT pg_sleep(60)")


def _raise_unique_violation(database: Database) -> None:
    _two_rows(database)
    _execute(database, "INSERT INTO pair VALUES (1, 7)")


def _raise_exclusion_violation(database: Database) -> None:
    table = "CREATE TABLE shift (during int4range, EXCLUDE USING gist (during WITH &&))"
    _execute(database, table, "INSERT INTO shift VALUES ('[1,5)')")
    _execute(database, "INSERT INTO shift VALUES ('[4,9)')")


def _raise_read_only(database: Database) -> None:
    _execute(database, "SET TRANSACTION READ ONLY", "CREATE TABLE nothing ()")


def _raise_disk_full(database: Database) -> None:
    _execute(database, "COPY (SELECT repeat('x', 100000)) TO '/dev/full'")


def _raise_number_too_large(database: Database) -> None:
    _two_rows(database)
    _execute(database, "INSERT INTO pair VALUES (3, 99999999999)")


def _raise_nul_character(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("SELECT :word"), {"word": "a\0b"})


def _raise_terminated(database: Database) -> None:
    _execute(database, "SELECT pg_terminate_backend(pg_backend_pid())")


def _raise_closed_connection(database: Database) -> None:
    with database.errors(), psycopg.connect(database.connection_info) as connection:
        connection.close()
        connection.execute("SELECT 1")


_CASES: dict[type[psycopg.Error], list[tuple[Callable[[Database], None], type[RakeezaError], str]]] = {
    psycopg.OperationalError: [
        (_raise_terminated, DatabaseUnavailable, "PostgreSQL does not answer (terminating"),
        (
            _raise_closed_connection,
            DatabaseUnavailable,
            "PostgreSQL does not answer (the connection is closed",
        ),
    ],
    psycopg.errors.DiskFull: [(_raise_disk_full, DatabaseUnavailable, "PostgreSQL's disk is full.")],
    psycopg.errors.ReadOnlySqlTransaction: [
        (_raise_read_only, DatabaseUnavailable, "This PostgreSQL is a standby")
    ],
    psycopg.errors.SerializationFailure: [
        (_raise_serialization_failure, Unavailable, "Two changes met at the same records.")
    ],
    psycopg.errors.DeadlockDetected: [(_raise_deadlock, Unavailable, "Two changes waited for each other.")],
    psycopg.errors.LockNotAvailable: [
        (_raise_lock_timeout, Unavailable, "Another change holds these records.")
    ],
    psycopg.errors.QueryCanceled: [
        (_raise_statement_timeout, Unavailable, "The database took too long (canceling statement due to")
    ],
    psycopg.errors.UniqueViolation: [
        (_raise_unique_violation, Conflict, "A record with these values exists already (pair_pkey).")
    ],
    psycopg.errors.ExclusionViolation: [
        (
            _raise_exclusion_violation,
            Conflict,
            "A record that excludes this one exists already (shift_during_excl).",
        )
    ],
    psycopg.DataError: [
        (_raise_number_too_large, InvalidInput, "A value cannot be stored (integer out of range)."),
        (
            _raise_nul_character,
            InvalidInput,
            "A value cannot be stored (PostgreSQL text fields cannot contain NUL",
        ),
    ],
}


def test_every_row_of_the_table_has_a_case() -> None:
    assert set(_CASES) == set(ERRORS)


@pytest.mark.parametrize(
    ("driver", "provoke", "kind", "message"),
    [(driver, *case) for driver, cases in _CASES.items() for case in cases],
)
def test_an_error_of_the_driver_becomes_ours(
    database: Database,
    driver: type[psycopg.Error],
    provoke: Callable[[Database], None],
    kind: type[RakeezaError],
    message: str,
) -> None:
    with pytest.raises(RakeezaError) as caught:
        provoke(database)
    assert type(caught.value) is kind
    assert caught.value.message.startswith(message)
    assert caught.value.place.startswith(database.place)
    # Callers are told, in both languages, and nothing of what is inside.
    said = problem(caught.value)
    assert said["detail"]
    assert said["detail_ar"]
    assert not any(each in str(said) for each in (database.place, "PostgreSQL", "pair_pkey", "shift_during"))
    cause = caught.value.__cause__
    original = cause.orig if isinstance(cause, sqlalchemy.exc.DBAPIError) else cause
    assert isinstance(original, driver)
    # The pool is usable afterwards.
    assert _ask(database, "SELECT 1") == 1


def test_a_fault_of_our_own_stays_as_it_is(database: Database) -> None:
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="nonesuch"):
        _execute(database, "SELECT * FROM nonesuch")
    assert translated(ZeroDivisionError(), "here") is None


def test_a_busy_pool_is_told_apart_from_a_dead_database(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foundation.database._POOL_TIMEOUT", 0.05)
    small = Database(database_url, pool=1)
    with small.transaction() as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(
            Unavailable, match=r"All connections of this process are busy.*database\.pool"
        ) as caught:
            _execute(small, "SELECT 1")
    assert not isinstance(caught.value, DatabaseUnavailable)
    small.dispose()


def test_a_postmaster_killed_in_a_transaction_is_told_and_its_successor_used(own_server: OwnServer) -> None:
    database = own_server.database
    _execute(database, "CREATE TABLE kept (n int)")

    def be_killed() -> None:
        with database.transaction() as session:
            session.execute(text("INSERT INTO kept VALUES (1)"))
            own_server.kill()
            session.execute(text("INSERT INTO kept VALUES (2)"))

    with pytest.raises(DatabaseUnavailable):
        be_killed()
    own_server.wait()
    assert _ask(database, "SELECT count(*) FROM kept") == 0


def test_the_settings_open_the_private_database_or_the_one_they_name(
    platform_folder: Path, database_url: str
) -> None:
    private = load(environment={"RAKEEZA_PLATFORM_FOLDER": str(platform_folder)})
    with open_database(private) as database:
        assert pending(database)[0] == "0001 Ground"
        migrate(database)
        assert pending(database) == []
    named = load(environment={"RAKEEZA_DATABASE_URL": database_url})
    with open_database(named, role="api") as database:
        assert (
            _ask(database, "SELECT current_database()") == database_url.partition("@/")[2].partition("?")[0]
        )


@pytest.fixture
def empty_url(database: Database) -> Iterator[str]:
    """URL of an unmigrated database."""
    name = f"{_ask(database, 'SELECT current_database()')}_empty"
    with psycopg.connect(database.connection_info, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        yield f"postgresql://rakeeza@/{name}?host={connection.info.host}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_five_processes_that_migrate_at_once_do_no_harm(empty_url: str) -> None:
    program = f"""
import sys
from foundation.database import Database, migrate, pending
database = Database({empty_url!r})
print("ready", flush=True)
sys.stdin.readline()
migrate(database)
assert pending(database) == []
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(5)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n")
    assert [process.returncode for process in processes] == [0] * 5


def test_a_migration_killed_half_way_leaves_nothing_half_done(empty_url: str, database: Database) -> None:
    # Another process holds the lock of migrations, so that the one under test waits inside its transaction.
    program = f"from foundation.database import Database, migrate; migrate(Database({empty_url!r}))"
    fresh = Database(empty_url)
    with fresh.transaction() as holder:
        holder.execute(text("SELECT pg_advisory_xact_lock(x'726b7a61'::int)"))
        process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: _ask(database, waiting) == 1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    before = pending(fresh)
    assert before[0] == "0001 Ground"
    migrate(fresh)
    assert pending(fresh) == []
    fresh.dispose()


def test_a_database_newer_than_the_program_is_refused(database: Database) -> None:
    _execute(database, "UPDATE schema_version SET version_num = '9999'")
    for action in (pending, migrate):
        with pytest.raises(
            SettingsError, match=r"step 9999, which this program does not know\. Update the program"
        ):
            action(database)


def test_the_schema_of_procrastinate_is_the_one_that_0001_was_written_for() -> None:
    # When this fails, the lock has a new procrastinate: add a migration with its own scripts
    # (procrastinate/sql/migrations) and let 0001 read a kept copy of the old schema.
    schema = resources.files("procrastinate").joinpath("sql/schema.sql").read_bytes()
    assert (
        hashlib.sha256(schema).hexdigest()
        == "c70ec4b400a60ad9592787653aae5ae77ae41bf801d56b5bd2712751a07f2009"
    )
