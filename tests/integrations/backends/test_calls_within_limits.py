"""Calls whose back-end is busy, left alone, or has answered the same before: the real engine and jobs."""

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.settings import Backend
from integrations.cases import calls, notices
from integrations.resilience.look_ups import CIRCUIT
from lab.backends.electricity import UNSEEN
from lab.backends.running import Running, running
from tests.integrations.outside_office import OutsideOffice, key_of, open_office
from tests.processes import until

NUMBER, OTHER = "7001234567", "7001234575"


@pytest.fixture
def commerce() -> Iterator[Running]:
    with running("commercial_registry") as one:
        yield one


@pytest.fixture
def messages() -> Iterator[Running]:
    with running("sms") as one:
        yield one


def office(
    database: Database,
    folder: Path,
    commerce: Running,
    attempts: int,
    messages: Running | None = None,
    **more: Any,
) -> OutsideOffice:
    section = {"url": commerce.url, "driver": "commercial_registry", "timeout": 30.0, **more}
    sections = {"commerce": Backend.model_validate(section)}
    if messages is not None:
        sections[notices.BACKEND] = Backend(url=messages.url, driver="sms", timeout=30)
    return open_office(
        database, folder, {}, attempts=attempts, asks="{unified_number: register}", sections=sections
    )


def test_a_call_that_found_no_place_has_not_been_tried(
    database: Database, tmp_path: Path, commerce: Running
) -> None:
    # One attempt would park it.
    town = office(database, tmp_path, commerce, attempts=1, places=1)
    commerce.behave("slow", times=1, seconds=4)
    first, second = town.ask(NUMBER), town.ask(OTHER)
    worker = threading.Thread(target=town.work_off)
    worker.start()
    put_off = {"busy", None}
    until(lambda: {town.call(n)["reason"] for n in (first, second)} == put_off, "one to be put off")
    worker.join()
    for number in (first, second):
        assert (town.case(number).state, town.call(number)["state"]) == ("granted", "answered")
        assert town.call(number)["attempts"] == 1
        assert commerce.asked(key_of(number)) == 1
    assert commerce.log()["most_under_way"] == 1


def test_a_back_end_that_is_left_alone_is_an_event_and_no_answer(
    database: Database, tmp_path: Path, commerce: Running
) -> None:
    town = office(database, tmp_path, commerce, attempts=3, failures=2, pause=300)
    commerce.stop()
    number = town.ask(NUMBER)
    town.work_off()
    call = town.call(number)
    assert (call["state"], call["attempts"], call["reason"]) == ("parked", 3, "circuit_open")
    assert town.case(number).state == "asked"
    ((subject, told),) = town.events(CIRCUIT)
    assert (subject, told["state"], told["reason"]) == ("backend/commerce", "open", "connect")
    assert told["seconds"] >= 300


def test_an_answer_that_was_kept_says_when_it_was_given(
    database: Database, tmp_path: Path, commerce: Running
) -> None:
    town = office(database, tmp_path, commerce, attempts=1, keep=600)
    first = town.ask(NUMBER)
    town.work_off()
    second = town.ask(NUMBER)
    town.work_off()
    assert (town.case(second).state, commerce.asked(key_of(second))) == ("granted", 0)
    given = [datetime.fromisoformat(town.call(number)["answered_at"]) for number in (first, second)]
    # The office's clock stands; only what was kept is older than its question.
    assert given[0] == datetime.fromisoformat(town.call(first)["asked_at"])
    assert given[1] < given[0]


def test_a_slow_back_end_leaves_a_thread_to_the_others(
    database: Database, tmp_path: Path, commerce: Running, messages: Running
) -> None:
    # More places than another queue has threads, and all of them taken.
    town = office(database, tmp_path, commerce, 1, messages, timeout=120, total=300, places=6)
    commerce.behave("slow", seconds=600)
    numbers = [town.ask(NUMBER) for _ in range(8)]
    stop = threading.Event()
    jobs, threads = town.desk.office.jobs, town.outside.threads
    worker = threading.Thread(target=jobs.work, args=(["calls"], threads, stop.is_set))
    worker.start()
    try:
        until(lambda: len(messages.log()["questions"]) == len(numbers), "every message")
        assert {town.call(number)["state"] for number in numbers} == {"waiting"}
        until(lambda: commerce.log()["under_way"] == 6, "every place to be taken")
        assert commerce.log()["most_under_way"] == 6
        assert threads == 6 + Backend.model_fields["places"].default + 1
    finally:
        stop.set()
        commerce.stop()
        worker.join()


def test_a_call_that_waits_long_for_a_place_asks_for_it_more_seldom(
    database: Database, tmp_path: Path, commerce: Running
) -> None:
    town = office(database, tmp_path, commerce, attempts=1)
    key = key_of(town.ask(NUMBER))
    for minutes, fewest, most in ((0, 1.6, 2.4), (4, 48, 72), (600, 96, 144)):
        with database.transaction() as session:
            call = calls.find(session, key)
            assert call is not None
            at = call.asked_at + timedelta(minutes=minutes)
            again = calls.postpone(session, call, at, "busy", None, counts=False)
        assert again.at is not None
        assert fewest <= (again.at - at).total_seconds() <= most
        assert again.payload["attempt"] == 0


def test_a_call_of_which_nothing_is_decided_yet_waits_and_is_not_given_up(
    database: Database, tmp_path: Path
) -> None:
    with running("electricity") as utility:
        section = Backend(url=utility.url, driver="electricity", timeout=30)
        asks = "{approval: register, deed: applicant.identifier}"
        town = open_office(database, tmp_path, {}, attempts=1, asks=asks, sections={"commerce": section})
        number = town.ask(UNSEEN)
        town.desk.office.jobs.work(["calls"], stop=lambda: town.call(number)["reason"] is not None)
        call = town.call(number)
        assert (call["state"], call["reason"], call["attempts"]) == ("waiting", "pending", 0)
        assert town.case(number).state == "asked"
