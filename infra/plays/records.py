"""Runs of playbooks as the database keeps them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, Text, delete, func, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.database import Base
from foundation.errors import NotFound
from infra.plays.results import HostResult

State = Literal[
    "queued",
    "checking",
    "awaiting_approval",
    "approved",
    "running",
    "successful",
    "failed",
    "cancelled",
    "interrupted",
    "rejected",
]
UNDER_WAY: tuple[State, ...] = ("queued", "checking", "awaiting_approval", "approved", "running")
TO_BEGIN: tuple[State, ...] = ("queued", "approved")
"""States in which a worker may take a run up."""
PERFORMED: tuple[State, ...] = ("checking", "running")
"""States in which a worker has a run in hand."""


class PlayRun(Base):
    """One run of a playbook.

    Args:
        revision: of the playbook when it was requested; another is not run.
        target_limit: the limit as it was given.
        targets: the hosts it names, as of when it was requested or last checked.
        site: where all of them stand; None if they stand at several sites or at none.
        risk: of the playbook.
        slices: parts it was cut into.
        approval_needed: it is checked first, and done only when another engineer has approved that.
        plan: SHA-256 of what a check showed, of what, with what and where; what an approval binds to.
        approved_plan: the plan that was approved; another is not done.
        decided_reason: what the approver, or who rejected it, said.
        emergency: why it may run outside of windows and in a freeze.
        not_before: it does not begin before this moment.
        waits_for: `device`, `turn`, `site`, `window` or `moment`, while it waits for that.
        waiting: the same as a sentence.
        at: hosts that were at a task when last heard of, and the task.
        batches: transactions of results taken in; a repeated one is told by it.
        worker: process that performs it.
        job_id: the job that a worker performs it by; None if who asked performs it.
        turn: how often it was put before the workers; a job of an earlier turn is void.
        lease: of its devices' locks.
        retry_of: the run whose hosts it plays on again.
        schedule: that asked for it.
    """

    __tablename__ = "play_run"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    playbook: Mapped[str]
    revision: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    target_limit: Mapped[str | None]
    targets: Mapped[list[str]] = mapped_column(ARRAY(Text), default=list)
    site: Mapped[str | None]
    risk: Mapped[str] = mapped_column(default="low")
    slices: Mapped[int] = mapped_column(default=1)
    check_mode: Mapped[bool]
    diff: Mapped[bool]
    requested_by: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    approval_needed: Mapped[bool] = mapped_column(default=False)
    plan: Mapped[str | None]
    planned_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    approved_by: Mapped[str | None]
    approved_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    approved_plan: Mapped[str | None]
    decided_reason: Mapped[str | None]
    emergency: Mapped[str | None]
    not_before: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    waits_for: Mapped[str | None]
    waiting: Mapped[str | None]
    cancelled_by: Mapped[str | None]
    cancel_reason: Mapped[str | None]
    requested_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    worker: Mapped[str | None]
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    turn: Mapped[int] = mapped_column(default=0)
    lease: Mapped[int | None] = mapped_column(BigInteger)
    retry_of: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("play_run.id"))
    schedule: Mapped[str | None]
    at: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict)
    batches: Mapped[int] = mapped_column(default=0)
    statistics: Mapped[dict[str, int] | None] = mapped_column(JSONB)

    @property
    def subject(self) -> str:
        """What its events and its audit chain are called."""
        return subject_of(self.id)

    @property
    def under_way(self) -> bool:
        """It has not come to its end."""
        return self.state in UNDER_WAY


class PlayHostResult(Base):
    """What became of one host in one run; the columns are those of `results.HostResult`."""

    __tablename__ = "play_host_result"

    run_id: Mapped[int] = mapped_column(ForeignKey("play_run.id", ondelete="CASCADE"), primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    ok: Mapped[int]
    changed: Mapped[int]
    failed: Mapped[int]
    unreachable: Mapped[int]
    skipped: Mapped[int]
    rescued: Mapped[int]
    ignored: Mapped[int]
    task: Mapped[str | None]
    message: Mapped[str | None]
    reason: Mapped[str | None]


class PlayChange(Base):
    """What a check showed that one task would change on one host; `number` counts a host's from 1."""

    __tablename__ = "play_change"

    run_id: Mapped[int] = mapped_column(ForeignKey("play_run.id", ondelete="CASCADE"), primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    task: Mapped[str]
    item: Mapped[str | None]
    diff: Mapped[str]
    digest: Mapped[str]


@dataclass(frozen=True)
class Change:
    """One task's change of one host, as a check showed it.

    Args:
        host: where.
        task: which task.
        item: of its loop, if it is in one.
        diff: what changes, perhaps cut.
        digest: SHA-256 of the whole of it; of the task's name where the task shows no difference.
    """

    host: str
    task: str
    item: str | None
    diff: str
    digest: str


def subject_of(run_id: int) -> str:
    """What the events and the audit chain of a run are called."""
    return f"play/{run_id}"


def get_run(session: Session, run_id: int, *, lock: bool = False) -> PlayRun:
    """A run.

    Args:
        lock: hold its row until the end of the transaction.

    Raises:
        NotFound: there is no run of this number.
    """
    run = session.get(PlayRun, run_id, with_for_update=lock) if 0 < run_id < 1 << 63 else None
    if run is None:
        raise NotFound(f"There is no run {run_id}.", remedy="List them with: rakeeza play list --runs")
    return run


def newest_runs(session: Session, limit: int) -> list[PlayRun]:
    """The newest runs, newest first."""
    return list(session.scalars(select(PlayRun).order_by(PlayRun.id.desc()).limit(limit)))


def host_results(session: Session, run_id: int) -> list[PlayHostResult]:
    """The results of a run, by host."""
    query = select(PlayHostResult).where(PlayHostResult.run_id == run_id).order_by(PlayHostResult.host)
    return list(session.scalars(query))


def reset_results(session: Session, run_id: int, hosts: Iterable[str]) -> None:
    """Write every host of a run as untouched, and nothing else."""
    session.execute(delete(PlayHostResult).where(PlayHostResult.run_id == run_id))
    keep_results(session, run_id, [HostResult(host) for host in hosts])


def keep_results(session: Session, run_id: int, results: Iterable[HostResult]) -> None:
    """Write the results of hosts, over earlier ones."""
    names = [field.name for field in fields(HostResult)]
    rows = [
        {"run_id": run_id, "state": result.state, **{name: getattr(result, name) for name in names}}
        for result in results
    ]
    if not rows:
        return
    statement = insert(PlayHostResult)
    updates = {name: statement.excluded[name] for name in ("state", *names) if name != "host"}
    upsert = statement.on_conflict_do_update(index_elements=["run_id", "host"], set_=updates)
    # One statement has no room for the words of very many hosts.
    session.execute(upsert, rows)


def changes_of(session: Session, run_id: int) -> list[PlayChange]:
    """What the last check of a run showed, by host, in the order of the tasks."""
    query = select(PlayChange).where(PlayChange.run_id == run_id)
    return list(session.scalars(query.order_by(PlayChange.host, PlayChange.number)))


def keep_changes(session: Session, run_id: int, changes: Sequence[Change]) -> None:
    """Write what a check showed, instead of what an earlier one did."""
    session.execute(delete(PlayChange).where(PlayChange.run_id == run_id))
    counts: dict[str, int] = {}
    rows = []
    for change in changes:
        counts[change.host] = counts.get(change.host, 0) + 1
        words = {field.name: getattr(change, field.name) for field in fields(Change)}
        rows.append({"run_id": run_id, "number": counts[change.host], **words})
    if rows:
        session.execute(insert(PlayChange), rows)
