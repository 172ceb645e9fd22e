import re
from pathlib import Path

import pytest

from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]

ROOT = Path(__file__).parents[2]
SHOP = ROOT / "integrations/services/shop_licence.yaml"
CARD = ROOT / "tests/integrations/definitions/exam_card.yaml"
PRODUCT = [
    "advertising_licence",
    "building_permit",
    "demolition_permit",
    "excavation_permit",
    "health_card",
    "shop_licence",
    "test_permit",
]


def test_services_are_listed(rakeeza: Rakeeza) -> None:
    rows = rakeeza("service", "list", "--format", "json").rows
    assert [row["code"] for row in rows] == PRODUCT
    shop = rows[PRODUCT.index("shop_licence")]
    assert (shop["version"], shop["procedures"], shop["title_ar"]) == (2, 14, "رخصة المحل التجاري")


def test_a_service_is_shown_with_who_may_act_deadlines_and_fees_of_today(rakeeza: Rakeeza) -> None:
    shown = rakeeza("service", "show", "shop_licence")
    assert shown.code == 0
    for word in (
        "renew",
        "the office",
        "Trade name",
        "Bakery",
        "6.00",
        "the clock",
        "deadlines",
        "supervisor",
    ):
        assert word in shown.out


def test_a_service_is_shown_as_its_clients_see_it(rakeeza: Rakeeza) -> None:
    shown = rakeeza("service", "show", "shop_licence", "--format", "json").rows
    assert shown["procedures"]["uphold"]["on"]["within_days"] == 60
    assert shown["procedures"]["issue"]["form"]["properties"]["area_m2"]["maximum"] == 5000


def test_an_unknown_service_is_answered_with_the_known_ones(rakeeza: Rakeeza) -> None:
    done = rakeeza("service", "show", "shop")
    assert (done.code, f"Known: {', '.join(PRODUCT)}" in done.err) == (66, True)


def test_sound_definitions_are_told_so(rakeeza: Rakeeza) -> None:
    done = rakeeza("service", "validate", str(SHOP), str(CARD))
    assert (done.code, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first.startswith(f"{SHOP}: shop_licence version 2 is sound: 14 procedures in 5 flows")
    assert second.endswith("7 states, 7 actions, every case ends in one of: unfit, printed, dropped.")


def test_what_there_is_one_of_is_told_as_one(
    rakeeza: Rakeeza, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = rakeeza("service", "validate", str(CARD)).out
    assert "is sound: 1 procedure in 1 flow, 7 states, 7 actions, every case ends in one of: " in told

    text = CARD.read_text(encoding="utf-8").replace(
        "    fees: card", "    fees: card\n    promise: {hours: 1}"
    )
    (tmp_path / "exam_card.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("RAKEEZA_LICENCES_FOLDERS", str(tmp_path))
    shown = rakeeza("service", "show", "exam_card").out
    assert re.search(r"1 hour\W", shown)
    assert "1 hours" not in shown


def test_every_fault_of_every_file_is_told_with_file_and_line(rakeeza: Rakeeza, tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    text = CARD.read_text(encoding="utf-8")
    first.write_text(
        text.replace("roles: reviewer}", "roles: revewer}").replace("equals: false}}", "equals: 0}}"),
        encoding="utf-8",
    )
    second.write_text(text.replace("en: Unfit}, final: true}", "en: Unfit}}"), encoding="utf-8")
    done = rakeeza("service", "validate", str(first), str(SHOP), str(second))
    lines = [n for n, row in enumerate(text.splitlines(), 1) if "name: drop" in row or "equals: false" in row]
    dead = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("      unfit:"))
    assert done.code == 65
    assert f"{first}:{lines[1]}: /flows/examined/actions/4/roles/0: 'revewer' is no role" in done.err
    assert f"{first}:{lines[0]}: /flows/examined/actions/1/when: 'fit' is never 0" in done.err
    assert f"{second}:{dead}: /flows/examined/states/unfit: dead end" in done.err
    # The sound one between them is still told.
    assert f"{SHOP}: shop_licence version 2 is sound" in done.out


def test_a_definition_that_is_not_there_is_one_sentence(rakeeza: Rakeeza, tmp_path: Path) -> None:
    done = rakeeza("service", "validate", str(tmp_path / "none.yaml"))
    assert (done.code, done.err.count("\n"), "Traceback" in done.err) == (65, 1, False)


def test_a_procedure_is_drawn(rakeeza: Rakeeza, tmp_path: Path) -> None:
    drawn = rakeeza("service", "graph", "shop_licence")
    assert drawn.code == 0
    assert drawn.out.startswith("<?xml")
    assert "إصدار رخصة محل تجاري" in drawn.out
    file = tmp_path / "objection.pdf"
    done = rakeeza("service", "graph", "shop_licence", "--procedure", "uphold", "--output", str(file))
    assert (done.code, file.read_bytes()[:4]) == (0, b"%PDF")


def test_what_cannot_be_drawn_is_one_sentence(rakeeza: Rakeeza, tmp_path: Path) -> None:
    done = rakeeza("service", "graph", "shop_licence", "--output", str(tmp_path / "picture.gif"))
    assert (done.code, "Use one of: .dot, .svg, .png, .pdf." in done.err) == (65, True)
    done = rakeeza("service", "graph", "shop_licence", "--procedure", "sell")
    assert (done.code, "Known: issue, renew" in done.err) == (66, True)
