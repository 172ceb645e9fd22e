"""The officer's desk: what waits for him, who works on what, and what is said of a case."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import audit, events
from foundation.chain import JSON
from foundation.errors import Conflict, InvalidInput, PermissionDenied
from foundation.idempotency import Answer
from foundation.identity import Caller, Role
from integrations.cases import case_store, choice, comments, views
from integrations.cases import inbox as waiting
from integrations.cases.case import Case
from integrations.desks.desk import Desk

LARGEST_PAGE = 200
"""Cases in one page, at most."""
ASSIGNED = "case.assigned"
"""Somebody works on a case, or nobody any more. Payload: service, procedure, state, version, place, centre,
assignee (as the audit trail names him, or null)."""

_WORKERS = {
    "person": text("SELECT roles, places FROM person WHERE username = :name AND enabled"),
    "client": text("SELECT roles, places FROM api_client WHERE client_id = :name AND enabled"),
}


@dataclass(frozen=True)
class InboxDesk:
    """Inboxes, assignment and comments, as the faces ask for them.

    Args:
        desk: what all desks share.
    """

    desk: Desk

    def page(
        self,
        caller: Caller,
        after: str | None = None,
        limit: int = 50,
        service: str | None = None,
        place: str | None = None,
        mine: bool = False,
        unassigned: bool = False,
        count: bool = False,
    ) -> dict[str, Any]:
        """One page of the open cases that wait for one of the caller's roles, the most urgent first.

        A centre sees its own cases; others those within their places.

        Args:
            after: the `next` of the page before.
            limit: cases on the page, 1 to `LARGEST_PAGE`.
            service, place: only cases of these.
            mine: only those assigned to the caller.
            unassigned: only those assigned to nobody.
            count: also say how many wait, as a number in text, or "1000+".

        Raises:
            Malformed: `after` is no cursor of ours.
            InvalidInput: mine and unassigned at once.
        """
        if mine and unassigned:
            raise InvalidInput(
                "A case is not mine and nobody's at once.",
                remedy="Ask for one of the two.",
                message_ar="اختر المعاملات المسندة إليّ أو غير المسندة، لا كلتيهما.",
            )
        size = max(1, min(limit, LARGEST_PAGE))
        wanted = waiting.Wanted(
            actor=caller.actor,
            roles=caller.roles,
            places=caller.places,
            place=place,
            everything=caller.kind == "system",
            service=service,
            whose="mine" if mine else "unassigned" if unassigned else "all",
        )
        spot = waiting.Spot.read(after) if after is not None else None
        with self.desk.database.transaction() as session:
            found = waiting.cases(session, wanted, spot, size + 1)
            shown = found[:size]
            items = [self._item(session, case) for case in shown]
            told = {"count": _counted(waiting.counted(session, wanted))} if count else {}
        following = waiting.Spot.of(shown[-1]).cursor() if len(found) > size else None
        return {"items": items, "next": following, **told}

    def assign(
        self, caller: Caller, number: str, to: str | None, key: str | None, version: int | None = None
    ) -> Answer:
        """Say who works on a case; it is then his until it leaves its state.

        Args:
            to: "person/NAME" or "client/NAME"; None gives it back to the desk.
            key: the caller's Idempotency-Key; a write without one is refused.
            version: the version of the case that the caller saw; an assignment makes a new one, so that of
                two who take a case at once one is told.

        Raises:
            NotFound: there is no such case for this caller.
            PermissionDenied: the case waits for none of the caller's roles.
            InvalidInput: who is named cannot work on it.
            Conflict: it is closed.
            Stale: it was changed since the caller saw it.
        """

        def act(session: Session, at: datetime) -> dict[str, Any]:
            case = self.desk.open_case(session, caller, number)
            choice.check_version(case, version)
            self._check_may_assign(caller, case)
            if to is not None and to != caller.actor:
                _check_worker(session, case, to)
            if to != case.assignee:
                self._assign(session, case, caller, to, at)
            return self._item(session, case)

        return self.desk.once(caller, key, "assign", number, {"to": to, "version": version}, act)

    def comment(self, caller: Caller, number: str, said: str, key: str | None) -> Answer:
        """Say something of a case; it is sealed, and the journal holds a salted hash of it.

        Raises:
            NotFound: there is no such case for this caller.
            PermissionDenied: the caller only reads.
            InvalidInput: it is empty, too long, or has characters that no paper shows.
            Conflict: the case is erased.
        """
        comments.check(said)

        def act(session: Session, at: datetime) -> dict[str, Any]:
            case = self.desk.open_case(session, caller, number)
            self._check_may_comment(session, caller, case)
            if case.erased_at is not None:
                raise Conflict(
                    f"The personal data of {number} is erased; nothing is added to it.",
                    message_ar="مُحيت البيانات الشخصية لهذه المعاملة ولا يضاف إليها شيء.",
                )
            service = self.desk.definitions.of(session, case)
            if service.own_words == "none" or service.flow_of(case.procedure).is_silent(case.state):
                raise Conflict(
                    f"Nothing may be said of the case {number} as it stands.",
                    remedy="Take the action alone.",
                    message_ar=f"لا يُكتب تعليق على المعاملة {number} وهي في حالتها هذه؛ اكتف بتنفيذ الإجراء.",
                )
            vault = self.desk.office.vault
            digest = comments.keep(session, vault, case, caller.actor, None, said, at)
            details = {**_step(case), "comment": digest}
            audit.record(session, chain=case.context, actor=caller.actor, action="commented", details=details)
            return {"case": case.number, "actor": caller.actor, "action": None, "at": views.moment(at)}

        return self.desk.once(caller, key, "comment", number, {"text": said}, act)

    def comments(self, caller: Caller, number: str) -> list[dict[str, Any]]:
        """What was said of a case, oldest first.

        Its centre sees what it said itself, and what the office said with an action that gave the case back
        or ended it; what officers say among themselves is theirs. A party sees what it said itself.

        Raises:
            NotFound: there is no such case for this caller.
        """
        with self.desk.database.transaction() as session:
            case = self.desk.read_case(session, caller, number)
            told = comments.of_case(session, self.desk.office.vault, case)
            if self.desk.only_asked(session, caller, case):
                told = [each for each in told if each.actor == caller.actor]
            elif not self._inside(session, caller, case):
                answers = self._answers(session, case)
                told = [each for each in told if each.actor == caller.actor or each.action in answers]
        return [
            {
                "actor": each.actor,
                "action": each.action,
                "text": each.text,
                "erased": each.text is None,
                "at": views.moment(each.at),
            }
            for each in told
        ]

    def _item(self, session: Session, case: Case) -> dict[str, Any]:
        summary = views.summary(self.desk.definitions.of(session, case), case)
        return {**summary, "desk": case.desk, "entered_at": views.moment(case.entered_at)}

    def _check_may_assign(self, caller: Caller, case: Case) -> None:
        if case.closed_at is not None:
            raise Conflict(
                f"The case {case.number} is closed; nobody works on it.",
                message_ar=f"المعاملة {case.number} منتهية ولا تُسند إلى أحد.",
            )
        if caller.kind != "system" and not works_on(caller.actor, caller.roles, caller.places, case):
            raise PermissionDenied(
                f"The case {case.number} waits for another desk.",
                remedy="Who has its role assigns it.",
                message_ar=f"المعاملة {case.number} عند جهة أخرى؛ يسندها من له صلاحيتها.",
            )

    def _assign(self, session: Session, case: Case, caller: Caller, to: str | None, at: datetime) -> None:
        case.assignee = to
        case.version += 1
        case.changed_at = max(at, case.changed_at)
        case_store.save(session, case)
        said: dict[str, JSON] = {**_step(case), "assignee": to}
        audit.record(session, chain=case.context, actor=caller.actor, action="assigned", details=said)
        told: dict[str, JSON] = {
            "service": case.service,
            "procedure": case.procedure,
            "state": case.state,
            "version": case.version,
            "place": case.place,
            "centre": case.centre,
            "assignee": to,
        }
        events.publish(session, ASSIGNED, case.context, told)

    def _check_may_comment(self, session: Session, caller: Caller, case: Case) -> None:
        if caller.actor == case.centre or caller.kind == "system":
            return
        if not self.desk.acts(self.desk.definitions.of(session, case), case.procedure, caller):
            raise PermissionDenied(
                "You may read this case, and add nothing to it.",
                message_ar="لك الاطلاع على هذه المعاملة دون الإضافة إليها.",
            )

    def _inside(self, session: Session, caller: Caller, case: Case) -> bool:
        if self.desk.sees_all(caller):
            return True
        return self.desk.acts(self.desk.definitions.of(session, case), case.procedure, caller)

    def _answers(self, session: Session, case: Case) -> set[str]:
        flow = self.desk.definitions.of(session, case).flow_of(case.procedure)
        told = {name for name, state in flow.states.items() if state.applicant or state.final}
        return {action.name for action in flow.actions if action.to in told}


def works_on(actor: str, roles: frozenset[str], places: frozenset[str], case: Case) -> bool:
    """Whether somebody of these roles and places can act on a case in the state it is in.

    Args:
        actor: as the audit trail names him; a centre acts on its own cases alone.
    """
    waits_for = roles & set((case.desk or "").split("+")) - {Role.PAYMENT, Role.KIOSK}
    if actor == case.centre and waits_for:
        return True
    return bool(waits_for - {Role.CENTRE}) and (not places or case.place in places)


def _check_worker(session: Session, case: Case, to: str) -> None:
    kind, _, name = to.partition("/")
    query = _WORKERS.get(kind)
    row = session.execute(query, {"name": name}).one_or_none() if query is not None else None
    if row is None or not works_on(to, frozenset(row.roles), frozenset(row.places), case):
        raise InvalidInput(
            "There is nobody of this name who can work on this case.",
            place="/to",
            remedy="Name a person or client with its role and its place, as person/NAME.",
            message_ar="لا يوجد بهذا الاسم من له صلاحية هذه المعاملة ومكانها.",
        )


def _step(case: Case) -> dict[str, JSON]:
    return {"from": case.state, "to": case.state, "version": case.version}


def _counted(number: int) -> str:
    return f"{waiting.MOST_COUNTED}+" if number > waiting.MOST_COUNTED else str(number)
