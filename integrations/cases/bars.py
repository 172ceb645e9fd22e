"""What there was before stands in an application's way, or is what it rests on: bars and agreements.

A bar looks at other licences of the service, such as a contractor's permits that ran out and were never
closed. It is asked whenever a form is taken, and again before money is: the case then waits until what stands
against it is put right, and costs nobody a fee. What a procedure rests on (`agreed`) is a case of the same
applicant in which it was agreed; that cannot be undone, and so is asked of the form alone.
"""

import json
from typing import Any

from sqlalchemy import TextClause, text

from foundation.errors import Conflict, FieldError, InvalidInput, NotFound
from integrations.bar_rules import APPLICANT
from integrations.cases import case_store
from integrations.cases.case import Case, Work
from integrations.cases.definitions import Definitions
from integrations.flow import Action
from integrations.procedure import Bar
from integrations.service import Service

# More than these are not named.
_NAMED = 3

# That a licence has run out is a question of the day; what was ended stands in nobody's way.
_FOUND = """
    SELECT number FROM licence
    WHERE status IN ('valid', 'suspended') AND service = :service AND {same} AND id <> :own
      AND CASE WHEN status = 'valid' AND valid_to < :day THEN 'expired' ELSE status END = ANY(:statuses)
    ORDER BY valid_to, id LIMIT :most
"""
_OF_FORM = text(_FOUND.format(same="form @> CAST(:same AS jsonb)"))
_OF_APPLICANT = text(_FOUND.format(same="subject = :same"))


def check_form(work: Work, definitions: Definitions) -> None:
    """Refuse a form that a bar stands against, or that rests on no agreement.

    Raises:
        Conflict: a bar stands against it; it says which licences.
        InvalidInput: there is no such agreement of the applicant.
    """
    _check_bars(work)
    field = work.procedure.agreed
    if field is not None and not _is_agreed(work, str(work.case.form.get(field)), definitions):
        label = work.service.fields[field].label
        en, ar = (
            f"{label.en}: the applicant has no agreement of this number.",
            f"«{label.ar}»: لا توجد لمقدم الطلب معاملة تنسيق منجزة بهذا الرقم.",
        )
        raise InvalidInput(en, fields=(FieldError(f"/form/{field}", en, detail_ar=ar),), message_ar=ar)


def check_before(work: Work, action: Action) -> None:
    """Refuse to ask for money, or to do what is free, while a bar stands against it. Raises Conflict."""
    free = action.effect == "fulfil" and not work.procedure.fees
    if free or action.effect in ("quote", "invoice"):
        _check_bars(work)


def _check_bars(work: Work) -> None:
    for name in work.procedure.bars or ():
        bar = (work.service.bars or {})[name]
        numbers = _standing_against(work, bar)
        if numbers:
            raise _refused(work, bar, numbers)


def _standing_against(work: Work, bar: Bar) -> list[str]:
    case, licence = work.case, work.licence
    statement: TextClause = _OF_APPLICANT
    same: Any = case.subject
    if bar.same != APPLICANT:
        # A field that the procedure does not ask has the licence's own value.
        value = {**(licence.form if licence is not None else {}), **case.form}.get(bar.same)
        if value is None:
            return []
        statement, same = _OF_FORM, json.dumps({bar.same: value}, ensure_ascii=False)
    words = {
        "service": work.service.code,
        "same": same,
        "own": licence.id if licence is not None else 0,
        "day": work.day,
        "statuses": list(bar.statuses),
        "most": _NAMED + 1,
    }
    return list(work.session.scalars(statement, words))


def _refused(work: Work, bar: Bar, numbers: list[str]) -> Conflict:
    more = len(numbers) > _NAMED
    named = numbers[:_NAMED]
    title = work.procedure.title
    return Conflict(
        f"{title.en!r} is not possible: {bar.title.en} ({', '.join(named)}{' and more' if more else ''}).",
        remedy="Have these put in order first; nothing else is needed then.",
        message_ar=f"لا يمكن «{title.ar}»: {bar.title.ar} ({'، '.join(named)}{' وغيرها' if more else ''}).",
    )


def _is_agreed(work: Work, number: str, definitions: Definitions) -> bool:
    # Whoever asks with another's number is told no more than with one that nobody has.
    try:
        earlier = case_store.find(work.session, number)
    except NotFound:
        return False
    if earlier.service != work.service.code or earlier.subject != work.case.subject:
        return False
    service = definitions.of(work.session, earlier)
    return service.procedures[earlier.procedure].outcome == "agree" and _is_fulfilled(service, earlier)


def _is_fulfilled(service: Service, case: Case) -> bool:
    return any(
        action.effect == "fulfil" and action.to == case.state and action.name in case.done
        for action in service.flow_of(case.procedure).actions
    )
