"""Events: nothing lost, nothing twice, one order for all readers."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Malformed
from foundation.events import StoredEvent, afollow, follow, newest, publish, publish_all, read
from tests.own_server import OwnServer

_PATIENCE = 60.0


class _Follower:
    """A reader in a thread, which collects until it has seen so many."""

    def __init__(
        self, database: Database, number: int, after: str | None = None, subject: str | None = None
    ) -> None:
        self.seen: list[StoredEvent] = []
        self._stopped = threading.Event()
        self._more = threading.Condition()
        self._number = number
        self._source = follow(database, after=after, subject=subject, stop=self._stopped.is_set)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for event in self._source:
            with self._more:
                self.seen.append(event)
                self._more.notify_all()

    def wait_for(self, number: int) -> bool:
        with self._more:
            return self._more.wait_for(lambda: len(self.seen) >= number, _PATIENCE)

    def wait(self) -> list[StoredEvent]:
        enough = self.wait_for(self._number)
        self._stopped.set()
        self._thread.join()
        assert enough, f"saw {len(self.seen)} of {self._number}"
        return self.seen


def _all(database: Database) -> list[StoredEvent]:
    with database.transaction() as session:
        return read(session, after=None, limit=100_000)


def _publish(database: Database, subject: str, number: int) -> None:
    with database.transaction() as session:
        publish(session, "test.counted", subject, {"number": number})


def test_an_event_comes_back_as_it_was_published(database: Database) -> None:
    with database.transaction() as session:
        publish(session, "case.issued", "case/R-1", {"holder": "أحمد", "fee": "120.00", "lines": [1, None]})
    (event,) = _all(database)
    assert (event.kind, event.subject) == ("case.issued", "case/R-1")
    assert event.payload == {"holder": "أحمد", "fee": "120.00", "lines": [1, None]}
    assert event.at.tzinfo is UTC
    assert abs(datetime.now(UTC) - event.at) < timedelta(minutes=5)


def test_an_event_of_a_rolled_back_transaction_never_was(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as session:
            publish(session, "test.counted", "a", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert _all(database) == []


def test_events_published_together_keep_their_order_and_wake_each_subject_once(database: Database) -> None:
    given = [("test.counted", f"s/{number % 3}", {"number": number, "q": '"\\\n'}) for number in range(60)]
    with psycopg.connect(database.connection_info, autocommit=True) as listener:
        listener.execute("LISTEN rakeeza_event")
        with database.transaction() as session:
            publish_all(session, given)
            publish_all(session, [])
        woken = [notice.payload for notice in listener.notifies(timeout=_PATIENCE, stop_after=3)]
        woken += [notice.payload for notice in listener.notifies(timeout=0.1)]
    assert sorted(woken) == ["s/0", "s/1", "s/2"]
    assert [(event.kind, event.subject, event.payload) for event in _all(database)] == given


def test_subject_and_kind_select_and_the_cursor_goes_on(database: Database) -> None:
    for number in range(4):
        with database.transaction() as session:
            publish(
                session, "play.started" if number % 2 else "case.opened", f"s/{number}", {"number": number}
            )
    with database.transaction() as session:
        assert [e.subject for e in read(session, after=None, kind_prefix="play.")] == ["s/1", "s/3"]
        assert [e.subject for e in read(session, after=None, subject="s/2")] == ["s/2"]
        first = read(session, after=None, limit=1)
        assert [e.subject for e in read(session, after=first[0].cursor)] == ["s/1", "s/2", "s/3"]
        assert read(session, after=newest(session)) == []


@pytest.mark.parametrize("cursor", ["", "x", "1", "1-2-3", "-1-2", "1-x", "99999999999999999999-1"])
def test_a_wrong_cursor_is_malformed(database: Database, cursor: str) -> None:
    with database.transaction() as session, pytest.raises(Malformed):
        read(session, after=cursor)


def test_what_commits_later_with_a_lower_number_is_not_missed(database: Database) -> None:
    with database.transaction() as slow:
        publish(slow, "test.counted", "slow", {})
        _publish(database, "quick", 1)
        # The quick one has the higher number and is committed: showing it now would hide the slow one later.
        assert _all(database) == []
    assert [event.subject for event in _all(database)] == ["slow", "quick"]


def test_a_follower_sees_both_of_two_that_commit_in_reverse_order(database: Database) -> None:
    follower = _Follower(database, 2)
    with database.transaction() as slow:
        publish(slow, "test.counted", "slow", {})
        _publish(database, "quick", 1)
    assert [event.subject for event in follower.wait()] == ["slow", "quick"]


def test_a_follower_finds_what_another_transaction_held_back(database: Database) -> None:
    follower = _Follower(database, 1)
    with database.transaction() as silent:
        # It writes, and so holds back; it publishes nothing, so that its end wakes nobody.
        silent.execute(text("SELECT pg_current_xact_id()"))
        _publish(database, "held", 1)
        assert follower.seen == []
    assert [event.subject for event in follower.wait()] == ["held"]


def test_twenty_writers_lose_nothing_and_double_nothing(database: Database) -> None:
    writers, each = 20, 25
    follower = _Follower(database, writers * each)

    def write(writer: int) -> None:
        for number in range(each):
            _publish(database, f"writer/{writer}", number)

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    seen = follower.wait()
    assert len({event.cursor for event in seen}) == len(seen) == writers * each
    assert [event.cursor for event in seen] == [event.cursor for event in _all(database)]
    for writer in range(writers):
        numbers = [event.payload["number"] for event in seen if event.subject == f"writer/{writer}"]
        assert numbers == list(range(each))


def test_a_follower_of_one_subject_sees_only_that(database: Database) -> None:
    follower = _Follower(database, 2, subject="b")
    for number, subject in enumerate("abcab"):
        _publish(database, subject, number)
    assert [event.payload["number"] for event in follower.wait()] == [1, 4]


def test_more_events_than_one_batch_are_all_followed(database: Database) -> None:
    with database.transaction() as session:
        for number in range(1203):
            publish(session, "test.counted", "many", {"number": number})
    assert [e.payload["number"] for e in _Follower(database, 1203).wait()] == list(range(1203))


def test_an_async_follower_sees_the_past_and_what_comes(database: Database) -> None:
    _publish(database, "a", 0)

    async def run() -> list[int]:
        seen = []
        source = afollow(database, after=None, subject="a")
        async for event in source:
            seen.append(event.payload["number"])
            if len(seen) == 3:
                break
            await asyncio.to_thread(_publish, database, "a", len(seen))
        await source.aclose()
        return seen

    assert asyncio.run(run()) == [0, 1, 2]


def test_a_follower_survives_the_death_of_postgresql(own_server: OwnServer) -> None:
    follower = _Follower(own_server.database, 2)
    _publish(own_server.database, "a", 1)
    follower.wait_for(1)
    own_server.kill()
    own_server.wait()
    _publish(own_server.database, "a", 2)
    assert [event.payload["number"] for event in follower.wait()] == [1, 2]
