"""What a lab takes of this machine's kernel: a number, a bridge with addresses, and groups of processes.

Everything is named after the lab's number, and what a killed lab left under its number is removed by the next
lab that starts: by the file that it wrote when it took the number, and by nothing else's name.
"""

import contextlib
import errno
import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from foundation.errors import Unavailable

_LABS = Path("/run/rakeeza-lab")
_MOST = 200
_SWEEP_LIMIT = 15.0
_STEP = 0.05


@dataclass(frozen=True)
class Place:
    """The part of this machine that one lab has for itself.

    Args:
        number: the lab's number, from 0.
        groups: the folders of its control groups, one a hierarchy that systemd needs.
    """

    number: int
    groups: tuple[Path, ...]

    @property
    def bridge(self) -> str:
        """The bridge that all machines are joined to."""
        return f"rkl{self.number}"

    @property
    def gateway(self) -> str:
        """This machine's address on that bridge."""
        return self.address(1)

    def address(self, last: int) -> str:
        """An address of the lab's network, which is a /24."""
        return f"10.213.{self.number}.{last}"

    def hardware(self, last: int) -> str:
        """The hardware address of who has this address: the same at each boot, as a network card's."""
        return f"02:52:4b:00:{self.number:02x}:{last:02x}"


def run(*argv: str) -> str:
    """Run a program of the system; what it prints.

    Raises:
        Unavailable: it is not there, or fails; with its words.
    """
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    except OSError as error:
        raise Unavailable(f"{argv[0]} cannot be started ({error.strerror}).", place=argv[0]) from error
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(argv)} fails: {error.stderr.strip()}", place=argv[0]) from error


@contextlib.contextmanager
def place() -> Iterator[Place]:
    """Take a number that no living lab has, with a bridge of its own; given back at the end.

    Raises:
        Unavailable: the kernel does not give what is needed.
    """
    _LABS.mkdir(mode=0o755, parents=True, exist_ok=True)
    hierarchies = _hierarchies()
    with contextlib.ExitStack() as stack:
        taken: Place | None = None
        for number in range(_MOST):
            lock = _locked(_LABS / f"{number}.lock")
            if lock is None:
                continue
            found = Place(number, tuple(root / f"rakeeza-lab-{number}" for root in hierarchies))
            clean = _swept(found)
            if taken is None and clean and not run("ip", "route", "show", found.address(0) + "/24"):
                taken = found
                stack.enter_context(lock)
            else:
                lock.close()
            if taken and not (_LABS / f"{number + 1}.lock").exists():
                break
        if taken is None:
            raise Unavailable(f"All {_MOST} networks of the lab are taken.", place=str(_LABS))
        stack.callback(_swept, taken)
        _made(taken).touch()
        for group in taken.groups:
            group.mkdir(exist_ok=True)
        join(taken, taken.bridge)
        # Else a bridge takes that of one of its ports, and another one when that port goes.
        run("ip", "link", "set", taken.bridge, "address", taken.hardware(1))
        run("ip", "address", "add", f"{taken.gateway}/24", "dev", taken.bridge)
        yield taken


def join(lab: Place, bridge: str) -> None:
    """Make a bridge of a lab, without an address.

    Args:
        lab: whose.
        bridge: its name, which begins with the name of the lab's first bridge.
    """
    assert bridge.startswith(lab.bridge)
    run("ip", "link", "add", bridge, "type", "bridge")
    run("ip", "link", "set", bridge, "up")


def end_processes(group: Path) -> bool:
    """Kill every process of a control group and of the groups below it; whether none is left."""
    limit = time.monotonic() + _SWEEP_LIMIT
    while pids := _processes(group):
        if time.monotonic() > limit:
            return False
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_STEP)
    return True


def remove_group(group: Path) -> None:
    """Remove a control group without processes, and those below it."""
    limit = time.monotonic() + _SWEEP_LIMIT
    while group.exists():
        for folder, _, _ in os.walk(group, topdown=False):
            # Busy for a moment after its last process ended.
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        if time.monotonic() > limit:
            raise Unavailable("A control group of the lab cannot be removed.", place=str(group))
        time.sleep(_STEP if group.exists() else 0)


def _made(lab: Place) -> Path:
    return _LABS / f"{lab.number}.made"


def _swept(lab: Place) -> bool:
    """Remove what the last lab of this number left, if one did; whether the number is free now."""
    if not _made(lab).exists():
        return True
    for group in lab.groups:
        if group.exists():
            if not end_processes(group):
                return False
            remove_group(group)
    for link in Path("/sys/class/net").glob(f"{lab.bridge}*"):
        rest = link.name.removeprefix(lab.bridge)
        # rkl1 and not rkl10: a letter follows the number.
        if not rest or not rest[0].isdigit():
            with contextlib.suppress(Unavailable):
                run("ip", "link", "delete", link.name)
    _made(lab).unlink()
    return True


def _locked(path: Path) -> IO[str] | None:
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise
    return lock


def _processes(group: Path) -> set[int]:
    found = set[int]()
    for path in group.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            found |= {int(word) for word in path.read_text(encoding="ascii").split()}
    # 0 stands for a process of another process namespace.
    return found - {0}


def _hierarchies() -> list[Path]:
    """Where systemd keeps its groups: its own hierarchy, and the unified one; never a controller's."""
    roots = []
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, folder, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            roots.append(Path(folder))
    if not roots:
        raise Unavailable(
            "No control groups are mounted that systemd can use.",
            place="/proc/self/mounts",
            remedy="Mount cgroup2 on /sys/fs/cgroup, or run the lab on a machine with systemd.",
        )
    return roots
