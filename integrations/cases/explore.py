"""Walks every way a case can take, procedure by procedure, before any case does.

What a case can do next depends on its state, on what conditions compare (a world, see
`integrations.cases.worlds`), on the actions it has been through, on what back-ends and parties answered, and
on how far its bill is. These together are a situation, and all that can be reached are visited: a person may
take any action, a back-end may answer either way and at any time, a party may let its period pass, a deadline
may pass, an edit may turn one world into another, and while a case rests the licence it is about may change
without it.

Found: states and actions that nothing leads to, situations that nothing leaves or that no end can be reached
from, automatic actions that compete or never come to rest, and effects out of order: above all a licence that
could be given before its bill is settled.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from integrations.cases.conditions import CheckAnswer, Condition, Facts
from integrations.cases.worlds import (
    TooMany,
    World,
    bill_conditions,
    may_become,
    may_cost_nothing,
    opens_in,
    told,
    worlds_of,
)

if TYPE_CHECKING:
    from integrations.flow import Action, Flow
    from integrations.service import Service

Place = tuple[str | int, ...]
Fault = tuple[Place, str]

MOST_WORLDS = 4_096
MOST_STEPS = 200_000
_TOO_MANY = "its conditions, checks and edits make more combinations than can be walked; compare fewer fields"


@dataclass(frozen=True)
class Situation:
    """Where a case can stand.

    Args:
        world: number of its world.
        done: actions it has been through, of those that conditions ask for.
        answers: checks with their answers, of those that conditions ask for.
        pending: checks that the state asks, that are not answered, and that answer by themselves: those of
            back-ends, and those of parties whose period runs.
        bill: how far the money is: "none", "quoted", "billed", "settled".
        free: the newest quote came to nothing.
        fulfilled: the outcome was brought about.
        asleep: the licence changed while the case rested; what it lets follow by itself waits for a step.
    """

    state: str
    world: int
    done: frozenset[str] = frozenset()
    answers: frozenset[tuple[str, str]] = frozenset()
    pending: frozenset[str] = frozenset()
    bill: str = "none"
    free: bool = False
    fulfilled: bool = False
    asleep: bool = False


def dead_ends(service: "Service") -> Iterator[Fault]:
    """Every fault of the flows, as the procedures follow them.

    Args:
        service: whose names hold together.

    Returns:
        The place in the definition and the reason, each place once.
    """
    faults: dict[Place, str] = {}
    states: set[tuple[str, str]] = set()
    taken: set[tuple[str, int]] = set()
    for name, procedure in service.procedures.items():
        walk = Walk(service, name)
        walk.run()
        for place, reason in walk.faults.items():
            faults.setdefault(place, reason)
        states |= {(procedure.flow, state) for state in walk.states}
        taken |= {(procedure.flow, index) for index in walk.taken}
    if any(reason.endswith(_TOO_MANY) for reason in faults.values()):
        # What was not walked to its end cannot be said to be out of reach.
        yield from faults.items()
        return
    for flow_name, flow in service.flows.items():
        for state in flow.states:
            if (flow_name, state) not in states:
                faults.setdefault(
                    ("flows", flow_name, "states", state), f"no way leads to the state {state!r}"
                )
        for index, action in enumerate(flow.actions):
            if (flow_name, index) not in taken:
                faults.setdefault(
                    ("flows", flow_name, "actions", index), f"the action {action.name!r} can never be taken"
                )
    yield from faults.items()


class Walk:
    """One procedure's walk through its flow.

    Args:
        service: whose names hold together.
        procedure: its name.

    After `run` there are `states` and `taken` (what was reached, actions by index) and `faults`.
    """

    def __init__(self, service: "Service", procedure: str) -> None:
        self._service = service
        self._name = procedure
        self._procedure = service.procedures[procedure]
        self._flow: Flow = service.flows[self._procedure.flow]
        conditions = [action.when for action in self._flow.actions if action.when is not None]
        self._conditions: list[Condition] = conditions
        self._remembered = frozenset(name for each in conditions for name in each.actions())
        self._asked = frozenset(name for each in conditions for name in each.asked_checks())
        # What comes by itself: either answer of a back-end, of a party what its silence says.
        self._comes: dict[str, tuple[CheckAnswer, ...]] = {
            name: ("passed", "failed") if each.silence is None else (each.silence,)
            for name, each in service.checks.items()
            if each.backend is not None or each.silence is not None
        }
        self._costs_nothing = may_cost_nothing(service, procedure)
        self._worlds: list[World] = []
        self._edges: dict[Situation, list[Situation]] = {}
        self._resting: set[Situation] = set()
        self.states: set[str] = set()
        self.taken: set[int] = set()
        self.faults: dict[Place, str] = {}

    def run(self) -> None:
        """Visit every situation."""
        billed = [*self._conditions, *bill_conditions(self._service, self._name)]
        try:
            self._worlds = worlds_of(self._service, self._name, billed, MOST_WORLDS)
            self._visit_all()
        except TooMany:
            self._fault(("procedures", self._name), _TOO_MANY)
            return
        self._check_rest()
        self._check_ends()

    def _visit_all(self) -> None:
        opening = next(index for index, action in enumerate(self._flow.actions) if not action.from_)
        waiting = [
            there
            for world, facts in enumerate(self._worlds)
            if opens_in(self._procedure, facts)
            for there in self._after(Situation("", world), opening)
        ]
        seen, steps = set(waiting), 0
        while waiting:
            here = waiting.pop()
            self._edges[here] = list(self._nexts(here))
            steps += len(self._edges[here])
            if steps > MOST_STEPS:
                raise TooMany(steps)
            # What others do to the licence is no way out of a state: nobody need do it.
            for there in (*self._edges[here], *self._changed(here)):
                if there not in seen:
                    seen.add(there)
                    waiting.append(there)

    def _nexts(self, here: Situation) -> Iterator[Situation]:
        self.states.add(here.state)
        state = self._flow.states[here.state]
        place: Place = ("flows", self._procedure.flow, "states", here.state)
        leaving = [index for index, action in enumerate(self._flow.actions) if here.state in action.from_]
        if state.final:
            if leaving:
                self._fault(place, f"the state {here.state!r} is final and yet an action leaves it")
            return
        able = [index for index in leaving if self._is_able(here, self._flow.actions[index])]
        automatic = [index for index in able if self._flow.actions[index].automatic]
        if here.asleep:
            able, automatic = [index for index in able if index not in automatic], []
        if len(automatic) > 1:
            names = " and ".join(repr(self._flow.actions[index].name) for index in automatic)
            self._fault(
                self._action(automatic[1]), f"{names} are both automatic and both can apply{self._told(here)}"
            )
        if automatic:
            # Taken at once: no person, answer or clock ever finds the case where it started.
            self._resting.add(here)
            yield from self._after(here, automatic[0])
            return
        if not able and not here.pending:
            self._fault(place, f"dead end: nothing leaves the state {here.state!r}{self._told(here)}")
        for index in able:
            yield from self._after(here, index)
        for check in sorted(here.pending):
            for answer in self._comes[check]:
                known = frozenset(each for each in here.answers if each[0] != check) | {(check, answer)}
                yield replace(here, answers=known, pending=here.pending - {check}, asleep=False)

    def _changed(self, here: Situation) -> Iterator[Situation]:
        if here in self._resting or self._flow.states[here.state].final:
            return
        now = self._worlds[here.world]
        for number, world in enumerate(self._worlds):
            if world is not now and may_become(now, world):
                yield replace(here, world=number, asleep=True)

    def _is_able(self, here: Situation, action: "Action") -> bool:
        if action.timed:
            deadline = self._flow.states[here.state].deadline
            if deadline is None or deadline.then != action.name:
                return False
            # By the end of the last period everybody has answered.
            if deadline.periods is not None and here.pending:
                return False
        if action.when is None:
            return True
        fields = {**self._worlds[here.world], "quote.free": here.free}
        return action.when.holds(Facts(fields, here.done, dict(here.answers)))

    def _after(self, here: Situation, index: int) -> Iterator[Situation]:
        action = self._flow.actions[index]
        self.taken.add(index)
        done = here.done | ({action.name} & self._remembered)
        for world, edited in self._edited(here, index):
            # A quote is of the form as it stood; once it is changed there is none.
            bill = "none" if edited and here.bill == "quoted" else here.bill
            free = here.free and not edited
            there = replace(here, world=world, bill=bill, free=free, done=done, asleep=False)
            for paid in self._bill(there, index):
                yield self._answered(self._entered(paid, action, edited), action)

    def _entered(self, here: Situation, action: "Action", edited: bool) -> Situation:
        # In the state that it stands in already nothing is asked again, unless the form was changed.
        if here.state == action.to and not edited:
            return here
        asked = self._asked & frozenset(self._flow.states[action.to].checks)
        known = frozenset(each for each in here.answers if each[0] not in asked)
        # What an earlier state asked and this one does not is an answer that nobody waits for any more.
        return replace(here, state=action.to, answers=known, pending=asked.intersection(self._comes))

    def _answered(self, here: Situation, action: "Action") -> Situation:
        # Taken by itself it answers for those alone who have not.
        answers = {name: said for name, said in (action.answers or {}).items() if name in self._asked}
        if not answers:
            return here
        known = dict(here.answers)
        both = {**known, **answers} if action.taker == "role" else {**answers, **known}
        return replace(here, answers=frozenset(both.items()), pending=here.pending.difference(answers))

    def _edited(self, here: Situation, index: int) -> list[tuple[int, bool]]:
        # The worlds it may lead to, with whether the form was changed: who may change it need not.
        action = self._flow.actions[index]
        names = set(self._service.form_of(self._name))
        if "*" not in action.edits:
            names &= set(action.edits)
        if not action.edits or not names:
            return [(here.world, False)]
        if here.bill == "settled" or (here.bill == "billed" and action.effect != "void_bill"):
            self._fault(self._action(index), f"{action.name!r} would change a form that is {here.bill}")
        if self._service.activity_field in names:
            names |= {"activity.code", "activity.immediate"}
        fixed = {name: value for name, value in self._worlds[here.world].items() if name not in names}
        return [(here.world, False)] + [
            (number, True)
            for number, world in enumerate(self._worlds)
            if all(world.get(name) == value for name, value in fixed.items())
        ]

    def _bill(self, here: Situation, index: int) -> Iterator[Situation]:
        action = self._flow.actions[index]
        place = self._action(index)
        if action.effect in ("quote", "invoice", "settle") and not self._procedure.fees:
            self._fault(place, f"{action.name!r} would {action.effect}, and the procedure has no fees")
        match action.effect:
            case "quote":
                if here.bill in ("billed", "settled"):
                    self._fault(place, f"{action.name!r} would quote what is {here.bill} already")
                yield replace(here, bill="quoted", free=False)
                if self._costs_nothing(self._worlds[here.world]):
                    yield replace(here, bill="quoted", free=True)
            case "invoice":
                if here.bill != "quoted":
                    self._fault(place, f"{action.name!r} would invoice before there is a quote of the form")
                elif here.free:
                    self._fault(
                        place,
                        f"{action.name!r} would invoice a quote that comes to nothing{self._told(here)}; "
                        "lead it on by the fact quote.free",
                    )
                yield replace(here, bill="billed")
            case "settle":
                if here.bill != "billed":
                    self._fault(place, f"{action.name!r} would settle and no bill is open")
                yield replace(here, bill="settled")
            case "void_bill":
                if here.bill != "billed":
                    self._fault(place, f"{action.name!r} would void a bill and none is open")
                yield replace(here, bill="none", free=False)
            case "fulfil":
                self._check_fulfil(here, place, action.name)
                yield replace(here, fulfilled=True)
            case None:
                yield here

    def _check_fulfil(self, here: Situation, place: Place, name: str) -> None:
        if here.fulfilled:
            self._fault(place, f"{name!r} would fulfil a second time")
        covered = here.bill == "settled" or (here.bill == "quoted" and here.free)
        if self._procedure.fees and not covered:
            self._fault(place, f"{name!r} would fulfil before the fees are settled{self._told(here)}")

    def _check_ends(self) -> None:
        # From the ends backwards: what is not met there can go round for ever and never end.
        before: dict[Situation, list[Situation]] = defaultdict(list)
        for here, nexts in self._edges.items():
            for there in nexts:
                before[there].append(here)
        waiting = [here for here in self._edges if self._flow.states[here.state].final]
        ending = set(waiting)
        while waiting:
            for earlier in before[waiting.pop()]:
                if earlier not in ending:
                    ending.add(earlier)
                    waiting.append(earlier)
        for here in self._edges:
            if here not in ending:
                place: Place = ("flows", self._procedure.flow, "states", here.state)
                self._fault(place, f"from the state {here.state!r} no end can be reached{self._told(here)}")
        if not any(here.fulfilled for here in self._edges):
            self._fault(("procedures", self._name), "nothing ever fulfils it")

    def _check_rest(self) -> None:
        # Of the situations that automatic actions leave, those with a way out of their number come to rest.
        moving = {here: [n for n in self._edges[here] if n in self._resting] for here in self._resting}
        while still := [here for here, nexts in moving.items() if not nexts]:
            for here in still:
                del moving[here]
            gone = set(still)
            moving = {here: [n for n in nexts if n not in gone] for here, nexts in moving.items()}
        for here in moving:
            place: Place = ("flows", self._procedure.flow, "states", here.state)
            self._fault(place, f"automatic actions go round from {here.state!r} and never rest")

    def _action(self, index: int) -> Place:
        return ("flows", self._procedure.flow, "actions", index)

    def _told(self, here: Situation) -> str:
        return told(self._worlds[here.world])

    def _fault(self, place: Place, reason: str) -> None:
        followed = sum(each.flow == self._procedure.flow for each in self._service.procedures.values())
        whose = f"in the procedure {self._name!r} " if followed > 1 and place[0] == "flows" else ""
        self.faults.setdefault(place, f"{whose}{reason}")
