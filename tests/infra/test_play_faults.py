"""What remains of a run when its worker is killed at any phase, and when others interfere."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foundation.database import Database
from infra.plays.records import PlayRun
from lab.sshd import SshServer
from tests.infra.conftest import WritePlaybook, processes_of
from tests.infra.play_workers import Worker, at_work, comes_to, ended, locked
from tests.infra.test_approvals import needs_approval
from tests.infra.test_plays import PING, World
from tests.processes import until

# Held in a check by the file `hold`, in the run itself by `hold-run`; `done` counts how often it was done.
STEPS = """
- name: Look
  ansible.builtin.shell: while [ -e HOME/hold ]; do sleep 0.1; done
  check_mode: false
  changed_when: false
- name: Do
  ansible.builtin.shell: echo done >> HOME/done
- name: Write
  ansible.builtin.copy: {dest: HOME/word, content: "new\\n"}
- name: Finish
  ansible.builtin.shell: while [ -e HOME/hold-run ]; do sleep 0.1; done
"""


def steps(write_playbook: WritePlaybook, server: SshServer) -> Path:
    """The folder of the playbooks `steps` and `ping`."""
    path = write_playbook("steps", STEPS.strip().replace("HOME", str(server.home)))
    needs_approval(path)
    write_playbook("ping", PING)
    return path.parent


@pytest.fixture
def world(database: Database, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer) -> World:
    made = World(database, tmp_path / "platform", steps(write_playbook, server))
    made.add("good", server.attributes())
    return made


@pytest.fixture
def home(server: SshServer) -> Iterator[Path]:
    names = ("hold", "hold-run", "done", "word")
    yield server.home
    for name in names:
        (server.home / name).unlink(missing_ok=True)


def approve(world: World, run: PlayRun) -> None:
    with world.database.transaction() as session:
        world.plays.approve(session, run.id, by="person/omar", plan=str(run.plan))


def times_done(home: Path) -> int:
    path = home / "done"
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def finishing(world: World, run_id: int) -> bool:
    """Whether a run itself, and not its check, is at its last task."""
    run = world.run(run_id)
    return (run.state, run.at) == ("running", {"good": "Finish"})


class Phase:
    """A run brought to a phase, and its worker killed there."""

    def __init__(self, world: World, home: Path, log: Path) -> None:
        self.world = world
        self.home = home
        self.log = log
        self.run_id = world.request("steps")

    def kill_at(self, condition: Callable[[Worker], bool], stop_at: str = "") -> None:
        with at_work(self.world, self.log, stop_at=stop_at) as worker:
            until(lambda: condition(worker), "the phase")
            worker.kill()

    def approve(self) -> None:
        with at_work(self.world, self.log):
            approve(self.world, comes_to(self.world, self.run_id, "awaiting_approval"))

    def waits(self) -> None:
        with self.world.plays.locks.take(["good"], holder="person/omar", purpose="serial", subject="line/1"):
            self.kill_at(lambda _: self.world.run(self.run_id).waits_for == "device")

    def locks(self) -> None:
        self.kill_at(lambda worker: worker.held, "infra.plays.taking:Taking.begin:1")

    def check(self) -> None:
        (self.home / "hold").touch()
        self.kill_at(lambda _: self.world.run(self.run_id).at == {"good": "Look"})

    def awaits(self) -> None:
        self.kill_at(lambda _: self.world.run(self.run_id).state == "awaiting_approval")
        assert locked(self.world) == []

    def approved(self) -> None:
        self.awaits()
        approve(self.world, self.world.run(self.run_id))
        self.kill_at(lambda worker: worker.held, "infra.plays.taking:Taking.begin:1")
        assert self.world.run(self.run_id).state == "approved"

    def second_check(self) -> None:
        self.awaits()
        approve(self.world, self.world.run(self.run_id))
        self.check()

    def running(self) -> None:
        self.awaits()
        approve(self.world, self.world.run(self.run_id))
        (self.home / "hold-run").touch()
        self.kill_at(lambda _: finishing(self.world, self.run_id))

    def record(self) -> None:
        self.awaits()
        approve(self.world, self.world.run(self.run_id))
        # Its first verdict is that of the second check.
        self.kill_at(lambda worker: worker.held, "infra.plays.performance:Performance._verdict:2")

    def release(self) -> None:
        for name in ("hold", "hold-run"):
            (self.home / name).unlink(missing_ok=True)


@pytest.mark.parametrize("phase", ["waits", "locks", "awaits", "approved"])
def test_a_worker_killed_where_nothing_was_begun_costs_nothing(
    world: World, home: Path, tmp_path: Path, phase: str
) -> None:
    case = Phase(world, home, tmp_path / "worker.log")
    getattr(case, phase)()
    assert world.run(case.run_id).under_way
    assert times_done(home) == 0
    with at_work(world, tmp_path / "next.log"):
        if phase != "approved":
            approve(world, comes_to(world, case.run_id, "awaiting_approval"))
        assert ended(world, case.run_id).state == "successful"
        assert times_done(home) == 1
        until(lambda: locked(world) == [])
        assert ended(world, world.request("ping")).state == "successful"


@pytest.mark.parametrize(
    ("phase", "said", "task", "done"),
    [
        (
            "check",
            "while it checked; nothing was to be changed yet; interrupted, good at task 'Look'.",
            "Look",
            0,
        ),
        (
            "second_check",
            "while it checked; nothing was to be changed yet; interrupted, good at task",
            "Look",
            0,
        ),
        ("running", "ended; interrupted, good at task 'Finish'.", "Finish", 1),
        ("record", "ended; interrupted, between two tasks.", None, 1),
    ],
)
def test_a_worker_killed_in_its_work_is_told_and_never_followed(
    world: World, home: Path, tmp_path: Path, phase: str, said: str, task: str | None, done: int
) -> None:
    case = Phase(world, home, tmp_path / "worker.log")
    getattr(case, phase)()
    with at_work(world, tmp_path / "next.log"):
        run = ended(world, case.run_id)
        assert (run.state, said in str(run.reason)) == ("interrupted", True), run.reason
        host = world.hosts(run.id)["good"]
        assert (host.state, host.task) == ("interrupted", task)
        case.release()
        # The locks are free again, and another run on the host goes on.
        later = world.request("ping")
        assert ended(world, later).state == "successful"
        assert times_done(home) == done
        world.plays.perform(run.id)
        assert world.run(run.id).state == "interrupted"
        until(lambda: locked(world) == [])
    kinds = [event.kind for event in world.events(run.id)]
    assert kinds.count("play.started") == done
    assert (kinds.count("play.finished"), kinds[-1]) == (1, "play.finished")
    until(lambda: processes_of(world.folder(run.id) / ("check" if not done else "")) == [])
    # What is to be done again is all of it: of no host it is known that it came to its end.
    with world.database.transaction() as session:
        again = world.plays.retry(session, run.id, requested_by="person/sara", enqueue=False)
    assert world.run(again).targets == ["good"]
