"""Whether a change may be made at a moment, why not, and when it may."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from foundation.calendar import FIRST_DATE, LAST_DATE
from foundation.definitions import Bilingual
from infra.changes.calendar import ChangeCalendar, Changing, Frozen, Opening
from infra.changes.words import frozen_reason, opens_reason, shut_reason
from infra.plays.definition import Risk, Window

FARTHEST = timedelta(days=2 * 366)
"""How far ahead an opening is looked for."""

# Of the freezes between a moment and an opening, as many are named.
_TOLD = 3
_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Verdict:
    """Whether a change may be made.

    Args:
        open: it may.
        reason: why it may not, and when it may, in English; None if it may.
        reason_ar: the same in Arabic.
        opens_at: the first moment at which it may, in UTC; None if it may now, if there is none within two
            years, or if it is not known, because nobody has set a freeze's end or the calendar's table ends.
    """

    open: bool
    reason: str | None = None
    reason_ar: str | None = None
    opens_at: datetime | None = None


@dataclass(frozen=True)
class Stretch:
    """A span of time through which the answer is the same.

    Args:
        starts: its first moment, in UTC.
        until: the first moment after it, in UTC.
        open: a change may be made.
        freezes: those that hold.
        windows: titles of the windows that are open, beside whatever is frozen.
    """

    starts: datetime
    until: datetime
    open: bool
    freezes: tuple[Frozen, ...]
    windows: tuple[Bilingual, ...]


def verdict(
    calendar: ChangeCalendar,
    freezes: Sequence[Frozen],
    *,
    site: str | None,
    risk: Risk,
    window: Window,
    moment: datetime,
) -> Verdict:
    """Whether a change may be made at one site; see `verdict_of`."""
    return verdict_of(calendar, freezes, sites=(site,), risk=risk, window=window, moment=moment)


def verdict_of(
    calendar: ChangeCalendar,
    freezes: Sequence[Frozen],
    *,
    sites: Sequence[str | None],
    risk: Risk,
    window: Window,
    moment: datetime,
) -> Verdict:
    """Whether a change may be made at several sites at once.

    What only reads may always be done. Hosts whose site is not recorded (None) are held by every freeze,
    because they may stand anywhere, and served only by windows that are open everywhere.

    Args:
        calendar: windows and yearly freezes.
        freezes: those that somebody declared (`Freezes.holding`).
        sites: of the hosts that are changed; each has to be open.
        risk: of the change.
        window: `change` needs an open window; `always` needs only that nothing is frozen.
        moment: an aware moment.

    Raises:
        InvalidInput: the Umm al-Qura table does not hold the moment.
        ValueError: the moment has no zone.
    """
    if moment.tzinfo is None:
        raise ValueError("the moment must be aware of its zone")
    if risk == "reads":
        return Verdict(True)
    asked = _Asked(calendar, tuple(freezes), tuple(dict.fromkeys(sites)) or (None,), risk, window)
    calendar.day_of(moment)
    moment = moment.astimezone(UTC)
    opens, met = asked.search(moment)
    if opens == moment:
        return Verdict(True)
    said = [*asked.reasons(moment, met), asked.outlook(opens)]
    return Verdict(False, " ".join(one.en for one in said), " ".join(one.ar for one in said), opens_at=opens)


def stretches(
    calendar: ChangeCalendar,
    freezes: Sequence[Frozen],
    *,
    site: str | None,
    risk: Changing,
    window: Window,
    since: datetime,
    until: datetime,
) -> list[Stretch]:
    """How the answer changes over a span of time, gapless and in order; arguments as of `verdict`.

    Raises:
        InvalidInput: the Umm al-Qura table does not hold the span.
    """
    asked = _Asked(calendar, tuple(freezes), (site,), risk, window)
    since, until = since.astimezone(UTC), until.astimezone(UTC)
    calendar.day_of(until - _INSTANT)
    held = asked.freezes(since, until)
    openings = list(asked.openings(site, since, until)) if window == "change" else []
    edges = {since, until}
    for one in held:
        edges |= {one.starts, one.until or until}
    for opening in openings:
        edges |= {opening.opens, opening.closes}
    ordered = sorted(edge for edge in edges if since <= edge <= until)
    found: list[Stretch] = []
    for starts, ends in itertools.pairwise(ordered):
        frozen = tuple(one for one in held if one.holds(starts))
        windows = tuple(one.window.title for one in openings if one.opens <= starts < one.closes)
        may = not frozen and (window == "always" or bool(windows))
        if found and (found[-1].open, found[-1].freezes, found[-1].windows) == (may, frozen, windows):
            starts = found.pop().starts
        found.append(Stretch(starts, ends, may, frozen, windows))
    return found


@dataclass(frozen=True)
class _Asked:
    calendar: ChangeCalendar
    declared: tuple[Frozen, ...]
    sites: tuple[str | None, ...]
    risk: Changing
    window: Window

    def freezes(self, since: datetime, until: datetime) -> list[Frozen]:
        """The freezes that bear on any of the sites within a span."""
        declared = (
            one for one in self.declared if one.starts < until and (one.until is None or one.until > since)
        )
        every = [*self.calendar.frozen(since, until), *declared]
        bearing = (one for one in every if self.risk in one.risks and self._shuts(one))
        return sorted(bearing, key=lambda one: one.starts)

    def openings(self, site: str | None, since: datetime, until: datetime) -> Iterator[Opening]:
        """The windows of a site that are open within a span, in the order they open."""
        # What opened the day before may be open still.
        day = max(since.astimezone(self.calendar.place).date() - _DAY, FIRST_DATE)
        last = min(until.astimezone(self.calendar.place).date(), LAST_DATE)
        while day <= last:
            for opening in self.calendar.openings(day):
                named = opening.window.sites
                serves = named is None or site in named
                within = opening.closes > since and opening.opens < until
                if serves and within and self.risk in opening.window.risks:
                    yield opening
            day += _DAY

    def search(self, moment: datetime) -> tuple[datetime | None, list[Frozen]]:
        """The first moment, from one on, at which nothing shuts any of the sites out.

        Each of what shuts is asked for the first moment at which it does not, until all agree: every step is
        one that no earlier moment could have spared.

        Returns:
            The moment, None if none is known within two years, and the freezes that were met on the way.
        """
        found, farthest = moment, moment + FARTHEST
        met: list[Frozen] = []
        while True:
            if held := self.freezes(found, found + _INSTANT):
                met.append(held[0])
                until = held[0].until
                if until is None or until > farthest or not self._known(until):
                    return None, met
                found = until
                continue
            later = self._windows_open(found, farthest)
            if later is None or later == found:
                return later, met
            found = later

    def reasons(self, moment: datetime, met: Sequence[Frozen]) -> list[Bilingual]:
        """What shuts a change out: freezes that hold, missing windows, and freezes met later."""
        place = self.calendar.place
        holding = self.freezes(moment, moment + _INSTANT)
        said = [frozen_reason(self.risk, self._of(one), one.label, None, one.until, place) for one in holding]
        if self.window == "change" and (
            shut := [site for site in self.sites if not self._open(site, moment)]
        ):
            said.append(shut_reason(self.risk, shut))
        later = [one for one in met if one not in holding][:_TOLD]
        return said + [
            frozen_reason(self.risk, self._of(one), one.label, one.starts, one.until, place) for one in later
        ]

    def outlook(self, opens: datetime | None) -> Bilingual:
        """When a change may be made."""
        if opens is None or self.window == "always":
            return opens_reason(opens, None, (), self.calendar.place)
        found = [self._open(site, opens) for site in self.sites]
        # A site is open until the last of its windows closes, all of them until the first one does.
        closes = min(max(one.closes for one in openings) for openings in found)
        closes = min([closes, *(one.starts for one in self.freezes(opens, closes))])
        titles = [one.window.title for openings in found for one in openings]
        return opens_reason(opens, closes, titles, self.calendar.place)

    def _windows_open(self, moment: datetime, farthest: datetime) -> datetime | None:
        # The first moment at which each site has had a window open; then all are asked again.
        if self.window == "change":
            for site in self.sites:
                opening = next(self.openings(site, moment, farthest + _INSTANT), None)
                if opening is None:
                    return None
                moment = max(moment, opening.opens)
        return moment

    def _known(self, moment: datetime) -> bool:
        # What is frozen beyond the table, nobody knows.
        return moment.astimezone(self.calendar.place).date() <= LAST_DATE

    def _shuts(self, one: Frozen) -> bool:
        return any(site is None or one.sites is None or site in one.sites for site in self.sites)

    def _of(self, one: Frozen) -> list[str | None]:
        return [site for site in self.sites if site is None or one.sites is None or site in one.sites]

    def _open(self, site: str | None, moment: datetime) -> list[Opening]:
        return list(self.openings(site, moment, moment + _INSTANT))
