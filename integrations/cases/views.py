"""What the faces show of cases, as JSON: one shape, whatever the face."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.errors import Malformed
from integrations.cases import checklist, choice, files, invoices, journal, parties, periods
from integrations.cases.case import Case, Work
from integrations.cases.definitions import Definitions
from integrations.service import Service

# More than a case takes; of one that somebody talks to death the latest are shown.
_JOURNAL = 1_000
_STEP = ("from", "to", "version")
# What parties are told of each other: what was answered, and until when it may be.
_OF_PARTIES = frozenset({"answers", "periods"})

_AROUND = text(
    """
    SELECT (SELECT number FROM licence WHERE id = :licence) AS licence,
           (SELECT number FROM licence WHERE id = :parent) AS parent,
           (SELECT count(*) FROM case_comment WHERE case_id = :case) AS comments
    """
)


def summary(service: Service, case: Case) -> dict[str, Any]:
    """A case in a list, and as the answer to an action; nothing of a person."""
    procedure = service.procedures[case.procedure]
    state = service.flow_of(case.procedure).states[case.state]
    return {
        "number": case.number,
        "service": case.service,
        "procedure": case.procedure,
        "procedure_title": procedure.title.model_dump(),
        "state": case.state,
        "state_title": state.title.model_dump(),
        "final": state.final,
        "version": case.version,
        "submitted_at": moment(case.submitted_at),
        "changed_at": moment(case.changed_at),
        "promised_for": maybe(case.promised_for),
        "due": maybe(case.due),
        "escalated": case.escalated,
        "place": case.place,
        "assignee": case.assignee,
    }


def full(work: Work, definitions: Definitions) -> dict[str, Any]:
    """A case with all that those who may see it may know, and what the work's caller may do with it.

    A party that is asked about it learns nothing of a person: it judges the work, and not who asks for it or
    what he pays.
    """
    session, case, service = work.session, work.case, work.service
    entries = audit.entries(session, case.context, _JOURNAL)
    words = {"licence": case.licence_id, "parent": case.parent_id, "case": case.id}
    around = session.execute(_AROUND, words).one()
    asked_only = parties.is_only_asked(service, case, work.caller)
    listed = files.listed(session, service, case, for_party=asked_only)
    return {
        **summary(service, case),
        "definition": {"code": service.code, "version": service.version, "sha256": service.fingerprint},
        "centre": case.centre,
        "applicant": None if asked_only else dict(work.applicant) or None,
        "form": case.form if asked_only else work.whole_form,
        "erased_at": maybe(case.erased_at),
        "intact": journal.intact(work.office.vault, case, _telling(session, case, entries)),
        "licence": around.licence,
        "parent": around.parent,
        "quote": None if asked_only else _quote(session, definitions, case),
        "invoice": None if asked_only else _invoice(session, case),
        "checks": _checks(service, case),
        "documents": checklist.told(work, listed),
        "comments": around.comments,
        "actions": [choice.shown(action) for action in choice.open_to(work)],
        "journal": [_entry(entry, asked_only) for entry in entries],
    }


def moment(at: datetime) -> str:
    """A moment as it travels: RFC 3339, UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def maybe(at: datetime | None) -> str | None:
    """A moment as it travels, or nothing."""
    return moment(at) if at is not None else None


def cursor(last: int, kind: str = "case") -> str:
    """An opaque place in a list.

    Args:
        last: id of the last row shown.
        kind: of the list.
    """
    return base64.urlsafe_b64encode(f"{kind}:{last}".encode()).decode().rstrip("=")


def read_cursor(given: str, kind: str = "case") -> int:
    """The place that a cursor names.

    Raises:
        Malformed: it is none of ours, or of another list.
    """
    try:
        plain = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4)).decode("ascii")
    except (ValueError, binascii.Error):
        plain = ""
    of, _, last = plain.partition(":")
    if of != kind or not (last.isdigit() and len(last) <= 18):
        raise Malformed(
            "This is no place in the list.",
            remedy="Use the `next` of the page before.",
            message_ar="هذا ليس موضعًا في القائمة.",
        )
    return int(last)


def _quote(session: Session, definitions: Definitions, case: Case) -> dict[str, Any] | None:
    quote = invoices.newest_quote(session, case)
    return quote_of(session, definitions, case, quote) if quote is not None else None


def quote_of(session: Session, definitions: Definitions, case: Case, quote: invoices.Quote) -> dict[str, Any]:
    """A quote, with the version of the definition it was reckoned by."""
    service = definitions.by_fingerprint(session, quote.definition)
    return invoices.quote_view(case.number, service.code, service.version, quote)


def _invoice(session: Session, case: Case) -> dict[str, Any] | None:
    invoice = invoices.newest_invoice(session, case)
    return invoices.invoice_view(case.number, invoice) if invoice is not None else None


def _checks(service: Service, case: Case) -> list[dict[str, Any]]:
    asked = service.flow_of(case.procedure).states[case.state].checks
    names = [name for name in service.checks if name in asked or name in case.checks]
    return [
        {
            "name": name,
            "title": service.checks[name].title.model_dump(),
            "answer": case.checks.get(name),
            "until": moment(periods.until(case, name)) if name in case.periods else None,
            "deemed": periods.deemed(case, name),
        }
        for name in names
    ]


def _telling(session: Session, case: Case, entries: list[audit.Entry]) -> list[audit.Entry]:
    # What was last applied for may stand before the entries that are shown.
    if len(entries) < _JOURNAL:
        return entries
    of_form = audit.Entry.details.has_key("application")
    last = select(audit.Entry).where(audit.Entry.chain == case.context, of_form)
    return list(session.scalars(last.order_by(audit.Entry.position.desc()).limit(1)))


def _entry(entry: audit.Entry, asked_only: bool) -> Mapping[str, Any]:
    kept = _OF_PARTIES if asked_only else entry.details.keys() - _STEP
    return {
        "at": moment(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        **{name: entry.details.get(name) for name in _STEP},
        "details": {name: value for name, value in entry.details.items() if name in kept},
    }
