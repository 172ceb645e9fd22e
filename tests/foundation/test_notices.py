"""Notices through every fault between an event and its reader: once each, and at least once."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foundation import audit, events
from foundation.database import Database
from foundation.errors import SettingsError
from foundation.mail import MailServer
from foundation.notice_recipients import recipients_of
from foundation.notices import TRIES_FOR, Circle, Count, Notices, counts
from foundation.outgoing import Outgoing
from foundation.secret import Secret
from foundation.settings import Mail
from tests.mail_office import Certificate, certificate, mail_office, mail_secrets
from tests.notice_house import LOOSE, TOPICS, House, content_of, made_house, subjects, tell
from tests.own_server import OwnServer
from tests.processes import ROOT, until
from tests.receiver import Receiver, receiving


@pytest.fixture
def held(tmp_path: Path) -> Certificate:
    return certificate(tmp_path)


@pytest.fixture
def house(database: Database, tmp_path: Path, held: Certificate) -> Iterator[House]:
    with mail_office(tmp_path, held=held) as office:
        yield made_house(database, tmp_path, office)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def test_an_event_is_told_once_to_each_who_wants_to_know(house: House, receiver: Receiver) -> None:
    notices = house.notices(
        "mailto:noc@amanah.example", "mailto:head@amanah.example#on=all", f"{receiver.url}#on=alarm,news"
    )
    house.happen("fire")
    house.happen("tea", kind="play.news")
    house.happen("hush", kind="play.silent")
    house.happen("other", kind="case.moved")
    assert notices.round() == 5
    assert notices.round() == 0
    assert sorted(zip(house.office.readers, subjects(house.office), strict=True)) == [
        ("head@amanah.example", "fire"),
        ("head@amanah.example", "tea"),
        ("noc@amanah.example", "fire"),
    ]
    first, second = (content_of(each, house.secret) for each in receiver.received)
    assert first["type"] == "play.alarm"
    assert first["data"] == {"subject": "play/7", "word": "fire"}
    assert second["data"]["word"] == "tea"
    assert len(set(receiver.ids)) == 2
    assert {row["state"] for row in house.rows()} == {"sent"}
    with house.database.transaction() as session:
        told = [entry for entry in audit.entries(session, "play/7") if entry.action == "notice.sent"]
    assert len(told) == 5
    # What stands behind the host of a URL is often as good as a password.
    assert {entry.details["recipient"] for entry in told} == {
        "noc@amanah.example",
        "head@amanah.example",
        receiver.url.partition("/hook")[0],
    }


def test_several_workers_tell_no_event_twice(house: House, receiver: Receiver) -> None:
    workers = [house.notices("mailto:noc@amanah.example", receiver.url) for _ in range(4)]
    house.happen(*(f"w{number}" for number in range(25)))
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(Notices.round, workers)) == 50
    assert sorted(subjects(house.office)) == sorted(f"w{number}" for number in range(25))
    assert len(set(receiver.ids)) == len(receiver.ids) == 25


def test_what_happened_while_a_transaction_was_open_is_not_passed_over(house: House) -> None:
    notices = house.notices("mailto:noc@amanah.example")
    with house.database.transaction() as session:
        events.publish(session, "play.alarm", "play/1", {"word": "early"})
        house.happen("late")
        assert notices.round() == 0
    assert notices.round() == 2
    assert subjects(house.office) == ["early", "late"]


def test_a_server_that_is_away_for_a_while_is_told_later_and_once(
    database: Database, tmp_path: Path, held: Certificate
) -> None:
    with mail_office(tmp_path, held=held) as office:
        house = made_house(database, tmp_path, office)
        notices = house.notices("mailto:noc@amanah.example")
    house.happen("one", "two", "three")
    waits: list[float] = []
    for _ in range(6):
        assert notices.round() == 0
        waiting = house.rows()
        assert {row["state"] for row in waiting} == {"waiting"}
        assert any("cannot be reached" in (row["last_error"] or "") for row in waiting)
        # One was tried; none is due before it has been waited.
        assert notices.round() == 0
        assert sum(row["attempts"] for row in house.rows()) == len(waits) + 1
        latest = max(row["next_at"] for row in waiting) - datetime.now(UTC) - house.shift
        waits.append(latest.total_seconds())
        house.let_time_pass(hours=2)
    assert 10 < waits[0] < 20
    assert waits == sorted(waits)
    assert 2_800 < waits[-1] < 4_400
    with mail_office(tmp_path, held=held, port=office.port) as again:
        assert notices.round() == 3
        assert notices.round() == 0
        assert sorted(subjects(again)) == ["one", "three", "two"]
        assert len({str(got["message-id"]) for _, got in again.taken}) == 3


def test_one_refused_recipient_is_given_up_aloud_and_loses_no_other(house: House) -> None:
    notices = house.notices("mailto:gone@amanah.example", "mailto:noc@amanah.example")
    house.office.recipients = {"gone@amanah.example": "550 no such user"}
    house.happen("fire")
    assert notices.round() == 1
    assert house.office.readers == ["noc@amanah.example"]
    lost, kept = house.rows()
    assert (lost["state"], kept["state"]) == ("failed", "sent")
    assert "550 no such user" in lost["last_error"]
    with house.database.transaction() as session:
        found = events.read(session, after=None, kind_prefix="notice.failed")
        told = [entry for entry in audit.entries(session, "play/7") if entry.action == "notice.failed"]
        assert counts(session) == [Count("mail", 0, 1), Count("webhook", 0, 0)]
    assert [event.subject for event in found] == ["play/7"]
    assert found[0].payload["recipient"] == "gone@amanah.example"
    assert "550" in found[0].payload["reason"]
    assert len(told) == 1
    house.let_time_pass(days=1)
    assert notices.round() == 0


def test_a_letter_refused_for_now_waits_and_others_go(house: House) -> None:
    notices = house.notices("mailto:full@amanah.example", "mailto:noc@amanah.example")
    house.office.recipients = {"full@amanah.example": "452 mailbox full"}
    house.happen("fire", "flood")
    assert notices.round() == 2
    assert set(house.office.readers) == {"noc@amanah.example"}
    house.office.recipients = {}
    house.let_time_pass(minutes=2)
    assert notices.round() == 2
    assert house.office.readers.count("full@amanah.example") == 2


@pytest.mark.parametrize("taken", [False, True])
def test_a_connection_that_ends_in_the_letter_is_sent_again_under_the_same_name(
    house: House, taken: bool
) -> None:
    notices = house.notices("mailto:noc@amanah.example")
    house.office.drops, house.office.takes_before = 1, taken
    house.happen("fire")
    assert notices.round() == 0
    house.let_time_pass(minutes=1)
    assert notices.round() == 1
    assert len(house.office.taken) == (2 if taken else 1)
    assert len({str(got["message-id"]) for _, got in house.office.taken}) == 1


def test_a_notice_is_given_up_after_its_days(house: House, receiver: Receiver) -> None:
    notices = house.notices(receiver.url)
    receiver.status = 500
    house.happen("fire")
    rounds = 0
    while house.rows() == [] or house.rows()[0]["state"] == "waiting":
        assert notices.round() == 0
        house.let_time_pass(hours=2)
        rounds += 1
        assert rounds < 50
    row = house.rows()[0]
    assert row["state"] == "failed"
    assert row["attempts"] == len(receiver.received) == rounds
    assert house.shift >= TRIES_FOR - timedelta(hours=2)
    assert len(set(receiver.ids)) == 1
    with house.database.transaction() as session:
        assert len(events.read(session, after=None, kind_prefix="notice.failed")) == 1


def test_a_receiver_that_wants_no_more_or_one_message_not_holds_up_no_other(
    house: House, receiver: Receiver
) -> None:
    notices = house.notices(receiver.url)
    receiver.status = 422
    house.happen("poison")
    assert notices.round() == 0
    receiver.status = 204
    house.happen("cure")
    assert notices.round() == 1
    assert content_of(receiver.received[-1], house.secret)["data"]["word"] == "cure"
    receiver.status = 410
    house.let_time_pass(minutes=2)
    assert notices.round() == 0
    assert [row["state"] for row in house.rows()] == ["failed", "sent"]


def test_a_private_address_is_sent_to_only_where_that_is_allowed(house: House, receiver: Receiver) -> None:
    with pytest.raises(SettingsError, match="not https"):
        house.notices(receiver.url, outgoing=Outgoing(allow_private=False, timeout_s=1))
    private = receiver.url.replace("http:", "https:")
    notices = house.notices(private, outgoing=Outgoing(allow_private=False, timeout_s=1))
    house.happen("fire")
    assert notices.round() == 0
    assert receiver.received == []
    assert "not public" in house.rows()[0]["last_error"]
    assert house.rows()[0]["state"] == "waiting"


def test_a_missing_or_unusable_secret_sends_nothing_and_waits(house: House, receiver: Receiver) -> None:
    notices = house.notices(f"{receiver.url}#secret=other")
    house.happen("fire")
    assert notices.round() == 0
    assert "'other'" in house.rows()[0]["last_error"]
    mail_secrets(house.folder).set("other", Secret("my password"))
    house.let_time_pass(minutes=2)
    assert notices.round() == 0
    assert "my password" not in house.rows()[0]["last_error"]
    assert receiver.received == []
    mail_secrets(house.folder).set("other", Secret(house.secret))
    house.let_time_pass(minutes=5)
    assert notices.round() == 1
    assert content_of(receiver.received[0], house.secret)["data"]["word"] == "fire"


def test_who_hangs_holds_up_nobody_else(house: House, receiver: Receiver) -> None:
    receiver.status = 0
    notices = house.notices(receiver.url, "mailto:noc@amanah.example")
    stop = threading.Event()
    serving = threading.Thread(target=notices.serve, args=[stop.is_set])
    serving.start()
    try:
        house.happen("first")
        until(lambda: receiver.received and len(house.office.taken) == 1)
        house.happen("second")
        until(lambda: len(house.office.taken) == 2)
        assert {row["state"] for row in house.rows() if row["channel"] == "webhook"} == {"waiting"}
    finally:
        stop.set()
        receiver.release.set()
        serving.join()


@pytest.mark.parametrize("held_at", ["before it was taken", "after it was taken"])
def test_a_worker_killed_in_the_middle_loses_nothing(house: House, held_at: str) -> None:
    with receiving() as receiver:
        receiver.hold_at = 1
        house.happen("fire", "flood")
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER, house.database.connection_info, str(house.folder), receiver.url],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        )
        try:
            until(lambda: receiver.received)
            if held_at == "after it was taken":
                # The receiver has it; that it is written as sent is what the worker no longer does.
                worker.send_signal(signal.SIGSTOP)
                receiver.release.set()
        finally:
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        receiver.release.set()
        notices = house.notices(receiver.url)
        # It is under way, as far as anybody knows.
        notices.round()
        assert [row["state"] for row in house.rows()].count("waiting") == 1
        house.let_time_pass()
        assert notices.round() == 1
        words = [content_of(each, house.secret)["data"]["word"] for each in receiver.received]
        assert sorted(words) == ["fire", "fire", "flood"]
        assert len(set(receiver.ids)) == 2
        assert [row["state"] for row in house.rows()] == ["sent", "sent"]


def test_a_restart_of_the_database_is_survived(
    own_server: OwnServer, tmp_path: Path, held: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("foundation.notices._AFTER_FAULT", 0.2)
    with mail_office(tmp_path, held=held) as office:
        house = made_house(own_server.database, tmp_path, office)
        notices = house.notices("mailto:noc@amanah.example")
        stop = threading.Event()
        serving = threading.Thread(target=notices.serve, args=[stop.is_set])
        serving.start()
        try:
            house.happen("before")
            until(lambda: len(office.taken) == 1)
            own_server.kill()
            own_server.wait()
            house.happen("after")
            until(lambda: "after" in subjects(office))
        finally:
            stop.set()
            serving.join()


def test_an_event_without_words_is_told_barely_and_keeps_back_no_other(house: House) -> None:
    notices = house.notices("mailto:noc@amanah.example#on=news")
    with house.database.transaction() as session:
        events.publish(session, "play.alarm", "play/9", {"unknown": 1})
    house.happen("tea", kind="play.news")
    assert notices.round() == 2
    assert "play.alarm" in str(house.office.taken[0][1]["subject"])
    assert subjects(house.office)[1] == "tea"


def test_what_is_old_or_tried_by_nobody_is_not_told_and_not_kept_for_ever(house: House) -> None:
    house.notices("mailto:noc@amanah.example").gather()
    house.happen("fire")
    house.notices("mailto:left@amanah.example").gather()
    others = house.notices("mailto:noc@amanah.example")
    assert others.round() == 0
    house.let_time_pass(days=4)
    others.clear()
    row = house.rows()[0]
    assert (row["state"], row["last_error"]) == ("failed", "No worker sends to this recipient any more.")
    house.run("UPDATE event SET at = at - interval '10 days'")
    house.happen("new")
    house.run("UPDATE notice_reader SET cursor = NULL")
    house.shift = timedelta()
    assert others.round() == 1
    assert subjects(house.office) == ["new"]
    house.let_time_pass(days=40)
    others.clear()
    assert [row["state"] for row in house.rows()] == ["failed"]


def test_without_readers_nothing_is_passed_over(house: House) -> None:
    house.happen("fire")
    assert house.notices().round() == 0
    assert house.notices("mailto:noc@amanah.example").round() == 1


def test_mail_to_nobody_is_told_when_the_program_starts(house: House) -> None:
    server = MailServer(Mail(), mail_secrets(house.folder))
    known = recipients_of(
        ["mailto:noc@amanah.example"], topics=TOPICS, usual=TOPICS, outgoing=LOOSE, place="plays.notify"
    )
    with pytest.raises(SettingsError, match=r"mail\.host"):
        Notices(house.database, [Circle("plays", "play.", known, tell)], server, LOOSE, server.secrets)


_WORKER = """
import sys
from pathlib import Path
from foundation.database import Database
from foundation.mail import MailServer
from foundation.notice_recipients import recipients_of
from foundation.notices import Circle, Notices
from foundation.secret import SecretFile
from foundation.settings import Mail
from tests.notice_house import LOOSE, TOPICS, tell
url, folder, address = sys.argv[1:]
secrets = SecretFile(Path(folder) / "secrets.json", Path(folder) / "secrets.key")
known = recipients_of([address], topics=TOPICS, usual={"alarm"}, outgoing=LOOSE, place="test")
circle = Circle("plays", "play.", known, tell)
Notices(Database(url), [circle], MailServer(Mail(), secrets), LOOSE, secrets).round()
"""
