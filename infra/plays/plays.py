"""Plays: what an engineer runs on servers, and what became of it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from foundation.assets import Assets
from foundation.chain import JSON
from foundation.database import Database
from foundation.device_locks import DeviceLocks
from foundation.errors import Conflict, DefinitionError, InvalidInput
from foundation.jobs import Jobs
from foundation.settings import Settings
from infra.changes.calendar import ChangeCalendar
from infra.changes.freezes import Freezes
from infra.plays import decisions
from infra.plays.artifacts import Artifacts
from infra.plays.catalogue import Catalogue, only_site
from infra.plays.definition import Playbook
from infra.plays.inventory import Inventory
from infra.plays.performance import Performance
from infra.plays.queue import JOB, Queue, is_void
from infra.plays.records import PERFORMED, TO_BEGIN, PlayRun, get_run, newest_runs
from infra.plays.states import interrupt, not_well, note, performed
from infra.plays.taking import Taking


class Plays:
    """Playbooks and their runs.

    Args:
        database: holds the runs.
        jobs: performs them; the handler of `play.run` is registered here.
        settings: folders and limits.
        assets: what can be played on.
    """

    def __init__(self, database: Database, jobs: Jobs, settings: Settings, assets: Assets) -> None:
        self.database = database
        self.locks = DeviceLocks(database)
        self.freezes = Freezes(assets)
        self._jobs = jobs
        self._folder = settings.platform.folder / "plays"
        self._artifacts = Artifacts(database, self._folder, settings.plays)
        self._catalogue = Catalogue(settings, assets)
        self._queue = Queue(jobs, self._perform_job)
        self._taking = Taking(
            database, self._queue, self._catalogue, self.locks, self.freezes, settings, self._folder
        )

    @property
    def calendar(self) -> ChangeCalendar:
        """The change calendar that holds; see `Catalogue.calendar`."""
        return self._catalogue.calendar

    def playbooks(self) -> dict[str, Playbook | DefinitionError]:
        """All playbooks by name, sorted; a faulty one is its error."""
        return self._catalogue.playbooks()

    def playbook(self, name: str) -> Playbook:
        """The playbook of a name; see `Catalogue.playbook`."""
        return self._catalogue.playbook(name)

    def inventory(self, session: Session, playbook: Playbook) -> Inventory:
        """The hosts that a playbook may run on, now."""
        return self._catalogue.inventory(session, playbook)

    def runs(self, session: Session, limit: int = 20) -> list[PlayRun]:
        """The newest runs, newest first."""
        return newest_runs(session, limit)

    def request(
        self,
        session: Session,
        name: str,
        *,
        requested_by: str,
        limit: str | None = None,
        parameters: Mapping[str, object] | None = None,
        check: bool = False,
        diff: bool = False,
        emergency: str | None = None,
        not_before: datetime | None = None,
        retry_of: int | None = None,
        schedule: str | None = None,
        enqueue: bool = True,
    ) -> int:
        """Ask for a run, in the caller's transaction.

        Args:
            name: the playbook.
            requested_by: who asks.
            limit: hosts and groups it is for; None means all it may run on.
            parameters: its parameters, by name; text or typed.
            check: change nothing.
            diff: show how files change.
            emergency: why it may run outside of change windows and in a freeze; then it needs an approval.
            not_before: it does not begin before this moment (aware).
            retry_of: the run whose hosts it is for again.
            schedule: that asks for it.
            enqueue: let a worker perform it; otherwise the caller calls `perform`.

        Returns:
            The number of the run.

        Raises:
            NotFound: no such playbook.
            DefinitionError: the playbook is faulty.
            InvalidInput: a wrong parameter, a name in `limit` that is neither host nor group, or no host.
        """
        playbook = self.playbook(name)
        about = playbook.about
        values = playbook.values(parameters or {})
        inventory = self.inventory(session, playbook)
        hosts = inventory.limited(limit)
        why = (emergency or "").strip() or None
        if emergency is not None and (why is None or check):
            raise InvalidInput(
                "An emergency needs its reason, and is no check.", place=f"play {name}", remedy="Say why."
            )
        run = PlayRun(
            playbook=name,
            revision=playbook.revision,
            parameters=values,
            target_limit=limit,
            targets=hosts,
            site=only_site(inventory, hosts),
            risk=about.risk,
            check_mode=check,
            diff=diff,
            requested_by=requested_by,
            state="queued",
            approval_needed=not check and (about.approval == "needed" or why is not None),
            emergency=why,
            not_before=not_before,
            retry_of=retry_of,
            schedule=schedule,
        )
        session.add(run)
        session.flush()
        told: dict[str, JSON] = {
            "playbook": name,
            "revision": playbook.revision,
            # As text: the audit's numbers have no fractions.
            "parameters": {key: str(value) for key, value in values.items()},
            "hosts": tuple(hosts),
            "check": check,
            "requested_by": requested_by,
            "approval_needed": run.approval_needed,
            "schedule": schedule,
            "retry_of": retry_of,
        }
        note(session, run, "requested", requested_by, told)
        if why is not None:
            note(
                session,
                run,
                "emergency",
                requested_by,
                {"playbook": name, "reason": why, "hosts": tuple(hosts)},
            )
        if enqueue:
            self._queue.put(session, run)
        return run.id

    def retry(
        self, session: Session, run_id: int, *, requested_by: str, failed: bool = True, enqueue: bool = True
    ) -> int:
        """Ask for a run again, by the same playbook, with the same parameters.

        Args:
            run_id: a run that has ended.
            requested_by: who asks.
            failed: only on the hosts that were not well: failed, unreachable, interrupted or not reached; all
                of them, where the run came no further than its check.
            enqueue: as of `request`.

        Hosts that are none any more are left out, and told by the new run's event `play.left_out`.

        Returns:
            The number of the new run.

        Raises:
            Conflict: the run has not ended, or every host was well.
            InvalidInput: none of the hosts is there any more, or a parameter is wrong by now.
            NotFound, DefinitionError: as of `request`.
        """
        run = get_run(session, run_id)
        if run.under_way:
            state = run.state.replace("_", " ")
            raise Conflict(
                f"Run {run.id} is {state} and can be retried when it has ended.", place=run.subject
            )
        hosts = not_well(session, run) if failed else run.targets
        if not hosts:
            raise Conflict(f"Every host of run {run.id} was well.", place=run.subject)
        known = set(self.inventory(session, self.playbook(run.playbook)).hosts)
        gone = [host for host in hosts if host not in known]
        if len(gone) == len(hosts):
            raise InvalidInput(
                f"No host is left to retry run {run.id} on: {_named(gone)}.",
                place=run.subject,
                remedy="They are no hosts of this play any more.",
            )
        again = self.request(
            session,
            run.playbook,
            requested_by=requested_by,
            limit=",".join(host for host in hosts if host in known),
            parameters=run.parameters,
            check=run.check_mode,
            diff=run.diff,
            retry_of=run.id,
            enqueue=enqueue,
        )
        if gone:
            told: dict[str, JSON] = {"playbook": run.playbook, "hosts": tuple(gone), "retry_of": run.id}
            note(session, get_run(session, again), "left_out", requested_by, told)
        return again

    def approve(
        self, session: Session, run_id: int, *, by: str, plan: str, comment: str | None = None
    ) -> PlayRun:
        """Approve what a check showed, and put the run before the workers; see `decisions.approve`."""
        run = decisions.approve(session, run_id, by=by, plan=plan, comment=comment)
        self._queue.put(session, run)
        return run

    def perform(self, run_id: int, aborted: Callable[[], bool] = lambda: False) -> None:
        """Perform what a run has to do now; what it has to wait for is written down instead.

        A run that another worker had begun is never begun again: it is declared interrupted.

        Args:
            run_id: the run.
            aborted: asked all the time; True stops Ansible and ends the run.

        Raises:
            Conflict: another process performs it.
            Unavailable: the database stayed away, or Ansible's process was killed.
        """
        lease = self._taking.lease(run_id)
        if lease is None:
            return
        with lease:
            task = self._taking.begin(run_id, lease)
            if task is not None:
                Performance(self.database, run_id, self._folder / str(run_id), lease).perform(task, aborted)
        with self.database.transaction() as session:
            run = get_run(session, run_id)
            for waiting in decisions.waiting_on(session, run.targets, run.site):
                self._queue.put(session, waiting)
        self._artifacts.prune()

    def reconcile(self) -> list[int]:
        """Declare the runs interrupted whose worker has ended; they are not run again.

        A run that its worker had taken and not begun goes back into the queue: nothing of it was done. So
        does one whose job ended without beginning it, because the database was away.

        Returns:
            The numbers of the interrupted runs.
        """
        self.locks.sweep()
        with self.database.transaction() as session:
            query = select(PlayRun).where(PlayRun.state.in_(PERFORMED)).with_for_update(skip_locked=True)
            lost = [run for run in session.scalars(query) if not self._taking.alive(session, run)]
            for run in lost:
                interrupt(session, run)
            for job in self._jobs.stalled(session):
                if job.name == JOB:
                    self._decide(session, job.id)
            self._queue.put_forgotten(session)
            return [run.id for run in lost]

    def _decide(self, session: Session, job: int) -> None:
        # Of a job whose worker is gone.
        found = session.scalar(select(PlayRun).where(PlayRun.job_id == job).with_for_update())
        if found is None:
            self._jobs.give_up(session, job, "The run was put before the workers again since.")
        elif found.state in TO_BEGIN:
            self._jobs.run_again(session, job)
        elif not performed(found):
            self._jobs.give_up(session, job, found.reason or f"The run is {found.state}.")

    def _perform_job(self, payload: Mapping[str, Any]) -> None:
        with self.database.transaction() as session:
            void = is_void(session, payload)
        if not void:
            self.perform(int(payload["run"]))


def _named(hosts: list[str], shown: int = 12) -> str:
    more = f" and {len(hosts) - shown} more" if len(hosts) > shown else ""
    return ", ".join(hosts[:shown]) + more
