"""A write that is asked for twice is done once: its answer is kept with it, under the caller's key.

Source: draft-ietf-httpapi-idempotency-key-header, as far as it is settled.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, DateTime, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column
from starlette.responses import JSONResponse

from foundation.database import Base
from foundation.errors import IdempotencyMismatch, Malformed
from foundation.identity import Caller

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 128
"""Characters of a key, at most."""

# Visible ASCII without quotes and backslashes, bare or as a structured-field string (RFC 8941).
_KEY = re.compile(r'"?([!#-\[\]-~]{1,128})"?')


# Rows that one call of `expire` deletes at most, so that no transaction is long.
_BATCH = 10_000

TAKEN = """
    INSERT INTO idempotency (caller, key, fingerprint, status, body)
    SELECT :caller, :key, :fingerprint, 0, CAST('{{}}' AS jsonb) WHERE {condition}
    ON CONFLICT DO NOTHING
    RETURNING 1
"""
"""What takes a key, for a larger statement that asks for more; of the parameters of `Take`."""
_TAKE = text(TAKEN.format(condition="true"))
_KEPT = text("SELECT fingerprint, status, body FROM idempotency WHERE caller = :caller AND key = :key")
_KEEP = text(
    """
    UPDATE idempotency SET status = :status, body = CAST(:body AS jsonb)
    WHERE caller = :caller AND key = :key
    RETURNING body
    """
)
_EXPIRE = text(
    """
    DELETE FROM idempotency WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM idempotency WHERE at < clock_timestamp() - CAST(:age AS interval)
        ORDER BY at LIMIT :batch
        FOR UPDATE SKIP LOCKED
    ))
    """
)


Take = Callable[[Mapping[str, Any]], bool]
"""Takes a key, given `caller`, `key` and `fingerprint`; whether it was free."""


class KeptAnswer(Base):
    """The answer to a write, under the key of its caller."""

    __tablename__ = "idempotency"

    caller: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int]
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())


@dataclass(frozen=True)
class Answer:
    """What a write answers.

    Args:
        status: of HTTP.
        body: a JSON object.
        replayed: whether it was kept from an earlier request of the same key.
    """

    status: int
    body: dict[str, Any]
    replayed: bool = False

    def response(self) -> JSONResponse:
        """As it goes out, with `Idempotency-Replayed` where it is so."""
        headers = {REPLAYED: "true"} if self.replayed else {}
        return JSONResponse(self.body, self.status, headers=headers)


def fingerprint(method: str, path: str, body: object) -> bytes:
    """What a request asks for, in 32 bytes: the same for the same request, whatever the order of its keys.

    Of a request that may name a person it is kept only under a key (see `Vault.keyed`).

    Args:
        method: of HTTP, or the name of the command.
        path: of the URL, or the record that is asked about.
        body: plain JSON.
    """
    spelt = json.dumps([method, path, body], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(spelt.encode()).digest()


def once(
    session: Session,
    caller: Caller,
    key: str | None,
    fingerprint: bytes,
    action: Callable[[], Answer],
    take: Take | None = None,
) -> Answer:
    """Do a write, or give the answer it got the first time.

    A second request of one key waits until the transaction of the first has ended. If that failed, nothing is
    kept and the second does the write.

    Args:
        session: the transaction that the write belongs to.
        caller: keys of different callers are different keys.
        key: the `Idempotency-Key` header.
        fingerprint: of the request; see `fingerprint`. It is kept as long as the answer.
        action: does the write in this session.
        take: takes the key by a larger statement, in this session; what it raises undoes the write.

    Raises:
        Malformed: there is no key, or it is not 1 to 128 visible ASCII characters.
        IdempotencyMismatch: the key was used before with another request.
    """
    mine = {"caller": caller.actor, "key": bare_key(key)}
    words = {**mine, "fingerprint": fingerprint}
    # Waits on the index while another transaction holds this key; then it is ours, or an answer is there.
    free = take(words) if take is not None else session.execute(_TAKE, words).first() is not None
    if not free:
        kept = session.execute(_KEPT, mine).one()
        # One that was kept before fingerprints had a key is not known any more. To give the answer that this
        # key has is then safe; to refuse a repetition, or to do it twice, is not.
        if kept.fingerprint and kept.fingerprint != fingerprint:
            raise IdempotencyMismatch(
                "This Idempotency-Key was used before with another request.",
                place=f"{HEADER} {mine['key']}",
                remedy="Take a new key for a new request; repeat a request unchanged.",
                message_ar="استُخدم هذا المفتاح من قبل في طلب آخر؛ خذ مفتاحًا جديدًا لكل طلب جديد.",
            )
        return Answer(kept.status, kept.body, replayed=True)
    answer = action()
    # As the database gives it back, so that the first answer and its repetitions are the same to the byte.
    body = session.execute(_KEEP, {**mine, "status": answer.status, "body": json.dumps(answer.body)})
    return Answer(answer.status, body.scalar_one())


def expire(session: Session, older_than: timedelta) -> int:
    """Forget the oldest kept answers; a request repeated after that is a new one. For a periodic job.

    Args:
        session: of a transaction of its own.
        older_than: how long an answer is kept at least.

    Returns:
        How many were forgotten: at most 10,000, and then there may be more.
    """
    deleted = session.execute(_EXPIRE, {"age": older_than, "batch": _BATCH})
    assert isinstance(deleted, CursorResult)
    return deleted.rowcount


def bare_key(key: str | None, most: int = LONGEST_KEY) -> str:
    """The key in a header, without the quotes it may stand in.

    Args:
        most: characters that it may have.

    Raises:
        Malformed: there is none, or it is not 1 to `most` visible ASCII characters.
    """
    if key is None:
        raise Malformed(
            f"The header {HEADER} is missing.",
            remedy="Send a new UUID with each new write, the same to repeat it.",
            message_ar=f"الترويسة {HEADER} مفقودة؛ أرسل معرّفًا جديدًا مع كل طلب جديد.",
        )
    found = _KEY.fullmatch(key)
    if found is None or len(found[1]) > most:
        raise Malformed(
            f"The header {HEADER} is not 1 to {most} visible ASCII characters.",
            remedy="A UUID is best.",
            message_ar=f"الترويسة {HEADER} ليست من حرف إلى {most} من الأحرف اللاتينية الظاهرة.",
        )
    return found[1]
