"""Adding to a chain whose end was read before: one statement, and exact whatever was read."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.audit_writing import Entries, Events, saw
from foundation.database import Database
from foundation.errors import InvalidInput

CHAIN = "case/SC-2026-000001"
TWO: Entries = [("cli/test", "opened", {"number": 1}), ("cli/test", "moved", {"note": "تعديل"})]
TOLD: Events = [
    ("case.moved", CHAIN, {"n": 1}),
    ("case.moved", CHAIN, {"n": 2}),
    ("licence.issued", "licence/1", {}),
]


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """The statements sent while this holds."""
    sent: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield sent
    event.remove(database.engine, "before_cursor_execute", note)


def read_end(session: Session) -> None:
    """Read where the chain ends, without a lock, as one who locks the case does."""
    row = session.execute(
        text("SELECT position, hash FROM audit_head WHERE chain = :c"), {"c": CHAIN}
    ).first()
    saw(session, CHAIN, *(row or ()))


def written(database: Database) -> list[tuple[int, str]]:
    """Positions and actions of the chain, which is whole."""
    with database.transaction() as session:
        found = [(entry.position, entry.action) for entry in audit.entries(session, CHAIN)]
    with database.transaction() as session:
        assert audit.verify(session) == []
    return found


def published(database: Database) -> list[tuple[str, str, dict[str, Any]]]:
    """Every event, in the order of its numbers."""
    with database.transaction() as session:
        rows = session.execute(text("SELECT kind, subject, payload FROM event ORDER BY id"))
        return [tuple(row) for row in rows]


def test_entries_and_events_are_one_statement_where_the_end_is_known(database: Database) -> None:
    with database.transaction() as session, statements(database) as sent:
        saw(session, CHAIN)
        audit.record_all(session, chain=CHAIN, entries=TWO, events=TOLD)
        # Where it ends now, this transaction knows by itself.
        audit.record_all(session, chain=CHAIN, entries=TWO)
    assert len(sent) == 2
    assert written(database) == [(1, "opened"), (2, "moved"), (3, "opened"), (4, "moved")]
    assert published(database) == list(TOLD)
    with database.transaction() as session:
        read_end(session)
        with statements(database) as sent:
            audit.record_all(session, chain=CHAIN, entries=TWO[:1], events=TOLD[:1])
    assert len(sent) == 1
    assert written(database)[-1] == (5, "opened")


@pytest.mark.parametrize("there", [0, 2])
def test_what_was_read_too_early_is_asked_again_and_written_once(database: Database, there: int) -> None:
    if there:
        with database.transaction() as session:
            audit.record_all(session, chain=CHAIN, entries=TWO)
    with database.transaction() as session:
        read_end(session)
        with database.transaction() as other:
            audit.record_all(other, chain=CHAIN, entries=TWO[:1], events=TOLD[:1])
        with statements(database) as sent:
            audit.record_all(session, chain=CHAIN, entries=TWO, events=TOLD)
    assert len(sent) == 3
    assert [position for position, _ in written(database)] == list(range(1, there + 4))
    assert published(database) == [TOLD[0], *TOLD]


def test_an_end_that_is_not_the_chains_is_never_built_on(database: Database) -> None:
    with database.transaction() as session:
        audit.record_all(session, chain=CHAIN, entries=TWO)
    with database.transaction() as session:
        # Its number is right, its hash of another history.
        saw(session, CHAIN, 2, bytes(31) + b"x")
        audit.record_all(session, chain=CHAIN, entries=TWO)
    assert [position for position, _ in written(database)] == [1, 2, 3, 4]


def test_what_a_savepoint_takes_back_is_not_built_on(database: Database) -> None:
    with database.transaction() as session:
        saw(session, CHAIN)
        with session.begin_nested() as savepoint:
            audit.record_all(session, chain=CHAIN, entries=TWO, events=TOLD)
            savepoint.rollback()
        audit.record_all(session, chain=CHAIN, entries=TWO[:1], events=TOLD[:1])
    assert written(database) == [(1, "opened")]
    assert published(database) == list(TOLD[:1])


def test_many_who_read_the_same_end_at_the_same_moment_write_one_after_another(database: Database) -> None:
    writers, rounds = 4, 5
    together = threading.Barrier(writers)

    def write(writer: int) -> None:
        for number in range(rounds):
            with database.transaction() as session:
                read_end(session)
                together.wait(30)
                entry = (f"cli/{writer}", "added", {"number": number})
                told = ("case.moved", CHAIN, {"writer": writer, "number": number})
                audit.record_all(session, chain=CHAIN, entries=[entry], events=[told])

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    assert [position for position, _ in written(database)] == list(range(1, writers * rounds + 1))
    assert len(published(database)) == writers * rounds


def test_events_without_an_entry_are_published_all_the_same(database: Database) -> None:
    with database.transaction() as session:
        audit.record_all(session, chain=CHAIN, entries=[], events=TOLD)
    assert published(database) == list(TOLD)


def test_details_without_one_spelling_write_neither_entry_nor_event(database: Database) -> None:
    with database.transaction() as session:
        saw(session, CHAIN)
        wrong: Any = [("cli/test", "opened", {"number": 1.5})]
        with pytest.raises(InvalidInput):
            audit.record_all(session, chain=CHAIN, entries=wrong, events=TOLD)
    assert written(database) == []
    assert published(database) == []
