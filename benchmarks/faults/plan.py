"""Which kills are still to come at which boundary: each that is ever met, by each victim, once."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.faults.relay import Boundary, When, is_read

Victim = Literal["api", "worker", "postgres"]


@dataclass(frozen=True)
class Kill:
    """Who is ended when a process comes to a boundary."""

    victim: Victim
    when: When
    boundary: Boundary


class Plan:
    """Ends processes at the boundaries of statements, one at a time.

    A boundary is in the plan from the moment it is first met, and is killed at then: what comes once, as the
    return of a job that a kill lost, is not waited for a second time.

    Args:
        senders: the process that sends under an application name; others' statements pass.
        kill: ends a victim.
        chance: of the order in which victims have their turn.

    `done` has the kills made, `left` those that wait for their boundary to be met again.
    """

    def __init__(
        self, senders: Mapping[str, Victim], kill: Callable[[Victim], None], chance: random.Random
    ) -> None:
        self._senders, self._kill, self._chance = senders, kill, chance
        self._lock = threading.Lock()
        self._armed = False
        self._came = threading.Event()
        self.done: list[Kill] = []
        self.left: dict[Boundary, list[Kill]] = {}

    def arm(self) -> None:
        """Let the next boundary that has a kill left be killed at; that one alone."""
        self._came.clear()
        with self._lock:
            self._armed = True

    def await_kill(self, seconds: float) -> Kill | None:
        """The kill that came since `arm`; None if none did in this time."""
        return self.done[-1] if self._came.wait(seconds) else None

    def disarm(self) -> None:
        """Let everything pass."""
        with self._lock:
            self._armed = False

    def watch(self, boundary: Boundary, statement: str, when: When) -> bool:
        """What the relay asks: whether somebody was killed here."""
        sender = self._senders.get(boundary.application)
        if sender is None:
            return False
        with self._lock:
            if boundary not in self.left:
                self.left[boundary] = self._kills(boundary, statement, sender)
            kills = self.left[boundary]
            kill = next((each for each in kills if each.when == when), None)
            if kill is None or not self._armed:
                return False
            self._armed = False
            kills.remove(kill)
            self.done.append(kill)
        self._kill(kill.victim)
        self._came.set()
        return True

    def _kills(self, boundary: Boundary, statement: str, sender: Victim) -> list[Kill]:
        if is_read(statement):
            # After it is before the next one: nothing has changed but what the sender knows.
            return [Kill(sender, "before", boundary)]
        victims: list[Victim] = [sender, "postgres"]
        self._chance.shuffle(victims)
        whens: tuple[When, ...] = ("before", "after")
        return [Kill(victim, when, boundary) for victim in victims for when in whens]
