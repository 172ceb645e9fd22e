"""The advertising licence while it holds: its ninety days, the shop that it hangs on, renewal and closure."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput
from tests.integrations.advertising_town import FORM, MINISTRY, ONE, Town
from tests.integrations.desk import CENTRE, OTHER_APPLICANT, REVIEWER, open_desk


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Iterator[Town]:
    desk = open_desk(database, tmp_path)
    _, shop = desk.issued()
    yield Town(desk, shop)
    assert desk.breaks() == []


def test_it_is_valid_on_the_ninetieth_day_and_expired_on_the_next(town: Town) -> None:
    licence = town.issued()
    verify = town.desk.licensing.licences.verify
    town.on(date(2027, 2, 19))
    assert verify(licence)["status"] == "valid"
    town.on(date(2027, 2, 20))
    assert verify(licence)["status"] == "expired"


def test_the_shop_must_have_three_months_left_and_two_and_a_half_are_not_enough(town: Town) -> None:
    town.on(date(2027, 8, 11))
    town.ask()
    town.on(date(2027, 8, 12))
    with pytest.raises(Conflict, match="1 days longer") as refused:
        town.ask()
    assert town.shop in refused.value.message_ar


def test_it_ends_with_the_shop_where_that_ends_earlier(town: Town) -> None:
    town.on(date(2027, 8, 11))
    number = town.sent({**FORM, "boards": ONE, "period": "month", "periods": 6})
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.pay(number) == "108.00"
    assert town.licence(town.desk.case(number)["licence"])["valid_to"] == "2027-11-10"


def test_no_board_is_licensed_to_a_shop_that_is_suspended_or_another_s(town: Town) -> None:
    with pytest.raises(Conflict, match="is another's"):
        town.ask(applicant=OTHER_APPLICANT)
    town.office("suspend", town.shop, "shop_licence")
    with pytest.raises(Conflict, match="is suspended"):
        town.ask()


def test_a_shop_that_is_suspended_meanwhile_gets_no_licence_for_what_was_applied_for(town: Town) -> None:
    number = town.sent()
    town.desk.do.take(REVIEWER, number, "approve")
    town.desk.do.quote(CENTRE, number)
    bill = town.desk.do.invoice(CENTRE, number).body
    town.office("suspend", town.shop, "shop_licence")
    said = town.desk.pay(bill["bill_number"], bill["amount"], "too-late")
    assert said["outcome"] == "held"
    assert town.desk.case(number)["licence"] is None


def test_it_is_suspended_and_returns_with_the_shop(town: Town) -> None:
    licence = town.issued()
    town.office("suspend", town.shop, "shop_licence")
    assert town.status(licence) == "suspended"
    town.office("reinstate", town.shop, "shop_licence")
    assert town.status(licence) == "valid"


@pytest.mark.parametrize("how", ["close", "revoke"])
def test_it_falls_with_a_shop_that_ends(town: Town, how: str) -> None:
    licence = town.issued()
    if how == "revoke":
        town.office("revoke", town.shop, "shop_licence")
    else:
        number = town.desk.submit({}, procedure="close", licence=town.shop)
        town.desk.do.quote(CENTRE, number)
    assert town.status(town.shop) in ("closed", "revoked")
    assert town.status(licence) == "revoked"


# ---------------------------------------------------------------- renewal, closure, the office


def test_a_standing_licence_is_renewed_without_a_decision_for_its_boards_as_they_are(town: Town) -> None:
    licence = town.issued({**FORM, "boards": ONE, "period": "month", "periods": 3})
    town.on(date(2027, 2, 10))
    number = town.desk.submit(
        {"periods": 3}, service="advertising_licence", procedure="renew", licence=licence
    )
    assert town.pay(number) == "54.00"
    assert town.desk.state(number) == "renewed"
    assert town.licence(licence)["valid_to"] == "2027-05-21"


@pytest.mark.parametrize(
    "form", [{"period": "temporary"}, {"period": "month", "periods": 1, "discounts": True}]
)
def test_a_temporary_licence_or_one_of_discounts_is_asked_for_anew(town: Town, form: dict[str, Any]) -> None:
    number = town.sent({**FORM, "boards": ONE, **form})
    if town.desk.state(number) == "with_commerce":
        town.desk.do.take(MINISTRY, number, "approve_discounts")
    town.desk.do.take(REVIEWER, number, "approve")
    town.pay(number)
    licence = town.desk.case(number)["licence"]
    end = date.fromisoformat(town.licence(licence)["valid_to"])
    town.on(end - timedelta(days=5))
    renewal = {"service": "advertising_licence", "procedure": "renew", "licence": licence}
    number = town.desk.submit({"periods": 1}, **renewal)
    assert town.desk.state(number) == "refused"
    # Nor is it made one of another kind by asking for other periods.
    with pytest.raises(InvalidInput, match="wrong field"):
        town.desk.submit({"period": "year", "periods": 1}, **renewal)


def test_a_renewal_that_nobody_pays_lapses_or_is_withdrawn(town: Town) -> None:
    licence = town.issued({**FORM, "boards": ONE, "period": "week", "periods": 2})
    asked = {"periods": 2}
    renewal = {"service": "advertising_licence", "procedure": "renew", "licence": licence}
    number = town.desk.submit(asked, **renewal)
    town.desk.do.take(CENTRE, number, "withdraw")
    number = town.desk.submit(asked, **renewal)
    town.desk.do.quote(CENTRE, number)
    town.desk.do.invoice(CENTRE, number)
    town.desk.do.take(CENTRE, number, "withdraw_billed")
    assert town.desk.state(number) == "withdrawn"
    number = town.desk.submit(asked, **renewal)
    town.on(date(2026, 12, 7))
    assert town.desk.state(number) == "lapsed"


def test_its_holder_closes_it(town: Town) -> None:
    licence = town.issued()
    number = town.desk.submit({}, service="advertising_licence", procedure="close", licence=licence)
    assert (town.desk.state(number), town.status(licence)) == ("closed", "closed")


def test_the_office_suspends_it_lets_it_hold_again_and_revokes_it(town: Town) -> None:
    licence = town.issued()
    for procedure, status in (("suspend", "suspended"), ("reinstate", "valid"), ("revoke", "revoked")):
        town.office(procedure, licence)
        assert town.status(licence) == status
    assert town.status(town.shop) == "valid"
