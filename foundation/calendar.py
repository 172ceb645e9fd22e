"""Gregorian and Umm al-Qura dates: conversion, anniversaries, and dates as people write them.

The Umm al-Qura calendar is a table, not a rule. The table here runs from 1 Muharram 1343 H (1 August 1924) to
30 Dhu al-Hijjah 1500 H (16 November 2077); a date outside it is refused, never estimated.
"""

import calendar as gregorian_calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from hijridate import Gregorian, Hijri

from foundation.definitions import Bilingual
from foundation.errors import InvalidInput

Calendar = Literal["gregorian", "umm_al_qura"]
Language = Literal["ar", "en"]

FIRST_DATE = date(1924, 8, 1)
LAST_DATE = date(2077, 11, 16)
_FIRST_YEAR, _LAST_YEAR = 1343, 1500

_HIJRI_MONTHS = {
    "ar": (
        "محرم", "صفر", "ربيع الأول", "ربيع الآخر", "جمادى الأولى", "جمادى الآخرة",
        "رجب", "شعبان", "رمضان", "شوال", "ذو القعدة", "ذو الحجة",
    ),
    "en": (
        "Muharram", "Safar", "Rabi al-Awwal", "Rabi al-Akhir", "Jumada al-Ula", "Jumada al-Akhirah",
        "Rajab", "Shaban", "Ramadan", "Shawwal", "Dhu al-Qadah", "Dhu al-Hijjah",
    ),
}  # fmt: skip
_GREGORIAN_MONTHS = {
    "ar": (
        "يناير", "فبراير", "مارس", "أبريل", "مايو", "يونيو",
        "يوليو", "أغسطس", "سبتمبر", "أكتوبر", "نوفمبر", "ديسمبر",
    ),
    "en": (
        "January", "February", "March", "April", "May", "June",
        "July", "August", "September", "October", "November", "December",
    ),
}  # fmt: skip


@dataclass(frozen=True, order=True)
class HijriDate:
    """A day of the Umm al-Qura calendar.

    Args:
        year: 1343 to 1500.
        month: 1 (Muharram) to 12 (Dhu al-Hijjah).
        day: 1 to 29 or 30, as the table has it.

    Raises:
        InvalidInput: there is no such day in the table.
    """

    year: int
    month: int
    day: int

    def __post_init__(self) -> None:
        try:
            Hijri(self.year, self.month, self.day)
        except (ValueError, OverflowError) as error:
            raise InvalidInput(
                f"There is no Hijri date {self} ({error}).",
                remedy=f"Give one of {_FIRST_YEAR}-01-01 to {_LAST_YEAR}-12-30.",
            ) from error

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}-{self.day:02}"

    def gregorian(self) -> date:
        """The same day in the Gregorian calendar."""
        return date(*Hijri(self.year, self.month, self.day).to_gregorian().datetuple())

    @classmethod
    def parse(cls, text: str) -> "HijriDate":
        """The date written as year-month-day, such as 1448-06-12.

        Raises:
            InvalidInput: it is not written so, or there is no such day.
        """
        parts = text.split("-")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            raise InvalidInput(f"{text!r} is no Hijri date.", remedy="Write it as 1448-06-12.")
        year, month, day = (int(part) for part in parts)
        return cls(year, month, day)


def hijri(day: date) -> HijriDate:
    """The same day in the Umm al-Qura calendar.

    Raises:
        InvalidInput: the day is outside 1 August 1924 to 16 November 2077.
    """
    if not FIRST_DATE <= day <= LAST_DATE:
        raise InvalidInput(
            f"{day} is outside the Umm al-Qura table.", remedy=f"Give a day of {FIRST_DATE} to {LAST_DATE}."
        )
    return HijriDate(*Gregorian(day.year, day.month, day.day).to_hijri().datetuple())


def format_date(day: date, language: Language, calendar: Calendar) -> str:
    """A day as people write it.

    Args:
        day: the day.
        language: "ar" or "en".
        calendar: whose day, month and year are written.

    Returns:
        Such as "12 جمادى الآخرة 1448هـ" and "22 نوفمبر 2026م", or "12 Jumada al-Akhirah 1448 AH" and
        "22 November 2026".

    Raises:
        InvalidInput: a day outside the Umm al-Qura table is asked for in that calendar.
    """
    if calendar == "umm_al_qura":
        lunar = hijri(day)
        era = "هـ" if language == "ar" else " AH"
        return f"{lunar.day} {_HIJRI_MONTHS[language][lunar.month - 1]} {lunar.year}{era}"
    era = "م" if language == "ar" else ""
    return f"{day.day} {_GREGORIAN_MONTHS[language][day.month - 1]} {day.year}{era}"


def dated(day: date, calendar: Calendar = "gregorian") -> Bilingual:
    """A day as people write it, in both languages. Arguments and errors as of `format_date`."""
    return Bilingual(ar=format_date(day, "ar", calendar), en=format_date(day, "en", calendar))


def add_years(day: date, years: int, calendar: Calendar = "gregorian") -> date:
    """The anniversary of a day, some years later or earlier.

    Where the month of that year is too short for the day (29 February; 30 Muharram in 1436 H, where it has
    29 days), it is the month's last day.

    Args:
        day: the day to count from.
        years: how many; negative counts back.
        calendar: whose years are counted.

    Raises:
        InvalidInput: the result lies outside the calendar.
    """
    if calendar == "umm_al_qura":
        lunar = hijri(day)
        year = lunar.year + years
        if not _FIRST_YEAR <= year <= _LAST_YEAR:
            raise _outside(day, years, f"{_FIRST_YEAR} H to {_LAST_YEAR} H")
        length = Hijri(year, lunar.month, 1).month_length()
        return HijriDate(year, lunar.month, min(lunar.day, length)).gregorian()
    year = day.year + years
    if not date.min.year <= year <= date.max.year:
        raise _outside(day, years, f"the years {date.min.year} to {date.max.year}")
    length = gregorian_calendar.monthrange(year, day.month)[1]
    return date(year, day.month, min(day.day, length))


def add_months(day: date, months: int, calendar: Calendar = "gregorian") -> date:
    """The same day of the month, some months later or earlier.

    Where that month is too short for the day, it is the month's last day; so two steps of one month may end
    before one step of two.

    Args:
        day: the day to count from.
        months: how many; negative counts back.
        calendar: whose months are counted.

    Raises:
        InvalidInput: the result lies outside the calendar.
    """
    if calendar == "umm_al_qura":
        lunar = hijri(day)
        year, month = divmod(lunar.year * 12 + lunar.month - 1 + months, 12)
        return _clamped(year, month + 1, lunar.day, calendar)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return _clamped(year, month + 1, day.day, calendar)


def next_fixed(day: date, month: int, day_of_month: int, calendar: Calendar) -> date:
    """The next occurrence of a fixed day of the year, such as 15 Muharram, on `day` or after it.

    In a year whose month is too short for it (30 Muharram in 1436 H, where it has 29 days; 29 February), it
    is the month's last day. To have the one strictly after a day, give the day after it.

    Args:
        day: the first day that may be the answer.
        month: 1 to 12, of the calendar.
        day_of_month: 1 to 30 in the Umm al-Qura calendar, 1 to 31 in the Gregorian one.
        calendar: whose month and day they are.

    Raises:
        InvalidInput: there is no such month or day, or its next occurrence lies outside the calendar.
    """
    longest = 30 if calendar == "umm_al_qura" else 31
    if not 1 <= month <= 12 or not 1 <= day_of_month <= longest:
        raise InvalidInput(
            f"There is no day {day_of_month} in a month {month} of this calendar.",
            remedy=f"Give a month of 1 to 12 and a day of 1 to {longest}.",
        )
    year = hijri(day).year if calendar == "umm_al_qura" else day.year
    this = _clamped(year, month, day_of_month, calendar)
    return this if this >= day else _clamped(year + 1, month, day_of_month, calendar)


def _month_length(year: int, month: int, calendar: Calendar) -> int:
    if calendar == "umm_al_qura":
        return Hijri(year, month, 1).month_length()
    return gregorian_calendar.monthrange(year, month)[1]


def _clamped(year: int, month: int, day: int, calendar: Calendar) -> date:
    first, last = (_FIRST_YEAR, _LAST_YEAR) if calendar == "umm_al_qura" else (date.min.year, date.max.year)
    if not first <= year <= last:
        raise InvalidInput(
            f"The year {year} is outside the calendar's years {first} to {last}.",
            remedy="Give a day or a span within them.",
        )
    clamped = min(day, _month_length(year, month, calendar))
    if calendar == "umm_al_qura":
        return HijriDate(year, month, clamped).gregorian()
    return date(year, month, clamped)


def today(zone: str = "Asia/Riyadh", now: datetime | None = None) -> date:
    """The date in a time zone.

    Args:
        zone: IANA name of the zone.
        now: an aware moment; this moment by default.

    Raises:
        ValueError: `now` has no zone: the date of such a clock is a guess.
    """
    moment = datetime.now(UTC) if now is None else now
    if moment.tzinfo is None:
        raise ValueError("the clock must be aware of its zone")
    return moment.astimezone(ZoneInfo(zone)).date()


def _outside(day: date, years: int, span: str) -> InvalidInput:
    return InvalidInput(f"{day} and {years} years lie outside {span}.", remedy="Give fewer years.")
