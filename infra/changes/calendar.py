"""When changes may be made: a calendar of windows, and of freezes that come back every year.

A calendar is a YAML file in `infra/changes/calendars/` or in a further folder. A day is the civil day, from
midnight to midnight, in both calendars: rosters, orders and clocks follow it. The religious day begins at a
sunset that every place has at another minute; who wants the evening before frozen names the day before.
Ramadan's hours hold from the midnight before its first day to the one after its last: a window that is open
over such a midnight is cut off there, because what it says holds on one side of it alone.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from foundation import asset_kinds
from foundation.calendar import FIRST_DATE, LAST_DATE, Calendar, HijriDate, hijri
from foundation.definitions import Bilingual, Strict, load_yaml
from foundation.errors import DefinitionError
from foundation.registry import Registry, definition_files
from foundation.working_calendar import Announced, Holiday, Name, Sourced, Weekday

Changing = Literal["low", "medium", "high"]
"""The risks that windows and freezes speak of; what only reads is never shut out."""

WEEKDAYS: tuple[Weekday, ...] = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip
"""In the order of `date.weekday`."""

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|(24):(00))")
_RAMADAN = 9
# The moon is sighted a day from the table, or two; a farther date is of another year, or a slip of the pen.
_MOON = timedelta(days=2)
_LONGEST = timedelta(days=400)
# Days that a rule's announcement may lie from the year it stands under.
_BESIDE = timedelta(days=60)

Item = TypeVar("Item")


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error
    return name


def _hours(text: object) -> object:
    match = _HOURS.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("write hours as 22:00-04:00; the end of a day is 24:00")
    found = [int(part) for part in match.groups() if part is not None]
    opens, closes = found[0] * 60 + found[1], found[2] * 60 + found[3]
    if opens == closes:
        raise ValueError("these hours have no length; a whole day is 00:00-24:00")
    return opens, closes if closes > opens else closes + 24 * 60


def _sites(given: object) -> object:
    return None if given == "all" else given


def _once_each(items: tuple[Item, ...]) -> tuple[Item, ...]:
    if twice := [item for item in items if items.count(item) > 1]:
        raise ValueError(f"{twice[0]} stands twice")
    return items


Hours = Annotated[tuple[int, int], BeforeValidator(_hours)]
"""Opening and closing in minutes after the midnight of the day it opens on."""
Days = Annotated[tuple[Weekday, ...], Field(min_length=1), AfterValidator(_once_each)]
Risks = Annotated[tuple[Changing, ...], Field(min_length=1), AfterValidator(_once_each)]
SiteNames = Annotated[tuple[asset_kinds.Name, ...], Field(min_length=1), AfterValidator(_once_each)]
Sites = Annotated[SiteNames | None, BeforeValidator(_sites)]
"""Names of sites; None is every site, written `all`."""


class Nights(Strict):
    """Weekdays, and the hours that begin on them."""

    weekdays: Days
    hours: tuple[Hours, ...]


class ChangeWindow(Sourced):
    """Hours in which changes may be made.

    Args:
        name: unique among the windows.
        sites: where; None is everywhere.
        weekdays: days on which it opens.
        hours: "22:00-04:00" goes on into the next day; several may be given.
        ramadan: days and hours in Ramadan instead; without them those of the year, with no hours none.
        risks: of the changes it is for.
    """

    name: Name
    title: Bilingual
    sites: Sites
    weekdays: Days
    hours: Annotated[tuple[Hours, ...], Field(min_length=1)]
    ramadan: Nights | None = None
    risks: Risks

    def nights(self, fasting: bool) -> tuple[Days, tuple[Hours, ...]]:
        """The days and hours that hold."""
        if fasting and self.ramadan:
            return self.ramadan.weekdays, self.ramadan.hours
        return self.weekdays, self.hours


class YearlyFreeze(Holiday):
    """Days of every year on which nothing may be changed; begins and ends as a holiday does.

    Args:
        sites: where; None is everywhere.
        risks: of the changes that are frozen.
    """

    sites: Sites
    risks: Risks

    @model_validator(mode="after")
    def _as_it_falls(self) -> "YearlyFreeze":
        if "on_weekend" in self.model_fields_set:
            raise ValueError("a freeze holds on weekends, too; take on_weekend away")
        begin, end = (hijri(day).year for day in (FIRST_DATE, LAST_DATE))
        for year, announced in self.announced.items():
            if self.calendar == "umm_al_qura" and not begin <= year <= end:
                raise ValueError(f"{year} is no year of the Umm al-Qura calendar from {begin} to {end}")
            if not _near_year(announced.first, year, self.calendar):
                raise ValueError(f"{announced.first} is not announced for {year}")
        return self


@dataclass(frozen=True)
class Opening:
    """A window, once.

    Args:
        window: which.
        opens: its first moment, in UTC.
        closes: the first moment after it, in UTC.
    """

    window: ChangeWindow
    opens: datetime
    closes: datetime


@dataclass(frozen=True)
class Frozen:
    """A freeze, once: of the calendar's, or one that somebody declared.

    Args:
        label: what people call it.
        sites: where; None is everywhere.
        risks: of the changes that are frozen.
        starts: its first moment, in UTC.
        until: the first moment after it, in UTC; None while nobody has set its end.
    """

    label: Bilingual
    sites: tuple[str, ...] | None
    risks: tuple[Changing, ...]
    starts: datetime
    until: datetime | None

    def holds(self, moment: datetime) -> bool:
        """Whether it holds at a moment."""
        return self.starts <= moment and (self.until is None or moment < self.until)


class ChangeCalendar(Strict):
    """Windows and yearly freezes, in one zone.

    Args:
        ramadan_announced: by year, first and last day of Ramadan as announced instead of the table's.
    """

    code: Name
    title: Bilingual
    zone: Annotated[str, AfterValidator(_zone)]
    ramadan_announced: dict[int, Announced] = Field(default_factory=dict)
    windows: tuple[ChangeWindow, ...] = Field(min_length=1)
    freezes: tuple[YearlyFreeze, ...] = ()

    @field_validator("windows")
    @classmethod
    def _windows_named_once(cls, windows: tuple[ChangeWindow, ...]) -> tuple[ChangeWindow, ...]:
        _once_each(tuple(window.name for window in windows))
        return windows

    @field_validator("freezes")
    @classmethod
    def _freezes_named_once(cls, freezes: tuple[YearlyFreeze, ...]) -> tuple[YearlyFreeze, ...]:
        _once_each(tuple(freeze.code for freeze in freezes))
        return freezes

    @field_validator("ramadan_announced")
    @classmethod
    def _of_its_year(cls, announced: dict[int, Announced]) -> dict[int, Announced]:
        begin, end = hijri(FIRST_DATE).year, hijri(LAST_DATE).year
        for year, days in announced.items():
            if not begin <= year <= end:
                raise ValueError(f"{year} is no year of the Umm al-Qura calendar from {begin} to {end}")
            if abs(days.first - HijriDate(year, _RAMADAN, 1).gregorian()) > _MOON:
                raise ValueError(f"Ramadan {year} does not begin about {days.first}")
            if (days.last - days.first).days not in (28, 29):
                raise ValueError("a month has 29 or 30 days")
        return announced

    @cached_property
    def place(self) -> ZoneInfo:
        """The zone whose clock it follows."""
        return ZoneInfo(self.zone)

    def day_of(self, moment: datetime) -> date:
        """The civil day that a moment is of, in the calendar's zone.

        Raises:
            InvalidInput: the Umm al-Qura table does not hold it.
        """
        day = moment.astimezone(self.place).date()
        hijri(day)
        return day

    def midnight(self, day: date, minutes: int = 0) -> datetime:
        """The moment so many minutes of the clock after a day's midnight, in UTC."""
        beyond, left = divmod(minutes, 24 * 60)
        local = datetime.combine(day + timedelta(days=beyond), time(*divmod(left, 60)), self.place)
        return local.astimezone(UTC)

    def openings(self, day: date) -> list[Opening]:
        """Every window that opens on a day, in the order they open."""
        fasting, next_fasting = self._fasts(day), self._fasts(day + timedelta(days=1))
        found = []
        for window in self.windows:
            weekdays, spans = window.nights(fasting)
            if WEEKDAYS[day.weekday()] not in weekdays:
                continue
            for opens, closes in spans:
                cut = window.ramadan is not None and fasting != next_fasting
                until = min(closes, 24 * 60) if cut else closes
                opening = Opening(window, self.midnight(day, opens), self.midnight(day, until))
                # Where the clocks are put forward, an hour may not be at all.
                if opening.opens < opening.closes:
                    found.append(opening)
        return sorted(found, key=lambda opening: (opening.opens, opening.window.name))

    def frozen(self, since: datetime, until: datetime) -> Iterator[Frozen]:
        """The yearly freezes, once for each time, that hold within a span of time."""
        for rule, spans in self._freezes:
            # They are in the order they begin, and none is longer than a year.
            start = bisect_right(spans, since - _LONGEST, key=lambda span: span[0])
            for starts, ends in spans[start:]:
                if starts >= until:
                    break
                if ends > since:
                    yield Frozen(rule.title, rule.sites, rule.risks, starts, ends)

    def _fasts(self, day: date) -> bool:
        return day.toordinal() in self._fasting

    @cached_property
    def _fasting(self) -> frozenset[int]:
        found: set[int] = set()
        for year in range(hijri(FIRST_DATE).year, hijri(LAST_DATE).year + 1):
            first = HijriDate(year, _RAMADAN, 1).gregorian()
            after = HijriDate(year, _RAMADAN + 1, 1).gregorian()
            if year in self.ramadan_announced:
                announced = self.ramadan_announced[year]
                first, after = announced.first, announced.last + timedelta(days=1)
            found.update(range(first.toordinal(), after.toordinal()))
        return frozenset(found)

    @cached_property
    def _freezes(self) -> list[tuple[YearlyFreeze, list[tuple[datetime, datetime]]]]:
        def moments(rule: YearlyFreeze) -> list[tuple[datetime, datetime]]:
            spans = ((first, last + timedelta(days=1)) for first, last in rule.spans())
            return sorted((self.midnight(first), self.midnight(after)) for first, after in spans)

        return [(rule, moments(rule)) for rule in self.freezes]


def load_change_calendars(folders: Sequence[Path] = ()) -> Registry[ChangeCalendar]:
    """Every change calendar: the product's own, then those of further folders.

    Raises:
        DefinitionError: a faulty file, a file of another name than its code, or two with one code.
    """
    calendars: Registry[ChangeCalendar] = Registry("change calendar")
    for path in definition_files("infra.changes.calendars", folders, ".yaml"):
        calendar = load_yaml(path, ChangeCalendar)
        if calendar.code != path.stem:
            raise DefinitionError(
                f"The change calendar {calendar.code!r} stands in a file of another name.",
                place=str(path),
                remedy=f"Name the file {calendar.code}.yaml.",
            )
        calendars.add(calendar.code, calendar, str(path))
    return calendars


def _near_year(first: date, year: int, calendar: Calendar) -> bool:
    if calendar == "umm_al_qura":
        begin = HijriDate(year, 1, 1).gregorian()
        return begin - _BESIDE <= first <= begin + timedelta(days=355) + _BESIDE
    return date(year, 1, 1) - _BESIDE <= first <= date(year, 12, 31) + _BESIDE
