"""What there was before: permits that bar a contractor from more, and agreements that permits rest on."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput
from tests.integrations.definition_texts import DIG, line_of, refused
from tests.integrations.desk import CENTRE, INSPECTOR, OTHER_APPLICANT, REVIEWER, open_desk
from tests.integrations.excavation_town import BURST, NEW, PLAN, SHORT, WHY, Town, other_town

# A permit of thirty days, given on 22 November, holds to 21 December.
AFTER = datetime(2026, 12, 22, 7, tzinfo=UTC)
OTHER_TEAM = {**NEW, "contractor": "7005555555"}


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Iterator[Town]:
    town = Town(open_desk(database, tmp_path))
    yield town
    assert town.desk.breaks() == []


def cleared(town: Town, permit: str) -> None:
    number = town.send(town.ask({}, "clear", licence=permit))
    town.desk.do.take(INSPECTOR, number, "clear")


# ---------------------------------------------------------------- bars


def test_a_contractor_whose_permit_ran_out_uncleared_gets_none_until_it_is_cleared(town: Town) -> None:
    permit = town.issued()
    town.ask(NEW)
    town.desk.now.append(AFTER)
    with pytest.raises(Conflict, match="were not cleared") as barred:
        town.ask(NEW)
    assert permit in str(barred.value)
    assert permit in barred.value.message_ar
    assert "إخلاء طرف" in barred.value.message_ar
    # Another contractor is not barred by it, and neither is the same applicant.
    town.ask(OTHER_TEAM)
    cleared(town, permit)
    town.ask(NEW)


def test_the_bar_holds_whoever_applies(town: Town) -> None:
    town.issued()
    town.desk.now.append(AFTER)
    with pytest.raises(Conflict, match="were not cleared"):
        town.ask(NEW, applicant=OTHER_APPLICANT)


@pytest.mark.parametrize("procedure", ["stop", "revoke"])
def test_stopped_work_bars_and_a_permit_that_has_ended_does_not(town: Town, procedure: str) -> None:
    permit = town.issued()
    town.office(procedure, permit)
    if procedure == "stop":
        with pytest.raises(Conflict, match="work was stopped"):
            town.ask(NEW)
        town.office("resume", permit)
    town.ask(NEW)


def test_no_contractor_is_barred_from_an_emergency(town: Town) -> None:
    town.issued()
    town.desk.now.append(AFTER)
    assert town.state(town.ask(BURST, "emergency")) == "notified"


def test_what_ran_out_since_is_seen_before_money_is_asked_for_and_the_case_waits(town: Town) -> None:
    permit = town.issued()
    town.desk.now.append(datetime(2026, 12, 20, 7, tzinfo=UTC))
    number = town.sent({**NEW, "paths": SHORT, "building_permit": "BP-2026-18"}, "connect")
    town.desk.do.take(REVIEWER, number, "approve")
    town.desk.now.append(AFTER)
    with pytest.raises(Conflict, match="were not cleared"):
        town.desk.do.quote(CENTRE, number)
    assert town.state(number) == "approved"
    cleared(town, permit)
    assert town.pay(number) == "300.00"
    assert town.state(number) == "issued"


def test_what_ran_out_between_quote_and_bill_is_seen_too(town: Town) -> None:
    town.issued()
    town.desk.now.append(datetime(2026, 12, 21, 7, tzinfo=UTC))
    number = town.sent({**NEW, "paths": SHORT, "building_permit": "BP-2026-18"}, "connect")
    town.desk.do.take(REVIEWER, number, "approve")
    town.desk.do.quote(CENTRE, number)
    town.desk.now.append(AFTER)
    with pytest.raises(Conflict, match="were not cleared"):
        town.desk.do.invoice(CENTRE, number)
    assert town.desk.count("case_invoice WHERE state = 'open'") == 0


def test_a_form_is_not_changed_to_a_contractor_who_is_barred(town: Town) -> None:
    town.issued()
    town.desk.now.append(AFTER)
    number = town.sent(OTHER_TEAM)
    town.all_agree(number)
    town.desk.do.take(REVIEWER, number, "send_back", comment=WHY)
    with pytest.raises(Conflict, match="were not cleared"):
        town.desk.do.take(CENTRE, number, "resubmit", form={"contractor": NEW["contractor"]})
    town.desk.do.take(CENTRE, number, "resubmit", form={"days": 20})


def test_a_permit_does_not_bar_the_change_of_its_own_team_and_another_does(town: Town) -> None:
    first, second = town.issued(), town.issued()
    town.desk.now.append(AFTER)
    team = {name: NEW[name] for name in ("contractor", "contractor_class", "consultant", "site_engineer")}
    with pytest.raises(Conflict, match=second):
        town.ask(team, "change_team", licence=first)
    cleared(town, second)
    number = town.send(town.ask(team, "change_team", licence=first))
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.state(number) == "granted"


def test_of_many_permits_three_are_named(town: Town) -> None:
    permits = [town.issued() for _ in range(4)]
    town.desk.now.append(AFTER)
    with pytest.raises(Conflict, match="and more") as barred:
        town.ask(NEW)
    assert [permit in str(barred.value) for permit in permits] == [True, True, True, False]
    assert "وغيرها" in barred.value.message_ar


def test_the_applicants_own_licences_may_bar_him(database: Database, tmp_path: Path) -> None:
    town = other_town(database, tmp_path, (SAME, "    same: applicant\n"))
    town.issued()
    town.desk.now.append(AFTER)
    with pytest.raises(Conflict, match="were not cleared"):
        town.ask(OTHER_TEAM)
    town.ask(NEW, applicant=OTHER_APPLICANT)


# ---------------------------------------------------------------- agreements


def agreed(town: Town) -> str:
    number = town.sent(PLAN, "coordinate_several")
    town.all_agree(number)
    town.desk.do.take(REVIEWER, number, "approve")
    town.pay(number)
    assert town.state(number) == "granted"
    return number


def test_a_permit_rests_on_an_agreement_that_its_applicant_has(town: Town) -> None:
    open_, mine = town.sent(PLAN, "coordinate_several"), agreed(town)
    permit = town.sent()
    for wrong in ("EXC-2026-999999", open_, permit):
        with pytest.raises(InvalidInput) as refused:
            town.ask({**NEW, "coordination": wrong}, "issue_coordinated")
        [field] = refused.value.fields
        # Of a number that is not his he learns no more than of one that is nobody's.
        assert (field.pointer, field.detail) == (
            "/form/coordination",
            "Number of the earlier coordination: the applicant has no agreement of this number.",
        )
        assert "لا توجد لمقدم الطلب" in field.detail_ar
    with pytest.raises(InvalidInput):
        town.ask({**NEW, "coordination": mine}, "issue_coordinated", applicant=OTHER_APPLICANT)
    assert town.state(town.ask({**NEW, "coordination": mine}, "issue_coordinated")) == "submitted"


def test_what_was_refused_is_no_agreement(town: Town) -> None:
    number = town.sent(PLAN, "coordinate_several")
    town.all_agree(number)
    town.desk.do.take(REVIEWER, number, "reject", comment=WHY)
    with pytest.raises(InvalidInput):
        town.ask({**NEW, "coordination": number}, "issue_coordinated")


def test_a_form_is_not_changed_to_an_agreement_that_is_none(town: Town) -> None:
    number = town.sent({**NEW, "coordination": agreed(town)}, "issue_coordinated")
    town.desk.do.take(REVIEWER, number, "send_back", comment=WHY)
    with pytest.raises(InvalidInput):
        town.desk.do.take(CENTRE, number, "resubmit", form={"coordination": "EXC-2026-999999"})
    assert town.state(number) == "returned"


# ---------------------------------------------------------------- mistakes

SAME = "    same: contractor\n"
ISSUE = "    bars: uncleared\n    agreed: coordination\n"
STUDY = "    documents: [route_plan, traffic_plan]\n"
MISTAKES = [
    (SAME, "    same: builder\n", "'builder' is no field of the form that a licence is issued on"),
    (SAME, "    same: site_engineer\n", "'site_engineer' is personal; licences are not looked up by it"),
    (SAME, "    same: paths\n", "'paths' is a list; licences are looked up by a text, choice or integer"),
    ("    statuses: [expired, suspended]\n", "    statuses: [expired, closed]\n",
     "Input should be 'valid', 'expired' or 'suspended'"),
    ("    statuses: [expired, suspended]\n", "    statuses: []\n", "at least 1"),
    (ISSUE, ISSUE.replace("uncleared", "unclear"), "'unclear' is no bar"),
    (ISSUE, ISSUE.replace("bars: uncleared", "bars: [uncleared, uncleared]"), "'uncleared' stands twice"),
    (ISSUE, ISSUE.replace("agreed: coordination", "agreed: closes_road"),
     "'closes_road' is no required text of the form of 'issue_coordinated', or it is personal"),
    (ISSUE, ISSUE.replace("agreed: coordination", "agreed: building_permit"),
     "'building_permit' is no required text of the form of 'issue_coordinated', or it is personal"),
    ("    initiator: office\n", "    initiator: office\n    bars: uncleared\n",
     "what the office begins has no applicant whom anything could bar"),
    (STUDY, STUDY + "    bars: uncleared\n", "the procedure 'coordinate_several' does not know 'contractor'"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[said[:40] for _, _, said in MISTAKES])
def test_a_mistake_is_told_with_its_reason_and_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    found = [field for field in refused(tmp_path, DIG, (old, new)).fields if said in field.detail]
    assert found
    assert all(field.line for field in found)


def test_a_bar_that_stands_in_nobodys_way_is_told_with_its_line(tmp_path: Path) -> None:
    text = DIG.replace("    bars: uncleared\n", "")
    told = {field.detail: field.line for field in refused(tmp_path, text).fields}
    assert told == {"the bar 'uncleared' stands in the way of no procedure": line_of(text, "  uncleared:")}
