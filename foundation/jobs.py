"""Jobs: work that is decided in a transaction and done after it, by a worker.

A job exists if and only if the transaction that enqueued it commits. It runs once for each attempt: a job
whose worker was killed stays "doing" and is reported as stalled, because nobody knows how far it came; a
person or a rule decides whether it runs again.

The queue itself is procrastinate's: tables, locks, fetching, heartbeats.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import Conflict, NotFound
from foundation.job_registration import Handler, Registration

# A worker that missed so many heartbeats is taken for dead.
MISSED_HEARTBEATS = 5

_ENQUEUE = text(
    """
    SELECT procrastinate_defer_jobs_v1(ARRAY(
        SELECT ROW(
            job ->> 0, job ->> 1, 0, job ->> 2, NULL, job -> 3, CAST(job ->> 4 AS timestamptz)
        )::procrastinate_job_to_defer_v1
        FROM jsonb_array_elements(CAST(:jobs AS jsonb)) WITH ORDINALITY AS given (job, number)
        ORDER BY number
    ))
    """
)

_STALLED = text(
    """
    SELECT job.id, job.task_name, job.queue_name, job.lock, job.attempts + 1 AS attempt,
           started.at AS started_at
    FROM procrastinate_jobs job
    LEFT JOIN procrastinate_workers worker ON worker.id = job.worker_id
    CROSS JOIN LATERAL (
        SELECT max(at) AS at FROM procrastinate_events WHERE job_id = job.id AND type = 'started'
    ) started
    WHERE job.status = 'doing'
      AND (worker.id IS NULL OR worker.last_heartbeat < now() - make_interval(secs => :seconds))
    ORDER BY job.id
    """
)

_STATE = text(
    """
    SELECT job.task_name, job.status::text, job.attempts, failure.reason
    FROM procrastinate_jobs job
    LEFT JOIN LATERAL (
        SELECT reason FROM job_failure WHERE job_id = job.id ORDER BY attempt DESC LIMIT 1
    ) failure ON true
    WHERE job.id = :id
    """
)

_NOTE = text(
    """
    INSERT INTO job_failure (job_id, attempt, reason)
    SELECT id, attempts + 1, :reason FROM procrastinate_jobs WHERE id = :id
    ON CONFLICT (job_id, attempt) DO UPDATE SET reason = excluded.reason
    """
)


@dataclass(frozen=True)
class NewJob:
    """A job to be enqueued.

    Args:
        name: that it was registered with.
        payload: JSON object for the handler.
        queue: by default the one it was registered with.
        lock: of the jobs with the same lock one runs at a time, in the order of enqueueing.
        at: not before this moment (aware).
    """

    name: str
    payload: Mapping[str, Any]
    queue: str | None = None
    lock: str | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class StalledJob:
    """A job whose worker is gone: it may be done, half done, or not begun.

    Args:
        started_at: when its last attempt began, in UTC.
    """

    id: int
    name: str
    queue: str
    lock: str | None
    attempt: int
    started_at: datetime | None


@dataclass(frozen=True)
class JobState:
    """Where a job is.

    Args:
        status: "todo", "doing", "succeeded", "failed" or "cancelled".
        attempts: ended so far.
        reason: of the last attempt that failed.
    """

    name: str
    status: str
    attempts: int
    reason: str | None


class Jobs:
    """The jobs of a database.

    Args:
        database: where they are kept.
        heartbeat: seconds between two signs of life of a worker of this process.
    """

    def __init__(self, database: Database, *, heartbeat: float = 2.0) -> None:
        self._database = database
        self._heartbeat = heartbeat
        self._known: dict[str, Registration] = {}

    def register(
        self, name: str, handler: Handler, *, queue: str = "default", attempts: int = 5, backoff: float = 2.0
    ) -> None:
        """Say what a job of this name does. Errors with `retryable` are tried again, others fail at once.

        Raises:
            Conflict: the name is taken.
        """
        if name in self._known:
            raise Conflict(
                f"The job {name!r} is registered twice.", place=self._known[name].handler.__module__
            )
        self._known[name] = Registration(name, handler, queue, attempts, backoff)

    @property
    def queues(self) -> tuple[str, ...]:
        """The queues of the registered jobs, by name."""
        return tuple(sorted({registration.queue for registration in self._known.values()}))

    def enqueue(
        self,
        session: Session,
        name: str,
        payload: Mapping[str, Any],
        *,
        queue: str | None = None,
        lock: str | None = None,
        at: datetime | None = None,
    ) -> int:
        """Enqueue a job in the caller's transaction; see `NewJob`.

        Returns:
            The job's number.

        Raises:
            NotFound: no job of this name is registered.
        """
        return self.enqueue_all(session, [NewJob(name, payload, queue, lock, at)])[0]

    def enqueue_all(self, session: Session, jobs: Sequence[NewJob]) -> list[int]:
        """Enqueue jobs in the caller's transaction, in this order.

        Returns:
            The number of each, in the same order.

        Raises:
            NotFound: a name under which no job is registered; nothing is enqueued.
        """
        if not jobs:
            return []
        rows = [self._row(job) for job in jobs]
        # Numbers are given in the order of the rows, and gathered in no order that anybody promises.
        return sorted(session.execute(_ENQUEUE, {"jobs": json.dumps(rows)}).scalar_one())

    def work(
        self,
        queues: Sequence[str] | None = None,
        concurrency: int = 4,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run jobs until told to stop; then the running ones are finished and no new one is taken.

        PostgreSQL may be restarted meanwhile: running jobs go on, and their end is recorded when it is back.

        Args:
            queues: only these; None is all.
            concurrency: jobs at the same time, each in a thread.
            stop: asked several times a second.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer at the start.
        """
        # Imported here: every process enqueues, and few work.
        from foundation.job_worker import run_worker

        run_worker(
            self._database,
            list(self._known.values()),
            queues=queues,
            concurrency=concurrency,
            stop=stop,
            heartbeat=self._heartbeat,
            dead_after=self._dead_after,
        )

    def workers_alive(self, session: Session) -> int:
        """How many workers gave a sign of life lately."""
        found = session.execute(
            text(
                "SELECT count(*) FROM procrastinate_workers "
                "WHERE last_heartbeat >= now() - make_interval(secs => :seconds)"
            ),
            {"seconds": self._dead_after},
        )
        return int(found.scalar_one())

    def stalled(self, session: Session) -> list[StalledJob]:
        """The jobs whose worker is gone; they stay so until `run_again`, `put_back` or `give_up`."""
        rows = session.execute(_STALLED, {"seconds": self._dead_after})
        return [
            StalledJob(r.id, r.task_name, r.queue_name, r.lock, r.attempt, _utc(r.started_at)) for r in rows
        ]

    def state(self, session: Session, job: int) -> JobState:
        """Where a job is.

        Raises:
            NotFound: no job has this number.
        """
        row = session.execute(_STATE, {"id": job}).one_or_none()
        if row is None:
            raise NotFound(f"No job has the number {job}.")
        return JobState(row.task_name, row.status, row.attempts, row.reason)

    def run_again(self, session: Session, job: int) -> None:
        """Put a stalled or failed job back in its queue: the decision that it may run again.

        Raises:
            NotFound: no job has this number.
            Conflict: it is neither stalled nor failed.
        """
        self._decide(session, job, ("doing", "failed"))
        session.execute(
            text("SELECT procrastinate_retry_job_v2(:id, now(), NULL, NULL, NULL)"),
            {"id": job},
        )

    def put_back(self, session: Session, name: str) -> int:
        """Put all stalled jobs of a name back in their queue: for work that comes to one thing, done twice.

        Returns:
            How many were put back.
        """
        found = [job for job in self.stalled(session) if job.name == name]
        for job in found:
            self.run_again(session, job.id)
        return len(found)

    def give_up(self, session: Session, job: int, reason: str) -> None:
        """Mark a stalled job as failed: the decision that it does not run again.

        Raises:
            NotFound: no job has this number.
            Conflict: it is not stalled.
        """
        self._decide(session, job, ("doing",))
        session.execute(_NOTE, {"id": job, "reason": reason})
        session.execute(text("SELECT procrastinate_finish_job_v1(:id, 'failed', false)"), {"id": job})

    def _decide(self, session: Session, job: int, allowed: tuple[str, ...]) -> None:
        session.execute(text("SELECT 1 FROM procrastinate_jobs WHERE id = :id FOR UPDATE"), {"id": job})
        status = self.state(session, job).status
        runs = status == "doing" and all(stalled.id != job for stalled in self.stalled(session))
        if runs or status not in allowed:
            raise Conflict(f"The job {job} is {'running' if runs else status}.", place=f"job {job}")

    def _row(self, job: NewJob) -> tuple[object, ...]:
        known = self._registered(job.name)
        at = job.at and job.at.isoformat()
        return job.queue or known.queue, job.name, job.lock, {"payload": dict(job.payload)}, at

    def _registered(self, name: str) -> Registration:
        if name not in self._known:
            raise NotFound(
                f"No job is named {name!r}.", remedy=f"Known are: {', '.join(sorted(self._known)) or 'none'}."
            )
        return self._known[name]

    @property
    def _dead_after(self) -> float:
        return self._heartbeat * MISSED_HEARTBEATS


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None
