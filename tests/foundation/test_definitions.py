import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from foundation.definitions import Bilingual, Strict, load_yaml, parse_yaml
from foundation.errors import DefinitionError


class Fee(Strict):
    title: Bilingual
    amount: Decimal
    classes: tuple[int, ...] = ()


class Anything(Strict):
    a: Any


GOOD = """\
title: {ar: رسم الرخصة, en: Licence fee}
amount: 1234.50
classes:
  - 1
  - 2
"""


def test_a_good_file_is_loaded_whole(tmp_path: Path) -> None:
    path = tmp_path / "fee.yaml"
    path.write_text(GOOD, encoding="utf-8")
    fee = load_yaml(path, Fee)
    assert (str(fee.amount), fee.classes) == ("1234.50", (1, 2))
    assert (fee.title.in_language("ar"), fee.title.in_language("en")) == ("رسم الرخصة", "Licence fee")


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        (GOOD.replace("classes", "clases"), 3, "/clases: unknown key"),
        (
            GOOD.replace("  - 2", "  - two"),
            5,
            "/classes/1: a whole number is needed, as in 12; here stands 'two'",
        ),
        (GOOD.replace("amount: 1234.50\n", ""), 1, "/amount: Field required"),
        (GOOD.replace(", en: Licence fee", ""), 1, "/title/en: Field required"),
        (GOOD + "amount: 5\n", 6, "'amount' stands twice"),
        (GOOD.replace("1234.50", "*price"), 2, "not YAML: found undefined alias"),
        (GOOD.replace("1234.50", "[1"), 3, "not YAML"),
        (GOOD.replace("1234.50", "2024-02-30"), 2, "'2024-02-30' is no date"),
        ("title: &t {ar: أ, en: a}\nmore: *t\n", 1, "alias"),
        ("? [1, 2]\n: x\n", 1, "not a single word"),
        ("- 1\n", 1, "The document: keys with values are needed here"),
        ("", 1, "The document: keys with values are needed here"),
        ("a: 1\n---\na: 2\n", 2, "another document"),
        ("a: !!python/object/apply:os.getcwd []\n", 1, "tag"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, line: int, sentence: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_yaml(text, "fee.yaml", Fee)
    assert sentence in caught.value.message
    assert caught.value.place == f"fee.yaml:{line}"


def test_every_wrong_field_is_in_the_error() -> None:
    with pytest.raises(DefinitionError, match=r"\(2 more\)") as caught:
        parse_yaml("title: {ar: أ, en: a, fr: a}\namount: much\nclasses: [x]\n", "fee.yaml", Fee)
    assert [(field.pointer, field.line) for field in caught.value.fields] == [
        ("/title/fr", 1),
        ("/amount", 2),
        ("/classes/0", 3),
    ]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0501234567", "0501234567"),
        ("08:30", "08:30"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("no", "no"),
        ("1.10", "1.10"),
        ("-12", -12),
        ("true", True),
        ("2024-02-29", datetime.date(2024, 2, 29)),
        ("", None),
    ],
)
def test_a_value_is_read_as_its_writer_means_it(written: str, read: object) -> None:
    assert parse_yaml(f"a: {written}\n", "x.yaml", Anything).a == read


def test_a_bomb_of_aliases_or_of_brackets_is_refused() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 64))
    with pytest.raises(DefinitionError, match="alias"):
        parse_yaml(bomb, "x.yaml", Anything)
    with pytest.raises(DefinitionError, match="alias"):
        parse_yaml("a: &x [*x]\n", "x.yaml", Anything)
    with pytest.raises(DefinitionError, match="nested too deeply"):
        parse_yaml("a: " + "[" * 5000 + "]" * 5000, "x.yaml", Anything)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(DefinitionError, match="cannot be read"):
        load_yaml(path, Anything)
    with pytest.raises(DefinitionError, match="cannot be read"):
        load_yaml(tmp_path / "absent.yaml", Anything)
    with pytest.raises(DefinitionError, match="not YAML"):
        parse_yaml("a: \x01", "x.yaml", Anything)


def test_a_loaded_definition_never_changes() -> None:
    fee = parse_yaml(GOOD, "fee.yaml", Fee)
    with pytest.raises(ValueError, match="frozen"):
        fee.amount = Decimal(0)  # type: ignore[misc]  # mypy knows it too; this shows the running program does
