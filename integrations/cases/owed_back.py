"""What was paid for nothing: a case that ended without what it was paid for, a licence that is void.

Both void the bill, so that the books claim nothing more, and owe back what was credited to it; see
`integrations.cases.refunds` for how it is given back.
"""

from collections.abc import Mapping
from decimal import Decimal

from sqlalchemy import text

from foundation import audit
from foundation.chain import JSON
from integrations.cases import case_store, invoices
from integrations.cases.case import Case, Work
from integrations.cases.money import amount_text, plus
from integrations.licences.licence import Licence

# Each case that is fulfilled makes one version of its licence.
_FULFILLED = text("SELECT EXISTS (SELECT FROM licence_version WHERE case_id = :case)")
_PAID_FOR = text(
    """
    SELECT version.case_id FROM licence_version AS version
    JOIN case_invoice AS invoice ON invoice.case_id = version.case_id AND invoice.state = 'settled'
    WHERE version.licence_id = :licence ORDER BY version.case_id
    """
)


def end_unfulfilled(work: Work) -> Mapping[str, JSON]:
    """Let a case that has just closed owe nothing and keep nothing, unless it was fulfilled.

    Returns:
        As `invoices.void_newest`.
    """
    # Whether or not its procedure has fees now: it may have been billed under an earlier version.
    if work.session.execute(_FULFILLED, {"case": work.case.id}).scalar():
        return {}
    return invoices.void_newest(work, reason="closed")


def void_licence(work: Work, licence: Licence) -> dict[str, JSON]:
    """Owe back all that was paid for a licence that is void from now on.

    A licence is void on the day of its issue alone, as if it had never been granted. So nothing that was done
    to it that day was worth its fee either: not the issue, and no amendment, transfer or copy after it.

    Args:
        licence: locked. The cases that were fulfilled on it need not be: a settled bill changes no more, and
            whoever holds such a case may be waiting for the licence.

    Returns:
        `bills_voided` and `owed_back`, the sum of the refunds now due; nothing if nothing was paid. The
        journal of each case whose bill it was says it too.
    """
    paid = work.session.execute(_PAID_FOR, {"licence": licence.id}).scalars().all()
    voided = [did for case in paid if (did := _void_bill(work, case_store.by_id(work.session, case)))]
    if not voided:
        return {}
    owed = plus(Decimal(str(did["owed_back"])) for did in voided)
    return {"bills_voided": [did["bill_number"] for did in voided], "owed_back": amount_text(owed)}


def _void_bill(work: Work, case: Case) -> dict[str, JSON]:
    did = invoices.void_newest(work, ("settled",), case)
    if did:
        details = {"case": work.case.number, **did}
        actor = work.caller.actor
        audit.record(work.session, chain=case.context, actor=actor, action="bill_voided", details=details)
    return did
