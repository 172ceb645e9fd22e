"""Deadlines of a case: its state's, its parties' and the promise; and what closures that are noted later do.

All is reckoned from the beginning, by the closures as they are known now: the deadline from the moment the
case came into its state, a party's period from when it was asked, the promise from its submission and the
applicant's turns since. So it does not matter how often or in what order it is done.

A deadline that was acted upon stays: a case that was escalated is late, whatever is noted afterwards. One
whose end costs the applicant something is never made earlier than he was told; if a closure was withdrawn it
is, but he keeps one whole working day from then. What a change of the calendar's file does (Eid announced
late) is not followed here: it moves a deadline only when that would run out, and never to an earlier day.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from foundation import audit
from foundation.chain import JSON
from foundation.closures import Closures
from foundation.working_time import WorkingTime
from integrations.cases import clock, journal, notices, periods
from integrations.cases.case import Case, Work
from integrations.cases.definitions import Definitions
from integrations.flow import Action
from integrations.procedure import Promise

MOVED = "case.deadline_moved"
"""A deadline or a promise of a case was moved. Payload: service, procedure, place, centre, closure (its id,
null if the calendar did it), and of `due` and `promised_for` those that moved, each with `from` and `to`; so
too the periods of parties, under `periods` by the check."""

_ACTION = "deadline_moved"
_TURN = "applicants_turn"
# How long a deadline that an open closure holds is left alone; its end is reckoned when the closure ends.
_HELD = timedelta(minutes=10)
# More than any case takes.
_JOURNAL = 1_000


def begin(work: Work) -> None:
    """Reckon when the deadline of a case's state ends, and when its clock next acts."""
    work.case.due = _end(work, work.office.working_time(work.session, work.case.place))
    set_clock(work.case)


def prolong(work: Work) -> None:
    """Let a state that lasts as long as its parties' periods last as long as they do now."""
    case = work.case
    if _lasts_as_periods(work):
        case.due = periods.last_told(work)
        case.escalated = case.escalated and (case.due is None or case.due <= work.at)
    set_clock(case)


def set_clock(case: Case) -> None:
    """Let a case's clock next act when the first of its periods or its deadline ends."""
    case.timer_at = _first(case, [periods.until(case, name) for name in periods.awaited(case)], case.due)


def turn_ended(work: Work, action: Action) -> dict[str, JSON]:
    """End the applicant's turn, if an action does: the promise is put off by it.

    Returns:
        What the journal says of it, exactly: the promise can then be reckoned anew.
    """
    case, promise = work.case, work.procedure.promise
    if action.to == case.state or not work.flow.states[case.state].applicant:
        return {}
    if promise is None or case.promised_for is None:
        return {}
    time = work.office.working_time(work.session, case.place)
    case.promised_for = clock.moved(promise, case.promised_for, case.entered_at, work.at, time)
    return {_TURN: {"since": clock.written(case.entered_at), "until": clock.written(work.at)}}


def over(work: Work) -> tuple[list[str], bool]:
    """What has run out of a case whose clock has come, as it was told and as it is known now.

    Returns:
        The parties whose silence answers, and whether the deadline of the state has passed.
    """
    case = work.case
    time = work.office.working_time(work.session, case.place, fresh=True)
    due = _end(work, time)
    told = case.due is not None and not case.escalated and case.due <= work.at
    return periods.over(work, time), told and due is not None and due <= work.at


def put_off(work: Work, definitions: Definitions) -> None:
    """Let the clock of a case look again later: nothing of it has run out after all.

    While a closure still holds, its end is not known: nothing is journalled until then.
    """
    case = work.case
    if not _is_shut(work.session, case, work.at):
        reckon(work, definitions)
        return
    time = work.office.working_time(work.session, case.place)
    ends = [periods.end(work, name, time) for name in periods.awaited(case)]
    first = _first(case, ends, _end(work, time))
    case.timer_at = None if first is None else max(first, work.at + _HELD)


def reckon(work: Work, definitions: Definitions, closure: int | None = None, withdrawn: bool = False) -> bool:
    """Reckon the deadline and the promise of an open case anew; what moved is journalled, and told.

    Args:
        work: with the case locked; it is changed in place. The closures were read in its transaction.
        closure: id of the one that is the reason.
        withdrawn: it was withdrawn.

    Returns:
        Whether the case was changed.
    """
    case = work.case
    time = work.office.working_time(work.session, case.place)
    before, timer = (case.due, case.promised_for), case.timer_at
    parties = periods.reckon(work, time, withdrawn)
    if case.due is not None and not case.escalated:
        case.due = _due(work, case.due, time, withdrawn)
    set_clock(case)
    promise = _promise(work, definitions)
    if case.promised_for is not None and promise is not None:
        case.promised_for = clock.promised(promise[0], case.submitted_at, promise[1], time)
    moved: dict[str, JSON] = {
        name: {"from": clock.written(old), "to": clock.written(new)}
        for name, old, new in zip(("due", "promised_for"), before, (case.due, case.promised_for), strict=True)
        if old is not None and new is not None and old != new
    }
    if parties:
        moved["periods"] = parties
    if moved:
        case.changed_at = work.at
        journal.noted(work, _ACTION, MOVED, {"closure": closure, **moved})
        notices.tell_moved(work, *before)
    return bool(moved) or timer != case.timer_at


def _first(case: Case, ends: list[datetime], due: datetime | None) -> datetime | None:
    # What was escalated is past its deadline: nothing more comes of that.
    running = [due] if due is not None and not case.escalated else []
    return min(ends + running, default=None)


def _due(work: Work, told: datetime, time: WorkingTime, withdrawn: bool) -> datetime:
    if _lasts_as_periods(work):
        return periods.last_told(work) or told
    state, due = work.case.state, clock.due(work.flow, work.case.state, work.case.entered_at, time)
    assert due is not None, "a state has a deadline or none, whatever the closures"
    if not clock.costs_by_silence(work.flow, state):
        return due
    return clock.kept(told, due, work.at, withdrawn, time)


def _end(work: Work, time: WorkingTime) -> datetime | None:
    if _lasts_as_periods(work):
        return periods.last(work, time)
    return clock.due(work.flow, work.case.state, work.case.entered_at, time)


def _lasts_as_periods(work: Work) -> bool:
    deadline = work.flow.states[work.case.state].deadline
    return deadline is not None and deadline.periods is not None


def _promise(work: Work, definitions: Definitions) -> tuple[Promise, list[tuple[datetime, datetime]]] | None:
    # What was told at the counter holds, also for a case that goes on under another definition.
    case = work.case
    if case.promised_for is None:
        return None
    entries = audit.entries(work.session, case.context, _JOURNAL)
    changed = [entry.details["definition"]["from"] for entry in entries if entry.action == "migrated"]
    service = definitions.by_fingerprint(work.session, (changed or [case.definition])[0])
    promise = service.procedures[case.procedure].promise
    return (promise, _turns(entries)) if promise is not None else None


def _turns(entries: Sequence[audit.Entry]) -> list[tuple[datetime, datetime]]:
    said = [entry.details[_TURN] for entry in entries if _TURN in entry.details]
    return [(datetime.fromisoformat(turn["since"]), datetime.fromisoformat(turn["until"])) for turn in said]


def _is_shut(session: Session, case: Case, at: datetime) -> bool:
    return any(
        row.starts_at <= at and row.place in (None, case.place)
        for row in Closures().list(session, open_only=True)
    )
