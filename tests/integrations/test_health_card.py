"""The health card, every path to its end through the real desks, each day and sum worked out by hand."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation.calendar import HijriDate
from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, PermissionDenied
from integrations.cases import notices
from tests.integrations.desk import (
    CENTRE,
    FINANCE,
    OTHER_APPLICANT,
    REVIEWER,
    open_desk,
)
from tests.integrations.health_card_paths import (
    BORDER,
    CARD,
    COMES_TO,
    EXAMINED,
    FORM,
    FORMS,
    ISSUE,
    PAID,
    PASSPORT,
    PATHS,
    PATHS_OF_A_RESIDENT,
    PATHS_ON_A_CARD,
    PATHS_ON_A_REVOKED_CARD,
    PATHS_WITH_CENTRE,
    RESIDENT,
    SEASONAL,
    WITH_CENTRE,
)
from tests.integrations.paths import Walker, caller_of, for_owner, untaken


@pytest.fixture
def worker(database: Database, tmp_path: Path) -> Walker:
    return Walker(open_desk(database, tmp_path), CARD, FORMS)


def as_others(worker: Walker, form: dict[str, Any], applicant: Any = None) -> Walker:
    """The same desk, with another form or applicant."""
    forms = {**FORMS, "issue": form, "renew": {n: v for n, v in form.items() if n != "kind"}}
    return Walker(worker.desk, CARD, forms, {}, applicant or worker.applicant)


def test_the_paths_of_these_tests_take_every_step_that_there_is() -> None:
    everywhere = [
        *PATHS,
        *PATHS_WITH_CENTRE,
        *PATHS_OF_A_RESIDENT,
        *PATHS_ON_A_CARD,
        *PATHS_ON_A_REVOKED_CARD,
    ]
    assert untaken(CARD, everywhere) == set()
    assert {path[0] for path in everywhere} == set(CARD.procedures)


def test_a_worker_gets_the_card_or_is_told_why_not(worker: Walker) -> None:
    for path in PATHS:
        case = worker.follow(path)
        assert (case["licence"] is not None) == (case["state"] == "issued")
    assert worker.desk.count("licence") == 2
    assert worker.desk.breaks() == []


def test_where_the_city_has_a_centre_the_worker_is_taught(worker: Walker) -> None:
    for path in PATHS_WITH_CENTRE:
        case = as_others(worker, WITH_CENTRE).follow(path)
        assert (case["licence"] is not None) == (case["state"] == "issued")
    assert worker.desk.count("licence") == 2


def test_a_residents_residency_is_looked_at_where_the_municipality_wants_it(worker: Walker) -> None:
    resident = as_others(worker, WITH_CENTRE, RESIDENT)
    number = resident.ask("issue")
    resident.hand_in(number)
    with pytest.raises(Conflict, match="Licence and profession checked"):
        worker.desk.do.take(REVIEWER, number, "confirm")
    for path in PATHS_OF_A_RESIDENT:
        assert resident.follow(path)["state"] == "issued"
    # In another city, and of a citizen, nobody asks.
    assert as_others(worker, FORM, RESIDENT).follow(ISSUE)["state"] == "issued"
    assert as_others(worker, WITH_CENTRE).follow(PATHS_WITH_CENTRE[0])["state"] == "issued"


def test_nobody_moves_past_the_test_of_health_education_by_an_amendment(worker: Walker) -> None:
    card = worker.issued(ISSUE)
    with pytest.raises(InvalidInput) as refused:
        worker.ask("amend", card, {**FORMS["amend"], "city": "jeddah"})
    assert [wrong.pointer for wrong in refused.value.fields] == ["/form/city"]


def test_what_is_done_with_a_card_comes_to_its_end(worker: Walker) -> None:
    for path in PATHS_ON_A_CARD:
        card = worker.issued(ISSUE)
        if path[0] == "renew":
            worker.on(date.fromisoformat(worker.licence(card)["valid_to"]))
        before = worker.licence(card)
        case = worker.follow(path, card)
        after = worker.licence(card)
        if case["state"] in ("done", "granted", "decided", "issued"):
            assert after["status"] == COMES_TO.get(path[0], "valid")
            assert after["version"] == before["version"] + (path[0] in ("renew", "amend", "correct"))
        else:
            assert after == before
    assert worker.desk.breaks() == []


def test_a_revocation_is_objected_to_in_chosen_words(worker: Walker) -> None:
    for path in PATHS_ON_A_REVOKED_CARD:
        card = worker.issued(ISSUE)
        worker.follow(("revoke", "propose decide"), card)
        assert worker.licence(card)["status"] == "revoked"
        worker.follow(path, card)
        assert worker.licence(card)["status"] == ("valid" if path[1].endswith("approve") else "revoked")


@pytest.mark.parametrize("fee_class", [1, 2, 3, 4, 5])
def test_a_card_costs_sixty_riyals_in_every_class(database: Database, tmp_path: Path, fee_class: int) -> None:
    worker = Walker(open_desk(database, tmp_path, fee_class=fee_class), CARD, FORMS)
    for form in (FORM, SEASONAL):
        case = as_others(worker, form).follow(ISSUE)
        assert [(line["code"], line["total"]) for line in case["quote"]["lines"]] == [("card", "60.00")]
        assert case["invoice"]["amount"] == "60.00"


def test_who_is_unfit_pays_nothing_and_has_no_card(worker: Walker) -> None:
    case = worker.follow(("issue", "submit confirm unfit"))
    assert (case["quote"], case["invoice"], case["licence"]) == (None, None, None)
    assert worker.desk.licensing.money.balance(FINANCE)["accounts"] == []
    assert worker.desk.count("licence") == 0


# ---------------------------------------------------------------- how long it holds


@pytest.mark.parametrize(
    ("day", "last"),
    [
        # A year of the Umm al-Qura calendar: to the eve of 12 Jumada al-Akhirah 1449.
        (date(2026, 11, 22), date(2027, 11, 10)),
        # 30 Shaban 1448: Shaban of 1449 has 29 days.
        (date(2027, 2, 7), date(2028, 1, 26)),
    ],
)
def test_an_ordinary_card_holds_a_hijri_year(worker: Walker, day: date, last: date) -> None:
    worker.on(day)
    card = worker.licence(worker.issued(ISSUE))
    assert (card["valid_from"], card["valid_to"]) == (day.isoformat(), last.isoformat())


@pytest.mark.parametrize(
    ("day", "year"),
    [
        (date(2026, 11, 22), 1449),
        # The fifteenth itself is a card of one day, the sixteenth a card of almost a year.
        (HijriDate(1449, 1, 15).gregorian(), 1449),
        (HijriDate(1449, 1, 16).gregorian(), 1450),
        (HijriDate(1450, 12, 29).gregorian(), 1451),
    ],
)
def test_a_seasonal_card_ends_on_the_fifteenth_of_muharram(worker: Walker, day: date, year: int) -> None:
    worker.on(day)
    season = as_others(worker, SEASONAL)
    card = season.licence(season.issued(ISSUE))
    assert card["valid_from"] == day.isoformat()
    assert card["valid_to"] == HijriDate(year, 1, 15).gregorian().isoformat()


def test_seasonal_renewals_go_from_fifteenth_to_fifteenth(worker: Walker) -> None:
    season = as_others(worker, SEASONAL)
    card = season.issued(ISSUE)
    for year in (1449, 1450, 1451):
        end = HijriDate(year, 1, 15).gregorian()
        assert season.licence(card)["valid_to"] == end.isoformat()
        season.on(end - timedelta(days=10))
        season.follow(("renew", f"{EXAMINED} {PAID}"), card)
    assert season.licence(card)["valid_to"] == HijriDate(1452, 1, 15).gregorian().isoformat()


def test_a_renewal_is_examined_anew_and_joins_the_old_end(worker: Walker) -> None:
    card = worker.issued(ISSUE)
    end = date.fromisoformat(worker.licence(card)["valid_to"])
    worker.on(end - timedelta(days=61))
    with pytest.raises(Conflict, match="possible from"):
        worker.ask("renew", card)
    worker.on(end - timedelta(days=60))
    number = worker.ask("renew", card)
    # That he was fit the last time says nothing of this one.
    with pytest.raises(Conflict, match="Licence and profession checked"):
        worker.desk.do.quote(CENTRE, number)
    worker.go(number, ["confirm", "fit", "quote", "invoice", "pay"])
    # From 11 November 2027 to the eve of 12 Jumada al-Akhirah 1450.
    assert worker.licence(card)["valid_to"] == "2028-10-29"


# ---------------------------------------------------------------- who may do what


def test_only_a_health_centre_says_who_is_fit(worker: Walker) -> None:
    number = worker.ask("issue")
    worker.go(number, ["confirm"])
    for stranger in (CENTRE, REVIEWER, caller_of(["educator"])):
        with pytest.raises(PermissionDenied):
            worker.desk.do.take(stranger, number, "fit")
    assert worker.desk.state(number) == "medical"
    with pytest.raises(Conflict):
        worker.desk.do.quote(CENTRE, number)


def test_the_checklist_asks_what_the_card_and_the_worker_need(worker: Walker) -> None:
    def needed(form: dict[str, Any], applicant: Any = None) -> set[str]:
        number = as_others(worker, form, applicant).ask("issue")
        return {each["code"] for each in worker.desk.case(number)["documents"] if each["needed"]}

    assert needed(FORM) == {"photo"}
    assert needed(SEASONAL, OTHER_APPLICANT) == {"photo", "season_contract"}
    assert needed({**FORM, **PASSPORT}, BORDER) == {"photo", "border_document"}


@pytest.mark.parametrize("left_out", sorted(PASSPORT))
def test_who_comes_by_a_border_number_tells_more_of_himself(worker: Walker, left_out: str) -> None:
    said = {name: value for name, value in PASSPORT.items() if name != left_out}
    by_border = as_others(worker, {**FORM, **said}, BORDER)
    number = by_border.ask("issue")
    with pytest.raises(Conflict, match="Licence and profession checked"):
        by_border.go(number, ["confirm"])
    by_border.go(number, ["send_back"])
    worker.desk.do.take(CENTRE, number, "resubmit", form={left_out: PASSPORT[left_out]})
    by_border.go(number, ["confirm", "fit", "quote", "invoice", "pay"])
    assert worker.desk.state(number) == "issued"


@pytest.mark.parametrize("capacity", ["manager", "agent"])
def test_the_establishment_asks_and_cancels_for_the_worker_who_let_it(worker: Walker, capacity: str) -> None:
    employer = as_others(worker, FORM, for_owner(capacity))
    with pytest.raises(PermissionDenied, match="no delegation"):
        employer.ask("issue")
    worker.delegate(capacity)
    card = employer.issued(ISSUE)
    # The card is the worker's, who cancels it himself where he likes, and so may the employer.
    employer.follow(("cancel", "submit do"), card)
    assert worker.licence(card)["status"] == "closed"
    own = employer.issued(ISSUE)
    worker.follow(("cancel", "submit do"), own)
    assert worker.licence(own)["status"] == "closed"


def test_nobody_else_cancels_a_card(worker: Walker) -> None:
    card = worker.issued(ISSUE)
    stranger = as_others(worker, FORM, OTHER_APPLICANT)
    with pytest.raises(PermissionDenied, match="another's"):
        stranger.ask("cancel", card)
    assert worker.licence(card)["status"] == "valid"


@pytest.mark.parametrize("days", [60, 61])
def test_an_objection_has_sixty_days(worker: Walker, days: int) -> None:
    card = worker.issued(ISSUE)
    worker.follow(("revoke", "propose decide"), card)
    worker.on(date(2026, 11, 22) + timedelta(days=days))
    if days == 60:
        worker.follow(("uphold", "submit approve"), card)
    else:
        with pytest.raises(Conflict, match="possible until"):
            worker.ask("uphold", card)


def test_what_the_office_leaves_lying_is_shown_to_who_looks_after_it(worker: Walker) -> None:
    for procedure, role in (("issue", "supervisor"), ("amend", "supervisor"), ("revoke", "supervisor")):
        number = worker.ask(procedure, None if procedure == "issue" else worker.issued(ISSUE))
        assert worker.escalated(number) == role
    card = worker.issued(ISSUE)
    worker.follow(("revoke", "propose decide"), card)
    assert worker.escalated(worker.ask("uphold", card)) == "objections"


def test_an_expired_card_is_told_expired_and_renewed(worker: Walker) -> None:
    card = worker.issued(ISSUE)
    worker.on(date.fromisoformat(worker.licence(card)["valid_to"]) + timedelta(days=1))
    assert worker.licence(card)["status"] == "expired"
    worker.follow(("renew", f"{EXAMINED} {PAID}"), card)
    assert worker.licence(card)["status"] == "valid"


# ---------------------------------------------------------------- what it says to whom


def test_who_is_sent_back_or_refused_reads_why_in_chosen_words(worker: Walker) -> None:
    number = worker.ask("issue")
    with pytest.raises(InvalidInput, match="'Send back' is one of: photo, paper") as refused:
        worker.desk.do.take(REVIEWER, number, "send_back", comment="الصورة قديمة")
    (wrong,) = refused.value.fields
    assert (wrong.pointer, wrong.detail_ar) == ("/comment", refused.value.message_ar)
    assert "photo: الصورة الشخصية غير واضحة" in str(wrong.detail_ar)
    with pytest.raises(InvalidInput, match="needs a comment"):
        worker.desk.do.take(REVIEWER, number, "send_back")
    (offered,) = [
        each
        for each in worker.desk.licensing.cases.case(REVIEWER, number)["actions"]
        if each["name"] == "reject"
    ]
    assert [each["code"] for each in offered["reasons"]] == [
        "no_card",
        "licence",
        "residency",
        "not_employed",
        "false_papers",
    ]
    worker.desk.do.take(REVIEWER, number, "send_back", comment="profession")
    worker.desk.do.take(CENTRE, number, "resubmit", form={"profession": "baker"})
    worker.desk.do.take(REVIEWER, number, "reject", comment="not_employed")
    told = worker.desk.licensing.inbox.comments(CENTRE, number)
    assert [(each["action"], each["text"]) for each in told] == [
        (
            "send_back",
            "المهنة لا تطابق نشاط المنشأة\nThe profession does not fit the establishment's activity",
        ),
        ("reject", "العامل لا يعمل لدى المنشأة\nThe worker is not employed there"),
    ]


def test_a_message_to_the_worker_does_not_say_that_he_is_unfit() -> None:
    # A stranger may find the phone, or the employer keep it.
    said = CARD.flows["examined"].states["unfit"].title
    words = {"case": "HC-2026-000001", "state_ar": said.ar, "state_en": said.en}
    told = notices.text_of("ended", words)
    for word in ("لائق", "نتيجة", "فحص", "fit", "exam"):
        assert word not in told


def test_the_paper_and_the_public_see_no_more_than_they_need(worker: Walker) -> None:
    by_border = as_others(worker, {**FORM, **PASSPORT}, BORDER)
    number = by_border.issued(ISSUE)
    told = str(worker.desk.licensing.licences.verify(number))
    for secret in (*BORDER.values(), *PASSPORT.values(), "السودان"):
        assert secret not in told
    with worker.desk.database.transaction() as session:
        row = session.execute(text("SELECT form, lines FROM licence")).one()
    assert not set(row.form) & set(PASSPORT)
    assert "السودان" not in str(row)


@pytest.mark.parametrize(("name", "value"), [("passport_number", "DIABETES"), ("nationality", "HIV")])
def test_codes_are_no_room_for_words(worker: Walker, name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        worker.ask("issue", form={**FORM, **PASSPORT, name: value})
    (wrong,) = refused.value.fields
    assert wrong.pointer == f"/form/{name}"
    assert wrong.detail_ar
