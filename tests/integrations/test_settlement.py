"""What centres have earned is settled: each halala once, exactly, whatever happens beside it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
import sqlalchemy
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from foundation import audit, events
from foundation.caller import Caller
from foundation.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from integrations.centres import centre as centres
from integrations.centres import settlement, share
from integrations.centres.settlement import Line, sums_of
from tests.integrations.centre_office import (
    CentreOffice,
    balances,
    contract,
    licensed,
    open_centre,
    void,
)
from tests.integrations.desk import ADMINISTRATOR, AUDITOR, FINANCE, SYSTEM, Desk, message

TREASURER = Caller("treasurer", "person", frozenset({"finance"}))
AMOUNTS = st.decimals(min_value="-99999.99", max_value="99999.99", places=2, allow_nan=False).filter(bool)
RATES = st.sampled_from([Decimal(0), Decimal("5.00"), Decimal("15.00")])


def today(desk: Desk) -> date:
    """The day in Riyadh; the tests' clock never comes near midnight."""
    return desk.now[-1].date()


def settle(office: CentreOffice, caller: Caller = FINANCE) -> dict[str, Any] | None:
    """Settle up to yesterday."""
    until = today(office.desk) - timedelta(days=1)
    return office.desk.licensing.settlements.settle(caller, office.code, until)


def settle_the_day(office: CentreOffice) -> dict[str, Any] | None:
    """Settle this day, as it is done right after its end, while what was asked on it is still being done."""
    desk, at = office.desk, office.desk.now[-1] + timedelta(days=1)
    with desk.database.transaction() as session:
        centre = centres.find(session, office.code)
        settlement.settle(session, centre, today(desk), FINANCE.actor, at)
    statements = desk.licensing.settlements.overview(FINANCE, office.code)["statements"]
    return desk.licensing.settlements.statement(FINANCE, office.code, len(statements)) if statements else None


def opened(office: CentreOffice) -> dict[str, Any]:
    """What is open."""
    found: dict[str, Any] = office.desk.licensing.settlements.overview(AUDITOR, office.code)["open"]
    return found


def earned_by(desk: Desk) -> Decimal:
    """All that centres have earned and kept, by the rows themselves."""
    with desk.database.transaction() as session:
        kept = "SELECT coalesce(sum(amount), 0) FROM centre_share WHERE taken_back_at IS NULL"
        return Decimal(session.execute(text(kept)).scalar_one())


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(AMOUNTS, RATES), min_size=1, max_size=30))
def test_the_sums_of_a_statement_are_exact_and_half_a_halala_of_tax_goes_away_from_zero(
    given: list[tuple[Decimal, Decimal]],
) -> None:
    lines = [
        Line(number, "SC", "s", "B", Decimal(1), rate, amount, date(2026, 1, 1))
        for number, (amount, rate) in enumerate(given)
    ]
    sums = sums_of(lines)
    assert sums.net == sum((amount for amount, _ in given), Decimal(0))
    halalas = 0
    for rate in {rate for _, rate in given}:
        exact = sum((Fraction(amount) for amount, each in given if each == rate), Fraction(0)) * Fraction(
            rate
        )
        rounded = (abs(exact) + Fraction(1, 2)).__floor__()
        halalas += rounded if exact >= 0 else -rounded
    assert sums.vat == Decimal(halalas) / 100
    assert sums.total == sums.net + sums.vat


def test_a_statement_holds_what_was_earned_and_posts_it_and_a_second_run_finds_nothing_left(
    desk: Desk,
) -> None:
    office = open_centre(desk, contract(vat="15.00"))
    first, _ = licensed(office)
    second, _ = licensed(office, "ref-2")
    owed = earned_by(desk)
    with pytest.raises(InvalidInput, match="is not over"):
        desk.licensing.settlements.settle(FINANCE, office.code, today(desk))
    desk.later(days=1)
    fixed = settle(office)
    assert fixed is not None
    assert [line["case"] for line in fixed["lines"]] == [first, second]
    assert sum(Decimal(line["share"]) for line in fixed["lines"]) == owed == Decimal(fixed["net"])
    tax = Decimal(fixed["vat"])
    assert tax == (owed * 15 / 100).quantize(Decimal("0.01"), "ROUND_HALF_UP")
    assert tax > 0
    assert (fixed["statement"], fixed["state"], fixed["made_by"]) == (1, "open", "person/finance")
    # What was payable stands in the statement now, with the tax, which is a cost of the municipality.
    books = balances(desk)
    assert (books["payable:centre-7"], books["settlement:centre-7"]) == ("0.00", f"-{owed + tax}")
    assert books["centre_share"] == f"{owed + tax}"
    assert opened(office) == {"lines": 0, "net": "0.00", "vat": "0.00", "total": "0.00"}
    report = desk.licensing.centres.report(SYSTEM, today(desk), today(desk), office.code)
    assert report["owed"] == f"{owed + tax}"

    assert settle(office) is None
    assert settle(office, TREASURER) is None
    assert balances(desk) == books


def test_a_transfer_is_noted_once_by_somebody_else_and_stands_in_books_chain_and_statement(
    desk: Desk,
) -> None:
    office = open_centre(desk)
    licensed(office)
    desk.later(days=1)
    fixed = settle(office)
    assert fixed is not None
    desk.later(days=1)
    note = desk.licensing.settlements.transferred
    paid = today(desk)
    with pytest.raises(Conflict, match="second person"):
        note(FINANCE, office.code, 1, "T-1", paid)
    with pytest.raises(NotFound):
        note(TREASURER, office.code, 2, "T-1", paid)
    for wrong in (paid - timedelta(days=2), paid + timedelta(days=1)):
        with pytest.raises(InvalidInput, match="nothing was transferred"):
            note(TREASURER, office.code, 1, "T-1", wrong)
    with pytest.raises(InvalidInput, match="not readable"):
        note(TREASURER, office.code, 1, "T\n1", paid)
    noted = note(TREASURER, office.code, 1, "T-1", paid)
    assert (noted["state"], noted["reference"]) == ("transferred", "T-1")
    assert (noted["noted_by"], noted["transferred_on"]) == ("person/treasurer", paid.isoformat())
    books = balances(desk)
    assert (books["settlement:centre-7"], books["treasury"]) == ("0.00", f"-{fixed['total']}")
    # The very same once more is no second transfer; another one is refused, and says whose was first.
    assert note(TREASURER, office.code, 1, "T-1", paid) == noted
    with pytest.raises(Conflict, match=r"T-1 .* by person/treasurer"):
        note(TREASURER, office.code, 1, "T-2", paid)
    assert balances(desk) == books
    with desk.database.transaction() as session:
        chain = [(each.actor, each.action) for each in audit.entries(session, "centre/centre-7")]
        told = [each.kind for each in events.read(session, after=None, limit=1_000)]
    assert chain[-2:] == [("person/finance", "settled"), ("person/treasurer", "transferred")]
    assert told.count(settlement.SETTLED) == told.count(settlement.TRANSFERRED) == 1
    assert desk.breaks() == []


def test_what_is_taken_back_after_it_was_settled_is_less_in_the_next_statement(desk: Desk) -> None:
    office = open_centre(desk, contract(vat="15.00"))
    number, licence = licensed(office)
    kept, _ = licensed(office, "ref-2")
    first = settle_the_day(office)
    void(desk, licence)
    desk.later(days=1)
    second = settle(office)
    assert first is not None
    assert second is not None
    (back,) = second["lines"]
    assert (back["case"], back["kind"]) == (number, "taken_back")
    assert back["share"] == "-" + next(line["share"] for line in first["lines"] if line["case"] == number)
    assert Decimal(second["total"]) < 0
    assert Decimal(first["net"]) + Decimal(second["net"]) == earned_by(desk)
    # The centre pays it back: the money comes in, and nothing is open.
    desk.later(days=1)
    note = desk.licensing.settlements.transferred
    note(TREASURER, office.code, 1, "T-1", today(desk))
    note(TREASURER, office.code, 2, "T-2", today(desk))
    books = balances(desk)
    assert (books["payable:centre-7"], books["settlement:centre-7"]) == ("0.00", "0.00")
    assert Decimal(books["treasury"]) == -(Decimal(first["total"]) + Decimal(second["total"]))
    # What was settled before is as it was.
    shown = desk.licensing.settlements.statement(AUDITOR, office.code, 1)
    assert shown["lines"] == first["lines"]
    assert kept in {line["case"] for line in shown["lines"]}


def test_what_is_earned_and_taken_back_before_it_is_settled_comes_to_nothing(desk: Desk) -> None:
    office = open_centre(desk)
    _, licence = licensed(office)
    void(desk, licence)
    desk.later(days=1)
    fixed = settle(office)
    assert fixed is not None
    assert [line["kind"] for line in fixed["lines"]] == ["earned", "taken_back"]
    assert (fixed["total"], fixed["state"]) == ("0.00", "nothing due")
    with pytest.raises(Conflict, match="comes to nothing"):
        desk.licensing.settlements.transferred(TREASURER, office.code, 1, "T-1", today(desk))
    assert settle(office) is None


def test_a_statement_goes_up_to_its_day_and_what_comes_later_stands_in_the_next(desk: Desk) -> None:
    office, other = open_centre(desk), open_centre(desk, code="centre-8")
    first, _ = licensed(office)
    licensed(other, "ref-8")
    desk.later(days=1)
    second, _ = licensed(office, "ref-2")
    desk.later(days=1)
    early = desk.licensing.settlements.settle(FINANCE, office.code, today(desk) - timedelta(days=2))
    late = settle(office)
    assert early is not None
    assert late is not None
    assert [line["case"] for line in early["lines"]] == [first]
    assert [line["case"] for line in late["lines"]] == [second]
    assert opened(other)["lines"] == 1


def test_of_many_who_settle_beside_accruals_each_share_is_settled_once(desk: Desk) -> None:
    office = open_centre(desk)
    bills = [_billed(office) for _ in range(6)]
    desk.later(days=1)
    go = threading.Barrier(8)

    def pay(number: int) -> None:
        go.wait()
        bill = bills[number]
        desk.pay(bill["bill_number"], bill["amount"], f"ref-{number}")

    def settle_up_to_today(_: int) -> None:
        go.wait()
        for _ in range(4):
            settle_the_day(office)

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(pay, number) for number in range(6)]
        jobs += [pool.submit(settle_up_to_today, number) for number in range(2)]
        for job in jobs:
            job.result()
    desk.later(days=1)
    settle(office)
    with desk.database.transaction() as session:
        statements = settlement.all_of(session, office.code)
        lines = [line for each in statements for line in settlement.lines_of(session, each)]
    assert [each.number for each in statements] == list(range(1, len(statements) + 1))
    assert sorted(line.case for line in lines) == sorted(bill["case"] for bill in bills)
    assert sum(each.sums.net for each in statements) == earned_by(desk)
    books = balances(desk)
    assert (books["payable:centre-7"], books["settlement:centre-7"]) == ("0.00", f"-{earned_by(desk)}")


def test_only_finance_settles_and_a_centre_sees_nothing_of_it(desk: Desk) -> None:
    office = open_centre(desk)
    yesterday = today(desk) - timedelta(days=1)
    for caller in (ADMINISTRATOR, AUDITOR, SYSTEM, office.caller()):
        with pytest.raises(PermissionDenied):
            desk.licensing.settlements.settle(caller, office.code, yesterday)
        with pytest.raises(PermissionDenied):
            desk.licensing.settlements.transferred(caller, office.code, 1, "T", yesterday)
    with pytest.raises(PermissionDenied):
        desk.licensing.settlements.overview(office.caller(), office.code)
    with pytest.raises(NotFound):
        desk.licensing.settlements.overview(AUDITOR, "centre-9")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE centre_settlement SET net = net + 1, total = total + 1",
        "UPDATE centre_settlement SET until = until + 1",
        "DELETE FROM centre_settlement",
        "UPDATE centre_share SET settled_in = NULL",
        "UPDATE centre_share SET amount = amount + 1",
        "DELETE FROM centre_share",
        "UPDATE centre_settlement SET paid_by = made_by, paid_at = now(), paid_day = until, reference = 'T'",
        "UPDATE centre_settlement SET reference = 'T'",
    ],
)
def test_the_database_lets_nobody_change_what_was_settled(desk: Desk, statement: str) -> None:
    office = open_centre(desk)
    licensed(office)
    desk.later(days=1)
    settle(office)
    with (
        pytest.raises(sqlalchemy.exc.IntegrityError),
        desk.database.engine.begin() as connection,
    ):
        connection.execute(text(statement))


def _billed(office: CentreOffice) -> dict[str, Any]:
    desk = office.desk
    number = str(desk.do.submit(office.caller(), message()).body["number"])
    desk.do.quote(office.caller(), number)
    return {**desk.do.invoice(office.caller(), number).body, "case": number}


def test_the_books_and_the_rows_say_the_same_of_what_is_owed(desk: Desk) -> None:
    office = open_centre(desk)
    licensed(office)
    desk.later(days=1)
    settle(office)
    licensed(office, "ref-2")
    with desk.database.transaction() as session:
        unpaid, owed = settlement.unpaid(session, office.code), share.owed(session, office.code)
    books = balances(desk)
    assert (books["settlement:centre-7"], books["payable:centre-7"]) == (f"-{unpaid}", f"-{owed}")
