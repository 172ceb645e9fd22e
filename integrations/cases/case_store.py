"""Where cases lie: table `case_file`, read and written by statements that are spelt once.

A case is read whole, locked where it is to be moved, and written once at the end of its transaction.
"""

import json
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Integer,
    LargeBinary,
    RowMapping,
    Table,
    Text,
    TextClause,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from foundation import audit_writing as audit
from foundation.database import Base
from foundation.errors import NotFound
from integrations.cases.case import MOMENT, Case
from integrations.cases.numbers import is_number

CASES = Table(
    "case_file",
    Base.metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("service", Text, nullable=False),
    Column("procedure", Text, nullable=False),
    Column("definition", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("centre", Text, nullable=False),
    Column("licence_id", BigInteger),
    Column("parent_id", BigInteger),
    Column("subject", LargeBinary, nullable=False),
    Column("personal", LargeBinary),
    Column("form", JSONB, nullable=False),
    Column("done", JSONB, nullable=False),
    Column("checks", JSONB, nullable=False),
    Column("periods", JSONB, nullable=False),
    Column("quote_free", Boolean, nullable=False),
    Column("desk", Text),
    Column("place", Text),
    Column("assignee", Text),
    Column("due", MOMENT),
    Column("timer_at", MOMENT),
    Column("escalated", Boolean, nullable=False),
    Column("entered_at", MOMENT, nullable=False),
    Column("promised_for", MOMENT),
    Column("submitted_at", MOMENT, nullable=False),
    Column("changed_at", MOMENT, nullable=False),
    Column("closed_at", MOMENT),
    Column("erased_at", MOMENT),
    Column("clerk", Text),
)

COLUMNS = tuple(field.name for field in fields(Case))
"""Columns of a case, in the order of its fields."""
_LASTING = frozenset({"id", "number", "service", "procedure", "centre", "subject", "submitted_at", "clerk"})
_CHANGING = tuple(name for name in COLUMNS if name not in _LASTING)
_GIVEN = tuple(name for name in COLUMNS if name != "id")
_JSON = frozenset({"form", "done", "checks", "periods"})


def _placed(name: str) -> str:
    return f"CAST(:{name} AS jsonb)" if name in _JSON else f":{name}"


def _written(case: Case, names: Sequence[str]) -> dict[str, Any]:
    values = {name: getattr(case, name) for name in names}
    return {name: json.dumps(value) if name in _JSON else value for name, value in values.items()}


ALL = select(*(CASES.c[name] for name in COLUMNS))
"""Reads whole cases; see `read`."""
# Spelt as text: what SQLAlchemy makes of a table with so many columns costs more than the query itself.
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM case_file"
_BY_NUMBER = text(f"{_SELECT} WHERE number = :number")
_BY_ID = text(f"{_SELECT} WHERE id = :id")
# A case is locked to be moved: where its journal ends is read along with it.
_LOCK = f"""
    SELECT {", ".join(f"file.{name}" for name in COLUMNS)},
           head.position AS tip_position, head.hash AS tip_hash
    FROM case_file AS file LEFT JOIN audit_head AS head ON head.chain = 'case/' || file.number
    WHERE file.%s FOR UPDATE OF file
"""
_LOCKED = text(_LOCK % "number = :number")
_LOCKED_BY_ID = text(_LOCK % "id = :id")
_DUE = text(f"{_SELECT} WHERE timer_at <= :now ORDER BY timer_at LIMIT 1 FOR UPDATE SKIP LOCKED")
_PUT_OFF = text("UPDATE case_file SET timer_at = :until WHERE id = :id")
_OPEN_ON_LICENCE = text(
    "SELECT number FROM case_file "
    "WHERE licence_id = :licence AND procedure = :procedure AND closed_at IS NULL"
)
_INSERT = text(
    f"INSERT INTO case_file ({', '.join(_GIVEN)}) VALUES ({', '.join(map(_placed, _GIVEN))}) RETURNING id"
)
_SAVE = text(
    f"UPDATE case_file SET {', '.join(f'{name} = {_placed(name)}' for name in _CHANGING)} WHERE id = :id"
)


def read(row: RowMapping) -> Case:
    """The case in a row that `ALL` gave."""
    return Case(**{name: row[name] for name in COLUMNS})


def find(session: Session, number: str) -> Case:
    """A case by its number, as it stands.

    Raises:
        NotFound: there is none.
    """
    return read(_row(session, _BY_NUMBER, number))


def locked(session: Session, number: str) -> Case:
    """A case by its number; until the transaction ends, others wait to move it. Raises as `find` does."""
    return _locked(session, _row(session, _LOCKED, number))


def by_id(session: Session, id: int, lock: bool = False) -> Case:
    """A case by its row; it exists."""
    if lock:
        return _locked(session, session.execute(_LOCKED_BY_ID, {"id": id}).mappings().one())
    return read(session.execute(_BY_ID, {"id": id}).mappings().one())


def next_due(session: Session, now: datetime) -> Case | None:
    """The case whose clock ran out first, locked; one that another worker holds is passed over.

    Args:
        now: aware.
    """
    row = session.execute(_DUE, {"now": now}).mappings().one_or_none()
    return read(row) if row is not None else None


def open_on(session: Session, licence_id: int, procedure: str) -> str | None:
    """Number of the open case of a procedure on a licence, if there is one."""
    return session.execute(_OPEN_ON_LICENCE, {"licence": licence_id, "procedure": procedure}).scalar()


def insert(session: Session, case: Case) -> None:
    """Write a new case and give it its id."""
    case.id = session.execute(_INSERT, _written(case, _GIVEN)).scalar_one()
    audit.saw(session, case.context)


def save(session: Session, case: Case) -> None:
    """Write what may have changed of a case, in one statement."""
    session.execute(_SAVE, {"id": case.id, **_written(case, _CHANGING)})


def put_off(session: Session, id: int, until: datetime) -> None:
    """Let the clock look at a case not before a moment.

    Args:
        until: aware.
    """
    session.execute(_PUT_OFF, {"id": id, "until": until})


def absent(number: str) -> NotFound:
    """What is told of a case that is not there, or not there for this caller."""
    # A stranger's text is shown only where it has the form of a number.
    shown = number if is_number(number) else "of this number"
    return NotFound(
        f"There is no case {shown}.",
        remedy="Check the number that was given when it was opened.",
        message_ar="لا توجد معاملة بهذا الرقم؛ تحقق من رقم المعاملة الذي أُعطي عند تقديمها.",
    )


def _row(session: Session, statement: TextClause, number: str) -> RowMapping:
    row = (
        session.execute(statement, {"number": number}).mappings().one_or_none() if is_number(number) else None
    )
    if row is None:
        raise absent(number)
    return row


def _locked(session: Session, row: RowMapping) -> Case:
    case = read(row)
    audit.saw(session, case.context, row["tip_position"], row["tip_hash"])
    return case
