"""The journal of a case: each action is one entry of the chain `case/NUMBER` and one event.

An entry holds no personal data. The first one holds a salted digest of the application, so that a changed
form is seen, and an erased one leaves the chain whole.
"""

import hashlib
import json
from collections.abc import Mapping

from sqlalchemy.orm import Session

from foundation import audit
from foundation.chain import JSON
from foundation.events import publish
from foundation.identity import Caller
from integrations.cases.case import Case

SUBMITTED = "case.submitted"
"""A case was opened. Payload: action, from, to, version, service."""
MOVED = "case.moved"
"""An action was taken. Payload: action, from, to, version, and what the action did."""


def chain_of(case: Case) -> str:
    """Name of the case's chain, and subject of its events."""
    return f"case/{case.number}"


def write(
    session: Session, case: Case, caller: Caller, action: str, before: str, did: Mapping[str, JSON]
) -> None:
    """Write down an action that a case has just been through.

    Args:
        before: the state it came from; "" for the action that opened it.
        did: what the action's effect says of itself.
    """
    step: dict[str, JSON] = {"from": before, "to": case.state, "version": case.version, **did}
    audit.record(session, chain=chain_of(case), actor=caller.actor, action=action, details=step)
    told: dict[str, JSON] = {"action": action, "service": case.service, **step}
    publish(session, MOVED if before else SUBMITTED, chain_of(case), told)


def digest(case: Case) -> str:
    """Salted SHA-256 over the application, in hex: what the first entry of the journal holds of it."""
    content = {"applicant": case.applicant, "form": case.form}
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(case.salt + text.encode()).hexdigest()
