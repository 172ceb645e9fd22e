"""From when to when a licence holds: its end by the service's calendar, where a renewal begins, what caps it.

The last day is the eve of the anniversary: a year is a year, and not a year and a day. Where the month of the
anniversary is too short for the day (29 February, 30 Muharram), the anniversary is its last day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from foundation.calendar import LAST_DATE, add_months, add_years, format_date, next_fixed
from foundation.errors import Conflict, InvalidInput
from integrations.licences.licence import Licence
from integrations.procedure import Validity
from integrations.service import Service

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """A licence's first and last day, both of them valid."""

    first: date
    last: date


def issued(service: Service, form: Mapping[str, Any], day: date, parent: Licence | None) -> Period:
    """The period of a licence that is issued on a day.

    Args:
        form: where the service names a field for the length, it is here.
        parent: the licence it will hang on, where it does.

    Raises:
        Conflict: the parent ends before it would begin.
        InvalidInput: the end lies outside the calendar.
    """
    return Period(day, _capped(service, last_day(service.validity, form, day), day, parent))


def renewed(
    service: Service, form: Mapping[str, Any], licence: Licence, day: date, parent: Licence | None
) -> Period:
    """The period of a licence that is renewed on a day.

    Counted from the day after its old end, also when that is past: the holder who is late gains nothing by
    it. Counted from the day of the renewal where the service says so, where the licence lapsed by our own
    fault, and where the period from the old end would be over by now. Before its end a licence is renewed
    without a day on which neither paper is valid: the new one begins at once.

    Raises:
        Conflict: it would not end later than it does, or the parent ends before.
        InvalidInput: the end lies outside the calendar.
    """
    validity = service.validity
    late = day > licence.valid_to
    start = licence.valid_to + _DAY
    if validity.renew_from == "day" or (late and licence.excused) or last_day(validity, form, start) < day:
        start = day
    last = _capped(service, last_day(validity, form, start), start, parent)
    if last <= licence.valid_to:
        raise Conflict(
            f"Renewed today, the licence {licence.number} would end on {last}, and it holds to "
            f"{licence.valid_to} already.",
            remedy="Renew it nearer to its end, or for longer.",
            message_ar=f"تجديد الرخصة {licence.number} اليوم لا يمد مدتها؛ فهي سارية إلى "
            f"{format_date(licence.valid_to, 'ar', 'gregorian')}.",
        )
    return Period(min(start, day), last)


def last_day(validity: Validity, form: Mapping[str, Any], first: date) -> date:
    """The last day of a licence by its service's rule alone.

    Args:
        form: what it is issued on; has the field that the rule may name, as a whole number.
        first: first day it is valid.

    Raises:
        InvalidInput: the end lies outside the calendar.
    """
    term = validity.of(form)
    try:
        if term.fixed_end is not None:
            return next_fixed(first, term.fixed_end.month, term.fixed_end.day, term.calendar)
        if term.years is not None:
            last = add_years(first, _count(term.years, form), term.calendar) - _DAY
        elif term.months is not None:
            last = add_months(first, _count(term.months, form), term.calendar) - _DAY
        elif term.weeks is not None:
            last = first + timedelta(weeks=_count(term.weeks, form)) - _DAY
        else:
            assert term.days is not None, "a term is one of five"
            last = first + timedelta(days=_count(term.days, form) - 1)
    except (InvalidInput, OverflowError) as error:
        raise _beyond() from error
    # Beyond the table of the one calendar, no paper can be printed in the other.
    if last > LAST_DATE:
        raise _beyond()
    return last


def _count(length: int | str, form: Mapping[str, Any]) -> int:
    return length if isinstance(length, int) else int(form[length])


def _capped(service: Service, last: date, first: date, parent: Licence | None) -> date:
    if parent is None or service.parent is None or not service.parent.ends_with_parent:
        return last
    if parent.valid_to < first:
        raise Conflict(
            f"The licence {parent.number}, on which this one hangs, ends on {parent.valid_to}.",
            remedy="Renew that one first.",
            message_ar=f"الرخصة الأصل {parent.number} تنتهي في "
            f"{format_date(parent.valid_to, 'ar', 'gregorian')}؛ جدّدها أولًا.",
        )
    return min(last, parent.valid_to)


def _beyond() -> InvalidInput:
    return InvalidInput(
        f"The licence would end after {LAST_DATE}, where the Umm al-Qura table ends.",
        remedy="Apply for a shorter time.",
        message_ar="تنتهي مدة الرخصة بعد آخر تقويم أم القرى المعتمد؛ اطلب مدة أقصر.",
    )
