"""A private Prometheus for tests, given out when it answers queries."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from foundation.guard import Guard
from foundation.settings import Settings
from monitoring import prometheus
from tests.processes import PATIENCE, until


@contextmanager
def running_prometheus(settings: Settings, folder: Path) -> Iterator[str]:
    """Run it; its port listens before its storage is open, and until then it refuses every query.

    Returns:
        Its base URL.
    """
    url = f"http://{settings.prometheus.host}:{settings.prometheus.port}"
    log = folder / "prometheus.log"

    def ready(guard: Guard) -> bool:
        assert "prometheus" not in guard.poll(), log.read_text(encoding="utf-8")
        try:
            return httpx.get(f"{url}/-/ready", timeout=PATIENCE).is_success
        except httpx.TransportError:
            return False

    with Guard() as guard:
        guard.start(prometheus.program(settings, folder / "prometheus", log))
        until(lambda: ready(guard), "an answer of Prometheus")
        yield url


def held(url: str, expression: str, **labels: str) -> float:
    """The value of one series, as soon as Prometheus holds it.

    Args:
        url: of Prometheus.
        expression: in PromQL; what it gives beside the series awaited does not matter.
        labels: of the series awaited.
    """
    found: list[float] = []

    def look() -> bool:
        rows = prometheus.query(url, expression)
        found.extend(row.value for row in rows if labels.items() <= row.labels.items())
        return bool(found)

    until(look, f"{expression} of {labels}")
    return found[0]
