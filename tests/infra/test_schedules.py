"""Schedules: what they ask for, in whose name, and what becomes of moments that cannot be kept."""

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation import audit, events
from foundation.assets import Asset, Assets, Kind
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Conflict, DefinitionError, InvalidInput, NotFound
from infra.plays.records import PlayRun, get_run
from infra.plays.schedules import Outcome, PlaySchedule, subject_of
from tests.infra.change_calendars import local
from tests.infra.conftest import WritePlaybook
from tests.infra.schedule_worker import schedules_of, start
from tests.processes import until

PING = "- name: Ping\n  ansible.builtin.ping:"
NOON = local("2026-11-23T12:00")
NIGHT = local("2026-11-24T02:00")
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@dataclass
class Desk:
    """Schedules on the database of a test, with one host to play on."""

    database: Database
    folder: Path
    playbooks: Path

    def __post_init__(self) -> None:
        self.schedules = schedules_of(self.database, self.folder, self.playbooks)
        with self.database.transaction() as session:
            host = Asset(
                "web1", Kind.HOST, Bilingual(ar="خادم", en="Server"), attributes={"ansible_host": "::1"}
            )
            Assets().add(session, host, actor="test")

    def add(self, name: str = "nightly", playbook: str = "ping", **how: Any) -> PlaySchedule:
        whole = {"rule": "daily 02:00", "created_by": "person/sara", "now": NOON, **how}
        with self.database.transaction() as session:
            return self.schedules.add(session, name, playbook, **whole)

    def row(self, name: str = "nightly") -> PlaySchedule:
        with self.database.transaction() as session:
            return self.schedules.get(session, name)

    def runs(self) -> list[PlayRun]:
        with self.database.transaction() as session:
            count = session.scalar(text("SELECT count(*) FROM play_run")) or 0
            return [get_run(session, number + 1) for number in range(count)]

    def end_runs(self) -> None:
        with self.database.transaction() as session:
            session.execute(text("UPDATE play_run SET state = 'successful', finished_at = now()"))

    def told(self, name: str = "nightly") -> list[tuple[str, dict[str, Any]]]:
        with self.database.transaction() as session:
            found = events.read(session, after=None, subject=subject_of(name))
            trail = [entry.action for entry in audit.entries(session, subject_of(name))]
        assert [event.kind for event in found] == trail
        return [(event.kind.removeprefix("play.schedule_"), event.payload) for event in found]


@pytest.fixture
def desk(database: Database, tmp_path: Path, write_playbook: WritePlaybook) -> Desk:
    return Desk(database, tmp_path / "platform", write_playbook("ping", PING).parent)


def test_a_run_is_asked_for_in_the_persons_name_when_its_moment_comes(desk: Desk) -> None:
    desk.add(parameters={"word": "night"}, limit="web1", check=True, diff=True)
    assert desk.schedules.due(NIGHT - MINUTE) == ()
    assert desk.schedules.due(NIGHT) == (Outcome("nightly", "requested", (NIGHT,), 1),)
    assert desk.schedules.due(NIGHT) == ()
    (run,) = desk.runs()
    assert (run.requested_by, run.schedule, run.playbook) == ("person/sara", "nightly", "ping")
    assert (run.target_limit, run.check_mode, run.diff) == ("web1", True, True)
    assert run.parameters == {"seconds": 0, "word": "night"}
    assert run.job_id is not None
    row = desk.row()
    assert (row.next_at, row.last_at, row.last_run) == (NIGHT + DAY, NIGHT, 1)
    assert [what for what, _ in desk.told()] == ["added", "requested"]
    assert desk.told()[1][1] == {
        "schedule": "nightly",
        "playbook": "ping",
        "created_by": "person/sara",
        "moment": "2026-11-23T23:00:00Z",
        "run": 1,
        "next_at": "2026-11-24T23:00:00Z",
    }


def test_moments_that_passed_unseen_are_told_and_only_the_latest_is_kept_if_it_is_not_late(
    desk: Desk,
) -> None:
    desk.add()
    found = desk.schedules.due(NIGHT + 3 * DAY + 30 * MINUTE)
    assert found == (
        Outcome("nightly", "missed", (NIGHT, NIGHT + DAY, NIGHT + 2 * DAY)),
        Outcome("nightly", "requested", (NIGHT + 3 * DAY,), 1),
    )
    what, payload = desk.told()[1]
    assert (what, payload["count"], payload["moment"]) == ("missed", 3, "2026-11-25T23:00:00Z")
    assert payload["moments"] == [f"2026-11-{day}T23:00:00Z" for day in (23, 24, 25)]


def test_a_moment_that_is_too_late_is_told_and_not_caught_up(desk: Desk) -> None:
    desk.add(late_after=timedelta(minutes=10))
    assert desk.schedules.due(NIGHT + 11 * MINUTE) == (Outcome("nightly", "missed", (NIGHT,)),)
    assert desk.runs() == []
    assert desk.row().next_at == NIGHT + DAY
    assert desk.schedules.due(NIGHT + DAY + 10 * MINUTE)[0].what == "requested"


def test_a_run_that_is_still_under_way_is_waited_for_and_the_moment_is_told(desk: Desk) -> None:
    desk.add()
    desk.schedules.due(NIGHT)
    assert desk.schedules.due(NIGHT + DAY) == (Outcome("nightly", "skipped", (NIGHT + DAY,), 1),)
    assert desk.told()[-1] == (
        "skipped",
        {
            "schedule": "nightly",
            "playbook": "ping",
            "created_by": "person/sara",
            "moment": "2026-11-24T23:00:00Z",
            "run": 1,
            "state": "queued",
            "next_at": "2026-11-25T23:00:00Z",
        },
    )
    desk.end_runs()
    assert desk.schedules.due(NIGHT + 2 * DAY)[0].run == 2


def test_a_playbook_that_no_longer_takes_its_parameters_is_told_and_the_schedule_goes_on(
    desk: Desk,
) -> None:
    desk.add(parameters={"word": "night"})
    path = desk.playbooks / "ping.yml"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("max_length: 20", "max_length: 4"), encoding="utf-8")
    (failed,) = desk.schedules.due(NIGHT)
    assert (failed.what, failed.run) == ("failed", None)
    assert "word must be a text of at most 4 characters" in (failed.reason or "")
    path.unlink()
    assert "no playbook 'ping'" in (desk.schedules.due(NIGHT + DAY)[0].reason or "")
    assert desk.runs() == []
    assert [what for what, _ in desk.told()] == ["added", "failed", "failed"]
    path.write_text(good, encoding="utf-8")
    assert desk.schedules.due(NIGHT + 2 * DAY)[0].what == "requested"


def test_what_cannot_be_read_in_one_schedule_does_not_hold_the_others_back(desk: Desk) -> None:
    desk.add("broken")
    desk.add("whole")
    with desk.database.transaction() as session:
        session.execute(text("UPDATE play_schedule SET rule = 'sometimes' WHERE name = 'broken'"))
    assert [found.schedule for found in desk.schedules.due(NIGHT)] == ["whole"]


def test_a_rule_that_comes_once_comes_once(desk: Desk) -> None:
    desk.add(rule="once 2026-11-24 02:00")
    assert desk.schedules.due(NIGHT)[0].what == "requested"
    assert desk.row().next_at is None
    assert desk.schedules.due(NIGHT + 9 * DAY) == ()
    with desk.database.transaction() as session:
        desk.schedules.pause(session, "nightly", actor="person/omar")
    with (
        pytest.raises(InvalidInput, match="no moment that is still to come"),
        desk.database.transaction() as session,
    ):
        desk.schedules.resume(session, "nightly", actor="person/omar", now=NIGHT + DAY)


def test_a_paused_schedule_rests_and_catches_nothing_up(desk: Desk) -> None:
    desk.add()
    with desk.database.transaction() as session:
        desk.schedules.pause(session, "nightly", actor="person/omar")
    assert desk.schedules.due(NIGHT + 5 * DAY) == ()
    with pytest.raises(Conflict, match="paused already"), desk.database.transaction() as session:
        desk.schedules.pause(session, "nightly", actor="person/omar")
    with desk.database.transaction() as session:
        desk.schedules.resume(session, "nightly", actor="person/omar", now=NIGHT + 5 * DAY)
    assert desk.row().next_at == NIGHT + 6 * DAY
    with pytest.raises(Conflict, match="is not paused"), desk.database.transaction() as session:
        desk.schedules.resume(session, "nightly", actor="person/omar")
    assert desk.schedules.due(NIGHT + 5 * DAY) == ()
    assert [what for what, _ in desk.told()] == ["added", "paused", "resumed"]


def test_a_removed_schedule_is_gone_and_its_runs_stay(desk: Desk) -> None:
    desk.add()
    desk.schedules.due(NIGHT)
    with desk.database.transaction() as session:
        desk.schedules.remove(session, "nightly", actor="person/omar")
    with pytest.raises(NotFound), desk.database.transaction() as session:
        desk.schedules.get(session, "nightly")
    assert [run.schedule for run in desk.runs()] == ["nightly"]
    assert desk.add().last_run is None


@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ({"name": "Nightly!"}, InvalidInput, "no name for a schedule"),
        ({"rule": "often 02:00"}, InvalidInput, "does not say when"),
        ({"rule": "once 2026-11-23 11:00"}, InvalidInput, "no moment that is still to come"),
        ({"late_after": timedelta(0)}, InvalidInput, "a minute at least"),
        ({"late_after": timedelta(days=8)}, InvalidInput, "a week at most"),
        ({"playbook": "pong"}, NotFound, "no playbook 'pong'"),
        ({"playbook": "faulty"}, DefinitionError, "faulty.yml"),
        ({"parameters": {"colour": "red"}}, InvalidInput, "colour is no parameter"),
        ({"parameters": {"seconds": "601"}}, InvalidInput, "from 0 to 600"),
        ({"limit": "web2"}, InvalidInput, "neither a host nor a group|web2"),
    ],
)
def test_a_schedule_that_could_never_run_is_refused_at_once(
    desk: Desk, how: dict[str, Any], kind: type[Exception], said: str
) -> None:
    (desk.playbooks / "faulty.yml").write_text("- hosts: all\n", encoding="utf-8")
    with pytest.raises(kind, match=said):
        desk.add(**how)
    with desk.database.transaction() as session:
        assert desk.schedules.list(session) == []


def test_a_name_is_taken_once(desk: Desk) -> None:
    desk.add()
    with pytest.raises(Conflict, match="already"):
        desk.add()


def test_the_next_moments_begin_with_the_one_that_is_kept(desk: Desk) -> None:
    row = desk.add(rule="hijri-monthly 15 02:00")
    found = [f"{moment:%Y-%m-%d}" for moment in desk.schedules.upcoming(row, 3)]
    assert found == ["2026-11-24", "2026-12-23", "2027-01-22"]


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    path = tmp_path / "clock"
    path.write_text(NOON.isoformat(), encoding="ascii")
    return path


@pytest.fixture
def workers(desk: Desk, database_url: str, clock: Path) -> Iterator["list[subprocess.Popen[str]]"]:
    started = [start(database_url, desk.folder, desk.playbooks, clock) for _ in range(3)]
    try:
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "alive\n"
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _asked(desk: Desk) -> Counter[tuple[str, str]]:
    # Not by events.read: what follows an open transaction's events is held back there until it ends.
    query = "SELECT payload ->> 'schedule', payload ->> 'moment' FROM event WHERE kind = :kind"
    with desk.database.transaction() as session:
        rows = session.execute(text(query), {"kind": "play.schedule_requested"})
        return Counter((row[0], row[1]) for row in rows)


@pytest.mark.usefixtures("workers")
def test_three_workers_never_ask_twice_for_one_moment_though_one_is_killed_in_the_middle(
    desk: Desk, database_url: str, clock: Path
) -> None:
    names = [f"s{number}" for number in range(8)]
    for name in names:
        desk.add(name)

    def all_asked(count: int) -> None:
        until(lambda: len(_asked(desk)) == count, f"{count} runs")

    def tick(moment: datetime) -> None:
        # Written whole or not at all: the others read it all the time.
        fresh = clock.with_suffix(".new")
        fresh.write_text(moment.isoformat(), encoding="ascii")
        fresh.rename(clock)

    tick(NIGHT)
    all_asked(8)
    desk.end_runs()

    second = clock.with_name("second")
    second.write_text((NIGHT + DAY).isoformat(), encoding="ascii")
    victim = start(database_url, desk.folder, desk.playbooks, second, "stuck")
    try:
        assert victim.stdout is not None
        assert [victim.stdout.readline() for _ in range(2)] == ["alive\n", "in the middle\n"]
        tick(NIGHT + DAY)
        # The one that the victim holds waits for nobody, and nobody waits for it.
        all_asked(15)
        assert ("s0", "2026-11-24T23:00:00Z") not in _asked(desk)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
    all_asked(16)
    desk.end_runs()
    tick(NIGHT + 2 * DAY)
    all_asked(24)

    moments = [f"2026-11-{day}T23:00:00Z" for day in (23, 24, 25)]
    assert _asked(desk) == Counter({(name, moment): 1 for name in names for moment in moments})
    with desk.database.transaction() as session:
        count = "SELECT schedule, count(*) FROM play_run GROUP BY schedule ORDER BY schedule"
        assert [tuple(row) for row in session.execute(text(count))] == [(name, 3) for name in names]
        kept = {row.last_run for row in desk.schedules.list(session)}
    assert len(kept) == 8
