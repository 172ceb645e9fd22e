"""Webhooks through every fault of a receiver, and by several workers: at least once, and in order."""

import json
import threading
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.errors import InvalidInput
from foundation.outgoing import Outgoing
from lab.registry import Registry
from tests.integrations.outside_office import (
    CENTRE,
    OTHER_CENTRE,
    OutsideOffice,
    open_office,
)
from tests.integrations.webhook_office import (
    ATTEMPTS,
    kinds_of,
    let_time_pass,
    only,
    subscribe,
    verified,
    webhook_office,
)
from tests.processes import until
from tests.receiver import Receiver, receiving

pytest_plugins = ["tests.integrations.webhook_fixtures"]


@pytest.mark.parametrize("fault", ["500", "hangs", "redirects", "nobody"])
def test_what_was_not_taken_is_sent_again_with_the_same_id_and_order(
    office: OutsideOffice, receiver: Receiver, fault: str
) -> None:
    secret = subscribe(office, receiver.url).body["secret"]
    number = office.ask()
    office.take(number, "withdraw")
    if fault == "redirects":
        receiver.status, receiver.headers = 307, {"Location": receiver.url + "&again"}
    elif fault == "nobody":
        office.run("UPDATE webhook SET url = 'http://127.0.0.1:9/'")
    else:
        receiver.status = 500 if fault == "500" else 0
    assert office.outside.deliver_now() == 0
    failed = only(office)
    assert (failed["state"], failed["failures"]) == ("failing", 1)
    expected = {"500": "status_500", "hangs": "timeout", "redirects": "status_307", "nobody": "connection"}
    assert failed["reason"] == expected[fault]
    # Not at once again: it waits.
    assert office.outside.deliver_now() == 0
    assert len(receiver.received) <= 1
    receiver.status = 204
    office.run("UPDATE webhook SET url = :url", url=receiver.url)
    let_time_pass(office)
    assert office.outside.deliver_now() == 2
    assert kinds_of(receiver)[-2:] == ["case.submitted", "case.moved"]
    if fault != "nobody":
        assert receiver.ids[0] == receiver.ids[-2]
        assert receiver.received[0].body == receiver.received[-2].body
    verified(receiver.received[-1], secret, office.now[-1])
    assert (only(office)["state"], only(office)["failures"]) == ("active", 0)


def test_one_that_keeps_failing_is_paused_with_the_reason_and_loses_nothing(
    office: OutsideOffice, receiver: Receiver
) -> None:
    id = subscribe(office, receiver.url).body["id"]
    office.ask()
    receiver.status = 503
    for _ in range(ATTEMPTS + 2):
        office.outside.deliver_now()
        let_time_pass(office)
    assert len(receiver.received) == ATTEMPTS
    paused = only(office)
    assert (paused["state"], paused["reason"], paused["failures"]) == ("paused", "status_503", ATTEMPTS)
    assert office.events("webhook.paused") == [
        (f"webhook/{id}", {"client": CENTRE.actor, "failures": ATTEMPTS, "reason": "status_503"})
    ]
    receiver.status = 200
    office.outside.unpause(CENTRE, id, "u-1")
    assert office.outside.deliver_now() == 1
    assert receiver.ids[-1] == receiver.ids[0]


def test_a_receiver_that_is_gone_is_asked_no_more(office: OutsideOffice, receiver: Receiver) -> None:
    subscribe(office, receiver.url)
    office.ask()
    receiver.status = 410
    office.outside.deliver_now()
    assert (only(office)["state"], only(office)["reason"]) == ("paused", "status_410")


def test_a_receiver_may_say_when_to_come_again(office: OutsideOffice, receiver: Receiver) -> None:
    subscribe(office, receiver.url)
    office.ask()
    receiver.status, receiver.headers = 429, {"Retry-After": "7200"}
    office.outside.deliver_now()
    receiver.status = 200
    office.pass_time(seconds=7_000)
    assert office.outside.deliver_now() == 0
    office.pass_time(seconds=300)
    assert office.outside.deliver_now() == 1


def test_one_that_fails_holds_up_no_other(office: OutsideOffice, receiver: Receiver) -> None:
    with receiving() as second:
        subscribe(office, receiver.url)
        subscribe(office, second.url, key="s-2")
        receiver.status = 500
        office.ask()
        assert office.outside.deliver_now() == 1
        assert len(second.received) == 1


def test_by_the_plain_settings_nothing_inside_is_sent_to(
    database: Database, tmp_path: Path, commerce: Registry, receiver: Receiver
) -> None:
    office = open_office(database, tmp_path, {"commerce": commerce.url})
    with pytest.raises(InvalidInput):
        subscribe(office, receiver.url)
    with pytest.raises(InvalidInput):
        subscribe(office, "https://127.0.0.1/")


def test_a_name_that_comes_to_mean_our_network_is_not_followed(
    database: Database, tmp_path: Path, commerce: Registry, receiver: Receiver
) -> None:
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    office = open_office(
        database,
        tmp_path,
        {"commerce": commerce.url},
        outgoing=Outgoing(False, 1, resolve=lambda _host, _port: next(answers)),
    )
    subscribe(office, "https" + receiver.url.removeprefix("http").replace("127.0.0.1", "hooks.example"))
    office.ask()
    assert office.outside.deliver_now() == 0
    assert only(office)["reason"] == "forbidden_address"
    assert receiver.received == []


def test_several_workers_deliver_each_message_once_and_in_order(
    office: OutsideOffice, database: Database, tmp_path: Path, commerce: Registry, receiver: Receiver
) -> None:
    subscribe(office, receiver.url)
    stop = threading.Event()
    workers = [
        threading.Thread(
            target=webhook_office(database, tmp_path, commerce).outside.deliver, args=(stop.is_set,)
        )
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    numbers = []
    for _ in range(8):
        numbers.append(office.ask())
        office.take(numbers[-1], "withdraw")
    until(lambda: len(receiver.received) >= 16, "the deliveries")
    stop.set()
    for worker in workers:
        worker.join()
    assert office.outside.deliver_now() == 0
    subjects = [json.loads(each.body)["data"]["subject"] for each in receiver.received]
    assert subjects == [f"case/{number}" for number in numbers for _ in range(2)]
    assert len(set(receiver.ids)) == 16


def test_a_message_whose_worker_was_killed_is_sent_again_when_its_lease_ran_out(
    office: OutsideOffice, receiver: Receiver
) -> None:
    subscribe(office, receiver.url)
    office.ask()
    office.run("UPDATE webhook SET lease = 'dead', leased_until = clock_timestamp() + interval '1 hour'")
    assert office.outside.deliver_now() == 0
    office.run("UPDATE webhook SET leased_until = clock_timestamp() - interval '1 second'")
    assert office.outside.deliver_now() == 1


def test_a_delivery_under_way_holds_back_no_event(office: OutsideOffice, receiver: Receiver) -> None:
    with receiving() as second:
        subscribe(office, receiver.url)
        office.ask()
        receiver.status = 0
        sending = threading.Thread(target=office.outside.deliver_now)
        sending.start()
        until(lambda: receiver.received, "the delivery")
        subscribe(office, second.url, key="s-2")
        office.ask()
        assert office.outside.deliver_now() == 1
        assert len(second.received) == 1
        receiver.release.set()
        sending.join()


def test_what_is_not_ones_own_is_passed_over_and_not_looked_at_for_ever(
    office: OutsideOffice, receiver: Receiver
) -> None:
    subscribe(office, receiver.url, caller=OTHER_CENTRE)
    before = only(office)["cursor"]
    for _ in range(3):
        office.ask()
    assert office.outside.deliver_now() == 0
    assert only(office)["cursor"] == before
    office.run(
        "INSERT INTO event (kind, subject, payload) "
        "SELECT 'play.done', 'play/1', '{}' FROM generate_series(1, 1200)"
    )
    for _ in range(8):
        assert office.outside.deliver_now() == 0
    assert only(office)["cursor"] != before
    office.ask(caller=OTHER_CENTRE)
    assert office.outside.deliver_now() == 1
