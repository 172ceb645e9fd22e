"""Where cases lie: table `case_file`, read and written by statements that are spelt once.

A case is read whole, locked where it is to be moved, and written once at the end of its transaction.
"""

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
    bindparam,
    select,
    update,
)
from sqlalchemy import insert as insert_into
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

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
)

COLUMNS = tuple(field.name for field in fields(Case))
"""Columns of a case, in the order of its fields."""
_LASTING = frozenset({"id", "number", "service", "procedure", "centre", "subject", "submitted_at"})
_CHANGING = tuple(name for name in COLUMNS if name not in _LASTING)

ALL = select(*(CASES.c[name] for name in COLUMNS))
"""Reads whole cases; see `read`."""
_BY_NUMBER = ALL.where(CASES.c.number == bindparam("number"))
_BY_ID = ALL.where(CASES.c.id == bindparam("id"))
_LOCKED = _BY_NUMBER.with_for_update()
_LOCKED_BY_ID = _BY_ID.with_for_update()
_DUE = (
    ALL.where(CASES.c.timer_at <= bindparam("now"))
    .order_by(CASES.c.timer_at)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_PUT_OFF = (
    update(CASES).where(CASES.c.id == bindparam("of")).values(timer_at=bindparam("until", type_=MOMENT))
)
_OPEN_ON_LICENCE = (
    select(CASES.c.number)
    .where(
        CASES.c.licence_id == bindparam("licence"),
        CASES.c.procedure == bindparam("procedure"),
        CASES.c.closed_at.is_(None),
    )
    .limit(1)
)
_INSERT = insert_into(CASES).returning(CASES.c.id)
_SAVE = (
    update(CASES)
    .where(CASES.c.id == bindparam("of"))
    .values({name: bindparam(f"new_{name}", type_=CASES.c[name].type) for name in _CHANGING})
)


def read(row: RowMapping) -> Case:
    """The case in a row that `ALL` gave."""
    return Case(**{name: row[name] for name in COLUMNS})


def find(session: Session, number: str) -> Case:
    """A case by its number, as it stands.

    Raises:
        NotFound: there is none.
    """
    return _one(session, _BY_NUMBER, number)


def locked(session: Session, number: str) -> Case:
    """A case by its number; until the transaction ends, others wait to move it. Raises as `find` does."""
    return _one(session, _LOCKED, number)


def by_id(session: Session, id: int, lock: bool = False) -> Case:
    """A case by its row; it exists."""
    statement = _LOCKED_BY_ID if lock else _BY_ID
    return read(session.execute(statement, {"id": id}).mappings().one())


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
    values: dict[str, Any] = {name: getattr(case, name) for name in COLUMNS if name != "id"}
    case.id = session.execute(_INSERT, values).scalar_one()


def save(session: Session, case: Case) -> None:
    """Write what may have changed of a case, in one statement."""
    values: dict[str, Any] = {f"new_{name}": getattr(case, name) for name in _CHANGING}
    session.execute(_SAVE, {"of": case.id, **values})


def put_off(session: Session, id: int, until: datetime) -> None:
    """Let the clock look at a case not before a moment.

    Args:
        until: aware.
    """
    session.execute(_PUT_OFF, {"of": id, "until": until})


def absent(number: str) -> NotFound:
    """What is told of a case that is not there, or not there for this caller."""
    # A stranger's text is shown only where it has the form of a number.
    shown = number if is_number(number) else "of this number"
    return NotFound(f"There is no case {shown}.", message_ar="لا توجد معاملة بهذا الرقم.")


def _one(session: Session, statement: Any, number: str) -> Case:
    row = (
        session.execute(statement, {"number": number}).mappings().one_or_none() if is_number(number) else None
    )
    if row is None:
        raise absent(number)
    return read(row)
