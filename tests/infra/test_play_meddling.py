"""What becomes of a run when PostgreSQL is killed, or its locks, its disk or its end are somebody's doing."""

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation.assets import Asset, Kind
from foundation.definitions import Bilingual
from foundation.device_locks import DeviceHeld
from foundation.errors import Conflict, InvalidInput, Unavailable
from infra.plays import decisions
from lab.sshd import SshServer
from tests.infra.conftest import WritePlaybook, processes_of
from tests.infra.play_workers import at_work, comes_to, ended, locked
from tests.infra.test_play_command import Command
from tests.infra.test_play_command import play as play
from tests.infra.test_play_faults import approve, finishing, steps, times_done
from tests.infra.test_play_faults import home as home
from tests.infra.test_plays import PING, World
from tests.own_server import OwnServer
from tests.processes import until


@pytest.fixture
def own_world(
    own_server: OwnServer, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer
) -> World:
    made = World(own_server.database, tmp_path / "platform", steps(write_playbook, server))
    made.add("good", server.attributes())
    return made


def restarted(own_server: OwnServer) -> None:
    own_server.kill()
    own_server.wait()


def assert_held(world: World) -> None:
    with pytest.raises(DeviceHeld, match="person/sara"):
        world.plays.locks.take(["good"], holder="person/rival", purpose="serial", subject="line/1")


def test_a_database_killed_in_the_check_in_the_run_and_while_waiting_costs_nothing(
    own_server: OwnServer, own_world: World, home: Path, tmp_path: Path
) -> None:
    world = own_world
    with at_work(world, tmp_path / "worker.log"):
        with world.plays.locks.take(["good"], holder="person/x", purpose="serial", subject="line/1") as line:
            run_id = world.request("steps")
            until(lambda: world.run(run_id).waits_for == "device")
            restarted(own_server)
            line.hold()
            (home / "hold").touch()
        until(lambda: world.run(run_id).at == {"good": "Look"})
        restarted(own_server)
        assert_held(world)
        (home / "hold").unlink()
        run = comes_to(world, run_id, "awaiting_approval")
        (home / "hold-run").touch()
        approve(world, run)
        until(lambda: finishing(world, run_id))
        restarted(own_server)
        assert_held(world)
        (home / "hold-run").unlink()
        assert ended(world, run_id).state == "successful"
        until(lambda: locked(world) == [])
    assert times_done(home) == 1
    told = [
        (event.kind.removeprefix("play."), event.payload.get("task"))
        for event in world.events(run_id)
        if event.kind not in ("play.task_started", "play.waiting")
    ]
    look, skipped = ("host_ok", "Look"), ("host_skipped", "Do")
    check = [("checking", None), look, skipped, ("host_changed", "Write"), ("host_skipped", "Finish")]
    done = [("host_changed", task) for task in ("Do", "Write", "Finish")]
    assert told == [
        ("requested", None), *check, ("planned", None), ("approved", None),
        *check, ("started", None), look, *done, ("finished", None),
    ]  # fmt: skip


def test_a_command_cancels_what_a_worker_performs_and_nothing_of_it_stays(
    play: Command, tmp_path: Path, record_property: Any
) -> None:
    world = play.world
    with at_work(world, tmp_path / "worker.log"):
        run_id = world.request("wait", parameters={"seconds": 600})
        until(lambda: world.run(run_id).at == {"lab-server": "Wait"})
        code, output, errors = play("cancel", str(run_id), "--reason", "the wrong host")
        assert (code, errors) == (0, "")
        assert processes_of(world.folder(run_id)) == []
        until(lambda: locked(world) == [])
        later = world.request("wait", parameters={"seconds": 0})
        assert ended(world, later).state == "successful"
    run = world.run(run_id)
    assert run.state == "cancelled"
    assert str(run.cancelled_by).startswith("cli/")
    said = f"It was cancelled by {run.cancelled_by} (the wrong host); lab-server was at task 'Wait'."
    assert run.reason == said
    assert said in output
    host = world.hosts(run_id)["lab-server"]
    assert (host.state, host.task) == ("interrupted", "Wait")
    moments = {event.kind: event.at for event in world.events(run_id)}
    took = moments["play.finished"] - moments["play.cancel_requested"]
    record_property("cancel_s", took.total_seconds())
    print(f"from the cancel to the record of the end: {took.total_seconds():.2f} s")
    # Asked again, it says that nothing is left to cancel.
    code, _, errors = play("cancel", str(run_id))
    assert (code, "has ended already: it is cancelled" in errors) == (65, True), errors


def test_a_lock_broken_in_mid_run_stops_ansible_and_names_who_broke_it(play: Command, tmp_path: Path) -> None:
    world = play.world
    with at_work(world, tmp_path / "worker.log"):
        run_id = world.request("wait", parameters={"seconds": 600})
        until(lambda: world.run(run_id).at == {"lab-server": "Wait"})
        code, _, errors = play("break", "lab-server", "--reason", "the host burns", group="lock")
        assert code == 0, errors
        run = ended(world, run_id)
        until(lambda: locked(world) == [])
        assert processes_of(world.folder(run_id)) == []
        assert ended(world, world.request("ping")).state == "successful"
    assert run.state == "interrupted"
    assert "was broken by cli/" in str(run.reason)
    assert str(run.reason).endswith(
        "the host burns. Ansible was stopped; interrupted, lab-server at task 'Wait'."
    )
    assert world.hosts(run_id)["lab-server"].state == "interrupted"


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_without_room_ends_a_run_with_its_place_and_frees_the_lock(play: Command) -> None:
    world = play.world
    with small_disk(world.settings.platform.folder / "plays", "20m") as disk:
        run = world.ran("ping")
        assert run.state == "failed"
        assert f"{disk}: The disk for artifacts has 21 MB free; a run needs 50." in str(run.reason)
        assert str(run.reason).startswith("Nothing was changed.")
        assert locked(world) == []
        # The same disk, full in mid-run.
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        run_id = world.request("wait", parameters={"seconds": 5}, enqueue=False)
        caught: list[BaseException] = []

        def perform() -> None:
            try:
                world.plays.perform(run_id)
            except Unavailable as error:
                caught.append(error)

        thread = threading.Thread(target=perform)
        thread.start()
        until(lambda: bool(world.plays_at(run_id)))
        with (disk / "filling").open("wb", buffering=0) as filling, contextlib.suppress(OSError):
            while True:
                filling.write(bytes(4096))
        thread.join()
        run = world.run(run_id)
        assert run.state == "failed"
        assert f"{disk / str(run_id)}" in str(run.reason)
        assert "cannot be written (No space left on device)" in str(run.reason)
        assert caught
        assert locked(world) == []
        (disk / "filling").unlink()
        assert world.ran("ping").state == "successful"


def test_a_retry_is_for_the_hosts_that_were_not_well_and_says_which_are_gone(
    play: Command, server: SshServer
) -> None:
    world = play.world
    for name in ("closed", "gone"):
        world.add(name, {**server.attributes(), "ansible_port": 1})
    failed = world.ran("ping")
    assert {host.host: host.state for host in world.hosts(failed.id).values()} == {
        "closed": "unreachable",
        "gone": "unreachable",
        "lab-server": "ok",
    }
    with world.database.transaction() as session:
        world.assets.remove(session, "gone", actor="test")
        attributes = server.attributes()
        mended = Asset("closed", Kind.HOST, Bilingual(ar="closed", en="closed"), attributes=attributes)
        world.assets.edit(session, mended, actor="test")
    code, output, errors = play("retry", str(failed.id), "--failed")
    assert code == 0, errors
    assert "Left out, for they are no hosts of this play any more: gone." in output
    again = world.run(failed.id + 1)
    assert (again.state, again.targets, again.retry_of) == ("successful", ["closed"], failed.id)
    with world.database.transaction() as session:
        with pytest.raises(Conflict, match="Every host of run 2 was well"):
            world.plays.retry(session, again.id, requested_by="person/sara")
        world.assets.remove(session, "closed", actor="test")
    with (
        world.database.transaction() as session,
        pytest.raises(InvalidInput, match="No host is left to retry run 1 on: closed, gone"),
    ):
        world.plays.retry(session, failed.id, requested_by="person/sara")


def test_a_cancel_heard_between_the_checks_end_and_its_record_is_not_forgotten(
    own_world: World, home: Path
) -> None:
    world = own_world
    (home / "hold").touch()
    run_id = world.request("steps", enqueue=False)
    thread = threading.Thread(target=world.plays.perform, args=(run_id,))
    thread.start()
    until(lambda: world.run(run_id).at == {"good": "Look"})
    # Its record is held until the check has ended, so that the cancel comes just before it.
    with world.database.transaction() as session:
        decisions.cancel(session, run_id, by="person/omar", reason="not now")
        (home / "hold").unlink()
        until(lambda: not processes_of(world.folder(run_id) / "check"))
    thread.join()
    run = world.run(run_id)
    assert (run.state, run.plan) == ("cancelled", None)
    assert "It was cancelled by person/omar (not now)" in str(run.reason)
    assert str(run.reason).endswith("Nothing was changed.")


def test_a_run_whose_job_ended_without_beginning_it_is_put_before_the_workers_again(
    play: Command, tmp_path: Path
) -> None:
    world = play.world
    run_id = world.request("ping")
    with world.database.transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET status = 'failed'"))
    with at_work(world, tmp_path / "worker.log"):
        assert ended(world, run_id).state == "successful"


def test_a_faulty_calendar_lets_no_change_begin_and_says_why(
    play: Command, write_playbook: WritePlaybook, tmp_path: Path
) -> None:
    path = write_playbook("careful", PING)
    given = path.read_text(encoding="utf-8").replace("window: always", "window: change")
    path.write_text(given, encoding="utf-8")
    world = play.world
    changes = {"folders": (tmp_path / "none",), "calendar": "nowhere"}
    world.settings = world.settings.model_validate({**world.settings.model_dump(), "changes": changes})
    world.rebuild()
    run_id = world.request("careful", enqueue=False)
    world.plays.perform(run_id)
    run = world.run(run_id)
    assert (run.state, run.waits_for) == ("queued", "window")
    assert "It is not known when changes may be made." in str(run.waiting)
    assert f"{tmp_path / 'none'}: " in str(run.waiting)
    assert world.ran("careful", check=True).state == "successful"
