"""Fees for each row of a list, worked out by hand; the quotes come through the real engine."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from foundation.errors import Conflict
from foundation.identity import Caller
from integrations.cases.conditions import Condition, Facts
from integrations.cases.fees import reckon
from integrations.fee_table import Exemption
from integrations.service import Service, load_service
from tests.integrations.desk import BANK, CENTRE, DEFINITIONS, Desk, message

DAY = date(2026, 11, 22)
COUNTER = Caller("counter", "person", frozenset({"tl_cemp"}))
VERIFIER = Caller("verifier", "person", frozenset({"tl_doc_verifier"}))
INSPECTOR = Caller("field", "person", frozenset({"tl_field_inspector"}))
APPROVER = Caller("approver", "person", frozenset({"tl_approver"}))

SIGNS: dict[str, Any] = {"zone": "main", "commercial_register": "4030123456", "discounts": False}


def board(area: float, kind: str = "banner") -> dict[str, Any]:
    return {"title": "عرض الافتتاح", "kind": kind, "height_m": 1.5, "width_m": 3, "area_m2": area}


BOARDS = [board(4.5), board(1.2), board(6.3333, "screen")]
TRADE: dict[str, Any] = {
    "license_type": "permanent",
    "trade_name": "بقالة الحي",
    "structure_type": "kutcha",
    "trade_units": [
        {"trade_type": "grocery", "uom_value": 100},
        {"trade_type": "storage", "uom_value": 100.01},
        {"trade_type": "tailor", "uom_value": 1},
    ],
    "adhoc_penalty": 0,
}


@pytest.fixture(scope="module")
def signs() -> Service:
    return load_service(DEFINITIONS / "sign_permit.yaml")


def reckoned(service: Service, fields: Mapping[str, Any], fee_class: int = 1) -> list[tuple[str, int, str]]:
    procedure = service.procedures["issue"]
    lines = reckon(service, procedure, Facts(fields), 1, fee_class, DAY)
    return [(line.code, line.row.number if line.row else 0, str(line.total)) for line in lines]


def test_each_board_is_reckoned_and_rounded_by_itself_and_the_quote_is_their_sum(desk: Desk) -> None:
    _, shop = desk.issued()
    number = desk.submit({**SIGNS, "boards": BOARDS}, service="sign_permit", parent=shop)
    quote = desk.do.take(CENTRE, number, "price").body
    assert quote["state"] == "priced"
    quote = desk.case(number)["quote"]
    # 4.5 m²: (4 x 10 + 0.5 x 20) x 1.5. 1.2 m²: 12 x 1.5 = 18, the least is 25. 6.3333 m²: (40 + 2.3333 x 20)
    # x 1.5 = 129.999. Tax of 15 percent on each: 11.25, 3.75, 19.50; and 15.00 on the screen's own fee.
    assert [
        (line["code"], line["row"]["number"], line["gross"], line["vat"], line["total"])
        for line in quote["lines"]
    ] == [
        ("boards", 1, "75.00", "11.25", "86.25"),
        ("boards", 2, "25.00", "3.75", "28.75"),
        ("boards", 3, "130.00", "19.50", "149.50"),
        ("screens", 3, "100.00", "15.00", "115.00"),
    ]
    assert quote["total"] == "379.50"
    first = quote["lines"][0]
    assert first["row"] == {"field": "boards", "title": {"ar": "اللوحات", "en": "Boards"}, "number": 1}
    assert first["parts"] == [{"quantity": "4", "rate": "10.00"}, {"quantity": "0.5", "rate": "20.00"}]
    assert (first["rate"], first["factor"], first["vat_category"]) == (None, "1.5", "S")


def test_the_boards_are_billed_paid_and_posted_to_the_revenue_of_each_fee(desk: Desk) -> None:
    _, shop = desk.issued()
    number = desk.submit({**SIGNS, "boards": BOARDS}, service="sign_permit", parent=shop)
    desk.do.quote(CENTRE, number)
    bill = desk.do.invoice(CENTRE, number).body
    assert bill["amount"] == "379.50"
    desk.pay(bill["bill_number"], "379.50", "signs-1")
    assert desk.state(number) == "issued"
    balance = desk.licensing.money.balance(Caller("auditor", "person", frozenset({"auditor"})))
    accounts = {row["account"]: row["balance"] for row in balance["accounts"]}
    # The shop's own licence came to 723.00 before.
    assert accounts["bank"] == "1102.50"
    assert (accounts["revenue:boards"], accounts["revenue:screens"], accounts["vat"]) == (
        "-230.00",
        "-100.00",
        "-49.50",
    )
    assert balance["debit"] == balance["credit"]


@pytest.mark.parametrize(
    ("zone", "fee_class", "expected"),
    [
        # Side street, class 1: 40 + 0.5 x 20 = 50.00; the least of 25.00; 86.666 is 86.67, its tax 13.0005.
        ("side", 1, ["57.50", "28.75", "99.67", "115.00"]),
        # Main street, class 5: (8 + 0.5 x 4) x 1.5 = 15 and 3.60 are below the least; (8 + 9.3332) x 1.5 =
        # 25.9998 is 26.00; the screen 20.00.
        ("main", 5, ["28.75", "28.75", "29.90", "23.00"]),
    ],
)
def test_zone_and_class_hold_for_every_board(
    signs: Service, zone: str, fee_class: int, expected: list[str]
) -> None:
    found = reckoned(signs, {**SIGNS, "zone": zone, "boards": BOARDS}, fee_class)
    assert [total for _, _, total in found] == expected


def test_many_boards_are_many_lines_and_their_sum(signs: Service) -> None:
    boards = [board(4 + n / 100) for n in range(1, 51)]
    found = reckoned(signs, {**SIGNS, "zone": "side", "boards": boards})
    assert [number for _, number, _ in found] == list(range(1, 51))
    # Net 40.20, 40.40, ... 50.00: 20 halalas more each, 2255.00 together; the tax 338.25, never rounded.
    assert sum(Decimal(total) for _, _, total in found) == Decimal("2593.25")


def test_one_board_that_cannot_be_reckoned_stops_the_quote_and_is_named(signs: Service) -> None:
    broken = {**board(2), "area_m2": None}
    with pytest.raises(Conflict, match="area_m2 is not known in row 2 of 'Boards'") as refused:
        reckoned(signs, {**SIGNS, "boards": [board(2), broken]})
    assert "الصف 2" in refused.value.message_ar
    with pytest.raises(Conflict, match="boards is not known"):
        reckoned(signs, SIGNS)


def test_what_a_row_leaves_out_is_not_taken_from_the_form(signs: Service) -> None:
    kindless = {name: value for name, value in board(2).items() if name != "kind"}
    # The form has something of the same name; of the board nothing is known, so that it is no screen.
    found = reckoned(signs, {**SIGNS, "kind": "screen", "boards": [kindless]})
    assert [code for code, *_ in found] == ["boards"]


def test_an_exemption_is_judged_on_each_row(signs: Service) -> None:
    free = Exemption.model_validate(
        {
            "code": "small",
            "title": {"ar": "لوحة صغيرة", "en": "Small board"},
            "when": Condition(field="area_m2", below=Decimal(2)).model_dump(by_alias=True),
            "share": "1",
            "effective_from": "2020-01-01",
            "source": "a test",
        }
    )
    fees = tuple(fee.model_copy(update={"exemptions": (free,)}) for fee in signs.fees[:1])
    found = reckoned(signs.model_copy(update={"fees": fees}), {**SIGNS, "boards": BOARDS})
    assert [total for _, _, total in found] == ["86.25", "0.00", "149.50"]


def test_digits_trade_units_are_reckoned_one_by_one(desk: Desk) -> None:
    said = message(TRADE, service="digit_trade_licence", procedure="newtl")
    number = str(desk.do.submit(COUNTER, said).body["number"])
    for caller, action in (
        (COUNTER, "apply"),
        (VERIFIER, "forward"),
        (INSPECTOR, "forward"),
        (APPROVER, "approve"),
    ):
        desk.do.take(caller, number, action)
    case = desk.case(number)
    assert case["state"] == "pendingpayment"
    # A slab is of the whole unit: 100 x 5 x 0.5; 100.01 x 4 x 0.5 = 200.02; 2.50 is below the least.
    assert [(line["code"], line["row"]["number"], line["total"]) for line in case["quote"]["lines"]] == [
        ("trade", 1, "250.00"),
        ("trade", 2, "200.02"),
        ("trade", 3, "10.00"),
    ]
    assert case["quote"]["total"] == case["invoice"]["amount"] == "460.02"
    # The penalty is one line of the whole case, beside those of the rows; the bill before it is void.
    desk.do.take(COUNTER, number, "adhoc", form={"adhoc_penalty": 39.98})
    case = desk.case(number)
    assert [line.get("row") for line in case["quote"]["lines"]][-1] is None
    assert case["invoice"]["amount"] == "500.00"
    desk.pay_as(BANK, case["invoice"]["bill_number"], Decimal("500.00"), "digit-1")
    assert desk.state(number) == "approved"
