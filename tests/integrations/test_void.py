"""What was paid for nothing is owed back: a licence that is void, a case that ends unfulfilled."""

import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.definitions import parse_yaml
from foundation.errors import Conflict, PermissionDenied
from foundation.identity import Caller
from integrations.cases import case_store, invoices
from integrations.cases.case import Work
from integrations.service import Service
from tests.integrations.desk import (
    CENTRE,
    FINANCE,
    FINANCE_2,
    INSPECTOR,
    REVIEWER,
    Desk,
    message,
    new_key,
)
from tests.integrations.money_office import AMOUNT, DEFINITION, MoneyOffice, open_money_office

GROUNDS = {"grounds": "صدرت الرخصة لعنوان غير عنوان المحل."}
NEW_HOLDER = {"identifier": "1001244019", "name": "عبدالله بن سعد العتيبي", "mobile": "+966507654321"}
# Decides licences, and gives money back.
BOTH = Caller("majed", "person", frozenset({"reviewer", "finance"}))


def void(desk: Desk, licence: str, decider: Caller = REVIEWER) -> str:
    """Void a licence, proposed by one and decided by another; the case."""
    said = message(GROUNDS, applicant=None, procedure="void", licence=licence)
    number = str(desk.do.submit(INSPECTOR, said).body["number"])
    desk.do.take(decider, number, "decide")
    return number


def balances(desk: Desk) -> dict[str, str]:
    """Balance of each account; the books balance."""
    found = desk.licensing.money.balance(FINANCE)
    assert found["debit"] == found["credit"]
    return {row["account"]: row["balance"] for row in found["accounts"]}


def work_on(desk: Desk, session: Session, number: str) -> Work:
    """A case, locked, for an effect of its own."""
    return desk.licensing.desk.engine.work(
        session, case_store.locked(session, number), CENTRE, desk.now[-1], lock=False
    )


def until_one_waits(desk: Desk) -> None:
    """Wait until a transaction of the database waits for another's lock."""
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    for _ in range(600):
        with desk.database.transaction() as session:
            if session.execute(waits).scalar_one():
                return
        time.sleep(0.05)
    raise AssertionError("nobody waits")


def test_what_was_paid_for_a_licence_that_is_void_is_owed_back(desk: Desk) -> None:
    number, bill = desk.billed()
    desk.pay(bill["bill_number"], "723.00", "bank-1")
    licence = str(desk.case(number)["licence"])
    voiding = void(desk, licence)
    assert desk.licensing.licences.licence(licence)["status"] == "void"
    assert (desk.case(number)["invoice"]["state"], desk.state(number)) == ("void", "issued")
    (refund,) = desk.licensing.money.refunds(FINANCE)["items"]
    assert {name: refund[name] for name in ("amount", "payment", "reason", "state", "asked_by")} == {
        "amount": "723.00",
        "payment": "bank-1",
        "reason": "void",
        "state": "due",
        "asked_by": "person/reviewer",
    }
    assert balances(desk) == {
        "bank": "723.00",
        "receivable": "0.00",
        "revenue:licence": "0.00",
        "refunds_payable": "-723.00",
    }
    # Both journals say it, and no chain is broken by it.
    decided, issued = desk.case(voiding)["journal"][-1], desk.case(number)["journal"][-1]
    assert decided["action"] == "decide"
    assert decided["details"]["owed_back"] == "723.00"
    assert decided["details"]["bills_voided"] == [bill["bill_number"]]
    said = {"case": voiding, "bill_number": bill["bill_number"], "owed_back": "723.00"}
    assert (issued["action"], issued["details"]) == ("bill_voided", said)
    assert desk.breaks() == []


def test_all_that_was_paid_for_a_licence_on_its_day_is_owed_back_when_it_is_void(desk: Desk) -> None:
    issuing, licence = desk.issued(reference="for-issue")
    paid = {"for-issue": "723.00"}
    cases = [issuing]
    for procedure, form, amount in (
        ("amend", {"trade_name": "مخبز الفجر", "activity": "107101", "area_m2": 120.5}, "20.00"),
        ("copy", {}, "100.00"),
        ("transfer", {"new_holder": {"kind": "national_id", **NEW_HOLDER}}, "200.00"),
    ):
        number, bill = desk.billed(form, procedure=procedure, licence=licence)
        assert bill["amount"] == amount
        desk.pay(bill["bill_number"], amount, f"for-{procedure}")
        assert desk.state(number) == "granted"
        cases.append(number)
        paid[f"for-{procedure}"] = amount
    voiding = void(desk, licence)
    refunds = desk.licensing.money.refunds(FINANCE)["items"]
    assert {each["payment"]: each["amount"] for each in refunds} == paid
    assert {each["reason"] for each in refunds} == {"void"}
    assert [desk.case(number)["invoice"]["state"] for number in cases] == ["void"] * 4
    decided = desk.case(voiding)["journal"][-1]["details"]
    assert (decided["owed_back"], len(decided["bills_voided"])) == ("1043.00", 4)
    assert [desk.case(number)["journal"][-1]["action"] for number in cases] == ["bill_voided"] * 4
    found = balances(desk)
    assert (found.pop("bank"), found.pop("refunds_payable")) == ("1043.00", "-1043.00")
    assert set(found.values()) == {"0.00"}
    assert desk.breaks() == []


def test_a_bill_that_two_void_at_the_same_moment_is_void_once(desk: Desk) -> None:
    number, bill = desk.billed()
    desk.pay(bill["bill_number"], "723.00", "bank-1")
    licence = str(desk.case(number)["licence"])
    with ThreadPoolExecutor(1) as pool:
        with desk.database.transaction() as session:
            work = work_on(desk, session, number)
            first = invoices.void_newest(work)
            voiding = pool.submit(void, desk, licence)
            until_one_waits(desk)
        voiding.result()
    assert first["owed_back"] == "723.00"
    assert [each["amount"] for each in desk.licensing.money.refunds(FINANCE)["items"]] == ["723.00"]
    assert balances(desk)["receivable"] == balances(desk)["revenue:licence"] == "0.00"


def test_who_decided_that_a_licence_is_void_does_not_give_the_money_back_alone(desk: Desk) -> None:
    _, licence = desk.issued()
    void(desk, licence, BOTH)
    money = desk.licensing.money
    (refund,) = money.refunds(FINANCE)["items"]
    with pytest.raises(PermissionDenied, match="may not approve it as well"):
        money.approve_refund(BOTH, refund["id"], new_key())
    money.approve_refund(FINANCE, refund["id"], new_key())
    money.refund_sent(FINANCE_2, refund["id"], "out-1", new_key())
    assert money.refund_confirmed(BOTH, refund["id"], new_key()).body["state"] == "confirmed"
    assert balances(desk) == {
        "bank": "0.00",
        "receivable": "0.00",
        "revenue:licence": "0.00",
        "refunds_payable": "0.00",
    }


def test_money_that_comes_after_the_licence_is_void_is_owed_back_too(desk: Desk) -> None:
    number, bill = desk.billed()
    desk.pay(bill["bill_number"], "723.00", "bank-1")
    void(desk, str(desk.case(number)["licence"]))
    again = desk.pay(bill["bill_number"], "723.00", "bank-2")
    assert (again["outcome"], again["owed_back"]) == ("held", "723.00")
    refunds = desk.licensing.money.refunds(FINANCE)["items"]
    assert [(each["payment"], each["amount"]) for each in refunds] == [
        ("bank-1", "723.00"),
        ("bank-2", "723.00"),
    ]
    assert balances(desk)["refunds_payable"] == "-1446.00"


def test_a_licence_is_void_on_its_day_alone_and_the_day_after_nothing_is_owed_back(desk: Desk) -> None:
    _, licence = desk.issued()
    said = message(GROUNDS, applicant=None, procedure="void", licence=licence)
    number = str(desk.do.submit(INSPECTOR, said).body["number"])
    # Seven in the evening in Riyadh was the same day; midnight is another.
    desk.later(hours=14)
    with pytest.raises(Conflict, match="the day of its issue"):
        desk.do.take(REVIEWER, number, "decide")
    assert desk.licensing.money.refunds(FINANCE)["items"] == []
    assert balances(desk)["revenue:licence"] == "-723.00"


def test_a_void_that_is_dropped_leaves_licence_and_money(desk: Desk) -> None:
    issuing, licence = desk.issued()
    said = message(GROUNDS, applicant=None, procedure="void", licence=licence)
    number = str(desk.do.submit(INSPECTOR, said).body["number"])
    desk.do.take(REVIEWER, number, "drop", comment="العنوان صحيح.")
    assert desk.case(issuing)["invoice"]["state"] == "settled"
    assert desk.licensing.money.refunds(FINANCE)["items"] == []


def test_a_licence_that_is_taken_away_or_closed_gives_nothing_back(desk: Desk) -> None:
    for outcome, decide in (("revoke", True), ("close", False)):
        issuing, licence = desk.issued(reference=f"for-{outcome}")
        if decide:
            said = message(GROUNDS, applicant=None, procedure=outcome, licence=licence)
            number = str(desk.do.submit(INSPECTOR, said).body["number"])
            desk.do.take(REVIEWER, number, "decide")
        else:
            number = desk.submit({}, procedure="close", licence=licence)
            desk.do.quote(CENTRE, number)
        assert desk.licensing.licences.licence(licence)["status"] in ("revoked", "closed")
        assert desk.case(issuing)["invoice"]["state"] == "settled"
    assert desk.licensing.money.refunds(FINANCE)["items"] == []


# What is paid is looked at once more; it may still be refused, or withdrawn, or time may run out.
_PAID = "      paid: {title: {ar: مسدد, en: Paid}, deadline: {hours: 48, then: expire}}"
_UNFULFILLED = """\
      - {name: refuse, title: {ar: رفض, en: Refuse}, from: [paid], to: dropped, roles: [reviewer]}
      - {name: leave, title: {ar: انسحاب, en: Leave}, from: [paid], to: leaving, roles: [centre]}
      - {name: left, title: {ar: انسحب, en: Left}, from: [leaving], to: dropped, automatic: true}
      - {name: expire, title: {ar: انقضاء, en: Expire}, from: [paid], to: dropped, timed: true}
procedures:"""
_LEAVING = "      leaving: {title: {ar: ينسحب, en: Leaving}}\n      done:"


@pytest.fixture
def office(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MoneyOffice:
    text = DEFINITION.replace("      paid: {title: {ar: مسدد, en: Paid}}", _PAID)
    text = text.replace("      done:", _LEAVING).replace("procedures:", _UNFULFILLED)
    monkeypatch.setattr("tests.integrations.money_office.DEFINITION", text)
    return open_money_office(database, tmp_path)


def paid(office: MoneyOffice) -> tuple[str, str]:
    number, bill = office.billed()
    office.pay(bill, "100.00", "r-1")
    office.pay(bill, "15.58", "r-2")
    assert office.state(number) == "paid"
    return number, bill


@pytest.mark.parametrize(
    ("way", "asked_by"),
    [("refuse", "person/reviewer"), ("leave", "client/centre-1"), ("expire", "system/clock")],
)
def test_a_case_that_was_paid_and_ends_unfulfilled_owes_everything_back(
    office: MoneyOffice, way: str, asked_by: str
) -> None:
    number, bill = paid(office)
    caller = REVIEWER if way == "refuse" else CENTRE
    if way == "expire":
        office.pass_days(3)
        office.clock(number)
    else:
        office.take(number, way, caller)
    assert office.state(number) == "dropped"
    assert office.bill(bill)["state"] == "void"
    assert [
        (each["payment"], each["amount"], each["reason"], each["asked_by"]) for each in office.refunds()
    ] == [
        ("r-1", "100.00", "closed", asked_by),
        ("r-2", "15.58", "closed", asked_by),
    ]
    assert office.balances() == {
        "bank": Decimal(AMOUNT),
        "receivable": Decimal(0),
        "revenue:board": Decimal(0),
        "vat": Decimal(0),
        "refunds_payable": -Decimal(AMOUNT),
    }
    _, said = office.journal(f"case/{number}")[-1]
    assert (said["to"], said["owed_back"]) == ("dropped", AMOUNT)


def test_a_case_that_is_fulfilled_keeps_what_it_was_paid(office: MoneyOffice) -> None:
    number, bill = paid(office)
    office.take(number, "hand")
    assert (office.state(number), office.bill(bill)["state"]) == ("done", "settled")
    assert office.refunds() == []
    assert office.balances()["revenue:board"] == Decimal("-100.50")


def test_a_bill_paid_in_part_is_owed_back_when_its_case_ends(office: MoneyOffice) -> None:
    number, bill = office.billed()
    office.pay(bill, "40.00", "r-1")
    office.take(number, "drop")
    assert [(each["amount"], each["reason"]) for each in office.refunds()] == [("40.00", "closed")]
    assert office.balances()["receivable"] == 0
    assert office.pay(bill, AMOUNT, "r-2")["owed_back"] == AMOUNT


# A later version in which the board costs nothing: its flow knows no bill any more.
_FREE = (
    (", effect: quote", ""),
    (",\n         effect: void_bill", ""),
    (",\n         effect: invoice, when: {field: quote.free, equals: false}", ""),
    (", effect: settle", ""),
    (",\n         when: {field: quote.free, equals: true}", ""),
    (", effect: fulfil},\n      - {name: drop", "}\n      - {name: drop"),
    (", fees: [board]", ""),
    ("version: 1", "version: 2"),
    ("LATE", "accept"),
)


def test_a_case_that_goes_on_without_fees_claims_nothing_any_more(office: MoneyOffice) -> None:
    number, bill = office.billed()
    office.pay(bill, "40.00", "r-1")
    text = DEFINITION
    for before, after in _FREE:
        text = text.replace(before, after)
    text = text[: text.index("fees:\n")] + text[text.index("payment: {due_days") :]
    free = parse_yaml(text, "board.yaml", Service)
    with office.database.transaction() as session:
        case = case_store.locked(session, number)
        office.engine.migrate(session, case, free, {}, CENTRE, office.now[-1])
    assert office.bill(bill)["state"] == "void"
    assert [(each["amount"], each["reason"]) for each in office.refunds()] == [("40.00", "void")]
    assert office.balances()["receivable"] == 0
    office.take(number, "drop")
    assert len(office.refunds()) == 1
