"""The relay of the kill campaign, before a real PostgreSQL."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.faults.relay import Boundary, Relay, Watch, When, fingerprint, is_read

INSERT = "INSERT INTO asset_link (source, relation, target) VALUES ('a', 'powers', 'b')"
READ = "SELECT count(*) FROM asset_link"


@pytest.fixture
def direct(database_url: str) -> Iterator[psycopg.Connection]:
    """To the server itself; a table without references is there."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS asset_link")
        connection.execute("CREATE TABLE asset_link (source text, relation text, target text)")
        yield connection


@pytest.fixture
def relay(database_url: str, tmp_path: Path) -> Iterator[Relay]:
    """Before the server of `direct`."""
    parts = conninfo_to_dict(database_url)
    opened = Relay(tmp_path / "r", f"{parts['host']}/.s.PGSQL.{parts.get('port', 5432)}")
    yield opened
    opened.close()


@pytest.fixture
def through(database_url: str, tmp_path: Path, direct: psycopg.Connection) -> str:
    """How the relay is connected to."""
    assert not direct.closed
    return make_conninfo(database_url, host=str(tmp_path / "r"), port="5432", application_name="sample")


def _boundary(relay: Relay, statement: str, place: int = 0) -> Boundary:
    found = [boundary for boundary, seen in relay.seen.items() if seen == fingerprint(statement)]
    return found[place]


def _rows(direct: psycopg.Connection) -> int:
    row = direct.execute(READ).fetchone()
    assert row is not None
    return int(row[0])


def _once(boundary: Boundary, when: When, act: Callable[[], None]) -> Watch:
    # Watches for one boundary, and acts the first time.
    waiting = [act]

    def watch(reached: Boundary, statement: str, at: When, lives: Callable[[], bool]) -> bool:
        assert statement
        assert lives()
        if (reached, at) != (boundary, when) or not waiting:
            return False
        waiting.pop()()
        return True

    return watch


def test_what_passes_is_noted_and_arrives(relay: Relay, through: str, direct: psycopg.Connection) -> None:
    with psycopg.connect(through) as client:
        client.execute(INSERT)
    assert _rows(direct) == 1
    assert [fingerprint("BEGIN"), fingerprint(INSERT), "COMMIT"] == list(relay.seen.values())
    assert {boundary.application for boundary in relay.seen} == {"sample"}


def test_before_its_boundary_a_statement_never_reaches_the_server(
    relay: Relay, through: str, direct: psycopg.Connection
) -> None:
    with psycopg.connect(through) as client:
        client.execute(INSERT)
    found: list[int] = []
    relay.set(_once(_boundary(relay, "COMMIT"), "before", lambda: found.append(_rows(direct))))
    with pytest.raises(psycopg.OperationalError), psycopg.connect(through) as client:
        client.execute(INSERT)
    assert found == [1]
    assert _rows(direct) == 1


def test_after_its_boundary_the_server_has_done_what_the_client_does_not_know(
    relay: Relay, through: str, direct: psycopg.Connection
) -> None:
    with psycopg.connect(through) as client:
        client.execute(INSERT)
    told: list[str] = []
    done: list[tuple[int, list[str]]] = []
    relay.set(_once(_boundary(relay, "COMMIT"), "after", lambda: done.append((_rows(direct), list(told)))))
    client = psycopg.connect(through)
    client.execute(INSERT)
    client.commit()
    told.append("committed")
    client.execute(INSERT)
    client.commit()
    client.close()
    # Once: the next commit passes.
    assert done == [(2, [])]
    assert _rows(direct) == 3


def test_a_statement_is_another_boundary_after_a_write_and_the_same_one_after_a_read(
    relay: Relay, through: str
) -> None:
    with psycopg.connect(through) as client:
        client.execute("DELETE FROM asset_link")
        client.commit()
        client.execute(READ)
        client.execute("DELETE FROM asset_link")
        client.commit()
        client.execute(INSERT)
        client.execute("DELETE FROM asset_link")
        client.commit()
    again = _boundary(relay, "DELETE FROM asset_link", 1)
    assert relay.often[_boundary(relay, "DELETE FROM asset_link")] == 2
    assert relay.often[again] == 1


def test_to_prepare_a_statement_is_not_yet_to_do_it(relay: Relay, through: str) -> None:
    with psycopg.connect(through, prepare_threshold=0, autocommit=True) as client:
        for number in range(3):
            client.execute("SELECT %s::int", (number,))
    assert relay.often[_boundary(relay, "SELECT $1::int")] == 3


@pytest.mark.parametrize(
    ("statement", "read"),
    [
        ("SELECT 1", True),
        ("show all", True),
        ("SELECT id FROM case_file FOR UPDATE", False),
        ("SELECT procrastinate_defer_jobs_v1($1)", False),
        ("WITH made AS (INSERT INTO event DEFAULT VALUES) SELECT 1", False),
        ("COMMIT", False),
    ],
)
def test_a_read_is_told_from_what_writes_or_locks(statement: str, read: bool) -> None:
    assert is_read(statement) is read
