"""The journal of a case: each action is one entry of the chain `case/NUMBER` and one event.

An entry holds no personal data. The first one, and each that edits the form, holds a digest of the form and a
salted digest of each personal value; the salts lie in the sealed envelope. So a changed value is seen, and
erasing the envelope leaves digests that tell nothing of what was erased, in a chain that still verifies.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from foundation.audit import Entry
from foundation.chain import JSON
from foundation.errors import Damaged
from foundation.personal import Vault, matches, salted
from integrations.cases.case import Case, Work

SUBMITTED = "case.submitted"
"""A case was opened. Payload: action, service, procedure, from, to, version, place, centre."""
MOVED = "case.moved"
"""An action was taken. Payload: as of `case.submitted`, what the action did, and where the case left a state
`stayed_s` and `working_s`: its seconds there by the clock and by the office's working time."""
ANSWERED = "case.answered"
"""A back-end answered a question. Payload: service, procedure, check, answer, place, centre."""
DEEMED = "case.deemed"
"""A party let its period pass, and its silence has answered. Payload: service, procedure, answers (the check
and what silence says), place, centre."""
ESCALATED = "case.escalated"
"""A deadline passed and the case stays. Payload: service, procedure, state, to (a role), place, centre."""
MIGRATED = "case.migrated"
"""It now runs under another version of its definition. Payload: service, procedure, from, to, definition."""


def moved(work: Work, action: str, before: str, did: Mapping[str, JSON], stayed: Mapping[str, int]) -> None:
    """Write down an action that a case has just been through.

    Args:
        before: the state it came from; "" for the action that opened it.
        did: what the action says of itself.
        stayed: how long the case was in the state before.
    """
    case = work.case
    step: dict[str, JSON] = {"from": before, "to": case.state, "version": case.version}
    work.entries.append((work.caller.actor, action, {**step, **did}))
    told = {"action": action, **_of(case), **step, **stayed, **did}
    work.publish(MOVED if before else SUBMITTED, case.context, told)


def migrated(work: Work, before: str, did: Mapping[str, JSON]) -> None:
    """Write down that a case goes on under another version of its definition."""
    case = work.case
    step: dict[str, JSON] = {"from": before, "to": case.state, "version": case.version, **did}
    work.entries.append((work.caller.actor, "migrated", step))
    work.publish(MIGRATED, case.context, {**_of(case), **step})


def noted(work: Work, action: str, kind: str, details: Mapping[str, JSON]) -> None:
    """Write down what happened to a case without moving it, as an entry and an event."""
    step: dict[str, JSON] = {"from": work.case.state, "to": work.case.state, "version": work.case.version}
    work.entries.append((work.caller.actor, action, {**step, **details}))
    work.publish(kind, work.case.context, {**_of(work.case), **details})


def sealed(vault: Vault, work: Work) -> tuple[bytes, dict[str, JSON]]:
    """The personal envelope of a case, and the digests that its journal holds of the application.

    Returns:
        What goes into `Case.personal`, and `{"form": hex, "personal": {pointer: hex}}`.
    """
    salts: dict[str, str] = {}
    digests: dict[str, JSON] = {}
    for pointer, value in _values(work.applicant, work.private):
        salt, digests[pointer] = salted(value)
        salts[pointer] = salt.hex()
    envelope = {"applicant": dict(work.applicant), "form": dict(work.private), "salts": salts}
    said: dict[str, JSON] = {"form": form_digest(work.case.form), "personal": digests}
    return vault.seal(envelope, work.case.context), said


def form_digest(form: Mapping[str, Any]) -> str:
    """SHA-256 over a form, in hex."""
    return hashlib.sha256(_spelt(form).encode()).hexdigest()


def intact(vault: Vault, case: Case, entries: Iterable[Entry]) -> bool:
    """Whether a case's form is what its journal says was submitted, or last edited.

    Of a case whose envelope was erased the rest of the form is compared.

    Args:
        entries: the journal, oldest first.
    """
    said = [entry.details["application"] for entry in entries if "application" in entry.details]
    if not said or said[-1]["form"] != form_digest(case.form):
        return False
    if case.personal is None:
        return case.erased_at is not None
    try:
        envelope = vault.open(case.personal, case.context)
    except Damaged:
        return False
    salts, values = envelope["salts"], dict(_values(envelope["applicant"], envelope["form"]))
    digests = said[-1]["personal"]
    return digests.keys() == values.keys() and all(
        matches(value, bytes.fromhex(salts[pointer]), digests[pointer]) for pointer, value in values.items()
    )


def _of(case: Case) -> dict[str, JSON]:
    return {
        "service": case.service,
        "procedure": case.procedure,
        "place": case.place,
        "centre": case.centre,
    }


def _values(applicant: Mapping[str, Any], private: Mapping[str, Any]) -> list[tuple[str, str]]:
    # Names are the definition's own words: nothing in them needs a pointer's escapes.
    return [
        *((f"/applicant/{name}", str(value)) for name, value in applicant.items()),
        *((f"/form/{name}", _spelt(value)) for name, value in private.items()),
    ]


def _spelt(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
