"""What was paid for nothing: a case that ended without what it was paid for, a licence that is void.

Both void the bill, so that the books claim nothing more, and owe back what was credited to it; see
`integrations.cases.refunds` for how it is given back.
"""

from collections.abc import Mapping

from sqlalchemy import text

from foundation import audit
from foundation.chain import JSON
from integrations.cases import invoices
from integrations.cases.case import Case, Work

# Each case that is fulfilled makes one version of its licence.
_FULFILLED = text("SELECT EXISTS (SELECT FROM licence_version WHERE case_id = :case)")


def end_unfulfilled(work: Work) -> Mapping[str, JSON]:
    """Let a case that has just closed owe nothing and keep nothing, unless it was fulfilled.

    Returns:
        As `invoices.void_newest`.
    """
    if not work.procedure.fees or work.session.execute(_FULFILLED, {"case": work.case.id}).scalar():
        return {}
    return invoices.void_newest(work, reason="closed")


def void_licence(work: Work, case: Case) -> Mapping[str, JSON]:
    """Owe back what was paid for a licence that is void from now on.

    Args:
        case: that issued it. Its bill is settled and changes no more, so that it need not be locked: whoever
            holds it may wait for the licence, which we hold.

    Returns:
        As `invoices.void_newest`; the journal of the case that issued it says it too.
    """
    did = invoices.void_newest(work, ("settled",), case)
    if did:
        details = {"case": work.case.number, **did}
        actor = work.caller.actor
        audit.record(work.session, chain=case.context, actor=actor, action="bill_voided", details=details)
    return did
