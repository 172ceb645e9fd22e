"""Rules of a definition that no single field can hold: names that mean something, dates that join, roles."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from integrations.cases.conditions import Condition
from integrations.cases.explore import Fault, Place, dead_ends
from integrations.form import ActivityField, IntegerField, NumberField

if TYPE_CHECKING:
    from integrations.service import Service


def broken_rules(service: "Service") -> list[Fault]:
    """Every fault of a definition, with its place; the walk through its states last.

    Returns:
        Nothing for a sound definition.
    """
    faults = [*_duplicates(service), *_names(service), *_fees(service), *_roles(service)]
    # Only a definition whose names hold together can be walked.
    return faults or list(dead_ends(service))


def _duplicates(service: "Service") -> Iterator[Fault]:
    lists: dict[str, Sequence[str]] = {
        "form": [field.name for field in service.form],
        "activities": [activity.code for activity in service.activities],
        "fees": [fee.code for fee in service.fees],
        "actions": [action.name for action in service.actions],
        "public": service.public,
    }
    for name, codes in lists.items():
        for index, code in enumerate(codes):
            if code in codes[:index]:
                yield (name, index), f"{code!r} stands twice"
    activity_fields = [index for index, field in enumerate(service.form) if isinstance(field, ActivityField)]
    for index in activity_fields[1:]:
        yield ("form", index), "a form has at most one field of type activity"
    if bool(activity_fields) != bool(service.activities):
        yield ("activities",), "a field of type activity and a list of activities need one another"


def _names(service: "Service") -> Iterator[Fault]:
    fields = {field.name: field for field in service.form}
    whole = {name for name, field in fields.items() if isinstance(field, IntegerField) and field.required}
    counted = whole | {n for n, f in fields.items() if isinstance(f, NumberField) and f.required}
    measured = {n for n, field in fields.items() if isinstance(field, IntegerField | NumberField)}
    known = set(fields) | ({"activity.code", "activity.immediate"} if service.activity_field else set())
    for index, fee in enumerate(service.fees):
        if fee.unit is not None and fee.unit not in counted:
            yield ("fees", index, "unit"), f"{fee.unit!r} is no required number of the form"
        yield from _condition(fee.when, known, set(), measured, ("fees", index, "when"))
    if isinstance(service.validity.years, str) and service.validity.years not in whole:
        yield ("validity", "years"), f"{service.validity.years!r} is no required integer of the form"
    for index, name in enumerate(service.public):
        if name not in fields:
            yield ("public", index), f"{name!r} is no field of the form"
        elif fields[name].personal:
            yield ("public", index), f"{name!r} is personal; the public may not see it"
    for index, name in enumerate(service.document.lines):
        if name not in fields and name != "applicant.name":
            yield ("document", "lines", index), f"{name!r} is no field of the form"
    actions = {action.name for action in service.actions}
    for index, action in enumerate(service.actions):
        for state in (*action.from_, action.to):
            if state not in service.states:
                yield ("actions", index), f"{state!r} is no state"
        yield from _condition(action.when, known, actions, measured, ("actions", index, "when"))


def _condition(
    condition: Condition | None, fields: set[str], actions: set[str], measured: set[str], place: Place
) -> Iterator[Fault]:
    if condition is None:
        return
    for comparison in condition.comparisons():
        if comparison.field not in fields:
            yield place, f"{comparison.field!r} is no field that a condition can name"
        elif comparison.equals is None and comparison.one_of is None and comparison.field not in measured:
            yield place, f"{comparison.field!r} is no number, and only numbers have a size"
    for action in condition.actions():
        if action not in actions:
            yield place, f"{action!r} is no action that a condition can name"


def _fees(service: "Service") -> Iterator[Fault]:
    for index, fee in enumerate(service.fees):
        for number, rate in enumerate(fee.rates):
            place = ("fees", index, "rates", number)
            if rate.effective_until is not None and rate.effective_until < rate.effective_from:
                yield (*place, "effective_until"), "the last day is before the first"
            if number == 0:
                continue
            before = fee.rates[number - 1].effective_until
            if before is None or (rate.effective_from - before).days != 1:
                yield (*place, "effective_from"), "a rate starts the day after the one before it ends"


def _roles(service: "Service") -> Iterator[Fault]:
    for index, action in enumerate(service.actions):
        if action.automatic and action.roles:
            yield ("actions", index, "roles"), "an automatic action has no roles"
        if not action.automatic and not action.roles:
            yield ("actions", index), f"the action {action.name!r} names no role and is not automatic"
        if not action.from_ and (action.automatic or action.when or action.effect):
            yield (
                ("actions", index),
                "the action that opens a case is not automatic and has no condition or effect",
            )
    openers = [index for index, action in enumerate(service.actions) if not action.from_]
    if len(openers) != 1:
        yield ("actions", *openers[1:2]), "exactly one action opens a case: the one without from"
