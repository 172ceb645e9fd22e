"""`rakeeza` called in this process; named by `pytest_plugins` in the modules that use it."""

import io
import json
import sys
from pathlib import Path

import pytest

from console.cli.main import main
from tests.console.rakeeza_types import Done, Rakeeza


@pytest.fixture
def settings_file(tmp_path: Path, database_url: str) -> Path:
    """Settings with a folder of its own and a fresh database."""
    path = tmp_path / "rakeeza.toml"
    path.write_text(
        f"[platform]\nfolder = {json.dumps(str(tmp_path / 'platform'))}\n"
        f"[database]\nurl = {json.dumps(database_url)}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def rakeeza(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Rakeeza:
    """Call `rakeeza` with these settings: rakeeza("asset", "list", text="standard input")."""

    def call(*arguments: str, text: str | bytes = "") -> Done:
        given = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr(sys, "argv", ["rakeeza", "--settings", str(settings_file), *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8"))
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Done(int(ended.value.code or 0), out, err)

    return call
