"""Performs one run: takes it over, runs the playbook, and writes down what happens as it happens.

Whoever performs a run holds a lock of PostgreSQL for its whole length. When the process dies, in whatever
way, the server frees the lock: a run that is "running" without its lock has lost its worker.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foundation import audit, events
from foundation.chain import JSON
from foundation.database import Database
from foundation.errors import Conflict, RakeezaError, Unavailable
from infra.plays import runner
from infra.plays.records import PlayRun, State, get_run, host_results, keep_results
from infra.plays.results import Progress, Report

_log = logging.getLogger(__name__)

# The first half of the advisory lock's key; the second is the run. "play" in ASCII.
_LOCK = 0x706C6179
# Results wait this long for a database that is away, in seconds; Ansible waits with them.
_PATIENCE = 60.0
# Events are written in one transaction for so many seconds; a reader sees them that much later.
_TOGETHER = 0.1


class Performance:
    """One run, performed by this process.

    Args:
        database: where it is written down.
        run_id: the run.
        folder: its own folder.
    """

    def __init__(self, database: Database, run_id: int, folder: Path) -> None:
        self._database = database
        self._run_id = run_id
        self._folder = folder
        self._batches = 0
        self._lock: psycopg.Connection[Any] | None = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the run's lock.

        Raises:
            Conflict: another process performs the run.
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        self._take_lock()
        try:
            yield
        finally:
            if self._lock is not None:
                self._lock.close()

    def perform(self, order: runner.Order, hosts: list[str], cancelled: Callable[[], bool]) -> None:
        """Run the playbook and record it to its end, in state `running` already.

        Raises:
            Conflict: the run was declared interrupted meanwhile; Ansible was stopped.
            Unavailable: the run's process was killed, or the database stayed away; Ansible was stopped.
        """
        progress = Progress(hosts)
        end: dict[str, Any] = {}
        at: dict[str, str] = {}
        waiting: list[Report] = []
        kept = 0.0
        try:
            with contextlib.closing(runner.run(self._folder, order, cancelled)) as stream:
                for batch in stream:
                    waiting += [report for event in batch if (report := progress.take(event))]
                    end = next((event for event in batch if event["event"] == "end"), end)
                    due = end or time.monotonic() - kept >= _TOGETHER
                    if due and (waiting or progress.at != at):
                        self._keep(progress, waiting)
                        at, waiting, kept = dict(progress.at), [], time.monotonic()
        except KeyboardInterrupt:
            self._finish(progress, "cancelled", "It was interrupted at the keyboard.")
            raise
        except Conflict:
            raise
        except RakeezaError as error:
            self._finish(progress, "failed", str(error))
            raise
        state, reason = _verdict(progress, end)
        self._finish(progress, state, reason)

    def _keep(self, progress: Progress, reports: list[Report]) -> None:
        touched = {report.payload["host"] for report in reports if "host" in report.payload}

        def write(session: Session, run: PlayRun) -> None:
            for report in reports:
                events.publish(session, f"play.{report.kind}", run.subject, report.payload)
            keep_results(
                session, run.id, [progress.results[host] for host in sorted(touched & set(progress.results))]
            )
            run.at = dict(progress.at)

        self._in_order(write)

    def _finish(self, progress: Progress, state: State, reason: str | None) -> None:
        def write(session: Session, run: PlayRun) -> None:
            keep_results(session, run.id, progress.results.values())
            finish(session, run, state, reason, progress.statistics())

        self._in_order(write)

    def _in_order(self, write: Callable[[Session, PlayRun], None]) -> None:
        # A commit whose answer was lost is recognised by the count of batches and not written twice.
        limit = time.monotonic() + _PATIENCE
        while True:
            try:
                self._take_lock()
                with self._database.transaction() as session:
                    run = get_run(session, self._run_id, lock=True)
                    if run.state != "running":
                        raise Conflict(
                            f"The run was declared {run.state} while it ran; it was stopped.",
                            place=run.subject,
                        )
                    if run.batches == self._batches:
                        write(session, run)
                        run.batches += 1
            except Unavailable as error:
                if time.monotonic() > limit:
                    raise
                _log.warning("play %s waits for the database: %s", self._run_id, error)
                time.sleep(0.5)
            else:
                self._batches += 1
                return

    def _take_lock(self) -> None:
        if self._lock is not None and not self._lock.closed and not _lost(self._lock):
            return
        with self._database.errors():
            self._lock = psycopg.connect(self._database.connection_info, autocommit=True)
            row = self._lock.execute("SELECT pg_try_advisory_lock(%s, %s)", (_LOCK, self._run_id)).fetchone()
        if row is None or not row[0]:
            self._lock.close()
            raise Conflict("Another process performs this run.", place=f"play/{self._run_id}")


def begin(session: Session, run: PlayRun, hosts: list[str]) -> None:
    """Take a queued run to `running`."""
    run.state, run.worker, run.started_at = "running", f"{socket.gethostname()}:{os.getpid()}", _now(session)
    keep_results(session, run.id, Progress(hosts).results.values())
    started: dict[str, JSON] = {
        "playbook": run.playbook,
        "hosts": tuple(hosts),
        "check": run.check_mode,
        "worker": run.worker,
    }
    events.publish(session, "play.started", run.subject, started)
    audit.record(session, chain=run.subject, actor="system", action="play.started", details=started)


def finish(
    session: Session, run: PlayRun, state: State, reason: str | None, statistics: dict[str, int] | None = None
) -> None:
    """Take a run to its last state, and tell it to readers and to the audit."""
    run.state, run.reason, run.statistics, run.finished_at = state, reason, statistics, _now(session)
    if state != "interrupted":
        run.at = {}
    told: dict[str, JSON] = {
        "playbook": run.playbook,
        "state": state,
        "reason": reason,
        "statistics": statistics,
    }
    events.publish(session, "play.finished", run.subject, told)
    audit.record(session, chain=run.subject, actor="system", action="play.finished", details=told)


def interrupt(session: Session, run: PlayRun) -> bool:
    """Declare a run interrupted if nobody performs it any more.

    Returns:
        Whether it was.
    """
    alone = session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK, run.id)))
    if not alone or run.state != "running":
        return False
    declare_interrupted(session, run)
    return True


def declare_interrupted(session: Session, run: PlayRun) -> None:
    """Write a run down as interrupted, for one who holds its lock."""
    places = ", ".join(f"{host} at task {task!r}" for host, task in sorted(run.at.items()))
    reason = f"The worker {run.worker} ended; interrupted, {places or 'between two tasks'}."
    for result in host_results(session, run.id):
        if result.host in run.at:
            result.state, result.task = "interrupted", run.at[result.host]
            result.message = "How far the task came is not known."
    finish(session, run, "interrupted", reason)


def _verdict(progress: Progress, end: dict[str, Any]) -> tuple[State, str | None]:
    results = progress.results.values()
    if end.get("status") == "canceled":
        return "cancelled", "It was cancelled."
    if bad := [f"{result.host} ({result.state})" for result in results if not result.good]:
        touched = any(result.state != "untouched" for result in results)
        complaint = f" {progress.complaint}" if progress.complaint and not touched else ""
        return "failed", f"Not well: {', '.join(bad)}.{complaint}"
    if end.get("code") != 0:
        return "failed", progress.complaint or f"Ansible ended with code {end.get('code')}."
    return "successful", None


def _now(session: Session) -> Any:
    # The database's clock: runs of several workers are compared by it.
    return session.scalar(select(func.clock_timestamp()))


def _lost(connection: "psycopg.Connection[Any]") -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        connection.close()
        return True
    return False
