"""Messages to the applicant: what he is told of his application, in Arabic and English, by SMS.

`tell` only orders a message, in the transaction of the step; it is kept and sent later, if the settings name
a back-end `messages`. The text says no more than a stranger who finds the phone may read: numbers, amounts
and days, and no names. The mobile number is read from the case's envelope when the message is sent.
"""

from collections.abc import Mapping
from typing import Any

from foundation.definitions import Bilingual
from foundation.jobs import NewJob
from integrations.cases import calls
from integrations.cases.case import Case, Work
from integrations.flow import Action
from integrations.procedure import Outcome

BACKEND = "messages"
"""Name of the back-end, in the settings, that sends messages. Its question: to, text."""

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
NAMES = (*_STEPS, *_OUTCOMES)
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


def text_of(name: str, words: Mapping[str, str]) -> str:
    """What a message says: Arabic first, then English."""
    template = _STEPS.get(name) or next(text for outcome, text in _OUTCOMES.items() if outcome == name)
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


def _said(work: Work) -> Mapping[str, Any]:
    # What the step says of itself stands in its event, which was written just before.
    return next(payload for kind, _, payload in reversed(work.events) if kind == "case.moved")


def mobile_of(case: Case, applicant: Mapping[str, Any]) -> str | None:
    """Where messages on a case go; None once its personal data is erased, or where there is no number."""
    found = applicant.get("mobile") if case.erased_at is None else None
    return found if isinstance(found, str) and found else None
