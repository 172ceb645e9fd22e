"""How back-ends fare: counted by any process, told by the metrics, and the calls that come back by it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from foundation.database import Database
from foundation.events import read
from foundation.settings import Backend
from integrations.resilience.breaker import Turn
from integrations.resilience.circuits import CircuitNews
from integrations.resilience.look_ups import CIRCUIT, BackendCollector, LookUp, LookUps, Standing, standings
from lab.backends.running import Running, running
from tests.integrations.outside_office import OutsideOffice, open_office

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
NUMBER, OTHER = "7001234567", "7001234575"


class Counting:
    """A process that counts, with its clock."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = NOW
        self.look_ups = LookUps(database, lambda: self.now)

    def note(self, outcome: str, seconds: float = 0.07) -> None:
        self.now += timedelta(minutes=1)
        self.look_ups.note(LookUp("commerce", outcome, seconds))

    def standing(self) -> Standing:
        with self.database.transaction() as session:
            (found,) = standings(session, ["commerce"])
        return found


def metrics(database: Database) -> str:
    registry = CollectorRegistry()
    registry.register(BackendCollector(database, ["commerce"]))
    return generate_latest(registry).decode()


def test_questions_are_counted_by_how_they_ended_and_how_long_they_took(database: Database) -> None:
    one, other = Counting(database), Counting(database)
    for outcome, seconds in (("answered", 0.07), ("answered", 0.3), ("timeout", 10.0), ("busy", 400.0)):
        one.note(outcome, seconds)
    other.note("answered", 0.2)
    told = metrics(database)
    name = "rakeeza_backend_look_up_duration_seconds"
    assert f'{name}_bucket{{backend="commerce",le="0.1",outcome="answered"}} 1.0' in told
    assert f'{name}_bucket{{backend="commerce",le="0.25",outcome="answered"}} 2.0' in told
    assert f'{name}_count{{backend="commerce",outcome="answered"}} 3.0' in told
    assert f'{name}_bucket{{backend="commerce",le="10.0",outcome="timeout"}} 1.0' in told
    assert f'{name}_bucket{{backend="commerce",le="120.0",outcome="busy"}} 0.0' in told
    assert f'{name}_bucket{{backend="commerce",le="+Inf",outcome="busy"}} 1.0' in told


def test_since_when_a_back_end_answers_nobody_is_told_until_it_answers(database: Database) -> None:
    one = Counting(database)
    assert one.standing() == Standing("commerce", "closed", None, None, None, 0, 0)
    one.note("answered")
    first = one.standing().answered_at
    one.note("connect")
    since = one.now
    for outcome in ("timeout", "credentials", "circuit_open", "busy", "kept", "not_sent"):
        one.note(outcome)
    assert one.standing() == Standing("commerce", "closed", first, since, "credentials", 0, 0)
    name = "rakeeza_backend_unanswered_since_timestamp_seconds"
    told = metrics(database).partition(f'\n{name}{{backend="commerce"}} ')[2]
    assert float(told.partition("\n")[0]) == since.timestamp()
    # That it rejects a question, or is still at it, is a sign of life.
    one.note("rejected")
    assert one.standing() == Standing("commerce", "closed", one.now, None, None, 0, 0)
    assert f"{name}{{" not in metrics(database)
    one.note("connect")
    one.note("pending")
    assert one.standing().unanswered_since is None


def test_an_answer_that_any_process_got_ends_what_one_that_is_gone_had_told(database: Database) -> None:
    CircuitNews(database).tell(Turn("commerce", "open", "timeout", 30.0))
    other = Counting(database)
    assert other.standing().circuit == "open"
    other.note("answered")
    assert other.standing().circuit == "closed"
    with database.transaction() as session:
        told = [event.payload["state"] for event in read(session, after=None, kind_prefix=CIRCUIT)]
    assert told == ["open", "closed"]


@pytest.fixture
def commerce() -> Iterator[Running]:
    with running("commercial_registry") as one:
        yield one


@pytest.fixture
def town(database: Database, tmp_path: Path, commerce: Running) -> OutsideOffice:
    section = Backend(url=commerce.url, driver="commercial_registry", timeout=30, attempts=1, failures=0)
    asks = "{unified_number: register}"
    return open_office(database, tmp_path, {}, attempts=1, asks=asks, sections={"commerce": section})


def test_calls_that_were_parked_while_their_back_end_was_away_come_back_by_themselves(
    town: OutsideOffice, commerce: Running
) -> None:
    commerce.stop()
    parked = [town.ask(number) for number in (NUMBER, OTHER)]
    town.work_off()
    assert {town.call(number)["state"] for number in parked} == {"parked"}
    (stands,) = town.outside.standings()
    assert (stands.reason, stands.waiting, stands.parked) == ("connect", 0, 2)
    assert town.outside.resume() == 0
    # Nobody asks it any more: one call is put back to try.
    town.pass_time(minutes=11)
    assert town.outside.resume() == 1
    town.work_off()
    assert {town.call(number)["state"] for number in parked} == {"parked"}
    commerce.start()
    town.pass_time(minutes=11)
    assert town.outside.resume() == 1
    town.work_off()
    assert town.outside.resume() == 1
    town.work_off()
    assert {town.case(number).state for number in parked} == {"granted"}


def test_a_call_that_a_person_has_to_mend_does_not_come_back(town: OutsideOffice, commerce: Running) -> None:
    commerce.behave("reject", times=1)
    wrong = town.ask(NUMBER)
    town.work_off()
    town.pass_time(minutes=11)
    town.ask(OTHER)
    town.work_off()
    assert town.outside.resume() == 0
    assert town.call(wrong)["state"] == "parked"
