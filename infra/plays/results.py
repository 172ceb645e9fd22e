"""What a run's events mean: for readers as they come, and for each host in the end.

A failing or unreachable host is a value here, with the task and the reason; it never loses its neighbours.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_RESULTS = {
    "runner_on_ok": "ok",
    "runner_on_failed": "failed",
    "runner_on_unreachable": "unreachable",
    "runner_on_skipped": "skipped",
    "runner_item_on_ok": "ok",
    "runner_item_on_failed": "failed",
    "runner_item_on_skipped": "skipped",
}
_TEXTS = ("verbose", "warning", "error", "system_warning", "deprecated")
# How Ansible's final statistics call our counters.
_STATISTICS = {
    "ok": "ok",
    "changed": "changed",
    "failures": "failed",
    "dark": "unreachable",
    "skipped": "skipped",
    "rescued": "rescued",
    "ignored": "ignored",
}

# OpenSSH's words for why a host cannot be reached, in the order they are looked for: a name for programs, a
# sentence and the remedy for people.
_REASONS = (
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|host key for .* has changed",
        "host_key_changed",
        "The host key is not the recorded one: another machine answers, or the host was installed anew.",
        "Compare the key at the host's console; then: rakeeza asset edit {host} --set host_key='…'",
    ),
    (
        r"Host key verification failed|No \S+ host key is known",
        "host_key_unknown",
        "No host key is recorded for this host, so it cannot be told from another.",
        "Read it at the host's console; then: rakeeza asset edit {host} --set host_key='…'",
    ),
    (
        r"Permission denied|Too many authentication failures|no such identity",
        "login_refused",
        "The host refuses the login.",
        "Check ansible_user and ssh_key_file: rakeeza asset edit {host}",
    ),
    (r"Could not resolve hostname", "name_unknown", "The host's name has no address.", "Check ansible_host."),
    (
        r"Connection refused",
        "connection_refused",
        "The host refuses the connection: nothing listens on that port.",
        "Check that sshd runs there, and ansible_port.",
    ),
    (
        r"timed out|No route to host|Network is unreachable|Host is down",
        "no_answer",
        "The host does not answer.",
        "Check power, cable and route.",
    ),
    # Ansible loses ssh's own words where ssh ends while Ansible writes to it, as on a busy machine.
    (
        r"Data could not be sent to remote host",
        "connection_ended",
        "The connection ended before the host was given anything to do, and why was not kept.",
        "Run it again; if that does not help: ssh -v to the host.",
    ),
)


@dataclass
class HostResult:
    """What became of one host in a run.

    Args:
        host: its name.
        ok, changed, failed, unreachable, skipped, rescued, ignored: tasks that ended so; `changed` ones are
            among `ok`.
        task: the task it is at, or the one it failed at.
        message: why it failed.
        reason: a name for why it could not be reached, such as `host_key_changed`.
    """

    host: str
    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0
    skipped: int = 0
    rescued: int = 0
    ignored: int = 0
    task: str | None = None
    message: str | None = None
    reason: str | None = None

    @property
    def state(self) -> str:
        """`unreachable`, `failed`, `changed`, `ok`, or `untouched` if no task reached it."""
        if self.unreachable:
            return "unreachable"
        if self.failed:
            return "failed"
        if self.changed:
            return "changed"
        return "ok" if self.ok or self.skipped else "untouched"

    @property
    def good(self) -> bool:
        """Every task of it ended well."""
        return self.state in ("ok", "changed")


@dataclass(frozen=True)
class Report:
    """Something a reader of the run is told: the end of an event's kind, and its payload."""

    kind: str
    payload: dict[str, Any]


@dataclass
class Progress:
    """Follows one run's events.

    Args:
        hosts: names of the hosts it was meant for; each has a result from the start.
    """

    hosts: Iterable[str]
    results: dict[str, HostResult] = field(init=False)
    #: Hosts that are at a task now, and the task.
    at: dict[str, str] = field(init=False, default_factory=dict)
    #: Ansible's last words that were no result; where no host was reached they say why.
    complaint: str = field(init=False, default="")
    #: Hosts of which Ansible has given its last account; another one may have had more tasks to come.
    settled: set[str] = field(init=False, default_factory=set)
    _item_messages: dict[str, str] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.results = {host: HostResult(host) for host in self.hosts}

    def take(self, event: Mapping[str, Any]) -> Report | None:
        """Take one event of the runner; what it means to a reader, if anything."""
        kind, task, host = str(event["event"]), str(event.get("task") or ""), str(event.get("host") or "")
        if kind == "playbook_on_task_start":
            return Report(
                "task_started", {"play": event.get("play"), "task": task, "role": event.get("role")}
            )
        if kind == "runner_on_start":
            self.at[host] = task
            # By host: the hosts of a sliced run are at different tasks.
            self._item_messages.pop(host, None)
            return None
        if kind == "runner_retry":
            return Report("host_retrying", {"host": host, "task": task})
        if kind in _TEXTS:
            text = str(event.get("text") or "").strip()
            if text and (kind == "error" or not self.complaint):
                self.complaint = text
            about = {name: event[name] for name in ("host", "task") if event.get(name)}
            return Report("output", {"level": kind, "text": text, **about}) if text else None
        if kind == "playbook_on_stats":
            self._settle(event["stats"])
        if kind in _RESULTS:
            return self._result(kind, host, task, event)
        return None

    def statistics(self) -> dict[str, int]:
        """Sums over the hosts, and how many hosts are in each state."""
        results = list(self.results.values())
        sums = {name: sum(getattr(result, name) for result in results) for name in _STATISTICS.values()}
        states = {
            f"hosts_{state}": sum(result.state == state for result in results)
            for state in ("ok", "changed", "failed", "unreachable", "untouched")
        }
        return {"hosts": len(results), **states, **sums}

    def _result(self, kind: str, host: str, task: str, event: Mapping[str, Any]) -> Report:
        outcome = _RESULTS[kind]
        changed = bool(event.get("changed"))
        message = str(event.get("message") or "")
        name = "changed" if outcome == "ok" and changed else outcome
        payload: dict[str, Any] = {"host": host, "task": task}
        payload |= {part: event[part] for part in ("diff", "diff_digest") if event.get(part)}
        if kind.startswith("runner_item"):
            if outcome == "failed":
                self._item_messages[host] = f"{event.get('item')}: {message}"
            return Report("item", {**payload, "item": event.get("item"), "result": name, "message": message})
        self.at.pop(host, None)
        result = self.results.setdefault(host, HostResult(host))
        if outcome in ("failed", "unreachable"):
            message = self._item_messages.pop(host, message)
            reason = None
            if outcome == "unreachable":
                reason, message = _explain(host, message)
                payload["reason"] = reason
            ignored = bool(event.get("ignore_errors"))
            payload |= {"message": message, "ignored": ignored}
            if ignored:
                result.ok, result.ignored = result.ok + 1, result.ignored + 1
            else:
                setattr(result, outcome, getattr(result, outcome) + 1)
                result.task, result.message, result.reason = task, message, reason
        else:
            setattr(result, outcome, getattr(result, outcome) + 1)
            result.changed += outcome == "ok" and changed
            if message and outcome == "ok":
                payload["message"] = message
        return Report(f"host_{name}", payload)

    def _settle(self, stats: Mapping[str, Mapping[str, int]]) -> None:
        # Ansible's own count is the last word: only it knows which failure a rescue has healed.
        for host in stats["processed"]:
            result = self.results.setdefault(host, HostResult(host))
            for theirs, ours in _STATISTICS.items():
                setattr(result, ours, int(stats[theirs].get(host, 0)))
            if not result.failed and not result.unreachable:
                result.task = result.message = result.reason = None
            # Of these only: a process of another slice may still be at work, or have been killed.
            self.at.pop(host, None)
            self.settled.add(host)


def _explain(host: str, message: str) -> tuple[str, str]:
    for pattern, name, sentence, remedy in _REASONS:
        if re.search(pattern, message):
            return name, f"{sentence} {remedy.format(host=host)}"
    return "unreachable", message
