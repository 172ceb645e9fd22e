"""Runs one playbook through ansible-runner, and tells what happens by a pipe: `ansible_process.py FOLDER`.

A process of its own, started under a guard: ansible-runner forks in a terminal of its own, which a process
with threads and database connections must not do, and whatever Ansible leaves behind (workers, ssh's shared
connections) falls to this process and is ended by it. Ansible itself (GPL-3) runs as a further process.

It imports nothing of ours, so that it starts quickly, and its environment holds nothing of ours.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

# ansible-runner carries no types.
from ansible_runner.config.runner import RunnerConfig  # type: ignore[import-untyped]
from ansible_runner.runner import Runner  # type: ignore[import-untyped]

# What of a result may be long, and how much of it is kept, in characters. The rest of a task's result never
# leaves this process.
_MESSAGE, _DIFF, _LINE = 4_000, 20_000, 2_000
_OUTPUT_FILE = 10_000_000
# ansible-runner's own limit, above which it drops a task's result altogether.
_MAX_RESULT = 200_000
_PR_SET_CHILD_SUBREAPER = 36

_cancelled = False


def _cancel(*_: object) -> None:
    global _cancelled
    _cancelled = True


class _Reporter:
    """Writes each event as one JSON line, and what Ansible prints into a log of bounded length."""

    def __init__(self, pipe: TextIO, log: TextIO) -> None:
        self._pipe = pipe
        self._log = log
        self._room = _OUTPUT_FILE

    def event(self, event: dict[str, Any]) -> bool:
        """Handle an event of ansible-runner; False: it need not keep a file of it."""
        text = str(event.get("stdout") or "")[: self._room]
        if text:
            self._room -= len(text) + 1
            self._log.write(text + "\n")
            self._log.flush()
        self.send(_short(event))
        return False

    def send(self, message: dict[str, Any]) -> None:
        """Write one line."""
        # Lone surrogates, which non-UTF-8 output can leave, have no UTF-8: escapes do for every text.
        self._pipe.write(json.dumps(message) + "\n")
        self._pipe.flush()


def _short(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("event_data") or {}
    short: dict[str, Any] = {"event": event["event"], "created": event.get("created")}
    for name in ("play", "task", "host", "role", "ignore_errors"):
        if name in data:
            short[name] = data[name]
    if event["event"] == "playbook_on_stats":
        short["stats"] = {
            name: data.get(name) or {}
            for name in ("ok", "changed", "failures", "dark", "skipped", "rescued", "ignored", "processed")
        }
    if event["event"] in ("verbose", "warning", "error", "deprecated", "system_warning"):
        short["text"] = _cut(str(event.get("stdout") or ""), _LINE)
    result = data.get("res")
    if isinstance(result, dict):
        short["changed"] = bool(result.get("changed"))
        short["message"] = _message(result) if result else _cut(str(event.get("stdout") or ""), _MESSAGE)
        short["item"] = _cut(str(result.get("_ansible_item_label", result.get("item", ""))), 200)
        if diff := result.get("diff"):
            short["diff"] = _cut(_diff_text(diff), _DIFF)
    return short


def _message(result: dict[str, Any]) -> str:
    if "censored" in result:
        return "hidden (no_log)"
    parts = [result.get("msg")]
    if result.get("rc"):
        parts += [result.get("stderr") or result.get("module_stderr"), result.get("stdout")]
    elif result.get("failed"):
        parts += [result.get("exception") if not result.get("msg") else None]
    texts = [part if isinstance(part, str) else json.dumps(part) for part in parts if part]
    return _cut("\n".join(text.strip() for text in texts), _MESSAGE)


def _diff_text(diff: Any) -> str:
    texts = []
    for part in diff if isinstance(diff, list) else [diff]:
        if not isinstance(part, dict) or not part:
            continue
        if "prepared" in part:
            texts.append(str(part["prepared"]))
            continue
        name = part.get("after_header") or part.get("before_header") or ""
        before, after = (_state(part.get(side)) for side in ("before", "after"))
        lines = [f"- {line}" for line in before.splitlines() if line not in after.splitlines()]
        lines += [f"+ {line}" for line in after.splitlines() if line not in before.splitlines()]
        texts.append("\n".join([f"# {name}", *lines] if name else lines))
    return "\n".join(texts)


def _state(side: Any) -> str:
    if side is None:
        return ""
    return side if isinstance(side, str) else json.dumps(side, indent=1, sort_keys=True)


def _cut(text: str, length: int) -> str:
    # PostgreSQL keeps neither NUL nor half a surrogate pair, and both come out of programs that print bytes.
    text = text.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= length:
        return text
    return f"{text[:length]} … ({len(text) - length} characters more)"


def _end_descendants() -> None:
    """End whatever is left: Ansible's orphaned workers, and ssh's shared connections."""
    for number, seconds in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        limit = time.monotonic() + seconds
        told: set[int] = set()
        while time.monotonic() < limit:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            left = _descendants()
            if not left:
                return
            for pid in left - told:
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


def main() -> None:
    """Run the playbook that FOLDER/run.json describes."""
    folder = Path(sys.argv[1])
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _cancel)
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    # ansible-runner writes its environment into a file of the run's folder, and hands it on to Ansible.
    os.environ.clear()
    os.environ.update(run["environment"], MAX_EVENT_RES=str(_MAX_RESULT))
    try:
        with (
            Path(run["pipe"]).open("w", encoding="ascii") as pipe,
            (folder / "output.log").open("w", encoding="utf-8", errors="backslashreplace") as log,
        ):
            reporter = _Reporter(pipe, log)
            config = RunnerConfig(
                private_data_dir=str(folder),
                playbook=run["playbook"],
                inventory=run["inventory"],
                limit=run["limit"],
                cmdline=run["options"] or None,
                ident="ansible",
                # Facts can hold a host's secrets; they are not kept.
                fact_cache_type="",
            )
            config.prepare()
            # Set after prepare(), which overwrites them: how soon a cancel is seen, and no output file of its
            # own beside our bounded one.
            config.pexpect_timeout = 0.2
            config.suppress_output_file = True
            config.suppress_ansible_output = True
            runner = Runner(config, event_handler=reporter.event, cancel_callback=lambda: _cancelled)
            status, code = runner.run()
            _end_descendants()
            reporter.send({"event": "end", "status": status, "code": code})
    finally:
        _end_descendants()
        shutil.rmtree(run["sockets"], ignore_errors=True)
        shutil.rmtree(folder / "tmp", ignore_errors=True)


if __name__ == "__main__":
    main()
