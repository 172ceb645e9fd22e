"""A fair bulkhead: whoever asks for more than his share waits for himself, and the others do not.

Each caller has a budget of CPU time: it fills at his share of the time, up to a burst, and what he makes a
process work is taken from it; where several requests are worked on at once, each has a part of that. It is
CPU and not time on the wall: where a machine is slow for other reasons, nobody is refused for it. He who has
used it up waits until it fills again. So he takes no more than his share from the others, however much he
asks for; and he who waits too long is refused, and told when to come again.

For one event loop; nothing here is kept between processes, each of which is protected by its own. As they
share the machine, he who meets nobody else in a process has several shares of its time, and not all of it.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from foundation.errors import Unavailable

BURST = 2.0
"""Seconds of CPU that he may save up, and have at once."""
PLACES = 4
"""Requests of one caller that are worked on at the same time."""
PATIENCE = 1.0
"""Seconds that a request waits for its turn before it is refused."""

ALONE = 5
"""Shares of him beside whom nobody works."""

# For so many seconds after his last request somebody still counts as one who works.
_STILL_THERE = 3.0
# Seconds in which a debt is paid back, at most: one slow request must not have the next one refused.
_LONGEST_DEBT = 0.8
_LOOK = 0.05
_MOST_KNOWN = 1_000


class TooManyAtOnce(Unavailable):
    """A caller asks for more than its share while others wait."""

    titles = ("Too many requests at once", "طلبات كثيرة في وقت واحد")

    def __init__(self) -> None:
        super().__init__(
            "You send more requests at once than your share while others work.",
            remedy="Send this one again after the seconds in Retry-After, and fewer at the same time.",
            message_ar="عدد طلباتكم المتزامنة أكبر من حصتكم الآن؛ أعيدوا الإرسال بعد المهلة المذكورة.",
        )


@dataclass
class _Caller:
    budget: float
    filled: float
    working: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None


class Admission:
    """Gives callers their turns.

    Args:
        share: part of the process's time that one caller has for himself while others work.
        clock: seconds; only differences count.
        work: seconds of CPU that the process has had; only differences count.
    """

    def __init__(
        self,
        share: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
        work: Callable[[], float] = time.process_time,
    ) -> None:
        self._share, self._clock, self._work = share, clock, work
        self._callers: dict[str, _Caller] = {}
        self._working = 0
        # Seconds of the process's work for one of those who shared it, up to the moment beside.
        self._worked, self._until = 0.0, work()
        # The two who worked last: who asks is one of them or none, and the other one is there beside him.
        self._last: list[tuple[str, float]] = []

    def turn(self, caller: str) -> "Turn":
        """A turn of a caller, to be entered with `async with`.

        Args:
            caller: whom a request says that it is from; as nothing is proven yet, with what sets it apart
                from others who say the same.
        """
        return Turn(self, caller)

    async def enter(self, name: str, patience: float | None, first: bool) -> None:
        """Wait for a turn; see `Turn`."""
        known = self._callers.get(name)
        if known is None:
            self._forget()
            known = self._callers[name] = _Caller(BURST, self._clock())
        waits: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (known.waiting.appendleft if first else known.waiting.append)(waits)
        self._deal(name, known)
        try:
            async with asyncio.timeout(patience):
                await waits
        except (TimeoutError, asyncio.CancelledError) as error:
            # The turn may have come in the very moment in which it was given up.
            if waits.done() and not waits.cancelled():
                self.leave(name, 0.0)
            if isinstance(error, TimeoutError):
                raise TooManyAtOnce from None
            raise

    def leave(self, name: str, worked: float) -> None:
        """End a turn.

        Args:
            worked: seconds that it took of the process.
        """
        known = self._callers[name]
        self.worked()
        known.working -= 1
        self._working -= 1
        self._fill(name, known)
        known.budget = max(known.budget - worked, -_LONGEST_DEBT * self._share)
        self._note(name)
        self._deal(name, known)

    def worked(self) -> float:
        """Seconds of work that one who was there all the time has had until now; only differences count."""
        now = self._work()
        self._worked += (now - self._until) / max(1, self._working)
        self._until = now
        return self._worked

    def _deal(self, name: str, known: _Caller) -> None:
        while known.waiting and known.working < PLACES:
            if known.waiting[0].done():
                known.waiting.popleft()
                continue
            delay = self._delay(name, known)
            if delay > 0:
                self._later(name, known, delay)
                return
            self.worked()
            known.waiting.popleft().set_result(None)
            known.working += 1
            self._working += 1
            self._note(name)

    def _delay(self, name: str, known: _Caller) -> float:
        rate = self._fill(name, known)
        return 0.0 if known.budget > 0 else (1e-3 - known.budget) / rate

    def _later(self, name: str, known: _Caller, delay: float) -> None:
        if known.timer is None:

            def again() -> None:
                known.timer = None
                self._deal(name, known)

            # Looked at again and again: the others may go, and then nothing has to be waited for.
            known.timer = asyncio.get_running_loop().call_later(min(delay, _LOOK), again)

    def _fill(self, name: str, known: _Caller) -> float:
        """Add what has come in since; the seconds of work that come in each second now."""
        now = self._clock()
        crowded = self._working > known.working or any(
            who != name and now - at < _STILL_THERE for who, at in self._last
        )
        rate = self._share if crowded else min(1.0, self._share * ALONE)
        known.budget = min(BURST, known.budget + (now - known.filled) * rate)
        known.filled = now
        return rate

    def _note(self, name: str) -> None:
        others = [each for each in self._last if each[0] != name]
        self._last = [(name, self._clock()), *others[:1]]

    def _forget(self) -> None:
        # Whose budget is full again is as good as unknown.
        now = self._clock()
        if len(self._callers) < _MOST_KNOWN:
            return
        self._callers = {
            name: known
            for name, known in self._callers.items()
            if known.working or known.waiting or known.budget + (now - known.filled) * self._share < BURST
        }


class Turn:
    """A caller's turn.

    Args:
        admission: gives it.
        caller: whose it is.
    """

    def __init__(self, admission: Admission, caller: str) -> None:
        self._admission, self._caller = admission, caller
        self._since: float | None = None

    async def __aenter__(self) -> "Turn":
        """Wait for the turn.

        Raises:
            TooManyAtOnce: it did not come in time.
        """
        await self._admission.enter(self._caller, PATIENCE, first=False)
        self._since = self._admission.worked()
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it, where it has not ended."""
        self.end()

    def end(self) -> None:
        """End it now: what comes after is no work for the others to wait for."""
        if self._since is not None:
            worked, self._since = self._admission.worked() - self._since, None
            self._admission.leave(self._caller, worked)

    async def again(self) -> None:
        """Wait for the turn again, before all who have not begun."""
        await self._admission.enter(self._caller, None, first=True)
        self._since = self._admission.worked()
