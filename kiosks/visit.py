"""One citizen's visit, from the first scan until everything of it is forgotten.

::

    attract ──scan──> reading ──found──> showing ──print──> printing ──printed──> ended
       ^                 │                 ^ │                 │ │                  │
       │                 └──trouble──> trouble <──uncertain────┘ └─printer stops─> pending
       └──────────── finish, or no touch for visit_timeout ────────────────────────┘

A visit is an object; ending it makes a new, empty one. Nothing of the old one is kept anywhere.
"""

from dataclasses import dataclass
from enum import StrEnum

from foundation.calendar import Language
from foundation.errors import Conflict
from foundation.wire.verification import Verdict
from kiosks.licence import Licence


class VisitState(StrEnum):
    """What the citizen sees now."""

    ATTRACT = "attract"
    READING = "reading"
    SHOWING = "showing"
    PRINTING = "printing"
    PENDING = "pending"
    ENDED = "ended"
    TROUBLE = "trouble"


_NEXT: dict[VisitState, frozenset[VisitState]] = {
    VisitState.ATTRACT: frozenset({VisitState.READING, VisitState.TROUBLE}),
    VisitState.READING: frozenset({VisitState.SHOWING, VisitState.TROUBLE}),
    VisitState.SHOWING: frozenset({VisitState.READING, VisitState.PRINTING, VisitState.TROUBLE}),
    VisitState.PRINTING: frozenset({VisitState.ENDED, VisitState.PENDING, VisitState.TROUBLE}),
    VisitState.PENDING: frozenset({VisitState.PRINTING}),
    VisitState.ENDED: frozenset({VisitState.READING, VisitState.TROUBLE}),
    VisitState.TROUBLE: frozenset({VisitState.READING, VisitState.PRINTING, VisitState.TROUBLE}),
}


@dataclass
class Visit:
    """One visit.

    Args:
        language: of the screen and the paper.
        state: where it stands.
        licence: what was found; None before and in most troubles.
        trouble: key of `kiosks.words` that names the trouble; "" without one.
        verdict: what the code is worth by itself, where headquarters could not be asked.
    """

    language: Language
    state: VisitState = VisitState.ATTRACT
    licence: Licence | None = None
    trouble: str = ""
    verdict: Verdict | None = None

    @property
    def takes_codes(self) -> bool:
        """Whether a scan begins a visit now. While paper moves, or a licence is looked up, it does not."""
        return VisitState.READING in _NEXT[self.state]

    @property
    def can_print(self) -> bool:
        """Whether there is something to print."""
        return self.licence is not None and VisitState.PRINTING in _NEXT[self.state]

    def read(self) -> None:
        """A code was scanned."""
        self._move(VisitState.READING)
        self.licence, self.trouble, self.verdict = None, "", None

    def show(self, licence: Licence) -> None:
        """Headquarters knows the licence."""
        self._move(VisitState.SHOWING)
        self.licence = licence

    def begin_print(self) -> None:
        """The citizen asked for the paper, or the printer works again."""
        if self.licence is None:
            raise Conflict("There is nothing to print.")
        self._move(VisitState.PRINTING)
        self.trouble = ""

    def wait_for_printer(self) -> None:
        """The printer says that it cannot now; the paper is owed until the visit ends."""
        self._move(VisitState.PENDING)

    def end(self) -> None:
        """The paper is out."""
        self._move(VisitState.ENDED)

    def fail(self, trouble: str, verdict: Verdict | None = None) -> None:
        """Something is in the way; the licence stays only where it can be printed again."""
        printing = self.state is VisitState.PRINTING
        self._move(VisitState.TROUBLE)
        self.trouble, self.verdict = trouble, verdict
        if not printing:
            self.licence = None

    def _move(self, state: VisitState) -> None:
        if state not in _NEXT[self.state]:
            raise Conflict(f"A visit cannot go from {self.state} to {state}.")
        self.state = state
