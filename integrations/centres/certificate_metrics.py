"""When the certificates of centres end, as a metric: of several of one client the last one counts."""

import logging
from collections.abc import Iterable

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import RakeezaError

_log = logging.getLogger(__name__)

# One that has ended is told too: who forgot to renew it must not fall silent.
_ENDS = text(
    """
    SELECT client_id, extract(epoch FROM max(not_after)) AS ends FROM client_certificate
    WHERE revoked_at IS NULL AND not_before <= clock_timestamp() GROUP BY client_id ORDER BY client_id
    """
)


class CertificateCollector(Collector):
    """The ends of the certificates of API clients for Prometheus.

    Args:
        database: migrated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The family without samples: what is registered must not wait for the database."""
        return [_family()]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The family as of now; without samples if the database does not answer."""
        family = _family()
        try:
            with self._database.transaction() as session:
                for row in session.execute(_ENDS):
                    family.add_metric([row.client_id], float(row.ends))
        except RakeezaError as error:
            _log.warning("When certificates end is not known now: %s", error)
        return [family]


def _family() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "rakeeza_client_certificate_end_timestamp_seconds",
        "When the last certificate of an API client that is not revoked ends or has ended, in seconds since "
        "1970.",
        labels=["client_id"],
    )
