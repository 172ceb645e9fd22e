"""Outcomes that are paid for, through the shop licence and the whole platform."""

from datetime import date, timedelta

from tests.integrations.desk import INSPECTOR, REVIEWER, Desk, message


def test_a_shop_is_renewed_on_payment_and_fined_when_it_is_late(desk: Desk) -> None:
    _, number = desk.issued()
    end = desk.licensing.licences.licence(number)["valid_to"]
    desk.later(days=370)
    assert desk.licensing.licences.verify(number)["status"] == "expired"
    case, bill = desk.billed({"years": 1}, procedure="renew", licence=number)
    assert "late_renewal" in {line["code"] for line in desk.case(case)["quote"]["lines"]}
    assert desk.licensing.licences.verify(number)["status"] == "expired"
    desk.pay(bill["bill_number"], bill["amount"], "ref-2")
    told = desk.licensing.licences.verify(number)
    assert (told["status"], told["version"]) == ("valid", 2)
    assert told["valid_from"] == (date.fromisoformat(end) + timedelta(days=1)).isoformat()


def test_money_for_what_can_no_longer_be_done_is_held_and_does_it_not(desk: Desk) -> None:
    _, number = desk.issued()
    case, bill = desk.billed({}, procedure="copy", licence=number)
    said = message(
        {"grounds": "مخالفة اشتراطات السلامة."}, applicant=None, procedure="suspend", licence=number
    )
    decision = str(desk.do.submit(INSPECTOR, said).body["number"])
    desk.do.take(REVIEWER, decision, "decide", comment="ظهر ذلك في الزيارة.")
    assert desk.pay(bill["bill_number"], bill["amount"], "ref-2")["outcome"] == "held"
    assert desk.state(case) == "invoiced"
    assert desk.count("licence_version WHERE outcome = 'copy'") == 0
