"""Closures: when a place was shut beside its calendar, and when our own systems were down.

A storm closes an office; an outage of ours closes it to everybody who needs the system. Both are written
down, each change in the audit's chain `calendar/closures`, and told by an event, so that whoever keeps
deadlines reckons them anew. One that was noted by mistake is withdrawn: it counts no more, and stays on
record.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import BigInteger, DateTime, Identity, Text, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation import audit
from foundation.chain import JSON
from foundation.database import Base
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, NotFound
from foundation.events import publish

CHAIN = "calendar/closures"
"""The audit's chain of them, and subject of their events."""
ADDED = "calendar.closure_added"
"""A closure was noted. Payload: id, place, starts_at, ends_at, outage."""
ENDED = "calendar.closure_ended"
"""A closure that still held has ended. Payload: id, place, starts_at, ends_at, outage."""
WITHDRAWN = "calendar.closure_withdrawn"
"""A closure never was, or was noted wrongly. Payload: id, place, starts_at, ends_at, outage."""


class ClosureRow(Base):
    """A closure as it is kept; without an end it still holds, and once withdrawn it counts no more."""

    __tablename__ = "calendar_closure"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    place: Mapped[str | None] = mapped_column(Text)
    starts_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    title_ar: Mapped[str] = mapped_column(Text)
    title_en: Mapped[str] = mapped_column(Text)
    outage: Mapped[bool]
    noted_by: Mapped[str] = mapped_column(Text)
    noted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    withdrawn_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


@dataclass(frozen=True)
class Closure:
    """A span in which a place was shut.

    Args:
        starts: its first moment, aware.
        until: the first moment after it, aware.
        title: why, as people read it.
        ours: an outage of ours: it prolongs clock hours, too.
        place: where; None is everywhere.
    """

    starts: datetime
    until: datetime
    title: Bilingual
    ours: bool
    place: str | None = None


class Closures:
    """The closures that are written down; every method works in the caller's transaction."""

    def add(
        self,
        session: Session,
        *,
        starts_at: datetime,
        title: Bilingual,
        actor: str,
        ends_at: datetime | None = None,
        outage: bool = False,
        place: str | None = None,
    ) -> ClosureRow:
        """Write a closure down; it may overlap others.

        Args:
            starts_at: its first moment, aware.
            title: why, in both languages.
            actor: who notes it: "person/…", "cli/…".
            ends_at: the first moment after it, aware; None while it holds.
            outage: it is an outage of ours.
            place: where; None is everywhere.

        Raises:
            InvalidInput: it does not end after it begins, or its title or place is empty.
        """
        _check_span(starts_at, ends_at)
        if not (title.ar.strip() and title.en.strip()) or (place is not None and not place.strip()):
            raise InvalidInput(
                "A closure needs a reason in both languages, and a place that has a name.",
                remedy="Give the missing text; leave the place out if it is everywhere.",
                message_ar="اكتب سبب الإغلاق بالعربية والإنجليزية، واسم المكان إن كان الإغلاق في مكان بعينه.",
            )
        row = ClosureRow(
            place=place,
            starts_at=starts_at,
            ends_at=ends_at,
            title_ar=title.ar,
            title_en=title.en,
            outage=outage,
            noted_by=actor,
            noted_at=datetime.now(UTC),
        )
        session.add(row)
        session.flush()
        _tell(session, row, actor, "added", ADDED)
        return row

    def end(self, session: Session, number: int, *, at: datetime, actor: str) -> ClosureRow:
        """Write down that a closure has ended.

        Args:
            number: its id.
            at: the first moment after it, aware.
            actor: who says so.

        Raises:
            NotFound: there is no such closure.
            Conflict: it has ended already, or was withdrawn.
            InvalidInput: it would end before it begins.
        """
        row = _held(session, number)
        if row.ends_at is not None:
            raise Conflict(
                f"The closure {number} has ended at {_plain(row.ends_at)} already.",
                remedy="Add another if it was shut again.",
                message_ar=f"انتهى الإغلاق {number} من قبل؛ أضف إغلاقًا آخر إن تكرر.",
            )
        _check_span(row.starts_at, at)
        row.ends_at = at
        session.flush()
        _tell(session, row, actor, "ended", ENDED)
        return row

    def withdraw(self, session: Session, number: int, *, actor: str) -> ClosureRow:
        """Take a closure back that never was, or was noted wrongly; the audit keeps what was said.

        Args:
            number: its id.
            actor: who says so.

        Raises:
            NotFound: there is no such closure.
            Conflict: it was withdrawn already.
        """
        row = _held(session, number)
        row.withdrawn_at = datetime.now(UTC)
        session.flush()
        _tell(session, row, actor, "withdrawn", WITHDRAWN)
        return row

    def list(
        self, session: Session, *, since: datetime | None = None, open_only: bool = False
    ) -> Sequence[ClosureRow]:
        """What is written down and was not withdrawn, in the order it began.

        Args:
            since: only what held at this moment or later.
            open_only: only what still holds.
        """
        query = (
            select(ClosureRow)
            .where(ClosureRow.withdrawn_at.is_(None))
            .order_by(ClosureRow.starts_at, ClosureRow.id)
        )
        if since is not None:
            query = query.where(or_(ClosureRow.ends_at.is_(None), ClosureRow.ends_at > since))
        if open_only:
            query = query.where(ClosureRow.ends_at.is_(None))
        return session.scalars(query).all()

    def bearing(
        self, session: Session, *, since: datetime, place: str | None, now: datetime
    ) -> tuple[Closure, ...]:
        """The closures that bear on a deadline, for `WorkingTime`.

        What still holds counts until `now`: how long it will hold is not known. When it ends, its event says
        so, and the deadline is reckoned anew.

        Args:
            since: when the deadline began to run; what ended before is left out.
            place: where it runs; None takes only what is shut everywhere.
            now: an aware moment.
        """
        everywhere = self.known(session, since=since, now=now)
        return tuple(one for one in everywhere if one.place in (None, place))

    def known(self, session: Session, *, since: datetime, now: datetime) -> tuple[Closure, ...]:
        """The closures of all places, each as `bearing` gives it.

        Args:
            since: what ended before is left out.
            now: an aware moment; what still holds counts until then.
        """
        return tuple(
            Closure(
                starts=row.starts_at,
                until=row.ends_at or max(now, row.starts_at),
                title=Bilingual(ar=row.title_ar, en=row.title_en),
                ours=row.outage,
                place=row.place,
            )
            for row in self.list(session, since=since)
        )


def _held(session: Session, number: int) -> ClosureRow:
    # No id is larger; what is, PostgreSQL would refuse to compare.
    row = session.get(ClosureRow, number, with_for_update=True) if 0 < number < 2**63 else None
    if row is None:
        raise NotFound(
            f"There is no closure {number}.",
            remedy="See: rakeeza calendar closure list",
            message_ar=f"لا يوجد إغلاق بالرقم {number}.",
        )
    if row.withdrawn_at is not None:
        raise Conflict(
            f"The closure {number} was withdrawn at {_plain(row.withdrawn_at)}.",
            remedy="Add another if it was shut after all.",
            message_ar=f"أُلغي تسجيل الإغلاق {number} من قبل؛ أضف إغلاقًا آخر إن لزم.",
        )
    return row


def _check_span(starts_at: datetime, ends_at: datetime | None) -> None:
    if starts_at.tzinfo is None or (ends_at is not None and ends_at.tzinfo is None):
        raise ValueError("moments must be aware of their zone")
    if ends_at is not None and ends_at <= starts_at:
        raise InvalidInput(
            f"A closure from {_plain(starts_at)} cannot end at {_plain(ends_at)}.",
            remedy="Give an end after its beginning.",
            message_ar="لا ينتهي الإغلاق قبل بدايته؛ صحّح وقت نهايته.",
        )


def _tell(session: Session, row: ClosureRow, actor: str, action: str, kind: str) -> None:
    span: dict[str, JSON] = {
        "id": row.id,
        "place": row.place,
        "starts_at": _plain(row.starts_at),
        "ends_at": _plain(row.ends_at) if row.ends_at else None,
        "outage": row.outage,
    }
    titled: dict[str, JSON] = {**span, "title": {"ar": row.title_ar, "en": row.title_en}}
    audit.record(session, chain=CHAIN, actor=actor, action=action, details=titled)
    publish(session, kind, CHAIN, span)


def _plain(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
