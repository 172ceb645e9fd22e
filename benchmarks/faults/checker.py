"""Compares what clients were told with what the database holds; shares nothing with the platform but SQL.

`python -m benchmarks.faults.checker URL FOLDER`: FOLDER has the clients' files, told-*.jsonl, and the webhook
receiver's, events.jsonl. Prints a figure a line, name and value parted by a tab; what does not hold is a line
on stderr, and the exit code is 1.
"""

import json
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from benchmarks.faults.records import check_records
from benchmarks.faults.rows import Check

# Seconds without any paper made or event delivered, after which the worker is taken to be stuck.
_PATIENCE = 120.0
_END = {"immediate": "issued", "reviewed": "issued", "withdrawn": "withdrawn"}
_OUTCOMES = {"immediate": ["settled"], "reviewed": ["partial", "settled"], "withdrawn": ["held"]}


@dataclass
class Told:
    """What one client wrote of one case: by the name of the step, in the order they were begun.

    Args:
        habit: what the client does with its cases.
        sent: bodies of the requests.
        answers: to those that were answered.
    """

    habit: str
    sent: dict[str, Any]
    answers: dict[str, dict[str, Any]]

    @property
    def number(self) -> str | None:
        """Of the case, if the client was told."""
        return self.answers.get("submit", {}).get("number")


def main() -> None:
    """Check, and print."""
    url, folder = sys.argv[1:]
    with psycopg.connect(url, row_factory=dict_row, autocommit=True) as connection:
        check = checked(connection, Path(folder), _PATIENCE)
    for name, value in check.figures:
        print(f"{name}\t{value}")
    for fault in check.faults:
        print(fault, file=sys.stderr)
    sys.exit(bool(check.faults))


def checked(connection: "psycopg.Connection[dict[str, Any]]", folder: Path, patience: float) -> Check:
    """The findings.

    Args:
        connection: to the database, its rows as dictionaries.
        folder: of the clients' files.
        patience: seconds that the worker may do nothing of what is left.
    """
    told = _read(folder)
    events = folder / "events.jsonl"
    check = Check(connection)
    _await_worker(check, patience)
    _answers(check, told)
    _ends(check, told)
    check_records(check)
    if events.exists():
        _events(check, events)
    return check


def _read(folder: Path) -> dict[str, Told]:
    told: dict[str, Told] = {}
    for file in sorted(folder.glob("told-*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            case = told.setdefault(said["key"], Told(said["habit"], {}, {}))
            if "told" in said:
                case.answers[said["step"]] = said["told"]
            else:
                case.sent[said["step"]] = said["sent"]
    return told


def _await_worker(check: Check, patience: float) -> None:
    left = """
        SELECT (SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')
                AND coalesce(scheduled_at, now()) <= now())
             + (SELECT count(*) FROM webhook JOIN event
                ON event.subject LIKE 'case/%' OR event.subject LIKE 'licence/%'
                WHERE webhook.cursor IS NULL OR (event.transaction, event.id) >
                    (split_part(webhook.cursor, '-', 1)::xid8, split_part(webhook.cursor, '-', 2)::bigint))
            AS n
        """
    found = fewest = check.value(left)
    limit = time.monotonic() + patience
    while found and time.monotonic() < limit:
        time.sleep(0.5)
        found = check.value(left)
        if found < fewest:
            fewest, limit = found, time.monotonic() + patience
    check.same("jobs and webhooks left undone", found, 0)
    check.none("SELECT id, task_name FROM procrastinate_jobs WHERE status = 'failed'", "jobs failed")


def _answers(check: Check, told: dict[str, Told]) -> None:
    # What was told once is kept as it was told, so that it will be told again; the key "webhook" is of the
    # receiver's subscription.
    kept = {
        row["key"]: row["body"]
        for row in check.rows("SELECT key, body FROM idempotency WHERE status = 201 AND key <> 'webhook'")
    }
    steps = {
        (row["number"], row["version"]): row["state"]
        for row in check.rows(
            "SELECT substr(chain, 6) AS number, (details ->> 'version')::int AS version, "
            "details ->> 'to' AS state FROM audit WHERE chain LIKE 'case/%' AND details ? 'to'"
        )
    }
    for key, case in told.items():
        for step, answer in case.answers.items():
            if kept.get(f"{key}-{step}") != answer:
                check.faults.append(f"lost or changed: the answer to {step} of {case.number}")
            version = answer.get("case_version", answer.get("version") if "number" in answer else None)
            if version is not None and (case.number, version) not in steps:
                check.faults.append(f"lost: version {version} of {case.number}, told of {step}")
            elif "state" in answer and "number" in answer and steps[case.number, version] != answer["state"]:
                check.faults.append(f"changed: {case.number} at version {version}, told of {step}")
    check.same("answers told", sum(len(case.answers) for case in told.values()), len(kept))
    check.same("requests never answered", sum(len(c.sent) - len(c.answers) for c in told.values()), 0)


def _ends(check: Check, told: dict[str, Told]) -> None:
    cases = {row["number"]: row["state"] for row in check.rows("SELECT number, state FROM case_file")}
    bills = _by_case(check, "SELECT c.number, b.bill_number, b.amount, b.state FROM case_invoice b", "b")
    papers = _by_case(check, "SELECT c.number, d.code FROM case_document d", "d")
    payments = _by_case(
        check,
        "SELECT c.number, p.reference, p.outcome FROM case_payment p "
        "JOIN case_invoice i ON i.bill_number = p.bill_number",
        "i",
    )
    numbers = Counter(case.number for case in told.values() if case.number is not None)
    check.same("cases that two requests were told of", sum(n > 1 for n in numbers.values()), 0)
    check.same("cases", len(cases), len(told))
    for key, case in told.items():
        number = str(case.number)
        if cases.get(number) != _END[case.habit]:
            check.faults.append(f"{case.habit} and not {_END[case.habit]}: {number} is {cases.get(number)}")
        bill = case.answers.get("invoice", {})
        found = [(row["bill_number"], row["amount"]) for row in bills[number]]
        if found != [(bill.get("bill_number"), Decimal(bill.get("amount", 0)))]:
            check.faults.append(f"lost, doubled or changed: the bill of {number}")
        handed_in = sorted(step.removeprefix("document-") for step in case.sent if "document-" in step)
        if sorted(row["code"] for row in papers[number]) != handed_in:
            check.faults.append(f"lost or doubled: the documents of {number}")
        paid = [(row["reference"], row["outcome"]) for row in payments[number]]
        wanted = [(f"{key}-{place}", said) for place, said in enumerate(_OUTCOMES[case.habit], 1)]
        if paid != wanted:
            check.faults.append(
                f"lost, doubled or changed: the payments of {number}: {paid}, and not {wanted}"
            )


def _by_case(check: Check, query: str, of: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    table = query.partition(" FROM ")[2].split()[1]
    for row in check.rows(f"{query} JOIN case_file c ON c.id = {of}.case_id ORDER BY {table}.id"):
        found[row["number"]].append(row)
    return found


def _events(check: Check, file: Path) -> None:
    received = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    first = list(dict.fromkeys(message["id"] for message in received))
    published = [
        row["name"]
        for row in check.rows(
            "SELECT 'evt_' || transaction::text || '-' || id AS name FROM event "
            "WHERE subject LIKE 'case/%' OR subject LIKE 'licence/%' ORDER BY transaction, id"
        )
    ]
    check.same("events that the receiver got", len(first), len(published))
    check.figures.append(("of them more than once", len(received) - len(first)))
    wrong = next((place for place, (a, b) in enumerate(zip(first, published, strict=False)) if a != b), None)
    if wrong is not None:
        check.faults.append(f"events came out of order: {first[wrong]} where {published[wrong]} should stand")
    bodies: dict[str, Any] = {}
    if any(bodies.setdefault(m["id"], m["body"]) != m["body"] for m in received):
        check.faults.append("an event came with another body when it came again")


if __name__ == "__main__":
    main()
