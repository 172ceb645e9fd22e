"""A process that holds devices: `python -m tests.foundation.device_lock_holder URL GRACE DEVICE…`.

It says what happens as JSON lines: `taken` once, then `state` whenever that changes ("held", "away", "lost").
It is told on standard input: `write` (an event in a transaction that is checked), `slow` (the same, and
another word between check and commit), `deaf` (it looks no more whether it holds them), `release`.
"""

import json
import os
import select
import subprocess
import sys
from types import TracebackType
from typing import Any

from foundation import events
from foundation.database import Database
from foundation.device_locks import DeviceHeld, DeviceLocks, Lease, LeaseLost
from foundation.errors import DatabaseUnavailable
from tests.processes import PATIENCE, ROOT

_STEP = 0.02


class Holder:
    """The same, for its parent.

    Args:
        url: of the database.
        devices: to take.
        grace: of its locks, in seconds.
    """

    def __init__(self, url: str, *devices: str, grace: float = 90.0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, url, str(grace), *devices],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A line that waits in a buffer of ours would not be seen by select.
            bufsize=0,
            cwd=ROOT,
        )
        self.pid = self._process.pid

    def __enter__(self) -> "Holder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def tell(self, word: str) -> None:
        """Send it a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")

    def next(self) -> dict[str, Any]:
        """The next thing it says."""
        assert self._process.stdout is not None
        ready = select.select([self._process.stdout], [], [], PATIENCE)[0]
        assert ready, "the holder says nothing"
        said: dict[str, Any] = json.loads(self._process.stdout.readline())
        return said

    def until(self, **wanted: object) -> dict[str, Any]:
        """The next thing it says that holds these."""
        while True:
            said = self.next()
            if wanted.items() <= said.items():
                return said

    def kill(self) -> None:
        """kill -9, and wait for its end."""
        self._process.kill()
        self._process.wait()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)


def _say(**said: Any) -> None:
    print(json.dumps(said), flush=True)


def _write(database: Database, lease: Lease, wait: bool) -> None:
    try:
        with database.transaction() as session:
            lease.check(session)
            events.publish(session, "test.written", "test/1", {"lease": lease.id})
            _say(checked=True)
            if wait:
                sys.stdin.readline()
    except LeaseLost as error:
        _say(wrote=False, why=str(error))
    else:
        _say(wrote=True)


def _hold(lease: Lease) -> str:
    try:
        lease.hold()
    except DatabaseUnavailable:
        return "away"
    except LeaseLost as error:
        return str(error)
    return "held"


def main(url: str, grace: str, *devices: str) -> None:
    """Hold them until told otherwise."""
    database = Database(url, role="test")
    locks = DeviceLocks(database, grace=float(grace))
    try:
        lease = locks.take(devices, holder="cli/holder", purpose="a test", subject="test/1")
    except DeviceHeld as error:
        _say(refused=str(error))
        return
    _say(taken=lease.id, tokens=dict(lease.tokens))
    state, deaf = "", False
    while True:
        if not deaf and (now := _hold(lease)) != state:
            state = now
            _say(state=state if state in ("held", "away") else "lost", why=state)
        if select.select([sys.stdin], [], [], _STEP)[0]:
            match sys.stdin.readline().strip():
                case "write":
                    _write(database, lease, wait=False)
                case "slow":
                    _write(database, lease, wait=True)
                case "deaf":
                    deaf = True
                    _say(deaf=True)
                case "release":
                    _say(released=lease.release())
                    return
                case "":
                    return


if __name__ == "__main__":
    main(*sys.argv[1:])
