"""Plays: what an engineer runs on servers, and what became of it."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from foundation import audit, events
from foundation.assets import Assets
from foundation.chain import JSON
from foundation.database import Database
from foundation.errors import Conflict, DefinitionError, InvalidInput, NotFound
from foundation.jobs import Jobs
from foundation.settings import Settings
from infra.plays.definition import Playbook, find_playbook, load_playbooks
from infra.plays.inventory import Inventory, build_inventory
from infra.plays.performance import Performance, begin, declare_interrupted, finish, interrupt
from infra.plays.records import UNDER_WAY, PlayRun, get_run, newest_runs
from infra.plays.revision import revision_of
from infra.plays.runner import Order

JOB = "play.run"
QUEUE = "plays"


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
        self._jobs = jobs
        self._settings = settings
        self._assets = assets
        # Once: a playbook that was half done must not be done again by itself.
        jobs.register(JOB, self._perform_job, queue=QUEUE, attempts=1)

    def playbooks(self) -> dict[str, Playbook | DefinitionError]:
        """All playbooks by name, sorted; a faulty one is its error."""
        return dict(sorted(load_playbooks(self._settings.plays.folders).items()))

    def playbook(self, name: str) -> Playbook:
        """The playbook of a name.

        Raises:
            NotFound: there is none of this name.
            DefinitionError: it is faulty.
        """
        return find_playbook(name, self._settings.plays.folders)

    def inventory(self, session: Session, playbook: Playbook) -> Inventory:
        """The hosts that a playbook may run on, now."""
        return build_inventory(self._assets.list(session), playbook.about.targets)

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
        values = playbook.values(parameters or {})
        hosts = self.inventory(session, playbook).limited(limit)
        run = PlayRun(
            playbook=name,
            revision=playbook.revision,
            parameters=values,
            target_limit=limit,
            check_mode=check,
            diff=diff,
            requested_by=requested_by,
            schedule=schedule,
            risk=playbook.about.risk,
            targets=hosts,
            state="queued",
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
        }
        events.publish(session, "play.requested", run.subject, told)
        audit.record(session, chain=run.subject, actor=requested_by, action="play.requested", details=told)
        if enqueue:
            run.job_id = self._jobs.enqueue(session, JOB, {"run": run.id})
        return run.id

    def perform(self, run_id: int, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Perform a queued run, to its end.

        A run that another worker had begun is never begun again: it is declared interrupted.

        Args:
            run_id: the run.
            cancelled: asked all the time; True stops Ansible and ends the run.

        Raises:
            Conflict: another process performs it.
            Unavailable: the database stayed away, or Ansible's process was killed.
        """
        folder = self._folder / str(run_id)
        performance = Performance(self.database, run_id, folder)
        with performance.held():
            begun = self._begin(run_id)
            if begun is not None:
                order, hosts = begun
                performance.perform(order, hosts, cancelled)
        self._prune()

    def reconcile(self) -> list[int]:
        """Declare the runs interrupted whose worker has ended; they are not run again.

        A run that its worker had taken and not begun goes back into the queue: nothing of it was done.

        Returns:
            The numbers of the interrupted runs.
        """
        with self.database.transaction() as session:
            running = select(PlayRun).where(PlayRun.state == "running").with_for_update(skip_locked=True)
            interrupted = [run.id for run in session.scalars(running) if interrupt(session, run)]
            for job in self._jobs.stalled(session):
                run = session.scalar(select(PlayRun).where(PlayRun.job_id == job.id).with_for_update())
                if run is not None and run.state == "queued":
                    self._jobs.run_again(session, job.id)
                elif run is not None and not run.under_way:
                    self._jobs.give_up(session, job.id, run.reason or f"The run is {run.state}.")
            return interrupted

    @property
    def _folder(self) -> Path:
        return self._settings.platform.folder / "plays"

    def _perform_job(self, payload: Mapping[str, Any], attempt: int) -> None:  # noqa: ARG002 -- attempts=1
        self.perform(int(payload["run"]))

    def _begin(self, run_id: int) -> tuple[Order, list[str]] | None:
        with self.database.transaction() as session:
            run = get_run(session, run_id, lock=True)
            if run.state == "running":
                # We hold its lock, so who ran it has ended.
                declare_interrupted(session, run)
            if run.state != "queued":
                return None
            try:
                playbook = self.playbook(run.playbook)
                # What is run is what was read here, and nothing that is written there later.
                files = playbook.files()
                if revision_of(files) != run.revision:
                    raise Conflict(
                        "The playbook was changed after the run was requested.", remedy="Request it again."
                    )
                inventory = self.inventory(session, playbook)
                hosts = inventory.limited(run.target_limit)
            except (Conflict, InvalidInput, NotFound) as error:
                finish(session, run, "failed", str(error))
                return None
            begin(session, run, hosts)
            order = Order(
                name=run.playbook,
                files=files,
                inventory=inventory,
                limit=run.target_limit,
                parameters=run.parameters,
                check=run.check_mode,
                diff=run.diff,
                forks=self._settings.plays.forks,
            )
            return order, hosts

    def _prune(self) -> None:
        # Ours and not ansible-runner's rotation, which counts folders and can take a running one (its #1160).
        folders = sorted(
            (int(path.name) for path in self._folder.glob("[0-9]*") if path.name.isdigit()), reverse=True
        )
        old = folders[self._settings.plays.keep_runs :]
        if not old:
            return
        with self.database.transaction() as session:
            query = select(PlayRun.id).where(PlayRun.id.in_(old), PlayRun.state.in_(UNDER_WAY))
            under_way = set(session.scalars(query))
        for run_id in old:
            if run_id not in under_way:
                shutil.rmtree(self._folder / str(run_id), ignore_errors=True)
