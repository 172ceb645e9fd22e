"""The desk for clerks' shifts: opened, moved and closed by the clerk himself, listed for his centre."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from foundation.errors import Malformed
from foundation.idempotency import Answer
from foundation.identity import Caller
from integrations.cases.money import amount_text
from integrations.centres import centre as centres
from integrations.centres import rules, shifts
from integrations.centres.centre import Centre
from integrations.centres.refusals import ContractNotInForce, DeviceNotAllowed
from integrations.centres.rules import Standing
from integrations.centres.shifts import Direction
from integrations.desks.desk import Desk

LARGEST_PAGE = 200
"""Shifts in one page of a list, at most."""


@dataclass(frozen=True)
class ShiftsDesk:
    """Opens, moves and closes shifts.

    Args:
        desk: what all desks share.
    """

    desk: Desk

    def page(
        self, caller: Caller, after: str | None = None, limit: int = 50, only_open: bool = False
    ) -> dict[str, Any]:
        """The shifts of the caller's centre, newest first.

        Args:
            after: the `next` of the page before.
            limit: shifts on the page, at most `LARGEST_PAGE`.
            only_open: none that is closed.

        Raises:
            NotFound: the caller is no centre with a record.
            Malformed: `after` is no place in the list.
        """
        size = min(limit, LARGEST_PAGE)
        with self.desk.database.transaction() as session:
            code = own_of(session, caller).code
            found = shifts.page(session, code, _place(after), size + 1, only_open)
            items = [shifts.view(each, shifts.movements(session, each)) for each in found[:size]]
        return {"items": items, "next": str(found[size - 1].id) if len(found) > size else None}

    def open(self, caller: Caller, opening_float: Decimal, key: str | None) -> Answer:
        """Open the clerk's shift at the device that he signed for.

        Args:
            opening_float: SAR in the drawer, zero or more.

        Raises:
            ShiftOpen: the clerk or the device has one.
            DeviceNotAllowed: no device is named.
            PermissionDenied: as `rules.permit`; also to a caller who is no centre with a record.
        """

        def act(session: Session, at: datetime) -> dict[str, Any]:
            standing = _standing(session, caller)
            if standing.device is None:
                raise DeviceNotAllowed(standing.centre, None)
            return shifts.view(shifts.open_(session, standing, standing.device, opening_float, at), ())

        request = {"float": amount_text(opening_float)}
        return self.desk.once(caller, key, "open_shift", "shift", request, act, in_shift=False)

    def move(
        self, caller: Caller, id: int, direction: Direction, amount: Decimal, reason: str, key: str | None
    ) -> Answer:
        """Put money into the drawer of the clerk's shift, or take it out.

        Raises:
            NotFound: it is no shift of his.
            ShiftClosed, DrawerShort: see `shifts`.
        """

        def act(session: Session, at: datetime) -> dict[str, Any]:
            standing = _standing(session, caller)
            shift = shifts.locked(session, standing.centre, id, standing.clerk)
            moved = shifts.move(session, shift, direction, amount, reason, at)
            return shifts.view(moved, shifts.movements(session, moved))

        request = {"direction": direction, "amount": amount_text(amount), "reason": reason}
        return self.desk.once(caller, key, "move_shift", str(id), request, act, in_shift=False)

    def close(self, caller: Caller, id: int, counted: Decimal, note: str, key: str | None) -> Answer:
        """Close the clerk's shift with what he counted. Raises as `move` does."""

        def act(session: Session, at: datetime) -> dict[str, Any]:
            standing = _standing(session, caller)
            shift = shifts.locked(session, standing.centre, id, standing.clerk)
            closed = shifts.close(session, shift, counted, note, caller.actor, at)
            return shifts.view(closed, shifts.movements(session, closed))

        request = {"counted": amount_text(counted), "note": note}
        return self.desk.once(caller, key, "close_shift", str(id), request, act, in_shift=False)


def own_of(session: Session, caller: Caller) -> Centre:
    """The centre that a caller is.

    Raises:
        NotFound: he is no centre with a record.
    """
    # The name of anybody else is nobody's code.
    return centres.find(session, caller.name if rules.may_have_record(caller) else caller.actor)


def _standing(session: Session, caller: Caller) -> Standing:
    standing = rules.standing_of(session, caller)
    if standing is None:
        # A counter of the municipality has no contract, and keeps its cash elsewhere.
        raise ContractNotInForce(caller.name, None, None)
    return standing


def _place(after: str | None) -> int | None:
    if after is None:
        return None
    if not (after.isascii() and after.isdigit() and len(after) <= 18):
        raise Malformed(
            "This is no place in the list.",
            remedy="Use the `next` of the page before.",
            message_ar="هذا ليس موضعًا في القائمة؛ استخدم قيمة next من الصفحة السابقة.",
        )
    return int(after)
