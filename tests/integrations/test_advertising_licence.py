"""The advertising licence: boards summed row by row, periods, discounts; each sum worked out by hand."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput
from integrations.cases.conditions import Facts
from integrations.cases.fees import reckon, total_of
from integrations.service import load_service
from tests.integrations.advertising_town import FORM, MINISTRY, ONE, ROWS, TOTAL, WHY, Town
from tests.integrations.definition_texts import PRODUCT
from tests.integrations.desk import CENTRE, PERSONAL, REVIEWER, open_desk


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Iterator[Town]:
    desk = open_desk(database, tmp_path)
    _, shop = desk.issued()
    yield Town(desk, shop)
    assert desk.breaks() == []


# ---------------------------------------------------------------- issue


def test_a_temporary_licence_holds_ninety_days_and_its_boards_are_summed_row_by_row(town: Town) -> None:
    number = town.sent()
    assert town.desk.state(number) == "under_review"
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.pay(number) == TOTAL
    quote = town.desk.case(number)["quote"]
    assert [(line["row"]["number"], line["total"]) for line in quote["lines"]] == list(enumerate(ROWS, 1))
    assert quote["lines"][1]["quantity"] == "3.5275"
    assert quote["lines"][1]["factor"] == "100"
    case = town.desk.case(number)
    licence = town.licence(case["licence"])
    assert case["state"] == "issued"
    # The ninetieth day after and with 22 November.
    assert (licence["valid_from"], licence["valid_to"]) == ("2026-11-22", "2027-02-19")
    assert case["parent"] == town.shop


@pytest.mark.parametrize(
    ("fee_class", "day", "total"),
    [
        # A fifth: 43.20, 70.55, 129.60 and the least.
        (5, date(2026, 11, 22), "253.35"),
        # 0.80 a square metre until the end of 2025: 172.80, 282.20, 518.40 and the least.
        (1, date(2025, 12, 31), "983.40"),
        (1, date(2026, 1, 1), TOTAL),
    ],
)
def test_the_rate_is_that_of_the_class_and_of_the_day(fee_class: int, day: date, total: str) -> None:
    service = load_service(PRODUCT / "advertising_licence.yaml")
    lines = reckon(service, service.procedures["issue"], Facts(FORM), 1, fee_class, day)
    assert total_of(lines) == Decimal(total)


@pytest.mark.parametrize(
    ("period", "periods", "amount", "last"),
    [
        # Ten days: 12.00; two weeks: 12.00; three months: 54.00; a year: 144.00, cut by the shop's own end.
        ("day", 10, "12.00", "2026-12-01"),
        ("week", 2, "12.00", "2026-12-05"),
        ("month", 3, "54.00", "2027-02-21"),
        ("year", 1, "144.00", "2027-11-10"),
        # One day of one square metre is 1.20: the least is asked.
        ("day", 1, "10.00", "2026-11-22"),
    ],
)
def test_a_licence_is_had_by_the_day_the_week_the_month_and_the_year(
    town: Town, period: str, periods: int, amount: str, last: str
) -> None:
    number = town.sent({**FORM, "boards": ONE, "period": period, "periods": periods})
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.pay(number) == amount
    assert town.licence(town.desk.case(number)["licence"])["valid_to"] == last


def test_there_are_two_hundred_boards_in_one_application_and_not_more(town: Town) -> None:
    number = town.sent({**FORM, "boards": ONE * 200})
    town.desk.do.take(REVIEWER, number, "approve")
    # 200 x 48.00.
    assert town.pay(number) == "9600.00"
    with pytest.raises(InvalidInput):
        town.ask({**FORM, "boards": ONE * 201})


@pytest.mark.parametrize("wrong", [{"own_products": False}, {"periods": 2}])
def test_a_form_that_cannot_be_licensed_comes_back_at_once(town: Town, wrong: dict[str, Any]) -> None:
    number = town.sent({**FORM, **wrong})
    assert town.desk.state(number) == "returned"
    town.desk.do.take(CENTRE, number, "resubmit", form={"own_products": True, "periods": 1})
    town.desk.do.take(CENTRE, number, "send")
    assert town.desk.state(number) == "under_review"


@pytest.mark.parametrize(("action", "state"), [("reject", "rejected"), ("send_back", "returned")])
def test_a_reviewer_refuses_or_sends_back_and_says_why(town: Town, action: str, state: str) -> None:
    number = town.sent()
    with pytest.raises(InvalidInput):
        town.desk.do.take(REVIEWER, number, action)
    town.desk.do.take(REVIEWER, number, action, comment="اللوحة على نافذة المبنى.")
    assert town.desk.state(number) == state


def test_a_review_that_waits_is_shown_to_the_supervisor(town: Town) -> None:
    number = town.sent()
    town.on(date(2026, 11, 26))
    assert town.desk.case(number)["escalated"]


def test_what_is_left_lapses_and_an_unpaid_bill_is_void(town: Town) -> None:
    left, billed = town.ask(), town.sent()
    town.desk.do.take(REVIEWER, billed, "approve")
    town.desk.do.quote(CENTRE, billed)
    town.desk.do.invoice(CENTRE, billed)
    town.on(date(2026, 12, 7))
    assert (town.desk.state(left), town.desk.state(billed)) == ("lapsed", "lapsed")


def test_an_application_is_withdrawn_before_and_after_its_bill(town: Town) -> None:
    number, billed = town.sent({**FORM, "discounts": True}), town.sent()
    town.desk.do.take(CENTRE, number, "withdraw")
    town.desk.do.take(REVIEWER, billed, "approve")
    town.desk.do.quote(CENTRE, billed)
    town.desk.do.invoice(CENTRE, billed)
    town.desk.do.take(CENTRE, billed, "withdraw_billed")
    assert (town.desk.state(number), town.desk.state(billed)) == ("withdrawn", "withdrawn")


# ---------------------------------------------------------------- discounts


def test_discounts_go_to_the_ministry_first_and_its_approval_lets_them_be_licensed(town: Town) -> None:
    number = town.sent({**FORM, "discounts": True})
    assert town.desk.state(number) == "with_commerce"
    [item] = town.desk.licensing.inbox.page(MINISTRY)["items"]
    assert item["number"] == number
    seen = town.desk.licensing.cases.case(MINISTRY, number)
    assert [word for word in PERSONAL if word in str(seen)] == []
    town.desk.do.take(MINISTRY, number, "approve_discounts")
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.pay(number) == TOTAL
    assert town.desk.state(number) == "issued"


def test_discounts_need_their_list(town: Town) -> None:
    number = town.ask({**FORM, "discounts": True})
    for code in ("board_pictures", "shopfront_photo"):
        town.desk.do.put(CENTRE, number, code)
    with pytest.raises(Conflict, match="The discounts and how long they hold"):
        town.desk.do.take(CENTRE, number, "send")


def test_without_the_discounts_that_the_ministry_refused_the_licence_can_still_be_had(town: Town) -> None:
    number = town.sent({**FORM, "discounts": True})
    town.desk.do.take(MINISTRY, number, "refuse_discounts", comment=WHY)
    assert town.desk.state(number) == "returned"
    town.desk.do.take(CENTRE, number, "resubmit", form={"discounts": False})
    town.desk.do.take(CENTRE, number, "send")
    town.desk.do.take(REVIEWER, number, "approve")
    assert town.desk.state(number) == "approved"


def test_a_silent_ministry_approves_nothing(town: Town) -> None:
    number = town.sent({**FORM, "discounts": True})
    # Five working days: Sunday, 29 November.
    town.on(date(2026, 11, 30))
    case = town.desk.case(number)
    assert (case["state"], case["escalated"]) == ("with_commerce", True)
    with pytest.raises(Conflict):
        town.desk.do.take(REVIEWER, number, "approve")
