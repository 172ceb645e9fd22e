"""Performs what a run has to do now, under the lease of its devices, and writes down what happens.

A run that needs an approval is checked first: what the check shows is its plan. Once that is approved it is
checked again, and done only if it would do exactly what was approved.
"""

import contextlib
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from foundation import events
from foundation.database import Database
from foundation.device_locks import Lease, LeaseLost
from foundation.errors import Conflict, RakeezaError, Unavailable
from infra.plays import slices
from infra.plays.plan import changes_in, digest_of
from infra.plays.records import Change, PlayRun, State, get_run, keep_results, reset_results
from infra.plays.results import Progress, Report
from infra.plays.runner import Order
from infra.plays.states import (
    await_approval,
    cut_off,
    finish,
    interrupt,
    keep_plan,
    note,
    performed,
    void_approval,
)

_log = logging.getLogger(__name__)

# Results wait this long for a database that is away, in seconds; Ansible waits with them.
_PATIENCE = 50.0
# Seconds between two tries.
_PAUSE = 0.5
# Events are written in one transaction for so many seconds; a reader sees them that much later.
_TOGETHER = 0.1
# Seconds between two looks whether somebody cancelled, and whether the lease is ours.
_BETWEEN_LOOKS = 0.3


@dataclass(frozen=True)
class Task:
    """What is to be performed.

    Args:
        order: for Ansible.
        hosts: that it is for.
        fingerprint: of those hosts, as an approval binds to them.
        first: state the run is in: `checking`, or `running` where no approval is needed.
    """

    order: Order
    hosts: list[str]
    fingerprint: str
    first: State


class Performance:
    """One run, performed by this process.

    Args:
        database: where it is written down.
        run_id: the run.
        folder: its own folder.
        lease: of its devices.
    """

    def __init__(self, database: Database, run_id: int, folder: Path, lease: Lease) -> None:
        self._database = database
        self._run_id = run_id
        self._folder = folder
        self._lease = lease
        self._batches: int | None = None
        self._looked = 0.0
        self._lost: LeaseLost | None = None
        self._cancelled = False
        self._progress = Progress([])

    def perform(self, task: Task, aborted: Callable[[], bool]) -> None:
        """Check and do, or do, and record it to the end of what is to be done now.

        Args:
            task: what.
            aborted: asked all the time; True ends Ansible and the run.

        Raises:
            Conflict: the run or its devices were taken from us meanwhile; Ansible was stopped.
            Unavailable: the run's process was killed, or the database stayed away; Ansible was stopped.
        """
        try:
            if task.first == "running" or self._checked(task, aborted):
                self._done(task, aborted)
        except LeaseLost as lost:
            self._give_up(lost)
            raise

    def _done(self, task: Task, aborted: Callable[[], bool]) -> None:
        kept: list[Report] | None = [] if task.order.check and task.order.diff else None
        progress, end = self._played(task.order, task.hosts, self._folder, aborted, kept)
        state, reason = self._verdict(progress, end)

        def write(session: Session, run: PlayRun) -> None:
            keep_results(session, run.id, progress.results.values())
            cut_off(session, run, progress.at, progress.settled)
            if kept is not None:
                changes = changes_in(kept)
                keep_plan(session, run, self._plan(run, task, changes), changes)
            finish(session, run, state, self._reason(run, reason), progress.statistics())

        self._write(write)

    def _checked(self, task: Task, aborted: Callable[[], bool]) -> bool:
        # Whether what the check shows is what was approved.
        order = replace(task.order, check=True, diff=True)
        reports: list[Report] = []
        # Of an earlier check: a file of secrets that is gone since would still be read there.
        shutil.rmtree(self._folder / "check", ignore_errors=True)
        progress, end = self._played(order, task.hosts, self._folder / "check", aborted, reports)
        state, reason = self._verdict(progress, end)
        changes = changes_in(reports)
        goes_on = False

        def write(session: Session, run: PlayRun) -> None:
            nonlocal goes_on
            # It is asked again after a lost connection, and the answer may be another then.
            goes_on = False
            keep_results(session, run.id, progress.results.values())
            cut_off(session, run, progress.at, progress.settled)
            if run.cancelled_by is not None and state == "successful":
                # He was heard between Ansible's end and this record.
                why = self._reason(run, "It was cancelled.")
                finish(session, run, "cancelled", f"{why} Nothing was changed.", progress.statistics())
                return
            if state != "successful":
                why = self._reason(run, reason) if state == "cancelled" else f"The check failed. {reason}"
                finish(session, run, state, f"{why} Nothing was changed.", progress.statistics())
                return
            approved = run.approved_plan
            plan = self._plan(run, task, changes)
            keep_plan(session, run, plan, changes)
            if approved == plan:
                goes_on = True
                self._go_on(session, run)
                return
            if approved is not None:
                void_approval(session, run, _different(run, approved))
            await_approval(session, run, changes)

        self._write(write)
        return goes_on

    def _go_on(self, session: Session, run: PlayRun) -> None:
        run.state, run.at = "running", {}
        reset_results(session, run.id, run.targets)
        note(
            session,
            run,
            "started",
            "system",
            {"playbook": run.playbook, "hosts": tuple(run.targets), "check": False, "worker": run.worker},
        )

    def _plan(self, run: PlayRun, task: Task, changes: list[Change]) -> str:
        return digest_of(
            revision=run.revision,
            parameters=run.parameters,
            targets=task.fingerprint,
            secrets=task.order.secrets.digests,
            changes=changes,
        )

    def _played(
        self,
        order: Order,
        hosts: list[str],
        folder: Path,
        aborted: Callable[[], bool],
        keep: list[Report] | None,
    ) -> tuple[Progress, dict[str, Any]]:
        progress = self._progress = Progress(hosts)
        end: dict[str, Any] = {}
        at: dict[str, str] = {}
        waiting: list[Report] = []
        kept = 0.0
        try:
            stop = self._stop(aborted)
            with contextlib.closing(slices.run_sliced(folder, order, hosts, stop)) as stream:
                for batch in stream:
                    waiting += [report for event in batch if (report := progress.take(event))]
                    end = next((event for event in batch if event["event"] == "end"), end)
                    due = end or time.monotonic() - kept >= _TOGETHER
                    if due and (waiting or progress.at != at):
                        self._keep(progress, waiting)
                        if keep is not None:
                            keep += waiting
                        at, waiting, kept = dict(progress.at), [], time.monotonic()
        except KeyboardInterrupt:
            self._end(progress, "cancelled", "It was interrupted at the keyboard.")
            raise
        except Conflict:
            raise
        except RakeezaError as error:
            self._end(progress, "failed", f"{error}{_places(progress)}")
            raise
        if self._lost is not None:
            raise self._lost
        return progress, end

    def _stop(self, aborted: Callable[[], bool]) -> Callable[[], bool]:
        # Asked at every step of Ansible's: ends it when somebody cancelled or the devices are not ours.
        def stop() -> bool:
            if aborted():
                return True
            if time.monotonic() - self._looked >= _BETWEEN_LOOKS and self._lost is None:
                self._looked = time.monotonic()
                try:
                    self._lease.hold()
                    with self._database.transaction() as session:
                        self._cancelled = get_run(session, self._run_id).cancelled_by is not None
                except LeaseLost as error:
                    self._lost = error
                except Unavailable as error:
                    _log.warning("play %s waits for the database: %s", self._run_id, error)
            return self._cancelled or self._lost is not None

        return stop

    def _keep(self, progress: Progress, reports: list[Report]) -> None:
        touched = {report.payload["host"] for report in reports if "host" in report.payload}

        def write(session: Session, run: PlayRun) -> None:
            told = [(f"play.{report.kind}", run.subject, report.payload) for report in reports]
            events.publish_all(session, told)
            keep_results(
                session, run.id, [progress.results[host] for host in sorted(touched & set(progress.results))]
            )
            run.at = dict(progress.at)

        self._write(write)

    def _end(self, progress: Progress, state: State, reason: str) -> None:
        def write(session: Session, run: PlayRun) -> None:
            keep_results(session, run.id, progress.results.values())
            cut_off(session, run, progress.at, progress.settled)
            nothing = " Nothing was changed." if run.state == "checking" else ""
            finish(session, run, state, f"{reason}{nothing}", progress.statistics())

        self._write(write)

    def _give_up(self, lost: LeaseLost) -> None:
        # Not through `_write`: what a run says of its own end is true also when its devices are another's.
        limit = time.monotonic() + _PATIENCE
        while True:
            try:
                with self._database.transaction() as session:
                    run = get_run(session, self._run_id, lock=True)
                    if performed(run) and run.lease == self._lease.id:
                        keep_results(session, run.id, self._progress.results.values())
                        run.at = dict(self._progress.at)
                        interrupt(session, run, f"{lost.message} Ansible was stopped", self._progress.settled)
            except Unavailable as error:
                if time.monotonic() > limit:
                    raise
                _log.warning("play %s waits for the database: %s", self._run_id, error)
                time.sleep(_PAUSE)
            else:
                return

    def _write(self, write: Callable[[Session, PlayRun], None]) -> None:
        # A commit whose answer was lost is recognised by the count of batches and not written twice.
        limit = time.monotonic() + _PATIENCE
        while True:
            try:
                self._lease.hold()
                with self._database.transaction() as session:
                    run = get_run(session, self._run_id, lock=True)
                    if self._batches is None:
                        self._batches = run.batches
                    if run.batches == self._batches:
                        self._check_ours(session, run)
                        run.batches += 1
                        write(session, run)
            except Unavailable as error:
                if time.monotonic() > limit:
                    raise
                _log.warning("play %s waits for the database: %s", self._run_id, error)
                time.sleep(_PAUSE)
            else:
                self._batches += 1
                return

    def _check_ours(self, session: Session, run: PlayRun) -> None:
        if not performed(run) or run.lease != self._lease.id:
            raise Conflict(
                f"The run was declared {run.state} while it ran; it was stopped.", place=run.subject
            )
        self._lease.check(session)

    def _verdict(self, progress: Progress, end: dict[str, Any]) -> tuple[State, str | None]:
        results = progress.results.values()
        if end.get("status") == "canceled":
            return "cancelled", f"It was cancelled{_places(progress)}."
        if bad := [f"{result.host} ({result.state})" for result in results if not result.good]:
            touched = any(result.state != "untouched" for result in results)
            complaint = f" {progress.complaint}" if progress.complaint and not touched else ""
            return "failed", f"Not well: {', '.join(bad)}.{complaint}"
        if end.get("code") != 0:
            return "failed", progress.complaint or f"Ansible ended with code {end.get('code')}."
        return "successful", None

    def _reason(self, run: PlayRun, reason: str | None) -> str | None:
        if run.cancelled_by is None:
            return reason
        why = f" ({run.cancel_reason})" if run.cancel_reason else ""
        if reason is None or not reason.startswith("It was cancelled"):
            late = f"{run.cancelled_by} asked to cancel it{why}, and Ansible had ended by then."
            return f"{reason} {late}" if reason else late
        return reason.replace("It was cancelled", f"It was cancelled by {run.cancelled_by}{why}", 1)


def _different(run: PlayRun, approved: str) -> str:
    return (
        f"A second check showed another change than the one {run.approved_by} approved "
        f"({approved[:12]}, now {str(run.plan)[:12]}); look at it and approve it again."
    )


def _places(progress: Progress) -> str:
    at = "; ".join(f"{host} was at task {task!r}" for host, task in sorted(progress.at.items()))
    return f"; {at}" if at else ""
