"""Open cases are moved to a changed definition on the command line."""

from pathlib import Path

import pytest

from console.bootstrap import open_platform
from foundation.settings import load
from tests.console.rakeeza_types import Rakeeza
from tests.integrations.outside_office import APPLICANT, CENTRE, DEFINITION, KNOWN

pytest_plugins = ["tests.console.rakeeza_command"]


@pytest.fixture
def definition(settings_file: Path, tmp_path: Path) -> Path:
    """The file of a service that the settings name, with one open case."""
    folder = tmp_path / "services"
    folder.mkdir()
    file = folder / "stand.yaml"
    file.write_text(DEFINITION, encoding="utf-8")
    with settings_file.open("a", encoding="utf-8") as settings:
        settings.write(f'[licences]\nfolders = ["{folder}"]\n')
    message = {"service": "stand", "applicant": APPLICANT, "form": {"register": KNOWN}}
    with open_platform(load(settings_file, {}), "test") as platform:
        platform.licensing.cases.submit(CENTRE, message, "k-1")
    return file


def _changed(file: Path, *changes: tuple[str, str]) -> None:
    text = file.read_text(encoding="utf-8").replace("version: 1\n", "version: 2\n", 1)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")


def test_nothing_moves_until_it_is_applied(rakeeza: Rakeeza, definition: Path) -> None:
    _changed(definition)
    told = rakeeza("service", "migrate", "stand", "--from", "1")
    assert (told.code, "1 would move to version 2, 0 refused." in told.out) == (0, True)
    done = rakeeza("service", "migrate", "stand", "--from", "1", "--apply")
    assert (done.code, "1 moved to version 2, 0 refused." in done.out) == (0, True)
    assert "0 moved" in rakeeza("service", "migrate", "stand", "--from", "1", "--apply").out


def test_a_state_that_is_gone_is_told_and_a_map_takes_it_up(rakeeza: Rakeeza, definition: Path) -> None:
    _changed(definition, ("asked", "examined"))
    refused = rakeeza("service", "migrate", "stand", "--from", "1", "--apply", "--format", "json")
    assert refused.code == 1
    assert "does not know" in refused.out
    mapped = rakeeza("service", "migrate", "stand", "--from", "1", "--state", "asked=examined", "--apply")
    assert (mapped.code, "1 moved" in mapped.out) == (0, True)


def test_what_cannot_be_read_is_one_sentence(rakeeza: Rakeeza, definition: Path) -> None:
    assert definition.exists()
    assert "OLD=NEW" in rakeeza("service", "migrate", "stand", "--from", "1", "--state", "checking").err
    assert rakeeza("service", "migrate", "stand", "--from", "7").code == 66
    assert rakeeza("service", "migrate", "nothing", "--from", "1").code == 66
