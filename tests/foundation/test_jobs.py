"""Jobs: done once for each attempt, in the order of their lock, whatever dies."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict, DatabaseUnavailable, NotFound
from foundation.jobs import Jobs, JobState, NewJob
from tests.foundation.job_running import ended, enqueue, state, working
from tests.own_server import OwnServer
from tests.processes import PATIENCE, until

# Seconds; some of them missed, and a worker counts as dead: not on a slow machine.
_HEARTBEAT = 0.5


def test_a_job_runs_with_its_payload_in_its_first_attempt(database: Database) -> None:
    jobs, seen = Jobs(database), []
    jobs.register("greet", lambda payload, attempt: seen.append((payload, attempt)))
    job = enqueue(database, jobs, "greet", {"name": "أحمد", "context": [1, None]})
    with working(jobs):
        assert ended(database, jobs, job) == JobState("greet", "succeeded", 1, None)
    assert seen == [({"name": "أحمد", "context": [1, None]}, 1)]


def test_a_job_of_a_rolled_back_transaction_does_not_exist(database: Database) -> None:
    jobs, seen = Jobs(database), []
    jobs.register("note", lambda payload, _: seen.append(payload["n"]))

    def fail() -> None:
        with database.transaction() as session:
            jobs.enqueue(session, "note", {"n": 1})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    kept = enqueue(database, jobs, "note", {"n": 2})
    with working(jobs):
        ended(database, jobs, kept)
    assert seen == [2]


def test_an_unknown_job_is_refused_where_it_is_enqueued(database: Database) -> None:
    with database.transaction() as session, pytest.raises(NotFound, match="'nothing'"):
        Jobs(database).enqueue(session, "nothing", {})


def test_jobs_enqueued_together_get_their_numbers_in_order(database: Database) -> None:
    jobs, seen = Jobs(database), []
    jobs.register("note", lambda payload, _: seen.append(payload["n"]), queue="mine")
    jobs.register("other", lambda *_: None)
    later = datetime(2031, 5, 1, 9, 30, tzinfo=UTC)
    given = [
        *(NewJob("note", {"n": n, "text": '"أحمد"'}, lock="a") for n in range(30)),
        NewJob("other", {}, queue="theirs", at=later),
    ]
    with database.transaction() as session:
        numbers = jobs.enqueue_all(session, given)
        assert jobs.enqueue_all(session, []) == []
        kept = session.execute(text("SELECT * FROM procrastinate_jobs ORDER BY id")).all()
    assert [row.id for row in kept] == numbers
    assert [(row.task_name, row.queue_name, row.lock) for row in kept] == [
        *[("note", "mine", "a")] * 30,
        ("other", "theirs", None),
    ]
    assert [row.args["payload"].get("n") for row in kept] == [*range(30), None]
    assert [row.scheduled_at for row in kept] == [*[None] * 30, later]
    with working(jobs, queues=["mine"]):
        for number in numbers[:30]:
            ended(database, jobs, number)
    assert seen == list(range(30))


def test_with_one_unknown_job_none_is_enqueued(database: Database) -> None:
    jobs = Jobs(database)
    jobs.register("note", lambda *_: None)
    with database.transaction() as session:
        with pytest.raises(NotFound, match="'nothing'"):
            jobs.enqueue_all(session, [NewJob("note", {}), NewJob("nothing", {})])
        assert session.execute(text("SELECT count(*) FROM procrastinate_jobs")).scalar_one() == 0


def test_a_name_is_registered_once(database: Database) -> None:
    jobs = Jobs(database)
    jobs.register("a", lambda *_: None)
    with pytest.raises(Conflict, match="twice"):
        jobs.register("a", lambda *_: None)


def test_jobs_of_one_lock_run_one_at_a_time_and_in_order(database: Database) -> None:
    jobs = Jobs(database)
    running, order, together = set[str](), list[tuple[str, int]](), list[set[str]]()
    guard = threading.Lock()

    def work(payload: dict[str, Any], _: int) -> None:
        name = f"{payload['lock']}{payload['n']}"
        with guard:
            running.add(name)
            together.append(set(running))
            order.append((payload["lock"], payload["n"]))
        time.sleep(0.01)
        with guard:
            running.remove(name)

    jobs.register("work", work)
    numbers = [
        enqueue(database, jobs, "work", {"lock": lock, "n": n}, lock=lock) for n in range(8) for lock in "ab"
    ]
    with working(jobs, concurrency=4):
        for job in numbers:
            assert ended(database, jobs, job).status == "succeeded"
    for lock in "ab":
        assert [n for held, n in order if held == lock] == list(range(8))
        assert all(sum(name.startswith(lock) for name in names) <= 1 for names in together)


def test_a_worker_takes_its_queues_only_and_a_job_waits_for_its_time(database: Database) -> None:
    jobs, seen = Jobs(database), []
    jobs.register("note", lambda payload, _: seen.append(payload["n"]), queue="mine")
    other = enqueue(database, jobs, "note", {"n": 1}, queue="other")
    later = enqueue(database, jobs, "note", {"n": 2}, at=datetime.now(UTC) + timedelta(hours=1))
    soon = enqueue(database, jobs, "note", {"n": 3}, at=datetime.now(UTC) - timedelta(seconds=1))
    with working(jobs, queues=["mine"]):
        ended(database, jobs, soon)
    assert seen == [3]
    assert [state(database, jobs, job).status for job in (other, later)] == ["todo", "todo"]


def test_a_stopping_worker_ends_what_runs_and_takes_nothing_new(database: Database) -> None:
    jobs = Jobs(database)
    began, go_on, stopped = threading.Event(), threading.Event(), threading.Event()

    def work(*_: object) -> None:
        began.set()
        assert go_on.wait(PATIENCE)

    jobs.register("work", work)
    first = enqueue(database, jobs, "work", {})
    second = enqueue(database, jobs, "work", {})
    thread = threading.Thread(target=lambda: jobs.work(concurrency=1, stop=stopped.is_set))
    thread.start()
    assert began.wait(PATIENCE)
    stopped.set()
    go_on.set()
    thread.join()
    assert state(database, jobs, first).status == "succeeded"
    assert state(database, jobs, second).status == "todo"
    with database.transaction() as session:
        assert jobs.workers_alive(session) == 0


def _worker_process(database_url: str, folder: Path) -> "subprocess.Popen[bytes]":
    program = f"""
import pathlib, time
from foundation.database import Database
from foundation.jobs import Jobs
jobs = Jobs(Database({database_url!r}, role="worker"), heartbeat={_HEARTBEAT})
def work(payload, attempt):
    with open({str(folder / "begun")!r}, "a") as begun:
        begun.write("x")
    time.sleep(payload["seconds"])
jobs.register("work", work)
jobs.work()
"""
    return subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])


def test_the_job_of_a_killed_worker_is_reported_and_not_run_again_by_itself(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    jobs, ran = Jobs(database, heartbeat=_HEARTBEAT), []
    jobs.register("work", lambda _, attempt: ran.append(attempt))
    job = enqueue(database, jobs, "work", {"seconds": 600}, lock="device/7")
    begun = tmp_path / "begun"
    worker = _worker_process(database_url, tmp_path)
    try:
        until(begun.exists)
        with database.transaction() as session:
            assert jobs.workers_alive(session) == 1
            assert jobs.stalled(session) == []
            with pytest.raises(Conflict, match="is running"):
                jobs.run_again(session, job)
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()

    def reported() -> bool:
        with database.transaction() as session:
            return [stalled.id for stalled in jobs.stalled(session)] == [job]

    until(reported)
    with working(jobs):
        # A job that comes after it shows that the worker has looked, and left the stalled one alone.
        other = enqueue(database, jobs, "work", {"seconds": 0})
        ended(database, jobs, other)
        assert state(database, jobs, job).status == "doing"
        assert reported()
        assert ran == [1]
        with database.transaction() as session:
            (stalled,) = jobs.stalled(session)
            assert (stalled.name, stalled.lock, stalled.attempt) == ("work", "device/7", 1)
            assert stalled.started_at is not None
            jobs.run_again(session, job)
        assert ended(database, jobs, job).status == "succeeded"
    assert ran == [1, 2]
    assert begun.read_text() == "x"


def test_a_stalled_job_can_be_given_up(database: Database, database_url: str, tmp_path: Path) -> None:
    jobs = Jobs(database, heartbeat=_HEARTBEAT)
    jobs.register("work", lambda *_: None)
    job = enqueue(database, jobs, "work", {"seconds": 600})
    worker = _worker_process(database_url, tmp_path)
    try:
        until((tmp_path / "begun").exists)
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()

    def given_up() -> bool:
        with contextlib.suppress(Conflict), database.transaction() as session:
            jobs.give_up(session, job, "The site has no power.")
            return True
        return False

    until(given_up)
    assert state(database, jobs, job) == JobState("work", "failed", 1, "The site has no power.")


def test_a_worker_outlives_postgresql_and_records_what_ended_meanwhile(own_server: OwnServer) -> None:
    database = own_server.database
    jobs = Jobs(database, heartbeat=_HEARTBEAT)
    began, go_on = threading.Event(), threading.Event()
    runs: list[str] = []

    def slow(*_: object) -> None:
        runs.append("slow")
        began.set()
        assert go_on.wait(PATIENCE)

    jobs.register("slow", slow)
    jobs.register("quick", lambda *_: runs.append("quick"))
    first = enqueue(database, jobs, "slow", {})
    with working(jobs):
        assert began.wait(PATIENCE)
        own_server.kill()
        go_on.set()
        own_server.wait()
        second = enqueue(database, jobs, "quick", {})
        assert ended(database, jobs, first) == JobState("slow", "succeeded", 1, None)
        assert ended(database, jobs, second) == JobState("quick", "succeeded", 1, None)
    assert runs == ["slow", "quick"]


def test_a_worker_that_was_struck_off_enters_itself_again_and_keeps_its_job(database: Database) -> None:
    jobs = Jobs(database, heartbeat=_HEARTBEAT)
    began, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        began.set()
        assert go_on.wait(PATIENCE)

    jobs.register("slow", slow)
    jobs.register("quick", lambda *_: None)
    job = enqueue(database, jobs, "slow", {})
    with working(jobs):
        assert began.wait(PATIENCE)
        with database.transaction() as session:
            session.execute(text("DELETE FROM procrastinate_workers"))

        def back() -> bool:
            with database.transaction() as session:
                return jobs.workers_alive(session) == 1 and jobs.stalled(session) == []

        until(back)
        other = enqueue(database, jobs, "quick", {})
        assert ended(database, jobs, other).status == "succeeded"
        go_on.set()
        assert ended(database, jobs, job) == JobState("slow", "succeeded", 1, None)


def test_a_job_that_was_marked_and_never_begun_returns_to_its_queue(database: Database) -> None:
    # What a fetch leaves behind whose answer was lost with the connection.
    jobs, ran = Jobs(database, heartbeat=_HEARTBEAT), []
    jobs.register("work", lambda payload, attempt: ran.append((payload["n"], attempt)))
    with working(jobs):
        ended(database, jobs, enqueue(database, jobs, "work", {"n": 0}))
        with database.transaction() as session:
            lost = jobs.enqueue(session, "work", {"n": 1})
            session.execute(
                text(
                    "UPDATE procrastinate_jobs SET status = 'doing', "
                    "worker_id = (SELECT min(id) FROM procrastinate_workers) WHERE id = :id"
                ),
                {"id": lost},
            )
        assert ended(database, jobs, lost) == JobState("work", "succeeded", 1, None)
    assert ran == [(0, 1), (1, 1)]


def test_without_postgresql_a_worker_says_so_at_the_start(tmp_path: Path) -> None:
    absent = Database(f"postgresql://rakeeza@/rakeeza?host={tmp_path}")
    with pytest.raises(DatabaseUnavailable, match="does not answer"):
        Jobs(absent).work(stop=lambda: True)
