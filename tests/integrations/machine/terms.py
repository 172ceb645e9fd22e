"""A definition as the model reads it: its JSON alone, read here anew and not by the product's own code."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from integrations.service import Service

Action = Mapping[str, Any]
_OWN_ONLY = frozenset({"centre", "kiosk", "payment"})


@dataclass(frozen=True)
class Facts:
    """What a condition is judged on: fields, past actions, answers of checks."""

    fields: Mapping[str, Any]
    done: frozenset[str]
    checks: Mapping[str, str]


class Terms:
    """What a definition says.

    Args:
        service: only its JSON and the schemas of its forms are read.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.code = service.code
        self.content: Mapping[str, Any] = service.content
        self.procedures: Mapping[str, Mapping[str, Any]] = self.content["procedures"]

    def __deepcopy__(self, memo: dict[int, Any]) -> "Terms":
        """Itself: what a definition says never changes."""
        return self

    def flow(self, procedure: str) -> Mapping[str, Any]:
        """The flow of a procedure."""
        return dict(self.content["flows"][self.procedures[procedure]["flow"]])

    def actions(self, procedure: str) -> list[Action]:
        """Every action of a procedure's flow, in the order of the file."""
        return list(self.flow(procedure)["actions"])

    def state(self, procedure: str, name: str) -> Mapping[str, Any]:
        """A state of a procedure's flow."""
        return dict(self.flow(procedure)["states"][name])

    def opening(self, procedure: str) -> Action:
        """The action that opens a case."""
        return next(action for action in self.actions(procedure) if not action["from"])

    def leaving(self, procedure: str, state: str) -> list[Action]:
        """The actions that start from a state."""
        return [action for action in self.actions(procedure) if state in action["from"]]

    def asked(self, procedure: str) -> list[str]:
        """Names of the fields that a procedure asks."""
        words = self.procedures[procedure]["form"]
        return [field["name"] for field in self.content["form"] if "*" in words or field["name"] in words]

    def field(self, name: str) -> Mapping[str, Any]:
        """A field of the form."""
        return next(field for field in self.content["form"] if field["name"] == name)

    def personal(self, name: str) -> bool:
        """Whether a field says something of a person."""
        field = self.field(name)
        return bool(field.get("personal")) or field["type"] == "party"

    def actors(self, procedure: str) -> set[str]:
        """The roles of a procedure's flow that see its cases whoever opened them."""
        roles = {role for action in self.actions(procedure) for role in action["roles"]}
        for state in self.flow(procedure)["states"].values():
            escalated = state.get("deadline", {}).get("escalate")
            roles |= {escalated} if escalated else set()
        return roles - _OWN_ONLY

    def asks_backends(self, procedure: str, state: str) -> set[str]:
        """Of the checks that a state asks, those that back-ends answer and not parties."""
        known = self.content["checks"]
        return {n for n in self.state(procedure, state)["checks"] if known[n].get("backend") is not None}

    def period(self, check: str, day: date) -> Mapping[str, Any] | None:
        """How long a party has that is asked on a day."""
        for each in self.content["checks"][check].get("periods") or ():
            if each["effective_from"] <= day.isoformat() <= each.get("effective_until", "9999"):
                return dict(each)
        return None

    def compared(self) -> set[str]:
        """Fields by which bars look up other licences."""
        return {bar["same"] for bar in (self.content.get("bars") or {}).values()}

    def parties(self) -> set[str]:
        """The roles that answer checks as parties."""
        return {role for check in self.content["checks"].values() for role in check.get("by") or []}

    def documents(self, procedure: str) -> list[Mapping[str, Any]]:
        """The checklist of a procedure."""
        wanted = self.procedures[procedure]["documents"]
        return [each for each in self.content["documents"] if each["code"] in wanted]

    def activity(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """What the chosen activity says of itself."""
        name = next((field["name"] for field in self.content["form"] if field["type"] == "activity"), None)
        code = form.get(name) if name is not None else None
        chosen = next((each for each in self.content["activities"] if each["code"] == code), None)
        if chosen is None:
            return {}
        return {"activity.code": code, "activity.immediate": bool(chosen.get("immediate", False))}

    def way(self, procedure: str, goal: str | None = None) -> dict[str, int]:
        """How many actions each state is from a goal, whatever conditions say.

        Args:
            goal: a state; without one it is being fulfilled.
        """
        far: dict[str, int] = {} if goal is None else {goal: 0}
        actions = [each for each in self.actions(procedure) if each["from"]]
        for _ in actions:
            for each in actions:
                there = goal is None and each.get("effect") == "fulfil"
                after = 0 if there else far.get(each["to"])
                if after is not None:
                    far |= {start: min(far.get(start, 1_000), after + 1) for start in each["from"]}
        return far

    def wants_papers(self, procedure: str, state: str) -> bool:
        """Whether an action that wants a whole checklist lies ahead of a state, whatever conditions say."""
        ahead, waiting = {state}, [state]
        while waiting:
            for action in self.leaving(procedure, waiting.pop()):
                if action["complete"]:
                    return True
                if action["to"] not in ahead:
                    ahead.add(action["to"])
                    waiting.append(action["to"])
        return False

    def roles(self) -> set[str]:
        """Every role that some procedure names."""
        return {role for name in self.procedures for action in self.actions(name) for role in action["roles"]}

    def edges(self) -> Iterator[tuple[str, str, str]]:
        """Each flow's actions, each with a state that it starts from ("" opens)."""
        for name, flow in self.content["flows"].items():
            for action in flow["actions"]:
                for start in action["from"] or [""]:
                    yield name, action["name"], start


def taker(action: Action) -> str:
    """Who takes an action: `automatic`, `timed` or `role`."""
    return "automatic" if action["automatic"] else "timed" if action["timed"] else "role"


def channel(roles: frozenset[str]) -> str:
    """Where a caller of these roles stands."""
    return "centre" if "centre" in roles else "kiosk" if "kiosk" in roles else "office"


def holds(condition: Mapping[str, Any] | None, facts: Facts) -> bool:
    """Whether a condition of a definition is true; no condition is."""
    match condition:
        case None:
            return True
        case {"all": parts}:
            return all(holds(part, facts) for part in parts)
        case {"any": parts}:
            return any(holds(part, facts) for part in parts)
        case {"not": part}:
            return not holds(part, facts)
        case {"done": name}:
            return name in facts.done
        case {"check": name, "is": answer}:
            return bool(facts.checks.get(name) == answer)
        case {"checks": names, "are": wanted}:
            said = [facts.checks[name] for name in names if name in facts.checks]
            fitting = [answer for answer in said if wanted in ("answered", answer)]
            return len(fitting) >= int(condition.get("at_least", len(names)))
        case {"field": name}:
            value = facts.fields.get(name)
            return value is not None and ("known" in condition or _passes(value, condition))
    raise AssertionError(f"the model knows no condition {condition}")


def _passes(value: Any, test: Mapping[str, Any]) -> bool:
    match test:
        case {"equals": wanted}:
            return _equal(value, wanted)
        case {"one_of": wanted}:
            return any(_equal(value, each) for each in wanted)
        case {"at_least": bound}:
            return Decimal(str(value)) >= Decimal(str(bound))
        case {"below": bound}:
            return Decimal(str(value)) < Decimal(str(bound))
    raise AssertionError(f"the model knows no comparison {test}")


def _equal(value: Any, wanted: Any) -> bool:
    return (isinstance(value, bool), value) == (isinstance(wanted, bool), wanted)
