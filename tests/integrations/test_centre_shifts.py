"""A clerk's shift: its float, what moves in and out, what was counted; one open shift a clerk and device."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from foundation.errors import Conflict, NotFound, PermissionDenied
from foundation.identity import Caller
from integrations.centres.refusals import (
    ContractNotInForce,
    DeviceNotAllowed,
    DrawerShort,
    ShiftClosed,
    ShiftOpen,
)
from tests.integrations.centre_office import CentreOffice, open_centre
from tests.integrations.desk import CENTRE, SYSTEM, Desk, new_key
from tests.integrations.test_concurrency import together

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["in", "out"]),
        st.decimals(min_value="0.01", max_value="9999.99", places=2, allow_nan=False),
    ),
    max_size=12,
)


def open_shift(office: CentreOffice, amount: str = "300.00", caller: Caller | None = None) -> dict[str, Any]:
    """Open a shift of amal at pc-1, or of another caller."""
    shifts = office.desk.licensing.shifts
    return shifts.open(caller or office.caller(device="pc-1"), Decimal(amount), new_key()).body


def test_a_shift_is_opened_moved_and_closed_and_the_difference_is_kept(desk: Desk) -> None:
    office = open_centre(desk)
    shifts = desk.licensing.shifts
    opened = open_shift(office)
    assert (opened["float"], opened["expected"], opened["difference"]) == ("300.00", "300.00", None)
    shifts.move(
        office.caller(device="pc-1"), opened["id"], "in", Decimal("50.25"), "change from the safe", new_key()
    )
    moved = shifts.move(
        office.caller(device="pc-1"), opened["id"], "out", Decimal("200.00"), "to the safe", new_key()
    ).body
    assert (moved["moved_in"], moved["moved_out"], moved["expected"]) == ("50.25", "200.00", "150.25")
    assert [each["reason"] for each in moved["movements"]] == ["change from the safe", "to the safe"]
    closed = shifts.close(
        office.caller(device="pc-1"), opened["id"], Decimal("149.25"), "a wrong coin", new_key()
    ).body
    assert (closed["expected"], closed["counted"], closed["difference"]) == ("150.25", "149.25", "-1.00")
    (listed,) = shifts.page(office.caller())["items"]
    assert listed == closed
    assert shifts.page(office.caller(), only_open=True)["items"] == []
    day = desk.now[0].date()
    told = desk.licensing.centres.report(office.caller(), day, day)["shifts"]
    assert told == {"opened": 1, "closed": 1, "differing": 1, "difference": "-1.00"}
    assert desk.breaks() == []


def test_the_same_key_moves_a_drawer_once(desk: Desk) -> None:
    office = open_centre(desk)
    id = open_shift(office)["id"]
    shifts = desk.licensing.shifts
    answers = [
        shifts.move(office.caller(device="pc-1"), id, "in", Decimal("1.00"), "change", "key-1")
        for _ in range(2)
    ]
    assert [each.replayed for each in answers] == [False, True]
    assert shifts.page(office.caller())["items"][0]["moved_in"] == "1.00"


def test_a_clerk_and_a_device_have_one_open_shift(desk: Desk) -> None:
    office = open_centre(desk)
    open_shift(office)
    with pytest.raises(ShiftOpen, match="amal has a shift open on the device pc-1"):
        open_shift(office, caller=office.caller(device="pc-2"))
    with pytest.raises(ShiftOpen, match="amal has a shift open on the device pc-1"):
        open_shift(office, caller=office.caller("badr", device="pc-1"))
    assert open_shift(office, caller=office.caller("badr", device="pc-2"))["branch"] == "port"


def test_of_eight_who_open_one_at_once_one_does(desk: Desk) -> None:
    office = open_centre(desk)
    results = together(8, lambda _: open_shift(office))
    assert sum(isinstance(each, ShiftOpen) for each in results) == 7
    assert desk.count("centre_shift") == 1


def test_the_database_itself_refuses_a_second_open_shift(desk: Desk) -> None:
    office = open_centre(desk)
    open_shift(office)
    with pytest.raises(Conflict), desk.database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO centre_shift (centre, branch, clerk, device, opened_at, opening_float) "
                "VALUES ('centre-7', 'mall', 'badr', 'pc-1', now(), 0)"
            )
        )


def test_nobody_moves_or_closes_the_shift_of_another(desk: Desk) -> None:
    office, other = open_centre(desk), open_centre(desk, code="centre-8")
    id = open_shift(office)["id"]
    shifts = desk.licensing.shifts
    for stranger in (office.caller("badr"), other.caller()):
        with pytest.raises(NotFound):
            shifts.move(stranger, id, "out", Decimal("1.00"), "-", new_key())
        with pytest.raises(NotFound):
            shifts.close(stranger, id, Decimal("0.00"), "", new_key())
    assert shifts.page(other.caller())["items"] == []


def test_a_drawer_gives_no_more_than_it_should_hold(desk: Desk) -> None:
    office = open_centre(desk)
    id = open_shift(office, "10.00")["id"]
    shifts = desk.licensing.shifts
    with pytest.raises(DrawerShort, match=r"hold 10\.00 SAR"):
        shifts.move(office.caller(), id, "out", Decimal("10.01"), "-", new_key())
    shifts.move(office.caller(), id, "out", Decimal("10.00"), "-", new_key())
    results = together(4, lambda _: shifts.move(office.caller(), id, "out", Decimal("0.01"), "-", new_key()))
    assert all(isinstance(each, DrawerShort) for each in results)


def test_a_closed_shift_stays_closed(desk: Desk) -> None:
    office = open_centre(desk)
    id = open_shift(office)["id"]
    shifts = desk.licensing.shifts
    shifts.close(office.caller(), id, Decimal("300.00"), "", new_key())
    with pytest.raises(ShiftClosed):
        shifts.close(office.caller(), id, Decimal("299.00"), "", new_key())
    with pytest.raises(ShiftClosed):
        shifts.move(office.caller(), id, "in", Decimal("1.00"), "-", new_key())
    assert open_shift(office)["id"] != id


def test_a_shift_needs_a_device_and_a_contract(desk: Desk) -> None:
    office = open_centre(desk)
    with pytest.raises(DeviceNotAllowed):
        open_shift(office, caller=office.caller())
    with pytest.raises(ContractNotInForce):
        open_shift(office, caller=CENTRE)
    with pytest.raises(NotFound):
        desk.licensing.shifts.page(CENTRE)


def test_the_municipality_closes_the_shift_of_a_centre_that_it_has_stopped(desk: Desk) -> None:
    office = open_centre(desk)
    id = open_shift(office)["id"]
    desk.licensing.centres.suspend(SYSTEM, office.code, "a complaint")
    closed = desk.licensing.centres.close_for(SYSTEM, office.code, id, Decimal("300.00"), "counted by us")
    assert closed["difference"] == "0.00"
    with pytest.raises(PermissionDenied):
        desk.licensing.centres.close_for(office.caller(), office.code, id, Decimal("0.00"), "")
    with desk.database.transaction() as session:
        kinds = session.execute(
            text("SELECT kind FROM event WHERE subject = :s ORDER BY id"), {"s": f"shift/{id}"}
        )
        assert [row.kind for row in kinds] == ["shift.opened", "shift.closed"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(opening=st.decimals(min_value=0, max_value="9999.99", places=2, allow_nan=False), moves=MOVES)
def test_what_a_drawer_should_hold_is_exact(
    desk: Desk, opening: Decimal, moves: list[tuple[str, Decimal]]
) -> None:
    if not desk.count("centre"):
        open_centre(desk)
    office = CentreOffice(desk, "centre-7", *_signs(desk))
    shifts, halalas = desk.licensing.shifts, int(opening * 100)
    id = shifts.open(office.caller(device="pc-1"), opening, new_key()).body["id"]
    for direction, amount in moves:
        change = int(amount * 100) * (1 if direction == "in" else -1)
        try:
            shifts.move(office.caller(), id, "in" if direction == "in" else "out", amount, "-", new_key())
        except DrawerShort:
            assert halalas + change < 0
            continue
        halalas += change
    counted = Decimal(halalas + 1) / 100
    closed = shifts.close(office.caller(), id, counted, "", new_key()).body
    assert Decimal(closed["expected"]) * 100 == halalas
    assert closed["difference"] == "0.01"


def _signs(desk: Desk) -> tuple[str, str, dict[str, str]]:
    with desk.database.transaction() as session:
        certificate, serial = session.execute(
            text("SELECT thumbprint, serial FROM client_certificate LIMIT 1")
        ).one()
        keys = session.execute(text("SELECT clerk, thumbprint FROM clerk_key"))
        return certificate, serial, {row.clerk: row.thumbprint for row in keys}
