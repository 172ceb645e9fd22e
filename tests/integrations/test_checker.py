"""The checker of the kill campaign: it passes what is right, and finds each fault that is planted."""

import json
import uuid
from pathlib import Path
from typing import Any, cast

import psycopg
import pytest
from psycopg.rows import dict_row

from benchmarks.faults.checker import checked
from benchmarks.faults.clients import Habit, Teller
from tests.integrations.desk import Desk
from tests.integrations.face import Face, submission

pytest_plugins = ["tests.integrations.face_fixtures"]

HABITS: tuple[Habit, ...] = ("immediate", "immediate", "reviewed", "withdrawn")
# What is planted, and what the checker must say of it; triggers and references do not stand in the way.
FAULTS = {
    "DELETE FROM licence WHERE id = 1": "licences: 2, and not 3",
    "INSERT INTO licence_version SELECT 4, licence_id, 2, copy, outcome, status, subject, valid_from, "
    "valid_to, shown, form, personal, credential, made_at FROM licence_version WHERE case_id = 1": (
        "versions of licences"
    ),
    "DELETE FROM licence_document WHERE licence_id = 2": "papers: 2, and not 3",
    "UPDATE licence SET number = 'SL-2026-000009' WHERE id = 3": "numbers of licence leave a gap",
    "UPDATE case_file SET number = 'SC-2026-000009' WHERE id = 4": "numbers of case_file leave a gap",
    "DELETE FROM case_file WHERE id = 1": "lost, doubled or changed: the answer|cases: 3, and not 4",
    "UPDATE case_file SET state = 'paid' WHERE id = 1": "immediate and not issued",
    "INSERT INTO case_payment (reference, bill_number, invoice_id, amount, status, outcome, late, settles, "
    "credited, refunding, paid_at, day, client, from_file, received_at) SELECT reference || '-again', "
    "bill_number, invoice_id, amount, status, outcome, late, settles, credited, refunding, paid_at, day, "
    "client, from_file, received_at FROM case_payment WHERE id = 1": "lost, doubled or changed: the payments",
    "UPDATE case_payment SET credited = credited - 1 WHERE id = 1": "bills are credited with another sum",
    "UPDATE case_invoice SET amount = amount + 1, credited = credited + 1 WHERE id = 1": "the bill of",
    "UPDATE case_ledger SET debit = debit + 1 WHERE account = 'bank'": "ledger, debit less credit",
    "UPDATE audit SET details = details || '{\"total\": \"1.00\"}' WHERE action = 'quote'": "is broken",
    "UPDATE audit SET at = at + interval '1 second' WHERE action = 'approve'": "is broken",
    "DELETE FROM audit WHERE action = 'issue'": "cases have another version than their journal",
    "UPDATE audit_head SET position = position - 1": "is broken",
    "DELETE FROM event WHERE id = 2": "events of moves",
    "UPDATE idempotency SET body = body || '{\"state\": \"lapsed\"}' WHERE key LIKE '%-submit'": "the answer",
    "DELETE FROM idempotency WHERE key LIKE '%-quote'": "lost or changed: the answer to quote",
    "UPDATE idempotency SET status = 0 WHERE key LIKE '%-invoice'": "keys were kept without an answer",
    "DELETE FROM case_document WHERE id = 1": "lost or doubled: the documents",
    "UPDATE procrastinate_jobs SET status = 'doing'": "jobs and webhooks left undone",
    "UPDATE procrastinate_jobs SET status = 'failed'": "jobs failed",
}

Connection = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def told(api: Face, desk: Desk, tmp_path: Path) -> Path:
    """The clients' files, when each has brought one case to its end and its paper is made."""
    folder = tmp_path / "told"
    folder.mkdir()
    tokens = {role: api.tokens[name] for role, name in _CLIENTS.items()}
    for number, habit in enumerate(HABITS):
        teller = Teller(
            str(api.anyone.base_url), tokens, submission(), folder / f"told-{number}.jsonl", habit
        )
        teller.case(str(uuid.uuid4()))
        teller.close()
        assert teller.retries == 0
    desk.work_off()
    return folder


_CLIENTS = {"centre": "centre-1", "payment": "bank", "reviewer": "reviewer"}


@pytest.fixture
def connection(desk: Desk) -> Any:
    """To the office's database."""
    with psycopg.connect(desk.database.connection_info, row_factory=dict_row, autocommit=True) as opened:
        yield opened


def test_what_is_right_passes_and_each_planted_fault_is_found(told: Path, connection: Connection) -> None:
    right = checked(connection, told, 0.0)
    assert right.faults == []
    assert dict(right.figures)["licences"] == 3
    for planted, said in FAULTS.items():
        with connection.transaction(force_rollback=True):
            connection.execute("SET LOCAL session_replication_role = replica")
            assert connection.execute(cast("Any", planted)).rowcount > 0, planted
            found = checked(connection, told, 0.0).faults
        assert any(each in fault for fault in found for each in said.split("|")), (planted, found)
    assert checked(connection, told, 0.0).faults == []


def test_what_clients_were_told_and_the_database_lost_is_found(told: Path, connection: Connection) -> None:
    lines = [json.loads(line) for line in (told / "told-0.jsonl").read_text().splitlines()]
    unanswered = [line for line in lines if not ("told" in line and line["step"] == "quote")]
    _write(told / "told-0.jsonl", unanswered)
    assert "requests never answered: 1, and not 0" in checked(connection, told, 0.0).faults
    strange = [{**line, "key": "nobody"} for line in lines]
    _write(told / "told-0.jsonl", strange)
    assert any("lost" in fault for fault in checked(connection, told, 0.0).faults)


def test_events_that_a_receiver_lacks_or_got_out_of_order_are_found(
    told: Path, connection: Connection
) -> None:
    rows = connection.execute(
        "SELECT transaction::text AS transaction, id FROM event "
        "WHERE subject LIKE 'case/%' OR subject LIKE 'licence/%' ORDER BY event.transaction, id"
    ).fetchall()
    got = [{"id": f"evt_{row['transaction']}-{row['id']}", "body": {"n": row["id"]}} for row in rows]
    _write(told / "events.jsonl", [*got[:3], *got])
    right = checked(connection, told, 0.0)
    assert right.faults == []
    assert dict(right.figures)["of them more than once"] == 3
    _write(told / "events.jsonl", got[:-1])
    assert any("events that the receiver got" in fault for fault in checked(connection, told, 0.0).faults)
    _write(told / "events.jsonl", [*got[:2], got[3], got[2], *got[4:]])
    assert any("out of order" in fault for fault in checked(connection, told, 0.0).faults)
    _write(told / "events.jsonl", [*got, {**got[0], "body": {}}])
    assert any("another body" in fault for fault in checked(connection, told, 0.0).faults)


def _write(file: Path, lines: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
