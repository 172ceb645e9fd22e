"""Which events leave the house, and who may see them: a centre those of its own cases and their licences."""

from collections.abc import Sequence

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from foundation.events import StoredEvent

_SHOWN = ("case/", "licence/")

_OF_CASES = text("SELECT number, centre FROM case_file WHERE number = ANY(:numbers)")
# A licence is in the care of the centre that last issued, renewed or transferred it.
_OF_LICENCES = text(
    """
    SELECT DISTINCT ON (licence.number) licence.number, case_file.centre
    FROM licence
    JOIN licence_version version ON version.licence_id = licence.id
    JOIN case_file ON case_file.id = version.case_id
    WHERE licence.number = ANY(:numbers) AND version.outcome IN ('issue', 'renew', 'transfer')
    ORDER BY licence.number, version.version DESC
    """
)


def case_of(event: StoredEvent) -> str | None:
    """Number of the case that an event is of or that caused it, if it names one."""
    kind, _, number = event.subject.partition("/")
    named = number if kind == "case" else event.payload.get("case")
    return named if isinstance(named, str) else None


def licence_of(event: StoredEvent) -> str | None:
    """Number of the licence that an event is of."""
    kind, _, number = event.subject.partition("/")
    return number if kind == "licence" else None


def is_shown(event: StoredEvent) -> bool:
    """Whether it is of a kind that is shown outside at all."""
    return event.subject.startswith(_SHOWN)


def is_wanted(event: StoredEvent, kinds: Sequence[str]) -> bool:
    """Whether a subscription to these kinds wants it; one kind stands for all below it, none for all."""
    return not kinds or any(
        event.kind == kind or event.kind.startswith(f"{kind.removesuffix('.')}.") for kind in kinds
    )


def centres(session: Session, events: Sequence[StoredEvent]) -> list[frozenset[str]]:
    """Who opened the cases that each event is of: the centres that may see it, as the audit trail names them.

    An event of a licence belongs to whoever opened the case that caused it, and to the centre in whose care
    the licence is.
    """
    shown = [event for event in events if is_shown(event)]
    asked = {number for event in shown if "centre" not in event.payload and (number := case_of(event))}
    licences = {number for event in shown if (number := licence_of(event))}
    of_cases = _look_up(session, _OF_CASES, asked)
    of_licences = _look_up(session, _OF_LICENCES, licences)
    return [_centres(event, of_cases, of_licences) for event in events]


def _centres(event: StoredEvent, of_cases: dict[str, str], of_licences: dict[str, str]) -> frozenset[str]:
    if not is_shown(event):
        return frozenset()
    named = event.payload.get("centre") or of_cases.get(case_of(event) or "")
    issuing = of_licences.get(licence_of(event) or "")
    return frozenset(str(centre) for centre in (named, issuing) if centre)


def _look_up(session: Session, query: TextClause, numbers: set[str]) -> dict[str, str]:
    if not numbers:
        return {}
    return {row.number: row.centre for row in session.execute(query, {"numbers": sorted(numbers)})}
