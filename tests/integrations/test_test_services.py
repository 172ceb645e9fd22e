"""Test centres and test services: a whole licence is walked, every refusal met, and nothing of it is real."""

import json
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from foundation.caller import Caller
from foundation.errors import Conflict, DefinitionError, InvalidInput, NotFound
from foundation.events import read
from foundation.wire import qr_reader
from foundation.wire.credential import DamagedText, KeySet, open_credential
from foundation.wire.status_list import StatusLists
from foundation.wire.verification import Answer, verify
from integrations.cases import bill_uploads, case_store, migration, stays
from integrations.cases.inbox import Wanted, cases
from integrations.cases.numbers import is_bill_number, is_test
from integrations.centres.refusals import CentreIsTest, ServiceIsTest
from integrations.licences.licence import LicenceIsTest
from integrations.licences.sealing import code_of_test
from integrations.service import load_services
from tests.integrations.centre_office import TITLE, CentreOffice, contract, open_centre
from tests.integrations.definition_texts import SIGN, changed, line_of, refused
from tests.integrations.desk import (
    ADMINISTRATOR,
    APPLICANT,
    AUDITOR,
    BANK,
    CENTRE,
    FINANCE,
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
    FILE,
    FORM,
    PERMIT,
    Ground,
    contract_of_tests,
    open_ground,
)
from tests.integrations.test_document import extracted, run

pytest_plugins = ["tests.integrations.face_fixtures"]

TEXT = FILE.read_text(encoding="utf-8")
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


# --- A whole licence ----------------------------------------------------------------------------------------


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


# --- Who may open what --------------------------------------------------------------------------------------


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


# --- Money --------------------------------------------------------------------------------------------------


def test_real_money_that_names_the_bill_of_a_test_waits_for_a_person(ground: Ground) -> None:
    desk = ground.desk
    number, bill = ground.billed()
    assert not is_bill_number(bill["bill_number"])
    paid = desk.pay(bill["bill_number"], bill["amount"])
    assert (paid["outcome"], paid["case"], paid["waiting"]) == ("unknown_bill", None, bill["amount"])
    assert ground.case(number)["state"] == "invoiced"
    with pytest.raises(NotFound):
        desk.licensing.money.assign(FINANCE, "ref-1", bill["bill_number"], new_key())
    for caller in (BANK, FINANCE, CENTRE):
        with pytest.raises(NotFound):
            desk.licensing.money.bill(caller, bill["bill_number"])
    (waiting,) = desk.licensing.money.waiting(FINANCE)["items"]
    assert waiting["case"] is None


def test_no_payment_system_is_told_of_the_bill_of_a_test(ground: Ground) -> None:
    _, bill = ground.billed()
    at = ground.desk.now[-1]
    with ground.desk.database.transaction() as session:
        assert not bill_uploads.is_due(session, at)
        assert bill_uploads.next_upload(session, at) is None
    _, real = ground.desk.billed()
    with ground.desk.database.transaction() as session:
        assert bill_uploads.is_due(session, at)
        told = bill_uploads.next_upload(session, at)
        assert told is not None
        assert [each.bill_number for each in told[1]] == [real["bill_number"]]
        untold = text(
            "INSERT INTO bill_upload_line (upload_id, bill_number, status, amount, due) "
            "VALUES (:upload, :bill, 'new', 1, current_date)"
        )
        with pytest.raises(IntegrityError, match="ck_bill_upload_line_no_test"), session.begin_nested():
            session.execute(untold, {"upload": told[0].id, "bill": bill["bill_number"]})


def test_a_real_bill_is_not_paid_by_word(desk: Desk) -> None:
    number, _ = desk.billed()
    with pytest.raises(NotFound, match="taken by a payment"):
        desk.do.take(CENTRE, number, "pay")


def test_the_database_itself_takes_no_money_of_a_test(ground: Ground) -> None:
    number, bill = ground.billed()
    posted = text(
        "INSERT INTO case_ledger SELECT 1, line, 'bill', account, debit, credit, :subject, :bill, NULL, "
        "current_date, now() FROM (VALUES (1, 'receivable', 5, 0), (2, 'vat', 0, 5)) "
        "AS rows (line, account, debit, credit)"
    )
    words = {"subject": f"case/{number}", "bill": bill["bill_number"]}
    with ground.desk.database.transaction() as session:
        session.execute(posted, {**words, "subject": "case/SC-2026-000001"})
        session.rollback()
    with (
        pytest.raises(IntegrityError, match="ck_case_ledger_no_test"),
        ground.desk.database.transaction() as session,
    ):
        session.execute(posted, words)


# --- The licence, and who looks at it -----------------------------------------------------------------------


def test_no_verifier_takes_a_test_for_a_licence(ground: Ground) -> None:
    desk, licences = ground.desk, ground.desk.licensing.licences
    _, licence = ground.issued()
    with pytest.raises(LicenceIsTest, match="is the number of a test") as told:
        licences.verify(licence)
    assert "تجريبي" in told.value.message_ar
    # Whether or not there is such a one.
    with pytest.raises(LicenceIsTest):
        licences.verify("TESTL-2026-000999")
    own = licences.licence(licence, ground.office.unsigned())
    assert (own["status"], own["answer"]) == ("valid", "revoked")
    for stranger in (CENTRE, KIOSK, REVIEWER, AUDITOR):
        with pytest.raises(NotFound):
            licences.licence(licence, stranger)

    verdict = licences.verdict(own["credential"])
    assert (verdict["valid"], verdict["answer"]) == (False, "damaged")
    # What a phone or a kiosk says that never heard of tests.
    offline = verify(own["credential"], licences.public_keys(), StatusLists(()), desk.now[-1])
    assert (offline.answer, offline.claims) == (Answer.DAMAGED, None)
    with pytest.raises(DamagedText):
        open_credential(own["credential"], KeySet(()), today=date(2026, 11, 22))


@pytest.mark.parametrize("count", [1, 2, 10, 99, 123456, 999999, 999999999])
def test_no_number_of_a_test_makes_a_code_that_can_be_read(count: int) -> None:
    for year in range(2026, 2036):
        with pytest.raises(DamagedText):
            open_credential(code_of_test(f"TESTL-{year}-{count:06}"), KeySet(()), today=date(2026, 11, 22))


def test_the_paper_says_that_it_is_a_test_and_nobody_signed_it(ground: Ground, tmp_path: Path) -> None:
    _, licence = ground.issued()
    ground.desk.work_off()
    pdf = ground.desk.licensing.licences.document(ground.office.unsigned(), licence)
    said = extracted(pdf, tmp_path)
    assert "It is no licence and has no effect" in said
    own = ground.desk.licensing.licences.licence(licence, ground.office.unsigned())
    assert qr_reader.read(pdf) == [own["credential"]] == [f"RKZ1:TEST - NO LICENCE - {licence}"]
    assert _reddish(pdf, tmp_path) > 0.05
    _, real = ground.desk.issued()
    ground.desk.work_off()
    assert _reddish(ground.desk.licensing.licences.document(CENTRE, real), tmp_path) < 0.001
    assert PdfFileReader(BytesIO(pdf)).embedded_signatures == []


def test_tests_are_among_no_others(ground: Ground) -> None:
    desk = ground.desk
    number, licence = ground.issued()
    waiting = ground.submit()
    real = desk.submit()
    everybody = desk.licensing.cases.cases
    for officer in (AUDITOR, SYSTEM):
        assert [each["number"] for each in everybody(officer)["items"]] == [real]
    asked = everybody(AUDITOR, service=PERMIT.code)["items"]
    assert [each["number"] for each in asked] == [waiting, number]
    own = everybody(ground.office.unsigned())["items"]
    assert [each["number"] for each in own] == [waiting, number]
    assert everybody(REVIEWER)["items"] == everybody(REVIEWER, service="shop_licence")["items"]
    with desk.database.transaction() as session:
        shown = cases(session, Wanted("boss", frozenset(), everything=True), None, 50)
    assert [case.number for case in shown if is_test(case.number)] == []
    with pytest.raises(NotFound):
        desk.licensing.licences.history(CENTRE, licence)


def test_a_case_stays_on_its_side_whatever_becomes_of_the_definition(ground: Ground) -> None:
    test, real = ground.submit(), ground.desk.submit()
    shop = ground.desk.licensing.services.get("shop_licence")
    with ground.desk.database.transaction() as session:
        with pytest.raises(Conflict, match="is a test, and shop_licence is not"):
            migration.target(shop, case_store.find(session, test), {}, {})
        with pytest.raises(Conflict, match="is real, and test_permit is not"):
            migration.target(PERMIT, case_store.find(session, real), {}, {})


# --- By REST, each answer held against the contract --------------------------------------------------------


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


# --- The definition -----------------------------------------------------------------------------------------

_PARENT = "parent: {service: shop_licence}\n"
MISTAKES = [
    ("test: true\n", "test: false\n", "test: false", "Input should be True"),
    ("test: true\n", "", "numbers:", "a test service's prefixes begin with TEST, and no other's do"),
    ("case: TESTC", "case: TC", "numbers:", "a test service's prefixes begin with TEST"),
    ("notices: false", "notices: true", "applicant:", "sends nobody messages"),
    ("payment: {due_days: 5}\n", "payment: {due_days: 5}\n" + _PARENT, "parent:", "hangs on no licence"),
    (
        "from: invoiced, to: paid, roles: centre",
        "from: invoiced, to: paid, roles: payment",
        "roles: payment",
        "done by the centre: its action has no other role",
    ),
    (
        "    outcome: copy\n",
        "    outcome: copy\n    channels: [centre, kiosk]\n",
        "channels:",
        "at centres alone",
    ),
    ("    outcome: copy\n", "    outcome: copy\n    capacities: agent\n", "capacities:", "the owner applies"),
    (
        "        title: {ar: مسودة, en: Draft}\n        applicant: true\n"
        "        deadline: {working_days: 10, then: lapse}",
        "        title: {ar: مسودة, en: Draft}\n        applicant: true\n"
        "        deadline: {working_days: 10, escalate: reviewer}",
        "escalate: reviewer",
        "nobody is shown a test",
    ),
]


@pytest.mark.parametrize(("old", "new", "place", "says"), MISTAKES)
def test_a_definition_that_mixes_tests_with_what_is_real_is_refused(
    tmp_path: Path, old: str, new: str, place: str, says: str
) -> None:
    error = refused(tmp_path, TEXT, (old, new))
    found = [field for field in error.fields if says in field.detail]
    assert found, [field.detail for field in error.fields]
    assert found[0].line == line_of(changed(TEXT, (old, new)), place)


def test_a_test_service_asks_no_back_end_and_has_no_roles(tmp_path: Path) -> None:
    checks = "checks:\n  fire: {title: {ar: سلامة, en: Safety}, backend: fire, asks: {area: area_m2}}\n"
    state = "title: {ar: تحت الدراسة, en: Under review}\n"
    error = refused(
        tmp_path, TEXT, ("payment: {", f"{checks}payment: {{"), (state, f"{state}        checks: fire\n")
    )
    assert any("asks no back-end" in field.detail for field in error.fields)
    roles = "roles:\n  judge: {ar: محكم, en: Judge}\n"
    error = refused(
        tmp_path, TEXT, ("place: district\n", f"{roles}place: district\n"), ("roles: centre", "roles: judge")
    )
    assert {"a test service has no roles of its own"} <= {field.detail for field in error.fields}


def test_no_real_licence_hangs_on_a_test(tmp_path: Path) -> None:
    sign = changed(SIGN, ("parent: {service: shop_licence", f"parent: {{service: {PERMIT.code}"))
    (tmp_path / "sign_permit.yaml").write_text(sign, encoding="utf-8")
    with pytest.raises(DefinitionError, match="is a test service"):
        load_services((tmp_path,))


def _refusals(office: CentreOffice) -> list[tuple[str, int]]:
    with office.desk.database.transaction() as session:
        found = session.execute(text("SELECT kind, times FROM centre_refusal ORDER BY kind"))
        return [(row.kind, row.times) for row in found]


def _reddish(pdf: bytes, folder: Path) -> float:
    """Which part of the first page is red: what the mark across it covers."""
    (folder / "page.pdf").write_bytes(pdf)
    run("pdftoppm", "-r", "40", "-singlefile", "-png", folder / "page.pdf", folder / "page")
    with Image.open(folder / "page.png") as page:
        octets = page.convert("RGB").tobytes()
    points = list(zip(octets[0::3], octets[1::3], octets[2::3], strict=True))
    return sum(red > green + 40 and red > blue + 40 for red, green, blue in points) / len(points)


def _person(applicant: dict[str, str]) -> dict[str, str]:
    return {name: applicant[name] for name in ("kind", "identifier", "name")}
