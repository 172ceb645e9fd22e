from pathlib import Path

import pytest

from tests.house.repository import ROOT, copy, program, run

WINGS = ("infra", "monitoring", "integrations", "kiosks")


def test_imports_run_one_way() -> None:
    outcome = run(program("lint-imports"), "--no-cache")
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("foundation", "infra"),
        ("kiosks", "integrations"),
        ("monitoring", "infra"),
        ("integrations", "console"),
        ("console", "lab"),
    ],
)
def test_an_import_against_the_rule_is_found(tmp_path: Path, importer: str, imported: str) -> None:
    copy(tmp_path)
    (tmp_path / importer / "against_the_rule.py").write_text(f"import {imported}\n")
    outcome = run(program("lint-imports"), "--no-cache", cwd=tmp_path)
    assert outcome.returncode == 1
    assert f"{importer}.against_the_rule -> {imported}" in outcome.stdout


def test_nothing_of_the_product_names_the_tests() -> None:
    for package in ("foundation", *WINGS, "console", "lab"):
        for file in (ROOT / package).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            assert "from tests" not in text, file
            assert "import tests" not in text, file
