"""The round that moves deadlines: killed, stopped, shared, and what it leaves to the next."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database
from integrations.desks.closures import follow_closures
from tests.integrations.closing import (
    ELSEWHERE,
    FILED,
    HERE,
    PROMISED,
    dates,
    filed,
    follow,
    moves,
    noted,
    returned,
    utc,
)
from tests.integrations.desk import Desk, open_desk
from tests.integrations.engine_probing import CHIEF


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """An office with the engine's own service."""
    return open_desk(database, tmp_path, (Path(__file__).parent / "engine_definitions",))


def test_a_round_that_was_killed_goes_on_where_it_was_and_moves_nothing_twice(desk: Desk) -> None:
    numbers = [filed(desk) for _ in range(5)]
    noted(desk, utc(23, 5), utc(24, 5))
    assert follow_closures(desk.licensing.desk, 2)
    # What the killed one was about to do: it never commits.
    broken = "ALTER TABLE case_deadline_reader ADD CONSTRAINT broken CHECK (last_case <= 2)"
    with desk.database.transaction() as session:
        session.execute(text(broken))
    with pytest.raises(Exception, match="broken"):
        follow_closures(desk.licensing.desk, 2)
    assert [len(moves(desk, number)) for number in numbers] == [1, 1, 0, 0, 0]
    assert dates(desk, numbers[2]) == (FILED, PROMISED)
    with desk.database.transaction() as session:
        session.execute(text("ALTER TABLE case_deadline_reader DROP CONSTRAINT broken"))
    # Another process goes on: nothing is kept but the cursor.
    restarted = open_desk(desk.database, desk.settings.platform.folder, desk.settings.licences.folders)
    restarted.now.append(utc(24, 6))
    follow(restarted, 2)
    assert [len(moves(desk, number)) for number in numbers] == [1] * 5
    assert {dates(desk, number) for number in numbers} == {("2026-11-25T07:00:00Z", "2026-11-29T11:30:00Z")}
    assert desk.breaks() == []


def test_two_workers_and_a_clerk_at_once_move_each_deadline_once(desk: Desk) -> None:
    numbers = [filed(desk) for _ in range(12)]
    noted(desk, utc(23, 5), utc(24, 5))
    start = threading.Barrier(3)

    def worker() -> None:
        start.wait()
        follow(desk, 3)

    def clerk() -> None:
        start.wait()
        for number in reversed(numbers[6:]):
            desk.do.take(CHIEF, number, "send_back", comment="المخطط")

    work: list[Callable[[], None]] = [worker, worker, clerk]
    with ThreadPoolExecutor(3) as pool:
        for running in [pool.submit(each) for each in work]:
            running.result()
    assert [len(moves(desk, number)) for number in numbers[:6]] == [1] * 6
    assert {dates(desk, number) for number in numbers[:6]} == {
        ("2026-11-25T07:00:00Z", "2026-11-29T11:30:00Z")
    }
    for number in numbers[6:]:
        # Sent back before or after the round came by: the same dates, the promise's journalled once.
        assert dates(desk, number) == ("2026-11-26T11:30:00Z", "2026-11-29T11:30:00Z")
        assert sum("promised_for" in move for move in moves(desk, number)) == 1
    assert desk.breaks() == []


def test_a_case_that_cannot_be_reckoned_holds_up_no_other(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    lost, sound = filed(desk), filed(desk)
    with desk.database.transaction() as session:
        session.execute(text("UPDATE case_file SET state = 'nowhere' WHERE number = :n"), {"n": lost})
    noted(desk, utc(23, 5), utc(24, 5))
    follow(desk)
    assert f"of the case {lost} could not be reckoned" in caplog.text
    assert dates(desk, sound)[0] == "2026-11-25T07:00:00Z"


def test_what_others_may_still_believe_is_waited_for(desk: Desk) -> None:
    number = filed(desk)
    noted(desk, utc(23, 5), utc(24, 5))
    assert not follow_closures(desk.licensing.desk, settled=timedelta(hours=1))
    assert moves(desk, number) == []
    follow(desk)
    assert len(moves(desk, number)) == 1


def test_the_round_counts_all_stays_however_many_there_are(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.licensing._EVENTS_AT_ONCE", 2)
    for _ in range(5):
        returned(desk)
    desk.licensing.rounds()
    assert desk.count("case_stay WHERE count = 5") == 1


def test_a_round_that_is_told_to_stop_leaves_the_rest_to_the_next(desk: Desk) -> None:
    number = filed(desk)
    noted(desk, utc(23, 5), utc(24, 5))
    desk.licensing.rounds(lambda: True)
    assert moves(desk, number) == []
    desk.licensing.rounds()
    assert len(moves(desk, number)) == 1


def test_a_round_follows_so_much_and_leaves_the_rest_to_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("integrations.licensing._BATCHES_AT_ONCE", 1)
    here, elsewhere = filed(desk), filed(desk, ELSEWHERE)
    for place in (HERE, ELSEWHERE):
        noted(desk, utc(23, 5), utc(24, 5), place=place)
    desk.licensing.rounds()
    assert (len(moves(desk, here)), len(moves(desk, elsewhere))) == (1, 0)
    desk.licensing.rounds()
    assert (len(moves(desk, here)), len(moves(desk, elsewhere))) == (1, 1)


def test_places_that_applicants_invent_share_one_reckoning(desk: Desk) -> None:
    noted(desk, utc(23, 5), utc(24, 5), place=HERE)
    time = desk.licensing.desk.office.working_time
    with desk.database.transaction() as session:
        assert time(session, "حي أول") is time(session, "حي ثانٍ") is time(session, None)
        assert time(session, HERE) is not time(session, None)
        assert time(session, HERE, fresh=True) is time(session, HERE)
