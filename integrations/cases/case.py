"""A case: one application on its way through a procedure's flow, and the unit of work that moves it.

Table `case_file` (see `integrations.cases.case_store`). What says something of a person lies encrypted in
`personal`; everything else a case is judged on lies in `form`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Numeric
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Session

from foundation.calendar import today
from foundation.chain import JSON
from foundation.identity import Caller
from foundation.jobs import NewJob
from integrations.flow import Flow
from integrations.municipality import Office
from integrations.procedure import Procedure
from integrations.service import Service

if TYPE_CHECKING:
    from integrations.cases.invoices import Invoice, Payment
    from integrations.licences.licence import Licence

MONEY = Numeric(14, 2)
MOMENT = TIMESTAMP(timezone=True)


@dataclass
class Case:
    """One application.

    Args:
        definition: fingerprint of the definition it runs under, whatever the file says later.
        version: counts the actions taken; a writer who saw an older one is refused.
        centre: who opened it, as the audit trail names it.
        licence_id: the licence it acts on, or that it made.
        parent_id: the licence that the one it makes will hang on.
        subject: blind index of the applicant.
        personal: sealed applicant and personal fields; None once erased.
        form: the fields that say nothing of a person.
        done: names of the actions taken.
        checks: what back-ends and parties answered, by check.
        periods: of the parties that its state asks, by check; see `integrations.cases.periods`.
        quote_free: the newest quote comes to nothing.
        desk: roles that can act in its state, joined by "+"; None when it is closed.
        due: when the deadline of its state passes.
        timer_at: when the clock next acts on it.
        entered_at: when it came into its state.
        promised_for: what the applicant was told.
        closed_at: when it reached a final state.
        clerk: who opened it for a centre with a contract; see `integrations.centres.rules`.
    """

    id: int
    number: str
    service: str
    procedure: str
    definition: str
    state: str
    version: int
    centre: str
    licence_id: int | None
    parent_id: int | None
    subject: bytes
    personal: bytes | None
    form: dict[str, Any]
    done: list[str]
    checks: dict[str, str]
    periods: dict[str, dict[str, Any]]
    quote_free: bool
    desk: str | None
    place: str | None
    assignee: str | None
    due: datetime | None
    timer_at: datetime | None
    escalated: bool
    entered_at: datetime
    promised_for: datetime | None
    submitted_at: datetime
    changed_at: datetime
    closed_at: datetime | None
    erased_at: datetime | None
    clerk: str | None = None

    @property
    def context(self) -> str:
        """Name of its chain, subject of its events, and what its personal data is sealed to."""
        return f"case/{self.number}"


@dataclass
class Work:
    """What an effect works with: one case, locked, in one transaction, and what is yet to be written.

    Effects change `case` in place; the engine saves it once, with all entries, events and jobs, at the end.

    Args:
        at: the moment of the action, aware; never before the case's last change.
        applicant: kind, identifier, name, mobile, capacity and, where another acts for him, `actor_kind`,
            `actor_identifier`, `actor_name`; empty once erased.
        private: the personal fields of the form; empty once erased.
        licence: the licence it acts on or has just made, locked; None for a case that has none yet.
        parent: the licence that the new one will hang on, locked.
        paid: the payment that caused the action and its bill, where one did.
        comment: what the caller says of it.
    """

    session: Session
    case: Case
    service: Service
    office: Office
    caller: Caller
    at: datetime
    applicant: Mapping[str, str]
    private: Mapping[str, Any]
    licence: "Licence | None" = None
    parent: "Licence | None" = None
    paid: "tuple[Payment, Invoice] | None" = None
    comment: str | None = None
    entries: list[tuple[str, str, Mapping[str, JSON]]] = field(default_factory=list)
    events: list[tuple[str, str, Mapping[str, Any]]] = field(default_factory=list)
    jobs: list[NewJob] = field(default_factory=list)

    @property
    def procedure(self) -> Procedure:
        """What is being asked."""
        return self.service.procedures[self.case.procedure]

    @property
    def flow(self) -> Flow:
        """The flow it follows."""
        return self.service.flows[self.procedure.flow]

    @property
    def day(self) -> date:
        """The date of the action, in the kingdom's legal time."""
        return today(now=self.at)

    @property
    def whole_form(self) -> dict[str, Any]:
        """The form with its personal fields."""
        return {**self.case.form, **self.private}

    def publish(self, kind: str, subject: str, payload: Mapping[str, Any]) -> None:
        """Let an event be written with this work."""
        self.events.append((kind, subject, payload))

    def enqueue(self, name: str, payload: Mapping[str, Any], at: datetime | None = None) -> None:
        """Let a job be enqueued with this work."""
        self.jobs.append(NewJob(name, payload, at=at))
