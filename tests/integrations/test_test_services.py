"""Test centres and test services: a whole licence is walked, every refusal met, and nobody else can."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import text

from foundation.caller import Caller
from foundation.errors import Conflict, InvalidInput, NotFound
from foundation.events import read
from integrations.cases import stays
from integrations.centres.refusals import CentreIsTest, ServiceIsTest
from integrations.form import ChoiceField
from tests.integrations.centre_office import TITLE, CentreOffice, contract, open_centre
from tests.integrations.desk import (
    ADMINISTRATOR,
    APPLICANT,
    BANK,
    CENTRE,
    KIOSK,
    OTHER_APPLICANT,
    REVIEWER,
    SYSTEM,
    Desk,
    message,
    new_key,
)
from tests.integrations.face import Face, submission
from tests.integrations.proving_ground import (
    CODE,
    FORM,
    PERMIT,
    Ground,
    contract_of_tests,
    open_ground,
)
from tests.integrations.test_document import extracted

pytest_plugins = ["tests.integrations.face_fixtures"]

PAGE = (Path(__file__).parents[2] / "docs/centres.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## The test centre\n")[2]
REAL_TABLES = (
    "case_ledger",
    "case_payment",
    "case_refund",
    "centre_share",
    "bill_upload",
    "status_list",
    "case_call",
    "case_stay",
)


@pytest.fixture
def ground(desk: Desk) -> Ground:
    return open_ground(desk)


def _kinds(desk: Desk) -> set[str]:
    with desk.database.transaction() as session:
        return {event.kind for event in read(session, after=None)}


def test_a_developer_walks_a_whole_licence_and_leaves_nothing_real(ground: Ground) -> None:
    desk = ground.desk
    number = ground.submit()
    with pytest.raises(Conflict, match="lacks: Photograph of the site, Safety plan"):
        ground.take(number, "send")
    ground.hand_in(number)
    ground.take(number, "send")
    assert ground.case(number)["state"] == "approved"
    assert desk.do.quote(ground.caller, number).body["total"] == "297.50"
    bill = desk.do.invoice(ground.caller, number).body
    assert (bill["amount"], bill["state"]) == ("297.50", "open")
    assert "pay" in {action["name"] for action in ground.case(number)["actions"]}
    ground.take(number, "pay")

    case = ground.case(number)
    assert (case["state"], case["invoice"]["state"]) == ("issued", "settled")
    assert (number, case["licence"]) == ("TESTC-2026-000001", "TESTL-2026-000001")
    paid = desk.licensing.money.bill(ground.office.unsigned(), bill["bill_number"])
    assert (paid["rest"], paid["payments"]) == ("0.00", [])
    desk.work_off()
    desk.licensing.licences.lists.rebuild()
    stays.gather(desk.database)
    assert {table: desk.count(table) for table in REAL_TABLES} == dict.fromkeys(REAL_TABLES, 0)
    report = desk.licensing.centres.report(SYSTEM, date(2026, 11, 1), date(2026, 11, 30), CODE)
    assert (report["total"]["share"], report["owed"]) == ("0.00", "0.00")
    # What happened is known all the same.
    assert {"case.submitted", "licence.issued"} <= _kinds(desk)
    assert not _kinds(desk) & {"invoice.presented", "invoice.voided", "payment.kept"}
    assert desk.breaks() == []


def test_the_applicant_says_how_it_is_decided(ground: Ground) -> None:
    assert ground.case(ground.sent({**FORM, "decision": "reject"}))["state"] == "rejected"

    returned = ground.sent({**FORM, "decision": "return"})
    assert ground.case(returned)["state"] == "returned"
    ground.take(returned, "resubmit", form={"decision": "approve"})
    assert ground.case(returned)["state"] == "approved"

    waiting = ground.sent({**FORM, "decision": "wait"})
    assert ground.case(waiting)["state"] == "under_review"
    with pytest.raises(InvalidInput, match="needs a comment"):
        ground.take(waiting, "withdraw")
    ground.take(waiting, "withdraw", comment="لم يعد مطلوبًا")
    assert ground.case(waiting)["state"] == "withdrawn"
    assert ground.desk.count("licence") == 0


def test_a_bill_of_a_test_is_withdrawn_and_no_money_is_owed(ground: Ground) -> None:
    number, _ = ground.billed()
    ground.take(number, "withdraw_billed", comment="لم يعد مطلوبًا")
    assert ground.case(number)["invoice"]["state"] == "void"
    assert ground.desk.count("case_ledger") == 0
    assert "invoice.voided" not in _kinds(ground.desk)


def test_a_test_licence_gets_a_copy_and_is_closed(ground: Ground, tmp_path: Path) -> None:
    _, licence = ground.issued()
    ground.submit({}, procedure="replacement", licence=licence)
    ground.desk.work_off()
    centre = ground.office.unsigned()
    paper = ground.desk.licensing.licences.document(centre, licence)
    assert "Replacement copy 1" in extracted(paper, tmp_path)
    ground.submit({}, procedure="close", licence=licence)
    assert ground.desk.licensing.licences.licence(licence, centre)["status"] == "closed"
    assert ground.desk.count("status_list") == 0


@pytest.mark.parametrize(
    "caller", [CENTRE, KIOSK, BANK, REVIEWER, ADMINISTRATOR, SYSTEM], ids=lambda c: c.name
)
def test_nobody_else_opens_a_case_of_a_test_service(ground: Ground, caller: Caller) -> None:
    with pytest.raises(ServiceIsTest, match="for test centres alone") as told:
        ground.desk.do.submit(caller, message(FORM, PERMIT.code))
    assert "تجريبية" in told.value.message_ar
    assert ground.desk.count("case_file") == 0


def test_a_real_centre_opens_none_though_its_contract_were_to_say_so(desk: Desk) -> None:
    office = open_centre(desk)
    with desk.database.transaction() as session:
        session.execute(
            text("UPDATE centre_contract SET services = CAST(:services AS jsonb)"),
            {"services": json.dumps({PERMIT.code: {}})},
        )
    with pytest.raises(ServiceIsTest):
        desk.do.submit(office.caller(), message(FORM, PERMIT.code))
    assert desk.count("case_file") == 0
    assert _refusals(office) == [("ServiceIsTest", 1)]


def test_a_test_centre_opens_nothing_real(ground: Ground) -> None:
    desk = ground.desk
    with pytest.raises(CentreIsTest, match="dev-1 is a test centre") as told:
        desk.do.submit(ground.caller, message())
    assert "تجريبي" in told.value.message_ar
    rows = desk.licensing.cases.submit_many(ground.caller, [message(), message(FORM, PERMIT.code)], new_key())
    assert [row["status"] for row in rows.body["rows"]] == [403, 201]
    assert rows.body["rows"][0]["problem"]["type"] == "urn:rakeeza:problem:centre-is-test"
    assert _refusals(ground.office) == [("CentreIsTest", 2)]


def test_a_test_centre_takes_no_real_licence_for_a_test(ground: Ground) -> None:
    desk = ground.desk
    _, licence = desk.issued()
    with pytest.raises(NotFound):
        ground.submit({}, procedure="close", licence=licence)
    # Also not one that an older definition gave to the service's code.
    with desk.database.transaction() as session:
        session.execute(text("UPDATE licence SET service = :code"), {"code": PERMIT.code})
    with pytest.raises(NotFound):
        ground.submit({}, procedure="close", licence=licence)
    assert desk.licensing.licences.licence(licence)["status"] == "valid"


def test_services_are_delegated_to_centres_of_their_kind(ground: Ground) -> None:
    centres = ground.desk.licensing.centres
    made: list[object] = []
    with pytest.raises(InvalidInput, match="shop_licence is a real service") as told:
        centres.add(SYSTEM, "dev-2", TITLE, contract(), made.append, test=True)
    assert told.value.message_ar
    with pytest.raises(InvalidInput, match="test_permit is a test service"):
        centres.add(SYSTEM, "centre-9", TITLE, contract_of_tests(), made.append)
    assert made == []
    later: dict[str, Any] = {
        "reference": "1450/1",
        "first_day": date(2029, 1, 1),
        "last_day": date(2029, 12, 31),
    }
    with pytest.raises(InvalidInput, match="shop_licence is a real service"):
        centres.agree(SYSTEM, CODE, contract(**later))
    centres.agree(SYSTEM, CODE, contract_of_tests(**later))
    assert [each["test"] for each in centres.list(SYSTEM)] == [True]
    assert centres.show(SYSTEM, CODE)["test"] is True
    assert centres.suspend(SYSTEM, CODE, "a pause")["test"] is True


def test_a_counter_that_has_real_cases_becomes_no_test_centre(desk: Desk) -> None:
    counter = CENTRE.name
    desk.submit()
    with pytest.raises(Conflict, match="has opened real cases"):
        open_centre(desk, contract_of_tests(), counter, test=True)
    assert desk.licensing.centres.list(SYSTEM) == []


def test_a_test_centre_has_no_part_in_what_people_agreed_on(ground: Ground) -> None:
    people = ground.desk.licensing.people
    given = {
        "principal": _person(APPLICANT),
        "agent": _person(OTHER_APPLICANT),
        "capacity": "agent",
        "valid_until": "2027-11-01",
    }
    made = people.delegate(CENTRE, given, new_key()).body["id"]
    with pytest.raises(CentreIsTest):
        people.delegate(ground.caller, given, new_key())
    with pytest.raises(CentreIsTest):
        people.end_delegation(ground.caller, made, new_key())
    with pytest.raises(CentreIsTest):
        people.delegations(ground.office.unsigned(), APPLICANT["kind"], APPLICANT["identifier"])
    assert ground.desk.count("delegation") == 1


def test_the_interface_keeps_tests_to_their_centre(api: Face, ground: Ground) -> None:
    api.vouch(CODE, ground.office.caller)
    number, licence = ground.issued()
    for channel in ("", "?channel=centre"):
        named = {each["code"] for each in api.get(None, f"/v1/services{channel}")["items"]}
        assert "shop_licence" in named
        assert PERMIT.code not in named
    assert api.get(None, f"/v1/services/{PERMIT.code}")["code"] == PERMIT.code

    told = api.call(None, "GET", f"/v1/verify/{licence}")
    assert (told.status_code, told.json()["type"]) == (404, "urn:rakeeza:problem:licence-is-test")
    assert "وليس رخصة" in told.json()["detail_ar"]
    own = api.get(CODE, f"/v1/licences/{licence}")
    assert api.call(None, "GET", f"/v1/verify?code={quote(own['credential'])}").json()["valid"] is False
    for who in ("centre-1", "kiosk-1", "inspector", "auditor"):
        assert api.call(who, "GET", f"/v1/licences/{licence}").status_code == 404
    assert api.get(CODE, f"/v1/cases/{number}")["state"] == "issued"
    assert api.call("centre-1", "GET", f"/v1/cases/{number}").status_code == 404

    theirs = api.write("centre-1", "/v1/cases", submission(FORM, service=PERMIT.code))
    assert (theirs.status_code, theirs.json()["type"]) == (403, "urn:rakeeza:problem:service-is-test")
    real = api.write(CODE, "/v1/cases", submission())
    assert (real.status_code, real.json()["type"]) == (403, "urn:rakeeza:problem:centre-is-test")
    person = {name: APPLICANT[name] for name in ("kind", "identifier")}
    known = api.write(CODE, "/v1/delegations/search", person)
    assert (known.status_code, known.json()["type"]) == (403, "urn:rakeeza:problem:centre-is-test")


def test_the_page_shows_a_contract_and_an_application_that_work(desk: Desk) -> None:
    agreed, asked = contract(_block("yaml")), json.loads(_block("json"))
    assert (agreed.shifts, agreed.quota.day, set(agreed.services)) == (True, 200, {PERMIT.code})
    here = {"first_day": date(2026, 11, 1), "shifts": False, "branches": contract().branches}
    ground = Ground(open_centre(desk, agreed.model_copy(update=here), CODE, test=True))
    number = str(desk.do.submit(ground.caller, asked).body["number"])
    ground.hand_in(number)
    ground.take(number, "send")
    assert ground.case(number)["state"] == "approved"
    decisions = set(re.findall(r"^\| `(\w+)` \| `(\w+)`", SECTION, re.MULTILINE))
    choices = next(each for each in PERMIT.form if each.name == "decision")
    assert isinstance(choices, ChoiceField)
    assert {decision for decision, _ in decisions} == {each.code for each in choices.choices}
    for decision, state in decisions:
        assert ground.case(ground.sent({**FORM, "decision": decision}))["state"] == state


def _block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def _refusals(office: CentreOffice) -> list[tuple[str, int]]:
    with office.desk.database.transaction() as session:
        found = session.execute(text("SELECT kind, times FROM centre_refusal ORDER BY kind"))
        return [(row.kind, row.times) for row in found]


def _person(applicant: dict[str, str]) -> dict[str, str]:
    return {name: applicant[name] for name in ("kind", "identifier", "name")}
