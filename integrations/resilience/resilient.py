"""A back-end within its limits: so many questions at once, so long, so often, and not at all while it ails.

Each look-up is logged with its purpose, the case and the check that asked, and with how it ended; never with
what was asked or answered.
"""

import logging
import time
import traceback
from collections.abc import Callable
from pathlib import PurePath

from foundation.settings import Backend as Section
from integrations.backend import Backend, BackendRejection, BackendUnavailable, Nature, Question, Reply
from integrations.resilience.breaker import NOT_SENT, Breaker, Turn
from integrations.resilience.bulkhead import Bulkhead
from integrations.resilience.kept_answers import KeptAnswers
from integrations.resilience.look_ups import LookUp
from integrations.resilience.retry import repeated

_log = logging.getLogger(__name__)


class Resilient:
    """A back-end as the settings limit it.

    Args:
        name: in the settings.
        backend: the driver's.
        nature: what holds for all its answers.
        section: its limits.
        tell: is told when it is left alone, tried again and back.
        note: is told how each question fared.
        monotonic: seconds that only grow.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        name: str,
        backend: Backend,
        nature: Nature,
        section: Section,
        tell: Callable[[Turn], None] = lambda _: None,
        note: Callable[[LookUp], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._name = name
        self._tell = note
        self._backend = backend
        self._nature = nature
        self._section = section
        self._monotonic = monotonic
        self._sleep = sleep
        self._breaker = Breaker(name, section.failures, section.pause, tell, monotonic)
        self._bulkhead = Bulkhead(name, section.places)
        self._kept = KeptAnswers(nature, section.keep, monotonic)

    def ask(self, question: Question) -> Reply:
        """Ask it, or give the answer that was kept. Raises as `integrations.backend.Backend.ask` does."""
        started = self._monotonic()
        kept = self._kept.find(question)
        if kept is not None:
            self._note(question, "kept", started, age_s=round(kept.age.total_seconds(), 1))
            return kept
        try:
            reply = self._guarded(question, started)
        except BackendUnavailable as error:
            self._note(question, error.reason, started)
            raise
        except BackendRejection as error:
            self._note(question, "not_sent" if error.reason in NOT_SENT else "rejected", started)
            raise
        self._kept.keep(question, reply)
        self._note(question, "answered", started)
        return reply

    def _guarded(self, question: Question, started: float) -> Reply:
        seconds = self._section.whole_time

        def attempts() -> Reply:
            return repeated(
                lambda: self._once(question),
                self._section.attempts,
                started + seconds,
                self._monotonic,
                self._sleep,
            )

        self._breaker.admit()
        try:
            reply = self._bulkhead.run(attempts, seconds)
        except BackendUnavailable as error:
            self._breaker.unanswered(error)
            raise
        except BackendRejection as error:
            if error.reason in NOT_SENT:
                self._breaker.passed_over()
            else:
                self._breaker.answered()
            raise
        except BaseException:
            self._breaker.passed_over()
            raise
        self._breaker.answered()
        return reply

    def _once(self, question: Question) -> Reply:
        try:
            reply = self._backend.ask(question)
        except (BackendUnavailable, BackendRejection):
            raise
        except Exception as error:  # noqa: BLE001 -- told by its kind and place; its words may be personal
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{PurePath(last.filename).name}:{last.lineno}"
            _log.error("The driver of %s failed: %s at %s.", self._name, type(error).__name__, place)
            raise self._no_answer(
                "driver_fault", f"The driver of the back-end failed ({type(error).__name__} at {place})."
            ) from None
        answers = self._nature.answers
        if answers is not None and answers.get(reply.code) is not reply.passed:
            raise self._no_answer("undeclared", "The driver answers with a word that it has not declared.")
        return reply

    def _no_answer(self, reason: str, message: str) -> BackendUnavailable:
        return BackendUnavailable(
            message, reason=reason, place=f"backend {self._name}", remedy="Correct the driver."
        )

    def _note(self, question: Question, outcome: str, started: float, **more: float) -> None:
        took = self._monotonic() - started
        told = {
            "backend": self._name,
            "purpose": question.purpose,
            "outcome": outcome,
            "took_s": round(took, 3),
            **more,
        }
        _log.info("The back-end %s was asked for %s: %s.", self._name, question.purpose, outcome, extra=told)
        self._tell(LookUp(self._name, outcome, took))
