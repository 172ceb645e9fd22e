"""How each back-end fares, counted by every process into the database, and shown as metrics.

Tables: `backend_look_up`, the questions by how they ended and how long they took; `backend_standing`, one row
a back-end: when it last answered anybody and since when it answers nobody. A worker has no page that could be
scraped, and there may be several; so they count here, and any process tells.
"""

import logging
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import RakeezaError
from foundation.events import publish
from integrations.resilience.breaker import ALIVE, State

CIRCUIT = "backend.circuit"
"""A back-end's circuit opened, half-opened or closed in a process. Payload: backend, state, reason, seconds,
process."""

BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper bounds of the buckets of time, in seconds; one more bucket has none."""
NUMBERS: dict[State, int] = {"closed": 1, "half_open": 2, "open": 3}

_ANSWERED = frozenset({"answered", "rejected", *ALIVE})
# In these nobody was asked.
_NOT_ASKED = frozenset({"busy", "circuit_open", "kept", "not_sent"})

_log = logging.getLogger(__name__)

# A count is worth no wait for the disk: of the last moment before a fall some may be lost.
_HURRY = text("SET LOCAL synchronous_commit = off")
_COUNT = text(
    """
    INSERT INTO backend_look_up AS known (backend, outcome, count, seconds, buckets)
    VALUES (:backend, :outcome, 1, :seconds, CAST(:buckets AS bigint[]))
    ON CONFLICT (backend, outcome) DO UPDATE
    SET count = known.count + 1, seconds = known.seconds + excluded.seconds,
        buckets[CAST(:slot AS integer)] = known.buckets[CAST(:slot AS integer)] + 1
    """
)
# Not each of many answers in a second is written down.
_GOOD = text(
    """
    INSERT INTO backend_standing AS known (backend, answered_at) VALUES (:backend, :at)
    ON CONFLICT (backend) DO UPDATE
    SET answered_at = excluded.answered_at, unanswered_since = NULL, reason = NULL
    WHERE known.unanswered_since IS NOT NULL OR known.answered_at IS NULL
       OR known.answered_at < excluded.answered_at - interval '5 seconds'
    """
)
_BAD = text(
    """
    INSERT INTO backend_standing AS known (backend, unanswered_since, reason) VALUES (:backend, :at, :reason)
    ON CONFLICT (backend) DO UPDATE SET reason = excluded.reason,
        unanswered_since = COALESCE(known.unanswered_since, excluded.unanswered_since)
    """
)
# Also where the process whose circuit it was is gone, or asks no more.
_CLOSE = text(
    "UPDATE backend_standing SET circuit = 'closed' WHERE backend = :backend AND circuit <> 'closed' "
    "RETURNING backend"
)
_TURN = text(
    """
    INSERT INTO backend_standing AS known (backend, circuit) VALUES (:backend, :circuit)
    ON CONFLICT (backend) DO UPDATE SET circuit = excluded.circuit WHERE known.circuit <> excluded.circuit
    RETURNING backend
    """
)
# By the two indices of calls that are not over: a few, however many there were.
_STANDINGS = text(
    """
    SELECT named.backend, COALESCE(stands.circuit, 'closed'), stands.answered_at, stands.unanswered_since,
           stands.reason, COALESCE(calls.waiting, 0), COALESCE(calls.parked, 0)
    FROM unnest(CAST(:backends AS text[])) AS named (backend)
    LEFT JOIN backend_standing AS stands USING (backend)
    LEFT JOIN (
        SELECT backend, count(*) FILTER (WHERE state = 'waiting') AS waiting,
               count(*) FILTER (WHERE state = 'parked') AS parked
        FROM (SELECT backend, state FROM case_call WHERE state = 'waiting'
              UNION ALL SELECT backend, state FROM case_call WHERE state = 'parked') AS undone
        GROUP BY backend
    ) AS calls USING (backend)
    ORDER BY named.backend
    """
)
_LOOK_UPS = text(
    "SELECT backend, outcome, seconds, buckets FROM backend_look_up "
    "WHERE backend = ANY(:backends) ORDER BY backend, outcome"
)


@dataclass(frozen=True)
class LookUp:
    """How a question fared.

    Args:
        backend: its name in the settings.
        outcome: "answered", "kept", "rejected", "not_sent" of one that was rejected here, or the reason of no
            answer; one word of a few.
        seconds: that it took.
    """

    backend: str
    outcome: str
    seconds: float


@dataclass(frozen=True)
class Standing:
    """How a back-end stands.

    Args:
        circuit: as a process last told.
        answered_at: when it last answered, whatever; None if it never did.
        unanswered_since: when the first question ended without an answer, of those since which nobody had
            one; None while it answers.
        reason: of the last of these, in one word.
        waiting: calls of cases that will ask it by themselves.
        parked: calls of cases that were given up for now.
    """

    backend: str
    circuit: State
    answered_at: datetime | None
    unanswered_since: datetime | None
    reason: str | None
    waiting: int
    parked: int


class LookUps:
    """Counts questions, and notes who answers. A count that cannot be written down harms no question.

    Args:
        database: migrated.
        clock: the present moment, aware.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def note(self, look_up: LookUp) -> None:
        """Count a question."""
        slot = bisect_left(BOUNDS, look_up.seconds)
        counted = {
            "backend": look_up.backend,
            "outcome": look_up.outcome,
            "seconds": look_up.seconds,
            "slot": slot + 1,
            "buckets": [int(number == slot) for number in range(len(BOUNDS) + 1)],
        }
        try:
            with self._database.transaction() as session:
                session.execute(_HURRY)
                session.execute(_COUNT, counted)
                self._stand(session, look_up)
        except RakeezaError as error:
            _log.warning("A question to %s is not counted: %s", look_up.backend, error)

    def _stand(self, session: Session, look_up: LookUp) -> None:
        words = {"backend": look_up.backend, "at": self._clock(), "reason": look_up.outcome}
        if look_up.outcome in _ANSWERED:
            session.execute(_GOOD, words)
            if turned(session, look_up.backend, "closed"):
                told = {"backend": look_up.backend, "state": "closed", "reason": "", "seconds": 0.0}
                publish(session, CIRCUIT, f"backend/{look_up.backend}", {**told, "process": ""})
        elif look_up.outcome not in _NOT_ASKED:
            session.execute(_BAD, words)


class BackendCollector(Collector):
    """The back-ends for Prometheus.

    Args:
        database: migrated.
        backends: names in the settings.
    """

    def __init__(self, database: Database, backends: Sequence[str]) -> None:
        self._database = database
        self._backends = tuple(backends)

    def describe(self) -> Iterable[GaugeMetricFamily | HistogramMetricFamily]:
        """The families without samples: what is registered must not wait for the database."""
        return _families((), ())

    def collect(self) -> Iterable[GaugeMetricFamily | HistogramMetricFamily]:
        """The families as of now; without samples if the database does not answer."""
        try:
            return self.read()
        except RakeezaError as error:
            _log.warning("How the back-ends fare is not known now: %s", error)
            return self.describe()

    def read(self) -> Iterable[GaugeMetricFamily | HistogramMetricFamily]:
        """The families as of now.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        if not self._backends:
            return self.describe()
        with self._database.transaction() as session:
            rows = session.execute(_LOOK_UPS, {"backends": list(self._backends)}).all()
            return _families(standings(session, self._backends), rows)


def standings(session: Session, backends: Sequence[str]) -> list[Standing]:
    """How each of some back-ends stands, in the order of their names."""
    return [Standing(*row) for row in session.execute(_STANDINGS, {"backends": list(backends)})]


def turned(session: Session, backend: str, state: State) -> bool:
    """Note how a circuit turned; whether that is another state than was last told."""
    statement = _CLOSE if state == "closed" else _TURN
    words = {"backend": backend, "circuit": state}
    return session.execute(statement, words).one_or_none() is not None


def _families(
    stand: Sequence[Standing], look_ups: Sequence[Row[tuple[str, str, float, list[int]]]]
) -> tuple[GaugeMetricFamily | HistogramMetricFamily, ...]:
    circuit = GaugeMetricFamily(
        "rakeeza_backend_circuit_state",
        "Whether a back-end is asked, as a process last told: 1 closed (it is), 2 half_open (one question "
        "tries it), 3 open (it is left alone).",
        labels=["backend"],
    )
    unanswered = GaugeMetricFamily(
        "rakeeza_backend_unanswered_since_timestamp_seconds",
        "Since when a back-end answers nobody (Unix time); no sample of one that answers.",
        labels=["backend"],
    )
    answered = GaugeMetricFamily(
        "rakeeza_backend_answered_timestamp_seconds",
        "When a back-end last answered, to within five seconds (Unix time); no sample of one that never did.",
        labels=["backend"],
    )
    calls = GaugeMetricFamily(
        "rakeeza_backend_calls",
        "Calls of cases without an answer: waiting ask again by themselves, parked when the back-end answers "
        "again or a person says so.",
        labels=["backend", "state"],
    )
    took = HistogramMetricFamily(
        "rakeeza_backend_look_up_duration_seconds",
        "Time that a question took, by how it ended: answered, kept, rejected, not_sent, or why there is no "
        "answer.",
        labels=["backend", "outcome"],
    )
    for each in stand:
        circuit.add_metric([each.backend], NUMBERS[each.circuit])
        if each.unanswered_since is not None:
            unanswered.add_metric([each.backend], each.unanswered_since.timestamp())
        if each.answered_at is not None:
            answered.add_metric([each.backend], each.answered_at.timestamp())
        calls.add_metric([each.backend, "waiting"], each.waiting)
        calls.add_metric([each.backend, "parked"], each.parked)
    for row in look_ups:
        bounds = [*map(str, BOUNDS), "+Inf"]
        took.add_metric(
            [row.backend, row.outcome], list(zip(bounds, accumulate(row.buckets), strict=True)), row.seconds
        )
    return circuit, unanswered, answered, calls, took
