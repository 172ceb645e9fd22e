"""Freezes that somebody declares, beside those that the change calendar has every year.

Each change of them stands in the audit's chain `change/freezes` and is told by an event.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import ARRAY, BigInteger, DateTime, Identity, Text, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation import audit
from foundation.assets import Assets
from foundation.bidi import plain
from foundation.chain import JSON
from foundation.database import Base
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, NotFound
from foundation.events import publish
from infra.changes.calendar import Changing, Frozen

CHAIN = "change/freezes"
"""The audit's chain of them, and subject of their events."""
ADDED = "change.freeze_added"
"""A freeze was declared. Payload: id, sites (null is all), risks, starts_at, ends_at, reason."""
ENDED = "change.freeze_ended"
"""A freeze got an end, or an earlier one. Payload: as of `change.freeze_added`."""

_LONGEST = 300
_RISKS: tuple[Changing, ...] = ("low", "medium", "high")


class FreezeRow(Base):
    """A freeze as it is kept.

    Args:
        sites: where; None is everywhere.
        ends_at: the first moment after it; None while nobody has set one.
        ended_by: who ended it early, or set its end.
    """

    __tablename__ = "change_freeze"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    sites: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    risks: Mapped[list[str]] = mapped_column(ARRAY(Text))
    starts_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    reason_ar: Mapped[str] = mapped_column(Text)
    reason_en: Mapped[str] = mapped_column(Text)
    declared_by: Mapped[str] = mapped_column(Text)
    declared_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_by: Mapped[str | None] = mapped_column(Text)

    def frozen(self) -> Frozen:
        """The freeze as a verdict reads it."""
        return Frozen(
            label=Bilingual(
                ar=f"{self.reason_ar} (التجميد رقم {self.id}، أعلنه {self.declared_by})",
                en=f"{self.reason_en} (freeze {self.id}, declared by {self.declared_by})",
            ),
            sites=tuple(self.sites) if self.sites is not None else None,
            risks=tuple(cast("list[Changing]", self.risks)),
            starts=self.starts_at.astimezone(UTC),
            until=self.ends_at.astimezone(UTC) if self.ends_at else None,
        )


class Freezes:
    """The freezes that people declare; every method works in the caller's transaction.

    Args:
        assets: where sites are looked up.
    """

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    def add(
        self,
        session: Session,
        *,
        reason: Bilingual,
        actor: str,
        starts_at: datetime,
        ends_at: datetime | None = None,
        sites: Sequence[str] | None = None,
        risks: Sequence[str] = _RISKS,
    ) -> FreezeRow:
        """Declare a freeze; it may overlap others.

        Args:
            reason: why, in both languages; who waits reads it.
            actor: who declares it: "person/…", "cli/…".
            starts_at: its first moment, aware.
            ends_at: the first moment after it, aware; None until somebody sets one.
            sites: where; None is everywhere.
            risks: of the changes that are frozen.

        Raises:
            InvalidInput: it does not end after it begins, has ended already, has no reason, names a site that
                is none, or a risk that is none.
        """
        _check_span(starts_at, ends_at)
        if not (plain(reason.ar) and plain(reason.en)):
            raise InvalidInput(
                "A freeze needs a reason in both languages.",
                remedy="Whoever has to wait reads it.",
                message_ar="اكتب سبب التجميد بالعربية والإنجليزية؛ سيقرؤه من ينتظر انتهاءه.",
            )
        if sites is not None and not sites:
            raise InvalidInput(
                "No site is named.",
                remedy="Name sites, or leave them out to freeze all.",
                message_ar="لم يُذكر أي موقع؛ سمِّ المواقع أو اتركها ليشمل التجميد جميعها.",
            )
        for site in sites or ():
            self.expect_site(session, site)
        row = FreezeRow(
            sites=sorted(set(sites)) if sites is not None else None,
            risks=_known_risks(risks),
            starts_at=starts_at,
            ends_at=ends_at,
            # One line that turns nothing round: it is told in the middle of sentences.
            reason_ar=plain(reason.ar, _LONGEST),
            reason_en=plain(reason.en, _LONGEST),
            declared_by=actor,
            declared_at=datetime.now(UTC),
        )
        session.add(row)
        session.flush()
        _tell(session, row, actor, ADDED)
        return row

    def end(self, session: Session, number: int, *, actor: str, at: datetime | None = None) -> FreezeRow:
        """End a freeze before its time, or set the end that it lacks.

        One that has not begun then never holds.

        Args:
            number: its id.
            actor: who ends it.
            at: the first moment after it, aware and not past; now without it.

        Raises:
            NotFound: there is no such freeze.
            Conflict: it has ended, or ends before that.
            InvalidInput: the moment is past.
        """
        row = session.get(FreezeRow, number, with_for_update=True) if 0 < number < 1 << 63 else None
        if row is None:
            raise NotFound(
                f"There is no freeze {number}.",
                remedy="See: rakeeza freeze list",
                message_ar=f"لا يوجد تجميد بالرقم {number}.",
            )
        now = datetime.now(UTC)
        _check_aware(at)
        if at is not None and at < now:
            raise InvalidInput(
                "A freeze cannot be ended in the past.",
                remedy="Leave the moment out to end it now.",
                message_ar="لا يمكن إنهاء التجميد بتاريخ مضى؛ اترك الموعد ليُنهى الآن.",
            )
        until = max(at or now, row.starts_at)
        if row.ends_at is not None and row.ends_at <= until:
            raise Conflict(
                f"The freeze {number} ends at {_plain(row.ends_at)} already.",
                remedy="Declare another if it has to hold longer.",
                message_ar=f"ينتهي التجميد رقم {number} قبل ذلك؛ أعلن تجميدًا آخر إن لزم أن يطول.",
            )
        row.ends_at = until
        row.ended_by = actor
        session.flush()
        _tell(session, row, actor, ENDED)
        return row

    def list(self, session: Session, *, since: datetime | None = None) -> Sequence[FreezeRow]:
        """What is declared, in the order it begins.

        Args:
            since: only what holds at this moment or later.
        """
        query = select(FreezeRow).order_by(FreezeRow.starts_at, FreezeRow.id)
        if since is not None:
            query = query.where(or_(FreezeRow.ends_at.is_(None), FreezeRow.ends_at > since))
            # One that was ended before it began.
            query = query.where(FreezeRow.ends_at.is_distinct_from(FreezeRow.starts_at))
        return session.scalars(query).all()

    def holding(self, session: Session, since: datetime) -> tuple[Frozen, ...]:
        """The freezes that hold at a moment or later, for `verdict`."""
        return tuple(row.frozen() for row in self.list(session, since=since))

    def sites(self, session: Session) -> tuple[str, ...]:
        """The names of all sites."""
        return tuple(asset.name for asset in self._assets.list(session, "site"))

    def expect_site(self, session: Session, name: str) -> None:
        """Refuse a name that is no site's: of a mistyped one, "nothing is frozen" would be no answer.

        Raises:
            InvalidInput: there is no such site.
        """
        known = self.sites(session)
        if name not in known:
            raise InvalidInput(
                f"There is no site {name!r}.",
                place="--site",
                remedy=f"Known: {', '.join(known) or 'none'}.",
                message_ar=f"لا يوجد موقع باسم «{name}».",
            )


def _known_risks(risks: Sequence[str]) -> list[str]:
    if not risks or set(risks) - set(_RISKS):
        raise InvalidInput(
            f"A freeze is of changes of some risk, not of {', '.join(risks) or 'none'}.",
            remedy=f"Known: {', '.join(_RISKS)}; what only reads is never frozen.",
            message_ar="حدد درجات الخطورة التي يشملها التجميد: منخفضة أو متوسطة أو عالية.",
        )
    return [risk for risk in _RISKS if risk in risks]


def _check_aware(*moments: datetime | None) -> None:
    if any(moment is not None and moment.tzinfo is None for moment in moments):
        raise ValueError("moments must be aware of their zone")


def _check_span(starts_at: datetime, ends_at: datetime | None) -> None:
    _check_aware(starts_at, ends_at)
    if ends_at is not None and ends_at <= starts_at:
        raise InvalidInput(
            f"A freeze from {_plain(starts_at)} cannot end at {_plain(ends_at)}.",
            remedy="Give an end after its beginning.",
            message_ar="لا ينتهي التجميد قبل بدايته؛ صحّح موعد نهايته.",
        )
    if ends_at is not None and ends_at <= datetime.now(UTC):
        raise InvalidInput(
            f"A freeze that ended at {_plain(ends_at)} holds nothing back.",
            remedy="Give an end that is still to come.",
            message_ar="موعد نهاية التجميد قد مضى؛ اختر موعدًا لاحقًا.",
        )


def _tell(session: Session, row: FreezeRow, actor: str, kind: str) -> None:
    told: dict[str, JSON] = {
        "id": row.id,
        "sites": tuple(row.sites) if row.sites is not None else None,
        "risks": tuple(row.risks),
        "starts_at": _plain(row.starts_at),
        "ends_at": _plain(row.ends_at) if row.ends_at else None,
        "reason": {"ar": row.reason_ar, "en": row.reason_en},
    }
    audit.record(session, chain=CHAIN, actor=actor, action=kind, details=told)
    publish(session, kind, CHAIN, told)


def _plain(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
