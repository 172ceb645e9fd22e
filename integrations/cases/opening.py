"""What a case is when it begins, and where it lies: its desk and its part of the town."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from foundation.errors import Conflict, FieldError, InvalidInput
from foundation.identity import Caller
from integrations.cases import case_store, facts
from integrations.cases.application import Application
from integrations.cases.case import Case, Work
from integrations.cases.checklist import may_come
from integrations.flow import Action
from integrations.licences.licence import Licence
from integrations.municipality import Office
from integrations.service import Service


def desk_of(work: Work) -> str | None:
    """Roles that can act in the state of a case, joined by "+"; one that it is escalated to is among them.

    A party whose every action the form rules out is none of them: it is not bothered with what does not
    concern it.
    """
    case = work.case
    actions = [action for action in work.flow.actions if case.state in action.from_]
    if any(action.when is not None and _of_party(work, action) for action in actions):
        known = facts.of(work)
        actions = [each for each in actions if not _of_party(work, each) or may_come(each.when, known)]
    roles = {role for action in actions for role in action.roles}
    deadline = work.flow.states[case.state].deadline
    if case.escalated and deadline is not None and deadline.escalate is not None:
        roles.add(deadline.escalate)
    return "+".join(sorted(roles)) or None


def _of_party(work: Work, action: Action) -> bool:
    return bool(action.roles) and work.service.parties.issuperset(action.roles)


def place_of(service: Service, form: Mapping[str, Any], licence: Licence | None) -> str | None:
    """The part of the town that a form, or else the licence it is about, names."""
    if service.place is None:
        return None
    named = form.get(service.place) or (licence.form.get(service.place) if licence is not None else None)
    return str(named) if named is not None else None


def new_case(
    service: Service,
    procedure: str,
    caller: Caller,
    application: Application,
    at: datetime,
    licence: Licence | None,
    parent: Licence | None,
) -> Case:
    """A case before its first action: it has no number, no state and no envelope yet."""
    return Case(
        id=0,
        number="",
        service=service.code,
        procedure=procedure,
        definition=service.fingerprint,
        state="",
        version=0,
        centre=caller.actor,
        licence_id=licence.id if licence is not None else None,
        parent_id=parent.id if parent is not None else None,
        subject=b"",
        personal=None,
        form=application.form,
        done=[],
        checks={},
        periods={},
        quote_free=False,
        desk=None,
        place=place_of(service, application.form, licence),
        assignee=None,
        due=None,
        timer_at=None,
        escalated=False,
        entered_at=at,
        promised_for=None,
        submitted_at=at,
        changed_at=at,
        closed_at=None,
        erased_at=None,
    )


def holder(office: Office, licence: Licence | None) -> dict[str, str]:
    """The holder of a licence, as the applicant of what the office begins on it.

    Raises:
        Conflict: his data was erased.
    """
    assert licence is not None, "what the office begins is about a licence"
    if licence.personal is None:
        raise Conflict(
            f"The holder of the licence {licence.number} was erased.",
            remedy="Nothing more can be done with it.",
            message_ar=f"حُذفت بيانات المرخص له في الرخصة {licence.number}، ولا يمكن إجراء آخر عليها.",
        )
    held: dict[str, str] = office.vault.open(licence.personal, licence.context)["holder"]
    return {"capacity": "owner", **held}


def refuse_second(work: Work) -> None:
    """Refuse a second open case of one procedure on one licence.

    Raises:
        Conflict: there is one; it names it.
    """
    if work.licence is None:
        return
    # The licence is locked: nobody opens one meanwhile.
    number = case_store.open_on(work.session, work.licence.id, work.case.procedure)
    if number is not None:
        title = work.procedure.title
        raise Conflict(
            f"The case {number} ({title.en}) is open on the licence {work.licence.number}.",
            remedy="End it first.",
            message_ar=f"على الرخصة {work.licence.number} معاملة «{title.ar}» مفتوحة برقم {number}.",
        )


def licence_needed(issues: bool) -> InvalidInput:
    """Why an application is refused that names a licence though none is asked, or none though one is.

    Args:
        issues: none is asked.
    """
    if issues:
        en, ar = (
            "This procedure is about no licence that is there; leave its number out.",
            "هذا الإجراء لا يتعلق برخصة قائمة؛ احذف رقم الرخصة.",
        )
    else:
        en, ar = (
            "This procedure is about a licence; give its number.",
            "هذا الإجراء على رخصة قائمة؛ اذكر رقمها.",
        )
    return InvalidInput(en, fields=(FieldError("/licence", en, detail_ar=ar),), message_ar=ar)
