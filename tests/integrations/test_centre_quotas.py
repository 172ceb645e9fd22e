"""Quotas of single services beside those of the whole centre: exact under concurrency, by days of Riyadh."""

from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text

from foundation.errors import DefinitionError, RakeezaError, problem
from integrations.centres.refusals import ContractNotInForce, QuotaExhausted
from tests.integrations.centre_office import CONTRACT, CentreOffice, contract, open_centre, riyadh
from tests.integrations.desk import FORM, SYSTEM, Desk, message
from tests.integrations.test_concurrency import together

HEALTH = "health_card"


def services(**quota: int) -> dict[str, Any]:
    """A contract's services, the shop licence with a quota of its own."""
    return {"shop_licence": {"quota": quota}}


def submit(office: CentreOffice, clerk: str = "amal") -> str:
    """Open a case; its number."""
    return str(office.desk.do.submit(office.caller(clerk), message()).body["number"])


def used(office: CentreOffice) -> dict[str, Any]:
    """What is used of the quota of the shop licence."""
    shown: dict[str, Any] = office.desk.licensing.centres.show(SYSTEM, office.code)
    found: dict[str, Any] = shown["service_quotas"]["shop_licence"]
    return found


def test_a_service_has_a_quota_of_its_own_by_day_and_month(desk: Desk) -> None:
    office = open_centre(desk, contract(services=services(day=2, month=3), quota={"day": 10}))
    desk.now.append(riyadh(22, 23, 59))
    submit(office)
    submit(office)
    with pytest.raises(QuotaExhausted, match="2 applications for shop_licence of 2026-11-22") as told:
        submit(office)
    assert "shop_licence" in problem(told.value)["detail_ar"]
    # Midnight in Riyadh, and not in Greenwich.
    desk.now.append(riyadh(23, 0))
    submit(office)
    with pytest.raises(QuotaExhausted, match=r"3 applications for shop_licence of 2026-11 "):
        submit(office)
    assert used(office) == {
        "day": {"period": "2026-11-23", "used": 1, "quota": 2},
        "month": {"period": "2026-11", "used": 3, "quota": 3},
    }
    # What was refused counts for nobody.
    whole = desk.licensing.centres.own(office.caller())["contract"]["used"]
    assert (whole["day"]["used"], whole["month"]["used"]) == (1, 3)


def test_of_ten_clerks_at_once_exactly_the_quota_of_the_service_is_opened(desk: Desk) -> None:
    office = open_centre(desk, contract(services=services(day=4), quota={"day": 9, "month": 9}))
    results = together(10, lambda number: submit(office, ("amal", "badr")[number % 2]))
    refused = [each for each in results if isinstance(each, QuotaExhausted)]
    assert len(refused) == 6
    assert [each for each in results if not isinstance(each, str | QuotaExhausted)] == []
    assert desk.count("case_file") == 4
    assert used(office)["day"]["used"] == 4
    assert desk.licensing.centres.own(office.caller())["contract"]["used"]["month"]["used"] == 4


def test_of_eight_clerks_at_once_the_month_is_kept_too(desk: Desk) -> None:
    office = open_centre(desk, contract(quota={"day": 8, "month": 3}))
    results = together(8, lambda _: submit(office))
    assert sum(isinstance(each, QuotaExhausted) for each in results) == 5
    assert desk.count("case_file") == 3
    # What the month refused is not counted for the day.
    assert desk.licensing.centres.own(office.caller())["contract"]["used"]["day"]["used"] == 3


def test_two_services_do_not_use_each_others_quota(desk: Desk) -> None:
    both = {"shop_licence": {"quota": {"day": 1}}, HEALTH: {"quota": {"day": 1}}}
    office = open_centre(desk, contract(services=both))
    submit(office)
    with pytest.raises(QuotaExhausted):
        submit(office)
    shown = desk.licensing.centres.show(SYSTEM, office.code)["service_quotas"]
    assert {code: each["day"]["used"] for code, each in shown.items()} == {"shop_licence": 1, HEALTH: 0}


def test_an_application_that_is_refused_uses_no_quota_of_its_service(desk: Desk) -> None:
    office = open_centre(desk, contract(services=services(day=1)))
    with pytest.raises(RakeezaError):
        desk.do.submit(office.caller(), message({**FORM, "area_m2": -1}))
    assert submit(office)


@pytest.mark.parametrize("quota", ["{day: 0}", "{day: 201}", "{month: 4001}", "{week: 3}"])
def test_a_quota_that_cannot_be_or_is_over_that_of_the_centre_is_refused(quota: str) -> None:
    whole = CONTRACT + "quota: {day: 200, month: 4000}\n"
    with pytest.raises(DefinitionError):
        contract(whole.replace("{share:", f"{{quota: {quota}, share:"))


def test_the_last_day_of_a_contract_ends_at_midnight_in_riyadh_and_its_successor_counts_anew(
    desk: Desk,
) -> None:
    first = contract(last_day="2026-11-23", services=services(month=1))
    office = open_centre(desk, first)
    desk.now.append(riyadh(23, 23, 59, 59))
    submit(office)
    desk.now.append(riyadh(24, 0))
    with pytest.raises(ContractNotInForce, match="ended with 2026-11-23"):
        submit(office)
    desk.licensing.centres.agree(
        SYSTEM, office.code, contract(reference="2", first_day="2026-11-24", services=services(month=1))
    )
    submit(office)
    assert used(office)["month"]["used"] == 1


@pytest.mark.parametrize(
    "statement",
    [
        # Two contracts for one day.
        "UPDATE centre_contract SET first_day = '2026-01-01'",
        # An application under another centre's contract.
        "UPDATE centre_application SET centre = 'centre-8'",
        "UPDATE centre_quota_use SET period = '2026-11-22T00'",
        "UPDATE centre_quota_use SET used = 0",
        "UPDATE centre_contract SET vat = 101",
        "UPDATE act_proof SET digest = 'short'",
        "UPDATE centre_clerk SET subject = 'short'",
    ],
)
def test_the_database_holds_no_nonsense(desk: Desk, statement: str) -> None:
    office = open_centre(desk, contract(last_day="2026-12-31"))
    open_centre(desk, code="centre-8")
    later = contract(reference="2", first_day="2027-01-01", last_day="2027-12-31")
    desk.licensing.centres.agree(SYSTEM, office.code, later)
    submit(office)
    with pytest.raises(sqlalchemy.exc.IntegrityError), desk.database.engine.begin() as connection:
        connection.execute(text(statement))
