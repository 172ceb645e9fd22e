"""What the faces show of a case whatever has been written of it."""

from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database
from integrations.cases import views
from tests.integrations.desk import CENTRE, REVIEWED, REVIEWER, Desk, new_key, open_desk


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return open_desk(database, tmp_path)


def test_a_case_that_is_talked_to_death_is_still_known_to_be_what_was_applied_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "_JOURNAL", 5)
    number = desk.submit(REVIEWED)
    desk.do.take(REVIEWER, number, "send_back", comment="صحّح المساحة.")
    desk.do.take(CENTRE, number, "resubmit", form={"area_m2": 90})
    for _ in range(6):
        desk.licensing.inbox.comment(CENTRE, number, "متى تنتهي المعاملة؟", new_key())
    case = desk.case(number)
    assert [entry["action"] for entry in case["journal"]] == ["commented"] * 5
    assert case["intact"]
    with desk.database.transaction() as session:
        session.execute(text("UPDATE case_file SET form = jsonb_set(form, '{area_m2}', '20')"))
    assert not desk.case(number)["intact"]
