"""The engine: opens cases, takes actions, takes answers, lets the clock act. It knows no service.

An action is one transaction of the caller's: what it does, the new state and version, the journal entry, the
event and the jobs stand or fall together; see `integrations.cases.moves`.
"""

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from foundation.chain import JSON
from foundation.identity import Caller
from integrations.cases import (
    answers,
    authority,
    bars,
    case_store,
    choice,
    clock,
    comments,
    deadlines,
    files,
    invoices,
    journal,
    migration,
    opening,
    periods,
)
from integrations.cases.application import Application, Reader, split
from integrations.cases.case import Case, Work
from integrations.cases.definitions import Definitions
from integrations.cases.invoices import Invoice, Payment
from integrations.cases.moves import CLOCK, SYSTEM, Effects, Moves
from integrations.cases.numbers import is_test, next_number
from integrations.centres import rules
from integrations.flow import Action, Effect
from integrations.licences import admission, outcomes
from integrations.licences import licence as licences
from integrations.licences.licence import Licence
from integrations.municipality import Office
from integrations.service import Service

BACKENDS = Caller("backends", "system", frozenset())
"""Who answers questions."""


class Engine:
    """Opens cases and takes their actions.

    Args:
        definitions: of services, those of today and those that cases keep.
        office: who issues.
        effects: what each effect does to a case, and what the journal says of it.
        reader: of forms.
    """

    def __init__(self, definitions: Definitions, office: Office, effects: Effects, reader: Reader) -> None:
        self._definitions = definitions
        self._office = office
        self._reader = reader
        self._moves = Moves(definitions, office, effects)

    def open(
        self,
        session: Session,
        service: Service,
        procedure: str,
        caller: Caller,
        application: Application,
        at: datetime,
        licence: Licence | None = None,
        parent: Licence | None = None,
    ) -> Case:
        """A new case, with what follows by itself.

        Args:
            application: of this procedure; of the office's own procedures its form alone.
            licence: that it is about, locked.
            parent: that the licence it makes will hang on, locked.

        Raises:
            PermissionDenied: the caller may not open it, here, or the applicant may not act on the licence.
            Conflict: the licences do not allow it, such a case is open on the licence, or the centre's quota
                is used up.
            InvalidInput: its licence could never be sealed.
        """
        asked = service.procedures[procedure]
        first = service.flow_of(procedure).opening
        choice.check_opener(service, procedure, caller)
        self._definitions.keep(session, service, at)
        applicant = application.applicant or opening.holder(self._office, licence)
        case = opening.new_case(service, procedure, caller, application, at, licence, parent)
        case.subject = self._office.vault.subject(applicant["kind"], applicant["identifier"])
        case.clerk = rules.clerk_of(session, caller)
        work = Work(
            session, case, service, self._office, caller, at, applicant, application.private, licence, parent
        )
        if asked.initiator == "applicant":
            authority.check(session, self._office, application, service, procedure, work.day, licence)
        opening.refuse_second(work)
        admission.admit(work)
        bars.check_form(work, self._definitions)
        outcomes.foresee(work)
        if asked.promise is not None:
            time = self._office.working_time(session, case.place)
            case.promised_for = clock.ends(asked.promise, at, time)
        # Last before the first write: others who open a case wait for this number's transaction, and others
        # of the centre for its quota's.
        rules.count(session, caller, service.code)
        case.number = next_number(session, service.numbers.case, work.day)
        case.personal, digests = journal.sealed(self._office.vault, work)
        did = self._moves.enter(work, first)
        case_store.insert(session, case)
        rules.opened(session, caller, case.id, service.code, work.at)
        written = copy.copy(case)
        journal.moved(work, first.name, "", {"application": digests, **did}, {})
        self._moves.ask(work, first)
        self._moves.follow(work)
        self._moves.write(work, changed=case != written)
        return case

    def take(
        self,
        session: Session,
        case: Case,
        caller: Caller,
        at: datetime,
        *,
        name: str | None = None,
        effect: Effect | None = None,
        version: int | None = None,
        paid: tuple[Payment, Invoice] | None = None,
        comment: str | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> Case:
        """An action of a case, by its name or by its effect, with what follows by itself.

        Args:
            case: locked by this transaction (see `case_store.locked`).
            version: the version the caller saw; another one now refuses the action.
            paid: the payment that causes it and its bill, where one does.
            comment: why.
            form: fields changed with it.

        Raises:
            NotFound: its procedure has no such action.
            PermissionDenied: the caller has none of the action's roles, or opened the case himself.
            Conflict: the case's state, form, answers or documents do not allow it.
            Stale: it was changed since the caller saw it.
            InvalidInput: the comment is missing, or the changed form is wrong.
        """
        flow = self._definitions.of(session, case).flow_of(case.procedure)
        # The role first: whoever may not act learns nothing of the state.
        meant = choice.named(flow, caller, name, effect, is_test(case.number))
        choice.check_version(case, version)
        work = self.work(session, case, caller, at, lock=True)
        work.paid, work.comment = paid, comment
        action = choice.chosen(work, meant)
        choice.check_comment(action, comment)
        did = self._edit(work, action, form) if form else {}
        if action.complete:
            choice.check_complete(case, files.missing(work))
        if comment:
            vault, said = self._office.vault, choice.kept_of(action, comment)
            kept = comments.keep(session, vault, case, caller.actor, action.name, said, work.at)
            did = {**did, "comment": kept}
        self._moves.step(work, action, did)
        self._moves.follow(work)
        self._moves.write(work)
        return case

    def allows(self, session: Session, case: Case, effect: Effect) -> bool:
        """Whether the case's state and facts allow an action with this effect, whoever takes it."""
        flow = self._definitions.of(session, case).flow_of(case.procedure)
        here = [a for a in flow.actions if a.effect == effect and case.state in a.from_]
        if not any(action.when is not None for action in here):
            return bool(here)
        return bool(choice.possible(self.work(session, case, SYSTEM, case.changed_at), here))

    def work(self, session: Session, case: Case, caller: Caller, at: datetime, lock: bool = False) -> Work:
        """A case with all that it is judged on.

        Args:
            lock: also lock the licences it is about; the case is locked before.
        """
        vault = self._office.vault
        envelope = vault.open(case.personal, case.context) if case.personal is not None else {}
        # A clock that was set back must not make a case younger than its last change.
        return Work(
            session,
            case,
            self._definitions.of(session, case),
            self._office,
            caller,
            max(at, case.changed_at),
            envelope.get("applicant", {}),
            envelope.get("form", {}),
            _licence(session, case.licence_id, lock),
            _licence(session, case.parent_id, lock),
        )

    def answer(
        self,
        session: Session,
        case: Case,
        at: datetime,
        check: str,
        answer: Literal["passed", "failed"],
        detail: str | None = None,
    ) -> Case:
        """Write down what a back-end answered, with what follows by itself.

        Args:
            case: locked.
            detail: in the back-end's words; nothing of a person.
        """
        work = self.work(session, case, BACKENDS, at, lock=True)
        case.checks = {**case.checks, check: answer}
        case.changed_at = work.at
        said: dict[str, JSON] = {"check": check, "answer": answer}
        journal.noted(work, "answered", journal.ANSWERED, {**said, **({"detail": detail} if detail else {})})
        self._moves.follow(work)
        self._moves.write(work)
        return case

    def time_passed(self, session: Session, case: Case, at: datetime) -> Case:
        """Let the clock act on a case whose time has come, see `Moves.act_in_time`; on any other do nothing.

        Args:
            case: locked.
        """
        if case.timer_at is None or at < case.timer_at:
            return case
        work = self.work(session, case, CLOCK, at, lock=True)
        self._moves.act_in_time(work)
        self._moves.write(work)
        return case

    def migrate(
        self,
        session: Session,
        case: Case,
        new: Service,
        states: Mapping[str, str],
        caller: Caller,
        at: datetime,
    ) -> Case:
        """Let a case go on under another version of its definition; see `integrations.cases.migration`.

        Args:
            case: locked, and open.
            states: new name of each state that is called otherwise.

        Raises:
            Conflict: the new version does not know its procedure, its state or a field of its form.
        """
        work = self.work(session, case, caller, at, lock=True)
        before, old = case.state, case.definition
        state = migration.target(new, case, work.private, states)
        self._definitions.keep(session, new, work.at)
        work.service, case.definition, case.state = new, new.fingerprint, state
        case.version += 1
        case.changed_at = work.at
        did: dict[str, JSON] = {"definition": {"from": old, "to": new.fingerprint}}
        # What is personal now may not have been, and the other way round.
        form, private = split(new, work.whole_form)
        if private != work.private:
            case.form, work.private = form, private
            case.personal, digests = journal.sealed(self._office.vault, work)
            did["application"] = digests
        if not work.procedure.fees:
            did |= invoices.void_newest(work, ("open",))
        case.place = opening.place_of(new, case.form, work.licence)
        case.desk = opening.desk_of(work)
        did |= periods.go_on(work)
        deadlines.begin(work)
        journal.migrated(work, before, did)
        answers.ask(work, missing=True)
        self._moves.follow(work)
        self._moves.write(work)
        return case

    def _edit(self, work: Work, action: Action, form: Mapping[str, Any]) -> dict[str, JSON]:
        case = work.case
        read = self._reader.edited(work.service, case.procedure, action, work.whole_form, form)
        if (read.form, read.private) != (case.form, work.private):
            # What the newest quote says is of the form as it stood.
            case.quote_free = False
        case.form, work.private = read.form, read.private
        case.place = opening.place_of(work.service, case.form, work.licence)
        case.desk = opening.desk_of(work)
        bars.check_form(work, self._definitions)
        outcomes.foresee(work)
        case.personal, digests = journal.sealed(self._office.vault, work)
        return {"application": digests}


def _licence(session: Session, id: int | None, lock: bool) -> Licence | None:
    return licences.by_id(session, id, lock) if id is not None else None
