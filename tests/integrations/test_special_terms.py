"""Lengths that only some licences of a service have, fields that are known, steps without words."""

from datetime import date
from pathlib import Path

import pytest

from foundation.calendar import HijriDate
from foundation.database import Database
from foundation.errors import Conflict, InvalidInput
from integrations.cases.conditions import Condition, Facts
from integrations.cases.fees import years_of
from integrations.licences.validity import last_day
from integrations.service import Service, load_service
from tests.integrations.definition_texts import CARD, changed, refused
from tests.integrations.desk import CENTRE, REVIEWER, Desk, new_key, open_desk

LENGTHS = "validity: {years: 1, calendar: gregorian}"
SEASON = (
    LENGTHS,
    "validity:\n  years: 1\n  calendar: gregorian\n  special:\n"
    "    - {when: {field: profession, equals: cook}, fixed_end: {month: 1, day: 15}, calendar: umm_al_qura}\n"
    "    - {when: {field: fit, equals: true}, years: 2, calendar: gregorian}",
)
OPTIONAL_DAY = ("type: date, example: 2026-11-01}", "type: date, required: false, example: 2026-11-01}")
WHEN_KNOWN = (
    "from: asked, to: priced, roles: centre, effect: quote}",
    "from: asked, to: priced, roles: centre, effect: quote,\n"
    "         when: {field: examined_on, known: true}}\n"
    "      - {name: tell, title: {ar: ذكر, en: Tell}, from: asked, to: asked, roles: centre,\n"
    "         edits: examined_on}",
)
SILENT = (
    "from: billed, to: dropped, roles: reviewer}",
    "from: billed, to: dropped, roles: reviewer, comment: none}",
)
FORM = {"profession": "cook", "fit": True, "examined_on": "2026-11-01"}


def card(tmp_path: Path, *changes: tuple[str, str]) -> Service:
    path = tmp_path / "exam_card.yaml"
    path.write_text(changed(CARD, *changes), encoding="utf-8")
    return load_service(path)


@pytest.mark.parametrize(
    ("form", "last"),
    [
        ({"profession": "cook", "fit": True}, HijriDate(1449, 1, 15).gregorian()),
        ({"profession": "barber", "fit": True}, date(2028, 11, 21)),
        ({"profession": "barber", "fit": False}, date(2027, 11, 21)),
    ],
)
def test_the_first_length_whose_condition_holds_is_taken_and_else_the_usual(
    tmp_path: Path, form: dict[str, object], last: date
) -> None:
    service = card(tmp_path, SEASON)
    assert last_day(service.validity, form, date(2026, 11, 22)) == last
    assert years_of(service, form) == {"cook": 1, "barber": 2 if form["fit"] else 1}[str(form["profession"])]


def test_a_definition_without_the_key_has_the_content_that_it_had(tmp_path: Path) -> None:
    # Its fingerprint is what open cases are held to.
    assert "special" not in str(card(tmp_path).content)
    assert Service.model_validate(card(tmp_path, SEASON).content).validity.special


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "{field: profession, equals: cook}",
            "{field: licence.excused, equals: true}",
            "no field whose value",
        ),
        ("{field: profession, equals: cook}", "{field: profession, equals: smith}", "is never 'smith'"),
        ("{field: profession, equals: cook}", "{done: ask}", "only an action's condition asks what was done"),
        ("fixed_end: {month: 1, day: 15}", "fixed_end: {month: 1, day: 31}", "no month of the Hijri year"),
        ("years: 2, calendar", "years: 51, calendar", "at most 50"),
        ("years: 2, calendar", "years: 2, days: 3, calendar", "exactly one of years"),
    ],
)
def test_a_length_that_says_nothing_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert said in str(refused(tmp_path, CARD, SEASON, (old, new)))


def test_what_is_known_is_judged_and_not_what_it_says() -> None:
    given = Condition.model_validate({"field": "examined_on", "known": True})
    assert given.holds(Facts({"examined_on": "2026-11-01"}))
    assert not given.holds(Facts({"examined_on": None}))
    assert not given.holds(Facts({}))
    assert str(given) == "examined_on known"


def test_a_step_waits_until_a_field_is_given(database: Database, tmp_path: Path) -> None:
    desk = opened(database, tmp_path, OPTIONAL_DAY, WHEN_KNOWN)
    number = desk.submit({"profession": "cook", "fit": True}, service="exam_card")
    with pytest.raises(Conflict, match="Asked"):
        desk.do.quote(CENTRE, number)
    desk.do.take(CENTRE, number, "tell", form={"examined_on": "2026-11-01"})
    assert desk.do.quote(CENTRE, number).body["total"] == "69.06"


def test_a_field_that_is_always_known_is_not_asked_for(tmp_path: Path) -> None:
    assert "is required, and so always known" in str(refused(tmp_path, CARD, WHEN_KNOWN))


def test_where_no_step_takes_words_nothing_is_said_of_the_case(database: Database, tmp_path: Path) -> None:
    desk = opened(database, tmp_path, SILENT)
    number = desk.submit(FORM, service="exam_card")
    desk.licensing.inbox.comment(REVIEWER, number, "وصلت الأوراق.", new_key())
    desk.do.quote(CENTRE, number)
    desk.do.invoice(CENTRE, number)
    with pytest.raises(Conflict, match="Nothing may be said") as unsaid:
        desk.licensing.inbox.comment(REVIEWER, number, "نتيجته كذا.", new_key())
    assert "لا يُكتب تعليق" in unsaid.value.message_ar
    with pytest.raises(InvalidInput, match="takes no comment") as said:
        desk.do.take(REVIEWER, number, "drop", comment="لأن نتيجته كذا.")
    assert "لا يُكتب معها تعليق" in said.value.message_ar
    desk.do.take(REVIEWER, number, "drop")
    assert desk.state(number) == "dropped"


def opened(database: Database, tmp_path: Path, *changes: tuple[str, str]) -> Desk:
    folder = tmp_path / "definitions"
    folder.mkdir()
    card(folder, *changes)
    return open_desk(database, tmp_path, (folder,))
