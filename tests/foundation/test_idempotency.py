"""Kept answers: given again for the same request, and forgotten when they are old."""

import threading
from datetime import timedelta

import psycopg
import pytest
from alembic import command
from sqlalchemy import text

from foundation import idempotency
from foundation.database import Database, _config, migrate, pending
from foundation.errors import IdempotencyMismatch, Malformed
from foundation.idempotency import Answer, once
from foundation.identity import Caller

_CENTRE = Caller("centre-1", "client", frozenset({"centre"}))
_OTHER = Caller("centre-2", "client", frozenset({"centre"}))
_ASKED = bytes(range(32))
_DAY = timedelta(days=1)


def _once(
    database: Database, caller: Caller, key: str | None, answer: Answer, asked: bytes = _ASKED
) -> Answer:
    with database.transaction() as session:
        return once(session, caller, key, asked, lambda: answer)


def _expire(database: Database, older_than: timedelta) -> int:
    with database.transaction() as session:
        return idempotency.expire(session, older_than)


def _count(database: Database) -> int:
    with database.transaction() as session:
        return int(session.execute(text("SELECT count(*) FROM idempotency")).scalar_one())


def test_a_repetition_gets_the_first_answer_to_the_byte(database: Database) -> None:
    first = _once(
        database, _CENTRE, "k-1", Answer(201, {"b": [1, None], "a": "رخصة", "long": {"z": "", "y": 1}})
    )
    again = _once(database, _CENTRE, '"k-1"', Answer(500, {"never": "done"}))
    assert (first.status, first.replayed, again.status, again.replayed) == (201, False, 201, True)
    assert list(first.body.items()) == list(again.body.items())
    assert first.body["a"] == "رخصة"


def test_one_key_of_two_callers_is_two_keys(database: Database) -> None:
    _once(database, _CENTRE, "k-1", Answer(201, {"n": 1}))
    assert _once(database, _OTHER, "k-1", Answer(201, {"n": 2})) == Answer(201, {"n": 2})


def test_a_key_used_for_something_else_is_refused(database: Database) -> None:
    _once(database, _CENTRE, "k-1", Answer(201, {}))
    with pytest.raises(IdempotencyMismatch, match=r"Idempotency-Key k-1: .* another request"):
        _once(database, _CENTRE, "k-1", Answer(201, {}), asked=bytes(32))


def test_an_answer_kept_without_a_fingerprint_is_given_and_the_write_not_done_twice(
    database: Database,
) -> None:
    first = _once(database, _CENTRE, "k-1", Answer(201, {"n": 1}))
    with database.transaction() as session:
        session.execute(text("UPDATE idempotency SET fingerprint = ''"))
    again = _once(database, _CENTRE, "k-1", Answer(201, {"n": 2}), asked=bytes(32))
    assert (again.body, again.replayed) == (first.body, True)


def test_an_upgrade_keeps_the_answers_and_not_what_they_were_asked(database: Database) -> None:
    name = f"{database.engine.url.database}_old"
    with psycopg.connect(database.connection_info, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
        old = Database(f"postgresql://rakeeza@/{name}?host={connection.info.host}")
        with old.engine.connect() as before:
            config = _config()
            config.attributes["connection"] = before
            command.upgrade(config, "0017")
            before.commit()
        _once(old, _CENTRE, "k-1", Answer(201, {"n": 1}))
        assert pending(old)[0] == "0018 Fingerprints of requests under a key"
        migrate(old)
        with old.transaction() as session:
            assert session.scalars(text("SELECT fingerprint FROM idempotency")).all() == [b""]
        assert _once(old, _CENTRE, "k-1", Answer(201, {"n": 2})).body == {"n": 1}
        old.dispose()
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.mark.parametrize("key", [None, "", "a b", "مفتاح", "x" * 129, 'a"b'])
def test_a_key_that_is_none_is_refused(database: Database, key: str | None) -> None:
    with pytest.raises(Malformed):
        _once(database, _CENTRE, key, Answer(201, {}))
    assert _count(database) == 0


def test_what_failed_is_not_kept_and_the_next_one_does_it(database: Database) -> None:
    def fail() -> Answer:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        once(session, _CENTRE, "k-1", _ASKED, fail)
    assert _once(database, _CENTRE, "k-1", Answer(201, {"n": 2})) == Answer(201, {"n": 2})


def test_of_many_that_ask_together_one_does_it(database: Database) -> None:
    together, done, answers = threading.Barrier(6), list[int](), list[Answer]()

    def ask(number: int) -> None:
        def act() -> Answer:
            done.append(number)
            return Answer(201, {"number": number})

        together.wait(60)
        with database.transaction() as session:
            answers.append(once(session, _CENTRE, "k-1", _ASKED, act))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert [answer.body for answer in answers] == [{"number": done[0]}] * 6
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 5


def test_old_answers_are_forgotten_and_young_ones_kept(database: Database) -> None:
    for number in range(4):
        _once(database, _CENTRE, f"k-{number}", Answer(201, {"n": number}))
    with database.transaction() as session:
        session.execute(text("UPDATE idempotency SET at = at - interval '25 hours' WHERE key < 'k-2'"))
    assert _expire(database, timedelta(hours=26)) == 0
    assert _expire(database, _DAY) == 2
    assert _once(database, _CENTRE, "k-1", Answer(201, {"n": 11})) == Answer(201, {"n": 11})
    assert _once(database, _CENTRE, "k-2", Answer(201, {"n": 12})).body == {"n": 2}


def test_one_call_forgets_the_oldest_and_no_more_than_its_batch(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foundation.idempotency._BATCH", 3)
    for number in range(5):
        _once(database, _CENTRE, f"k-{number}", Answer(201, {}))
    with database.transaction() as session:
        # The later the key, the older the row.
        session.execute(
            text(
                "UPDATE idempotency "
                "SET at = at - interval '2 days' - CAST(right(key, 1) AS int) * interval '1 hour'"
            )
        )
    assert _expire(database, _DAY) == 3
    with database.transaction() as session:
        assert session.scalars(text("SELECT key FROM idempotency ORDER BY key")).all() == ["k-0", "k-1"]
    assert [_expire(database, _DAY), _expire(database, _DAY)] == [2, 0]
