"""Three-way reconciliation, by reference: what banks told us, what the bank's file says, what the ledger has.

Each reference falls into exactly one class, so the sums of the classes are the sums of the three sources.
What else is true of it stands beside. Reading changes nothing, however often a day is reconciled.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from integrations.cases.bank_file import Direction, Entry
from integrations.cases.ledger import BankRow, as_csv
from integrations.cases.money import amount_text, plus

COLUMNS = (
    "class",
    "also",
    "direction",
    "reference",
    "bill_number",
    "engine",
    "bank",
    "ledger",
    "engine_day",
    "bank_day",
)
"""Columns of a report as table or CSV."""


class Class(StrEnum):
    """How a reference stands in the three sources; the first that holds, in this order."""

    DOUBLE_IN_FILE = "double_in_file"
    """The bank's file has it more than once."""
    MISSING_IN_ENGINE = "missing_in_engine"
    """The bank or the ledger has it, and we were never notified."""
    MISSING_AT_BANK = "missing_at_bank"
    """We were notified, and the bank's file does not have it."""
    MISSING_IN_LEDGER = "missing_in_ledger"
    """It was never posted, or the export lacks it."""
    AMOUNTS_DIFFER = "amounts_differ"
    """The three do not have one amount."""
    DATES_DIFFER = "dates_differ"
    """The bank booked it on another day than it told us."""
    MATCHED = "matched"
    """All three agree."""


@dataclass(frozen=True)
class Known:
    """A movement that the engine knows of: a payment, or a refund that was sent.

    Args:
        amount: SAR, more than zero.
        day: in the kingdom's legal time.
    """

    reference: str
    direction: Direction
    amount: Decimal
    day: date
    bill_number: str


@dataclass(frozen=True)
class Item:
    """One reference and how it stands; None where a source does not have it.

    Args:
        also: further classes that hold.
        engine, bank, ledger: SAR; of a double the sum of its entries.
    """

    kind: Class
    also: tuple[Class, ...]
    reference: str
    direction: Direction
    bill_number: str
    engine: Decimal | None
    bank: Decimal | None
    ledger: Decimal | None
    engine_day: date | None
    bank_day: date | None

    def to_json(self) -> dict[str, Any]:
        """As it is sent; amounts as text."""
        return {
            "class": str(self.kind),
            "also": [str(each) for each in self.also],
            "direction": self.direction,
            "reference": self.reference,
            "bill_number": self.bill_number,
            "engine": _amount(self.engine),
            "bank": _amount(self.bank),
            "ledger": _amount(self.ledger),
            "engine_day": self.engine_day.isoformat() if self.engine_day else None,
            "bank_day": self.bank_day.isoformat() if self.bank_day else None,
        }


@dataclass(frozen=True)
class Report:
    """The reconciliation of a day."""

    day: date
    items: tuple[Item, ...]

    @property
    def clean(self) -> bool:
        """Whether all agree."""
        return all(item.kind is Class.MATCHED for item in self.items)

    def to_json(self) -> dict[str, Any]:
        """As it is sent: the items, and per direction and class the sums, which add up to `total`."""
        directions: tuple[Direction, ...] = ("credit", "debit")
        return {
            "day": self.day.isoformat(),
            "currency": "SAR",
            "clean": self.clean,
            "totals": {way: self._totals(way) for way in directions},
            "items": [item.to_json() for item in self.items],
        }

    def rows(self) -> list[dict[str, Any]]:
        """The items as a table has them, under `COLUMNS`."""
        return [{**(row := item.to_json()), "also": " ".join(row["also"])} for item in self.items]

    def to_csv(self) -> str:
        """The items as CSV, `COLUMNS`."""
        return as_csv(self.rows(), COLUMNS)

    def _totals(self, way: Direction) -> dict[str, Any]:
        of = [item for item in self.items if item.direction == way]
        classes = {str(kind): _sums([item for item in of if item.kind is kind]) for kind in Class}
        return {"classes": classes, "total": _sums(of)}


def compare(known: Iterable[Known], entries: Iterable[Entry], ledger: Iterable[BankRow], day: date) -> Report:
    """Compare the three sources.

    Args:
        known: the engine's movements of the day, and those that the file names (see `movements`).
        entries: the bank's file.
        ledger: an export; of its rows those of the day, and those that the engine or the file names.
    """
    engine = {(each.direction, each.reference): each for each in known}
    bank: dict[tuple[Direction, str], list[Entry]] = {}
    for entry in entries:
        bank.setdefault((entry.direction, entry.reference), []).append(entry)
    posted = _posted(ledger, day, {*engine, *bank})
    keys = sorted({*engine, *bank, *posted})
    return Report(day, tuple(_item(key, engine.get(key), bank.get(key, []), posted.get(key)) for key in keys))


_MOVEMENTS = text(
    """
    SELECT reference, 'credit' AS direction, amount, day, bill_number FROM case_payment
    WHERE status = 'paid' AND (day = :day OR reference = ANY(:references))
    UNION ALL
    SELECT refund.reference, 'debit', refund.amount, CAST(refund.sent_at AT TIME ZONE 'Asia/Riyadh' AS date),
           payment.bill_number
    FROM case_refund AS refund JOIN case_payment AS payment ON payment.id = refund.payment_id
    WHERE refund.state IN ('sent', 'confirmed')
      AND (CAST(refund.sent_at AT TIME ZONE 'Asia/Riyadh' AS date) = :day
           OR refund.reference = ANY(:references))
    """
)


def movements(session: Session, entries: Sequence[Entry], day: date) -> list[Known]:
    """The engine's payments and sent refunds of a day, and those that a file names, of whatever day."""
    words = {"day": day, "references": [entry.reference for entry in entries]}
    return [Known(*row) for row in session.execute(_MOVEMENTS, words)]


def _posted(
    ledger: Iterable[BankRow], day: date, keys: set[tuple[Direction, str]]
) -> dict[tuple[Direction, str], Decimal]:
    # A refund that failed is posted both ways, and comes to nothing.
    net: dict[tuple[Direction, str], Decimal] = {}
    of_day = set(keys)
    for row in ledger:
        key: tuple[Direction, str] = ("debit" if row.refund else "credit", row.reference)
        net[key] = net.get(key, Decimal(0)) + (-row.amount if row.refund else row.amount)
        if row.day == day:
            of_day.add(key)
    return {key: amount for key, amount in net.items() if amount and key in of_day}


def _item(
    key: tuple[Direction, str], known: Known | None, entries: list[Entry], posted: Decimal | None
) -> Item:
    at_bank = plus(entry.amount for entry in entries) if entries else None
    amounts = {amount for amount in (known.amount if known else None, at_bank, posted) if amount is not None}
    holds = {
        Class.DOUBLE_IN_FILE: len(entries) > 1,
        Class.MISSING_IN_ENGINE: known is None,
        Class.MISSING_AT_BANK: not entries,
        Class.MISSING_IN_LEDGER: posted is None,
        Class.AMOUNTS_DIFFER: len(amounts) > 1,
        Class.DATES_DIFFER: known is not None and any(entry.day != known.day for entry in entries),
    }
    found = [kind for kind, is_so in holds.items() if is_so] or [Class.MATCHED]
    named = known.bill_number if known else next((e.bill_number for e in entries if e.bill_number), "")
    return Item(
        kind=found[0],
        also=tuple(found[1:]),
        reference=key[1],
        direction=key[0],
        bill_number=named,
        engine=known.amount if known else None,
        bank=at_bank,
        ledger=posted,
        engine_day=known.day if known else None,
        bank_day=entries[0].day if entries else None,
    )


def _sums(items: Sequence[Item]) -> dict[str, Any]:
    return {
        "count": len(items),
        "engine": amount_text(plus(item.engine for item in items if item.engine is not None)),
        "bank": amount_text(plus(item.bank for item in items if item.bank is not None)),
        "ledger": amount_text(plus(item.ledger for item in items if item.ledger is not None)),
    }


def _amount(amount: Decimal | None) -> str | None:
    return amount_text(amount) if amount is not None else None
