"""What an outside party sees of a case, by every way: the work that it judges, and nothing of a person."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import NotFound, PermissionDenied
from foundation.events import StoredEvent, read
from foundation.identity import Caller
from tests.integrations.desk import CENTRE, PERSONAL, PNG, REVIEWER, new_key, open_desk
from tests.integrations.excavation_town import COORDINATOR, NEW, TRAFFIC, WATER, WHY, Town, utc

PLANS = ["route_plan", "safety_plan", "traffic_plan"]


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Town:
    return Town(open_desk(database, tmp_path))


@pytest.fixture
def sent(town: Town) -> str:
    """A case that is with the parties, with a photograph whose file is called after its owner."""
    number = town.ask()
    town.desk.licensing.files.put(CENTRE, number, "route_plan", f"{PERSONAL[2]}.png", PNG, new_key())
    return town.send(number)


def _codes(items: list[dict[str, Any]]) -> list[str]:
    return [each["code"] for each in items]


def test_a_party_opens_the_plans_and_no_other_document(town: Town, sent: str) -> None:
    files = town.desk.licensing.files
    assert files.get(WATER, sent, "route_plan") == (PNG, "image/png")
    for code in ("site_photo", "team_classification", "no_such_document"):
        with pytest.raises(NotFound, match="for a party"):
            files.get(WATER, sent, code)
    assert files.get(COORDINATOR, sent, "team_classification") == (PNG, "image/png")


def test_a_party_is_listed_the_plans_alone_and_not_what_their_files_are_called(town: Town, sent: str) -> None:
    listed = town.desk.licensing.files.list(WATER, sent)
    assert _codes(listed) == PLANS
    assert {each["document"]["name"] for each in listed if each["document"]} == {None}
    assert _codes(town.desk.licensing.cases.case(WATER, sent)["documents"]) == PLANS
    assert "team_classification" in _codes(town.desk.licensing.files.list(COORDINATOR, sent))


def test_a_party_hands_in_nothing_in_the_place_of_the_applicants_papers(town: Town, sent: str) -> None:
    with pytest.raises(PermissionDenied):
        town.desk.do.put(WATER, sent, "route_plan")


def test_a_party_reads_its_own_words_and_nobody_elses(town: Town, sent: str) -> None:
    town.desk.do.take(COORDINATOR, sent, "extend_water", comment=f"اتصل بنا {PERSONAL[2]}.")
    town.say(sent, "power", "objects", WHY)
    town.say(sent, "water", "objects", WHY)
    told = town.desk.licensing.inbox.comments(WATER, sent)
    assert [(each["actor"], each["text"]) for each in told] == [(WATER.actor, WHY)]
    assert len(town.desk.licensing.inbox.comments(COORDINATOR, sent)) == 3


def test_a_party_sees_of_the_journal_who_did_what_and_the_answers(town: Town, sent: str) -> None:
    town.all_agree(sent)
    town.desk.do.take(REVIEWER, sent, "approve")
    town.pay(sent)
    shown = town.desk.licensing.cases.case(WATER, sent)
    assert (shown["applicant"], shown["quote"], shown["invoice"]) == (None, None, None)
    assert [word for word in PERSONAL if word in str(shown)] == []
    details = [each["details"] for each in shown["journal"] if each["details"]]
    assert {"answers": {"water": "passed"}} in details
    assert {name for each in details for name in each} == {"answers", "periods"}
    whole = town.desk.case(sent)
    assert whole["invoice"] is not None
    assert whole["applicant"] is not None


def test_a_party_has_no_part_in_the_permit(town: Town, sent: str) -> None:
    town.all_agree(sent)
    town.desk.do.take(REVIEWER, sent, "approve")
    town.pay(sent)
    town.desk.work_off()
    licences, permit = town.desk.licensing.licences, str(town.desk.case(sent)["licence"])
    asked: list[Callable[[Caller, str], Any]] = [licences.document, licences.history, licences.children]
    for ask in asked:
        with pytest.raises(NotFound):
            ask(WATER, permit)
        assert ask(REVIEWER, permit)


def test_a_party_follows_the_case_and_not_what_is_paid_for_it(town: Town, sent: str) -> None:
    town.clock(utc(25, 11, 30))
    town.say(sent, "water")
    town.say(sent, "power")
    town.desk.do.take(REVIEWER, sent, "approve")
    town.pay(sent)
    with town.desk.database.transaction() as session:
        written = list(read(session, after=None, limit=500))

    def kinds(caller: Caller) -> set[str]:
        return {each.kind for each in written if _sees(town, caller, each)}

    assert kinds(WATER) == {"case.submitted", "case.moved", "case.deemed"}
    assert {"invoice.presented", "licence.issued"} <= kinds(REVIEWER)


def test_a_role_of_the_municipality_that_acts_in_the_case_shows_it_whole(town: Town, sent: str) -> None:
    both = replace(WATER, roles=frozenset({"water_company", "reviewer"}))
    other = replace(WATER, roles=frozenset({"water_company", "finance"}))
    case = town.desk.licensing.cases.case
    assert case(both, sent)["applicant"] is not None
    assert case(other, sent)["applicant"] is None


def test_traffic_finds_a_case_in_its_inbox_only_where_a_road_is_closed(town: Town, sent: str) -> None:
    closing = town.sent({**NEW, "closes_road": True})

    def waiting(caller: Caller) -> set[str]:
        return {each["number"] for each in town.desk.licensing.inbox.page(caller)["items"]}

    assert waiting(TRAFFIC) == {closing}
    assert waiting(WATER) == {sent, closing}


def _sees(town: Town, caller: Caller, event: StoredEvent) -> bool:
    return town.desk.licensing.outside._sees(caller, event)
