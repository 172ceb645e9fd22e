"""Which kills are still to come at which boundary: each that is ever met, by each victim, once."""

import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.faults.relay import Boundary, When, is_read

Victim = Literal["api", "worker", "postgres"]

# Seconds for which a sender is held at most: longer than any kill takes.
_HOLD = 20.0


@dataclass(frozen=True)
class Kill:
    """Who is ended when a process comes to a boundary."""

    victim: Victim
    when: When
    boundary: Boundary


class Plan:
    """Ends processes at the boundaries of statements, one at a time.

    A boundary is in the plan from the moment it is first met, and is killed at then: what comes once, as the
    return of a job that a kill lost, is not waited for a second time. Who comes to a boundary that nobody was
    killed at yet waits there while another kill is under way.

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
        self._changed = threading.Condition()
        self._free = self._over = False
        self._told = 0
        self.done: list[Kill] = []
        self.left: dict[Boundary, list[Kill]] = {}
        self._untouched: set[Boundary] = set()

    def begin(self) -> None:
        """Kill from now on."""
        with self._changed:
            self._free = True
            self._changed.notify_all()

    def await_kills(self, seconds: float) -> list[Kill]:
        """The kills that came since this was asked last; none if none comes in this time."""
        with self._changed:
            self._changed.wait_for(lambda: len(self.done) > self._told, seconds)
            fresh = self.done[self._told :]
            self._told = len(self.done)
        return fresh

    def end(self) -> None:
        """Let everything pass from now on; what is met is no part of the plan any more."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def watch(self, boundary: Boundary, statement: str, when: When, lives: Callable[[], bool]) -> bool:
        """What the relay asks: whether somebody was killed here."""
        sender = self._senders.get(boundary.application)
        if sender is None:
            return False
        with self._changed:
            if self._over:
                return False
            if boundary not in self.left:
                self.left[boundary] = self._kills(boundary, statement, sender)
                self._untouched.add(boundary)
            kills = self.left[boundary]
            if boundary in self._untouched:
                self._changed.wait_for(lambda: self._free or self._over, _HOLD)
            kill = next((each for each in kills if each.when == when), None)
            # One whose sender died at another boundary meanwhile comes again, or was the last of its kind.
            if kill is None or self._over or not self._free or not lives():
                return False
            self._free = False
            self._untouched.discard(boundary)
            kills.remove(kill)
        self._kill(kill.victim)
        with self._changed:
            self.done.append(kill)
            self._free = True
            self._changed.notify_all()
        return True

    def _kills(self, boundary: Boundary, statement: str, sender: Victim) -> list[Kill]:
        if is_read(statement):
            # After it is before the next one: nothing has changed but what the sender knows.
            return [Kill(sender, "before", boundary)]
        victims: list[Victim] = [sender, "postgres"]
        self._chance.shuffle(victims)
        whens: tuple[When, ...] = ("before", "after")
        return [Kill(victim, when, boundary) for victim in victims for when in whens]
