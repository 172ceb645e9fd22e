import json
from pathlib import Path

import pytest

from console.checks import State, examine
from foundation.database import Database
from integrations.resilience.look_ups import LookUp, LookUps
from tests.console.rakeeza_types import Rakeeza
from tests.integrations.resilience.test_look_ups import NOW

pytest_plugins = ["tests.console.rakeeza_command"]


@pytest.fixture
def settings_file(tmp_path: Path, database_url: str) -> Path:
    """Settings with two back-ends."""
    path = tmp_path / "rakeeza.toml"
    path.write_text(
        f"[platform]\nfolder = {json.dumps(str(tmp_path / 'platform'))}\n"
        f"[database]\nurl = {json.dumps(database_url)}\n"
        "[backends.deeds]\nurl = 'http://127.0.0.1:9/q'\ndriver = 'ownership'\n"
        "[backends.commerce]\nurl = 'http://127.0.0.1:9/q'\ndriver = 'commercial_registry'\n",
        encoding="utf-8",
    )
    return path


def test_since_when_a_back_end_answers_nobody_is_shown(
    rakeeza: Rakeeza, database: Database, settings_file: Path
) -> None:
    look_ups = LookUps(database, lambda: NOW)
    look_ups.note(LookUp("commerce", "answered", 0.1))
    assert rakeeza("backend", "list").code == 0
    look_ups.note(LookUp("deeds", "connect", 0.1))
    told = rakeeza("backend", "list", "--format", "json")
    assert told.code == 1
    commerce, deeds = told.rows
    assert (commerce["circuit"], commerce["answered_at"]) == ("closed", "2026-11-22T07:00:00Z")
    assert (deeds["unanswered_since"], deeds["reason"]) == ("2026-11-22T07:00:00Z", "connect")
    assert "connect" in rakeeza("backend", "list").out
    (finding,) = [each for each in examine(settings_file) if each.check == "back-ends"]
    assert finding.state is State.WRONG
    assert "deeds since 2026-11-22 07:00 (connect)" in finding.detail
    look_ups.note(LookUp("deeds", "answered", 0.1))
    (finding,) = [each for each in examine(settings_file) if each.check == "back-ends"]
    assert finding.state is State.GOOD
