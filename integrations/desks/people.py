"""The desk for people: delegations, a person's own copy of what is held about him, erasure."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from foundation import audit
from foundation.calendar import add_years
from foundation.chain import JSON
from foundation.definitions import Bilingual
from foundation.errors import Conflict, FieldError, PermissionDenied, RakeezaError
from foundation.idempotency import Answer
from foundation.identity import Caller, Role
from foundation.personal import masked
from integrations.cases import calls, case_store, choice, copies, delegations, privacy, views
from integrations.cases.delegations import Delegation, Grant
from integrations.cases.faults import Checked, check_message, field, refused
from integrations.centres import apart
from integrations.desks.desk import Desk
from integrations.identifiers import fault

LONGEST_YEARS = 5
"""Years that a delegation may be given for."""
PRIVACY = "privacy"
"""Chain of who was given whose copy."""

_KEEPER = Caller("retention", "system", frozenset())
_log = logging.getLogger(__name__)

_KIND = {"type": "string", "x-title": {"ar": "نوع الهوية", "en": "Kind of identifier"}}
_PERSON = {
    "kind": {**_KIND, "enum": ["national_id", "iqama", "unified_number"]},
    "identifier": {"type": "string", "x-title": {"ar": "رقم الهوية", "en": "Identifier"}, "maxLength": 20},
    "name": {"type": "string", "x-title": {"ar": "الاسم", "en": "Name"}, "minLength": 2, "maxLength": 120},
}
_ACTOR = {**_PERSON, "kind": {**_KIND, "enum": ["national_id", "iqama"]}}
_DAY = {"type": "string", "format": "date", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_CODES = {"type": "array", "items": {"type": "string", "maxLength": 63}, "maxItems": 50}


def _person(properties: dict[str, Any], ar: str, en: str) -> dict[str, Any]:
    return {
        "type": "object",
        "x-title": {"ar": ar, "en": en},
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_MESSAGE = Checked(
    {
        "type": "object",
        "properties": {
            "principal": _person(_PERSON, "المالك", "Owner"),
            "agent": _person(_ACTOR, "من يتصرف عنه", "Who acts for him"),
            "actor": _person(_ACTOR, "من حضر إلى المركز", "Who stands at the desk"),
            "capacity": {
                "type": "string",
                "x-title": {"ar": "الصفة", "en": "Capacity"},
                "enum": ["manager", "agent"],
            },
            "services": {**_CODES, "x-title": {"ar": "الخدمات", "en": "Services"}},
            "procedures": {**_CODES, "x-title": {"ar": "الإجراءات", "en": "Procedures"}},
            "valid_from": {**_DAY, "x-title": {"ar": "من تاريخ", "en": "First day"}},
            "valid_until": {**_DAY, "x-title": {"ar": "إلى تاريخ", "en": "Last day"}},
            "evidence": {
                "type": "string",
                "pattern": "^[0-9a-f]{64}$",
                "x-title": {"ar": "بصمة المستند", "en": "SHA-256 of the evidence"},
            },
        },
        "required": ["principal", "agent", "capacity"],
        "additionalProperties": False,
    }
)


@dataclass(frozen=True)
class PeopleDesk:
    """Delegations, copies and erasure, as the faces ask for them.

    Args:
        desk: what all desks share.
    """

    desk: Desk

    def delegate(self, caller: Caller, message: Mapping[str, Any], key: str | None) -> Answer:
        """Let a manager or an authorised agent act for an owner who stands at a centre's desk.

        Args:
            message: principal and agent (kind, identifier, name), capacity, services and procedures (none
                is all), valid_from (today without), valid_until (an agent needs one), evidence (SHA-256 of a
                paper, in hex), actor (who stands at the desk, where that is said).
            key: the caller's Idempotency-Key; a write without one is refused.

        Raises:
            PermissionDenied: the caller is no centre, or who stands at the desk is not the owner: a manager
                or an agent passes nothing on.
            InvalidInput: with every wrong field.
        """
        _require(caller, Role.CENTRE)
        said = {name: value for name, value in message.items() if value is not None}
        check_message(said)

        def act(session: Session, at: datetime) -> dict[str, Any]:
            apart.refuse_tests(session, caller)
            given = self._read(said)
            made = delegations.grant(session, self.desk.office.vault, given, caller.actor, at)
            return self._view(made)

        return self.desk.once(caller, key, "delegate", "delegation", said, act)

    def end_delegation(self, caller: Caller, number: int, key: str | None) -> Answer:
        """Revoke a delegation at once, at any centre: an owner need not go back to the first.

        Raises:
            NotFound: there is none.
            Conflict: it was revoked before.
        """
        _require(caller, Role.CENTRE, Role.PRIVACY)

        def act(session: Session, at: datetime) -> dict[str, Any]:
            apart.refuse_tests(session, caller)
            delegations.end(session, delegations.locked(session, number), caller, at)
            return self._view(delegations.locked(session, number))

        return self.desk.once(caller, key, "end", f"delegation/{number}", {}, act)

    def delegations(self, caller: Caller, kind: str, identifier: str) -> list[dict[str, Any]]:
        """The delegations that a person gave or holds; a centre sees the other's number masked."""
        _require(caller, Role.CENTRE, Role.PRIVACY)
        vault = self.desk.office.vault
        subject = vault.subject(kind, identifier)
        hides = Role.PRIVACY not in caller.roles and caller.kind != "system"
        with self.desk.database.transaction() as session:
            apart.refuse_tests(session, caller)
            found = delegations.of_person(session, subject)
        return [{**self._view(each), **_people(self.desk, each, subject, hides)} for each in found]

    def copy(self, caller: Caller, kind: str, identifier: str) -> dict[str, Any]:
        """Everything that is held about a person, for that person; that it was given out is journalled.

        Raises:
            PermissionDenied: the caller is no privacy officer.
        """
        _require(caller, Role.PRIVACY)
        with self.desk.database.transaction() as session:
            made = copies.copy(
                session, self.desk.office.vault, self.desk.definitions, kind, identifier, self.desk.clock()
            )
            self._note_copy(session, caller, made)
        return made

    def contents(self, caller: Caller, kind: str, identifier: str) -> Iterator[tuple[str, bytes]]:
        """The documents that belong to a copy: name in an archive, and content. Raises as `copy` does."""
        _require(caller, Role.PRIVACY)
        with self.desk.database.transaction() as session:
            yield from copies.contents(session, self.desk.office.vault, kind, identifier)

    def erase(
        self, caller: Caller, number: str, reason: str, key: str | None, version: int | None = None
    ) -> Answer:
        """Erase a closed case, with its licence and all cases on it, by order of the privacy officer.

        Args:
            reason: why before its time; sealed, its salted hash in the chain.
            version: the version of the case that the caller saw.

        Raises:
            PermissionDenied: the caller is no privacy officer.
            NotFound: there is no such case.
            Stale: the case was changed since the caller saw it.
            Conflict: a case of the licence is open, the licence holds, or it is erased already.
            InvalidInput: the reason has characters that no paper shows.
        """
        _require(caller, Role.PRIVACY)
        check_message({"reason": reason})

        def act(session: Session, at: datetime) -> dict[str, Any]:
            whole = privacy.dossier(session, case_store.find(session, number))
            # As it is under the lock; what was found before may have been changed since.
            case = next(each for each in whole.cases if each.number == number)
            choice.check_version(case, version)
            privacy.check_over(whole, self.desk.today())
            self._erase(session, whole, caller, "order", reason, at)
            calls.forget(session)
            return {
                "case": number,
                "case_version": case_store.find(session, number).version,
                "erased": [each.number for each in whole.cases],
                "licence": whole.licence.number if whole.licence is not None else None,
                "erased_at": views.moment(at),
            }

        return self.desk.once(caller, key, "erase", number, {"reason": reason, "version": version}, act)

    def due(self, caller: Caller, limit: int = 100) -> list[dict[str, Any]]:
        """Cases that retention keeps no longer, the oldest first."""
        _require(caller, Role.PRIVACY)
        with self.desk.database.transaction() as session:
            found = privacy.due(session, self.desk.clock(), limit)
        return [{"case": number, "closed_at": views.moment(closed)} for number, closed in found]

    def retain(self, limit: int = 100) -> int:
        """A round of the worker: erase what retention keeps no longer, each dossier in its own transaction.

        A dossier that fails holds up no other, and is told in the log.

        Returns:
            How many dossiers were erased.
        """
        with self.desk.database.transaction() as session:
            found = privacy.due(session, self.desk.clock(), limit)
            years = max(service.retention.years for service in self.desk.definitions.services.items())
            before = add_years(self.desk.today(), -years)
            delegations.forget_old(session, _KEEPER.actor, before, limit, self.desk.clock())
        erased = sum(self._retained(number) for number, _ in found)
        with self.desk.database.transaction() as session:
            calls.forget(session)
        return erased

    def _retained(self, number: str) -> bool:
        day = self.desk.today()
        try:
            with self.desk.database.transaction() as session:
                whole = privacy.dossier(session, case_store.find(session, number))
                # Its licence may have been the licence of another case that was erased just now.
                if all(case.erased_at is not None for case in whole.cases):
                    return False
                privacy.check_over(whole, day)
                privacy.check_due(privacy.due_on(self.desk.definitions, session, whole), day)
                self._erase(session, whole, _KEEPER, "retention", None, self.desk.clock())
        except Conflict:
            # Something came up since it was found; the next round looks again.
            return False
        except RakeezaError:
            _log.exception("The case %s is due and could not be erased.", number)
            return False
        return True

    def _erase(
        self,
        session: Session,
        whole: privacy.Dossier,
        caller: Caller,
        why: privacy.Why,
        reason: str | None,
        at: datetime,
    ) -> None:
        day = self.desk.today()
        people = {case.subject for case in whole.cases}
        privacy.erase(session, self.desk.office.vault, whole, caller.actor, why, reason, at)
        for subject in people:
            delegations.forget_over(session, subject, caller.actor, day, at)

    def _note_copy(self, session: Session, caller: Caller, made: Mapping[str, Any]) -> None:
        details: dict[str, JSON] = {
            "cases": [case["number"] for case in made["cases"]],
            "licences": [licence["number"] for licence in made["licences"]],
            "delegations": [each["id"] for each in made["delegations"]],
        }
        audit.record(session, chain=PRIVACY, actor=caller.actor, action="copied", details=details)

    def _read(self, message: Mapping[str, Any]) -> Grant:
        wrong = [*_MESSAGE.faults(message, "")]
        if not wrong:
            wrong = [*self._wrong(message)]
        if wrong:
            raise refused(wrong)
        actor, owner = message.get("actor"), message["principal"]
        if actor is not None and (actor["kind"], actor["identifier"]) != (owner["kind"], owner["identifier"]):
            raise PermissionDenied(
                "Only the owner gives a delegation; a manager or an agent passes nothing on.",
                remedy="The owner comes himself.",
                message_ar="لا يمنح التفويض إلا المالك؛ فليس للمدير أو الوكيل أن يفوّض غيره.",
            )
        until = message.get("valid_until")
        return Grant(
            principal=message["principal"],
            agent=message["agent"],
            capacity=message["capacity"],
            services=message.get("services", []),
            procedures=message.get("procedures", []),
            valid_from=self._first_day(message),
            valid_until=date.fromisoformat(until) if until is not None else None,
            evidence=message.get("evidence"),
        )

    def _first_day(self, message: Mapping[str, Any]) -> date:
        first = message.get("valid_from")
        return date.fromisoformat(first) if first is not None else self.desk.today()

    def _wrong(self, message: Mapping[str, Any]) -> Iterator[FieldError]:
        for who in ("principal", "agent"):
            wrong = fault(message[who]["kind"], message[who]["identifier"])
            if wrong is not None:
                yield field(f"/{who}/identifier", wrong)
        owner, agent = message["principal"], message["agent"]
        if (owner["kind"], owner["identifier"]) == (agent["kind"], agent["identifier"]):
            yield field("/agent", _NOT_HIMSELF)
        first, until = self._first_day(message), message.get("valid_until")
        if first < self.desk.today():
            yield field("/valid_from", _PAST)
        if until is None:
            if message["capacity"] == "agent":
                yield field("/valid_until", _NO_END)
        elif date.fromisoformat(until) < first:
            yield field("/valid_until", _ENDS_BEFORE)
        elif date.fromisoformat(until) > add_years(first, LONGEST_YEARS):
            yield field("/valid_until", _TOO_LONG)
        yield from self._unknown(message)

    def _unknown(self, message: Mapping[str, Any]) -> Iterator[FieldError]:
        services = {service.code: service for service in self.desk.definitions.services.items()}
        named = message.get("services", [])
        for index, code in enumerate(named):
            if code not in services:
                yield field(f"/services/{index}", _NO_SERVICE)
        meant = [services[code] for code in named if code in services] or list(services.values())
        procedures = {name for service in meant for name in service.procedures}
        for index, name in enumerate(message.get("procedures", [])):
            if name not in procedures:
                yield field(f"/procedures/{index}", _NO_PROCEDURE)

    def _view(self, each: Delegation) -> dict[str, Any]:
        terms = delegations.terms(each)
        return {
            "id": each.id,
            **{name: terms[name] for name in ("capacity", "services", "procedures")},
            "valid_from": terms["from"],
            "valid_until": terms["until"],
            "status": each.status(self.desk.today()),
            "granted_by": each.granted_by,
            "granted_at": views.moment(each.granted_at),
            "ended_at": views.maybe(each.ended_at),
            "erased": each.erased_at is not None,
        }


def _people(desk: Desk, each: Delegation, subject: bytes, hides: bool) -> dict[str, Any]:
    people = delegations.people(desk.office.vault, each)
    other = "agent" if each.principal == subject else "principal"
    if hides and other in people:
        people[other] = {**people[other], "identifier": masked(people[other]["identifier"])}
    return {"principal": people.get("principal"), "agent": people.get("agent")}


def _require(caller: Caller, *roles: Role) -> None:
    if caller.kind != "system":
        caller.require(*roles)


_NOT_HIMSELF = Bilingual(ar="لا يفوّض المالك نفسه.", en="Nobody delegates to himself.")
_PAST = Bilingual(ar="لا يبدأ التفويض قبل اليوم.", en="A delegation does not begin before today.")
_NO_END = Bilingual(ar="لتفويض الوكيل تاريخ انتهاء.", en="An agent's delegation has a last day.")
_ENDS_BEFORE = Bilingual(ar="تاريخ الانتهاء قبل تاريخ البداية.", en="The last day is before the first.")
_TOO_LONG = Bilingual(
    ar=f"أطول مدة للتفويض {LONGEST_YEARS} سنوات.", en=f"A delegation holds for {LONGEST_YEARS} years at most."
)
_NO_SERVICE = Bilingual(ar="لا توجد خدمة بهذا الرمز.", en="There is no such service.")
_NO_PROCEDURE = Bilingual(
    ar="ليس في هذه الخدمات إجراء بهذا الاسم.", en="These services have no such procedure."
)
