"""Rules of what stands between an application and what was licensed or agreed before: bars and agreements."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from integrations.cases.explore import Fault, Place
from integrations.form import BooleanField, ChoiceField, IntegerField, TextField
from integrations.procedure import Bar, Procedure

if TYPE_CHECKING:
    from integrations.service import Service

APPLICANT = "applicant"
"""What stands in `same` for the applicant himself."""
_COMPARED = (BooleanField, ChoiceField, IntegerField, TextField)


def broken_bars(service: "Service") -> Iterator[Fault]:
    """Every fault of the bars, and of the agreements that procedures rest on."""
    bars = service.bars or {}
    for name, bar in bars.items():
        yield from _same(service, bar, ("bars", name, "same"))
    for name, procedure in service.procedures.items():
        place: Place = ("procedures", name)
        for index, code in enumerate(procedure.bars or ()):
            if code in bars:
                yield from _known(service, name, bars[code], (*place, "bars", index))
            else:
                yield (*place, "bars", index), f"{code!r} is no bar"
        yield from _agreed(service, name, procedure, (*place, "agreed"))
    used = {code for procedure in service.procedures.values() for code in procedure.bars or ()}
    for name in bars:
        if name not in used:
            yield ("bars", name), f"the bar {name!r} stands in the way of no procedure"


def _same(service: "Service", bar: Bar, place: Place) -> Iterator[Fault]:
    if bar.same == APPLICANT:
        return
    field = service.licence_fields.get(bar.same)
    if field is None:
        yield place, f"{bar.same!r} is no field of the form that a licence is issued on"
    elif field.personal:
        yield place, f"{bar.same!r} is personal; licences are not looked up by it"
    elif not isinstance(field, _COMPARED):
        yield place, f"{bar.same!r} is a {field.type}; licences are looked up by a text, choice or integer"


def _known(service: "Service", procedure: str, bar: Bar, place: Place) -> Iterator[Fault]:
    if service.procedures[procedure].initiator == "office":
        yield place, "what the office begins has no applicant whom anything could bar"
    elif bar.same != APPLICANT and bar.same not in service.known_to(procedure):
        yield place, f"the procedure {procedure!r} does not know {bar.same!r}"


def _agreed(service: "Service", name: str, procedure: Procedure, place: Place) -> Iterator[Fault]:
    if procedure.agreed is None:
        return
    field = service.form_of(name).get(procedure.agreed)
    if not (isinstance(field, TextField) and field.required) or field.personal:
        yield place, f"{procedure.agreed!r} is no required text of the form of {name!r}, or it is personal"
    if not any(each.outcome == "agree" for each in service.procedures.values()):
        yield place, "no procedure of the service agrees anything"
