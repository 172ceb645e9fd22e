"""Calls to back-ends under every fault, against a registry that is a process of its own."""

import multiprocessing
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.errors import Conflict, NotFound, PermissionDenied
from integrations.cases import notices
from lab.registry import Registry, registry
from tests.integrations.outside_office import (
    AUDITOR,
    CENTRE,
    IDENTIFIER,
    KNOWN,
    MOBILE,
    OTHER_CENTRE,
    OWNER,
    REVIEWER,
    SYSTEM,
    UNKNOWN,
    OutsideOffice,
    key_of,
    open_office,
    work_elsewhere,
)
from tests.processes import until


@pytest.fixture
def commerce() -> Iterator[Registry]:
    with registry(refused=(UNKNOWN,)) as running:
        yield running


@pytest.fixture
def office(database: Database, tmp_path: Path, commerce: Registry) -> OutsideOffice:
    return open_office(database, tmp_path, {"commerce": commerce.url})


def test_a_yes_lets_the_case_go_on_by_itself(office: OutsideOffice, commerce: Registry) -> None:
    number = office.ask()
    assert office.call(number)["state"] == "waiting"
    office.work_off()
    assert office.case(number).state == "granted"
    call = office.call(number)
    assert (call["state"], call["answer"]) == ("answered", {"passed": True, "code": "standing"})
    assert commerce.questions() == [{"register": KNOWN, "holder": IDENTIFIER}]
    assert commerce.acted(key_of(number)) == 1
    answered = [details for action, details in office.journal(number) if action == "answered"]
    assert [(each["check"], each["answer"]) for each in answered] == [("register", "passed")]


def test_a_no_is_an_answer_too(office: OutsideOffice) -> None:
    number = office.ask(UNKNOWN)
    office.work_off()
    assert office.case(number).state == "refused"
    assert office.call(number)["answer"]["text"]["ar"] == "السجل غير قائم"


def test_what_is_asked_is_kept_nowhere_in_the_open(office: OutsideOffice) -> None:
    office.ask()
    office.work_off()
    kept = "".join(office.rows(table) for table in ("case_call", "procrastinate_jobs", "event", "audit"))
    assert "check/register" in kept
    assert not [secret for secret in (IDENTIFIER, MOBILE, OWNER) if secret in kept]


def test_an_answer_lost_on_its_way_is_asked_for_again_and_done_once(
    office: OutsideOffice, commerce: Registry
) -> None:
    commerce.behave("drop_after", times=1)
    number = office.ask()
    office.work_off()
    assert office.case(number).state == "granted"
    assert (commerce.asked(key_of(number)), commerce.acted(key_of(number))) == (2, 1)


@pytest.mark.parametrize("mode", ["error", "drop_before", "nonsense", "busy"])
def test_a_back_end_that_was_down_for_a_while_is_asked_until_it_answers(
    office: OutsideOffice, commerce: Registry, mode: str
) -> None:
    commerce.behave(mode, times=2)  # type: ignore[arg-type]  # parametrize knows no literals
    number = office.ask()
    office.work_off()
    assert office.case(number).state == "granted"
    assert commerce.asked(key_of(number)) == 3


def test_a_back_end_down_for_good_is_never_a_no_and_a_person_brings_it_through(
    office: OutsideOffice, commerce: Registry
) -> None:
    commerce.stop()
    number = office.ask()
    office.work_off()
    call = office.call(number)
    assert (call["state"], call["attempts"], call["reason"]) == ("parked", 3, "connect")
    assert office.case(number).state == "asked"
    assert [(s, p["reason"], p["attempts"]) for s, p in office.events("case.call_parked")] == [
        (f"case/{number}", "connect", 3)
    ]
    assert [each["key"] for each in office.outside.parked(REVIEWER)["items"]] == [key_of(number)]
    commerce.start()
    first = office.outside.retry(REVIEWER, call["id"], "retry-1")
    assert office.outside.retry(REVIEWER, call["id"], "retry-1").body == first.body
    assert (first.body["state"], first.body["attempts"]) == ("waiting", 0)
    office.work_off()
    assert office.case(number).state == "granted"
    assert office.outside.parked(REVIEWER)["items"] == []
    assert [payload["by"] for _, payload in office.events("case.call_retried")] == ["person/reviewer"]
    with pytest.raises(Conflict, match="answered"):
        office.outside.retry(REVIEWER, call["id"], "retry-2")


def test_a_rejected_question_is_parked_at_once(office: OutsideOffice, commerce: Registry) -> None:
    commerce.behave("reject")
    number = office.ask()
    office.work_off()
    call = office.call(number)
    assert (call["state"], call["attempts"], call["reason"]) == ("parked", 1, "status_422")
    assert commerce.asked(key_of(number)) == 1
    assert office.case(number).state == "asked"


def test_a_back_end_that_the_settings_do_not_name_is_parked_at_once(
    database: Database, tmp_path: Path
) -> None:
    office = open_office(database, tmp_path, {})
    number = office.ask()
    office.work_off()
    assert office.call(number)["reason"] == "not_configured"
    assert office.case(number).state == "asked"


def test_a_case_that_moved_on_before_it_was_asked_drops_the_call(
    office: OutsideOffice, commerce: Registry
) -> None:
    number = office.ask()
    office.take(number, "withdraw")
    office.work_off()
    call = office.call(number)
    assert (call["state"], call["reason"]) == ("dropped", "moved_on")
    assert commerce.asked(key_of(number)) == 0


def test_an_answer_after_the_case_moved_on_changes_nothing(office: OutsideOffice, commerce: Registry) -> None:
    commerce.behave("slow", seconds=1.5)
    number = office.ask()
    worker = threading.Thread(target=office.work_off)
    worker.start()
    until(lambda: commerce.asked(key_of(number)) == 1, "the question")
    # Not held up by the question: it is asked outside any transaction.
    office.take(number, "withdraw")
    worker.join()
    assert commerce.acted(key_of(number)) == 1
    assert (office.call(number)["state"], office.case(number).state) == ("dropped", "withdrawn")
    assert "answered" not in [action for action, _ in office.journal(number)]


def test_a_case_that_comes_back_asks_anew_and_forgets_what_it_asked(
    office: OutsideOffice, commerce: Registry
) -> None:
    number = office.ask(UNKNOWN)
    office.take(number, "return", REVIEWER)
    office.take(number, "resend", form={"register": KNOWN})
    office.work_off()
    assert office.case(number).state == "granted"
    states = [c["state"] for c in office.outside.calls(CENTRE, number) if c["kind"] == "check"]
    assert states == ["dropped", "answered"]
    assert commerce.acted(key_of(number)) == 0
    assert commerce.acted(key_of(number, 3)) == 1


def test_an_answer_to_an_earlier_form_is_none_to_the_changed_one(office: OutsideOffice) -> None:
    number = office.ask(procedure="weigh")
    office.work_off()
    assert office.case(number).checks == {"register": "passed"}
    office.take(number, "edit", form={"register": UNKNOWN})
    assert office.case(number).checks == {}
    with pytest.raises(Conflict):
        office.take(number, "grant", REVIEWER)
    office.work_off()
    assert office.case(number).checks == {"register": "failed"}


def test_a_call_whose_worker_was_killed_is_resumed_and_done_once(
    office: OutsideOffice, commerce: Registry, database_url: str, tmp_path: Path
) -> None:
    commerce.behave("slow", times=1, seconds=30)
    number = office.ask()
    worker = multiprocessing.get_context("spawn").Process(
        target=work_elsewhere, args=(database_url, str(tmp_path), {"commerce": commerce.url})
    )
    worker.start()
    until(lambda: commerce.asked(key_of(number)) == 1, "the question")
    worker.kill()
    worker.join()
    worker.close()
    assert office.call(number)["state"] == "waiting"
    until(lambda: office.outside.resume() == 1, "the killed worker's job")
    office.work_off()
    assert office.case(number).state == "granted"
    assert commerce.acted(key_of(number)) == 1


def test_a_call_whose_job_is_lost_gets_a_new_one_and_one_that_waits_does_not(office: OutsideOffice) -> None:
    number = office.ask()
    office.pass_time(minutes=11)
    assert office.outside.resume() == 0
    office.run("DELETE FROM procrastinate_jobs WHERE task_name = 'case.call'")
    assert office.outside.resume() == 1
    assert office.outside.resume() == 0
    office.work_off()
    assert office.case(number).state == "granted"


def test_two_jobs_of_one_call_make_one_answer(office: OutsideOffice, commerce: Registry) -> None:
    number = office.ask()
    office.run(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args) "
        "SELECT queue_name, task_name, args FROM procrastinate_jobs WHERE args #>> '{payload,key}' = :key",
        key=key_of(number),
    )
    office.work_off()
    assert office.case(number).state == "granted"
    assert [action for action, _ in office.journal(number)].count("answered") == 1
    assert commerce.acted(key_of(number)) == 1


def test_who_may_see_and_mend_a_call(office: OutsideOffice, commerce: Registry) -> None:
    commerce.behave("reject")
    number = office.ask()
    office.work_off()
    id = office.call(number)["id"]
    assert office.outside.calls(CENTRE, number)
    with pytest.raises(NotFound):
        office.outside.calls(OTHER_CENTRE, number)
    for outsider in (CENTRE, OTHER_CENTRE):
        with pytest.raises(PermissionDenied):
            office.outside.retry(outsider, id, "k")
        with pytest.raises(PermissionDenied):
            office.outside.parked(outsider)
    with pytest.raises(PermissionDenied):
        office.outside.retry(AUDITOR, id, "k")
    with pytest.raises(NotFound):
        office.outside.retry(REVIEWER, id + 1000, "k")
    assert len(office.outside.parked(AUDITOR)["items"]) == 1


def test_parked_calls_come_in_pages(office: OutsideOffice, commerce: Registry) -> None:
    commerce.behave("reject")
    numbers = [office.ask() for _ in range(3)]
    office.work_off()
    first = office.outside.parked(SYSTEM, limit=2)
    rest = office.outside.parked(SYSTEM, first["next"], limit=2)
    assert [c["case"] for c in first["items"] + rest["items"]] == numbers
    assert rest["next"] is None


def test_free_words_of_a_back_end_are_forgotten_with_the_person(office: OutsideOffice) -> None:
    number = office.ask(UNKNOWN)
    office.work_off()
    office.run("UPDATE case_file SET personal = NULL, erased_at = now() WHERE number = :n", n=number)
    office.outside.resume()
    assert office.call(number)["answer"] == {"passed": False, "code": "not_standing"}


@pytest.fixture
def talking(database: Database, tmp_path: Path, commerce: Registry) -> OutsideOffice:
    return open_office(database, tmp_path, {"commerce": commerce.url, notices.BACKEND: commerce.url})


def _told(commerce: Registry) -> list[str]:
    return [each["text"] for each in commerce.questions() if each.get("to") == MOBILE]


def test_an_applicant_is_told_what_becomes_of_his_application(
    talking: OutsideOffice, commerce: Registry
) -> None:
    number = talking.ask()
    talking.work_off()
    licence = talking.licence(number)
    suspended = talking.suspend(licence)
    talking.work_off()
    told = _told(commerce)
    assert sorted(told) == sorted(
        [
            f"استلمنا طلبك رقم {number}.\nWe received your application {number}.",
            f"صدرت رخصتك رقم {licence}.\nYour licence {licence} is issued.",
            f"عُلّقت رخصتك رقم {licence}.\nYour licence {licence} is suspended.",
        ]
    )
    kinds = [(c["name"], c["state"]) for c in talking.outside.calls(SYSTEM, suspended)]
    assert kinds == [("suspend", "answered")]
    assert not [text for text in told if OWNER in text or IDENTIFIER in text]
    assert MOBILE not in talking.rows("case_call") + talking.rows("procrastinate_jobs")


def test_a_refusal_and_a_return_are_told(talking: OutsideOffice, commerce: Registry) -> None:
    number = talking.ask(UNKNOWN)
    talking.take(number, "return", REVIEWER)
    talking.take(number, "resend")
    talking.work_off()
    told = _told(commerce)
    assert f"طلبك رقم {number} بانتظار إجراء منك" in "".join(told)
    assert f"انتهى طلبك رقم {number}: مرفوض.\nYour application {number} has ended: Refused." in told


def test_every_message_can_be_written_in_both_languages() -> None:
    words = dict.fromkeys(
        (
            "case",
            "licence",
            "bill_number",
            "amount",
            "due",
            "state_ar",
            "state_en",
            "day_ar",
            "day_en",
            "hour",
        ),
        "TC-2026-000001",
    )
    for name in notices.NAMES:
        arabic, english = notices.text_of(name, words).split("\n")
        assert "TC-2026-000001" in arabic
        assert "TC-2026-000001" in english
        assert english.isascii()
        assert not arabic.isascii()


def test_a_message_waits_for_its_sender_and_is_sent_once(talking: OutsideOffice, commerce: Registry) -> None:
    commerce.behave("drop_after", times=2)
    number = talking.ask()
    talking.work_off()
    received = f"استلمنا طلبك رقم {number}.\nWe received your application {number}."
    assert _told(commerce).count(received) == 1


def test_without_a_sender_nothing_is_told_and_nothing_kept(office: OutsideOffice) -> None:
    number = office.ask()
    office.work_off()
    assert [c["kind"] for c in office.outside.calls(SYSTEM, number)] == ["check"]


def test_an_erased_person_is_told_nothing(talking: OutsideOffice, commerce: Registry) -> None:
    number = talking.ask()
    talking.run("UPDATE case_file SET personal = NULL, erased_at = now() WHERE number = :n", n=number)
    talking.work_off()
    assert commerce.questions() == []
    assert {c["state"] for c in talking.outside.calls(SYSTEM, number)} == {"dropped"}
