"""The health card, every path to its end through the real desks, each day and sum worked out by hand."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation.calendar import HijriDate
from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, PermissionDenied
from integrations.form import ChoiceField, DateField, TextField
from tests.integrations import paths
from tests.integrations.desk import (
    CENTRE,
    FINANCE,
    OTHER_APPLICANT,
    OTHER_CENTRE,
    REVIEWER,
    message,
    new_key,
    open_desk,
)
from tests.integrations.health_card_paths import (
    BORDER,
    CARD,
    COMES_TO,
    EXAM,
    EXAMINED,
    EXAMINER,
    FORM,
    FORMS,
    ISSUE,
    PAID,
    PASSPORT,
    PATHS,
    PATHS_ON_A_CARD,
    PATHS_ON_A_REVOKED_CARD,
    PATHS_WITH_CENTRE,
    SEASONAL,
    WITH_CENTRE,
)
from tests.integrations.paths import Walker, caller_of, for_owner


@pytest.fixture
def worker(database: Database, tmp_path: Path) -> Walker:
    return Walker(open_desk(database, tmp_path), CARD, FORMS, EXAM)


def as_others(worker: Walker, form: dict[str, Any], applicant: Any = None) -> Walker:
    """The same desk, with another form or applicant."""
    forms = {**FORMS, "issue": form, "renew": {n: v for n, v in form.items() if n != "kind"}}
    return Walker(worker.desk, CARD, forms, EXAM, applicant or worker.applicant)


def test_the_paths_of_these_tests_take_every_step_that_there_is() -> None:
    everywhere = [*PATHS, *PATHS_WITH_CENTRE, *PATHS_ON_A_CARD, *PATHS_ON_A_REVOKED_CARD]
    taken = set().union(*(paths.edges_of(CARD, path) for path in everywhere))
    assert paths.edges(CARD) - taken == set()
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
    worker = Walker(open_desk(database, tmp_path, fee_class=fee_class), CARD, FORMS, EXAM)
    for form in (FORM, SEASONAL):
        case = as_others(worker, form).follow(ISSUE)
        assert [(line["code"], line["total"]) for line in case["quote"]["lines"]] == [("card", "60.00")]
        assert case["invoice"]["amount"] == "60.00"


def test_who_is_unfit_pays_nothing_and_has_no_card(worker: Walker) -> None:
    case = worker.follow(("issue", "submit confirm record_exam unfit"))
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
    worker.go(number, ["confirm"])
    # The day of the last examination is none of this one.
    with pytest.raises(Conflict):
        worker.desk.do.take(EXAMINER, number, "fit")
    worker.go(number, ["record_exam", "fit", "quote", "invoice", "pay"])
    # From 11 November 2027 to the eve of 12 Jumada al-Akhirah 1450.
    assert worker.licence(card)["valid_to"] == "2028-10-29"


# ---------------------------------------------------------------- who may do what


def test_only_a_health_centre_says_who_is_fit(worker: Walker) -> None:
    number = worker.ask("issue")
    worker.go(number, ["confirm", "record_exam"])
    for stranger in (CENTRE, REVIEWER, caller_of(["educator"])):
        with pytest.raises(PermissionDenied):
            worker.desk.do.take(stranger, number, "fit")
    assert worker.desk.state(number) == "medical"
    with pytest.raises(Conflict):
        worker.desk.do.quote(CENTRE, number)


def test_no_answer_is_given_before_the_day_of_the_examination_is(worker: Walker) -> None:
    number = worker.ask("issue")
    worker.go(number, ["confirm"])
    for answer in ("fit", "unfit"):
        with pytest.raises(Conflict, match="Awaits the medical examination"):
            worker.desk.do.take(EXAMINER, number, answer)


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
    by_border.go(number, ["confirm", "record_exam", "fit", "quote", "invoice", "pay"])
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


# ---------------------------------------------------------------- no medical detail


def test_no_field_could_hold_a_medical_detail() -> None:
    for asked in CARD.form:
        # A choice among words of ours, a date, or a code of a fixed form: nowhere a free word.
        assert isinstance(asked, ChoiceField | DateField | TextField)
        if isinstance(asked, TextField):
            assert asked.pattern is not None
            for word in ("سكري", "diabetes", "HIV positive", "لائق"):
                assert re.fullmatch(asked.pattern, word) is None
    assert [asked.name for asked in CARD.form if isinstance(asked, DateField)] == [
        "birth_date",
        "examined_on",
    ]
    # No document of a doctor is on the checklist.
    assert {each.code for each in CARD.documents} == {
        "photo",
        "border_document",
        "season_contract",
        "work_letter",
    }


@pytest.mark.parametrize(
    "sent", [{"diagnosis": "x"}, {"examined_on": "لديه سكري"}, {"examined_on": "2026-11-20", "result": "+"}]
)
def test_a_detail_that_is_sent_all_the_same_is_refused_and_kept_nowhere(
    worker: Walker, sent: dict[str, Any]
) -> None:
    number = worker.ask("issue")
    worker.go(number, ["confirm"])
    before = worker.desk.case(number)
    with pytest.raises(InvalidInput):
        worker.desk.do.take(EXAMINER, number, "record_exam", form=sent)
    assert worker.desk.case(number) == before
    with pytest.raises(InvalidInput):
        worker.ask("issue", form={**FORM, **sent, "notes": "x"})


def test_nothing_may_be_said_while_a_worker_is_examined(worker: Walker) -> None:
    number = worker.ask("issue")
    worker.go(number, ["confirm"])
    for action in ("record_exam", "fit", "unfit"):
        if action != "record_exam":
            worker.go(number, ["record_exam"])
        with pytest.raises(InvalidInput, match="takes no comment"):
            worker.desk.do.take(EXAMINER, number, action, comment="تحليل الدم سليم.")
    for caller in (EXAMINER, REVIEWER, CENTRE):
        with pytest.raises(Conflict, match="Nothing may be said"):
            worker.desk.licensing.inbox.comment(caller, number, "تحليل الدم سليم.", new_key())
    assert worker.desk.count("case_comment") == 0


def test_the_paper_and_the_public_see_no_more_than_they_need(worker: Walker) -> None:
    by_border = as_others(worker, {**FORM, **PASSPORT}, BORDER)
    number = by_border.issued(ISSUE)
    told = str(worker.desk.licensing.licences.verify(number))
    for secret in (*BORDER.values(), *PASSPORT.values(), "2026-11-20"):
        assert secret not in told
    with worker.desk.database.transaction() as session:
        row = session.execute(text("SELECT form, lines FROM licence")).one()
    assert not set(row.form) & {*PASSPORT, "examined_on"}
    assert "2026-11-20" not in str(row)


def test_the_day_a_centre_writes_down_at_another_desk_is_refused(worker: Walker) -> None:
    number = worker.ask("issue")
    worker.go(number, ["send_back"])
    with pytest.raises(InvalidInput):
        worker.desk.do.take(CENTRE, number, "resubmit", form={"examined_on": "2026-11-20"})
    with pytest.raises(InvalidInput):
        worker.desk.do.submit(OTHER_CENTRE, message({**FORM, "city": "riyadh"}, "health_card"))
    assert worker.desk.now[-1] == datetime(2026, 11, 22, 7, tzinfo=UTC)
