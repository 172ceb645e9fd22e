"""Time of a case: deadlines of states, the promise to the applicant, and when it stands still."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from foundation.working_time import WorkingTime
from integrations.flow import Deadline, Flow
from integrations.procedure import Period, Promise


def due(flow: Flow, name: str, entered_at: datetime, working_time: WorkingTime) -> datetime | None:
    """When the deadline of a state ends for a case that came into it at a moment; None if it has no length.

    An outage of ours prolongs a deadline, but not one whose end grants what the applicant asked (see
    `grants_by_silence`): the office that let the time pass cannot plead that its own systems were down, and
    the applicant, who waits for an answer, did nothing to bring that about. A closure that is no outage, such
    as a storm, is nobody's fault and prolongs both.

    Args:
        entered_at: aware.
        working_time: of the case's place.
    """
    deadline = flow.states[name].deadline
    # One that lasts as long as its parties' periods is theirs to reckon.
    if deadline is None or deadline.periods is not None:
        return None
    time = working_time.despite_outages if grants_by_silence(flow, name) else working_time
    return ends(deadline, entered_at, time)


def grants_by_silence(flow: Flow, name: str) -> bool:
    """Whether the end of a state's deadline answers the application in the applicant's favour.

    It does where the office has the case and the timed action fulfils it, or leads to where it can still be
    fulfilled: a deemed approval. Where it ends without (a lapse, a deemed refusal), or while it is the
    applicant's turn, the end of the deadline costs him something.
    """
    state = flow.states[name]
    if state.applicant or state.deadline is None or state.deadline.then is None:
        return False
    reached, further = set[str](), [a for a in flow.actions if a.timed and a.name == state.deadline.then]
    while further:
        action = further.pop()
        if action.effect == "fulfil":
            return True
        if action.to not in reached:
            reached.add(action.to)
            further += [each for each in flow.actions if action.to in each.from_]
    return False


def costs_by_silence(flow: Flow, name: str) -> bool:
    """Whether the end of a state's deadline takes something from the applicant; an escalation does not."""
    state = flow.states[name]
    if state.deadline is None:
        return False
    return state.applicant or (state.deadline.then is not None and not grants_by_silence(flow, name))


def kept(told: datetime, due: datetime, at: datetime, withdrawn: bool, working_time: WorkingTime) -> datetime:
    """When a span ends that was reckoned anew, and whose end costs the applicant something.

    It never ends earlier than he was told. If a closure was withdrawn it does, but he keeps one whole working
    day: whoever relied on the later date is not surprised by one that is past already.

    Args:
        told: when it ended, as he was told.
        due: when it ends, as it is known at this moment.
        at: this moment, aware.
        withdrawn: a closure was.
    """
    if due >= told:
        return due
    return min(told, max(due, working_time.after_working_days(at, 1))) if withdrawn else told


def promised(
    promise: Promise,
    submitted_at: datetime,
    turns: Iterable[tuple[datetime, datetime]],
    working_time: WorkingTime,
) -> datetime:
    """The moment promised to an applicant, put off by each time in which it was his turn.

    Args:
        turns: when each began and ended, oldest first.
    """
    moment = ends(promise, submitted_at, working_time)
    for since, until in turns:
        moment = moved(promise, moment, since, until, working_time)
    return moment


def ends(span: Deadline | Period | Promise, start: datetime, working_time: WorkingTime) -> datetime:
    """When a span ends that begins at a moment: working days or clock hours.

    Args:
        start: aware.
    """
    if span.working_days is not None:
        return working_time.after_working_days(start, span.working_days)
    assert span.hours is not None
    return working_time.after_hours(start, span.hours)


def moved(
    promise: Promise, promised_for: datetime, since: datetime, until: datetime, working_time: WorkingTime
) -> datetime:
    """The promised moment, put off by a time in which it was the applicant's turn.

    What was already late when his turn began stays as late as it was.

    Args:
        since, until: his turn; the office's working time in it counts, or all of it for a promise in hours.
    """
    if promised_for <= since:
        return promised_for
    if promise.hours is not None:
        return promised_for + (until - since)
    return _later(promised_for, working_time.working_seconds(since, until), working_time)


def written(moment: datetime) -> str:
    """A moment as journals and periods have it: RFC 3339, UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _later(start: datetime, seconds: int, working_time: WorkingTime) -> datetime:
    # The first whole second by which the office has worked so long since the start.
    if seconds == 0:
        return start
    days = 1
    while working_time.working_seconds(start, working_time.after_working_days(start, days)) < seconds:
        days *= 2
    early, late = 0, int((working_time.after_working_days(start, days) - start).total_seconds()) + 1
    while late - early > 1:
        middle = (early + late) // 2
        if working_time.working_seconds(start, start + timedelta(seconds=middle)) < seconds:
            early = middle
        else:
            late = middle
    return start + timedelta(seconds=late)
