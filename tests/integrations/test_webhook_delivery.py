"""Turns of delivery: many messages on one connection, and nothing skipped whatever ends one."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from foundation.database import Database
from integrations import webhook_delivery
from lab.registry import Registry
from tests.integrations.outside_office import CENTRE, OTHER_CENTRE, OutsideOffice
from tests.integrations.webhook_office import (
    deliver_elsewhere,
    first_come,
    happen,
    let_time_pass,
    only,
    subscribe,
    verified,
    webhook_office,
)
from tests.processes import until
from tests.receiver import Receiver, receiving

pytest_plugins = ["tests.integrations.webhook_fixtures"]

# Longer than a sender goes on without asking whether the subscription is still its own.
_UNASKED = 0.1


@contextmanager
def _held_at(office: OutsideOffice, receiver: Receiver, request: int) -> Iterator[None]:
    # A delivery that waits for the answer to one of its messages, and gets it at the end of the block.
    receiver.hold_at = request
    sending = threading.Thread(target=office.outside.deliver_now)
    sending.start()
    until(lambda: len(receiver.received) == request, "the message that is held")
    yield
    time.sleep(_UNASKED)
    receiver.release.set()
    sending.join()


def _let_leases_run_out(office: OutsideOffice) -> None:
    office.run("UPDATE webhook SET leased_until = clock_timestamp() - interval '1 second'")


def test_everything_that_waits_comes_in_one_turn_on_one_connection(
    office: OutsideOffice, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_delivery, "_READ", 40)
    subscribe(office, receiver.url)
    ids = happen(office, 60)
    happen(office, 90, OTHER_CENTRE)
    ids += happen(office, 50)
    assert office.outside.deliver_now() == 110
    assert receiver.ids == ids
    assert receiver.connections == 1
    assert only(office)["cursor"] == ids[-1].removeprefix("evt_")
    assert office.outside.deliver_now() == 0


def test_events_of_others_behind_ones_own_are_not_looked_at_again(
    office: OutsideOffice, receiver: Receiver
) -> None:
    subscribe(office, receiver.url)
    happen(office, 1)
    last = happen(office, 3, OTHER_CENTRE)[-1]
    assert office.outside.deliver_now() == 1
    assert only(office)["cursor"] == last.removeprefix("evt_")


def test_a_subscription_far_behind_lets_the_others_have_their_turn(
    office: OutsideOffice, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as second:
        subscribe(office, receiver.url)
        subscribe(office, second.url, key="s-2")
        happen(office, 5)
        monkeypatch.setattr(webhook_delivery, "_TURN", 0.0)
        for turn in range(1, 6):
            assert office.outside.deliver_now() == 2
            assert len(receiver.received) == len(second.received) == turn
        assert receiver.ids == second.ids
        assert office.outside.deliver_now() == 0


def test_what_is_left_at_the_end_of_a_turn_is_delivered_without_waiting_for_the_next_look(
    office: OutsideOffice, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_delivery, "_TURN", 0.0)
    monkeypatch.setattr(webhook_delivery, "_READ", 10)
    # So many looks that each waited for this would outlast the patience of `until`.
    monkeypatch.setattr(webhook_delivery, "_PAUSE", 3.0)
    subscribe(office, receiver.url)
    happen(office, 30, OTHER_CENTRE)
    ids = happen(office, 30)
    stop = threading.Event()
    worker = threading.Thread(target=office.outside.deliver, args=(stop.is_set,))
    worker.start()
    until(lambda: len(receiver.received) == 30, "the deliveries")
    stop.set()
    worker.join()
    assert receiver.ids == ids


def test_a_failure_in_the_middle_of_a_turn_counts_as_the_first_and_nothing_is_repeated(
    office: OutsideOffice, receiver: Receiver
) -> None:
    subscribe(office, receiver.url)
    ids = happen(office, 5)
    receiver.status = 500
    office.outside.deliver_now()
    let_time_pass(office)
    office.outside.deliver_now()
    assert only(office)["failures"] == 2
    let_time_pass(office)
    receiver.status = 204
    with _held_at(office, receiver, 5):
        receiver.status = 503
    # The first two attempts, then three: the third is the one that was held, and refused.
    assert receiver.ids == [ids[0], ids[0], *ids[:3]]
    assert (only(office)["state"], only(office)["failures"]) == ("failing", 1)
    assert only(office)["cursor"] == ids[1].removeprefix("evt_")
    receiver.status = 204
    let_time_pass(office)
    assert office.outside.deliver_now() == 3
    assert receiver.ids[5:] == ids[2:]


def test_a_sender_that_lost_its_lease_sends_nothing_more_and_undoes_nothing(
    office: OutsideOffice, receiver: Receiver, database: Database, tmp_path: Path, commerce: Registry
) -> None:
    other = webhook_office(database, tmp_path, commerce)
    subscribe(office, receiver.url)
    ids = happen(office, 8)
    with _held_at(office, receiver, 3):
        _let_leases_run_out(office)
        assert other.outside.deliver_now() >= 6
        until(lambda: receiver.ids[-1] == ids[-1], "the other's last message")
        came = len(receiver.received)
    assert len(receiver.received) == came
    assert first_come(receiver) == ids
    # The cursor that the other left has not moved back.
    assert office.outside.deliver_now() == 0
    assert only(office)["cursor"] == ids[-1].removeprefix("evt_")


def test_a_worker_killed_in_the_middle_of_a_turn_skips_nothing_and_keeps_the_order(
    office: OutsideOffice, receiver: Receiver, database_url: str, tmp_path: Path
) -> None:
    secret = subscribe(office, receiver.url).body["secret"]
    ids = happen(office, 300)
    receiver.hold_at = 120
    worker = multiprocessing.get_context("spawn").Process(
        target=deliver_elsewhere, args=(database_url, str(tmp_path))
    )
    worker.start()
    until(lambda: len(receiver.received) == 120, "the message that is held")
    worker.kill()
    worker.join()
    worker.close()
    receiver.release.set()
    let_time_pass(office)
    assert office.outside.deliver_now() == 0
    _let_leases_run_out(office)
    # Of the 119 that were answered most were told of, and the one that was under way was not.
    assert 181 <= office.outside.deliver_now() < 300
    assert receiver.ids[:120] == ids[:120]
    assert first_come(receiver) == ids
    again = receiver.ids[120:]
    assert again == ids[-len(again) :]
    bodies = {each.id: each.body for each in receiver.received[:120]}
    assert all(bodies.get(each.id, each.body) == each.body for each in receiver.received[120:])
    verified(receiver.received[-1], secret, office.now[-1])


@pytest.mark.parametrize("change", ["pause", "rotate", "replay", "remove"])
def test_what_a_person_does_in_the_middle_of_a_turn_holds_from_the_next_message_on(
    office: OutsideOffice, receiver: Receiver, change: str
) -> None:
    made = subscribe(office, receiver.url).body
    ids = happen(office, 6)
    acts: dict[str, Callable[[], object]] = {
        "pause": lambda: office.outside.pause(CENTRE, made["id"], "p"),
        "rotate": lambda: office.outside.rotate_secret(CENTRE, made["id"], "n"),
        "replay": lambda: office.outside.replay(CENTRE, made["id"], None, office.now[0], "r"),
        "remove": lambda: office.outside.unsubscribe(CENTRE, made["id"]),
    }
    with _held_at(office, receiver, 3):
        acts[change]()
    assert receiver.ids == ids[:3]
    if change == "pause":
        assert only(office)["state"] == "paused"
        office.outside.unpause(CENTRE, made["id"], "u")
    left = office.outside.deliver_now()
    assert first_come(receiver) == (ids[:3] if change == "remove" else ids)
    if change == "replay":
        assert receiver.ids[3:] == ids
    if change == "rotate":
        new = office.outside.rotate_secret(CENTRE, made["id"], "n").body["secret"]
        assert left >= 3
        verified(receiver.received[-1], new, office.now[-1])


def test_senders_are_not_lost_by_faults_of_the_database(
    office: OutsideOffice,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(webhook_delivery, "_PAUSE", 0.01)
    subscribe(office, receiver.url)
    happen(office, 1)
    office.run("ALTER TABLE webhook RENAME COLUMN lease TO elsewhere")
    stop = threading.Event()
    worker = threading.Thread(target=office.outside.deliver, args=(stop.is_set,))
    worker.start()
    # More often than there are senders.
    until(lambda: sum("A webhook failed" in each.message for each in caplog.records) > 20, "the faults")
    office.run("ALTER TABLE webhook RENAME COLUMN elsewhere TO lease")
    until(lambda: len(receiver.received) == 1, "the delivery")
    stop.set()
    worker.join()
    assert len(receiver.received) == 1
