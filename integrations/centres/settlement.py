"""What a centre has earned is settled: a statement is fixed once, then what was transferred for it is noted.

A statement holds every share that accrued up to a day and stands in none yet, and every one that was taken
back up to then: what is written late, or taken back after it was settled, stands in the next one. Its net is
the exact sum of its lines; value added tax is reckoned once a rate, half a halala up. Less than zero is what
the centre pays back.

Fixed, what was owed (`payable:CENTRE`) with its tax (a cost: `centre_share`) is owed as a whole
(`settlement:CENTRE`); transferred, it is the `treasury`'s. That is not `bank`, where applicants pay and what
a day's reconciliation is about. Tables: `centre_settlement`, `centre_share`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row as Found
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.calendar import today
from foundation.chain import JSON
from foundation.errors import Conflict, InvalidInput, NotFound
from integrations.cases import ledger
from integrations.cases.ledger import Posting, Row, moment
from integrations.cases.money import amount_text, half_up, multiply, plus
from integrations.centres.centre import Centre, tell
from integrations.centres.share import SHARE, payable

SETTLED, TRANSFERRED = "centre.settled", "centre.transferred"
"""A statement was fixed; what was transferred for it was noted. Subject: centre/CODE. Payload: centre, state,
statement, until, total; or statement, reference, total, day."""

TREASURY = "treasury"
"""The account of what was transferred, outside of the account that applicants pay into."""

_LONGEST_REFERENCE = 64

# One share may give two lines: earned, and taken back. Whoever takes one back meets us at its row.
_LINES = """
    SELECT share.case_id, file.number AS case_number, application.service, share.bill_number, share.net,
           agreed.vat, share.amount, share.day, share.taken_back_day, {parts}
    FROM centre_share AS share
    JOIN centre_application AS application USING (case_id)
    JOIN centre_contract AS agreed ON agreed.id = application.contract_id
    JOIN case_file AS file ON file.id = share.case_id
    WHERE application.centre = :centre AND {which}
    ORDER BY share.day, share.case_id
"""
_EARNED_OPEN = "share.settled_in IS NULL AND share.day <= CAST(:until AS date)"
_BACK_OPEN = (
    "share.taken_back_at IS NOT NULL AND share.taken_back_in IS NULL "
    "AND share.taken_back_day <= CAST(:until AS date)"
)
_OPEN = _LINES.format(
    parts=f"({_EARNED_OPEN}) AS earned, ({_BACK_OPEN}) AS back", which=f"(({_EARNED_OPEN}) OR ({_BACK_OPEN}))"
)
_OPEN_NOW, _OPEN_LOCKED = text(_OPEN), text(f"{_OPEN} FOR UPDATE OF share")
_OF_STATEMENT = text(
    _LINES.format(
        parts="share.settled_in IS NOT DISTINCT FROM :id AS earned, "
        "share.taken_back_in IS NOT DISTINCT FROM :id AS back",
        which="(share.settled_in = :id OR share.taken_back_in = :id)",
    )
)
# Of two who settle one centre the second waits, and then finds nothing left.
_ALONE = text("SELECT code FROM centre WHERE code = :centre FOR NO KEY UPDATE")
_FIX = text(
    """
    INSERT INTO centre_settlement (centre, number, until, net, vat, total, made_by, made_at)
    SELECT :centre, coalesce(max(number), 0) + 1, :until, :net, :vat, :total, :actor, :at
    FROM centre_settlement WHERE centre = :centre
    RETURNING *
    """
)
_EARNED_IN = text("UPDATE centre_share SET settled_in = :id WHERE case_id = ANY(:cases)")
_BACK_IN = text("UPDATE centre_share SET taken_back_in = :id WHERE case_id = ANY(:cases)")
_ALL = text("SELECT * FROM centre_settlement WHERE centre = :centre ORDER BY number")
_LOCKED = text("SELECT * FROM centre_settlement WHERE centre = :centre AND number = :number FOR UPDATE")
_ONE = text("SELECT * FROM centre_settlement WHERE centre = :centre AND number = :number")
_PAID = text(
    "UPDATE centre_settlement SET reference = :reference, paid_day = :day, paid_by = :actor, paid_at = :at "
    "WHERE id = :id RETURNING *"
)
_UNPAID = text(
    "SELECT coalesce(sum(total), 0.00) FROM centre_settlement WHERE centre = :centre AND paid_at IS NULL"
)


@dataclass(frozen=True)
class Line:
    """One line of a statement.

    Args:
        net: fees of the licence, SAR, tax not counted.
        vat: percentage of tax that is added to the share.
        amount: SAR; less than zero where the share is taken back.
        day: of Riyadh, on which it accrued or was taken back.
    """

    case_id: int
    case: str
    service: str
    bill_number: str
    net: Decimal
    vat: Decimal
    amount: Decimal
    day: date

    @property
    def taken_back(self) -> bool:
        """Whether it takes a share back."""
        return self.amount < 0


@dataclass(frozen=True)
class Sums:
    """What lines come to, SAR."""

    net: Decimal
    vat: Decimal

    @property
    def total(self) -> Decimal:
        """With the tax."""
        return plus((self.net, self.vat))


@dataclass(frozen=True)
class Statement:
    """A statement as it was fixed.

    Args:
        number: counts up in its centre.
        until: last day that it is about.
        reference, paid_day, paid_by, paid_at: of the transfer; None until it is noted.
    """

    id: int
    centre: str
    number: int
    until: date
    sums: Sums
    made_by: str
    made_at: datetime
    reference: str | None
    paid_day: date | None
    paid_by: str | None
    paid_at: datetime | None

    @property
    def name(self) -> str:
        """As the ledger and the transfer call it."""
        return f"{self.centre}/{self.number}"


def sums_of(lines: Sequence[Line]) -> Sums:
    """What lines come to: the tax once a rate, half a halala away from zero."""
    rates = sorted({line.vat for line in lines})
    of_rate = {rate: plus(line.amount for line in lines if line.vat == rate) for rate in rates}
    vat = plus(half_up(multiply(net, rate, Decimal("0.01"))) for rate, net in of_rate.items())
    return Sums(plus(of_rate.values()), vat)


def open_lines(session: Session, centre: str, until: date = date.max) -> list[Line]:
    """What accrued and was taken back up to a day, and stands in no statement yet."""
    return _lines(session.execute(_OPEN_NOW, {"centre": centre, "until": until}))


def lines_of(session: Session, statement: Statement) -> list[Line]:
    """The lines of a statement."""
    return _lines(session.execute(_OF_STATEMENT, {"centre": statement.centre, "id": statement.id}))


def all_of(session: Session, centre: str) -> list[Statement]:
    """Every statement of a centre, the first one first."""
    return [_read(row) for row in session.execute(_ALL, {"centre": centre})]


def find(session: Session, centre: str, number: int, *, lock: bool = False) -> Statement:
    """A statement by its number.

    Raises:
        NotFound: the centre has none of this number.
    """
    row = session.execute(_LOCKED if lock else _ONE, {"centre": centre, "number": number}).one_or_none()
    if row is None:
        raise NotFound(
            f"{centre} has no statement {number}.",
            remedy=f"See: rakeeza centre statements {centre}",
            message_ar=f"ليس للمركز كشف تسوية برقم {number}.",
        )
    return _read(row)


def unpaid(session: Session, centre: str) -> Decimal:
    """What stands in statements and was not transferred yet, with its tax, SAR."""
    return Decimal(session.execute(_UNPAID, {"centre": centre}).scalar_one())


def settle(session: Session, centre: Centre, until: date, actor: str, at: datetime) -> Statement | None:
    """Fix a statement of all that is open up to a day, and post it.

    Args:
        until: last day that it is about, of Riyadh.

    Returns:
        None if nothing is left to be settled up to then.

    Raises:
        InvalidInput: that day is not over.
    """
    day = today(now=at)
    if until >= day:
        raise InvalidInput(
            f"The day {until} is not over.",
            place="until",
            remedy="Settle up to yesterday at most.",
            message_ar="لم ينتهِ هذا اليوم بعد؛ تكون التسوية حتى أمس على الأكثر.",
        )
    session.execute(_ALONE, {"centre": centre.code})
    lines = _lines(session.execute(_OPEN_LOCKED, {"centre": centre.code, "until": until}))
    if not lines:
        return None
    sums = sums_of(lines)
    words = {"centre": centre.code, "until": until, "actor": actor, "at": at}
    fixed = session.execute(_FIX, {**words, "net": sums.net, "vat": sums.vat, "total": sums.total}).one()
    statement = _read(fixed)
    for update, back in ((_EARNED_IN, False), (_BACK_IN, True)):
        cases = [line.case_id for line in lines if line.taken_back is back]
        session.execute(update, {"id": statement.id, "cases": cases})
    rows = (
        Row(payable(centre.code), sums.net),
        Row(SHARE, sums.vat),
        Row(_fixed(centre.code), -sums.total),
    )
    _post(session, statement, "settled", statement.name, day, at, rows)
    total = amount_text(sums.total)
    facts: dict[str, JSON] = {"statement": statement.number, "until": until.isoformat(), "total": total}
    tell(session, centre, SETTLED, actor, facts)
    return statement


def transferred(
    session: Session, centre: Centre, number: int, reference: str, day: date, actor: str, at: datetime
) -> Statement:
    """Note what was transferred for a statement. The same once more changes nothing.

    Args:
        reference: of the transfer, as the treasury's bank has it.
        day: on which the money moved, of Riyadh.
        actor: somebody else than who fixed the statement.

    Raises:
        NotFound: there is no such statement.
        Conflict: another transfer was noted, or it comes to nothing, or the same person fixed it.
        InvalidInput: a reference that cannot be, or a day before the statement's end or to come.
    """
    statement = find(session, centre.code, number, lock=True)
    if statement.paid_at is not None:
        if (statement.reference, statement.paid_day) == (reference, day):
            return statement
        raise Conflict(
            f"For the statement {statement.name} the transfer {statement.reference} of {statement.paid_day} "
            f"was noted, by {statement.paid_by}.",
            remedy="A second transfer needs a second statement.",
            message_ar=f"سُجّلت لهذا الكشف حوالة من قبل برقم {statement.reference}.",
        )
    _check_transfer(statement, reference, day, actor, at)
    words = {"id": statement.id, "reference": reference, "day": day, "actor": actor, "at": at}
    noted = _read(session.execute(_PAID, words).one())
    total = statement.sums.total
    rows = (Row(_fixed(centre.code), total), Row(TREASURY, -total))
    _post(session, statement, "transferred", reference, day, at, rows)
    facts: dict[str, JSON] = {"statement": number, "total": amount_text(total), "day": day.isoformat()}
    tell(session, centre, TRANSFERRED, actor, {**facts, "reference": reference})
    return noted


def line_view(line: Line) -> dict[str, str]:
    """A line, as JSON."""
    return {
        "case": line.case,
        "service": line.service,
        "bill_number": line.bill_number,
        "day": line.day.isoformat(),
        "kind": "taken_back" if line.taken_back else "earned",
        "fees": amount_text(line.net),
        "share": amount_text(line.amount),
        "vat_percent": amount_text(line.vat),
    }


def view(statement: Statement) -> dict[str, Any]:
    """A statement without its lines, as JSON."""
    total = statement.sums.total
    state = "transferred" if statement.paid_at is not None else "open" if total else "nothing due"
    return {
        "statement": statement.number,
        "until": statement.until.isoformat(),
        **sums_view(statement.sums),
        "state": state,
        "made_by": statement.made_by,
        "made_at": moment(statement.made_at),
        "reference": statement.reference,
        "transferred_on": statement.paid_day.isoformat() if statement.paid_day is not None else None,
        "noted_by": statement.paid_by,
    }


def sums_view(sums: Sums) -> dict[str, str]:
    """Sums, as JSON."""
    return {"net": amount_text(sums.net), "vat": amount_text(sums.vat), "total": amount_text(sums.total)}


def _check_transfer(statement: Statement, reference: str, day: date, actor: str, at: datetime) -> None:
    if not statement.sums.total:
        raise Conflict(
            f"The statement {statement.name} comes to nothing: there is nothing to transfer.",
            message_ar="رصيد هذا الكشف صفر، فلا شيء يُحوَّل.",
        )
    if actor == statement.made_by:
        raise Conflict(
            f"{actor} has fixed the statement {statement.name}; a second person notes its transfer.",
            message_ar="لا يسجّل الحوالة من أعدّ الكشف؛ يسجّلها شخص آخر.",
        )
    if not 1 <= len(reference.strip()) <= _LONGEST_REFERENCE or not reference.isprintable():
        raise InvalidInput(
            "The reference of the transfer is not readable.",
            place="reference",
            remedy=f"Give 1 to {_LONGEST_REFERENCE} characters, as the bank has it.",
            message_ar="رقم الحوالة غير مقروء.",
        )
    if not statement.until < day <= today(now=at):
        raise InvalidInput(
            f"For the statement {statement.name} nothing was transferred on {day}.",
            place="day",
            remedy=f"Give the day on which the money moved: after {statement.until}, today at most.",
            message_ar="تاريخ الحوالة يقع بعد نهاية مدة الكشف ولا يتجاوز اليوم.",
        )


def _fixed(centre: str) -> str:
    return f"settlement:{centre}"


def _post(
    session: Session,
    statement: Statement,
    kind: str,
    reference: str,
    day: date,
    at: datetime,
    rows: tuple[Row, ...],
) -> None:
    # Of a statement that comes to nothing there is nothing to write.
    if any(row.amount for row in rows):
        subject = f"centre/{statement.centre}/statement/{statement.number}"
        ledger.post(session, Posting(kind, subject, reference, day, at, rows))


def _lines(rows: Any) -> list[Line]:
    return [line for row in rows for line in _lines_of(row)]


def _lines_of(row: Found[Any]) -> list[Line]:
    of = (row.case_id, row.case_number, row.service, row.bill_number, row.net, row.vat)
    earned = [Line(*of, row.amount, row.day)] if row.earned else []
    return earned + ([Line(*of, -row.amount, row.taken_back_day)] if row.back else [])


def _read(row: Found[Any]) -> Statement:
    return Statement(
        row.id,
        row.centre,
        row.number,
        row.until,
        Sums(row.net, row.vat),
        row.made_by,
        row.made_at,
        row.reference,
        row.paid_day,
        row.paid_by,
        row.paid_at,
    )
