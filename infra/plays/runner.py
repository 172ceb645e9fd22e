"""Runs one playbook on hosts and yields what happens, event by event.

Everything of a run lies in one folder: the playbook and roles as they were, inventory, host keys, ansible.cfg
and the log. `ansible-playbook` run there by hand does the same again.
"""

import contextlib
import json
import os
import select
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foundation.errors import Unavailable
from foundation.guard import Guard, Program
from infra.plays.inventory import Inventory

_PROGRAM = Path(__file__).with_name("ansible_process.py")
_NAME = "ansible"
# A step of waiting for events, in seconds: how late a cancel is seen.
_STEP = 0.2
# What the run's processes get of our environment. Anything else could hold a secret, and would end in a file.
_PASSED_ON = ("HOME", "USER", "LOGNAME", "TZ", "TMPDIR")


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
    """

    name: str
    files: Mapping[str, bytes]
    inventory: Inventory
    limit: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    check: bool = False
    diff: bool = False
    forks: int = 20


def run(
    folder: Path, order: Order, cancelled: Callable[[], bool] = lambda: False
) -> Generator[list[dict[str, Any]], None, None]:
    """Run a playbook; yields the events that came since the last yield, and at least every 0.2 s a (perhaps
    empty) list. The last event of all is `end` with `status` and `code`.

    However the caller leaves (also by closing the generator, or killed), no process of the run stays.

    Args:
        folder: the run's own folder, made here.
        order: what to run.
        cancelled: asked at every step; True ends the run.

    Raises:
        Unavailable: the run's process ended without saying how; the error holds the end of its log.
    """
    prepare(folder, order)
    # Unix sockets have at most 107 bytes of path, of which ssh needs 30.
    sockets = Path(tempfile.mkdtemp(prefix="rk-", dir="/tmp"))
    try:
        _write_start(folder, order, sockets)
        pipe = folder / "events"
        os.mkfifo(pipe, 0o600)
        # Without waiting for the writer: this end is open first.
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with Guard() as guard:
                argv = (sys.executable, "-I", str(_PROGRAM), str(folder))
                guard.start(Program(_NAME, argv, folder / "process.log", folder=folder))
                yield from _events(reader, guard, folder, cancelled)
        finally:
            os.close(reader)
            pipe.unlink()
    finally:
        shutil.rmtree(sockets, ignore_errors=True)
        shutil.rmtree(folder / "tmp", ignore_errors=True)


def prepare(folder: Path, order: Order) -> None:
    """Lay out a run's folder: what ran can be read there afterwards, and run again by hand."""
    for part in (folder, folder / "project", folder / "inventory", folder / "env", folder / "tmp"):
        part.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in order.files.items():
        path = folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    order.inventory.write(folder / "inventory")
    (folder / "env" / "extravars").write_text(json.dumps(dict(order.parameters)), encoding="utf-8")


def _write_start(folder: Path, order: Order, sockets: Path) -> None:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    programs = Path(sys.executable).parent
    environment |= {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOST_KEY_CHECKING": "True",
    }
    (folder / "ansible.cfg").write_text(configuration(folder, order.forks, sockets), encoding="utf-8")
    options = [word for word, wanted in (("--check", order.check), ("--diff", order.diff)) if wanted]
    start = {
        "playbook": str(folder / "project" / f"{order.name}.yml"),
        "inventory": str(folder / "inventory" / "hosts.yml"),
        "limit": order.limit,
        "options": " ".join(options),
        "environment": environment,
        "pipe": str(folder / "events"),
        "sockets": str(sockets),
    }
    (folder / "run.json").write_text(json.dumps(start), encoding="utf-8")


def configuration(folder: Path, forks: int, sockets: Path) -> str:
    """The `ansible.cfg` of a run.

    Args:
        folder: the run's folder.
        forks: hosts worked on at the same time.
        sockets: folder of ssh's shared connections; its path is short.
    """
    # A % starts an interpolation of the configuration file.
    own, short = str(folder).replace("%", "%%"), str(sockets).replace("%", "%%")
    return f"""\
[defaults]
home = {own}/tmp/ansible
local_tmp = {own}/tmp
inventory = {own}/inventory/hosts.yml
forks = {forks}
host_key_checking = True
retry_files_enabled = False
nocows = True
nocolor = True
timeout = 10
# Names of sites and municipalities are ours, with their hyphens.
force_valid_group_names = ignore

[ssh_connection]
pipelining = True
ssh_args = -F none -o ControlMaster=auto -o ControlPersist=60s
control_path_dir = {short}
"""


def _events(
    reader: int, guard: Guard, folder: Path, cancelled: Callable[[], bool]
) -> Generator[list[dict[str, Any]], None, None]:
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    rest, ended = b"", False
    while True:
        lines: list[bytes] = []
        gone = bool(guard.poll()) if not poller.poll(_STEP * 1000) else False
        with contextlib.suppress(BlockingIOError):
            data = os.read(reader, 1 << 18)
            # Nothing to read from a pipe without writers is its end; before the first writer it is not.
            gone = gone or (not data and bool(guard.poll()))
            *lines, rest = (rest + data).split(b"\n")
        events = [json.loads(line) for line in lines]
        yield events
        ended = ended or any(event["event"] == "end" for event in events)
        if ended:
            return
        if cancelled():
            guard.stop(_NAME)
            yield [{"event": "end", "status": "canceled", "code": None}]
            return
        if gone and not lines:
            log = folder / "process.log"
            tail = log.read_text(encoding="utf-8", errors="replace")[-1000:].strip()
            raise Unavailable(
                f"The run's process ended by itself: {tail or 'it was killed'}",
                place=str(log),
                remedy="Run it again.",
            )
