"""An office whose first key is retired, and what signs its licences anew."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import text

from foundation.jobs import Jobs
from foundation.wire.verification import Answer, verify_by
from integrations.licences.keyring import Keyring
from integrations.licences.licence import Licence, versions
from integrations.licences.outcomes import DOCUMENT_JOB
from integrations.licences.reissue import REISSUE_JOB, Progress, Reissue, progress
from integrations.licences.signing_keys import Key
from tests.integrations.licence_office import LicenceOffice

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
