"""Runs in the database: what is kept, told and audited, and what happens when something dies."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation import audit, events
from foundation.assets import Asset, Assets, Kind
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, NotFound
from foundation.events import StoredEvent
from foundation.jobs import Jobs
from foundation.settings import Changes, Platform, Settings
from foundation.settings import Plays as PlaySettings
from infra.plays.plays import Plays
from infra.plays.records import PlayHostResult, PlayRun, get_run, host_results
from lab.sshd import SshServer
from tests.infra.conftest import WritePlaybook, assert_refused, processes_of
from tests.own_server import OwnServer
from tests.processes import until

CALENDARS = Path(__file__).parents[2] / "lab" / "calendars"
PING = "- name: Ping\n  ansible.builtin.ping:"
WAIT = "- name: Wait\n  ansible.builtin.command: sleep {{ seconds }}"


class World:
    """A platform's plays on one database, with the test's sshd as the asset `good`."""

    def __init__(self, database: Database, folder: Path, playbooks: Path, **plays: Any) -> None:
        self.database = database
        self.settings = Settings(
            platform=Platform(folder=folder),
            plays=PlaySettings(folders=(playbooks,), **plays),
            # No freeze of a real year may hold up a test.
            changes=Changes(folders=(CALENDARS,), calendar="lab"),
        )
        self.assets = Assets()
        self.rebuild()

    def rebuild(self) -> None:
        """Make its parts anew, of its settings as they are."""
        self.jobs = Jobs(self.database, heartbeat=0.2)
        self.plays = Plays(self.database, self.jobs, self.settings, self.assets)

    def add(self, name: str, attributes: dict[str, Any]) -> None:
        with self.database.transaction() as session:
            asset = Asset(name, Kind.HOST, Bilingual(ar=name, en=name), attributes=attributes)
            self.assets.add(session, asset, actor="test")

    def request(self, name: str, **how: Any) -> int:
        with self.database.transaction() as session:
            return self.plays.request(session, name, requested_by="person/sara", **how)

    def ran(self, name: str, **how: Any) -> PlayRun:
        run_id = self.request(name, enqueue=False, **how)
        self.plays.perform(run_id)
        return self.run(run_id)

    def run(self, run_id: int) -> PlayRun:
        with self.database.transaction() as session:
            return get_run(session, run_id)

    def plays_at(self, run_id: int) -> dict[str, str]:
        """Hosts that a run, if there is one, is at."""
        with self.database.transaction() as session:
            run = session.get(PlayRun, run_id)
            return run.at if run else {}

    def hosts(self, run_id: int) -> dict[str, PlayHostResult]:
        with self.database.transaction() as session:
            return {result.host: result for result in host_results(session, run_id)}

    def events(self, run_id: int) -> list[StoredEvent]:
        with self.database.transaction() as session:
            return events.read(session, after=None, subject=f"play/{run_id}")

    def folder(self, run_id: int) -> Path:
        return self.settings.platform.folder / "plays" / str(run_id)


@pytest.fixture
def world(database: Database, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer) -> World:
    playbooks = write_playbook("ping", PING).parent
    write_playbook("wait", WAIT)
    made = World(database, tmp_path / "platform", playbooks)
    made.add("good", server.attributes())
    return made


def test_a_run_is_kept_told_and_audited(
    world: World, write_playbook: WritePlaybook, server: SshServer
) -> None:
    path = f"{server.home}/{{{{ word }}}}"
    write_playbook("make", f"- ansible.builtin.file: {{path: '{path}', state: directory}}")
    run = world.ran("make", limit="good", parameters={"word": "kept"})
    assert (run.state, run.reason, run.requested_by) == ("successful", None, "person/sara")
    assert run.statistics is not None
    assert (run.statistics["hosts"], run.statistics["hosts_changed"]) == (1, 1)
    assert run.started_at is not None
    assert run.finished_at is not None
    assert run.requested_at < run.started_at < run.finished_at
    assert world.hosts(run.id)["good"].changed == 1
    told = world.events(run.id)
    assert [event.kind.removeprefix("play.") for event in told] == [
        "requested",
        "started",
        "task_started",
        "host_changed",
        "finished",
    ]
    assert told[0].payload["parameters"] == {"seconds": "0", "word": "kept"}
    with world.database.transaction() as session:
        entries = [(entry.actor, entry.action) for entry in audit.entries(session, f"play/{run.id}")]
    assert entries == [
        ("person/sara", "play.requested"),
        ("system", "play.started"),
        ("system", "play.finished"),
    ]
    again = world.ran("make", limit="good", parameters={"word": "kept"})
    assert world.hosts(again.id)["good"].changed == 0


def test_bad_hosts_are_results_beside_the_good_one(world: World, server: SshServer) -> None:
    world.add("closed", {**server.attributes(), "ansible_port": 1})
    run = world.ran("ping")
    assert run.state == "failed"
    assert run.reason == "Not well: closed (unreachable)."
    hosts = world.hosts(run.id)
    assert (hosts["good"].state, hosts["good"].ok) == ("ok", 1)
    assert_refused(hosts["closed"])
    assert hosts["closed"].task == "Ping"


@pytest.mark.parametrize(
    ("name", "how", "kind"),
    [
        ("pong", {}, NotFound),
        ("ping", {"parameters": {"minutes": "1"}}, InvalidInput),
        ("ping", {"limit": "nobody"}, InvalidInput),
    ],
)
def test_a_wrong_request_leaves_nothing(
    world: World, name: str, how: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        world.request(name, **how)
    with world.database.transaction() as session:
        assert world.plays.runs(session) == []
        assert session.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0


def test_a_playbook_that_was_changed_after_the_request_is_not_run(
    world: World, write_playbook: WritePlaybook
) -> None:
    run_id = world.request("ping", enqueue=False)
    write_playbook("ping", "- ansible.builtin.command: reboot")
    world.plays.perform(run_id)
    run = world.run(run_id)
    assert run.state == "failed"
    assert "changed after the run was requested" in str(run.reason)
    assert not world.folder(run_id).exists()


def test_a_host_that_is_gone_when_the_run_begins_is_said(world: World) -> None:
    run_id = world.request("ping", limit="good", enqueue=False)
    with world.database.transaction() as session:
        world.assets.remove(session, "good", actor="test")
    world.plays.perform(run_id)
    assert "'good' is neither a host nor a group" in str(world.run(run_id).reason)


def test_a_play_for_no_host_at_all_is_no_success(world: World, write_playbook: WritePlaybook) -> None:
    path = write_playbook("nobody", PING)
    path.write_text(path.read_text(encoding="utf-8").replace("hosts: all", "hosts: nobody"), encoding="utf-8")
    run = world.ran("nobody")
    assert run.state == "failed"
    assert str(run.reason).startswith("Not well: good (untouched).")


def test_a_cancelled_run_says_so(world: World) -> None:
    run_id = world.request("wait", parameters={"seconds": 600}, enqueue=False)
    world.plays.perform(run_id, aborted=lambda: world.run(run_id).at == {"good": "Wait"})
    assert world.run(run_id).state == "cancelled"
    assert world.events(run_id)[-1].payload["state"] == "cancelled"
    assert processes_of(world.folder(run_id)) == []


def test_two_never_perform_one_run(world: World) -> None:
    run_id = world.request("ping", enqueue=False)
    with world.plays.locks.take(["good"], holder="x", purpose="ping", subject=f"play/{run_id}") as lease:
        # Taken up by another, whose record of it comes a moment later.
        world.plays.perform(run_id)
        assert (world.run(run_id).state, world.run(run_id).waiting) == ("queued", None)
        with world.database.transaction() as session:
            run = get_run(session, run_id, lock=True)
            run.state, run.lease = "running", lease.id
        with pytest.raises(Conflict, match="Another process performs"):
            world.plays.perform(run_id)
    assert world.events(run_id)[-1].kind == "play.requested"


def test_a_run_that_is_finished_is_not_run_again(world: World) -> None:
    run = world.ran("ping")
    world.plays.perform(run.id)
    assert [event.kind for event in world.events(run.id)].count("play.started") == 1


def test_a_run_declared_interrupted_while_it_goes_on_is_stopped(world: World) -> None:
    run_id = world.request("wait", parameters={"seconds": 600}, enqueue=False)
    caught: list[BaseException] = []

    def perform() -> None:
        try:
            world.plays.perform(run_id)
        except Conflict as error:
            caught.append(error)

    thread = threading.Thread(target=perform)
    thread.start()
    until(lambda: world.run(run_id).state == "running")
    with world.database.transaction() as session:
        get_run(session, run_id, lock=True).state = "interrupted"
    thread.join()
    assert "declared interrupted" in str(caught[0])
    assert processes_of(world.folder(run_id)) == []


def test_the_artifacts_of_old_runs_go_and_their_records_stay(
    database: Database, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer
) -> None:
    world = World(database, tmp_path / "platform", write_playbook("ping", PING).parent, keep_runs=2)
    world.add("good", server.attributes())
    under_way = world.request("ping", enqueue=False)
    world.folder(under_way).mkdir(parents=True)
    runs = [world.ran("ping").id for _ in range(3)]
    kept = {path.name for path in (tmp_path / "platform" / "plays").iterdir()}
    assert kept == {str(under_way), *map(str, runs[1:])}
    assert world.hosts(runs[0])["good"].state == "ok"


WORKER = """
import sys
from pathlib import Path
from foundation.assets import Assets
from foundation.database import Database
from foundation.jobs import Jobs
from foundation.settings import Platform, Plays as PlaySettings, Settings
from infra.plays.plays import Plays
url, folder, playbooks = sys.argv[1:]
settings = Settings(platform=Platform(folder=Path(folder)), plays=PlaySettings(folders=(Path(playbooks),)))
database = Database(url, role="worker")
jobs = Jobs(database, heartbeat=0.2)
Plays(database, jobs, settings, Assets())
jobs.work()
"""


@pytest.fixture
def worker(world: World) -> "Iterator[subprocess.Popen[bytes]]":
    argv = [sys.executable, "-c", WORKER, world.database.connection_info, str(world.settings.platform.folder)]
    argv.append(str(world.settings.plays.folders[0]))
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2]) as process:
        yield process
        process.kill()


def test_a_worker_performs_what_was_requested(world: World, worker: "subprocess.Popen[bytes]") -> None:
    run_id = world.request("ping")
    until(lambda: not world.run(run_id).under_way)
    run = world.run(run_id)
    assert run.state == "successful"
    assert str(run.worker).endswith(f":{worker.pid}")


def test_a_killed_workers_run_is_told_as_interrupted_and_never_run_again(
    world: World, worker: "subprocess.Popen[bytes]"
) -> None:
    run_id = world.request("wait", parameters={"seconds": 600})
    until(lambda: world.run(run_id).at == {"good": "Wait"})
    assert processes_of(world.folder(run_id)) != []
    worker.send_signal(signal.SIGKILL)
    until(lambda: world.plays.reconcile() == [run_id])
    run = world.run(run_id)
    assert run.state == "interrupted"
    assert f":{worker.pid} ended; interrupted, good at task 'Wait'." in str(run.reason)
    host = world.hosts(run_id)["good"]
    assert (host.state, host.task) == ("interrupted", "Wait")
    assert world.events(run_id)[-1].payload["state"] == "interrupted"
    until(lambda: processes_of(world.folder(run_id)) == [])
    # Its job is stalled once its worker has missed its heartbeats; it is given up then, not run.
    job = run.job_id
    assert job is not None

    def given_up() -> bool:
        world.plays.reconcile()
        with world.database.transaction() as session:
            return world.jobs.state(session, job).status == "failed"

    until(given_up)
    world.plays.perform(run_id)
    assert [event.kind for event in world.events(run_id)].count("play.started") == 1


def test_a_run_whose_worker_died_before_it_began_goes_back_into_the_queue(world: World) -> None:
    run_id = world.request("ping")
    with world.database.transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET status = 'doing'"))
    assert world.plays.reconcile() == []
    run = world.run(run_id)
    assert (run.state, run.job_id is not None) == ("queued", True)
    with world.database.transaction() as session:
        assert session.scalar(text("SELECT status FROM procrastinate_jobs")) == "todo"


def test_a_worker_that_finds_its_run_half_done_does_not_do_it_again(world: World) -> None:
    run_id = world.request("ping", enqueue=False)
    with world.database.transaction() as session:
        run = get_run(session, run_id, lock=True)
        run.state, run.worker, run.at = "running", "elsewhere:1", {"good": "Ping"}
    world.plays.perform(run_id)
    assert world.run(run_id).state == "interrupted"
    assert not world.folder(run_id).exists()


def test_a_database_that_is_killed_in_mid_run_costs_no_event_and_doubles_none(
    own_server: OwnServer, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer
) -> None:
    tasks = "\n".join(f"- name: Task {n}\n  ansible.builtin.command: sleep 0.3" for n in range(6))
    world = World(own_server.database, tmp_path / "platform", write_playbook("steps", tasks).parent)
    world.add("good", server.attributes())
    run_id = world.request("steps", enqueue=False)
    thread = threading.Thread(target=world.plays.perform, args=(run_id,))
    thread.start()
    until(lambda: any(event.kind == "play.host_changed" for event in world.events(run_id)))
    own_server.kill()
    thread.join()
    assert world.run(run_id).state == "successful"
    done = [event.payload["task"] for event in world.events(run_id) if event.kind == "play.host_changed"]
    assert done == [f"Task {n}" for n in range(6)]


def test_an_own_process_that_is_interrupted_at_the_keyboard_stops_ansible(
    world: World, tmp_path: Path
) -> None:
    run_id = world.request("wait", parameters={"seconds": 600}, enqueue=False)
    program = WORKER.replace("Plays(database", "plays = Plays(database").replace(
        "jobs.work()", f"plays.perform({run_id})"
    )
    argv = [sys.executable, "-c", program, world.database.connection_info]
    argv += [str(world.settings.platform.folder), str(world.settings.plays.folders[0])]
    log = tmp_path / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(argv, cwd=Path(__file__).parents[2], stderr=output) as process,
    ):
        until(lambda: world.run(run_id).at == {"good": "Wait"})
        os.kill(process.pid, signal.SIGINT)
    assert process.returncode == -signal.SIGINT, log.read_text(encoding="utf-8")
    run = world.run(run_id)
    assert (run.state, run.reason) == ("cancelled", "It was interrupted at the keyboard.")
    assert processes_of(world.folder(run_id)) == []
