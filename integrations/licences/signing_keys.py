"""The table of signing keys, and what a key of it does at a moment; `keyring` changes it."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from sqlalchemy import DateTime, Row, Table, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.database import Base, Database
from foundation.errors import Damaged
from foundation.wire.credential_keys import KEYS_FILE, KeySet, PublicKey
from foundation.wire.key_file import keep_keys
from integrations.licences.key_stores import Store


class KeyRow(Base):
    """A signing key as it is kept; `jwk` is its public half without its period."""

    __tablename__ = "licence_key"

    kid: Mapped[str] = mapped_column(Text, primary_key=True)
    municipality: Mapped[str] = mapped_column(Text)
    jwk: Mapped[dict[str, Any]] = mapped_column(JSONB)
    store: Mapped[str] = mapped_column(Text)
    label: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    made_by: Mapped[str] = mapped_column(Text)
    not_before: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    not_after: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    retired_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    retired_because: Mapped[str | None] = mapped_column(Text)


KEYS = cast(Table, KeyRow.__table__)


class State(StrEnum):
    """Of a key at a moment."""

    NEXT = "next"
    SIGNING = "signing"
    OLD = "old"
    RETIRED = "retired"


@dataclass(frozen=True)
class Key:
    """A key of the ring.

    Args:
        public: its public half, with its period and the moment of its revocation.
        store: where its private half lies.
        label: its name there.
        published_at: aware; since when it is in the set.
        made_by: who made it: "person/…", "cli/…", "system".
        retired_because: why it was retired; None if it was not.
    """

    public: PublicKey
    store: Store
    label: str
    published_at: datetime
    made_by: str
    retired_because: str | None = None

    @property
    def kid(self) -> str:
        """Its identifier, 16 hexadecimal digits."""
        return self.public.kid.hex()

    def state(self, at: datetime) -> State:
        """What it does at a moment."""
        if self.public.revoked_at is not None:
            return State.RETIRED
        if self.public.not_before is not None and at < self.public.not_before:
            return State.NEXT
        # It ends in the second that the next begins in.
        if self.public.not_after is not None and at >= self.public.not_after:
            return State.OLD
        return State.SIGNING


def read(session: Session) -> tuple[Key, ...]:
    """Every key, in the order in which they sign.

    Raises:
        Damaged: a key in the table is not the one that its identifier names.
        Malformed: it is none.
    """
    rows = session.execute(
        select(KEYS).order_by(KEYS.c.not_before.nulls_first(), KEYS.c.published_at, KEYS.c.kid)
    ).all()
    if not rows:
        return ()
    bare = KeySet.from_json(json.dumps({"keys": [row.jwk for row in rows]}), "table licence_key")
    return tuple(_key(row, bare) for row in rows)


def keep_here(database: Database, folder: Path) -> bool:
    """Let whoever verifies on this machine without the database know the keys as the table has them.

    Args:
        folder: the platform's.

    Returns:
        Whether the file of keys was changed.

    Raises:
        Malformed: the file is no JWK Set.
        SettingsError: it cannot be read or written.
    """

    def known() -> list[PublicKey]:
        with database.transaction() as session:
            return [key.public for key in read(session)]

    return keep_keys(folder / KEYS_FILE, known)


def _key(row: Row[Any], bare: KeySet) -> Key:
    public = bare.get(bytes.fromhex(row.kid))
    if public is None or public.municipality != row.municipality:
        raise Damaged(
            "The key is not what it was published as.",
            place=f"table licence_key, {row.kid}",
            remedy="Compare it with its chain (rakeeza audit verify) and with the set as it was exported.",
        )
    public = replace(public, not_before=row.not_before, not_after=row.not_after, revoked_at=row.retired_at)
    assert row.store in ("file", "pkcs11"), "the table checks it"
    store: Store = "file" if row.store == "file" else "pkcs11"
    return Key(public, store, row.label, row.published_at, row.made_by, row.retired_because)
