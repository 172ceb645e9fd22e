"""Walks every way a case of a service can take, before any case does.

What a case can do depends on its state, on the fields that conditions compare, and on what was done before.
The fields never change after submission, so for each combination of their interesting values (a world) the
reachable situations are few and all of them are visited. Found: states and actions that nothing leads to,
situations that no action leaves, automatic actions that compete or never come to rest, and effects out of
order: above all a licence that could be issued before its bill is settled.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from integrations.cases.conditions import Facts
from integrations.form import BooleanField, ChoiceField

if TYPE_CHECKING:
    from integrations.service import Action, Service

Place = tuple[str | int, ...]
Fault = tuple[Place, str]

_WORLDS = 4_096
# What must have happened before an effect.
_BEFORE = {"quote": None, "invoice": "quote", "settle": "invoice", "issue": "settle"}
_OTHER = "\x00other"


@dataclass(frozen=True)
class _Situation:
    state: str
    done: frozenset[str]
    effects: frozenset[str]


def dead_ends(service: "Service") -> Iterator[Fault]:
    """Every fault of the states and actions.

    Returns:
        The place in the definition and the reason, each place once.
    """
    walk = _Walk(service)
    worlds = list(islice(_worlds(service), _WORLDS + 1))
    if len(worlds) > _WORLDS:
        yield ("actions",), f"the conditions make more than {_WORLDS} combinations; compare fewer fields"
        return
    for world in worlds:
        walk.explore(world)
    for name in service.states:
        if name not in walk.states:
            walk.faults.setdefault(("states", name), f"no way leads to the state {name!r}")
    for index, action in enumerate(service.actions):
        if index not in walk.taken:
            walk.faults.setdefault(("actions", index), f"the action {action.name!r} can never be taken")
    yield from walk.faults.items()


class _Walk:
    def __init__(self, service: "Service") -> None:
        self._service = service
        self._remembered = {name for a in service.actions if a.when for name in a.when.actions()}
        self.states: set[str] = set()
        self.taken: set[int] = set()
        self.faults: dict[Place, str] = {}

    def explore(self, world: dict[str, Any]) -> None:
        opening = next(i for i, action in enumerate(self._service.actions) if not action.from_)
        start = self._after(_Situation("", frozenset(), frozenset()), opening)
        seen, waiting = {start}, [start]
        automatic: dict[_Situation, _Situation] = {}
        while waiting:
            here = waiting.pop()
            self.states.add(here.state)
            for index, chosen in self._choices(here, world):
                there = self._after(here, index)
                if chosen.automatic:
                    automatic[here] = there
                if there not in seen:
                    seen.add(there)
                    waiting.append(there)
        for here in automatic:
            self._comes_to_rest(here, automatic)

    def _choices(self, here: _Situation, world: dict[str, Any]) -> list[tuple[int, "Action"]]:
        facts = Facts(world, here.done)
        able = [
            (index, action)
            for index, action in enumerate(self._service.actions)
            if here.state in action.from_ and (action.when is None or action.when.holds(facts))
        ]
        place: Place = ("states", here.state)
        final = self._service.states[here.state].final
        if final and any(here.state in action.from_ for action in self._service.actions):
            self.faults.setdefault(place, f"the state {here.state!r} is final and yet an action leaves it")
        if not final and not able:
            self.faults.setdefault(place, f"dead end: nothing leaves the state {here.state!r}{_told(world)}")
        automatic = [choice for choice in able if choice[1].automatic]
        if len(automatic) > 1:
            names = " and ".join(repr(action.name) for _, action in automatic)
            self.faults.setdefault(
                ("actions", automatic[1][0]), f"{names} are both automatic and both can apply{_told(world)}"
            )
        # An automatic action is taken at once: no person ever finds the case where it started.
        return automatic[:1] or able

    def _after(self, here: _Situation, index: int) -> _Situation:
        action = self._service.actions[index]
        self.taken.add(index)
        effects = here.effects
        if action.effect is not None:
            needed = _BEFORE[action.effect]
            if needed is not None and needed not in effects:
                self.faults.setdefault(
                    ("actions", index),
                    f"{action.name!r} would {action.effect} before anything was able to {needed}",
                )
            if action.effect in effects:
                self.faults.setdefault(
                    ("actions", index), f"{action.name!r} would {action.effect} a second time"
                )
            effects = effects | {action.effect}
        return _Situation(action.to, here.done | ({action.name} & self._remembered), effects)

    def _comes_to_rest(self, start: _Situation, automatic: dict[_Situation, _Situation]) -> None:
        passed, here = {start}, automatic[start]
        while here in automatic and here not in passed:
            passed.add(here)
            here = automatic[here]
        if here in passed:
            self.faults.setdefault(
                ("states", start.state), f"automatic actions go round from {start.state!r} and never rest"
            )


def _worlds(service: "Service") -> Iterator[dict[str, Any]]:
    comparisons = [c for action in service.actions if action.when for c in action.when.comparisons()]
    names = sorted({comparison.field or "" for comparison in comparisons})
    plain = [name for name in names if not name.startswith("activity.")]
    activities: list[dict[str, Any]] = []
    for each in service.activities:
        told = {name: value for name, value in activity_facts(each).items() if name in names}
        if told not in activities:
            activities.append(told)
    values = [_values(service, name, [c for c in comparisons if c.field == name]) for name in plain]
    # A service without activities has none to choose.
    for activity in activities or [{}]:
        for combination in product(*values):
            yield {**activity, **dict(zip(plain, combination, strict=True))}


def _values(service: "Service", name: str, comparisons: list[Any]) -> list[Any]:
    field = service.fields[name]
    values: list[Any] = [] if field.required else [None]
    if isinstance(field, BooleanField):
        return [*values, True, False]
    if isinstance(field, ChoiceField):
        return [*values, *(choice.code for choice in field.choices)]
    for comparison in comparisons:
        for limit in (comparison.at_least, comparison.below):
            if limit is not None:
                values += [limit, limit - Decimal("0.000001")]
        if comparison.equals is not None:
            values.append(comparison.equals)
        values += comparison.one_of or ()
    # And one value that no comparison names.
    return (
        [*values, _OTHER] if all(isinstance(v, str | None) for v in values) else [*values, Decimal(-(10**9))]
    )


def activity_facts(activity: Any) -> dict[str, Any]:
    """What conditions may ask of an activity."""
    return {"activity.code": activity.code, "activity.immediate": activity.immediate}


def _told(world: dict[str, Any]) -> str:
    known = ", ".join(f"{name} = {value}" for name, value in world.items() if value != _OTHER)
    return f" when {known}" if known else ""
