"""What becomes of the licences that hang on one whose standing changed."""

from collections import Counter

from foundation import audit
from foundation.chain import JSON
from integrations.cases.case import Work
from integrations.licences import licence as licences
from integrations.licences import standing
from integrations.licences.licence import Licence

CHANGED = {
    "valid": "licence.reinstated",
    "suspended": "licence.suspended",
    "revoked": "licence.revoked",
}
"""Event of a licence that changed with its parent, by what it came to. Payload as of `licence.issued`, and
parent."""


def cascade(work: Work, licence: Licence) -> dict[str, JSON]:
    """Let everything that hangs on a licence stand as its parent lets it, down to the last generation.

    Args:
        licence: locked, with its new standing; it need not be saved yet.

    Returns:
        For the journal: how many came to which standing.
    """
    family = {licence.id: licence}
    touched: list[Licence] = []
    counts: Counter[str] = Counter()
    for child in licences.descendants(work.session, licence):
        assert child.parent_id is not None, "a descendant hangs on something"
        family[child.id] = child
        before, fell = child.status, child.with_parent
        if standing.settle(child, family[child.parent_id]):
            counts[child.status] += 1
            _tell(work, child, before, family[child.parent_id])
        # Also those that stand as before, but with their parent, since another day.
        if fell or child.with_parent:
            touched.append(child)
    licences.save(work.session, *touched)
    return {"children": dict(sorted(counts.items()))} if counts else {}


def _tell(work: Work, child: Licence, before: str, parent: Licence) -> None:
    audit.record(
        work.session,
        chain=child.context,
        actor=work.caller.actor,
        action=CHANGED[child.status].removeprefix("licence."),
        details={"from": before, "to": child.status, "parent": parent.number, "case": work.case.number},
    )
    work.publish(CHANGED[child.status], child.context, {**payload(work, child), "parent": parent.number})


def payload(work: Work, licence: Licence) -> dict[str, JSON]:
    """What every event of a licence says."""
    return {
        "number": licence.number,
        "case": work.case.number,
        "service": licence.service,
        "version": licence.version,
        "valid_from": licence.valid_from.isoformat(),
        "valid_to": licence.valid_to.isoformat(),
        "status": licence.status,
    }
