"""How the API fares, for Prometheus: requests and their duration by route and status."""

import time

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
_DURATION = Histogram(
    "rakeeza_http_request_duration_seconds",
    "Time until the answer to a request began, by route and status.",
    ["method", "route", "status"],
    registry=REGISTRY,
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


def router() -> APIRouter:
    """The route that Prometheus scrapes."""
    routes = APIRouter()

    @routes.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return routes
