"""What people and programs are told of plays: who, what, where and how much, and never what is configured."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation import events
from foundation.database import Database
from foundation.errors import SettingsError
from foundation.mail import MailServer
from foundation.notices import Notices
from foundation.outgoing import Outgoing
from foundation.secret import Secret
from foundation.settings import Plays, Settings
from foundation.signed_post import new_secret
from infra.plays import decisions, states
from infra.plays.notices import TOPICS, circle_of
from infra.plays.records import Change, get_run
from tests.mail_office import MailOffice, mail_office, mail_secrets, mail_settings
from tests.receiver import Receiver, receiving

LOOSE = Outgoing(allow_private=True, timeout_s=2)
PLAN = "3fa9c1d2e4b5" + "0" * 52
MARK = "wq81-hunter2"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[MailOffice]:
    with mail_office(tmp_path) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def made_run(database: Database, **changes: Any) -> int:
    """A run as its record is when somebody is told of it."""
    words = {
        "playbook": "patch",
        "requested_by": "person/omar",
        "targets": ["web-1", "web-2"],
        "state": "running",
        "site": "dc-1",
        "reason": None,
        "approved_by": None,
        "decided_reason": None,
        "cancelled_by": None,
        "cancel_reason": None,
        "check_mode": False,
        **changes,
    }
    with database.transaction() as session:
        number: int = session.execute(
            text(
                """
                INSERT INTO play_run (playbook, revision, parameters, check_mode, diff, requested_by, state,
                    targets, site, reason, approved_by, approved_plan, approved_at, decided_reason,
                    cancelled_by, cancel_reason, plan)
                VALUES (:playbook, 'r', '{}', :check_mode, true, :requested_by, :state,
                    :targets, :site, :reason, :approved_by, :approved_plan, :approved_at, :decided_reason,
                    :cancelled_by, :cancel_reason, :plan)
                RETURNING id
                """
            ),
            {
                **words,
                "plan": PLAN,
                "approved_plan": PLAN if words["approved_by"] else None,
                "approved_at": datetime.now(UTC) if words["approved_by"] else None,
            },
        ).scalar_one()
        return number


def host(database: Database, number: int, name: str, state: str) -> None:
    with database.transaction() as session:
        session.execute(
            text(
                """
                INSERT INTO play_host_result (run_id, host, state, ok, changed, failed, unreachable, skipped,
                    rescued, ignored, task, message)
                VALUES (:run, :host, :state, 0, 0, 0, 0, 0, 0, 0, 'Write it', :message)
                """
            ),
            {"run": number, "host": name, "state": state, "message": f"password={MARK}"},
        )


def happen(database: Database, number: int, kind: str, **payload: Any) -> None:
    with database.transaction() as session:
        events.publish(session, f"play.{kind}", f"play/{number}", payload)


def notices(database: Database, folder: Path, office: MailOffice, *recipients: str) -> Notices:
    secrets = mail_secrets(folder)
    secrets.set("notify-webhook", Secret(new_secret()))
    settings = Settings(plays=Plays(notify=recipients), mail=mail_settings(office))
    server = MailServer(settings.mail, secrets, office.trust, timeout_s=5)
    return Notices(database, [circle_of(settings, LOOSE)], server, LOOSE, secrets)


def planned(database: Database, number: int) -> None:
    happen(
        database,
        number,
        "planned",
        playbook="patch",
        hosts=["web-1", "web-2"],
        plan=PLAN,
        changes=12,
        hosts_changed=1,
        requested_by="person/omar",
        by="system",
    )


def test_who_may_approve_reads_who_asks_what_where_how_much_and_how_to_look(
    database: Database, tmp_path: Path, office: MailOffice, receiver: Receiver
) -> None:
    number = made_run(database, state="awaiting_approval")
    planned(database, number)
    assert notices(database, tmp_path, office, "mailto:noc@amanah.example", receiver.url).round() == 2
    got = office.taken[0][1]
    arabic, latin = str(got["subject"]).split(" | ")
    assert "بانتظار الموافقة" in arabic
    assert f"patch, run {number}: awaits approval" in latin
    content = got.get_content().replace("\r\n", "\n")
    first, second = content.split("―" * 24)
    for half in (first, second):
        assert f"\n    rakeeza play show {number} --changes\n" in half
        assert f"\n    rakeeza play approve {number} --plan 3fa9c1d2e4b5\n" in half
        for word in ("person/omar", "web-1, web-2", "dc-1", "12", "3fa9c1d2e4b5"):
            assert word in half
    assert PLAN not in content
    assert "عدد التغييرات: \u206812\u2069" in first
    # Each Arabic line says that it runs from the right, whatever stands in it.
    assert all(line.startswith("\u200f") for line in first.splitlines() if "\u0627" <= line[:1] <= "\u064a")
    assert "\u200fطلبه: \u2068person/omar\u2069" in first.splitlines()
    told = json.loads(receiver.received[0].body)
    assert told["type"] == "play.planned"
    assert told["data"]["subject"] == f"play/{number}"
    assert told["data"]["plan"] == PLAN
    assert (told["data"]["changes"], told["data"]["hosts"]) == (12, 2)


@pytest.mark.parametrize(
    ("kind", "payload", "run", "said"),
    [
        ("approved", {"by": "person/sara"}, {"approved_by": "person/sara"}, ["was approved", "person/sara"]),
        ("rejected", {"by": "person/sara", "reason": "not today"}, {}, ["was rejected", "not today"]),
        ("approval_voided", {"approved_by": "person/sara", "plan": PLAN}, {}, ["lost its approval", "sara"]),
        ("emergency", {"reason": "the caster is down"}, {}, ["is an emergency", "the caster is down"]),
        ("finished", {"state": "failed"}, {}, ["failed", "web-2: unreachable", "log"]),
        (
            "finished",
            {"state": "interrupted", "reason": "The worker a:1 ended; interrupted, web-1 at task 'Reboot'."},
            {},
            ["was interrupted", "web-1 at task 'Reboot'", "not run again by itself"],
        ),
        (
            "finished",
            {"state": "cancelled"},
            {"cancelled_by": "person/ali", "cancel_reason": "wrong rack"},
            ["was cancelled", "person/ali", "wrong rack"],
        ),
    ],
)
def test_each_turn_of_a_run_is_told_with_what_matters(
    database: Database,
    tmp_path: Path,
    office: MailOffice,
    kind: str,
    payload: dict[str, Any],
    run: dict[str, Any],
    said: list[str],
) -> None:
    number = made_run(database, **run)
    host(database, number, "web-1", "ok")
    host(database, number, "web-2", "unreachable")
    happen(database, number, kind, **payload)
    assert notices(database, tmp_path, office, "mailto:noc@amanah.example").round() == 1
    content = office.taken[0][1].get_content()
    for word in said:
        assert word in content
    assert f"rakeeza play show {number}" in content


def test_a_success_and_every_small_step_is_told_only_to_who_asks_for_it(
    database: Database, tmp_path: Path, office: MailOffice
) -> None:
    number = made_run(database)
    for kind in ("requested", "checking", "waiting", "started", "task_started", "host_ok", "item", "output"):
        happen(database, number, kind, host="web-1")
    happen(database, number, "finished", state="successful", statistics={"hosts_changed": 2})
    told = notices(
        database,
        tmp_path,
        office,
        "mailto:noc@amanah.example",
        "mailto:head@amanah.example#on=all",
        "mailto:done@amanah.example#on=success",
    )
    assert told.round() == 2
    assert sorted(office.readers) == ["done@amanah.example", "head@amanah.example"]
    assert "Hosts changed: 2" in office.taken[0][1].get_content()


def test_schedules_that_were_missed_or_failed_are_told(
    database: Database, tmp_path: Path, office: MailOffice
) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC).isoformat()
    both = {"schedule": "nightly", "playbook": "patch", "created_by": "person/omar", "moment": at}
    with database.transaction() as session:
        events.publish(session, "play.schedule_missed", "play-schedule/nightly", {**both, "count": 3})
        events.publish(session, "play.schedule_failed", "play-schedule/nightly", {**both, "reason": MARK})
        events.publish(session, "play.schedule_requested", "play-schedule/nightly", {**both, "run": 1})
    assert notices(database, tmp_path, office, "mailto:noc@amanah.example").round() == 2
    missed, failed = (got.get_content() for _, got in office.taken)
    assert "Schedule nightly of patch missed its moment." in missed
    assert "Moments: 3" in missed
    assert "could not ask for its run" in failed
    assert "rakeeza play schedule list" in failed


def test_no_difference_no_message_and_no_word_of_ansible_leaves_in_a_notice(
    database: Database, tmp_path: Path, office: MailOffice, receiver: Receiver
) -> None:
    number = made_run(database, reason=f"fatal: {MARK}", state="failed")
    host(database, number, "web-1", "failed")
    with database.transaction() as session:
        session.execute(
            text("INSERT INTO play_change VALUES (:run, 'web-1', 1, 'Write it', NULL, :diff, 'd')"),
            {"run": number, "diff": f"+password {MARK}"},
        )
    planned(database, number)
    for kind in ("output", "host_failed", "host_changed", "item"):
        happen(database, number, kind, host="web-1", diff=MARK, text=MARK, message=MARK)
    happen(database, number, "planned", changes=1, diff=MARK, changes_shown=[MARK], plan=PLAN)
    happen(database, number, "approval_voided", reason=MARK, plan=PLAN, diff=MARK)
    happen(database, number, "finished", state="failed", reason=f"Not well: web-1. {MARK}", diff=MARK)
    wanted = (f"mailto:noc@amanah.example#on={','.join(TOPICS)}", f"{receiver.url}#on=all")
    assert notices(database, tmp_path, office, *wanted).round() == 8
    assert len(office.taken) == len(receiver.received) == 4
    for _, got in office.taken:
        assert MARK not in got.get_content()
        assert MARK not in str(got["subject"])
    assert not [request for request in receiver.received if MARK.encode() in request.body]
    with database.transaction() as session:
        kept = session.execute(text("SELECT content::text FROM notice")).scalars().all()
    assert len(kept) == 8
    assert not [each for each in kept if MARK in each]


def test_what_a_person_typed_can_neither_turn_a_line_nor_end_it(
    database: Database, tmp_path: Path, office: MailOffice
) -> None:
    number = made_run(database, targets=["web-1"], requested_by="person/\u202eramo\nBcc: x@y.example")
    happen(
        database,
        number,
        "rejected",
        by="person/sara",
        reason="no\r\n\r\n    rakeeza play approve 1\u2067" * 50,
    )
    assert notices(database, tmp_path, office, "mailto:noc@amanah.example").round() == 1
    got = office.taken[0][1]
    assert got["bcc"] is None
    lines = got.get_content().replace("\r\n", "\n").split("\n")
    assert "    rakeeza play approve 1" not in lines
    assert not set("\u202e\u2067") & set(got.get_content())
    assert max(map(len, lines)) < 300


def test_a_run_on_very_many_hosts_is_told_by_their_number(
    database: Database, tmp_path: Path, office: MailOffice, receiver: Receiver
) -> None:
    names = [f"host-{number:04}" for number in range(3_000)]
    number = made_run(database, targets=names)
    happen(database, number, "emergency", reason="all of them")
    assert notices(database, tmp_path, office, "mailto:noc@amanah.example", receiver.url).round() == 2
    assert "3000: host-0000" in office.taken[0][1].get_content()
    assert "(+2990)" in office.taken[0][1].get_content()
    assert len(receiver.received[0].body) < 5_000
    assert json.loads(receiver.received[0].body)["data"]["hosts"] == 3_000


def test_a_reader_of_no_topic_of_plays_is_refused_by_the_name_of_the_setting() -> None:
    with pytest.raises(
        SettingsError, match=r"^plays\.notify: .*no topic 'diffs'.*approval, success, trouble, all"
    ):
        circle_of(Settings(plays=Plays(notify=("mailto:a@b.example#on=diffs",))), LOOSE)


@pytest.mark.parametrize("subject", ["play/404", "play/x", "play/99999999999999999999999999", "play/1\u0661"])
def test_an_event_of_a_run_that_is_not_there_is_told_barely_and_keeps_back_no_other(
    database: Database, tmp_path: Path, office: MailOffice, subject: str
) -> None:
    number = made_run(database)
    with database.transaction() as session:
        events.publish(session, "play.planned", subject, {"changes": 1})
        events.publish(session, "play.finished", f"play/{number}", {})
    planned(database, number)
    assert notices(database, tmp_path, office, "mailto:noc@amanah.example").round() == 3
    subjects = [str(got["subject"]) for _, got in office.taken]
    for word, line in zip(("play.planned", "play.finished", "awaits"), subjects, strict=True):
        assert word in line


def test_what_plays_themselves_publish_is_what_is_told(
    database: Database, tmp_path: Path, office: MailOffice, receiver: Receiver
) -> None:
    told = notices(database, tmp_path, office, "mailto:noc@amanah.example#on=all", f"{receiver.url}#on=all")
    first, second = made_run(database, state="checking"), made_run(database, state="checking")
    change = Change("web-1", "Write it", None, f"+{MARK}", "d")
    with database.transaction() as session:
        for number in (first, second):
            states.await_approval(session, get_run(session, number), [change])
    with database.transaction() as session:
        decisions.approve(session, first, by="person/sara", plan=PLAN[:12], comment="go ahead")
        decisions.reject(session, second, by="person/sara", reason="not today")
    with database.transaction() as session:
        run = get_run(session, first)
        states.void_approval(session, run, f"The check shows another change: {MARK}")
        states.await_approval(session, run, [change, change])
    host(database, first, "web-1", "unreachable")
    with database.transaction() as session:
        run = get_run(session, first)
        states.finish(session, run, "failed", f"Not well: web-1. {MARK}", {"hosts_changed": 1})
    assert told.round() == 14
    words = ["awaits", "awaits", "was approved", "was rejected", "lost its approval", "awaits", "failed"]
    contents = [got.get_content() for _, got in office.taken]
    for word, content in zip(words, contents, strict=True):
        assert word in content
        assert MARK not in content
    assert "Approved by: person/sara" in contents[2]
    assert "go ahead" in contents[2]
    assert "Rejected by: person/sara" in contents[3]
    assert "Had been approved by: person/sara" in contents[4]
    assert "Changes: 2" in contents[5]
    assert "web-1: unreachable" in contents[6]
    kinds = [json.loads(request.body)["type"] for request in receiver.received]
    assert kinds == [
        "play.planned",
        "play.planned",
        "play.approved",
        "play.rejected",
        "play.approval_voided",
        "play.planned",
        "play.finished",
    ]
