"""Webhooks: signed, in order, only one's own, replayed as they were."""

import asyncio
import base64
import contextlib
import json
import threading
from datetime import datetime, timedelta

import pytest

from foundation.errors import Conflict, InvalidInput, Malformed, NotFound, PermissionDenied
from foundation.events import StoredEvent
from foundation.identity import Caller
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
)
from tests.integrations.webhook_office import (
    kinds_of,
    only,
    subscribe,
    verified,
)
from tests.processes import until
from tests.receiver import Received, Receiver, receiving

pytest_plugins = ["tests.integrations.webhook_fixtures"]


def test_a_subscriber_is_told_signed_and_in_order_what_happens_from_then_on(
    office: OutsideOffice, receiver: Receiver
) -> None:
    office.ask()
    office.work_off()
    secret = subscribe(office, receiver.url).body["secret"]
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
    secret = subscribe(office, receiver.url).body["secret"]
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
        subscribe(office, receiver.url, "licence.")
        subscribe(office, second.url, "case.submitted", key="s-2")
        office.ask()
        office.work_off()
        office.outside.deliver_now()
        assert set(kinds_of(receiver)) == {"licence.issued"}
        assert kinds_of(second) == ["case.submitted"]


def test_a_centre_is_told_of_its_own_cases_and_of_the_licences_in_its_care(
    office: OutsideOffice, receiver: Receiver
) -> None:
    with receiving() as second:
        subscribe(office, receiver.url)
        subscribe(office, second.url, caller=OTHER_CENTRE)
        number = office.ask()
        office.work_off()
        licence = office.licence(number)
        office.suspend(licence)
        office.work_off()
        office.outside.deliver_now()
        assert "licence.suspended" in kinds_of(receiver)
        assert second.received == []


def test_a_replay_gives_the_same_ids_and_bodies(office: OutsideOffice, receiver: Receiver) -> None:
    made = subscribe(office, receiver.url).body
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
    id = subscribe(office, receiver.url).body["id"]
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


def test_a_replay_from_an_event_that_is_not_there_yet_would_skip_others_and_is_refused(
    office: OutsideOffice, receiver: Receiver
) -> None:
    id = subscribe(office, receiver.url).body["id"]
    office.ask()
    office.outside.deliver_now()
    transaction, number = receiver.ids[0].removeprefix("evt_").split("-")
    for cursor in (f"{transaction}-{int(number) + 1}", f"{int(transaction) + 1}-1"):
        with pytest.raises(Conflict, match="yet"):
            office.outside.replay(CENTRE, id, cursor, None, f"r-{cursor}")
    office.outside.replay(CENTRE, id, f"{transaction}-{number}", None, "r-1")
    office.ask()
    assert office.outside.deliver_now() == 1


def test_a_replay_during_a_delivery_is_not_undone_by_it(office: OutsideOffice, receiver: Receiver) -> None:
    id = subscribe(office, receiver.url).body["id"]
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
    made = subscribe(office, receiver.url).body
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
    made = subscribe(office, receiver.url).body
    # A repeated request gets the whole answer again, although it was kept without the secret.
    assert subscribe(office, receiver.url).body == made
    kept = office.rows("webhook") + office.rows("idempotency") + office.rows("audit")
    assert made["secret"] not in kept
    assert made["secret"].removeprefix("whsec_") not in kept
    assert "secret" not in only(office)
    office.outside.rotate_secret(CENTRE, made["id"], "n-1")
    assert "secret" not in subscribe(office, receiver.url).body


def test_a_client_sees_and_changes_only_its_own(office: OutsideOffice, receiver: Receiver) -> None:
    id = subscribe(office, receiver.url).body["id"]
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
        subscribe(office, receiver.url, caller=REVIEWER)
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
    id = subscribe(office, receiver.url).body["id"]
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
    subscribe(office, receiver.url)
    office.ask()
    assert office.outside.deliver_now() == 0
    office.run("UPDATE api_client SET enabled = true")
    assert office.outside.deliver_now() == 1


def test_what_cannot_be_subscribed_to_is_refused(office: OutsideOffice, receiver: Receiver) -> None:
    for kind in ("", "Case", "case..moved", "case.*", "a" * 200):
        with pytest.raises(InvalidInput):
            subscribe(office, receiver.url, kind)
    for number in range(10):
        subscribe(office, receiver.url, key=f"s-{number}")
    with pytest.raises(Conflict, match="10"):
        subscribe(office, receiver.url, key="s-10")


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
