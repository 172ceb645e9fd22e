"""The worker of `foundation.jobs`: procrastinate's, made to outlive a restart of PostgreSQL.

procrastinate's own worker ends when a heartbeat, a fetch or its listener meets a lost connection, and
forgets how a job ended when it cannot write it down. Here each of these waits for PostgreSQL instead, and the
end of a job is written only if that attempt is still this worker's.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, cast

import procrastinate
import psycopg
from procrastinate import jobs as procrastinate_jobs
from procrastinate.exceptions import ConnectorException, ProcrastinateException
from procrastinate.job_context import JobContext
from procrastinate.manager import JobManager, NotificationCallback
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker

from foundation.database import Database
from foundation.errors import RakeezaError
from foundation.job_registration import Registration

_log = logging.getLogger(__name__)

# Seconds: between two looks for jobs whose time has come; between two questions whether to stop; before
# PostgreSQL is tried again; that the end of a job waits for it.
_POLL = 1.0
_STOP_STEP = 0.1
_PAUSE = 0.5
_PATIENCE = 120.0
_LONGEST_BACKOFF = 600.0
_DOUBLINGS = 32

# The end of an attempt, its reason, and a wake for who waits for its lock: one statement, so all or nothing.
# It applies only if the attempt is still this worker's; a person may have decided otherwise meanwhile.
_SETTLE = """
    WITH mine AS (
        SELECT id, lock, queue_name FROM procrastinate_jobs
        WHERE id = %(job_id)s AND status = 'doing' AND attempts = %(attempts)s
          AND (worker_id = %(worker_id)s OR worker_id IS NULL)
        FOR UPDATE
    ), noted AS (
        INSERT INTO job_failure (job_id, attempt, reason)
        SELECT id, %(attempts)s + 1, %(reason)s::text FROM mine WHERE %(reason)s::text IS NOT NULL
        ON CONFLICT (job_id, attempt) DO UPDATE SET reason = excluded.reason
    ), told AS (
        SELECT pg_notify(channel, json_build_object('type', 'job_inserted', 'job_id', id)::text)
        FROM mine,
             unnest(ARRAY['procrastinate_queue_v1#' || queue_name, 'procrastinate_any_queue_v1']) channel
        WHERE lock IS NOT NULL
    )
    SELECT (SELECT count(*) FROM told), {end} FROM mine
"""
_FINISH = _SETTLE.format(end="procrastinate_finish_job_v1(id, %(status)s, false)")
_RETRY = _SETTLE.format(end="procrastinate_retry_job_v2(id, %(retry_at)s, NULL, NULL, NULL)")

# A worker that was away too long has been struck off, and its jobs with it: it enters itself again.
_ALIVE = """
    INSERT INTO procrastinate_workers (id, last_heartbeat) OVERRIDING SYSTEM VALUE
    VALUES (%(worker_id)s, now())
    ON CONFLICT (id) DO UPDATE SET last_heartbeat = excluded.last_heartbeat
    RETURNING id
"""
_KEEP = """
    UPDATE procrastinate_jobs SET worker_id = %(worker_id)s
    WHERE id = ANY(%(held)s) AND status = 'doing' AND worker_id IS NULL
    RETURNING id
"""
# A fetch whose answer was lost: marked as ours, and never begun.
_RELEASE = """
    UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL
    WHERE worker_id = %(worker_id)s AND status = 'doing' AND NOT id = ANY(%(held)s)
    RETURNING id
"""


def run_worker(
    database: Database,
    known: Iterable[Registration],
    *,
    queues: Sequence[str] | None,
    concurrency: int,
    stop: Callable[[], bool],
    heartbeat: float,
    dead_after: float,
) -> None:
    """Run jobs until `stop`; see `foundation.jobs.Jobs.work`.

    Args:
        heartbeat: seconds between two signs of life.
        dead_after: seconds without one after which a worker is struck off.

    Raises:
        DatabaseUnavailable: PostgreSQL does not answer at the start.
    """
    # Asked first: a pool would try for half a minute, and could not say why it failed.
    with database.errors(), database.engine.connect():
        pass
    connector = procrastinate.PsycopgConnector(
        conninfo=database.connection_info, min_size=1, max_size=concurrency + 2
    )
    app = procrastinate.App(connector=connector)
    manager = _Manager(connector, stop)
    app.job_manager = manager
    for registration in known:
        task = _task(registration, manager)
        strategy = _Strategy(registration)
        app.task(name=registration.name, queue=registration.queue, retry=strategy, pass_context=True)(task)
    # Its messages hold the payload, which may hold a citizen's data; the end of a job is told by us.
    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    logging.getLogger("procrastinate.worker").addFilter(_without_payload)

    def worker() -> Worker:
        return Worker(
            app,
            queues=queues,
            concurrency=concurrency,
            fetch_job_polling_interval=_POLL,
            install_signal_handlers=False,
            update_heartbeat_interval=heartbeat,
            stalled_worker_timeout=dead_after,
        )

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(concurrency, "job"))
        await app.open_async()
        try:
            while not stop():
                await _run_until(worker(), stop)
        finally:
            await app.close_async()

    asyncio.run(main())


# Any: the methods of the library's worker have no types.
async def _run_until(worker: Any, stop: Callable[[], bool]) -> None:
    async def watch() -> None:
        while not stop():
            await asyncio.sleep(_STOP_STEP)
        worker.stop()

    watcher = asyncio.create_task(watch())
    try:
        await worker.run()
    except ConnectorException as error:
        _log.warning("The worker waits for PostgreSQL: %s", _cause(error))
        await asyncio.sleep(_PAUSE)
    finally:
        watcher.cancel()


def _task(registration: Registration, manager: "_Manager") -> Callable[..., None]:
    def run(context: JobContext, payload: dict[str, Any]) -> None:
        job = context.job
        attempt = job.attempts + 1
        try:
            registration.handler(payload, attempt)
        # Whatever a handler raises is the result of its job: recorded, judged by the strategy, and logged.
        except Exception as error:
            ours = isinstance(error, RakeezaError)
            manager.reasons[_number(job)] = str(error) if ours else f"{type(error).__name__}: {error}"
            _log.warning(
                "Job %s %s failed in attempt %d: %s", job.task_name, job.id, attempt, error, exc_info=not ours
            )
            raise

    return run


class _Strategy(BaseRetryStrategy):
    def __init__(self, registration: Registration) -> None:
        self._registration = registration

    def get_retry_decision(
        self, *, exception: BaseException, job: procrastinate_jobs.Job
    ) -> RetryDecision | None:
        if not getattr(exception, "retryable", False) or job.attempts + 1 >= self._registration.attempts:
            return None
        # Of the thousandth power of two no float is left.
        seconds = min(_LONGEST_BACKOFF, self._registration.backoff * 2.0 ** min(job.attempts, _DOUBLINGS))
        # Jobs that failed together must not come back together.
        return RetryDecision(retry_in={"milliseconds": int(1000 * seconds * random.uniform(0.8, 1.2))})


class _Manager(JobManager):
    """procrastinate's access to the tables, with patience."""

    def __init__(self, connector: procrastinate.PsycopgConnector, stop: Callable[[], bool]) -> None:
        super().__init__(connector)
        self._stop = stop
        self._connector = connector
        self._worker = 0
        self._held: set[int] = set()
        self._heard = 0
        self._fetching = asyncio.Lock()
        self.reasons: dict[int, str] = {}

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> procrastinate_jobs.Job | None:
        self._worker = worker_id
        async with self._fetching:
            if self._stop():
                return None
            try:
                job = None
                heard = -1
                # The worker forgets what it hears during a fetch; that job would wait for the next poll.
                while job is None and heard != self._heard:
                    heard = self._heard
                    job = await super().fetch_job(queues, worker_id)
            except ProcrastinateException as error:
                _log.warning("No jobs are fetched: %s", _cause(error))
                return None
            if job:
                self._held.add(_number(job))
            return job

    async def finish_job(
        self,
        job: procrastinate_jobs.Job,
        status: procrastinate_jobs.Status,
        delete_job: bool,  # noqa: ARG002 - procrastinate's signature; finished jobs are kept
    ) -> None:
        await self._settle(job, _FINISH, status=status.value)

    async def retry_job(
        self,
        job: procrastinate_jobs.Job,
        retry_at: datetime | None = None,
        priority: int | None = None,  # noqa: ARG002 - procrastinate's signature, as the two below
        queue: str | None = None,  # noqa: ARG002
        lock: str | None = None,  # noqa: ARG002
    ) -> None:
        await self._settle(job, _RETRY, retry_at=retry_at)

    async def update_heartbeat(self, worker_id: int) -> None:
        self._worker = worker_id
        # Not during a fetch: what it has just marked is not yet among those held.
        async with self._fetching:
            try:
                for query in (_ALIVE, _KEEP, _RELEASE):
                    await self._query(query, worker_id=worker_id, held=list(self._held))
            except ProcrastinateException as error:
                _log.warning("No sign of life can be given: %s", _cause(error))

    async def listen_for_jobs(
        self, *, on_notification: NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        async def heard(*, channel: str, notification: procrastinate_jobs.Notification) -> None:
            self._heard += 1
            await on_notification(channel=channel, notification=notification)

        while True:
            with contextlib.suppress(ProcrastinateException):
                await super().listen_for_jobs(on_notification=heard, queues=queues)
            # Jobs are found by polling until there is a connection to listen on.
            await asyncio.sleep(_PAUSE)

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:  # noqa: ARG002
        # Handlers are threads, which cannot be aborted.
        return []

    async def unregister_worker(self, worker_id: int) -> None:
        try:
            await super().unregister_worker(worker_id)
        except ProcrastinateException as error:
            _log.warning("The worker could not sign off: %s", _cause(error))

    async def _settle(self, job: procrastinate_jobs.Job, query: str, **words: Any) -> None:
        number = _number(job)
        words |= {"job_id": number, "attempts": job.attempts, "worker_id": self._worker}
        words["reason"] = self.reasons.pop(number, None)
        limit = asyncio.get_running_loop().time() + _PATIENCE
        try:
            while True:
                try:
                    rows = await self._query(query, **words)
                except ConnectorException as error:
                    waits = isinstance(error.__cause__, psycopg.OperationalError)
                    if not waits or asyncio.get_running_loop().time() > limit:
                        _log.error("The end of job %d cannot be recorded: %s", number, _cause(error))
                        raise
                    await asyncio.sleep(_PAUSE)
                else:
                    if not rows:
                        _log.warning("Job %d was decided by someone else while it ran.", number)
                    return
        finally:
            self._held.discard(number)

    async def _query(self, query: str, **words: Any) -> list[dict[str, Any]]:
        # The connector asks for a literal; ours are the constants above.
        rows: list[dict[str, Any]] = await self._connector.execute_query_all_async(cast(Any, query), **words)
        return rows


def _number(job: procrastinate_jobs.Job) -> int:
    # A job that was fetched has a number; the library's type also covers those not yet enqueued.
    assert job.id is not None
    return job.id


def _without_payload(record: logging.LogRecord) -> bool:
    return getattr(record, "action", None) != "job_error"


def _cause(error: BaseException) -> str:
    return str(error.__cause__ or error).strip().partition("\n")[0]
