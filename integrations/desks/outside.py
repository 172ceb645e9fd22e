"""The desk of what lies outside: calls to back-ends, webhooks, and events for those who listen."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from foundation.errors import InvalidInput, NotFound
from foundation.events import StoredEvent, afollow, newest
from foundation.idempotency import Answer
from foundation.identity import Caller, Role
from foundation.outgoing import Outgoing
from foundation.secret import SecretFile
from foundation.settings import Settings
from integrations import event_sight, webhooks
from integrations.backend_drivers import open_backends
from integrations.cases import calls, case_store
from integrations.cases.calling import Calling
from integrations.cases.case import Case
from integrations.cases.views import cursor, read_cursor
from integrations.desks.desk import Desk
from integrations.resilience.circuits import CircuitNews
from integrations.resilience.look_ups import LookUps, Standing, standings
from integrations.webhook_delivery import Delivery
from integrations.webhooks import Subscription

LARGEST_PAGE = 200
"""Parked calls in one page, at most."""

_MENDS = (Role.REVIEWER, Role.ADMINISTRATOR, Role.ENGINEER)
# Calls hold nothing of a person: whoever keeps the platform running may see all of them.
_KEEPS = frozenset({Role.ADMINISTRATOR, Role.ENGINEER})
_OF_PARTIES = frozenset(
    {"case.submitted", "case.moved", "case.deemed", "case.escalated", "case.deadline_moved"}
)
_WATCHES = frozenset({Role.AUDITOR, Role.ADMINISTRATOR})


class Outside:
    """Calls, webhooks and events.

    Args:
        settings: back-ends, and how webhooks are sent.
        secrets: holds the back-ends' tokens.
        outgoing: sends webhooks; by the settings if none is given.
    """

    def __init__(
        self, desk: Desk, settings: Settings, secrets: SecretFile, outgoing: Outgoing | None = None
    ) -> None:
        self._desk = desk
        self._vault = desk.office.vault
        news, look_ups = CircuitNews(desk.database), LookUps(desk.database, desk.clock)
        backends = open_backends(settings, secrets, desk.clock, news.tell, look_ups.note)
        self._places = {name: section.places for name, section in settings.backends.items()}
        self._calling = Calling(
            desk.database, desk.definitions, desk.engine, desk.office, backends, desk.clock
        )
        self._calling.register()
        sent = settings.webhooks
        self._outgoing = outgoing or Outgoing(sent.allow_private, sent.timeout)
        self._delivery = Delivery(desk.database, self._vault, self._outgoing, sent.attempts, desk.clock)

    @property
    def threads(self) -> int:
        """Threads that calls are made with: while every back-end hangs in all its places, one is free."""
        return sum(self._places.values()) + 1

    def standings(self) -> list[Standing]:
        """How each back-end of the settings stands; nothing of anybody is in it."""
        with self._desk.database.transaction() as session:
            return standings(session, sorted(self._places))

    def calls(self, caller: Caller, number: str) -> list[dict[str, Any]]:
        """The calls of a case, in the order they were asked.

        Raises:
            NotFound: there is no such case, or the caller may not know of it.
        """
        with self._desk.database.transaction() as session:
            case = self._desk.read_case(session, caller, number)
            if self._desk.only_asked(session, caller, case):
                # What a back-end says of somebody is for those who decide.
                return []
            return [calls.view(call) for call in calls.of_case(session, case.id)]

    def parked(self, caller: Caller, after: str | None = None, limit: int = 50) -> dict[str, Any]:
        """One page of the calls that wait for a person, of cases that the caller may see, in order.

        Args:
            after: the `next` of the page before.
            limit: calls looked at, at most `LARGEST_PAGE`.

        Raises:
            PermissionDenied: the caller mends no calls.
            Malformed: `after` is no cursor of ours.
        """
        _require(caller, *_MENDS, Role.AUDITOR)
        size = min(limit, LARGEST_PAGE)
        start = 0 if after is None else read_cursor(after, "call")
        with self._desk.database.transaction() as session:
            found = calls.parked(session, start, size + 1)
            page = found[:size]
            items = [calls.view(call) for call in page if self._known(session, caller, call.number)]
        return {"items": items, "next": cursor(page[-1].id, "call") if len(found) > size else None}

    def retry(self, caller: Caller, call: int, key: str | None) -> Answer:
        """Put a parked call back, to be asked from the first attempt.

        Args:
            call: its number.
            key: the caller's Idempotency-Key.

        Raises:
            PermissionDenied: the caller mends no calls.
            NotFound: there is no such call, or the caller may not know of it.
            Conflict: it is not parked.
        """
        _require(caller, *_MENDS)

        def act(session: Session, at: datetime) -> dict[str, Any]:
            found = calls.by_id(session, call)
            if self._known(session, caller, found.number) is None:
                raise calls.absent(call)
            case = case_store.locked(session, found.number)
            put_back, job = calls.put_back(session, case, call, caller.actor, at)
            self._desk.office.jobs.enqueue_all(session, [job])
            return calls.view(put_back)

        return self._desk.once(caller, key, "retry", str(call), {}, act)

    def resume(self) -> int:
        """Put back the calls whose worker was killed, whose job is lost, or whose back-end answers again.

        Their keys make it safe.

        Returns:
            How many were put back.
        """
        jobs = self._desk.office.jobs
        with self._desk.database.transaction() as session:
            stalled = jobs.put_back(session, calls.JOB)
            at = self._desk.clock()
            again = [*calls.lost(session, at), *calls.answerable(session, at)]
            jobs.enqueue_all(session, again)
            calls.forget(session)
        return stalled + len(again)

    def webhooks(self, caller: Caller) -> list[dict[str, Any]]:
        """The caller's subscriptions, without their secrets; the platform's own callers see all."""
        with self._desk.database.transaction() as session:
            return [_view(each) for each in webhooks.of_client(session, _owner(caller))]

    def subscribe(
        self, caller: Caller, url: str, kinds: Sequence[str], key: str | None, client: str | None = None
    ) -> Answer:
        """Subscribe to what happens from now on to the caller's own cases and their licences.

        Args:
            kinds: events wanted, as "licence.issued", or "licence." for all of those; none for all.
            client: for whom, as the audit trail names it; only the platform's own callers name one.

        Returns:
            The subscription with its `secret`.

        Raises:
            PermissionDenied: the caller is no client that opens cases.
            InvalidInput: a URL that may not be sent to, or a kind that there is not.
            Conflict: the client has as many as it may.
        """
        _require(caller, Role.CENTRE)
        owner = client if client is not None and caller.kind == "system" else caller.actor
        # Before the transaction: a name server may take its time.
        self._outgoing.check(url)

        def act(session: Session, at: datetime) -> dict[str, Any]:
            return _view(webhooks.add(session, self._vault, owner, url, kinds, at))

        request = {"url": url, "kinds": list(kinds)}
        return self._with_secret(self._desk.once(caller, key, "webhook", owner, request, act))

    def unsubscribe(self, caller: Caller, webhook: int) -> None:
        """End a subscription; a message under way is the last.

        Raises:
            NotFound: the caller has none of this number.
        """
        with self._desk.database.transaction() as session:
            webhooks.remove(session, webhooks.find(session, webhook, _owner(caller), lock=True))

    def pause(self, caller: Caller, webhook: int, key: str | None) -> Answer:
        """Deliver nothing until it is resumed; nothing is lost meanwhile. Raises as `unsubscribe`."""

        def act(session: Session, subscription: Subscription, _at: datetime) -> None:
            webhooks.pause(session, subscription, "by_request")

        return self._change(caller, webhook, key, "pause", {}, act)

    def unpause(self, caller: Caller, webhook: int, key: str | None) -> Answer:
        """Deliver again, from where it stopped. Raises as `unsubscribe`."""
        return self._change(caller, webhook, key, "resume", {}, webhooks.resume)

    def replay(
        self, caller: Caller, webhook: int, after: str | None, since: datetime | None, key: str | None
    ) -> Answer:
        """Deliver again, with the same ids and bodies; a paused subscription goes on.

        Args:
            after: what came after this event: the part of a `webhook-id` behind "evt_".
            since: in its place, what was published at this moment (aware) or later.

        Raises:
            NotFound: the caller has no such subscription.
            InvalidInput: not exactly one of the two is given.
            Conflict: no event has this cursor yet.
            Malformed: it is no cursor.
        """
        if (after is None) == (since is None):
            raise InvalidInput(
                "A replay begins either after an event or at a moment.",
                remedy="Give one of the two.",
                message_ar="حدّد بداية الإعادة: حدثًا أو وقتًا، لا كليهما.",
            )

        def act(session: Session, subscription: Subscription, at: datetime) -> None:
            start = webhooks.before(session, since) if since is not None else after
            webhooks.replay(session, subscription, start, at)

        asked = {"after": after, "since": since.isoformat() if since else None}
        return self._change(caller, webhook, key, "replay", asked, act)

    def rotate_secret(self, caller: Caller, webhook: int, key: str | None) -> Answer:
        """Give it a new secret; for a day the one before signs too. Raises as `unsubscribe`.

        Returns:
            The subscription with its new `secret`.
        """

        def act(session: Session, subscription: Subscription, at: datetime) -> None:
            webhooks.rotate(session, self._vault, subscription, at)

        return self._with_secret(self._change(caller, webhook, key, "rotate", {}, act))

    def deliver(self, stop: Callable[[], bool]) -> None:
        """Deliver webhooks until told to stop; a thread of the worker does it, of several workers too."""
        self._delivery.run(stop)

    def deliver_now(self) -> int:
        """Deliver what can be delivered at this moment; how many messages arrived."""
        return self._delivery.round()

    def newest(self) -> str | None:
        """The cursor from which only what happens from now on is followed; None before the first event."""
        with self._desk.database.transaction() as session:
            return newest(session)

    async def events(self, caller: Caller, after: str | None) -> AsyncGenerator[StoredEvent, None]:
        """The events that a caller may see, after a cursor and then those to come.

        Raises:
            Malformed: `after` is no cursor.
        """
        following = afollow(self._desk.database, after=after)
        try:
            async for event in following:
                if event_sight.is_shown(event) and await asyncio.to_thread(self._sees, caller, event):
                    yield event
        finally:
            # It holds a place among the readers.
            if isinstance(following, AsyncGenerator):
                await following.aclose()

    def _sees(self, caller: Caller, event: StoredEvent) -> bool:
        if event.payload.get("centre") == caller.actor or caller.roles & _WATCHES:
            return True
        with self._desk.database.transaction() as session:
            if caller.actor in event_sight.centres(session, [event])[0]:
                return True
            number = event_sight.case_of(event)
            return number is not None and self._follows(session, caller, number, event.kind)

    def _follows(self, session: Session, caller: Caller, number: str, kind: str) -> bool:
        case = self._known(session, caller, number)
        if case is None:
            return False
        # A party follows the case, and not what is paid for it, asked of back-ends or made of a licence.
        whole = kind in _OF_PARTIES or bool(caller.roles & _KEEPS)
        return whole or not self._desk.only_asked(session, caller, case)

    def _known(self, session: Session, caller: Caller, number: str) -> Case | None:
        # A case that a caller keeps running or may see.
        try:
            case = case_store.find(session, number)
        except NotFound:
            return None
        known = bool(caller.roles & _KEEPS) or self._desk.sees(session, caller, case)
        return case if known else None

    def _change(
        self,
        caller: Caller,
        webhook: int,
        key: str | None,
        command: str,
        request: Mapping[str, Any],
        act: Callable[[Session, Subscription, datetime], object],
    ) -> Answer:
        def do(session: Session, at: datetime) -> dict[str, Any]:
            act(session, webhooks.find(session, webhook, _owner(caller), lock=True), at)
            return _view(webhooks.find(session, webhook, None))

        return self._desk.once(caller, key, f"webhook {command}", str(webhook), request, do)

    def _with_secret(self, answer: Answer) -> Answer:
        # Kept answers lie unsealed; the secret is put in on the way out, as long as it is the one made then.
        with self._desk.database.transaction() as session:
            try:
                found = webhooks.find(session, answer.body["id"], None)
            except NotFound:
                return answer
        if found.secret_version != answer.body["secret_version"]:
            return answer
        current = webhooks.keys(self._vault, found, self._desk.clock())[0]
        return replace(answer, body={**answer.body, "secret": current})


def _require(caller: Caller, *roles: Role) -> None:
    # The command line: whoever may run it can read the database itself.
    if caller.kind != "system":
        caller.require(*roles)


def _owner(caller: Caller) -> str | None:
    return None if caller.kind == "system" else caller.actor


def _view(subscription: Subscription) -> dict[str, Any]:
    return {
        "id": subscription.id,
        "client": subscription.client,
        "url": subscription.url,
        "kinds": list(subscription.kinds),
        "state": subscription.state,
        "failures": subscription.failures,
        "reason": subscription.reason,
        "cursor": subscription.cursor,
        "secret_version": subscription.secret_version,
        "previous_until": _moment(subscription.previous_until),
        "next_at": _moment(subscription.next_at),
        "created": _moment(subscription.created),
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
