"""The keeper of one private PostgreSQL: `python -m foundation.postgres_keeper FOLDER MAX_CONNECTIONS REPORT`.

A process of its own that runs the server under a guard, restarts it when it dies, and ends it when nobody
needs it any more. A client connects to the keeper's socket and reads one line: `{"ready": URL}` or
`{"error": …}`. Its lease is that connection: it ends with the client, however the client ends. REPORT is an
inherited pipe, on which the keeper says to the one who started it that it listens, or why it cannot.
"""

import contextlib
import fcntl
import json
import os
import re
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation.errors import RakeezaError, Unavailable
from foundation.guard import Guard, Program
from foundation.postgres_cluster import Cluster

LINGER = 1.0
_STEP = 0.02
_STOP_GRACE = 60.0
_LONGEST_PAUSE = 5.0
_LOG_LIMIT = 20_000_000
# Starts that fail for another reason than a predecessor that is still ending; then the waiting are told.
_TRIES = 3
# A predecessor whose keeper was killed is still ending: its pid file or its shared memory is in use.
_PREDECESSOR = ("lock file", "shared memory block")
# Seconds that a server is tried for, without a success and with no one waiting.
_UNWANTED = 30.0


class Keeper:
    """Runs the server of a cluster as long as it has leases.

    Args:
        report: descriptor to say on that it listens; closed then.
        linger: seconds without a lease until the server is stopped.
    """

    def __init__(self, cluster: Cluster, report: int, linger: float = LINGER) -> None:
        self._cluster = cluster
        self._report = report
        self._linger = linger
        self._selector = selectors.DefaultSelector()
        self._leases: dict[socket.socket, bool] = {}
        self._guard: Guard | None = None
        self._server = -1
        self._pid = 0
        self._ready = False
        self._log_start = 0
        self._failures = 0
        self._start_at = 0.0
        self._ended = False

    def run(self) -> None:
        """Keep the server until the last lease ends, or a SIGTERM comes."""
        with self._alone():
            programs, user = self._cluster.prepare()
            for log in (self._cluster.log, self._cluster.keeper_log):
                if log.exists() and log.stat().st_size > _LOG_LIMIT:
                    log.rename(log.with_suffix(".log.1"))
            program = self._program(programs, user)
            listener = self._listen()
            report(self._report, {"listening": True})
            try:
                self._serve(program)
            except RakeezaError as error:
                self._refuse(error)
                raise
            finally:
                # First no new leases, then the end: who connects now starts the next keeper, which waits.
                self._cluster.keeper_socket.unlink(missing_ok=True)
                listener.close()
                if self._guard:
                    self._guard.close()
                for lease in self._leases:
                    lease.close()
                self._selector.close()
                _say("stopped")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._cluster.folder / "keeper.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _listen(self) -> socket.socket:
        path = self._cluster.keeper_socket
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(128)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, self._accept)
        return listener

    def _program(self, programs: Path, user: str | None) -> Program:
        cluster = self._cluster
        configuration = cluster.conf / "postgresql.conf"
        return Program(
            name="postgres",
            argv=(f"{programs}/postgres", "-D", f"{cluster.data}", "-c", f"config_file={configuration}"),
            log=cluster.log,
            # The server's messages and times must not depend on who came first.
            environment={"LC_ALL": "C", "TZ": "UTC"},
            user=user,
            stop_signal=signal.SIGINT,
            grace=_STOP_GRACE,
            folder=cluster.data,
        )

    def _serve(self, program: Program) -> None:
        def on_signal(*_: object) -> None:
            self._ended = True

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        idle_since = time.monotonic()
        while not self._ended:
            now = time.monotonic()
            if self._leases:
                idle_since = now
            elif now - idle_since >= (self._linger if self._ready else _UNWANTED) or self._failures >= _TRIES:
                return
            if self._guard is None and now >= self._start_at:
                self._start(program)
            elif self._guard is not None and not self._ready and self._is_ready():
                self._now_ready()
            for key, _ in self._selector.select(_STEP if not self._ready else self._linger / 4):
                key.data(key.fileobj)

    def _start(self, program: Program) -> None:
        self._forget_stale_pid()
        log = self._cluster.log
        self._log_start = log.stat().st_size if log.exists() else 0
        self._guard = Guard()
        try:
            self._pid = self._guard.start(program)
            self._server = os.pidfd_open(self._pid)
        except (Unavailable, ProcessLookupError):
            # The guard or the server was killed at once: that is a death like any other.
            self._died(None)
            return
        self._selector.register(self._server, selectors.EVENT_READ, self._died)
        _say(f"PostgreSQL started as process {self._pid}")

    def _died(self, _: object) -> None:
        if self._server >= 0:
            self._selector.unregister(self._server)
            os.close(self._server)
            self._server = -1
        if self._guard:
            # A server that was killed leaves its backends behind; with the guard every one of them goes.
            self._guard.close()
            self._guard = None
        message = self._last_words()
        _say(f"PostgreSQL ended: {message or 'killed'}")
        if self._ready:
            self._failures = 0
        elif not any(words in message for words in _PREDECESSOR):
            self._failures += 1
        self._start_at = time.monotonic() + min(_LONGEST_PAUSE, 0.1 * 2**self._failures)
        self._ready = False
        if self._failures >= _TRIES:
            self._refuse(
                Unavailable(
                    f"PostgreSQL does not start: {message or 'it was killed'}.",
                    place=str(self._cluster.log),
                    remedy="Read this log.",
                )
            )

    def _is_ready(self) -> bool:
        # The first line is the server's number: this one's, not its predecessor's. The eighth is its state.
        with contextlib.suppress(OSError, IndexError):
            lines = (self._cluster.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
            return lines[0].strip() == str(self._pid) and lines[7].strip() == "ready"
        return False

    def _now_ready(self) -> None:
        self._ready = True
        self._failures = 0
        _say("PostgreSQL is ready")
        for lease in [lease for lease, told in self._leases.items() if not told]:
            self._tell(lease)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            lease, _ = listener.accept()
            lease.setblocking(False)
            self._leases[lease] = False
            self._selector.register(lease, selectors.EVENT_READ, self._on_lease)
            if self._ready:
                self._tell(lease)

    def _tell(self, lease: socket.socket) -> None:
        try:
            lease.send(json.dumps({"ready": self._cluster.url}).encode() + b"\n")
            self._leases[lease] = True
        except OSError:
            self._drop(lease)

    def _refuse(self, error: RakeezaError) -> None:
        line = json.dumps(_refusal(error)).encode() + b"\n"
        for lease in [lease for lease, told in self._leases.items() if not told]:
            with contextlib.suppress(OSError):
                lease.send(line)
            self._drop(lease)

    def _on_lease(self, lease: socket.socket) -> None:
        try:
            if lease.recv(4096):
                return
        except BlockingIOError:
            return
        except OSError:
            # Reset by a holder that was killed: its lease has ended.
            pass
        self._drop(lease)

    def _drop(self, lease: socket.socket) -> None:
        if lease in self._leases:
            self._selector.unregister(lease)
            del self._leases[lease]
            lease.close()

    def _last_words(self) -> str:
        with contextlib.suppress(OSError), self._cluster.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
            fatal = [line.partition(":  ")[2] for line in lines if "FATAL:" in line or "PANIC:" in line]
            # What it says before its log is open has no time before it.
            bare = [line for line in lines if line and not re.match(r"\d{4}-\d\d-\d\d |\s", line)]
            return (fatal or bare or [""])[-1]
        return ""

    def _forget_stale_pid(self) -> None:
        # After a power cut another process may bear the number in this file, and PostgreSQL would then refuse
        # to start for ever. We hold the keeper's lock: a server of ours shows itself by its working folder.
        # A dead one that its new parent has not buried yet has no folder, and would count as alive as well.
        for path in (
            self._cluster.data / "postmaster.pid",
            self._cluster.socket_folder / ".s.PGSQL.5432.lock",
        ):
            with contextlib.suppress(OSError, IndexError, ValueError):
                pid = int(path.read_text(encoding="utf-8").splitlines()[0])
                home = Path(f"/proc/{pid}/cwd")
                if not home.exists() or home.resolve() != self._cluster.data.resolve():
                    path.unlink()


def _refusal(error: RakeezaError) -> dict[str, Any]:
    words = {"kind": type(error).__name__, "message": error.message, "place": error.place}
    return {"error": {**words, "remedy": error.remedy}}


def report(descriptor: int, line: dict[str, Any]) -> None:
    """Say one line to the process that started the keeper, and close."""
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    os.close(descriptor)


def _say(text: str) -> None:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    print(f"{moment} UTC [{os.getpid()}] {text}", flush=True)


def main() -> int:
    """Become a process of nobody's, and keep."""
    if os.fork():
        # The caller buries this one at once, and the keeper belongs to init: no one is left to wait for it.
        os._exit(0)
    descriptor = int(sys.argv[3])
    os.set_inheritable(descriptor, False)
    try:
        Keeper(Cluster(Path(sys.argv[1]), int(sys.argv[2])), descriptor).run()
    except RakeezaError as error:
        _say(str(error))
        with contextlib.suppress(OSError):
            report(descriptor, _refusal(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
