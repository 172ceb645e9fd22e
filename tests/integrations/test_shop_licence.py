"""The shop licence as the regulation reads it, end to end through the desks, each sum worked out by hand.

Each is played in a municipality of class 1 and in one of class 5. Class 1 pays 6.00 SAR a square metre and
year, class 5 1.20 SAR; the least is 200.00 SAR. Nothing of it is subject to value added tax.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.database import Database
from foundation.errors import Conflict, PermissionDenied
from foundation.identity import Caller
from tests.integrations.desk import (
    APPLICANT,
    CENTRE,
    DEFINITIONS,
    FINANCE,
    FINANCE_2,
    FORM,
    OBJECTIONS,
    OTHER_APPLICANT,
    REVIEWED,
    REVIEWER,
    message,
    new_key,
    open_desk,
)
from tests.integrations.town import Townhall

GROUNDS = {"grounds": "لم تُستوفَ اشتراطات السلامة عند المعاينة."}
OBJECTION = {"grounds": "استُوفيت الاشتراطات كلها قبل صدور القرار."}
# 723.00 in class 1; 144.60 in class 5, where the least is charged.
YEAR = ("723.00", "200.00")

Sums = tuple[str, str]
"""What something comes to in class 1 and in class 5, SAR."""


@dataclass
class Town(Townhall):
    """A municipality of a class, and what its people do."""

    fee_class: int

    def sum(self, sums: Sums) -> str:
        """The sum that holds here."""
        return sums[0] if self.fee_class == 1 else sums[1]

    def pays(self, number: str, sums: Sums) -> list[tuple[str, str]]:
        """Quote, bill and pay a case, to the halala; its lines, code and total."""
        quote = self.desk.do.quote(CENTRE, number).body
        bill = self.desk.do.invoice(CENTRE, number).body
        assert quote["total"] == bill["amount"] == self.sum(sums)
        assert self.desk.pay(bill["bill_number"], bill["amount"], f"for-{number}")["outcome"] == "settled"
        return [(line["code"], line["total"]) for line in quote["lines"]]

    def shop(self, form: Mapping[str, Any] = FORM, sums: Sums = YEAR) -> str:
        """A licence of an immediate activity; its number."""
        number = self.desk.submit(form)
        self.pays(number, sums)
        return str(self.desk.case(number)["licence"])

    def ask(self, procedure: str, licence: str, form: Mapping[str, Any] | None = None) -> str:
        """Apply on a licence as its holder; the case."""
        return self.desk.submit(form or {}, procedure=procedure, licence=licence)

    def office(self, procedure: str, licence: str) -> str:
        """One officer proposes, another decides; the case."""
        return self.decide("shop_licence", procedure, licence, GROUNDS)

    def approve(self, number: str) -> None:
        """Hand in what is missing, and let the reviewer approve."""
        self.desk.show_all(number)
        self.desk.do.take(REVIEWER, number, "approve")

    def ends(self, number: str) -> date:
        """The last day of a licence."""
        return date.fromisoformat(self.licence(number)["valid_to"])

    def on(self, day: date) -> None:
        """Let it be ten in the morning of a day, in Riyadh."""
        self.desk.now.append(datetime.combine(day, time(7), UTC))

    def books(self) -> dict[str, str]:
        """Balance of each account; debits are credits, and no chain of the journal is broken."""
        found = self.desk.licensing.money.balance(FINANCE)
        assert found["debit"] == found["credit"]
        assert self.desk.breaks() == []
        return {row["account"]: row["balance"] for row in found["accounts"] if row["balance"] != "0.00"}


@pytest.fixture(params=[1, 5])
def town(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Town:
    return Town(open_desk(database, tmp_path, (DEFINITIONS,), fee_class=request.param), request.param)


def test_an_immediate_activity_is_licensed_by_its_payment(town: Town) -> None:
    number = town.desk.submit()
    assert town.pays(number, YEAR) == [("licence", town.sum(YEAR))]
    case = town.desk.case(number)
    assert case["state"] == "issued"
    licence = town.licence(case["licence"])
    # A year of the Umm al-Qura calendar: 12 Jumada al-Akhirah 1448 to the eve of that day in 1449.
    assert (licence["valid_from"], licence["valid_to"]) == ("2026-11-22", "2027-11-10")
    assert town.books() == {"bank": town.sum(YEAR), "revenue:licence": f"-{town.sum(YEAR)}"}


def test_another_activity_is_sent_back_completed_and_decided_before_it_is_paid(town: Town) -> None:
    number = town.desk.submit({**REVIEWED, "years": 2})
    with pytest.raises(Conflict, match="Under review"):
        town.desk.do.quote(CENTRE, number)
    with pytest.raises(Conflict, match="lacks: Lease or deed"):
        town.desk.do.take(REVIEWER, number, "approve")
    town.desk.do.take(REVIEWER, number, "send_back", comment="المساحة لا تطابق العقد.")
    town.desk.do.take(CENTRE, number, "resubmit", form={"area_m2": 333.33})
    assert town.desk.state(number) == "under_review"
    town.approve(number)
    # 333.33 x 6.00 x 2 = 3999.96, 333.33 x 1.20 x 2 = 799.992; and 20.00 for the visit.
    lines = town.pays(number, ("4019.96", "819.99"))
    assert lines == [("licence", town.sum(("3999.96", "799.99"))), ("inspection", "20.00")]
    assert town.desk.state(number) == "issued"
    steps = [each["action"] for each in town.desk.case(number)["journal"]]
    assert [step for step in steps if step != "document"] == [
        "submit",
        "review",
        "send_back",
        "resubmit",
        "review",
        "approve",
        "quote",
        "invoice",
        "pay",
        "issue",
    ]


def test_a_renewal_in_time_begins_where_the_licence_ends_and_costs_no_fine(town: Town) -> None:
    licence = town.shop()
    end = town.ends(licence)
    town.on(end - timedelta(days=31))
    with pytest.raises(Conflict, match="possible from"):
        town.ask("renew", licence, {"years": 2})
    town.on(end - timedelta(days=30))
    # 120.5 x 6.00 x 2 and 120.5 x 1.20 x 2.
    lines = town.pays(town.ask("renew", licence, {"years": 2}), ("1446.00", "289.20"))
    assert [code for code, _ in lines] == ["licence"]
    # Two more years of the same calendar: to the eve of 12 Jumada al-Akhirah 1451.
    assert town.licence(licence)["valid_to"] == "2029-10-19"
    assert town.books()["bank"] == town.sum(("2169.00", "489.20"))


@pytest.mark.parametrize(("days", "fined"), [(0, False), (1, True), (400, True)])
def test_a_renewal_is_fined_from_the_first_day_after_the_end(town: Town, days: int, fined: bool) -> None:
    licence = town.shop()
    town.on(town.ends(licence) + timedelta(days=days))
    number = town.ask("renew", licence, {"years": 1})
    lines = town.pays(number, ("1223.00", "700.00") if fined else YEAR)
    fine = [("late_renewal", "500.00")] if fined else []
    assert lines == [("licence", town.sum(YEAR)), *fine]
    assert town.status(licence) == "valid"


def test_who_was_late_by_our_fault_is_excused_once_and_renews_free_of_the_fine(town: Town) -> None:
    licence = town.shop()
    town.on(town.ends(licence) + timedelta(days=3))
    objection = town.ask("excuse", licence, {"grounds": "تعطلت المنصة في آخر يومين من مدة الرخصة."})
    with pytest.raises(PermissionDenied):
        town.desk.do.take(CENTRE, objection, "approve", comment="نعم.")
    town.desk.do.take(OBJECTIONS, objection, "approve", comment="ثبت العطل.")
    number = town.ask("renew", licence, {"years": 1})
    assert town.pays(number, YEAR) == [("licence", town.sum(YEAR)), ("late_renewal", "0.00")]
    fine = town.desk.case(number)["quote"]["lines"][1]
    assert (fine["gross"], fine["exemption"]["code"]) == ("500.00", "our_fault")
    # Late by our fault, it begins on the day of the renewal, 14 Jumada al-Akhirah 1449, and ends on the eve
    # of that day in 1450; and the next time there is no excuse.
    assert town.licence(licence)["valid_to"] == "2028-10-31"
    town.on(town.ends(licence) + timedelta(days=1))
    town.pays(town.ask("renew", licence, {"years": 1}), ("1223.00", "700.00"))


def test_an_amendment_is_inspected_for_a_fee_and_the_next_renewal_is_of_the_new_area(town: Town) -> None:
    licence = town.shop()
    number = town.ask("amend", licence, {"trade_name": "مخبز الندى", "activity": "107101", "area_m2": 200.25})
    town.approve(number)
    assert town.pays(number, ("20.00", "20.00")) == [("change", "20.00")]
    assert (town.desk.state(number), town.licence(licence)["version"]) == ("granted", 2)
    town.on(town.ends(licence))
    # 200.25 x 6.00 = 1201.50; 200.25 x 1.20 = 240.30.
    town.pays(town.ask("renew", licence, {"years": 1}), ("1201.50", "240.30"))


def test_a_transfer_makes_the_new_holder_the_one_who_may_ask(town: Town) -> None:
    licence = town.shop()
    end = town.ends(licence)
    number = town.ask("transfer", licence, {"new_holder": OTHER_APPLICANT})
    town.approve(number)
    assert town.status(licence) == "valid"
    assert town.pays(number, ("200.00", "40.00")) == [("transfer", town.sum(("200.00", "40.00")))]
    assert town.ends(licence) == end
    with pytest.raises(PermissionDenied, match=r"another's"):
        town.ask("copy", licence)
    his = message({}, applicant=OTHER_APPLICANT, procedure="copy", licence=licence)
    assert town.desk.do.submit(CENTRE, his).body["state"] == "submitted"


def test_a_lost_document_is_replaced_for_its_fee(town: Town) -> None:
    licence = town.shop()
    number = town.ask("copy", licence)
    assert town.pays(number, ("100.00", "20.00")) == [("lost_document", town.sum(("100.00", "20.00")))]
    assert (town.desk.state(number), town.licence(licence)["version"]) == ("granted", 1)
    assert town.books()["bank"] == town.sum(("823.00", "220.00"))


def test_a_licence_is_void_on_its_day_and_its_fee_is_owed_back_by_two_people(town: Town) -> None:
    licence = town.shop()
    town.office("void", licence)
    assert town.status(licence) == "void"
    money = town.desk.licensing.money
    (refund,) = money.refunds(FINANCE)["items"]
    assert (refund["state"], refund["amount"]) == ("due", town.sum(YEAR))
    assert town.books() == {"bank": town.sum(YEAR), "refunds_payable": f"-{town.sum(YEAR)}"}
    both = Caller(REVIEWER.name, "person", REVIEWER.roles | FINANCE.roles)
    with pytest.raises(PermissionDenied, match="may not approve it as well"):
        money.approve_refund(both, refund["id"], new_key())
    money.approve_refund(FINANCE, refund["id"], new_key())
    money.refund_sent(FINANCE_2, refund["id"], "out-1", new_key())
    assert town.books() == {}


def test_a_suspension_is_objected_to_within_sixty_days_and_no_later(town: Town) -> None:
    kept, lost = town.shop(), town.shop()
    for licence in (kept, lost):
        town.office("suspend", licence)
    assert (town.status(kept), town.status(lost)) == ("suspended", "suspended")
    day = date(2026, 11, 22)
    town.on(day + timedelta(days=60))
    objection = town.ask("uphold", kept, OBJECTION)
    # It was made in time, whenever it is decided.
    town.on(day + timedelta(days=70))
    town.desk.do.take(OBJECTIONS, objection, "approve", comment="الاعتراض صحيح.")
    assert (town.desk.state(objection), town.status(kept)) == ("granted", "valid")
    town.on(day + timedelta(days=61))
    with pytest.raises(Conflict, match="possible until") as refused:
        town.ask("uphold", lost, OBJECTION)
    assert "متاحًا حتى" in refused.value.message_ar
    assert town.status(lost) == "suspended"
    # What is suspended is renewed, amended and copied by nobody until the office lifts it.
    with pytest.raises(Conflict, match="suspended"):
        town.ask("copy", lost)
    town.office("reinstate", lost)
    assert town.status(lost) == "valid"
    # Neither the office's decisions nor the objection cost anything.
    assert town.books()["bank"] == town.sum(("1446.00", "400.00"))


def test_an_objection_that_is_refused_leaves_the_licence_suspended(town: Town) -> None:
    licence = town.shop()
    town.office("suspend", licence)
    objection = town.ask("uphold", licence, OBJECTION)
    town.desk.do.take(REVIEWER, objection, "reject", comment="لم تُستوف الاشتراطات.")
    assert (town.desk.state(objection), town.status(licence)) == ("rejected", "suspended")


def test_a_revocation_takes_the_sign_permit_with_it_and_an_upheld_objection_brings_both_back(
    town: Town,
) -> None:
    shop = town.shop()
    board = {"title": "عرض الافتتاح", "kind": "banner", "height_m": 2, "width_m": 3, "area_m2": 6}
    form = {"zone": "main", "commercial_register": "4030123456", "discounts": False, "boards": [board]}
    number = town.desk.submit(form, service="sign_permit", parent=shop)
    # (4 x 10.00 + 2 x 20.00) x 1.5 = 120.00 and the tax 18.00; (4 x 2.00 + 2 x 4.00) x 1.5 = 24.00 is below
    # the least of 25.00, and the tax 3.75.
    town.pays(number, ("138.00", "28.75"))
    permit = str(town.desk.case(number)["licence"])
    revoking = town.office("revoke", shop)
    assert (town.status(shop), town.status(permit)) == ("revoked", "revoked")
    assert town.desk.case(revoking)["journal"][-1]["details"]["children"] == {"revoked": 1}
    # What was paid for a licence that is taken away is not owed back.
    assert town.desk.licensing.money.refunds(FINANCE)["items"] == []
    objection = town.ask("uphold", shop, OBJECTION)
    town.desk.do.take(OBJECTIONS, objection, "approve", comment="الاعتراض صحيح.")
    assert (town.status(shop), town.status(permit)) == ("valid", "valid")


@pytest.mark.parametrize(
    ("days", "sums"),
    [
        # 2.00 SAR a day and 0.40 SAR a day, at most 2000.00.
        (1, ("2.00", "0.40")),
        (45, ("90.00", "18.00")),
        (1001, ("2000.00", "400.40")),
    ],
)
def test_a_closure_after_the_end_is_charged_from_the_day_of_expiry(town: Town, days: int, sums: Sums) -> None:
    licence = town.shop()
    town.on(town.ends(licence) + timedelta(days=days))
    number = town.ask("close", licence)
    assert town.pays(number, sums) == [("after_end", town.sum(sums))]
    assert (town.desk.state(number), town.status(licence)) == ("granted", "closed")


def test_a_closure_in_time_is_free_and_done_at_once(town: Town) -> None:
    licence = town.shop()
    town.on(town.ends(licence))
    number = town.ask("close", licence)
    assert town.desk.do.quote(CENTRE, number).body["total"] == "0.00"
    case = town.desk.case(number)
    assert (case["state"], case["invoice"], town.status(licence)) == ("granted", None, "closed")
    with pytest.raises(Conflict, match="closed"):
        town.ask("renew", licence, {"years": 1})
    assert town.books()["bank"] == town.sum(YEAR)


def test_the_holder_alone_asks_for_his_licence(town: Town) -> None:
    licence = town.shop()
    for procedure in ("renew", "amend", "copy", "close"):
        said = message({}, applicant=OTHER_APPLICANT, procedure=procedure, licence=licence)
        form = {
            "renew": {"years": 1},
            "amend": {name: FORM[name] for name in ("trade_name", "activity", "area_m2")},
        }
        with pytest.raises(PermissionDenied, match=r"another's"):
            town.desk.do.submit(CENTRE, {**said, "form": form.get(procedure, {})})
    assert APPLICANT["identifier"] not in str(town.licence(licence))


def test_a_large_shop_pays_for_its_waste_by_the_year_beside_its_licence(town: Town) -> None:
    large = {**FORM, "activity": "471110", "years": 2}
    quote = town.desk.do.quote(CENTRE, town.desk.submit({**large, "area_m2": 499.99})).body
    assert [line["code"] for line in quote["lines"]] == ["licence"]
    number = town.desk.submit({**large, "area_m2": 812.5})
    # 812.5 x 6.00 x 2 and 812.5 x 1.00 x 2; 812.5 x 1.20 x 2 and 812.5 x 0.20 x 2.
    lines = town.pays(number, ("11375.00", "2275.00"))
    assert lines == [
        ("licence", town.sum(("9750.00", "1950.00"))),
        ("waste", town.sum(("1625.00", "325.00"))),
    ]


def test_a_fuel_station_pays_by_the_class_of_the_town_and_not_by_its_area(town: Town) -> None:
    number = town.desk.submit({**FORM, "activity": "473001", "area_m2": 90})
    town.approve(number)
    lines = town.pays(number, ("5020.00", "1020.00"))
    assert lines == [("fuel_station", town.sum(("5000.00", "1000.00"))), ("inspection", "20.00")]


def test_a_licence_that_is_not_its_holders_is_taken_from_his_name(town: Town) -> None:
    licence = town.shop()
    said = {"grounds": "لم أتقدم بطلب هذه الرخصة ولا أعرف هذا المحل."}
    with pytest.raises(PermissionDenied, match=r"another's, and .* is for its holder himself"):
        town.desk.do.submit(
            CENTRE, message(said, applicant=OTHER_APPLICANT, procedure="disown", licence=licence)
        )
    objection = town.ask("disown", licence, said)
    town.desk.do.take(OBJECTIONS, objection, "approve", comment="لم يوقّع الطلب.")
    assert (town.desk.state(objection), town.status(licence)) == ("granted", "revoked")
    # Nothing is paid for it, and what was paid for the licence was not his.
    assert town.books()["bank"] == town.sum(YEAR)
