"""Looking at real processes: who is alive, and running some as an ordinary user."""

import functools
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PATIENCE = 60.0


def alive(mark: str) -> list[int]:
    """The processes in whose command line `mark` stands, but for this one."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line:
                found.append(int(entry.name))
    return found


def until(condition: Callable[[], object], what: str = "what was awaited") -> None:
    """Wait until something holds, for a minute at most."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, f"{what} did not happen"
        time.sleep(0.02)


@functools.cache
def _ordinary() -> tuple[str, dict[str, Any]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])}
    options: dict[str, Any] = {"env": environment, "cwd": "/"}
    if os.geteuid() == 0:
        options |= {"user": "nobody", "group": "nogroup", "extra_groups": []}
    # Under root our own interpreter may lie in a closed home; then the system's of the same version serves.
    for python in (sys.executable, "/usr/bin/python3"):
        try:
            done = subprocess.run([python, "-c", "import psycopg, pydantic"], check=False, **options)
        except PermissionError:
            continue
        if done.returncode == 0:
            return python, options
    raise AssertionError("no Python that an ordinary user may run has our libraries")


def python_as_ordinary_user(program: str) -> "subprocess.Popen[str]":
    """Run a Python program as a user who is not root: nobody, or this one."""
    python, options = _ordinary()
    return subprocess.Popen(
        [python, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
