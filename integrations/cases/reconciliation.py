"""Three-way reconciliation, by reference: what banks told us, what the bank's file says, what the ledger has.

Each movement falls into exactly one class, so the sums of the classes are the sums of the three sources.
What else is true of it stands beside. Reading changes nothing, however often a day is reconciled.

A movement is a payment that came in, a refund that left, or a refund that came back; the last two have one
reference. What else a bank undoes (an entry marked as a reversal) is a movement of its own, that a person
looks at.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from integrations.cases.bank_file import Direction, Entry
from integrations.cases.ledger import BankRow
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
    REVERSED = "reversed"
    """The bank undid an earlier entry, and the engine knows nothing of it: a person decides what follows."""
    REFUSED = "refused"
    """The bank told us that it failed, and its file has it."""
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
    """A movement that the engine knows of: a payment, a refund that was sent, or one that came back.

    Args:
        back: a refund that came back.
        amount: SAR, more than zero.
        day: in the kingdom's legal time.
        refused: the bank told us that this payment failed; no money moved.
    """

    reference: str
    direction: Direction
    back: bool
    amount: Decimal
    day: date
    bill_number: str
    refused: bool = False

    @property
    def key(self) -> "Key":
        """Which movement it is."""
        return self.direction, self.back, self.reference


Key = tuple[Direction, bool, str]
"""Which movement: its direction, whether it undoes an earlier one, and its reference."""


@dataclass(frozen=True)
class Item:
    """One reference and how it stands; None where a source does not have it.

    Args:
        also: further classes that hold.
        engine, bank, ledger: SAR; of a double the sum of its entries.
        entries: of the bank's file.
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
    entries: tuple[Entry, ...] = field(default=(), repr=False)

    @property
    def classes(self) -> frozenset[Class]:
        """All that holds of it."""
        return frozenset((self.kind, *self.also))

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
class Left:
    """An entry of the bank's file that was not taken in by itself, and why a person has to look at it."""

    reference: str
    direction: Direction
    place: str
    why: str


@dataclass(frozen=True)
class Report:
    """The reconciliation of a day.

    Args:
        left: what was not taken in, where it was asked to take in.
    """

    day: date
    items: tuple[Item, ...]
    left: tuple[Left, ...] = ()

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
            "left": [asdict(each) for each in self.left],
        }

    def rows(self) -> list[dict[str, Any]]:
        """The items as a table has them, under `COLUMNS`."""
        return [{**(row := item.to_json()), "also": " ".join(row["also"])} for item in self.items]

    def _totals(self, way: Direction) -> dict[str, Any]:
        of = [item for item in self.items if item.direction == way]
        classes = {str(kind): _sums([item for item in of if item.kind is kind]) for kind in Class}
        return {"classes": classes, "total": _sums(of)}


def compare(known: Iterable[Known], entries: Iterable[Entry], ledger: Iterable[BankRow], day: date) -> Report:
    """Compare the three sources.

    Args:
        known: what `movements` found.
        entries: the bank's file.
        ledger: an export; of its rows those of the day, and those that the engine or the file names.
    """
    told = list(known)
    bank = _at_bank(entries, told)
    engine = {each.key: each for each in told if not each.refused and (each.day == day or each.key in bank)}
    posted = _posted(ledger, day, {*engine, *bank})
    for key in _never_booked(engine, bank):
        engine.pop(key)
        posted.pop(key, None)
    refused = {each.key for each in told if each.refused}
    keys = sorted({*engine, *bank, *posted})
    return Report(
        day,
        tuple(
            _item(key, engine.get(key), bank.get(key, []), posted.get(key), refused=key in refused)
            for key in keys
        ),
    )


def take_in(report: Report) -> tuple[list[Item], list[Left]]:
    """What of a bank's file is taken in by itself, and what a person looks at first.

    Returns:
        Payments that the engine does not have and refunds that it knows as sent, each with its one entry;
        and what is like them and yet may be money that is counted already.
    """
    # The same bill and amount, notified under a reference that the file does not have: likely this money.
    elsewhere = {
        (item.bill_number, item.engine)
        for item in report.items
        if item.direction == "credit" and Class.MISSING_AT_BANK in item.classes
    }
    taken: list[Item] = []
    left: list[Left] = []
    for item in report.items:
        if not item.entries or (item.direction == "credit" and item.engine is not None):
            continue
        if why := _why_not(item, elsewhere):
            left.append(Left(item.reference, item.direction, item.entries[0].place, why))
        else:
            taken.append(item)
    return taken, left


def _why_not(item: Item, elsewhere: set[tuple[str, Decimal | None]]) -> str | None:
    if Class.DOUBLE_IN_FILE in item.classes:
        return "the file has it more than once"
    if Class.REVERSED in item.classes:
        return "it undoes an earlier entry; if a refund came back, note that it failed"
    if item.direction == "debit":
        return None if item.engine == item.bank else "no refund of this amount was sent under this reference"
    if item.bill_number and (item.bill_number, item.bank) in elsewhere:
        return "this amount was notified for this bill under another reference, which the file does not have"
    return None


_MOVEMENTS = text(
    """
    SELECT reference, 'credit' AS direction, false AS back, amount, day, bill_number,
           status = 'refused' AS refused
    FROM case_payment
    WHERE (status = 'paid' AND day = :day) OR reference = ANY(:references)
    UNION ALL
    SELECT refund.reference, moved.direction, moved.direction = 'credit', refund.amount, moved.day,
           payment.bill_number, false
    FROM case_refund AS refund
    JOIN case_payment AS payment ON payment.id = refund.payment_id
    CROSS JOIN LATERAL (
        VALUES ('debit', CAST(refund.sent_at AT TIME ZONE 'Asia/Riyadh' AS date)),
               ('credit', CASE WHEN refund.state = 'failed'
                               THEN CAST(refund.ended_at AT TIME ZONE 'Asia/Riyadh' AS date) END)
    ) AS moved (direction, day)
    WHERE moved.day = :day OR (moved.day IS NOT NULL AND refund.reference = ANY(:references))
    """
)


def movements(session: Session, entries: Sequence[Entry], day: date) -> list[Known]:
    """What the engine knows to have moved on a day, and what it knows under the references of a file."""
    words = {"day": day, "references": [entry.reference for entry in entries]}
    return [Known(*row) for row in session.execute(_MOVEMENTS, words)]


_CHANNEL = text("SELECT reference FROM case_payment WHERE client = :client AND reference = ANY(:references)")


def of_channel(
    session: Session, client: str, known: Sequence[Known], entries: Sequence[Entry]
) -> list[Known]:
    """Of the movements those that one client told of, and those that its file names: others are not in it.

    Args:
        client: as the audit trail names it.
    """
    words = {"client": client, "references": [each.reference for each in known]}
    told = set(session.execute(_CHANNEL, words).scalars()) | {entry.reference for entry in entries}
    return [each for each in known if each.direction == "credit" and not each.back and each.reference in told]


def _at_bank(entries: Iterable[Entry], told: Sequence[Known]) -> dict[Key, list[Entry]]:
    # Not every bank marks a refund that comes back: it comes under the reference that we gave the refund.
    refunds = {each.reference for each in told if each.direction == "debit"}
    payments = {each.reference for each in told if each.direction == "credit" and not each.back}
    bank: dict[Key, list[Entry]] = {}
    for entry in entries:
        back = entry.reversal or (entry.direction == "credit" and entry.reference in refunds - payments)
        bank.setdefault((entry.direction, back, entry.reference), []).append(entry)
    return bank


def _never_booked(engine: Mapping[Key, Known], bank: Mapping[Key, list[Entry]]) -> list[Key]:
    # A refund that came back on the day it left, and of which the bank booked neither, is nothing.
    found: list[Key] = []
    for (_, back, reference), came in engine.items():
        left: Key = ("debit", False, reference)
        if back and left in engine and engine[left].day == came.day and not {left, came.key} & bank.keys():
            found += [left, came.key]
    return found


def _posted(ledger: Iterable[BankRow], day: date, keys: set[Key]) -> dict[Key, Decimal]:
    amounts: dict[Key, Decimal] = {}
    of_day = set(keys)
    for row in ledger:
        back = row.refund and row.amount > 0
        key: Key = ("debit" if row.refund and not back else "credit", back, row.reference)
        amounts[key] = amounts.get(key, Decimal(0)) + (-row.amount if key[0] == "debit" else row.amount)
        if row.day == day:
            of_day.add(key)
    return {key: amount for key, amount in amounts.items() if key in of_day}


def _item(
    key: Key, known: Known | None, entries: list[Entry], posted: Decimal | None, *, refused: bool
) -> Item:
    at_bank = plus(entry.amount for entry in entries) if entries else None
    amounts = {amount for amount in (known.amount if known else None, at_bank, posted) if amount is not None}
    undoes = key[1] or any(entry.reversal for entry in entries)
    holds = {
        Class.DOUBLE_IN_FILE: len(entries) > 1,
        Class.REVERSED: known is None and bool(entries) and undoes,
        Class.REFUSED: refused,
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
        reference=key[2],
        direction=key[0],
        bill_number=named,
        engine=known.amount if known else None,
        bank=at_bank,
        ledger=posted,
        engine_day=known.day if known else None,
        bank_day=entries[0].day if entries else None,
        entries=tuple(entries),
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
