"""Sending notices: one by one, each held by a lease while it is under way, and again later if it must be.

No transaction is open while a notice is under way. One whose sender was killed is sent again when its lease
has run out, under the key it had, so that who gets it twice can tell.
"""

import json
import logging
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from foundation import audit, events
from foundation.chain import JSON
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import RakeezaError, Refused
from foundation.letter import Letter
from foundation.mail import LetterWaits, MailLine, MailServer
from foundation.notice_recipients import Channel, Recipient, shown
from foundation.outgoing import Line, Outgoing, Undelivered
from foundation.secret import SecretFile
from foundation.signed_post import check_secret, headers

_log = logging.getLogger(__name__)

FAILED = "notice.failed"
"""A notice was given up. Subject: what it was about. Payload: notice, kind, channel, recipient, reason."""

# Seconds of the first wait after a failure, and of the longest.
_FIRST_WAIT, _FACTOR, _LONGEST_WAIT = 15.0, 3.0, 3_600.0
# Seconds that a lease lasts beyond the longest exchange.
_SPARE = 15.0
_LONGEST_ERROR = 500

# Those that failed most come last: one that its receiver cannot take holds up no other.
_CLAIMED = text(
    """
    UPDATE notice SET lease = :lease, leased_until = clock_timestamp() + make_interval(secs => :seconds)
    WHERE id = (
        SELECT id FROM notice
        WHERE state = 'waiting' AND channel = :channel AND recipient = ANY(:addresses) AND next_at <= :now
          AND (leased_until IS NULL OR leased_until < clock_timestamp())
        ORDER BY attempts, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING *
    """
)
_ENDED = text(
    """
    UPDATE notice SET state = :state, attempts = attempts + 1, last_error = :error, ended_at = :now,
        lease = NULL, leased_until = NULL
    WHERE id = :id AND lease = :lease RETURNING id
    """
)
_WAITS = text(
    """
    UPDATE notice SET attempts = attempts + 1, last_error = :error, next_at = :next,
        lease = NULL, leased_until = NULL
    WHERE id = :id AND lease = :lease RETURNING id
    """
)
_ALL_WAIT = text(
    """
    UPDATE notice SET next_at = :next
    WHERE state = 'waiting' AND channel = :channel AND recipient = ANY(:addresses) AND next_at < :next
    """
)


class Way(Protocol):
    """A way to receivers, on which a connection is kept; to be closed."""

    def give(self, notice: RowMapping, now: datetime) -> None:
        """Give one notice; raises a `RakeezaError` wherever it was not taken."""

    def close(self) -> None:
        """Close the connection, if there is one."""


@dataclass(frozen=True)
class MailWay:
    """To the mail server.

    Args:
        line: to it.
    """

    line: MailLine

    def give(self, notice: RowMapping, now: datetime) -> None:  # noqa: ARG002 -- its date is the event's
        """Give one letter."""
        content = notice["content"]
        self.line.post(
            Letter(
                key=str(notice["key"]),
                recipient=notice["recipient"],
                subject=Bilingual(**content["title"]),
                text=Bilingual(**content["text"]),
                at=notice["at"],
                thread=notice["subject"],
                group=notice["reader"],
            )
        )

    def close(self) -> None:
        """End the conversation."""
        self.line.close()


@dataclass(frozen=True)
class WebhookWay:
    """To one webhook.

    Args:
        line: to it.
        secrets: hold what signs.
        secret: its name.
    """

    line: Line
    secrets: SecretFile
    secret: str

    def give(self, notice: RowMapping, now: datetime) -> None:
        """Post one message, signed."""
        key = self.secrets.get(self.secret)
        check_secret(key, self.secret)
        content = {
            "type": notice["kind"],
            "timestamp": notice["at"].isoformat().replace("+00:00", "Z"),
            "data": {"subject": notice["subject"], **notice["content"]["data"]},
        }
        body = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
        self.line.post(body, headers(f"msg_{notice['key'].hex}", body, [key.reveal()], now))

    def close(self) -> None:
        """Close the connection."""
        self.line.close()


@dataclass(frozen=True)
class Route:
    """Receivers that are reached together: all mail, or one webhook.

    Args:
        channel: how.
        addresses: whose notices go this way.
        seconds: that one exchange takes at most.
        open: makes the way.
    """

    channel: Channel
    addresses: tuple[str, ...]
    seconds: float
    open: Callable[[], Way]


def routes_of(
    recipients: Sequence[Recipient], mail: MailServer, outgoing: Outgoing, secrets_: SecretFile
) -> list[Route]:
    """The ways to some recipients: a webhook that hangs must hold up neither mail nor another webhook."""
    letters = tuple(dict.fromkeys(each.address for each in recipients if each.channel == "mail"))
    # Opening, sign-in and the letter have the timeout each.
    routes = [Route("mail", letters, 3 * mail.timeout_s, lambda: MailWay(mail.line()))] if letters else []

    def webhook(recipient: Recipient) -> Route:
        def opened() -> Way:
            return WebhookWay(outgoing.line(recipient.address), secrets_, recipient.secret)

        return Route("webhook", (recipient.address,), outgoing.timeout_s, opened)

    hooks = {each.address: each for each in recipients if each.channel == "webhook"}
    return routes + [webhook(each) for each in hooks.values()]


@dataclass
class Sender:
    """Sends what waits on one route, for one thread.

    Args:
        database: holds the notices.
        route: where they go.
        clock: the present moment, aware.
        tries_for: how long after what it tells of a notice is given up.
    """

    database: Database
    route: Route
    clock: Callable[[], datetime]
    tries_for: timedelta
    # In a row, of the route.
    _failures: int = 0

    def send(self, stop: Callable[[], bool]) -> int:
        """Send what is due.

        Returns:
            How many were taken.
        """
        taken = 0
        with closing(self.route.open()) as way:
            while not stop() and (notice := self._claim()) is not None:
                try:
                    way.give(notice, self.clock())
                except RakeezaError as error:
                    if self._failed(notice, error):
                        break
                else:
                    self._taken(notice)
                    taken += 1
        return taken

    def _claim(self) -> RowMapping | None:
        words = {
            "lease": secrets.token_hex(8),
            "seconds": self.route.seconds + _SPARE,
            "now": self.clock(),
            **self._mine(),
        }
        with self.database.transaction() as session:
            return session.execute(_CLAIMED, words).mappings().one_or_none()

    def _taken(self, notice: RowMapping) -> None:
        self._failures = 0
        with self.database.transaction() as session:
            if self._end(session, notice, "sent", None):
                _tell(session, notice, "notice.sent", {})

    def _failed(self, notice: RowMapping, error: RakeezaError) -> bool:
        # Whether the whole route is to be left alone for a while.
        reason, now = str(error)[:_LONGEST_ERROR], self.clock()
        concerns_all = _concerns_all(error)
        _log.warning("%s of %s waits: %s", notice["kind"], notice["subject"], reason)
        with self.database.transaction() as session:
            # Where nobody is reached, it is the route that is tried ever more rarely, and not one notice.
            failures = self._failures if concerns_all else notice["attempts"]
            later = now + timedelta(seconds=_wait(failures, getattr(error, "retry_after", None)))
            if _is_final(error) or later > notice["at"] + self.tries_for:
                if self._end(session, notice, "failed", reason):
                    give_up(session, notice, reason)
            else:
                words = {"id": notice["id"], "lease": notice["lease"], "error": reason, "next": later}
                session.execute(_WAITS, words)
            if concerns_all:
                session.execute(_ALL_WAIT, {"next": later, **self._mine()})
        self._failures = self._failures + 1 if concerns_all else 0
        return concerns_all

    def _end(self, session: Session, notice: RowMapping, state: str, error: str | None) -> bool:
        # False if its lease ran out: it is another sender's now, or ended already.
        words = {"id": notice["id"], "lease": notice["lease"], "state": state, "error": error}
        return session.execute(_ENDED, {**words, "now": self.clock()}).one_or_none() is not None

    def _mine(self) -> dict[str, Any]:
        return {"channel": self.route.channel, "addresses": list(self.route.addresses)}


def give_up(session: Session, notice: RowMapping, reason: str) -> None:
    """Say of a notice that was written as failed that nobody will get it."""
    told = _tell(session, notice, FAILED, {"reason": reason})
    events.publish(session, FAILED, notice["subject"], told)
    _log.error("%s of %s was given up: %s", notice["kind"], notice["subject"], reason)


def _tell(session: Session, notice: RowMapping, action: str, more: Mapping[str, JSON]) -> dict[str, JSON]:
    told: dict[str, JSON] = {
        "notice": int(notice["id"]),
        "kind": str(notice["kind"]),
        "channel": str(notice["channel"]),
        "recipient": shown(notice["channel"], notice["recipient"]),
        **more,
    }
    audit.record(session, chain=notice["subject"], actor="system", action=action, details=told)
    return told


def _is_final(error: RakeezaError) -> bool:
    # Whatever is wrong with our settings can be mended while notices wait.
    return isinstance(error, Refused) or (isinstance(error, Undelivered) and error.gone)


def _concerns_all(error: RakeezaError) -> bool:
    if isinstance(error, Undelivered):
        # Of one message the receiver may not like what stands in it.
        return not error.reason.startswith("status_") or error.retry_after is not None
    return not isinstance(error, Refused | LetterWaits)


def _wait(failures: int, retry_after: float | None) -> float:
    seconds: float = min(_LONGEST_WAIT, _FIRST_WAIT * _FACTOR ** min(failures, 20))
    # Those that failed together must not come back together.
    seconds *= random.uniform(0.8, 1.2)
    return max(seconds, min(retry_after or 0.0, _LONGEST_WAIT))
