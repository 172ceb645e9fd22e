"""Whether a run may begin now, and if not, what it waits for; a wait never holds a worker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from foundation.errors import DefinitionError, NotFound
from infra.changes.calendar import ChangeCalendar
from infra.changes.freezes import Freezes
from infra.changes.verdict import verdict_of
from infra.plays.definition import Risk, Window
from infra.plays.records import PERFORMED, TO_BEGIN, PlayRun

# It is asked again after so long at the latest: a freeze may end early, a lock be freed by no run of ours.
_SOON = timedelta(seconds=2)
_LATER = timedelta(seconds=60)
# The first half of the advisory lock's key; the second is the site's. "site" in ASCII.
_SITE_LOCK = 0x73697465


@dataclass(frozen=True)
class Wait:
    """Why a run does not begin.

    Args:
        kind: `moment`, `window`, `site`, `turn` or `device`.
        reason: a sentence.
        until: when to ask again.
    """

    kind: str
    reason: str
    until: datetime


def judged(
    session: Session,
    run: PlayRun,
    *,
    calendar: Callable[[], ChangeCalendar],
    freezes: Freezes,
    risk: Risk,
    window: Window,
    sites: Sequence[str | None],
    most_runs: int,
) -> Wait | None:
    """What a run has to wait for, of all but its devices' locks; None if it may begin.

    Args:
        session: of the transaction that begins it; until its end no other run begins at the same site.
        run: whose record is locked.
        calendar: gives the change calendar that holds; while it is faulty, nothing but checks and emergencies
            begins.
        freezes: that somebody declared.
        risk: of its playbook.
        window: of its playbook.
        sites: its hosts stand at; None for one that is at none.
        most_runs: runs performed at one site at the same time, at most.
    """
    now = session.scalar(select(func.clock_timestamp()))
    assert now is not None
    if run.not_before is not None and run.not_before > now:
        return Wait("moment", f"It begins at {run.not_before:%Y-%m-%d %H:%M}Z.", run.not_before)
    # A check changes nothing: what it is for may be looked at at any time.
    planning = run.check_mode or (run.approval_needed and run.approved_plan is None)
    if not planning and run.emergency is None:
        try:
            days = calendar()
        except (DefinitionError, NotFound) as error:
            return Wait("window", f"It is not known when changes may be made. {error}", now + _LATER)
        found = verdict_of(
            days, freezes.holding(session, now), sites=sites, risk=risk, window=window, moment=now
        )
        if not found.open:
            until = min(found.opens_at or now + _LATER, now + _LATER)
            return Wait("window", found.reason or "No change window is open.", until)
    return _turn(session, run, now) or _room(session, run, now, most_runs)


def of_devices(reason: str, now: datetime) -> Wait:
    """The wait of a run whose devices somebody else holds."""
    return Wait("device", reason, now + _SOON)


def _turn(session: Session, run: PlayRun, now: datetime) -> Wait | None:
    # Else one on many hosts would wait for ever, while younger ones take now this device and now that.
    ahead = session.scalar(
        select(PlayRun)
        .where(
            PlayRun.id < run.id,
            PlayRun.state.in_(TO_BEGIN),
            PlayRun.waits_for == "device",
            PlayRun.targets.overlap(run.targets),
        )
        .order_by(PlayRun.id)
        .limit(1)
    )
    if ahead is None:
        return None
    shared = ", ".join(sorted(set(ahead.targets) & set(run.targets))[:3])
    who = f"run {ahead.id} of {ahead.playbook} ({ahead.requested_by})"
    return Wait("turn", f"It comes after {who}, which waits for {shared} too.", now + _SOON)


def _room(session: Session, run: PlayRun, now: datetime, most_runs: int) -> Wait | None:
    session.execute(
        text("SELECT pg_advisory_xact_lock(:lock, hashtext(:site))"),
        {"lock": _SITE_LOCK, "site": run.site or ""},
    )
    busy = session.scalar(
        select(func.count())
        .select_from(PlayRun)
        .where(PlayRun.state.in_(PERFORMED), PlayRun.site.is_not_distinct_from(run.site))
    )
    if (busy or 0) < most_runs:
        return None
    place = f"Site {run.site}" if run.site else "The headquarters"
    return Wait("site", f"{place} is performing {busy} runs; more than {most_runs} wait.", now + _SOON)
