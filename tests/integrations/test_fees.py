from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import Conflict, InvalidInput
from integrations.cases.fees import reckon, total_of
from integrations.cases.money import amount_text, half_up, multiply, read_amount
from integrations.service import Fee, Service, load_services

SHOP = load_services([]).get("shop_licence")
DAY = date(2026, 11, 22)

areas = st.decimals(min_value=1, max_value=5000, places=2)
years = st.integers(1, 3)
classes = st.integers(1, 5)
activities = st.sampled_from([activity.code for activity in SHOP.activities])


def form(area: Decimal, count: int = 1, activity: str = "107101") -> dict[str, object]:
    return {"activity": activity, "area_m2": float(area), "years": count}


def with_fees(*fees: dict[str, object]) -> Service:
    return SHOP.model_copy(update={"fees": tuple(Fee.model_validate(fee) for fee in fees)})


def fee(rate: str, vat: str = "O", **more: object) -> dict[str, object]:
    row = {"effective_from": "2016-01-01", "by_class": dict.fromkeys(range(1, 6), rate), "source": "a test"}
    return {"code": "fee", "title": {"ar": "رسم", "en": "Fee"}, "vat": vat, "rates": [row], **more}


def test_the_class_1_shop_of_the_2016_list_pays_6_riyals_a_square_metre() -> None:
    (line,) = reckon(SHOP, form(Decimal("120.5")), 1, DAY)
    assert (line.rate, line.net, line.vat, line.total) == (
        Decimal("6.00"),
        Decimal("723.00"),
        Decimal("0.00"),
        Decimal("723.00"),
    )


def test_a_small_shop_pays_the_minimum() -> None:
    (line,) = reckon(SHOP, form(Decimal(10)), 1, DAY)
    assert line.total == Decimal("200.00")


def test_an_activity_that_is_reviewed_pays_for_the_visit() -> None:
    lines = reckon(SHOP, form(Decimal(100), activity="561010"), 1, DAY)
    assert [(line.code, amount_text(line.total)) for line in lines] == [
        ("licence", "600.00"),
        ("inspection", "20.00"),
    ]


def test_half_a_halala_goes_up_and_less_goes_down() -> None:
    assert half_up(Decimal("1.005")) == Decimal("1.01")
    assert half_up(Decimal("1.015")) == Decimal("1.02")
    assert half_up(Decimal("1.0149999999999999999999")) == Decimal("1.01")


def test_value_added_tax_of_the_standard_rate_is_rounded_a_line() -> None:
    # 15 percent of 0.10 is 0.015; by line it is 0.02 each, over the sum it would be 0.03.
    service = with_fees(fee("0.10", "S"), fee("0.10", "S", code="other"))
    lines = reckon(service, form(Decimal(1)), 1, DAY)
    assert [line.vat for line in lines] == [Decimal("0.02"), Decimal("0.02")]
    assert total_of(lines) == Decimal("0.24")


@pytest.mark.parametrize(("vat", "expected"), [("S", "15.00"), ("Z", "0.00"), ("E", "0.00"), ("O", "0.00")])
def test_only_the_standard_category_is_taxed(vat: str, expected: str) -> None:
    (line,) = reckon(with_fees(fee("100.00", vat)), form(Decimal(1)), 1, DAY)
    assert amount_text(line.vat) == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2017, 12, 31), "0.00"),
        (date(2018, 1, 1), "5.00"),
        (date(2020, 6, 30), "5.00"),
        (date(2020, 7, 1), "15.00"),
    ],
)
def test_the_standard_rate_is_that_of_the_day(day: date, expected: str) -> None:
    (line,) = reckon(with_fees(fee("100.00", "S")), form(Decimal(1)), 1, day)
    assert amount_text(line.vat) == expected


def test_a_rate_holds_on_its_first_and_its_last_day() -> None:
    old = {
        "effective_from": "2016-01-01",
        "effective_until": "2025-12-31",
        "by_class": dict.fromkeys(range(1, 6), "1.00"),
    }
    new = {"effective_from": "2026-01-01", "by_class": dict.fromkeys(range(1, 6), "2.00")}
    service = with_fees(fee("0.00", rates=[{**old, "source": "old"}, {**new, "source": "new"}]))
    for day, expected in ((date(2025, 12, 31), "1.00"), (date(2026, 1, 1), "2.00")):
        assert amount_text(total_of(reckon(service, form(Decimal(1)), 1, day))) == expected


def test_a_day_without_any_fee_is_refused_and_never_free() -> None:
    with pytest.raises(Conflict, match=r"come to 0\.00 SAR on 2015-12-31"):
        reckon(SHOP, form(Decimal(10)), 1, date(2015, 12, 31))


@given(area=areas, count=years, fee_class=classes, activity=activities)
def test_the_total_is_the_sum_of_the_lines_and_exact_to_the_halala(
    area: Decimal, count: int, fee_class: int, activity: str
) -> None:
    lines = reckon(SHOP, form(area, count, activity), fee_class, DAY)
    sent = [Decimal(line.to_json()["total"]) for line in lines]
    assert sum(sent) == total_of(lines)
    assert total_of(lines).as_tuple().exponent == -2


@given(area=areas, more=areas, count=years, fee_class=classes)
def test_a_larger_shop_never_pays_less(area: Decimal, more: Decimal, count: int, fee_class: int) -> None:
    small, large = sorted((area, more))
    cheap = total_of(reckon(SHOP, form(small, count), fee_class, DAY))
    dear = total_of(reckon(SHOP, form(large, count), fee_class, DAY))
    assert cheap <= dear


@given(area=areas, fee_class=st.integers(1, 4), count=st.integers(1, 2))
def test_a_higher_class_and_a_longer_licence_never_cost_less(
    area: Decimal, fee_class: int, count: int
) -> None:
    here = total_of(reckon(SHOP, form(area, count), fee_class, DAY))
    assert total_of(reckon(SHOP, form(area, count), fee_class + 1, DAY)) <= here
    assert here <= total_of(reckon(SHOP, form(area, count + 1), fee_class, DAY))


@given(thousandths=st.integers(0, 10**9))
def test_half_up_moves_by_at_most_half_a_halala_and_ties_go_up(thousandths: int) -> None:
    value = Decimal(thousandths).scaleb(-3)
    rounded = half_up(value)
    assert abs(rounded - value) <= Decimal("0.005")
    if abs(rounded - value) == Decimal("0.005"):
        assert rounded > value


@given(days=st.integers(0, 20_000))
def test_exactly_one_rate_of_a_fee_holds_on_a_day(days: int) -> None:
    day = date(2016, 1, 1) + timedelta(days=days)
    for each in SHOP.fees:
        assert sum(rate.covers(day) for rate in each.rates) == 1


def test_a_product_is_exact_beyond_the_digits_of_an_ordinary_decimal() -> None:
    product = multiply(Decimal("123456789012.34"), Decimal("1234.567890123456789"), 3)
    digits = 12345678901234 * 1234567890123456789 * 3
    assert product == Decimal((0, tuple(map(int, str(digits))), -17))


@pytest.mark.parametrize(
    "wrong", [723, 723.0, "723.001", "7e2", "-1.00", "٧٢٣", "NaN", "", "1,000.00", None, "0.00"]
)
def test_an_amount_that_is_no_exact_text_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput, match="not readable"):
        read_amount(wrong, "/amount")


def test_an_amount_is_read_and_written_with_halalas() -> None:
    assert read_amount("723", "/amount") == Decimal("723.00")
    assert amount_text(Decimal("723.5")) == "723.50"
