"""Nothing of a test is ever real: no money, no licence that a verifier takes, no case among others."""

from datetime import date
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pyhanko.pdf_utils.reader import PdfFileReader
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from foundation.errors import Conflict, NotFound
from foundation.wire import qr_reader
from foundation.wire.credential import DamagedText, KeySet, open_credential
from foundation.wire.status_list import StatusLists
from foundation.wire.verification import Answer, verify
from integrations.cases import bill_uploads, case_store, migration
from integrations.cases.inbox import Wanted, cases
from integrations.cases.numbers import is_bill_number, is_test
from integrations.licences.licence import LicenceIsTest
from integrations.licences.sealing import code_of_test
from tests.integrations.desk import (
    AUDITOR,
    BANK,
    CENTRE,
    FINANCE,
    KIOSK,
    REVIEWER,
    SYSTEM,
    Desk,
    new_key,
)
from tests.integrations.proving_ground import (
    PERMIT,
    Ground,
    open_ground,
)
from tests.integrations.test_document import extracted, run


@pytest.fixture
def ground(desk: Desk) -> Ground:
    return open_ground(desk)


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


def _reddish(pdf: bytes, folder: Path) -> float:
    """Which part of the first page is red: what the mark across it covers."""
    (folder / "page.pdf").write_bytes(pdf)
    run("pdftoppm", "-r", "40", "-singlefile", "-png", folder / "page.pdf", folder / "page")
    with Image.open(folder / "page.png") as page:
        octets = page.convert("RGB").tobytes()
    points = list(zip(octets[0::3], octets[1::3], octets[2::3], strict=True))
    return sum(red > green + 40 and red > blue + 40 for red, green, blue in points) / len(points)
