"""Rules of test services: what keeps a test from anybody and anything that is real.

A test service has numbers of its own, is offered at centres alone, and all that is done with its cases is
done by the centre, by itself or by the clock: no officer sees one, no back-end and no party is asked, nobody
is sent a message, and its licences hang on no other. What cases and licences of tests are kept from besides
goes by their numbers (`integrations.cases.numbers.is_test`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from foundation.identity import Role
from integrations.cases.explore import Fault, Place
from integrations.cases.numbers import TEST_SERIES

if TYPE_CHECKING:
    from integrations.service import Service


def broken_tests(service: "Service") -> Iterator[Fault]:
    """Every fault of a test service; of a real one, that it looks like a test."""
    for name, prefix in (("case", service.numbers.case), ("licence", service.numbers.licence)):
        if prefix.startswith(TEST_SERIES) != service.is_test:
            yield (
                ("numbers", name),
                f"a test service's prefixes begin with {TEST_SERIES}, and no other's do",
            )
    if not service.is_test:
        return
    kept: tuple[tuple[Place, bool, str], ...] = (
        (("parent",), service.parent is not None, "hangs on no licence"),
        (("checks",), bool(service.checks), "asks no back-end and no party"),
        (("roles",), bool(service.roles), "has no roles of its own"),
        (("applicant", "notices"), service.applicant.notices, "sends nobody messages: notices is false"),
    )
    for place, broken, says in kept:
        if broken:
            yield place, f"a test service {says}"
    for name, procedure in service.procedures.items():
        here: Place = ("procedures", name)
        if procedure.initiator == "office":
            yield (*here, "initiator"), "no office begins anything of a test service"
        elif procedure.channels != ("centre",):
            yield (*here, "channels"), "a test service is offered at centres alone"
        if procedure.capacities not in (("owner",), ()):
            yield (*here, "capacities"), "a delegation is of real people: of a test service the owner applies"
    yield from _flows(service)


def _flows(service: "Service") -> Iterator[Fault]:
    for name, flow in service.flows.items():
        for index, action in enumerate(flow.actions):
            if set(action.roles) - {Role.CENTRE}:
                place: Place = ("flows", name, "actions", index, "roles")
                yield (
                    place,
                    "all that is done with a test is done by the centre: its action has no other role",
                )
        for state, each in flow.states.items():
            if each.deadline is not None and each.deadline.escalate is not None:
                yield (
                    ("flows", name, "states", state, "deadline"),
                    "nobody is shown a test: it has no escalate",
                )
