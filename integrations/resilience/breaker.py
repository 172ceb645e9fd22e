"""The circuit breaker: a back-end that does not answer is left alone for a while, then tried by one question.

Closed, every question passes. After so many in a row without an answer it opens, and none passes; when the
pause is over it is half open, and one question passes to try. Its answer closes the circuit; without one it
opens again, for twice as long. A back-end that says how long it wants to be left alone is left alone.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from integrations.backend import BackendUnavailable

State = Literal["closed", "open", "half_open"]

LONGEST_PAUSE = 600.0
"""Seconds that a back-end is left alone at most, whatever it asks for."""

ALIVE = frozenset({"in_progress", "pending", "too_early"})
"""Reasons of no answer by which the back-end is known to be well."""
SILENT = frozenset({"busy", "circuit_open", "credentials", "driver_fault", "rate_limit"})
"""Reasons of no answer that say nothing of it: they are ours, or are met by keeping away."""
NOT_SENT = frozenset(
    {"missing_parameter", "question", "question_too_large", "unknown_parameter", "wrong_parameter"}
)
"""Reasons of a rejection by which nobody was asked."""

_WHILE_TRIED = 1.0


@dataclass(frozen=True)
class Turn:
    """A change of a circuit.

    Args:
        backend: name in the settings.
        state: as it is now.
        reason: of the last question without an answer, in one word; "" if there is none.
        seconds: that it is left alone; 0 where it is not.
    """

    backend: str
    state: State
    reason: str = ""
    seconds: float = 0.0


class Breaker:
    """The circuit of one back-end in this process. May be used by several threads.

    Args:
        name: of the back-end.
        failures: questions in a row without an answer after which it opens; 0 never opens it.
        pause: seconds of the first pause.
        tell: is told of each change, outside any lock.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        name: str,
        failures: int,
        pause: float,
        tell: Callable[[Turn], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._most = failures
        self._pause = pause
        self._tell = tell
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._state: State = "closed"
        self._failures = 0
        self._openings = 0
        self._until = 0.0
        self._tried = False

    @property
    def state(self) -> State:
        """As it is now; an open one half-opens when a question comes."""
        return self._state

    def admit(self) -> None:
        """Let a question pass; how it fared is to be told by one of the other three.

        Raises:
            BackendUnavailable: the back-end is left alone now.
        """
        told: Turn | None = None
        with self._lock:
            left = self._until - self._monotonic()
            if self._state == "open" and left <= 0:
                self._state, self._tried = "half_open", False
                told = Turn(self._name, "half_open")
            if self._state == "half_open" and not self._tried:
                self._tried = True
            elif self._state != "closed":
                raise self._left_alone(left if self._state == "open" else _WHILE_TRIED)
        self._say(told)

    def answered(self) -> None:
        """The back-end answered, whatever it said."""
        told: Turn | None = None
        with self._lock:
            if self._state != "closed":
                told = Turn(self._name, "closed")
            self._state, self._failures, self._openings = "closed", 0, 0
        self._say(told)

    def unanswered(self, error: BackendUnavailable) -> None:
        """It did not, or said something that is no answer."""
        if error.reason in ALIVE:
            self.answered()
            return
        told: Turn | None = None
        with self._lock:
            self._tried = False
            if self._most == 0:
                return
            if error.retry_after and error.reason in ("rate_limit", "server"):
                told = self._open(error.reason, error.retry_after)
            elif error.reason in SILENT:
                return
            elif self._state == "half_open":
                told = self._open(error.reason)
            elif self._state == "closed":
                self._failures += 1
                if self._failures >= self._most:
                    told = self._open(error.reason)
        self._say(told)

    def passed_over(self) -> None:
        """Nothing is known of how the question fared."""
        with self._lock:
            self._tried = False

    def _open(self, reason: str, wanted: float | None = None) -> Turn | None:
        already = self._state == "open"
        if wanted is None:
            # Processes that met the fault together must not come back together.
            wanted = self._pause * 2.0 ** min(self._openings, 10) * random.uniform(1.0, 1.2)
            self._openings += 1
        seconds = min(wanted, LONGEST_PAUSE)
        self._state, self._tried, self._failures = "open", False, 0
        self._until = max(self._until, self._monotonic() + seconds)
        return None if already else Turn(self._name, "open", reason, round(seconds, 1))

    def _left_alone(self, seconds: float) -> BackendUnavailable:
        return BackendUnavailable(
            "The back-end is left alone for now: it did not answer.",
            reason="circuit_open",
            retry_after=seconds,
            place=f"backend {self._name}",
            remedy="It is asked again later.",
        )

    def _say(self, told: Turn | None) -> None:
        if told is not None:
            self._tell(told)
