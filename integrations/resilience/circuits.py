"""What the platform is told of the circuits of all back-ends: an event for each change.

Each process has circuits of its own, and tries a back-end with a question of its own; the platform knows the
last that any of them told, and that a back-end answers again when it answers any.
"""

import logging
import os
import socket

from foundation.database import Database
from foundation.errors import RakeezaError
from foundation.events import publish
from integrations.resilience.breaker import Turn
from integrations.resilience.look_ups import CIRCUIT, turned

_log = logging.getLogger(__name__)


class CircuitNews:
    """Tells the platform of each change.

    Args:
        database: migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def tell(self, turn: Turn) -> None:
        """Publish it and log it; a circuit works on if the database is away."""
        if turn.state == "open":
            _log.warning(
                "The back-end %s is left alone for %.0f s: %s.", turn.backend, turn.seconds, turn.reason
            )
        elif turn.state == "closed":
            _log.warning("The back-end %s answers again.", turn.backend)
        try:
            with self._database.transaction() as session:
                if turned(session, turn.backend, turn.state):
                    publish(session, CIRCUIT, f"backend/{turn.backend}", _payload(turn))
        except RakeezaError as error:
            _log.warning("That the circuit of %s is %s is not told: %s", turn.backend, turn.state, error)


def _payload(turn: Turn) -> dict[str, str | float]:
    return {
        "backend": turn.backend,
        "state": turn.state,
        "reason": turn.reason,
        "seconds": turn.seconds,
        "process": f"{socket.gethostname()}:{os.getpid()}",
    }
