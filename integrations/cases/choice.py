"""Which actions a case allows, and which of them a caller means: pure questions, nothing is moved."""

from collections.abc import Sequence
from typing import Any

from foundation.definitions import Bilingual
from foundation.errors import Conflict, FieldError, InvalidInput, NotFound, PermissionDenied, Stale
from foundation.identity import Caller
from integrations.cases import facts, periods
from integrations.cases.case import Case, Work
from integrations.cases.numbers import is_test
from integrations.centres import rules
from integrations.flow import Action, Effect, Flow
from integrations.procedure import Channel, Procedure, Requirement
from integrations.service import Service


def possible(work: Work, actions: Sequence[Action]) -> list[Action]:
    """Those of some actions that the case's state and facts allow, whoever takes them."""
    here = [each for each in actions if work.case.state in each.from_ and periods.may_extend(work, each)]
    if not any(action.when is not None for action in here):
        return here
    known = facts.of(work)
    return [action for action in here if action.when is None or action.when.holds(known)]


def open_to(work: Work) -> list[Action]:
    """The actions that the caller of a work may take now; what a payment takes is his of a test alone."""
    caller, case = work.caller, work.case
    test = is_test(case.number)
    his = [
        action
        for action in work.flow.actions
        if action.taker == "role"
        and (action.effect != "settle" or test)
        and caller.roles.intersection(action.roles)
        and not (action.four_eyes and opened_by(case, caller))
    ]
    return possible(work, his)


def named(
    flow: Flow, caller: Caller, name: str | None, effect: Effect | None, test: bool = False
) -> list[Action]:
    """The actions that a caller means and may take in some state.

    Args:
        name, effect: one of them says which.
        test: no bank pays for this case; who opened it says that it is paid.

    Raises:
        NotFound: the flow has no such action for a caller to take.
        PermissionDenied: the caller has none of its roles.
    """
    wanted = name or effect
    meant = [
        action
        for action in flow.actions
        if action.from_ and action.taker == "role" and wanted == (action.name if name else action.effect)
    ]
    if not meant:
        raise NotFound(
            f"This procedure has no action {wanted!r}.", message_ar="ليس في هذا الإجراء خطوة بهذا الاسم."
        )
    if name is not None and not test and any(action.effect == "settle" for action in meant):
        raise NotFound(
            f"{name!r} is taken by a payment, not by decision.",
            remedy="Notify the payment instead.",
            message_ar="هذه الخطوة تتم بالسداد ولا تُنفذ يدويًا.",
        )
    allowed = [action for action in meant if caller.roles.intersection(action.roles)]
    if not allowed:
        caller.require(*sorted({role for action in meant for role in action.roles}))
    return allowed


def chosen(work: Work, meant: Sequence[Action]) -> Action:
    """The one of the actions a caller means that the case allows now.

    Raises:
        Conflict: its state, form or answers allow none.
        PermissionDenied: it is not for who opened the case.
    """
    able = possible(work, meant)
    if not able:
        number, state, title = work.case.number, work.flow.states[work.case.state].title, meant[0].title
        raise Conflict(
            f"The case {number} is {state.en!r}, which does not allow {title.en!r}.",
            remedy="Read the case to see where it stands.",
            message_ar=f"المعاملة {number} في حالة «{state.ar}» ولا يمكن فيها «{title.ar}».",
        )
    if able[0].four_eyes and opened_by(work.case, work.caller):
        raise PermissionDenied(
            f"{able[0].title.en!r} is not for who opened the case.",
            remedy="A second person takes it.",
            message_ar=f"«{able[0].title.ar}» لا ينفذها من فتح المعاملة؛ ينفذها شخص آخر.",
        )
    if able[0].four_eyes and rules.may_be_one_of(work.session, work.caller, _applying(work)):
        raise PermissionDenied(
            f"{able[0].title.en!r} is not for who applies or acts for him, nor for a clerk who may be he.",
            remedy="A second person takes it, whom the municipality has enrolled with his identifier.",
            message_ar=f"«{able[0].title.ar}» لا ينفذها صاحب الطلب ولا من ينوب عنه ولا موظف لم تُسجَّل هويته؛ "
            "ينفذها شخص آخر.",
        )
    return able[0]


def _applying(work: Work) -> list[bytes]:
    # Blind indexes of the applicant, and of who acts for him.
    said = work.applicant
    if "actor_identifier" not in said:
        return [work.case.subject]
    return [work.case.subject, work.office.vault.subject(said["actor_kind"], said["actor_identifier"])]


def opened_by(case: Case, caller: Caller) -> bool:
    """Whether a caller is who opened a case: of a centre its clerk, or one who cannot be told from him."""
    unknown = case.clerk is None or caller.clerk is None
    return caller.actor == case.centre and (unknown or case.clerk == caller.clerk)


def check_version(case: Case, seen: int | None) -> None:
    """Refuse who saw the case as it was before.

    Args:
        seen: the version the caller saw; None does not say.

    Raises:
        Stale: it was changed since.
    """
    if seen is not None and seen != case.version:
        raise Stale(
            f"The case {case.number} was changed: it is at version {case.version}, not {seen}.",
            remedy="Read it again, then decide.",
            message_ar="تغيّرت المعاملة بعد قراءتك لها؛ اقرأها مرة أخرى ثم قرّر.",
        )


def check_comment(action: Action, comment: str | None) -> None:
    """Refuse an action without the reason that it needs, and words where none are kept.

    Raises:
        InvalidInput: whoever takes it has to say why, may say nothing, or chooses among reasons.
    """
    if action.comment == "none" and comment:
        en, ar = f"{action.title.en!r} takes no comment.", f"«{action.title.ar}» لا يُكتب معها تعليق."
        raise InvalidInput(en, fields=(FieldError("/comment", en, detail_ar=ar),), message_ar=ar)
    if action.comment == "required" and not (comment or "").strip():
        en, ar = f"{action.title.en!r} needs a comment.", f"«{action.title.ar}» تحتاج إلى ذكر السبب."
        raise InvalidInput(en, fields=(FieldError("/comment", en, detail_ar=ar),), message_ar=ar)
    if action.reasons is not None and comment and comment not in action.reasons:
        en = f"The comment of {action.title.en!r} is one of: {', '.join(action.reasons)}."
        told = "؛ ".join(f"{code}: {title.ar}" for code, title in action.reasons.items())
        ar = f"يُختار سبب «{action.title.ar}» من القائمة ولا يُكتب: {told}."
        raise InvalidInput(en, fields=(FieldError("/comment", en, detail_ar=ar),), message_ar=ar)


def kept_of(action: Action, comment: str) -> str:
    """What is kept of a comment that `check_comment` let pass: of a chosen reason its words, Arabic first."""
    if action.reasons is None:
        return comment
    reason = action.reasons[comment]
    return f"{reason.ar}\n{reason.en}"


def check_complete(case: Case, missing: Sequence[Requirement]) -> None:
    """Refuse an action that needs the whole checklist.

    Raises:
        Conflict: documents are missing; it names them.
    """
    if missing:
        titles = [requirement.title for requirement in missing]
        raise Conflict(
            f"The case {case.number} lacks: {', '.join(title.en for title in titles)}.",
            remedy="Add them, then try again.",
            message_ar=f"ينقص المعاملة {case.number}: {'، '.join(title.ar for title in titles)}.",
        )


def check_opener(service: Service, procedure: str, caller: Caller) -> None:
    """Refuse an application by a caller, or at a channel, that the procedure is not offered to.

    Raises:
        PermissionDenied: the caller has none of the roles that open it, or it is offered elsewhere.
    """
    caller.require(*service.flow_of(procedure).opening.roles)
    _check_channel(service.procedures[procedure], caller)


def _check_channel(procedure: Procedure, caller: Caller) -> None:
    channel = channel_of(caller)
    if channel not in procedure.channels:
        offered = [_CHANNELS[each] for each in procedure.channels]
        raise PermissionDenied(
            f"{procedure.title.en!r} is not offered at {_CHANNELS[channel].en}.",
            remedy=f"Go to {' or '.join(each.en for each in offered)}.",
            message_ar=f"«{procedure.title.ar}» لا تقدَّم عبر {_CHANNELS[channel].ar}، بل عبر "
            f"{' أو '.join(each.ar for each in offered)}.",
        )


def channel_of(caller: Caller) -> Channel:
    """Where a caller stands, by its roles."""
    if "centre" in caller.roles:
        return "centre"
    return "kiosk" if "kiosk" in caller.roles else "office"


_CHANNELS: dict[Channel, Bilingual] = {
    "centre": Bilingual(ar="مراكز الخدمة", en="a service centre"),
    "kiosk": Bilingual(ar="أجهزة الخدمة الذاتية", en="a kiosk"),
    "online": Bilingual(ar="المنصة الإلكترونية", en="the web site"),
    "office": Bilingual(ar="مكاتب الأمانة", en="the office"),
}


def shown(action: Action) -> dict[str, Any]:
    """An action as its taker needs to see it."""
    return {
        "name": action.name,
        "title": action.title.model_dump(),
        "comment": action.comment,
        "reasons": [
            {"code": code, "title": title.model_dump()} for code, title in (action.reasons or {}).items()
        ],
        "edits": list(action.edits),
    }
