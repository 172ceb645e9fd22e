"""The desk of licences: what anyone may ask of one, its papers, its history, and the keys that verify it."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from foundation import audit
from foundation.errors import Conflict, NotFound
from foundation.identity import Caller, Role
from foundation.settings import Settings
from foundation.wire.credential import KeySet
from foundation.wire.paper_certificates import PaperCertificates
from foundation.wire.verification import verify_by
from integrations.cases import case_store
from integrations.cases.case_store import CASES
from integrations.cases.numbers import is_test
from integrations.cases.opening import place_of
from integrations.cases.parties import SEE_THEIR_OWN
from integrations.desks.desk import Desk
from integrations.licences import licence as licences
from integrations.licences import views
from integrations.licences.admission import STATUS_TITLES
from integrations.licences.certificate import own_certificates, paper_keys
from integrations.licences.licence import VERSIONS, Licence, LicenceIsTest
from integrations.licences.outcomes import DOCUMENT_JOB
from integrations.licences.papers import DOCUMENT_ATTEMPTS, Papers
from integrations.licences.status_lists import Published, StatusLists

_MOST_ENTRIES = 1_000


@dataclass(frozen=True)
class LicencesDesk:
    """Licences, as the faces ask for them.

    Args:
        desk: what all desks share.
        settings: fonts, public address, who signs papers.
    """

    desk: Desk
    settings: Settings
    papers: Papers = field(init=False)
    lists: StatusLists = field(init=False)

    def __post_init__(self) -> None:
        office = self.desk.office
        papers = Papers(
            self.desk.database,
            office.vault,
            self.settings.licences.fonts,
            self.settings.http.public_url,
            self.desk.clock,
            paper_keys(self.settings, self.desk.clock),
            self.settings.licences.timestamp_url,
        )
        object.__setattr__(self, "papers", papers)
        lists = StatusLists(
            self.desk.database,
            lambda session: office.municipality(session).code,
            office.keys.signer,
            self.desk.clock,
            timedelta(days=self.settings.licences.status_days),
            timedelta(hours=self.settings.licences.status_ttl_hours),
        )
        object.__setattr__(self, "lists", lists)
        office.jobs.register(DOCUMENT_JOB, papers.make, attempts=DOCUMENT_ATTEMPTS)

    def licence(self, number: str, caller: Caller | None = None) -> dict[str, Any]:
        """What the public part of a licence's paper shows, and how it stands today.

        Args:
            caller: who asks; the platform itself without. A test is shown to its own centre alone.

        Raises:
            NotFound: there is none.
        """
        with self.desk.database.transaction() as session:
            licence = licences.of_number(session, number)
            if is_test(number) and caller is not None:
                self._check_own(session, caller, licence)
            return views.public(licence, self.desk.today())

    def verify(self, number: str) -> dict[str, Any]:
        """What anyone may know of a licence: its status now, since when; whichever version's code he holds.

        Raises:
            LicenceIsTest: the number is of a test, whether or not there is such a one.
            NotFound: there is no such licence.
        """
        if is_test(number):
            raise LicenceIsTest(number)
        with self.desk.database.transaction() as session:
            return views.verification(licences.of_number(session, number), self.desk.today())

    def document(self, caller: Caller, number: str, version: int | None = None) -> bytes:
        """The paper of a licence, as PDF.

        A centre gets the one that holds now; officers who may see the licence also what was before, and what
        was suspended, revoked, closed or void since.

        Args:
            version: of the licence; the present one without.

        Raises:
            NotReady: its job has not made it yet.
            NotFound: there is no such licence or version, or it is another centre's.
            Conflict: the licence does not hold.
        """
        with self.desk.database.transaction() as session:
            licence = licences.of_number(session, number)
            officer = self._officer(session, caller, licence)
            if not officer:
                self._check_own(session, caller, licence)
                if licence.status != "valid":
                    title = STATUS_TITLES[licence.status]
                    raise Conflict(
                        f"The licence {number} is {title.en}; its paper is not given out.",
                        remedy="Verify the licence to see since when.",
                        message_ar=f"الرخصة {number} {title.ar}، ولا تُسلَّم وثيقتها.",
                    )
            wanted = licence.version if version is None else version
            if wanted != licence.version and not officer:
                raise Conflict(
                    f"Version {wanted} of the licence {number} is not the present one.",
                    remedy="Ask for the present version.",
                    message_ar=f"الإصدار {wanted} من الرخصة {number} ليس الإصدار الحالي.",
                )
            copy = licence.copies if wanted == licence.version else self._last_copy(session, licence, wanted)
            return self.papers.read(session, licence, wanted, copy)

    def history(self, caller: Caller, number: str) -> dict[str, Any]:
        """What became of a licence: what each case made of it, its own chain, what hangs on it.

        Raises:
            NotFound: there is none, or it is another centre's.
        """
        with self.desk.database.transaction() as session:
            licence = licences.of_number(session, number)
            if not self._officer(session, caller, licence):
                self._check_own(session, caller, licence)
            made = licences.versions(session, licence)
            numbers = self._case_numbers(session, licence)
            parent = licences.by_id(session, licence.parent_id).number if licence.parent_id else None
            chain = audit.entries(session, licence.context, _MOST_ENTRIES)
            return {
                **views.verification(licence, self.desk.today()),
                "parent": parent,
                "steps": [views.step(version, numbers.get(version.case_id)) for version in made],
                "entries": [views.entry(written) for written in chain],
                "children": self._children(session, licence),
            }

    def children(self, caller: Caller, number: str) -> dict[str, Any]:
        """The licences that hang on one directly. Raises as `history` does."""
        with self.desk.database.transaction() as session:
            licence = licences.of_number(session, number)
            if not self._officer(session, caller, licence):
                self._check_own(session, caller, licence)
            return {"items": self._children(session, licence)}

    def public_keys(self) -> KeySet:
        """The public keys that verify licences without a network."""
        with self.desk.database.transaction() as session:
            return self.desk.office.keys.published(session)

    def certificates(self) -> PaperCertificates:
        """The certificates that papers are or were signed with; none before the first paper was made."""
        return own_certificates(self.settings.secrets(), self.settings.platform.municipality)

    def verdict(self, code: str) -> dict[str, Any]:
        """What the text of a licence's QR code is worth at this moment, by the register."""
        keys, lists = self.public_keys(), self.lists
        with self.desk.database.transaction() as session:
            verdict = verify_by(code, keys, lambda claims: lists.standing(session, claims), self.desk.clock())
        return verdict.to_json()

    def status_list(self, number: int) -> Published:
        """A status list as it was last published, with its message.

        Raises:
            NotFound: there is none of this number yet.
        """
        with self.desk.database.transaction() as session:
            found = self.lists.token(session, number)
        if found is None:
            raise NotFound(
                f"There is no status list {number}.",
                remedy="The lists that there are stand in /.well-known/rakeeza-status.json.",
                message_ar=f"لا توجد قائمة حالات برقم {number}.",
            )
        return found

    def status_lists(self) -> dict[str, Any]:
        """The heads of all status lists."""
        with self.desk.database.transaction() as session:
            code = self.desk.office.municipality(session).code
            return views.status_lists(code, self.lists.published(session))

    def resume(self) -> int:
        """Put back the document jobs whose worker was killed; how many."""
        return self.papers.resume(self.desk.office.jobs)

    def _children(self, session: Session, licence: Licence) -> list[dict[str, Any]]:
        day = self.desk.today()
        return [views.child(each, day) for each in licences.children(session, licence)]

    def _officer(self, session: Session, caller: Caller, licence: Licence) -> bool:
        if caller.kind == "system":
            return True
        if caller.roles & SEE_THEIR_OWN:
            return False
        issued_by = (
            select(VERSIONS.c.case_id)
            .where(VERSIONS.c.licence_id == licence.id)
            .order_by(VERSIONS.c.made_at, VERSIONS.c.case_id)
            .limit(1)
        )
        case = case_store.by_id(session, session.execute(issued_by).scalar_one())
        service = self.desk.definitions.of(session, case)
        # Whoever may act on a licence of this service, in any procedure, may see one; a party judges the
        # work before there is one, and has no part in it.
        acting = {role for flow in service.flows.values() for action in flow.actions for role in action.roles}
        here = not caller.places or place_of(service, {}, licence) in caller.places
        return Role.AUDITOR in caller.roles or (
            here and bool(caller.roles & (acting - SEE_THEIR_OWN - service.parties))
        )

    def _check_own(self, session: Session, caller: Caller, licence: Licence) -> None:
        # A centre's licence is one that it did something for, for the present holder: after a transfer the
        # old holder's centre sees no more of it than anyone.
        mine = exists(
            select(VERSIONS.c.case_id)
            .join(CASES, CASES.c.id == VERSIONS.c.case_id)
            .where(
                VERSIONS.c.licence_id == licence.id,
                VERSIONS.c.subject == licence.subject,
                CASES.c.centre == caller.actor,
            )
        )
        if not session.execute(select(mine)).scalar_one():
            raise licences.absent(licence.number)

    def _last_copy(self, session: Session, licence: Licence, version: int) -> int:
        copies = [each.copy for each in licences.versions(session, licence) if each.version == version]
        return max(copies, default=0)

    def _case_numbers(self, session: Session, licence: Licence) -> dict[int | None, str]:
        rows = session.execute(
            select(CASES.c.id, CASES.c.number)
            .join(VERSIONS, VERSIONS.c.case_id == CASES.c.id)
            .where(VERSIONS.c.licence_id == licence.id)
        )
        return {row.id: row.number for row in rows}
