"""What the machine does to the office, each with what the model says must come of it."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from foundation.caller import Caller
from foundation.errors import RakeezaError
from foundation.idempotency import Answer
from tests.integrations.machine import steps
from tests.integrations.machine.office import Guess, Office
from tests.integrations.machine.steps import Sight
from tests.integrations.machine.world import Refused, World

Outcome = Answer | RakeezaError


@dataclass(frozen=True)
class Op:
    """One write.

    Args:
        name: what it is called in statistics.
        does: the write, under a key.
        model: what it does to the model, given the answer (none if it was refused); gives the names of what
            happened, or raises Refused.
        caller: whose key it is.
        differently: the same under the same key with another content.
    """

    name: str
    caller: Caller
    does: Callable[[str], Answer]
    model: Callable[[World, Sight, Mapping[str, Any] | None], list[str]]
    differently: Callable[[str], Answer] | None = None
    about: str | None = None

    def run(self, key: str) -> Outcome:
        """Do it; an error of ours is an outcome."""
        try:
            return self.does(key)
        except RakeezaError as error:
            return error


@dataclass
class Judged:
    """The world after an outcome, and what happened in it."""

    world: World
    happened: list[str] = field(default_factory=list)


def judge(op: Op, outcome: Outcome, world: World, office: Office) -> Judged:
    """Compare an outcome with what the model says.

    Raises:
        AssertionError: the model says otherwise.
    """
    if isinstance(outcome, Answer):
        after = copy.deepcopy(world)
        try:
            happened = op.model(after, office, outcome.body)
        except Refused as refused:
            raise AssertionError(
                f"{op.name} by {op.caller.actor} was done, and should be refused as {sorted(refused.kinds)}: "
                f"{outcome.body}"
            ) from None
        return Judged(after, [*happened, f"{op.name}: done"])
    told = type(outcome).__name__
    expected = _refusals(op, world)
    assert any(told in kinds or _parent_of(outcome) & kinds for kinds in expected), (
        f"{op.name} by {op.caller.actor} was refused as {told} ({outcome}), and should be "
        f"{[sorted(kinds) for kinds in expected] or 'done'}"
    )
    return Judged(world, [f"{op.name}: {told}"])


def _refusals(op: Op, world: World) -> list[frozenset[str]]:
    # Whether the quote of an action that was undone came to nothing, nobody can look up: either is believed.
    found = []
    for free in (False, True):
        try:
            op.model(copy.deepcopy(world), Guess(free), None)
        except Refused as refused:
            found.append(refused.kinds)
    return found


def _parent_of(error: RakeezaError) -> set[str]:
    # A kind of InvalidInput is one; Stale and a mismatch of keys are told apart from other conflicts.
    return {"InvalidInput"} if any(each.__name__ == "InvalidInput" for each in type(error).__mro__) else set()


def take(
    office: Office,
    caller: Caller,
    number: str,
    *,
    name: str | None = None,
    effect: str | None = None,
    version: int | None = None,
    comment: str | None = None,
    form: Mapping[str, Any] | None = None,
) -> Op:
    """An action on a case, by its name or as a quote or an invoice."""
    cases = office.licensing.cases
    at = office.at

    def does(key: str) -> Answer:
        if effect == "quote":
            return cases.quote(caller, number, key, version)
        if effect == "invoice":
            return cases.invoice(caller, number, key, version)
        return cases.take(caller, number, str(name), key, version, comment, form)

    def differently(key: str) -> Answer:
        if effect is not None:
            return cases.take(caller, number, effect, key, version, comment, form)
        return cases.take(caller, number, str(name), key, (version or 0) + 1, comment, form)

    def model(world: World, sight: Sight, body: Mapping[str, Any] | None) -> list[str]:
        case = world.cases[number]
        if not steps.sees(case, caller):
            raise Refused("NotFound")
        action = steps.chosen(
            world, case, caller, at, name=name, effect=effect, version=version, comment=comment, form=form
        )
        happened = steps.take(world, case, action, sight, at, form)
        if body is not None and effect is None:
            assert (body["state"], body["version"]) == (case.state, case.version), body
        return happened

    return Op(f"take {effect or 'action'}", caller, does, model, differently, number)


def put(
    office: Office, caller: Caller, number: str, code: str, name: str, data: bytes, kind: str | None
) -> Op:
    """A document handed in.

    Args:
        kind: what the data is; None is no document.
    """
    files = office.licensing.files
    at = office.at

    def model(world: World, _sight: Sight, body: Mapping[str, Any] | None) -> list[str]:
        case = world.cases[number]
        if not steps.sees(case, caller):
            raise Refused("NotFound")
        # A party hands in nothing, whatever it is.
        acting = caller.roles & case.terms.actors(case.procedure)
        if acting <= case.terms.parties() and caller.actor != case.centre and "auditor" not in caller.roles:
            raise Refused("PermissionDenied")
        asked = next((each for each in case.terms.documents(case.procedure) if each["code"] == code), None)
        if asked is None:
            raise Refused("NotFound")
        why = {"InvalidInput"} if kind not in asked["types"] else set()
        why |= {"Conflict"} if case.final else set()
        waits = (caller.roles & world.desk(case)) - {"payment", "kiosk"}
        here = not caller.places or case.place in caller.places
        if caller.actor != case.centre and not (waits - {"centre"} and here):
            why.add("PermissionDenied")
        looked_at = case.terms.wants_papers(case.procedure, case.state) and code in world.wanted(case)
        if case.terms.content.get("own_words") == "none" and not looked_at:
            why.add("Conflict")
        if why:
            raise Refused(*why)
        case.documents.add(code)
        case.version, case.changed_at = case.version + 1, max(at, case.changed_at)
        assert body is None or body["case_version"] == case.version, body
        return []

    def does(key: str) -> Answer:
        return files.put(caller, number, code, name, data, key)

    return Op(
        "document",
        caller,
        does,
        model,
        lambda key: files.put(caller, number, code, "x" + name, data, key),
        number,
    )


def time_passed(office: Office) -> Op:
    """A round of the clock."""
    at = office.at

    def does(_key: str) -> Answer:
        return Answer(200, {"looked_at": office.licensing.cases.time_passed(1_000)})

    def model(world: World, sight: Sight, _body: Mapping[str, Any] | None) -> list[str]:
        happened: list[str] = []
        due = sorted(
            (case.timer_at, case.number)
            for case in world.cases.values()
            if case.timer_at is not None and case.timer_at <= at
        )
        for _, number in due:
            before = copy.deepcopy(world)
            try:
                happened += steps.time_passed(world, world.cases[number], sight, at)
            except Refused:
                # What the definition wants and the licence forbids is put off, and tried again.
                vars(world).update(vars(before))
                happened.append("time passed: put off")
        return happened

    return Op("time passed", Caller("clock", "system", frozenset()), does, model)


def answer(office: Office, number: str, check: str, says: str, attempts: int) -> Op:
    """A back-end's answer to a check of a case, as the worker takes it.

    Args:
        says: yes, no, silent or refusing.
        attempts: most that the check allows.
    """
    call = office.call(number, check)
    key, attempt = call["key"], call["attempts"]
    at: datetime = office.at

    def does(_key: str) -> Answer:
        office.oracle.says = getattr(office.oracle, says)
        office.calling.make({"key": key, "attempt": attempt}, 1)
        return Answer(200, {})

    def model(world: World, sight: Sight, _body: Mapping[str, Any] | None) -> list[str]:
        case = world.cases[number]
        state = case.terms.state(case.procedure, case.state)
        if check not in state["checks"]:
            case.asked.discard(check)
            return ["check: dropped"]
        if says not in ("yes", "no"):
            return [
                "check: parked" if says == "refusing" or attempt + 1 >= attempts else "check: no answer yet"
            ]
        before = copy.deepcopy(world)
        try:
            return steps.answered(world, case, check, "passed" if says == "yes" else "failed", sight, at)
        except Refused:
            vars(world).update(vars(before))
            return ["check: answer not taken"]

    return Op(f"answer {says}", Caller("backends", "system", frozenset()), does, model, None, number)


def retry(office: Office, caller: Caller, number: str, check: str) -> Op:
    """A parked call put back by whoever mends them."""
    call = office.call(number, check)

    def does(key: str) -> Answer:
        return office.licensing.outside.retry(caller, call["id"], key)

    def model(_world: World, _sight: Sight, _body: Mapping[str, Any] | None) -> list[str]:
        if call["state"] != "parked":
            raise Refused("Conflict")
        return []

    return Op("retry", caller, does, model, None, number)
