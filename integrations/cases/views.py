"""What the faces show of cases and licences, as JSON: one shape, whatever the face."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from foundation import audit
from foundation.errors import Malformed
from integrations.cases import invoices, journal
from integrations.cases.case import Case, Invoice, Payment, Quote
from integrations.cases.money import amount_text
from integrations.licences.licence import Licence, number_of
from integrations.service import Service

# More than any case takes; a journal is shown whole.
_JOURNAL = 1_000
_STEP = ("from", "to", "version")


def summary(service: Service, case: Case) -> dict[str, Any]:
    """A case in a list, and as the answer to an action."""
    return {
        "number": case.number,
        "service": case.service,
        "state": case.state,
        "state_title": service.states[case.state].title.model_dump(),
        "version": case.version,
        "submitted_at": moment(case.submitted_at),
        "changed_at": moment(case.changed_at),
    }


def full(session: Session, service: Service, case: Case) -> dict[str, Any]:
    """A case with all that its centre may see."""
    found_quote = invoices.newest_quote(session, case)
    found_invoice = invoices.newest_invoice(session, case)
    entries = audit.entries(session, journal.chain_of(case), _JOURNAL)
    sealed = entries[0].details.get("application") if entries else None
    return {
        **summary(service, case),
        "definition": {"code": service.code, "version": service.version, "sha256": service.fingerprint},
        "applicant": case.applicant,
        "form": case.form,
        "intact": sealed == journal.digest(case),
        "quote": quote(service, case, found_quote) if found_quote else None,
        "invoice": {**invoice(case, found_invoice), "state": found_invoice.state} if found_invoice else None,
        "licence": number_of(session, case.id),
        "journal": [
            {
                "at": moment(entry.at),
                "actor": entry.actor,
                "action": entry.action,
                **{name: entry.details.get(name) for name in _STEP},
                "details": {name: value for name, value in entry.details.items() if name not in _STEP},
            }
            for entry in entries
        ],
    }


def quote(service: Service, case: Case, made: Quote) -> dict[str, Any]:
    """A quote with its lines."""
    return {
        "case": case.number,
        "lines": made.lines,
        "total": amount_text(made.total),
        "currency": "SAR",
        "day": made.day.isoformat(),
        "fee_class": made.fee_class,
        "definition": {"code": service.code, "version": service.version, "sha256": made.definition},
    }


def invoice(case: Case, bill: Invoice) -> dict[str, Any]:
    """A bill."""
    return {
        "case": case.number,
        "bill_number": bill.bill_number,
        "amount": amount_text(bill.amount),
        "currency": "SAR",
        "due": bill.due.isoformat(),
    }


def payment(kept: Payment, case: str | None) -> dict[str, Any]:
    """What became of a payment; `settled` says whether it settled its bill."""
    return {
        "bill_number": kept.bill_number,
        "reference": kept.reference,
        "amount": amount_text(kept.amount),
        "settled": kept.outcome == invoices.Outcome.SETTLED,
        "outcome": str(kept.outcome),
        "case": case,
    }


def licence(found: Licence, status: str) -> dict[str, Any]:
    """The public part of a licence's paper: nothing of a person."""
    return {
        "number": found.number,
        "service": found.service,
        "status": status,
        "title": found.title,
        "municipality": _name(found),
        "valid_from": found.valid_from.isoformat(),
        "valid_to": found.valid_to.isoformat(),
        "lines": found.lines,
        "credential": found.credential,
    }


def verification(found: Licence, status: str) -> dict[str, Any]:
    """What anyone may ask of a licence."""
    return {
        "number": found.number,
        "status": status,
        "title": found.title,
        "municipality": _name(found),
        "valid_to": found.valid_to.isoformat(),
    }


def moment(at: datetime) -> str:
    """A moment as it travels: RFC 3339, UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def cursor(last: int) -> str:
    """An opaque place in a list."""
    return base64.urlsafe_b64encode(f"case:{last}".encode()).decode().rstrip("=")


def read_cursor(text: str) -> int:
    """The place that a cursor names.

    Raises:
        Malformed: it is none of ours.
    """
    try:
        kind, _, last = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii").partition(":")
    except (ValueError, binascii.Error):
        kind = last = ""
    if kind != "case" or not (last.isdigit() and len(last) <= 18):
        raise Malformed("This is no place in the list.", remedy="Use the `next` of the page before.")
    return int(last)


def _name(found: Licence) -> dict[str, str]:
    return {"ar": found.municipality["ar"], "en": found.municipality["en"]}
