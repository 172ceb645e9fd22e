"""The audit trail: a hash chain for each case, asset or run, and a chain of seals over their heads.

`record` adds an entry in the caller's transaction and locks only its own chain. A chain by itself does not
show that its end was cut off; `seal` therefore chains the heads of all chains that grew, and `verify`
compares. A seal noted outside the database (on paper, in another system) also shows that the whole trail was
written anew.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from sqlalchemy import DateTime, LargeBinary, RowMapping, Text, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation import audit_writing
from foundation.audit_writing import Entries, Events, hash_of, moment
from foundation.chain import GENESIS, JSON, entry_hash
from foundation.database import Base
from foundation.errors import InvalidInput
from foundation.events import publish_all

SEALS = "seals"
"""What `verify` calls the chain of seals."""

# One seal is one row; this keeps it below a megabyte.
_HEADS_IN_ONE_SEAL = 5_000
_ROWS_AT_A_TIME = 1_000


class Entry(Base):
    """One entry of a chain."""

    __tablename__ = "audit"

    chain: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    details: Mapped[dict[str, Any]] = mapped_column(JSONB)
    previous: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class Head(Base):
    """The last entry of a chain, and the last one that a seal covers."""

    __tablename__ = "audit_head"

    chain: Mapped[str] = mapped_column(Text, primary_key=True)
    position: Mapped[int]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[int] = mapped_column(server_default="0")


class Seal(Base):
    """The heads of the chains that grew since the seal before: {chain: [position, hash in hex]}."""

    __tablename__ = "audit_seal"

    position: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    heads: Mapped[dict[str, Any]] = mapped_column(JSONB)
    previous: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


@dataclass(frozen=True)
class Break:
    """The first place where a chain is not what was written.

    Args:
        chain: name of the chain; `SEALS` for the chain of seals.
        position: of the first entry that does not hold.
        reason: what is wrong there, in one sentence.
    """

    chain: str
    position: int
    reason: str


@dataclass(frozen=True)
class Sealed:
    """A seal as one notes it outside the database.

    Args:
        position: its number.
        hash: its hash, in hex.
    """

    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"

    @classmethod
    def parse(cls, written: str) -> "Sealed":
        """A noted seal, `NUMBER:HASH`.

        Raises:
            InvalidInput: it is not written so.
        """
        number, _, digest = written.partition(":")
        if (
            not (number.isascii() and number.isdigit())
            or len(digest) != 64
            or set(digest) - set("0123456789abcdef")
        ):
            raise InvalidInput(f"{written!r} is no seal.", remedy="Give it as printed: NUMBER:HASH.")
        return cls(int(number), digest)


def record(session: Session, *, chain: str, actor: str, action: str, details: Mapping[str, JSON]) -> None:
    """Add an entry to a chain, in the caller's transaction; see `record_all`."""
    record_all(session, chain=chain, entries=[(actor, action, details)])


def record_all(session: Session, *, chain: str, entries: Entries, events: Events = ()) -> None:
    """Add entries to one chain in their order, in the caller's transaction, and the events that tell of them.

    Until that transaction ends, others wait to write to the same chain, and to no other.

    Args:
        session: of the transaction that does what is recorded.
        chain: what the entries are about: "case/…", "asset/…", "play/…".
        entries: actor, who did it ("client/…", "person/…", "cli/…"); action, what was done ("added",
            "approved"); details, what a later reader needs: whole numbers, text, true, false, null, lists and
            mappings.
        events: as `events.publish_all` takes them.

    Raises:
        InvalidInput: details that have no one spelling (see `foundation.chain.canonical`); nothing is added.
    """
    if entries:
        audit_writing.write(session, chain, entries, events)
    else:
        publish_all(session, events)


def entries(session: Session, chain: str | None = None, limit: int = 100) -> list[Entry]:
    """The latest entries, oldest first.

    Args:
        session: any.
        chain: only of this chain.
        limit: how many at most.
    """
    query = select(Entry).order_by(Entry.at.desc(), Entry.chain, Entry.position.desc()).limit(limit)
    if chain is not None:
        query = select(Entry).where(Entry.chain == chain).order_by(Entry.position.desc()).limit(limit)
    return list(reversed(session.scalars(query).all()))


def seal(session: Session) -> Sealed | None:
    """Chain the heads of all chains that grew since the last seal; for a periodic job.

    Chains that a transaction is writing to at this moment are left to the next seal.

    Returns:
        The new seal, or None if nothing was to be sealed.
    """
    # One sealer at a time; readers and writers of entries do not wait for it.
    session.execute(text("LOCK TABLE audit_seal IN SHARE ROW EXCLUSIVE MODE"))
    grown = session.execute(
        select(Head.chain, Head.position, Head.hash)
        .where(Head.sealed != Head.position)
        .limit(_HEADS_IN_ONE_SEAL)
        .with_for_update(skip_locked=True)
    ).all()
    if not grown:
        return None
    last = last_seal(session)
    number, previous = (last.position + 1, bytes.fromhex(last.hash)) if last else (1, GENESIS)
    content = {
        "position": number,
        "at": datetime.now(UTC),
        "heads": {chain: [position, digest.hex()] for chain, position, digest in grown},
    }
    digest = _seal_hash(previous, content)
    session.execute(insert(Seal).values(**content, previous=previous, hash=digest))
    chains = [chain for chain, *_ in grown]
    marked = update(Head).where(Head.chain.in_(chains)).values(sealed=Head.position)
    session.execute(marked, execution_options={"synchronize_session": False})
    return Sealed(number, digest.hex())


def last_seal(session: Session) -> Sealed | None:
    """The latest seal; note it outside the database."""
    row = session.execute(
        select(Seal.position, Seal.hash).order_by(Seal.position.desc()).limit(1)
    ).one_or_none()
    return Sealed(row.position, row.hash.hex()) if row else None


def verify(session: Session, noted: Sealed | None = None) -> list[Break]:
    """Read the whole trail and name the first broken entry of each chain.

    Args:
        session: at the start of its transaction, so that all is read as of one moment.
        noted: a seal noted outside the database, which must still be there.

    Returns:
        Nothing if every chain is whole: no entry changed, removed, added, moved or cut off.
    """
    session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
    whole, broken = _check_seals(session, noted)
    found: dict[str, Break] = {}
    for item in [*_check_entries(session), *_check_heads(session, whole)]:
        if item.chain not in found or item.position < found[item.chain].position:
            found[item.chain] = item
    return [*broken, *(found[chain] for chain in sorted(found))]


def _seal_hash(previous: bytes, content: Mapping[str, Any]) -> bytes:
    return entry_hash(previous, {**content, "at": moment(content["at"])})


def _check_entries(session: Session) -> Iterator[Break]:
    rows = session.execute(
        select(*Entry.__table__.columns).order_by(Entry.chain.collate("C"), Entry.position),
        execution_options={"yield_per": _ROWS_AT_A_TIME},
    ).mappings()
    for chain, group in groupby(rows, key=lambda row: str(row["chain"])):
        previous, expected = GENESIS, 1
        for row in group:
            content = {name: row[name] for name in ("chain", "position", "at", "actor", "action", "details")}
            reason = _reason(row["position"], expected, row["previous"], previous)
            reason = reason or ("" if _holds(hash_of, row, content) else "The entry was changed.")
            if reason:
                yield Break(chain, expected, reason)
                break
            previous, expected = row["hash"], expected + 1


def _check_seals(session: Session, noted: Sealed | None) -> tuple[int, list[Break]]:
    previous, expected = GENESIS, 1
    rows = session.execute(
        select(*Seal.__table__.columns).order_by(Seal.position), execution_options={"yield_per": 10}
    ).mappings()
    for row in rows:
        reason = _reason(row["position"], expected, row["previous"], previous)
        content = {name: row[name] for name in ("position", "at", "heads")}
        reason = reason or ("" if _holds(_seal_hash, row, content) else "The seal was changed.")
        if reason:
            rows.close()
            return expected - 1, [Break(SEALS, expected, reason)]
        if noted and noted.position == expected and noted.hash != row["hash"].hex():
            rows.close()
            return expected, [
                Break(SEALS, expected, "It is not the seal that was noted: the trail was rewritten.")
            ]
        previous, expected = row["hash"], expected + 1
    if noted and noted.position >= expected:
        return expected - 1, [Break(SEALS, expected, f"Seal {noted.position} was noted, and is gone.")]
    return expected - 1, []


def _reason(position: int, expected: int, stated: bytes, previous: bytes) -> str:
    if position != expected:
        return f"The entry is missing; the next one there is {position}."
    return "" if stated == previous else "It does not follow the entry before it."


def _holds(digest: Any, row: RowMapping, content: Mapping[str, Any]) -> bool:
    try:
        return bool(digest(row["previous"], content) == row["hash"])
    except InvalidInput:
        # What was never written by us may hold what we refuse to write, such as a float.
        return False


# What the seals say of each chain, against its head and its entries. Only seals that hold are asked: those
# after the first broken one may say anything.
_HEADS = text(
    """
    WITH said AS (
        SELECT heads.key AS chain, (heads.value ->> 0)::int AS position, heads.value ->> 1 AS hash,
               seal.position AS seal
        FROM audit_seal AS seal, jsonb_each(seal.heads) AS heads WHERE seal.position <= :whole
    ), sealed AS (SELECT chain, max(position) AS position FROM said GROUP BY chain),
    ends AS (SELECT chain, max(position) AS position FROM audit GROUP BY chain),
    found AS (
        SELECT 1 AS rank, said.chain, said.position,
               CASE WHEN entry.hash IS NULL THEN 'The entry is missing; seal ' || said.seal || ' covers it.'
                    ELSE 'It is not the entry that seal ' || said.seal || ' covers.' END AS reason
        FROM said LEFT JOIN audit AS entry ON entry.chain = said.chain AND entry.position = said.position
        WHERE entry.hash IS NULL OR encode(entry.hash, 'hex') <> said.hash
        UNION ALL
        SELECT 2, head.chain, least(head.position, coalesce(ends.position, 0) + 1),
               'The chain ends here, and its head says ' || head.position || '.'
        FROM audit_head AS head LEFT JOIN ends ON ends.chain = head.chain
        WHERE ends.position IS DISTINCT FROM head.position
        UNION ALL
        SELECT 3, head.chain, head.position, 'It is not the entry that the chain''s head names.'
        FROM audit_head AS head
        JOIN audit AS entry ON entry.chain = head.chain AND entry.position = head.position
        WHERE entry.hash <> head.hash
        UNION ALL
        SELECT 4, ends.chain, ends.position, 'The chain has no head.'
        FROM ends LEFT JOIN audit_head AS head ON head.chain = ends.chain WHERE head.chain IS NULL
        UNION ALL
        SELECT 5, head.chain, greatest(head.sealed, sealed.position),
               'The head says it is sealed up to ' || head.sealed || ', the seals say ' ||
               coalesce(sealed.position, 0) || '.'
        FROM audit_head AS head LEFT JOIN sealed ON sealed.chain = head.chain
        WHERE coalesce(sealed.position, 0) <> head.sealed AND :all_whole
    )
    SELECT chain, position, reason FROM found ORDER BY chain, position, rank
    """
)


def _check_heads(session: Session, whole: int) -> Iterator[Break]:
    last = session.scalar(select(Seal.position).order_by(Seal.position.desc()).limit(1)) or 0
    for chain, position, reason in session.execute(_HEADS, {"whole": whole, "all_whole": last == whole}):
        yield Break(chain, position, reason)
