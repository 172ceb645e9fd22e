"""How a licence stands: by itself, and because of the licence it hangs on.

What it has come to by itself is kept apart from what it shares with its parent: a licence that fell with its
parent stands again as it did, since when it did, once the parent does.
"""

from datetime import datetime
from typing import cast

from foundation.errors import Conflict
from integrations.licences.licence import Licence
from integrations.procedure import LicenceStatus

_ENDED = frozenset({"revoked", "closed", "void"})
# What becomes of a child, by what has become of its parent.
_WITH_PARENT: dict[str, LicenceStatus] = {
    "suspended": "suspended",
    "revoked": "revoked",
    "closed": "revoked",
    "void": "revoked",
}


def new(at: datetime, case: str) -> list[dict[str, str]]:
    """The standings of a licence that was issued just now by a case."""
    return [_entry("valid", at, case)]


def enter(licence: Licence, status: LicenceStatus, at: datetime, case: str) -> None:
    """Let a licence come to stand so by itself; see `settle` for what its parent makes of it.

    Args:
        case: number of the case that decided it.
    """
    licence.standings = [*licence.standings, _entry(status, at, case)]


def reinstate(licence: Licence, at: datetime, case: str) -> None:
    """End a suspension of its own.

    Raises:
        Conflict: it is not suspended, or only with its parent.
    """
    refuse_fallen(licence)
    if licence.standings[-1]["status"] != "suspended":
        raise Conflict(
            f"The licence {licence.number} is not suspended.",
            remedy="Read it to see how it stands.",
            message_ar=f"الرخصة {licence.number} ليست موقوفة.",
        )
    licence.standings = new(at, case)


def restore(licence: Licence) -> None:
    """Undo what it last came to by itself: it stands again as before, since when it did.

    Raises:
        Conflict: there is nothing to undo, or it fell with its parent.
    """
    refuse_fallen(licence)
    if licence.standings[-1]["status"] not in ("suspended", "revoked"):
        raise Conflict(
            f"The licence {licence.number} was neither suspended nor revoked.",
            remedy="Read it to see how it stands.",
            message_ar=f"الرخصة {licence.number} لم توقف ولم تلغ.",
        )
    licence.standings = licence.standings[:-1]


def refuse_fallen(licence: Licence) -> None:
    """Let nobody raise a licence that fell with its parent.

    Raises:
        Conflict: it did; what can be decided is the parent.
    """
    if licence.with_parent:
        raise Conflict(
            f"The licence {licence.number} fell with the licence {licence.status_reason}.",
            remedy=f"It stands again when {licence.status_reason} does.",
            message_ar=f"الرخصة {licence.number} تابعة للرخصة {licence.status_reason} وتعود بعودتها.",
        )


def settle(licence: Licence, parent: Licence | None) -> bool:
    """Set how a licence stands, from what it came to by itself and how its parent stands now.

    Args:
        parent: settled before it; None for a licence that hangs on none.

    Returns:
        Whether it stands otherwise than before.
    """
    own = licence.standings[-1]
    status = cast(LicenceStatus, own["status"])
    since, reason, fell = datetime.fromisoformat(own["since"]), own["reason"], False
    if parent is not None and status not in _ENDED:
        shared = _WITH_PARENT.get(parent.status)
        if shared is not None and shared != status:
            status, since, reason, fell = shared, parent.status_since, parent.number, True
    before = licence.status
    licence.status, licence.status_since = status, since
    licence.status_reason, licence.with_parent = reason, fell
    return status != before


def _entry(status: LicenceStatus, at: datetime, case: str) -> dict[str, str]:
    return {"status": status, "since": at.isoformat(), "reason": case}
