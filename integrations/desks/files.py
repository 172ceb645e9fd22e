"""The desk for documents: what the checklist asks, what is handed in, what is given out."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from foundation import audit
from foundation.chain import JSON
from foundation.errors import Conflict, NotFound, PermissionDenied
from foundation.idempotency import Answer
from foundation.identity import Caller
from integrations.cases import case_store, checklist, choice, files
from integrations.cases.case import Case
from integrations.cases.media import MediaType
from integrations.desks.desk import Desk
from integrations.desks.inbox import works_on
from integrations.service import Service


@dataclass(frozen=True)
class FilesDesk:
    """Documents of cases, as the faces ask for them.

    Args:
        desk: what all desks share.
    """

    desk: Desk

    def put(
        self,
        caller: Caller,
        number: str,
        code: str,
        name: str,
        data: bytes,
        key: str | None,
        version: int | None = None,
    ) -> Answer:
        """Hand in a document, in the place of the one before it.

        The case gets a new version with it: who decides on what he saw is told that there is something new.

        Args:
            code: of the requirement it answers.
            name: of the file; cleaned, only shown, never believed.
            data: the content; what it is is judged by this alone.
            key: the caller's Idempotency-Key; a write without one is refused.
            version: the version of the case that the caller saw; of two who hand in a paper at once, each
                with what he saw, one is told.

        Raises:
            NotFound: there is no such case for this caller, or it asks for no such document.
            Stale: the case was changed since the caller saw it.
            Conflict: the case is closed, or takes no such document as it stands.
            PermissionDenied: it is not the caller's case, and waits for none of his roles.
            TooLarge: the document, or all of the case.
            InvalidInput: it is of another type, damaged, or no document.
        """
        kind = self._judged(caller, number, code, data)

        def act(session: Session, at: datetime) -> dict[str, Any]:
            case = self.desk.open_case(session, caller, number)
            choice.check_version(case, version)
            _check_may_put(caller, case)
            # Where nobody's own words are kept, a file is called as its document is.
            wordless = self.desk.definitions.of(session, case).own_words == "none"
            if wordless:
                self._check_needed(session, caller, case, code, at)
            called = code if wordless else name
            made, digest = files.put(
                session, self.desk.office.vault, case, code, kind, called, data, caller.actor, at
            )
            case.version += 1
            case.changed_at = max(at, case.changed_at)
            case_store.save(session, case)
            told: dict[str, JSON] = {
                "code": code,
                "document": made.version,
                "type": kind,
                "size": made.size,
                "sha256": digest,
            }
            step: dict[str, JSON] = {"from": case.state, "to": case.state, "version": case.version}
            audit.record(
                session, chain=case.context, actor=caller.actor, action="document", details={**step, **told}
            )
            # The name is not in it: the answer is kept for repetitions, and a name may be a person's.
            return {
                "case": case.number,
                "case_version": case.version,
                "code": code,
                "version": made.version,
                "type": kind,
                "size": made.size,
            }

        request = {
            "code": code,
            "name": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "version": version,
        }
        return self.desk.once(caller, key, "document", number, request, act)

    def get(self, caller: Caller, number: str, code: str, version: int | None = None) -> tuple[bytes, str]:
        """A document and its media type; to be sent so that no browser runs it.

        Args:
            version: of the document; the present one without.

        Raises:
            NotFound: there is no such case for this caller, or no such document, or it is erased, or it is
                none that a party sees.
        """
        with self.desk.database.transaction() as session:
            case = self.desk.read_case(session, caller, number)
            if self.desk.only_asked(session, caller, case):
                _check_shown(self.desk.definitions.of(session, case), case, code)
            return files.content(session, self.desk.office.vault, case, code, version)

    def list(self, caller: Caller, number: str) -> list[dict[str, Any]]:
        """The checklist of a case: what is needed, what is there, as `checklist.told`, and the files' names.

        A party has of it what the definition shows to parties, without names.

        Raises:
            NotFound: there is no such case for this caller.
        """
        with self.desk.database.transaction() as session:
            case = self.desk.read_case(session, caller, number)
            work = self.desk.engine.work(session, case, caller, self.desk.clock())
            party = self.desk.only_asked(session, caller, case)
            items = files.listed(session, work.service, case, self.desk.office.vault, for_party=party)
            return checklist.told(work, items)

    def _check_needed(self, session: Session, caller: Caller, case: Case, code: str, at: datetime) -> None:
        # What no step will read may be anything that somebody wants to say.
        if code not in checklist.needed(self.desk.engine.work(session, case, caller, at)):
            raise Conflict(
                f"The case {case.number} takes no such document as it stands.",
                remedy="Its checklist says which documents are needed.",
                message_ar=f"لا تحتاج المعاملة {case.number} إلى هذا المستند في حالتها هذه، فلا يُقبل.",
            )

    def _judged(self, caller: Caller, number: str, code: str, data: bytes) -> MediaType:
        # Between two transactions: a large file takes a while, and holds nothing meanwhile.
        with self.desk.database.transaction() as session:
            case = self.desk.read_case(session, caller, number)
            service = self.desk.definitions.of(session, case)
            if self.desk.only_asked(session, caller, case):
                raise _waits_elsewhere(case)
        return files.check(files.requirement(service, service.procedures[case.procedure], code), data)


def _check_may_put(caller: Caller, case: Case) -> None:
    if case.closed_at is not None:
        raise Conflict(
            f"The case {case.number} is closed; it takes no documents.",
            message_ar=f"المعاملة {case.number} منتهية ولا تقبل مستندات.",
        )
    if caller.actor != case.centre and not works_on(caller.actor, caller.roles, caller.places, case):
        raise _waits_elsewhere(case)


def _waits_elsewhere(case: Case) -> PermissionDenied:
    return PermissionDenied(
        f"The case {case.number} waits for another desk.",
        remedy="Its centre hands in documents, or whoever of the municipality can act on it now.",
        message_ar=f"المعاملة {case.number} عند جهة أخرى؛ يضيف المستندات مركزها أو من هي عنده في الأمانة.",
    )


def _check_shown(service: Service, case: Case, code: str) -> None:
    asked = files.checklist(service, service.procedures[case.procedure])
    if not any(each.parties for each in asked if each.code == code):
        raise NotFound(
            f"The case {case.number} has no such document for a party.",
            message_ar="لا يوجد في المعاملة مستند بهذا الاسم تطّلع عليه جهة التنسيق.",
        )
