"""What people read of windows and freezes: moments in both calendars, and why something waits."""

import contextlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from foundation.calendar import HijriDate, format_date, hijri
from foundation.definitions import Bilingual
from foundation.errors import InvalidInput
from infra.changes.calendar import Changing

WEEKDAYS_AR = ("الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت", "الأحد")
"""In the order of `date.weekday`."""

_WEEKDAYS_EN = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_RISKS_AR: dict[Changing, str] = {
    "low": "منخفضة الخطورة",
    "medium": "متوسطة الخطورة",
    "high": "عالية الخطورة",
}
# What is written with a smaller year is a Hijri date: the table of these ends there, and begins in 1924.
_HIJRI_UNTIL = 1500


def said(moment: datetime, place: ZoneInfo) -> Bilingual:
    """A moment as people write it, in both calendars.

    Returns:
        Such as "Sunday 22 November 2026, 22:00 (12 Jumada al-Akhirah 1448 AH)", and the same in Arabic, where
        the Hijri date stands first. Beyond the Umm al-Qura table, the Gregorian date alone.
    """
    local = moment.astimezone(place)
    day, clock = local.date(), f"{local:%H:%M}"
    english = f"{_WEEKDAYS_EN[day.weekday()]} {format_date(day, 'en', 'gregorian')}, {clock}"
    arabic = f"{format_date(day, 'ar', 'gregorian')} الساعة {clock}"
    try:
        english = f"{english} ({format_date(day, 'en', 'umm_al_qura')})"
        arabic = f"{format_date(day, 'ar', 'umm_al_qura')} الموافق {arabic}"
    except InvalidInput:
        # The end of what begins on the table's last day.
        pass
    return Bilingual(ar=f"{WEEKDAYS_AR[day.weekday()]} {arabic}", en=english)


def read_day(text: str) -> date:
    """A day as people type it: 2026-11-22, or 1448-06-12 of the Umm al-Qura calendar.

    Raises:
        InvalidInput: it is not written so, there is no such day, or the Umm al-Qura table does not hold it.
    """
    year, _, rest = text.partition("-")
    try:
        if year.isascii() and year.isdigit() and 1000 <= int(year) <= _HIJRI_UNTIL and rest:
            return HijriDate.parse(text).gregorian()
        day = date.fromisoformat(text)
        hijri(day)
    except (ValueError, InvalidInput) as error:
        raise InvalidInput(
            f"{text!r} is no date.",
            remedy="Write it as 2026-11-22, or in the Hijri calendar as 1448-06-12.",
            message_ar=f"«{text}» ليس تاريخًا صحيحًا؛ اكتبه مثل 2026-11-22 أو بالهجري مثل 1448-06-12.",
        ) from error
    return day


def read_clock(text: str) -> int:
    """A time of day as people type it, 02:00, in minutes.

    Raises:
        InvalidInput: it is not written so.
    """
    hours, colon, minutes = text.partition(":")
    digits = f"{hours}{minutes}"
    right = colon and len(hours) == len(minutes) == 2 and digits.isascii() and digits.isdigit()
    if not right or int(hours) > 23 or int(minutes) > 59:
        raise InvalidInput(
            f"{text!r} is no time of day.",
            remedy="Write it as 02:00, from 00:00 to 23:59.",
            message_ar=f"«{text}» ليس وقتًا صحيحًا؛ اكتبه مثل 02:00، من 00:00 إلى 23:59.",
        )
    return int(hours) * 60 + int(minutes)


def read_moment(text: str, place: ZoneInfo, *, end: bool = False) -> datetime:
    """A moment as people type it: 2026-11-22, 1448-06-12T22:00, or with a zone 2026-11-22T19:00:00Z.

    Args:
        text: a day of either calendar, and a time of day in `place`; without a time, the day's midnight.
        place: the zone that is meant where none is written.
        end: it is an end: a day without a time is in it, to its last moment.

    Raises:
        InvalidInput: it is not written so, or the Umm al-Qura table does not hold it.
    """
    day, given, clock = text.strip().replace(" ", "T").partition("T")
    if not given:
        found = read_day(day) + timedelta(days=1 if end else 0)
        hijri(found)
        return datetime.combine(found, time(), place).astimezone(UTC)
    with contextlib.suppress(ValueError):
        whole = datetime.fromisoformat(text.strip())
        if whole.tzinfo is not None:
            read_day(whole.date().isoformat())
            return whole.astimezone(UTC)
    minutes = read_clock(clock)
    return datetime.combine(read_day(day), time(*divmod(minutes, 60)), place).astimezone(UTC)


def frozen_reason(
    risk: Changing,
    sites: Sequence[str | None],
    label: Bilingual,
    starts: datetime | None,
    until: datetime | None,
    place: ZoneInfo,
) -> Bilingual:
    """Why nothing is changed while a freeze holds.

    Args:
        sites: where it shuts something out; None stands for hosts whose site is not recorded.
        label: what the freeze is called.
        starts: its beginning, of one that is still to come.
        until: its end; None while nobody has set one.
    """
    where = _at(sites)
    begin = said(starts, place) if starts else None
    end = said(until, place) if until else None
    english = f" from {begin.en}" if begin else ""
    arabic = f" من {begin.ar}" if begin else ""
    english += f" until {end.en if end else 'somebody ends it'}"
    arabic += f"{' إلى' if begin else ' حتى'} {end.ar}" if end else " إلى أن يُنهى التجميد"
    return Bilingual(
        en=f"Changes of {risk} risk{where.en} are frozen{english}: {label.en}.",
        ar=f"التغييرات {_RISKS_AR[risk]}{where.ar} مجمَّدة{arabic}: {label.ar}.",
    )


def shut_reason(risk: Changing, sites: Sequence[str | None]) -> Bilingual:
    """Why nothing is changed while no window is open."""
    where = _at(sites)
    return Bilingual(
        en=f"No change window for {risk} risk{where.en} is open.",
        ar=f"لا توجد نافذة مفتوحة للتغييرات {_RISKS_AR[risk]}{where.ar}.",
    )


def opens_reason(
    opens: datetime | None, closes: datetime | None, windows: Sequence[Bilingual], place: ZoneInfo
) -> Bilingual:
    """When a change may be made.

    Args:
        opens: None if no such moment is known.
        closes: when the first of these windows is shut again.
        windows: those that are open then; none where a change needs no window.
    """
    if opens is None:
        return Bilingual(
            en="No moment of the next two years is known at which it may be made.",
            ar="لا يُعرف خلال السنتين القادمتين موعد يُسمح فيه بهذه التغييرات.",
        )
    begin = said(opens, place)
    if closes is None:
        return Bilingual(en=f"It may be made from {begin.en}.", ar=f"ويُسمح بها ابتداءً من {begin.ar}.")
    end = said(closes, place)
    english = " and ".join(dict.fromkeys(title.en for title in windows))
    arabic = " و".join(dict.fromkeys(f"«{title.ar}»" for title in windows))
    return Bilingual(
        en=f"It may be made from {begin.en} to {end.en}: {english}.",
        ar=f"ويُسمح بها من {begin.ar} إلى {end.ar}: {arabic}.",
    )


def _at(sites: Sequence[str | None]) -> Bilingual:
    named = sorted(site for site in sites if site is not None)
    unknown = Bilingual(ar="أجهزة لم يُسجَّل موقعها", en="hosts whose site is not recorded")
    english = [*named, *([unknown.en] if None in sites else [])]
    arabic = [
        *([f"{'الموقع' if len(named) == 1 else 'المواقع'} {'، '.join(named)}"] if named else []),
        *([unknown.ar] if None in sites else []),
    ]
    return Bilingual(ar=f" في {' و'.join(arabic)}", en=f" at {', '.join(english)}")
