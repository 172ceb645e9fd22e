"""Delegations: an owner lets a manager or an authorised agent act for him, for some services, until a day.

Who may act is asked by blind indexes; who they are lies sealed. A delegation is the owner's alone to give:
acting for him is judged by what he himself granted, never by way of a third, so a manager or an agent passes
nothing on.

Table `delegation`; each has a chain `delegation/ID`.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.calendar import dated, today
from foundation.chain import JSON
from foundation.definitions import Bilingual
from foundation.errors import Conflict, NotFound
from foundation.identity import Caller
from foundation.personal import Vault, salted
from integrations.procedure import Capacity

CAPACITIES: dict[Capacity, Bilingual] = {
    "owner": Bilingual(ar="المالك", en="owner"),
    "manager": Bilingual(ar="المدير", en="manager"),
    "agent": Bilingual(ar="الوكيل المفوّض", en="authorised agent"),
}
"""What each capacity is called."""


@dataclass(frozen=True)
class Delegation:
    """One delegation.

    Args:
        principal, agent: blind indexes of who lets act and who acts.
        services, procedures: what for; empty is everything.
        valid_until: the last day it holds; None is until it is ended.
        personal: sealed `principal` and `agent`, each with kind, identifier, name; None once erased.
        evidence: SHA-256 of the paper that shows it.
        ended_at: when it was revoked.
    """

    id: int
    principal: bytes
    agent: bytes
    capacity: Capacity
    services: Sequence[str]
    procedures: Sequence[str]
    valid_from: date
    valid_until: date | None
    personal: bytes | None
    evidence: bytes | None
    granted_by: str
    granted_at: datetime
    ended_by: str | None
    ended_at: datetime | None
    erased_at: datetime | None

    @property
    def context(self) -> str:
        """Name of its chain, and what its personal data is sealed to."""
        return f"delegation/{self.id}"

    def covers(self, service: str, procedure: str) -> bool:
        """Whether it is for this."""
        return (not self.services or service in self.services) and (
            not self.procedures or procedure in self.procedures
        )

    def status(self, day: date) -> str:
        """`valid`, `revoked`, `expired` or `future` on a day."""
        if self.ended_at is not None:
            return "revoked"
        if day < self.valid_from:
            return "future"
        return "expired" if self.valid_until is not None and day > self.valid_until else "valid"


_COLUMNS = ", ".join(field.name for field in fields(Delegation))
# Whoever ends one of these waits for us, or we see that it has ended.
_BETWEEN = text(
    f"SELECT {_COLUMNS} FROM delegation WHERE principal = :principal AND agent = :agent "
    "ORDER BY id DESC FOR SHARE"
)
_OF_PERSON = text(
    f"SELECT {_COLUMNS} FROM delegation WHERE principal = :subject OR agent = :subject ORDER BY id"
)
_LOCKED = text(f"SELECT {_COLUMNS} FROM delegation WHERE id = :id FOR UPDATE")
_NEXT_ID = text("SELECT nextval(pg_get_serial_sequence('delegation', 'id'))")
_INSERT = text(
    """
    INSERT INTO delegation (id, principal, agent, capacity, services, procedures, valid_from, valid_until,
                            personal, evidence, granted_by, granted_at)
    OVERRIDING SYSTEM VALUE
    VALUES (:id, :principal, :agent, :capacity, :services, :procedures, :valid_from, :valid_until,
            :personal, :evidence, :granted_by, :granted_at)
    """
)
_END = text("UPDATE delegation SET ended_by = :by, ended_at = :at WHERE id = :id")
_HAS_CASES = text("SELECT 1 FROM case_file WHERE subject = :subject LIMIT 1")
_OLD = text(
    """
    SELECT id FROM delegation
    WHERE erased_at IS NULL
      AND (valid_until < :before OR CAST(ended_at AT TIME ZONE 'Asia/Riyadh' AS date) < :before)
    ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    """
)
_ERASE = text(
    "UPDATE delegation SET personal = NULL, evidence = NULL, erased_at = :at, principal = :principal, "
    "agent = :agent WHERE id = :id"
)


@dataclass(frozen=True)
class Grant:
    """A delegation to be kept.

    Args:
        principal, agent: kind, identifier, name.
        evidence: SHA-256 of a paper, in hex.
    """

    principal: Mapping[str, str]
    agent: Mapping[str, str]
    capacity: Capacity
    services: Sequence[str]
    procedures: Sequence[str]
    valid_from: date
    valid_until: date | None
    evidence: str | None


def grant(session: Session, vault: Vault, given: Grant, actor: str, at: datetime) -> Delegation:
    """Keep a delegation, with the first entry of its chain.

    Args:
        actor: the centre before which it was given.
    """
    number = int(session.execute(_NEXT_ID).scalar_one())
    people = {"principal": dict(given.principal), "agent": dict(given.agent)}
    salts: dict[str, str] = {}
    digests: dict[str, JSON] = {}
    hashed = {
        **{f"/{who}/{name}": value for who, person in people.items() for name, value in person.items()},
        **({"/evidence": given.evidence} if given.evidence is not None else {}),
    }
    for pointer, value in hashed.items():
        salt, digests[pointer] = salted(value)
        salts[pointer] = salt.hex()
    made = Delegation(
        id=number,
        principal=_subject(vault, given.principal),
        agent=_subject(vault, given.agent),
        capacity=given.capacity,
        services=list(given.services),
        procedures=list(given.procedures),
        valid_from=given.valid_from,
        valid_until=given.valid_until,
        personal=vault.seal({**people, "salts": salts}, f"delegation/{number}"),
        evidence=bytes.fromhex(given.evidence) if given.evidence is not None else None,
        granted_by=actor,
        granted_at=at,
        ended_by=None,
        ended_at=None,
        erased_at=None,
    )
    session.execute(_INSERT, vars(made))
    details: dict[str, JSON] = {**terms(made), "personal": digests}
    audit.record(session, chain=made.context, actor=actor, action="granted", details=details)
    return made


def end(session: Session, delegation: Delegation, caller: Caller, at: datetime) -> None:
    """Revoke a delegation from this moment on.

    Args:
        delegation: locked by this transaction (see `locked`).

    Raises:
        Conflict: it was revoked before.
    """
    if delegation.ended_at is not None:
        day = dated(today(now=delegation.ended_at))
        raise Conflict(
            f"This delegation was revoked on {day.en}.", message_ar=f"أُلغي هذا التفويض في {day.ar}."
        )
    session.execute(_END, {"id": delegation.id, "by": caller.actor, "at": at})
    audit.record(session, chain=delegation.context, actor=caller.actor, action="ended", details={})


def locked(session: Session, number: int) -> Delegation:
    """A delegation; until the transaction ends, no case is opened by it.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(_LOCKED, {"id": number}).mappings().one_or_none()
    if row is None:
        raise NotFound(
            "There is no delegation of this number.",
            remedy="See the list of those that a person gave or holds.",
            message_ar="لا يوجد تفويض بهذا الرقم؛ راجع قائمة تفويضات صاحب الرخصة.",
        )
    return Delegation(**row)


def of_person(session: Session, subject: bytes) -> list[Delegation]:
    """The delegations that a person gave or holds, oldest first."""
    return [Delegation(**row) for row in session.execute(_OF_PERSON, {"subject": subject}).mappings()]


def people(vault: Vault, delegation: Delegation) -> dict[str, Any]:
    """Who lets act and who acts: `principal` and `agent`; empty once erased."""
    if delegation.personal is None:
        return {}
    opened = vault.open(delegation.personal, delegation.context)
    return {"principal": opened["principal"], "agent": opened["agent"]}


def terms(delegation: Delegation) -> dict[str, JSON]:
    """What a delegation says, without the people in it."""
    until = delegation.valid_until
    return {
        "capacity": delegation.capacity,
        "services": list(delegation.services),
        "procedures": list(delegation.procedures),
        "from": delegation.valid_from.isoformat(),
        "until": until.isoformat() if until is not None else None,
    }


def between(session: Session, principal: bytes, agent: bytes) -> list[Delegation]:
    """What one person granted another, the newest first; until the transaction ends they wait to be revoked.

    Args:
        principal, agent: blind indexes of who lets act and who acts.
    """
    rows = session.execute(_BETWEEN, {"principal": principal, "agent": agent}).mappings()
    return [Delegation(**row) for row in rows]


def forget_over(session: Session, subject: bytes, actor: str, day: date, at: datetime) -> None:
    """Delete who the delegations of an erased person were between, of those that are over.

    Nothing of a person of whom other cases are still kept: they were opened by these delegations.

    Args:
        subject: his blind index, before it was replaced.
        actor: who erases, as the audit trail names him.
    """
    if session.execute(_HAS_CASES, {"subject": subject}).first() is None:
        for each in of_person(session, subject):
            if each.erased_at is None and each.status(day) in ("revoked", "expired"):
                _forget(session, each.id, actor, at)


def forget_old(session: Session, actor: str, before: date, limit: int, at: datetime) -> None:
    """Delete who delegations were between that were over before a day."""
    for number in session.scalars(_OLD, {"before": before, "limit": limit}).all():
        _forget(session, number, actor, at)


def _forget(session: Session, number: int, actor: str, at: datetime) -> None:
    # Random in the place of the blind indexes: nobody can ask any more whose it was.
    indexes = {"principal": secrets.token_bytes(32), "agent": secrets.token_bytes(32)}
    session.execute(_ERASE, {"id": number, "at": at, **indexes})
    audit.record(session, chain=f"delegation/{number}", actor=actor, action="erased", details={})


def _subject(vault: Vault, person: Mapping[str, str]) -> bytes:
    return vault.subject(person["kind"], person["identifier"])
