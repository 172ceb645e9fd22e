"""A test centre, kept and shown as a person does it; and what the command line says of its licence."""

from dataclasses import replace
from pathlib import Path

import pytest

from integrations.licences.document import render
from integrations.licences.sealing import code_of_test
from tests.console.licence_desk import Desk
from tests.console.rakeeza_types import Done, Rakeeza
from tests.integrations.centre_office import CONTRACT
from tests.integrations.test_document import FONTS, LICENCE

pytest_plugins = ["tests.console.licence_desk_fixtures", "tests.console.rakeeza_command"]

TESTS = CONTRACT.replace("shop_licence:", "test_permit:")
NUMBER = "TESTL-2026-000001"


@pytest.fixture
def contract(tmp_path: Path) -> Path:
    """Where the file of a contract lies."""
    return tmp_path / "contract.yaml"


def _add(rakeeza: Rakeeza, contract: Path, text: str, *more: str) -> Done:
    contract.write_text(text, encoding="utf-8")
    titles = ("--title-ar", "شركة البرمجيات", "--title-en", "Software house")
    return rakeeza("centre", "add", "dev-1", str(contract), *titles, *more)


def test_a_test_centre_is_kept_for_test_services_alone(rakeeza: Rakeeza, contract: Path) -> None:
    real = _add(rakeeza, contract, CONTRACT, "--test")
    assert real.code != 0
    assert "shop_licence is a real service, and the centre is a test centre" in real.err
    other = _add(rakeeza, contract, TESTS)
    assert other.code != 0
    assert "test_permit is a test service, and the centre is no test centre" in other.err
    assert rakeeza("centre", "list", "--format", "json").rows == []

    assert _add(rakeeza, contract, TESTS, "--test").code == 0
    (listed,) = rakeeza("centre", "list", "--format", "json").rows
    assert listed["state"] == "active (test)"
    assert rakeeza("centre", "show", "dev-1", "--json").rows["test"] is True
    assert "dev-1: Software house, active (test) since" in rakeeza("centre", "show", "dev-1").out
    assert rakeeza("centre", "report", "dev-1").code == 0


def test_the_command_line_takes_no_test_for_a_licence(desk: Desk, tmp_path: Path) -> None:
    code, told = desk.verify(code_of_test(NUMBER))
    assert (code, told["valid"], told["licences"][0]["answer"]) == (4, False, "damaged")
    paper = replace(LICENCE, test=True, number=NUMBER, credential=code_of_test(NUMBER), verify_url=None)
    (tmp_path / "test.pdf").write_bytes(render(paper, FONTS))
    code, told = desk.verify(str(tmp_path / "test.pdf"))
    assert (code, told["valid"]) == (4, False)
