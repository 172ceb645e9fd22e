"""How the API and its cases fare, for Prometheus."""

import logging
import time
from collections.abc import Iterable, Sequence

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.database import Database
from foundation.errors import RakeezaError
from infra.plays.metrics import PlayCollector
from integrations.cases.stays import StayCollector
from integrations.centres.certificate_metrics import CertificateCollector
from integrations.resilience.look_ups import BackendCollector

_log = logging.getLogger(__name__)

PROCESS = CollectorRegistry()
"""Of this process, whichever applications it serves."""
ProcessCollector(registry=PROCESS)
_DURATION = Histogram(
    "rakeeza_http_request_duration_seconds",
    "Time until the answer to a request began, by route and status.",
    ["method", "route", "status"],
    registry=PROCESS,
)


class Measured:
    """Middleware that measures each request until its answer begins; a stream's length says nothing.

    Args:
        app: the application inside.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()

        async def measured(message: Message) -> None:
            if message["type"] == "http.response.start":
                # The route's pattern and not the path: a number in a label would make a series a licence.
                route = getattr(scope.get("route"), "path", "none")
                labels = (scope["method"], route, str(message["status"]))
                _DURATION.labels(*labels).observe(time.perf_counter() - started)
            await send(message)

        await self._app(scope, receive, measured)


class Cases(Collector):
    """What the database knows of cases; when it is away, a metric of its own says so and the others go on.

    Args:
        stays: how long cases stay in each state.
    """

    def __init__(self, stays: StayCollector) -> None:
        self._stays = stays

    def describe(self) -> Iterable[HistogramMetricFamily | GaugeMetricFamily]:
        """The families without samples: what is registered must not wait for the database."""
        return [*self._stays.describe(), _readable()]

    def collect(self) -> Iterable[HistogramMetricFamily | GaugeMetricFamily]:
        """The families as of now, and whether they could be read."""
        readable = _readable()
        try:
            found: Iterable[HistogramMetricFamily] = self._stays.read()
        except RakeezaError as error:
            _log.warning("The metrics of cases are not known now: %s", error)
            found = self._stays.describe()
            readable.add_metric([], 0)
        else:
            readable.add_metric([], 1)
        return [*found, readable]


def registries(database: Database, backends: Sequence[str] = ()) -> tuple[CollectorRegistry, ...]:
    """All that a platform's `/metrics` shows: what this process did, and what the database knows.

    Args:
        database: migrated.
        backends: names in the settings.
    """
    kept = CollectorRegistry()
    kept.register(Cases(StayCollector(database)))
    kept.register(BackendCollector(database, backends))
    kept.register(CertificateCollector(database))
    kept.register(PlayCollector(database))
    return PROCESS, kept


def router(database: Database, backends: Sequence[str] = ()) -> APIRouter:
    """The route that Prometheus scrapes.

    Args:
        database: migrated.
        backends: names in the settings.
    """
    routes = APIRouter()
    shown = registries(database, backends)

    @routes.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        told = b"".join(generate_latest(registry) for registry in shown)
        return Response(told, media_type=CONTENT_TYPE_LATEST)

    return routes


def _readable() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "rakeeza_case_metrics_readable",
        "Whether the metrics of cases could be read from the database: 1 if so, 0 if they are missing now.",
    )
