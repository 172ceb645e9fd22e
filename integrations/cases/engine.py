"""The engine: moves a case from state to state as its definition says. It knows no service.

One action is one step in the caller's transaction: the effect, the new state and version, the journal entry,
the event and the jobs stand or fall together. Automatic actions follow at once, each as a step of its own.
"""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from foundation.chain import JSON
from foundation.errors import Conflict, NotFound, Stale
from foundation.identity import Caller
from integrations.cases import fees, invoices, journal
from integrations.cases.application import Application, facts_of
from integrations.cases.case import Case, Invoice, Payment, Work
from integrations.cases.definitions import Definitions
from integrations.cases.numbers import next_number
from integrations.licences import licence
from integrations.municipality import Office
from integrations.service import Action, Effect, Service

SYSTEM = Caller("engine", "system", frozenset())
"""Who takes automatic actions."""

_EFFECTS: dict[Effect, Callable[[Work], Mapping[str, JSON]]] = {
    "quote": fees.make_quote,
    "invoice": invoices.open_invoice,
    "settle": invoices.settle,
    "issue": licence.issue,
}


class Engine:
    """Opens cases and takes their actions.

    Args:
        definitions: of services, those of today and those that cases keep.
        office: who issues.
    """

    def __init__(self, definitions: Definitions, office: Office) -> None:
        self._definitions = definitions
        self._office = office

    def open(
        self, session: Session, service: Service, caller: Caller, application: Application, at: datetime
    ) -> Case:
        """A new case, with what follows by itself.

        Raises:
            PermissionDenied: the caller has none of the roles that open a case of this service.
            InvalidInput: its licence could never be sealed.
        """
        opening = next(action for action in service.actions if not action.from_)
        caller.require(*opening.roles)
        self._definitions.keep(session, service, at)
        case = Case(
            service=service.code,
            definition=service.fingerprint,
            state="",
            version=0,
            centre=caller.actor,
            applicant=application.applicant,
            form=application.form,
            salt=secrets.token_bytes(16),
            done=[],
            submitted_at=at,
            changed_at=at,
        )
        work = Work(session, case, service, self._office, caller, at)
        licence.foresee(work)
        # Last before the first write: others who open a case wait for this number's transaction.
        case.number = next_number(session, service.numbers.case, work.day)
        session.add(case)
        self._step(work, opening, {"application": journal.digest(case)})
        self._follow(work)
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
    ) -> Case:
        """An action of a case, by its name or by its effect, with what follows by itself.

        Args:
            case: locked by this transaction (see `integrations.cases.case.locked`).
            version: the version the caller saw; another one now refuses the action.
            paid: the payment that causes it and its bill, where one does.

        Raises:
            NotFound: its service has no such action.
            PermissionDenied: the caller has none of the action's roles.
            Conflict: the case's state or form does not allow it.
            Stale: it was changed since the caller saw it.
        """
        service = self._definitions.of(session, case)
        if version is not None and version != case.version:
            raise Stale(
                f"The case {case.number} was changed: it is at version {case.version}, not {version}.",
                remedy="Read it again, then decide.",
                message_ar="تغيّرت المعاملة بعد قراءتك لها؛ اقرأها مرة أخرى ثم قرّر.",
            )
        action = _choose(service, case, caller, name, effect)
        work = Work(session, case, service, self._office, caller, at, paid)
        self._step(work, action, {})
        self._follow(work)
        return case

    def allows(self, session: Session, case: Case, effect: Effect) -> bool:
        """Whether the case's state and form allow an action with this effect, whoever takes it."""
        service = self._definitions.of(session, case)
        return any(action.effect == effect for action in _possible(service, case))

    def _step(self, work: Work, action: Action, did: Mapping[str, JSON]) -> None:
        case, before = work.case, work.case.state
        if action.effect is not None:
            did = {**did, **_EFFECTS[action.effect](work)}
        case.state = action.to
        case.version += 1
        case.done = [*case.done, action.name]
        case.changed_at = work.at
        journal.write(work.session, case, work.caller, action.name, before, did)

    def _follow(self, work: Work) -> None:
        # A definition whose automatic actions never come to rest was refused at load.
        automatic = Work(work.session, work.case, work.service, work.office, SYSTEM, work.at)
        while action := next((a for a in _possible(work.service, work.case) if a.automatic), None):
            self._step(automatic, action, {})


def _possible(service: Service, case: Case) -> list[Action]:
    facts = facts_of(service, case.form, frozenset(case.done))
    return [
        action
        for action in service.actions
        if case.state in action.from_ and (action.when is None or action.when.holds(facts))
    ]


def _choose(service: Service, case: Case, caller: Caller, name: str | None, effect: Effect | None) -> Action:
    wanted = name or effect
    named = [
        action
        for action in service.actions
        if action.from_ and not action.automatic and wanted == (action.name if name else action.effect)
    ]
    if not named:
        raise NotFound(
            f"The service {service.code} has no action {wanted!r}.",
            message_ar="ليس في هذه الخدمة إجراء بهذا الاسم.",
        )
    possible = [action for action in named if action in _possible(service, case)]
    # The role first: whoever may not act learns nothing of the state.
    caller.require(*(possible or named)[0].roles)
    if not possible:
        state = service.states[case.state].title
        raise Conflict(
            f"The case {case.number} is {state.en!r}, which does not allow {named[0].title.en!r}.",
            remedy="Read the case to see where it stands.",
            message_ar=f"المعاملة {case.number} في حالة «{state.ar}» ولا يمكن فيها «{named[0].title.ar}».",
        )
    return possible[0]
