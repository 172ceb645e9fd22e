"""Runs of playbooks as the database keeps them."""

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import BigInteger, DateTime, ForeignKey, Identity, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.database import Base
from foundation.errors import NotFound
from infra.plays.results import HostResult

State = Literal["queued", "running", "successful", "failed", "cancelled", "interrupted"]
UNDER_WAY: tuple[State, ...] = ("queued", "running")


class PlayRun(Base):
    """One run of a playbook.

    Args:
        revision: of the playbook when it was requested; another is not run.
        target_limit: the limit as it was given.
        at: hosts that were at a task when last heard of, and the task.
        batches: transactions of results taken in; a repeated one is told by it.
        worker: process that performs it.
        job_id: the job that a worker performs it by; None if who asked performs it.
    """

    __tablename__ = "play_run"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    playbook: Mapped[str]
    revision: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    target_limit: Mapped[str | None]
    check_mode: Mapped[bool]
    diff: Mapped[bool]
    requested_by: Mapped[str]
    state: Mapped[str]
    reason: Mapped[str | None]
    requested_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    started_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    finished_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    worker: Mapped[str | None]
    job_id: Mapped[int | None] = mapped_column(BigInteger)
    at: Mapped[dict[str, str]] = mapped_column(JSONB, default=dict)
    batches: Mapped[int] = mapped_column(default=0)
    statistics: Mapped[dict[str, int] | None] = mapped_column(JSONB)

    @property
    def subject(self) -> str:
        """What its events and its audit chain are called."""
        return subject_of(self.id)

    @property
    def under_way(self) -> bool:
        """It is queued or running."""
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


def keep_results(session: Session, run_id: int, results: Iterable[HostResult]) -> None:
    """Write the results of hosts, over earlier ones."""
    names = [field.name for field in fields(HostResult)]
    rows = [
        {"run_id": run_id, "state": result.state, **{name: getattr(result, name) for name in names}}
        for result in results
    ]
    if not rows:
        return
    statement = insert(PlayHostResult).values(rows)
    updates = {name: statement.excluded[name] for name in ("state", *names) if name != "host"}
    session.execute(statement.on_conflict_do_update(index_elements=["run_id", "host"], set_=updates))
