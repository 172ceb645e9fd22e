"""Mistakes that people make in the file of a service: each is refused with its line, in words that help."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.errors import DefinitionError
from integrations.service import load_service
from tests.integrations.definition_texts import SHOP, line_of

TITLE = "title: {ar: رخصة المحل التجاري, en: Shop licensing}"
DATE = "effective_from: 2016-01-01"
SIX = '1: "6.00"'
WHEN = "when: {field: activity.immediate, equals: false}"

MISTAKES = [
    ("  - name: trade_name", "\t- name: trade_name", "cannot start any token"),
    ("version: 2", "version: ٢", "a whole number is needed, as in 12; here stands '٢'"),
    ("version: 2", "version: two", "a whole number is needed, as in 12; here stands 'two'"),
    ("version: 2", f"version: 9{'9' * 5000}", "is no number"),
    ("version: 2", "version:", "a whole number is needed"),
    ("version: 2", "version: 2\x00", "the character '\\x00' stands here"),
    ("version: 2", "version: !!python/object/apply:os.system [ls]", "is not used here"),
    ("payment: {due_days: 5}", "payment: {<<: {due_days: 5}}", "A merge key (<<) stands here."),
    ("payment: {due_days: 5}", "payment: *usual", "undefined alias"),
    ("retention: {years: 10}", "retention: 10", "keys with values are needed here"),
    (TITLE, "title: Shop", "keys with values are needed here, as in {key: value}; here stands 'Shop'"),
    (TITLE, "title: {ar: رخصة}", "/title/en: Field required"),
    (TITLE, "title: {ar: 5, en: Shop}", "a number, a date or true in quotes; here stands 5"),
    (TITLE, "title: {ar: أ, en: Shop: all}", "not YAML"),
    (DATE, "effective_from: 2016-13-01", "'2016-13-01' is no date (month must be in 1..12)"),
    (DATE, "effective_from: 01/01/2016", "a date is needed, as in 2026-11-22; here stands '01/01/2016'"),
    (DATE, "effective_from: ٢٠١٦-٠١-٠١", "a date is needed, as in 2026-11-22; here stands '٢٠١٦-٠١-٠١'"),
    (DATE, "effective_from: 20160101", "a date is needed, as in 2026-11-22; here stands 20160101"),
    (SIX, '1: "6,00"', "a number is needed, as in \"6.00\"; here stands '6,00'"),
    (SIX, '1: "-6.00"', "greater than or equal to 0"),
    (SIX, "1: .nan", "a number is needed"),
    (SIX, '6: "6.00"', "less than or equal to 5"),
    (', 5: "1.20"', "", "too few stand here; at least 5"),
    ("    type: activity\n", "", "the key 'type' is missing; it says what the others mean"),
    ("    type: activity\n", "    type: activty\n", "'activty' found using 'type'"),
    ("from: submitted", "from: submitted, approved", "here stands 'submitted, approved'"),
    (WHEN, "when: activity.immediate == false", "keys with values are needed here"),
    (WHEN, "when: {field: activity.immediate, eq: false}", "/when/eq: unknown key"),
    (WHEN, "when: {field: activity.immediate, equals: no}", "is never 'no'"),
    ("validity: {years: years,", "validity: {years: 0,", "/validity/years: a licence holds at least one"),
    ("validity: {years: years,", "validity: {years: -1,", "/validity/years: a licence holds at least one"),
    ("validity: {years: years,", "validity: {years: true,", "a number or the name of a field is needed"),
    ("validity: {years: years,", "validity: {years: 500,", "/validity/years: it ends beyond every calendar"),
    ("validity: {years: years,", "validity: {days: 0,", "/validity/days: a licence holds at least one"),
    ("example: \"4030123456\"", "example: 4030123456", "put what looks like a number"),
]  # fmt: skip


def told(folder: Path, text: str) -> DefinitionError:
    """What is said of a file."""
    path = folder / "shop_licence.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        load_service(path)
    return caught.value


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[new[:40] for _, new, _ in MISTAKES])
def test_a_mistake_is_told_with_its_line_and_in_words_that_help(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    assert old in SHOP
    error = told(tmp_path, SHOP.replace(old, new, 1))
    assert said in " ".join([error.message, str(error), *(f"{f.pointer}: {f.detail}" for f in error.fields)])
    assert error.remedy
    assert len(error.message) < 400
    # A key that is not there is told at its parent's line.
    assert abs(int(str(error.place).rsplit(":", 1)[1]) - line_of(SHOP, old.strip())) <= 2


def test_one_mistake_is_told_once(tmp_path: Path) -> None:
    error = told(tmp_path, SHOP.replace(SIX, '1: "6,00"', 1))
    assert [field.pointer for field in error.fields] == ["/fees/0/rates/0/by_class/1"]
    error = told(tmp_path, SHOP.replace("validity: {years: years,", "validity: {days: 400,", 1))
    assert [field.pointer for field in error.fields].count("/fees/0/yearly") == 1


def bombs() -> Iterator[tuple[str, str]]:
    yield "a: " + "[" * 900_000, "nested too deeply"
    yield "\n".join(" " * level + "a:" for level in range(1_000)), "nested too deeply"
    yield "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "alias"
    yield SHOP + "\n#" + "x" * 10_000_000, "at most 1,000,000 are read"
    yield SHOP + f"\nx: [{'a,' * 2_000_000}]\n", "at most 1,000,000 are read"


def test_a_file_that_is_made_to_do_harm_is_refused(tmp_path: Path) -> None:
    # The first of these ended the program: libyaml makes its tree by recursion.
    for text, said in bombs():
        assert said in told(tmp_path, text).message
