"""How long the folders of runs are kept: never one under way, never beyond the limits, never past a link."""

import contextlib
import fcntl
import logging
import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import DatabaseUnavailable, Unavailable
from foundation.settings import Plays
from infra.plays import artifacts
from infra.plays.artifacts import Artifacts, check_room, removal_of
from tests.processes import until

UNDER_WAY = ["queued", "checking", "awaiting_approval", "approved", "running"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plays"
    made.mkdir()
    return made


def kept(database: Database, folder: Path, **limits: int) -> Artifacts:
    known = {"keep_runs": 100, "keep_days": 100, "keep_megabytes": 1_000, **limits}
    return Artifacts(database, folder, Plays.model_validate(known), "host-1")


def run(
    database: Database, folder: Path, state: str = "successful", *, days: float = 0, size: int = 1_000
) -> int:
    """A run and its folder, with as many bytes in it."""
    with database.transaction() as session:
        number: int = session.execute(
            text(
                """
                INSERT INTO play_run (playbook, revision, parameters, check_mode, diff, requested_by, state,
                    finished_at)
                VALUES ('ping', 'r', '{}', false, false, 'person/omar', :state,
                    CASE WHEN :ended THEN clock_timestamp() - make_interval(secs => :age) END)
                RETURNING id
                """
            ),
            {"state": state, "ended": state not in UNDER_WAY, "age": timedelta(days=days).total_seconds()},
        ).scalar_one()
    made = folder / str(number) / "artifacts"
    made.mkdir(parents=True)
    (made / "output.log").write_bytes(b"x" * size)
    return number


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def removals(database: Database) -> dict[int, str]:
    with database.transaction() as session:
        rows = session.execute(text("SELECT run_id, rule FROM play_artifacts_removal"))
        return {row.run_id: row.rule for row in rows}


def test_only_so_many_are_kept_and_each_that_went_says_when_and_why(database: Database, folder: Path) -> None:
    runs = [run(database, folder) for _ in range(5)]
    assert kept(database, folder, keep_runs=2).prune() == runs[2::-1]
    assert names(folder) == [str(number) for number in runs[3:]]
    with database.transaction() as session:
        gone = removal_of(session, runs[0])
        assert removal_of(session, runs[4]) is None
    assert gone is not None
    assert (gone.machine, gone.rule) == ("host-1", "runs")
    assert gone.size >= 1_000
    assert "plays.keep_runs" in str(gone)
    assert kept(database, folder, keep_runs=2).prune() == []


def test_they_go_by_age(database: Database, folder: Path) -> None:
    old, young = run(database, folder, days=31), run(database, folder, days=29)
    assert kept(database, folder, keep_days=30).prune() == [old]
    assert names(folder) == [str(young)]
    assert removals(database) == {old: "days"}


def test_they_go_by_size_and_the_newest_stays_however_large(database: Database, folder: Path) -> None:
    runs = [run(database, folder, size=4_000_000) for _ in range(4)]
    assert kept(database, folder, keep_megabytes=10).prune() == [runs[1], runs[0]]
    huge = run(database, folder, size=12_000_000)
    assert kept(database, folder, keep_megabytes=10).prune() == [runs[3], runs[2]]
    assert names(folder) == [str(huge)]
    assert removals(database) == dict.fromkeys(runs, "megabytes")


@pytest.mark.parametrize("state", UNDER_WAY)
def test_the_folder_of_a_run_under_way_stays_whatever_the_limits(
    database: Database, folder: Path, state: str
) -> None:
    under_way = run(database, folder, state, size=20_000_000)
    ended = [run(database, folder, days=5) for _ in range(2)]
    assert kept(database, folder, keep_runs=1, keep_days=1, keep_megabytes=10).prune() == ended[::-1]
    assert names(folder) == [str(under_way)]


def test_a_run_that_begins_in_that_moment_is_seen(database: Database, folder: Path) -> None:
    first, _ = run(database, folder), run(database, folder)
    retention = kept(database, folder, keep_runs=1)
    with database.transaction() as session:
        # Someone takes it up again after the limits were weighed and before it is removed.
        session.execute(text("UPDATE play_run SET state = 'running' WHERE id = :id"), {"id": first})
        found: list[list[int]] = []
        pruning = threading.Thread(target=lambda: found.append(retention.prune()))
        pruning.start()
        until(lambda: _waits_for_a_lock(database), "waiting for the run's record")
        assert (folder / str(first)).exists()
    pruning.join()
    assert found == [[]]
    assert (folder / str(first) / "artifacts" / "output.log").exists()
    assert removals(database) == {}


def _waits_for_a_lock(database: Database) -> bool:
    with database.transaction() as session:
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        mine = f"{query} AND datname = current_database()"
        return bool(session.execute(text(mine)).scalar_one())


def test_no_link_leads_out(database: Database, folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep.txt").write_text("mine", encoding="utf-8")
    number, newest = run(database, folder), run(database, folder)
    (folder / str(number) / "artifacts" / "out").symlink_to(outside)
    linked = run(database, folder, days=50)
    whole = folder / str(linked)
    (whole / "artifacts" / "output.log").unlink()
    (whole / "artifacts").rmdir()
    whole.rmdir()
    whole.symlink_to(outside)
    (folder / f".removing-{linked}-days").symlink_to(outside)
    assert kept(database, folder, keep_runs=1, keep_days=10).prune() == [number]
    assert (outside / "keep.txt").read_text(encoding="utf-8") == "mine"
    assert whole.is_symlink()
    assert (folder / str(newest)).is_dir()


def test_the_folder_of_all_may_be_a_link_to_another_disk(
    database: Database, folder: Path, tmp_path: Path
) -> None:
    runs = [run(database, folder) for _ in range(2)]
    link = tmp_path / "linked"
    link.symlink_to(folder)
    assert kept(database, link, keep_runs=1).prune() == [runs[0]]


@pytest.mark.parametrize("written", [True, False])
def test_what_was_half_deleted_by_a_killed_process_is_finished(
    database: Database, folder: Path, written: bool
) -> None:
    number, other = run(database, folder), run(database, folder)
    (folder / str(number)).rename(folder / f".removing-{number}-megabytes")
    if written:
        with database.transaction() as session:
            session.execute(
                text(
                    "INSERT INTO play_artifacts_removal VALUES (:id, clock_timestamp(), 'host-1', 'runs', 7)"
                ),
                {"id": number},
            )
    assert kept(database, folder).prune() == []
    assert names(folder) == [str(other)]
    assert removals(database) == {number: "runs" if written else "megabytes"}


def test_a_folder_that_is_no_run_of_this_database_is_left_alone_and_told_once(
    database: Database, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "999").mkdir()
    (folder / "007").mkdir()
    (folder / "notes").mkdir()
    (folder / "5").write_text("a file", encoding="utf-8")
    retention = kept(database, folder, keep_runs=1)
    with caplog.at_level(logging.WARNING):
        assert retention.prune() == retention.prune() == []
    assert names(folder) == ["007", "5", "999", "notes"]
    told = [record.getMessage() for record in caplog.records if record.name == "infra.plays.artifacts"]
    assert len([line for line in told if "/999" in line]) == 1
    assert len(told) == 2


@contextlib.contextmanager
def stubborn(path: Path, later: Path) -> Iterator[None]:
    """A folder from which nothing can be deleted, not by root either; its name may change meanwhile."""
    is_root = os.geteuid() == 0
    subprocess.run(["chattr", "+i", str(path)] if is_root else ["chmod", "500", str(path)], check=True)
    try:
        yield
    finally:
        held = str(later if later.exists() else path)
        subprocess.run(["chattr", "-i", held] if is_root else ["chmod", "700", held], check=True)


def test_what_cannot_be_deleted_is_told_once_and_deleted_when_it_can_be(
    database: Database, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    number, newest = run(database, folder), run(database, folder)
    now, later = folder / str(number) / "artifacts", folder / f".removing-{number}-runs" / "artifacts"
    retention = kept(database, folder, keep_runs=1)
    with caplog.at_level(logging.WARNING), stubborn(now, later):
        retention.prune()
        retention.prune()
        assert (later / "output.log").exists()
    told = [each.getMessage() for each in caplog.records if each.name == "infra.plays.artifacts"]
    assert len(told) == 1
    assert "cannot be deleted whole" in told[0]
    retention.prune()
    assert names(folder) == [str(newest)]
    assert removals(database) == {number: "runs"}


def test_two_processes_do_not_prune_at_once(database: Database, folder: Path) -> None:
    runs = [run(database, folder) for _ in range(2)]
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        assert kept(database, folder, keep_runs=1).prune() == []
        assert len(names(folder)) == 2
    finally:
        os.close(place)
    assert kept(database, folder, keep_runs=1).prune() == [runs[0]]


def test_without_the_database_nothing_goes(folder: Path, tmp_path: Path, database: Database) -> None:
    runs = [run(database, folder) for _ in range(2)]
    away = Database(f"postgresql://nobody@/x?host={tmp_path}")
    with pytest.raises(DatabaseUnavailable):
        kept(away, folder, keep_runs=1).prune()
    assert names(folder) == [str(number) for number in runs]


def test_a_folder_that_cannot_be_read_is_told_and_fails_no_run(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "plays").write_text("a file", encoding="utf-8")
    retention = kept(database, tmp_path / "plays")
    with caplog.at_level(logging.WARNING):
        assert retention.prune() == retention.prune() == []
    assert len([each for each in caplog.records if "cannot be looked through" in each.getMessage()]) == 1


def test_there_may_be_no_folder_yet(database: Database, tmp_path: Path) -> None:
    assert kept(database, tmp_path / "none").prune() == []


def test_a_run_begins_only_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_room(tmp_path / "not" / "yet" / "there")
    free = os.statvfs(tmp_path)
    monkeypatch.setattr(artifacts, "NEEDED", free.f_bavail * free.f_frsize * 2)
    with pytest.raises(Unavailable) as caught:
        check_room(tmp_path / "not" / "yet" / "there")
    assert caught.value.place == str(tmp_path / "not" / "yet" / "there")
    assert "MB free" in caught.value.message
    assert "plays.keep_megabytes" in caught.value.remedy
    assert caught.value.retryable
    monkeypatch.setattr(artifacts, "NEEDED", 0)
    monkeypatch.setattr(artifacts, "_FILES", free.f_favail * 2)
    with pytest.raises(Unavailable, match="more files only"):
        check_room(tmp_path)
