"""How cases move, as the model reads a definition: what follows from an action, or why it is refused."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from foundation.calendar import add_months
from foundation.caller import Caller
from tests.integrations.machine.forms import takes
from tests.integrations.machine.terms import Action, Terms, taker
from tests.integrations.machine.world import (
    NOTHING,
    Bill,
    Case,
    Licence,
    Payment,
    Period,
    Refused,
    World,
    day_of,
    personal_free,
)

HANGS = ("issue", "renew")
ON_NONE = ("issue", "agree")
"""What is asked for without a licence; to agree makes none either."""
_COMES_TO = {"suspend": "suspended", "revoke": "revoked", "close": "closed", "void": "void"}


class Sight(Protocol):
    """What the model does not reckon, and looks up: sums, numbers and last days."""

    def total(self, case: Case) -> Decimal:
        """The newest quote."""
        ...

    def bill(self, case: Case) -> Bill:
        """The newest bill."""
        ...

    def licence(self, case: Case) -> tuple[str, Any]:
        """Number and last day of the licence that a case made or acts on."""
        ...


def open_case(world: World, case: Case, sight: Sight, at: datetime) -> list[str]:
    """Let a case begin; the names of the actions taken. Raises Refused as `step` does."""
    world.cases[case.number] = case
    case.place = world.place_of(case)
    action = case.terms.opening(case.procedure)
    return [*step(world, case, action, sight, at, False), *follow(world, case, sight, at)]


def take(
    world: World,
    case: Case,
    action: Action,
    sight: Sight,
    now: datetime,
    form: Mapping[str, Any] | None = None,
    paid: tuple[Payment, Bill] | None = None,
) -> list[str]:
    """Take an action that was found possible, and what follows. Raises Refused as `step` does."""
    at = max(now, case.changed_at)
    if form:
        # What the newest quote says is of the form as it stood.
        case.free = case.free and merged(case.form, form) == case.form
        case.form = merged(case.form, form)
        case.place = world.place_of(case)
    if paid is not None:
        paid[1].state = "settled"
    return [*step(world, case, action, sight, at, bool(form)), *follow(world, case, sight, at)]


def follow(world: World, case: Case, sight: Sight, at: datetime) -> list[str]:
    """The automatic actions, as long as there is one."""
    automatic = [each for each in case.terms.actions(case.procedure) if taker(each) == "automatic"]
    taken: list[str] = []
    while able := world.possible(case, automatic, at):
        taken += step(world, case, able[0], sight, at, False)
        assert len(taken) < 50, "automatic actions come to rest"
    return taken


def step(world: World, case: Case, action: Action, sight: Sight, at: datetime, edited: bool) -> list[str]:
    """One action: its effect, the new state and version.

    Raises:
        Refused: what it is for is not allowed by the licence, its parent or the bill.
    """
    before = case.state
    _effect(world, case, action.get("effect"), sight, at)
    state = case.terms.state(case.procedure, action["to"])
    case.state, case.version, case.changed_at = action["to"], case.version + 1, at
    case.done |= {action["name"]}
    if before != case.state:
        case.escalated, case.entered_at = False, at
    if before != case.state or edited:
        case.checks = {name: said for name, said in case.checks.items() if name not in state["checks"]}
        case.asked |= case.terms.asks_backends(case.procedure, case.state)
    extended = case.extendable(action, at)
    _say(case, action)
    if before != case.state or edited:
        lengths = {name: case.terms.period(name, day_of(at)) for name in state["checks"]}
        case.periods = {
            name: Period(length["extensions"])
            for name, length in lengths.items()
            if length is not None and name not in case.checks
        }
    for name in extended:
        case.periods[name] = Period(case.periods[name].most, case.periods[name].extended + 1)
        # A state that lasts as long as its parties' periods lasts longer now.
        case.escalated = case.escalated and "periods" not in state.get("deadline", {})
    if state["final"] and not case.fulfilled:
        # No claim outlives its cause, and what was paid for nothing is owed back.
        _void(world, case)
    flow = case.terms.procedures[case.procedure]["flow"]
    return [f"{case.terms.code} {flow} {action['name']} from {before or '-'}"]


def time_passed(world: World, case: Case, sight: Sight, now: datetime) -> list[str]:
    """What the clock does to a case that is due."""
    at, version, happened = max(now, case.changed_at), case.version, list[str]()
    for name in [n for n in case.awaited if (until := case.periods[n].until) is not None and until <= at]:
        case.checks = {**case.checks, name: case.terms.content["checks"][name]["silence"]}
        case.periods[name].deemed, case.changed_at = True, at
        case.given.append(("deemed", {name: case.checks[name]}))
        happened.append(f"{case.terms.code} {name} silent")
    if happened:
        happened += follow(world, case, sight, at)
    if case.version != version or case.due is None or case.escalated or case.due > at:
        return happened
    deadline = case.terms.state(case.procedure, case.state)["deadline"]
    timed = [
        each
        for each in case.terms.actions(case.procedure)
        if taker(each) == "timed" and each["name"] == deadline.get("then")
    ]
    if able := world.possible(case, timed, at):
        return [*happened, *take(world, case, able[0], sight, now)]
    case.escalated, case.changed_at, case.timer_at = True, at, None
    flow = case.terms.procedures[case.procedure]["flow"]
    return [*happened, f"{case.terms.code} {flow} escalated in {case.state}"]


def answered(world: World, case: Case, check: str, said: str, sight: Sight, now: datetime) -> list[str]:
    """What an answer of a back-end does."""
    case.checks = {**case.checks, check: said}
    case.asked.discard(check)
    case.changed_at = max(now, case.changed_at)
    return follow(world, case, sight, case.changed_at)


def sees(case: Case, caller: Caller) -> bool:
    """Whether a caller may know of a case."""
    if caller.actor == case.centre or "auditor" in caller.roles:
        return True
    here = not caller.places or case.place in caller.places
    return here and bool(caller.roles & case.terms.actors(case.procedure))


def chosen(
    world: World,
    case: Case,
    caller: Caller,
    at: datetime,
    *,
    name: str | None = None,
    effect: str | None = None,
    version: int | None = None,
    comment: str | None = None,
    form: Mapping[str, Any] | None = None,
) -> Action:
    """The action that a caller means.

    Raises:
        Refused: with every reason there is; which is told first is the product's to say.
    """
    meant = [
        each
        for each in case.terms.actions(case.procedure)
        if each["from"]
        and taker(each) == "role"
        and (each["name"] == name or (effect and each.get("effect") == effect))
    ]
    # A bill is paid by a payment, never by a word.
    if not meant or any(each.get("effect") == "settle" for each in meant):
        raise Refused("NotFound")
    allowed = [each for each in meant if caller.roles & set(each["roles"])]
    if not allowed:
        raise Refused("PermissionDenied")
    stale = {"Stale"} if version not in (None, case.version) else set()
    able = world.possible(case, allowed, max(at, case.changed_at))
    if not able:
        raise Refused("Conflict", *stale)
    why = stale | _against(world, case, able[0], caller, at, comment, form)
    if why:
        raise Refused(*why)
    return able[0]


def merged(form: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """A form with what was sent changed in it; null takes a field out."""
    return {name: value for name, value in {**form, **sent}.items() if value is not None}


def window_faults(
    world: World, terms: Terms, procedure: str, licence: Licence, at: datetime, asked: datetime
) -> bool:
    """Whether a procedure may not be taken on a licence."""
    window = terms.procedures[procedure].get("on")
    if window is None:
        return False
    day, applied = day_of(at), day_of(asked)
    if world.status_on(licence, day) not in window["statuses"]:
        return True
    if window.get("same_day") and day != day_of(licence.issued_at):
        return True
    before, after, within = (
        window.get(name) for name in ("from_days_before_end", "until_days_after_end", "within_days")
    )
    if before is not None and applied < licence.valid_to - timedelta(days=before):
        return True
    if after is not None and not licence.excused and applied > licence.valid_to + timedelta(days=after):
        return True
    since = day_of(world.status(licence)[1])
    return within is not None and applied > since + timedelta(days=within)


def parent_faults(world: World, terms: Terms, parent: str | None, at: datetime, asked: datetime) -> bool:
    """Whether a licence of a service may not hang on another."""
    rule = terms.content.get("parent")
    if rule is None:
        return False
    above = world.licences.get(parent) if parent is not None else None
    if above is None or above.service != rule["service"]:
        return True
    day = day_of(at)
    if world.status_on(above, day) != "valid":
        return True
    needed = add_months(day_of(asked), rule["remaining_months"], terms.content["validity"]["calendar"])
    return above.valid_to < needed - timedelta(days=1)


def _against(
    world: World,
    case: Case,
    action: Action,
    caller: Caller,
    at: datetime,
    comment: str | None,
    form: Mapping[str, Any] | None,
) -> set[str]:
    why = set()
    if action["four_eyes"] and caller.actor == case.centre:
        why.add("PermissionDenied")
    if action["comment"] == "required" and not (comment or "").strip():
        why.add("InvalidInput")
    if action["comment"] == "none" and comment:
        why.add("InvalidInput")
    if "reasons" in action and comment and comment not in action["reasons"]:
        why.add("InvalidInput")
    meant = case
    if form:
        edits = case.terms.asked(case.procedure) if "*" in action["edits"] else action["edits"]
        closed = set(form) - set(edits)
        if closed or not takes(case.terms, case.procedure, merged(case.form, form)):
            why.add("InvalidInput")
        else:
            # The checklist is that of the form as it is sent.
            meant = replace(case, form=merged(case.form, form))
            if world.bars(meant, max(at, case.changed_at)):
                why.add("Conflict")
            if world.rests_on_nothing(case.terms, case.procedure, case.holder, meant.form):
                why.add("InvalidInput")
    if action["complete"] and world.missing(meant):
        why.add("Conflict")
    return why


def _say(case: Case, action: Action) -> None:
    # A party may answer again; who is not concerned is answered for, who has answered is not.
    answers = dict(action.get("answers") or {})
    if taker(action) != "role":
        answers = {name: said for name, said in answers.items() if name not in case.checks}
    if answers:
        case.checks = {**case.checks, **answers}
        case.given.append((action["name"], answers))
    for name in set(answers) & set(case.periods):
        case.periods[name].deemed = False


def _effect(world: World, case: Case, effect: str | None, sight: Sight, at: datetime) -> None:
    free = effect == "fulfil" and not case.terms.procedures[case.procedure]["fees"]
    if (free or effect in ("quote", "invoice")) and world.bars(case, at):
        raise Refused("Conflict")
    match effect:
        case "quote":
            case.free = sight.total(case) == 0
        case "invoice":
            if sight.total(case) == 0:
                raise Refused("Conflict")
            bill = sight.bill(case)
            world.bills[bill.number] = bill
            case.bill = bill.number
        case "void_bill":
            _void(world, case)
        case "fulfil":
            _fulfil(world, case, sight, at)


def _void(world: World, case: Case) -> None:
    bill = world.bills.get(case.bill or "")
    if bill is None or bill.state == "void":
        return
    bill.state, bill.credited = "void", NOTHING
    for payment in world.payments.values():
        if payment.bill == bill.number:
            payment.owed, payment.credited = payment.owed + payment.credited, NOTHING


def _fulfil(world: World, case: Case, sight: Sight, at: datetime) -> None:
    terms, licence = case.terms, world.licences[case.licence] if case.licence else None
    bill = world.bills.get(case.bill or "")
    if (
        terms.procedures[case.procedure]["fees"]
        and not case.free
        and (bill is None or bill.state != "settled")
    ):
        raise Refused("Conflict")
    if licence and window_faults(world, terms, case.procedure, licence, at, case.submitted_at):
        raise Refused("Conflict")
    parent = case.parent or (licence.parent if licence else None)
    if case.outcome in HANGS and parent_faults(world, terms, parent, at, case.submitted_at):
        raise Refused("Conflict")
    held = world.licences.get(parent or "") if case.outcome == "issue" else licence
    asked_for = terms.procedures[case.procedure]["initiator"] == "applicant"
    if held is not None and asked_for and not world.acts_for(case, held.holder):
        raise Refused("Conflict")
    case.fulfilled = True
    if case.outcome == "agree":
        return
    if licence is None:
        number, last = sight.licence(case)
        form = personal_free(terms, case.form)
        own = [("valid", at)]
        world.licences[number] = Licence(number, terms.code, case.holder, form, parent, own, at, last)
        case.licence = number
    else:
        _do(world, case, licence, sight, at)


def _do(world: World, case: Case, licence: Licence, sight: Sight, at: datetime) -> None:
    fell, own = world.status(licence)[2], licence.own[-1][0]
    match case.outcome:
        case "renew":
            licence.excused, licence.valid_to = False, sight.licence(case)[1]
            licence.form |= personal_free(case.terms, case.form)
        case "amend" | "correct":
            licence.form |= personal_free(case.terms, case.form)
        case "transfer":
            party = next(v for n, v in case.form.items() if case.terms.field(n)["type"] == "party")
            licence.holder = (party["kind"], party["identifier"])
        case "void" | "suspend" | "revoke" | "close":
            licence.own.append((_COMES_TO[case.outcome], at))
            if case.outcome == "void":
                # It is void on the day of its issue: all that was paid for it was paid for nothing.
                for fulfilled in [each for each in world.cases.values() if each.licence == licence.number]:
                    if fulfilled.fulfilled:
                        _void(world, fulfilled)
        case "reinstate":
            if fell or own != "suspended":
                raise Refused("Conflict")
            licence.own = [("valid", at)]
        case "uphold":
            if fell or own not in ("suspended", "revoked"):
                raise Refused("Conflict")
            licence.own.pop()
        case "excuse":
            licence.excused = True
    licence.version += case.outcome in ("renew", "amend", "correct", "transfer")
