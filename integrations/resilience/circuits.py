"""The circuits of all back-ends: an event for each change, and a metric of how they stand.

Each process has circuits of its own; the platform knows the last that any of them told.
"""

import logging
import os
import socket
from collections.abc import Iterable, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import RakeezaError
from foundation.events import publish
from integrations.resilience.breaker import State, Turn

CIRCUIT = "backend.circuit"
"""A back-end's circuit opened, half-opened or closed in a process. Payload: backend, state, reason, seconds,
process."""

NUMBERS: dict[State, int] = {"closed": 1, "half_open": 2, "open": 3}

_log = logging.getLogger(__name__)

_LAST = text(
    """
    SELECT payload ->> 'state' FROM event WHERE subject = :subject AND kind = :kind
    ORDER BY transaction DESC, id DESC LIMIT 1
    """
)


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
        try:
            with self._database.transaction() as session:
                # The first answer in a process is news only if another process, since gone, left it open.
                known = last_state(session, turn.backend) or "closed"
                if known == turn.state == "closed":
                    return
                publish(session, CIRCUIT, _subject(turn.backend), _payload(turn))
        except RakeezaError as error:
            _log.warning("That the circuit of %s is %s is not told: %s", turn.backend, turn.state, error)
            return
        if turn.state == "closed":
            _log.warning("The back-end %s answers again.", turn.backend)


class CircuitCollector(Collector):
    """The circuits for Prometheus.

    Args:
        database: migrated.
        backends: names in the settings.
    """

    def __init__(self, database: Database, backends: Sequence[str]) -> None:
        self._database = database
        self._backends = tuple(backends)

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The family without samples: what is registered must not wait for the database."""
        return [_family()]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The family as of now; without samples if the database does not answer."""
        try:
            return [self.read()]
        except RakeezaError as error:
            _log.warning("The circuits of the back-ends are not known now: %s", error)
            return [_family()]

    def read(self) -> GaugeMetricFamily:
        """The family as of now.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        family = _family()
        if not self._backends:
            return family
        with self._database.transaction() as session:
            for backend in self._backends:
                family.add_metric([backend], NUMBERS[last_state(session, backend) or "closed"])
        return family


def last_state(session: Session, backend: str) -> State | None:
    """How a back-end's circuit stands, as it was last told; None if nobody ever told of it."""
    told = session.execute(_LAST, {"subject": _subject(backend), "kind": CIRCUIT}).scalar_one_or_none()
    return told if told in NUMBERS else None


def _subject(backend: str) -> str:
    return f"backend/{backend}"


def _payload(turn: Turn) -> dict[str, str | float]:
    return {
        "backend": turn.backend,
        "state": turn.state,
        "reason": turn.reason,
        "seconds": turn.seconds,
        "process": f"{socket.gethostname()}:{os.getpid()}",
    }


def _family() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "rakeeza_backend_circuit_state",
        "Whether a back-end is asked, as a process last told: 1 closed (it is), 2 half_open (one question "
        "tries it), 3 open (it is left alone).",
        labels=["backend"],
    )
