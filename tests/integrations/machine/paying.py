"""Money as the model understands it: what becomes of each notice, and of what waits or is owed back."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from foundation.caller import Caller
from foundation.idempotency import Answer
from integrations.cases.payments import Notice
from tests.integrations.machine import steps
from tests.integrations.machine.office import Office
from tests.integrations.machine.ops import Op
from tests.integrations.machine.steps import Sight
from tests.integrations.machine.terms import taker
from tests.integrations.machine.world import NOTHING, Bill, Case, Payment, Refused, World, day_of

Status = Literal["paid", "refused"]


def notify(
    office: Office,
    caller: Caller,
    bill: str,
    amount: Decimal,
    paid_at: datetime,
    reference: str,
    status: Status = "paid",
) -> Op:
    """A bank's notice of a payment."""
    notice = Notice(bill, amount, paid_at, reference, status)
    at = office.at

    def model(world: World, sight: Sight, body: Mapping[str, Any] | None) -> list[str]:
        if "payment" not in caller.roles:
            raise Refused("PermissionDenied")
        if reference in world.payments:
            return _repeated(world.payments[reference], notice)
        payment = Payment(reference, amount, day_of(paid_at), bill)
        outcome, happened = _received(world, payment, status, caller, sight, at)
        world.payments[reference] = payment
        if body is not None:
            told = tuple(Decimal(body[name]) for name in ("credited", "owed_back", "waiting"))
            assert (body["outcome"], *told) == (outcome, payment.credited, payment.owed, payment.waiting), (
                body
            )
        return [*happened, f"payment: {outcome}"]

    def does(key: str) -> Answer:
        return office.licensing.money.notify(caller, notice, key)

    def differently(key: str) -> Answer:
        more = replace(notice, amount=amount + Decimal("0.01"))
        return office.licensing.money.notify(caller, more, key)

    return Op("pay", caller, does, model, differently)


def assign(office: Office, caller: Caller, reference: str, bill: str) -> Op:
    """Waiting money credited to a bill."""
    at = office.at

    def model(world: World, sight: Sight, _body: Mapping[str, Any] | None) -> list[str]:
        _check_finance(caller)
        payment = _waiting(world, reference)
        meant = world.bills[bill]
        case = world.cases[meant.case]
        outcome, credited, owed, settles = _judged(world, case, meant, payment)
        if not credited:
            raise Refused("Conflict")
        happened = []
        if settles:
            happened = _settle(world, case, meant, payment, caller, sight, at)
        payment.bill, payment.credited, payment.owed, payment.waiting = bill, credited, owed, NOTHING
        meant.credited += credited
        return [*happened, f"assigned: {outcome}"]

    def does(key: str) -> Answer:
        return office.licensing.money.assign(caller, reference, bill, key)

    return Op("assign", caller, does, model)


def give_back(office: Office, caller: Caller, reference: str) -> Op:
    """Waiting money owed back."""

    def model(world: World, _sight: Sight, _body: Mapping[str, Any] | None) -> list[str]:
        _check_finance(caller)
        payment = _waiting(world, reference)
        payment.owed, payment.waiting = payment.owed + payment.waiting, NOTHING
        return []

    def does(key: str) -> Answer:
        return office.licensing.money.give_back(caller, reference, key)

    return Op("give back", caller, does, model)


def move_refund(office: Office, caller: Caller, refund: Mapping[str, Any], way: str, reference: str) -> Op:
    """A refund approved, sent, confirmed or failed.

    Args:
        refund: as it was read: id, state, asked_by, approved_by.
        way: one of these four.
    """
    money, number = office.licensing.money, int(refund["id"])
    ways: dict[str, tuple[Sequence[str], Callable[[str], Answer]]] = {
        "approved": (["due"], lambda key: money.approve_refund(caller, number, key)),
        "sent": (["approved"], lambda key: money.refund_sent(caller, number, reference, key)),
        "confirmed": (["sent"], lambda key: money.refund_confirmed(caller, number, key)),
        "failed": (
            ["sent", "confirmed"],
            lambda key: money.refund_failed(caller, number, "account closed", key),
        ),
    }
    needs, does = ways[way]

    def model(_world: World, _sight: Sight, _body: Mapping[str, Any] | None) -> list[str]:
        _check_finance(caller)
        why = set() if refund["state"] in needs else {"Conflict"}
        before = {"approved": "asked_by", "sent": "approved_by"}.get(way)
        if before is not None and refund[before] == caller.actor:
            why.add("PermissionDenied")
        if why:
            raise Refused(*why)
        return []

    return Op(f"refund {way}", caller, does, model)


def _received(
    world: World, payment: Payment, status: Status, caller: Caller, sight: Sight, at: datetime
) -> tuple[str, list[str]]:
    if status == "refused":
        return "refused", []
    bill = world.bills.get(payment.bill or "")
    if bill is None:
        payment.waiting = payment.amount
        return "unknown_bill", []
    case = world.cases[bill.case]
    outcome, credited, owed, settles = _judged(world, case, bill, payment)
    happened: list[str] = []
    if settles:
        before = copy.deepcopy(world)
        try:
            happened = _settle(world, case, bill, payment, caller, sight, at)
        except Refused:
            # The case refuses what the money is for: the money has come all the same, and waits.
            vars(world).update(vars(before))
            payment.waiting = payment.amount
            return "held", ["payment: its case refused"]
    payment.credited, payment.owed = credited, owed
    payment.waiting = payment.amount - credited - owed
    bill.credited += credited
    return outcome, happened


def _judged(world: World, case: Case, bill: Bill, payment: Payment) -> tuple[str, Decimal, Decimal, bool]:
    amount, rest = payment.amount, bill.amount - bill.credited
    settling = [
        a for a in case.terms.actions(case.procedure) if a.get("effect") == "settle" and taker(a) == "role"
    ]
    if bill.state == "void":
        return "held", NOTHING, amount, False
    if bill.state == "settled":
        return "surplus", NOTHING, amount, False
    if case.final:
        return "held", NOTHING, amount, False
    if payment.day > bill.due and case.terms.content["payment"]["late"] == "refund":
        return "late", NOTHING, amount, False
    if not world.possible(case, settling, case.changed_at):
        return "held", NOTHING, NOTHING, False
    if amount < rest:
        return "partial", amount, NOTHING, False
    return ("over" if amount > rest else "settled"), rest, amount - rest, True


def _settle(
    world: World, case: Case, bill: Bill, payment: Payment, caller: Caller, sight: Sight, at: datetime
) -> list[str]:
    payer = replace(caller, roles=caller.roles | {"payment"})
    meant = [
        each
        for each in case.terms.actions(case.procedure)
        if each.get("effect") == "settle" and payer.roles & set(each["roles"])
    ]
    able = world.possible(case, meant, max(at, case.changed_at))
    if not able or (able[0]["four_eyes"] and payer.actor == case.centre) or able[0]["comment"] == "required":
        raise Refused("PermissionDenied", "Conflict", "InvalidInput")
    return steps.take(world, case, able[0], sight, at, paid=(payment, bill))


def _repeated(known: Payment, notice: Notice) -> list[str]:
    # Of one reference there is one payment: the same again does nothing, another is refused.
    if (known.bill, known.amount) != (notice.bill_number, notice.amount):
        raise Refused("Conflict")
    return ["payment: told again"]


def _waiting(world: World, reference: str) -> Payment:
    payment = world.payments[reference]
    if not payment.waiting:
        raise Refused("Conflict")
    return payment


def _check_finance(caller: Caller) -> None:
    if "finance" not in caller.roles:
        raise Refused("PermissionDenied")
