"""Money over REST: payments in every outcome, refunds, the ledger."""

import csv
import io
from typing import Any

import pytest

from tests.integrations.face import BANK, CENTRE, KIOSK, OTHER, REVIEWER, Face, notice

pytest_plugins = ["tests.integrations.face_fixtures"]

FINANCE, SECOND = "finance", "finance-2"


def _bill(api: Face) -> tuple[str, dict[str, Any]]:
    number = api.submit()
    return number, api.billed(number)


def test_a_bill_is_paid_in_parts_then_too_much_and_the_surplus_goes_back(api: Face) -> None:
    number, bill = _bill(api)
    part = api.pay(bill, amount="700.00", reference="bank-1")
    assert (part["outcome"], part["settled"], part["credited"]) == ("partial", False, "700.00")
    shown = api.get(FINANCE, f"/v1/bills/{bill['bill_number']}")
    assert (shown["credited"], shown["rest"], shown["state"]) == ("700.00", "23.00", "open")
    over = api.pay(bill, amount="50.00", reference="bank-2")
    assert (over["outcome"], over["settled"], over["owed_back"]) == ("over", True, "27.00")
    assert api.get(CENTRE, f"/v1/cases/{number}")["state"] == "issued"
    twice = api.pay(bill, amount="723.00", reference="bank-3")
    assert (twice["outcome"], twice["owed_back"]) == ("surplus", "723.00")
    refunds = api.get(FINANCE, "/v1/refunds?state=due")["items"]
    assert [(each["amount"], each["reason"]) for each in refunds] == [
        ("27.00", "over"),
        ("723.00", "surplus"),
    ]
    page = api.get(FINANCE, "/v1/refunds?limit=1")
    following = api.get(FINANCE, f"/v1/refunds?limit=1&after={page['next']}")
    assert [each["id"] for each in (*page["items"], *following["items"])] == [each["id"] for each in refunds]
    assert following["next"] is None
    kept = api.get(FINANCE, f"/v1/bills/{bill['bill_number']}")
    assert len(kept["payments"]) == 3
    assert len(kept["refunds"]) == 2


def test_a_refund_goes_its_way_by_several_hands(api: Face) -> None:
    _, bill = _bill(api)
    api.pay(bill)
    api.pay(bill, reference="bank-2")
    (refund,) = api.get(FINANCE, "/v1/refunds")["items"]
    path = f"/v1/refunds/{refund['id']}"
    assert api.write(FINANCE, f"{path}/sending", {"reference": "out-1"}).status_code == 409
    approved = api.done(FINANCE, f"{path}/approval")
    assert (approved["state"], approved["approved_by"]) == ("approved", "client/finance")
    sent = api.done(SECOND, f"{path}/sending", {"reference": "out 1/2026"})
    assert (sent["state"], sent["reference"]) == ("sent", "out 1/2026")
    failed = api.done(FINANCE, f"{path}/failure", {"reason": "account closed"})
    assert (failed["state"], failed["failure"]) == ("failed", "account closed")
    again = [each for each in api.get("auditor", "/v1/refunds")["items"] if each["state"] == "due"]
    assert [(each["amount"], each["reason"]) for each in again] == [(refund["amount"], "failed")]
    # Whoever asked for it does not approve it as well.
    path = f"/v1/refunds/{again[0]['id']}"
    assert api.write(FINANCE, f"{path}/approval").status_code == 403
    api.done(SECOND, f"{path}/approval")
    assert api.write(FINANCE, f"{path}/sending", {"reference": "out 1/2026"}).status_code == 409
    api.done(FINANCE, f"{path}/sending", {"reference": "out-2"})
    assert api.done(FINANCE, f"{path}/confirmation")["state"] == "confirmed"
    for body in ({"reference": " "}, {"reference": "x" * 141}, {"reference": "أ"}, {}):
        assert api.write(FINANCE, f"{path}/sending", body).status_code == 422
    assert api.write(FINANCE, "/v1/refunds/999999/approval").status_code == 404
    for odd in ("0", "-1", "x", str(2**63), "1.0"):
        assert api.write(FINANCE, f"/v1/refunds/{odd}/approval").status_code == 422


def test_payments_that_nobody_can_place_wait_for_a_person(api: Face) -> None:
    number, bill = _bill(api)
    lost = api.pay({**bill, "bill_number": "2600000000019"}, reference="bank-1")
    assert (lost["outcome"], lost["waiting"], lost["case"]) == ("unknown_bill", "723.00", None)
    other = api.pay({**bill, "bill_number": "2600000000027"}, amount="5.00", reference="bank-2")
    assert other["outcome"] == "unknown_bill"
    waiting = api.get(FINANCE, "/v1/payments/waiting?limit=1")
    assert [each["reference"] for each in waiting["items"]] == ["bank-1"]
    following = api.get("auditor", f"/v1/payments/waiting?after={waiting['next']}")
    assert [each["reference"] for each in following["items"]] == ["bank-2"]
    meant = {"reference": "bank-1", "bill_number": bill["bill_number"]}
    assert api.done(FINANCE, "/v1/payments/assignment", meant)["settled"] is True
    assert api.get(CENTRE, f"/v1/cases/{number}")["state"] == "issued"
    assert api.write(FINANCE, "/v1/payments/assignment", meant).status_code == 409
    returned = api.done(FINANCE, "/v1/payments/return", {"reference": "bank-2"})
    assert (returned["waiting"], returned["owed_back"]) == ("0.00", "5.00")
    assert api.write(FINANCE, "/v1/payments/return", {"reference": "bank-9"}).status_code == 404
    assert api.get(FINANCE, "/v1/payments/waiting")["items"] == []


def test_a_payment_that_the_bank_refused_pays_nothing(api: Face) -> None:
    number, bill = _bill(api)
    told = api.pay(bill, status="refused")
    assert (told["outcome"], told["settled"], told["credited"]) == ("refused", False, "0.00")
    assert api.get(CENTRE, f"/v1/cases/{number}")["state"] == "invoiced"
    assert api.pay(bill, reference="bank-2")["outcome"] == "settled"


def test_a_payment_of_a_bill_that_was_voided_is_held_and_owed_back(api: Face) -> None:
    number, bill = _bill(api)
    api.act(CENTRE, number, "withdraw_billed")
    told = api.pay(bill)
    assert (told["outcome"], told["settled"], told["owed_back"]) == ("held", False, "723.00")
    assert api.get(CENTRE, f"/v1/cases/{number}")["state"] == "withdrawn"
    assert api.get(FINANCE, "/v1/refunds")["items"][0]["reason"] == "void"


def test_a_late_payment_is_marked(api: Face) -> None:
    _, bill = _bill(api)
    told = api.pay(bill, paid_at="2026-12-20T10:00:00+03:00")
    assert (told["late"], told["outcome"]) == (True, "settled")


def test_a_notice_is_kept_once_for_its_reference(api: Face) -> None:
    _, bill = _bill(api)
    first = api.write(BANK, "/v1/payments", notice(bill), key="a")
    again = api.write(BANK, "/v1/payments", notice(bill), key="a")
    other_key = api.write(BANK, "/v1/payments", notice(bill), key="b")
    assert first.content == again.content
    assert other_key.json()["outcome"] == "settled"
    assert api.write(BANK, "/v1/payments", notice(bill, amount="1.00")).status_code == 409
    assert api.desk.count("case_payment") == 1


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"amount": 723.0}, "/amount"),
        ({"amount": "723.001"}, "/amount"),
        ({"amount": "0.00"}, "/amount"),
        ({"amount": "-1.00"}, "/amount"),
        ({"amount": "٧٢٣.٠٠"}, "/amount"),
        ({"amount": "1" * 4_000}, "/amount"),
        ({"amount": None}, "/amount"),
        ({"paid_at": 1763800000}, "/paid_at"),
        ({"paid_at": "2026-11-22T12:00:00"}, "/paid_at"),
        ({"paid_at": "0001-01-01T00:00:00+14:00"}, "/paid_at"),
        ({"paid_at": "9999-12-31T23:59:59-23:59"}, "/paid_at"),
        ({"reference": "a b"}, "/reference"),
        ({"reference": "bank-1\n"}, "/reference"),
        ({"bill_number": "x"}, "/bill_number"),
        ({"bill_number": 2600000000019}, "/bill_number"),
        ({"status": "maybe"}, "/status"),
        ({"currency": "SAR"}, "/currency"),
    ],
)
def test_a_payment_that_cannot_be_read_is_refused_and_not_kept(
    api: Face, changes: dict[str, Any], pointer: str
) -> None:
    bill = {"bill_number": "2600000000019", "amount": "723.00"}
    response = api.write(BANK, "/v1/payments", notice(bill, **changes))
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert error["pointer"] == pointer
    assert error["detail_ar"]
    assert api.desk.count("case_payment") == 0


def test_only_a_bank_notifies_payments_and_each_sees_what_is_his(api: Face) -> None:
    _, bill = _bill(api)
    for who in (CENTRE, KIOSK, REVIEWER, FINANCE, "administrator"):
        assert api.write(who, "/v1/payments", notice(bill)).status_code == 403
    assert api.desk.count("case_payment") == 0
    path = f"/v1/bills/{bill['bill_number']}"
    assert "payments" not in api.get(BANK, path)
    assert api.get(CENTRE, path)["payments"] == []
    assert api.call(OTHER, "GET", path).status_code == 404
    assert api.call(REVIEWER, "GET", path).status_code == 403
    assert api.call(BANK, "GET", "/v1/bills/1").status_code == 404


def test_the_ledger_is_csv_and_its_debits_are_its_credits(api: Face) -> None:
    _, bill = _bill(api)
    api.pay(bill)
    told = api.call(FINANCE, "GET", "/v1/ledger?from=2026-11-22&to=2026-11-22")
    assert told.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(told.text)))
    assert {row["account"] for row in rows} >= {"receivable", "bank", "revenue:licence"}
    balance = api.get("auditor", "/v1/ledger/balance")
    assert balance["debit"] == balance["credit"] == "1446.00"
    assert api.get(FINANCE, "/v1/ledger/balance?until=2026-11-21")["accounts"] == []
    for query in (
        "",
        "?from=2026-11-22",
        "?from=20261122&to=2026-11-22",
        "?from=2026-W47-7&to=2026-11-22",
        "?from=2026-02-30&to=2026-11-22",
        "?from=1e9&to=2026-11-22",
    ):
        assert api.call(FINANCE, "GET", f"/v1/ledger{query}").status_code == 422, query
    for who in (CENTRE, BANK, REVIEWER):
        assert api.call(who, "GET", "/v1/ledger/balance").status_code == 403


def test_a_day_is_reconciled_over_rest_and_nothing_is_changed_by_it(api: Face) -> None:
    _, bill = _bill(api)
    api.pay(bill, reference="bank-1")
    api.pay(bill, amount="10.00", reference="bank-2")
    books = api.call(FINANCE, "GET", "/v1/ledger?from=2026-11-22&to=2026-11-22").text
    bank = f"reference,amount,day\nbank-1,{bill['amount']},2026-11-22\nstranger,5.00,2026-11-22\n"
    asked = {"day": "2026-11-22", "bank": bank, "ledger": books}
    report = api.call("auditor", "POST", "/v1/reconciliation", asked).json()
    assert {each["reference"]: each["class"] for each in report["items"]} == {
        "bank-1": "matched",
        "bank-2": "missing_at_bank",
        "stranger": "missing_in_engine",
    }
    assert (report["clean"], report["totals"]["credit"]["total"]["count"]) == (False, 3)
    assert report["totals"]["credit"]["classes"]["matched"]["bank"] == bill["amount"]
    assert api.call(FINANCE, "POST", "/v1/reconciliation", asked).json() == report
    assert api.desk.count("case_payment") == 2


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"bank": "reference,amount,day\nx,many,2026-11-22\n"}, 400, "/bank:2"),
        ({"bank": "reference,amount\nx,1.00\n"}, 400, "/bank"),
        ({"bank": "<Document xmlns='urn:x'/>"}, 400, "/bank"),
        ({"bank": "<!DOCTYPE x [<!ENTITY y 'z'>]><x>&y;</x>"}, 400, "/bank"),
        ({"ledger": "no,export\n"}, 400, "/ledger"),
        ({"bank": ""}, 422, "/bank"),
        ({"bank": "reference,amount,day\nx\u0000,1.00,2026-11-22\n"}, 422, "/bank"),
        ({"ledger": None}, 422, "/ledger"),
        ({"day": "20261122"}, 422, "/day"),
        ({"take_in": True}, 422, "/take_in"),
        ({"bank": "x" * 30_000}, 413, "larger than"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_place(
    api: Face, change: dict[str, Any], status: int, told: str
) -> None:
    books = api.call(FINANCE, "GET", "/v1/ledger?from=2026-11-22&to=2026-11-22").text
    asked = {"day": "2026-11-22", "bank": "reference,amount,day\n", "ledger": books}
    assert api.call(FINANCE, "POST", "/v1/reconciliation", asked).json()["clean"]
    refused = api.call(FINANCE, "POST", "/v1/reconciliation", {**asked, **change})
    assert refused.status_code == status
    assert told in refused.text


def test_a_text_that_is_no_unicode_is_refused(api: Face) -> None:
    body = b'{"day": "2026-11-22", "bank": "\\ud800", "ledger": "x"}'
    refused = api.call(FINANCE, "POST", "/v1/reconciliation", body, Content_Type="application/json")
    assert refused.status_code == 422
