"""Definitions change while cases are open: each keeps its own, until somebody says that it moves."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import NotFound, PermissionDenied, Stale
from integrations.service import Service, load_services
from tests.integrations.desk import (
    ADMINISTRATOR,
    CENTRE,
    FORM,
    REVIEWED,
    REVIEWER,
    SUPERVISOR,
    Desk,
    open_desk,
)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """An office with the shop licence alone."""
    return open_desk(database, tmp_path)


def publish(desk: Desk, change: Callable[[dict[str, Any]], None]) -> Service:
    """Put a changed definition of the shop licence, with the next version, in the place of today's."""
    today = desk.licensing.services.get("shop_licence")
    content = json.loads(json.dumps(today.content))
    content["version"] = today.version + 1
    change(content)
    newer = Service.model_validate(content)
    desk.licensing.services._items["shop_licence"] = (newer, "a newer file")
    return newer


def renamed(content: dict[str, Any]) -> None:
    """The review gets another name and three days instead of five."""
    flow = content["flows"]["issuing"]
    flow["states"]["in_review"] = flow["states"].pop("under_review")
    flow["states"]["in_review"]["deadline"]["working_days"] = 3
    for action in flow["actions"]:
        action["from"] = ["in_review" if name == "under_review" else name for name in action.get("from", [])]
        action["to"] = "in_review" if action["to"] == "under_review" else action["to"]


def without_register(content: dict[str, Any]) -> None:
    """The commercial register is not asked any more."""
    content["form"] = [each for each in content["form"] if each["name"] != "commercial_register"]
    for procedure in content["procedures"].values():
        procedure["form"] = [name for name in procedure.get("form", []) if name != "commercial_register"]
    for section in content["document"]["sections"]:
        section["pairs"] = [name for name in section["pairs"] if name != "commercial_register"]


def migrate(
    desk: Desk, states: Mapping[str, str], number: str | None = None, dry_run: bool = False
) -> dict[str, Any]:
    """Move the cases of the first version."""
    version = load_services([]).get("shop_licence").version
    return desk.licensing.cases.migrate(ADMINISTRATOR, "shop_licence", version, states, number, dry_run)


def test_an_open_case_keeps_its_definition_until_it_is_moved(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    publish(desk, renamed)
    assert desk.state(number) == "under_review"
    newer = desk.submit(REVIEWED)
    assert desk.state(newer) == "in_review"
    desk.show_all(number)
    desk.do.take(REVIEWER, number, "approve")
    assert desk.state(number) == "approved"


def test_a_moved_case_goes_on_by_the_new_rules_and_its_journal_says_so(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    # Five working days after a Sunday: the next Sunday.
    assert desk.case(number)["due"] == "2026-11-29T11:30:00Z"
    old = desk.case(number)["definition"]
    new = publish(desk, renamed)
    report = migrate(desk, {"under_review": "in_review"})
    assert report["cases"] == [{"number": number, "from": "under_review", "to": "in_review", "refused": None}]
    case = desk.case(number)
    assert (case["state"], case["due"], case["version"]) == ("in_review", "2026-11-25T11:30:00Z", 3)
    assert case["definition"]["sha256"] == new.fingerprint
    entry = case["journal"][-1]
    assert (entry["action"], entry["actor"], entry["from"]) == (
        "migrated",
        ADMINISTRATOR.actor,
        "under_review",
    )
    assert entry["details"]["definition"] == {"from": old["sha256"], "to": new.fingerprint}
    assert case["intact"]
    desk.show_all(number)
    desk.do.take(REVIEWER, number, "approve")
    assert desk.breaks() == []


def test_a_state_that_the_new_version_does_not_know_is_refused_and_named(desk: Desk) -> None:
    number, fine = desk.submit(REVIEWED), desk.submit()
    publish(desk, renamed)
    report = migrate(desk, {})
    refused = {row["number"]: row["refused"] for row in report["cases"]}
    assert "state 'under_review'" in refused[number]
    assert refused[fine] is None
    assert (report["moved"], report["refused"]) == (1, 1)
    assert desk.case(number)["definition"]["version"] == report["from_version"]
    assert desk.case(fine)["definition"]["version"] == report["to_version"]


@pytest.mark.parametrize("state", ["issued", "nowhere"])
def test_an_open_case_is_not_moved_to_a_final_or_an_unknown_state(desk: Desk, state: str) -> None:
    number = desk.submit()
    publish(desk, renamed)
    assert state in migrate(desk, {"submitted": state})["cases"][0]["refused"]
    assert desk.state(number) == "submitted"


def test_a_field_that_the_new_version_does_not_know_is_refused(desk: Desk) -> None:
    number = desk.submit()
    publish(desk, without_register)
    assert "field 'commercial_register'" in migrate(desk, {})["cases"][0]["refused"]
    assert desk.case(number)["form"]["commercial_register"] == FORM["commercial_register"]


def test_a_field_that_became_personal_is_sealed_with_the_move(desk: Desk) -> None:
    number = desk.submit()

    def personal(content: dict[str, Any]) -> None:
        next(each for each in content["form"] if each["name"] == "commercial_register")["personal"] = True

    publish(desk, personal)
    assert migrate(desk, {})["moved"] == 1
    assert desk.count("case_file WHERE form ? 'commercial_register'") == 0
    case = desk.case(number)
    assert (case["form"]["commercial_register"], case["intact"]) == (FORM["commercial_register"], True)


def test_a_paid_quote_stays_what_it_was(desk: Desk) -> None:
    number, bill = desk.billed()

    def dearer(content: dict[str, Any]) -> None:
        content["fees"][0]["rates"][0]["by_class"]["1"] = "60.00"

    publish(desk, dearer)
    migrate(desk, {})
    case = desk.case(number)
    assert (case["quote"]["total"], case["quote"]["definition"]["version"]) == ("723.00", 2)
    desk.pay(bill["bill_number"], "723.00")
    assert desk.state(number) == "issued"


def test_a_dry_run_tells_the_same_and_writes_nothing(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    publish(desk, renamed)
    before = (desk.case(number), desk.count("event"), desk.count("case_definition"))
    report = migrate(desk, {"under_review": "in_review"}, dry_run=True)
    assert (report["moved"], report["cases"][0]["to"]) == (1, "in_review")
    assert (desk.case(number), desk.count("event"), desk.count("case_definition")) == before


def test_one_case_alone_is_moved_and_a_closed_one_is_left(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    closed = desk.submit()
    desk.do.take(CENTRE, closed, "withdraw")
    publish(desk, renamed)
    assert [row["number"] for row in migrate(desk, {}, number=second)["cases"]] == [second]
    with pytest.raises(NotFound, match="No open case"):
        migrate(desk, {}, number=closed)
    assert [row["number"] for row in migrate(desk, {})["cases"]] == [first]


def test_a_clerk_who_saw_the_case_before_it_moved_is_told(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    seen = desk.case(number)["version"]
    publish(desk, renamed)
    migrate(desk, {"under_review": "in_review"})
    with pytest.raises(Stale, match=f"not {seen}"):
        desk.do.take(REVIEWER, number, "reject", version=seen)


def test_only_an_administrator_moves_cases(desk: Desk) -> None:
    desk.submit()
    with pytest.raises(PermissionDenied):
        desk.licensing.cases.migrate(SUPERVISOR, "shop_licence", 2, {})
    with pytest.raises(NotFound, match="Versions with cases: 2"):
        desk.licensing.cases.migrate(ADMINISTRATOR, "shop_licence", 7, {})
