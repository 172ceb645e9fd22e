"""Plays and their notices for Prometheus, read from the database as it is asked.

| metric | what |
|---|---|
| `rakeeza_play_runs_total{playbook, state}` | runs that came to their end, but for those with --check |
| `rakeeza_play_last_success_timestamp_seconds{playbook}` | when the last successful run ended |
| `rakeeza_play_last_success_duration_seconds{playbook}` | how long it took from its begin |
| `rakeeza_play_runs_under_way{state}` | runs that have not come to their end |
| `rakeeza_play_runs_waiting{reason}` | of them those that may not begin yet |
| `rakeeza_notices_waiting{channel}` | notices that nobody has taken yet |
| `rakeeza_notices_failed_total{channel}` | notices that were given up |
| `rakeeza_play_metrics_readable` | 1, or 0 where the database did not answer and all others are missing |
"""

import logging
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import RakeezaError
from foundation.notices import counts
from infra.plays.records import TO_BEGIN, UNDER_WAY

_log = logging.getLogger(__name__)

REASONS = ("device", "turn", "site", "window", "moment")
"""Why a run waits, as its record has it."""

_ENDED = text(
    """
    SELECT playbook, state, count(*) AS runs FROM play_run
    WHERE finished_at IS NOT NULL AND NOT check_mode GROUP BY playbook, state
    """
)
_LAST = text(
    """
    SELECT name.playbook, extract(epoch FROM last.finished_at)::float8 AS ended,
        extract(epoch FROM last.finished_at - started.at)::float8 AS took
    FROM unnest(CAST(:playbooks AS text[])) AS name (playbook)
    CROSS JOIN LATERAL (
        SELECT id, finished_at FROM play_run
        WHERE playbook = name.playbook AND state = 'successful' AND NOT check_mode AND finished_at IS NOT NULL
        ORDER BY id DESC LIMIT 1
    ) AS last
    LEFT JOIN event AS started ON started.subject = 'play/' || last.id AND started.kind = 'play.started'
    """
)
_UNDER_WAY = text(
    "SELECT state, waits_for, count(*) AS runs FROM play_run WHERE state = ANY(:states) "
    "GROUP BY state, waits_for"
)


class PlayCollector(Collector):
    """The metrics of plays; without samples but one while the database does not answer.

    Args:
        database: migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterable[Metric]:
        """The families without samples: what is registered must not wait for the database."""
        return [*_Families().all(), _readable()]

    def collect(self) -> Iterable[Metric]:
        """The families as of now, and whether they could be read."""
        families, readable = _Families(), _readable()
        try:
            with self._database.transaction() as session:
                families.read(session)
        except RakeezaError as error:
            _log.warning("The metrics of plays are not known now: %s", error)
            families = _Families()
            readable.add_metric([], 0)
        else:
            readable.add_metric([], 1)
        return [*families.all(), readable]


class _Families:
    def __init__(self) -> None:
        self.runs = CounterMetricFamily(
            "rakeeza_play_runs",
            "Runs of a playbook that came to their end, by the state they ended in; not those with --check.",
            labels=["playbook", "state"],
        )
        self.success = GaugeMetricFamily(
            "rakeeza_play_last_success_timestamp_seconds",
            "When the last successful run of a playbook ended, in seconds since 1970.",
            labels=["playbook"],
        )
        self.duration = GaugeMetricFamily(
            "rakeeza_play_last_success_duration_seconds",
            "How long the last successful run of a playbook took from its begin, in seconds.",
            labels=["playbook"],
        )
        self.under_way = GaugeMetricFamily(
            "rakeeza_play_runs_under_way", "Runs that have not come to their end, by state.", labels=["state"]
        )
        self.waiting = GaugeMetricFamily(
            "rakeeza_play_runs_waiting",
            "Runs that may not begin yet, by what they wait for.",
            labels=["reason"],
        )
        self.notices = GaugeMetricFamily(
            "rakeeza_notices_waiting", "Notices that nobody has taken yet, by channel.", labels=["channel"]
        )
        self.lost = CounterMetricFamily(
            "rakeeza_notices_failed", "Notices that were given up, by channel.", labels=["channel"]
        )

    def all(self) -> list[Metric]:
        return [
            self.runs,
            self.success,
            self.duration,
            self.under_way,
            self.waiting,
            self.notices,
            self.lost,
        ]

    def read(self, session: Session) -> None:
        playbooks = set()
        for row in session.execute(_ENDED):
            playbooks.add(row.playbook)
            self.runs.add_metric([row.playbook, row.state], row.runs)
        for row in session.execute(_LAST, {"playbooks": sorted(playbooks)}):
            self.success.add_metric([row.playbook], row.ended)
            if row.took is not None:
                self.duration.add_metric([row.playbook], row.took)
        states = dict.fromkeys(UNDER_WAY, 0)
        reasons = dict.fromkeys(REASONS, 0)
        for row in session.execute(_UNDER_WAY, {"states": list(UNDER_WAY)}):
            states[row.state] += row.runs
            if row.waits_for is not None and row.state in TO_BEGIN:
                reasons[row.waits_for] = reasons.get(row.waits_for, 0) + row.runs
        for state, runs in states.items():
            self.under_way.add_metric([state], runs)
        for reason, runs in reasons.items():
            self.waiting.add_metric([reason], runs)
        for count in counts(session):
            self.notices.add_metric([count.channel], count.waiting)
            self.lost.add_metric([count.channel], count.failed)


def _readable() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "rakeeza_play_metrics_readable",
        "Whether the metrics of plays could be read from the database: 1 if so, 0 if they are missing now.",
    )
