"""Runs one playbook through ansible-runner, and tells what happens by a pipe: `ansible_process.py FOLDER`.

A process of its own, started under a guard: whatever Ansible leaves behind (workers, ssh's shared
connections) falls to this process and is ended by it. Ansible itself (GPL-3) runs as a further process, and
tells its events by a pipe (`callback/rakeeza_events.py`); what it prints beside comes by another.

It imports little of ours, so that it starts quickly, and its environment holds nothing of ours. Secrets come
by a pipe, are given to Ansible by pipes, and are masked here: what leaves this process holds none.
"""

import contextlib
import ctypes
import errno
import json
import os
import select
import shlex
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

# ansible-runner carries no types.
from ansible_runner.config.runner import RunnerConfig  # type: ignore[import-untyped]
from ansible_runner.runner import Runner  # type: ignore[import-untyped]

# This very tree, and not another one that may be installed.
sys.path.insert(0, str(Path(__file__).parents[2]))

from infra.plays.masking import Masking
from infra.plays.telling import Log, Telling

sys.path.pop(0)

_PLUGINS = Path(__file__).with_name("callback")
_PR_SET_CHILD_SUBREAPER = 36
# Between asking Ansible's processes to end and ending them, in seconds. Enough for ssh and for Ansible's
# workers, which need milliseconds; what does not heed SIGTERM is not waited for: a cancel has 2 s in all.
_GRACE = 0.5
_KILLED = 5.0
# Of what Ansible prints beside its events: what is told in all, and of one paragraph, in characters.
_PRINTED, _PARAGRAPH = 1_000_000, 2_000
# A paragraph is told when nothing was added to it for so long, in seconds.
_PAUSE = 0.2
_LEVELS = (("[ERROR]", "error"), ("[WARNING]", "warning"), ("[DEPRECATION", "deprecated"))

_cancelled = threading.Event()


class Reporter:
    """Writes events as JSON lines, and the log.

    Args:
        pipe: where the events go, a descriptor.
        log: the log.
        folder: the run's folder, to be named when it cannot be written.
    """

    def __init__(self, pipe: int, log: Log, folder: Path) -> None:
        self._pipe = pipe
        self._log = log
        self._folder = folder
        self._lock = threading.Lock()
        self._faulty = False

    def tell(self, events: list[dict[str, Any]]) -> None:
        """Write events and their lines of the log."""
        self.send(events)
        with self._lock:
            if self._faulty:
                return
            try:
                self._log.write(events)
            except OSError as error:
                self._faulty = True
                fault = error
            else:
                return
        self.fault(fault)

    def fault(self, error: OSError) -> None:
        """Tell that the folder cannot be written, and end the run: its next task would fail of the same."""
        self.send([{"event": "fault", "reason": os.strerror(error.errno or errno.EIO)}])
        _cancel()

    def send(self, events: list[dict[str, Any]]) -> None:
        """Write events, whole."""
        # Lone surrogates, which non-UTF-8 output can leave, have no UTF-8: escapes do for every text.
        data = memoryview("".join(f"{json.dumps(event)}\n" for event in events).encode("ascii"))
        with self._lock, contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._pipe, data) :]


def _cancel(*_: object) -> None:
    if not _cancelled.is_set():
        _cancelled.set()
        threading.Thread(target=_keep_ending, daemon=True).start()


def _keep_ending() -> None:
    # Until this process ends: Ansible may be about to be started.
    while True:
        _end_descendants()
        time.sleep(0.02)


def _taken(
    take: Callable[[int, Telling, Reporter], None], pipe: int, telling: Telling, reporter: Reporter
) -> None:
    """Take what comes by a pipe; if that fails, end the run, which would wait for its reader for ever."""
    try:
        take(pipe, telling, reporter)
    except Exception:  # noqa: BLE001 -- in a thread nobody else would see it
        text = telling.cut(traceback.format_exc(), 4_000)
        reporter.send([{"event": "fault", "reason": f"its events cannot be understood: {text}"}])
        _cancel()


def _take_events(pipe: int, telling: Telling, reporter: Reporter) -> None:
    """Pass Ansible's events on, until nobody can write any more."""
    rest = bytearray()
    while data := os.read(pipe, 1 << 20):
        rest += data
        if b"\n" not in data:
            continue
        *lines, last = rest.split(b"\n")
        rest = bytearray(last)
        events = [event for line in lines for event in telling.events(json.loads(line))]
        reporter.tell(events)
        if any(event.get("no_room") for event in events):
            reporter.fault(OSError(errno.ENOSPC, ""))


def _take_text(pipe: int, telling: Telling, reporter: Reporter) -> None:
    """Tell what Ansible prints beside its events, a paragraph at a time, and not without end."""
    room, left_out, paragraph, level, waiting = _PRINTED, 0, "", "verbose", b""

    def close() -> None:
        nonlocal paragraph, room
        if paragraph.strip():
            room -= len(paragraph) + 100
            text = telling.cut(paragraph.strip(), _PARAGRAPH)
            reporter.tell([{"event": level, "created": time.time(), "text": text}])
        paragraph = ""

    while True:
        if paragraph and not select.select([pipe], [], [], _PAUSE)[0]:
            close()
        if not (data := os.read(pipe, 1 << 16)):
            break
        if room <= 0:
            left_out += len(data)
            continue
        *lines, waiting = (waiting + data).split(b"\n")
        # The rest of so long a line is never shown.
        waiting = waiting[: 1 << 16]
        for line in lines:
            text = line.decode("utf-8", "backslashreplace").rstrip("\r")
            begun = next((name for mark, name in _LEVELS if text.startswith(mark)), None)
            if begun or not text.strip() or len(paragraph) > _PARAGRAPH:
                close()
                level = begun or ("verbose" if not text.strip() else level)
            paragraph += f"{text}\n"
    paragraph += waiting.decode("utf-8", "backslashreplace")
    close()
    if left_out:
        text = f"Ansible printed {left_out} bytes more, which are not shown."
        reporter.tell([{"event": "warning", "created": time.time(), "text": text}])


def _end_descendants() -> None:
    """End whatever is left: Ansible, its workers, what they began here, and ssh's shared connections."""
    for number, seconds in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _KILLED)):
        limit = time.monotonic() + seconds
        told: set[int] = set()
        while time.monotonic() < limit:
            left = _descendants()
            if not left:
                return
            for pid in left if number == signal.SIGKILL else left - told:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            told |= left
            time.sleep(0.01)


def _descendants() -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[:2]
                if state not in (b"Z", b"X"):
                    parents[int(entry.name)] = int(parent)
    found, new = set[int](), {os.getpid()}
    while new:
        new = {pid for pid, parent in parents.items() if parent in new and pid not in found}
        found |= new
    return found


def _bury() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _give(path: Path, password: str) -> None:
    """Give a password to the one who opens a pipe, once."""
    with path.open("wb", buffering=0) as pipe:
        # Nobody opens it a second time: a reader that did would wait for ever.
        path.unlink()
        pipe.write(password.encode())


def _vault_options(private: Path, passwords: dict[str, str]) -> list[str]:
    options = []
    for number, (name, password) in enumerate(sorted(passwords.items())):
        path = private / f"vault-{number}"
        os.mkfifo(path, 0o600)
        threading.Thread(target=_give, args=(path, password), daemon=True).start()
        options += ["--vault-id", f"{name}@{path}"]
    return options


def _config(run: dict[str, Any], folder: Path, private: Path, passwords: dict[str, str], text: int) -> Any:
    config = RunnerConfig(
        private_data_dir=str(folder),
        playbook=run["playbook"],
        inventory=run["inventory"],
        limit=run["limit"],
        cmdline=shlex.join([*run["options"], *_vault_options(private, passwords)]) or None,
        ident="ansible",
        # Facts can hold a host's secrets; they are not kept.
        fact_cache_type="",
    )
    config.prepare()
    # Set after prepare(), which overwrites it. Without a terminal: nobody is there to be asked, and all that
    # is printed would be kept in memory.
    config.runner_mode = "subprocess"
    config.output_fd = config.error_fd = text
    config.suppress_output_file = config.suppress_ansible_output = True
    config.env |= {
        "ANSIBLE_STDOUT_CALLBACK": "rakeeza_events",
        "ANSIBLE_CALLBACK_PLUGINS": str(_PLUGINS),
        "PLAY_EVENTS": str(private / "ansible"),
    }
    return config


def _play(run: dict[str, Any], folder: Path, secrets: dict[str, Any], masking: Masking, pipe: int) -> None:
    private = Path(run["sockets"])
    reporter = Reporter(pipe, log := Log(folder / "output.log"), folder)
    telling = Telling(masking, run["hosts"], folder, private)
    os.mkfifo(private / "ansible", 0o600)
    raw = os.open(private / "ansible", os.O_RDONLY | os.O_NONBLOCK)
    # So that it does not end before Ansible has opened it.
    keeper = os.open(private / "ansible", os.O_WRONLY)
    os.set_blocking(raw, True)
    printed, printing = os.pipe()
    takers = [
        threading.Thread(target=_taken, args=(take, source, telling, reporter), daemon=True)
        for take, source in ((_take_events, raw), (_take_text, printed))
    ]
    for taker in takers:
        taker.start()
    try:
        config = _config(run, folder, private, secrets.get("passwords", {}), printing)
        runner = Runner(config)
        try:
            status, code = runner.run()
        except OSError as error:
            reporter.fault(error)
            status, code = "failed", None
    finally:
        _end_descendants()
        for end in (keeper, printing):
            os.close(end)
        for taker in takers:
            taker.join(_KILLED)
    log.close()
    reporter.send([{"event": "end", "status": "canceled" if _cancelled.is_set() else status, "code": code}])


def main() -> None:
    """Run the playbook that FOLDER/run.json describes."""
    folder = Path(sys.argv[1])
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _cancel)
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    # ansible-runner writes its environment into a file of the run's folder, and hands it on to Ansible.
    os.environ.clear()
    os.environ.update(run["environment"])
    secrets: dict[str, Any] = {}
    if run["secrets"]:
        with Path(run["secrets"]).open("rb") as given:
            secrets = json.loads(given.readline())
    masking = Masking(secrets.get("values", ()))
    pipe = os.open(run["pipe"], os.O_WRONLY)
    try:
        _play(run, folder, secrets, masking, pipe)
    except Exception:  # noqa: BLE001 -- what it says may hold a secret, and goes into a log
        print(masking.text(traceback.format_exc()), file=sys.stderr)
        sys.exit(1)
    finally:
        _end_descendants()
        _bury()
        shutil.rmtree(run["sockets"], ignore_errors=True)
        shutil.rmtree(folder / "tmp", ignore_errors=True)


if __name__ == "__main__":
    main()
