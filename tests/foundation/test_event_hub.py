"""Many readers of events in one process: nothing lost, nothing twice, and few connections."""

import asyncio
import contextlib
import gc
import logging
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from typing import Annotated, cast

import psycopg
import pytest
from fastapi import Header
from fastapi.responses import Response
from sqlalchemy import text

from foundation import event_hub
from foundation.database import Database
from foundation.events import StoredEvent, afollow, publish, publish_all
from foundation.http import create_app, server_sent
from tests.foundation.http_face import served
from tests.own_server import OwnServer

_PATIENCE = 120.0
# One that listens, and three that read.
_HANDFUL = 4


class _Stream:
    """A reader of server-sent events over a socket of its own."""

    def __init__(self, url: str, subject: str, last: str | None = None) -> None:
        self.numbers: list[int] = []
        self.last = last
        self._port = int(url.rpartition(":")[2])
        self._subject = subject

    async def read(self, until: int) -> None:
        """Read on from the last event, up to the one of this number, and leave."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        begin = f"Last-Event-ID: {self.last}\r\n" if self.last else ""
        writer.write(f"GET /events/{self._subject} HTTP/1.1\r\nHost: x\r\n{begin}\r\n".encode())
        try:
            while not self.numbers or self.numbers[-1] < until:
                line = (await reader.readuntil(b"\n")).decode()
                if line.startswith("id: "):
                    self.last = line[4:].strip()
                elif line.startswith("data: "):
                    self.numbers.append(int(line.partition('"number": ')[2].partition(",")[0].rstrip("}\n")))
        finally:
            writer.close()


@contextlib.contextmanager
def _face(database: Database) -> Iterator[str]:
    app = create_app("Test", max_body=1000)

    @app.get("/events/{subject}")
    async def events(subject: str, last_event_id: Annotated[str | None, Header()] = None) -> Response:
        return server_sent(afollow(database, after=last_event_id, subject=subject))

    with served(app) as url:
        yield url


def _publish(database: Database, subject: str, *numbers: int, words: str = "") -> None:
    with database.transaction() as session:
        publish_all(
            session,
            [("test.counted", subject, {"number": number, "words": words}) for number in numbers],
        )


def _connections(database: Database, role: str) -> int:
    with database.transaction() as session:
        counted = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")
        return int(session.execute(counted, {"name": f"rakeeza {role}"}).scalar_one())


async def _take(database: Database, subject: str | None, count: int) -> list[int]:
    following = afollow(database, after=None, subject=subject)
    seen: list[int] = []
    async with contextlib.aclosing(following):
        async for event in following:
            seen.append(event.payload["number"])
            if len(seen) == count:
                break
    return seen


@pytest.fixture
def api(database_url: str) -> Iterator[Database]:
    """The same database as `database`, as another process would have it."""
    own = Database(database_url, role="hub")
    yield own
    own.dispose()


def test_three_hundred_readers_see_all_of_a_run_once_over_a_death_of_postgresql(
    own_server: OwnServer,
) -> None:
    count = 500
    api = Database(f"{own_server.database.connection_info} application_name='rakeeza hub'")
    most = 0

    def write() -> None:
        nonlocal most
        for number in range(count):
            if number == 250:
                own_server.kill()
                own_server.wait()
            _publish(own_server.database, "run", number)
            if number % 25 == 0:
                most = max(most, _connections(own_server.database, "hub"))

    async def run(url: str) -> tuple[list[_Stream], list[_Stream]]:
        whole = [_Stream(url, "run") for _ in range(250)]
        leaving = [_Stream(url, "run") for _ in range(50)]

        async def come_back(stream: _Stream, at: int) -> None:
            await stream.read(at)
            await stream.read(count - 1)

        async with asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as group:
            for number, stream in enumerate(whole):
                # Some stay from the first on, some leave and come back by their cursor.
                group.create_task(come_back(stream, number * 2 if number % 5 == 0 else count - 1))
            for number, stream in enumerate(leaving):
                group.create_task(stream.read(number * 9))
            await asyncio.to_thread(write)
        return whole, leaving

    with _face(api) as url:
        whole, leaving = asyncio.run(run(url))
    api.dispose()
    assert all(stream.numbers == list(range(count)) for stream in whole)
    assert all(stream.numbers == list(range(len(stream.numbers))) for stream in leaving)
    assert all(len(stream.numbers) > number * 9 for number, stream in enumerate(leaving))
    assert 1 <= most <= _HANDFUL


def test_readers_of_fifty_subjects_each_see_their_own_and_share_connections(
    database: Database, api: Database
) -> None:
    subjects = [f"s{number}" for number in range(50)]
    most = 0

    def write() -> None:
        nonlocal most
        for number in range(10):
            for subject in subjects:
                _publish(database, subject, number)
            most = max(most, _connections(database, "hub"))

    async def run(url: str) -> list[_Stream]:
        streams = [_Stream(url, subject) for subject in subjects]
        async with asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as group:
            writing = group.create_task(asyncio.to_thread(write))
            for stream in streams:
                # They come while it is written: what is found before and after must meet.
                await asyncio.sleep(0.01)
                group.create_task(stream.read(9))
            await writing
        return streams

    with _face(api) as url:
        streams = asyncio.run(run(url))
    assert all(stream.numbers == list(range(10)) for stream in streams)
    assert 1 <= most <= _HANDFUL


def test_a_reader_that_does_not_read_holds_up_nobody_and_is_kept_nothing(
    database: Database, api: Database
) -> None:
    count, batch = 5000, 50

    def kept() -> int:
        return sum(isinstance(one, StoredEvent) for one in gc.get_objects())

    async def run(url: str) -> tuple[_Stream, int, bytes]:
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        with socket.socket() as idle:
            idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            idle.connect(address)
            idle.sendall(b"GET /events/run HTTP/1.1\r\nHost: x\r\n\r\n")
            quick = _Stream(url, "run")
            async with asyncio.timeout(_PATIENCE):
                reading = asyncio.create_task(quick.read(count - 1))
                for first in range(0, count, batch):
                    numbers = range(first, first + batch)
                    await asyncio.to_thread(_publish, database, "run", *numbers, words="x" * 2000)
                await reading
                most = kept()
                idle.setblocking(False)
                told = b""
                while b'"number": %d}' % (count - 1) not in told[-8000:]:
                    told += await asyncio.get_running_loop().sock_recv(idle, 1 << 20)
        return quick, most, told

    with _face(api) as url:
        quick, most, told = asyncio.run(run(url))
    assert quick.numbers == list(range(count))
    numbers = [int(part.partition(b"}")[0]) for part in told.split(b'"number": ')[1:]]
    assert numbers == list(range(count))
    assert most < count / 2


def test_readers_that_come_at_once_share_a_pool_of_one(database: Database, database_url: str) -> None:
    subjects = [f"s{number}" for number in range(300)]
    with database.transaction() as session:
        for subject in subjects:
            publish(session, "test.counted", subject, {"number": 7})
    narrow = Database(database_url, pool=1, role="hub")

    async def run() -> tuple[list[list[int]], int]:
        async with asyncio.timeout(_PATIENCE), asyncio.TaskGroup() as group:
            tasks = [group.create_task(_take(narrow, subject, 2)) for subject in subjects]
            await asyncio.sleep(1)
            counted = await asyncio.to_thread(_connections, database, "hub")
            for subject in subjects:
                await asyncio.to_thread(_publish, database, subject, 8)
        return [task.result() for task in tasks], counted

    seen, counted = asyncio.run(run())
    narrow.dispose()
    assert seen == [[7, 8]] * 300
    assert counted <= 2


def test_a_cancelled_reader_disturbs_no_other_and_the_last_ends_the_connection(
    database: Database, api: Database
) -> None:
    async def run() -> tuple[list[list[int]], int]:
        async with asyncio.timeout(_PATIENCE):
            staying = [asyncio.create_task(_take(api, "a", 3)) for _ in range(3)]
            leaving = [asyncio.create_task(_take(api, "a", 3)) for _ in range(3)]
            for number in range(3):
                await asyncio.to_thread(_publish, database, "a", number)
                leaving[number].cancel()
            await asyncio.wait(leaving)
            seen = await asyncio.gather(*staying)
            while (left := await asyncio.to_thread(_listening, database)) > 0:
                await asyncio.sleep(0.01)
        return seen, left

    seen, left = asyncio.run(run())
    assert seen == [[0, 1, 2]] * 3
    assert left == 0


def _listening(database: Database) -> int:
    with database.transaction() as session:
        counted = text(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'rakeeza hub' AND query = 'LISTEN rakeeza_event'"
        )
        return int(session.execute(counted).scalar_one())


def test_a_loop_that_ends_with_readers_in_it_leaves_the_next_one_free(
    database: Database, api: Database
) -> None:
    async def leave_one() -> None:
        waiting = asyncio.create_task(_take(api, "a", 99))
        await asyncio.sleep(0.3)
        assert not waiting.done()

    _publish(database, "a", 0)
    for _ in range(3):
        asyncio.run(leave_one())
        assert asyncio.run(asyncio.wait_for(_take(api, "a", 1), _PATIENCE)) == [0]
    loop = asyncio.new_event_loop()
    abandoned = loop.create_task(_take(api, "a", 99))
    loop.run_until_complete(asyncio.sleep(0.3))
    abandoned.cancel()
    loop.run_until_complete(asyncio.wait([abandoned]))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert asyncio.run(asyncio.wait_for(_take(api, "a", 1), _PATIENCE)) == [0]
    assert all(not key[0].is_closed() for key in event_hub._hubs)


def test_what_another_transaction_held_back_reaches_all_readers(database: Database, api: Database) -> None:
    async def run() -> list[list[int]]:
        async with asyncio.timeout(_PATIENCE):
            readers = [asyncio.create_task(_take(api, subject, 2)) for subject in ("a", "a", None)]
            await asyncio.to_thread(_publish, database, "a", 0)
            await asyncio.sleep(0.5)
            held, release = threading.Event(), threading.Event()
            holding = asyncio.create_task(asyncio.to_thread(_hold, database, held, release))
            await asyncio.to_thread(held.wait)
            await asyncio.to_thread(_publish, database, "a", 1)
            await asyncio.sleep(0.3)
            assert not any(reader.done() for reader in readers)
            release.set()
            await holding
            return list(await asyncio.gather(*readers))

    assert asyncio.run(run()) == [[0, 1]] * 3


def _hold(database: Database, held: threading.Event, release: threading.Event) -> None:
    with database.transaction() as session:
        session.execute(text("SELECT pg_current_xact_id()"))
        held.set()
        release.wait(_PATIENCE)


def test_a_lost_listener_is_told_once_and_replaced(
    database: Database, api: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> list[list[int]]:
        async with asyncio.timeout(_PATIENCE):
            readers = [asyncio.create_task(_take(api, "a", 2)) for _ in range(20)]
            await asyncio.to_thread(_publish, database, "a", 0)
            while await asyncio.to_thread(_listening, database) == 0:
                await asyncio.sleep(0.01)
            with psycopg.connect(database.connection_info, autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'rakeeza hub' AND query = 'LISTEN rakeeza_event'"
                )
            while await asyncio.to_thread(_listening, database) == 0:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(_publish, database, "a", 1)
            return list(await asyncio.gather(*readers))

    with caplog.at_level(logging.WARNING, "foundation.event_hub"):
        assert asyncio.run(run()) == [[0, 1]] * 20
    assert len([record for record in caplog.records if record.name == "foundation.event_hub"]) == 1


def test_kinds_are_told_apart_among_readers_of_one_hub(database: Database, api: Database) -> None:
    async def take(prefix: str | None) -> list[str]:
        following = afollow(api, after=None, kind_prefix=prefix)
        async with contextlib.aclosing(following):
            return [event.kind async for event in _first(following, 2)]

    async def run() -> list[list[str]]:
        async with asyncio.timeout(_PATIENCE):
            readers = [asyncio.create_task(take(prefix)) for prefix in ("play.", "case.", None)]
            await asyncio.sleep(0.5)
            for kind in ("play.a", "case.a", "case.b", "play.b"):
                await asyncio.to_thread(_one, database, kind)
            return list(await asyncio.gather(*readers))

    assert asyncio.run(run()) == [["play.a", "play.b"], ["case.a", "case.b"], ["play.a", "case.a"]]


async def _first(events: object, count: int) -> AsyncGenerator[StoredEvent, None]:
    async for event in cast("AsyncGenerator[StoredEvent, None]", events):
        yield event
        count -= 1
        if count == 0:
            return


def _one(database: Database, kind: str) -> None:
    with database.transaction() as session:
        publish(session, kind, "a", {})
