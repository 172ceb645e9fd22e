"""How plays fared: counted by the database, and here once more by hand."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from console.play_statistics import command
from foundation import events
from foundation.database import Database
from foundation.errors import NotFound
from infra.plays.statistics import HostFigures, Statistics, TaskFigures, statistics
from tests.infra.play_history import write_history

RUNS = 400


@pytest.fixture
def history(database: Database) -> Database:
    with database.transaction() as session:
        write_history(session, RUNS)
    return database


def found(database: Database, days: int = 30, playbook: str | None = None) -> Statistics:
    with database.transaction() as session:
        return statistics(session, now=datetime.now(UTC), days=days, playbook=playbook)


def counted(number: int) -> str | None:
    """What `play_history` makes of a run; None of one in check mode."""
    if number % 50 == 0:
        return None
    return "failed" if number % 10 == 0 else "interrupted" if number % 97 == 1 else "successful"


def percentile(values: list[float], part: float) -> float:
    """Between the two nearest, as percentile_cont has it."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * part
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def test_runs_rates_and_times_of_each_playbook_are_as_counted_by_hand(history: Database) -> None:
    got = {each.playbook: each for each in found(history).playbooks}
    assert list(got) == sorted(f"play-{part}" for part in range(20))
    for part in range(20):
        mine = [number for number in range(1, RUNS + 1) if number % 20 == part and counted(number)]
        states = {state: sum(counted(number) == state for number in mine) for state in map(counted, mine)}
        each = got[f"play-{part}"]
        assert each.runs == states
        assert each.success_rate == pytest.approx(states.get("successful", 0) / len(mine))
        times = [100.0 + number % 60 for number in mine if counted(number) == "successful"]
        if times:
            assert each.p50_s == pytest.approx(percentile(times, 0.5))
            assert each.p95_s == pytest.approx(percentile(times, 0.95))
            assert each.last_success is not None
        else:
            assert (each.p50_s, each.p95_s, each.last_success) == (None, None, None)


def test_hosts_are_named_by_how_often_they_were_not_well(history: Database) -> None:
    runs: dict[str, int] = {}
    bad: dict[tuple[str, str], int] = {}
    for number in filter(counted, range(1, RUNS + 1)):
        for place in range(5):
            host = f"host-{(number * 7 + place) % 200}"
            runs[host] = runs.get(host, 0) + 1
            if place == 0 and (state := counted(number)) not in ("successful", None):
                bad[host, str(state)] = bad.get((host, str(state)), 0) + 1
    expected = [
        HostFigures(host, runs[host], bad.get((host, "failed"), 0), 0, bad.get((host, "interrupted"), 0))
        for host in {host for host, _ in bad}
    ]
    expected.sort(key=lambda each: (-each.failed - each.interrupted, each.host))
    assert found(history).hosts == tuple(expected[:10])


def test_a_task_lasts_until_the_next_begins(history: Database) -> None:
    tasks = found(history, playbook="play-3").tasks
    times = sum(counted(number) == "successful" for number in range(3, RUNS + 1, 20))
    assert tasks == (
        TaskFigures("play-3", "task 226", times, 74.0, 74.0),
        TaskFigures("play-3", "task 201", times, 20.0, 20.0),
        TaskFigures("play-3", "task 221", times, 5.0, 5.0),
    )


def test_what_a_check_did_before_and_what_parts_did_side_by_side_is_no_task_time(history: Database) -> None:
    with history.transaction() as session:
        session.execute(text("UPDATE play_run SET slices = 2 WHERE id > 3"))
        events.publish(session, "play.task_started", "play/3", {"task": "late"})
        session.execute(
            text(
                "UPDATE event SET kind = 'play.started' WHERE id = "
                "(SELECT id FROM event WHERE subject = 'play/3' AND payload ->> 'task' = 'task 221')"
            )
        )
        session.execute(
            text(
                "UPDATE event SET kind = 'play.checking' WHERE subject = 'play/3' "
                "AND payload ->> 'task' = 'task 200'"
            )
        )
    # The task before the start was the check's; the one that nothing follows has no known end.
    assert [each.task for each in found(history, playbook="play-3").tasks] == ["task 226"]


def test_approvals_are_told_from_when_a_plan_was_shown_to_when_it_was_decided(history: Database) -> None:
    decided = [number for number in range(1, RUNS + 1) if number % 4 == 0 and counted(number)]
    got = found(history).approvals
    assert (got.approved, got.rejected, got.waiting) == (len(decided), 0, 0)
    assert got.p50_s == got.p95_s == pytest.approx(180.0)
    assert got.oldest_waiting_s is None
    with history.transaction() as session:
        session.execute(
            text(
                "UPDATE play_run SET state = 'awaiting_approval', finished_at = NULL, "
                "planned_at = clock_timestamp() - interval '2 hours', "
                "requested_at = requested_at - interval '90 days' WHERE id IN (4, 8)"
            )
        )
        session.execute(
            text(
                "UPDATE event SET kind = 'play.rejected' WHERE kind = 'play.approved' AND subject = 'play/12'"
            )
        )
    got = found(history).approvals
    assert (got.approved, got.rejected, got.waiting) == (len(decided) - 3, 1, 2)
    assert got.oldest_waiting_s == pytest.approx(7_200, abs=60)
    assert found(history, playbook="play-4").approvals.waiting == 1


def test_only_the_days_asked_for_are_counted(history: Database) -> None:
    with history.transaction() as session:
        session.execute(
            text("UPDATE play_run SET requested_at = requested_at - interval '40 days' WHERE id > 20")
        )
    assert sum(sum(each.runs.values()) for each in found(history, 30).playbooks) == 20
    assert sum(sum(each.runs.values()) for each in found(history, 50).playbooks) == RUNS - RUNS // 50
    assert found(history, 30, "nobody") == Statistics((), (), (), found(history, 30, "nobody").approvals)


def asked(database: Database, folder: Path, *words: str) -> Result:
    settings = folder / "rakeeza.toml"
    settings.write_text(
        f'[platform]\nfolder = "{folder}"\n[database]\nurl = {json.dumps(database.connection_info)}\n',
        encoding="utf-8",
    )
    return CliRunner().invoke(command, words, obj=settings)


def test_the_command_prints_tables_and_one_document(history: Database, tmp_path: Path) -> None:
    shown = asked(history, tmp_path)
    assert shown.exit_code == 0, shown.output
    for title in ("Plays of the last 30 days", "Hosts that are not well", "Slowest tasks", "Approvals"):
        assert title in shown.output
    document = json.loads(asked(history, tmp_path, "play-3", "--days", "7", "--format", "json").output)
    assert [each["playbook"] for each in document["playbooks"]] == ["play-3"]
    assert document["tasks"][0]["longest_s"] == 74.0
    moment = datetime.fromisoformat(document["playbooks"][0]["last_success"])
    assert datetime.now(UTC) - moment < timedelta(days=1)


def test_the_command_knows_a_mistyped_name_from_a_playbook_without_runs(
    database: Database, tmp_path: Path
) -> None:
    nothing = asked(database, tmp_path)
    assert nothing.exit_code == 0
    assert "Plays of the last 30 days: none." in nothing.output
    assert isinstance(asked(database, tmp_path, "no-such").exception, NotFound)
    assert asked(database, tmp_path, "--days", "0").exit_code == 2
