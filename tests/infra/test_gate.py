"""What a run waits for before it begins, and that a wait holds neither a worker nor another run."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation.assets import Asset, Kind
from foundation.database import Database
from foundation.definitions import Bilingual
from infra.plays import decisions, worker
from infra.plays.records import PlayRun
from lab.sshd import SshServer
from tests.infra.conftest import WritePlaybook
from tests.infra.test_plays import PING, WAIT, World
from tests.processes import until

# Open only at a site that no host of ours stands at.
CALENDAR = """
code: closed
title: {ar: تقويم الاختبار, en: Calendar of the test}
zone: Asia/Riyadh
windows:
  - name: elsewhere
    title: {ar: نافذة موقع آخر, en: Window of another site}
    sites: [elsewhere]
    weekdays: [sunday]
    hours: ["22:00-04:00"]
    risks: [low, medium]
    source: the test
    sample: true
"""


@pytest.fixture
def world(database: Database, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer) -> World:
    playbooks = write_playbook("ping", PING).parent
    write_playbook("wait", WAIT)
    made = World(database, tmp_path / "platform", playbooks, site_runs=2)
    made.add("good", server.attributes())
    made.add("second", server.attributes())
    return made


@contextmanager
def working(world: World) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(
        target=worker.work,
        args=(world.database, world.jobs, world.assets, world.settings.plays, stop.is_set),
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def ended(world: World, run_id: int) -> PlayRun:
    until(lambda: not world.run(run_id).under_way)
    return world.run(run_id)


def test_a_run_waits_for_a_device_that_is_held_and_names_its_holder(world: World) -> None:
    with working(world):
        with world.plays.locks.take(["good"], holder="person/omar", purpose="serial line", subject="line/1"):
            run_id = world.request("ping", limit="good")
            until(lambda: world.run(run_id).waits_for == "device")
            run = world.run(run_id)
            assert run.state == "queued"
            assert "good" in str(run.waiting)
            assert "person/omar" in str(run.waiting)
            assert "serial line" in str(run.waiting)
            # Its neighbour does not wait.
            assert ended(world, world.request("ping", limit="second")).state == "successful"
        assert ended(world, run_id).state == "successful"
    kinds = [event.kind for event in world.events(run_id)]
    assert kinds.count("play.waiting") == 1


def test_two_engineers_on_one_device_come_one_after_the_other(world: World) -> None:
    with working(world):
        first = world.request("wait", limit="good", parameters={"seconds": 2})
        until(lambda: world.run(first).state == "running")
        both, last = world.request("ping"), world.request("ping", limit="second")
        until(lambda: world.run(both).waits_for == "device")
        assert ended(world, last).state == "successful"
        assert ended(world, both).state == "successful"
    runs = [world.run(number) for number in (first, both)]
    assert runs[0].finished_at is not None
    assert runs[1].started_at is not None
    assert runs[0].finished_at <= runs[1].started_at


def test_one_on_many_hosts_is_not_overtaken_for_ever(world: World) -> None:
    with working(world):
        first = world.request("wait", limit="good", parameters={"seconds": 4})
        until(lambda: world.run(first).state == "running")
        both = world.request("ping")
        until(lambda: world.run(both).waits_for == "device")
        younger = world.request("ping", limit="second")
        until(lambda: world.run(younger).waits_for == "turn")
        assert f"It comes after run {both} of ping (person/sara)" in str(world.run(younger).waiting)
        for number in (both, younger):
            assert ended(world, number).state == "successful"
    starts = [world.run(number).started_at for number in (both, younger)]
    assert starts[0] is not None
    assert starts[1] is not None
    assert starts[0] <= starts[1]


def test_a_site_performs_only_so_many_at_once(world: World, server: SshServer) -> None:
    world.add("third", server.attributes())
    with working(world):
        running = [
            world.request("wait", limit=host, parameters={"seconds": 3}) for host in ("good", "second")
        ]
        until(lambda: all(world.run(number).state == "running" for number in running))
        third = world.request("ping", limit="third")
        until(lambda: world.run(third).waits_for == "site")
        assert "is performing 2 runs" in str(world.run(third).waiting)
        for number in (*running, third):
            assert ended(world, number).state == "successful"


def test_a_run_does_not_begin_before_its_moment(world: World) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=3)
    with working(world):
        run_id = world.request("ping", limit="good", not_before=moment)
        until(lambda: world.run(run_id).waits_for == "moment")
        run = ended(world, run_id)
    assert run.state == "successful"
    assert run.started_at is not None
    assert run.started_at >= moment


def test_a_freeze_holds_a_run_and_its_end_lets_it_go(world: World) -> None:
    now = datetime.now(UTC)
    with world.database.transaction() as session:
        world.plays.freezes.add(
            session,
            starts_at=now - timedelta(hours=1),
            ends_at=now + timedelta(days=1),
            reason=Bilingual(ar="زيارة رسمية", en="Official visit"),
            actor="person/omar",
        )
    run_id = world.request("ping", limit="good", enqueue=False)
    world.plays.perform(run_id)
    run = world.run(run_id)
    assert (run.state, run.waits_for) == ("queued", "window")
    assert "Official visit" in str(run.waiting)
    # A check changes nothing, and an emergency is let through when another engineer has approved it.
    assert world.ran("ping", limit="good", check=True).state == "successful"
    urgent = world.request("ping", limit="good", emergency="The door is open", enqueue=False)
    world.plays.perform(urgent)
    with world.database.transaction() as session:
        plan = world.run(urgent).plan
        assert plan is not None
        world.plays.approve(session, urgent, by="person/omar", plan=plan)
    world.plays.perform(urgent)
    assert world.run(urgent).state == "successful"


def test_a_change_waits_for_its_window(world: World, write_playbook: WritePlaybook, tmp_path: Path) -> None:
    folder = tmp_path / "calendars"
    folder.mkdir()
    (folder / "closed.yaml").write_text(CALENDAR, encoding="utf-8")
    path = write_playbook("medium", PING)
    given = path.read_text(encoding="utf-8").replace("risk: low", "risk: medium")
    path.write_text(given.replace("window: always", "window: change"), encoding="utf-8")
    closed = World(world.database, tmp_path / "closed", path.parent)
    changed: dict[str, Any] = {"changes": {"folders": (folder,), "calendar": "closed"}}
    closed.settings = closed.settings.model_validate({**closed.settings.model_dump(), **changed})
    closed.rebuild()
    run_id = closed.request("medium", limit="good", enqueue=False)
    closed.plays.perform(run_id)
    run = closed.run(run_id)
    assert (run.state, run.waits_for) == ("queued", "window")
    assert closed.ran("ping", limit="good").state == "successful"


def test_a_void_turn_of_a_run_begins_nothing(world: World) -> None:
    run_id = world.request("ping", limit="good")
    with world.database.transaction() as session:
        run = session.get_one(PlayRun, run_id)
        run.turn += 1
    with working(world):
        other = world.request("ping", limit="second")
        ended(world, other)
        until(lambda: _todo(world) == 0)
    assert world.run(run_id).state == "queued"


def test_a_site_that_is_new_is_served_and_one_of_another_worker_is_not(
    world: World, server: SshServer
) -> None:
    with world.database.transaction() as session:
        for name in ("north", "south"):
            site = Asset(name, Kind.SITE, Bilingual(ar=name, en=name), parent="town")
            if name == "north":
                town = Asset(
                    "town", Kind.MUNICIPALITY, Bilingual(ar="بلدة", en="Town"), attributes={"fee_class": 1}
                )
                world.assets.add(session, town, actor="test")
            world.assets.add(session, site, actor="test")
            host = Asset(
                f"{name}-1",
                Kind.HOST,
                Bilingual(ar=name, en=name),
                parent=name,
                attributes=server.attributes(),
            )
            world.assets.add(session, host, actor="test")
    changed = {"plays": {**world.settings.plays.model_dump(), "sites": ("north",)}}
    world.settings = world.settings.model_validate({**world.settings.model_dump(), **changed})
    south = world.request("ping", limit="south-1")
    assert world.run(south).site == "south"
    with working(world):
        assert ended(world, world.request("ping", limit="north-1")).state == "successful"
        assert world.run(south).state == "queued"
    world.settings = world.settings.model_validate(
        {**world.settings.model_dump(), "plays": {**changed["plays"], "sites": ()}}
    )
    with working(world):
        assert ended(world, south).state == "successful"


def test_a_run_that_waits_is_cancelled_at_once(world: World) -> None:
    run_id = world.request("ping", not_before=datetime.now(UTC) + timedelta(days=1), enqueue=False)
    world.plays.perform(run_id)
    with world.database.transaction() as session:
        decisions.cancel(session, run_id, by="person/sara")
    run = world.run(run_id)
    assert (run.state, run.waiting) == ("cancelled", None)


def _todo(world: World) -> int:
    todo = text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'")
    with world.database.transaction() as session:
        return int(session.execute(todo).scalar_one())
