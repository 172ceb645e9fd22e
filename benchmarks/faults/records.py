"""What must hold in the records of cases whatever clients were told: counts, numbers, money, chains."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC
from typing import Any

from benchmarks.faults.rows import Check


def check_records(check: Check) -> None:
    """All of it."""
    _licences(check)
    _numbers(check)
    _journals(check)
    _money(check)
    _chains(check)
    _seals(check)
    check.none("SELECT caller, key FROM idempotency WHERE status = 0", "keys were kept without an answer")


def _licences(check: Check) -> None:
    issued = check.value("SELECT count(*) AS n FROM case_file WHERE state = 'issued'")
    check.same("licences", check.value("SELECT count(*) AS n FROM licence"), issued)
    check.same("versions of licences", check.value("SELECT count(*) AS n FROM licence_version"), issued)
    check.same("papers", check.value("SELECT count(pdf) AS n FROM licence_document"), issued)
    check.none(
        "SELECT c.number FROM case_file c LEFT JOIN licence_version v ON v.case_id = c.id "
        "LEFT JOIN licence_document d ON d.licence_id = v.licence_id AND d.version = v.version "
        "WHERE c.state = 'issued' AND (v.licence_id IS DISTINCT FROM c.licence_id OR d.pdf IS NULL)",
        "cases are issued and have no licence with its paper",
    )
    check.none(
        "SELECT c.number FROM case_file c LEFT JOIN case_invoice b ON b.case_id = c.id "
        "AND b.state = 'settled' WHERE c.state = 'issued' AND b.id IS NULL",
        "licences have no settled bill",
    )
    check.none(
        "SELECT c.number FROM case_file c JOIN case_invoice b ON b.case_id = c.id "
        "WHERE c.state <> 'issued' AND b.state <> 'void'",
        "cases without a licence have a bill that is not void",
    )


def _numbers(check: Check) -> None:
    for table in ("case_file", "licence"):
        check.none(
            f"SELECT number FROM (SELECT number, row_number() OVER (ORDER BY number) AS place, "
            f"right(number, 6)::int AS counted FROM {table}) AS numbered WHERE place <> counted",
            f"numbers of {table} leave a gap",
        )


def _journals(check: Check) -> None:
    check.none(
        "SELECT c.number FROM case_file c LEFT JOIN (SELECT chain, count(*) AS steps, "
        "array_agg((details ->> 'version')::int ORDER BY position) AS versions FROM audit "
        "WHERE details ? 'to' GROUP BY chain) AS a ON a.chain = 'case/' || c.number "
        "WHERE a.steps IS DISTINCT FROM c.version "
        "OR a.versions <> ARRAY(SELECT generate_series(1, c.version))",
        "cases have another version than their journal",
    )
    check.none(
        "SELECT c.number FROM case_file c LEFT JOIN LATERAL (SELECT details ->> 'to' AS state "
        "FROM audit WHERE chain = 'case/' || c.number AND details ? 'to' ORDER BY position DESC LIMIT 1) "
        "AS last ON true WHERE last.state IS DISTINCT FROM c.state",
        "cases are in another state than their journal says",
    )
    # A document makes a new version of its case, and moves nothing.
    check.same(
        "events of moves",
        check.value("SELECT count(*) AS n FROM event WHERE kind IN ('case.submitted', 'case.moved')"),
        check.value(
            "SELECT count(*) AS n FROM audit "
            "WHERE chain LIKE 'case/%' AND details ? 'to' AND action <> 'document'"
        ),
    )


def _money(check: Check) -> None:
    balance = check.value("SELECT coalesce(sum(debit - credit), 0)::numeric(14, 2) AS n FROM case_ledger")
    check.same("ledger, debit less credit", str(balance), "0.00")
    bank = (
        "SELECT coalesce(sum(debit - credit), 0)::numeric(14, 2) AS n FROM case_ledger WHERE account = 'bank'"
    )
    paid = "SELECT coalesce(sum(amount), 0)::numeric(14, 2) AS n FROM case_payment WHERE status = 'paid'"
    check.same("SAR at the bank", str(check.value(bank)), str(check.value(paid)))
    check.none(
        "SELECT b.bill_number FROM case_invoice b LEFT JOIN case_payment p ON p.invoice_id = b.id "
        "GROUP BY b.id HAVING b.credited <> coalesce(sum(p.credited), 0)",
        "bills are credited with another sum than their payments",
    )
    check.none(
        "SELECT reference FROM case_payment WHERE amount <> credited + refunding AND outcome <> 'held'",
        "payments are neither credited nor owed back in full, and wait for nobody",
    )
    check.none(
        "SELECT p.reference FROM case_payment p LEFT JOIN case_refund r ON r.payment_id = p.id "
        "AND r.state <> 'failed' GROUP BY p.id HAVING p.refunding <> coalesce(sum(r.amount), 0)",
        "payments are owed back with another sum than their refunds",
    )


def _chains(check: Check) -> None:
    chains: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in check.rows("SELECT chain, position, at, actor, action, details, previous, hash FROM audit"):
        chains[row["chain"]].append(row)
    heads = {
        row["chain"]: (row["position"], row["hash"])
        for row in check.rows("SELECT chain, position, hash FROM audit_head")
    }
    broken = [
        chain
        for chain in sorted(chains.keys() | heads.keys())
        if _end(sorted(chains[chain], key=lambda row: int(row["position"]))) != heads.get(chain)
    ]
    check.same("broken chains", len(broken), 0)
    check.faults += [f"the chain {chain} is broken" for chain in broken[:5]]
    check.figures.append(("chains verified", len(chains)))


def _end(entries: list[dict[str, Any]]) -> tuple[int, bytes] | None:
    """Position and hash of the last entry; None if one does not follow the one before it."""
    previous = bytes(32)
    for expected, row in enumerate(entries, 1):
        content = {name: row[name] for name in ("chain", "position", "actor", "action", "details")}
        content["at"] = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
        digest = _hash(previous, content)
        if (row["position"], row["previous"], row["hash"]) != (expected, previous, digest):
            return None
        previous = digest
    return len(entries), previous


def _seals(check: Check) -> None:
    entries = {
        (row["chain"], row["position"]): row["hash"].hex()
        for row in check.rows("SELECT chain, position, hash FROM audit")
    }
    previous, broken, count = bytes(32), 0, 0
    for count, row in enumerate(check.rows("SELECT * FROM audit_seal ORDER BY position"), 1):
        content = {"position": row["position"], "heads": row["heads"]}
        content["at"] = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
        kept = all(entries.get((chain, head[0])) == head[1] for chain, head in row["heads"].items())
        same = (row["position"], row["previous"], row["hash"]) == (count, previous, _hash(previous, content))
        broken += not (kept and same)
        previous = row["hash"]
    check.same("broken seals", broken, 0)
    check.figures.append(("seals verified", count))


def _hash(previous: bytes, content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(previous + text.encode()).digest()
