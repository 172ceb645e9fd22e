"""What Ansible tells us: a callback plugin that writes each event as one JSON line into a pipe.

Ansible loads it into its own process. It is the only file of ours that imports Ansible (GPL-3): it uses the
interface of callback plugins and nothing else of ours, decides nothing and prints nothing. What of an event
is kept, masked and shown is decided at the other end of the pipe, in `ansible_process.py`.

It takes the place of ansible-runner's own plugin, which writes every result, with the secrets in it, into
files of the run's folder, and sends it a second time as base64 through a terminal.

Source: Ansible's developer guide, "Developing plugins", callback plugins.
"""

import hashlib
import json
import os
import time
from typing import Any

from ansible.plugins.callback import CallbackBase  # type: ignore[import-untyped]

DOCUMENTATION = """
    name: rakeeza_events
    type: stdout
    short_description: Writes each event as a JSON line into a pipe
    description: The pipe is named by the environment variable PLAY_EVENTS.
"""

# Of a result, the texts that may be told, and how much of each leaves this process, in characters.
_TEXTS = ("msg", "stdout", "stderr", "module_stdout", "module_stderr", "exception")
_TEXT = 65_536
# Sides of a diff that are longer, in characters, are told by size and hash.
_SIDE = 8_000_000
_SMALL = ("changed", "rc", "censored", "dest", "path", "checksum", "size", "md5sum", "state")


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """The plugin; Ansible finds it by this name, and calls its methods one at a time."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "rakeeza_events"

    def __init__(self) -> None:
        super().__init__()
        self._pipe = os.open(os.environ["PLAY_EVENTS"], os.O_WRONLY)
        self._names: dict[str, str] = {}
        self._play = ""

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play begins."""
        self._play = play.get_name()
        self._write("playbook_on_play_start", play=self._play)

    def v2_playbook_on_no_hosts_matched(self) -> None:
        """A play is for none of the hosts."""
        self._write("warning", text=f"No host of this run is meant by the play {self._play!r}.")

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002 -- Ansible's
        """A task begins; its name has its variables filled in only here."""
        self._names[task._uuid] = name = task.name or task.action
        role = task._role.get_name() if getattr(task, "_role", None) else None
        self._write("playbook_on_task_start", play=self._play, task=name, role=role)

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """A handler begins."""
        self.v2_playbook_on_task_start(task, is_conditional=False)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A host is given a task."""
        name = self._names.get(task._uuid) or task.name or task.action
        self._write("runner_on_start", host=host.get_name(), task=name)

    def v2_runner_on_ok(self, result: Any) -> None:
        """A host did a task."""
        self._result("runner_on_ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A host failed at a task."""
        self._result("runner_on_failed", result, ignore_errors=bool(ignore_errors))

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A host skipped a task."""
        self._result("runner_on_skipped", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """A host cannot be reached."""
        ignored = bool(getattr(result.task, "ignore_unreachable", False))
        self._result("runner_on_unreachable", result, ignore_errors=ignored)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """A host did one round of a loop."""
        self._result("runner_item_on_ok", result, item=True)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """A host failed at one round of a loop."""
        self._result("runner_item_on_failed", result, item=True)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """A host skipped one round of a loop."""
        self._result("runner_item_on_skipped", result, item=True)

    def v2_runner_retry(self, result: Any) -> None:
        """A host is about to try a task again."""
        self._result("runner_retry", result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end of everything: Ansible's own count."""
        names = ("ok", "changed", "failures", "dark", "skipped", "rescued", "ignored", "processed")
        self._write("playbook_on_stats", stats={name: dict(getattr(stats, name)) for name in names})

    def _result(self, event: str, result: Any, item: bool = False, **more: Any) -> None:
        task = result.task
        # The sum of a loop repeats what every round of it has told; reading it costs as much again.
        summed = not item and task.loop is not None and event in ("runner_on_ok", "runner_on_skipped")
        try:
            told = {"changed": result.is_changed()} if summed else self._told(event, result.result, task)
        except Exception as error:  # noqa: BLE001 -- a result that cannot be told is told as that
            told = {"msg": f"The result cannot be told: {error!r}", "unreadable": True}
        name = result.task_fields.get("name") or task.name or task.action
        self._write(event, host=result.host.get_name(), task=str(name), result=told, **more)

    def _told(self, event: str, result: dict[str, Any], task: Any) -> dict[str, Any]:
        told = {name: result[name] for name in _SMALL if name in result}
        failed = event.endswith(("failed", "unreachable", "retry"))
        for name in _TEXTS if failed or result.get("rc") else ("msg",):
            if text := result.get(name):
                told[name] = _cut(text)
        if task.action in ("debug", "ansible.builtin.debug") and "msg" not in result:
            shown = {k: v for k, v in result.items() if k not in self._hide_in_debug and k[:1] != "_"}
            told["msg"] = _cut(shown)
        if "item" in result or "_ansible_item_label" in result:
            told["item"] = _cut(self._get_item_label(result))
        if diff := result.get("diff"):
            told["diff"] = [_sized(part) for part in (diff if isinstance(diff, list) else [diff])]
            # In a check the result itself does not name the file.
            given = (result.get("invocation") or {}).get("module_args") or {}
            told.setdefault("dest", told.get("path") or given.get("dest") or given.get("path"))
            told["src"] = given.get("src")
        if warnings := result.get("warnings"):
            told["warnings"] = [_cut(warning) for warning in list(warnings)[:20]]
        return told

    def _write(self, event: str, **about: Any) -> None:
        line = json.dumps({"event": event, "created": time.time(), **about}, default=str)
        data = memoryview(line.encode("ascii") + b"\n")
        while data:
            data = data[os.write(self._pipe, data) :]


def _cut(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text[:_TEXT]


def _sized(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    sized = dict(part)
    for side in ("before", "after", "prepared"):
        text = part.get(side)
        if isinstance(text, str) and len(text) > _SIDE:
            data = text.encode("utf-8", "surrogatepass")
            sized[side] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    return sized
