"""Takes a run up: sees whether it may begin, takes its devices' locks, reads what is to be played."""

from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foundation.chain import JSON
from foundation.database import Database
from foundation.device_locks import DeviceHeld, DeviceLocks, Lease
from foundation.errors import Conflict, DatabaseUnavailable, RakeezaError
from foundation.settings import Settings
from infra.changes.freezes import Freezes
from infra.plays import artifacts
from infra.plays.catalogue import Catalogue, only_site, sites_of
from infra.plays.gate import Wait, judged, of_devices
from infra.plays.performance import Task
from infra.plays.queue import Queue
from infra.plays.records import TO_BEGIN, PlayRun, State, get_run
from infra.plays.revision import revision_of
from infra.plays.runner import Order
from infra.plays.states import begin, finish, interrupt, note, performed, void_approval
from infra.plays.vault import load_secrets, open_in_files


class Taking:
    """Takes runs up for this process.

    Args:
        database: holds the runs.
        queue: that a run goes back to when it has to wait.
        catalogue: of playbooks and hosts.
        locks: of devices.
        freezes: that somebody declared.
        settings: folders and limits.
        folder: of all runs.
    """

    def __init__(
        self,
        database: Database,
        queue: Queue,
        catalogue: Catalogue,
        locks: DeviceLocks,
        freezes: Freezes,
        settings: Settings,
        folder: Path,
    ) -> None:
        self._database = database
        self._queue = queue
        self._catalogue = catalogue
        self._locks = locks
        self._freezes = freezes
        self._settings = settings
        self._folder = folder

    def lease(self, run_id: int) -> Lease | None:
        # The locks of its devices, if nothing else is in its way; else the wait is written down.
        with self._database.transaction() as session:
            run = get_run(session, run_id, lock=True)
            if performed(run):
                if self.alive(session, run):
                    raise Conflict("Another process performs this run.", place=run.subject)
                interrupt(session, run)
            if run.state not in TO_BEGIN:
                return None
            wait = self._wait(session, run)
            if wait is not None:
                self._waits(session, run, wait)
                return None
            targets, holder = list(run.targets), run.requested_by
            purpose = f"{'check of ' if run.check_mode else ''}{run.playbook}"
            subject = run.subject
        try:
            return self._locks.take(targets, holder=holder, purpose=purpose, subject=subject)
        except DeviceHeld as held:
            with self._database.transaction() as session:
                run = get_run(session, run_id, lock=True)
                if run.state in TO_BEGIN and not any(lock.subject == subject for lock in held.held):
                    now = session.scalar(select(func.clock_timestamp()))
                    assert now is not None
                    self._waits(session, run, of_devices(str(held), now))
            return None

    def begin(self, run_id: int, lease: Lease) -> Task | None:
        with self._database.transaction() as session:
            run = get_run(session, run_id, lock=True)
            lease.check(session)
            if run.state not in TO_BEGIN:
                return None
            # Between the look and the locks another may have begun here.
            wait = self._wait(session, run)
            if wait is not None:
                self._waits(session, run, wait)
                return None
            try:
                artifacts.check_room(self._folder)
                task = self._task(session, run)
            except DatabaseUnavailable:
                raise
            except (RakeezaError, OSError) as error:
                finish(session, run, "failed", f"Nothing was changed. {error}")
                return None
            if task is not None:
                begin(session, run, task.first, lease.id)
            return task

    def alive(self, session: Session, run: PlayRun) -> bool:
        return run.lease is not None and self._locks.alive(session, run.lease)

    def _wait(self, session: Session, run: PlayRun) -> Wait | None:
        try:
            playbook = self._catalogue.playbook(run.playbook)
            sites = sites_of(self._catalogue.inventory(session, playbook), run.targets)
        except DatabaseUnavailable:
            raise
        except RakeezaError:
            # Said where it begins, to the run's end.
            return None
        return judged(
            session,
            run,
            calendar=lambda: self._catalogue.calendar,
            freezes=self._freezes,
            risk=playbook.about.risk,
            window=playbook.about.window,
            sites=sites,
            most_runs=self._settings.plays.site_runs,
        )

    def _waits(self, session: Session, run: PlayRun, wait: Wait) -> None:
        if run.waiting != wait.reason:
            run.waits_for, run.waiting = wait.kind, wait.reason
            told: dict[str, JSON] = {
                "playbook": run.playbook,
                "for": wait.kind,
                "reason": wait.reason,
            }
            note(session, run, "waiting", "system", told)
        self._queue.put(session, run, wait.until)

    def _task(self, session: Session, run: PlayRun) -> Task | None:
        playbook = self._catalogue.playbook(run.playbook)
        # What is run is what was read here, and nothing that is written there later.
        files = playbook.files()
        if revision_of(files) != run.revision:
            raise Conflict(
                "The playbook was changed after the run was requested.", remedy="Request it again."
            )
        inventory = self._catalogue.inventory(session, playbook)
        hosts = inventory.limited(run.target_limit)
        if hosts != run.targets:
            # Not the devices whose locks we hold: it begins anew with those it is for now.
            if run.approved_plan is not None:
                run.state = "queued"
                void_approval(session, run, "The hosts it is for are others now.")
            run.targets, run.site = hosts, only_site(inventory, hosts)
            self._queue.put(session, run)
            return None
        plays = self._settings.plays
        kept = self._settings.secrets()
        secrets = load_secrets(plays.secrets_folders, inventory, kept, plays.age_identities, hosts)
        order = Order(
            name=run.playbook,
            files=files,
            inventory=inventory,
            limit=",".join(hosts),
            parameters=run.parameters,
            check=run.check_mode,
            diff=run.diff,
            forks=plays.forks,
            secrets=secrets | open_in_files(files, kept),
            slice_hosts=plays.slice_hosts if playbook.about.slices else None,
        )
        first: State = "checking" if run.approval_needed else "running"
        return Task(order, hosts, inventory.fingerprint(hosts), first)
