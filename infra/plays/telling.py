"""What of Ansible's own events a run tells: short, without secrets, and a log to read beside.

Imports the standard library only: it runs in `ansible_process.py`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from infra.plays.differences import difference
from infra.plays.masking import Masking

# What of a result may be long, and how much of it is told, in characters.
_MESSAGE, _DIFF, _LINE, _NAME = 4_000, 20_000, 2_000, 500
_LOG = 10_000_000
# A host that has no room says so in the same words; only a path below a folder of the run is ours.
_FULL = ("No space left on device", "Disk quota exceeded")
_WORDS = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
    "runner_item_on_ok": "ok",
    "runner_item_on_failed": "failed",
    "runner_item_on_skipped": "skipped",
    "runner_retry": "tried again",
}


class Telling:
    """Turns Ansible's events into the run's.

    Args:
        masking: what is never told.
        hosts: names of hosts, which are no secrets.
        folder: the run's folder.
        private: the folder of what lives no longer than the run.
    """

    def __init__(self, masking: Masking, hosts: Iterable[str], folder: Path, private: Path) -> None:
        self._masking = masking
        self._project = folder / "project"
        self._hosts = frozenset(hosts)
        self._folders = (str(folder), str(private))
        self._warned: set[str] = set()

    def events(self, raw: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The events that one of Ansible's becomes: itself, and the warnings that its result holds."""
        result = raw.pop("result", None)
        event = raw
        for name in ("play", "task", "role"):
            if event.get(name):
                event[name] = self.cut(event[name], _NAME)
        if "host" in event:
            event["host"] = self._host(event["host"])
        if "stats" in event:
            event["stats"] = {
                name: {self._host(host): count for host, count in counts.items()}
                for name, counts in event["stats"].items()
            }
        if "text" in event:
            event["text"] = self.cut(event["text"], _LINE)
        if result is not None:
            yield from self._warnings(result, event)
            self._add(result, event)
        yield event

    def cut(self, text: str, length: int) -> str:
        """The beginning of a text, without secrets, as PostgreSQL keeps it."""
        shown = self._masking.beginning(text, length)
        # PostgreSQL keeps neither NUL nor half a surrogate pair; both come out of programs that print bytes.
        shown = shown.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "backslashreplace").decode("utf-8")
        if len(text) <= length and len(shown) <= length:
            return shown
        return f"{shown[:length]} … ({max(len(text), len(shown)) - length} characters more)"

    def _host(self, name: str) -> str:
        return name if name in self._hosts else self.cut(name, _NAME)

    def _warnings(self, result: dict[str, Any], event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for warning in result.get("warnings") or ():
            text = self.cut(str(warning), _LINE)
            # As Ansible does: a warning that every host gives is told once.
            if text not in self._warned and len(self._warned) < 1_000:
                self._warned.add(text)
                about = {str(name): event[name] for name in ("created", "host", "task") if name in event}
                yield {"event": "warning", "text": text, **about}

    def _add(self, result: dict[str, Any], event: dict[str, Any]) -> None:
        event["changed"] = bool(result.get("changed"))
        message = _message(result)
        event["message"] = self.cut(message, _MESSAGE)
        if "item" in result:
            event["item"] = self.cut(str(result["item"]), 200)
        if any(words in message for words in _FULL) and any(folder in message for folder in self._folders):
            event["no_room"] = True
        if result.get("diff"):
            facts = (
                self._new_file(result)
                if any(isinstance(part, dict) and "src_binary" in part for part in result["diff"])
                else {}
            )
            if found := difference({**result, **facts}, self._masking):
                event["diff"], event["diff_digest"] = self.cut(found.text, _DIFF), found.digest

    def _new_file(self, result: dict[str, Any]) -> dict[str, Any]:
        """Hash and size of the file that a task copies, found as Ansible finds it; nothing if not surely."""
        name = str(result.get("src") or "")
        places = (
            [Path(name)] if name.startswith("/") else [self._project / name, self._project / "files" / name]
        )
        if name and not any(path.is_file() for path in places):
            places = list(self._project.glob(f"roles/*/files/{name}"))
        found = [path for path in places if path.is_file()]
        if not name or len(found) != 1:
            return {}
        data = found[0].read_bytes()
        return {"new_sha256": hashlib.sha256(data).hexdigest(), "new_bytes": len(data)}


def log_lines(event: dict[str, Any]) -> Iterator[str]:
    """What an event adds to the log that people read."""
    kind = event["event"]
    if kind == "playbook_on_play_start":
        yield f"\nPLAY [{event['play']}]"
    elif kind == "playbook_on_task_start":
        role = f"{event['role']} : " if event.get("role") else ""
        yield f"\nTASK [{role}{event['task']}]"
    elif kind == "playbook_on_stats":
        yield "\nRECAP"
        for host in sorted(event["stats"]["processed"]):
            counts = (f"{name}={counts.get(host, 0)}" for name, counts in event["stats"].items())
            yield f"{host}: {' '.join(count for count in counts if not count.startswith('processed='))}"
    elif kind in _WORDS:
        word = "changed" if _WORDS[kind] == "ok" and event.get("changed") else _WORDS[kind]
        item = f" ({event['item']})" if event.get("item") else ""
        ignored = " (ignored)" if event.get("ignore_errors") else ""
        message = f": {event['message']}" if event.get("message") else ""
        yield f"{word}: [{event['host']}]{item}{ignored}{message}"
        if event.get("diff"):
            yield event["diff"]
    elif "text" in event:
        yield event["text"]


class Log:
    """A log of bounded length; what does not fit is counted.

    Args:
        path: where it is written.
    """

    def __init__(self, path: Path) -> None:
        # Without a buffer: what is in it when the disk is full would be written, and fail, at any later time.
        self._file = path.open("wb", buffering=0)
        self._room = _LOG

    def write(self, events: Iterable[dict[str, Any]]) -> None:
        """Add what events say.

        Raises:
            OSError: it cannot be written.
        """
        text = "".join(f"{line}\n" for event in events for line in log_lines(event))
        data = text.encode("utf-8", "backslashreplace")[: max(0, self._room)]
        self._room -= len(data)
        while data:
            data = data[self._file.write(data) :]
        if self._room == 0:
            self._room = -1
            self._file.write(b"\nThe log ends here: it is as long as it may be. The events go on.\n")

    def close(self) -> None:
        """Write nothing more."""
        self._file.close()


def _message(result: dict[str, Any]) -> str:
    if "censored" in result:
        return "hidden (no_log)"
    parts = [result.get("msg")]
    if result.get("rc"):
        parts += [result.get("stderr") or result.get("module_stderr"), result.get("stdout")]
    elif not result.get("msg"):
        parts.append(result.get("exception"))
    texts = [part if isinstance(part, str) else json.dumps(part) for part in parts if part]
    return "\n".join(text.strip() for text in texts)
