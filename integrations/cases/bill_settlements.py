"""The settlements of the payment system: each day's is asked for until it is there, and kept with its report.

Table `bill_settlement`, one row a day. The file is kept as it was reconciled; the chain of the day says which
file was taken when, and in place of which.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.chain import JSON
from foundation.errors import NotFound
from foundation.events import publish
from integrations.cases.reconciliation import Class, Report

SETTLED = "bills.settled"
"""The settlement of a day was taken and reconciled. Subject: settlement/DAY. Payload: day, entries, clean and
`differs`, how many items are in each class but the matched."""
DELAYED = "bills.settlement_delayed"
"""The settlement of a day is not to be had for a while. Subject: settlement/DAY. Payload: day, attempts,
reason."""

# A settlement comes at the end of a day, and nobody waits for it by the minute.
_WAIT = timedelta(minutes=10)
_TOLD_EVERY = 12

_STANDS = text("SELECT state, next_at FROM bill_settlement WHERE day = :day")
_LATE = text(
    """
    INSERT INTO bill_settlement AS kept (day, state, attempts, reason, next_at)
    VALUES (:day, 'waiting', 1, :reason, :next)
    ON CONFLICT (day) DO UPDATE SET attempts = kept.attempts + 1, reason = :reason, next_at = :next
    WHERE kept.state = 'waiting'
    RETURNING attempts
    """
)
_KEEP = text(
    """
    INSERT INTO bill_settlement AS kept (day, state, attempts, file, report, taken_at)
    VALUES (:day, 'taken', 1, :file, CAST(:report AS jsonb), :at)
    ON CONFLICT (day) DO UPDATE SET state = 'taken', attempts = kept.attempts + 1, reason = NULL,
        next_at = NULL, file = :file, report = CAST(:report AS jsonb), taken_at = :at
    """
)
_FILE = text("SELECT file FROM bill_settlement WHERE day = :day AND state = 'taken'")
_PAGE = text(
    """
    SELECT day, state, attempts, reason, taken_at, report ->> 'clean' AS clean
    FROM bill_settlement ORDER BY day DESC LIMIT :limit
    """
)


@dataclass(frozen=True)
class Day:
    """How the settlement of a day stands.

    Args:
        clean: whether it agreed with the engine and the ledger; None while it is waited for.
        reason: why it could not be had the last time, in one word.
    """

    day: date
    state: Literal["waiting", "taken"]
    attempts: int
    reason: str | None
    taken_at: datetime | None
    clean: bool | None


def is_due(session: Session, day: date, at: datetime) -> bool:
    """Whether the settlement of a day is to be asked for now."""
    row = session.execute(_STANDS, {"day": day}).one_or_none()
    return row is None or (row.state == "waiting" and bool(row.next_at <= at))


def late(session: Session, day: date, reason: str, wait_s: float | None, at: datetime) -> None:
    """Note that it could not be had; it is asked for again.

    Args:
        wait_s: seconds that the payment system asks to be left alone.
    """
    next_at = at + max(_WAIT, timedelta(seconds=wait_s or 0.0))
    attempts = session.execute(_LATE, {"day": day, "reason": reason, "next": next_at}).scalar()
    if attempts is not None and attempts % _TOLD_EVERY == 0:
        told = {"day": day.isoformat(), "attempts": attempts, "reason": reason}
        publish(session, DELAYED, f"settlement/{day.isoformat()}", told)


def keep(session: Session, file: bytes, report: Report, actor: str, at: datetime) -> None:
    """Keep a settlement and what came of it, and tell.

    Args:
        actor: who had it taken, as the audit trail names him.
    """
    said = report.to_json()
    before = session.execute(_FILE, {"day": report.day}).scalar()
    if before is None or bytes(before) != file:
        taken: dict[str, JSON] = {"sha256": hashlib.sha256(file).hexdigest(), "clean": report.clean}
        if before is not None:
            taken["in_place_of"] = hashlib.sha256(bytes(before)).hexdigest()
        chain = f"settlement/{report.day.isoformat()}"
        audit.record(session, chain=chain, actor=actor, action="settlement_taken", details=taken)
    words = {"day": report.day, "file": file, "report": json.dumps(said), "at": at}
    session.execute(_KEEP, words)
    kinds = [item.kind for item in report.items]
    differs = {str(kind): kinds.count(kind) for kind in Class if kind is not Class.MATCHED and kind in kinds}
    told: dict[str, Any] = {
        "day": report.day.isoformat(),
        "entries": sum(len(item.entries) for item in report.items),
        "clean": report.clean,
        "differs": differs,
    }
    publish(session, SETTLED, f"settlement/{report.day.isoformat()}", told)


def file_of(session: Session, day: date) -> bytes:
    """The settlement of a day as it was taken.

    Raises:
        NotFound: it was not.
    """
    found = session.execute(_FILE, {"day": day}).scalar()
    if found is None:
        raise NotFound(
            f"The settlement of {day.isoformat()} was not taken yet.",
            message_ar="لم تُستلم تسوية هذا اليوم بعد.",
        )
    return bytes(found)


def newest(session: Session, limit: int) -> list[Day]:
    """The newest days, newest first."""
    rows = session.execute(_PAGE, {"limit": limit})
    return [Day(row.day, row.state, row.attempts, row.reason, row.taken_at, _flag(row.clean)) for row in rows]


def _flag(written: str | None) -> bool | None:
    return None if written is None else written == "true"
