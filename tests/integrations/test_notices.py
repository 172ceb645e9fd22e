"""What an applicant is told when a closure moves what he was promised, or his own turn."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.settings import Backend
from integrations.cases import notices
from lab.registry import Registry, registry
from tests.integrations.closing import ended, follow, noted, utc, withdrawn
from tests.integrations.desk import AUDITOR, MOBILE, REVIEWED, REVIEWER, Desk, open_desk

# Five working days from Sunday the 22nd; with Monday lost, one more.
LATER = (
    "نعتذر عن التأخير: الموعد المتوقع لإنجاز طلبك رقم {case} هو 30 نوفمبر 2026م.\n"
    "We are sorry for the delay: your application {case} is now expected to be done by 30 November 2026."
)
SOONER = (
    "تقدّم الموعد المتوقع لإنجاز طلبك رقم {case} إلى 29 نوفمبر 2026م.\n"
    "Your application {case} is now expected to be done sooner, by 29 November 2026."
)
TURN = (
    "تغيّرت المهلة المتاحة لك في طلبك رقم {case}، وتنتهي يوم 4 يناير 2027م الساعة 14:30.\n"
    "The time you have for your application {case} has changed: it ends on 4 January 2027 at 14:30."
)


@pytest.fixture
def sender() -> Iterator[Registry]:
    with registry() as running:
        yield running


@pytest.fixture
def talking(database: Database, tmp_path: Path, sender: Registry) -> Desk:
    """An office that can send messages."""
    return open_desk(database, tmp_path, backends={notices.BACKEND: Backend(url=sender.url, timeout=5)})


def _told(sender: Registry) -> list[str]:
    """The messages on moved days, in order."""
    texts = [each["text"] for each in sender.questions() if each["to"] == MOBILE]
    return [text for text in texts if "استلمنا" not in text and "بانتظار إجراء" not in text]


def _calls(desk: Desk, number: str) -> list[tuple[str, str, Any]]:
    kept = desk.licensing.outside.calls(AUDITOR, number)
    return [(c["name"], c["state"], c["reason"]) for c in kept if c["name"] not in ("submitted", "sent_back")]


def test_who_was_promised_a_day_is_told_that_it_moved_and_told_once(talking: Desk, sender: Registry) -> None:
    number = talking.submit(REVIEWED)
    assert talking.case(number)["promised_for"] == "2026-11-29T11:30:00Z"
    noted(talking, utc(23, 5), utc(24, 5))
    talking.now.append(utc(24, 6))
    for _ in range(2):
        talking.licensing.rounds()
        talking.work_off()
    assert talking.case(number)["promised_for"] == "2026-11-30T11:30:00Z"
    assert _told(sender) == [LATER.format(case=number)]
    assert _calls(talking, number) == [("promise_later", "answered", None)]


def test_in_his_own_turn_he_is_told_its_end_and_no_promise(talking: Desk, sender: Registry) -> None:
    number = talking.submit(REVIEWED)
    talking.do.take(REVIEWER, number, "send_back", comment="المخطط")
    assert talking.case(number)["due"] == "2027-01-03T11:30:00Z"
    noted(talking, utc(23, 5), utc(24, 5))
    talking.now.append(utc(24, 6))
    follow(talking)
    talking.work_off()
    assert talking.case(number)["due"] == "2027-01-04T11:30:00Z"
    assert _told(sender) == [TURN.format(case=number)]


def test_a_day_that_comes_back_is_told_too(talking: Desk, sender: Registry) -> None:
    number = talking.submit(REVIEWED)
    talking.now.append(utc(22, 9))
    storm = noted(talking, utc(23, 4), utc(23, 13), outage=False)
    follow(talking)
    talking.work_off()
    withdrawn(talking, storm)
    follow(talking)
    talking.work_off()
    assert _told(sender) == [LATER.format(case=number), SOONER.format(case=number)]


def test_a_message_that_waited_names_no_day_of_before(talking: Desk, sender: Registry) -> None:
    number = talking.submit(REVIEWED)
    talking.now.append(utc(22, 9))
    storm = noted(talking, utc(23, 4), utc(23, 13), outage=False)
    follow(talking)
    withdrawn(talking, storm)
    follow(talking)
    other = noted(talking, utc(24, 4), utc(24, 13), outage=False)
    follow(talking)
    talking.work_off()
    # The storm's message and the outage's say the same and are both true now; what lay between is not.
    assert _told(sender) == [LATER.format(case=number)] * 2
    assert sorted(_calls(talking, number)) == [
        ("promise_later", "answered", None),
        ("promise_later", "answered", None),
        ("promise_sooner", "dropped", "moved_on"),
    ]
    withdrawn(talking, other)
    follow(talking)
    talking.do.take(REVIEWER, number, "reject")
    talking.work_off()
    # A decided case has no expected day any more.
    assert not [text for text in _told(sender) if "sooner" in text]


def test_an_escalation_is_the_offices_own_affair(talking: Desk, sender: Registry) -> None:
    number = talking.submit(REVIEWED)
    talking.now.append(utc(29, 12))
    talking.licensing.rounds()
    talking.work_off()
    assert talking.case(number)["escalated"]
    assert (_told(sender), _calls(talking, number)) == ([], [])


def test_what_moves_within_a_day_or_is_past_already_is_no_news(talking: Desk, sender: Registry) -> None:
    number = talking.submit(REVIEWED)
    # An hour on another day costs no working day; of the deadlines nothing moves.
    noted(talking, utc(23, 8), utc(23, 9))
    talking.now.append(utc(24, 6))
    follow(talking)
    # Long after the promise was broken another day of it turns out to have been an outage.
    talking.now.append(utc(29, 12) + timedelta(days=10))
    talking.licensing.cases.time_passed()
    noted(talking, utc(24, 4), utc(24, 20))
    follow(talking)
    talking.work_off()
    assert talking.case(number)["promised_for"] == "2026-11-30T11:30:00Z"
    assert (_told(sender), _calls(talking, number)) == ([], [])


def test_an_outage_that_still_holds_is_told_by_its_end(talking: Desk, sender: Registry) -> None:
    number = talking.submit(REVIEWED)
    talking.now.append(utc(23, 6))
    closure = noted(talking, utc(23, 5), None)
    follow(talking)
    talking.now.append(utc(24, 5))
    ended(talking, closure, utc(24, 5))
    follow(talking)
    talking.work_off()
    assert _told(sender) == [LATER.format(case=number)]


def test_without_a_sender_no_message_is_ordered(database: Database, tmp_path: Path) -> None:
    desk = open_desk(database, tmp_path)
    number = desk.submit(REVIEWED)
    noted(desk, utc(23, 5), utc(24, 5))
    desk.now.append(utc(24, 6))
    follow(desk)
    assert desk.case(number)["promised_for"] == "2026-11-30T11:30:00Z"
    assert desk.waiting() == 0
