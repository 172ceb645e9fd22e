from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from benchmarks import _replay as replay
from foundation import audit
from integrations.cases.payments import Notice
from tests.integrations.desk import BANK, CENTRE, Desk, message, new_key


@pytest.fixture
def script(desk: Desk) -> replay.Script:
    """One licence, taken down."""
    for _ in range(2):
        _issue(desk)
    return replay.script(desk.database, lambda: _issue(desk))


def _issue(desk: Desk) -> None:
    key = new_key()
    number = desk.do.submit(CENTRE, message(), key).body["number"]
    desk.do.quote(CENTRE, number)
    bill = desk.do.invoice(CENTRE, number).body
    notice = Notice(bill["bill_number"], Decimal(bill["amount"]), desk.now[-1], key)
    assert desk.licensing.money.notify(BANK, notice, new_key()).body["settled"]


def test_what_is_sent_again_writes_what_was_written(desk: Desk, script: replay.Script) -> None:
    ours = replay.written(desk.database, lambda: _issue(desk))
    assert ours["licence"] == 1
    assert replay.written(desk.database, lambda: replay.again(desk.database, script)) == ours


def test_pgbench_sends_the_same(desk: Desk, script: replay.Script, tmp_path: Path) -> None:
    ours = replay.written(desk.database, lambda: _issue(desk))
    theirs = replay.written(desk.database, lambda: replay.pgbench(desk.database, tmp_path, script, 2, 6))
    assert theirs == {name: 6 * count for name, count in ours.items()}


def test_what_is_sent_again_has_names_of_its_own(desk: Desk, script: replay.Script) -> None:
    before = _held(desk)
    for _ in range(3):
        replay.again(desk.database, script)
    added = _held(desk) - before
    assert len({number for number, _ in added}) == len({licence for _, licence in added}) == 3
    with desk.database.transaction() as session:
        broken = audit.verify(session)
    # Each journal has its own entries; what they say and hash is the first take's.
    assert {each.chain for each in broken} == {f"case/{number}" for number, _ in added}


def _held(desk: Desk) -> set[tuple[str, str]]:
    # Cases, each with its licence.
    found = "SELECT a.number, b.number FROM case_file AS a JOIN licence AS b ON a.licence_id = b.id"
    with desk.database.transaction() as session:
        return {(row[0], row[1]) for row in session.execute(text(found))}
