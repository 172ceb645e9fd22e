"""What the desks of licensing share: one transaction a write, once for each key, and who may see a case."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from foundation.calendar import today
from foundation.database import Database
from foundation.errors import RakeezaError, Unavailable
from foundation.idempotency import Answer, fingerprint, once
from foundation.identity import Caller
from integrations.cases import parties
from integrations.cases.case import Case
from integrations.cases.case_store import absent, find, locked
from integrations.cases.definitions import Definitions
from integrations.cases.engine import Engine
from integrations.centres import rules
from integrations.centres.refusals import REFUSALS
from integrations.municipality import Office
from integrations.service import Service

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Desk:
    """What every desk works with.

    Args:
        database: migrated.
        clock: the present moment, aware.
    """

    database: Database
    definitions: Definitions
    engine: Engine
    office: Office
    clock: Callable[[], datetime]

    def once(
        self,
        caller: Caller,
        key: str | None,
        command: str,
        record: str,
        request: Mapping[str, Any],
        act: Callable[[Session, datetime], dict[str, Any]],
        status: int = 201,
        in_shift: bool = True,
    ) -> Answer:
        """Do a write once for a key, in one transaction, which judges a centre by its contract first.

        Args:
            key: the caller's Idempotency-Key; a write without one is refused.
            command, record, request: what is asked, as the key remembers it.
            act: does it, and gives the answer's body.
            in_shift: False for what a centre's clerk does without an open shift.

        Raises:
            PermissionDenied, Conflict: as `rules.permit`; such a refusal is counted.
        """
        asked = self.office.vault.keyed(fingerprint(command, record, request))

        def acted(session: Session) -> Answer:
            at = self.clock()
            rules.keep_proof(session, caller, at)
            return Answer(status, act(session, at))

        def take(session: Session, words: Mapping[str, Any]) -> bool:
            return rules.permit(session, caller, self.clock(), words, in_shift=in_shift)

        try:
            with self.database.transaction() as session:
                if not rules.may_have_record(caller):
                    return once(session, caller, key, asked, lambda: acted(session))
                return once(session, caller, key, asked, lambda: acted(session), partial(take, session))
        except REFUSALS as refusal:
            self._note(caller, command, refusal)
            raise

    def _note(self, caller: Caller, command: str, refusal: RakeezaError) -> None:
        _log.warning("%s was refused %s: %s", caller.actor, command, refusal.message)
        try:
            with self.database.transaction() as session:
                rules.note_refusal(session, caller, refusal, self.clock())
        except Unavailable:
            # What is told to the caller stands, counted or not.
            _log.exception("The refusal of %s could not be counted.", caller.actor)

    def open_case(self, session: Session, caller: Caller, number: str) -> Case:
        """A case, locked, for a caller who may see it.

        Raises:
            NotFound: there is none, or the caller may not know of it.
        """
        return self._shown(session, caller, locked(session, number))

    def read_case(self, session: Session, caller: Caller, number: str) -> Case:
        """A case as it stands, for a caller who may see it. Raises as `open_case` does."""
        return self._shown(session, caller, find(session, number))

    def sees(self, session: Session, caller: Caller, case: Case) -> bool:
        """Whether a caller may see a case: its centre, and the roles of its flow within their places."""
        if self.sees_all(caller) or caller.actor == case.centre:
            return True
        service = self.definitions.of(session, case)
        within = not caller.places or case.place in caller.places
        return within and self.acts(service, case.procedure, caller)

    def sees_all(self, caller: Caller) -> bool:
        """Whether a caller may see every case."""
        return parties.sees_all(caller)

    def acts(self, service: Service, procedure: str, caller: Caller) -> bool:
        """Whether a caller has a role that acts in a procedure, or that its cases are escalated to."""
        return bool(caller.roles & (parties.acting(service.flow_of(procedure)) - parties.SEE_THEIR_OWN))

    def only_asked(self, session: Session, caller: Caller, case: Case) -> bool:
        """Whether a caller who sees a case is a party to its checks, and so sees nothing of a person."""
        return parties.is_only_asked(self.definitions.of(session, case), case, caller)

    def _shown(self, session: Session, caller: Caller, case: Case) -> Case:
        # Another centre's case does not exist for this one: a number counts up, and must tell nothing.
        if not self.sees(session, caller, case):
            raise absent(case.number)
        return case

    def today(self) -> date:
        """The date, in the kingdom's legal time."""
        return today(now=self.clock())
