"""Compares what clients were told with what the database holds; shares nothing with the platform but SQL.

`python -m benchmarks.faults.checker URL FOLDER`: FOLDER has the clients' files, told-*.jsonl. Prints a figure
a line, name and value parted by a tab; what does not hold is a line on stderr, and the exit code is 1.
"""

import hashlib
import json
import sys
import time
from collections import Counter, defaultdict
from datetime import UTC
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

# Papers are made by the worker after the licence; seconds to wait for the last of them.
_PAPERS = 120.0


class Check:
    """The findings."""

    def __init__(self, connection: "psycopg.Connection[dict[str, Any]]") -> None:
        self._connection = connection
        self.faults: list[str] = []
        self.figures: list[tuple[str, object]] = []

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a query."""
        return self._connection.execute(sql).fetchall()

    def none(self, sql: str, told: str) -> None:
        """A query that must find nothing."""
        found = self.rows(sql)
        if found:
            self.faults.append(f"{len(found)} {told}, as {found[0]}")

    def same(self, name: str, found: object, wanted: object) -> None:
        """A figure that must be another one."""
        self.figures.append((name, found))
        if found != wanted:
            self.faults.append(f"{name}: {found}, and not {wanted}")


def main() -> None:
    """Check, and print."""
    url, folder = sys.argv[1:]
    asked, told = _read(Path(folder))
    with psycopg.connect(url, row_factory=dict_row, autocommit=True) as connection:
        check = Check(connection)
        _await_papers(check)
        _told(check, asked, told)
        _inner(check)
        _money(check)
        _chains(check)
    for name, value in check.figures:
        print(f"{name}\t{value}")
    for fault in check.faults:
        print(fault, file=sys.stderr)
    sys.exit(bool(check.faults))


def _read(folder: Path) -> tuple[set[tuple[str, str]], dict[str, dict[str, dict[str, Any]]]]:
    asked: set[tuple[str, str]] = set()
    told: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for file in sorted(folder.glob("told-*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            if "asked" in said:
                asked.add((said["key"], said["step"]))
            else:
                told[said["key"]][said["step"]] = said["told"]
    return asked, told


def _await_papers(check: Check) -> None:
    limit = time.monotonic() + _PAPERS
    missing = (
        "SELECT count(*) AS n FROM licence l LEFT JOIN licence_document d ON d.licence_id = l.id "
        "WHERE d.pdf IS NULL"
    )
    while check.rows(missing)[0]["n"] and time.monotonic() < limit:
        time.sleep(0.5)
    check.same("licences without a paper", check.rows(missing)[0]["n"], 0)


def _told(check: Check, asked: set[tuple[str, str]], told: dict[str, dict[str, dict[str, Any]]]) -> None:
    cases = {row["number"]: row for row in check.rows("SELECT number, state, version FROM case_file")}
    bills = {
        row["bill_number"]: row
        for row in check.rows(
            "SELECT b.bill_number, b.amount, b.state, c.number FROM case_invoice b "
            "JOIN case_file c ON c.id = b.case_id"
        )
    }
    payments = {
        row["reference"]: row for row in check.rows("SELECT reference, amount, outcome FROM case_payment")
    }
    numbers = Counter(steps["submit"]["number"] for steps in told.values() if "submit" in steps)
    check.same("cases that two requests were told of", sum(n > 1 for n in numbers.values()), 0)
    for key, steps in told.items():
        number = steps.get("submit", {}).get("number")
        if number is not None and number not in cases:
            check.faults.append(f"lost: the case {number} of {key}")
        if "invoice" in steps:
            bill = bills.get(steps["invoice"]["bill_number"])
            if (
                bill is None
                or bill["number"] != number
                or bill["amount"] != Decimal(steps["invoice"]["amount"])
            ):
                check.faults.append(f"lost or changed: the bill of {number}")
        if "pay" in steps:
            payment = payments.get(key)
            if payment is None or payment["outcome"] != steps["pay"]["outcome"]:
                check.faults.append(f"lost or changed: the payment {key}")
            if steps["pay"]["settled"] and cases.get(number, {}).get("state") != "issued":
                check.faults.append(f"paid and not issued: {number}")
    submitted = {key for key, step in asked if step == "submit"}
    check.same("submissions begun", len(submitted), len(told))
    check.same("cases", len(cases), len(numbers))
    check.same("licences that clients paid for", sum("pay" in steps for steps in told.values()), len(numbers))


def _inner(check: Check) -> None:
    check.same(
        "licences",
        check.rows("SELECT count(*) AS n FROM licence")[0]["n"],
        check.rows("SELECT count(*) AS n FROM case_file WHERE state = 'issued'")[0]["n"],
    )
    check.none(
        "SELECT licence_id FROM licence_version GROUP BY licence_id, version HAVING count(*) > 1",
        "licences were made twice",
    )
    check.none(
        "SELECT l.number FROM licence l JOIN case_file c ON c.licence_id = l.id "
        "LEFT JOIN case_invoice b ON b.case_id = c.id AND b.state = 'settled' WHERE b.id IS NULL",
        "licences have no settled bill",
    )
    for table, column in (("case_file", "number"), ("licence", "number")):
        check.none(
            f"SELECT {column} FROM (SELECT {column}, row_number() OVER (ORDER BY {column}) AS place, "
            f"right({column}, 6)::int AS counted FROM {table}) AS numbered WHERE place <> counted",
            f"numbers of {table} leave a gap",
        )
    check.none(
        "SELECT number FROM case_file WHERE version <> (SELECT count(*) FROM audit "
        "WHERE chain = 'case/' || number AND details ? 'to')",
        "cases have another version than their journal",
    )
    moved = "SELECT count(*) AS n FROM event WHERE kind IN ('case.submitted', 'case.moved')"
    check.same(
        "events of cases",
        check.rows(moved)[0]["n"],
        check.rows("SELECT sum(version) AS n FROM case_file")[0]["n"],
    )
    check.none("SELECT caller, key FROM idempotency WHERE status = 0", "keys were kept without an answer")


def _money(check: Check) -> None:
    found = check.rows("SELECT coalesce(sum(debit), 0) AS d, coalesce(sum(credit), 0) AS c FROM case_ledger")[
        0
    ]
    check.same("ledger, debit less credit", f"{found['d'] - found['c']:.2f}", "0.00")
    bank = check.rows("SELECT coalesce(sum(debit - credit), 0) AS n FROM case_ledger WHERE account = 'bank'")[
        0
    ]["n"]
    paid = check.rows("SELECT coalesce(sum(amount), 0) AS n FROM case_payment WHERE status = 'paid'")[0]["n"]
    check.same("SAR at the bank", f"{bank:.2f}", f"{paid:.2f}")
    check.none("SELECT reference FROM case_payment WHERE outcome <> 'settled'", "payments settled nothing")


def _chains(check: Check) -> None:
    chains: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in check.rows("SELECT chain, position, at, actor, action, details, previous, hash FROM audit"):
        chains[row["chain"]].append(row)
    broken = 0
    for entries in chains.values():
        previous = bytes(32)
        for expected, row in enumerate(sorted(entries, key=lambda row: int(row["position"])), 1):
            content = {
                "chain": row["chain"],
                "position": row["position"],
                "at": row["at"].astimezone(UTC).isoformat(timespec="microseconds"),
                "actor": row["actor"],
                "action": row["action"],
                "details": row["details"],
            }

            text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
            digest = hashlib.sha256(previous + text.encode()).digest()
            if row["position"] != expected or row["previous"] != previous or row["hash"] != digest:
                broken += 1
                break
            previous = row["hash"]
    check.same("broken chains", broken, 0)
    check.figures.append(("chains verified", len(chains)))


if __name__ == "__main__":
    main()
