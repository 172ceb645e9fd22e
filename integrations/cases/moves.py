"""Moves: what an action does to a case, and what follows by itself. It knows no service and no caller.

An action's effect, the new state, what is forgotten, asked and told, the journal entry and the event are one
step. Automatic actions follow at once, each as a step of its own. All is written at the end, in one statement
of each kind.
"""

from collections.abc import Callable, Mapping

from foundation import audit
from foundation.chain import JSON
from foundation.identity import Caller
from integrations.cases import (
    answers,
    bars,
    case_store,
    choice,
    deadlines,
    journal,
    notices,
    opening,
    owed_back,
    periods,
)
from integrations.cases.case import Work
from integrations.cases.definitions import Definitions
from integrations.centres import share
from integrations.flow import Action, Effect
from integrations.municipality import Office

SYSTEM = Caller("engine", "system", frozenset())
"""Who takes automatic actions."""
CLOCK = Caller("clock", "system", frozenset())
"""Who takes timed actions, and answers for who is silent."""

Effects = Mapping[Effect, Callable[[Work], Mapping[str, JSON]]]


class Moves:
    """Moves cases that are locked.

    Args:
        definitions: of services, those of today and those that cases keep.
        office: who issues.
        effects: what each effect does to a case, and what the journal says of it.
    """

    def __init__(self, definitions: Definitions, office: Office, effects: Effects) -> None:
        self._definitions = definitions
        self._office = office
        self._effects = effects

    def step(self, work: Work, action: Action, did: Mapping[str, JSON]) -> None:
        """Let an action move a case.

        Args:
            did: what the journal says of it already; `application` if it changed the form.

        Raises:
            Conflict: its effect is not allowed, or something stands in its way.
        """
        before, edited = work.case.state, "application" in did
        bars.check_before(work, action)
        if action.effect is not None:
            did = {**did, **self._effects[action.effect](work)}
        if action.effect == "fulfil" and work.case.clerk is not None:
            did = {**did, **share.accrue(work)}
        did = {**did, **deadlines.turn_ended(work, action)}
        stayed = self._stayed(work) if action.to != before else {}
        did = {**did, **self.enter(work, action, edited)}
        if work.case.closed_at is not None and action.effect != "fulfil":
            did = {**did, **owed_back.end_unfulfilled(work)}
        journal.moved(work, action.name, before, did, stayed)
        self.ask(work, action, asks=before != action.to or edited)

    def enter(self, work: Work, action: Action, edited: bool = False) -> dict[str, JSON]:
        """Let a case stand where an action leads; in another state, or with another form, all is asked anew.

        Args:
            edited: the form was changed.

        Returns:
            What the journal says of answers and periods.
        """
        case, moved = work.case, work.case.state != action.to
        case.state = action.to
        case.version += 1
        case.done = case.done if action.name in case.done else [*case.done, action.name]
        case.changed_at = work.at
        if moved:
            self._arrive(work)
        if moved or edited:
            answers.forget(work)
        did = answers.give(work, action)
        if moved or edited:
            did |= periods.begin(work)
        elif action.extends is not None:
            did |= periods.extend(work, action.extends)
        escalated = case.escalated
        if moved:
            deadlines.begin(work)
        else:
            deadlines.prolong(work)
        if moved or escalated != case.escalated:
            final = work.flow.states[case.state].final
            case.desk = None if final else opening.desk_of(work)
        return did

    def ask(self, work: Work, action: Action, *, asks: bool = True) -> None:
        """Ask what the state that an action led to asks, and tell the applicant of it.

        Args:
            asks: not in the state that the case stood in already, unless its form was changed.
        """
        if asks:
            answers.ask(work)
        if self._office.notices and work.service.applicant.notices:
            notices.tell(work, action)

    def follow(self, work: Work) -> None:
        """Take the automatic actions that a case allows, until none is left."""
        # A definition whose automatic actions never come to rest was refused at load.
        automatic = [action for action in work.flow.actions if action.automatic]
        work.caller, work.comment, work.paid = SYSTEM, None, None
        while following := choice.possible(work, automatic):
            self.step(work, following[0], {})

    def act_in_time(self, work: Work) -> None:
        """Let the clock act on a case whose time has come: by what silence says, or by its deadline.

        Whether it has passed is reckoned anew, by the closures as they are known now: no deadline runs out
        while our platform is known to be down, or before a closure that was just noted has moved it.
        """
        case = work.case
        silent, passed = deadlines.over(work)
        if not silent and not passed:
            deadlines.put_off(work, self._definitions)
            return
        version = case.version
        for name in silent:
            answers.deem(work, name)
        if silent:
            self.follow(work)
        if passed and case.version == version:
            work.caller = CLOCK
            self._pass(work)
        deadlines.set_clock(case)

    def write(self, work: Work, changed: bool = True) -> None:
        """Write all that a work did.

        Args:
            changed: the case too.
        """
        session = work.session
        if changed:
            case_store.save(session, work.case)
        audit.record_all(session, chain=work.case.context, entries=work.entries, events=work.events)
        self._office.jobs.enqueue_all(session, work.jobs)

    def _pass(self, work: Work) -> None:
        deadline = work.flow.states[work.case.state].deadline
        assert deadline is not None, "a deadline that passed is there"
        timed = [each for each in work.flow.actions if each.timed and each.name == deadline.then]
        able = choice.possible(work, timed)
        if able:
            self.step(work, able[0], {})
            self.follow(work)
            return
        case = work.case
        case.escalated = True
        case.changed_at = work.at
        case.desk = opening.desk_of(work)
        said: dict[str, JSON] = {"state": case.state, "role": deadline.escalate}
        journal.noted(work, "escalated", journal.ESCALATED, said)

    def _arrive(self, work: Work) -> None:
        case = work.case
        case.entered_at, case.escalated, case.assignee = work.at, False, None
        case.closed_at = work.at if work.flow.states[case.state].final else None

    def _stayed(self, work: Work) -> dict[str, int]:
        # How long it was in its state.
        case = work.case
        time = self._office.working_time(work.session, case.place)
        stayed = int((work.at - case.entered_at).total_seconds())
        return {"stayed_s": stayed, "working_s": time.working_seconds(case.entered_at, work.at)}
