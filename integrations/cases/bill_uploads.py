"""What the payment system is told of bills: uploads, one by one, until each bill stands there as here.

Tables: `bill_upload`, `bill_upload_line`, and `told` of `case_invoice`: the amount that the payment system
was last told to show, none of a bill that it never heard of. What is to be told is read off the bills
themselves, so that no bill is forgotten and none is told twice, whatever became of a worker.

An upload is written in one transaction, sent outside any, and ended in another; its key is the same in every
attempt. While one waits no other is made: what is told of a bill later must not arrive first.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.errors import Conflict, NotFound
from foundation.events import publish
from integrations.bill_presentment import Bill, Discrepancy
from integrations.cases.money import amount_text
from integrations.cases.numbers import TEST_BILLS

MOST_BILLS = 300
"""Bills of one upload."""
DISCREPANCY = "bills.discrepancy"
"""The payment system did not take a bill as it was told. Subject: bill/NUMBER. Payload: bill_number, upload,
status, amount, code."""
DELAYED = "bills.upload_delayed"
"""An upload finds no answer for a while. Subject: upload/ID. Payload: upload, bills, attempts, reason."""
PARKED = "bills.upload_parked"
"""An upload was rejected as a whole and waits for a person. Subject and payload: as of the delayed one."""

State = Literal["waiting", "answered", "parked", "dropped"]

# Seconds of the first wait and of the longest: bills are due within days, and a payer waits for his.
_FIRST_WAIT, _FACTOR, _LONGEST_WAIT, _LONGEST_ASKED = 5.0, 2.0, 900.0, 3_600.0
# Attempts after which it is told that an upload is delayed, each time again: ten minutes, then two hours.
_TOLD_EVERY = 8

# As the index says it (migration 0027). Of a test nobody is told.
_UNTOLD = (
    "COALESCE(told, 0) <> CASE WHEN state = 'open' THEN amount - credited ELSE 0 END "
    f"AND bill_number NOT LIKE '{TEST_BILLS}'"
)
# Of two workers one makes the next upload, and the other finds it.
_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('bill_upload'))")
_WAITING = text("SELECT id FROM bill_upload WHERE state = 'waiting' FOR UPDATE")
_IS_DUE = text(
    f"""
    SELECT COALESCE(
        (SELECT next_at <= :at FROM bill_upload WHERE state = 'waiting'),
        EXISTS (SELECT 1 FROM case_invoice WHERE {_UNTOLD})
    )
    """
)
# A bill that somebody is paying this moment is told of in the next upload.
_COMPOSE = text(
    f"""
    WITH chosen AS (
        SELECT id, bill_number, told, due,
               CASE WHEN state = 'open' THEN amount - credited ELSE 0 END AS amount
        FROM case_invoice WHERE {_UNTOLD}
        ORDER BY id LIMIT :most FOR NO KEY UPDATE SKIP LOCKED
    ), upload AS (
        INSERT INTO bill_upload (bills, made_at, next_at)
        SELECT count(*), :at, :at FROM chosen HAVING count(*) > 0
        RETURNING id
    ), noted AS (
        UPDATE case_invoice SET told = chosen.amount FROM chosen WHERE case_invoice.id = chosen.id
    )
    INSERT INTO bill_upload_line (upload_id, bill_number, status, amount, due)
    SELECT upload.id, chosen.bill_number,
           CASE WHEN chosen.amount = 0 THEN 'expired' WHEN COALESCE(chosen.told, 0) = 0 THEN 'new'
                ELSE 'updated' END,
           chosen.amount, chosen.due
    FROM chosen, upload
    RETURNING upload_id
    """
)
_FIND = text(
    "SELECT id, key, state, bills, attempts, reason, made_at, ended_at FROM bill_upload WHERE id = :id"
)
_LINES = text(
    "SELECT bill_number, status, amount, due FROM bill_upload_line WHERE upload_id = :id ORDER BY bill_number"
)
_END = text(
    """
    UPDATE bill_upload SET state = :state, attempts = attempts + 1, reason = :reason, next_at = NULL,
        ended_at = :at
    WHERE id = :id AND state = 'waiting' RETURNING id
    """
)
_AGAIN = text(
    """
    UPDATE bill_upload SET attempts = attempts + 1, reason = :reason, next_at = :next
    WHERE id = :id AND state = 'waiting' RETURNING attempts
    """
)
_DIFFERS = text(
    """
    UPDATE bill_upload_line SET discrepancy = :code WHERE upload_id = :upload AND bill_number = :bill
    RETURNING status, amount
    """
)
_DROP = text(
    """
    UPDATE bill_upload SET state = 'dropped', ended_at = :at WHERE id = :id AND state = 'parked' RETURNING id
    """
)
# Whatever they are now is told anew, unless a later upload has told it: of one that was there before, as of
# something with an amount that no bill has.
_UNTELL = text(
    """
    UPDATE case_invoice SET told = CASE WHEN line.status <> 'new' THEN -1 END
    FROM bill_upload_line AS line
    WHERE line.upload_id = :id AND case_invoice.bill_number = line.bill_number
      AND (CAST(:bill AS text) IS NULL OR line.bill_number = :bill)
      AND NOT EXISTS (SELECT 1 FROM bill_upload_line AS later
                      WHERE later.bill_number = line.bill_number AND later.upload_id > line.upload_id)
    """
)
_SEE = text(
    """
    UPDATE bill_upload_line SET seen_by = :actor
    WHERE upload_id = :id AND bill_number = :bill AND discrepancy IS NOT NULL AND seen_by IS NULL
    RETURNING bill_number
    """
)
_OPEN_DISCREPANCIES = text(
    """
    SELECT upload_id, bill_number, status, amount, discrepancy FROM bill_upload_line
    WHERE discrepancy IS NOT NULL AND seen_by IS NULL ORDER BY upload_id, bill_number LIMIT :limit
    """
)
_UNDONE = text("SELECT id FROM bill_upload WHERE state IN ('waiting', 'parked') ORDER BY id LIMIT :limit")


@dataclass(frozen=True)
class Upload:
    """An upload.

    Args:
        key: that the payment system sees, in every attempt; no other upload ever has it, also not one of a
            database that was restored and counts again.
        attempts: made so far.
        reason: of the last attempt that failed, in one word.
    """

    id: int
    key: str
    state: State
    bills: int
    attempts: int
    reason: str | None
    made_at: datetime
    ended_at: datetime | None

    @property
    def subject(self) -> str:
        """What its events are about."""
        return f"upload/{self.id}"


def is_due(session: Session, at: datetime) -> bool:
    """Whether something is to be sent now."""
    return bool(session.execute(_IS_DUE, {"at": at}).scalar_one())


def next_upload(session: Session, at: datetime) -> tuple[Upload, list[Bill]] | None:
    """The upload that waits, or a new one of what is to be told; None if there is nothing to tell."""
    session.execute(_ALONE)
    waiting = session.execute(_WAITING).scalar()
    if waiting is None:
        made = session.execute(_COMPOSE, {"most": MOST_BILLS, "at": at}).scalars().all()
        if not made:
            return None
        waiting = made[0]
    rows = session.execute(_LINES, {"id": waiting})
    return find(session, waiting), [Bill(row.bill_number, row.status, row.amount, row.due) for row in rows]


def find(session: Session, id: int) -> Upload:
    """An upload by its number.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(_FIND, {"id": id}).one_or_none()
    if row is None:
        raise NotFound(f"There is no upload {id}.", message_ar="لا توجد دفعة رفع بهذا الرقم.")
    return Upload(*row)


def answered(session: Session, upload: Upload, discrepancies: Iterable[Discrepancy], at: datetime) -> None:
    """End an upload that the payment system took, and tell of each bill that it did not."""
    words = {"id": upload.id, "state": "answered", "reason": None, "at": at}
    if session.execute(_END, words).one_or_none() is None:
        # Another worker was quicker; the key gave both of us one answer.
        return
    for each in discrepancies:
        found = {"upload": upload.id, "bill": each.bill_number, "code": each.code}
        line = session.execute(_DIFFERS, found).one()
        told = {
            "bill_number": each.bill_number,
            "upload": upload.id,
            "status": line.status,
            "amount": amount_text(line.amount),
            "code": each.code,
        }
        publish(session, DISCREPANCY, f"bill/{each.bill_number}", told)


def unanswered(session: Session, upload: Upload, reason: str, wait_s: float | None, at: datetime) -> None:
    """Let an upload be sent again later.

    Args:
        wait_s: seconds that the payment system asks to be left alone.
    """
    seconds = min(_LONGEST_WAIT, _FIRST_WAIT * _FACTOR**upload.attempts) * random.uniform(0.8, 1.2)
    # How long it wants to be left alone nobody signs.
    next_at = at + timedelta(seconds=max(seconds, min(wait_s or 0.0, _LONGEST_ASKED)))
    attempts = session.execute(_AGAIN, {"id": upload.id, "reason": reason, "next": next_at}).scalar()
    if attempts is not None and attempts % _TOLD_EVERY == 0:
        publish(session, DELAYED, upload.subject, _told(upload, attempts, reason))


def rejected(session: Session, upload: Upload, reason: str, at: datetime) -> None:
    """Leave an upload to a person; others go on without it."""
    words = {"id": upload.id, "state": "parked", "reason": reason, "at": at}
    if session.execute(_END, words).one_or_none() is not None:
        publish(session, PARKED, upload.subject, _told(upload, upload.attempts + 1, reason))


def tell_again(session: Session, id: int, at: datetime) -> Upload:
    """Give up a parked upload: what its bills are now is told in a new one.

    Raises:
        NotFound: there is none.
        Conflict: it is not parked.
    """
    upload = find(session, id)
    if session.execute(_DROP, {"id": id, "at": at}).one_or_none() is None:
        raise Conflict(
            f"The upload {id} is {upload.state}.",
            remedy="Only a parked upload is given up.",
            message_ar="دفعة الرفع هذه ليست موقوفة.",
        )
    session.execute(_UNTELL, {"id": id, "bill": None})
    return find(session, id)


def see(session: Session, id: int, bill_number: str, actor: str, again: bool) -> None:
    """Note that a person has looked at a discrepancy.

    Args:
        again: whether the bill is told anew.

    Raises:
        NotFound: there is no such discrepancy, or somebody has looked at it.
    """
    words = {"id": id, "bill": bill_number, "actor": actor}
    if session.execute(_SEE, words).one_or_none() is None:
        raise NotFound(
            f"The upload {id} has no open discrepancy of the bill {bill_number}.",
            message_ar="لا يوجد اختلاف قائم لهذه الفاتورة في دفعة الرفع.",
        )
    if again:
        session.execute(_UNTELL, {"id": id, "bill": bill_number})


def unfinished(session: Session, limit: int) -> dict[str, Any]:
    """What waits: uploads without an answer, and discrepancies that nobody has looked at."""
    uploads = [find(session, id) for id in session.execute(_UNDONE, {"limit": limit}).scalars()]
    rows = session.execute(_OPEN_DISCREPANCIES, {"limit": limit})
    return {
        "uploads": [view(upload) for upload in uploads],
        "discrepancies": [
            {
                "upload": row.upload_id,
                "bill_number": row.bill_number,
                "status": row.status,
                "amount": amount_text(row.amount),
                "code": row.discrepancy,
            }
            for row in rows
        ],
    }


def view(upload: Upload) -> dict[str, Any]:
    """An upload as people and programs see it."""
    return {
        "id": upload.id,
        "key": upload.key,
        "state": upload.state,
        "bills": upload.bills,
        "attempts": upload.attempts,
        "reason": upload.reason,
        "made_at": upload.made_at.isoformat(),
        "ended_at": None if upload.ended_at is None else upload.ended_at.isoformat(),
    }


def _told(upload: Upload, attempts: int, reason: str) -> dict[str, Any]:
    return {"upload": upload.id, "bills": upload.bills, "attempts": attempts, "reason": reason}
