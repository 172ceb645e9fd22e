"""When an office works: a definition of its weekend, hours and holidays, and what it makes of each day.

A calendar is a YAML file in `foundation/calendars/` or in a further folder. Holidays are rules of the Umm
al-Qura or the Gregorian calendar; what is announced for one year otherwise stands beside the rule. The moon
may be sighted a day from the table: that is announced, too, and never guessed.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from foundation.calendar import FIRST_DATE, LAST_DATE, HijriDate, hijri, next_fixed
from foundation.definitions import Bilingual, Strict, load_yaml
from foundation.errors import DefinitionError
from foundation.registry import Registry, definition_files

DEFAULT = "saudi_government"
"""Code of the product's own calendar."""

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

_WEEKDAYS: tuple[Weekday, ...] = (
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
)  # fmt: skip
_RAMADAN = 9


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, KeyError, OSError) as error:
        raise ValueError(f"{name!r} is no time zone") from error
    return name


def _span(text: object) -> object:
    opens, _, closes = text.partition("-") if isinstance(text, str) else ("", "", "")
    try:
        span = (time.fromisoformat(opens), time.fromisoformat(closes))
    except ValueError as error:
        raise ValueError("write hours as 07:30-14:30") from error
    if span[0] >= span[1] or any(moment.tzinfo for moment in span):
        raise ValueError("hours end after they begin, on the same day, in the calendar's zone")
    return span


def _in_order(spans: tuple[tuple[time, time], ...]) -> tuple[tuple[time, time], ...]:
    if any(before[1] >= after[0] for before, after in itertools.pairwise(spans)):
        raise ValueError("hours of one day stand in order, with a pause between them")
    return spans


Span = Annotated[tuple[time, time], BeforeValidator(_span)]
Spans = Annotated[tuple[Span, ...], Field(min_length=1), AfterValidator(_in_order)]


class Sourced(Strict):
    """What stands somewhere.

    Args:
        source: where the figures stand.
        sample: they stand for some that the municipality has to set or confirm.
    """

    source: str = Field(min_length=1)
    sample: bool


class Hours(Sourced):
    """Working hours by weekday; "07:30-14:30", several where there is a pause."""

    days: dict[Weekday, Spans] = Field(min_length=1)


class Ramadan(Sourced):
    """Working hours of every working day of Ramadan."""

    hours: Spans


class Bridge(Sourced):
    """A single working day between a holiday and another holiday or weekend is free, too."""


class DayOfYear(Strict):
    """A day of every year; in a year whose month is too short, the month's last."""

    month: int = Field(ge=1, le=12)
    day: int = Field(ge=1, le=31)


class Announced(Strict):
    """First and last day of a holiday as announced for one year."""

    first: date
    last: date

    @model_validator(mode="after")
    def _whole(self) -> "Announced":
        if not self.first <= self.last <= self.first + timedelta(days=60):
            raise ValueError("a holiday ends after it begins, within 60 days")
        return self


class Holiday(Sourced):
    """A holiday of every year.

    Args:
        calendar: whose month and day `first` and `last` are.
        first: its first day.
        last: its last day, in the same year; or
        days: its length.
        on_weekend: "moved" gives a day that falls on a weekend on the nearest day outside it instead, unless
            another holiday has that day or the weekend's; "lost" gives none.
        effective_from, effective_until: first and last day on which it may begin.
        announced: by year of the calendar, the days announced instead of the rule's.
    """

    code: Name
    title: Bilingual
    calendar: Literal["gregorian", "umm_al_qura"]
    first: DayOfYear
    last: DayOfYear | None = None
    days: int | None = Field(None, ge=1, le=60)
    on_weekend: Literal["lost", "moved"] = "lost"
    effective_from: date | None = None
    effective_until: date | None = None
    announced: dict[int, Announced] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> "Holiday":
        if (self.last is None) == (self.days is None):
            raise ValueError("give either its last day or its number of days")
        if self.last and (self.last.month, self.last.day) < (self.first.month, self.first.day):
            raise ValueError("a holiday ends after it begins, in the same year; else give its days")
        longest = 30 if self.calendar == "umm_al_qura" else 31
        if any(fixed and fixed.day > longest for fixed in (self.first, self.last)):
            raise ValueError(f"a month of this calendar has at most {longest} days")
        return self

    def spans(self) -> Iterator[tuple[date, date]]:
        """First and last day of each occurrence that the Umm al-Qura table holds, a year at a time."""
        lunar = self.calendar == "umm_al_qura"
        begin, end = (hijri(FIRST_DATE), hijri(LAST_DATE)) if lunar else (FIRST_DATE, LAST_DATE)
        for year in range(begin.year, end.year + 1):
            if year in self.announced:
                yield self.announced[year].first, self.announced[year].last
                continue
            first = self._day(year, self.first)
            last = self._day(year, self.last) if self.last else first + timedelta(days=(self.days or 1) - 1)
            if (self.effective_from or FIRST_DATE) <= first <= (self.effective_until or LAST_DATE):
                yield first, last

    def _day(self, year: int, fixed: DayOfYear) -> date:
        start = HijriDate(year, 1, 1).gregorian() if self.calendar == "umm_al_qura" else date(year, 1, 1)
        return next_fixed(start, fixed.month, fixed.day, self.calendar)


@dataclass(frozen=True)
class Table:
    """What a calendar makes of the days from 1343 to 1500 H, before any closure; moments in Unix seconds.

    Args:
        days: ordinals of the working days, ascending.
        first: for each of them, index of its first span of hours; one more ends the last day's.
        opens, closes: of each span, ascending.
        before: working seconds before each span; one more is the sum.
        begins, ends: the first moment of the first day, the last one of the last.
        names: titles of the holidays by ordinal of the day.
    """

    days: list[int]
    first: list[int]
    opens: list[int]
    closes: list[int]
    before: list[int]
    begins: int
    ends: int
    names: dict[int, tuple[Bilingual, ...]]


class WorkingCalendar(Strict):
    """One office's working time, without what happens to it (see `foundation.closures`)."""

    code: Name
    title: Bilingual
    zone: Annotated[str, AfterValidator(_zone)]
    weekend: tuple[Weekday, ...]
    hours: Hours
    ramadan: Ramadan | None = None
    bridge: Bridge | None = None
    holidays: tuple[Holiday, ...]

    @field_validator("holidays")
    @classmethod
    def _named_once(cls, holidays: tuple[Holiday, ...]) -> tuple[Holiday, ...]:
        codes = [holiday.code for holiday in holidays]
        if twice := sorted({code for code in codes if codes.count(code) > 1}):
            raise ValueError(f"the holiday {twice[0]} stands twice")
        return holidays

    @model_validator(mode="after")
    def _whole(self) -> "WorkingCalendar":
        for day in _WEEKDAYS:
            if (day in self.weekend) == (day in self.hours.days):
                raise ValueError(f"{day} is either of the weekend or has hours")
        return self

    @cached_property
    def place(self) -> ZoneInfo:
        """The zone whose clock the hours follow."""
        return ZoneInfo(self.zone)

    @cached_property
    def table(self) -> Table:
        """What it makes of each day; made once, in about 0.2 s."""
        names = self._holidays()
        fasting = self._fasting_days()
        made = Table([], [0], [], [], [0], 0, 0, names)
        for ordinal in range(FIRST_DATE.toordinal(), LAST_DATE.toordinal() + 1):
            spans = self.hours.days.get(_weekday(ordinal))
            if spans is None or ordinal in names:
                continue
            if self.ramadan and ordinal in fasting:
                spans = self.ramadan.hours
            day = date.fromordinal(ordinal)
            for opens, closes in spans:
                made.opens.append(self._second(day, opens))
                made.closes.append(self._second(day, closes))
                made.before.append(made.before[-1] + made.closes[-1] - made.opens[-1])
            made.days.append(ordinal)
            made.first.append(len(made.opens))
        after = LAST_DATE + timedelta(days=1)
        edges = (self._second(FIRST_DATE, time()), self._second(after, time()))
        return Table(made.days, made.first, made.opens, made.closes, made.before, *edges, names)

    def _second(self, day: date, at: time) -> int:
        return int(datetime.combine(day, at, self.place).timestamp())

    def _fasting_days(self) -> set[int]:
        found: set[int] = set()
        for year in range(hijri(FIRST_DATE).year, hijri(LAST_DATE).year + 1):
            first, after = HijriDate(year, _RAMADAN, 1), HijriDate(year, _RAMADAN + 1, 1)
            found.update(range(first.gregorian().toordinal(), after.gregorian().toordinal()))
        return found

    def _holidays(self) -> dict[int, tuple[Bilingual, ...]]:
        named: dict[int, tuple[Bilingual, ...]] = {}
        moving: list[tuple[int, Bilingual]] = []
        for holiday in self.holidays:
            for first, last in holiday.spans():
                for ordinal in range(first.toordinal(), last.toordinal() + 1):
                    if holiday.on_weekend == "moved" and _weekday(ordinal) in self.weekend:
                        moving.append((ordinal, holiday.title))
                    named[ordinal] = (*named.get(ordinal, ()), holiday.title)
        for ordinal, title in moving:
            target = self._nearest_weekday(ordinal)
            if len(named[ordinal]) == 1 and target not in named:
                named[target] = (title,)
        return {**self._bridges(named), **named} if self.bridge else named

    def _nearest_weekday(self, ordinal: int) -> int:
        near = (ordinal + sign * distance for distance in range(1, 7) for sign in (-1, 1))
        return next(found for found in near if _weekday(found) not in self.weekend)

    def _bridges(self, named: dict[int, tuple[Bilingual, ...]]) -> dict[int, tuple[Bilingual, ...]]:
        def free(ordinal: int) -> bool:
            return ordinal in named or _weekday(ordinal) in self.weekend

        beside = {ordinal + step: titles for ordinal, titles in named.items() for step in (-1, 1)}
        return {
            ordinal: titles
            for ordinal, titles in beside.items()
            if not free(ordinal) and free(ordinal - 1) and free(ordinal + 1)
        }


def load_calendars(folders: Sequence[Path] = ()) -> Registry[WorkingCalendar]:
    """Every calendar: the product's own, then those of further folders.

    Raises:
        DefinitionError: a faulty file, a file of another name than its code, or two with one code.
    """
    calendars: Registry[WorkingCalendar] = Registry("calendar")
    for path in definition_files("foundation.calendars", folders, ".yaml"):
        calendar = load_yaml(path, WorkingCalendar)
        if calendar.code != path.stem:
            raise DefinitionError(
                f"The calendar {calendar.code!r} stands in a file of another name.",
                place=str(path),
                remedy=f"Name the file {calendar.code}.yaml.",
            )
        calendars.add(calendar.code, calendar, str(path))
    return calendars


def _weekday(ordinal: int) -> Weekday:
    # date.fromordinal(1) was a Monday.
    return _WEEKDAYS[(ordinal - 1) % 7]
