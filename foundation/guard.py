"""Runs foreign programs that must never outlive us.

A guard is a small process beside ours (`guard_process.py`), joined to it by a socket. It is the parent of the
programs and the reaper of whatever they leave behind, so that they end when we end, in whatever way we end.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from foundation.errors import NotFound, SettingsError, Unavailable

_PROGRAM = Path(__file__).with_name("guard_process.py")


@dataclass(frozen=True)
class Program:
    """A foreign program to run.

    Args:
        name: unique among the programs of one guard.
        argv: the program and its arguments.
        log: file that its output is appended to; its folder exists.
        environment: variables added to ours.
        user: system user to drop to when we are root; ignored otherwise.
        stop_signal: signal that asks it to end.
        grace: seconds between that signal and SIGKILL.
        folder: its working folder; by default ours, or / for another user.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: int = signal.SIGTERM
    grace: float = 5.0
    folder: Path | None = None


class Guard:
    """Starts programs and sees to their end.

    When this process ends in any way (return, Ctrl-C, kill -9), the guard stops every program in reverse
    order of start, then every descendant of theirs, however daemonised. If the guard itself is killed, the
    kernel kills the programs. One guard may be used by several threads.

    Raises:
        Unavailable: the guard process cannot be started, or was killed.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(_PROGRAM), str(theirs.fileno()), str(os.getpid())],
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                )
            except OSError as error:
                ours.close()
                raise Unavailable(f"The guard process cannot be started ({error.strerror}).") from error
        self._socket = ours
        self._answers = ours.makefile("r", encoding="utf-8")
        self._lock = threading.Lock()
        self._closed = False

    @property
    def pid(self) -> int:
        """Process id of the guard process."""
        return self._process.pid

    def start(self, program: Program) -> int:
        """Start a program.

        Returns:
            Its process id.

        Raises:
            SettingsError: it cannot be started (not found, not executable, no such user).
            Unavailable: the guard is gone.
        """
        folder = program.folder or ("/" if program.user and os.geteuid() == 0 else Path.cwd())
        answer = self._ask(
            "start",
            name=program.name,
            argv=list(program.argv),
            log=str(program.log.absolute()),
            environment={**os.environ, **program.environment},
            user=program.user,
            stop_signal=int(program.stop_signal),
            grace=program.grace,
            folder=str(folder),
        )
        if "error" in answer:
            raise SettingsError(
                f"{program.argv[0]} cannot be started: {answer['error']}.",
                place=program.name,
                remedy="Check that the program is installed: rakeeza doctor",
            )
        return int(answer["pid"])

    def stop(self, name: str) -> None:
        """Stop one program: its signal, its grace, SIGKILL; then what is left of its family.

        What it daemonised earlier ends with the guard.

        Raises:
            NotFound: no program of this name was started.
            Unavailable: the guard is gone.
        """
        answer = self._ask("stop", name=name)
        if "error" in answer:
            raise NotFound(f"{answer['error'].capitalize()}.", place=name)

    def poll(self) -> dict[str, int]:
        """Exit codes of the programs that ended by themselves; a signal is its negative number.

        Raises:
            Unavailable: the guard is gone.
        """
        ended: dict[str, int] = self._ask("poll")["ended"]
        return ended

    def close(self) -> None:
        """Stop everything, in reverse order of start, and the guard; may be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with contextlib.suppress(OSError):
                self._socket.sendall(b'{"do": "close"}\n')
                self._answers.readline()
            self._answers.close()
            self._socket.close()
            self._process.wait()

    def __enter__(self) -> "Guard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, do: str, **request: Any) -> dict[str, Any]:
        with self._lock:
            line = ""
            if not self._closed:
                with contextlib.suppress(OSError):
                    self._socket.sendall(json.dumps({"do": do, **request}).encode() + b"\n")
                    line = self._answers.readline()
        if not line:
            raise Unavailable(
                "The guard process has ended, and its programs with it.", place=f"guard {self.pid}"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port of this host that nothing listens on, and that nobody else is given for a minute.

    Source: tcp(7), socket(7): a port in TIME_WAIT is given to no one who asks for any port, and to a server
    that asks for it by its number with SO_REUSEADDR, as servers do.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, 0))
        listener.listen(1)
        place = listener.getsockname()
        with socket.socket(listener.family) as visitor:
            visitor.connect(place)
            # Who closes first is left with TIME_WAIT: this end, which has the port.
            listener.accept()[0].close()
            visitor.recv(1)
        return int(place[1])


def wait_for_port(host: str, port: int, timeout_s: float, what: str) -> None:
    """Wait until something accepts TCP connections.

    Args:
        timeout_s: seconds to wait at most.
        what: the program that should listen, for the error.

    Raises:
        Unavailable: nothing listens in time.
    """
    limit = time.monotonic() + timeout_s
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError as error:
            if time.monotonic() >= limit:
                raise Unavailable(
                    f"{what} does not listen after {timeout_s:g} s ({error.strerror or error}).",
                    place=f"{host}:{port}",
                    remedy="Read its log.",
                ) from error
            time.sleep(0.02)
        else:
            return
