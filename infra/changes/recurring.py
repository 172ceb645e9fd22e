"""Moments that come again, as a person writes them: `daily 02:00`, `hijri-monthly 15 02:00`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from foundation.calendar import Calendar, HijriDate, add_months, hijri, next_fixed
from foundation.errors import InvalidInput
from infra.changes.calendar import WEEKDAYS
from infra.changes.words import read_clock, read_day

FORMS = (
    "daily 02:00",
    "sunday,wednesday 02:00",
    "monthly 1 02:00",
    "hijri-monthly 15 02:00",
    "yearly 12-31 23:00",
    "hijri-yearly 9-1 10:00",
    "once 2026-12-01 02:00",
)
"""One example of every rule there is."""

_Every = Literal["weekdays", "monthly", "yearly", "once"]
_HIJRI = "hijri-"


@dataclass(frozen=True)
class Rule:
    """Moments that come again; made by `parse`.

    Args:
        text: as it is written, in one spelling.
        every: what it follows.
        calendar: whose months and days it names.
        minutes: time of day, in minutes of the clock.
        weekdays: of a rule of weekdays, as `date.weekday` counts them.
        month: of a rule of a year.
        day: of a rule of a month or a year; in a shorter month, its last.
        only: the day of a rule that comes once.
    """

    text: str
    every: _Every
    calendar: Calendar
    minutes: int
    weekdays: frozenset[int] = frozenset()
    month: int = 1
    day: int = 1
    only: date | None = None

    @classmethod
    def parse(cls, text: str) -> "Rule":
        """The rule that a text is.

        Raises:
            InvalidInput: it is none, or names a day that its calendar has not.
        """
        words = text.lower().split()
        if len(words) < 2:
            raise _not_a_rule(text)
        word, minutes = words[0], read_clock(words[-1])
        spelt = " ".join(words)
        if len(words) == 2:
            return cls(spelt, "weekdays", "gregorian", minutes, weekdays=_weekdays(word, text))
        if len(words) != 3:
            raise _not_a_rule(text)
        if word == "once":
            return cls(spelt, "once", "gregorian", minutes, only=read_day(words[1]))
        calendar: Calendar = "umm_al_qura" if word.startswith(_HIJRI) else "gregorian"
        every = word.removeprefix(_HIJRI)
        if every == "monthly":
            return cls(spelt, "monthly", calendar, minutes, day=_number(words[1], _longest(calendar), text))
        if every == "yearly":
            month, dash, day = words[1].partition("-")
            if not dash:
                raise _not_a_rule(text)
            number = _number(month, 12, text)
            day_of_month = _number(day, _longest(calendar), text)
            return cls(spelt, "yearly", calendar, minutes, month=number, day=day_of_month)
        raise _not_a_rule(text)

    def after(self, moment: datetime, place: ZoneInfo) -> datetime | None:
        """The first of its moments that is later than one, in UTC.

        Where the clocks are put forward over it, it comes as much later; where they are put back, it comes
        once, the first time.

        Args:
            moment: an aware moment.
            place: the zone whose clock and days it follows.

        Returns:
            None after the moment of a rule that comes once, and beyond the Umm al-Qura table.
        """
        try:
            for day in self._days(moment.astimezone(place).date() - timedelta(days=1)):
                at = datetime(day.year, day.month, day.day, *divmod(self.minutes, 60), tzinfo=place)
                if at.astimezone(UTC) > moment:
                    hijri(day)
                    return at.astimezone(UTC)
        except InvalidInput:
            # What the table does not hold is not guessed.
            return None
        return None

    def upcoming(self, moment: datetime, place: ZoneInfo, count: int) -> list[datetime]:
        """So many of its moments that are later than one, fewer if there are no more."""
        found: list[datetime] = []
        while len(found) < count and (later := self.after(moment, place)) is not None:
            found.append(later)
            moment = later
        return found

    def _days(self, since: date) -> Iterator[date]:
        # The days it names, in order, from some day not after `since`; without end but for `once`.
        if self.every == "once":
            assert self.only is not None
            yield self.only
        elif self.every == "weekdays":
            while True:
                if since.weekday() in self.weekdays:
                    yield since
                since += timedelta(days=1)
        else:
            yield from self._fixed_days(since)

    def _fixed_days(self, since: date) -> Iterator[date]:
        first = _first_of_month(since, self.calendar)
        if self.every == "yearly":
            year = _first_of_year(since, self.calendar)
            while True:
                yield next_fixed(year, self.month, self.day, self.calendar)
                year = add_months(year, 12, self.calendar)
        while True:
            month = hijri(first).month if self.calendar == "umm_al_qura" else first.month
            yield next_fixed(first, month, self.day, self.calendar)
            first = add_months(first, 1, self.calendar)


def _first_of_month(day: date, calendar: Calendar) -> date:
    if calendar == "umm_al_qura":
        lunar = hijri(day)
        return HijriDate(lunar.year, lunar.month, 1).gregorian()
    return day.replace(day=1)


def _first_of_year(day: date, calendar: Calendar) -> date:
    if calendar == "umm_al_qura":
        return HijriDate(hijri(day).year, 1, 1).gregorian()
    return day.replace(month=1, day=1)


def _longest(calendar: Calendar) -> int:
    return 30 if calendar == "umm_al_qura" else 31


def _weekdays(word: str, text: str) -> frozenset[int]:
    if word == "daily":
        return frozenset(range(7))
    known = {str(name): number for number, name in enumerate(WEEKDAYS)}
    names = word.split(",")
    if any(name not in known for name in names) or len(set(names)) < len(names):
        raise _not_a_rule(text)
    return frozenset(known[name] for name in names)


def _number(text: str, most: int, rule: str) -> int:
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text[:4]) <= most:
        raise InvalidInput(
            f"{text!r} in {rule!r} is no number from 1 to {most}.",
            remedy=f"Write the rule like one of: {'; '.join(FORMS)}",
            message_ar=f"«{text}» في «{rule}» ليس رقمًا من 1 إلى {most}.",
        )
    return int(text)


def _not_a_rule(text: str) -> InvalidInput:
    return InvalidInput(
        f"{text!r} does not say when.",
        remedy=f"Write it like one of: {'; '.join(FORMS)}",
        message_ar=f"«{text}» لا يحدد موعدًا؛ اكتبه على إحدى هذه الصيغ: {'؛ '.join(FORMS)}",
    )
