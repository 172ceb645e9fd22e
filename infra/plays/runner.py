"""Runs one playbook on hosts and yields what happens, event by event.

Everything of a run lies in one folder: the playbook and roles as they were, inventory, host keys, ansible.cfg
and the log. `ansible-playbook` run there by hand does the same again.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from foundation.errors import InvalidInput, Unavailable
from foundation.guard import Guard, Program
from infra.plays.inventory import Inventory
from infra.plays.masking import Masking
from infra.plays.sealed import check_sealed
from infra.plays.secrets import PlaySecrets

_PROGRAM = Path(__file__).with_name("ansible_process.py")
_NAME = "ansible"
# A step of waiting for events, in seconds: how late a cancel is seen.
_STEP = 0.1
# After a cancel: what the run's process has for ending all that it began, in seconds. It needs 0.5 for what
# does not heed SIGTERM; after this the guard kills it and its family. As long has a process whose worker was
# killed: it also removes what must not outlive the run.
_ENDING = 0.9
# What the run's processes get of our environment. Anything else could hold a secret, and would end in a file.
_PASSED_ON = ("HOME", "USER", "LOGNAME", "TZ", "TMPDIR")
# Where a folder is memory and not a disk, and how much of it must be free for one, in bytes.
_MEMORY, _MEMORY_FREE = Path("/dev/shm"), 32_000_000
# A file is compared whole up to this size, in bytes, so that a digest is of all of it.
_COMPARED = 4_000_000


@dataclass(frozen=True)
class Order:
    """What to run.

    Args:
        name: the playbook's name.
        files: the playbook and what takes part in it, by path relative to its folder.
        inventory: all hosts that it may know of.
        limit: the hosts it is for, as `--limit` takes them; None means all.
        parameters: its extra variables.
        check: change nothing, say what would change.
        diff: say how files change.
        forks: hosts worked on at the same time.
        secrets: its secret variables, and what opens them.
        slice_hosts: most hosts in one process of Ansible; None means all. See `slices.run_sliced`.
    """

    name: str
    files: Mapping[str, bytes]
    inventory: Inventory
    limit: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    check: bool = False
    diff: bool = False
    forks: int = 20
    secrets: PlaySecrets = field(default_factory=PlaySecrets, repr=False)
    slice_hosts: int | None = None


def run(
    folder: Path, order: Order, cancelled: Callable[[], bool] = lambda: False
) -> Generator[list[dict[str, Any]], None, None]:
    """Run a playbook; yields the events that came since the last yield, and at least every 0.1 s a (perhaps
    empty) list. The last event of all is `end` with `status` and `code`.

    A result that changes files carries `diff`, cut, and `diff_digest`, the SHA-256 of all of it. Secrets are
    `<secret>` in every event.

    However the caller leaves (also by closing the generator, or killed), no process of the run stays.

    Args:
        folder: the run's own folder, made here.
        order: what to run.
        cancelled: asked at every step; True ends the run.

    Raises:
        InvalidInput: a sealed file that no given password opens; no host was touched.
        Unavailable: the run's process ended without saying how, or its folder cannot be written; the error
            names the hosts that were at a task.
    """
    check_sealed({**order.files, **order.secrets.files}, order.secrets.passwords)
    private = _private_folder(bool(order.secrets.passwords or order.secrets.values))
    try:
        with _writing(folder):
            prepare(folder, order)
            _write_start(folder, order, private)
            os.mkfifo(folder / "events", 0o600)
        # Without waiting for the writer: this end is open first.
        reader = os.open(folder / "events", os.O_RDONLY | os.O_NONBLOCK)
        try:
            with _Giving(private / "secrets", order.secrets) as giving, Guard() as guard:
                argv = (sys.executable, "-I", str(_PROGRAM), str(folder))
                program = Program(_NAME, argv, folder / "process.log", grace=_ENDING, folder=folder)
                stream = _Stream(reader, guard, guard.start(program), folder, giving)
                yield from stream.events(cancelled)
        finally:
            os.close(reader)
            (folder / "events").unlink()
    finally:
        shutil.rmtree(private, ignore_errors=True)
        shutil.rmtree(folder / "tmp", ignore_errors=True)


def prepare(folder: Path, order: Order) -> None:
    """Lay out a run's folder: what ran can be read there afterwards, and run again by hand."""
    for part in (folder, folder / "project", folder / "inventory", folder / "env", folder / "tmp"):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    for below, files in (("project", order.files), ("inventory", order.secrets.files)):
        for name, content in files.items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise InvalidInput("A file of a run must lie below its folder.", place=name)
            path = folder / below / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    order.inventory.write(folder / "inventory")
    (folder / "env" / "extravars").write_text(json.dumps(dict(order.parameters)), encoding="utf-8")
    (folder / "process.log").touch(mode=0o600)


def _private_folder(secret: bool) -> Path:
    # Unix sockets have at most 107 bytes of path, of which ssh needs 30. What Ansible makes of secrets on the
    # way (a filled template) lies in memory, where a machine has such a folder.
    memory = False
    if secret and os.access(_MEMORY, os.W_OK):
        free = os.statvfs(_MEMORY)
        memory = free.f_bavail * free.f_frsize > _MEMORY_FREE
    return Path(tempfile.mkdtemp(prefix="rk-", dir=str(_MEMORY) if memory else "/tmp"))


def _write_start(folder: Path, order: Order, private: Path) -> None:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    programs = Path(sys.executable).parent
    environment |= {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOST_KEY_CHECKING": "True",
    }
    secret = bool(order.secrets.passwords or order.secrets.values)
    text = configuration(folder, order.forks, private, private / "tmp" if secret else folder / "tmp")
    (folder / "ansible.cfg").write_text(text, encoding="utf-8")
    (private / "tmp").mkdir(mode=0o700)
    start = {
        "playbook": str(folder / "project" / f"{order.name}.yml"),
        "inventory": str(folder / "inventory" / "hosts.yml"),
        "limit": order.limit,
        "options": [word for word, wanted in (("--check", order.check), ("--diff", order.diff)) if wanted],
        "environment": environment,
        "pipe": str(folder / "events"),
        "sockets": str(private),
        "secrets": str(private / "secrets") if secret else None,
        "hosts": order.inventory.hosts,
    }
    (folder / "run.json").write_text(json.dumps(start), encoding="utf-8")


def configuration(folder: Path, forks: int, sockets: Path, temporary: Path | None = None) -> str:
    """The `ansible.cfg` of a run.

    Args:
        folder: the run's folder.
        forks: hosts worked on at the same time.
        sockets: folder of ssh's shared connections; its path is short.
        temporary: folder for what Ansible makes on the way; by default in the run's folder.
    """
    # A % starts an interpolation of the configuration file.
    own, short, tmp = (
        str(path).replace("%", "%%") for path in (folder, sockets, temporary or folder / "tmp")
    )
    return f"""\
[defaults]
home = {tmp}/ansible
local_tmp = {tmp}
inventory = {own}/inventory/hosts.yml
forks = {forks}
host_key_checking = True
retry_files_enabled = False
nocows = True
nocolor = True
timeout = 10
max_diff_size = {_COMPARED}
# Names of sites and municipalities are ours, with their hyphens.
force_valid_group_names = ignore

[ssh_connection]
pipelining = True
ssh_args = -F none -o ControlMaster=auto -o ControlPersist=60s
control_path_dir = {short}
"""


@contextlib.contextmanager
def _writing(folder: Path) -> Generator[None, None, None]:
    try:
        yield
    except OSError as error:
        raise _no_room(folder, error.strerror or "write error", "Nothing was begun.") from error


def _no_room(folder: Path, reason: str, where: str) -> Unavailable:
    return Unavailable(
        f"The run's folder cannot be written ({reason}). {where}",
        place=str(folder),
        remedy="Make room there, see what was applied, and run it again.",
    )


class _Giving:
    """Gives the secrets to the run's process by a pipe, as it takes them."""

    def __init__(self, path: Path, secrets: PlaySecrets) -> None:
        passwords = {name: password.reveal() for name, password in secrets.passwords.items()}
        self.masking = Masking({*secrets.values, *passwords.values()})
        self.left = b""
        self.pipe: int | None = None
        if self.masking or passwords:
            given = {"passwords": passwords, "values": sorted({*secrets.values, *passwords.values()})}
            self.left = json.dumps(given).encode("ascii") + b"\n"
            os.mkfifo(path, 0o600)
            # For reading too: opening it waits for nobody, and writing never fails for want of a reader.
            self.pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def __enter__(self) -> "_Giving":
        self.give()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def give(self) -> None:
        """Write what there is room for."""
        if self.pipe is not None:
            with contextlib.suppress(BlockingIOError):
                while self.left:
                    self.left = self.left[os.write(self.pipe, self.left) :]

    def _close(self) -> None:
        if self.pipe is not None:
            os.close(self.pipe)
            self.pipe = None


class _Stream:
    """The events of one process, to its end."""

    def __init__(self, reader: int, guard: Guard, pid: int, folder: Path, giving: _Giving) -> None:
        self._reader = reader
        self._guard = guard
        self._pid = pid
        self._folder = folder
        self._giving = giving
        self._rest = b""
        #: Hosts that are at a task, and the task.
        self._at: dict[str, str] = {}
        self._last = ""
        self._fault: dict[str, Any] | None = None
        self._told_stats = False

    def events(self, cancelled: Callable[[], bool]) -> Generator[list[dict[str, Any]], None, None]:
        """Yield what comes; see `run`."""
        limit: float | None = None
        while True:
            batch, gone = self._read()
            end = batch.pop() if batch and batch[-1]["event"] == "end" else None
            yield batch
            if end is not None or gone or (limit is not None and time.monotonic() > limit):
                break
            if limit is None and cancelled():
                limit = time.monotonic() + _ENDING
                self._ask_to_end()
        self._guard.stop(_NAME)
        if self._fault is not None:
            raise _no_room(self._folder, self._fault["reason"], self._places())
        if limit is not None:
            yield [{"event": "end", "status": "canceled", "code": None}]
        elif end is None or (code := end["code"]) is None:
            raise self._ended("The run's process ended by itself", self._log_tail() or "it was killed")
        elif code < 0 and not self._told_stats:
            raise self._ended("Ansible ended by itself", f"it was killed by {signal.Signals(-code).name}")
        else:
            yield [end]

    def _read(self) -> tuple[list[dict[str, Any]], bool]:
        """The events that have come, and whether no more can come."""
        ready, giving = self._wait()
        if giving:
            self._giving.give()
        gone = bool(self._guard.poll()) if not ready else False
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._reader, 1 << 18)
            # Nothing to read from a pipe without writers is its end; before the first writer it is not.
            gone = gone or (not data and bool(self._guard.poll()))
        *lines, self._rest = (self._rest + data).split(b"\n")
        batch = [event for line in lines if self._follow(event := json.loads(line))]
        return batch, gone and not data

    def _wait(self) -> tuple[bool, bool]:
        poller = select.poll()
        poller.register(self._reader, select.POLLIN)
        if self._giving.pipe is not None and self._giving.left:
            poller.register(self._giving.pipe, select.POLLOUT)
        ready = {number for number, _ in poller.poll(_STEP * 1000)}
        return self._reader in ready, self._giving.pipe in ready

    def _follow(self, event: dict[str, Any]) -> bool:
        """Keep in mind which host is at which task; whether the event is one to tell."""
        kind = event["event"]
        if kind == "fault":
            self._fault = event
            return False
        if kind == "runner_on_start":
            self._at[event["host"]] = event["task"]
        elif kind == "playbook_on_stats":
            self._told_stats = True
            self._at.clear()
        elif kind.startswith("runner_on_") and not event.get("no_room"):
            self._at.pop(event["host"], None)
            self._last = f"{event['host']} at task {event['task']!r}"
        return True

    def _ask_to_end(self) -> None:
        # The events are read meanwhile: what has happened by then is told.
        if not self._guard.poll():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)

    def _places(self) -> str:
        at = ", ".join(f"{host} at task {task!r}" for host, task in sorted(self._at.items()))
        if at:
            return f"It was stopped: {at}."
        return f"It was stopped after {self._last}." if self._last else "It was stopped before any task."

    def _ended(self, what: str, why: str) -> Unavailable:
        return Unavailable(
            f"{what}: {why}. {self._places()}",
            place=str(self._folder / "process.log"),
            remedy="See what was applied, and run it again.",
        )

    def _log_tail(self) -> str:
        text = (self._folder / "process.log").read_text(encoding="utf-8", errors="replace")
        return self._giving.masking.text(text[-1000:].strip())
