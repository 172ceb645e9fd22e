"""Reads a bank's statement at the end of a day: CSV with a header, or ISO 20022 camt.053.

CSV: UTF-8, columns `reference`, `amount` (SAR, as 1234.50), `day` (ISO 8601) and, where the bank has them,
`direction` (credit, which is the default, or debit), `reversal` (true of an entry that undoes an earlier
one), `bill_number`, `currency`; others are passed over. A debit is money that left: a refund of ours, under
the reference that we gave it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from lxml import etree

from foundation.calendar import today
from foundation.errors import InvalidInput, Malformed, RakeezaError, TooLarge
from integrations.cases import csv_file
from integrations.cases.money import amount_text, plus, read_amount

LARGEST = 50_000_000
"""Bytes of a file, at most."""
Direction = Literal["credit", "debit"]

_COLUMNS = {"reference", "amount", "day"}
_NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001."
_NONE = "NOTPROVIDED"
# Pending, for information, of a day to come: what is booked of it comes again as such.
_NOT_YET = frozenset({"PDNG", "INFO", "FUTR"})
_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(Z|[+-][0-9]{2}:[0-9]{2})?")
# What a spreadsheet would reckon with: a payer's text must not run in a clerk's report.
_FORMULA = ("=", "+", "-", "@")
# Characters of a reference, and of what was written for the bill, at most.
_LONGEST = 140


@dataclass(frozen=True)
class Entry:
    """One movement on the municipality's account.

    Args:
        reference: the bank's own of money that came in; ours of money that left.
        amount: SAR, more than zero.
        day: on which the bank booked it.
        bill_number: that it was paid for, as the bank or the payer wrote it; "" where nobody did.
        place: line of the file.
        reversal: it undoes an earlier one: a refund that came back, a payment that the bank took back.
    """

    reference: str
    direction: Direction
    amount: Decimal
    day: date
    bill_number: str
    place: str
    reversal: bool = False


def read(data: bytes, place: str) -> list[Entry]:
    """The entries of a file, in its order; which form it has is seen from its first character.

    Args:
        place: name of the file, for errors.

    Raises:
        TooLarge: over `LARGEST`.
        Malformed: it is neither form, or an entry cannot be read; none is passed over in silence.
        InvalidInput: its own balances say that entries are missing.
    """
    if len(data) > LARGEST:
        raise TooLarge(
            f"The bank's file is over {LARGEST} bytes.", place=place, remedy="Ask for a day at a time."
        )
    body = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    return _camt(body, place) if body.startswith(b"<") else list(_csv(data, place))


def _csv(data: bytes, place: str) -> Iterator[Entry]:
    for at, row in csv_file.rows(data, place, _COLUMNS, "The bank's file"):
        yield _row(row, at)


def _row(row: Mapping[str, str], place: str) -> Entry:
    direction = (row.get("direction") or "credit").strip().lower()
    if direction not in ("credit", "debit"):
        raise _unreadable(place, f"the direction {direction[:20]!r} is neither credit nor debit")
    reversal = (row.get("reversal") or "false").strip().lower()
    if reversal not in ("true", "false"):
        raise _unreadable(place, f"the reversal {reversal[:20]!r} is neither true nor false")
    return _entry(
        row["reference"],
        "credit" if direction == "credit" else "debit",
        row["amount"],
        (row.get("currency") or "SAR").strip(),
        row["day"],
        row.get("bill_number"),
        place,
        reversal == "true",
    )


def _entry(
    reference: str | None,
    direction: Direction,
    amount: str | None,
    currency: str | None,
    day: str | None,
    bill_number: str | None,
    place: str,
    reversal: bool,
) -> Entry:
    known = (reference or "").strip()
    if not known:
        raise _unreadable(place, "it has no reference")
    if len(known) > _LONGEST or not known.isprintable() or known.startswith(_FORMULA):
        raise _unreadable(place, "its reference is not readable")
    if currency != "SAR":
        raise _unreadable(place, f"its currency is {currency!s:.10}, not SAR")
    try:
        value = read_amount((amount or "").strip(), "/amount")
        booked = _day((day or "").strip())
    except (RakeezaError, ValueError, OverflowError) as error:
        raise _unreadable(place, "its amount or day is not readable") from error
    return Entry(known, direction, value, booked, _readable(bill_number), place, reversal)


def _readable(written: str | None) -> str:
    # Payers write here what they like, marks that turn the order of letters round among it.
    plain = "".join(each for each in written or "" if each.isprintable())
    return plain.lstrip(" " + "".join(_FORMULA)).rstrip()[:_LONGEST]


def _day(text: str) -> date:
    if "T" not in text:
        # Python also reads weeks and dates without dashes; XML's dates may name a zone.
        found = _DAY.fullmatch(text)
        return date.fromisoformat(found[1] if found else "")
    at = datetime.fromisoformat(text)
    # A bank that gives a time without a zone means its own.
    return at.date() if at.tzinfo is None else today(now=at)


def _unreadable(place: str, why: str) -> Malformed:
    return Malformed(
        f"An entry of the bank's file cannot be read: {why}.",
        place=place,
        remedy="Ask the bank for the file again.",
    )


def _camt(data: bytes, place: str) -> list[Entry]:
    # A statement needs no DTD. Refused before it is parsed: what a parser does with one is its own affair.
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data or b"\x00" in data:
        raise Malformed("The bank's file declares a document type.", place=place, remedy="Take no such file.")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True,
        remove_pis=True,
    )  # fmt: skip
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Malformed(
            "The bank's file is no readable XML.", place=place, remedy="Ask the bank again."
        ) from error
    name = etree.QName(root)
    if name.localname != "Document" or not (name.namespace or "").startswith(_NAMESPACE):
        raise Malformed(
            "The bank's file is XML, and no camt.053.", place=place, remedy="Ask for camt.053, the statement."
        )
    names = {"c": name.namespace}
    statements = root.findall("c:BkToCstmrStmt/c:Stmt", names)
    if not statements:
        raise Malformed("The bank's file holds no statement.", place=place, remedy="Ask the bank again.")
    entries: list[Entry] = []
    for statement in statements:
        entries.extend(_statement(statement, names, place))
    return entries


def _statement(statement: Any, names: dict[str, str], place: str) -> list[Entry]:
    entries: list[Entry] = []
    moved = Decimal(0)
    for booked in statement.findall("c:Ntry", names):
        at = f"{place}:{booked.sourceline}"
        if not _is_booked(booked, names, at):
            continue
        credit = _is_credit(booked, names, at)
        details = booked.findall("c:NtryDtls/c:TxDtls", names)
        found = [_booked(booked, each, credit, names, at) for each in details or [None]]
        whole = _amount(booked, "c:Amt", names, at)
        if plus(entry.amount for entry in found) != whole:
            raise InvalidInput(
                f"The parts of an entry do not come to its {amount_text(whole)} SAR.",
                place=at,
                remedy="Ask the bank for the file again.",
            )
        moved += whole if credit else -whole
        entries.extend(found)
    _check_balances(statement, moved, names, place)
    return entries


def _is_booked(booked: Any, names: dict[str, str], at: str) -> bool:
    # The code stands in the element itself before version 3.
    status = (booked.findtext("c:Sts/c:Cd", None, names) or booked.findtext("c:Sts", "", names)).strip()
    if booked.find("c:Sts", names) is None or status == "BOOK":
        return True
    if status not in _NOT_YET:
        raise _unreadable(at, f"its status {status[:20]!r} is none of ISO 20022")
    return False


def _booked(booked: Any, details: Any, credit: bool, names: dict[str, str], at: str) -> Entry:
    part = booked if details is None else details
    node = next(
        (
            found
            for path in ("c:Amt", "c:AmtDtls/c:TxAmt/c:Amt")
            if (found := part.find(path, names)) is not None
        ),
        booked.find("c:Amt", names),
    )
    refs = {
        tag: part.findtext(f"c:Refs/c:{tag}", None, names) for tag in ("AcctSvcrRef", "TxId", "EndToEndId")
    }
    own = booked.findtext("c:AcctSvcrRef", None, names)
    end = refs["EndToEndId"] if refs["EndToEndId"] != _NONE else None
    reversal = (booked.findtext("c:RvslInd", "false", names)).strip() in ("true", "1")
    # Of a refund, that it left or that it came back, the reference is the one that we gave it.
    ours = credit == reversal
    reference = (end or own) if ours else (refs["AcctSvcrRef"] or refs["TxId"] or own or end)
    remittance = part.findtext("c:RmtInf/c:Strd/c:CdtrRefInf/c:Ref", None, names) or part.findtext(
        "c:RmtInf/c:Ustrd", None, names
    )
    day = booked.findtext("c:BookgDt/c:Dt", None, names) or booked.findtext("c:BookgDt/c:DtTm", None, names)
    return _entry(
        reference,
        "credit" if credit else "debit",
        None if node is None else node.text,
        None if node is None else node.get("Ccy"),
        day,
        remittance,
        at,
        reversal,
    )


def _is_credit(part: Any, names: dict[str, str], at: str) -> bool:
    way = part.findtext("c:CdtDbtInd", None, names)
    if way not in ("CRDT", "DBIT"):
        raise _unreadable(at, "it is neither credit nor debit")
    return bool(way == "CRDT")


def _amount(part: Any, path: str, names: dict[str, str], at: str) -> Decimal:
    try:
        return read_amount(part.findtext(path, "", names).strip(), "/amount")
    except InvalidInput as error:
        raise _unreadable(at, "its amount is not readable") from error


def _check_balances(statement: Any, moved: Decimal, names: dict[str, str], place: str) -> None:
    # Booked balances at its begin and end: a bank may leave them out, and may not contradict them.
    found: dict[str, Decimal] = {}
    for balance in statement.findall("c:Bal", names):
        code = balance.findtext("c:Tp/c:CdOrPrtry/c:Cd", "", names)
        text = balance.findtext("c:Amt", "", names).strip()
        # A balance may be zero, which no amount of ours is.
        value = Decimal(0) if not text.strip("0.") and text else _amount(balance, "c:Amt", names, place)
        found[code] = value if _is_credit(balance, names, place) else -value
    if {"OPBD", "CLBD"} <= set(found) and found["OPBD"] + moved != found["CLBD"]:
        raise InvalidInput(
            "The entries of the bank's file do not lead from its opening to its closing balance.",
            place=place,
            remedy="Entries are missing or were changed: ask the bank for the file again.",
        )
