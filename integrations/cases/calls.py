"""Calls to back-ends: questions and messages, kept with the case, asked until there is an answer.

Table `case_call`. A call is written in the transaction that causes it and made after it, by a job, outside
any transaction. Its key is the same in every attempt, so that a back-end acts once however often a dropped
answer or a killed worker makes us ask again. What is asked is not kept: it may be personal, and is read from
the case's envelope when it is sent.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from foundation.errors import Conflict, NotFound
from foundation.events import publish
from foundation.jobs import NewJob
from integrations.backend import Reply
from integrations.cases.case import Case, Work
from integrations.procedure import Check

JOB = "case.call"
"""Job that makes one attempt at a call. Payload: key, attempt (those made before it), and of a notice case,
name and words."""
PARKED = "case.call_parked"
"""A call got no answer and waits, until its back-end answers again or for a person. Payload: service,
procedure, place, centre, call, name, attempts, reason."""
RETRIED = "case.call_retried"
"""A person put a parked call back. Payload: as of `case.call_parked`, and by."""

State = Literal["waiting", "answered", "parked", "dropped"]

# Seconds of the first wait and of the longest; eight attempts then span an hour.
_FIRST_WAIT, _FACTOR, _LONGEST_WAIT = 2.0, 3.0, 3_600.0
# What should have been asked so long ago has lost its job, and gets a new one.
_OVERDUE = timedelta(minutes=10)
# A call that one back-end cannot answer, while it answers others, is not asked for ever without a pause.
_REST = timedelta(minutes=10)
_MOST_AT_ONCE = 200
# Seconds that a call waits that has not failed: a part of the time that it waited already. For a place it is
# not as long as for a decision.
_SHARE, _LONGEST_FOR_PLACE = 0.25, 120.0

# A case that comes into a state again asks again: what was asked before, of another form, is dropped.
_ASK = text(
    """
    WITH before AS (
        UPDATE case_call SET state = 'dropped', reason = 'asked_again', next_at = NULL
        WHERE case_id = :case AND kind = 'check' AND name = :name AND state IN ('waiting', 'parked')
    )
    INSERT INTO case_call (key, case_id, kind, name, backend, state, attempts, attempts_most, next_at, words,
                           asked_at)
    VALUES (:key, :case, 'check', :name, :backend, 'waiting', 0, :most, :at, '{}', :at)
    """
)
_KEEP = text(
    """
    INSERT INTO case_call (key, case_id, kind, name, backend, state, attempts, attempts_most, next_at, words,
                           asked_at)
    VALUES (:key, :case, 'notice', :name, :backend, 'waiting', 0, :most, :at, CAST(:words AS jsonb), :at)
    ON CONFLICT (key) DO NOTHING
    """
)
_FIND = "SELECT * FROM case_call WHERE key = :key"
_END = text(
    """
    UPDATE case_call SET state = :state, attempts = :attempts, reason = :reason, next_at = NULL,
        answer = CAST(:answer AS jsonb), answered_at = :answered_at, awaits_since = :awaits_since
    WHERE key = :key
    """
)
_AGAIN = text(
    """
    UPDATE case_call SET state = 'waiting', attempts = :attempts, reason = :reason, next_at = :next,
        awaits_since = NULL
    WHERE key = :key
    """
)
# Only those whose job is really gone: a long queue is no reason to ask twice.
_LOST = text(
    """
    UPDATE case_call SET next_at = :now
    WHERE state = 'waiting' AND next_at < :before AND NOT EXISTS (
        SELECT 1 FROM procrastinate_jobs job
        WHERE job.status IN ('todo', 'doing') AND job.task_name = :job
          AND job.args #>> '{payload,key}' = case_call.key
    )
    RETURNING key, attempts
    """
)
# Some at a time: a back-end that has just come back must not be thrown down again. Where nobody asks one that
# is away, one call tries it.
_ANSWERABLE = text(
    """
    UPDATE case_call SET state = 'waiting', attempts = 0, next_at = :now, awaits_since = NULL
    WHERE state = 'parked' AND id IN (
        (SELECT call.id FROM case_call AS call JOIN backend_standing AS stands USING (backend)
         WHERE call.state = 'parked' AND stands.unanswered_since IS NULL
           AND call.awaits_since < LEAST(stands.answered_at, :before)
         ORDER BY call.id LIMIT :most)
        UNION ALL
        (SELECT min(call.id) FROM case_call AS call JOIN backend_standing AS stands USING (backend)
         WHERE call.state = 'parked' AND stands.unanswered_since IS NOT NULL AND call.awaits_since < :before
           AND NOT EXISTS (SELECT 1 FROM case_call AS other
                           WHERE other.state = 'waiting' AND other.backend = call.backend)
         GROUP BY call.backend)
    )
    RETURNING key
    """
)
_FORGET = text(
    """
    UPDATE case_call SET answer = answer - 'text'
    FROM case_file
    WHERE case_file.id = case_call.case_id AND case_file.erased_at IS NOT NULL AND case_call.answer ? 'text'
    RETURNING case_call.key
    """
)


@dataclass(frozen=True)
class Call:
    """One call.

    Args:
        id: as people name it.
        key: "case/NUMBER/check/NAME/VERSION", as the back-end sees it.
        kind: a question of the definition, or a message to the applicant.
        backend: its name in the settings.
        attempts: made without an answer since it was asked or put back.
        attempts_most: after which it is parked.
        reason: of the last attempt that failed, in one word, or why it was dropped.
        words: what a message says, none of it personal.
        answer: passed, code and text, as the back-end gave them.
        awaits_since: of a parked one that is asked again as soon as its back-end answers anybody.
    """

    id: int
    key: str
    case_id: int
    kind: Literal["check", "notice"]
    name: str
    backend: str
    state: State
    attempts: int
    attempts_most: int
    reason: str | None
    next_at: datetime | None
    words: dict[str, str] = field(repr=False)
    answer: dict[str, Any] | None
    asked_at: datetime
    answered_at: datetime | None
    awaits_since: datetime | None

    @property
    def number(self) -> str:
        """The number of its case."""
        return self.key.split("/")[1]


def ask(work: Work, name: str, check: Check) -> None:
    """Ask a question of the definition, on entering a state that names it."""
    case = work.case
    # What was answered of an earlier form is no answer to what is asked now.
    case.checks = {asked: said for asked, said in case.checks.items() if asked != name}
    key = key_of(case, "check", name)
    words = {
        "key": key,
        "case": case.id,
        "name": name,
        "backend": check.backend,
        "most": check.attempts,
        "at": work.at,
    }
    work.session.execute(_ASK, words)
    work.enqueue(JOB, {"key": key, "attempt": 0})


def key_of(case: Case, kind: str, name: str) -> str:
    """The key of a call of a case as it now stands."""
    return f"{case.context}/{kind}/{name}/{case.version}"


def keep_notice(
    session: Session, key: str, case_id: int, name: str, backend: str, words: Mapping[str, str], at: datetime
) -> None:
    """Keep a message to an applicant as a call, unless it is kept already."""
    given = {
        "key": key,
        "case": case_id,
        "name": name,
        "backend": backend,
        "most": 8,
        "words": json.dumps(dict(words)),
        "at": at,
    }
    session.execute(_KEEP, given)


def find(session: Session, key: str, lock: bool = False) -> Call | None:
    """The call of a key, if it is known."""
    found = session.execute(text(f"{_FIND} FOR UPDATE" if lock else _FIND), {"key": key}).mappings().first()
    return None if found is None else _call(found)


def by_id(session: Session, id: int) -> Call:
    """The call of a number.

    Raises:
        NotFound: there is none.
    """
    found = session.execute(text("SELECT * FROM case_call WHERE id = :id"), {"id": id}).mappings().first()
    if found is None:
        raise absent(id)
    return _call(found)


def of_case(session: Session, case_id: int) -> list[Call]:
    """The calls of a case, in the order they were asked."""
    rows = session.execute(
        text("SELECT * FROM case_call WHERE case_id = :case ORDER BY id"), {"case": case_id}
    )
    return [_call(row) for row in rows.mappings()]


def parked(session: Session, after: int, limit: int) -> list[Call]:
    """Calls that wait for a person, in the order they were asked, behind a number."""
    rows = session.execute(
        text("SELECT * FROM case_call WHERE state = 'parked' AND id > :after ORDER BY id LIMIT :limit"),
        {"after": after, "limit": limit},
    )
    return [_call(row) for row in rows.mappings()]


def end(
    session: Session,
    call: Call,
    state: State,
    at: datetime,
    *,
    reason: str | None,
    reply: Reply | None,
    awaits: bool = False,
) -> None:
    """Let a call be over: answered, or dropped or parked with a reason.

    Args:
        awaits: it is parked until its back-end answers again, and not until a person says so.
    """
    answer: dict[str, Any] | None = None
    if reply is not None:
        answer = {"passed": reply.passed, "code": reply.code}
        if reply.text is not None:
            answer["text"] = reply.text.model_dump()
    session.execute(
        _END,
        {
            "key": call.key,
            "state": state,
            "attempts": call.attempts + (state != "dropped"),
            "reason": reason,
            "answer": None if answer is None else json.dumps(answer, ensure_ascii=False),
            # An answer that was kept is as old as it is.
            "answered_at": at - reply.age if reply is not None else None,
            "awaits_since": at if awaits else None,
        },
    )


def park(session: Session, case: Case, call: Call, at: datetime, reason: str, *, awaits: bool) -> None:
    """Leave a call to a person, or to the day on which its back-end answers again. Args: as of `end`."""
    end(session, call, "parked", at, reason=reason, reply=None, awaits=awaits)
    publish(session, PARKED, case.context, _told(case, call, reason, call.attempts + 1))


def postpone(
    session: Session, call: Call, at: datetime, reason: str, wait_s: float | None, counts: bool = True
) -> NewJob:
    """Let a call be asked again later.

    Args:
        wait_s: seconds that the back-end asks to be left alone.
        counts: whether what failed is one of its attempts.

    Returns:
        The job of the next attempt.
    """
    attempts = call.attempts + counts
    if counts:
        seconds = min(_LONGEST_WAIT, _FIRST_WAIT * _FACTOR ** (attempts - 1))
    else:
        waited = (at - call.asked_at).total_seconds()
        longest = _LONGEST_FOR_PLACE if reason == "busy" else _LONGEST_WAIT
        seconds = min(longest, max(_FIRST_WAIT, _SHARE * waited))
    # Calls that failed together must not come back together. How long it wants to be left alone nobody signs.
    seconds = max(seconds * random.uniform(0.8, 1.2), min(wait_s or 0.0, _LONGEST_WAIT))
    moment = at + timedelta(seconds=seconds)
    session.execute(_AGAIN, {"key": call.key, "attempts": attempts, "reason": reason, "next": moment})
    return NewJob(JOB, {"key": call.key, "attempt": attempts}, at=moment)


def put_back(session: Session, case: Case, id: int, actor: str, at: datetime) -> tuple[Call, NewJob]:
    """Ask a parked call again, from the first attempt.

    Args:
        case: its case, locked.

    Raises:
        Conflict: it is not parked.
    """
    call = by_id(session, id)
    if call.state != "parked":
        raise Conflict(
            f"The call {call.key} is {call.state}.",
            remedy="Only a parked call is put back.",
            message_ar="هذا الطلب الموجَّه إلى الجهة الأخرى ليس موقوفًا.",
        )
    words = {"key": call.key, "attempts": 0, "reason": None, "next": at}
    session.execute(_AGAIN, words)
    publish(
        session, RETRIED, case.context, {**_told(case, call, call.reason or "", call.attempts), "by": actor}
    )
    return by_id(session, id), NewJob(JOB, {"key": call.key, "attempt": 0})


def lost(session: Session, at: datetime) -> list[NewJob]:
    """New jobs for calls that are long due and have none."""
    rows = session.execute(_LOST, {"now": at, "before": at - _OVERDUE, "job": JOB})
    return [NewJob(JOB, {"key": row.key, "attempt": row.attempts}) for row in rows]


def answerable(session: Session, at: datetime) -> list[NewJob]:
    """New jobs for calls that were parked while their back-end was away, and that answers again."""
    words = {"now": at, "before": at - _REST, "most": _MOST_AT_ONCE}
    rows = session.execute(_ANSWERABLE, words)
    return [NewJob(JOB, {"key": row.key, "attempt": 0}) for row in rows]


def forget(session: Session) -> int:
    """Take away what back-ends said in free words of cases whose personal data was erased; how many."""
    return len(session.execute(_FORGET).all())


def view(call: Call) -> dict[str, Any]:
    """A call as people and programs see it."""
    return {
        "id": call.id,
        "key": call.key,
        "case": call.number,
        "kind": call.kind,
        "name": call.name,
        "backend": call.backend,
        "state": call.state,
        "attempts": call.attempts,
        "attempts_most": call.attempts_most,
        "reason": call.reason,
        "next_at": _moment(call.next_at),
        "answer": call.answer,
        "asked_at": _moment(call.asked_at),
        "answered_at": _moment(call.answered_at),
    }


def absent(id: int) -> NotFound:
    """There is no call of this number, or the caller may not know of it."""
    return NotFound(f"There is no call {id}.", message_ar="لا يوجد طلب خارجي بهذا الرقم.")


def _told(case: Case, call: Call, reason: str, attempts: int) -> dict[str, Any]:
    return {
        "service": case.service,
        "procedure": case.procedure,
        "place": case.place,
        "centre": case.centre,
        "call": call.key,
        "name": call.name,
        "attempts": attempts,
        "reason": reason,
    }


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _call(row: RowMapping) -> Call:
    return Call(**row)
