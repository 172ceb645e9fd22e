"""Connections that lie idle in the pool: none is given out dead, and none is asked without need."""

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import DatabaseUnavailable
from tests.own_server import OwnServer
from tests.processes import PATIENCE, until

_PING = b"Q\0\0\0\6;\0"


class _Relay:
    """Stands between clients and a server on a Unix socket, and can forget connections as a firewall does."""

    def __init__(self, server: str) -> None:
        self.sent = bytearray()
        self._server = server
        self._forgotten = threading.Event()
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._listener.settimeout(0.05)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def forget(self) -> None:
        """The connections there are answer nothing more, and are reset when their client next writes."""
        self._forgotten.set()
        self._forgotten = threading.Event()

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._pass_on, args=(client, self._forgotten))
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, client: socket.socket, forgotten: threading.Event) -> None:
        server = socket.socket(socket.AF_UNIX)
        server.connect(self._server)
        with client, server, selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while not self._over.is_set():
                for key, _ in ready.select(0.02):
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    if forgotten.is_set():
                        # Closing with no time to linger sends a reset (socket(7), SO_LINGER).
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is client:
                        self.sent += data
                    target.sendall(data)


@pytest.fixture
def relay(database: Database) -> Iterator[_Relay]:
    with psycopg.connect(database.connection_info) as connection:
        place = f"{connection.info.host}/.s.PGSQL.{connection.info.port}"
    made = _Relay(place)
    yield made
    made.close()


@pytest.fixture
def far(database: Database, relay: _Relay) -> Iterator[Database]:
    """The same database, as through a firewall."""
    with psycopg.connect(database.connection_info) as connection:
        name, user = connection.info.dbname, connection.info.user
    through = Database(f"postgresql://{user}@127.0.0.1:{relay.port}/{name}?sslmode=disable", pool=2)
    yield through
    through.dispose()


def _ask(database: Database, question: str) -> object:
    with database.transaction() as session:
        return session.execute(text(question)).scalar_one()


def _all_at_once(database: Database, number: int) -> list[object]:
    """A question on each of so many connections, all of them taken out together."""
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(database.transaction()) for _ in range(number)]
        return [session.execute(text("SELECT pg_backend_pid()")).scalar_one() for session in sessions]


def test_after_a_restart_no_idle_connection_surfaces_as_an_error(own_server: OwnServer) -> None:
    database = own_server.database
    before = _all_at_once(database, 4)
    own_server.kill()

    def back() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(database.connection_info).close()
            return True
        return False

    until(back)
    after = _all_at_once(database, 4)
    assert len(set(after)) == 4
    assert not set(before) & set(after)


def test_a_session_ended_by_the_administrator_is_replaced(database: Database) -> None:
    (mine,) = _all_at_once(database, 1)
    with psycopg.connect(database.connection_info, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, %s)", (mine, int(PATIENCE * 1000)))
    assert _all_at_once(database, 1) != [mine]


def test_a_connection_just_used_is_not_asked_and_one_long_idle_is(
    far: Database, relay: _Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ask(far, "SELECT 7")
    relay.sent.clear()
    assert _ask(far, "SELECT 7") == 7
    assert b"SELECT 7" in relay.sent
    assert _PING not in relay.sent
    monkeypatch.setattr("foundation.database._BELIEVED", 0.0)
    assert _ask(far, "SELECT 7") == 7
    assert _PING in relay.sent


def test_a_long_idle_connection_that_a_firewall_forgot_is_replaced(
    far: Database, relay: _Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foundation.database._BELIEVED", 0.0)
    before = _all_at_once(far, 2)
    relay.forget()
    after = _all_at_once(far, 2)
    assert not set(before) & set(after)


def test_a_connection_forgotten_within_seconds_is_told_once(far: Database, relay: _Relay) -> None:
    _all_at_once(far, 2)
    relay.forget()
    # Nothing of it can be seen from here, and it was used a moment ago: the price of not asking.
    with pytest.raises(DatabaseUnavailable):
        _ask(far, "SELECT 1")
    # It tells of the whole pool: the other one is not tried.
    assert _ask(far, "SELECT 1") == 1


def test_a_transaction_is_rolled_back_before_its_connection_is_used_again(database: Database) -> None:
    def fail() -> None:
        with database.transaction() as session:
            session.execute(text("CREATE TABLE never (n int)"))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert _ask(database, "SELECT to_regclass('never')") is None
