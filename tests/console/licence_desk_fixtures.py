"""The fixture of a machine that verifies licences."""

from pathlib import Path

import pytest

from foundation.wire.credential import KeySet, SigningKey
from foundation.wire.status_folder import keep
from tests.console.licence_desk import Desk, listed


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    key = SigningKey.generate("sample")
    folder = tmp_path / "platform"
    folder.mkdir()
    (folder / "rakeeza-keys.json").write_text(KeySet([key.public]).to_json())
    keep(folder / "rakeeza-status", listed(key), KeySet([key.public]))
    return Desk(folder, key, capsys, monkeypatch)
