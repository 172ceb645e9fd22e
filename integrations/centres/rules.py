"""The rules of a centre's contract, asked inside the transaction of each of its writes: never from a cache.

`permit` reads the centre, its contract, clerk, keys, device and shift in the statement that takes the write's
idempotency key, and takes the centre's lock, shared with its other writes: a suspension, an end or a revoked
key waits for the writes that are under way, and every write that begins after it is refused (see
`integrations.centres.centre.locked`). So nothing of a suspended centre is written after its suspension,
whichever process takes the message.

Whoever has no record of a centre costs no statement here, and is asked none of the rules.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from foundation import audit_writing, idempotency
from foundation.calendar import today
from foundation.caller import Caller, Role
from foundation.chain import canonical
from foundation.errors import RakeezaError
from integrations.centres import contract as contracts
from integrations.centres.centre import actor_of
from integrations.centres.contract import Agreed
from integrations.centres.refusals import (
    BranchNotAllowed,
    CentreKeyRevoked,
    CentreSuspended,
    ClerkKeyRevoked,
    ClerkNotAllowed,
    ContractNotInForce,
    DeviceNotAllowed,
    ProofMissing,
    QuotaExhausted,
    ServiceNotDelegated,
    ShiftNotOpen,
)

# One statement with the key's: who has no record pays nothing for being asked. The centre's lock is taken
# before the key, by everybody: nobody waits crosswise.
_TAKE = text(
    f"""
    WITH judged AS MATERIALIZED (
        SELECT standing.contract AS id, standing.*, (SELECT test FROM centre WHERE code = :centre) AS test
        FROM centre_standing(:centre, :centre_key, :clerk, :clerk_key, :device, :day, :at) AS standing
    ), taken AS ({idempotency.TAKEN.format(condition="(SELECT count(*) FROM judged) >= 0")})
    SELECT (SELECT count(*) FROM taken) AS taken, judged.*
    FROM (VALUES (1)) AS one (row) LEFT JOIN judged ON true
    """
)
_PROVEN = text(
    "INSERT INTO act_proof (digest, caller, clerk, proof, at) "
    "VALUES (:digest, :caller, :clerk, CAST(:proof AS jsonb), :at) ON CONFLICT (digest) DO NOTHING"
)
# Two who open at once meet at the rows. In one order, the day first: nobody waits crosswise. Of the whole
# centre each application is counted, of a service where it has a quota.
_COUNT = text(
    """
    INSERT INTO centre_quota_use AS used (contract_id, period, service, used)
    SELECT :contract, period, service, 1
    FROM unnest(CAST(:periods AS text[]), CAST(:services AS text[])) WITH ORDINALITY
        AS counted (period, service, number)
    ORDER BY number
    ON CONFLICT (contract_id, period, service) DO UPDATE SET used = used.used + 1
        WHERE used.used < (
            SELECT most FROM unnest(
                CAST(:periods AS text[]), CAST(:services AS text[]), CAST(:most AS integer[])
            ) AS quota (period, service, most)
            WHERE quota.period = excluded.period AND quota.service = excluded.service
        )
    RETURNING period, service
    """
)
_OPENED = text(
    """
    INSERT INTO centre_application
        (case_id, contract_id, centre, service, branch, clerk, device, shift_id, percent, fixed, at)
    VALUES (:case, :contract, :centre, :service, :branch, :clerk, :device, :shift, :percent, :fixed, :at)
    """
)
_REFUSED = text(
    """
    INSERT INTO centre_refusal AS kept (centre, day, kind, clerk, times, last_at)
    SELECT code, :day, :kind, :clerk, 1, :at FROM centre WHERE code = :centre
    ON CONFLICT (centre, day, kind, clerk) DO UPDATE SET times = kept.times + 1, last_at = :at
    """
)
_NO_LIMIT = 2**31 - 1
# In a session: what its transaction is judged by.
_JUDGED_BY = "centre.standing"


@dataclass(frozen=True)
class Standing:
    """What a centre's write is judged by.

    Args:
        centre: its code.
        day: of Riyadh.
        branch: where the clerk acts: that of the device, or else his own.
        shift: id of his open shift on the device.
        test: it is a test centre.
        person: blind index of the clerk himself; None where nobody said who he is.
    """

    centre: str
    clerk: str
    contract: Agreed
    day: date
    branch: str
    device: str | None
    shift: int | None
    test: bool
    person: bytes | None = None


def permit(
    session: Session, caller: Caller, at: datetime, key: Mapping[str, Any], *, in_shift: bool = True
) -> bool:
    """Let a centre's clerk write now, and take the key of his write; `standing_of` then says as what.

    Args:
        caller: a client with the role `centre`; only one with a record is asked for more than its key.
        at: the moment of the write, aware.
        key: as `foundation.idempotency.Take` has it.
        in_shift: False for what needs no open shift: to open one.

    Returns:
        Whether the key was free.

    Raises:
        CentreSuspended, ContractNotInForce, ProofMissing, CentreKeyRevoked, ClerkNotAllowed, ClerkKeyRevoked,
        DeviceNotAllowed, BranchNotAllowed, ShiftNotOpen: see `integrations.centres.refusals`.
    """
    proof, day = caller.proof or {}, today(now=at)
    words = {
        **key,
        "centre": caller.name,
        "centre_key": proof.get("centre_key"),
        "clerk": caller.clerk,
        "clerk_key": proof.get("clerk_key"),
        "device": proof.get("device"),
        "day": day,
        "at": at,
    }
    row = session.execute(_TAKE, words).one()
    if row.state is not None:
        session.info[_JUDGED_BY] = _judged(caller, row, day, in_shift)
    return bool(row.taken)


def standing_of(session: Session, caller: Caller) -> Standing | None:
    """What `permit` let a caller pass by in this transaction; None of whoever is no centre with a record."""
    standing = session.info.get(_JUDGED_BY)
    # What follows by itself in the same transaction is done by the engine, not by the centre.
    return standing if standing is not None and caller.actor == actor_of(standing.centre) else None


def may_have_record(caller: Caller) -> bool:
    """Whether a caller can be a centre with a record at all; nothing is asked of any other."""
    return caller.kind == "client" and Role.CENTRE in caller.roles


def keep_proof(session: Session, caller: Caller, at: datetime) -> None:
    """Keep the proof of an act in its transaction; all that it writes into journals names the clerk and it.

    One message may do several acts, each in a transaction of its own; its proof is kept once.
    """
    if caller.proof is None:
        return
    digest = proof_digest(caller.proof)
    words = {
        "digest": digest,
        "caller": caller.actor,
        "clerk": caller.clerk,
        "proof": json.dumps(dict(caller.proof)),
        "at": at,
    }
    session.execute(_PROVEN, words)
    by = {"clerk": caller.clerk} if caller.clerk is not None else {}
    audit_writing.witness(session, {**by, "proof": digest.hex()})


def proof_digest(proof: Mapping[str, str]) -> bytes:
    """SHA-256 over the canonical JSON of a proof: what the journals hold of it."""
    return hashlib.sha256(canonical(proof)).digest()


def delegated(session: Session, caller: Caller, service: str, procedure: str) -> None:
    """Let a centre open a case of a procedure: its contract delegates it, at this branch.

    Args:
        session: in which `permit` let the caller pass; of a caller without a record nothing is asked.

    Raises:
        ServiceNotDelegated, BranchNotAllowed: it does not.
    """
    standing = standing_of(session, caller)
    if standing is None:
        return
    terms = standing.contract.services.get(service)
    if terms is None or (terms.procedures is not None and procedure not in terms.procedures):
        raise ServiceNotDelegated(caller.name, service, procedure)
    if terms.branches is not None and standing.branch not in terms.branches:
        raise BranchNotAllowed(caller.name, standing.branch, service)


def may_be_one_of(session: Session, caller: Caller, people: Sequence[bytes]) -> bool:
    """Whether the clerk who acts in this transaction is one of some people, for all that is known of him.

    Args:
        people: their blind indexes.
    """
    standing = standing_of(session, caller)
    return standing is not None and (standing.person is None or standing.person in people)


def clerk_of(session: Session, caller: Caller) -> str | None:
    """The clerk who acts in this transaction for a centre with a record; None of anybody else."""
    standing = standing_of(session, caller)
    return standing.clerk if standing is not None else None


def count(session: Session, caller: Caller, service: str) -> None:
    """Count an application against the quotas of the day and the month, exactly.

    Called where a case is opened, as late as can be: it holds up what else the centre opens until this
    transaction ends. What is refused after it counts nothing.

    Args:
        service: of the case.

    Raises:
        QuotaExhausted: one of them is used up: the centre's own, or that of the service.
    """
    standing = standing_of(session, caller)
    if standing is None:
        return
    agreed, (by_day, by_month) = standing.contract, periods(standing.day)
    whole, own = agreed.quota, agreed.services[service].quota
    quotas = {(by_day, ""): whole.day or _NO_LIMIT, (by_month, ""): whole.month or _NO_LIMIT}
    quotas |= {(by_day, service): own.day} if own.day else {}
    quotas |= {(by_month, service): own.month} if own.month else {}
    words = {
        "contract": agreed.id,
        "periods": [period for period, _ in quotas],
        "services": [of for _, of in quotas],
        "most": list(quotas.values()),
    }
    counted = {(row.period, row.service) for row in session.execute(_COUNT, words)}
    for (period, of), quota in quotas.items():
        if (period, of) not in counted:
            raise QuotaExhausted(caller.name, period, quota, of)


def periods(day: date) -> tuple[str, str]:
    """The day and the month that an application of a day counts for, as `centre_quota_use` names them."""
    return day.isoformat(), f"{day:%Y-%m}"


def opened(session: Session, caller: Caller, case: int, service: str, at: datetime) -> None:
    """Note by which contract, where and by whom a case was opened, and the share that was agreed by then.

    Args:
        case: its row.
    """
    standing = standing_of(session, caller)
    if standing is None:
        return
    share = standing.contract.services[service].share
    words = {
        "case": case,
        "contract": standing.contract.id,
        "centre": standing.centre,
        "service": service,
        "branch": standing.branch,
        "clerk": standing.clerk,
        "device": standing.device,
        "shift": standing.shift,
        "percent": share.percent,
        "fixed": share.fixed,
        "at": at,
    }
    session.execute(_OPENED, words)


def note_refusal(session: Session, caller: Caller, refusal: RakeezaError, at: datetime) -> None:
    """Count a refusal by one of the rules: by centre, day, kind and clerk.

    Args:
        session: of a transaction of its own; that of the act is undone.
    """
    words = {
        "centre": caller.name,
        "day": today(now=at),
        "kind": type(refusal).__name__,
        "clerk": caller.clerk or "",
        "at": at,
    }
    session.execute(_REFUSED, words)


def _judged(caller: Caller, row: Row[Any], day: date, in_shift: bool) -> Standing:
    centre, agreed = caller.name, _in_force(caller.name, row, day)
    clerk, device = _signed(caller, row), (caller.proof or {}).get("device")
    in_shift = in_shift and agreed.shifts
    if (device is not None or in_shift) and not row.device_active:
        raise DeviceNotAllowed(centre, device)
    branch = row.clerk_branch if device is None else row.device_branch
    if branch not in agreed.branches:
        raise BranchNotAllowed(centre, branch)
    if in_shift and row.shift is None:
        raise ShiftNotOpen(clerk, str(device))
    return Standing(centre, clerk, agreed, day, branch, device, row.shift, row.test, row.clerk_subject)


def _in_force(centre: str, row: Row[Any], day: date) -> Agreed:
    if row.state != "active":
        raise CentreSuspended(centre, ended=row.state == "ended")
    if row.id is None:
        raise ContractNotInForce(centre, None, None)
    agreed = contracts.read(row)
    if not agreed.covers(day):
        ended = agreed.ended_at is not None
        raise ContractNotInForce(centre, agreed.first_day, agreed.last_day, ended, day)
    return agreed


def _signed(caller: Caller, row: Row[Any]) -> str:
    # The clerk of an act that he and his centre have signed.
    proof, centre, clerk = caller.proof, caller.name, caller.clerk
    if clerk is None or proof is None or (proof.get("centre"), proof.get("clerk")) != (centre, clerk):
        raise ProofMissing(centre)
    # On the SOAP face his secret vouches for him (WS-Security's UsernameToken), on REST a key of his own.
    by_key = "clerk_key" in proof
    if not proof.get("centre_signature") or not (by_key or proof.get("face") == "soap"):
        raise ProofMissing(centre)
    if by_key and not proof.get("clerk_signature"):
        raise ProofMissing(centre)
    if not row.centre_key_good:
        raise CentreKeyRevoked(centre)
    if not row.clerk_active:
        raise ClerkNotAllowed(centre, clerk)
    if by_key and not row.key_good:
        raise ClerkKeyRevoked(centre, clerk)
    return clerk
