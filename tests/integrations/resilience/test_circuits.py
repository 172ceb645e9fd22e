"""What the platform is told of circuits: an event for each change, and a metric."""

import logging

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from foundation.database import Database
from foundation.events import read
from integrations.resilience.breaker import Turn
from integrations.resilience.circuits import CircuitNews
from integrations.resilience.look_ups import CIRCUIT, BackendCollector


def events(database: Database) -> list[tuple[str, str, str]]:
    with database.transaction() as session:
        found = read(session, after=None, kind_prefix="backend.")
    assert {event.kind for event in found} <= {CIRCUIT}
    return [(event.subject, event.payload["state"], event.payload["reason"]) for event in found]


def metrics(database: Database, *backends: str) -> str:
    registry = CollectorRegistry()
    registry.register(BackendCollector(database, backends))
    return generate_latest(registry).decode()


def test_each_change_is_an_event_and_what_is_no_change_is_none(database: Database) -> None:
    news = CircuitNews(database)
    news.tell(Turn("commerce", "closed"))
    assert events(database) == []
    for state in ("open", "half_open", "closed", "closed"):
        news.tell(Turn("commerce", state, "connect" if state == "open" else "", 30.0))
    assert events(database) == [
        ("backend/commerce", "open", "connect"),
        ("backend/commerce", "half_open", ""),
        ("backend/commerce", "closed", ""),
    ]


def test_the_metric_is_how_each_was_last_told(database: Database) -> None:
    news = CircuitNews(database)
    news.tell(Turn("commerce", "open", "timeout", 30.0))
    news.tell(Turn("deeds", "open", "timeout", 30.0))
    news.tell(Turn("deeds", "half_open"))
    told = metrics(database, "commerce", "deeds", "messages")
    assert 'rakeeza_backend_circuit_state{backend="commerce"} 3.0' in told
    assert 'rakeeza_backend_circuit_state{backend="deeds"} 2.0' in told
    assert 'rakeeza_backend_circuit_state{backend="messages"} 1.0' in told
    news.tell(Turn("commerce", "closed"))
    assert 'rakeeza_backend_circuit_state{backend="commerce"} 1.0' in metrics(database, "commerce")


def test_a_database_that_is_away_harms_neither_circuit_nor_metrics(caplog: pytest.LogCaptureFixture) -> None:
    nowhere = Database("postgresql://127.0.0.1:1/nowhere", role="test")
    with caplog.at_level(logging.WARNING):
        CircuitNews(nowhere).tell(Turn("commerce", "open", "timeout", 30.0))
        assert "rakeeza_backend_circuit_state{" not in metrics(nowhere, "commerce")
    assert "is not told" in caplog.text
    nowhere.dispose()
