"""What the tests of change calendars share: a small calendar, and a slow oracle that asks every minute."""

import functools
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from foundation.calendar import HijriDate, hijri
from foundation.definitions import Bilingual, parse_yaml
from infra.changes.calendar import WEEKDAYS, ChangeCalendar, Frozen, YearlyFreeze

RIYADH = ZoneInfo("Asia/Riyadh")
MINUTE = timedelta(minutes=1)

SMALL = """
code: small
title: {ar: صغير, en: Small}
zone: Asia/Riyadh
ramadan_announced:
  1449: {first: 2028-01-29, last: 2028-02-26}
windows:
  - name: nights
    title: {ar: الليالي, en: Nights}
    sites: all
    weekdays: [sunday, monday, tuesday, wednesday, thursday, friday, saturday]
    hours: ["22:00-04:00"]
    ramadan: {weekdays: [friday, saturday], hours: ["06:00-09:00"]}
    risks: [low, medium]
    source: a test
    sample: true
  - name: north_noon
    title: {ar: ظهر الشمال, en: Noon in the north}
    sites: [north]
    weekdays: [friday]
    hours: ["12:00-13:00", "14:00-24:00"]
    risks: [high]
    source: a test
    sample: true
freezes:
  - code: hajj
    title: {ar: تجميد الحج, en: Hajj freeze}
    calendar: umm_al_qura
    first: {month: 12, day: 1}
    last: {month: 12, day: 13}
    sites: all
    risks: [low, medium, high]
    announced:
      1449: {first: 2028-04-26, last: 2028-05-09}
    source: a test
    sample: true
  - code: leap
    title: {ar: يوم الكبيسة, en: Leap day}
    calendar: gregorian
    first: {month: 2, day: 29}
    days: 1
    sites: [south]
    risks: [medium]
    source: a test
    sample: true
"""


def small(text: str = SMALL) -> ChangeCalendar:
    """The small calendar, or another one."""
    return parse_yaml(text, "small.yaml", ChangeCalendar)


def local(text: str, zone: ZoneInfo = RIYADH) -> datetime:
    """A moment by the clock of a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


def declared(
    starts: datetime,
    until: datetime | None,
    sites: tuple[str, ...] | None = None,
    label: str = "Visit",
) -> Frozen:
    """A freeze of all risks that somebody declared."""
    return Frozen(Bilingual(ar="زيارة", en=label), sites, ("low", "medium", "high"), starts, until)


class Oracle:
    """The same question as `verdict_of`, asked of one minute's local date and clock alone.

    Args:
        calendar: whose rules hold.
        freezes: that were declared.
    """

    def __init__(self, calendar: ChangeCalendar, freezes: Sequence[Frozen]) -> None:
        self._calendar = calendar
        self._declared = freezes
        self._frozen_days: dict[tuple[str, date], bool] = {}

    def is_open(self, sites: Sequence[str | None], risk: str, window: str, moment: datetime) -> bool:
        """Whether a change of a risk may be made at all of some sites."""
        here = moment.astimezone(self._calendar.place)
        day, minute = here.date(), here.hour * 60 + here.minute
        return all(
            not self._is_frozen(site, risk, day, moment)
            and (window == "always" or self._in_window(site, risk, day, minute))
            for site in sites
        )

    def _is_frozen(self, site: str | None, risk: str, day: date, moment: datetime) -> bool:
        def bears(sites: tuple[str, ...] | None, risks: Sequence[str]) -> bool:
            return risk in risks and (site is None or sites is None or site in sites)

        by_rule = any(
            bears(rule.sites, rule.risks) and self._in_rule(rule, day) for rule in self._calendar.freezes
        )
        return by_rule or any(
            bears(one.sites, one.risks) and one.starts <= moment and (one.until is None or moment < one.until)
            for one in self._declared
        )

    def _in_rule(self, rule: YearlyFreeze, day: date) -> bool:
        known = self._frozen_days.get((rule.code, day))
        if known is None:
            known = self._frozen_days[rule.code, day] = _in_rule(rule, day)
        return known

    def _in_window(self, site: str | None, risk: str, day: date, minute: int) -> bool:
        yesterday = day - timedelta(days=1)
        for one in self._calendar.windows:
            if risk not in one.risks or (one.sites is not None and site not in one.sites):
                continue
            for opened, at in ((day, minute), (yesterday, minute + 24 * 60)):
                fasting = self._fasting(opened)
                weekdays, hours = one.weekdays, one.hours
                if fasting and one.ramadan:
                    weekdays, hours = one.ramadan.weekdays, one.ramadan.hours
                cut = one.ramadan and opened != day and fasting != self._fasting(day)
                if cut or WEEKDAYS[opened.weekday()] not in weekdays:
                    continue
                if any(opens <= at < closes for opens, closes in hours):
                    return True
        return False

    def _fasting(self, day: date) -> bool:
        announced = self._calendar.ramadan_announced
        if any(one.first <= day <= one.last for one in announced.values()):
            return True
        lunar = _hijri(day)
        return lunar.month == 9 and lunar.year not in announced


def _in_rule(rule: YearlyFreeze, day: date) -> bool:
    if any(one.first <= day <= one.last for one in rule.announced.values()):
        return True
    if rule.last is not None:
        found, last = _parts(rule, day), (rule.last.month, rule.last.day)
        begun = found >= (rule.first.month, rule.first.day) or _is_day(rule, day)
        year = _hijri(day).year if rule.calendar == "umm_al_qura" else day.year
        return begun and found <= last and year not in rule.announced
    for back in range(rule.days or 1):
        first = day - timedelta(days=back)
        year = _hijri(first).year if rule.calendar == "umm_al_qura" else first.year
        if _is_day(rule, first) and year not in rule.announced:
            return True
    return False


def _is_day(rule: YearlyFreeze, day: date) -> bool:
    found, wanted = _parts(rule, day), (rule.first.month, rule.first.day)
    is_last = _parts(rule, day + timedelta(days=1))[0] != found[0]
    return found == wanted or (found[0] == wanted[0] and is_last and found[1] < wanted[1])


def _parts(rule: YearlyFreeze, day: date) -> tuple[int, int]:
    lunar = _hijri(day)
    return (lunar.month, lunar.day) if rule.calendar == "umm_al_qura" else (day.month, day.day)


@functools.cache
def _hijri(day: date) -> HijriDate:
    return hijri(day)
