"""The guard's own program: spawns what it is told to, and leaves nothing behind.

Started by `foundation.guard` as a script of its own (`python -I -S`), so that it holds no memory, threads or
files of the process it guards, and starts in a few milliseconds: it imports the standard library only.

It speaks JSON lines over an inherited socket: one request, one answer. When that socket closes or its parent
ends, it stops every program and every descendant, and ends itself.

Source: prctl(2) (PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG), pidfd_open(2), proc(5).
"""

import contextlib
import ctypes
import json
import os
import pwd
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_STEP = 0.02
# What is left after the programs has no grace of its own: a daemonised helper gets this long to end in order.
_SWEEP_GRACE = 3.0

_libc = ctypes.CDLL(None, use_errno=True)


class _Child:
    def __init__(self, process: "subprocess.Popen[bytes]", stop_signal: int, grace: float) -> None:
        self.process = process
        self.stop_signal = stop_signal
        self.grace = grace
        self.code: int | None = None


class _Process:
    def __init__(self, control: socket.socket, parent: int) -> None:
        self._control = control
        self._parent = parent
        # In order of start, which is the order that the stop reverses.
        self._children: dict[str, _Child] = {}

    def run(self) -> None:
        buffer = b""
        try:
            # The descriptor of the parent is a second witness: a fork of the parent that outlives it would
            # hold the socket open.
            parent = os.pidfd_open(self._parent)
            if os.getppid() != self._parent:
                return
            control = self._control.fileno()
            waker, wakee = os.pipe()
            os.set_blocking(wakee, False)
            signal.signal(signal.SIGCHLD, lambda *_: None)
            signal.set_wakeup_fd(wakee, warn_on_full_buffer=False)
            while True:
                ready, _, _ = select.select([control, parent, waker], [], [])
                if waker in ready:
                    os.read(waker, 4096)
                    self._reap()
                if control in ready:
                    data = self._control.recv(65536)
                    if not data:
                        return
                    buffer += data
                    while b"\n" in buffer:
                        line, _, buffer = buffer.partition(b"\n")
                        if self._answer(json.loads(line)):
                            return
                elif parent in ready:
                    return
        except (ConnectionError, ProcessLookupError, _Stop):
            # The parent is gone, or we were asked to end: what follows is the same.
            return
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            self._end()
            with contextlib.suppress(OSError):
                self._send({"closed": True})

    def _answer(self, request: dict[str, Any]) -> bool:
        do = request.pop("do")
        if do == "close":
            return True
        actions: dict[str, Callable[..., dict[str, Any]]] = {
            "start": self._start,
            "stop": self._stop,
            "poll": self._poll,
        }
        try:
            answer = actions[do](**request)
        except (OSError, KeyError, subprocess.SubprocessError) as error:
            answer = {"error": getattr(error, "strerror", None) or str(error)}
        self._send(answer)
        return False

    def _send(self, answer: dict[str, Any]) -> None:
        self._control.sendall(json.dumps(answer).encode() + b"\n")

    def _start(
        self,
        name: str,
        argv: list[str],
        log: str,
        environment: dict[str, str],
        user: str | None,
        stop_signal: int,
        grace: float,
        folder: str | None,
    ) -> dict[str, Any]:
        if name in self._children and self._children[name].code is None:
            return {"error": "a program of this name already runs"}
        entry = pwd.getpwnam(user) if user and os.geteuid() == 0 else None
        groups = os.getgrouplist(entry.pw_name, entry.pw_gid) if entry else None
        if entry:
            environment |= {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
        guard = os.getpid()

        def last_step() -> None:
            # Should the guard be killed, its programs go too. A change of user clears this, so it comes last.
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != guard:
                os._exit(1)

        with Path(log).open("ab") as output:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment,
                user=entry.pw_uid if entry else None,
                group=entry.pw_gid if entry else None,
                extra_groups=groups,
                start_new_session=True,
                preexec_fn=last_step,
            )
        self._children.pop(name, None)
        self._children[name] = _Child(process, stop_signal, grace)
        return {"pid": process.pid}

    def _poll(self) -> dict[str, Any]:
        self._reap()
        ended = {name: child.code for name, child in self._children.items() if child.code is not None}
        return {"ended": ended}

    def _stop(self, name: str) -> dict[str, Any]:
        if name not in self._children:
            return {"error": "no program of this name was started"}
        child = self._children[name]
        pid = child.process.pid
        if child.code is None:
            family = set(_descendants(pid))
            _kill(pid, child.stop_signal)
            self._wait(child, child.grace, family)
            # Stopped first and killed then: one that is killed while its child forks would leave a grandchild
            # that no one can tell from another program's.
            known: set[int] = set()
            while known != family:
                # A number may have been given to a stranger meanwhile; whoever is left of ours is below us.
                known = family = family & set(_descendants(os.getpid()))
                for relative in known:
                    _kill(relative, signal.SIGSTOP)
                    family = family | set(_descendants(relative))
            killed = [relative for relative in family if _kill(relative, signal.SIGKILL)]
            # A killed process lives on until the kernel comes to it; who asked for the stop may look at once.
            limit = time.monotonic() + _SWEEP_GRACE
            while any(_lives(relative) for relative in killed) and time.monotonic() < limit:
                self._reap()
                time.sleep(_STEP)
        # The group outlives its leader where the program left children in it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        self._wait(child, None, set())
        del self._children[name]
        return {"code": child.code}

    def _wait(self, child: _Child, seconds: float | None, family: set[int]) -> None:
        limit = None if seconds is None else time.monotonic() + seconds
        while child.code is None and (limit is None or time.monotonic() < limit):
            family.update(_descendants(child.process.pid))
            self._reap()
            if child.code is None:
                time.sleep(_STEP)

    def _reap(self) -> None:
        # Every child, also the orphans that were handed to us: a subreaper must bury them.
        running = {child.process.pid: child for child in self._children.values() if child.code is None}
        for child in running.values():
            child.code = child.process.poll()
        while True:
            try:
                done = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if done is None:
                return
            if done.si_pid in running:
                running[done.si_pid].code = running[done.si_pid].process.poll()
            else:
                os.waitpid(done.si_pid, os.WNOHANG)

    def _end(self) -> None:
        for name in reversed(list(self._children)):
            self._stop(name)
        for kind, seconds in ((signal.SIGTERM, _SWEEP_GRACE), (signal.SIGKILL, None)):
            limit = None if seconds is None else time.monotonic() + seconds
            signalled: set[int] = set()
            while limit is None or time.monotonic() < limit:
                self._reap()
                left = _descendants(os.getpid())
                if not left:
                    return
                ours = 0
                for pid in left:
                    if kind == signal.SIGKILL or pid not in signalled:
                        signalled.add(pid)
                        ours += _kill(pid, kind)
                if kind == signal.SIGKILL and not ours:
                    # Only programs that became another user (setuid) are left: no one but root can end them.
                    return
                time.sleep(_STEP)


def _kill(pid: int, number: int) -> bool:
    """Send a signal; False if that user's process is not ours to signal."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


class _Stop(BaseException):
    """We were sent a SIGTERM."""


def _lives(pid: int) -> bool:
    """Whether a process is there, and not dead and unburied."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")


def _descendants(root: int) -> list[int]:
    """Every living descendant of a process, nearest first."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_bytes()
            except OSError:
                continue
            # The name stands in brackets and may itself hold brackets and spaces.
            state, parent = stat.rpartition(b")")[2].split()[:2]
            if state not in (b"Z", b"X"):
                children.setdefault(int(parent), []).append(int(entry.name))
    found = list(children.get(root, []))
    for pid in found:
        found += children.get(pid, [])
    return found


def _on_term(*_: object) -> None:
    raise _Stop


def main() -> None:
    """Guard until the parent ends: `guard_process.py SOCKET PARENT`."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    signal.signal(signal.SIGTERM, _on_term)
    for unheeded in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        # A handler and not SIG_IGN: programs would inherit an ignored signal, a handler ends at exec.
        signal.signal(unheeded, lambda *_: None)
    with socket.socket(fileno=int(sys.argv[1])) as control:
        _Process(control, int(sys.argv[2])).run()


if __name__ == "__main__":
    main()
