"""Who sees a case, and how much of it: parties that answer a check see the work, and nothing of a person."""

from foundation.identity import Caller, Role
from integrations.cases.case import Case
from integrations.flow import Flow
from integrations.service import Service

SEE_THEIR_OWN = frozenset({Role.CENTRE, Role.PAYMENT, Role.KIOSK})
"""Roles that see what they did themselves: a centre its own cases, a bank and a terminal none by it."""
_SEES_ALL = frozenset({Role.AUDITOR})


def sees_all(caller: Caller) -> bool:
    """Whether a caller may see every case."""
    return caller.kind == "system" or bool(caller.roles & _SEES_ALL)


def acting(flow: Flow) -> frozenset[str]:
    """Roles that act in a flow, or that its cases are escalated to."""
    roles = {role for action in flow.actions for role in action.roles}
    deadlines = [state.deadline for state in flow.states.values() if state.deadline is not None]
    return frozenset(roles | {each.escalate for each in deadlines if each.escalate is not None})


def is_only_asked(service: Service, case: Case, caller: Caller) -> bool:
    """Whether whoever may see a case sees it for no other reason than a check that its role is asked.

    Whoever has a role of the municipality besides, one that acts in the case, sees it whole; a role that has
    nothing to do with the case opens nothing.
    """
    if sees_all(caller) or caller.actor == case.centre:
        return False
    theirs = caller.roles & acting(service.flow_of(case.procedure))
    return theirs - SEE_THEIR_OWN <= service.parties
