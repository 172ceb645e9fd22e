"""The plan of a run: what a check showed that it would change, and the digest an approval binds to."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from infra.plays.records import Change
from infra.plays.results import Report

# Ansible tells of some tasks only that they would change something; that they would is part of the plan.
_CHANGED = ("host_changed", "item")


def changes_in(reports: Iterable[Report]) -> list[Change]:
    """What the reports of a check say that a run would change, in their order."""
    return [change for report in reports if (change := _change(report)) is not None]


def digest_of(
    *,
    revision: str,
    parameters: Mapping[str, Any],
    targets: str,
    secrets: Mapping[str, str],
    changes: Sequence[Change],
) -> str:
    """SHA-256 over all that a run is, in hexadecimal: another of any of these is another plan.

    Args:
        revision: of the playbook.
        parameters: as they were checked.
        targets: fingerprint of the hosts, their variables and groups.
        secrets: digests of the sealed files of secret variables; in the changes secrets are masked.
        changes: of every host; in a host's own order, whichever host came first.
    """
    by_host: dict[str, list[tuple[str, str | None, str]]] = {}
    for change in changes:
        by_host.setdefault(change.host, []).append((change.task, change.item, change.digest))
    whole = [revision, dict(parameters), targets, dict(secrets), by_host]
    text = json.dumps(whole, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _change(report: Report) -> Change | None:
    payload = report.payload
    if report.kind not in _CHANGED or (report.kind == "item" and payload["result"] != "changed"):
        return None
    diff, task = str(payload.get("diff") or ""), str(payload["task"])
    digest = payload.get("diff_digest") or hashlib.sha256(task.encode("utf-8", "surrogatepass")).hexdigest()
    item = payload.get("item")
    return Change(str(payload["host"]), task, None if item is None else str(item), diff, str(digest))
