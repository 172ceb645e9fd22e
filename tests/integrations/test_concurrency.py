import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

from sqlalchemy import text

from foundation.errors import Conflict, RakeezaError, Stale
from integrations.cases.numbers import next_number
from tests.integrations.desk import CENTRE, REVIEWED, REVIEWER, Desk, message


def together(count: int, act: Callable[[int], Any]) -> list[Any]:
    """Run an action in threads that start at the same moment; errors of ours are results."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait()
        try:
            return act(number)
        except RakeezaError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_of_eight_clerks_on_one_case_one_quotes_it_and_seven_are_told(desk: Desk) -> None:
    number = desk.submit()
    results = together(8, lambda _: desk.do.quote(CENTRE, number))
    refused = [result for result in results if isinstance(result, Conflict)]
    assert len(refused) == 7
    assert all("Quoted" in str(error) for error in refused)
    assert desk.count("case_quote") == 1
    assert desk.case(number)["version"] == 2
    assert desk.breaks() == []


def test_of_two_reviewers_who_saw_the_same_version_one_decides(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    # Without its papers no case is approved, and who came first would not matter.
    desk.show_all(number)
    seen = desk.case(number)["version"]
    verdicts = ("approve", "reject")
    results = together(2, lambda n: desk.do.take(REVIEWER, number, verdicts[n], comment="-", version=seen))
    assert sum(isinstance(result, Stale) for result in results) == 1
    journal = desk.case(number)["journal"]
    assert len([entry for entry in journal if entry["action"] in verdicts]) == 1


def test_sixteen_threads_with_one_key_open_one_case(desk: Desk) -> None:
    results = together(16, lambda _: desk.do.submit(CENTRE, message(), "key-1"))
    assert [result.status for result in results] == [201] * 16
    assert all(result.body == results[0].body for result in results)
    assert sum(result.replayed for result in results) == 15
    assert desk.count("case_file") == 1


def test_numbers_have_no_gap_whatever_fails_between(desk: Desk) -> None:
    class Fails(Exception):
        pass

    def work(thread: int) -> list[str]:
        numbers = []
        for turn in range(6):
            try:
                with desk.database.transaction() as session:
                    number = next_number(session, "XX", date(2026, 1, 1))
                    if (thread + turn) % 3 == 0:
                        raise Fails
                    numbers.append(number)
            except Fails:
                continue
        return numbers

    given = sorted(number for numbers in together(8, work) for number in numbers)
    assert given == [f"XX-2026-{n:06}" for n in range(1, len(given) + 1)]
    assert len(given) == 32


def test_licences_issued_together_are_numbered_without_a_gap(desk: Desk) -> None:
    bills = [desk.billed()[1] for _ in range(8)]
    answers = together(8, lambda n: desk.pay(bills[n]["bill_number"], bills[n]["amount"], f"ref-{n}"))
    assert all(answer["settled"] for answer in answers)
    with desk.database.transaction() as session:
        numbers = session.execute(text("SELECT number FROM licence ORDER BY number")).scalars().all()
    assert numbers == [f"SL-2026-{n:06}" for n in range(1, 9)]
    assert desk.breaks() == []


def test_a_bill_paid_eight_times_at_once_is_settled_once(desk: Desk) -> None:
    number, bill = desk.billed()
    answers = together(8, lambda n: desk.pay(bill["bill_number"], bill["amount"], f"ref-{n}"))
    assert sorted(answer["outcome"] for answer in answers) == ["settled", *["surplus"] * 7]
    assert desk.count("case_payment") == 8
    assert desk.count("licence") == 1
    assert desk.state(number) == "issued"


def test_one_payment_told_eight_times_at_once_is_one_payment(desk: Desk) -> None:
    _, bill = desk.billed()
    answers = together(8, lambda n: desk.pay(bill["bill_number"], bill["amount"], "ref-1", f"key-{n}"))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["outcome"] == "settled"
    assert desk.count("case_payment") == 1
    assert desk.count("licence") == 1


def test_two_workers_share_the_cases_whose_time_has_come(desk: Desk) -> None:
    numbers = [desk.submit() for _ in range(12)]
    desk.later(days=60)
    done = together(2, lambda _: desk.licensing.cases.time_passed(1_000))
    assert sum(done) == 12
    assert {desk.state(number) for number in numbers} == {"lapsed"}
    assert desk.count("event WHERE payload ->> 'action' = 'lapse'") == 12
    assert desk.breaks() == []


def test_of_a_clerk_and_the_clock_one_is_first_and_the_case_is_whole(desk: Desk) -> None:
    numbers = [desk.submit() for _ in range(6)]
    desk.later(days=60)

    def act(thread: int) -> None:
        if thread == 0:
            desk.licensing.cases.time_passed()
            return
        for number in numbers:
            with contextlib.suppress(Conflict):
                desk.do.quote(CENTRE, number)

    together(2, act)
    for number in numbers:
        case = desk.case(number)
        assert (case["state"], case["quote"] is None) in {("lapsed", True), ("quoted", False)}
        assert case["version"] == 2
    assert desk.breaks() == []


def test_of_eight_that_open_a_case_on_one_licence_one_does(desk: Desk) -> None:
    _, licence = desk.issued()
    results = together(8, lambda _: desk.submit({}, procedure="copy", licence=licence))
    assert sum(isinstance(result, Conflict) for result in results) == 7
    assert desk.count("case_file WHERE procedure = 'copy'") == 1


def test_a_bulk_submission_sent_twice_at_once_opens_each_case_once(desk: Desk) -> None:
    rows = [message() for _ in range(5)]
    answers = together(2, lambda _: desk.licensing.cases.submit_many(CENTRE, rows, "bulk"))
    assert answers[0].body == answers[1].body
    assert desk.count("case_file") == 5
