"""A definition's file is changed and the platform started anew, while cases of the old one are open."""

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import Conflict, DefinitionError, NotFound, PermissionDenied
from tests.integrations.definition_texts import CARD
from tests.integrations.desk import ADMINISTRATOR, AUDITOR, CENTRE, INSPECTOR, REVIEWER, Desk, open_desk

FORM = {"profession": "cook", "fit": True, "examined_on": "2026-11-01"}
DEARER = ('"60.05"', '"90.05"')
# Other words: a state, an action and the role that prints.
RENAMED = (
    ("priced: {title", "reckoned: {title"),
    ("to: priced,", "to: reckoned,"),
    ("from: priced,", "from: reckoned,"),
    ("name: price,", "name: reckon,"),
)
BY_INSPECTOR = ("to: printed, roles: reviewer", "to: printed, roles: inspector")
IN_TIME = (
    "asked: {title: {ar: مقدَّم, en: Asked}}",
    "asked: {title: {ar: مقدَّم, en: Asked}, deadline: {working_days: 2, escalate: reviewer}}",
)
WITHOUT_DATE = (
    (
        "  - {name: examined_on, label: {ar: تاريخ الفحص, en: Examined on}, type: date,"
        " example: 2026-11-01}\n",
        "",
    ),
    ("[profession, examined_on, applicant.name]", "[profession, applicant.name]"),
)


@dataclass
class Town:
    """A platform that can be started again with another file."""

    database: Database
    folder: Path

    def started(self, version: int, *changes: tuple[str, str]) -> Desk:
        """The office, with the health card as it stands in its file now."""
        text = CARD.replace("version: 1", f"version: {version}")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        definitions = self.folder / "definitions"
        definitions.mkdir(exist_ok=True)
        (definitions / "exam_card.yaml").write_text(text, encoding="utf-8")
        return open_desk(self.database, self.folder, (definitions,))


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Town:
    return Town(database, tmp_path)


def opened(desk: Desk) -> str:
    return desk.submit(FORM, service="exam_card")


def moved(desk: Desk, **states: str) -> dict[str, Any]:
    return desk.licensing.cases.migrate(ADMINISTRATOR, "exam_card", 1, states)


def pay(desk: Desk, number: str) -> dict[str, Any]:
    bill = desk.case(number)["invoice"]
    return desk.pay(bill["bill_number"], bill["amount"], f"ref-{number}")


def test_an_open_case_keeps_fees_roles_and_names_of_its_states_and_a_new_one_has_todays(town: Town) -> None:
    old = opened(town.started(1))
    desk = town.started(2, DEARER, BY_INSPECTOR, *RENAMED)
    new = opened(desk)
    with pytest.raises(NotFound):
        desk.do.take(CENTRE, old, "reckon")
    with pytest.raises(NotFound):
        desk.do.take(CENTRE, new, "price")
    desk.do.take(CENTRE, old, "price")
    desk.do.take(CENTRE, new, "reckon")
    quotes = {number: desk.case(number)["quote"] for number in (old, new)}
    # With 15 percent of tax, half a halala up.
    assert [quotes[number]["total"] for number in (old, new)] == ["69.06", "103.56"]
    assert [quotes[number]["definition"]["version"] for number in (old, new)] == [1, 2]
    for number in (old, new):
        desk.do.take(CENTRE, number, "bill")
        assert pay(desk, number)["outcome"] == "settled"
    with pytest.raises(PermissionDenied):
        desk.do.take(REVIEWER, new, "print")
    desk.do.take(REVIEWER, old, "print")
    desk.do.take(INSPECTOR, new, "print")
    assert desk.case(old)["definition"]["version"] == 1
    assert desk.breaks() == []


def test_a_change_without_a_new_version_takes_no_case_and_stops_no_old_one(town: Town) -> None:
    old = opened(town.started(1))
    desk = town.started(1, DEARER)
    with pytest.raises(DefinitionError, match="was changed after it got cases"):
        opened(desk)
    desk.do.take(CENTRE, old, "price")
    assert desk.case(old)["quote"]["total"] == "69.06"
    assert desk.count("case_definition") == 1
    # With its version, the same change is taken.
    assert desk_total(town.started(2, DEARER)) == "103.56"


def desk_total(desk: Desk) -> str:
    """The quote of a new case."""
    number = opened(desk)
    desk.do.take(CENTRE, number, "price")
    return str(desk.case(number)["quote"]["total"])


def test_a_case_moves_only_when_told_and_with_the_new_name_of_its_state(town: Town) -> None:
    first = town.started(1)
    asked, priced = opened(first), opened(first)
    first.do.take(CENTRE, priced, "price")
    desk = town.started(2, DEARER, BY_INSPECTOR, *RENAMED)
    told = moved(desk)
    assert (told["moved"], told["refused"]) == (1, 1)
    assert next(row for row in told["cases"] if row["refused"])["number"] == priced
    assert desk.case(priced)["definition"]["version"] == 1
    told = moved(desk, priced="reckoned")
    assert [(row["number"], row["from"], row["to"]) for row in told["cases"]] == [
        (priced, "priced", "reckoned")
    ]
    for number, before, after in ((asked, "asked", "asked"), (priced, "priced", "reckoned")):
        case = desk.case(number)
        assert (case["definition"]["version"], case["state"], case["intact"]) == (2, after, True)
        entry = case["journal"][-1]
        assert (entry["action"], entry["actor"]) == ("migrated", ADMINISTRATOR.actor)
        assert (entry["from"], entry["to"], entry["version"]) == (before, after, case["version"])
        assert set(entry["details"]["definition"]) == {"from", "to"}
    assert desk.count("event WHERE kind = 'case.migrated'") == 2
    # What was quoted stays quoted; what is not yet is reckoned by the new fees.
    desk.do.take(CENTRE, priced, "bill")
    desk.do.take(CENTRE, asked, "reckon")
    assert desk.case(priced)["invoice"]["amount"] == "69.06"
    assert desk.case(asked)["quote"]["total"] == "103.56"
    assert desk.breaks() == []


def test_a_bill_that_was_made_before_the_move_is_paid_after_it(town: Town) -> None:
    first = town.started(1)
    number = opened(first)
    first.do.take(CENTRE, number, "price")
    first.do.take(CENTRE, number, "bill")
    bill = first.case(number)["invoice"]
    first.pay(bill["bill_number"], "9.06", "ref-part")
    desk = town.started(2, DEARER, BY_INSPECTOR)
    assert moved(desk)["moved"] == 1
    assert desk.pay(bill["bill_number"], "60.00", "ref-rest")["outcome"] == "settled"
    desk.do.take(INSPECTOR, number, "print")
    assert desk.case(number)["licence"] is not None
    balance = {
        row["account"]: Decimal(row["balance"]) for row in desk.licensing.money.balance(AUDITOR)["accounts"]
    }
    assert (balance["bank"], balance["receivable"]) == (Decimal("69.06"), Decimal(0))


def test_a_dry_run_says_what_would_come_of_each_and_writes_nothing(town: Town) -> None:
    first = town.started(1)
    asked, priced = opened(first), opened(first)
    first.do.take(CENTRE, priced, "price")
    desk = town.started(2, *RENAMED)
    before = [desk.case(number) for number in (asked, priced)]
    entries, events, kept = desk.count("audit"), desk.count("event"), desk.count("case_definition")
    told = desk.licensing.cases.migrate(ADMINISTRATOR, "exam_card", 1, {}, dry_run=True)
    assert (told["dry_run"], told["moved"], told["refused"]) == (True, 1, 1)
    assert [desk.case(number) for number in (asked, priced)] == before
    assert (desk.count("audit"), desk.count("event"), desk.count("case_definition")) == (
        entries,
        events,
        kept,
    )


def test_a_case_that_does_not_fit_stays_where_it_is(town: Town) -> None:
    number = opened(town.started(1))
    desk = town.started(2, *WITHOUT_DATE)
    for states, why in (
        ({}, "examined_on"),
        ({"asked": "printed"}, "final"),
        ({"asked": "nowhere"}, "nowhere"),
    ):
        told = desk.licensing.cases.migrate(ADMINISTRATOR, "exam_card", 1, states)
        assert (told["moved"], told["refused"]) == (0, 1)
        assert why in told["cases"][0]["refused"]
    case = desk.case(number)
    assert (case["definition"]["version"], case["version"]) == (1, 1)
    desk.do.take(CENTRE, number, "price")


def test_a_deadline_that_came_with_the_new_version_counts_from_when_the_state_was_entered(town: Town) -> None:
    first = town.started(1)
    number = opened(first)
    assert first.case(number)["due"] is None
    desk = town.started(2, IN_TIME)
    desk.later(days=1)
    moved(desk)
    # Two working days after Sunday, 22 November.
    assert desk.case(number)["due"] == "2026-11-24T11:30:00Z"
    desk.later(days=3)
    assert desk.licensing.cases.time_passed() == 1
    assert desk.case(number)["escalated"] is True


def test_what_is_over_stays_under_the_definition_that_it_ended_under(town: Town) -> None:
    first = town.started(1)
    ended = first.submit({**FORM, "fit": False}, service="exam_card")
    assert first.state(ended) == "unfit"
    desk = town.started(2, DEARER)
    assert moved(desk)["cases"] == []
    assert desk.case(ended)["definition"]["version"] == 1
    with pytest.raises(NotFound):
        desk.licensing.cases.migrate(ADMINISTRATOR, "exam_card", 1, {}, number=ended)
    with pytest.raises(NotFound, match="Versions with cases: 1"):
        desk.licensing.cases.migrate(ADMINISTRATOR, "exam_card", 7, {})


def test_a_clerk_who_saw_the_case_before_it_moved_decides_nothing_on_it(town: Town) -> None:
    first = town.started(1)
    number = opened(first)
    seen = first.case(number)["version"]
    desk = town.started(2, DEARER)
    moved(desk)
    with pytest.raises(Conflict, match="was changed"):
        desk.do.take(CENTRE, number, "price", version=seen)
