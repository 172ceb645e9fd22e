"""Time of a case: deadlines of states, the promise to the applicant, and when it stands still."""

from datetime import datetime, timedelta

from foundation.working_time import WorkingTime
from integrations.flow import Deadline
from integrations.procedure import Promise


def ends(span: Deadline | Promise, start: datetime, working_time: WorkingTime) -> datetime:
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
