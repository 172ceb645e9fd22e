"""Applications and delegations: who asks for what, in whose name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from foundation.caller import Caller
from foundation.idempotency import Answer
from tests.integrations.machine import steps
from tests.integrations.machine.forms import identified, takes
from tests.integrations.machine.office import Office
from tests.integrations.machine.ops import Op
from tests.integrations.machine.steps import Sight
from tests.integrations.machine.terms import channel
from tests.integrations.machine.world import (
    Case,
    Delegation,
    Refused,
    Who,
    World,
    day_of,
    personal_free,
)


@dataclass(frozen=True)
class Application:
    """What is sent: the message, and what the model knows of its form.

    Args:
        right: the applicant and the form are as the procedure takes them.
    """

    service: str
    procedure: str
    applicant: Mapping[str, Any] | None
    form: Mapping[str, Any]
    licence: str | None = None
    parent: str | None = None

    def message(self) -> dict[str, Any]:
        """As it is sent."""
        parts = {"licence": self.licence, "parent": self.parent, "applicant": self.applicant}
        said = {name: value for name, value in parts.items() if value is not None}
        return {"service": self.service, "procedure": self.procedure, **said, "form": dict(self.form)}


def submit(office: Office, caller: Caller, sent: Application) -> Op:
    """A case opened."""
    at = office.at
    terms = office.terms[sent.service]
    message = sent.message()

    def model(world: World, sight: Sight, body: Mapping[str, Any] | None) -> list[str]:
        _check_opener(office, caller, sent)
        if why := against(office, world, sent):
            raise Refused(*why)
        licence = world.licences[sent.licence] if sent.licence else None
        holder, kind, capacity = _applicant(sent.applicant, licence.holder if licence else None)
        case = Case(
            number=str(body["number"]) if body else "guessed",
            terms=terms,
            procedure=sent.procedure,
            centre=caller.actor,
            holder=holder,
            kind=kind,
            capacity=capacity,
            form=dict(sent.form),
            licence=sent.licence,
            parent=sent.parent,
            submitted_at=at,
            changed_at=at,
            entered_at=at,
        )
        happened = steps.open_case(world, case, sight, at)
        if body is not None:
            assert (body["state"], body["version"]) == (case.state, case.version), body
        return happened

    def does(key: str) -> Answer:
        return office.licensing.cases.submit(caller, message, key)

    def differently(key: str) -> Answer:
        return office.licensing.cases.submit(caller, {**message, "form": {**sent.form, "x": 1}}, key)

    return Op("submit", caller, does, model, differently)


def against(office: Office, world: World, sent: Application) -> set[str]:
    """Every reason to refuse an application whoever brings it; the names of the errors."""
    terms = office.terms[sent.service]
    procedure = terms.procedures[sent.procedure]
    by_office, issues = procedure["initiator"] == "office", procedure["outcome"] == "issue"
    on_licence = procedure["outcome"] not in steps.ON_NONE
    why = set()
    if not takes(terms, sent.procedure, dict(sent.form)):
        why.add("InvalidInput")
    if by_office != (sent.applicant is None) or (
        sent.applicant is not None and not _right(terms, procedure, sent)
    ):
        why.add("InvalidInput")
    if on_licence != (sent.licence is not None) or (sent.parent is not None and not _hangs(terms, issues)):
        why.add("InvalidInput")
    if {sent.licence, sent.parent} - {None} - set(world.licences):
        why.add("NotFound")
    licence = world.licences.get(sent.licence or "")
    if licence is not None and licence.service != sent.service:
        why.add("NotFound")
    if why:
        return why
    held_by = licence.holder if licence else None
    if not by_office and not _may_act(world, sent, procedure["capacities"], held_by, office.at):
        why.add("PermissionDenied")
    if licence is not None and (
        any(
            not c.final and (c.licence, c.procedure) == (sent.licence, sent.procedure)
            for c in world.cases.values()
        )
        or steps.window_faults(world, terms, sent.procedure, licence, office.at, office.at)
    ):
        why.add("Conflict")
    parent = sent.parent or (licence.parent if licence else None)
    if procedure["outcome"] in steps.HANGS and steps.parent_faults(
        world, terms, parent, office.at, office.at
    ):
        why.add("Conflict")
    whom = held_by if sent.applicant is None else _who(sent.applicant)
    assert whom is not None
    form = {**(licence.form if licence else {}), **personal_free(terms, sent.form)}
    if world.is_barred(terms, sent.procedure, sent.licence, whom, form, office.at):
        why.add("Conflict")
    if world.rests_on_nothing(terms, sent.procedure, whom, sent.form):
        why.add("InvalidInput")
    above = world.licences.get(sent.parent or "")
    if above is not None and sent.applicant is not None:
        who = _who(sent.applicant)
        if above.holder != who and not _lets(
            world, sent, above.holder, who, procedure["capacities"], office.at
        ):
            why.add("Conflict")
    return why


def may_open(office: Office, caller: Caller, service: str, procedure: str) -> bool:
    """Whether a caller's roles open a procedure where he stands."""
    terms = office.terms[service]
    return bool(caller.roles & set(terms.opening(procedure)["roles"])) and (
        channel(caller.roles) in terms.procedures[procedure]["channels"]
    )


def delegate(office: Office, caller: Caller, message: Mapping[str, Any]) -> Op:
    """A delegation given."""
    people, at = office.licensing.people, office.at

    def model(world: World, _sight: Sight, body: Mapping[str, Any] | None) -> list[str]:
        if "centre" not in caller.roles:
            raise Refused("PermissionDenied")
        principal, agent = _who(message["principal"]), _who(message["agent"])
        last = message.get("valid_until")
        first, until = day_of(at), date.fromisoformat(last) if last else None
        endless = until is None and message["capacity"] == "agent"
        if principal == agent or endless or (until is not None and until < first):
            raise Refused("InvalidInput")
        if "actor" in message and _who(message["actor"]) != principal:
            raise Refused("PermissionDenied")
        services, procedures = list(message.get("services", [])), list(message.get("procedures", []))
        number = int(body["id"]) if body else 0
        given = Delegation(number, principal, agent, message["capacity"], services, procedures, first, until)
        world.delegations.append(given)
        return []

    def does(key: str) -> Answer:
        return people.delegate(caller, message, key)

    def differently(key: str) -> Answer:
        return people.delegate(caller, {**message, "services": ["shop_licence", "shop_licence"]}, key)

    return Op("delegate", caller, does, model, differently)


def end_delegation(office: Office, caller: Caller, number: int) -> Op:
    """A delegation revoked."""

    def model(world: World, _sight: Sight, _body: Mapping[str, Any] | None) -> list[str]:
        if not caller.roles & {"centre", "privacy"}:
            raise Refused("PermissionDenied")
        found = next(each for each in world.delegations if each.id == number)
        if found.ended_at is not None:
            raise Refused("Conflict")
        found.ended_at = office.at
        return []

    def does(key: str) -> Answer:
        return office.licensing.people.end_delegation(caller, number, key)

    return Op("end delegation", caller, does, model)


def _check_opener(office: Office, caller: Caller, sent: Application) -> None:
    # Alone, before all else: whoever may not open it learns nothing of a licence.
    if not may_open(office, caller, sent.service, sent.procedure):
        raise Refused("PermissionDenied")


def _right(terms: Any, procedure: Mapping[str, Any], sent: Application) -> bool:
    applicant = sent.applicant
    assert applicant is not None
    capacity, actor = applicant.get("capacity", "owner"), applicant.get("actor")
    if applicant["kind"] not in terms.content["applicant"]["identifiers"] or not identified(applicant):
        return False
    if capacity not in procedure["capacities"] or (capacity == "owner") != (actor is None):
        return False
    if len(applicant["mobile"]) != 13:
        return False
    return actor is None or (actor["kind"] in ("national_id", "iqama") and identified(actor))


def _hangs(terms: Any, issues: bool) -> bool:
    return issues and "parent" in terms.content


def _may_act(
    world: World, sent: Application, capacities: Sequence[str], holder: Who | None, at: datetime
) -> bool:
    applicant = sent.applicant
    assert applicant is not None
    capacity, who = applicant.get("capacity", "owner"), _who(applicant)
    if capacity != "owner" and not _lets(world, sent, who, _who(applicant["actor"]), [capacity], at):
        return False
    if holder in (None, who):
        return True
    return capacity == "owner" and _lets(world, sent, holder, who, capacities, at)


def _lets(
    world: World, sent: Application, principal: Who, agent: Who, capacities: Sequence[str], at: datetime
) -> bool:
    # Nobody is let act as the owner: that is no capacity of a delegation.
    return any(
        (each.principal, each.agent) == (principal, agent)
        and each.covers(sent.service, sent.procedure, at, capacities)
        for each in world.delegations
    )


def _applicant(applicant: Mapping[str, Any] | None, holder: Who | None) -> tuple[Who, str, str]:
    if applicant is None:
        assert holder is not None
        return holder, holder[0], "owner"
    return _who(applicant), applicant["kind"], applicant.get("capacity", "owner")


def _who(person: Mapping[str, Any]) -> Who:
    return person["kind"], person["identifier"]
