"""What to do next, chosen at random: what the model believes to be right, and what it knows to be wrong."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from foundation.caller import Caller
from tests.integrations.desk import PNG
from tests.integrations.machine import applying, ops, paying, steps
from tests.integrations.machine.applying import Application
from tests.integrations.machine.forms import Person, Writer
from tests.integrations.machine.office import Guess, Office
from tests.integrations.machine.ops import Op
from tests.integrations.machine.terms import taker
from tests.integrations.machine.world import Case, Refused, World, day_of
from tests.integrations.paths import DRAWING

COMMENT = "قرار مدروس"


class Chooser:
    """Chooses.

    Args:
        rng: decides.
        mark: stands in every personal text.
        people: who may apply.
        reference: gives references that no payment has.
    """

    def __init__(
        self,
        office: Office,
        world: World,
        rng: Random,
        mark: str,
        people: list[Person],
        reference: Callable[[], str],
    ) -> None:
        self.office = office
        self.world = world
        self.rng = rng
        self.mark = mark
        self.people = people
        self.reference = reference
        self.writer = Writer(rng, mark)

    # ---------------------------------------------------------------- applications

    def application(self, service: str, procedure: str, licence: str | None) -> Application:
        """A right application."""
        rng, terms = self.rng, self.office.terms[service]
        asked = terms.procedures[procedure]
        form = self.writer.form(terms, procedure, self.people)
        parents = [
            each.number for each in self.world.licences.values() if self._is_parent(service, each.service)
        ]
        parent = rng.choice(parents) if asked["outcome"] == "issue" and parents else None
        applicant = None
        if asked["initiator"] == "applicant":
            kinds = terms.content["applicant"]["identifiers"]
            applicant = self._applicant(kinds, asked["capacities"], licence or parent)
            agreed = self.world.agreements(terms, (applicant["kind"], applicant["identifier"]))
            if "agreed" in asked and agreed:
                form[asked["agreed"]] = rng.choice(agreed)
        return Application(service, procedure, applicant, form, licence, parent)

    def open_right(
        self, *outcomes: str, flow: tuple[str, str] | None = None, service: str | None = None
    ) -> Op | None:
        """A case that the model says can be opened, or none if it finds no such.

        Args:
            outcomes: only of a procedure with one of these; without, of any.
            flow: only of procedures of this service that follow this flow.
            service: only of this one.
        """
        ways = [
            (terms.code, procedure, licence)
            for terms in self.office.terms.values()
            for procedure, asked in terms.procedures.items()
            if (not outcomes or asked["outcome"] in outcomes)
            and service in (None, terms.code)
            and flow in (None, (terms.code, asked["flow"]))
            for licence in ([None] if asked["outcome"] in steps.ON_NONE else self._licences_of(terms.code))
        ]
        # Each procedure is as likely as each other, however many licences there are.
        self.rng.shuffle(ways)
        order = {pair: self.rng.random() for pair in sorted({way[:2] for way in ways})}
        ways.sort(key=lambda way: order[way[:2]])
        for code, procedure, licence in ways:
            sent = self.application(code, procedure, licence)
            openers = [
                each for each in self.office.callers if applying.may_open(self.office, each, code, procedure)
            ]
            if openers and not applying.against(self.office, self.world, sent):
                return applying.submit(self.office, self.rng.choice(openers), sent)
        return None

    def open_wrong(self) -> Op:
        """An application with something that may be wrong: caller, form, applicant, licence or parent."""
        rng = self.rng
        service = rng.choice(sorted(self.office.terms))
        terms = self.office.terms[service]
        procedure = rng.choice(sorted(terms.procedures))
        known = [None, "SL-2026-999999", *self.world.licences]
        sent = self.application(service, procedure, rng.choice(known))
        match rng.randrange(5):
            case 0:
                sent = replace(sent, form=self.writer.wrong_form(terms, procedure, sent.form))
            case 1:
                sent = replace(sent, applicant=self._wrong_applicant(sent.applicant))
            case 2:
                sent = replace(sent, parent=rng.choice(known))
        openers = [
            each for each in self.office.callers if applying.may_open(self.office, each, service, procedure)
        ]
        anyone = rng.random() < 0.3 or not openers
        return applying.submit(self.office, rng.choice(self.office.callers if anyone else openers), sent)

    # ---------------------------------------------------------------- cases

    def go_on(
        self, number: str, straight: float = 0.7, astray: bool = False, goal: str | None = None
    ) -> Op | None:
        """What lets a case go on; none if only time does.

        Args:
            straight: how likely it is to be what leads to its goal.
            goal: a state; without one it is being fulfilled.
            astray: rather what does not.
        """
        case = self.world.cases[number]
        found: list[Op] = []
        for check in sorted(case.asked & set(self._state(case)["checks"])):
            found += [self.answer(case, check)] * 2
        actions = [a for a in case.terms.leaving(case.procedure, case.state) if taker(a) == "role"]
        able = self.world.possible(case, actions, max(self.office.at, case.changed_at))
        far = case.terms.way(case.procedure, goal)
        here = far.get(case.state, 0)
        near = [
            each
            for each in able
            if (goal is None and each.get("effect") == "fulfil") or far.get(each["to"], 1_000) < here
        ]
        # Without the answers of parties nothing else goes on.
        near = near or [each for each in able if self._answers(case, each, goal)]
        if astray:
            able = [action for action in able if action not in near] or able
        elif self.rng.random() < straight:
            able = near or able
        for action in able:
            if action.get("effect") == "settle":
                found += [self.pay(case, Decimal(0))] * 3
            elif action["complete"] and (missing := self.world.missing(case)):
                found.append(self.document(case, missing[0]))
            elif (op := self._able(case, action)) is not None:
                found.append(op)
        return self.rng.choice(found) if found else None

    def exactly(self, case: Case, name: str) -> Op | None:
        """The action of this name, by whoever may take it in the case's state."""
        leaving = [a for a in case.terms.leaving(case.procedure, case.state) if a["name"] == name]
        action = next((a for a in leaving if taker(a) == "role" and a.get("effect") != "settle"), None)
        if action is None or (action["complete"] and self.world.missing(case)):
            return self.go_on(case.number)
        return self._able(case, action) or self.go_on(case.number, 1.0, goal=case.state)

    def act(self, number: str) -> Op:
        """Any action by anybody."""
        rng, case = self.rng, self.world.cases[number]
        names = sorted({action["name"] for action in case.terms.actions(case.procedure)} | {"no_such_action"})
        version = rng.choice([None, None, case.version, case.version - 1, case.version + 1])
        comment = rng.choice([None, COMMENT, COMMENT, "  "])
        caller = rng.choice(self.office.callers)
        if rng.random() < 0.15:
            effect = rng.choice(["quote", "invoice"])
            return ops.take(self.office, caller, number, effect=effect, version=version)
        name = rng.choice(names)
        action = next((a for a in case.terms.actions(case.procedure) if a["name"] == name), None)
        form = self._edit(case, rng.random() < 0.3) if rng.random() < 0.25 and action else None
        if comment == "  " and (action is None or action["comment"] != "required"):
            comment = None
        return ops.take(self.office, caller, number, name=name, version=version, comment=comment, form=form)

    def document(self, case: Case, code: str | None = None) -> Op:
        """A document; without a code anything by anybody."""
        rng = self.rng
        if code is not None:
            able = [each for each in self.office.callers if each.actor == case.centre]
            asked = next(each for each in case.terms.content["documents"] if each["code"] == code)
            taken = "image/png" if "image/png" in asked["types"] else "application/pdf"
            content = PNG if taken == "image/png" else DRAWING
            return ops.put(self.office, able[0], case.number, code, f"{self.mark}.png", content, taken)
        codes = [each["code"] for each in case.terms.content["documents"]] or ["none"]
        data, kind = rng.choice([(PNG, "image/png"), (b"GIF89a", None)])
        caller = rng.choice(
            [*self.office.callers, *(c for c in self.office.callers if c.actor == case.centre)]
        )
        return ops.put(self.office, caller, case.number, rng.choice(codes), f"{self.mark}.gif", data, kind)

    def answer(self, case: Case, check: str) -> Op:
        """An answer to a check; a parked one is put back first."""
        if self.office.call(case.number, check)["state"] == "parked":
            mender = next(each for each in self.office.callers if "administrator" in each.roles)
            return ops.retry(self.office, mender, case.number, check)
        says = self.rng.choice(["yes", "yes", "no", "silent", "refusing"])
        attempts = case.terms.content["checks"][check]["attempts"]
        return ops.answer(self.office, case.number, check, says, attempts)

    # ---------------------------------------------------------------- money

    def pay(self, case: Case, more: Decimal) -> Op:
        """A payment of what a case's bill still needs, and something more or less."""
        bill = self.world.bills[case.bill or ""]
        amount = max(bill.amount - bill.credited + more, Decimal("0.01"))
        tills = [each for each in self.office.callers if "payment" in each.roles]
        fitting = [each for each in tills if self._settles(case, each)]
        caller = self.rng.choice(fitting or tills)
        return paying.notify(self.office, caller, bill.number, amount, self.office.at, self.reference())

    def pay_oddly(self) -> Op:
        """A payment of any kind: of no bill or an old one, refused, late, told twice, by anybody."""
        rng, office = self.rng, self.office
        numbers = [*self.world.bills, "2600000000011"]
        bill = self.world.bills.get(rng.choice(numbers))
        rest = bill.amount - bill.credited if bill else Decimal(100)
        halalas = rng.choice([rest, rest, rest - 1, rest + Decimal("0.01"), rest / 2, Decimal("0.01")])
        amount = max(halalas.quantize(Decimal("0.01")), Decimal("0.01"))
        tills = [each for each in office.callers if "payment" in each.roles]
        caller = rng.choice(tills if rng.random() < 0.85 else office.callers)
        known = list(self.world.payments.values())
        reference = rng.choice(known).reference if known and rng.random() < 0.2 else self.reference()
        status: paying.Status = "refused" if rng.random() < 0.1 else "paid"
        paid_at = office.at - timedelta(hours=rng.choice([0, 0, 30, 24 * 40]))
        if reference in self.world.payments:
            status, amount = "paid", amount + Decimal(1_000)
        number = bill.number if bill else numbers[-1]
        return paying.notify(office, caller, number, amount, paid_at, reference, status)

    def money(self) -> Op | None:
        """A step of finance: of what waits, or of a refund."""
        rng, office = self.rng, self.office
        finance = [each for each in office.callers if "finance" in each.roles]
        caller = rng.choice(finance if rng.random() < 0.9 else office.callers)
        waiting = [each for each in self.world.payments.values() if each.waiting or rng.random() < 0.1]
        if waiting and rng.random() < 0.5:
            payment = rng.choice(waiting)
            if self.world.bills and rng.random() < 0.6:
                return paying.assign(office, caller, payment.reference, rng.choice([*self.world.bills]))
            return paying.give_back(office, caller, payment.reference)
        rows = office.rows(
            "SELECT r.id, r.state, r.asked_by, r.approved_by FROM case_refund r "
            "JOIN case_payment p ON p.id = r.payment_id "
            "WHERE p.reference = ANY(:own) AND r.state <> 'failed' ORDER BY r.id",
            own=[*self.world.payments],
        )
        if not rows:
            return None
        refund = rng.choice(rows)
        right = {
            "due": ["approved"],
            "approved": ["sent"],
            "sent": ["confirmed", "failed"],
            "confirmed": ["failed"],
        }
        way = rng.choice(
            right[refund["state"]] if rng.random() < 0.85 else ["approved", "sent", "confirmed", "failed"]
        )
        return paying.move_refund(office, caller, refund, way, self.reference())

    # ---------------------------------------------------------------- people

    def delegate(self, whole: bool = False) -> Op:
        """A delegation, right or wrong; a whole one lets an agent do everything, and for long."""
        rng = self.rng
        principal, agent = rng.sample([each for each in self.people if each.kind != "border_number"], 2)
        if agent.kind == "unified_number":
            principal, agent = agent, next(e for e in self.people if e.kind == "iqama")
        said = {"kind": "", "identifier": "", "name": ""}
        message: dict[str, Any] = {
            "principal": {name: principal.said()[name] for name in said},
            "agent": {name: agent.said()[name] for name in said},
            "capacity": "agent" if whole else rng.choice(["manager", "agent"]),
        }
        days = 900 if whole else rng.choice([None, 0, 90, 900, -1 if rng.random() < 0.2 else 300])
        if days is not None:
            message["valid_until"] = (day_of(self.office.at) + timedelta(days=days)).isoformat()
        if not whole and rng.random() < 0.3:
            message["services"] = [rng.choice(sorted(self.office.terms))]
        if not whole and rng.random() < 0.1:
            message["actor"] = {name: agent.said()[name] for name in said}
        centres = [each for each in self.office.callers if "centre" in each.roles]
        caller = rng.choice(centres if whole or rng.random() < 0.9 else self.office.callers)
        return applying.delegate(self.office, caller, message)

    def end_delegation(self) -> Op | None:
        """A delegation revoked."""
        if not self.world.delegations:
            return None
        number = self.rng.choice(self.world.delegations).id
        return applying.end_delegation(self.office, self.rng.choice(self.office.callers), number)

    def _applicant(self, kinds: list[str], capacities: list[str], licence: str | None) -> dict[str, Any]:
        rng = self.rng
        fitting = [each for each in self.people if each.kind in kinds]
        holder = self.world.licences[licence].holder if licence in self.world.licences else None
        owner = next((each for each in fitting if each.who == holder), None) if rng.random() < 0.85 else None
        if owner is None and "owner" not in capacities:
            # Whom nobody may act for has no way in.
            let = {each.principal for each in self.world.delegations if each.capacity in capacities}
            owner = next((each for each in fitting if each.who in let), None)
        owner = owner or rng.choice(fitting)
        others = [capacity for capacity in capacities if capacity != "owner"]
        if not others or ("owner" in capacities and rng.random() < 0.6):
            return {**owner.said(), **({"capacity": "owner"} if rng.random() < 0.5 else {})}
        given = [each for each in self.world.delegations if each.principal == owner.who]
        known = {each.who: each for each in self.people}
        if given and rng.random() < 0.85:
            chosen = rng.choice(given)
            actor, capacity = known[chosen.agent], chosen.capacity
        else:
            actor = rng.choice([each for each in self.people if each.kind in ("national_id", "iqama")])
            capacity = rng.choice(others)
        names = ("kind", "identifier", "name")
        return {**owner.said(), "capacity": capacity, "actor": {name: actor.said()[name] for name in names}}

    def _wrong_applicant(self, applicant: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
        if applicant is None:
            return self.rng.choice(self.people).said()
        number = applicant["identifier"]
        other = number[:-1] + str((int(number[-1]) + 1) % 10)
        wrong: list[Mapping[str, Any] | None] = [
            {**applicant, "identifier": other},
            {**applicant, "mobile": "0501234567"},
            {**applicant, "capacity": "agent"},
            None,
        ]
        return self.rng.choice(wrong)

    def _answers(self, case: Case, action: Mapping[str, Any], goal: str | None) -> bool:
        # It answers what nobody has; on the way to the end of all, that it may go on.
        return any(
            name not in case.checks and (said == "passed" or goal is not None)
            for name, said in (action.get("answers") or {}).items()
        )

    def _able(self, case: Case, action: Mapping[str, Any]) -> Op | None:
        callers = list(self.office.callers)
        self.rng.shuffle(callers)
        form = (
            self._edit(case, False, action["edits"]) if action["edits"] and self.rng.random() < 0.6 else None
        )
        for caller in callers:
            version = case.version if self.rng.random() < 0.5 else None
            comment = (
                None if action["comment"] == "none" else self.rng.choice([*action.get("reasons", [COMMENT])])
            )
            words: dict[str, Any] = {"version": version, "comment": comment, "form": form}
            op = ops.take(self.office, caller, case.number, name=action["name"], **words)
            if caller.roles & set(action["roles"]) and self._right(op):
                return op
        return None

    def _right(self, op: Op) -> bool:
        try:
            op.model(copy.deepcopy(self.world), Guess(False), None)
        except Refused:
            return False
        return True

    def _edit(self, case: Case, wrong: bool, names: list[str] | None = None) -> dict[str, Any]:
        whole = self.writer.form(case.terms, case.procedure, self.people)
        open_ = [name for name in whole if names is None or "*" in names or name in names]
        sent = {name: whole[name] for name in open_ if self.rng.random() < 0.5}
        return {**sent, "stranger": 1} if wrong else sent

    def _settles(self, case: Case, caller: Caller) -> bool:
        roles = caller.roles | {"payment"}
        return any(
            a.get("effect") == "settle" and roles & set(a["roles"])
            for a in case.terms.actions(case.procedure)
        )

    def _licences_of(self, service: str) -> list[str]:
        return [each.number for each in self.world.licences.values() if each.service == service]

    def _is_parent(self, service: str, of: str) -> bool:
        rule = self.office.terms[service].content.get("parent")
        return rule is not None and rule["service"] == of

    def _state(self, case: Case) -> Mapping[str, Any]:
        return case.terms.state(case.procedure, case.state)
