"""A clerk's shift at a device: opened with a float, moved in and out, closed with what was counted.

What a drawer should hold is its float with what was moved in, less what was moved out; the difference to what
was counted is kept and never set right by itself. A clerk has one open shift, and so has a device: the
database refuses a second one. Tables: `centre_shift`, `centre_shift_movement`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.chain import JSON
from foundation.errors import NotFound
from foundation.events import publish
from integrations.cases.ledger import moment
from integrations.cases.money import amount_text
from integrations.centres.refusals import DrawerShort, ShiftClosed, ShiftOpen
from integrations.centres.rules import Standing

OPENED, MOVED, CLOSED = "shift.opened", "shift.moved", "shift.closed"
"""What happened to a shift. Subject: shift/ID. Payload: centre, clerk, device, branch; float, or direction,
amount and reason, or expected, counted and difference."""

Direction = Literal["in", "out"]

_COLUMNS = (
    "id, centre, branch, clerk, device, opened_at, opening_float, moved_in, moved_out, closed_at, closed_by, "
    "counted, note"
)
_OPEN = text(
    f"""
    INSERT INTO centre_shift (centre, branch, clerk, device, opened_at, opening_float)
    VALUES (:centre, :branch, :clerk, :device, :at, :float) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
    """
)
_TAKEN = text(
    "SELECT clerk, device FROM centre_shift WHERE centre = :centre AND closed_at IS NULL "
    "AND (clerk = :clerk OR device = :device) ORDER BY clerk = :clerk DESC LIMIT 1"
)
_LOCKED = text(f"SELECT {_COLUMNS} FROM centre_shift WHERE centre = :centre AND id = :id FOR UPDATE")
_MOVED = text(
    f"""
    WITH kept AS (
        INSERT INTO centre_shift_movement (shift_id, direction, amount, reason, at)
        VALUES (:id, :direction, :amount, :reason, :at)
    )
    UPDATE centre_shift SET
        moved_in = moved_in + CASE WHEN :direction = 'in' THEN CAST(:amount AS numeric) ELSE 0 END,
        moved_out = moved_out + CASE WHEN :direction = 'out' THEN CAST(:amount AS numeric) ELSE 0 END
    WHERE id = :id RETURNING {_COLUMNS}
    """
)
_CLOSE = text(
    "UPDATE centre_shift SET closed_at = :at, closed_by = :by, counted = :counted, note = :note "
    f"WHERE id = :id RETURNING {_COLUMNS}"
)
_PAGE = text(
    f"""
    SELECT {_COLUMNS} FROM centre_shift
    WHERE centre = :centre AND (NOT :open OR closed_at IS NULL)
      AND (CAST(:before AS bigint) IS NULL OR id < :before)
    ORDER BY id DESC LIMIT :limit
    """
)
_MOVEMENTS = text(
    "SELECT direction, amount, reason, at FROM centre_shift_movement WHERE shift_id = :id ORDER BY id"
)


@dataclass(frozen=True)
class Shift:
    """A shift of a clerk at a device.

    Args:
        opening_float: SAR in the drawer at the beginning.
        moved_in, moved_out: SAR that was put in and taken out since.
        closed_by: the clerk, or who closed it for him, as journals name him.
        counted: SAR that was found in the drawer at the end.
    """

    id: int
    centre: str
    branch: str
    clerk: str
    device: str
    opened_at: datetime
    opening_float: Decimal
    moved_in: Decimal
    moved_out: Decimal
    closed_at: datetime | None
    closed_by: str | None
    counted: Decimal | None
    note: str | None

    @property
    def context(self) -> str:
        """Name of its chain, and subject of its events."""
        return f"shift/{self.id}"

    @property
    def expected(self) -> Decimal:
        """What the drawer should hold, SAR."""
        return self.opening_float + self.moved_in - self.moved_out

    @property
    def difference(self) -> Decimal | None:
        """What was counted less what was expected, SAR; None of an open one: nobody has counted."""
        return None if self.counted is None else self.counted - self.expected


def open_(session: Session, standing: Standing, device: str, opening_float: Decimal, at: datetime) -> Shift:
    """Open a shift.

    Args:
        standing: of the clerk, as `rules.permit` gave it.
        device: at which; enrolled, and signed for.
        opening_float: SAR, zero or more.

    Raises:
        ShiftOpen: the clerk or the device has one.
    """
    words = {
        "centre": standing.centre,
        "branch": standing.branch,
        "clerk": standing.clerk,
        "device": device,
        "float": opening_float,
        "at": at,
    }
    row = session.execute(_OPEN, words).one_or_none()
    if row is None:
        # Closed since, it is nobody's: the clerk himself then.
        other = session.execute(_TAKEN, words).one_or_none()
        raise ShiftOpen(*other) if other is not None else ShiftOpen(standing.clerk, device)
    shift = _read(row)
    _tell(session, shift, OPENED, _actor(shift), {"float": amount_text(opening_float)}, "opened")
    return shift


def locked(session: Session, centre: str, id: int, clerk: str | None = None) -> Shift:
    """An open shift of a centre, to be moved or closed.

    Args:
        clerk: whose it has to be; None is whoever's.

    Raises:
        NotFound: there is none of this number for him.
        ShiftClosed: it was closed before.
    """
    row = session.execute(_LOCKED, {"centre": centre, "id": id}).one_or_none()
    if row is None or (clerk is not None and row.clerk != clerk):
        raise NotFound(
            f"There is no shift {id} of this clerk.",
            remedy="List the centre's shifts.",
            message_ar=f"لا توجد وردية برقم {id} لهذا الموظف.",
        )
    shift = _read(row)
    if shift.closed_at is not None:
        raise ShiftClosed(id)
    return shift


def move(
    session: Session, shift: Shift, direction: Direction, amount: Decimal, reason: str, at: datetime
) -> Shift:
    """Put money into the drawer of a shift, or take it out.

    Args:
        shift: locked.
        amount: SAR, more than zero.
        reason: why; must say nothing of a person.

    Raises:
        DrawerShort: more is taken out than the drawer should hold.
    """
    if direction == "out" and amount > shift.expected:
        raise DrawerShort(shift.id, amount_text(shift.expected))
    words = {"id": shift.id, "direction": direction, "amount": amount, "reason": reason, "at": at}
    moved = _read(session.execute(_MOVED, words).one())
    facts: dict[str, JSON] = {"direction": direction, "amount": amount_text(amount), "reason": reason}
    _tell(session, moved, MOVED, _actor(moved), facts, "moved")
    return moved


def close(session: Session, shift: Shift, counted: Decimal, note: str, by: str, at: datetime) -> Shift:
    """Close a shift with what was counted, whatever the difference is.

    Args:
        shift: locked.
        counted: SAR, zero or more.
        note: what explains a difference; may be empty.
        by: who closes it, as journals name him.
    """
    words = {"id": shift.id, "counted": counted, "note": note or None, "by": by, "at": at}
    closed = _read(session.execute(_CLOSE, words).one())
    facts: dict[str, JSON] = {
        "expected": amount_text(closed.expected),
        "counted": amount_text(counted),
        "difference": amount_text(counted - closed.expected),
    }
    _tell(session, closed, CLOSED, by, facts, "closed")
    return closed


def page(
    session: Session, centre: str, before: int | None, limit: int, only_open: bool = False
) -> list[Shift]:
    """Shifts of a centre, newest first.

    Args:
        before: id of the last one of the page before.
    """
    words = {"centre": centre, "before": before, "limit": limit, "open": only_open}
    return [_read(row) for row in session.execute(_PAGE, words)]


def movements(session: Session, shift: Shift) -> list[dict[str, Any]]:
    """What was put in and taken out, oldest first, as JSON."""
    return [
        {
            "direction": row.direction,
            "amount": amount_text(row.amount),
            "reason": row.reason,
            "at": moment(row.at),
        }
        for row in session.execute(_MOVEMENTS, {"id": shift.id})
    ]


def view(shift: Shift, moved: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A shift, as JSON."""
    return {
        "id": shift.id,
        "branch": shift.branch,
        "clerk": shift.clerk,
        "device": shift.device,
        "opened_at": moment(shift.opened_at),
        "float": amount_text(shift.opening_float),
        "moved_in": amount_text(shift.moved_in),
        "moved_out": amount_text(shift.moved_out),
        "expected": amount_text(shift.expected),
        "closed_at": moment(shift.closed_at) if shift.closed_at is not None else None,
        "counted": amount_text(shift.counted) if shift.counted is not None else None,
        "difference": amount_text(shift.difference) if shift.difference is not None else None,
        "note": shift.note,
        "currency": "SAR",
        "movements": list(moved),
    }


def _tell(session: Session, shift: Shift, kind: str, actor: str, facts: dict[str, JSON], action: str) -> None:
    of: dict[str, JSON] = {
        "centre": shift.centre,
        "branch": shift.branch,
        "clerk": shift.clerk,
        "device": shift.device,
    }
    audit.record(session, chain=shift.context, actor=actor, action=action, details={**of, **facts})
    publish(session, kind, shift.context, {**of, **facts})


def _actor(shift: Shift) -> str:
    return f"client/{shift.centre}"


def _read(row: Any) -> Shift:
    return Shift(*row)
