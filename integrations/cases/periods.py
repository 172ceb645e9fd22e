"""Periods of the parties that a case's state asks: each runs by itself, from the moment it was asked.

They lie in `Case.periods`, by the check: `since` (when the party was asked), `until` (when its period ends),
`extended` (how often it was) and `deemed` (its silence has answered). All but `until` is what happened;
`until` is reckoned from it, by the period that was in effect on the day it was asked and by the closures as
they are known.

A party that answered may change its answer until the case leaves the state, and so may one whose silence
answered: the end of a period ends the waiting, and not the hearing. The end of the last one, whoever has
answered by then, is the end of a state whose deadline is `periods: last`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from foundation.calendar import today
from foundation.chain import JSON
from foundation.working_time import WorkingTime
from integrations.cases import clock
from integrations.cases.case import Case, Work
from integrations.flow import Action
from integrations.procedure import Check, Period


def begin(work: Work) -> dict[str, JSON]:
    """Let the periods of the state that a case stands in begin; all others are over.

    Who was answered for already has none: he is not concerned.

    Returns:
        What the journal says of it: when each ends.
    """
    work.case.periods = {}
    return go_on(work)


def go_on(work: Work) -> dict[str, JSON]:
    """Let the periods of a case go on by its definition, which may be another than before.

    Returns:
        What the journal says of it: when each ends that is new or ends otherwise.
    """
    case, checks, before = work.case, work.service.checks, work.case.periods
    case.periods = {}
    asked = [name for name in work.flow.states[case.state].checks if checks[name].periods is not None]
    if not asked:
        return {}
    time = work.office.working_time(work.session, case.place)
    for name in asked:
        period = before.get(name)
        if period is None or _length(checks[name], period) is None:
            # Who has answered is waited for no more, and who is not concerned never was.
            period = {"since": clock.written(work.at), "extended": 0, "deemed": False}
            if name in case.checks or _length(checks[name], period) is None:
                continue
        # What silence has answered is over as it was told.
        ends = period["until"] if period["deemed"] else clock.written(_end(checks[name], period, time))
        case.periods[name] = {**period, "until": ends}
    told: dict[str, JSON] = {
        name: period["until"]
        for name, period in case.periods.items()
        if period["until"] != before.get(name, {}).get("until")
    }
    return {"periods": told} if told else {}


def may_extend(work: Work, action: Action) -> bool:
    """Whether there is a party that an action would give more time; of any other action, true."""
    return action.extends is None or bool(_extendable(work, action.extends))


def extend(work: Work, names: Iterable[str]) -> dict[str, JSON]:
    """Give parties more time: each that has not answered, and may have more, as much again as it had.

    Returns:
        What the journal says of it: when each ends now.
    """
    case, time = work.case, work.office.working_time(work.session, work.case.place)
    longer: dict[str, JSON] = {}
    for name in _extendable(work, names):
        period = {**case.periods[name], "extended": case.periods[name]["extended"] + 1}
        until = _end(work.service.checks[name], period, time)
        longer[name] = clock.written(until)
        case.periods = {**case.periods, name: {**period, "until": clock.written(until)}}
    return {"periods": longer}


def awaited(case: Case) -> list[str]:
    """The parties that have not answered, and whose silence will."""
    return [name for name in case.periods if name not in case.checks]


def until(case: Case, name: str) -> datetime:
    """When the period of a party ends, as it was told."""
    return datetime.fromisoformat(case.periods[name]["until"])


def end(work: Work, name: str, time: WorkingTime) -> datetime:
    """When the period of a party ends, as it is known; one whose silence has answered is over as it was told.

    Args:
        time: the working time as it is known.
    """
    case, check = work.case, work.service.checks[name]
    return until(case, name) if deemed(case, name) else _end(check, case.periods[name], time)


def last(work: Work, time: WorkingTime) -> datetime | None:
    """When the last period of a case ends, as `end` has it; None while a party is waited for without one."""
    if _waits_without(work):
        return None
    return max((end(work, name, time) for name in work.case.periods), default=None)


def last_told(work: Work) -> datetime | None:
    """When the last period of a case ends, as it was told; None while a party is waited for without one."""
    if _waits_without(work):
        return None
    return max((until(work.case, name) for name in work.case.periods), default=None)


def over(work: Work, time: WorkingTime) -> list[str]:
    """The parties whose silence answers now: their period is over as they were told it, and as it is known.

    Args:
        time: the working time as it is known now.
    """
    case = work.case
    # In the order in which the state asks them: that of the column is nobody's.
    asked = [name for name in work.flow.states[case.state].checks if name in awaited(case)]
    told = [name for name in asked if until(case, name) <= work.at]
    return [name for name in told if end(work, name, time) <= work.at]


def deemed(case: Case, name: str) -> bool:
    """Whether a party's answer is what its silence said."""
    return bool(case.periods.get(name, {}).get("deemed"))


def answer_by_silence(case: Case, name: str) -> None:
    """Note that a party's silence has answered."""
    case.periods = {**case.periods, name: {**case.periods[name], "deemed": True}}


def answer_in_person(case: Case, names: Iterable[str]) -> None:
    """Note that parties have answered themselves, whatever their silence said before."""
    said = set(names)
    case.periods = {
        name: {**period, "deemed": False} if name in said else period for name, period in case.periods.items()
    }


def reckon(work: Work, time: WorkingTime, withdrawn: bool) -> dict[str, JSON]:
    """Reckon the ends anew, by the closures as they are known; what silence has answered stays.

    An end whose silence refuses costs the applicant something, and is kept as `clock.kept` has it.

    Args:
        withdrawn: a closure was.

    Returns:
        Those that moved, each with `from` and `to`.
    """
    case = work.case
    moved: dict[str, JSON] = {}
    ends: dict[str, dict[str, Any]] = {}
    for name, period in case.periods.items():
        if period["deemed"]:
            continue
        check, told = work.service.checks[name], until(case, name)
        due = _end(check, period, time)
        if check.silence == "failed":
            due = clock.kept(told, due, work.at, withdrawn, time)
        if due != told:
            moved[name] = {"from": period["until"], "to": clock.written(due)}
            ends[name] = {**period, "until": clock.written(due)}
    case.periods = {**case.periods, **ends}
    return moved


def _waits_without(work: Work) -> bool:
    case = work.case
    asked = work.flow.states[case.state].checks
    return any(name not in case.periods and name not in case.checks for name in asked)


def _extendable(work: Work, names: Iterable[str]) -> list[str]:
    case, found = work.case, []
    for name in names:
        if name in awaited(case) and work.at < until(case, name):
            length = _length(work.service.checks[name], case.periods[name])
            if length is not None and case.periods[name]["extended"] < length.extensions:
                found.append(name)
    return found


def _end(check: Check, period: Mapping[str, Any], time: WorkingTime) -> datetime:
    # As with a state's deadline: an outage of ours does not put off what silence grants.
    time = time.despite_outages if check.silence == "passed" else time
    length, end = _length(check, period), datetime.fromisoformat(period["since"])
    assert length is not None, "a period began on a day for which there is one"
    for _ in range(1 + int(period["extended"])):
        end = clock.ends(length, end, time)
    return end


def _length(check: Check, period: Mapping[str, Any]) -> Period | None:
    return check.period_on(today(now=datetime.fromisoformat(period["since"])))
