"""The excavation permit: what was coordinated before, connections, emergencies, and the life of a permit."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput
from tests.integrations.desk import (
    CENTRE,
    INSPECTOR,
    MANAGER,
    REVIEWER,
    SUPERVISOR,
    open_desk,
)
from tests.integrations.excavation_town import (
    BURST,
    COORDINATOR,
    NEW,
    PLAN,
    SHORT,
    WHY,
    Town,
    utc,
)


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Iterator[Town]:
    town = Town(open_desk(database, tmp_path))
    yield town
    assert town.desk.breaks() == []


@pytest.mark.parametrize("procedure", ["coordinate_several", "coordinate_future"])
def test_a_coordination_ends_in_an_agreement_and_no_licence(town: Town, procedure: str) -> None:
    future = {"starts_on": "2027-03-01"} if procedure == "coordinate_future" else {}
    number = town.sent({**PLAN, **future}, procedure)
    town.all_agree(number)
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.pay(number) == "100.00"
    case = town.desk.case(number)
    assert (case["state"], case["licence"]) == ("granted", None)
    assert town.desk.count("licence") == 0
    # What was agreed is the ground of a permit that no party is asked about again.
    permit = town.sent({**NEW, "paths": SHORT, "coordination": number}, "issue_coordinated")
    town.desk.do.take(REVIEWER, permit, "approve")
    assert town.pay(permit) == "300.00"
    assert town.state(permit) == "issued"


def test_a_coordination_names_no_licence_and_a_permit_names_a_coordination_by_its_form(town: Town) -> None:
    with pytest.raises(InvalidInput, match="about no licence"):
        town.ask(PLAN, "coordinate_several", licence="EXP-2026-000001")
    with pytest.raises(InvalidInput) as refused:
        town.ask({**NEW, "coordination": "42"}, "issue_coordinated")
    assert refused.value.fields[0].pointer == "/form/coordination"


def test_a_connection_that_closes_a_road_brings_a_plan_that_traffic_has_approved(town: Town) -> None:
    form = {**NEW, "paths": SHORT, "building_permit": "BP-2026-17", "closes_road": True}
    number = town.ask(form, "connect")
    for code in ("route_plan", "safety_plan", "building_permit_copy", "team_classification"):
        town.desk.do.put(CENTRE, number, code)
    with pytest.raises(Conflict, match="approved by the traffic department") as refused:
        town.desk.do.take(CENTRE, number, "send")
    assert "معتمدة من إدارة المرور" in refused.value.message_ar
    town.desk.do.put(CENTRE, number, "approved_traffic_plan")
    town.desk.do.take(CENTRE, number, "send")
    assert town.state(number) == "under_review"


def test_a_connection_is_reviewed_in_24_hours_by_the_clock(town: Town) -> None:
    number = town.sent({**NEW, "paths": SHORT, "building_permit": "BP-2026-17"}, "connect")
    assert town.due(number) == "2026-11-23T07:00:00Z"
    assert town.desk.case(number)["promised_for"] == "2026-11-23T07:00:00Z"
    town.clock(utc(23, 6, 59))
    assert not town.desk.case(number)["escalated"]
    town.clock(utc(23, 7))
    assert town.desk.case(number)["escalated"]
    town.desk.do.take(SUPERVISOR, number, "approve")
    assert town.pay(number) == "300.00"
    assert town.state(number) == "issued"


@pytest.mark.parametrize(("action", "state"), [("reject", "rejected"), ("send_back", "returned")])
def test_a_connection_may_be_refused_or_sent_back(town: Town, action: str, state: str) -> None:
    number = town.sent({**NEW, "building_permit": "BP-2026-17"}, "connect")
    town.desk.do.take(REVIEWER, number, action, comment=WHY)
    assert town.state(number) == state


# ---------------------------------------------------------------- emergency


def dug(town: Town) -> str:
    """An emergency whose preliminary permission was given at 07:30."""
    number = town.ask(BURST, "emergency")
    town.desk.now.append(utc(22, 7, 30))
    town.desk.do.take(COORDINATOR, number, "allow_digging")
    return number


def test_an_emergency_in_time_goes_from_notice_to_permit(town: Town) -> None:
    number = dug(town)
    assert (town.state(number), town.due(number)) == ("digging", "2026-11-23T07:30:00Z")
    town.desk.do.take(INSPECTOR, number, "check_site")
    # The check of the site gives no more time, and takes none.
    assert town.due(number) == "2026-11-23T07:30:00Z"
    with pytest.raises(Conflict, match="lacks"):
        town.desk.do.take(CENTRE, number, "request")
    town.desk.show_all(number)
    town.desk.now.append(utc(23, 7, 29))
    # What was dug in the end: 60 m, 60 x 5 x 1.5.
    town.desk.do.take(CENTRE, number, "request", form={"paths": [{**SHORT[0], "length_m": 60}]})
    assert (town.state(number), town.due(number)) == ("under_review", "2026-11-24T07:29:00Z")
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.pay(number) == "450.00"
    assert town.state(number) == "issued"
    assert "in_violation" not in {step["to"] for step in town.steps(number)}


def test_no_permit_is_approved_before_the_site_was_checked(town: Town) -> None:
    number = dug(town)
    town.send(number, "request")
    with pytest.raises(Conflict):
        town.desk.do.take(REVIEWER, number, "approve")
    # An inspector who comes late cost the applicant nothing.
    town.desk.do.take(INSPECTOR, number, "check_site")
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.state(number) == "approved"


def test_who_does_not_ask_within_24_hours_is_in_violation_and_may_still_ask(town: Town) -> None:
    number = dug(town)
    town.desk.do.take(INSPECTOR, number, "check_site")
    town.clock(utc(23, 7, 29))
    assert town.state(number) == "digging"
    town.clock(utc(23, 7, 30))
    assert town.state(number) == "in_violation"
    last = town.steps(number)[-1]
    assert (last["action"], last["to"]) == ("raise_violation", "in_violation")
    with pytest.raises(Conflict):
        town.desk.do.take(CENTRE, number, "request")
    town.send(number, "request_late")
    town.desk.do.take(REVIEWER, number, "approve")
    town.pay(number)
    assert town.state(number) == "issued"


def test_a_violation_ends_with_the_restored_ground_or_by_the_clock(town: Town) -> None:
    restored, forgotten = dug(town), dug(town)
    town.clock(utc(23, 7, 30))
    town.desk.do.take(INSPECTOR, restored, "confirm_restored", comment="رُدمت الحفرة وأعيدت السفلتة.")
    assert town.state(restored) == "violated"
    # Ten working days after Monday, 23 November: Monday, 7 December.
    town.clock(datetime(2026, 12, 7, 11, 30, tzinfo=UTC))
    assert town.state(forgotten) == "violated"
    assert town.desk.count("licence") == 0


def test_an_outage_of_ours_takes_no_hour_from_who_digs(town: Town) -> None:
    number = dug(town)
    town.closure(utc(22, 8), utc(22, 14), outage=True)
    town.clock(utc(23, 7, 30))
    assert town.state(number) == "digging"
    town.clock(utc(23, 13, 30))
    assert town.state(number) == "in_violation"


@pytest.mark.parametrize("how", ["returned", "approved", "quoted", "invoiced", "rejected"])
def test_digging_that_does_not_end_in_a_permit_is_a_violation(town: Town, how: str) -> None:
    number = dug(town)
    town.desk.do.take(INSPECTOR, number, "check_site")
    town.send(number, "request")
    if how in ("returned", "rejected"):
        action = {"returned": "send_back", "rejected": "reject"}[how]
        town.desk.do.take(REVIEWER, number, action, comment=WHY)
    else:
        town.desk.do.take(REVIEWER, number, "approve")
        if how != "approved":
            town.desk.do.quote(CENTRE, number)
        if how == "invoiced":
            town.desk.do.invoice(CENTRE, number)
    assert town.state(number) == ("in_violation" if how == "rejected" else how)
    if how == "returned":
        assert town.due(number) == "2026-11-23T07:30:00Z"
    # Five working days after Sunday.
    town.clock(utc(29, 11, 30))
    assert town.state(number) == "in_violation"


def test_a_notice_that_waits_an_hour_is_shown_to_the_supervisor_who_decides(town: Town) -> None:
    number = town.ask(BURST, "emergency")
    town.clock(town.desk.now[-1] + timedelta(hours=1))
    assert town.desk.case(number)["escalated"]
    town.desk.do.take(SUPERVISOR, number, "refuse_digging", comment="لا خطر قائم.")
    assert town.state(number) == "rejected"


def test_a_notice_is_withdrawn_before_anybody_digs(town: Town) -> None:
    number = town.ask(BURST, "emergency")
    town.desk.do.take(CENTRE, number, "withdraw")
    assert town.state(number) == "withdrawn"


# ---------------------------------------------------------------- while the permit runs


def test_an_extension_is_paid_by_the_day_and_follows_the_old_end(town: Town) -> None:
    permit = town.issued()
    number = town.ask({"days": 12}, "extend", licence=permit)
    town.desk.do.take(REVIEWER, number, "approve")
    # 12 x 50.00.
    assert town.pay(number) == "600.00"
    found = town.desk.licensing.licences.licence(permit)
    assert (town.state(number), found["valid_to"]) == ("granted", "2027-01-02")


def test_an_extension_may_be_refused_and_one_that_nobody_pays_lapses(town: Town) -> None:
    permit = town.issued()
    number = town.ask({"days": 5}, "extend", licence=permit)
    town.desk.do.take(REVIEWER, number, "reject", comment=WHY)
    assert town.state(number) == "rejected"
    number = town.ask({"days": 5}, "extend", licence=permit)
    town.desk.do.take(REVIEWER, number, "approve")
    town.clock(utc(29, 11, 30))
    assert town.state(number) == "lapsed"
    assert town.desk.licensing.licences.licence(permit)["valid_to"] == "2026-12-21"


def test_a_permit_that_has_ended_is_not_extended(town: Town) -> None:
    permit = town.issued()
    town.desk.now.append(datetime(2026, 12, 22, 7, tzinfo=UTC))
    with pytest.raises(Conflict, match="expired"):
        town.ask({"days": 5}, "extend", licence=permit)


def test_the_team_is_changed_on_the_permit_after_a_look_at_its_licences(town: Town) -> None:
    permit = town.issued()
    team = {
        "contractor": "7005555555",
        "contractor_class": "first",
        "consultant": "7009876543",
        "site_engineer": MANAGER,
    }
    number = town.send(town.ask(team, "change_team", licence=permit))
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.state(number) == "granted"
    with town.desk.database.transaction() as session:
        [form] = session.scalars(text("SELECT form FROM licence"))
    assert (form["contractor"], form["facility"]) == ("7005555555", "water")


def test_the_work_is_cleared_when_its_defects_are_repaired_also_after_the_end(town: Town) -> None:
    permit = town.issued()
    town.desk.now.append(datetime(2026, 12, 27, 7, tzinfo=UTC))
    number = town.send(town.ask({}, "clear", licence=permit))
    town.desk.do.take(INSPECTOR, number, "report_defects", comment="هبوط في طبقة السفلتة.")
    assert town.state(number) == "defects"
    town.desk.do.take(CENTRE, number, "report_repair")
    town.desk.do.take(INSPECTOR, number, "clear")
    assert (town.state(number), town.status(permit)) == ("cleared", "closed")


def test_defects_that_nobody_repairs_leave_the_permit_uncleared(town: Town) -> None:
    permit = town.issued()
    number = town.send(town.ask({}, "clear", licence=permit))
    town.desk.do.take(INSPECTOR, number, "report_defects", comment="هبوط في طبقة السفلتة.")
    town.clock(datetime(2026, 12, 6, 11, 30, tzinfo=UTC))
    assert (town.state(number), town.status(permit)) == ("lapsed", "valid")


def test_the_office_stops_the_work_lets_it_go_on_and_revokes_it(town: Town) -> None:
    permit = town.issued()
    for procedure, status in (("stop", "suspended"), ("resume", "valid"), ("revoke", "revoked")):
        town.office(procedure, permit)
        assert town.status(permit) == status
