"""Paths of a definition from the first step to an end, gone through the real desks.

A path is written as its journal has it: the names of all steps, also of those that follow by themselves. So a
table of paths can be held against the definition: every step of every flow is on one of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import typst

from foundation.identity import Caller
from integrations.flow import Action, Flow
from integrations.service import Service
from tests.integrations.desk import APPLICANT, CENTRE, OTHER_APPLICANT, PNG, Desk, message, new_key

Path = tuple[str, str]
"""A procedure, and its steps with a space between."""
Edge = tuple[str, str, str]
"""A flow, a step of it, and the state that the step starts from ("" opens)."""

AGENT = {name: OTHER_APPLICANT[name] for name in ("kind", "identifier", "name")}
COMMENT = "المستند غير واضح."
DRAWING = bytes(typst.compile(b"= Drawing"))
PROPOSER = Caller("proposer", "person", frozenset({"inspector", "reviewer"}))


def caller_of(roles: Iterable[str]) -> Caller:
    """Somebody of the first of some roles; always the same person."""
    role = next(iter(roles))
    return CENTRE if role == "centre" else Caller(f"a-{role}", "person", frozenset({role}))


def edges(service: Service) -> set[Edge]:
    """Every step of a service's flows, from every state that it starts from."""
    return {
        (name, action.name, start)
        for name, flow in service.flows.items()
        for action in flow.actions
        for start in action.from_ or ("",)
    }


def edges_of(service: Service, path: Path) -> set[Edge]:
    """The steps of a path, each with the state that it starts from."""
    procedure, steps = path
    name, flow = service.procedures[procedure].flow, service.flow_of(procedure)
    state, taken = "", set()
    for step in steps.split():
        taken.add((name, step, state))
        state = _action(flow, step, state).to
    return taken


def untaken(service: Service, paths: Iterable[Path]) -> set[Edge]:
    """The steps of a service's flows that are on none of some paths."""
    return edges(service).difference(*(edges_of(service, path) for path in paths))


def unpaid(procedure: str, steps: str) -> list[Path]:
    """The paths of a case that is given up or left at each point on its way to being paid.

    Args:
        steps: up to where it can be quoted.
    """
    ends = (
        "withdraw",
        "lapse",
        "quote withdraw",
        "quote lapse",
        "quote invoice withdraw_billed",
        "quote invoice void_bill",
    )
    return [(procedure, f"{steps} {end}") for end in ends]


def end_of(service: Service, path: Path) -> str:
    """The state that a path ends in."""
    flow, state = service.flow_of(path[0]), ""
    for step in path[1].split():
        state = _action(flow, step, state).to
    return state


def _action(flow: Flow, name: str, state: str) -> Action:
    return next(
        a for a in flow.actions if a.name == name and (state in a.from_ or (not state and not a.from_))
    )


@dataclass
class Walker:
    """Goes paths of one service.

    Args:
        forms: what each procedure is asked with; one that is not named is asked with nothing.
        edits: what is sent with a step, by its name.
        applicant: who applies, with his capacity.
    """

    desk: Desk
    service: Service
    forms: Mapping[str, Mapping[str, Any]]
    edits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    applicant: Mapping[str, Any] = field(default_factory=lambda: APPLICANT)

    def ask(self, procedure: str, licence: str | None = None, form: Mapping[str, Any] | None = None) -> str:
        """Open a case; its number."""
        asked = self.service.procedures[procedure]
        said = dict(self.forms.get(procedure, {}) if form is None else form)
        on = {} if licence is None else {"licence": licence}
        office = asked.initiator == "office"
        applicant = None if office else self.applicant
        sent = message(said, self.service.code, applicant, procedure=procedure, **on)
        return str(self.desk.do.submit(PROPOSER if office else CENTRE, sent).body["number"])

    def go(self, number: str, steps: Sequence[str]) -> None:
        """Take steps of a case; those that follow by themselves are only read."""
        for step in steps:
            case = self.desk.case(number)
            action = _action(self.service.flow_of(case["procedure"]), step, case["state"])
            if action.taker == "timed":
                self.pass_deadline(number)
            elif action.effect == "quote":
                self.desk.do.quote(CENTRE, number)
            elif action.effect == "invoice":
                self.desk.do.invoice(CENTRE, number)
            elif action.effect == "settle":
                bill = case["invoice"]
                self.desk.pay(bill["bill_number"], bill["amount"], new_key())
            else:
                self._take(number, action)

    def _take(self, number: str, action: Action) -> None:
        if action.complete:
            self.hand_in(number)
        comment = next(iter(action.reasons or (COMMENT,))) if action.comment == "required" else None
        self.desk.do.take(
            caller_of(action.roles), number, action.name, comment=comment, form=self.edits.get(action.name)
        )

    def hand_in(self, number: str) -> None:
        """Hand in every document that a case needs and lacks, each as it is taken."""
        types = {each.code: each.types for each in self.service.documents}
        for asked in self.desk.case(number)["documents"]:
            if asked["needed"] and not asked["present"]:
                picture = "image/png" in types[asked["code"]]
                self.desk.do.put(CENTRE, number, asked["code"], PNG if picture else DRAWING)

    def pass_deadline(self, number: str) -> None:
        """Let the clock reach the end of a case's deadline."""
        due = self.desk.case(number)["due"]
        self.desk.now.append(datetime.fromisoformat(due))
        self.desk.licensing.cases.time_passed()

    def escalated(self, number: str) -> str:
        """Let a deadline of the office pass; the role that the case is shown to, where it stands."""
        state = self.desk.state(number)
        self.pass_deadline(number)
        case = self.desk.case(number)
        last = case["journal"][-1]
        assert (case["state"], last["action"]) == (state, "escalated")
        return str(last["details"]["role"])

    def follow(self, path: Path, licence: str | None = None) -> dict[str, Any]:
        """Go a path to its end; the case, which went it and no other."""
        procedure, words = path
        flow, steps = self.service.flow_of(procedure), words.split()
        by_itself = {action.name for action in flow.actions if action.automatic}
        number = self.ask(procedure, licence)
        self.go(number, [step for step in steps[1:] if step not in by_itself])
        case = self.desk.case(number)
        names = {action.name for action in flow.actions}
        assert [entry["action"] for entry in case["journal"] if entry["action"] in names] == steps
        assert case["state"] == end_of(self.service, path)
        assert flow.states[case["state"]].final
        return case

    def issued(self, path: Path, form: Mapping[str, Any] | None = None) -> str:
        """Go the path that issues; the number of the licence."""
        walker = (
            self
            if form is None
            else Walker(self.desk, self.service, {path[0]: form}, self.edits, self.applicant)
        )
        return str(walker.follow(path)["licence"])

    def licence(self, number: str) -> dict[str, Any]:
        """A licence as it stands."""
        return dict(self.desk.licensing.licences.licence(number))

    def on(self, day: date) -> None:
        """Let it be ten in the morning of a day, in Riyadh."""
        self.desk.now.append(datetime.combine(day, time(7), UTC))

    def delegate(self, capacity: str = "agent") -> None:
        """Let the owner authorise the other person."""
        said = {
            "principal": {name: APPLICANT[name] for name in AGENT},
            "agent": AGENT,
            "capacity": capacity,
            # The longest that there is.
            "valid_until": (self.desk.now[-1] + timedelta(days=5 * 365)).date().isoformat(),
        }
        self.desk.licensing.people.delegate(CENTRE, said, new_key())


def for_owner(capacity: str = "agent") -> dict[str, Any]:
    """The owner, for whom the other person acts."""
    return {**APPLICANT, "capacity": capacity, "actor": AGENT}
