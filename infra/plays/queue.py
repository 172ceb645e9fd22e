"""The queues of plays: one a site, so that a site's worker performs what is for its hosts."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from foundation.jobs import Jobs
from infra.plays.records import PlayRun, get_run

_PAUSE = timedelta(seconds=2)
_FORGOTTEN = text(
    """
    SELECT run.id FROM play_run run
    WHERE run.state IN ('queued', 'approved') AND run.job_id IS NOT NULL
      AND NOT EXISTS (
          SELECT FROM procrastinate_jobs job WHERE job.id = run.job_id AND job.status IN ('todo', 'doing')
      )
    ORDER BY run.id FOR UPDATE OF run SKIP LOCKED
    """
)

JOB = "play.run"
CENTRAL = "plays"
"""The queue of runs on hosts of several sites, or of none."""


def queue_of(site: str | None) -> str:
    """The queue of the runs of one site."""
    return f"{CENTRAL}.{site}" if site else CENTRAL


class Queue:
    """Puts runs before the workers.

    Args:
        jobs: that the workers take; the handler of `play.run` is registered here.
        perform: performs a run in a worker.
    """

    def __init__(self, jobs: Jobs, perform: Callable[[Mapping[str, Any]], None]) -> None:
        self._jobs = jobs
        # Once: a playbook that was half done must not be done again by itself.
        jobs.register(JOB, lambda payload, _attempt: perform(payload), queue=CENTRAL, attempts=1)

    def put(self, session: Session, run: PlayRun, at: datetime | None = None) -> None:
        """Let a worker of its site take a run up, in the caller's transaction; an earlier turn is void.

        Args:
            at: not before this moment.
        """
        run.turn += 1
        payload = {"run": run.id, "turn": run.turn}
        run.job_id = self._jobs.enqueue(session, JOB, payload, queue=queue_of(run.site), at=at)

    def put_forgotten(self, session: Session) -> None:
        """Put the runs before the workers again whose job ended without beginning them.

        So ends a job that met a database that was away; nothing of its run was done.
        """
        moment = session.scalar(select(func.clock_timestamp()))
        assert moment is not None
        for number in session.execute(_FORGOTTEN).scalars().all():
            # Not at once: what keeps failing must not keep a worker busy.
            self.put(session, get_run(session, number, lock=True), moment + _PAUSE)


def is_void(session: Session, payload: Mapping[str, Any]) -> bool:
    """Whether a job is of a turn that is over."""
    return bool(get_run(session, int(payload["run"])).turn != payload["turn"])
