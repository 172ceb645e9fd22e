"""Erasure: what is deleted of a case and its licence, when it is due, and what stays.

A dossier is erased whole: a licence with all cases on it, or a case that came to no licence. Half of one
would still tell who held it. What says something of a person is deleted: the sealed envelopes of cases,
licences and their versions, the papers, the documents, the words of comments, and the salts. The blind
indexes are replaced by random bytes, so that nobody can ask any more whether a dossier was somebody's. What
stays is the register (numbers, states, days, fees, payments) and the chain, whose salted hashes say nothing
without their salts: it verifies as before.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import audit, events
from foundation.calendar import add_years, dated, today
from foundation.chain import JSON
from foundation.errors import Conflict
from foundation.personal import Vault
from integrations.cases import case_store, comments, files
from integrations.cases.case import Case
from integrations.cases.case_store import CASES
from integrations.cases.definitions import Definitions
from integrations.licences import licence as licences
from integrations.licences.licence import Licence, status_on

ERASED = "case.erased"
"""The personal data of a case was erased. Payload: service, procedure, place, centre, why."""

Why = Literal["retention", "order"]

_ENDED = frozenset({"revoked", "closed", "void"})
_FORGET_CASE = text(
    "UPDATE case_file SET personal = NULL, subject = :subject, erased_at = :at, version = version + 1 "
    "WHERE id = :id"
)
_FORGET_LICENCE = text("UPDATE licence SET personal = NULL, subject = :subject WHERE id = :id")
_FORGET_VERSIONS = text(
    "UPDATE licence_version SET personal = NULL, subject = :subject WHERE licence_id = :id"
)
_FORGET_PAPERS = text("UPDATE licence_document SET pdf = NULL WHERE licence_id = :id")
# Each case keeps the definition it ran under, and with it the years that were promised.
_DUE = text(
    """
    WITH kept AS (
        SELECT fingerprint, make_interval(years => CAST(content #>> '{retention,years}' AS integer)) AS years
        FROM case_definition
    )
    SELECT case_file.number, case_file.closed_at
    FROM case_file
    JOIN kept ON kept.fingerprint = case_file.definition
    LEFT JOIN licence ON licence.id = case_file.licence_id
    WHERE case_file.closed_at IS NOT NULL AND case_file.erased_at IS NULL
      AND case_file.closed_at <= :now - (SELECT min(years) FROM kept)
      AND case_file.closed_at <= :now - kept.years
      AND (licence.id IS NULL
           OR CASE WHEN licence.status IN ('revoked', 'closed', 'void')
                   THEN CAST(licence.status_since AT TIME ZONE 'Asia/Riyadh' AS date)
                   ELSE licence.valid_to END < :day - kept.years)
      AND NOT EXISTS (
          SELECT FROM case_file AS other JOIN kept AS its ON its.fingerprint = other.definition
          WHERE other.licence_id = licence.id
            AND (other.closed_at IS NULL OR other.closed_at > :now - its.years))
    ORDER BY case_file.closed_at, case_file.id
    LIMIT :limit
    """
)


@dataclass(frozen=True)
class Dossier:
    """What is erased together.

    Args:
        cases: locked, oldest first.
        licence: locked; None for a case that came to none.
    """

    cases: Sequence[Case]
    licence: Licence | None


def dossier(session: Session, case: Case) -> Dossier:
    """The dossier of a case, locked by this transaction."""
    if case.licence_id is None:
        return Dossier([case_store.by_id(session, case.id, lock=True)], None)
    # The licence first, as who opens a case on it does.
    licence = licences.by_id(session, case.licence_id, lock=True)
    query = case_store.ALL.where(CASES.c.licence_id == licence.id).order_by(CASES.c.id).with_for_update()
    return Dossier([case_store.read(row) for row in session.execute(query).mappings()], licence)


def check_over(whole: Dossier, day: date) -> None:
    """Refuse a dossier that is still needed.

    Raises:
        Conflict: it is erased already, one of its cases is open, or its licence holds.
    """
    if all(case.erased_at is not None for case in whole.cases):
        raise Conflict(
            f"The personal data of {whole.cases[0].number} is erased already.",
            message_ar="مُحيت البيانات الشخصية لهذه المعاملة من قبل.",
        )
    for case in whole.cases:
        if case.closed_at is None:
            raise Conflict(
                f"The case {case.number} is open.",
                remedy="Personal data is erased after the last case of its licence is closed.",
                message_ar=f"المعاملة {case.number} لم تنتهِ بعد، فلا تُمحى بياناتها.",
            )
    if whole.licence is not None and ended_on(whole.licence, day) is None:
        raise Conflict(
            f"The licence {whole.licence.number} holds; its holder cannot be erased.",
            remedy="Close the licence first, or wait for its end.",
            message_ar=f"الرخصة {whole.licence.number} قائمة ولا تُمحى بيانات صاحبها قبل انتهائها.",
        )


def due_on(definitions: Definitions, session: Session, whole: Dossier) -> date:
    """The first day on which retention lets a dossier be erased; it is over (see `check_over`)."""
    days = []
    for case in whole.cases:
        assert case.closed_at is not None
        years = definitions.of(session, case).retention.years
        days.append(add_years(today(now=case.closed_at), years))
        if whole.licence is not None:
            end = ended_on(whole.licence, date.max)
            assert end is not None
            days.append(add_years(end, years) + timedelta(days=1))
    return max(days)


def check_due(due: date, day: date) -> None:
    """Refuse what retention still keeps.

    Raises:
        Conflict: says until when.
    """
    if day < due:
        first = dated(due)
        raise Conflict(
            f"This data is kept until {first.en}.",
            remedy="The privacy officer may order it earlier, with a reason.",
            message_ar=f"تُحفظ هذه البيانات حتى {first.ar}.",
        )


def ended_on(licence: Licence, day: date) -> date | None:
    """The last day of a licence's life, if it is over on a day."""
    if licence.status in _ENDED:
        return today(now=licence.status_since)
    over = day > licence.valid_to or status_on(licence, day) == "expired"
    return licence.valid_to if over else None


def erase(
    session: Session, vault: Vault, whole: Dossier, actor: str, why: Why, reason: str | None, at: datetime
) -> None:
    """Delete what a dossier says of people.

    Args:
        whole: locked and over.
        actor: who does it, as the audit trail names him.
        reason: of an order; sealed with each case, its salted hash in the chain.
    """
    entries_of = [case for case in whole.cases if case.erased_at is None]
    for case in entries_of:
        session.execute(_FORGET_CASE, {"id": case.id, "subject": secrets.token_bytes(32), "at": at})
        files.erase(session, case.id)
        comments.erase(session, case.id)
        details: dict[str, JSON] = {
            "from": case.state,
            "to": case.state,
            "version": case.version + 1,
            "why": why,
        }
        if reason is not None:
            details["comment"] = comments.keep(session, vault, case, actor, "erase", reason, at)
        audit.record(session, chain=case.context, actor=actor, action="erased", details=details)
        told: dict[str, JSON] = {
            "service": case.service,
            "procedure": case.procedure,
            "place": case.place,
            "centre": case.centre,
            "why": why,
        }
        events.publish(session, ERASED, case.context, told)
    if whole.licence is not None:
        _forget_licence(session, whole.licence, actor, why)


def due(session: Session, now: datetime, limit: int) -> list[tuple[str, datetime]]:
    """Closed cases that retention keeps no longer: number and when it was closed, the oldest first.

    Args:
        now: aware.
    """
    rows = session.execute(_DUE, {"now": now, "day": today(now=now), "limit": limit})
    return [(row.number, row.closed_at) for row in rows]


def _forget_licence(session: Session, licence: Licence, actor: str, why: Why) -> None:
    words = {"id": licence.id, "subject": secrets.token_bytes(32)}
    for statement in (_FORGET_LICENCE, _FORGET_VERSIONS, _FORGET_PAPERS):
        session.execute(statement, words)
    audit.record(session, chain=licence.context, actor=actor, action="erased", details={"why": why})
