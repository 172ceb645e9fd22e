"""The ledger: double entry, added to in the transaction that causes a posting, never changed.

Accounts: `receivable` (bills), `bank`, `revenue:FEE`, `vat`, `suspense` (paid, and nobody knows yet for
what), `refunds_payable` (owed back), `centre_share` (what service centres earn), `payable:CENTRE` (owed to
one), `settlement:CENTRE` (what stands in its statements), `treasury` (transferred for them). A posting is one
statement of several rows; the database refuses one whose debits are not its credits, and any change of what
stands there (migration 0012). Table: `case_ledger`.

A posting's `day` is the day the money moved, by the bank's word, or the bill was made: what a statement of
the bank has. Its `at` is the moment we wrote it down.
"""

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Column, Date, Integer, Table, Text, text
from sqlalchemy.orm import Session

from foundation.database import Base
from foundation.errors import InvalidInput, Malformed, TooLarge
from integrations.cases import csv_file
from integrations.cases.case import MOMENT, MONEY
from integrations.cases.money import amount_text, plus

RECEIVABLE, BANK, VAT = "receivable", "bank", "vat"
SUSPENSE, REFUNDS_PAYABLE = "suspense", "refunds_payable"

LEDGER = Table(
    "case_ledger",
    Base.metadata,
    Column("transaction", BigInteger, primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("debit", MONEY, nullable=False),
    Column("credit", MONEY, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("fee", Text),
    Column("day", Date, nullable=False),
    Column("at", MOMENT, nullable=False),
)

EXPORT_COLUMNS = (
    "transaction",
    "line",
    "day",
    "at",
    "kind",
    "account",
    "fee",
    "debit",
    "credit",
    "currency",
    "subject",
    "reference",
)
"""Columns of the export, in their order; new ones would come at the end."""
_LARGEST = 200_000_000  # bytes of an export that is read back
_AMOUNT = re.compile(r"[0-9]{1,12}\.[0-9]{2}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

ROWS = """
    SELECT numbered.transaction, rows.line, CAST(:kind AS text), rows.account, rows.debit, rows.credit,
           CAST(:subject AS text), CAST(:reference AS text), rows.fee, CAST(:day AS date),
           CAST(:at AS timestamptz)
    FROM (SELECT nextval('case_ledger_seq') AS transaction) AS numbered,
         unnest(CAST(:accounts AS text[]), CAST(:debits AS numeric[]), CAST(:credits AS numeric[]),
                CAST(:fees AS text[])) WITH ORDINALITY AS rows (account, debit, credit, fee, line)
"""
INTO = """
    INSERT INTO case_ledger
        (transaction, line, kind, account, debit, credit, subject, reference, fee, day, at)
"""
"""`INTO` and `ROWS` make a posting of the parameters of `Posting.words`, also inside a larger statement."""
_POST = text(INTO + ROWS)


@dataclass(frozen=True)
class Row:
    """One side of a posting.

    Args:
        amount: SAR; more than zero is a debit, less is a credit, and zero is left out.
        fee: code of the fee, for `revenue:FEE`.
    """

    account: str
    amount: Decimal
    fee: str | None = None


@dataclass(frozen=True)
class Posting:
    """One balanced transaction.

    Args:
        kind: bill, void, payment, assigned, returned, refund_sent, refund_failed, share, share_back, settled,
            transferred.
        subject: what it is about, such as case/SC-2026-000001.
        reference: the bill's number, or the bank's reference of a payment or refund.
        day: when the money moved, or the bill was made.
        at: when it is written down, aware.
    """

    kind: str
    subject: str
    reference: str
    day: date
    at: datetime
    rows: tuple[Row, ...]

    def words(self) -> dict[str, Any]:
        """The parameters of `ROWS`."""
        rows = [row for row in self.rows if row.amount]
        return {
            "kind": self.kind,
            "subject": self.subject,
            "reference": self.reference,
            "day": self.day,
            "at": self.at,
            "accounts": [row.account for row in rows],
            "debits": [max(row.amount, Decimal(0)) for row in rows],
            "credits": [max(-row.amount, Decimal(0)) for row in rows],
            "fees": [row.fee for row in rows],
        }


def moment(at: datetime) -> str:
    """A moment as it is exported: RFC 3339, UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def post(session: Session, posting: Posting) -> None:
    """Write a posting, in the caller's transaction."""
    session.execute(_POST, posting.words())


def of_bill(lines: Sequence[Mapping[str, Any]], amount: Decimal, sign: int) -> tuple[Row, ...]:
    """What a bill claims: receivable against the revenue of each fee and the tax.

    Args:
        lines: of its quote, as `fees.Line.to_json` writes them.
        amount: of the bill.
        sign: 1 claims, -1 takes the claim back.
    """
    revenue: dict[str, Decimal] = {}
    for line in lines:
        revenue[line["code"]] = revenue.get(line["code"], Decimal(0)) + Decimal(line["net"])
    tax = plus(Decimal(line["vat"]) for line in lines)
    return (
        Row(RECEIVABLE, sign * amount),
        *(Row(f"revenue:{code}", -sign * net, code) for code, net in revenue.items()),
        Row(VAT, -sign * tax),
    )


@dataclass(frozen=True)
class Balance:
    """What an account has seen; SAR."""

    account: str
    debit: Decimal
    credit: Decimal

    @property
    def balance(self) -> Decimal:
        """Debits less credits."""
        return self.debit - self.credit


_BALANCES = text(
    "SELECT account, sum(debit) AS debit, sum(credit) AS credit FROM case_ledger "
    "WHERE CAST(:until AS date) IS NULL OR day <= :until GROUP BY account ORDER BY account"
)


def trial_balance(session: Session, until: date | None = None) -> list[Balance]:
    """Every account that was posted to; the debits of all are the credits of all.

    Args:
        until: only what moved up to this day, inclusive.
    """
    return [Balance(*row) for row in session.execute(_BALANCES, {"until": until})]


_EXPORT = """
    SELECT transaction, line, day, at, kind, account, fee, debit, credit, subject, reference
    FROM case_ledger WHERE {} ORDER BY transaction, line
"""
_BY_DAY = text(_EXPORT.format("day BETWEEN :first AND :last"))
_BY_WRITTEN = text(
    _EXPORT.format(
        "at >= CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'Asia/Riyadh' "
        "AND at < CAST(CAST(:last AS date) + 1 AS timestamp) AT TIME ZONE 'Asia/Riyadh'"
    )
)


def rows(session: Session, first: date, last: date, *, written: bool = False) -> list[dict[str, Any]]:
    """The rows of some days, as they are exported: text, `day` ISO, amounts with halalas.

    Args:
        first, last: days, both inclusive.
        written: the days on which they were written down, and not those on which the money moved. A bank
            that tells us late adds to a day that was exported before; each posting is written down once.
    """
    days = {"first": first, "last": last}
    return [
        {
            "transaction": str(row["transaction"]),
            "line": str(row["line"]),
            "day": row["day"].isoformat(),
            "at": moment(row["at"]),
            "kind": row["kind"],
            "account": row["account"],
            "fee": row["fee"] or "",
            "debit": amount_text(row["debit"]),
            "credit": amount_text(row["credit"]),
            "currency": "SAR",
            "subject": row["subject"],
            "reference": row["reference"],
        }
        for row in session.execute(_BY_WRITTEN if written else _BY_DAY, days).mappings()
    ]


def as_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of `rows` as CSV with a header, for the financial system.

    Source: RFC 4180.
    """
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, EXPORT_COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def export(session: Session, first: date, last: date, *, written: bool = False) -> str:
    """The ledger of some days as CSV: `EXPORT_COLUMNS`, one row a line, times in UTC. Arguments as `rows`."""
    return as_csv(rows(session, first, last, written=written))


@dataclass(frozen=True)
class BankRow:
    """What an export says of the bank account under one reference.

    Args:
        amount: SAR; more than zero came in, less went out.
        refund: of a refund, which has a reference of its own, and not of a payment.
    """

    reference: str
    amount: Decimal
    day: date
    refund: bool


def read_export(data: bytes, place: str) -> list[BankRow]:
    """The postings to the bank account in an export, as the financial system hands it back.

    Args:
        place: name of the file, for errors.

    Raises:
        Malformed: it is no export of ours, or a row cannot be read; no more is taken for an amount or a day
            than what we write.
        InvalidInput: its debits are not its credits.
        TooLarge: over 200 MB.
    """
    if len(data) > _LARGEST:
        raise TooLarge("The ledger export is over 200 MB.", place=place, remedy="Export fewer days.")
    found, difference = [], Decimal(0)
    for at, row in csv_file.rows(data, place, set(EXPORT_COLUMNS), "The ledger export"):
        amount, day = _amount_and_day(row, at)
        difference += amount
        if row["account"] == BANK:
            found.append(BankRow(row["reference"], amount, day, row["kind"].startswith("refund_")))
    if difference:
        raise InvalidInput(
            f"The debits and credits of the ledger export differ by {amount_text(abs(difference))} SAR.",
            place=place,
            remedy="Rows are missing or were changed: export it again.",
        )
    return found


def _amount_and_day(row: Mapping[str, str], place: str) -> tuple[Decimal, date]:
    sides, written = (row["debit"], row["credit"]), row["day"]
    if (
        row["currency"] == "SAR"
        and all(_AMOUNT.fullmatch(side) for side in sides)
        and _DAY.fullmatch(written)
    ):
        with contextlib.suppress(ValueError):
            return Decimal(sides[0]) - Decimal(sides[1]), date.fromisoformat(written)
    raise Malformed("A row of the ledger export cannot be read.", place=place, remedy="Export it again.")
