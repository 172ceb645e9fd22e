"""Rules of a definition that no single field can hold: names that mean something, procedures that make sense.

Those of its fees stand in `fee_rules`, those of its flows in `flow_rules`, those of parties in `party_rules`,
those of conditions in `condition_rules`; `integrations.cases.explore` then walks what they let pass.
"""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from jsonschema import Draft202012Validator

from integrations.bar_rules import broken_bars
from integrations.cases.explore import Fault, Place, dead_ends
from integrations.condition_rules import broken_conditions
from integrations.document_rules import broken_document
from integrations.fee_rules import broken_fees
from integrations.flow_rules import broken_flows
from integrations.form import (
    ActivityField,
    ChoiceField,
    IntegerField,
    ListField,
    PartyField,
    TextField,
)
from integrations.party_rules import broken_parties
from integrations.procedure import LicenceStatus, Outcome, Procedure, Term
from integrations.rules_of_tests import broken_tests

if TYPE_CHECKING:
    from integrations.service import Service

_LONGEST = {"years": 50, "months": 600, "weeks": 2_600, "days": 18_250}
_LIVING: frozenset[LicenceStatus] = frozenset({"valid", "expired", "suspended"})
# What a licence may be when an outcome is asked for it; nothing is done with one that is closed or void.
_STATUSES: dict[Outcome, frozenset[LicenceStatus]] = {
    "renew": _LIVING,
    "amend": _LIVING,
    "transfer": _LIVING,
    "correct": _LIVING,
    "copy": _LIVING,
    "revoke": _LIVING,
    "close": _LIVING,
    "void": frozenset({"valid"}),
    "suspend": frozenset({"valid"}),
    "reinstate": frozenset({"suspended"}),
    "uphold": frozenset({"suspended", "revoked"}),
    "excuse": frozenset({"expired"}),
}


def broken_rules(service: "Service") -> list[Fault]:
    """Every fault of a definition, with its place; the walk through its flows last.

    Returns:
        Nothing for a sound definition.
    """
    # A rule about what a name means needs names that mean something.
    if named := [*_duplicates(service), *_names(service), *_unused(service)]:
        return named
    faults = [
        *_form(service),
        *_procedures(service),
        *_licence(service),
        *broken_fees(service),
        *broken_flows(service),
        *broken_parties(service),
        *broken_bars(service),
        *broken_conditions(service),
        *broken_tests(service),
    ]
    # What is wrong for two procedures alike is one fault.
    return list(dict.fromkeys(faults)) or list(dead_ends(service))


def _duplicates(service: "Service") -> Iterator[Fault]:
    lists: list[tuple[Place, Sequence[str]]] = [
        (("form",), [field.name for field in service.form]),
        (("activities",), [activity.code for activity in service.activities]),
        (("documents",), [document.code for document in service.documents]),
        (("fees",), [fee.code for fee in service.fees]),
        (("public",), service.public),
    ]
    for name, procedure in service.procedures.items():
        place: Place = ("procedures", name)
        lists += [
            ((*place, "form"), procedure.form),
            ((*place, "documents"), procedure.documents),
            ((*place, "fees"), procedure.fees),
            ((*place, "bars"), procedure.bars or ()),
        ]
    for index, field in enumerate(service.form):
        if isinstance(field, ChoiceField):
            lists.append((("form", index, "choices"), [choice.code for choice in field.choices]))
    for place, codes in lists:
        for index, code in enumerate(codes):
            if code in codes[:index]:
                yield (*place, index), f"{code!r} stands twice"
    activity_fields = [index for index, field in enumerate(service.form) if isinstance(field, ActivityField)]
    for index in activity_fields[1:]:
        yield ("form", index), "a form has at most one field of type activity"
    if bool(activity_fields) != bool(service.activities):
        yield ("activities",), "a field of type activity and a list of activities need one another"
    if service.numbers.case == service.numbers.licence:
        yield ("numbers",), "cases and licences are numbered apart: they need two prefixes"


def _names(service: "Service") -> Iterator[Fault]:
    fields = {field.name for field in service.form}
    known: dict[str, tuple[set[str], str]] = {
        "form": (fields | {"*"}, "field of the form"),
        "documents": ({document.code for document in service.documents}, "document of the checklist"),
        "fees": ({fee.code for fee in service.fees}, "fee"),
    }
    for name, procedure in service.procedures.items():
        place = ("procedures", name)
        if procedure.flow not in service.flows:
            yield (*place, "flow"), f"{procedure.flow!r} is no flow"
        for key, (codes, what) in known.items():
            for index, code in enumerate(getattr(procedure, key)):
                if code not in codes:
                    yield (*place, key, index), f"{code!r} is no {what}"
        if "*" in procedure.form and len(procedure.form) > 1:
            yield (*place, "form"), "'*' is all fields; it stands alone"
    if service.place is not None and service.place not in fields:
        yield ("place",), f"{service.place!r} is no field of the form"
    for flow_name, flow in service.flows.items():
        for state_name, state in flow.states.items():
            for index, check in enumerate(state.checks):
                if check not in service.checks:
                    yield (
                        ("flows", flow_name, "states", state_name, "checks", index),
                        f"{check!r} is no check",
                    )
        for index, action in enumerate(flow.actions):
            here: Place = ("flows", flow_name, "actions", index)
            named: list[tuple[Place, str]] = [(("answers", each), each) for each in action.answers or {}]
            named += [(("extends", number), each) for number, each in enumerate(action.extends or ())]
            for where, check in named:
                if check not in service.checks:
                    yield (*here, *where), f"{check!r} is no check"
            for key, states in (("from", action.from_), ("to", (action.to,))):
                for state_name in states:
                    if state_name not in flow.states:
                        yield ("flows", flow_name, "actions", index, key), f"{state_name!r} is no state"


def _unused(service: "Service") -> Iterator[Fault]:
    procedures = service.procedures.values()
    followed = {procedure.flow for procedure in procedures}
    for name in service.flows:
        if name not in followed:
            yield ("flows", name), f"no procedure follows the flow {name!r}"
    asked = {name for procedure in procedures for name in procedure.form}
    for index, field in enumerate(service.form):
        if field.name not in asked and "*" not in asked:
            yield ("form", index), f"no procedure asks for the field {field.name!r}"
    wanted = {code for procedure in procedures for code in procedure.documents}
    for index, document in enumerate(service.documents):
        if document.code not in wanted:
            yield ("documents", index), f"no procedure asks for the document {document.code!r}"
        if service.own_words == "none" and not document.required:
            yield ("documents", index, "required"), "the service takes no document that no step needs"
    charged = {code for procedure in procedures for code in procedure.fees}
    for index, fee in enumerate(service.fees):
        if fee.code not in charged:
            yield ("fees", index), f"no procedure charges the fee {fee.code!r}"
    checked = {
        check for flow in service.flows.values() for state in flow.states.values() for check in state.checks
    }
    for name in service.checks:
        if name not in checked:
            yield ("checks", name), f"no state asks the check {name!r}"


def _form(service: "Service") -> Iterator[Fault]:
    for index, field in enumerate(service.form):
        plain = service.fields[field.name]
        # As JSON has it: dates and decimals as they are sent.
        schema = json.loads(json.dumps(plain.json_schema(), default=_as_json))
        example = schema["examples"][0]
        wrong = next(Draft202012Validator(schema).iter_errors(example), None)
        said = wrong.message if wrong else next((text.en for _, text in plain.faults(example)), None)
        if said is not None:
            yield ("form", index, "example"), f"the example breaks the field's own rule: {said}"
        texts = (plain, *(plain.fields if isinstance(plain, ListField) else ()))
        if service.own_words == "none" and any(isinstance(t, TextField) and t.pattern is None for t in texts):
            yield ("form", index), f"the service takes nobody's own words: {plain.name!r} needs a pattern"


def _as_json(value: object) -> float:
    # Examples only, never money.
    return float(str(value))


def _procedures(service: "Service") -> Iterator[Fault]:
    if service.default_procedure is None:
        yield ("procedures",), "no procedure issues: the others all act on a licence"
    for name, procedure in service.procedures.items():
        place = ("procedures", name)
        yield from _begins(procedure, place)
        yield from _acts_on(procedure, place)
        yield from _asks_enough(service, name, procedure, place)


def _begins(procedure: Procedure, place: Place) -> Iterator[Fault]:
    if procedure.initiator == "office":
        if procedure.capacities:
            yield (*place, "capacities"), "what the office begins has no applicant, and so no capacities"
        if set(procedure.channels) != {"office"}:
            yield (*place, "channels"), "what the office begins is begun at the office"
        if not procedure.acts_on_licence:
            yield (*place, "initiator"), "a licence is applied for; the office does not begin it"
    elif not procedure.capacities:
        yield (*place, "capacities"), "an applicant acts as owner, manager or agent"


def _acts_on(procedure: Procedure, place: Place) -> Iterator[Fault]:
    window = procedure.on
    if not procedure.acts_on_licence:
        if window is not None:
            yield (*place, "on"), f"a procedure that {procedure.outcome}s acts on no licence yet"
        return
    if window is None:
        yield place, f"the outcome {procedure.outcome!r} acts on a licence: say on which"
        return
    for index, status in enumerate(window.statuses):
        if status not in _STATUSES[procedure.outcome]:
            yield (
                (*place, "on", "statuses", index),
                f"{procedure.outcome!r} is not for a licence that is {status}",
            )
    if procedure.outcome == "void" and not window.same_day:
        yield (*place, "on"), "a licence is voided on the day of its issue only: same_day"


def _asks_enough(service: "Service", name: str, procedure: Procedure, place: Place) -> Iterator[Fault]:
    form = service.form_of(name)
    if procedure.outcome in ("issue", "renew"):
        for here, key, named in _lengths(service):
            field = form.get(named) if isinstance(named, str) else None
            if isinstance(named, str) and not (isinstance(field, IntegerField) and field.required):
                yield (*here, key), f"{named!r} is no required integer of the form of {name!r}"
            elif isinstance(field, IntegerField) and field.min < 1:
                yield (*here, key), f"{named!r} may be {field.min}; a licence holds at least one"
    if procedure.outcome == "transfer":
        parties = [field for field in form.values() if isinstance(field, PartyField) and field.required]
        if len(parties) != 1:
            yield (*place, "form"), "a transfer asks exactly one party: the new holder"
    if procedure.outcome in ("amend", "correct") and not set(form) & set(service.licence_fields):
        yield (*place, "form"), f"{name!r} asks nothing that stands on the licence, and so changes nothing"


def _licence(service: "Service") -> Iterator[Fault]:
    fields = service.licence_fields
    for index, name in enumerate(service.public):
        if name not in fields:
            yield ("public", index), f"{name!r} is no field of the form that a licence is issued on"
        elif fields[name].personal:
            yield ("public", index), f"{name!r} is personal; the public may not see it"
    yield from broken_document(service)
    for here, term in _terms(service):
        if term.fixed_end is not None and term.calendar == "umm_al_qura" and term.fixed_end.day > 30:
            yield (*here, "fixed_end", "day"), "no month of the Hijri year has 31 days"
    if service.parent is not None and service.parent.service == service.code:
        yield ("parent", "service"), "a licence does not hang on one of its own service"
    yield from _length(service)
    yield from _place(service)


def _length(service: "Service") -> Iterator[Fault]:
    for here, key, length in _lengths(service):
        if isinstance(length, int) and length < 1:
            yield (*here, key), "a licence holds at least one"
        elif isinstance(length, int) and length > _LONGEST[key]:
            yield (*here, key), f"it ends beyond every calendar; at most {_LONGEST[key]}"


def _terms(service: "Service") -> Iterator[tuple[Place, Term]]:
    yield ("validity",), service.validity
    for index, each in enumerate(service.validity.special or ()):
        yield ("validity", "special", index), each


def _lengths(service: "Service") -> Iterator[tuple[Place, str, int | str | None]]:
    for here, term in _terms(service):
        for key in _LONGEST:
            yield here, key, getattr(term, key)


def _place(service: "Service") -> Iterator[Fault]:
    if service.place is None:
        return
    for name, procedure in service.procedures.items():
        field = service.form_of(name).get(service.place)
        if procedure.outcome == "issue" and not (
            isinstance(field, ChoiceField | TextField) and field.required and not field.personal
        ):
            yield (
                ("place",),
                f"{service.place!r} is no required choice or text of the form of {name!r}, or it is personal",
            )
