"""Rules of a definition that no single field can hold: names that mean something, dates that join, roles."""

from typing import TYPE_CHECKING

from integrations.cases.explore import Fault

if TYPE_CHECKING:
    from integrations.service import Service


def broken_rules(service: "Service") -> list[Fault]:
    """Every fault of a definition, with its place.

    Returns:
        Nothing for a sound definition.
    """
    return [
        (("procedures", name, "flow"), f"{procedure.flow!r} is no flow")
        for name, procedure in service.procedures.items()
        if procedure.flow not in service.flows
    ]
