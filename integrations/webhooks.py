"""Webhooks: who subscribed to what, and what is sent.

Table `webhook`. Messages follow Standard Webhooks (see foundation.signed_post); the key is this one
subscription's.

Source: Standard Webhooks 1.0.0.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from foundation.errors import Conflict, InvalidInput, NotFound
from foundation.events import StoredEvent, newest, publish, read
from foundation.personal import Vault
from foundation.signed_post import new_secret

PAUSED = "webhook.paused"
"""Deliveries of a subscription stopped. Subject: webhook/ID. Payload: client, failures, reason."""
MOST = 10
"""Subscriptions that one client may hold."""
OVERLAP = timedelta(hours=24)
"""How long a replaced secret signs beside the new one."""

_KIND = re.compile(r"[a-z_]{1,40}(\.[a-z_]{1,40}){0,3}\.?")

State = Literal["active", "failing", "paused"]


@dataclass(frozen=True)
class Subscription:
    """One subscription.

    Args:
        client: whose it is, as the audit trail names it.
        kinds: events it wants; "case." stands for every "case.…", none for all.
        secret: sealed; see `keys`.
        secret_version: counts the replacements.
        previous_until: until when the secret before signs too.
        cursor: of the last event delivered; None before the first.
        generation: counts what people did to it; a sender that saw an older one changes nothing more.
        failures: in a row.
        reason: of the last failure, or why it is paused.
    """

    id: int
    client: str
    url: str
    kinds: tuple[str, ...]
    secret: bytes = field(repr=False)
    secret_version: int
    previous_until: datetime | None
    cursor: str | None
    generation: int
    state: State
    failures: int
    reason: str | None
    next_at: datetime
    created: datetime

    @property
    def context(self) -> str:
        """What its secrets are sealed to, and the subject of its events."""
        return f"webhook/{self.id}"


def message(event: StoredEvent) -> tuple[str, bytes]:
    """An event as it is sent: its id and body, the same however often it is sent."""
    content = {
        "type": event.kind,
        "timestamp": event.at.isoformat().replace("+00:00", "Z"),
        "data": {"subject": event.subject, **event.payload},
    }
    body = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"evt_{event.cursor}", body.encode()


def keys(vault: Vault, subscription: Subscription, at: datetime) -> list[str]:
    """The secrets that sign at a moment, the newest first."""
    held = vault.open(subscription.secret, subscription.context)
    both = subscription.previous_until is not None and at < subscription.previous_until
    return [held["current"], held["previous"]] if both else [held["current"]]


def add(
    session: Session, vault: Vault, client: str, url: str, kinds: Sequence[str], at: datetime
) -> Subscription:
    """Subscribe to what happens from now on.

    Raises:
        InvalidInput: a kind that no event can have.
        Conflict: the client has as many as it may.
    """
    wrong = next((kind for kind in kinds if not _KIND.fullmatch(kind)), None)
    if wrong is not None:
        raise InvalidInput(
            f"{wrong[:60]!r} is no kind of event.",
            remedy='Name kinds as "case.moved", or "case." for all of them.',
            message_ar="نوع الحدث المطلوب غير صحيح.",
        )
    # Two that subscribe at once count one after the other.
    session.execute(text("SELECT pg_advisory_xact_lock(hashtext('webhook'), hashtext(:c))"), {"c": client})
    if len(of_client(session, client)) >= MOST:
        raise Conflict(
            f"There are {MOST} subscriptions already.",
            remedy="Remove one that is not needed.",
            message_ar="بلغت الاشتراكات حدها الأعلى؛ احذف اشتراكًا لا تحتاجه.",
        )
    id = session.execute(text("SELECT nextval('webhook_id_seq')")).scalar_one()
    row = session.execute(
        text(
            """
            INSERT INTO webhook (id, client, url, kinds, secret, secret_version, cursor, generation, state,
                                 failures, next_at, created)
            VALUES (:id, :client, :url, CAST(:kinds AS jsonb), :secret, 1, :cursor, 1, 'active', 0, :at, :at)
            RETURNING *
            """
        ),
        {
            "id": id,
            "client": client,
            "url": url,
            "kinds": json.dumps(list(kinds)),
            "secret": vault.seal({"current": new_secret(), "previous": None}, f"webhook/{id}"),
            "cursor": newest(session),
            "at": at,
        },
    )
    return subscription_of(row.mappings().one())


def of_client(session: Session, client: str | None) -> list[Subscription]:
    """The subscriptions of a client, or of all, in the order they were made."""
    rows = session.execute(
        text(
            "SELECT * FROM webhook WHERE CAST(:client AS text) IS NULL OR client = :client "
            "ORDER BY created, id"
        ),
        {"client": client},
    )
    return [subscription_of(row) for row in rows.mappings()]


def find(session: Session, id: int, client: str | None, lock: bool = False) -> Subscription:
    """A subscription of a client; None may see all.

    Raises:
        NotFound: there is none, or it is another's.
    """
    query = "SELECT * FROM webhook WHERE id = :id AND (CAST(:client AS text) IS NULL OR client = :client)"
    found = (
        session.execute(text(f"{query} FOR UPDATE" if lock else query), {"id": id, "client": client})
        .mappings()
        .one_or_none()
    )
    if found is None:
        raise NotFound("There is no such subscription.", message_ar="لا يوجد اشتراك بهذا الرقم.")
    return subscription_of(found)


def remove(session: Session, subscription: Subscription) -> None:
    """End it; a delivery under way is the last."""
    session.execute(text("DELETE FROM webhook WHERE id = :id"), {"id": subscription.id})


def pause(session: Session, subscription: Subscription, reason: str) -> None:
    """Deliver nothing more until it is resumed; nothing is lost meanwhile."""
    _change(session, subscription, "state = 'paused', reason = :reason", {"reason": reason})
    told = {"client": subscription.client, "failures": subscription.failures, "reason": reason}
    publish(session, PAUSED, subscription.context, told)


def resume(session: Session, subscription: Subscription, at: datetime) -> None:
    """Deliver again, from where it stopped."""
    _change(session, subscription, "state = 'active', failures = 0, reason = NULL, next_at = :at", {"at": at})


def replay(session: Session, subscription: Subscription, cursor: str | None, at: datetime) -> None:
    """Deliver again what came after a cursor, with the same ids and bodies; a paused one goes on.

    Raises:
        Malformed: it is no cursor.
        Conflict: no event has it yet; what happens until one had it would never be delivered.
    """
    read(session, after=cursor, limit=1)
    if cursor is not None and _place(cursor) > _place(newest(session) or "0-0"):
        raise Conflict(
            "There is no event of this cursor yet.",
            remedy="Give that of an event that was delivered: its webhook-id behind evt_.",
            message_ar="لا يوجد حدث بهذا المؤشر بعد؛ أرسل مؤشر حدث سبق تسليمه.",
        )
    _change(
        session,
        subscription,
        "cursor = :cursor, state = 'active', failures = 0, reason = NULL, next_at = :at",
        {"cursor": cursor, "at": at},
    )


def before(session: Session, moment: datetime) -> str | None:
    """The cursor just before the first event that was published at a moment or later; None is the start."""
    found: str | None = session.execute(
        text(
            """
            WITH first AS (
                SELECT transaction, id FROM event WHERE at >= :moment ORDER BY transaction, id LIMIT 1
            )
            SELECT event.transaction::text || '-' || event.id FROM event
            WHERE NOT EXISTS (SELECT 1 FROM first)
               OR (event.transaction, event.id) < (SELECT transaction, id FROM first)
            ORDER BY event.transaction DESC, event.id DESC LIMIT 1
            """
        ),
        {"moment": moment},
    ).scalar_one_or_none()
    return found


def rotate(session: Session, vault: Vault, subscription: Subscription, at: datetime) -> Subscription:
    """Give it a new secret; the one before signs too for a day."""
    held = vault.open(subscription.secret, subscription.context)
    sealed = vault.seal({"current": new_secret(), "previous": held["current"]}, subscription.context)
    _change(
        session,
        subscription,
        "secret = :secret, secret_version = secret_version + 1, previous_until = :until",
        {"secret": sealed, "until": at + OVERLAP},
    )
    return find(session, subscription.id, None)


def interrupt(session: Session, client: str) -> None:
    """Let who is delivering to a client stop with the message that is under way; see `Lease.holds`.

    Args:
        client: as the audit trail names it.
    """
    session.execute(
        text("UPDATE webhook SET generation = generation + 1 WHERE client = :client"), {"client": client}
    )


def _change(session: Session, subscription: Subscription, what: str, words: Mapping[str, Any]) -> None:
    session.execute(
        text(f"UPDATE webhook SET {what}, generation = generation + 1 WHERE id = :id"),
        {**words, "id": subscription.id},
    )


def subscription_of(row: RowMapping) -> Subscription:
    """A row of the table."""
    found = {name: row[name] for name in Subscription.__dataclass_fields__}
    return Subscription(**{**found, "kinds": tuple(row["kinds"])})


def _place(cursor: str) -> tuple[int, int]:
    transaction, number = cursor.split("-")
    return int(transaction), int(number)
