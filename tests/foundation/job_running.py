"""Jobs as the tests enqueue, work off and await them."""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from foundation.database import Database
from foundation.errors import DatabaseUnavailable
from foundation.jobs import Jobs, JobState
from tests.processes import until


@contextlib.contextmanager
def working(jobs: Jobs, **options: Any) -> Iterator[None]:
    """A worker of some jobs, in a thread, until the block ends."""
    stopped = threading.Event()
    thread = threading.Thread(target=lambda: jobs.work(stop=stopped.is_set, **options))
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def state(database: Database, jobs: Jobs, job: int) -> JobState:
    """Where a job is."""
    with database.transaction() as session:
        return jobs.state(session, job)


def ended(database: Database, jobs: Jobs, job: int) -> JobState:
    """Where a job is once it is over."""

    def over() -> bool:
        with contextlib.suppress(DatabaseUnavailable):
            return state(database, jobs, job).status not in ("todo", "doing")
        return False

    until(over)
    return state(database, jobs, job)


def enqueue(database: Database, jobs: Jobs, name: str, payload: dict[str, Any], **options: Any) -> int:
    """One job in a transaction of its own."""
    with database.transaction() as session:
        return jobs.enqueue(session, name, payload, **options)
