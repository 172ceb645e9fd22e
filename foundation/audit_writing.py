"""How entries are added to a chain of the audit, and the events that tell of them, in one statement.

An entry holds the hash of the one before, so that the end of its chain is known before it is written. A
transaction that has read where the chain ends (`saw`) adds to it at once; the statement writes nothing where
the chain does not end there any more, and then the end is locked, read, and added to.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import events as publishing
from foundation.chain import GENESIS, JSON, entry_hash

Entries = Sequence[tuple[str, str, Mapping[str, JSON]]]
"""Actor, action and details of each entry."""
Events = Sequence[tuple[str, str, Mapping[str, Any]]]
"""Kind, subject and payload of each event."""

# Of a session: where the chains end that its transaction has read or written; what all its entries say.
_TIPS, _WITNESS = "audit.tips", "audit.witness"

# The head is only locked if it is there, and made if it is not; of two who make it one waits and then locks.
_LOCK_HEAD = text(
    """
    WITH found AS (SELECT position, hash FROM audit_head WHERE chain = :chain FOR UPDATE),
    made AS (
        INSERT INTO audit_head AS head (chain, position, hash)
        SELECT :chain, 0, CAST(:genesis AS bytea) WHERE NOT EXISTS (SELECT FROM found)
        ON CONFLICT (chain) DO UPDATE SET position = head.position
        RETURNING position, hash
    )
    SELECT position, hash FROM found UNION ALL SELECT position, hash FROM made
    """
)
_ADDED = """
    WITH moved AS (
        INSERT INTO audit_head AS head (chain, position, hash)
        SELECT :chain, :last, CAST(:digest AS bytea)
        WHERE :position = 0 OR EXISTS (SELECT FROM audit_head WHERE chain = :chain)
        ON CONFLICT (chain) DO UPDATE SET position = :last, hash = :digest
        WHERE head.position = :position AND head.hash = :before
        RETURNING 1
    ), added AS (
        INSERT INTO audit (chain, position, at, actor, action, details, previous, hash)
        SELECT :chain, CAST(:position AS integer) + number, :at, entry ->> 0, entry ->> 1, entry -> 2,
               decode(entry ->> 3, 'hex'), decode(entry ->> 4, 'hex')
        FROM jsonb_array_elements(CAST(:entries AS jsonb)) WITH ORDINALITY AS given (entry, number)
        WHERE EXISTS (SELECT FROM moved)
    )
"""
_ADD = text(_ADDED + "SELECT count(*) FROM moved")
_ADD_AND_PUBLISH = text(
    f"""
    {_ADDED}, written AS ({publishing.WRITTEN.format(condition="EXISTS (SELECT FROM moved)")})
    SELECT (SELECT count(*) FROM moved),
           (SELECT count(pg_notify(:channel, subject)) FROM {publishing.TOUCHED})
    """
)


def saw(session: Session, chain: str, position: int | None = None, digest: bytes | None = None) -> None:
    """Say where a chain ends, as this transaction has just read it. It need not be locked.

    Args:
        position, digest: of its last entry; None of a chain without entries.
    """
    session.info.setdefault(_TIPS, {})[chain] = (position or 0, digest or GENESIS)


def witness(session: Session, details: Mapping[str, JSON]) -> None:
    """Let every entry that this transaction writes from now on say this beside its own details.

    Args:
        details: who acts in the caller's name, and the hash of his signatures.
    """
    session.info[_WITNESS] = dict(details)


def write(session: Session, chain: str, entries: Entries, events: Events) -> None:
    """Add entries to a chain and publish events, in the caller's transaction.

    Args:
        entries: at least one.

    Raises:
        InvalidInput: details that have no one spelling; nothing is written.
    """
    statement = _ADD_AND_PUBLISH if events else _ADD
    told = publishing.words(events) if events else {}
    if _WITNESS in session.info:
        seen = session.info[_WITNESS]
        entries = [(actor, action, {**details, **seen}) for actor, action, details in entries]
    tip = session.info.get(_TIPS, {}).get(chain)
    words = {**_after(tip, chain, entries), **told} if tip is not None else None
    if words is None or not session.execute(statement, words).scalar():
        locked = session.execute(_LOCK_HEAD, {"chain": chain, "genesis": GENESIS}).one()
        words = {**_after((locked.position, locked.hash), chain, entries), **told}
        session.execute(statement, words)
    saw(session, chain, words["last"], words["digest"])


def hash_of(previous: bytes, entry: Mapping[str, Any]) -> bytes:
    """The hash of an entry: over the one before it and all its fields."""
    return entry_hash(previous, {**entry, "at": moment(entry["at"])})


def moment(at: datetime) -> str:
    """A moment as it is hashed."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _after(tip: tuple[int, bytes], chain: str, entries: Entries) -> dict[str, Any]:
    (position, digest), at = tip, datetime.now(UTC)
    rows = []
    for actor, action, details in entries:
        previous, position = digest, position + 1
        entry = {"chain": chain, "position": position, "at": at}
        digest = hash_of(previous, {**entry, "actor": actor, "action": action, "details": details})
        rows.append((actor, action, details, previous.hex(), digest.hex()))
    # One parameter: the driver takes longer to write lists than we take to write JSON. That it can be written
    # so, the hash has checked.
    return {
        "chain": chain,
        "position": tip[0],
        "before": tip[1],
        "last": position,
        "at": at,
        "entries": json.dumps(rows, ensure_ascii=False),
        "digest": digest,
    }
