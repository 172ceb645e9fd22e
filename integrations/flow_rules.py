"""Rules of flows: who takes an action, how a case opens, what the clock does, what a check asks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from foundation.identity import Role
from integrations.cases.explore import Fault, Place
from integrations.flow import Action, Flow
from integrations.procedure import Procedure

if TYPE_CHECKING:
    from integrations.service import Service

_BUILT_IN = frozenset(role.value for role in Role)
_NOT_OFFICE = frozenset({Role.CENTRE, Role.KIOSK, Role.PAYMENT})
_ASKED_OF_APPLICANT = frozenset({"applicant.identifier", "applicant.kind"})


def broken_flows(service: "Service") -> Iterator[Fault]:
    """Every fault of the flows that needs no walk to be seen."""
    for name, flow in service.flows.items():
        place: Place = ("flows", name)
        for index, action in enumerate(flow.actions):
            here = (*place, "actions", index)
            yield from _taker(action, here)
            yield from _known_roles(service, action.roles, (*here, "roles"))
            yield from _clock(flow, action, here)
            yield from _words(service, action, here)
        yield from _names(flow, place)
        yield from _opening(flow, place)
        yield from _states(service, flow, place)
    for name, procedure in service.procedures.items():
        yield from _offered(service, name, procedure)
        yield from _edits(service, name, procedure)
        yield from _asks(service, name, procedure)
    for name, check in service.checks.items():
        yield from _known_roles(service, check.by or (), ("checks", name, "by"))
    yield from _own_roles(service)


def _taker(action: Action, place: Place) -> Iterator[Fault]:
    if action.automatic and action.timed:
        yield place, "an action is either automatic or timed"
    by_itself = "automatic" if action.automatic else "timed" if action.timed else None
    if by_itself is None:
        if not action.roles:
            yield place, f"the action {action.name!r} names no role and is neither automatic nor timed"
        return
    kind = f"an {by_itself}" if by_itself == "automatic" else f"a {by_itself}"
    if action.roles:
        yield (*place, "roles"), f"{kind} action has no roles"
    # When the clock acts and the condition does not hold, nobody asks it again.
    for key, says in (
        ("when", action.timed and action.when is not None),
        ("edits", bool(action.edits)),
        ("comment", action.comment == "required"),
        ("reasons", action.reasons is not None),
        ("complete", action.complete),
        ("four_eyes", action.four_eyes),
    ):
        if says:
            yield (*place, key), f"{kind} action is taken by nobody who could satisfy {key!r}"
    if action.effect == "settle":
        yield (*place, "effect"), "a bill is settled by a payment, never by itself"


def _known_roles(service: "Service", roles: tuple[str, ...], place: Place) -> Iterator[Fault]:
    for index, role in enumerate(roles):
        if role not in _BUILT_IN and role not in service.roles:
            yield (*place, index), f"{role!r} is no role; a service's own roles stand under roles"
        if role in roles[:index]:
            yield (*place, index), f"{role!r} stands twice"


def _clock(flow: Flow, action: Action, place: Place) -> Iterator[Fault]:
    if not action.timed:
        return
    for state_name in action.from_:
        deadline = flow.states[state_name].deadline
        if deadline is None or deadline.then != action.name:
            yield place, f"no deadline of the state {state_name!r} names the timed action {action.name!r}"


def _words(service: "Service", action: Action, place: Place) -> Iterator[Fault]:
    if action.reasons is not None and action.comment == "none":
        yield (*place, "reasons"), "where nothing may be said, no reason is chosen"
    if service.own_words == "none" and action.takes_own_words:
        reason = f"the service takes nobody's own words: {action.name!r} needs reasons, or comment: none"
        yield (*place, "comment"), reason


def _names(flow: Flow, place: Place) -> Iterator[Fault]:
    # One word may mean a step onwards from several states, as long as each state knows which.
    seen: set[tuple[str, str]] = set()
    for index, action in enumerate(flow.actions):
        for state_name in action.from_ or ("",):
            if (action.name, state_name) in seen:
                yield (*place, "actions", index, "name"), f"{action.name!r} stands twice from one state"
            seen.add((action.name, state_name))
        if action.to in action.from_ and action.automatic:
            yield (*place, "actions", index), "an automatic action that stays where it is never rests"


def _opening(flow: Flow, place: Place) -> Iterator[Fault]:
    openers = [index for index, action in enumerate(flow.actions) if not action.from_]
    if len(openers) != 1:
        where = openers[1:2]
        yield (*place, "actions", *where), "exactly one action opens a case: the one without from"
    for index in openers:
        action = flow.actions[index]
        plain = (
            not action.automatic
            and not action.timed
            and action.when is None
            and action.effect is None
            and not action.edits
            and not action.answers
            and not action.complete
            and not action.four_eyes
            and action.comment == "optional"
            and action.reasons is None
        )
        if not plain:
            yield (
                (*place, "actions", index),
                "the action that opens a case is taken by a role and has no condition, effect or edits, "
                "and asks for no comment, checklist or second person",
            )


def _states(service: "Service", flow: Flow, place: Place) -> Iterator[Fault]:
    if not any(state.final for state in flow.states.values()):
        yield (*place, "states"), "a flow has at least one final state"
    timed = {(action.name, state) for action in flow.actions if action.timed for state in action.from_}
    for name, state in flow.states.items():
        here = (*place, "states", name)
        if state.final:
            for key, says in (
                ("deadline", state.deadline is not None),
                ("checks", bool(state.checks)),
                ("applicant", state.applicant),
            ):
                if says:
                    yield (*here, key), f"the state {name!r} is final; nothing more happens in it"
        elif state.deadline is not None:
            then, escalate = state.deadline.then, state.deadline.escalate
            if then is not None and (then, name) not in timed:
                yield (
                    (*here, "deadline", "then"),
                    f"{then!r} is no timed action that leaves the state {name!r}",
                )
            if escalate is not None:
                for _, reason in _known_roles(service, (escalate,), here):
                    yield (*here, "deadline", "escalate"), reason


def _offered(service: "Service", name: str, procedure: Procedure) -> Iterator[Fault]:
    place: Place = ("procedures", name, "channels")
    opening = next((action for action in service.flows[procedure.flow].actions if not action.from_), None)
    roles = frozenset(opening.roles if opening is not None else ())
    reached = {
        "centre": Role.CENTRE in roles,
        "kiosk": Role.KIOSK in roles,
        "office": bool(roles - _NOT_OFFICE),
        # Who applies at the web site has a role of the service's own.
        "online": bool(roles - _BUILT_IN),
    }
    for index, channel in enumerate(procedure.channels):
        if not reached[channel]:
            yield (*place, index), f"no role that opens a case of {name!r} stands at the channel {channel!r}"


def _edits(service: "Service", name: str, procedure: Procedure) -> Iterator[Fault]:
    asked = service.form_of(name)
    for index, action in enumerate(service.flows[procedure.flow].actions):
        place: Place = ("flows", procedure.flow, "actions", index, "edits")
        if "*" in action.edits and len(action.edits) > 1:
            yield place, "'*' is all fields; it stands alone"
        for number, field in enumerate(action.edits):
            if field != "*" and field not in asked:
                yield (*place, number), f"{field!r} is no field that the procedure {name!r} asks for"


def _asks(service: "Service", name: str, procedure: Procedure) -> Iterator[Fault]:
    known = {*service.known_to(name), *_ASKED_OF_APPLICANT}
    checks = {check for state in service.flows[procedure.flow].states.values() for check in state.checks}
    for check in sorted(checks):
        for parameter, source in (service.checks[check].asks or {}).items():
            if source not in known:
                yield (
                    ("checks", check, "asks", parameter),
                    f"{source!r} is no field that the procedure {name!r} knows",
                )


def _own_roles(service: "Service") -> Iterator[Fault]:
    used = {role for flow in service.flows.values() for action in flow.actions for role in action.roles}
    used |= {
        state.deadline.escalate
        for flow in service.flows.values()
        for state in flow.states.values()
        if state.deadline is not None and state.deadline.escalate is not None
    }
    for role in service.roles:
        if role in _BUILT_IN:
            yield ("roles", role), f"{role!r} is a role of the platform and is not declared again"
        elif role not in used:
            yield ("roles", role), f"nothing is done by or shown to the role {role!r}"
