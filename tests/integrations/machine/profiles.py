"""How long the machine goes on, and where it is led."""

from hypothesis import HealthCheck, Phase, settings

from tests.integrations.machine.office import Office

PROFILES = {"suite": (24, 30), "long": (300, 60)}
"""Lives, and steps of each at most; `RAKEEZA_MACHINES` names the one of a test run."""


def profile(lives: int, steps: int) -> settings:
    """How long to go on.

    Args:
        lives: how many.
        steps: of each, at most.
    """
    return settings(
        max_examples=lives,
        stateful_step_count=steps,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


Edge = tuple[str, str, str, str]


def edges(office: Office) -> tuple[Edge, ...]:
    """Every step that a case can take."""
    return tuple((terms.code, *edge) for terms in office.terms.values() for edge in terms.edges())
