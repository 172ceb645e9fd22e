"""One role of the platform as a process that is killed and started again, quickly.

`python -m benchmarks.faults.process SETTINGS ROLE LOG` loads the program and waits: each line on its standard
input has it fork the role anew, it says the number of that process, and "ended" when that is over. So a start
costs what the role does at its start, and not the loading of the program's files.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 90.0


class Process:
    """One role; killed, it is started again.

    Args:
        role: api or worker.
        settings: its settings file.
    """

    def __init__(self, role: str, settings: Path) -> None:
        self.role = role
        log = settings.with_name(f"{role}.log")
        self._starter = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faults.process", str(settings), role, str(log)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._start()

    def _start(self) -> None:
        assert self._starter.stdin is not None
        assert self._starter.stdout is not None
        self._ended = threading.Event()
        self._starter.stdin.write("start\n")
        self._starter.stdin.flush()
        self._number = int(self._starter.stdout.readline())
        threading.Thread(target=self._await_end, args=(self._ended,), daemon=True).start()

    def _await_end(self, ended: threading.Event) -> None:
        assert self._starter.stdout is not None
        self._starter.stdout.readline()
        ended.set()

    def kill(self) -> None:
        """End it as a power cut would; it is gone when this returns."""
        self._signal(signal.SIGKILL)
        self._ended.wait(_PATIENCE)

    def again(self) -> None:
        """Start it again."""
        self.kill()
        self._start()

    @property
    def number(self) -> int:
        """Its process's number."""
        return self._number

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self._ended.is_set()

    def stop(self) -> None:
        """End it as an operator would."""
        self._signal(signal.SIGTERM)
        if not self._ended.wait(_PATIENCE):
            self.kill()
        assert self._starter.stdin is not None
        self._starter.stdin.close()
        self._starter.wait(_PATIENCE)

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self._number, number)


def main() -> None:
    """Start the role as often as is asked."""
    settings, role, log = sys.argv[1:]
    # Loaded once, here; what a role makes of it, each fork does anew.
    from console.roles import run_roles
    from foundation.settings import load

    for _ in sys.stdin:
        number = os.fork()
        if number == 0:
            with Path(log).open("ab", buffering=0) as file, Path(os.devnull).open("rb") as nothing:
                os.dup2(nothing.fileno(), 0)
                for stream in (1, 2):
                    os.dup2(file.fileno(), stream)
            try:
                run_roles(load(Path(settings)), (role,))
            except Exception as error:  # noqa: BLE001 -- as the command line tells it
                os.write(2, f"{role}: {error}\n".encode())
                os._exit(1)
            os._exit(0)
        print(number, flush=True)
        os.waitpid(number, 0)
        print("ended", flush=True)


if __name__ == "__main__":
    main()
