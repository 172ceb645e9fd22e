"""How commands print tables."""

import pytest

from console.cli.context import print_table


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


def test_what_names_a_row_stays_whole_where_a_terminal_is_narrow(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Services", ("code", "about", "more"), [("building_permit_2026", "word " * 20, "word " * 20)])
    lines = capsys.readouterr().out.splitlines()
    assert sum("building_permit_2026" in line for line in lines) == 1
    assert max(map(len, lines)) <= 60


def test_nothing_of_a_long_name_is_cut_off(capsys: pytest.CaptureFixture[str]) -> None:
    name = "".join(chr(ord("a") + number % 26) for number in range(70))
    print_table("Assets", ("name", "about"), [(name, "word " * 20)])
    cells = (line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if "│" in line)
    assert "".join(cells) == name


def test_a_table_without_rows_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Cases", ("number",), [])
    assert capsys.readouterr().out == "Cases: none.\n"
