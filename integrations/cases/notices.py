"""Messages to the applicant: what he is told of his application, in Arabic and English, by SMS.

`tell` only orders a message, in the transaction of the step; it is kept and sent later, if the settings name
a back-end `messages`. The text says no more than a stranger who finds the phone may read: numbers, amounts
and days, and no names. The mobile number is read from the case's envelope when the message is sent.

Of a closure or an outage the applicant is told what it does to him: another end of his own turn, or another
day that he was promised. That his case is escalated he is not told: it changes who in the office sees the
case, and neither asks anything of him nor promises him anything.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from foundation.calendar import format_date, today
from foundation.definitions import Bilingual
from foundation.jobs import NewJob
from integrations.cases import calls
from integrations.cases.case import Case, Work
from integrations.flow import Action
from integrations.procedure import Outcome

BACKEND = "messages"
"""Name of the back-end, in the settings, that sends messages. Its question: to, text."""

_RIYADH = ZoneInfo("Asia/Riyadh")

_OUTCOMES: dict[Outcome, Bilingual] = {
    "issue": Bilingual(ar="صدرت رخصتك رقم {licence}.", en="Your licence {licence} is issued."),
    "renew": Bilingual(ar="جُدّدت رخصتك رقم {licence}.", en="Your licence {licence} is renewed."),
    "amend": Bilingual(ar="عُدّلت رخصتك رقم {licence}.", en="Your licence {licence} is amended."),
    "transfer": Bilingual(ar="نُقلت ملكية الرخصة رقم {licence}.", en="The licence {licence} is transferred."),
    "correct": Bilingual(ar="صُحّحت بيانات رخصتك رقم {licence}.", en="Your licence {licence} is corrected."),
    "copy": Bilingual(
        ar="صدرت نسخة بدل فاقد لرخصتك رقم {licence}.", en="A copy of your licence {licence} is issued."
    ),
    "void": Bilingual(ar="أُبطلت الرخصة رقم {licence}.", en="The licence {licence} is void."),
    "suspend": Bilingual(ar="عُلّقت رخصتك رقم {licence}.", en="Your licence {licence} is suspended."),
    "reinstate": Bilingual(ar="أُعيد تفعيل رخصتك رقم {licence}.", en="Your licence {licence} holds again."),
    "revoke": Bilingual(ar="أُلغيت رخصتك رقم {licence}.", en="Your licence {licence} is revoked."),
    "close": Bilingual(ar="أُغلقت رخصتك رقم {licence} بطلبك.", en="Your licence {licence} is closed."),
    "uphold": Bilingual(
        ar="قُبل اعتراضك، وعادت رخصتك رقم {licence} سارية.",
        en="Your objection is granted; your licence {licence} holds again.",
    ),
    "excuse": Bilingual(
        ar="سُجّل أن تأخر رخصتك رقم {licence} لم يكن منك.",
        en="It is noted that the delay of your licence {licence} was not yours.",
    ),
}
_STEPS = {
    "submitted": Bilingual(ar="استلمنا طلبك رقم {case}.", en="We received your application {case}."),
    "sent_back": Bilingual(
        ar="طلبك رقم {case} بانتظار إجراء منك؛ راجع مركز الخدمة.",
        en="Your application {case} waits for you; please see the service centre.",
    ),
    "billed": Bilingual(
        ar="فاتورة طلبك رقم {case}: رقم السداد {bill_number}، المبلغ {amount} ريال، تاريخ الاستحقاق {due}.",
        en="Bill {bill_number} for application {case}: {amount} SAR, due {due}.",
    ),
    "ended": Bilingual(
        ar="انتهى طلبك رقم {case}: {state_ar}.", en="Your application {case} has ended: {state_en}."
    ),
}
# Of a case that stays where it is. The first is of his own turn; the others of what he was promised.
_MOVES = {
    "turn_moved": Bilingual(
        ar="تغيّرت المهلة المتاحة لك في طلبك رقم {case}، وتنتهي يوم {day_ar} الساعة {hour}.",
        en="The time you have for your application {case} has changed: it ends on {day_en} at {hour}.",
    ),
    "promise_later": Bilingual(
        ar="نعتذر عن التأخير: الموعد المتوقع لإنجاز طلبك رقم {case} هو {day_ar}.",
        en="We are sorry for the delay: your application {case} is now expected to be done by {day_en}.",
    ),
    "promise_sooner": Bilingual(
        ar="تقدّم الموعد المتوقع لإنجاز طلبك رقم {case} إلى {day_ar}.",
        en="Your application {case} is now expected to be done sooner, by {day_en}.",
    ),
}
_TEXTS = _STEPS | _MOVES | {str(outcome): text for outcome, text in _OUTCOMES.items()}
NAMES = tuple(_TEXTS)
"""Names of all messages."""


def tell(work: Work, action: Action) -> None:
    """Order the message for the step that was just taken, if it is worth one."""
    found = _notice(work, action)
    if found is None:
        return
    name, words = found
    key = calls.key_of(work.case, "notice", name)
    payload = {"key": key, "attempt": 0, "case": work.case.id, "name": name, "words": words}
    work.jobs.append(NewJob(calls.JOB, payload))


def tell_moved(work: Work, due: datetime | None, promised_for: datetime | None) -> None:
    """Order the message for a deadline that was just reckoned anew, if it is worth one.

    Args:
        due, promised_for: as the applicant knew them; the case has the new ones.
    """
    if not (work.office.notices and work.service.applicant.notices):
        return
    found = _moved(work, due, promised_for)
    if found is None:
        return
    name, until = found
    day = today(now=until)
    words = {
        "case": work.case.number,
        "until": _plain(until),
        "day_ar": format_date(day, "ar", "gregorian"),
        "day_en": format_date(day, "en", "gregorian"),
        "hour": until.astimezone(_RIYADH).strftime("%H:%M"),
    }
    # A case may be told so again without having a new version.
    key = f"{calls.key_of(work.case, 'notice', name)}/{secrets.token_hex(4)}"
    payload = {"key": key, "attempt": 0, "case": work.case.id, "name": name, "words": words}
    work.jobs.append(NewJob(calls.JOB, payload))


def holds(case: Case, name: str, words: Mapping[str, str]) -> bool:
    """Whether a message is still true when it is sent; one that waited must name no day of before."""
    if name not in _MOVES:
        return True
    until = case.due if name == "turn_moved" else case.promised_for
    return case.closed_at is None and until is not None and _plain(until) == words["until"]


def text_of(name: str, words: Mapping[str, str]) -> str:
    """What a message says: Arabic first, then English."""
    template = _TEXTS[name]
    return f"{template.ar.format_map(words)}\n{template.en.format_map(words)}"


def _notice(work: Work, action: Action) -> tuple[str, dict[str, str]] | None:
    case, state = work.case, work.flow.states[action.to]
    words = {"case": case.number}
    if action.effect == "invoice":
        billed = _said(work)
        return "billed", {**words, **{name: str(billed[name]) for name in ("bill_number", "amount", "due")}}
    if action.effect == "fulfil" and work.licence is not None:
        return work.procedure.outcome, {"licence": work.licence.number}
    if state.final:
        return "ended", {**words, "state_ar": state.title.ar, "state_en": state.title.en}
    if not action.from_:
        # What the office opens of itself is told by what comes of it.
        return ("submitted", words) if work.procedure.initiator == "applicant" else None
    if state.applicant and work.caller.actor != case.centre:
        return "sent_back", words
    return None


def _moved(work: Work, due: datetime | None, promised_for: datetime | None) -> tuple[str, datetime] | None:
    case = work.case
    if work.flow.states[case.state].applicant:
        # While it is his turn, the promise stands still anyway.
        return ("turn_moved", case.due) if case.due is not None and _is_news(work, due, case.due) else None
    new = case.promised_for
    # He was told a day, and not an hour.
    if promised_for is None or new is None or today(now=new) == today(now=promised_for):
        return None
    name = "promise_later" if new > promised_for else "promise_sooner"
    return (name, new) if _is_news(work, promised_for, new) else None


def _is_news(work: Work, old: datetime | None, new: datetime) -> bool:
    # What is past by now nobody can go by.
    return old is not None and old != new and new > work.at


def _plain(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


def _said(work: Work) -> Mapping[str, Any]:
    # What the step says of itself stands in its event, which was written just before.
    return next(payload for kind, _, payload in reversed(work.events) if kind == "case.moved")


def mobile_of(case: Case, applicant: Mapping[str, Any]) -> str | None:
    """Where messages on a case go; None once its personal data is erased, or where there is no number."""
    found = applicant.get("mobile") if case.erased_at is None else None
    return found if isinstance(found, str) and found else None
