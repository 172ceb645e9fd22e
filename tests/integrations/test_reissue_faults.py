"""What a retired key signed is signed anew whatever fails meanwhile, step by step, and never twice."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import DeviceUnreachable
from foundation.wire.credential import Signer
from foundation.wire.verification import Answer
from integrations.licences import reissue
from integrations.licences.outcomes import DOCUMENT_JOB
from integrations.licences.reissue import REISSUE_JOB, Progress, Stage
from tests.integrations.licence_office import open_licence_office
from tests.integrations.reissue_town import SETTLED, Town, town_of
from tests.processes import ROOT, until


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Town:
    return town_of(open_licence_office(database, tmp_path))


def test_each_step_orders_a_few_papers_and_waits_behind_them(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reissue, "_PAPERS_AT_ONCE", 3)
    monkeypatch.setattr(reissue, "_SEEN_AT_ONCE", 4)
    licences = town.issued(8)
    town.work_off()
    key = town.stolen()
    with town.office.database.transaction() as session:
        last = session.execute(text("SELECT max(id) FROM procrastinate_jobs")).scalar_one()
    town.finish()
    query = text("SELECT task_name, queue_name FROM procrastinate_jobs WHERE id > :last ORDER BY id")
    with town.office.database.transaction() as session:
        ordered = session.execute(query, {"last": last}).all()
    assert len({row.queue_name for row in ordered}) == 1
    runs = [(name, len(list(run))) for name, run in itertools.groupby(row.task_name for row in ordered)]
    papers = [count for name, count in runs if name == DOCUMENT_JOB]
    assert (sum(papers), max(papers)) == (8, 3)
    assert [town.answer(each) for each in licences] == [Answer.VALID] * 8
    assert town.progress(key).done == 8


@pytest.mark.parametrize(("signatures", "done"), [(0, 0), (1, 0), (2, 1)])
def test_a_token_that_is_away_fails_no_licence(
    town: Town, monkeypatch: pytest.MonkeyPatch, signatures: int, done: int
) -> None:
    licences = town.issued(2)
    key = town.stolen()
    town.reissue.follow()
    signer, asked = town.ring.signer, itertools.count()

    def for_a_while(session: Session, at: datetime) -> Signer:
        if next(asked) >= signatures:
            raise DeviceUnreachable("The token does not answer.", place="token test")
        return signer(session, at)

    with monkeypatch.context() as patch:
        patch.setattr(town.ring, "signer", for_a_while)
        with pytest.raises(DeviceUnreachable):
            town.step()
    assert town.progress(key) == Progress(Stage.RUNS, done, 0)
    town.finish()
    assert [town.answer(each) for each in licences] == [Answer.VALID] * 2
    assert town.progress(key) == Progress(Stage.ENDED, 2, 0)


def test_a_job_that_failed_for_good_is_followed_by_another(town: Town) -> None:
    (licence,) = town.issued()
    key = town.stolen()
    town.reissue.follow()
    with town.office.database.transaction() as session:
        session.execute(
            text("UPDATE procrastinate_jobs SET status = 'failed' WHERE task_name = :name"),
            {"name": REISSUE_JOB},
        )
    town.finish()
    assert town.answer(licence) is Answer.VALID
    assert town.progress(key).stage is Stage.ENDED


def test_rounds_of_several_workers_begin_one_chain(town: Town) -> None:
    town.issued(2)
    town.stolen()
    gate = threading.Barrier(4)

    def follow(_number: int) -> None:
        gate.wait()
        town.reissue.follow()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(follow, range(4)))
    assert len(town.steps()) == 1
    assert town.waiting() == 1 + 2


def test_a_step_whose_successor_was_ordered_before_it_was_killed_begins_no_second_chain(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reissue, "_PAPERS_AT_ONCE", 1)
    town.issued(4)
    key = town.stolen()
    town.later(SETTLED)
    town.reissue.follow()
    (killed,) = town.steps()
    town.reissue.step(killed, 1)
    assert len(town.steps()) == 2
    # Put back, it finds that its turn is over.
    town.reissue.step(killed, 2)
    assert len(town.steps()) == 2
    town.work_off()
    # Four that signed one licence each, and one that found no more.
    assert len(town.steps("succeeded")) == 5
    assert town.progress(key) == Progress(Stage.ENDED, 4, 0)


# A worker that stops for ever in the middle of the transaction of its third licence.
_WORKER = """
import sys, time
from datetime import datetime
from pathlib import Path
from foundation.database import Database
from integrations.licences.reissue import Reissue
from tests.integrations.licence_office import open_licence_office
from tests.integrations.reissue_town import town_of

told, count = Reissue._tell, []

def tell(self, *words):
    told(self, *words)
    count.append(1)
    if len(count) == 3:
        print("third", flush=True)
        time.sleep(3600)

Reissue._tell = tell
office = open_licence_office(Database(sys.argv[1]), Path(sys.argv[2]))
office.now.append(datetime.fromisoformat(sys.argv[3]))
town_of(office).jobs.work()
"""


@pytest.fixture
def worker(town: Town, database_url: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _WORKER,
            database_url,
            str(town.office.desk.settings.platform.folder),
            (town.office.now[-1] + timedelta(days=2) + SETTLED).isoformat(),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_worker_killed_amid_a_licence_leaves_it_as_it_was_and_the_next_goes_on(
    town: Town, worker: "subprocess.Popen[str]"
) -> None:
    licences = town.issued(5)
    key = town.stolen()
    town.later(SETTLED)
    town.reissue.follow()
    assert worker.stdout is not None
    assert worker.stdout.readline() == "third\n"
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert town.progress(key) == Progress(Stage.RUNS, 2, 0)

    def put_back() -> bool:
        town.office.desk.papers.resume(town.jobs)
        town.reissue.follow()
        return bool(town.steps())

    until(put_back)
    town.finish()
    assert town.progress(key) == Progress(Stage.ENDED, 5, 0)
    assert [town.made(each) for each in licences] == [[(1, "issue"), (2, "reissue")]] * 5
    assert [town.answer(each) for each in licences] == [Answer.VALID] * 5
    # Each has one new paper, and none was ordered for what was rolled back.
    assert town.office.count("procrastinate_jobs WHERE args #>> '{payload,version}' = '2'") == 5
