"""A message is taken once: by any process, also at the same moment, also after the database crashed."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import DatabaseUnavailable
from integrations.centres.replay import (
    AHEAD,
    OLDEST,
    NotRemembered,
    OutOfTime,
    Replayed,
    accept,
    clear,
    remember,
)
from tests.own_server import OwnServer

# More than the moments of one test lie apart.
MARGIN = timedelta(seconds=20)


def now() -> datetime:
    return datetime.now(UTC)


def rows(database: Database) -> int:
    with database.transaction() as session:
        return int(session.execute(text("SELECT count(*) FROM message_nonce")).scalar_one())


def run(database: Database, statement: str, **values: object) -> None:
    with database.transaction() as session:
        session.execute(text(statement), values)


def test_a_message_is_taken_once(database: Database) -> None:
    at = now()
    accept(database, "centre-7", [b"nonce", b"digest"], at)
    with pytest.raises(Replayed) as caught:
        accept(database, "centre-7", [b"nonce", b"digest"], at)
    assert caught.value.code == "wsse:InvalidSecurity"
    assert caught.value.message_ar
    assert rows(database) == 2


def test_one_part_that_was_used_is_enough_and_the_others_stay_free(database: Database) -> None:
    accept(database, "centre-7", [b"nonce"], now())
    with pytest.raises(Replayed):
        accept(database, "centre-7", [b"another", b"nonce"], now())
    accept(database, "centre-7", [b"another"], now())


def test_one_value_in_two_parts_is_one(database: Database) -> None:
    accept(database, "centre-7", [b"nonce", b"nonce"], now())
    assert rows(database) == 1


def test_senders_do_not_use_up_each_others_nonces(database: Database) -> None:
    accept(database, "centre-7", [b"nonce"], now())
    accept(database, "centre-8", [b"nonce"], now())
    assert rows(database) == 2


def test_a_message_is_taken_in_its_time_only(database: Database) -> None:
    for created in (now() - OLDEST + MARGIN, now() + AHEAD - MARGIN):
        accept(database, "centre-7", [str(created).encode()], created)
    for created in (now() - OLDEST - MARGIN, now() + AHEAD + MARGIN):
        with pytest.raises(OutOfTime) as caught:
            accept(database, "centre-7", [str(created).encode()], created)
        assert caught.value.code == "wsu:MessageExpired"
    assert rows(database) == 2


def test_another_session_knows_it_at_once(database: Database, database_url: str) -> None:
    other = Database(database_url, role="test")
    at = now()
    accept(database, "centre-7", [b"nonce"], at)
    with pytest.raises(Replayed):
        accept(other, "centre-7", [b"nonce"], at)
    other.dispose()


def test_of_many_at_the_same_moment_one_wins(database: Database, database_url: str) -> None:
    # Two pools, and the two parts in both orders: none waits for another for ever.
    other = Database(database_url, role="test")
    for number in range(20):
        at = now()
        barrier = threading.Barrier(8)

        def take(
            index: int, number: int = number, at: datetime = at, barrier: threading.Barrier = barrier
        ) -> bool:
            parts = [f"nonce {number}".encode(), f"digest {number}".encode()]
            barrier.wait(10)
            try:
                accept((database, other)[index % 2], "centre-7", parts[:: 1 - index % 4 // 2 * 2], at)
            except Replayed:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(take, range(8))) == 1
    other.dispose()
    assert rows(database) == 40


PROCESS = """
import sys
from datetime import datetime
from foundation.database import Database
from integrations.centres.replay import Replayed, accept
database = Database(sys.argv[1])
at = datetime.fromisoformat(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
won = 0
for number in range(100):
    try:
        accept(database, "centre-7", [b"%d" % number], at)
        won += 1
    except Replayed:
        pass
print(won)
"""


def test_processes_share_it(database: Database, database_url: str) -> None:
    arguments = [sys.executable, "-c", PROCESS, database_url, now().isoformat()]
    started = [
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        won = [int(process.communicate(timeout=60)[0]) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert sum(won) == 100
    assert rows(database) == 100


def test_a_transaction_that_waits_for_another_takes_what_that_gives_up(
    database: Database, database_url: str
) -> None:
    insert = (
        "INSERT INTO message_nonce VALUES ('centre-7', sha256('nonce'), clock_timestamp() + interval '1 h')"
    )
    other = Database(database_url, role="test")
    with ThreadPoolExecutor(1) as pool:
        with other.engine.connect() as connection:
            connection.execute(text(insert))
            waiting = pool.submit(accept, database, "centre-7", [b"nonce"], now())
            blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            limit = time.monotonic() + 30
            while not connection.execute(text(blocked)).scalar_one():
                assert time.monotonic() < limit
                time.sleep(0.01)
                # Within a transaction it would be asked once.
                connection.execute(text("SELECT pg_stat_clear_snapshot()"))
            connection.rollback()
        waiting.result(30)
    other.dispose()
    assert rows(database) == 1


def test_what_is_too_old_is_cleared_and_nothing_else(database: Database) -> None:
    accept(database, "centre-7", [b"fresh"], now())
    run(
        database,
        "INSERT INTO message_nonce SELECT 'centre-7', sha256(n::text::bytea), "
        "clock_timestamp() - interval '1 s' FROM generate_series(1, 1500) AS n",
    )
    with database.engine.begin() as connection:
        assert clear(connection) == 1000
    with database.engine.begin() as connection:
        assert clear(connection) == 500
        assert clear(connection) == 0
    with pytest.raises(Replayed):
        accept(database, "centre-7", [b"fresh"], now())


def test_taking_clears_up(database: Database) -> None:
    run(
        database,
        "INSERT INTO message_nonce SELECT 'centre-7', sha256(n::text::bytea), "
        "clock_timestamp() - interval '1 s' FROM generate_series(1, 900) AS n",
    )
    # One in 64 clears up; that none of 3,000 does comes once in 10**20 runs.
    taken = 0
    while rows(database) > taken:
        assert taken < 3000
        accept(database, "centre-7", [b"nonce %d" % taken], now())
        taken += 1
    assert rows(database) == taken


def test_a_row_outlives_every_part_of_its_message(database: Database) -> None:
    # A message near its end, with a clerk's token that was made ahead of its time.
    at = now()
    accept(database, "centre-7", [b"nonce"], at - OLDEST + MARGIN)
    with database.transaction() as session:
        expires = session.execute(text("SELECT expires FROM message_nonce")).scalar_one()
    assert expires > at + AHEAD + OLDEST + MARGIN


def lost(own: OwnServer, at: datetime) -> None:
    """What was taken before is not taken now, and a message made after a while is."""
    own.wait()
    assert rows(own.database) == 0
    with pytest.raises(NotRemembered) as caught:
        accept(own.database, "centre-7", [b"nonce"], at)
    assert caught.value.retryable
    # The row that says since when is there now; what was made before it is still refused,
    # and what was made ahead of its time could have been taken before the crash.
    for created in (at, now(), now() + AHEAD - MARGIN):
        with pytest.raises(NotRemembered):
            accept(own.database, "centre-7", [b"nonce"], created)
    run(own.database, "UPDATE message_memory SET since = since - interval '70 s'")
    accept(own.database, "centre-7", [b"nonce"], now())
    with pytest.raises(Replayed):
        accept(own.database, "centre-7", [b"nonce"], now())


def test_a_killed_server_opens_no_window(own_server: OwnServer) -> None:
    at = now()
    accept(own_server.database, "centre-7", [b"nonce"], at)
    own_server.kill()
    lost(own_server, at)


def test_one_killed_server_process_opens_no_window(own_server: OwnServer) -> None:
    at = now()
    accept(own_server.database, "centre-7", [b"nonce"], at)
    started = "SELECT pg_postmaster_start_time()"
    with own_server.database.transaction() as session:
        before = session.execute(text(started)).scalar_one()
    with own_server.database.engine.connect() as connection:
        os.kill(int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one()), signal.SIGKILL)
        with pytest.raises(DatabaseUnavailable), own_server.database.errors():
            connection.execute(text("SELECT 1"))
        connection.invalidate()
    lost(own_server, at)
    # The server's start does not tell that it happened.
    with own_server.database.transaction() as session:
        assert session.execute(text(started)).scalar_one() == before


def test_remembering_is_begun_once(database: Database) -> None:
    since = "SELECT since FROM message_memory"
    run(database, "DELETE FROM message_memory")
    remember(database)
    with database.transaction() as session:
        first = session.execute(text(since)).scalar_one()
    remember(database)
    with database.transaction() as session:
        assert session.execute(text(since)).scalar_one() == first
    with pytest.raises(NotRemembered):
        accept(database, "centre-7", [b"nonce"], now())


def test_the_tables_wait_for_no_disk(database: Database) -> None:
    unlogged = "SELECT relname FROM pg_class WHERE relpersistence = 'u' AND relkind = 'r' ORDER BY relname"
    with database.transaction() as session:
        found = session.execute(text(unlogged)).scalars().all()
    assert found == ["message_memory", "message_nonce"]


def test_without_a_database_nothing_is_taken() -> None:
    nowhere = Database("postgresql://localhost:1/none")
    with pytest.raises(DatabaseUnavailable):
        accept(nowhere, "centre-7", [b"nonce"], now())
    nowhere.dispose()
