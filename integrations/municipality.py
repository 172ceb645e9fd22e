"""The municipality that issues, and its office: what the engine needs of the world around a case."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy.orm import Session

from foundation.closures import Closure, Closures
from foundation.definitions import Bilingual
from foundation.jobs import Jobs
from foundation.personal import Vault
from foundation.wire.credential_keys import KeySet, Signer
from foundation.working_time import WorkingCalendar, WorkingTime


@dataclass(frozen=True)
class Municipality:
    """Who issues.

    Args:
        code: as in `platform.municipality`; the issuer in a licence's credential.
        fee_class: 1 to 5, as the fee tables have it.
    """

    code: str
    name: Bilingual
    fee_class: int


class WorkingTimes(Protocol):
    """The office's working time at a place, read in the transaction that asks."""

    def __call__(self, session: Session, place: str | None, *, fresh: bool = False) -> WorkingTime:
        """The calendar, less what is shut everywhere or at this place.

        Args:
            place: part of the town; None takes only what is shut everywhere.
            fresh: believe nothing that was read before: what a deadline ends by.
        """


class Keys(Protocol):
    """The keys that sign licences, read in the transaction that asks."""

    def signer(self, session: Session, at: datetime) -> Signer:
        """The key that signs what is issued at a moment, aware."""

    def published(self, session: Session) -> KeySet:
        """The public keys that verify what is and was signed."""


@dataclass(frozen=True)
class Office:
    """Who issues, with what keys and by what hours, and where work for later goes.

    Args:
        municipality: reads who issues, in the transaction that asks.
        keys: sign licences, and verify them.
        vault: seals personal data.
        working_time: the calendar and its closures, by place.
        public_url: address of this platform as the public reaches it; None where it has none.
        notices: whether there is a way to send messages to applicants; without one none is ordered.
    """

    municipality: Callable[[Session], Municipality]
    keys: Keys
    jobs: Jobs
    vault: Vault
    working_time: WorkingTimes
    notices: bool = True
    public_url: str | None = None


class OfficeHours:
    """The office's working time by place; the closures are believed for a moment, since every action asks.

    Places at which nothing is shut share one reckoning: places are what applicants write, and without end.

    Args:
        calendar: of the office.
        clock: the present moment, aware.
        cache_s: seconds for which the closures that were read may be believed.
    """

    def __init__(self, calendar: WorkingCalendar, clock: Callable[[], datetime], cache_s: float) -> None:
        self._calendar = calendar
        self._clock = clock
        self._cache_s = cache_s
        # One value, replaced as a whole: another thread has all of the old or all of the new.
        self._believed: tuple[float, tuple[Closure, ...], dict[str | None, WorkingTime]] | None = None

    def __call__(self, session: Session, place: str | None, *, fresh: bool = False) -> WorkingTime:
        """The calendar, less what is shut everywhere or at this place; see `WorkingTimes`."""
        now, believed = time.monotonic(), self._believed
        if fresh or believed is None or now - believed[0] >= self._cache_s:
            closures = Closures().known(session, since=_FIRST, now=self._clock())
            kept = believed[2] if believed is not None and believed[1] == closures else {}
            self._believed = believed = (now, closures, kept)
        _, closures, by_place = believed
        shut = place if any(one.place == place for one in closures) else None
        if shut not in by_place:
            bearing = [one for one in closures if one.place in (None, shut)]
            by_place[shut] = WorkingTime(self._calendar, bearing)
        return by_place[shut]


_FIRST = datetime(2000, 1, 1, tzinfo=UTC)
