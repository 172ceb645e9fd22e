"""Time in state: counted once, whoever counts, and read as Prometheus reads it."""

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import DatabaseUnavailable
from foundation.events import publish
from integrations.cases.stays import (
    STAYED_BOUNDS,
    WORKING_BOUNDS,
    Stay,
    StayCollector,
    gather,
    summary,
)

HOUR = 3_600


def moved(
    database: Database,
    *stays: tuple[int, int],
    kind: str = "case.moved",
    state: str = "review",
    **said: object,
) -> None:
    with database.transaction() as session:
        for stayed, working in stays:
            payload: dict[str, Any] = {
                "action": "approve",
                "service": "shop_licence",
                "procedure": "issue",
                "from": state,
                "to": "approved",
                "version": 3,
                "stayed_s": stayed,
                "working_s": working,
                "place": "north",
                **said,
            }
            publish(session, kind, "case/SL-2026-000001", payload)


def stays(database: Database, service: str | None = None) -> list[Stay]:
    with database.transaction() as session:
        return summary(session, service)


def samples(database: Database) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    registry = CollectorRegistry()
    registry.register(StayCollector(database))
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_what_was_never_left_has_no_time(database: Database) -> None:
    assert gather(database) == 0
    assert stays(database) == []
    assert samples(database) == {}


def test_stays_are_told_by_state_and_place_in_working_hours(database: Database) -> None:
    moved(database, (26 * HOUR, 6 * HOUR), (50 * HOUR, 13 * HOUR), (HOUR, HOUR))
    moved(database, (HOUR, 0), place=None)
    moved(database, (HOUR, 0), place=None, service="excavation")
    assert gather(database) == 5
    nowhere, north = stays(database, "shop_licence")
    assert (nowhere.place, nowhere.count, nowhere.mean, nowhere.p50) == ("", 1, 0.0, 0.25)
    assert (north.procedure, north.state, north.place, north.count) == ("issue", "review", "north", 3)
    assert north.mean == pytest.approx(20 / 3)
    # The bucket of up to a working day, and that of up to two.
    assert (north.p50, north.p90) == (7.0, 14.0)
    assert [stay.service for stay in stays(database)] == ["excavation", "shop_licence", "shop_licence"]


def test_a_percentile_in_the_last_bucket_is_not_known_but_longer(database: Database) -> None:
    moved(database, *[(0, 0)] * 5, *[(2**39, WORKING_BOUNDS[-1] + 1)] * 5)
    gather(database)
    (stay,) = stays(database)
    assert (stay.p50, stay.p90, stay.beyond) == (0.25, None, 840.0)


def test_a_stay_on_a_bound_belongs_to_the_bucket_below_it(database: Database) -> None:
    moved(database, (900, 900), (901, 901))
    gather(database)
    found = samples(database)
    for name, bounds in (("duration", STAYED_BOUNDS), ("working_duration", WORKING_BOUNDS)):
        metric = f"rakeeza_case_state_{name}_seconds"
        labels = {"service": "shop_licence", "procedure": "issue", "state": "review", "place": "north"}
        bucket = [
            found[f"{metric}_bucket", frozenset({**labels, "le": le}.items())]
            for le in [*(str(float(bound)) for bound in bounds), "+Inf"]
        ]
        assert bucket == [1.0, *[2.0] * len(bounds)]
        assert found[f"{metric}_count", frozenset(labels.items())] == 2
        assert found[f"{metric}_sum", frozenset(labels.items())] == 1801


@pytest.mark.parametrize(
    "said",
    [
        {"stayed_s": None},
        {"stayed_s": -1},
        {"stayed_s": 1.5},
        {"stayed_s": True},
        {"working_s": "7"},
        {"working_s": 2**40},
        {"procedure": None},
        {"state": ""},
        {"service": 3},
    ],
)
def test_what_an_event_does_not_say_is_not_counted(database: Database, said: dict[str, Any]) -> None:
    moved(database, (HOUR, HOUR), **said)
    moved(database, (HOUR, HOUR), kind="case.moved_elsewhere")
    moved(database, (HOUR, HOUR))
    assert gather(database) == 3
    assert [stay.count for stay in stays(database)] == [1]


def test_many_pages_and_many_who_gather_count_each_stay_once(database: Database) -> None:
    chance = random.Random(7)
    given = [(chance.randrange(10**6), chance.randrange(10**5)) for _ in range(120)]
    for begin in range(0, len(given), 7):
        moved(database, *given[begin : begin + 7], state=f"state_{begin % 3}")

    def all_of_it(_: int) -> int:
        read = 0
        while got := gather(database, limit=5):
            read += got
        return read

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(all_of_it, range(4))) == len(given)
    found = stays(database)
    assert sum(stay.count for stay in found) == len(given)
    total = sum(stay.mean * stay.count for stay in found) * HOUR
    assert total == pytest.approx(sum(working for _, working in given))


def test_a_count_that_fails_leaves_neither_counts_nor_cursor(database: Database) -> None:
    moved(database, (HOUR, HOUR))
    with database.transaction() as session:
        session.execute(text("ALTER TABLE case_stay ADD CONSTRAINT broken CHECK (count < 1)"))
    with pytest.raises(Exception, match="broken"):
        gather(database)
    with database.transaction() as session:
        session.execute(text("ALTER TABLE case_stay DROP CONSTRAINT broken"))
    assert gather(database) == 1
    assert gather(database) == 0
    assert [stay.count for stay in stays(database)] == [1]


def test_events_of_others_are_looked_through_once(database: Database) -> None:
    moved(database, (HOUR, HOUR))
    gather(database)
    with database.transaction() as session:
        publish(session, "play.host_ok", "play/7", {})
        before = session.execute(text("SELECT cursor FROM case_stay_reader")).scalar_one()
    assert gather(database) == 0
    moved(database, (HOUR, HOUR))
    with database.transaction() as session:
        assert session.execute(text("SELECT cursor FROM case_stay_reader")).scalar_one() != before
    assert gather(database) == 1
    assert [stay.count for stay in stays(database)] == [2]


def test_a_database_that_is_away_gives_no_sample_and_does_not_break_the_others() -> None:
    away = Database("postgresql://127.0.0.1:1/nowhere", role="test")
    registry = CollectorRegistry()
    # Registering asks for names only.
    registry.register(StayCollector(away))
    with pytest.raises(DatabaseUnavailable):
        gather(away)
    told = generate_latest(registry)
    assert b"# TYPE rakeeza_case_state_duration_seconds histogram" in told
    assert b"rakeeza_case_state_duration_seconds_count" not in told
    away.dispose()
