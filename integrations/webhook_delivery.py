"""Delivering webhooks: in order and at least once for each subscription, by several workers at a time.

A subscription is taken by a lease, a column that a worker writes and that runs out, and no transaction is
open while a message is under way: an open writing transaction would hold back every reader of events. A
worker that was killed loses its lease, and the next one sends again from the last event that was noted.
"""

import contextlib
import logging
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import InvalidInput, RakeezaError, Unavailable
from foundation.events import StoredEvent, newest, publish, read
from foundation.personal import Vault
from integrations import event_sight, webhooks
from integrations.outgoing import Outgoing, Undelivered
from integrations.webhooks import Subscription, headers, keys, message

_log = logging.getLogger(__name__)

_SENDERS = 4
# Seconds between two looks, when nothing was found.
_PAUSE = 0.5
_READ = 200
# Seconds of the first wait after a failure, and of the longest: five days for twelve attempts, as the
# convention's example has it.
_FIRST_WAIT, _FACTOR, _LONGEST_WAIT = 5.0, 4.0, 86_400.0
# Events that are not this subscription's are only remembered, until there are so many: then it is noted.
_REMEMBERED = 1_000

# A client that was shut out is told nothing; its events wait.
_DUE = text(
    """
    SELECT webhook.* FROM webhook
    LEFT JOIN api_client ON 'client/' || api_client.client_id = webhook.client
    WHERE webhook.state IN ('active', 'failing') AND webhook.next_at <= :now
      AND (webhook.leased_until IS NULL OR webhook.leased_until < clock_timestamp())
      AND webhook.cursor IS DISTINCT FROM :newest AND api_client.enabled IS NOT FALSE
    ORDER BY webhook.next_at, webhook.id
    """
)
_LEASE = text(
    """
    UPDATE webhook SET lease = :lease, leased_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = :id AND generation = :generation AND cursor IS NOT DISTINCT FROM :cursor
      AND (leased_until IS NULL OR leased_until < clock_timestamp())
    RETURNING id
    """
)
_DELIVERED = text(
    """
    UPDATE webhook SET cursor = :cursor, state = 'active', failures = 0, reason = NULL, next_at = :now,
        leased_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = :id AND lease = :lease AND generation = :generation
    RETURNING id
    """
)
_FAILED = text(
    """
    UPDATE webhook SET failures = failures + 1, state = :state, reason = :reason, next_at = :next
    WHERE id = :id AND lease = :lease AND generation = :generation
    RETURNING failures
    """
)
_FAILURES = text("SELECT failures FROM webhook WHERE id = :id FOR UPDATE")
_RELEASE = text("UPDATE webhook SET lease = NULL, leased_until = NULL WHERE id = :id AND lease = :lease")
_NOTE = text(
    """
    UPDATE webhook SET cursor = :cursor
    WHERE id = :id AND generation = :generation AND cursor IS NOT DISTINCT FROM :before AND lease IS NULL
    """
)


@dataclass
class _Seen:
    # How far a subscription was looked through without finding anything of its own.
    generation: int
    before: str | None
    cursor: str
    passed: int


@dataclass(frozen=True)
class _Batch:
    subscription: Subscription
    lease: str
    events: list[StoredEvent]


@dataclass
class Delivery:
    """Delivers.

    Args:
        outgoing: sends.
        attempts: failures in a row after which a subscription is paused.
        clock: the present moment, aware.
    """

    database: Database
    vault: Vault
    outgoing: Outgoing
    attempts: int
    clock: Callable[[], datetime]
    _seen: dict[int, _Seen] = field(default_factory=dict)

    def run(self, stop: Callable[[], bool]) -> None:
        """Deliver until told to stop; then the messages under way are the last."""
        with ThreadPoolExecutor(_SENDERS, "webhook") as senders:
            free = threading.Semaphore(_SENDERS)

            def send(batch: _Batch) -> None:
                try:
                    with _undisturbed():
                        self._send(batch, stop)
                finally:
                    free.release()

            while not stop():
                began = False
                with _undisturbed():
                    for subscription, events in self._waiting():
                        # First a sender, then the lease: one that waits for a sender would run out.
                        free.acquire()
                        batch = None if stop() else self._leased(subscription, events)
                        if batch is None:
                            free.release()
                        else:
                            began = True
                            senders.submit(send, batch)
                if not began:
                    time.sleep(_PAUSE)

    def round(self) -> int:
        """Deliver what can be delivered now, one subscription after the other.

        Returns:
            How many messages arrived.
        """
        arrived = 0
        for subscription, events in self._waiting():
            batch = self._leased(subscription, events)
            arrived += self._send(batch, lambda: False) if batch else 0
        return arrived

    def _waiting(self) -> list[tuple[Subscription, list[StoredEvent]]]:
        with self.database.transaction() as session:
            words = {"now": self.clock(), "newest": newest(session)}
            due = [webhooks.subscription_of(row) for row in session.execute(_DUE, words).mappings()]
            looked = [(each, self._pending(session, each)) for each in due]
        for subscription, events in looked:
            if not events:
                self._note(subscription)
        return [(subscription, events) for subscription, events in looked if events]

    def _leased(self, subscription: Subscription, events: list[StoredEvent]) -> _Batch | None:
        lease = secrets.token_hex(8)
        words = {
            "id": subscription.id,
            "lease": lease,
            "seconds": self._lease_s,
            "generation": subscription.generation,
            "cursor": subscription.cursor,
        }
        with self.database.transaction() as session:
            ours = session.execute(_LEASE, words).one_or_none() is not None
        return _Batch(subscription, lease, events) if ours else None

    def _pending(self, session: Session, subscription: Subscription) -> list[StoredEvent]:
        seen = self._seen.get(subscription.id)
        if seen is None or (seen.generation, seen.before) != (subscription.generation, subscription.cursor):
            seen = None
        events = read(session, after=seen.cursor if seen else subscription.cursor, limit=_READ)
        wanted = [event for event in events if event_sight.is_wanted(event, subscription.kinds)]
        centres = event_sight.centres(session, wanted)
        mine = [event for event, of in zip(wanted, centres, strict=True) if subscription.client in of]
        if not mine and events:
            passed = len(events) + (seen.passed if seen else 0)
            self._seen[subscription.id] = _Seen(
                subscription.generation, subscription.cursor, events[-1].cursor, passed
            )
        return mine

    def _note(self, subscription: Subscription) -> None:
        seen = self._seen.get(subscription.id)
        if seen is None or seen.passed < _REMEMBERED:
            return
        words = {
            "id": subscription.id,
            "generation": seen.generation,
            "before": seen.before,
            "cursor": seen.cursor,
        }
        with self.database.transaction() as session:
            session.execute(_NOTE, words)
        del self._seen[subscription.id]

    def _send(self, batch: _Batch, stop: Callable[[], bool]) -> int:
        arrived = 0
        try:
            for event in batch.events:
                if stop() or not self._send_one(batch, event):
                    break
                arrived += 1
        finally:
            with self.database.transaction() as session:
                session.execute(_RELEASE, {"id": batch.subscription.id, "lease": batch.lease})
        return arrived

    def _send_one(self, batch: _Batch, event: StoredEvent) -> bool:
        subscription, now = batch.subscription, self.clock()
        id, body = message(event)
        try:
            signed = headers(id, body, keys(self.vault, subscription, now), now)
            self.outgoing.post(subscription.url, body, signed)
        except Undelivered as error:
            self._failed(batch, error.reason, error.retry_after, now, final=error.gone)
            return False
        except InvalidInput:
            # The name leads elsewhere by now: into a network that we do not send to.
            self._failed(batch, "forbidden_address", None, now)
            return False
        except RakeezaError as error:
            self._failed(batch, type(error).__name__, None, now, final=True)
            return False
        words = {
            "id": subscription.id,
            "lease": batch.lease,
            "generation": subscription.generation,
            "cursor": event.cursor,
            "now": now,
            "seconds": self._lease_s,
        }
        with self.database.transaction() as session:
            # Nobody's any more if a person changed it meanwhile, or we were so late that another took it.
            return session.execute(_DELIVERED, words).one_or_none() is not None

    def _failed(
        self, batch: _Batch, reason: str, retry_after: float | None, now: datetime, final: bool = False
    ) -> None:
        subscription = batch.subscription
        with self.database.transaction() as session:
            before = session.execute(_FAILURES, {"id": subscription.id}).scalar_one_or_none()
            failures = (before or 0) + 1
            ends = final or failures >= self.attempts
            words = {
                "id": subscription.id,
                "lease": batch.lease,
                "generation": subscription.generation,
                "state": "paused" if ends else "failing",
                "reason": reason,
                "next": now + timedelta(seconds=_wait(failures, retry_after)),
            }
            ours = session.execute(_FAILED, words).one_or_none() is not None
            if ours and ends:
                told = {"client": subscription.client, "failures": failures, "reason": reason}
                publish(session, webhooks.PAUSED, subscription.context, told)
        if ours:
            _log.warning("Webhook %s: %s (%d in a row).", subscription.id, reason, failures)

    @property
    def _lease_s(self) -> float:
        # Longer than one message can be under way.
        return 2 * self.outgoing.timeout_s + 30.0


def _wait(failures: int, retry_after: float | None) -> float:
    seconds = min(_LONGEST_WAIT, _FIRST_WAIT * _FACTOR ** (failures - 1))
    # Those that failed together must not come back together.
    seconds *= random.uniform(0.8, 1.2)
    return max(seconds, min(retry_after or 0.0, _LONGEST_WAIT))


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    # A fault met in one look or with one subscription must not end the looks to come.
    try:
        yield
    except Unavailable as error:
        _log.warning("Webhooks wait: %s", error)
    except Exception:  # noqa: BLE001 -- logged with its trace
        _log.exception("A webhook failed.")
