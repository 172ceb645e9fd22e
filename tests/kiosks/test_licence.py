from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosks.licence import Licence, dates, isolated, pieces, runs_right_to_left


def test_a_number_in_arabic_text_is_isolated() -> None:
    assert isolated("رقم 2026-004512") == "رقم \u20662026-004512\u2069"


def test_brackets_stay_outside_the_isolate() -> None:
    assert isolated("الخبز (107101)") == "الخبز (\u2066107101\u2069)"


def test_a_latin_name_with_its_number_is_one_piece() -> None:
    assert pieces("شركة Al-Nada Bakery 7 للخبز") == [
        ("شركة ", False),
        ("Al-Nada Bakery 7", True),
        (" للخبز", False),
    ]


@given(st.text(max_size=60))
def test_cutting_a_text_loses_nothing(text: str) -> None:
    assert "".join(piece for piece, _ in pieces(text)) == text


@pytest.mark.parametrize(
    ("text", "language", "right_to_left"),
    [
        ("مخبز الندى", "ar", True),
        ("Al-Nada", "ar", True),
        ("Al-Nada", "en", False),
        ("مخبز الندى", "en", True),
        ("7 مخابز", "en", True),
        ("120.5 m²", "en", False),
        ("120", "en", False),
    ],
)
def test_the_first_letter_sets_the_direction(text: str, language: str, right_to_left: bool) -> None:
    assert runs_right_to_left(text, language) is right_to_left


def test_a_day_stands_in_both_calendars_where_the_table_reaches() -> None:
    assert dates(date(2026, 11, 22), "en") == ("22 November 2026", "12 Jumada al-Akhirah 1448 AH")
    assert dates(date(2099, 1, 1), "en") == ("1 January 2099",)


def test_a_newer_headquarters_may_say_more(licence: Licence) -> None:
    told = {**licence.model_dump(mode="json"), "colour": "green"}
    assert Licence.model_validate(told) == licence


def test_a_status_that_the_terminal_never_heard_of_is_shown_as_headquarters_titles_it(
    licence: Licence,
) -> None:
    title = {"ar": "مجمَّدة", "en": "frozen"}
    told = {**licence.model_dump(mode="json"), "status": "frozen", "status_title": title}
    standing = Licence.model_validate(told).standing
    assert (standing.ar, standing.en) == ("مجمَّدة", "Frozen")
