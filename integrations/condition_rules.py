"""Rules of conditions: what they name is known where they are judged, and is compared with what it can be."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, get_args

from integrations.cases.conditions import FACTS, Condition, Value
from integrations.cases.explore import Fault, Place
from integrations.form import (
    BooleanField,
    ChoiceField,
    IntegerField,
    LineField,
    ListField,
    NumberField,
    PartyField,
    PlaceField,
    PlainField,
    PolygonField,
)
from integrations.procedure import LicenceStatus

if TYPE_CHECKING:
    from integrations.service import Service

_SHAPES = (LineField, ListField, PartyField, PlaceField, PolygonField)


def broken_conditions(service: "Service") -> Iterator[Fault]:
    """Every fault of a condition, of the flows, the fees and the checklist."""
    for name, procedure in service.procedures.items():
        flow = service.flows[procedure.flow]
        for index, action in enumerate(flow.actions):
            place: Place = ("flows", procedure.flow, "actions", index, "when")
            yield from _condition(service, name, action.when, place)
        for index, document in enumerate(service.documents):
            if document.code in procedure.documents:
                place = ("documents", index, "when")
                yield from _outside_flow(document.when, place)
                yield from _condition(service, name, document.when, place)
        for index, fee in enumerate(service.fees):
            if fee.code not in procedure.fees:
                continue
            rows = row_fields(service, fee.each)
            judged: list[tuple[Condition | None, Place]] = [(fee.when, ("fees", index, "when"))]
            judged += [
                (each.when, ("fees", index, "exemptions", number, "when"))
                for number, each in enumerate(fee.exemptions)
            ]
            for condition, place in judged:
                yield from _outside_flow(condition, place)
                yield from _condition(service, name, condition, place, rows)
    for index, term in enumerate(service.validity.special or ()):
        place = ("validity", "special", index, "when")
        yield from _outside_flow(term.when, place)
        yield from _of_licence(service, term.when, place)
    for flow_name, flow in service.flows.items():
        names = {action.name for action in flow.actions}
        asked = {check for state in flow.states.values() for check in state.checks}
        for index, action in enumerate(flow.actions):
            place = ("flows", flow_name, "actions", index, "when")
            for done in action.when.actions() if action.when else ():
                if done not in names:
                    yield place, f"{done!r} is no action that a condition of this flow can name"
            for check in action.when.asked_checks() if action.when else ():
                if check not in asked:
                    yield place, f"no state of the flow asks the check {check!r}"
            for several in action.when.counts() if action.when else ():
                yield from _counted(several, place)


def _counted(condition: Condition, place: Place) -> Iterator[Fault]:
    names, least = condition.checks or (), condition.least_answers
    if len(set(names)) != len(names):
        yield place, f"a check stands twice in {', '.join(names)}"
    if not (1 <= least <= len(names) and least == least.to_integral_value()):
        yield place, f"at_least counts answers: it is a whole number from 1 to {len(names)}"


def row_fields(service: "Service", name: str | None) -> Mapping[str, PlainField]:
    """The fields of a list's rows; none without a list."""
    field = service.fields.get(name or "")
    return field.row if isinstance(field, ListField) else {}


def _outside_flow(condition: Condition | None, place: Place) -> Iterator[Fault]:
    if condition is None:
        return
    for _ in (*condition.actions(), *condition.asked_checks()):
        yield place, "only an action's condition asks what was done or checked"
    if any(comparison.field == "quote.free" for comparison in condition.comparisons()):
        yield place, "only an action's condition asks what the quote came to"


def _of_licence(service: "Service", condition: Condition, place: Place) -> Iterator[Fault]:
    for comparison in condition.comparisons():
        field = service.licence_fields.get(comparison.field or "")
        if field is None or comparison.known is not None:
            yield place, f"{comparison.field!r} is no field whose value a licence is issued on"
        else:
            yield from _field(comparison, field, place)


def _condition(
    service: "Service",
    procedure: str,
    condition: Condition | None,
    place: Place,
    rows: Mapping[str, PlainField] | None = None,
) -> Iterator[Fault]:
    known = {**service.known_to(procedure), **(rows or {})}
    for comparison in condition.comparisons() if condition is not None else ():
        name = comparison.field or ""
        if name in FACTS:
            if name.startswith("activity.") and service.activity_field not in known:
                yield place, f"the procedure {procedure!r} knows no activity"
            yield from _fact(service, comparison, name, place)
        elif comparison.known is not None and name in known:
            yield from _given(service, procedure, known[name], place)
        elif name in known:
            yield from _field(comparison, known[name], place)
        else:
            yield place, f"{name!r} is no field that a condition of the procedure {procedure!r} can name"


def _fact(service: "Service", comparison: Condition, name: str, place: Place) -> Iterator[Fault]:
    values: dict[str, set[Value]] = {
        "activity.code": {activity.code for activity in service.activities},
        "applicant.kind": set(service.applicant.identifiers),
        "applicant.capacity": {"owner", "manager", "agent"},
        "licence.status": set(get_args(LicenceStatus)),
        "procedure": set(service.procedures),
    }
    match FACTS[name]:
        case "integer":
            yield from _number(comparison, Decimal(0), place)
        case "boolean":
            yield from _one_of(comparison, {True, False}, place)
        case "text":
            yield from _one_of(comparison, values[name], place)


def _given(service: "Service", procedure: str, field: PlainField, place: Place) -> Iterator[Fault]:
    # That something was said of a person says nothing of him. What a licence keeps of one is seen by nobody.
    if field.required:
        yield place, f"{field.name!r} is required, and so always known"
    elif field.personal and field.name not in service.form_of(procedure):
        yield place, f"{field.name!r} is personal, and the procedure {procedure!r} does not ask for it"


def _field(comparison: Condition, field: PlainField, place: Place) -> Iterator[Fault]:
    if field.personal:
        yield place, f"{field.name!r} is personal; no condition judges it"
    elif isinstance(field, _SHAPES):
        yield place, f"{field.name!r} is a {field.type}, and has no one value to compare"
    elif isinstance(field, BooleanField):
        yield from _one_of(comparison, {True, False}, place)
    elif isinstance(field, ChoiceField):
        yield from _one_of(comparison, {choice.code for choice in field.choices}, place)
    elif isinstance(field, IntegerField | NumberField):
        yield from _number(comparison, Decimal(field.min), place)
    elif comparison.at_least is not None or comparison.below is not None:
        yield place, f"{field.name!r} is no number, and only numbers have a size"
    else:
        for value in _named(comparison):
            if not isinstance(value, str):
                yield place, f"{field.name!r} is text; {value!r} never equals it"


def _one_of(comparison: Condition, values: set[Value], place: Place) -> Iterator[Fault]:
    name = comparison.field
    if comparison.at_least is not None or comparison.below is not None:
        yield place, f"{name!r} is no number, and only numbers have a size"
    for value in _named(comparison):
        # In Python 1 is in {True}; in a definition it is another word.
        if not any(type(value) is type(each) and value == each for each in values):
            known = ", ".join(sorted(map(str, values)))
            yield place, f"{name!r} is never {value!r}; it is one of: {known}"


def _number(comparison: Condition, least: Decimal, place: Place) -> Iterator[Fault]:
    name = comparison.field
    for value in _named(comparison):
        if isinstance(value, bool) or not isinstance(value, int):
            yield (
                place,
                f"{name!r} is compared with whole numbers by equals; write {value!r} with at_least, below",
            )
    if comparison.at_least is not None and comparison.at_least <= least:
        yield place, f"{name!r} is always at least {comparison.at_least}"
    if comparison.below is not None and comparison.below <= least:
        yield place, f"{name!r} is never below {comparison.below}"


def _named(comparison: Condition) -> tuple[Value, ...]:
    return comparison.one_of or (() if comparison.equals is None else (comparison.equals,))
