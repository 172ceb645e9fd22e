"""What the model knows: cases, licences, bills, payments and delegations."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.integrations.machine.forms import exact
from tests.integrations.machine.terms import Action, Facts, Terms, holds, taker

Who = tuple[str, str]
NOTHING = Decimal("0.00")
_ENDED = ("revoked", "closed", "void")
_SHARED = {"suspended": "suspended", "revoked": "revoked", "closed": "revoked", "void": "revoked"}


class Refused(Exception):
    """The model says that this is refused.

    Args:
        kinds: names of the errors that may say so.
    """

    def __init__(self, *kinds: str) -> None:
        super().__init__(*kinds)
        self.kinds = frozenset(kinds)


@dataclass
class Licence:
    """A licence.

    Args:
        own: what it came to by itself and since when, the present standing last.
        valid_to: as it was seen: the model knows no calendar.
    """

    number: str
    service: str
    holder: Who
    form: dict[str, Any]
    parent: str | None
    own: list[tuple[str, datetime]]
    issued_at: datetime
    valid_to: date
    excused: bool = False
    version: int = 1


@dataclass
class Bill:
    """A bill, and how much of it is paid."""

    number: str
    case: str
    amount: Decimal
    due: date
    state: str = "open"
    credited: Decimal = NOTHING


@dataclass
class Payment:
    """A payment of which the bank told us, and where its money is."""

    reference: str
    amount: Decimal
    day: date
    bill: str | None
    credited: Decimal = NOTHING
    owed: Decimal = NOTHING
    waiting: Decimal = NOTHING


@dataclass
class Delegation:
    """One person lets another act."""

    id: int
    principal: Who
    agent: Who
    capacity: str
    services: list[str]
    procedures: list[str]
    first: date
    last: date | None
    ended_at: datetime | None = None

    def covers(self, service: str, procedure: str, asked: datetime, capacities: Collection[str]) -> bool:
        """Whether it lets the agent do this at a moment."""
        day = day_of(asked)
        return (
            (self.ended_at is None or asked < self.ended_at)
            and self.capacity in capacities
            and (not self.services or service in self.services)
            and (not self.procedures or procedure in self.procedures)
            and self.first <= day
            and (self.last is None or day <= self.last)
        )


@dataclass
class Period:
    """How long a party has.

    Args:
        most: how often it may get more.
        extended: how often it got more.
        until: as it was seen: the model knows no working days; None until it is seen.
        deemed: its silence has answered.
    """

    most: int
    extended: int = 0
    until: datetime | None = None
    deemed: bool = False


@dataclass
class Case:
    """A case.

    Args:
        centre: who opened it.
        changed_at: no later action is earlier, whatever the clock says.
        timer_at, due: as they were seen: the model knows no working days.
        entered_at: since when its state's deadline runs.
        asked: the checks that wait for a back-end's answer, and those that no answer was got for.
        place: the part of the town it belongs to; what is corrected on its licence later does not move it.
        given: what parties answered, or their silence: each an action and its answers by the check.
        periods: of the parties that the state asks, by the check.
    """

    number: str
    terms: Terms
    procedure: str
    centre: str
    holder: Who
    kind: str
    capacity: str
    form: dict[str, Any]
    licence: str | None
    parent: str | None
    submitted_at: datetime
    changed_at: datetime
    entered_at: datetime
    state: str = ""
    version: int = 0
    done: frozenset[str] = frozenset()
    checks: dict[str, str] = field(default_factory=dict)
    free: bool = False
    escalated: bool = False
    bill: str | None = None
    timer_at: datetime | None = None
    due: datetime | None = None
    periods: dict[str, Period] = field(default_factory=dict)
    place: str | None = None
    asked: set[str] = field(default_factory=set)
    given: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    documents: set[str] = field(default_factory=set)
    fulfilled: bool = False

    @property
    def awaited(self) -> list[str]:
        """The parties that have not answered, and whose silence will."""
        return [name for name in self.periods if name not in self.checks]

    def extendable(self, action: Action, at: datetime) -> list[str]:
        """The parties that an action would give more time at a moment."""
        found = []
        for name in set(action.get("extends") or ()) & set(self.awaited):
            period = self.periods[name]
            if period.extended < period.most and (period.until is None or at < period.until):
                found.append(name)
        return found

    @property
    def final(self) -> bool:
        """Whether it came to its end."""
        return bool(self.terms.state(self.procedure, self.state)["final"])

    @property
    def outcome(self) -> str:
        """What fulfilling it does."""
        return str(self.terms.procedures[self.procedure]["outcome"])


@dataclass
class World:
    """All that the model knows."""

    cases: dict[str, Case] = field(default_factory=dict)
    licences: dict[str, Licence] = field(default_factory=dict)
    bills: dict[str, Bill] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    delegations: list[Delegation] = field(default_factory=list)

    def acts_for(self, case: Case, holder: Who) -> bool:
        """Whether a case was opened by a holder, or by whom he had let act by then."""
        capacities = case.terms.procedures[case.procedure]["capacities"]
        return case.holder == holder or any(
            (each.principal, each.agent) == (holder, case.holder)
            and each.covers(case.terms.code, case.procedure, case.submitted_at, capacities)
            for each in self.delegations
        )

    def status(self, licence: Licence) -> tuple[str, datetime, bool]:
        """How a licence stands, since when, and whether only with what it hangs on."""
        own, since = licence.own[-1]
        if licence.parent is None or own in _ENDED:
            return own, since, False
        above, fell, _ = self.status(self.licences[licence.parent])
        shared = _SHARED.get(above)
        return (own, since, False) if shared in (None, own) else (str(shared), fell, True)

    def status_on(self, licence: Licence, day: date) -> str:
        """How a licence stands on a day."""
        status = self.status(licence)[0]
        return "expired" if status == "valid" and day > licence.valid_to else status

    def facts(self, case: Case, at: datetime) -> Facts:
        """What conditions of a case are judged on."""
        fields: dict[str, Any] = {
            "procedure": case.procedure,
            "quote.free": case.free,
            "applicant.kind": case.kind,
            "applicant.capacity": case.capacity,
        }
        if case.licence is not None:
            licence = self.licences[case.licence]
            late = (day_of(case.submitted_at) - licence.valid_to).days
            fields |= {n: said for n, said in licence.form.items() if not case.terms.personal(n)}
            fields |= {
                "licence.status": self.status_on(licence, day_of(at)),
                "licence.days_late": max(0, late),
                "licence.excused": licence.excused,
            }
        fields |= case.form
        fields |= case.terms.activity(fields)
        return Facts(exact(fields), case.done, case.checks)

    def possible(self, case: Case, actions: list[Action], at: datetime) -> list[Action]:
        """Those of some actions that the case allows, whoever takes them."""
        facts = self.facts(case, at)
        return [
            a
            for a in actions
            if case.state in a["from"]
            and holds(a.get("when"), facts)
            and ("extends" not in a or case.extendable(a, at))
        ]

    def is_barred(
        self,
        terms: Terms,
        procedure: str,
        own: str | None,
        holder: Who,
        form: Mapping[str, Any],
        at: datetime,
    ) -> bool:
        """Whether another licence stands against a procedure.

        Args:
            own: the licence that it is about.
            form: with what the licence says, where the procedure does not ask it.
        """
        bars = [terms.content["bars"][name] for name in terms.procedures[procedure].get("bars") or ()]
        return any(
            self.status_on(each, day_of(at)) in bar["statuses"]
            and (
                each.holder == holder
                if bar["same"] == "applicant"
                else bar["same"] in form and each.form.get(bar["same"]) == form[bar["same"]]
            )
            for bar in bars
            for each in self.licences.values()
            if each.service == terms.code and each.number != own
        )

    def bars(self, case: Case, at: datetime) -> bool:
        """Whether another licence stands against a case."""
        above = self.licences[case.licence].form if case.licence else {}
        form = {**above, **personal_free(case.terms, case.form)}
        return self.is_barred(case.terms, case.procedure, case.licence, case.holder, form, at)

    def agreements(self, terms: Terms, holder: Who) -> list[str]:
        """Cases of somebody in which something of a service was agreed."""
        return [
            number
            for number, case in self.cases.items()
            if (case.terms.code, case.holder, case.outcome) == (terms.code, holder, "agree")
            and case.fulfilled
        ]

    def rests_on_nothing(self, terms: Terms, procedure: str, holder: Who, form: Mapping[str, Any]) -> bool:
        """Whether a form names an agreement that is none of the holder's."""
        name = terms.procedures[procedure].get("agreed")
        return name is not None and form.get(name) not in self.agreements(terms, holder)

    def place_of(self, case: Case) -> str | None:
        """The part of the town that a case belongs to, as its form and its licence have it now."""
        name = case.terms.content.get("place")
        if name is None:
            return None
        own = self.licences[case.licence].form.get(name) if case.licence else None
        found = case.form.get(name) or own
        return None if found is None else str(found)

    def desk(self, case: Case) -> set[str]:
        """The roles that a case waits for."""
        roles = {r for action in case.terms.leaving(case.procedure, case.state) for r in action["roles"]}
        escalate = case.terms.state(case.procedure, case.state).get("deadline", {}).get("escalate")
        return roles | ({escalate} if case.escalated and escalate else set())

    def wanted(self, case: Case) -> list[str]:
        """Documents that a whole checklist of a case has."""
        facts = self.facts(case, case.changed_at)
        return [
            each["code"]
            for each in case.terms.documents(case.procedure)
            if each["required"] and holds(each.get("when"), facts)
        ]

    def missing(self, case: Case) -> list[str]:
        """Documents that a case needs and has not."""
        return [code for code in self.wanted(case) if code not in case.documents]

    def moved_by(self, case: Case) -> bool:
        """Whether somebody or something can still move a case."""
        leaving = case.terms.leaving(case.procedure, case.state)
        able = self.possible(case, [action for action in leaving if taker(action) == "role"], case.changed_at)
        waiting = set(case.terms.state(case.procedure, case.state)["checks"]) & case.asked
        return bool(able) or case.timer_at is not None or bool(waiting)


def day_of(at: datetime) -> date:
    """The day of a moment in Riyadh, three hours before UTC all year."""
    return (at + timedelta(hours=3)).date()


def personal_free(terms: Terms, form: Mapping[str, Any]) -> dict[str, Any]:
    """A form without what says something of a person."""
    return {name: value for name, value in form.items() if not terms.personal(name)}
