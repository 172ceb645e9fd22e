"""Schedules: plays that are asked for again and again, by the clock and both calendars.

`due` may be called by any number of workers at once. What becomes of one moment of one schedule is one
transaction under the lock of its row: the run is asked for and the next moment is set together, or neither
is. So a worker that is killed leaves the moment to the others, and none is run twice.
"""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, DateTime, ForeignKey, Interval, Text, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation import audit
from foundation.chain import JSON
from foundation.database import Base, Database
from foundation.errors import Conflict, InvalidInput, NotFound, RakeezaError
from foundation.events import publish
from infra.changes.recurring import Rule
from infra.plays.plays import Plays
from infra.plays.records import PlayRun

LATE_AFTER = timedelta(hours=1)
"""How much later than its moment a run is still asked for."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,60}")
_LONGEST = timedelta(days=7)
# Of the moments that were missed, as many of the latest are named one by one.
_NAMED = 20

_log = logging.getLogger(__name__)


class PlaySchedule(Base):
    """A schedule.

    Args:
        rule: when, as `infra.changes.recurring` reads it.
        created_by: the person in whose name runs are asked for.
        enabled: it is not paused.
        next_at: its next moment; None if it is paused, or has no more.
        last_at: the latest moment that was dealt with.
        last_run: the latest run that was asked for.
        late_after: how much later than its moment a run is still asked for.
    """

    __tablename__ = "play_schedule"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    playbook: Mapped[str] = mapped_column(Text)
    target_limit: Mapped[str | None] = mapped_column(Text)
    parameters: Mapped[dict[str, Any]] = mapped_column(JSONB)
    check_mode: Mapped[bool]
    diff: Mapped[bool]
    rule: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    enabled: Mapped[bool]
    next_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    last_run: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("play_run.id", ondelete="SET NULL"))
    late_after: Mapped[timedelta] = mapped_column(Interval)

    @property
    def subject(self) -> str:
        """What its events and its audit chain are called."""
        return subject_of(self.name)


What = Literal["requested", "missed", "skipped", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of moments of a schedule that were due.

    Args:
        schedule: its name.
        what: `requested`: a run was asked for; `missed`: it was too late; `skipped`: the run before is still
            under way; `failed`: the run was refused.
        moments: which, in UTC; but for `missed`, one.
        run: the run that was asked for, or that is still under way.
        reason: why it was refused.
    """

    schedule: str
    what: What
    moments: tuple[datetime, ...]
    run: int | None = None
    reason: str | None = None


class Schedules:
    """Schedules of plays; every method but `due` works in the caller's transaction.

    Args:
        database: holds them.
        plays: asked for the runs.
        place: the zone whose clock the rules follow; the change calendar's.
    """

    def __init__(self, database: Database, plays: Plays, place: ZoneInfo) -> None:
        self._database = database
        self._plays = plays
        self.place = place

    def add(
        self,
        session: Session,
        name: str,
        playbook: str,
        *,
        rule: str,
        created_by: str,
        limit: str | None = None,
        parameters: Mapping[str, str] | None = None,
        check: bool = False,
        diff: bool = False,
        late_after: timedelta = LATE_AFTER,
        now: datetime | None = None,
    ) -> PlaySchedule:
        """Keep a new schedule.

        Args:
            name: unique; small letters, digits, - and _.
            playbook: what is run; its parameters and the limit must hold now, and again at each moment.
            rule: when, as `infra.changes.recurring.Rule.parse` reads it.
            created_by: the person in whose name runs are asked for, and who therefore cannot approve them.
            limit: hosts and groups it is for; None means all it may run on.
            parameters: its parameters, by name, as text.
            check: change nothing.
            diff: show how files change.
            late_after: how much later than its moment a run is still asked for; at most a week.
            now: an aware moment; this one by default.

        Raises:
            Conflict: the name is taken.
            DefinitionError: the playbook is faulty.
            InvalidInput: a name, rule, parameter, limit or lateness that is none, or a rule without a moment
                to come.
            NotFound: no such playbook.
        """
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"{name!r} is no name for a schedule.",
                remedy="Take small letters, digits, - and _, a letter first.",
                message_ar=f"«{name}» لا يصلح اسمًا لجدول؛ استعمل حروفًا لاتينية صغيرة وأرقامًا تبدأ بحرف.",
            )
        if not timedelta(minutes=1) <= late_after <= _LONGEST:
            raise InvalidInput(
                "A schedule may be late by a minute at least and a week at most.",
                remedy="Give another --late-after.",
                message_ar="مدة التأخر المسموح بها بين دقيقة واحدة وسبعة أيام.",
            )
        read = Rule.parse(rule)
        values = dict(parameters or {})
        found = self._plays.playbook(playbook)
        found.values(values)
        self._plays.inventory(session, found).limited(limit)
        if session.get(PlaySchedule, name) is not None:
            raise Conflict(
                f"There is a schedule {name!r} already.",
                remedy="Remove it first, or take another name.",
                message_ar=f"يوجد جدول باسم «{name}» من قبل؛ احذفه أو اختر اسمًا آخر.",
            )
        row = PlaySchedule(
            name=name,
            playbook=playbook,
            target_limit=limit,
            parameters=values,
            check_mode=check,
            diff=diff,
            rule=read.text,
            created_by=created_by,
            created_at=datetime.now(UTC),
            enabled=True,
            next_at=self._to_come(read, now),
            late_after=late_after,
        )
        session.add(row)
        session.flush()
        told: dict[str, JSON] = {
            "playbook": playbook,
            "limit": limit,
            "parameters": {key: str(value) for key, value in values.items()},
            "check": check,
            "rule": read.text,
            "late_after_s": int(late_after.total_seconds()),
            "next_at": _plain(row.next_at),
        }
        _tell(session, row, created_by, "added", told)
        return row

    def pause(self, session: Session, name: str, *, actor: str) -> PlaySchedule:
        """Let a schedule rest until it is resumed; moments that pass meanwhile are not caught up.

        Raises:
            NotFound: there is no such schedule.
            Conflict: it is paused already.
        """
        row = self.get(session, name, lock=True)
        if not row.enabled:
            raise Conflict(
                f"The schedule {name} is paused already.",
                remedy=f"Resume it with: rakeeza play schedule resume {name}",
                message_ar=f"الجدول «{name}» موقوف مؤقتًا من قبل.",
            )
        row.enabled, row.next_at = False, None
        session.flush()
        _tell(session, row, actor, "paused", {})
        return row

    def resume(self, session: Session, name: str, *, actor: str, now: datetime | None = None) -> PlaySchedule:
        """Let a paused schedule go on, with its next moment to come.

        Raises:
            NotFound: there is no such schedule.
            Conflict: it is not paused.
            InvalidInput: it has no moment to come.
        """
        row = self.get(session, name, lock=True)
        if row.enabled:
            raise Conflict(
                f"The schedule {name} is not paused.",
                remedy="See: rakeeza play schedule list",
                message_ar=f"الجدول «{name}» ليس موقوفًا.",
            )
        row.next_at = self._to_come(Rule.parse(row.rule), now)
        row.enabled = True
        session.flush()
        _tell(session, row, actor, "resumed", {"next_at": _plain(row.next_at)})
        return row

    def remove(self, session: Session, name: str, *, actor: str) -> None:
        """Forget a schedule; its runs stay, and so does what the audit says of it.

        Raises:
            NotFound: there is no such schedule.
        """
        row = self.get(session, name, lock=True)
        _tell(session, row, actor, "removed", {"rule": row.rule, "playbook": row.playbook})
        session.delete(row)
        session.flush()

    def get(self, session: Session, name: str, *, lock: bool = False) -> PlaySchedule:
        """The schedule of a name.

        Args:
            lock: hold its row until the end of the transaction.

        Raises:
            NotFound: there is no such schedule.
        """
        row = session.get(PlaySchedule, name, with_for_update=lock) if "\0" not in name else None
        if row is None:
            raise NotFound(
                f"There is no schedule {name!r}.",
                remedy="See: rakeeza play schedule list",
                message_ar=f"لا يوجد جدول باسم «{name}».",
            )
        return row

    def list(self, session: Session) -> Sequence[PlaySchedule]:
        """All schedules, by name."""
        return session.scalars(select(PlaySchedule).order_by(PlaySchedule.name.collate("C"))).all()

    def upcoming(self, row: PlaySchedule, count: int) -> tuple[datetime, ...]:
        """So many of a schedule's next moments, in UTC; none while it is paused."""
        if row.next_at is None or count < 1:
            return ()
        first = row.next_at.astimezone(UTC)
        return (first, *Rule.parse(row.rule).upcoming(first, self.place, count - 1))

    def due(self, now: datetime, stop: Callable[[], bool] = lambda: False) -> tuple[Outcome, ...]:
        """Ask for the runs whose moment has come, and tell of those that cannot be; for a worker's rounds.

        A schedule that fails unexpectedly does not hold the others back: it is logged, and tried again.

        Args:
            now: an aware moment.
            stop: asked between two schedules.

        Returns:
            What this call did; what other workers do at the same time, they return.

        Raises:
            Unavailable: the database does not answer; what is not done is done in the next round.
        """
        with self._database.transaction() as session:
            query = select(PlaySchedule.name).where(PlaySchedule.enabled, PlaySchedule.next_at <= now)
            names = list(session.scalars(query.order_by(PlaySchedule.next_at, PlaySchedule.name)))
        outcomes: list[Outcome] = []
        for name in names:
            if stop():
                break
            try:
                with self._database.transaction() as session:
                    outcomes += self._deal_with(session, name, now)
            except RakeezaError as error:
                if error.retryable:
                    raise
                _log.exception("The schedule %s could not be dealt with.", name)
            except Exception:  # noqa: BLE001 -- logged with its trace
                _log.exception("The schedule %s could not be dealt with.", name)
        return tuple(outcomes)

    def _deal_with(self, session: Session, name: str, now: datetime) -> Sequence[Outcome]:
        query = select(PlaySchedule).where(
            PlaySchedule.name == name, PlaySchedule.enabled, PlaySchedule.next_at <= now
        )
        # Another worker has it, or has dealt with it since we looked.
        row = session.scalar(query.with_for_update(skip_locked=True))
        if row is None or row.next_at is None:
            return ()
        rule = Rule.parse(row.rule)
        moments = [row.next_at.astimezone(UTC)]
        while (later := rule.after(moments[-1], self.place)) is not None and later <= now:
            moments.append(later)
        row.next_at, row.last_at = later, moments[-1]
        missed = tuple(moments[:-1])
        if now - moments[-1] > row.late_after:
            return [_missed(session, row, tuple(moments))]
        before = [_missed(session, row, missed)] if missed else []
        return [*before, self._ask(session, row, moments[-1])]

    def _ask(self, session: Session, row: PlaySchedule, moment: datetime) -> Outcome:
        last = session.get(PlayRun, row.last_run) if row.last_run is not None else None
        if last is not None and last.under_way:
            skipped: dict[str, JSON] = {"moment": _plain(moment), "run": last.id, "state": last.state}
            _tell(session, row, "system", "skipped", {**skipped, "next_at": _plain(row.next_at)})
            return Outcome(row.name, "skipped", (moment,), last.id)
        try:
            # What a refused request wrote before it was refused is undone, and the telling of it is not.
            with self._database.errors(), session.begin_nested():
                row.last_run = self._plays.request(
                    session,
                    row.playbook,
                    requested_by=row.created_by,
                    limit=row.target_limit,
                    parameters=row.parameters,
                    check=row.check_mode,
                    diff=row.diff,
                    schedule=row.name,
                )
        except RakeezaError as error:
            if error.retryable:
                raise
            failed: dict[str, JSON] = {"moment": _plain(moment), "reason": str(error)}
            _tell(session, row, "system", "failed", {**failed, "next_at": _plain(row.next_at)})
            return Outcome(row.name, "failed", (moment,), reason=str(error))
        told: dict[str, JSON] = {"moment": _plain(moment), "run": row.last_run}
        _tell(session, row, "system", "requested", {**told, "next_at": _plain(row.next_at)})
        return Outcome(row.name, "requested", (moment,), row.last_run)

    def _to_come(self, rule: Rule, now: datetime | None) -> datetime:
        found = rule.after(now or datetime.now(UTC), self.place)
        if found is None:
            raise InvalidInput(
                f"{rule.text!r} has no moment that is still to come.",
                remedy="Give a later one.",
                message_ar=f"«{rule.text}» لا موعد له في المستقبل؛ اختر موعدًا لاحقًا.",
            )
        return found


def subject_of(name: str) -> str:
    """What the events and the audit chain of a schedule are called."""
    return f"play-schedule/{name}"


def _missed(session: Session, row: PlaySchedule, moments: tuple[datetime, ...]) -> Outcome:
    told: dict[str, JSON] = {
        "moment": _plain(moments[-1]),
        "count": len(moments),
        "moments": tuple(_plain(moment) for moment in moments[-_NAMED:]),
        "late_after_s": int(row.late_after.total_seconds()),
        "next_at": _plain(row.next_at),
    }
    _tell(session, row, "system", "missed", told)
    return Outcome(row.name, "missed", moments)


def _tell(session: Session, row: PlaySchedule, actor: str, what: str, told: Mapping[str, JSON]) -> None:
    kind = f"play.schedule_{what}"
    payload = {"schedule": row.name, "playbook": row.playbook, "created_by": row.created_by, **told}
    audit.record(session, chain=row.subject, actor=actor, action=kind, details=payload)
    publish(session, kind, row.subject, payload)


def _plain(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
