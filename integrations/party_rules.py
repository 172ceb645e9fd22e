"""Rules of checks that parties are asked: who answers them, how long they have, what their silence says."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from integrations.cases.explore import Fault, Place
from integrations.dated import broken_dates
from integrations.flow import Action, Flow, State

if TYPE_CHECKING:
    from integrations.service import Service


def broken_parties(service: "Service") -> Iterator[Fault]:
    """Every fault of the checks of parties, and of the actions and states that name them."""
    yield from _periods(service)
    for name, flow in service.flows.items():
        place: Place = ("flows", name)
        for index, action in enumerate(flow.actions):
            here = (*place, "actions", index)
            yield from _answers(service, flow, action, (*here, "answers"))
            yield from _extends(service, flow, action, (*here, "extends"))
        yield from _unanswered(service, flow, place)
        for state_name, state in flow.states.items():
            yield from _deadline(service, state, (*place, "states", state_name, "deadline", "periods"))


def _periods(service: "Service") -> Iterator[Fault]:
    for name, check in service.checks.items():
        place: Place = ("checks", name, "periods")
        periods = check.periods or ()
        for where, reason in broken_dates(periods, "a period"):
            yield (*place, *where), reason
        if periods and periods[-1].effective_until is not None:
            number = len(periods) - 1
            yield (
                (*place, number, "effective_until"),
                "the last period has no last day: who is asked after it would have none",
            )


def _answers(service: "Service", flow: Flow, action: Action, place: Place) -> Iterator[Fault]:
    asked = {check for state in flow.states.values() for check in state.checks}
    if action.answers and action.timed:
        yield place, "the clock answers for nobody; what silence says stands with the check"
    for name in action.answers or {}:
        here, party = (*place, name), service.checks[name].by
        if party is None:
            yield here, f"the check {name!r} is answered by a back-end, and by no action"
        elif name not in asked:
            yield here, f"no state of the flow asks the check {name!r}"
        elif strangers := [role for role in action.roles if role not in party]:
            yield here, f"the role {strangers[0]!r} is none of the party that {name!r} is asked of"


def _extends(service: "Service", flow: Flow, action: Action, place: Place) -> Iterator[Fault]:
    if action.extends is None:
        return
    if action.from_ != (action.to,) or action.taker != "role":
        yield place, "a period is extended by somebody, in the one state that the action leads from and to"
        return
    if action.edits:
        yield place, "a form that is changed is asked anew, and its periods begin anew with it"
    for index, name in enumerate(action.extends):
        here = (*place, index)
        if name not in flow.states[action.to].checks:
            yield here, f"the state {action.to!r} does not ask the check {name!r}"
        elif not any(period.extensions for period in service.checks[name].periods or ()):
            yield here, f"the check {name!r} has no period with extensions"


def _unanswered(service: "Service", flow: Flow, place: Place) -> Iterator[Fault]:
    given = {name for action in flow.actions if action.taker == "role" for name in action.answers or {}}
    for state_name, state in flow.states.items():
        for index, name in enumerate(state.checks):
            if service.checks[name].by is not None and name not in given:
                here = (*place, "states", state_name, "checks", index)
                yield here, f"no action lets the party answer the check {name!r}"


def _deadline(service: "Service", state: State, place: Place) -> Iterator[Fault]:
    if state.deadline is None or state.deadline.periods is None:
        return
    if not state.checks:
        yield place, "the state asks no party whose period it could last"
    for name in state.checks:
        if service.checks[name].periods is None:
            yield place, f"the check {name!r} has no period, and may be waited for without end"
