"""The status lists of this municipality: each credential's place in one, and the lists as they are published.

Tables: `status_list` (each list as it was last published), `status_change` (licences whose credentials may
stand otherwise than the lists say). Whoever writes a licence leaves a row there in his transaction; a round
of the worker takes the rows, reads how those licences stand now, and publishes. A change that is committed
meanwhile has a row of its own, for the next round. Rounds take turns: no list is followed by an older one.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.wire.credential import LicenceClaims, Signer, read_claims
from foundation.wire.status_list import (
    ENTRIES,
    LIST_BITS,
    StatusList,
    StatusReference,
    StatusValue,
    empty,
    put,
    sign_list,
)
from foundation.wire.verification import Listed
from integrations.cases.numbers import COUNT, numbered

PATH = "/v1/status-lists"
"""Where the lists are served, by number."""

_AT_ONCE = 10_000
_LAST_LIST = 2047  # two milliards of credentials
_LOCK = 0x52_4B_5A_53  # "RKZS"

_PLACE = text(
    "SELECT place.index, list.uri FROM (SELECT nextval('licence_status_index') AS index) AS place "
    "LEFT JOIN status_list AS list ON list.number = place.index >> :bits"
)
_PLACE_AND_COUNT = text(
    f"WITH counted AS ({COUNT}) SELECT place.index, list.uri, counted.last "
    "FROM counted CROSS JOIN (SELECT nextval('licence_status_index') AS index) AS place "
    "LEFT JOIN status_list AS list ON list.number = place.index >> :bits"
)
_NEW_LIST = text(
    "INSERT INTO status_list (number, uri, version) VALUES (:number, :uri, 0) "
    "ON CONFLICT (number) DO UPDATE SET number = excluded.number RETURNING uri"
)
_DUE = text(
    "SELECT number FROM status_list "
    "WHERE token IS NULL OR made_at <= :before OR made_at > :latest "
    "OR kid <> :kid OR expires_at - made_at <> :life OR ttl <> :ttl"
)
_LAST_MADE = text("SELECT max(made_at) FROM status_list WHERE made_at <= :latest")
_TURN = text("SELECT pg_try_advisory_xact_lock(:lock)")
_CHANGES = text("SELECT id, licence_id FROM status_change ORDER BY id LIMIT :most")
_TAKEN = text("DELETE FROM status_change WHERE id = ANY(:ids)")
_LIST = text("SELECT * FROM status_list WHERE number = :number")
_PUBLISH = text(
    "UPDATE status_list SET version = :version, packed = :packed, token = :token, kid = :kid, "
    "made_at = :made_at, expires_at = :expires_at, ttl = :ttl WHERE number = :number"
)
_HEADS = "number, uri, version, made_at, expires_at, ttl, octet_length(token) AS size"
_PUBLISHED = text(f"SELECT {_HEADS} FROM status_list WHERE token IS NOT NULL ORDER BY number")
_TOKEN = text(f"SELECT {_HEADS}, token FROM status_list WHERE token IS NOT NULL AND number = :number")

# What is ended is ended whatever paper is shown; an old paper stays old while its licence is suspended.
_VALUE = """
    CASE
        WHEN licence.status IN ('revoked', 'closed', 'void') THEN 1
        WHEN version.version < licence.version OR version.copy < licence.copies THEN 3
        WHEN licence.status = 'suspended' THEN 2
        ELSE 0
    END
"""
_VALUES = f"""
    SELECT version.status_index AS index, {_VALUE} AS value
    FROM licence_version AS version JOIN licence ON licence.id = version.licence_id
"""
_OF_LICENCES = text(
    f"{_VALUES} WHERE version.licence_id = ANY(:licences) AND version.status_index IS NOT NULL"
)
_OF_LIST = text(
    f"{_VALUES} WHERE version.status_index >= :first AND version.status_index < :end AND {_VALUE} <> 0"
)
_OF_NUMBER = text(
    f"SELECT version.credential AS code, {_VALUE} AS value "
    "FROM licence_version AS version JOIN licence ON licence.id = version.licence_id "
    "WHERE licence.number = :number AND version.credential IS NOT NULL"
)


@dataclass(frozen=True)
class Place:
    """A credential's place.

    Args:
        index: among the credentials of all lists.
        reference: what the credential says of it.
    """

    index: int
    reference: StatusReference


@dataclass(frozen=True)
class Published:
    """A list as it is published.

    Args:
        size: of its message, in bytes.
        token: its message; None where only its head was asked for.
    """

    number: int
    uri: str
    version: int
    made_at: datetime
    expires_at: datetime
    ttl: timedelta
    size: int
    token: bytes | None = None


def list_uri(public_url: str | None, number: int) -> str:
    """Name of a list: its address, as the public reaches it.

    A platform without a public address gives its lists names that stand for no address, and are told by their
    municipality's key alone.
    """
    return f"{(public_url or '').rstrip('/')}{PATH}/{number}"


def new_place(session: Session, public_url: str | None) -> Place:
    """The next place in a list, for a credential that is about to be sealed.

    A list keeps the name it got with its first place, wherever the platform is reached later: a credential
    says it for years.
    """
    index, uri = session.execute(_PLACE, {"bits": LIST_BITS}).one()
    return _place(session, public_url, index, uri)


def new_place_and_number(
    session: Session, public_url: str | None, series: str, day: date
) -> tuple[Place, str]:
    """The next place, as `new_place`, and the next number, as `numbers.next_number`, in one statement.

    The counter stays locked until the commit: from here on others who issue wait.
    """
    words = {"bits": LIST_BITS, "series": series, "year": day.year}
    index, uri, last = session.execute(_PLACE_AND_COUNT, words).one()
    return _place(session, public_url, index, uri), numbered(series, day, last)


def _place(session: Session, public_url: str | None, index: int, uri: str | None) -> Place:
    if uri is None:
        number = index >> LIST_BITS
        named = {"number": number, "uri": list_uri(public_url, number)}
        uri = session.execute(_NEW_LIST, named).scalar_one()
    return Place(index, StatusReference(index % ENTRIES, uri))


def last_place(public_url: str | None) -> Place:
    """A place whose reference is as long as any: to see whether a credential will fit."""
    return Place(0, StatusReference(ENTRIES - 1, list_uri(public_url, _LAST_LIST)))


@dataclass(frozen=True)
class StatusLists:
    """Publishes the lists, and gives them out.

    Args:
        municipality: code of who issues, read in the transaction that asks.
        signer: the key that signs at a moment, likewise.
        clock: the present moment, aware.
        life: after which a list is too old to be relied on.
        ttl: for which a verifier keeps a list before asking for a newer one; it is renewed at half of it.
    """

    database: Database
    municipality: Callable[[Session], str]
    signer: Callable[[Session, datetime], Signer]
    clock: Callable[[], datetime]
    life: timedelta
    ttl: timedelta

    def rebuild(self) -> int:
        """Publish what changed, and what is half as old as it is kept.

        A list that is renewed for its age is read anew from all licences, so that whatever no change was
        written for is right again by then.

        Returns:
            How many lists were published.
        """
        published = 0
        while True:
            done, more = self._round()
            published += done
            if not more:
                return published

    def published(self, session: Session) -> list[Published]:
        """The heads of all lists, by number."""
        return [Published(**row) for row in session.execute(_PUBLISHED).mappings()]

    def token(self, session: Session, number: int) -> Published | None:
        """A list with its message; None where there is none yet."""
        if number > _LAST_LIST:
            return None
        row = session.execute(_TOKEN, {"number": number}).mappings().one_or_none()
        return None if row is None else Published(**row)

    def standing(self, session: Session, claims: LicenceClaims) -> Listed | None:
        """How a credential stands at this moment, by the register itself; None where it is not there.

        Args:
            claims: what it says; all of it is compared, and not its text, which could be packed otherwise.
        """
        now = self.clock()
        for row in session.execute(_OF_NUMBER, {"number": claims.number}):
            if read_claims(row.code) == claims:
                return Listed(StatusValue(row.value), now, now + self.life, None)
        return None

    def _round(self) -> tuple[int, bool]:
        with self.database.transaction() as session:
            work = self._work(session)
            if not work.due and not work.changes:
                return 0, False
            if not session.execute(_TURN, {"lock": _LOCK}).scalar_one():
                # Another worker is at it, and what it does not see the next round will.
                return 0, False
            # Again, now that it is our turn.
            work = self._work(session)
            values = self._values(session, {row.licence_id for row in work.changes})
            # All is read and signed before the first write: while that is open, readers of events wait.
            lists = [
                self._next(session, work, number, values[number]) for number in sorted({*work.due, *values})
            ]
            rows = [row for row in lists if row is not None]
            if rows:
                session.connection().execute(_PUBLISH, rows)
            if work.changes:
                session.execute(_TAKEN, {"ids": [row.id for row in work.changes]})
            return len(rows), len(work.changes) == _AT_ONCE

    def _work(self, session: Session) -> "_Work":
        at, latest = self._moment(session)
        signer = self.signer(session, at)
        asked = {
            "before": at - self.ttl / 2,
            "latest": latest,
            "kid": signer.public.kid,
            "life": self.life,
            "ttl": self.ttl,
        }
        due = frozenset(session.execute(_DUE, asked).scalars())
        return _Work(at, signer, due, session.execute(_CHANGES, {"most": _AT_ONCE}).all())

    def _moment(self, session: Session) -> tuple[datetime, datetime]:
        """The moment that lists made now say, and the last one that a right clock can have said before."""
        now = self.clock().replace(microsecond=0)
        # A clock that was set back must not make a list older than the one before: verifiers refuse those.
        # What is further ahead was made by a clock that ran wild. Verifiers of the right time do not go by
        # it, and it would keep every list after it in the future too.
        latest = now + self.ttl
        last = session.execute(_LAST_MADE, {"latest": latest}).scalar_one()
        return (now if last is None else max(now, last)), latest

    def _values(self, session: Session, licences: Iterable[int]) -> dict[int, list[tuple[int, int]]]:
        by_list: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for index, value in session.execute(_OF_LICENCES, {"licences": list(licences)}):
            by_list[index >> LIST_BITS].append((index % ENTRIES, value))
        return by_list

    def _next(
        self, session: Session, work: "_Work", number: int, values: list[tuple[int, int]]
    ) -> dict[str, Any] | None:
        last = session.execute(_LIST, {"number": number}).mappings().one()
        if number in work.due or last["packed"] is None:
            packed = self._read_all(session, number)
        else:
            packed = bytearray(last["packed"])
            put(packed, values)
            if packed == last["packed"]:
                return None
        content = StatusList(
            uri=last["uri"],
            municipality=self.municipality(session),
            version=last["version"] + 1,
            issued_at=work.at,
            expires_at=work.at + self.life,
            ttl=self.ttl,
            packed=bytes(packed),
        )
        return {
            "number": number,
            "version": content.version,
            "packed": content.packed,
            "token": sign_list(content, work.signer),
            "kid": work.signer.public.kid,
            "made_at": content.issued_at,
            "expires_at": content.expires_at,
            "ttl": content.ttl,
        }

    def _read_all(self, session: Session, number: int) -> bytearray:
        packed, first = empty(), number << LIST_BITS
        rows = session.execute(
            _OF_LIST, {"first": first, "end": first + ENTRIES}, execution_options={"yield_per": _AT_ONCE}
        )
        for part in rows.partitions():
            put(packed, ((index - first, value) for index, value in part))
        return packed


@dataclass(frozen=True)
class _Work:
    """What a round has to do, the moment that its lists say, and who signs at that moment."""

    at: datetime
    signer: Signer
    due: frozenset[int]
    changes: Sequence[Row[Any]]
