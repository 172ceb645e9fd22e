"""Plays as Prometheus reads them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from foundation.database import Database
from infra.plays import metrics
from infra.plays.metrics import REASONS, PlayCollector
from infra.plays.records import UNDER_WAY
from tests.infra.play_history import write_history

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scraped(database: Database) -> Samples:
    """What a scrape of the collector shows, read back by Prometheus' own parser."""
    registry = CollectorRegistry()
    registry.register(PlayCollector(database))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def one(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


def run(database: Database, statement: str, words: Mapping[str, object] | None = None) -> None:
    with database.transaction() as session:
        session.execute(text(statement), dict(words or {}))


def test_runs_are_counted_by_playbook_and_by_what_came_of_them(database: Database) -> None:
    with database.transaction() as session:
        write_history(session, 200)
    found = scraped(database)
    # Of 100, 200 and 50, 150 no run is counted: they were in check mode.
    assert one(found, "rakeeza_play_runs_total", playbook="play-10", state="failed") == 8
    assert one(found, "rakeeza_play_runs_total", playbook="play-1", state="successful") == 9
    assert one(found, "rakeeza_play_runs_total", playbook="play-1", state="interrupted") == 1
    total = sum(value for (name, _), value in found.items() if name == "rakeeza_play_runs_total")
    assert total == 196
    ended = one(found, "rakeeza_play_last_success_timestamp_seconds", playbook="play-19")
    assert ended is not None
    assert abs(ended - datetime.now(UTC).timestamp()) < 3_600
    assert one(found, "rakeeza_play_last_success_duration_seconds", playbook="play-19") == 100 + 199 % 60
    # Of a playbook that never was successful nothing is known, and no number is told.
    assert one(found, "rakeeza_play_last_success_timestamp_seconds", playbook="play-10") is None
    assert one(found, "rakeeza_play_last_success_duration_seconds", playbook="play-10") is None
    assert one(found, "rakeeza_play_metrics_readable") == 1


def test_what_is_under_way_and_why_it_waits_is_told_also_where_it_is_nothing(database: Database) -> None:
    found = scraped(database)
    assert [one(found, "rakeeza_play_runs_under_way", state=state) for state in UNDER_WAY] == [0.0] * 5
    assert [one(found, "rakeeza_play_runs_waiting", reason=reason) for reason in REASONS] == [0.0] * 5
    with database.transaction() as session:
        write_history(session, 10)
    for state, reason, ids in (
        ("queued", "device", "1, 2, 3"),
        ("approved", "window", "4"),
        ("running", None, "5"),
    ):
        run(
            database,
            f"UPDATE play_run SET state = :state, finished_at = NULL, waits_for = :why WHERE id IN ({ids})",
            {"state": state, "why": reason},
        )
    found = scraped(database)
    under_way = {state: one(found, "rakeeza_play_runs_under_way", state=state) for state in UNDER_WAY}
    assert under_way == {"queued": 3, "checking": 0, "awaiting_approval": 0, "approved": 1, "running": 1}
    assert one(found, "rakeeza_play_runs_waiting", reason="device") == 3
    assert one(found, "rakeeza_play_runs_waiting", reason="window") == 1
    assert one(found, "rakeeza_play_runs_waiting", reason="site") == 0


def test_notices_that_wait_and_that_were_given_up_are_told_by_channel(database: Database) -> None:
    for number, (channel, state) in enumerate(
        [("mail", "waiting"), ("mail", "waiting"), ("mail", "sent"), ("webhook", "failed")]
    ):
        run(
            database,
            """
            INSERT INTO notice (reader, cursor, channel, recipient, subject, kind, at, content, next_at,
                state, ended_at)
            VALUES ('plays', :cursor, :channel, 'a@b.example', 'play/1', 'play.planned', now(), '{}', now(),
                :state, CASE WHEN :state = 'waiting' THEN NULL ELSE now() END)
            """,
            {"cursor": f"1-{number}", "channel": channel, "state": state},
        )
    found = scraped(database)
    assert one(found, "rakeeza_notices_waiting", channel="mail") == 2
    assert one(found, "rakeeza_notices_waiting", channel="webhook") == 0
    assert one(found, "rakeeza_notices_failed_total", channel="webhook") == 1
    assert one(found, "rakeeza_notices_failed_total", channel="mail") == 0


def test_a_database_that_is_away_is_no_zero(tmp_path: Path) -> None:
    found = scraped(Database(f"postgresql://nobody@/x?host={tmp_path}"))
    assert found == {("rakeeza_play_metrics_readable", frozenset()): 0}


def test_every_metric_is_named_in_the_table_of_its_file(database: Database) -> None:
    for family in PlayCollector(database).describe():
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"`{name}" in str(metrics.__doc__)
