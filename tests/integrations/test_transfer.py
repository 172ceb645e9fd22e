"""Transfers, and what was open on the licence meanwhile: a former holder asks for nothing of the next."""

from typing import Any

import pytest

from foundation.errors import Conflict
from tests.integrations.desk import (
    APPLICANT,
    CENTRE,
    OTHER_APPLICANT,
    OTHER_CENTRE,
    REVIEWER,
    Desk,
    message,
    new_key,
)
from tests.integrations.test_row_fees import BOARDS, SIGNS

SELLER, BUYER = APPLICANT, OTHER_APPLICANT
_PERSON = ("kind", "identifier", "name")


def transfer(desk: Desk, licence: str) -> None:
    """Transfer a licence from the seller to the buyer."""
    new_holder = {name: BUYER[name] for name in (*_PERSON, "mobile")}
    number = desk.approved({"new_holder": new_holder}, procedure="transfer", licence=licence)
    desk.do.quote(CENTRE, number)
    bill = desk.do.invoice(CENTRE, number).body
    desk.pay(bill["bill_number"], bill["amount"], f"ref-{number}")
    assert desk.state(number) == "granted"


def let_act(desk: Desk, principal: dict[str, Any], agent: dict[str, Any], **parts: Any) -> int:
    """A delegation for everything; its number."""
    said = {
        "principal": {name: principal[name] for name in _PERSON},
        "agent": {name: agent[name] for name in _PERSON},
        "capacity": "agent",
        "valid_until": "2027-11-21",
        **parts,
    }
    return int(desk.licensing.people.delegate(CENTRE, said, new_key()).body["id"])


def test_a_former_holder_does_not_close_the_licence_of_the_next(desk: Desk) -> None:
    _, licence = desk.issued()
    closure = desk.submit({}, procedure="close", licence=licence)
    transfer(desk, licence)

    # Free of charge, so that the quote alone would have closed it.
    with pytest.raises(Conflict, match="was transferred since") as refused:
        desk.do.quote(CENTRE, closure)

    assert "المرخص له الجديد" in refused.value.message_ar
    assert desk.licensing.licences.licence(licence)["status"] == "valid"
    assert desk.do.take(CENTRE, closure, "withdraw").body["state"] == "withdrawn"


def test_what_a_former_holder_pays_for_later_is_held_for_him_and_changes_nothing(desk: Desk) -> None:
    _, licence = desk.issued()
    copy, bill = desk.billed({}, procedure="copy", licence=licence)
    transfer(desk, licence)

    paid = desk.pay(bill["bill_number"], bill["amount"], "ref-copy")

    assert paid["outcome"] == "held"
    assert desk.state(copy) == "invoiced"
    steps = desk.licensing.licences.history(REVIEWER, licence)["steps"]
    assert [step["outcome"] for step in steps] == ["issue", "transfer"]


def test_whom_both_holders_let_act_goes_on_after_the_transfer(desk: Desk) -> None:
    third = {**BUYER, "kind": "iqama", "identifier": "2000000006", "name": "محمد إقبال"}
    _, licence = desk.issued()
    let_act(desk, SELLER, third)
    given = let_act(desk, BUYER, third)
    copy, bill = desk.billed({}, procedure="copy", licence=licence, applicant=third)
    transfer(desk, licence)
    desk.later(minutes=1)
    # He asked in time: what is ended afterwards does not undo it.
    desk.licensing.people.end_delegation(CENTRE, given, new_key())

    desk.pay(bill["bill_number"], bill["amount"], "ref-copy")

    assert desk.state(copy) == "granted"


def test_an_agent_whose_delegation_ends_while_the_office_decides_is_not_refused_for_it(desk: Desk) -> None:
    _, licence = desk.issued()
    given = let_act(desk, SELLER, BUYER)
    copy, bill = desk.billed({}, procedure="copy", licence=licence, applicant=BUYER)
    desk.later(minutes=1)
    desk.licensing.people.end_delegation(CENTRE, given, new_key())

    desk.pay(bill["bill_number"], bill["amount"], "ref-copy")

    assert desk.state(copy) == "granted"


def test_nobody_hangs_a_permit_on_the_licence_of_another(desk: Desk) -> None:
    _, shop = desk.issued()
    sign = message({**SIGNS, "boards": BOARDS}, "sign_permit", BUYER, parent=shop)

    with pytest.raises(Conflict, match=f"{shop}, on which this one would hang, is another's") as refused:
        desk.do.submit(OTHER_CENTRE, sign)

    assert "لغير مقدم الطلب" in refused.value.message_ar
    let_act(desk, SELLER, BUYER, services=["sign_permit"])
    assert desk.do.submit(OTHER_CENTRE, sign).status == 201


def test_a_permit_that_was_asked_for_before_its_shop_was_sold_is_not_given(desk: Desk) -> None:
    _, shop = desk.issued()
    form = {**SIGNS, "boards": BOARDS}
    number = desk.submit(form, service="sign_permit", parent=shop)
    desk.do.quote(CENTRE, number)
    bill = desk.do.invoice(CENTRE, number).body
    transfer(desk, shop)

    paid = desk.pay(bill["bill_number"], bill["amount"], "ref-sign")

    assert paid["outcome"] == "held"
    assert desk.licensing.licences.children(REVIEWER, shop)["items"] == []
