"""Licences: what they are, how they stand on a day, and the statements that read and write them.

Tables: `licence` (each as it is now) and `licence_version` (what each case made of it). What says something
of a person lies sealed in `personal`, to the context `licence/NUMBER`.

A licence is locked together with all that it hangs on, the topmost first, and what hangs on it after it: so
two transactions that meet in one family wait for each other at its top, and never in a circle.
"""

from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Identity,
    Integer,
    LargeBinary,
    RowMapping,
    Select,
    Table,
    Text,
    bindparam,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from foundation.database import Base
from foundation.errors import NotFound
from integrations.cases.case import MOMENT
from integrations.cases.numbers import is_number
from integrations.procedure import LicenceStatus

LICENCES = Table(
    "licence",
    Base.metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("number", Text, nullable=False, unique=True),
    Column("service", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("subject", LargeBinary, nullable=False),
    Column("personal", LargeBinary),
    Column("form", JSONB, nullable=False),
    Column("municipality", JSONB, nullable=False),
    Column("title", JSONB, nullable=False),
    Column("lines", JSONB, nullable=False),
    Column("parent_id", BigInteger),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date, nullable=False),
    Column("calendar", Text, nullable=False),
    Column("credential", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("status_since", MOMENT, nullable=False),
    Column("status_reason", Text, nullable=False),
    Column("with_parent", Boolean, nullable=False),
    Column("standings", JSONB, nullable=False),
    Column("excused", Boolean, nullable=False),
    Column("copies", Integer, nullable=False),
    Column("issued_at", MOMENT, nullable=False),
)

VERSIONS = Table(
    "licence_version",
    Base.metadata,
    Column("case_id", BigInteger),
    Column("licence_id", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("copy", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("subject", LargeBinary, nullable=False),
    Column("valid_from", Date, nullable=False),
    Column("valid_to", Date, nullable=False),
    Column("shown", JSONB(none_as_null=True)),
    Column("form", JSONB(none_as_null=True)),
    Column("personal", LargeBinary),
    Column("credential", Text),
    Column("made_at", MOMENT, nullable=False),
    Column("status_index", BigInteger),
)

CHANGES = Table(
    "status_change",
    Base.metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("licence_id", BigInteger, nullable=False),
)


@dataclass
class Licence:
    """One licence as it is now.

    Args:
        version: counts what its paper has said: issue, renewal, amendment, transfer, correction.
        subject: blind index of the holder.
        personal: sealed: `holder` (kind, identifier, name, mobile), `lines` of the paper that only the holder
            sees, `form` with the personal fields; None once erased.
        form: the other fields, as licensed.
        municipality: code, ar and en of who issued it.
        lines: what the paper shows to everyone, each with label and value in both languages.
        parent_id: the licence it hangs on, for ever.
        valid_to: the last day it is valid.
        calendar: whose years its validity counts.
        credential: the signed text of the QR code.
        status: how it stands; whether it has expired is a question of the day (`status_on`).
        status_since: when it came to stand so.
        status_reason: number of the case that brought it there, or of the licence that it fell with.
        with_parent: it stands so because of the licence it hangs on.
        standings: how it stood by itself, the present one last: status, since, reason.
        excused: it lapsed by our own fault.
        copies: replacement copies made of the present version's paper.
        issued_at: when its first version was made.
    """

    id: int
    number: str
    service: str
    version: int
    subject: bytes
    personal: bytes | None
    form: dict[str, Any]
    municipality: dict[str, str]
    title: dict[str, str]
    lines: list[dict[str, Any]]
    parent_id: int | None
    valid_from: date
    valid_to: date
    calendar: str
    credential: str
    status: LicenceStatus
    status_since: datetime
    status_reason: str
    with_parent: bool
    standings: list[dict[str, str]]
    excused: bool
    copies: int
    issued_at: datetime

    @property
    def context(self) -> str:
        """Name of its chain, subject of its events, and what its personal data is sealed to."""
        return f"licence/{self.number}"


@dataclass(frozen=True)
class Version:
    """What one case made of a licence, or the retirement of the key that signed it.

    Args:
        case_id: None where no case made it.
        version: of the licence's paper, from then on.
        copy: number of the replacement copy that the case made, or the last one of that version; 0 is none.
        status: how the licence stood after it.
        subject: blind index of the holder after it.
        shown: title, municipality and public lines of the paper; None where the paper did not change, and so
            with `form` and `personal`.
        credential: the signed text of the paper's QR code; None where no paper was made.
        status_index: the credential's place among all, over all status lists; None in the oldest ones.
    """

    case_id: int | None
    licence_id: int
    version: int
    copy: int
    outcome: str
    status: str
    subject: bytes
    valid_from: date
    valid_to: date
    shown: dict[str, Any] | None
    form: dict[str, Any] | None
    personal: bytes | None
    credential: str | None
    made_at: datetime
    status_index: int | None = None


_COLUMNS = tuple(field.name for field in fields(Licence))
_LASTING = frozenset({"id", "number", "service", "parent_id", "issued_at"})
_CHANGING = tuple(name for name in _COLUMNS if name not in _LASTING)
_ALL = select(*(LICENCES.c[name] for name in _COLUMNS))
_BY_NUMBER = _ALL.where(LICENCES.c.number == bindparam("number"))
_BY_ID = _ALL.where(LICENCES.c.id == bindparam("id"))
_INSERT = insert(LICENCES).returning(LICENCES.c.id)
_SAVE = (
    update(LICENCES)
    .where(LICENCES.c.id == bindparam("of"))
    .values({name: bindparam(f"new_{name}", type_=LICENCES.c[name].type) for name in _CHANGING})
)
_VERSIONS_OF = (
    select(*(VERSIONS.c[field.name] for field in fields(Version)))
    .where(VERSIONS.c.licence_id == bindparam("licence"))
    .order_by(VERSIONS.c.made_at, VERSIONS.c.case_id)
)
_CHILDREN = _ALL.where(LICENCES.c.parent_id == bindparam("parent")).order_by(LICENCES.c.id)


def _line(start: Any) -> Select[Any]:
    # The licence and all that it hangs on, the topmost first; rows are locked in the order they are sorted.
    line = select(LICENCES.c.id, LICENCES.c.parent_id, literal(0).label("height")).where(start)
    line_cte = line.cte("line", recursive=True)
    above = LICENCES.alias("above")
    line_cte = line_cte.union_all(
        select(above.c.id, above.c.parent_id, line_cte.c.height + 1).where(above.c.id == line_cte.c.parent_id)
    )
    joined = _ALL.join(line_cte, line_cte.c.id == LICENCES.c.id)
    return joined.order_by(line_cte.c.height.desc()).with_for_update(of=LICENCES, key_share=True)


def _below() -> Select[Any]:
    below = select(LICENCES.c.id, literal(1).label("depth")).where(LICENCES.c.parent_id == bindparam("top"))
    below_cte = below.cte("below", recursive=True)
    child = LICENCES.alias("child")
    below_cte = below_cte.union_all(
        select(child.c.id, below_cte.c.depth + 1).where(child.c.parent_id == below_cte.c.id)
    )
    joined = _ALL.join(below_cte, below_cte.c.id == LICENCES.c.id)
    order = joined.order_by(below_cte.c.depth, LICENCES.c.id)
    return order.with_for_update(of=LICENCES, key_share=True)


_LOCKED_BY_NUMBER = _line(LICENCES.c.number == bindparam("number"))
_LOCKED_BY_ID = _line(LICENCES.c.id == bindparam("id"))
_BELOW = _below()


def read(row: RowMapping) -> Licence:
    """The licence in a row of `licence`."""
    return Licence(**{name: row[name] for name in _COLUMNS})


def of_number(session: Session, number: str, lock: bool = False) -> Licence:
    """The licence of a number.

    Args:
        lock: also lock it, after all that it hangs on, until the transaction ends.

    Raises:
        NotFound: there is none.
    """
    found = None
    if is_number(number):
        found = _last(session, _LOCKED_BY_NUMBER if lock else _BY_NUMBER, {"number": number})
    if found is None:
        raise absent(number)
    return found


def by_id(session: Session, id: int, lock: bool = False) -> Licence:
    """A licence by its row; it exists. Locks as `of_number` does."""
    found = _last(session, _LOCKED_BY_ID if lock else _BY_ID, {"id": id})
    assert found is not None, f"licence {id} exists"
    return found


def descendants(session: Session, licence: Licence) -> list[Licence]:
    """All that hangs on a licence, directly or not: parents before children, each locked in that order.

    Args:
        licence: locked; so nothing is hung on it meanwhile.
    """
    return [read(row) for row in session.execute(_BELOW, {"top": licence.id}).mappings()]


def children(session: Session, licence: Licence) -> list[Licence]:
    """What hangs on a licence directly, oldest first."""
    return [read(row) for row in session.execute(_CHILDREN, {"parent": licence.id}).mappings()]


def add(session: Session, licence: Licence) -> None:
    """Write a new licence, and give it its id."""
    values = {name: getattr(licence, name) for name in _COLUMNS if name != "id"}
    licence.id = session.execute(_INSERT, values).scalar_one()


def save(session: Session, *licences: Licence) -> None:
    """Write what may have changed of some licences, and let the status lists follow."""
    rows = [
        {"of": licence.id, **{f"new_{name}": getattr(licence, name) for name in _CHANGING}}
        for licence in licences
    ]
    if rows:
        session.connection().execute(_SAVE, rows)
        session.execute(insert(CHANGES), [{"licence_id": licence.id} for licence in licences])


def add_version(session: Session, version: Version) -> None:
    """Write down what a case made of a licence."""
    values = {field.name: getattr(version, field.name) for field in fields(Version)}
    session.execute(insert(VERSIONS), values)


def versions(session: Session, licence: Licence) -> list[Version]:
    """What cases made of a licence, oldest first."""
    rows = session.execute(_VERSIONS_OF, {"licence": licence.id}).mappings()
    return [Version(**row) for row in rows]


def status_on(licence: Licence, day: date) -> LicenceStatus:
    """What a licence is on a day: valid, expired, suspended, revoked, closed or void."""
    return "expired" if licence.status == "valid" and day > licence.valid_to else licence.status


class LicenceIsTest(NotFound):
    """The number is of a test: it is no licence, whoever asks."""

    titles = ("Test, no licence", "تجربة وليست رخصة")

    def __init__(self, number: str) -> None:
        super().__init__(
            f"{number} is the number of a test. It is no licence.",
            remedy="Do not accept it.",
            message_ar=f"الرقم {number} رقم تجريبي وليس رخصة؛ لا تعتمده.",
        )


def absent(number: str) -> NotFound:
    """What is told of a licence that is not there, or not there for this caller."""
    shown = number if is_number(number) else "of this number"
    return NotFound(
        f"There is no licence {shown}.",
        remedy="Read its number again from the paper.",
        message_ar="لا توجد رخصة بهذا الرقم؛ تحقق من الرقم المطبوع على الرخصة.",
    )


def _last(session: Session, statement: Select[Any], words: dict[str, Any]) -> Licence | None:
    rows = session.execute(statement, words).mappings().all()
    return read(rows[-1]) if rows else None
