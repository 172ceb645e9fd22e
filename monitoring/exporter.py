"""The collector's HTTP face for Prometheus: what to scrape, and the reading of one device.

    GET /targets        the devices that have an SNMP address, for Prometheus's HTTP service discovery
    GET /probe?target=  one reading of one device; only of devices that are assets
    GET /metrics        the collector's own metrics
    GET /healthz        whether it runs

A device that cannot be read is answered with a problem document and a status of 500 or above, so that
Prometheus's own `up` becomes 0: every rule and dashboard knows `up`, and a page of 200 with a metric of ours
saying "down" would keep `up` at 1 for a dead device. Why it could not be read stands in
`rakeeza_collector_poll_failures_total`.

Source: Prometheus, "Writing HTTP service discovery"; snmp_exporter for `/probe?target=`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from fastapi import FastAPI, Query, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from foundation.errors import RakeezaError, Unavailable
from foundation.http import create_app as create_http_app
from foundation.settings import Settings
from monitoring.catalogue import Catalogue, Plan
from monitoring.collectors.snmp import poll
from monitoring.exposition import CONTENT_TYPE, write
from monitoring.targets import Target, TargetSource

# Waiting for devices is nearly all that a poll does, so threads are many; the work in them is a few per cent.
_THREADS = 32
# What did not answer last time waits in a pool of its own: dead devices delay one another, nobody else.
_THREADS_FOR_THE_DEAD = 8

# What a device is changes when it is replaced or upgraded; a failed poll asks again at once.
_IDENTITY_LASTS_S = 3600.0

_Key = tuple[str, str | None]


class Collector:
    """Polls targets in threads, each at most once at a time.

    Args:
        catalogue: the device models.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._living = ThreadPoolExecutor(_THREADS, thread_name_prefix="poll")
        self._dead = ThreadPoolExecutor(_THREADS_FOR_THE_DEAD, thread_name_prefix="poll-dead")
        self._running: dict[_Key, asyncio.Task[str]] = {}
        self._silent: set[str] = set()
        self._plans: dict[Target, tuple[float, Plan]] = {}
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._polls = Counter("rakeeza_collector_polls_total", "Polls begun.", registry=self.registry)
        self._failures = Counter(
            "rakeeza_collector_poll_failures_total",
            "Polls that gave no reading, by device and reason.",
            ["target", "reason"],
            registry=self.registry,
        )
        self._shared = Counter(
            "rakeeza_collector_shared_polls_total",
            "Requests that were answered by a poll that another request had begun.",
            registry=self.registry,
        )
        self._samples = Counter("rakeeza_collector_samples_total", "Samples read.", registry=self.registry)
        self._duration = Histogram(
            "rakeeza_collector_poll_duration_seconds", "Wall time of a poll.", registry=self.registry
        )
        running = Gauge("rakeeza_collector_running_polls", "Polls that run now.", registry=self.registry)
        running.set_function(lambda: len(self._running))

    async def probe(self, target: Target) -> str:
        """One reading of a device as Prometheus's text; a poll of it that already runs is shared.

        Raises:
            RakeezaError: the device gave no reading.
        """
        key = (target.name, target.model)
        task = self._running.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._run(target))
            self._running[key] = task
            task.add_done_callback(lambda _: self._running.pop(key, None))
        else:
            self._shared.inc()
        # Shielded: a scraper that hangs up must not take the reading from the others.
        return await asyncio.shield(task)

    def close(self) -> None:
        """Stop polling; what runs ends within its time-outs."""
        self._living.shutdown(wait=False, cancel_futures=True)
        self._dead.shutdown(wait=False, cancel_futures=True)

    async def _run(self, target: Target) -> str:
        pool = self._dead if target.name in self._silent else self._living
        self._polls.inc()
        try:
            text = await asyncio.get_running_loop().run_in_executor(pool, self._poll, target)
        except RakeezaError as error:
            self._failures.labels(target.name, type(error).__name__).inc()
            if isinstance(error, Unavailable):
                self._silent.add(target.name)
            self._plans.pop(target, None)
            raise
        self._silent.discard(target.name)
        return text

    def _poll(self, target: Target) -> str:
        expires, plan = self._plans.get(target, (0.0, None))
        if time.monotonic() > expires:
            plan = None
        with self._duration.time():
            reading = poll(target, self._catalogue, plan)
        if plan is None:
            plan = self._catalogue.plan(reading.models)
            self._plans[target] = (time.monotonic() + _IDENTITY_LASTS_S, plan)
        self._samples.inc(sum(len(family.rows) for family in reading.families))
        return write([*reading.families, *reading.cost()])


def create_app(targets: TargetSource, settings: Settings) -> FastAPI:
    """The collector's application.

    Args:
        targets: the devices that may be polled.
        settings: of the platform; `monitoring.folders` and `http.max_body` are used.

    Raises:
        DefinitionError: a device model is wrong.
    """
    collector = Collector(Catalogue(settings.monitoring.folders))
    app = create_http_app("Rakeeza collector", max_body=settings.http.max_body)
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with inner(app):
            try:
                yield
            finally:
                collector.close()

    app.router.lifespan_context = lifespan

    @app.get("/probe")
    async def probe(
        target: str = Query(description="Name or address of a device."),
        model: str | None = Query(None, description="Device model to read it by."),
    ) -> Response:
        """One reading of a device, in Prometheus's text format."""
        found = await asyncio.to_thread(targets.find, target)
        if model is not None:
            found = replace(found, model=model)
        return Response(await collector.probe(found), media_type=CONTENT_TYPE)

    @app.get("/targets")
    def list_targets() -> list[dict[str, object]]:
        """The devices to scrape, for Prometheus's HTTP service discovery."""
        return [
            {"targets": [name], "labels": {"__param_target": name, **labels}}
            for name, labels in targets.labels().items()
        ]

    @app.get("/metrics")
    def metrics() -> Response:
        """The collector's own metrics."""
        return Response(generate_latest(collector.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        """Whether the collector runs."""
        return {"status": "ok"}

    return app
