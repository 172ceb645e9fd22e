"""Delivering webhooks: in order and at least once for each subscription, by several workers at a time.

A sender takes a subscription for a turn of some seconds, sends what waits on one connection, and lets it go;
those that wait longest come next, so that one which is far behind, or answers slowly, holds up no other. A
worker that was killed loses its leases, and the next one sends again from the last event that it told of.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text

from foundation.calendar import today
from foundation.database import Database
from foundation.errors import InvalidInput, RakeezaError, Unavailable
from foundation.events import StoredEvent, newest, read
from foundation.outgoing import Line, Outgoing, Undelivered
from foundation.personal import Vault
from foundation.signed_post import headers
from integrations import event_sight, webhook_leases, webhooks
from integrations.webhook_leases import Failure, Lease
from integrations.webhooks import Subscription, keys, message

_log = logging.getLogger(__name__)

# They mostly wait for receivers.
_SENDERS = 8
# Seconds between two looks, when nothing was found.
_PAUSE = 0.5
# Events read at a time.
_READ = 500
# Seconds after which a subscription that has more gives its sender to the next.
_TURN = 5.0
# Seconds that a lease lasts beyond the longest exchange.
_SPARE = 15.0
# Events that are not this subscription's are only remembered, until there are so many: then it is noted.
_REMEMBERED = 1_000

# A client that was shut out is told nothing, nor a centre without a contract in force; their events wait.
_DUE = text(
    """
    SELECT webhook.* FROM webhook
    LEFT JOIN api_client ON 'client/' || api_client.client_id = webhook.client
    WHERE webhook.state IN ('active', 'failing') AND webhook.next_at <= :now
      AND (webhook.leased_until IS NULL OR webhook.leased_until < clock_timestamp())
      AND webhook.cursor IS DISTINCT FROM :newest AND api_client.enabled IS NOT FALSE
      AND NOT EXISTS (
          SELECT FROM centre WHERE centre.code = api_client.client_id
              AND (centre.state <> 'active' OR NOT EXISTS (
                  SELECT FROM centre_contract AS agreed WHERE agreed.centre = centre.code
                      AND agreed.ended_at IS NULL AND :day BETWEEN agreed.first_day AND agreed.last_day))
      )
    ORDER BY webhook.next_at, webhook.id
    """
)
_NOTE = text(
    """
    UPDATE webhook SET cursor = :cursor
    WHERE id = :id AND generation = :generation AND cursor IS NOT DISTINCT FROM :before AND lease IS NULL
    """
)


@dataclass(frozen=True)
class _Page:
    # Of `looked` events, the last of them at `end`, those that are a subscription's own.
    events: list[StoredEvent]
    end: str
    looked: int


@dataclass
class _Seen:
    # How far a subscription was looked through without finding anything of its own.
    generation: int
    before: str | None
    cursor: str
    passed: int


@dataclass
class _Turn:
    # What a sender begins with, and whether it ended only because its time was over.
    lease: Lease
    page: _Page
    has_more: bool = False


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
    # Whether the last look found a whole page with nothing in it for its subscription.
    _is_behind: bool = False

    def run(self, stop: Callable[[], bool]) -> None:
        """Deliver until told to stop; then the messages under way are the last."""
        with ThreadPoolExecutor(_SENDERS, "webhook") as senders:
            free = threading.Semaphore(_SENDERS)
            again = threading.Event()

            def send(turn: _Turn) -> None:
                try:
                    with _undisturbed():
                        self._send(turn, stop)
                finally:
                    free.release()
                    if turn.has_more:
                        again.set()

            while not stop():
                again.clear()
                began = False
                with _undisturbed():
                    for subscription, page in self._waiting():
                        # First a sender, then the lease: one that waits for a sender would run out.
                        free.acquire()
                        turn = None
                        try:
                            turn = None if stop() else self._turn(subscription, page)
                        finally:
                            if turn is None:
                                free.release()
                        if turn is not None:
                            began = True
                            senders.submit(send, turn)
                if not began and not self._is_behind:
                    again.wait(_PAUSE)

    def round(self) -> int:
        """Give every subscription for which something waits one turn, one after the other.

        Returns:
            How many messages arrived.
        """
        arrived = 0
        for subscription, page in self._waiting():
            turn = self._turn(subscription, page)
            arrived += self._send(turn, lambda: False) if turn else 0
        return arrived

    def _waiting(self) -> Iterator[tuple[Subscription, _Page]]:
        self._is_behind = False
        with self.database.transaction() as session:
            last = newest(session)
            now = self.clock()
            words = {"now": now, "day": today(now=now), "newest": last}
            rows = session.execute(_DUE, words).mappings().all()
        # One page after the other: all of them together may be more than memory should hold.
        for subscription in map(webhooks.subscription_of, rows):
            page = self._first_page(subscription, last)
            if page is not None and page.events:
                yield subscription, page

    def _first_page(self, subscription: Subscription, last: str | None) -> _Page | None:
        seen = self._seen.get(subscription.id)
        if seen is None or (seen.generation, seen.before) != (subscription.generation, subscription.cursor):
            seen = None
        after = seen.cursor if seen else subscription.cursor
        page = None if after == last else self._page(subscription, after)
        if page is not None and not page.events:
            self._is_behind |= page.looked == _READ
            self._pass(subscription, page, page.looked + (seen.passed if seen else 0))
        return page

    def _page(self, subscription: Subscription, after: str | None) -> _Page | None:
        with self.database.transaction() as session:
            events = read(session, after=after, limit=_READ)
            wanted = [event for event in events if event_sight.is_wanted(event, subscription.kinds)]
            centres = event_sight.centres(session, wanted)
        mine = [event for event, of in zip(wanted, centres, strict=True) if subscription.client in of]
        return _Page(mine, events[-1].cursor, len(events)) if events else None

    def _pass(self, subscription: Subscription, page: _Page, passed: int) -> None:
        seen = _Seen(subscription.generation, subscription.cursor, page.end, passed)
        self._seen[subscription.id] = seen
        if passed >= _REMEMBERED:
            words = {"id": subscription.id, "generation": seen.generation, "before": seen.before}
            with self.database.transaction() as session:
                session.execute(_NOTE, {**words, "cursor": seen.cursor})
            del self._seen[subscription.id]

    def _turn(self, subscription: Subscription, page: _Page) -> _Turn | None:
        # Longer than a message can be under way after the lease was renewed. A name server that takes longer
        # than this does no harm: nothing is sent any more after the timeout.
        lease = webhook_leases.take(self.database, subscription, self.outgoing.timeout_s + _SPARE)
        return _Turn(lease, page) if lease else None

    def _send(self, turn: _Turn, stop: Callable[[], bool]) -> int:
        lease, arrived = turn.lease, 0
        try:
            with contextlib.closing(self.outgoing.line(lease.subscription.url)) as line:
                for event in self._events(turn):
                    if stop() or not lease.holds(self.clock()) or not self._arrives(lease, line, event):
                        break
                    arrived += 1
        finally:
            lease.release(self.clock())
        return arrived

    def _events(self, turn: _Turn) -> Iterator[StoredEvent]:
        # The one before has arrived when the next is asked for.
        end = time.monotonic() + _TURN
        page: _Page | None = turn.page
        while page is not None:
            for event in page.events:
                yield event
                turn.has_more = time.monotonic() >= end
                if turn.has_more:
                    return
            turn.lease.reached = page.end
            page = self._page(turn.lease.subscription, page.end)
            turn.has_more = page is not None and time.monotonic() >= end
            if turn.has_more:
                return

    def _arrives(self, lease: Lease, line: Line, event: StoredEvent) -> bool:
        subscription, now = lease.subscription, self.clock()
        id, body = message(event)
        try:
            line.post(body, headers(id, body, keys(self.vault, subscription, now), now))
        except Undelivered as error:
            failure = Failure(error.reason, error.retry_after, error.gone)
        except InvalidInput:
            # The name leads elsewhere by now: into a network that we do not send to.
            failure = Failure("forbidden_address")
        except RakeezaError as error:
            failure = Failure(type(error).__name__, is_final=True)
        else:
            lease.reached = event.cursor
            return True
        lease.fail(failure, self.attempts, now)
        return False


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    # A fault met in one look or with one subscription must not end the looks to come.
    try:
        yield
    except Unavailable as error:
        _log.warning("Webhooks wait: %s", error)
    except Exception:  # noqa: BLE001 -- logged with its trace
        _log.exception("A webhook failed.")
