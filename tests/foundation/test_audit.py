import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from foundation import audit
from foundation.audit import SEALS, Break, Sealed
from foundation.chain import JSON
from foundation.database import Database
from foundation.errors import Conflict, InvalidInput
from tests.processes import until

# Two chains with a common prefix and one with a single entry; a seal amid the entries.
_CHAINS = {"asset/ups": 3, "asset/ups-1": 4, "case/١": 1}


def _write(database: Database, chain: str, count: int = 1) -> None:
    for number in range(count):
        with database.transaction() as session:
            details: dict[str, JSON] = {
                "number": number,
                "note": "تعديل",
                "nested": {"list": [True, None, "1.50"]},
            }
            audit.record(session, chain=chain, actor="cli/test", action="changed", details=details)


def _seal(database: Database) -> Sealed | None:
    with database.transaction() as session:
        return audit.seal(session)


def _verify(database: Database, noted: Sealed | None = None) -> list[Break]:
    with database.transaction() as session:
        return audit.verify(session, noted)


def _do(database: Database, statement: str, **values: Any) -> int:
    with database.transaction() as session:
        result = session.execute(text(statement), values)
        return int(getattr(result, "rowcount", 0))


def _ask(database: Database, question: str) -> object:
    with database.transaction() as session:
        return session.execute(text(question)).scalar_one()


def _fill(database: Database) -> None:
    for chain, count in _CHAINS.items():
        _write(database, chain, count)
    _seal(database)
    _write(database, "asset/ups", 2)
    _seal(database)
    _write(database, "asset/ups-1", 2)


@pytest.fixture
def filled(database: Database) -> Database:
    _fill(database)
    return database


def test_a_trail_that_nobody_touched_is_whole(filled: Database) -> None:
    assert _verify(filled) == []
    with filled.transaction() as session:
        latest = audit.entries(session, "asset/ups", limit=2)
    assert [(entry.position, entry.details["number"], entry.action) for entry in latest] == [
        (4, 0, "changed"),
        (5, 1, "changed"),
    ]


def test_an_empty_trail_is_whole_and_needs_no_seal(database: Database) -> None:
    assert _verify(database) == []
    assert _seal(database) is None


def test_a_seal_covers_only_what_grew(filled: Database) -> None:
    third = _seal(filled)
    assert third is not None
    assert third.position == 3
    with filled.transaction() as session:
        heads = session.scalars(text("SELECT heads FROM audit_seal ORDER BY position")).all()
        assert audit.last_seal(session) == third
    assert [sorted(each) for each in heads] == [sorted(_CHAINS), ["asset/ups"], ["asset/ups-1"]]
    assert _seal(filled) is None
    assert _verify(filled) == []


def test_an_entry_of_a_transaction_that_fails_was_never_there(filled: Database) -> None:
    def fail() -> None:
        with filled.transaction() as session:
            audit.record(session, chain="asset/ups", actor="cli/test", action="removed", details={})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    _write(filled, "asset/ups")
    assert _verify(filled) == []


def test_entries_added_together_stand_in_their_order_and_hold(filled: Database) -> None:
    given: list[tuple[str, str, dict[str, JSON]]] = [
        ("client/a", "paid", {"amount": "120.00", '"quoted"': "\\ \n \u2028", "large": 2**53 - 1}),
        ("engine/issue", "issued", {"nested": {"list": [True, None, "1.50"], "empty": {}}}),
        ("موظف", "أُغلق", {}),
    ]
    with filled.transaction() as session:
        audit.record_all(session, chain="asset/ups", entries=given)
        audit.record_all(session, chain="case/new", entries=given)
        audit.record_all(session, chain="case/none", entries=[])
        audit.record(session, chain="case/new", actor="cli/test", action="later", details={"tuple": (1, 2)})
    assert _verify(filled) == []
    with filled.transaction() as session:
        old = audit.entries(session, "asset/ups", limit=3)
        new = audit.entries(session, "case/new")
        assert audit.entries(session, "case/none") == []
    assert [entry.position for entry in old] == [6, 7, 8]
    assert [(entry.actor, entry.action, entry.details) for entry in old] == given
    assert [entry.position for entry in new] == [1, 2, 3, 4]
    assert new[3].details == {"tuple": [1, 2]}
    _do(filled, "UPDATE audit SET details = '{}' WHERE chain = 'case/new' AND position = 2")
    assert [(found.chain, found.position) for found in _verify(filled)] == [("case/new", 2)]


def test_of_entries_with_one_that_cannot_be_none_is_added(filled: Database) -> None:
    given: list[tuple[str, str, dict[str, JSON]]] = [("a", "x", {}), ("a", "x", {"note": "\ud800"})]
    with filled.transaction() as session, pytest.raises(InvalidInput, match="/note holds a character"):
        audit.record_all(session, chain="asset/ups", entries=given)
    assert _verify(filled) == []
    with filled.transaction() as session:
        assert len(audit.entries(session, "asset/ups")) == 5


def test_a_writer_who_waited_goes_on_from_what_the_other_wrote(database: Database) -> None:
    # Both chains that are there and chains that are not: the second is made by two at once.
    _write(database, "case/old")
    with database.transaction() as first:
        for chain in ("case/new", "case/old"):
            audit.record_all(first, chain=chain, entries=[("a", "x", {}), ("a", "y", {})])
        threads = [threading.Thread(target=_write, args=(database, c)) for c in ("case/new", "case/old")]
        for thread in threads:
            thread.start()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        until(lambda: _ask(database, waiting) == 2)
    for thread in threads:
        thread.join()
    assert _verify(database) == []
    with database.transaction() as session:
        assert [entry.action for entry in audit.entries(session, "case/new")] == ["x", "y", "changed"]
        assert [entry.position for entry in audit.entries(session, "case/old")] == [1, 2, 3, 4]


def test_details_without_one_spelling_are_refused(database: Database) -> None:
    with pytest.raises(InvalidInput, match="/price is of type float"), database.transaction() as session:
        audit.record(session, chain="c", actor="a", action="x", details={"price": 1.5})  # type: ignore[dict-item]  # the mistake is the point


@pytest.mark.parametrize(
    ("statement", "chain", "position", "reason"),
    [
        (
            "UPDATE audit SET actor = 'x' WHERE chain = 'asset/ups' AND position = 2",
            "asset/ups",
            2,
            "changed",
        ),
        ("UPDATE audit SET details = '{}' WHERE chain = 'case/١'", "case/١", 1, "changed"),
        ("UPDATE audit SET details = '{\"x\": 1.5}' WHERE chain = 'case/١'", "case/١", 1, "changed"),
        ("DELETE FROM audit WHERE chain = 'asset/ups' AND position = 2", "asset/ups", 2, "missing"),
        ("DELETE FROM audit WHERE chain = 'asset/ups' AND position = 1", "asset/ups", 1, "missing"),
        ("DELETE FROM audit WHERE chain = 'asset/ups-1' AND position > 2", "asset/ups-1", 3, "ends here"),
        ("DELETE FROM audit WHERE chain = 'case/١'", "case/١", 1, "missing|ends here"),
        ("UPDATE audit_seal SET at = at + interval '1 second' WHERE position = 1", SEALS, 1, "changed"),
        ("DELETE FROM audit_seal WHERE position = 1", SEALS, 1, "missing"),
        ("DELETE FROM audit_seal WHERE position = 2", "asset/ups", 5, "sealed up to 5, the seals say 3"),
        ("DELETE FROM audit_head WHERE chain = 'case/١'", "case/١", 1, "no head"),
    ],
)
def test_what_was_done_to_a_trail_is_named_with_its_place(
    filled: Database, statement: str, chain: str, position: int, reason: str
) -> None:
    assert _do(filled, statement) > 0
    (found,) = _verify(filled)
    assert (found.chain, found.position) == (chain, position)
    assert any(word in found.reason for word in reason.split("|"))


def test_two_entries_that_changed_places_are_found(filled: Database) -> None:
    for old, new in ((2, 99), (3, 2), (99, 3)):
        _do(
            filled,
            "UPDATE audit SET position = :new WHERE chain = 'asset/ups' AND position = :old",
            old=old,
            new=new,
        )
    (found,) = _verify(filled)
    assert (found.chain, found.position) == ("asset/ups", 2)


def test_an_end_cut_together_with_its_head_is_found_by_the_seal(filled: Database) -> None:
    _do(filled, "DELETE FROM audit WHERE chain = 'asset/ups' AND position = 5")
    _do(
        filled,
        "UPDATE audit_head SET position = 4, sealed = 4, hash = "
        "(SELECT hash FROM audit WHERE chain = 'asset/ups' AND position = 4) WHERE chain = 'asset/ups'",
    )
    assert "seal 2 covers it" in _verify(filled)[0].reason


def test_a_whole_chain_that_vanished_is_found_by_the_seal(filled: Database) -> None:
    _do(filled, "DELETE FROM audit WHERE chain = 'case/١'")
    _do(filled, "DELETE FROM audit_head WHERE chain = 'case/١'")
    (found,) = _verify(filled)
    assert (found.chain, found.position) == ("case/١", 1)


def test_a_trail_written_anew_is_found_by_a_noted_seal(filled: Database) -> None:
    noted = _seal(filled)
    assert noted is not None
    assert _verify(filled, noted) == []
    _do(filled, "TRUNCATE audit, audit_head, audit_seal")
    _fill(filled)
    _seal(filled)
    assert _verify(filled) == []
    (found,) = _verify(filled, Sealed.parse(str(noted)))
    assert (found.chain, found.position) == (SEALS, 3)
    assert "rewritten" in found.reason
    _do(filled, "DELETE FROM audit_seal WHERE position = 3")
    assert any(item.chain == SEALS and "is gone" in item.reason for item in _verify(filled, noted))


@pytest.mark.parametrize("written", ["", "3", "x:" + "0" * 64, "3:" + "0" * 63, "3:" + "g" * 64])
def test_a_seal_noted_wrongly_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput, match="NUMBER:HASH"):
        Sealed.parse(written)


def test_writers_of_one_chain_queue_and_leave_no_gap(database: Database) -> None:
    threads = [threading.Thread(target=_write, args=(database, "play/1", 10)) for _ in range(6)]
    sealers = [threading.Thread(target=_seal, args=(database,)) for _ in range(4)]
    for thread in itertools.chain(threads, sealers):
        thread.start()
    for thread in itertools.chain(threads, sealers):
        thread.join()
    assert _verify(database) == []
    with database.transaction() as session:
        assert [entry.position for entry in audit.entries(session, "play/1")] == list(range(1, 61))


def test_an_open_transaction_holds_up_its_own_chain_only_and_no_seal(filled: Database) -> None:
    with filled.transaction() as open_session:
        audit.record(open_session, chain="case/open", actor="cli/test", action="added", details={})
        audit.record(open_session, chain="asset/ups", actor="cli/test", action="changed", details={})
        _write(filled, "case/other")
        sealed = _seal(filled)
    assert sealed is not None
    assert _verify(filled) == []
    later = _seal(filled)
    assert later is not None
    assert _verify(filled) == []


# How each column's value is changed to another one.
_CHANGES: dict[str, Callable[[Any], tuple[str, Any]]] = {
    "text": lambda seed: ("{c} || :v", str(seed)),
    "integer": lambda seed: ("{c} + :v", 1 + seed % 5 if seed % 2 else -1 - seed % 5),
    "timestamp with time zone": lambda seed: ("{c} + :v * interval '1 microsecond'", 1 + seed),
    "bytea": lambda seed: ("set_byte({c}, :v, (get_byte({c}, :v) + 1) % 256)", seed % 32),
    "jsonb": lambda seed: ("jsonb_set({c}, ARRAY['v'], to_jsonb(CAST(:v AS int)))", seed),
}


@contextmanager
def _restored(database: Database, table: str) -> Iterator[None]:
    _do(database, f"CREATE TABLE kept AS SELECT * FROM {table}")
    try:
        yield
    finally:
        _do(database, f"TRUNCATE {table}")
        _do(database, f"INSERT INTO {table} SELECT * FROM kept")
        _do(database, "DROP TABLE kept")


def test_any_single_change_of_any_column_of_any_row_is_found(filled: Database) -> None:
    with filled.transaction() as session:
        columns = session.execute(
            text(
                "SELECT table_name, column_name, data_type FROM information_schema.columns "
                "WHERE table_name IN ('audit', 'audit_head', 'audit_seal') ORDER BY 1, ordinal_position"
            )
        ).all()
        rows = {
            table: session.scalars(text(f"SELECT ctid::text FROM {table} ORDER BY 1")).all()
            for table in ("audit", "audit_head", "audit_seal")
        }
    assert len(columns) == 17
    seen: set[tuple[str, str]] = set()

    @given(st.sampled_from(columns), st.integers(0, 10_000), st.integers(0, 10_000))
    @settings(max_examples=150, deadline=None)
    def changed(column: Any, row: int, seed: int) -> None:
        table, name, kind = column
        expression, value = _CHANGES[kind](seed)
        with _restored(filled, table):
            where = f"ctid = (SELECT ctid FROM {table} ORDER BY 1 OFFSET {row % len(rows[table])} LIMIT 1)"
            statement = f"UPDATE {table} SET {name} = {expression.format(c=name)} WHERE {where}"
            try:
                assert _do(filled, statement, v=value) == 1
            except Conflict:
                # Two entries at one position: the primary key refuses it.
                return
            assert _verify(filled) != [], statement
        seen.add((table, name))

    changed()
    assert _verify(filled) == []
    assert len(seen) > 10
