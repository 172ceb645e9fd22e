from pathlib import Path

import pytest

from foundation.database import Database
from tests.console.rakeeza_types import Rakeeza
from tests.integrations.desk import FORM, OWNER, Desk, open_desk

pytest_plugins = ["tests.console.rakeeza_command"]

SHOP = Path(__file__).parents[2] / "integrations/services/shop_licence.yaml"


@pytest.fixture
def issued(database: Database, tmp_path: Path) -> tuple[Desk, str]:
    """An office on the database that the command sees, and a case that has its licence."""
    desk = open_desk(database, tmp_path / "desk")
    return desk, desk.issued()[0]


def test_services_are_listed_and_shown(rakeeza: Rakeeza) -> None:
    rows = rakeeza("service", "list", "--format", "json").rows
    assert [(row["code"], row["version"], row["title_ar"]) for row in rows] == [
        ("shop_licence", 1, "إصدار رخصة محل تجاري")
    ]
    shown = rakeeza("service", "show", "shop_licence")
    assert shown.code == 0
    for word in ("Trade name", "Bakery", "6.00", "automatic"):
        assert word in shown.out


def test_an_unknown_service_is_answered_with_the_known_ones(rakeeza: Rakeeza) -> None:
    done = rakeeza("service", "show", "shop")
    assert (done.code, "Known: shop_licence" in done.err) == (66, True)


def test_a_sound_definition_is_told_so(rakeeza: Rakeeza) -> None:
    done = rakeeza("service", "validate", str(SHOP))
    assert done.code == 0
    assert "is sound: 8 states, 8 actions, every case ends in one of: issued, rejected." in done.out


def test_a_faulty_definition_is_refused_with_file_line_and_reason(rakeeza: Rakeeza, tmp_path: Path) -> None:
    file = tmp_path / "shop_licence.yaml"
    text = SHOP.read_text(encoding="utf-8").replace("en: Rejected}, final: true}", "en: Rejected}}")
    file.write_text(text, encoding="utf-8")
    done = rakeeza("service", "validate", str(file))
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("  rejected:"))
    assert done.code == 65
    assert f"{file}:{line}:" in done.err
    assert "dead end: nothing leaves the state 'rejected'" in done.err


def test_a_definition_that_is_not_there_is_one_sentence(rakeeza: Rakeeza, tmp_path: Path) -> None:
    done = rakeeza("service", "validate", str(tmp_path / "none.yaml"))
    assert (done.code, "Traceback" in done.err) == (65, False)


def test_cases_are_listed_newest_first_a_page_at_a_time(rakeeza: Rakeeza, issued: tuple[Desk, str]) -> None:
    desk, number = issued
    newer = desk.submit()
    first = rakeeza("case", "list", "--limit", "1", "--format", "json")
    assert [row["number"] for row in first.rows] == [newer]
    cursor = first.err.split()[-1]
    second = rakeeza("case", "list", "--limit", "1", "--after", cursor, "--format", "json")
    assert [(row["number"], row["state"]) for row in second.rows] == [(number, "issued")]
    assert second.err == ""


def test_a_case_is_shown_with_its_bill_and_its_journal(rakeeza: Rakeeza, issued: tuple[Desk, str]) -> None:
    _, number = issued
    shown = rakeeza("case", "show", number)
    assert shown.code == 0
    for word in ("Issued", "صدرت الرخصة", "intact", "723.00 SAR, settled", "SL-2026-000001"):
        assert word in shown.out
    # A table on a screen that others see says nothing of a person.
    assert OWNER not in shown.out
    whole = rakeeza("case", "show", number, "--format", "json").rows
    assert whole["form"]["trade_name"] == FORM["trade_name"]


def test_a_case_that_does_not_exist_is_one_sentence(rakeeza: Rakeeza) -> None:
    done = rakeeza("case", "show", "SC-2026-000404")
    assert (done.code, done.err) == (66, "rakeeza: There is no case SC-2026-000404.\n")
