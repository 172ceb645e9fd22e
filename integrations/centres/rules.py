"""The rules of a centre's contract, asked inside the transaction of each of its writes: never from a cache.

`permit` reads the centre, its contract, clerk, key, device and shift in one statement and takes the centre's
lock, shared with its other writes: a suspension, an end or a revoked key waits for the writes that are under
way, and every write that begins after it is refused (see `integrations.centres.centre.locked`). So nothing of
a suspended centre is written after its suspension, whichever process takes the message.

A caller without the role `centre` costs no statement here, one without a record one, and none of the rules.
"""

import base64
import hashlib
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import audit_writing
from foundation.calendar import today
from foundation.chain import canonical
from foundation.caller import Caller, Role
from integrations.centres import contract as contracts
from integrations.centres.contract import Agreed, Delegated
from integrations.centres.refusals import (
    BranchNotAllowed,
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

_STANDING = text(
    "SELECT contract AS id, standing.* FROM centre_standing(:centre, :clerk, :key, :device, :day) AS standing"
)


@dataclass(frozen=True)
class Standing:
    """What a centre's write is judged by.

    Args:
        centre: its code.
        day: of Riyadh.
        branch: where the clerk acts: that of the device, or else his own.
        shift: id of his open shift on the device.
    """

    centre: str
    clerk: str
    contract: Agreed
    day: date
    branch: str
    device: str | None
    shift: int | None


def permit(session: Session, caller: Caller, at: datetime, *, in_shift: bool = True) -> Standing | None:
    """Let a centre's clerk write now.

    Args:
        caller: any; only a centre with a record is asked for more than before.
        at: the moment of the write, aware.
        in_shift: False for what needs no open shift: to open one.

    Returns:
        What the rest of this transaction is judged by; None for a caller without a record of a centre.

    Raises:
        CentreSuspended, ContractNotInForce, ProofMissing, ClerkNotAllowed, ClerkKeyRevoked, CentreKeyRevoked,
        DeviceNotAllowed, BranchNotAllowed, ShiftNotOpen: see `integrations.centres.refusals`.
    """
    raise NotImplementedError


def delegated(
    session: Session, caller: Caller, service: str, procedure: str, at: datetime
) -> Delegated | None:
    """Let a centre open a case of a procedure: its contract delegates it, at this branch.

    Returns:
        The terms; None for a caller without a record of a centre.

    Raises:
        ServiceNotDelegated, BranchNotAllowed: it does not.
    """
    raise NotImplementedError


def count(session: Session, caller: Caller, at: datetime) -> None:
    """Count an application against the quotas of the day and the month, exactly.

    Called where a case is opened, as late as can be: it holds up what else the centre opens until this
    transaction ends.

    Raises:
        QuotaExhausted: one of them is used up.
    """
    raise NotImplementedError
