"""Whether a procedure may be taken on a licence now, and whether a licence may hang on another.

Both are asked when a case is opened and again when it is fulfilled. How the licence stands is judged on
either day. A time limit binds the applicant, who kept it by applying in time: it is judged on the day he
applied. Days that our own outages took from him are added to it.
"""

from collections.abc import Callable
from datetime import date, timedelta

from foundation.calendar import add_months, dated, today
from foundation.definitions import Bilingual
from foundation.errors import Conflict
from foundation.working_time import WorkingTime
from integrations.cases import authority
from integrations.cases.case import Work
from integrations.licences import licence as licences
from integrations.licences import standing
from integrations.licences.licence import Licence, status_on
from integrations.procedure import LicenceStatus, Parent, Procedure, Window
from integrations.service import Service

_HANGS = ("issue", "renew")
_RAISES = ("reinstate", "uphold")

STATUS_TITLES: dict[LicenceStatus, Bilingual] = {
    "valid": Bilingual(ar="سارية", en="valid"),
    "expired": Bilingual(ar="منتهية", en="expired"),
    "suspended": Bilingual(ar="موقوفة", en="suspended"),
    "revoked": Bilingual(ar="مسحوبة", en="revoked"),
    "closed": Bilingual(ar="ملغاة بطلب صاحبها", en="closed"),
    "void": Bilingual(ar="باطلة", en="void"),
}
"""How people read each status."""


def admit(work: Work) -> None:
    """Refuse what may not be done with the licences that a case is about, on the day of the work.

    Raises:
        Conflict: the licence is not as the procedure needs it or is another's by now, a time limit has
            passed, or the parent does not stand, ends too soon or is another's. Says until when, or how much
            is missing, in both languages.
    """
    asked = today(now=work.case.submitted_at)
    if work.licence is not None:
        _check_holder(work, work.licence)
        check_window(
            work.procedure,
            work.licence,
            work.day,
            asked,
            lambda: work.office.working_time(work.session, work.case.place),
        )
        if work.procedure.outcome in _RAISES:
            standing.refuse_fallen(work.licence)
    if work.service.parent is not None and work.procedure.outcome in _HANGS:
        parent = parent_of(work)
        check_parent(work.service, parent, work.day, asked)
        if work.procedure.outcome == "issue" and parent is not None:
            _check_parents_holder(work, parent)


def parent_of(work: Work) -> Licence | None:
    """The licence that the one of this work hangs on, locked and as it stands now; None if on none.

    Read anew also where the work holds it already: this is what a revocation elsewhere waits for.
    """
    if work.parent is not None:
        work.parent = licences.by_id(work.session, work.parent.id, lock=True)
    elif work.licence is not None and work.licence.parent_id is not None:
        work.parent = licences.by_id(work.session, work.licence.parent_id, lock=True)
    return work.parent


def check_window(
    procedure: Procedure,
    licence: Licence,
    day: date,
    asked: date,
    working_time: Callable[[], WorkingTime],
) -> None:
    """Whether a procedure may be taken on a licence.

    Args:
        day: on which its standing is judged.
        asked: the day of the application, on which its time limits are judged.
        working_time: tells our outages; asked only where a limit has passed.

    Raises:
        Conflict: it may not; says from when or until when it might.
    """
    window = procedure.on
    if window is None:
        return
    status = status_on(licence, day)
    if status not in window.statuses:
        raise _refused(procedure, licence, *_standing(licence, status, window))
    if window.same_day and day != today(now=licence.issued_at):
        text = dated(today(now=licence.issued_at))
        en = f"it is possible on {text.en} only, the day of its issue"
        raise _refused(procedure, licence, en, f"يمكن ذلك يوم إصدارها فقط، وهو {text.ar}")
    _check_times(procedure, window, licence, asked, working_time)


def check_parent(service: Service, parent: Licence | None, day: date, asked: date) -> None:
    """Whether a licence of a service may hang on another.

    Args:
        day: on which the parent has to stand.
        asked: the day of the application, on which the time that it has left is judged.

    Raises:
        Conflict: there is none, it is of another service, does not stand, or has too little time left.
    """
    rule = service.parent
    if rule is None:
        return
    if parent is None or parent.service != rule.service:
        raise Conflict(
            f"A licence of {service.code} hangs on one of {rule.service}, and the application names none.",
            remedy="Give the number of that licence as `parent`.",
            message_ar=f"«{service.licence_title.ar}» تتبع رخصة أصل؛ اذكر رقمها.",
        )
    status = status_on(parent, day)
    if status != "valid":
        title = STATUS_TITLES[status]
        raise Conflict(
            f"The licence {parent.number}, on which this one hangs, is {title.en}.",
            remedy="It has to be valid first.",
            message_ar=f"الرخصة الأصل {parent.number} {title.ar}؛ يجب أن تكون سارية.",
        )
    _check_life(service, rule, parent, asked)


def _check_holder(work: Work, licence: Licence) -> None:
    # Whoever asked for it when the licence was his, or its holder's who had let him, asked for no other's.
    if work.procedure.initiator == "applicant" and not _acts_for(work, licence):
        raise Conflict(
            f"The licence {licence.number} was transferred since the case {work.case.number} was opened.",
            remedy="Withdraw the case; the new holder applies himself.",
            message_ar=f"نُقلت الرخصة {licence.number} إلى مرخص له آخر بعد تقديم هذا الطلب؛ "
            "اسحب الطلب ليتقدم به المرخص له الجديد.",
        )


def _check_parents_holder(work: Work, parent: Licence) -> None:
    if not _acts_for(work, parent):
        raise Conflict(
            f"The licence {parent.number}, on which this one would hang, is another's.",
            remedy="Its holder applies, or gives the applicant a delegation for this at a service centre.",
            message_ar=f"الرخصة الأصل {parent.number} لغير مقدم الطلب؛ يتقدم صاحبها بالطلب أو يفوّضه "
            "في أحد مراكز الخدمة.",
        )


def _acts_for(work: Work, licence: Licence) -> bool:
    case = work.case
    return case.subject == licence.subject or authority.lets_act(
        work.session, licence.subject, case.subject, work.service, case.procedure, case.submitted_at
    )


def _check_life(service: Service, rule: Parent, parent: Licence, day: date) -> None:
    needed = add_months(day, rule.remaining_months, service.validity.calendar) - timedelta(days=1)
    missing = (needed - parent.valid_to).days
    if missing > 0:
        end, wanted = dated(parent.valid_to), dated(needed)
        raise Conflict(
            f"The licence {parent.number}, on which this one hangs, ends on {end.en}; it must hold to "
            f"{wanted.en} at least, {missing} days longer ({rule.remaining_months} months in all).",
            remedy="Renew it first.",
            message_ar=f"الرخصة الأصل {parent.number} تنتهي في {end.ar}، ويجب أن تبقى سارية إلى {wanted.ar} "
            f"على الأقل، أي ينقصها {missing} يومًا؛ جدّدها أولًا.",
        )


def _check_times(
    procedure: Procedure,
    window: Window,
    licence: Licence,
    asked: date,
    working_time: Callable[[], WorkingTime],
) -> None:
    first = licence.valid_to - timedelta(days=window.from_days_before_end or 0)
    if window.from_days_before_end is not None and asked < first:
        text = dated(first)
        raise _refused(procedure, licence, f"it is possible from {text.en}", f"يمكن ذلك من {text.ar}")
    since = today(now=licence.status_since)
    limits: list[tuple[date, date]] = []
    # Who lost his licence by our own fault loses no right to renew it by the same fault.
    if window.until_days_after_end is not None and not licence.excused:
        limits.append((first, licence.valid_to + timedelta(days=window.until_days_after_end)))
    if window.within_days is not None:
        limits.append((since, since + timedelta(days=window.within_days)))
    for start, limit in limits:
        last = limit if asked <= limit else _prolonged(start, limit, asked, working_time())
        if asked > last:
            text = dated(last)
            raise _refused(
                procedure, licence, f"it was possible until {text.en}", f"وكان متاحًا حتى {text.ar}"
            )


def _prolonged(start: date, limit: date, asked: date, time: WorkingTime) -> date:
    # Days lost before the limit are given back after it; if some of those are lost too, so are they.
    last = limit
    while last < asked:
        further = limit + timedelta(days=time.outage_days(start, last))
        if further == last:
            break
        last = further
    return last


def _standing(licence: Licence, status: LicenceStatus, window: Window) -> tuple[str, str]:
    since = dated(licence.valid_to if status == "expired" else today(now=licence.status_since))
    wanted = [STATUS_TITLES[each] for each in window.statuses]
    title = STATUS_TITLES[status]
    return (
        f"it is {title.en} since {since.en}, and has to be {' or '.join(each.en for each in wanted)}",
        f"فهي {title.ar} منذ {since.ar}، والمطلوب أن تكون {' أو '.join(each.ar for each in wanted)}",
    )


def _refused(procedure: Procedure, licence: Licence, en: str, ar: str) -> Conflict:
    return Conflict(
        f"{procedure.title.en} is not possible for the licence {licence.number}: {en}.",
        message_ar=f"لا يمكن «{procedure.title.ar}» للرخصة {licence.number}: {ar}.",
    )
