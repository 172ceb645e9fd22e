"""A lease: what one holder of devices keeps alive for as long as he works on them.

Three things tell whether its holder lives. Its own connection to PostgreSQL holds an advisory lock, which the
server frees when the process dies or is cut off. The moment of its last renewal outlives a restart of
PostgreSQL, which frees every such lock. And on the machine where it runs, its process can be looked for.

Source: PostgreSQL 15 manual, sections 13.3.5 (advisory locks) and 34.4 (asynchronous commands); proc(5).
"""

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ExecStatus
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import Conflict, DatabaseUnavailable

_log = logging.getLogger(__name__)

KEY = 0x6C6F << 48
"""The advisory lock of a lease is this number and the lease's; "lo" in ASCII."""

# Seconds between two renewals, and for an answer, at most; and the parts of `grace` that bound them.
_RENEW, _RENEW_PART = 20.0, 4.5
_ANSWER, _ANSWER_PART = 5.0, 6.0
# Who could not renew for this part of `grace` stops: the rest is for stopping, before another may begin.
_STOP_PART = 2 / 3
# A renewal that a crash forgets is like one that was not made yet: nobody waits for the disk. An idle
# connection is what we want. The server misses a machine that vanished within 35 s.
_OPTIONS = (
    "-c synchronous_commit=off -c idle_session_timeout=0 "
    "-c tcp_keepalives_idle=20 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)
_GIVE_NUMBER = b"""
    SELECT id, pg_try_advisory_lock($1::bigint | id) FROM nextval('device_lease_id') AS id
"""
_LOOK = b"SELECT lost, NULL, NULL FROM device_lease WHERE id = $1::bigint"
# Who frees or breaks a lease has its row locked. We do not wait, and see at the next look what he did.
_HOLD = b"""
    WITH mine AS (SELECT id FROM device_lease WHERE id = $1::bigint FOR NO KEY UPDATE SKIP LOCKED),
    renewed AS (
        UPDATE device_lease SET renewed_at = clock_timestamp() FROM mine WHERE device_lease.id = mine.id
        RETURNING 1
    )
    SELECT lost, (SELECT 'yes' FROM renewed),
        CASE WHEN $2::bigint IS NULL OR pg_try_advisory_lock($2::bigint) THEN 'yes' END
    FROM device_lease WHERE id = $1::bigint
"""
_RELEASE = b"DELETE FROM device_lease WHERE id = $1::bigint"
# A renewal does not meet this lock; whoever takes the lease away waits for it.
_CHECK = text("SELECT lost FROM device_lease WHERE id = :lease FOR KEY SHARE")


class LeaseLost(Conflict):
    """The devices are locked for this work no more; it must stop."""

    titles = ("Device lock lost", "انتهى حجز الجهاز")


@dataclass(frozen=True)
class Process:
    """A process, told from every other one that ever had its number.

    Args:
        host: name of its machine.
        boot_id: of its machine's kernel since the last start, and the namespace in which its number counts.
        pid: its number.
        started: when, in clock ticks since the machine's start.

    Source: random(4) (boot_id), pid_namespaces(7), proc(5) (/proc/PID/stat).
    """

    host: str
    boot_id: str
    pid: int
    started: int

    @classmethod
    def this(cls) -> "Process":
        """The calling process."""
        pid = os.getpid()
        _, started = _state(pid)
        return cls(socket.gethostname(), _boot_id(), pid, started)

    @property
    def worker(self) -> str:
        """As people name it: `host:pid`."""
        return f"{self.host}:{self.pid}"

    def gone(self) -> bool:
        """Whether it is known to have ended; False of a process that cannot be seen from here."""
        if (self.host, self.boot_id) != (socket.gethostname(), _boot_id()):
            return False
        try:
            # Signal 0 only asks. A process of another user is there too, though /proc may hide it.
            with contextlib.suppress(PermissionError):
                os.kill(self.pid, 0)
            state, started = _state(self.pid)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return started != self.started or state in "ZX"


def _boot_id() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _state(pid: int) -> tuple[str, int]:
    # The name in parentheses may hold anything, also a parenthesis.
    words = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return words[0].decode("ascii"), int(words[19])


class Line:
    """The connection whose end tells the server that its holder ended.

    Args:
        database: where to.
        patience: seconds to wait for an answer; a server that hangs must not hang the holder.
    """

    def __init__(self, database: Database, patience: float) -> None:
        given: dict[str, Any] = conninfo_to_dict(database.connection_info)
        given["options"] = f"{given.get('options', '')} {_OPTIONS}"
        given["application_name"] = "rakeeza device lock"
        given["connect_timeout"] = max(2, round(patience))
        self._where = make_conninfo(**given)
        self._database = database
        self._patience = patience
        self._connection: psycopg.Connection[Any] | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is there, as far as can be told without asking."""
        if self._connection is None or self._connection.closed:
            return False
        # An idle connection has nothing to say but that it ended, or why it will.
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        if poll.poll(0):
            self.close()
        return not self._connection.closed

    def open(self) -> None:
        """Connect.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        with self._database.errors():
            self._connection = psycopg.connect(self._where, autocommit=True)

    def close(self) -> None:
        """Disconnect; the server frees the advisory lock."""
        if self._connection is not None:
            self._connection.close()

    def ask(self, statement: bytes, *values: int | None) -> list[tuple[bytes | None, ...]]:
        """Send one statement and wait for its rows; the connection is closed if they do not come.

        Args:
            statement: with $1, $2 … for the values.

        Raises:
            DatabaseUnavailable: no answer, or an error.
        """
        assert self._connection is not None
        try:
            with self._database.errors():
                return self._answer(self._connection, statement, values)
        except BaseException:
            # Half an answer would be taken for that of the next statement.
            self.close()
            raise

    def _answer(
        self, connection: psycopg.Connection[Any], statement: bytes, values: tuple[int | None, ...]
    ) -> list[tuple[bytes | None, ...]]:
        server, poll = connection.pgconn, select.poll()
        limit = time.monotonic() + self._patience
        server.send_query_params(statement, [None if value is None else b"%d" % value for value in values])
        rows: list[tuple[bytes | None, ...]] = []
        while True:
            while (unsent := server.flush()) or server.is_busy():
                left = limit - time.monotonic()
                poll.register(connection.fileno(), select.POLLIN | (select.POLLOUT if unsent else 0))
                if left <= 0 or not poll.poll(left * 1000):
                    raise psycopg.OperationalError(f"no answer for {self._patience:g} s")
                server.consume_input()
            result = server.get_result()
            if result is None:
                return rows
            if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
                raise psycopg.OperationalError(result.get_error_message())
            columns = range(result.nfields)
            rows += [
                tuple(result.get_value(row, column) for column in columns) for row in range(result.ntuples)
            ]


class Lease:
    """Locks on devices, held together by one process; made by `DeviceLocks.take`.

    May be used by several threads. What it holds ends with `release`, with the process, or when it is lost.

    Args:
        line: open.
        number: of the lease.
        subject: of the work, for errors.
        grace: seconds without a renewal after which another may take the devices over.
        abandoned: leases of this process that nobody uses and that could not be ended.

    Attributes:
        id: its number.
        tokens: of each device; a device's tokens only grow, so that an older holder is told from a newer one.
    """

    def __init__(self, line: Line, number: int, subject: str, grace: float, abandoned: set[int]) -> None:
        self.id = number
        self.tokens: Mapping[str, int] = {}
        self._line = line
        self._subject = subject
        self._grace = grace
        self._abandoned = abandoned
        self._renewed = _now()
        self._locked = True
        self._ended = ""
        self._released = False
        self._turn = threading.RLock()

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def hold(self) -> None:
        """Stay the holder; to be called a few times a second, also while PostgreSQL is away.

        One round trip. It reconnects after a restart of PostgreSQL, and never waits for long.

        Raises:
            LeaseLost: the devices are this work's no more, now and for ever; it must stop at once.
            DatabaseUnavailable: PostgreSQL does not answer. The devices are still this work's; ask again.
        """
        with self._turn:
            self._must_be_held()
            asked = _now()
            try:
                rows = self._look(due=asked - self._renewed >= min(_RENEW, self._grace / _RENEW_PART))
            except DatabaseUnavailable as error:
                silent = _now() - self._renewed
                if silent < self._grace * _STOP_PART:
                    raise
                self._ended = f"They could not be renewed for {silent:.0f} s: PostgreSQL does not answer."
                raise self._lost() from error
            if not rows or rows[0][0] is not None:
                # The line stays: where one lock was broken, it keeps the others until we have stopped.
                self._ended = _why(rows[0][0] if rows else None)
                raise self._lost()
            _, renewed, locked = rows[0]
            self._renewed = asked if renewed else self._renewed
            self._locked = self._locked or locked is not None

    def check(self, session: Session) -> None:
        """See to it that the caller's transaction is committed only while the devices are this work's.

        Whoever takes them over, or breaks a lock, waits for the end of that transaction.

        Raises:
            LeaseLost: the devices are this work's no more.
        """
        with self._turn:
            self._must_be_held()
        row = session.execute(_CHECK, {"lease": self.id}).one_or_none()
        if row is None or row.lost is not None:
            self._ended = self._ended or _why(row.lost.encode() if row else None)
            raise self._lost()

    def release(self) -> bool:
        """Free the devices; harmless when it is done again. Not from within a transaction that was checked.

        Returns:
            Whether they are free at once. What PostgreSQL could not be told is freed by this process's next
            `take` or `sweep`, with its end, or by anybody after `grace`.
        """
        with self._turn:
            if self._released:
                return self.id not in self._abandoned
            self._released, self._ended = True, self._ended or "They were released."
            try:
                if not self._line.is_open:
                    self._line.open()
                self._line.ask(_RELEASE, self.id)
            except DatabaseUnavailable as error:
                _log.warning("The locks of %s are freed later: %s", self._subject, error)
                self._abandoned.add(self.id)
                return False
            finally:
                self._line.close()
            return True

    def _look(self, due: bool) -> list[tuple[bytes | None, ...]]:
        if not self._line.is_open:
            self._line.open()
            self._locked = False
        if not due and self._locked:
            return self._line.ask(_LOOK, self.id)
        return self._line.ask(_HOLD, self.id, None if self._locked else KEY | self.id)

    def _must_be_held(self) -> None:
        if self._ended:
            raise self._lost()

    def _lost(self) -> LeaseLost:
        return LeaseLost(
            f"The devices are not locked for this work any more. {self._ended}",
            place=self._subject,
            remedy="See who holds them with: rakeeza lock list",
            message_ar="لم تعد الأجهزة محجوزة لهذا العمل، فتوقّف؛ تحقّق ممن يحجزها الآن قبل إعادة المحاولة.",
        )


def take_number(line: Line) -> int:
    """The number of a new lease, whose advisory lock the line holds."""
    ((number, locked),) = line.ask(_GIVE_NUMBER, KEY)
    assert number is not None
    assert locked == b"t", "a new number's lock is free"
    return int(number)


def patience(grace: float) -> float:
    """Seconds that a holder waits for an answer of PostgreSQL."""
    return min(_ANSWER, grace / _ANSWER_PART)


def _why(said: bytes | None) -> str:
    return said.decode() if said else "It was not heard of, and they were freed."


def _now() -> float:
    # Counts also while the machine sleeps, unlike time.monotonic.
    return time.clock_gettime(time.CLOCK_BOOTTIME)
