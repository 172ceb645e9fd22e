"""Copies of the rows that the engine wrote of a few cases, as many as are asked, by SQL alone."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from foundation.database import Database

# Above every number that the engine gave the cases that are copied.
_FIRST = 1_000
# Of 20 copies so many are of the first case, the second, the third.
_SHARES = ((0, 16), (16, 19), (19, 20))
_NUMBER = "'SC-2025-' || lpad(n::text, 7, '0')"
_CHAIN = f"'case/' || {_NUMBER}"
_LICENCE = "'SL-2025-' || lpad(n::text, 7, '0')"
# Over a year, the newest last, as they came.
_AT = "now() - make_interval(secs => 31e6 * (:size - n) / :size)"
_SUBJECT = "sha256(('holder ' || n % (:size / 3 + 1))::bytea)"
_PLACE = "'حي ' || n % 50"
_OF_CASE = "t.case_id = :case"
_OF_CHAIN = "t.chain = 'case/' || :number"
_OF_SUBJECT = "t.subject = 'case/' || :number"


@dataclass(frozen=True)
class _Table:
    """How the rows of one case in a table become those of its copy number n.

    Args:
        mine: which rows are the case's.
        other: columns that differ, as expressions.
        often: rows of one case, so that copies get numbers that are nobody else's.
    """

    name: str
    mine: str
    other: dict[str, str]
    often: int = 1


_ID = f"{_FIRST} + n"


def _many(often: int, column: str = "t.id") -> str:
    # The rows of one copy beside one another, in their order.
    return f"{_FIRST} + n * {often} + row_number() OVER (PARTITION BY n ORDER BY {column})"


_TABLES = (
    _Table(
        "licence",
        "t.id = (SELECT licence_id FROM case_file WHERE id = :case)",
        {"id": _ID, "number": _LICENCE, "subject": _SUBJECT, "issued_at": _AT, "status_since": _AT},
    ),
    _Table(
        "case_file",
        "t.id = :case",
        {
            "id": _ID,
            "number": _NUMBER,
            "centre": "'client/centre-' || n % 26",
            "licence_id": f"CASE WHEN t.licence_id IS NOT NULL THEN {_ID} END",
            "subject": _SUBJECT,
            "form": "t.form || jsonb_build_object('trade_name', md5(n::text))",
            "place": _PLACE,
            "due": "t.due + make_interval(secs => n * 7919 % 2600000)",
            "timer_at": "t.timer_at + make_interval(secs => n * 7919 % 2600000)",
            "escalated": "t.closed_at IS NULL AND n % 97 = 0",
            "entered_at": _AT,
            "submitted_at": _AT,
            "changed_at": _AT,
            "closed_at": f"CASE WHEN t.closed_at IS NOT NULL THEN {_AT} END",
        },
    ),
    _Table(
        "audit",
        _OF_CHAIN,
        {"chain": _CHAIN, "at": _AT, "hash": "sha256((n || ' ' || t.position)::bytea)"},
    ),
    _Table("audit_head", _OF_CHAIN, {"chain": _CHAIN, "sealed": "t.position"}),
    _Table("event", _OF_SUBJECT, {"id": _many(8), "subject": _CHAIN, "at": _AT}),
    _Table("case_quote", _OF_CASE, {"id": _ID, "case_id": _ID, "made_at": _AT}),
    _Table(
        "case_invoice",
        _OF_CASE,
        {"id": _ID, "bill_number": "'25' || lpad(n::text, 11, '0')", "case_id": _ID, "quote_id": _ID},
    ),
    _Table(
        "case_payment",
        "t.invoice_id = (SELECT id FROM case_invoice WHERE case_id = :case)",
        {
            "id": _ID,
            "reference": "md5(n::text)::uuid::text",
            "bill_number": "'25' || lpad(n::text, 11, '0')",
            "invoice_id": _ID,
            "paid_at": _AT,
            "day": f"({_AT})::date",
            "received_at": _AT,
        },
    ),
    _Table(
        "case_ledger",
        _OF_SUBJECT,
        {
            "transaction": f"{_FIRST} + n * 2 + (t.kind = 'payment')::int",
            "subject": _CHAIN,
            "reference": "CASE t.kind WHEN 'bill' THEN '25' || lpad(n::text, 11, '0') "
            "ELSE md5(n::text)::uuid::text END",
            "day": f"({_AT})::date",
            "at": _AT,
        },
    ),
    _Table(
        "licence_version",
        _OF_CASE,
        {"case_id": _ID, "licence_id": _ID, "subject": _SUBJECT, "made_at": _AT, "status_index": _ID},
    ),
    _Table(
        "procrastinate_jobs",
        "t.args -> 'payload' ->> 'licence' = (SELECT licence.number FROM licence JOIN case_file "
        "ON case_file.licence_id = licence.id WHERE case_file.id = :case)",
        {"id": _ID, "status": "'succeeded'", "attempts": "1"},
    ),
    _Table(
        "idempotency",
        "t.body ->> 'number' = :number OR t.body ->> 'case' = :number",
        {"key": "md5(n::text || t.key)::uuid::text || right(t.key, 2)", "at": _AT},
    ),
)
_COUNTED = (
    "licence",
    "case_file",
    "event",
    "case_quote",
    "case_invoice",
    "case_payment",
    "procrastinate_jobs",
)
# Those that no column owns, and the highest number that was taken.
_SEQUENCES = {
    "case_ledger_seq": "SELECT max(transaction) FROM case_ledger",
    "licence_status_index": "SELECT max(status_index) FROM licence_version",
}
_INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY(:tables)
    AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)
"""
_COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = :table ORDER BY ordinal_position
"""
_CASES = """
    SELECT id, number FROM case_file
    ORDER BY CASE state WHEN 'issued' THEN 1 WHEN 'under_review' THEN 2 ELSE 3 END
"""


def fill(database: Database, size: int) -> None:
    """Copy the three cases of a database: issued, under review, billed.

    Args:
        database: that has these three and no more.
        size: copies.
    """
    with database.engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        # The rows are right as they stand; what follows from them is not reckoned again.
        for setting in (
            "session_replication_role = replica",
            "synchronous_commit = off",
            "work_mem = '64MB'",
        ):
            connection.execute(text(f"SET {setting}"))
        connection.execute(text("SET maintenance_work_mem = '1GB'"))
        connection.execute(text("ALTER SYSTEM SET max_wal_size = '16GB'"))
        connection.execute(text("ALTER SYSTEM SET autovacuum = off"))
        connection.execute(text("SELECT pg_reload_conf()"))
        names = [table.name for table in _TABLES]
        indexes = connection.execute(text(_INDEXES), {"tables": names}).all()
        for index in indexes:
            connection.execute(text(f"DROP INDEX {index.indexname}"))
        cases = connection.execute(text(_CASES)).all()
        for table in _TABLES:
            for case, share in zip(cases, _SHARES, strict=True):
                _copy(connection, table, {"case": case.id, "number": case.number, "size": size}, share)
        for index in indexes:
            connection.execute(text(index.indexdef))
        for name in _COUNTED:
            connection.execute(
                text(f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), (SELECT max(id) FROM {name}))")
            )
        for sequence, highest in _SEQUENCES.items():
            connection.execute(text(f"SELECT setval('{sequence}', ({highest}))"))
        connection.execute(text("ALTER SYSTEM RESET ALL"))
        connection.execute(text("SELECT pg_reload_conf()"))
        connection.execute(text("VACUUM ANALYZE"))
        connection.execute(text("CHECKPOINT"))
        plain.detach()


def _copy(connection: Connection, table: _Table, words: dict[str, Any], share: tuple[int, int]) -> None:
    columns = list(connection.execute(text(_COLUMNS), {"table": table.name}).scalars())
    values = ", ".join(table.other.get(column, f"t.{column}") for column in columns)
    # Answers are kept for 30 days.
    first = words["size"] * 9 // 10 if table.name == "idempotency" else 1
    query = (
        f"INSERT INTO {table.name} ({', '.join(columns)}) OVERRIDING SYSTEM VALUE SELECT {values} "
        f"FROM generate_series({first}::bigint, {words['size']}) AS n CROSS JOIN {table.name} AS t "
        f"WHERE n % 20 >= {share[0]} AND n % 20 < {share[1]} AND ({table.mine}) ORDER BY n"
    )
    for name, value in words.items():
        spelt = f"'{value}'" if isinstance(value, str) else str(value)
        query = query.replace(f":{name}", spelt)
    connection.execute(text(query))
