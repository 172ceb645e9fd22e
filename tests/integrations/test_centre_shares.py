"""What a centre earns: exact to the halala, once a paid licence, taken back where its fees are owed back."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from foundation import audit
from foundation.errors import PermissionDenied
from integrations.cases import case_store
from integrations.centres import share
from integrations.centres.contract import Share
from tests.integrations.centre_office import balances, contract, licensed, open_centre, void
from tests.integrations.desk import FINANCE, SYSTEM, Desk, message

AMOUNTS = st.decimals(min_value=0, max_value="999999999.99", places=2, allow_nan=False)
PERCENTS = st.decimals(min_value=0, max_value=100, places=2, allow_nan=False)


@settings(max_examples=500, deadline=None)
@given(net=AMOUNTS, percent=PERCENTS, fixed=AMOUNTS)
def test_a_share_is_exact_and_half_a_halala_goes_up(net: Decimal, percent: Decimal, fixed: Decimal) -> None:
    # Reckoned a second time, in whole numbers: halalas, and hundredths of a percent.
    exact = Fraction(net) * Fraction(percent) / 100 + Fraction(fixed)
    halalas = (exact * 100 + Fraction(1, 2)).__floor__()
    assert Share(percent=percent, fixed=fixed).of(net) == Decimal(halalas) / 100


def test_a_percentage_is_never_a_float() -> None:
    with pytest.raises(ValueError, match="never a float"):
        Share.model_validate({"percent": 12.5})


def net_of(desk: Desk, number: str) -> Decimal:
    """The fees of a case's quote, tax not counted."""
    return sum((Decimal(line["net"]) for line in desk.case(number)["quote"]["lines"]), Decimal(0))


def test_a_share_accrues_where_a_paid_licence_is_issued_and_stands_in_journal_and_books(desk: Desk) -> None:
    office = open_centre(desk)
    number = str(desk.do.submit(office.caller(), message()).body["number"])
    desk.do.quote(office.caller(), number)
    bill = desk.do.invoice(office.caller(), number).body
    # Opened, quoted, billed: nothing is earned before the fees are paid.
    assert desk.count("centre_share") == 0
    desk.pay(bill["bill_number"], bill["amount"])
    earned = Share(percent=Decimal("12.50"), fixed=Decimal("5.00")).of(net_of(desk, number))
    assert earned > 5
    assert balances(desk)["payable:centre-7"] == f"-{earned}"
    assert balances(desk)["centre_share"] == f"{earned}"
    with desk.database.transaction() as session:
        rows = session.execute(
            text("SELECT subject, reference, debit - credit FROM case_ledger WHERE kind = 'share'")
        )
        assert sorted(map(tuple, rows)) == sorted(
            [
                (f"case/{number}", bill["bill_number"], earned),
                (f"case/{number}", bill["bill_number"], -earned),
            ]
        )
        assert share.owed(session, "centre-7") == earned
    told = [entry.details for entry in _entries(desk, number) if "centre_share" in entry.details]
    assert [each["centre_share"] for each in told] == [str(earned)]


def test_a_share_accrues_once_however_often_it_is_asked(desk: Desk) -> None:
    office = open_centre(desk)
    number, _ = licensed(office)
    before = balances(desk)
    with desk.database.transaction() as session:
        case = case_store.locked(session, number)
        work = desk.licensing.desk.engine.work(session, case, SYSTEM, desk.now[-1])
        assert share.accrue(work) == {}
    assert balances(desk) == before
    assert desk.count("centre_share") == 1


def test_a_licence_at_a_counter_of_the_municipality_earns_nobody_a_share(desk: Desk) -> None:
    open_centre(desk)
    desk.issued()
    assert "centre_share" not in balances(desk)


def test_the_share_is_that_of_the_day_on_which_the_case_was_opened(desk: Desk) -> None:
    office = open_centre(desk, contract(last_day="2026-11-22"))
    number = str(desk.do.submit(office.caller(), message()).body["number"])
    services = {"shop_licence": {"share": {"percent": "50.00"}}}
    later = contract(reference="2", first_day="2026-11-23", services=services)
    desk.licensing.centres.agree(SYSTEM, office.code, later)
    desk.later(days=1)
    desk.do.quote(office.caller(), number)
    bill = desk.do.invoice(office.caller(), number).body
    desk.pay(bill["bill_number"], bill["amount"])
    earned = Share(percent=Decimal("12.50"), fixed=Decimal("5.00")).of(net_of(desk, number))
    assert balances(desk)["payable:centre-7"] == f"-{earned}"


def test_a_contract_without_a_share_posts_nothing(desk: Desk) -> None:
    office = open_centre(desk, contract(services={"shop_licence": {}}))
    licensed(office)
    assert "centre_share" not in balances(desk)


def test_a_licence_that_is_void_takes_the_share_back_once(desk: Desk) -> None:
    office = open_centre(desk)
    _, licence = licensed(office)
    kept, _ = licensed(office, "ref-2")
    void(desk, licence)
    earned = Share(percent=Decimal("12.50"), fixed=Decimal("5.00")).of(net_of(desk, kept))
    assert balances(desk)["payable:centre-7"] == f"-{earned}"
    with desk.database.transaction() as session:
        kinds = session.execute(
            text("SELECT kind, count(*) FROM case_ledger WHERE account = 'payable:centre-7' GROUP BY kind")
        )
        assert sorted(map(tuple, kinds)) == [("share", 2), ("share_back", 1)]
    # A refund that then fails and falls due again says nothing of the share.
    (refund,) = desk.licensing.money.refunds(FINANCE)["items"]
    assert refund["amount"] != "0.00"
    assert desk.breaks() == []


def test_the_report_of_a_period_counts_what_fell_into_it(desk: Desk) -> None:
    office = open_centre(desk, contract(quota={"day": 3}))
    issued, _ = licensed(office)
    withdrawn = str(desk.do.submit(office.caller("badr"), message()).body["number"])
    desk.do.take(office.caller("badr"), withdrawn, "withdraw")
    with pytest.raises(PermissionDenied):
        desk.do.submit(office.caller("dana", clerk_key="0" * 64), message())
    desk.later(days=1)
    _, licence = licensed(office, "ref-2")
    void(desk, licence)
    first, second = desk.now[0].date(), desk.now[-1].date()
    centres = desk.licensing.centres
    earned = Share(percent=Decimal("12.50"), fixed=Decimal("5.00")).of(net_of(desk, issued))

    day = centres.report(office.caller(), first, first)
    (of_service,) = day["services"]
    assert of_service == {
        "service": "shop_licence",
        "applications": 2,
        "licences": 1,
        "refused": 1,
        "share": str(earned),
        "accrued": str(earned),
        "taken_back": "0.00",
    }
    assert day["clerks"] == [
        {"clerk": "amal", "applications": 1, "licences": 1, "refused": 0},
        {"clerk": "badr", "applications": 1, "licences": 0, "refused": 1},
    ]
    assert day["refusals"] == [{"kind": "ClerkNotAllowed", "times": 1}]
    assert day["quotas"] == [
        {"contract": "1448/7", "period": "2026-11", "used": 3, "quota": None},
        {"contract": "1448/7", "period": "2026-11-22", "used": 2, "quota": 3},
    ]
    both = centres.report(SYSTEM, first, second, office.code)
    assert both["total"] == {
        "applications": 3,
        "licences": 2,
        "refused": 1,
        "share": str(earned),
        "accrued": str(2 * earned),
        "taken_back": str(earned),
    }
    assert both["owed"] == str(earned)


def test_a_centre_reads_no_report_of_another(desk: Desk) -> None:
    office = open_centre(desk)
    open_centre(desk, code="centre-8")
    day = desk.now[0].date()
    with pytest.raises(PermissionDenied):
        desk.licensing.centres.report(office.caller(), day, day, "centre-8")
    with pytest.raises(PermissionDenied):
        desk.licensing.centres.show(office.caller(), "centre-7")


def _entries(desk: Desk, number: str) -> list[audit.Entry]:
    with desk.database.transaction() as session:
        return audit.entries(session, f"case/{number}")
