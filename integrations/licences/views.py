"""What the faces show of licences, as JSON: one shape, whatever the face."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from foundation.audit import Entry
from foundation.calendar import today
from foundation.wire.verification import Answer
from integrations.cases.numbers import is_test
from integrations.licences.admission import STATUS_TITLES
from integrations.licences.licence import Licence, Version, status_on
from integrations.licences.status_lists import PATH, Published

_ANSWERS = {
    "expired": Answer.EXPIRED,
    "suspended": Answer.SUSPENDED,
    "revoked": Answer.REVOKED,
    "closed": Answer.REVOKED,
    "void": Answer.REVOKED,
}


def public(licence: Licence, day: date) -> dict[str, Any]:
    """The public part of a licence's paper: nothing of a person."""
    return {
        **verification(licence, day),
        "service": licence.service,
        "lines": licence.lines,
        "credential": licence.credential,
    }


def verification(licence: Licence, day: date) -> dict[str, Any]:
    """What anyone may ask of a licence: how it stands, and since which day."""
    status = status_on(licence, day)
    return {
        "number": licence.number,
        "status": status,
        "status_title": STATUS_TITLES[status].model_dump(),
        "answer": _answer(licence, status, day).value,
        "since": _since(licence, status).isoformat(),
        "version": licence.version,
        "title": licence.title,
        "municipality": {"ar": licence.municipality["ar"], "en": licence.municipality["en"]},
        "valid_from": licence.valid_from.isoformat(),
        "valid_to": licence.valid_to.isoformat(),
    }


def child(licence: Licence, day: date) -> dict[str, Any]:
    """A licence in the list of those that hang on another."""
    status = status_on(licence, day)
    return {
        "number": licence.number,
        "service": licence.service,
        "status": status,
        "since": _since(licence, status).isoformat(),
        "with_parent": licence.with_parent,
        "valid_to": licence.valid_to.isoformat(),
    }


def step(version: Version, case: str | None) -> dict[str, Any]:
    """What one case made of a licence, or no case but a key that was retired; nothing of a person."""
    return {
        "case": case,
        "outcome": version.outcome,
        "version": version.version,
        "copy": version.copy,
        "status": version.status,
        "valid_from": version.valid_from.isoformat(),
        "valid_to": version.valid_to.isoformat(),
        "at": _moment(version.made_at),
    }


def entry(written: Entry) -> dict[str, Any]:
    """An entry of the licence's own chain."""
    return {"at": _moment(written.at), "actor": written.actor, "action": written.action, **written.details}


def status_lists(municipality: str, published: list[Published]) -> dict[str, Any]:
    """The lists that a verifier fetches, each with what it needs to know whether it has it already."""
    return {
        "municipality": municipality,
        "lists": [
            {
                "number": each.number,
                "uri": each.uri,
                "path": f"{PATH}/{each.number}",
                "version": each.version,
                "made_at": _moment(each.made_at),
                "expires_at": _moment(each.expires_at),
                "ttl": int(each.ttl.total_seconds()),
                "size": each.size,
            }
            for each in published
        ],
    }


def _answer(licence: Licence, status: str, day: date) -> Answer:
    if is_test(licence.number):
        # Of the answers that the contract has, the one that everybody takes for a no.
        return Answer.REVOKED
    if status == "valid":
        return Answer.NOT_YET_VALID if day < licence.valid_from else Answer.VALID
    return _ANSWERS[status]


def _since(licence: Licence, status: str) -> date:
    if status == "expired":
        return licence.valid_to + timedelta(days=1)
    return today(now=licence.status_since)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
