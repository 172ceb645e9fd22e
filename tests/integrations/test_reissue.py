"""What a retired key signed is signed anew: all that may hold, once, whatever fails meanwhile."""

import itertools
import os
import random
import signal
import string
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import Conflict, DeviceUnreachable
from foundation.jobs import Jobs
from foundation.wire import qr_reader
from foundation.wire.credential import Signer, read_claims
from foundation.wire.status_list import StatusValue
from foundation.wire.verification import Answer, verify_by
from integrations.licences import reissue
from integrations.licences.keyring import Keyring
from integrations.licences.licence import Licence, versions
from integrations.licences.outcomes import DOCUMENT_JOB
from integrations.licences.reissue import REISSUE_JOB, Progress, Reissue, Stage, look_again, progress
from integrations.licences.signing_keys import Key
from tests.integrations.licence_office import LicenceOffice, open_licence_office
from tests.processes import ROOT, until

SETTLED = timedelta(minutes=6)


@dataclass
class Town:
    """An office whose first key is retired, and what signs its licences anew."""

    office: LicenceOffice
    ring: Keyring
    jobs: Jobs
    reissue: Reissue

    def issued(self, count: int = 1, **words: Any) -> list[Licence]:
        return [self.office.do("stall", "issue", **words) for _ in range(count)]

    def next_key(self) -> Key:
        """Publish a key, and let the days pass until it signs."""
        with self.office.database.transaction() as session:
            key = self.ring.rotate(session, actor="cli/tester")
        self.office.pass_days(2)
        return key

    def retire(self, kid: str) -> Key:
        with self.office.database.transaction() as session:
            return self.ring.retire(session, kid, because="The disk was stolen.", actor="cli/tester")

    def stolen(self) -> Key:
        """Another key signs, and the first one is retired."""
        self.next_key()
        with self.office.database.transaction() as session:
            first = self.ring.keys(session)[0]
        return self.retire(first.kid)

    def later(self, span: timedelta) -> None:
        self.office.now.append(self.office.now[-1] + span)

    def work_off(self) -> None:
        """Run a worker until no job waits, also not for a moment of the office's clock."""
        self.jobs.work(stop=lambda: self._due() == 0)

    def _due(self) -> int:
        with self.office.database.transaction() as session:
            session.execute(
                text(
                    "UPDATE procrastinate_jobs SET scheduled_at = NULL "
                    "WHERE status = 'todo' AND scheduled_at IS NOT NULL"
                )
            )
        return self.waiting()

    def waiting(self) -> int:
        return self.office.count("procrastinate_jobs WHERE status IN ('todo', 'doing')")

    def finish(self) -> None:
        """Everything there is to do, also the look that comes some minutes after the retirement."""
        self.later(SETTLED)
        self.reissue.follow()
        self.work_off()

    def progress(self, key: Key) -> Progress:
        with self.office.database.transaction() as session:
            return progress(session, key)

    def answer(self, licence: Licence, code: str | None = None) -> Answer:
        """What is said of a licence's present paper, or of another one of it."""
        now, code = self.office.now[-1], code or self.office.read(licence).credential
        lists = self.office.desk.lists
        with self.office.database.transaction() as session:
            known = self.office.office.keys.published(session)
            return verify_by(code, known, lambda claims: lists.standing(session, claims), now).answer

    def steps(self, status: str = "todo") -> list[dict[str, Any]]:
        """Payloads of the jobs that sign anew."""
        query = text(
            "SELECT args -> 'payload' FROM procrastinate_jobs "
            "WHERE task_name = :name AND status::text = :status ORDER BY id"
        )
        with self.office.database.transaction() as session:
            words = {"name": REISSUE_JOB, "status": status}
            return list(session.execute(query, words).scalars())

    def step(self) -> None:
        """Take the step that waits, as a worker that is killed before it can say so."""
        self.reissue.step(self.steps()[-1], 1)

    def made(self, licence: Licence) -> list[tuple[int, str]]:
        """Versions of a licence and what each is called."""
        with self.office.database.transaction() as session:
            return [(each.version, each.outcome) for each in versions(session, licence)]


def town_of(office: LicenceOffice) -> Town:
    ring = office.office.keys
    assert isinstance(ring, Keyring)
    ring._clock = lambda: office.now[-1]
    # Jobs of its own: what the desk registers is the desk's.
    jobs = Jobs(office.database)
    own = Reissue(office.database, replace(office.office, jobs=jobs), lambda: office.now[-1])
    jobs.register(DOCUMENT_JOB, office.desk.papers.make)
    jobs.register(REISSUE_JOB, own.step)
    return Town(office, ring, jobs, own)


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Town:
    return town_of(open_licence_office(database, tmp_path))


def test_what_may_hold_gets_a_paper_of_the_present_key_and_nothing_else_does(town: Town) -> None:
    office = town.office
    valid, suspended, revoked, closed, renewed, copied = town.issued(6)
    expired = office.do("stall", "issue", form={"name": "بسطة", "years": 1})
    office.on(suspended, "suspend")
    office.on(revoked, "revoke")
    office.on(closed, "close")
    office.on(copied, "copy")
    with office.database.transaction() as session:
        session.execute(
            text("UPDATE licence SET valid_from = :day - 9, valid_to = :day - 1 WHERE id = :id"),
            {"day": office.day, "id": expired.id},
        )
    key = town.stolen()
    later = office.on(renewed, "amend", form={"name": "اسم جديد"})
    after = office.do("stall", "issue")
    assert town.answer(valid) is Answer.REVOKED_KEY
    town.finish()
    told = {
        name: (len(town.made(each)), town.answer(each))
        for name, each in {
            "valid": valid,
            "suspended": suspended,
            "revoked": revoked,
            "copied": copied,
            "closed": closed,
            "expired": expired,
            "renewed": renewed,
            "after": after,
        }.items()
    }
    assert told == {
        "valid": (2, Answer.VALID),
        "suspended": (3, Answer.SUSPENDED),
        # Who was revoked may be granted his objection.
        "revoked": (3, Answer.REVOKED),
        "copied": (3, Answer.VALID),
        "closed": (2, Answer.REVOKED_KEY),
        "expired": (1, Answer.REVOKED_KEY),
        "renewed": (2, Answer.VALID),
        "after": (1, Answer.VALID),
    }
    assert office.read(renewed).credential == later.credential
    assert office.read(after).credential == after.credential
    assert town.progress(key) == Progress(Stage.ENDED, 4, 0)


def test_the_new_paper_says_what_the_old_one_said(town: Town) -> None:
    (licence,) = town.issued()
    town.work_off()
    key = town.stolen()
    town.finish()
    again = town.office.read(licence)
    before, now = read_claims(licence.credential), read_claims(again.credential)
    assert now == replace(before, issued_at=now.issued_at, status=now.status)
    assert now.issued_at > before.issued_at
    assert now.status != before.status
    assert again == replace(licence, version=2, credential=again.credential)
    assert town.made(licence) == [(1, "issue"), (2, "reissue")]
    with town.office.database.transaction() as session:
        papers = [town.office.desk.papers.read(session, again, version, 0) for version in (1, 2)]
    assert [qr_reader.read(paper) for paper in papers] == [[licence.credential], [again.credential]]
    (told,) = [event for event in town.office.events(licence.context) if event[0] == "licence.reissued"]
    assert told[1] == {
        "number": licence.number,
        "service": "stall",
        "version": 2,
        "valid_from": licence.valid_from.isoformat(),
        "valid_to": licence.valid_to.isoformat(),
        "status": "valid",
        "key": key.kid,
    }
    action, details = town.office.chain(licence)[-1]
    assert (action, details["in_place_of"], details["version"]) == ("reissued", key.kid, 2)


def test_the_list_calls_the_old_paper_replaced(town: Town) -> None:
    (licence,) = town.issued()
    town.stolen()
    town.finish()
    lists = town.office.desk.lists
    with town.office.database.transaction() as session:
        old = lists.standing(session, read_claims(licence.credential))
        new = lists.standing(session, read_claims(town.office.read(licence).credential))
    assert old is not None
    assert new is not None
    assert (old.value, new.value) == (StatusValue.REPLACED, StatusValue.VALID)
    # And whoever has the keys refuses it for its key, whatever list he has.
    assert town.answer(licence, licence.credential) is Answer.REVOKED_KEY


def test_a_licence_signed_anew_lives_on_like_any_other(town: Town) -> None:
    stall, sign, lamp = town.office.family()
    town.stolen()
    town.finish()
    copied = town.office.on(town.office.read(stall), "copy")
    assert (copied.version, copied.copies) == (2, 1)
    assert town.answer(stall) is Answer.VALID
    town.office.on(stall, "suspend")
    assert [town.office.read(each).status for each in (sign, lamp)] == ["suspended", "suspended"]
    town.office.on(stall, "reinstate")
    assert [town.answer(each) for each in (stall, sign, lamp)] == [Answer.VALID] * 3


def test_done_twice_is_done_once(town: Town) -> None:
    licences = town.issued(3)
    key = town.stolen()
    town.finish()
    before = [town.made(each) for each in licences]
    for _ in range(3):
        town.finish()
    assert town.steps() == []
    with town.office.database.transaction() as session:
        look_again(session, key, actor="cli/tester", at=town.office.now[-1])
        # While it is under way, nothing is begun anew.
        look_again(session, key, actor="cli/tester", at=town.office.now[-1])
    assert town.progress(key).stage is Stage.WAITS
    town.finish()
    assert [town.made(each) for each in licences] == before == [[(1, "issue"), (2, "reissue")]] * 3
    assert town.progress(key) == Progress(Stage.ENDED, 3, 0)
    assert town.office.count("licence_document") == 6


def test_a_key_that_is_not_retired_asks_for_nothing(town: Town) -> None:
    town.issued(2)
    key = town.next_key()
    town.finish()
    assert town.steps("succeeded") == []
    with pytest.raises(Conflict, match="is not retired"):
        town.progress(key)


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


def test_what_was_signed_while_the_key_was_retired_is_found_afterwards(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, *_ = town.issued(3)
    key = town.stolen()
    town.reissue.follow()
    town.step()
    assert town.answer(early) is Answer.VALID
    town.later(timedelta(seconds=1))
    with monkeypatch.context() as patch:
        # Another process, which had read the table just before.
        patch.setattr(town.ring, "signer", lambda *_: town.office.key)
        town.office.on(early, "amend", form={"name": "اسم جديد"})
    assert town.answer(early) is Answer.REVOKED_KEY
    assert town.progress(key) == Progress(Stage.RUNS, 3, 0)
    town.finish()
    assert town.answer(early) is Answer.VALID
    assert town.made(early) == [(1, "issue"), (2, "reissue"), (3, "amend"), (4, "reissue")]
    assert town.progress(key) == Progress(Stage.ENDED, 4, 0)


def test_one_licence_that_cannot_be_signed_holds_up_no_other(town: Town) -> None:
    # By chance: what repeats, packs well.
    chance = random.Random(7)
    letters = [chr(code) for code in (*range(0xC0, 0x17F), *range(0x620, 0x6D0))]
    (first,) = town.issued()
    long = town.office.do(
        "stall", "issue", form={"name": "".join(chance.choices(letters, k=165)), "years": 1}
    )
    (last,) = town.issued()
    longer = "https://" + "".join(chance.choices(string.ascii_letters, k=250))
    key = town.stolen()
    with town.office.database.transaction() as session:
        (uri,) = session.execute(text("SELECT uri FROM status_list")).scalars()
        session.execute(text("UPDATE status_list SET uri = :uri"), {"uri": longer})
    town.finish()
    assert [town.answer(each) for each in (first, long, last)] == [
        Answer.VALID,
        Answer.REVOKED_KEY,
        Answer.VALID,
    ]
    assert town.progress(key) == Progress(Stage.ENDED, 2, 1)
    # Mended, it is done by another look.
    with town.office.database.transaction() as session:
        session.execute(text("UPDATE status_list SET uri = :uri"), {"uri": uri})
        look_again(session, key, actor="cli/tester", at=town.office.now[-1])
    town.finish()
    assert town.answer(long) is Answer.VALID
    assert town.progress(key) == Progress(Stage.ENDED, 3, 0)


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


def test_a_holder_who_was_erased_gets_no_paper(town: Town) -> None:
    (licence,) = town.issued()
    key = town.stolen()
    with town.office.database.transaction() as session:
        session.execute(text("UPDATE licence SET personal = NULL"))
    town.finish()
    assert town.made(licence) == [(1, "issue")]
    assert town.progress(key) == Progress(Stage.ENDED, 0, 0)


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
from tests.integrations.test_reissue import town_of

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
