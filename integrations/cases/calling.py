"""Making calls: one attempt at a time, with the back-end asked outside any transaction.

What comes back is taken under the case's lock: the answer and the actions that follow from it stand or fall
together, and an answer to a case that has moved on is dropped.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import RakeezaError
from integrations.backend import Backend, BackendRejection, BackendUnavailable, Question, Reply
from integrations.cases import calls, case_store, notices
from integrations.cases.calls import Call
from integrations.cases.case import Case
from integrations.cases.definitions import Definitions
from integrations.cases.engine import Engine
from integrations.municipality import Office
from integrations.procedure import Check

_NO_FAILURE = frozenset({"busy", "pending"})

_log = logging.getLogger(__name__)

QUEUE = "calls"
"""Queue of the calls."""


@dataclass(frozen=True)
class _Failure:
    # Without an answer: parked at once if asking again can change nothing.
    reason: str
    final: bool = False
    retry_after: float | None = None
    # One that was not sent for want of a place, or that somebody has to decide first, has not failed.
    tried: bool = True


@dataclass(frozen=True)
class Calling:
    """Makes calls.

    Args:
        backends: those of the settings, by name.
        clock: the present moment, aware.
    """

    database: Database
    definitions: Definitions
    engine: Engine
    office: Office
    backends: Mapping[str, Backend]
    clock: Callable[[], datetime]

    def register(self) -> None:
        """Take the job `calls.JOB`, in a queue of its own: a worker may be given to it alone."""
        self.office.jobs.register(calls.JOB, self.make, queue=QUEUE)

    def make(self, payload: Mapping[str, Any], _attempt: int) -> None:
        """Make one attempt at a call; the handler of `calls.JOB`."""
        with self.database.transaction() as session:
            self._keep_notice(session, payload)
            call = calls.find(session, payload["key"])
            # Another job of the same call was quicker, or it was put back since.
            if call is None or call.state != "waiting" or call.attempts != payload["attempt"]:
                return
            case = case_store.by_id(session, call.case_id)
            question = self._question(session, case, call)
        if question is None:
            self._settle(call, None)
            return
        outcome = self._ask(question)
        try:
            self._settle(call, outcome)
        except RakeezaError as error:
            if error.retryable:
                raise
            # The case cannot go where the answer leads; a person has to see why.
            _log.warning("The answer to %s cannot be taken: %s", call.key, error)
            self._settle(call, _Failure("not_taken", final=True))

    def _keep_notice(self, session: Session, payload: Mapping[str, Any]) -> None:
        if "words" in payload and notices.BACKEND in self.backends:
            calls.keep_notice(
                session,
                payload["key"],
                payload["case"],
                payload["name"],
                notices.BACKEND,
                payload["words"],
                self.clock(),
            )

    def _question(self, session: Session, case: Case, call: Call) -> Question | None:
        if case.personal is None:
            return None
        envelope = self.office.vault.open(case.personal, case.context)
        if call.kind == "notice":
            mobile = notices.mobile_of(case, envelope["applicant"])
            if mobile is None or not notices.holds(case, call.name, call.words):
                return None
            said = {"to": mobile, "text": notices.text_of(call.name, call.words)}
            return Question(call.key, call.backend, said)
        check = self._check(session, case, call)
        if check is None:
            return None
        return Question(call.key, call.backend, _parameters(check, case, envelope))

    def _check(self, session: Session, case: Case, call: Call) -> Check | None:
        # Its question, if the case still stands in a state that asks it.
        service = self.definitions.of(session, case)
        flow = service.flows[service.procedures[case.procedure].flow]
        return service.checks.get(call.name) if call.name in flow.states[case.state].checks else None

    def _ask(self, question: Question) -> Reply | _Failure:
        backend = self.backends.get(question.backend)
        if backend is None:
            return _Failure("not_configured", final=True)
        try:
            return backend.ask(question)
        except BackendUnavailable as error:
            _log.info("%s: %s", question.key, error)
            return _Failure(
                error.reason, retry_after=error.retry_after, tried=error.reason not in _NO_FAILURE
            )
        except BackendRejection as error:
            _log.warning("%s: %s", question.key, error)
            return _Failure(error.reason, final=True)
        except Exception:  # noqa: BLE001 -- logged with its trace; a driver's fault is no answer either
            _log.exception("The driver of %s failed at %s.", question.backend, question.key)
            return _Failure("driver_fault")

    def _settle(self, call: Call, outcome: Reply | _Failure | None) -> None:
        at = self.clock()
        with self.database.transaction() as session:
            case = case_store.locked(session, call.number)
            current = calls.find(session, call.key, lock=True)
            if current is None or current.state != "waiting":
                return
            if outcome is None or (call.kind == "check" and self._check(session, case, call) is None):
                calls.end(session, current, "dropped", at, reason="moved_on", reply=None)
            elif isinstance(outcome, Reply):
                self._answered(session, case, current, outcome, at)
            elif current.attempts == call.attempts:
                self._unanswered(session, case, current, outcome, at)

    def _answered(self, session: Session, case: Case, call: Call, reply: Reply, at: datetime) -> None:
        calls.end(session, call, "answered", at, reason=None, reply=reply)
        if call.kind == "check":
            answer: Literal["passed", "failed"] = "passed" if reply.passed else "failed"
            # In the journal only its code: free words may say something of a person.
            self.engine.answer(session, case, at, call.name, answer, reply.code or None)

    def _unanswered(self, session: Session, case: Case, call: Call, failure: _Failure, at: datetime) -> None:
        if failure.final or (failure.tried and call.attempts + 1 >= call.attempts_most):
            calls.park(session, case, call, at, failure.reason, awaits=not failure.final)
        else:
            again = calls.postpone(
                session, call, at, failure.reason, failure.retry_after, counts=failure.tried
            )
            self.office.jobs.enqueue_all(session, [again])


def _parameters(check: Check, case: Case, envelope: Mapping[str, Any]) -> dict[str, str]:
    form = {**case.form, **envelope["form"]}
    found = {}
    for name, source in (check.asks or {}).items():
        part, _, field = source.partition(".")
        value = envelope["applicant"].get(field) if part == "applicant" and field else form.get(source)
        # What was not filled in is not asked about; the back-end says whether it can answer without.
        if value is not None:
            found[name] = _text(value)
    return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
