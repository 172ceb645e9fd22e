"""The queues of plays: one a site, so that a site's worker performs what is for its hosts."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from foundation.jobs import Jobs
from infra.plays.records import PlayRun, get_run

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


def is_void(session: Session, payload: Mapping[str, Any]) -> bool:
    """Whether a job is of a turn that is over."""
    return bool(get_run(session, int(payload["run"])).turn != payload["turn"])
