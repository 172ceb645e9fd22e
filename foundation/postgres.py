"""The private PostgreSQL: whoever needs it holds a lease; it runs while there is one.

The first lease starts the server's keeper (`postgres_keeper.py`), a process of its own; the last one that
ends lets it stop. Nobody has to start, stop or own the server, and a killed process holds nothing.
"""

import contextlib
import fcntl
import json
import logging
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation.errors import DatabaseUnavailable, RakeezaError, SettingsError
from foundation.postgres_cluster import Cluster

_log = logging.getLogger(__name__)

_STEP = 0.05
_START_TIMEOUT = 60.0
_PACKAGES = Path(__file__).resolve().parent.parent


class PrivatePostgres:
    """A PostgreSQL server in a folder, run when needed.

    Args:
        folder: its home; made if it is missing.
        max_connections: of the server, when this process is the one that starts it.
        start_timeout: seconds to wait for the server to be ready.
    """

    def __init__(self, folder: Path, *, max_connections: int, start_timeout: float = _START_TIMEOUT) -> None:
        self._cluster = Cluster(folder.absolute(), max_connections)
        self._start_timeout = start_timeout

    @contextlib.contextmanager
    def lease(self) -> Iterator[str]:
        """Hold the server: it is started if needed, and again should it or its keeper be killed.

        Yields:
            Its libpq URL; the same over a restart.

        Raises:
            SettingsError: it cannot be run as things are (folder, user, programs).
            DatabaseUnavailable: it does not become ready; the error holds the last words of its log.
        """
        closed = threading.Event()
        held, url = self._obtain(closed)
        holder = _Holder(self, held, closed)
        try:
            yield url
        finally:
            holder.close()

    def _obtain(self, closed: threading.Event) -> tuple[socket.socket, str]:
        limit = time.monotonic() + self._start_timeout
        self._cluster.lay_out()
        while time.monotonic() < limit and not closed.is_set():
            lease = self._connect()
            if lease is None:
                self._start(limit, closed)
                continue
            # No answer: we met a keeper that is ending, and the next one is ours to start.
            answer = self._answer(lease, limit, closed)
            if answer is not None and "ready" in answer:
                return lease, str(answer["ready"])
            lease.close()
            if answer is not None:
                raise _translated(answer["error"])
            time.sleep(_STEP)
        raise DatabaseUnavailable(
            f"PostgreSQL is not ready after {self._start_timeout:g} s: {self._last_words()}",
            place=str(self._cluster.log),
            remedy="Read this log.",
        )

    def _connect(self) -> socket.socket | None:
        lease = socket.socket(socket.AF_UNIX)
        try:
            lease.connect(str(self._cluster.keeper_socket))
        except (FileNotFoundError, ConnectionRefusedError):
            lease.close()
            return None
        except OSError as error:
            lease.close()
            raise SettingsError(
                f"The private PostgreSQL cannot be reached ({error.strerror}).",
                place=str(self._cluster.keeper_socket),
                remedy="Run as root, or as the user that it belongs to.",
            ) from error
        return lease

    @staticmethod
    def _answer(lease: socket.socket, limit: float, closed: threading.Event) -> dict[str, Any] | None:
        line = b""
        with contextlib.suppress(ConnectionError):
            while not line.endswith(b"\n") and time.monotonic() < limit and not closed.is_set():
                if select.select([lease], [], [], _STEP)[0]:
                    data = lease.recv(4096)
                    if not data:
                        break
                    line += data
        return json.loads(line) if line.endswith(b"\n") else None

    def _start(self, limit: float, closed: threading.Event) -> None:
        with (self._cluster.folder / "start.lock").open("a") as lock:
            while time.monotonic() < limit and not closed.is_set():
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(_STEP)
            else:
                return
            # Another process may have started it while we waited for the lock.
            other = self._connect()
            if other is not None:
                other.close()
                return
            self._start_keeper(limit, closed)

    def _start_keeper(self, limit: float, closed: threading.Event) -> None:
        reading, writing = os.pipe()
        try:
            arguments = (self._cluster.folder, self._cluster.max_connections, writing)
            path = os.pathsep.join(filter(None, (str(_PACKAGES), os.environ.get("PYTHONPATH"))))
            with self._cluster.keeper_log.open("ab") as log:
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "foundation.postgres_keeper", *map(str, arguments)],
                    env={**os.environ, "PYTHONPATH": path},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    pass_fds=[writing],
                    start_new_session=True,
                ).wait()
            os.close(writing)
            writing = -1
            while time.monotonic() < limit and not closed.is_set():
                if select.select([reading], [], [], _STEP)[0]:
                    line = os.read(reading, 65536)
                    answer: dict[str, Any] = json.loads(line) if line else {"error": self._crashed()}
                    if "error" in answer:
                        raise _translated(answer["error"])
                    return
        finally:
            os.close(reading)
            if writing >= 0:
                os.close(writing)

    def _crashed(self) -> dict[str, str]:
        return {
            "kind": "DatabaseUnavailable",
            "message": f"The keeper of PostgreSQL ended: {_tail(self._cluster.keeper_log)}",
            "place": str(self._cluster.keeper_log),
            "remedy": "Read this log.",
        }

    def _last_words(self) -> str:
        return _tail(self._cluster.log) or _tail(self._cluster.keeper_log) or "it said nothing."


class _Holder:
    """Keeps a lease alive: when the keeper is killed, its thread takes a new one."""

    def __init__(self, server: PrivatePostgres, lease: socket.socket, closed: threading.Event) -> None:
        self._server = server
        self._lease = lease
        self._closed = closed
        self._thread = threading.Thread(target=self._watch, name="postgres-lease", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._lease.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._lease.close()

    def _watch(self) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(OSError):
                # The keeper says nothing more: whatever ends this read is the end of the lease.
                self._lease.recv(1)
            if self._closed.is_set():
                return
            _log.warning("The keeper of the private PostgreSQL has ended; taking a new lease.")
            try:
                lease, _ = self._server._obtain(self._closed)
            except RakeezaError as error:
                if not self._closed.is_set():
                    _log.error("The private PostgreSQL cannot be had back: %s", error)
                self._closed.wait(1.0)
                continue
            self._lease.close()
            self._lease = lease
            if self._closed.is_set():
                return


def _translated(words: dict[str, str]) -> RakeezaError:
    kind = SettingsError if words["kind"] == "SettingsError" else DatabaseUnavailable
    return kind(words["message"], place=words["place"], remedy=words["remedy"])


def _tail(log: Path) -> str:
    with contextlib.suppress(OSError):
        return " / ".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-3:])
    return ""
