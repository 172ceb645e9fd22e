from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import Conflict, InvalidInput
from integrations.cases.conditions import Facts
from integrations.cases.fees import Line, reckon, standard_vat, total_of, years_of
from integrations.cases.money import amount_text, half_up, multiply, plus, read_amount
from integrations.fee_table import Fee
from integrations.service import Service, load_services

SHOP = load_services([]).get("shop_licence")
DAY = date(2026, 11, 22)

quantities = st.decimals(min_value=0, max_value=5000, places=2)
rates = st.decimals(min_value=0, max_value=999, places=2)
factors = st.decimals(min_value=0, max_value=10, places=6)
shares = st.decimals(min_value=Decimal("0.000001"), max_value=1, places=6)
classes = st.integers(1, 5)
counts = st.integers(1, 3)


def by_class(rate: Any) -> dict[int, str]:
    return {1: str(rate), 2: "8.00", 3: "6.00", 4: "4.00", 5: "2.00"}


def fee(rate: Any = "10.00", vat: str = "O", row: dict[str, Any] | None = None, **more: Any) -> Fee:
    dated = {"effective_from": "2016-01-01", "source": "a test"}
    rows = [{**dated, **(row or {"by_class": by_class(rate)})}]
    words = {"code": "fee", "title": {"ar": "رسم", "en": "Fee"}, "vat": vat, "rates": rows, **more}
    return Fee.model_validate(words)


def slabs(mode: str, *rows: tuple[int | None, Any], **more: Any) -> dict[str, Any]:
    made = [
        {**({"up_to": up_to} if up_to is not None else {}), "by_class": by_class(rate)}
        for up_to, rate in rows
    ]
    return {"slabs": made, "slab_mode": mode, **more}


def lines(
    *fees: Fee, facts: dict[str, Any] | None = None, years: int = 1, fee_class: int = 1, day: date = DAY
) -> list[Line]:
    service = SHOP.model_copy(update={"fees": fees})
    asked = SHOP.procedures["issue"].model_copy(update={"fees": tuple(each.code for each in fees)})
    return reckon(service, asked, Facts(facts or {}), years, fee_class, day)


def total(*fees: Fee, **words: Any) -> str:
    return amount_text(total_of(lines(*fees, **words)))


def half_up_reference(value: Fraction) -> Fraction:
    """Half-up to halalas, in whole numbers: nothing of `decimal`."""
    return Fraction((value * 200 + 1).__floor__() // 2, 100)


def test_the_class_1_shop_of_the_2016_list_pays_6_riyals_a_square_metre() -> None:
    facts = {"area_m2": Decimal("120.5"), "activity.immediate": True, "licence.days_late": None}
    (line,) = reckon(SHOP, SHOP.procedures["issue"], Facts(facts), 1, 1, DAY)
    assert (line.parts[0].rate, line.gross, line.net, line.total) == (
        Decimal("6.00"),
        Decimal("723.00"),
        Decimal("723.00"),
        Decimal("723.00"),
    )


def test_a_line_says_how_it_came_about() -> None:
    exempt = {
        "code": "mosque",
        "title": {"ar": "مسجد", "en": "Mosque"},
        "when": {"field": "mosque", "equals": True},
        "share": "0.25",
        "effective_from": "2016-01-01",
        "source": "a test",
    }
    zones = {"field": "zone", "factors": {"centre": "1.5", "edge": "0.8"}}
    asked = fee("10.05", "S", unit="area", yearly=True, zones=zones, exemptions=[exempt])
    facts = {"area": Decimal("3"), "zone": "centre", "mosque": True}
    assert lines(asked, facts=facts, years=2)[0].to_json() == {
        "code": "fee",
        "title": {"ar": "رسم", "en": "Fee"},
        "rate": "10.05",
        "quantity": "3",
        "parts": [{"quantity": "3", "rate": "10.05"}],
        "years": 2,
        "factor": "1.5",
        "gross": "90.45",
        "exemption": {"code": "mosque", "title": {"ar": "مسجد", "en": "Mosque"}, "share": "0.25"},
        "net": "67.84",
        "vat_category": "S",
        "vat_rate": "0.15",
        "vat": "10.18",
        "total": "78.02",
    }


@pytest.mark.parametrize(
    ("quantity", "whole", "each"),
    [("50", "500.00", "500.00"), ("50.01", "250.05", "500.05"), ("150", "300.00", "850.00")],
)
def test_a_slab_is_of_the_whole_quantity_or_of_each_part(quantity: str, whole: str, each: str) -> None:
    rows: Sequence[tuple[int | None, str]] = ((50, "10.00"), (100, "5.00"), (None, "2.00"))
    facts = {"area": Decimal(quantity)}
    assert total(fee(row=slabs("whole", *rows), unit="area"), facts=facts) == whole
    assert total(fee(row=slabs("each", *rows), unit="area"), facts=facts) == each


def test_the_parts_of_each_slab_are_shown_with_their_rates() -> None:
    asked = fee(row=slabs("each", (50, "10.00"), (None, "2.00")), unit="area")
    shown = lines(asked, facts={"area": Decimal("60.5")})[0].to_json()
    assert (shown["rate"], shown["quantity"]) == (None, "60.5")
    assert shown["parts"] == [{"quantity": "50", "rate": "10.00"}, {"quantity": "10.5", "rate": "2.00"}]


def test_a_fee_is_kept_within_its_minimum_and_its_maximum_after_years_and_zone() -> None:
    row = {"by_class": by_class("10.00"), "minimum": "25.00", "maximum": "100.00"}
    zones = {"field": "zone", "factors": {"a": "0.1"}}
    asked = fee(row=row, unit="area", yearly=True, zones=zones)
    found = [
        total(asked, facts={"area": area, "zone": "a"}, years=years)
        for area, years in ((1, 1), (30, 1), (30, 2), (30, 5))
    ]
    assert found == ["25.00", "30.00", "60.00", "100.00"]


def test_the_first_exemption_that_holds_on_the_day_is_applied() -> None:
    def exemption(code: str, share: str, **more: Any) -> dict[str, Any]:
        return {
            "code": code,
            "title": {"ar": "إعفاء", "en": code},
            "when": {"field": code, "equals": True},
            "share": share,
            "effective_from": "2016-01-01",
            "source": "a test",
            **more,
        }

    asked = fee(
        exemptions=[
            exemption("ended", "1", effective_until="2020-01-01"),
            exemption("half", "0.5"),
            exemption("all", "1"),
        ]
    )
    facts = {"ended": True, "half": True, "all": True}
    assert total(asked, facts=facts) == "5.00"
    assert total(asked, facts={**facts, "half": False}) == "0.00"
    assert total(asked, facts=facts, day=date(2020, 1, 1)) == "0.00"


def test_a_whole_exemption_keeps_what_was_waived() -> None:
    exempt = {
        "code": "all",
        "title": {"ar": "كامل", "en": "All"},
        "when": {"field": "x", "equals": 1},
        "share": "1",
        "effective_from": "2016-01-01",
        "source": "a test",
    }
    (line,) = lines(fee("10.00", "S", exemptions=[exempt]), facts={"x": 1})
    assert line.gross == Decimal("10.00")
    assert line.net == line.vat == line.total == 0
    assert line.exemption is not None


def test_a_procedure_without_fees_costs_nothing() -> None:
    assert lines() == []
    assert total() == "0.00"


def test_fees_of_which_none_is_in_effect_are_refused_and_never_free() -> None:
    with pytest.raises(Conflict, match="in effect on 2015-12-31") as refused:
        lines(fee(), day=date(2015, 12, 31))
    assert "2015-12-31" in refused.value.message_ar


def test_a_fee_that_does_not_apply_leaves_a_free_quote() -> None:
    assert lines(fee(when={"field": "x", "equals": 1}), facts={"x": 2}) == []


@pytest.mark.parametrize("value", [None, True, Decimal("-1")])
def test_a_quantity_that_is_not_known_is_refused_and_never_zero(value: object) -> None:
    with pytest.raises(Conflict, match="area is not known"):
        lines(fee(unit="area"), facts={"area": value})


def test_a_zone_without_a_factor_is_refused_and_never_one() -> None:
    with pytest.raises(Conflict, match="zone is not known"):
        lines(fee(zones={"field": "zone", "factors": {"a": "2"}}), facts={"zone": "b"})


def test_more_than_a_bill_can_hold_is_refused() -> None:
    with pytest.raises(Conflict, match="more than a bill holds"):
        lines(fee("999999999999.99", unit="area"), facts={"area": 2})


def test_years_are_those_asked_for_and_must_be_known() -> None:
    assert years_of(SHOP, {"years": 3}) == 3
    with pytest.raises(Conflict, match="years"):
        years_of(SHOP, {})
    monthly = SHOP.validity.model_copy(update={"years": None, "months": 6})
    assert years_of(SHOP.model_copy(update={"validity": monthly}), {}) == 1


def test_value_added_tax_of_the_standard_rate_is_rounded_a_line() -> None:
    # 15 percent of 0.10 is 0.015; by line it is 0.02 each, over the sum it would be 0.03.
    assert total(fee("0.10", "S"), fee("0.10", "S", code="other")) == "0.24"


@pytest.mark.parametrize(
    ("vat", "expected"), [("S", "11.50"), ("Z", "10.00"), ("E", "10.00"), ("O", "10.00")]
)
def test_only_the_standard_category_is_taxed(vat: str, expected: str) -> None:
    assert total(fee("10.00", vat)) == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2017, 12, 31), "0"),
        (date(2018, 1, 1), "0.05"),
        (date(2020, 6, 30), "0.05"),
        (date(2020, 7, 1), "0.15"),
    ],
)
def test_the_standard_rate_is_that_of_the_day(day: date, expected: str) -> None:
    assert standard_vat(day) == Decimal(expected)


def test_half_a_halala_goes_up_and_less_goes_down() -> None:
    assert half_up(Decimal("1.005")) == Decimal("1.01")
    assert half_up(Decimal("1.015")) == Decimal("1.02")
    assert half_up(Decimal("1.0149999999999999999999")) == Decimal("1.01")


@given(
    rate=rates, quantity=quantities, years=counts, factor=factors, share=shares, vat=st.sampled_from("SZEO")
)
def test_every_line_is_exact_against_whole_fractions(
    rate: Decimal, quantity: Decimal, years: int, factor: Decimal, share: Decimal, vat: str
) -> None:
    exempt = {
        "code": "some",
        "title": {"ar": "بعض", "en": "Some"},
        "when": {"field": "x", "equals": 1},
        "share": f"{share:f}",
        "effective_from": "2016-01-01",
        "source": "a test",
    }
    zones = {"field": "zone", "factors": {"a": f"{factor:f}"}}
    asked = fee(f"{rate:f}", vat, unit="area", yearly=True, zones=zones, exemptions=[exempt])
    (line,) = lines(asked, facts={"area": quantity, "zone": "a", "x": 1}, years=years)
    gross = half_up_reference(Fraction(rate) * Fraction(quantity) * years * Fraction(factor))
    net = half_up_reference(gross * (1 - Fraction(share)))
    tax = half_up_reference(net * Fraction(15, 100)) if vat == "S" else Fraction(0)
    assert (Fraction(line.gross), Fraction(line.net), Fraction(line.vat)) == (gross, net, tax)
    assert line.total >= 0


@given(
    quantity=quantities, more=quantities, prices=st.lists(rates, min_size=3, max_size=3), fee_class=classes
)
def test_with_each_slab_at_its_own_rate_more_never_costs_less(
    quantity: Decimal, more: Decimal, prices: list[Decimal], fee_class: int
) -> None:
    asked = fee(row=slabs("each", (50, prices[0]), (1000, prices[1]), (None, prices[2])), unit="area")
    small, large = sorted((quantity, more))
    cheap, dear = (lines(asked, facts={"area": area}, fee_class=fee_class)[0] for area in (small, large))
    assert cheap.total <= dear.total
    assert sum(part.quantity for part in dear.parts) == large


@given(quantity=quantities, prices=st.lists(rates, min_size=3, max_size=3))
def test_each_slab_is_exact_against_whole_fractions(quantity: Decimal, prices: list[Decimal]) -> None:
    asked = fee(row=slabs("each", (50, prices[0]), (1000, prices[1]), (None, prices[2])), unit="area")
    edges = [Fraction(0), Fraction(50), Fraction(1000), Fraction(10**9)]
    spans = [max(Fraction(0), min(Fraction(quantity), upper) - lower) for lower, upper in pairwise(edges)]
    expected = half_up_reference(
        sum((span * Fraction(price) for span, price in zip(spans, prices, strict=True)), Fraction(0))
    )
    assert Fraction(lines(asked, facts={"area": quantity})[0].total) == expected


@given(prices=st.lists(st.tuples(rates, st.sampled_from("SO")), min_size=1, max_size=6))
def test_the_total_is_the_sum_of_what_each_line_costs_alone(prices: list[tuple[Decimal, str]]) -> None:
    asked = [fee(f"{rate:f}", vat, code=f"fee_{n}") for n, (rate, vat) in enumerate(prices)]
    together = lines(*asked)
    assert total_of(together) == plus(total_of(lines(each)) for each in asked)
    assert sum(Decimal(line.to_json()["total"]) for line in together) == total_of(together)
    assert total_of(together).as_tuple().exponent == -2


@given(thousandths=st.integers(0, 10**9))
def test_half_up_moves_by_at_most_half_a_halala_and_ties_go_up(thousandths: int) -> None:
    value = Decimal(thousandths).scaleb(-3)
    rounded = half_up(value)
    assert abs(rounded - value) <= Decimal("0.005")
    if abs(rounded - value) == Decimal("0.005"):
        assert rounded > value


def test_a_product_and_a_sum_are_exact_beyond_the_digits_of_an_ordinary_decimal() -> None:
    product = multiply(Decimal("123456789012.34"), Decimal("1234.567890123456789"), 3)
    digits = 12345678901234 * 1234567890123456789 * 3
    assert product == Decimal((0, tuple(map(int, str(digits))), -17))
    assert plus([Decimal(10**20), Decimal("0.0000000001")]) == Decimal("100000000000000000000.0000000001")


@pytest.mark.parametrize(
    "wrong", [723, 723.0, "723.001", "7e2", "-1.00", "٧٢٣", "NaN", "", "1,000.00", None, "0.00"]
)
def test_an_amount_that_is_no_exact_text_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput, match="not readable"):
        read_amount(wrong, "/amount")


def test_an_amount_is_read_and_written_with_halalas() -> None:
    assert read_amount("723", "/amount") == Decimal("723.00")
    assert amount_text(Decimal("723.5")) == "723.50"


def test_a_quote_names_the_fees_of_its_procedure_alone() -> None:
    service: Service = SHOP.model_copy(update={"fees": (fee(code="one"), fee(code="two"))})
    asked = SHOP.procedures["issue"].model_copy(update={"fees": ("two",)})
    assert [line.code for line in reckon(service, asked, Facts({}), 1, 1, DAY)] == ["two"]
