"""Looking at real processes: who is alive, and running some as an ordinary user."""

import atexit
import functools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PATIENCE = 120.0


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
    options: dict[str, Any] = {"cwd": "/"}
    if os.geteuid() == 0:
        options |= {"user": "nobody", "group": "nogroup", "extra_groups": []}
    # Under root our own interpreter may lie in a closed home, and our code too; then the system's interpreter
    # of the same version serves, and a copy of the code.
    for places in (_own, _lent):
        options["env"] = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places()))}
        for python in (sys.executable, "/usr/bin/python3"):
            try:
                done = subprocess.run(
                    [python, "-c", "import foundation, psycopg, pydantic"],
                    check=False,
                    stderr=subprocess.DEVNULL,
                    **options,
                )
            except PermissionError:
                continue
            if done.returncode == 0:
                return python, options
    raise AssertionError("no Python that an ordinary user may run has our libraries")


def _own() -> tuple[Path, Path]:
    return ROOT, Path(sysconfig.get_path("purelib"))


def _lent() -> tuple[Path, Path]:
    folder = Path(tempfile.mkdtemp(prefix="rakeeza-lent-"))
    atexit.register(shutil.rmtree, folder)
    folder.chmod(0o755)
    libraries = folder / "libraries"
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "foundation", folder / "foundation", ignore=hidden)
    shutil.copytree(
        sysconfig.get_path("purelib"), libraries, symlinks=True, ignore=hidden, copy_function=_link_or_copy
    )
    return folder, libraries


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def python_as_ordinary_user(program: str) -> "subprocess.Popen[str]":
    """Run a Python program as a user who is not root: nobody, or this one."""
    python, options = _ordinary()
    return subprocess.Popen(
        [python, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
