"""Who may act for whom: judged by what the owner himself granted, and refused with the reason."""

from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from foundation.calendar import dated, today
from foundation.definitions import Bilingual
from foundation.errors import PermissionDenied
from integrations.cases import delegations
from integrations.cases.application import Application
from integrations.cases.delegations import CAPACITIES, Delegation
from integrations.municipality import Office
from integrations.service import Service

if TYPE_CHECKING:
    from integrations.licences.licence import Licence


def check(
    session: Session,
    office: Office,
    application: Application,
    service: Service,
    procedure: str,
    day: date,
    licence: "Licence | None",
) -> None:
    """Refuse an applicant who may not do this: for the owner he acts for, or on this licence.

    Until the transaction ends, the delegations that let him wait to be revoked.

    Raises:
        PermissionDenied: says why, and since when, in both languages.
    """
    applicant = application.applicant
    capacity = applicant["capacity"]
    subject = office.vault.subject(applicant["kind"], applicant["identifier"])
    if capacity != "owner":
        actor = office.vault.subject(applicant["actor_kind"], applicant["actor_identifier"])
        _check_between(session, subject, actor, service, procedure, day, capacity)
    if licence is None or licence.subject == subject:
        return
    if capacity != "owner":
        raise _refused(
            "The licence is another's, and who was let act for its holder passes that on to nobody.",
            "الرخصة لغير مقدم الطلب، ومن فوّضه صاحبها لا يفوّض غيره.",
        )
    title = service.procedures[procedure].title
    if not set(service.procedures[procedure].capacities) - {"owner"}:
        raise _refused(
            f"The licence is another's, and {title.en!r} is for its holder himself.",
            f"الرخصة لغير مقدم الطلب، و«{title.ar}» لا يطلبها إلا صاحب الرخصة بنفسه.",
        )
    _check_between(session, licence.subject, subject, service, procedure, day, None)


def lets_act(
    session: Session, principal: bytes, agent: bytes, service: Service, procedure: str, asked: datetime
) -> bool:
    """Whether somebody was let act for another when he asked; what was ended since does not undo it.

    Args:
        principal, agent: blind indexes of who lets act and who acts.
        asked: when he applied.
    """
    capacities, day = service.procedures[procedure].capacities, today(now=asked)
    return any(
        each.capacity in capacities
        and each.covers(service.code, procedure)
        and (each.ended_at is None or each.ended_at > asked)
        and replace(each, ended_at=None).status(day) == "valid"
        for each in delegations.between(session, principal, agent)
    )


def _check_between(
    session: Session,
    principal: bytes,
    agent: bytes,
    service: Service,
    procedure: str,
    day: date,
    capacity: str | None,
) -> None:
    found = delegations.between(session, principal, agent)
    asked = service.procedures[procedure]
    taken = {capacity or each for each in asked.capacities if capacity or each != "owner"}
    reasons = [_reason(each, service.code, procedure, asked.title, day, taken) for each in found]
    if any(reason is None for reason in reasons):
        return
    told = [reason for reason in reasons if reason is not None]
    if not told:
        holder = capacity is None
        raise _refused(
            "The licence is another's, who has given the applicant no delegation."
            if holder
            else "The owner has given this person no delegation.",
            "الرخصة لغير مقدم الطلب، ولا يوجد له تفويض من صاحبها."
            if holder
            else "لا يوجد تفويض من المالك لهذا الشخص.",
        )
    # Of several the one that comes nearest, and of these the newest.
    _, en, ar = min(told, key=lambda reason: reason[0])
    raise _refused(en, ar)


def _reason(
    each: Delegation, service: str, procedure: str, title: Bilingual, day: date, taken: set[str]
) -> tuple[int, str, str] | None:
    """Why a delegation does not let act, with how far it is from it; None if it does."""
    status = each.status(day)
    if each.capacity not in taken:
        given, wanted = CAPACITIES[each.capacity], CAPACITIES["manager" if "manager" in taken else "agent"]
        return (
            3,
            f"The delegation is given as {given.en}, not as {wanted.en}.",
            f"التفويض بصفة «{given.ar}» وليس بصفة «{wanted.ar}».",
        )
    if not each.covers(service, procedure):
        return 2, f"The delegation does not cover {title.en!r}.", f"التفويض لا يشمل «{title.ar}»."
    if each.ended_at is not None:
        text = dated(today(now=each.ended_at))
        return 1, f"The delegation was revoked on {text.en}.", f"أُلغي التفويض في {text.ar}."
    if status == "expired":
        assert each.valid_until is not None
        text = dated(each.valid_until)
        return 1, f"The delegation expired on {text.en}.", f"انتهى التفويض في {text.ar}."
    if status == "future":
        text = dated(each.valid_from)
        return 0, f"The delegation begins on {text.en}.", f"يبدأ التفويض في {text.ar}."
    return None


def _refused(en: str, ar: str) -> PermissionDenied:
    return PermissionDenied(
        en, remedy="The owner applies himself, or gives a delegation at a service centre.", message_ar=ar
    )
