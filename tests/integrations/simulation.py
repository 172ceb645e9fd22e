"""Cases played at random with plain values, against which the walk through a definition is held."""

import random
from typing import Any

from integrations.cases.conditions import Facts
from integrations.flow import Action
from integrations.form import BooleanField, ChoiceField, IntegerField, NumberField
from integrations.service import Service


class Simulation:
    """One case, played at random with plain values; it shares no code with the walk."""

    def __init__(self, service: Service, procedure: str, dice: random.Random) -> None:
        self.service, self.procedure, self.dice = service, procedure, dice
        self.flow = service.flow_of(procedure)
        self.form = {name: self._value(field) for name, field in service.known_to(procedure).items()}
        on = service.procedures[procedure].on
        issues = service.procedures[procedure].outcome == "issue"
        self.around: dict[str, Any] = {
            "procedure": procedure,
            "licence.status": dice.choice(on.statuses) if on else None,
            "licence.days_late": None if issues else dice.choice([0, 1, 400]),
            "licence.excused": None if issues else dice.choice([True, False]),
        }
        if on is not None and on.statuses == ("valid",):
            self.around["licence.days_late"] = 0
        self.state, self.done, self.free = "", set[str](), False
        self.answers, self.pending = dict[str, str](), set[str]()
        self.quoted = self.billed = self.settled = self.fulfilled = False

    def _value(self, field: Any) -> Any:
        if isinstance(field, BooleanField):
            return self.dice.choice([True, False])
        if isinstance(field, ChoiceField):
            return self.dice.choice(field.choices).code
        if isinstance(field, IntegerField | NumberField):
            return self.dice.choice([field.min, field.max, field.example])
        return getattr(field, "example", None)

    def facts(self) -> Facts:
        fields = {**self.form, **self.around, "quote.free": self.free}
        for activity in self.service.activities:
            if activity.code == self.form.get(self.service.activity_field or ""):
                fields |= {"activity.code": activity.code, "activity.immediate": activity.immediate}
        return Facts(fields, frozenset(self.done), dict(self.answers))

    def able(self) -> list[Action]:
        facts, state = self.facts(), self.flow.states[self.state]
        return [
            action
            for action in self.flow.actions
            if self.state in action.from_
            and (action.when is None or action.when.holds(facts))
            and (not action.timed or (state.deadline is not None and state.deadline.then == action.name))
            # The last period is over when nobody is waited for any more.
            and not (action.timed and state.deadline and state.deadline.periods and self.pending)
        ]

    def play(self, steps: int) -> str | None:
        """What went wrong, or None."""
        wrong = self.take(self.flow.opening)
        for _ in range(steps):
            if wrong is not None or self.flow.states[self.state].final:
                return wrong
            able, waiting = self.able(), sorted(self.pending)
            if not able and not waiting:
                return f"stuck in {self.state}"
            if waiting and (not able or self.dice.random() < 0.5):
                check = self.dice.choice(waiting)
                self.pending.discard(check)
                said = self.service.checks[check].silence
                self.answers[check] = said or self.dice.choice(["passed", "failed"])
                wrong = self.follow()
            else:
                wrong = self.take(self.dice.choice(able))
        return wrong

    def take(self, action: Action) -> str | None:
        return self.step(action) or self.follow()

    def follow(self) -> str | None:
        for _ in range(60):
            automatic = [action for action in self.able() if action.automatic]
            if len(automatic) > 1:
                return f"{automatic[0].name} and {automatic[1].name} compete"
            if not automatic or self.flow.states[self.state].final:
                return None
            if (wrong := self.step(automatic[0])) is not None:
                return wrong
        return "never rests"

    def step(self, action: Action) -> str | None:
        asked, changed = self.service.form_of(self.procedure), False
        edited = [name for name in asked if "*" in action.edits or name in action.edits]
        for name in edited:
            if self.dice.random() < 0.5:
                self.form[name], changed = self._value(asked[name]), True
        if edited:
            self.quoted = self.free = False
        if (wrong := self.money(action)) is not None:
            return wrong
        self.done.add(action.name)
        if self.state != action.to or changed:
            self.ask(self.flow.states[action.to].checks)
        self.state = action.to
        for check, said in (action.answers or {}).items():
            if not action.automatic or check not in self.answers:
                self.answers[check] = said
                self.pending.discard(check)
        return None

    def ask(self, checks: tuple[str, ...]) -> None:
        # What an earlier state asked is waited for no more; a party without a period need never answer.
        self.answers = {check: said for check, said in self.answers.items() if check not in checks}
        known = self.service.checks
        self.pending = {c for c in checks if known[c].backend is not None or known[c].silence is not None}

    def money(self, action: Action) -> str | None:
        owes = bool(self.service.procedures[self.procedure].fees)
        match action.effect:
            case "quote":
                if not owes or self.billed or self.settled:
                    return "quotes what it may not"
                self.quoted, self.free = True, self.costs_nothing()
            case "invoice":
                if not self.quoted or self.free or self.billed:
                    return "invoices what it may not"
                self.quoted, self.billed = False, True
            case "settle":
                if not self.billed:
                    return "settles nothing"
                self.billed, self.settled = False, True
            case "void_bill":
                if not self.billed:
                    return "voids nothing"
                self.billed = False
            case "fulfil":
                if self.fulfilled or (owes and not self.settled and not (self.quoted and self.free)):
                    return "gives what is not paid, or twice"
                self.fulfilled = True
        return None

    def costs_nothing(self) -> bool:
        facts = self.facts()
        charged = [
            fee for fee in self.service.fees if fee.code in self.service.procedures[self.procedure].fees
        ]
        return all(
            fee.each is None
            and (
                (fee.when is not None and not fee.when.holds(facts))
                or any(each.share == 1 and each.when.holds(facts) for each in fee.exemptions)
                or any(facts.fields.get(unit) == 0 for unit in fee.units)
            )
            for fee in charged
        )


def trouble(service: Service, seed: int, cases: int = 40) -> str | None:
    """What the first of some random cases came to that should never happen."""
    dice = random.Random(seed)
    for _ in range(cases):
        procedure = dice.choice(list(service.procedures))
        simulation = Simulation(service, procedure, dice)
        if (wrong := simulation.play(40)) is not None:
            return f"{procedure}: {wrong}"
    return None
