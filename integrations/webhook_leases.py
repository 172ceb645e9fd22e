"""How one sender holds a subscription: by a lease, a column that runs out unless it is renewed.

No transaction is open while a message is under way. What a lease tells is how far its subscription was
delivered to; it tells it every few hundredths of a second and at its end, and learns by the same statement
whether the subscription is still its own: a person may have changed it, or another sender may have taken it
because this one was too late. None of it waits for the disk. What a killed sender or a crashed server lost of
it is sent again, with the ids it had.
"""

import logging
import random
import secrets
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import TextClause, text

from foundation.database import Database
from foundation.events import publish
from integrations import webhooks
from integrations.webhooks import Subscription

_log = logging.getLogger(__name__)

# Seconds that a sender goes on without telling: what a killed one sends twice, and how late it sees a
# person's change. Whoever takes longer to answer is told of before each next message.
_TOLD = 0.02
# Seconds of the first wait after a failure, and of the longest: five days for twelve attempts, as the
# convention's example has it.
_FIRST_WAIT, _FACTOR, _LONGEST_WAIT = 5.0, 4.0, 86_400.0

_NO_DISK = "set_config('synchronous_commit', 'off', true)"
_TAKEN = text(
    f"""
    UPDATE webhook SET lease = :lease, leased_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = :id AND generation = :generation AND cursor IS NOT DISTINCT FROM :cursor
      AND (leased_until IS NULL OR leased_until < clock_timestamp())
    RETURNING {_NO_DISK}
    """
)
_KEPT = text(
    f"""
    UPDATE webhook SET leased_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = :id AND lease = :lease AND generation = :generation
    RETURNING {_NO_DISK}
    """
)
_DELIVERED = text(
    f"""
    UPDATE webhook SET cursor = :cursor, state = 'active', failures = 0, reason = NULL, next_at = :now,
        leased_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = :id AND lease = :lease AND generation = :generation
    RETURNING {_NO_DISK}
    """
)
_RELEASED = text(
    f"""
    UPDATE webhook SET lease = NULL, leased_until = NULL WHERE id = :id AND lease = :lease
    RETURNING {_NO_DISK}
    """
)
_FAILURES = text("SELECT failures FROM webhook WHERE id = :id FOR UPDATE")
_FAILED = text(
    """
    UPDATE webhook SET failures = failures + 1, state = :state, reason = :reason, next_at = :next
    WHERE id = :id AND lease = :lease AND generation = :generation
    RETURNING failures
    """
)


@dataclass(frozen=True)
class Failure:
    """Why a message did not arrive.

    Args:
        reason: in one word that a program can compare.
        retry_after: seconds that the receiver asks to be left alone.
        is_final: whether trying again is of no use.
    """

    reason: str
    retry_after: float | None = None
    is_final: bool = False


@dataclass
class Lease:
    """A subscription in the hands of one sender; `take` makes one.

    Args:
        name: of the lease.
        seconds: that it lasts from each time it is renewed.
        reached: cursor up to which all was delivered or is not this subscription's; the sender sets it.
    """

    database: Database
    subscription: Subscription
    name: str
    seconds: float
    reached: str | None
    _told: str | None
    _told_at: float

    def holds(self, now: datetime) -> bool:
        """Whether the subscription is still ours, as far as was asked lately; asks and tells if it is time.

        Args:
            now: aware.
        """
        return time.monotonic() < self._told_at + _TOLD or self._tell(now)

    def release(self, now: datetime) -> None:
        """Tell how far it came, and let others have it."""
        try:
            if self.reached != self._told:
                self._tell(now)
        finally:
            self._write(_RELEASED)

    def fail(self, failure: Failure, attempts: int, now: datetime) -> None:
        """Note a failure, and when to try again; the last one pauses the subscription.

        Args:
            attempts: failures in a row that are the last.
        """
        if self.reached != self._told and not self._tell(now):
            return
        subscription = self.subscription
        with self.database.transaction() as session:
            before = session.execute(_FAILURES, {"id": subscription.id}).scalar_one_or_none()
            failures = (before or 0) + 1
            ends = failure.is_final or failures >= attempts
            words = {
                "state": "paused" if ends else "failing",
                "reason": failure.reason,
                "next": now + timedelta(seconds=_wait(failures, failure.retry_after)),
            }
            is_ours = session.execute(_FAILED, self._words(**words)).one_or_none() is not None
            if is_ours and ends:
                told = {"client": subscription.client, "failures": failures, "reason": failure.reason}
                publish(session, webhooks.PAUSED, subscription.context, told)
        if is_ours:
            _log.warning("Webhook %s: %s (%d in a row).", subscription.id, failure.reason, failures)

    def _tell(self, now: datetime) -> bool:
        reached, at = self.reached, time.monotonic()
        told = _KEPT if reached == self._told else _DELIVERED
        # Nobody's any more if a person changed it meanwhile, or we were so late that another took it.
        is_ours = self._write(told, cursor=reached, now=now, seconds=self.seconds)
        if is_ours:
            self._told, self._told_at = reached, at
        return is_ours

    def _write(self, statement: TextClause, **words: Any) -> bool:
        return _write(self.database, statement, self._words(**words))

    def _words(self, **words: Any) -> dict[str, Any]:
        subscription = self.subscription
        return {"id": subscription.id, "generation": subscription.generation, "lease": self.name, **words}


def take(database: Database, subscription: Subscription, seconds: float) -> Lease | None:
    """Take a subscription.

    Args:
        seconds: that the lease lasts; longer than one message can be under way.

    Returns:
        None if it is not as it was when it was read, or in other hands.
    """
    at = time.monotonic()
    reached = subscription.cursor
    lease = Lease(database, subscription, secrets.token_hex(8), seconds, reached, reached, at)
    words = {"id": subscription.id, "generation": subscription.generation, "lease": lease.name}
    return lease if _write(database, _TAKEN, {**words, "cursor": reached, "seconds": seconds}) else None


def _write(database: Database, statement: TextClause, words: dict[str, Any]) -> bool:
    # One statement that commits by itself is one answer to wait for, and not three.
    with database.errors(), database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        return connection.execute(statement, words).one_or_none() is not None


def _wait(failures: int, retry_after: float | None) -> float:
    seconds = min(_LONGEST_WAIT, _FIRST_WAIT * _FACTOR ** (failures - 1))
    # Those that failed together must not come back together.
    seconds *= random.uniform(0.8, 1.2)
    return max(seconds, min(retry_after or 0.0, _LONGEST_WAIT))
