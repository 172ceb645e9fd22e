"""A clerk does not approve his own application, whatever he calls himself and however he comes."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text

from foundation.caller import Caller
from foundation.database import Database
from foundation.errors import NotFound, PermissionDenied
from integrations.centres.refusals import ProofMissing
from tests.integrations.centre_office import CentreOffice, a_national_id, contract, open_centre
from tests.integrations.desk import APPLICANT, BANK, CENTRE, Desk, message, new_key, open_desk
from tests.integrations.money_office import DEFINITION

FORM = {"area": 10, "mosque": False}
# Handing out takes two people; a case can go back to its beginning.
BOARD = (
    DEFINITION.replace("LATE", "accept")
    .replace("case: BC, licence: BL", "case: ZC, licence: ZL")
    .replace("roles: [centre], effect: fulfil}\n", "roles: [centre], effect: fulfil, four_eyes: true}\n", 1)
    .replace("issue: {title: {ar: إصدار, en: Issue},", "issue: {title: {ar: إصدار, en: Issue}, CAPACITIES")
)
AGENT = a_national_id(99)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    folder = tmp_path / "definitions"
    folder.mkdir()
    assert "four_eyes: true" in BOARD
    text_ = BOARD.replace("CAPACITIES", "capacities: [owner, agent],")
    (folder / "board.yaml").write_text(text_, encoding="utf-8")
    return open_desk(database, tmp_path, (folder,))


@pytest.fixture
def office(desk: Desk) -> CentreOffice:
    return open_centre(desk, contract(services={"board": {}}))


def opened(office: CentreOffice, caller: Caller | None = None, **parts: Any) -> str:
    """A case of the board, opened by amal."""
    said = message(FORM, service="board", **parts)
    return str(office.desk.do.submit(caller or office.caller("amal"), said).body["number"])


def to_hand(office: CentreOffice, number: str) -> str:
    """Let amal bring a case to the state in which it is handed out."""
    desk = office.desk
    desk.do.take(office.caller("amal"), number, "price")
    desk.do.take(office.caller("amal"), number, "bill")
    bill = desk.case(number)["invoice"]
    desk.pay_as(BANK, bill["bill_number"], Decimal(bill["amount"]), f"ref-{bill['bill_number']}")
    return number


def refused(office: CentreOffice, caller: Caller, number: str, why: str) -> None:
    """Hold a caller not to be who hands the case out."""
    with pytest.raises(PermissionDenied, match=why) as told:
        office.desk.do.take(caller, number, "hand")
    assert told.value.message_ar
    assert office.desk.state(number) == "paid"


def test_who_opened_it_does_not_and_is_not_offered_it_and_another_of_his_centre_does(
    office: CentreOffice,
) -> None:
    number = to_hand(office, opened(office))
    refused(office, office.caller("amal"), number, "not for who opened the case")
    cases = office.desk.licensing.cases
    offered = [each["name"] for each in cases.case(office.caller("amal"), number)["actions"]]
    assert "hand" not in offered
    assert office.desk.do.take(office.caller("badr"), number, "hand").body["state"] == "done"


def test_nor_over_the_other_face(office: CentreOffice) -> None:
    number = to_hand(office, opened(office))
    soap = office.caller("amal", face="soap", clerk_key=None, clerk_signature=None)
    refused(office, soap, number, "not for who opened the case")
    other = opened(office, soap)
    to_hand(office, other)
    refused(office, office.caller("amal"), other, "not for who opened the case")


def test_nor_without_saying_who_he_is(office: CentreOffice) -> None:
    number = to_hand(office, opened(office))
    for caller in (office.unsigned(), office.unsigned("badr"), office.caller(None)):
        with pytest.raises(ProofMissing):
            office.desk.do.take(caller, number, "hand")


def test_nor_with_the_signature_of_another(office: CentreOffice) -> None:
    number = to_hand(office, opened(office))
    # Amal signs, and the message is said to be of badr.
    with pytest.raises(PermissionDenied, match="is not enrolled, or was revoked"):
        office.desk.do.take(office.caller("badr", clerk_key=office.keys["amal"]), number, "hand")


def test_nor_after_the_case_went_back_to_its_beginning(office: CentreOffice) -> None:
    desk, number = office.desk, opened(office)
    desk.do.take(office.caller("badr"), number, "price")
    desk.do.take(office.caller("badr"), number, "bill")
    desk.do.take(office.caller("badr"), number, "again")
    to_hand(office, number)
    refused(office, office.caller("amal"), number, "not for who opened the case")


def test_nor_as_the_applicant_of_a_case_that_a_colleague_opened_for_him(office: CentreOffice) -> None:
    office.clerk("noura", "mall", "نورة", APPLICANT["identifier"])
    number = to_hand(office, opened(office))
    refused(office, office.caller("noura"), number, "not for who applies")
    assert office.desk.do.take(office.caller("badr"), number, "hand").body["state"] == "done"


def test_nor_as_who_acts_for_the_applicant(office: CentreOffice) -> None:
    office.clerk("salem", "mall", "سالم", AGENT)
    desk = office.desk
    actor = {"kind": "national_id", "identifier": AGENT, "name": "سالم بن فهد"}
    principal = {each: APPLICANT[each] for each in ("kind", "identifier", "name")}
    granted = {"principal": principal, "agent": actor, "capacity": "agent", "valid_until": "2027-11-21"}
    desk.licensing.people.delegate(CENTRE, granted, new_key())
    applicant = {**APPLICANT, "capacity": "agent", "actor": actor}
    number = to_hand(office, opened(office, applicant=applicant))
    refused(office, office.caller("salem"), number, "not for who applies")


def test_nor_as_a_clerk_of_whom_nobody_said_who_he_is(office: CentreOffice) -> None:
    number = to_hand(office, opened(office))
    with office.desk.database.transaction() as session:
        session.execute(text("UPDATE centre_clerk SET subject = NULL WHERE clerk = 'badr'"))
    refused(office, office.caller("badr"), number, "who may be he")


def test_nor_under_a_second_name(office: CentreOffice) -> None:
    with pytest.raises(sqlalchemy.exc.IntegrityError), office.desk.database.engine.begin() as connection:
        connection.execute(
            text("UPDATE centre_clerk SET subject = (SELECT subject FROM centre_clerk WHERE clerk = 'amal')")
        )


def test_nor_through_another_centre(office: CentreOffice) -> None:
    other = open_centre(office.desk, contract(services={"board": {}}), "centre-8")
    number = to_hand(office, opened(office))
    # It does not exist for them: a number tells nothing.
    with pytest.raises(NotFound):
        office.desk.do.take(other.caller("amal"), number, "hand")


def test_nor_of_what_was_opened_before_the_centre_said_which_clerk_acts(desk: Desk) -> None:
    # As a counter of the municipality, which has no clerks; then it becomes a private centre.
    counter = Caller("centre-7", "client", frozenset({"centre"}))
    number = str(desk.do.submit(counter, message(FORM, service="board")).body["number"])
    office = open_centre(desk, contract(services={"board": {}}))
    to_hand(office, number)
    for clerk in ("amal", "badr"):
        refused(office, office.caller(clerk), number, "not for who opened the case")
