"""The steps of a run from one state to the next: each writes the record, tells the readers, and the audit."""

import os
import socket
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foundation import audit
from foundation.chain import JSON
from infra.plays.records import (
    PERFORMED,
    Change,
    PlayRun,
    State,
    host_results,
    keep_changes,
    reset_results,
)


def note(session: Session, run: PlayRun, kind: str, actor: str, told: Mapping[str, JSON]) -> None:
    """Tell one thing of a run to its readers and to the audit, as `play.KIND`."""
    name = f"play.{kind}"
    audit.record_all(
        session,
        chain=run.subject,
        entries=[(actor, name, told)],
        events=[(name, run.subject, {**told, "by": actor})],
    )


def begin(session: Session, run: PlayRun, state: State, lease: int) -> None:
    """Take a run in hand: `checking` or `running`, by this process, under a lease of its devices."""
    run.state, run.lease, run.worker = state, lease, f"{socket.gethostname()}:{os.getpid()}"
    run.waits_for = run.waiting = None
    run.at = {}
    run.started_at = run.started_at or _now(session)
    reset_results(session, run.id, run.targets)
    told: dict[str, JSON] = {
        "playbook": run.playbook,
        "hosts": tuple(run.targets),
        "check": run.check_mode or state == "checking",
        "worker": run.worker,
    }
    note(session, run, "checking" if state == "checking" else "started", "system", told)


def keep_plan(session: Session, run: PlayRun, plan: str, changes: Sequence[Change]) -> None:
    """Write down what a check showed."""
    keep_changes(session, run.id, changes)
    run.plan, run.planned_at = plan, _now(session)


def await_approval(session: Session, run: PlayRun, changes: Sequence[Change]) -> None:
    """A check has shown what would change: another engineer has the word."""
    run.state, run.lease, run.worker, run.at = "awaiting_approval", None, None, {}
    told: dict[str, JSON] = {
        "playbook": run.playbook,
        "hosts": tuple(run.targets),
        "plan": run.plan,
        "changes": len(changes),
        "hosts_changed": len({change.host for change in changes}),
        "requested_by": run.requested_by,
        "emergency": run.emergency,
    }
    note(session, run, "planned", "system", told)


def void_approval(session: Session, run: PlayRun, reason: str) -> None:
    """What was approved is not what would be done any more."""
    told: dict[str, JSON] = {
        "approved_by": run.approved_by,
        "approved_plan": run.approved_plan,
        "plan": run.plan,
        "reason": reason,
    }
    run.approved_by = run.approved_at = run.approved_plan = None
    run.decided_reason = reason
    note(session, run, "approval_voided", "system", told)


def finish(
    session: Session,
    run: PlayRun,
    state: State,
    reason: str | None,
    statistics: dict[str, int] | None = None,
    actor: str = "system",
) -> None:
    """Take a run to its last state."""
    run.state, run.reason, run.statistics, run.finished_at = state, reason, statistics, _now(session)
    run.waits_for = run.waiting = None
    if state != "interrupted":
        run.at = {}
    told: dict[str, JSON] = {
        "playbook": run.playbook,
        "state": state,
        "reason": reason,
        "statistics": statistics,
        "requested_by": run.requested_by,
    }
    note(session, run, "finished", actor, told)


def interrupt(session: Session, run: PlayRun, why: str | None = None, settled: Collection[str] = ()) -> None:
    """Write down that a run lost who performed it; how far it came is said, and it is not run again.

    Args:
        why: a sentence without its point; by default that its worker ended.
        settled: hosts that are known to have come to their last task.
    """
    places = ", ".join(f"{host} at task {task!r}" for host, task in sorted(run.at.items()))
    during = " while it checked; nothing was to be changed yet" if run.state == "checking" else ""
    reason = (
        f"{why or f'The worker {run.worker} ended'}{during}; interrupted, {places or 'between two tasks'}."
    )
    cut_off(session, run, run.at, settled)
    finish(session, run, "interrupted", reason)


def cut_off(session: Session, run: PlayRun, at: Mapping[str, str], settled: Collection[str]) -> None:
    """Write hosts as interrupted that did not come to their last task, though all they did went well.

    Args:
        at: hosts that were at a task, and the task.
        settled: hosts that came to their last task.
    """
    for result in host_results(session, run.id):
        if result.host in at:
            result.state, result.task = "interrupted", at[result.host]
            result.message = "How far the task came is not known."
        elif result.host not in settled and result.state in ("ok", "changed"):
            result.state, result.message = "interrupted", "It was stopped between two of its tasks."


def not_well(session: Session, run: PlayRun) -> list[str]:
    """The hosts of a run that were not brought to its end well; all, if it only came to its check."""
    begun = any(entry.action == "play.started" for entry in audit.entries(session, run.subject))
    states = ("ok", "changed") if begun else ()
    well = {result.host for result in host_results(session, run.id) if result.state in states}
    return [host for host in run.targets if host not in well]


def performed(run: PlayRun) -> bool:
    """Whether a worker has it in hand."""
    return run.state in PERFORMED


def _now(session: Session) -> Any:
    # The database's clock: runs of several workers are compared by it.
    return session.scalar(select(func.clock_timestamp()))
