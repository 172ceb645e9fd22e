"""Webhooks: signed, in order, at least once, only one's own, through every fault of a receiver."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, Malformed, NotFound, PermissionDenied
from foundation.events import StoredEvent
from foundation.idempotency import Answer
from foundation.identity import Caller
from foundation.settings import Webhooks
from integrations.outgoing import Outgoing
from lab.registry import Registry, registry
from tests.integrations.outside_office import (
    AUDITOR,
    CENTRE,
    IDENTIFIER,
    MOBILE,
    OTHER_CENTRE,
    OWNER,
    REVIEWER,
    SYSTEM,
    OutsideOffice,
    open_office,
)
from tests.integrations.receiver import Received, Receiver, receiving
from tests.processes import until

ATTEMPTS = 4


def verified(request: Received, secret: str, now: datetime) -> dict[str, Any]:
    """What Standard Webhooks 1.0.0 asks of a consumer, written from its text and nothing of ours."""
    prefix, encoded = secret[:6], secret[6:]
    assert prefix == "whsec_"
    key = base64.b64decode(encoded, validate=True)
    assert 24 <= len(key) <= 64
    id, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert "." not in id
    assert abs(int(stamp) - now.timestamp()) <= 300
    mac = hmac.new(key, b".".join([id.encode(), stamp.encode(), request.body]), hashlib.sha256)
    wanted = base64.b64encode(mac.digest()).decode()
    given = [entry.split(",", 1) for entry in request.headers["webhook-signature"].split(" ")]
    assert any(version == "v1" and hmac.compare_digest(value, wanted) for version, value in given)
    body: dict[str, Any] = json.loads(request.body)
    return body


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture(scope="module")
def commerce() -> Iterator[Registry]:
    with registry() as running:
        yield running


@pytest.fixture
def office(database: Database, tmp_path: Path, commerce: Registry) -> OutsideOffice:
    return _office(database, tmp_path, commerce)


def _office(database: Database, folder: Path, commerce: Registry) -> OutsideOffice:
    return open_office(
        database,
        folder,
        {"commerce": commerce.url},
        webhooks=Webhooks(allow_private=True, timeout=1, attempts=ATTEMPTS),
    )


def _subscribe(
    office: OutsideOffice, url: str, *kinds: str, caller: Caller = CENTRE, key: str = "s-1"
) -> Answer:
    return office.outside.subscribe(caller, url, kinds, key)


def _kinds(receiver: Receiver) -> list[str]:
    return [json.loads(each.body)["type"] for each in receiver.received]


def _only(office: OutsideOffice) -> dict[str, Any]:
    (found,) = office.outside.webhooks(SYSTEM)
    return found


def _let_time_pass(office: OutsideOffice) -> None:
    office.pass_time(days=1, seconds=1)


def test_a_subscriber_is_told_signed_and_in_order_what_happens_from_then_on(
    office: OutsideOffice, receiver: Receiver
) -> None:
    office.ask()
    office.work_off()
    secret = _subscribe(office, receiver.url).body["secret"]
    number = office.ask()
    office.work_off()
    assert office.outside.deliver_now() == len(receiver.received) > 3
    bodies = [verified(each, secret, office.now[-1]) for each in receiver.received]
    mine = [body for body in bodies if body["data"]["subject"] == f"case/{number}"]
    assert [body["type"] for body in mine] == ["case.submitted", "case.answered", "case.moved"]
    licence = office.licence(number)
    assert f"licence/{licence}" in {body["data"]["subject"] for body in bodies}
    assert {body["data"]["subject"] for body in bodies} == {f"case/{number}", f"licence/{licence}"}
    assert office.outside.deliver_now() == 0
    sent = b"".join(each.body for each in receiver.received).decode()
    assert not [secret for secret in (IDENTIFIER, MOBILE, OWNER) if secret in sent]


def test_a_changed_body_or_a_wrong_secret_does_not_verify(office: OutsideOffice, receiver: Receiver) -> None:
    secret = _subscribe(office, receiver.url).body["secret"]
    office.ask()
    office.outside.deliver_now()
    request = receiver.received[0]
    verified(request, secret, office.now[-1])
    with pytest.raises(AssertionError):
        verified(Received(request.headers, request.body + b" "), secret, office.now[-1])
    other = "whsec_" + base64.b64encode(bytes(32)).decode()
    with pytest.raises(AssertionError):
        verified(request, other, office.now[-1])


def test_only_the_kinds_that_were_asked_for_are_sent(office: OutsideOffice, receiver: Receiver) -> None:
    with receiving() as second:
        _subscribe(office, receiver.url, "licence.")
        _subscribe(office, second.url, "case.submitted", key="s-2")
        office.ask()
        office.work_off()
        office.outside.deliver_now()
        assert set(_kinds(receiver)) == {"licence.issued"}
        assert _kinds(second) == ["case.submitted"]


def test_a_centre_is_told_of_its_own_cases_and_of_the_licences_in_its_care(
    office: OutsideOffice, receiver: Receiver
) -> None:
    with receiving() as second:
        _subscribe(office, receiver.url)
        _subscribe(office, second.url, caller=OTHER_CENTRE)
        number = office.ask()
        office.work_off()
        licence = office.licence(number)
        office.suspend(licence)
        office.work_off()
        office.outside.deliver_now()
        assert "licence.suspended" in _kinds(receiver)
        assert second.received == []


@pytest.mark.parametrize("fault", ["500", "hangs", "redirects", "nobody"])
def test_what_was_not_taken_is_sent_again_with_the_same_id_and_order(
    office: OutsideOffice, receiver: Receiver, fault: str
) -> None:
    secret = _subscribe(office, receiver.url).body["secret"]
    number = office.ask()
    office.take(number, "withdraw")
    if fault == "redirects":
        receiver.status, receiver.headers = 307, {"Location": receiver.url + "&again"}
    elif fault == "nobody":
        office.run("UPDATE webhook SET url = 'http://127.0.0.1:9/'")
    else:
        receiver.status = 500 if fault == "500" else 0
    assert office.outside.deliver_now() == 0
    failed = _only(office)
    assert (failed["state"], failed["failures"]) == ("failing", 1)
    expected = {"500": "status_500", "hangs": "timeout", "redirects": "status_307", "nobody": "connection"}
    assert failed["reason"] == expected[fault]
    # Not at once again: it waits.
    assert office.outside.deliver_now() == 0
    assert len(receiver.received) <= 1
    receiver.status = 204
    office.run("UPDATE webhook SET url = :url", url=receiver.url)
    _let_time_pass(office)
    assert office.outside.deliver_now() == 2
    assert _kinds(receiver)[-2:] == ["case.submitted", "case.moved"]
    if fault != "nobody":
        assert receiver.ids[0] == receiver.ids[-2]
        assert receiver.received[0].body == receiver.received[-2].body
    verified(receiver.received[-1], secret, office.now[-1])
    assert (_only(office)["state"], _only(office)["failures"]) == ("active", 0)


def test_one_that_keeps_failing_is_paused_with_the_reason_and_loses_nothing(
    office: OutsideOffice, receiver: Receiver
) -> None:
    id = _subscribe(office, receiver.url).body["id"]
    office.ask()
    receiver.status = 503
    for _ in range(ATTEMPTS + 2):
        office.outside.deliver_now()
        _let_time_pass(office)
    assert len(receiver.received) == ATTEMPTS
    paused = _only(office)
    assert (paused["state"], paused["reason"], paused["failures"]) == ("paused", "status_503", ATTEMPTS)
    assert office.events("webhook.paused") == [
        (f"webhook/{id}", {"client": CENTRE.actor, "failures": ATTEMPTS, "reason": "status_503"})
    ]
    receiver.status = 200
    office.outside.unpause(CENTRE, id, "u-1")
    assert office.outside.deliver_now() == 1
    assert receiver.ids[-1] == receiver.ids[0]


def test_a_receiver_that_is_gone_is_asked_no_more(office: OutsideOffice, receiver: Receiver) -> None:
    _subscribe(office, receiver.url)
    office.ask()
    receiver.status = 410
    office.outside.deliver_now()
    assert (_only(office)["state"], _only(office)["reason"]) == ("paused", "status_410")


def test_a_receiver_may_say_when_to_come_again(office: OutsideOffice, receiver: Receiver) -> None:
    _subscribe(office, receiver.url)
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
        _subscribe(office, receiver.url)
        _subscribe(office, second.url, key="s-2")
        receiver.status = 500
        office.ask()
        assert office.outside.deliver_now() == 1
        assert len(second.received) == 1


def test_a_replay_gives_the_same_ids_and_bodies(office: OutsideOffice, receiver: Receiver) -> None:
    made = _subscribe(office, receiver.url).body
    for _ in range(2):
        office.take(office.ask(), "withdraw")
    assert office.outside.deliver_now() == 4
    first = list(receiver.received)
    office.pass_time(minutes=5)
    office.outside.replay(CENTRE, made["id"], first[0].id.removeprefix("evt_"), None, "r-1")
    assert office.outside.deliver_now() == 3
    again = receiver.received[4:]
    assert [(each.id, each.body) for each in again] == [(each.id, each.body) for each in first[1:]]
    # Signed anew: the moment is that of this attempt.
    assert again[0].headers["webhook-timestamp"] != first[1].headers["webhook-timestamp"]
    verified(again[0], made["secret"], office.now[-1])


def test_a_replay_may_begin_at_a_moment(office: OutsideOffice, receiver: Receiver) -> None:
    id = _subscribe(office, receiver.url).body["id"]
    office.take(office.ask(), "withdraw")
    office.outside.deliver_now()
    moment = datetime.fromisoformat(json.loads(receiver.received[1].body)["timestamp"])
    office.outside.replay(CENTRE, id, None, moment, "r-1")
    assert office.outside.deliver_now() == 1
    assert receiver.ids == [receiver.ids[0], receiver.ids[1], receiver.ids[1]]
    office.outside.replay(CENTRE, id, None, moment + timedelta(days=1), "r-2")
    assert office.outside.deliver_now() == 0
    office.outside.replay(CENTRE, id, None, moment - timedelta(days=1), "r-3")
    assert office.outside.deliver_now() == 2
    for after, since in ((None, None), ("1-1", moment)):
        with pytest.raises(InvalidInput):
            office.outside.replay(CENTRE, id, after, since, "r-4")
    with pytest.raises(Malformed):
        office.outside.replay(CENTRE, id, "yesterday", None, "r-5")


def test_a_replay_during_a_delivery_is_not_undone_by_it(office: OutsideOffice, receiver: Receiver) -> None:
    id = _subscribe(office, receiver.url).body["id"]
    office.take(office.ask(), "withdraw")
    office.outside.deliver_now()
    start = receiver.ids[0].removeprefix("evt_")
    office.ask()
    receiver.status = 0
    sending = threading.Thread(target=office.outside.deliver_now)
    sending.start()
    until(lambda: len(receiver.received) == 3, "the delivery")
    office.outside.replay(CENTRE, id, start, None, "r-1")
    receiver.status = 204
    receiver.release.set()
    sending.join()
    office.outside.deliver_now()
    assert receiver.ids[3:] == receiver.ids[1:3]


def test_a_new_secret_signs_beside_the_old_one_for_a_day(office: OutsideOffice, receiver: Receiver) -> None:
    made = _subscribe(office, receiver.url).body
    new = office.outside.rotate_secret(CENTRE, made["id"], "n-1").body["secret"]
    assert new != made["secret"]
    office.ask()
    office.outside.deliver_now()
    for secret in (made["secret"], new):
        verified(receiver.received[-1], secret, office.now[-1])
    office.pass_time(hours=24)
    office.ask()
    office.outside.deliver_now()
    verified(receiver.received[-1], new, office.now[-1])
    with pytest.raises(AssertionError):
        verified(receiver.received[-1], made["secret"], office.now[-1])


def test_a_secret_lies_nowhere_in_the_open_and_is_shown_only_when_it_is_made(
    office: OutsideOffice, receiver: Receiver
) -> None:
    made = _subscribe(office, receiver.url).body
    # A repeated request gets the whole answer again, although it was kept without the secret.
    assert _subscribe(office, receiver.url).body == made
    kept = office.rows("webhook") + office.rows("idempotency") + office.rows("audit")
    assert made["secret"] not in kept
    assert made["secret"].removeprefix("whsec_") not in kept
    assert "secret" not in _only(office)
    office.outside.rotate_secret(CENTRE, made["id"], "n-1")
    assert "secret" not in _subscribe(office, receiver.url).body


def test_a_client_sees_and_changes_only_its_own(office: OutsideOffice, receiver: Receiver) -> None:
    id = _subscribe(office, receiver.url).body["id"]
    assert office.outside.webhooks(OTHER_CENTRE) == []
    for act in (
        lambda: office.outside.unsubscribe(OTHER_CENTRE, id),
        lambda: office.outside.pause(OTHER_CENTRE, id, "k"),
        lambda: office.outside.unpause(OTHER_CENTRE, id, "k"),
        lambda: office.outside.rotate_secret(OTHER_CENTRE, id, "k"),
        lambda: office.outside.replay(OTHER_CENTRE, id, "1-1", None, "k"),
    ):
        with pytest.raises(NotFound):
            act()
    with pytest.raises(PermissionDenied):
        _subscribe(office, receiver.url, caller=REVIEWER)
    # Only the platform's own callers subscribe for others.
    other = office.outside.subscribe(OTHER_CENTRE, receiver.url, (), "k", client=CENTRE.actor)
    assert other.body["client"] == OTHER_CENTRE.actor
    assert (
        office.outside.subscribe(SYSTEM, receiver.url, (), "k", client="client/c").body["client"]
        == "client/c"
    )
    office.outside.unsubscribe(CENTRE, id)
    assert office.outside.webhooks(CENTRE) == []


def test_a_paused_one_waits_and_a_removed_one_is_told_nothing(
    office: OutsideOffice, receiver: Receiver
) -> None:
    id = _subscribe(office, receiver.url).body["id"]
    office.outside.pause(CENTRE, id, "p-1")
    office.ask()
    assert office.outside.deliver_now() == 0
    office.outside.unpause(CENTRE, id, "u-1")
    assert office.outside.deliver_now() == 1
    office.outside.unsubscribe(CENTRE, id)
    office.ask()
    assert office.outside.deliver_now() == 0


def test_a_client_that_was_shut_out_is_told_nothing_until_it_is_let_in(
    office: OutsideOffice, receiver: Receiver
) -> None:
    office.run(
        "INSERT INTO api_client (client_id, verifier, roles, title, enabled, created) "
        "VALUES ('centre-1', ''::bytea, '{centre}', 'one', false, now())"
    )
    _subscribe(office, receiver.url)
    office.ask()
    assert office.outside.deliver_now() == 0
    office.run("UPDATE api_client SET enabled = true")
    assert office.outside.deliver_now() == 1


def test_what_cannot_be_subscribed_to_is_refused(office: OutsideOffice, receiver: Receiver) -> None:
    for kind in ("", "Case", "case..moved", "case.*", "a" * 200):
        with pytest.raises(InvalidInput):
            _subscribe(office, receiver.url, kind)
    for number in range(10):
        _subscribe(office, receiver.url, key=f"s-{number}")
    with pytest.raises(Conflict, match="10"):
        _subscribe(office, receiver.url, key="s-10")


def test_by_the_plain_settings_nothing_inside_is_sent_to(
    database: Database, tmp_path: Path, commerce: Registry, receiver: Receiver
) -> None:
    office = open_office(database, tmp_path, {"commerce": commerce.url})
    with pytest.raises(InvalidInput):
        _subscribe(office, receiver.url)
    with pytest.raises(InvalidInput):
        _subscribe(office, "https://127.0.0.1/")


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
    _subscribe(office, "https" + receiver.url.removeprefix("http").replace("127.0.0.1", "hooks.example"))
    office.ask()
    assert office.outside.deliver_now() == 0
    assert _only(office)["reason"] == "forbidden_address"
    assert receiver.received == []


def test_several_workers_deliver_each_message_once_and_in_order(
    office: OutsideOffice, database: Database, tmp_path: Path, commerce: Registry, receiver: Receiver
) -> None:
    _subscribe(office, receiver.url)
    stop = threading.Event()
    workers = [
        threading.Thread(target=_office(database, tmp_path, commerce).outside.deliver, args=(stop.is_set,))
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
    _subscribe(office, receiver.url)
    office.ask()
    office.run("UPDATE webhook SET lease = 'dead', leased_until = clock_timestamp() + interval '1 hour'")
    assert office.outside.deliver_now() == 0
    office.run("UPDATE webhook SET leased_until = clock_timestamp() - interval '1 second'")
    assert office.outside.deliver_now() == 1


def test_a_delivery_under_way_holds_back_no_event(office: OutsideOffice, receiver: Receiver) -> None:
    with receiving() as second:
        _subscribe(office, receiver.url)
        office.ask()
        receiver.status = 0
        sending = threading.Thread(target=office.outside.deliver_now)
        sending.start()
        until(lambda: receiver.received, "the delivery")
        _subscribe(office, second.url, key="s-2")
        office.ask()
        assert office.outside.deliver_now() == 1
        assert len(second.received) == 1
        receiver.release.set()
        sending.join()


def test_what_is_not_ones_own_is_passed_over_and_not_looked_at_for_ever(
    office: OutsideOffice, receiver: Receiver
) -> None:
    _subscribe(office, receiver.url, caller=OTHER_CENTRE)
    before = _only(office)["cursor"]
    for _ in range(3):
        office.ask()
    assert office.outside.deliver_now() == 0
    assert _only(office)["cursor"] == before
    office.run(
        "INSERT INTO event (kind, subject, payload) "
        "SELECT 'play.done', 'play/1', '{}' FROM generate_series(1, 1200)"
    )
    for _ in range(8):
        assert office.outside.deliver_now() == 0
    assert _only(office)["cursor"] != before
    office.ask(caller=OTHER_CENTRE)
    assert office.outside.deliver_now() == 1


def _followed(
    office: OutsideOffice, caller: Caller, count: int, after: str | None = None
) -> list[StoredEvent]:
    async def follow() -> list[StoredEvent]:
        found: list[StoredEvent] = []
        events = office.outside.events(caller, after)
        async with asyncio.timeout(30), contextlib.aclosing(events):
            async for event in events:
                found.append(event)
                if len(found) == count:
                    break
        return found

    return asyncio.run(follow())


def test_a_listener_hears_what_he_may_see(office: OutsideOffice) -> None:
    office.run("INSERT INTO event (kind, subject, payload) VALUES ('play.done', 'play/1', '{}')")
    first, second = office.ask(), office.ask(caller=OTHER_CENTRE)
    office.work_off()
    licence = office.licence(second)
    heard = _followed(office, OTHER_CENTRE, 4)
    assert {event.subject for event in heard} == {f"case/{second}", f"licence/{licence}"}
    watched = _followed(office, AUDITOR, 6)
    assert {f"case/{first}", f"case/{second}"} <= {event.subject for event in watched}
    rest = _followed(office, AUDITOR, 2, watched[3].cursor)
    assert [event.cursor for event in rest] == [event.cursor for event in watched[4:]]
    seen = _followed(office, REVIEWER, 2)
    assert all(event.subject.startswith(("case/", "licence/")) for event in seen)
