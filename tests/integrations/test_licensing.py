import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.asset_kinds import Kind
from foundation.assets import Asset, Assets
from foundation.calendar import add_years
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import (
    Conflict,
    DefinitionError,
    IdempotencyMismatch,
    NotFound,
    PermissionDenied,
    Stale,
)
from foundation.identity import Caller
from foundation.wire.credential import open_credential
from integrations.service import load_services
from tests.integrations.desk import (
    BANK,
    CENTRE,
    FORM,
    OTHER_CENTRE,
    PERSONAL,
    REVIEWED,
    REVIEWER,
    Desk,
    message,
    open_desk,
)


def test_an_immediate_activity_goes_from_submission_to_licence(desk: Desk) -> None:
    number = desk.submit()
    assert number == "SC-2026-000001"
    assert desk.state(number) == "submitted"
    quote = desk.do.quote(CENTRE, number).body
    assert (quote["total"], quote["fee_class"], quote["definition"]["version"]) == ("723.00", 1, 2)
    bill = desk.do.invoice(CENTRE, number).body
    assert (bill["amount"], bill["due"]) == ("723.00", "2026-11-27")
    paid = desk.pay(bill["bill_number"], "723.00")
    assert (paid["settled"], paid["outcome"], paid["case"]) == (True, "settled", number)
    case = desk.licensing.cases.case(CENTRE, number)
    assert (case["state"], case["licence"], case["intact"]) == ("issued", "SL-2026-000001", True)
    assert [entry["action"] for entry in case["journal"]] == ["submit", "quote", "invoice", "pay", "issue"]
    assert [entry["version"] for entry in case["journal"]] == [1, 2, 3, 4, 5]
    assert case["journal"][-1]["actor"] == "system/engine"
    assert desk.breaks() == []


def test_a_reviewed_activity_takes_no_money_before_its_approval(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    assert desk.state(number) == "under_review"
    with pytest.raises(Conflict, match="Under review"):
        desk.do.quote(CENTRE, number)
    with pytest.raises(PermissionDenied):
        desk.do.take(CENTRE, number, "approve")
    with pytest.raises(Conflict, match="lacks: Lease or deed"):
        desk.do.take(REVIEWER, number, "approve")
    desk.show_all(number)
    desk.do.take(REVIEWER, number, "approve")
    quote = desk.do.quote(CENTRE, number).body
    assert [line["code"] for line in quote["lines"]] == ["licence", "inspection"]
    bill = desk.do.invoice(CENTRE, number).body
    desk.pay(bill["bill_number"], bill["amount"])
    assert desk.state(number) == "issued"


def test_a_rejected_case_ends(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    desk.do.take(REVIEWER, number, "reject")
    assert desk.state(number) == "rejected"
    with pytest.raises(Conflict, match="Rejected"):
        desk.do.take(REVIEWER, number, "approve")


def test_paying_does_not_issue_where_the_definition_gives_that_to_a_person(desk: Desk) -> None:
    form = {"profession": "cook", "fit": True, "examined_on": "2026-11-01"}
    number = str(desk.do.submit(CENTRE, message(form, "exam_card")).body["number"])
    total = desk.do.quote(CENTRE, number).body
    # 60.05 and 15 percent of it, 9.0075, rounded half-up.
    assert (total["lines"][0]["vat"], total["total"]) == ("9.01", "69.06")
    bill = desk.do.invoice(CENTRE, number).body
    desk.pay(bill["bill_number"], "69.06")
    assert desk.state(number) == "paid"
    assert desk.count("licence") == 0
    desk.do.take(REVIEWER, number, "print")
    licence = desk.licensing.cases.case(CENTRE, number)["licence"]
    assert licence == "XL-2026-000001"
    assert desk.licensing.licences.licence(licence)["valid_to"] == "2027-11-21"


def test_a_second_service_decides_by_its_own_condition(desk: Desk) -> None:
    form = {"profession": "cook", "fit": False, "examined_on": "2026-11-01"}
    assert desk.do.submit(CENTRE, message(form, "exam_card")).body["state"] == "unfit"


def test_a_payment_cannot_be_taken_by_decision(desk: Desk) -> None:
    number, _ = desk.billed()
    for caller in (REVIEWER, BANK):
        with pytest.raises(NotFound):
            desk.do.take(caller, number, "pay")
    bank_at_the_desk = Caller("both", "client", frozenset({"centre", "payment", "auditor"}))
    with pytest.raises(NotFound, match="taken by a payment"):
        desk.do.take(bank_at_the_desk, number, "pay")
    assert desk.state(number) == "invoiced"


@pytest.mark.parametrize(
    ("amount", "outcome", "settles"),
    [("722.99", "partial", False), ("723.00", "settled", True), ("723.01", "over", True)],
)
def test_a_bill_is_settled_when_all_of_it_is_paid_and_every_payment_is_kept(
    desk: Desk, amount: str, outcome: str, settles: bool
) -> None:
    number, bill = desk.billed()
    answer = desk.pay(bill["bill_number"], amount)
    assert (answer["outcome"], answer["settled"]) == (outcome, settles)
    assert desk.count("case_payment") == 1
    assert desk.count("licence") == int(settles)
    assert desk.state(number) == ("issued" if settles else "invoiced")


@pytest.mark.parametrize("bill", ["9999999999999", "2600000000018", "1"])
def test_a_payment_of_an_unknown_bill_is_kept_and_moves_nothing(desk: Desk, bill: str) -> None:
    desk.billed()
    answer = desk.pay(bill, "723.00")
    assert (answer["outcome"], answer["case"], answer["settled"]) == ("unknown_bill", None, False)
    assert desk.count("case_payment") == 1
    assert desk.count("licence") == 0


def test_the_same_bank_reference_twice_is_one_payment(desk: Desk) -> None:
    _, bill = desk.billed()
    first = desk.pay(bill["bill_number"], "723.00", key="a")
    assert desk.pay(bill["bill_number"], "723.00", key="b") == first
    assert desk.count("case_payment") == 1
    with pytest.raises(Conflict, match="used for another payment"):
        desk.pay(bill["bill_number"], "1.00")


def test_a_second_payment_of_a_settled_bill_is_kept_as_surplus(desk: Desk) -> None:
    number, bill = desk.billed()
    desk.pay(bill["bill_number"], "723.00", "ref-1")
    answer = desk.pay(bill["bill_number"], "723.00", "ref-2")
    assert (answer["outcome"], answer["settled"], answer["case"]) == ("surplus", False, number)
    assert desk.count("licence") == 1


def test_a_payment_for_a_case_that_no_longer_waits_for_it_is_held(desk: Desk) -> None:
    form = {"profession": "cook", "fit": True, "examined_on": "2026-11-01"}
    number = str(desk.do.submit(CENTRE, message(form, "exam_card")).body["number"])
    desk.do.quote(CENTRE, number)
    bill = desk.do.invoice(CENTRE, number).body
    desk.do.take(REVIEWER, number, "drop")
    assert desk.pay(bill["bill_number"], bill["amount"])["outcome"] == "held"
    assert desk.state(number) == "dropped"
    assert desk.count("case_payment") == 1


def test_the_same_key_gives_the_same_answer_and_acts_once(desk: Desk) -> None:
    first = desk.do.submit(CENTRE, message(), "k-1")
    again = desk.do.submit(CENTRE, message(), "k-1")
    assert (again.body, again.status, again.replayed) == (first.body, 201, True)
    assert desk.count("case_file") == 1
    with pytest.raises(IdempotencyMismatch):
        desk.do.submit(CENTRE, message({**FORM, "years": 2}), "k-1")


def test_a_refused_action_leaves_nothing_behind(desk: Desk) -> None:
    number = desk.submit()
    before = {table: desk.count(table) for table in ("audit", "event", "case_quote", "case_invoice")}
    with pytest.raises(Conflict):
        desk.do.invoice(CENTRE, number)
    assert {table: desk.count(table) for table in before} == before


def test_a_version_that_was_overtaken_is_refused(desk: Desk) -> None:
    number = desk.submit()
    with pytest.raises(Stale, match="at version 1, not 7"):
        desk.do.quote(CENTRE, number, version=7)
    desk.do.quote(CENTRE, number, version=1)


def test_an_unknown_service_is_answered_with_the_known_ones(desk: Desk) -> None:
    with pytest.raises(NotFound, match=r"Known: .*exam_card, .*shop_licence"):
        desk.do.submit(CENTRE, message(FORM, "shop"))


def test_an_unknown_action_is_refused(desk: Desk) -> None:
    with pytest.raises(NotFound, match="no action 'bless'"):
        desk.do.take(REVIEWER, desk.submit(), "bless")


@pytest.mark.parametrize("number", ["SC-2026-000009", "x", "SC-2026-000001\x00", "' OR 1=1", ""])
def test_a_number_that_is_none_is_not_found(desk: Desk, number: str) -> None:
    with pytest.raises(NotFound):
        desk.licensing.cases.case(CENTRE, number)
    with pytest.raises(NotFound):
        desk.licensing.licences.licence(number)
    with pytest.raises(NotFound):
        desk.licensing.licences.verify(number)


def test_another_centre_does_not_learn_of_a_case(desk: Desk) -> None:
    number, licence = desk.issued()
    for attempt in (
        lambda: desk.licensing.cases.case(OTHER_CENTRE, number),
        lambda: desk.do.quote(OTHER_CENTRE, number),
        lambda: desk.do.invoice(OTHER_CENTRE, number),
        lambda: desk.licensing.licences.document(OTHER_CENTRE, licence),
    ):
        with pytest.raises(NotFound):
            attempt()
    assert desk.licensing.cases.cases(OTHER_CENTRE)["items"] == []


def test_the_wrong_role_never_acts(desk: Desk) -> None:
    with pytest.raises(PermissionDenied):
        desk.do.submit(BANK, message())
    number = desk.submit()
    with pytest.raises(PermissionDenied):
        desk.do.quote(REVIEWER, number)
    assert desk.count("case_file") == 1


def test_public_answers_journal_and_events_hold_no_personal_data(desk: Desk) -> None:
    number, licence = desk.issued()
    desk_of_licences = desk.licensing.licences
    told = [desk_of_licences.licence(licence), desk_of_licences.verify(licence)]
    public = json.dumps(told, ensure_ascii=False)
    journal = json.dumps(desk.licensing.cases.case(CENTRE, number)["journal"], ensure_ascii=False)
    with desk.database.transaction() as session:
        rows = session.execute(
            text("SELECT payload::text FROM event UNION ALL SELECT args::text FROM procrastinate_jobs")
        )
        written = " ".join(rows.scalars())
    key = desk.licensing.licences.public_keys()
    claims = str(
        open_credential(desk.licensing.licences.licence(licence)["credential"], key, today=date(2026, 11, 22))
    )
    for marker in PERSONAL:
        assert marker not in public
        assert marker not in journal
        assert marker not in written
        assert marker not in claims
    assert FORM["trade_name"] in public


def test_the_public_part_has_the_papers_lines_in_both_languages(desk: Desk) -> None:
    _, number = desk.issued()
    licence = desk.licensing.licences.licence(number)
    assert licence["title"] == {"ar": "رخصة محل تجاري", "en": "Shop licence"}
    lines = {line["label"]["en"]: line["value"] for line in licence["lines"]}
    assert lines["Activity"] == {"ar": "مخبز", "en": "Bakery"}
    assert lines["Area"] == {"ar": "120.5 م²", "en": "120.5 m²"}
    assert "Commercial register number" not in lines


def test_the_credential_says_what_the_register_says(desk: Desk) -> None:
    _, number = desk.issued()
    licence = desk.licensing.licences.licence(number)
    keys = desk.licensing.licences.public_keys()
    opened = open_credential(licence["credential"], keys, today=date(2026, 11, 22))
    assert opened.claims.number == number
    assert opened.claims.valid_to.isoformat() == licence["valid_to"]
    assert opened.claims.public["trade_name"] == FORM["trade_name"]


def test_a_licence_holds_for_hijri_years_to_the_eve_of_the_anniversary(desk: Desk) -> None:
    _, number = desk.issued({**FORM, "years": 3})
    licence = desk.licensing.licences.licence(number)
    assert licence["valid_from"] == "2026-11-22"
    # 12/6/1448 and three Umm al-Qura years: 12/6/1451, less a day.
    end = add_years(date(2026, 11, 22), 3, "umm_al_qura") - timedelta(days=1)
    assert licence["valid_to"] == end.isoformat()
    assert end < date(2029, 11, 21)


def test_a_licence_is_valid_on_its_last_day_and_expired_on_the_next(desk: Desk) -> None:
    _, number = desk.issued()
    last = date.fromisoformat(desk.licensing.licences.licence(number)["valid_to"])
    desk.now.append(datetime(last.year, last.month, last.day, 20, 59, tzinfo=UTC))
    assert desk.licensing.licences.verify(number)["status"] == "valid"
    # Midnight in Riyadh is 21:00 UTC.
    desk.now.append(datetime(last.year, last.month, last.day, 21, 0, tzinfo=UTC))
    assert desk.licensing.licences.verify(number)["status"] == "expired"


def test_a_night_application_counts_on_the_local_date(desk: Desk) -> None:
    desk.now.append(datetime(2026, 12, 31, 21, 0, tzinfo=UTC))
    assert desk.submit() == "SC-2027-000001"


def test_the_clock_set_back_a_day_breaks_nothing(desk: Desk) -> None:
    number, bill = desk.billed()
    desk.now.append(desk.now[-1] - timedelta(days=1))
    desk.pay(bill["bill_number"], bill["amount"])
    assert desk.state(number) == "issued"
    assert desk.breaks() == []


def test_the_inventory_says_the_class_of_the_municipality_before_the_settings(desk: Desk) -> None:
    title = Bilingual(ar="بلدية الاختبار", en="Test Municipality")
    with desk.database.transaction() as session:
        Assets().add(
            session, Asset("sample", Kind.MUNICIPALITY, title, attributes={"fee_class": 5}), actor="test"
        )
    number = desk.submit()
    assert desk.do.quote(CENTRE, number).body["total"] == "200.00"
    bill = desk.do.invoice(CENTRE, number).body
    desk.pay(bill["bill_number"], "200.00")
    licence = desk.licensing.cases.case(CENTRE, number)["licence"]
    assert desk.licensing.licences.licence(licence)["municipality"] == title.model_dump()


def test_a_case_keeps_the_definition_it_was_opened_under(database: Database, tmp_path: Path) -> None:
    old = open_desk(database, tmp_path)
    number = old.submit()
    service = load_services([]).get("shop_licence")
    dearer = json.loads(json.dumps(service.content))
    dearer["version"] = 3
    dearer["fees"][0]["rates"][0]["by_class"]["1"] = "60.00"
    newer = open_desk(database, tmp_path)
    newer.licensing.services._items["shop_licence"] = (type(service).model_validate(dearer), "a newer file")
    assert newer.do.quote(CENTRE, number).body["total"] == "723.00"
    assert newer.do.quote(CENTRE, newer.submit()).body["total"] == "7230.00"
    # The process that knows only the newer file reads the older one from the database.
    assert old.licensing.cases.case(CENTRE, number)["definition"]["version"] == 2


def test_a_definition_changed_without_its_version_takes_no_case(database: Database, tmp_path: Path) -> None:
    desk = open_desk(database, tmp_path)
    desk.submit()
    service = load_services([]).get("shop_licence")
    changed = json.loads(json.dumps(service.content))
    changed["payment"]["due_days"] = 6
    desk.licensing.services._items["shop_licence"] = (type(service).model_validate(changed), "a changed file")
    with pytest.raises(DefinitionError, match="changed after it got cases"):
        desk.submit()


def test_a_form_changed_behind_the_engine_is_seen(desk: Desk) -> None:
    number = desk.submit()
    with desk.database.transaction() as session:
        session.execute(text("UPDATE case_file SET form = jsonb_set(form, '{area_m2}', '10')"))
    assert desk.licensing.cases.case(CENTRE, number)["intact"] is False
