import threading
from pathlib import Path

import pytest

from console import roles
from console.bootstrap import Platform, open_platform
from foundation import audit
from foundation.errors import InvalidInput
from foundation.settings import load


@pytest.fixture
def settings_file(tmp_path: Path, database_url: str) -> Path:
    path = tmp_path / "rakeeza.toml"
    path.write_text(f'[platform]\nfolder = "{tmp_path}"\n[database]\nurl = "{database_url}"\n')
    return path


def one_round(platform: Platform) -> None:
    told = threading.Event()
    told.set()
    roles._make_rounds(platform, told)


def test_a_round_seals_what_was_written_since_the_last(settings_file: Path) -> None:
    with open_platform(load(settings_file, {}), "test") as platform:
        one_round(platform)
        with platform.database.transaction() as session:
            assert audit.last_seal(session) is None
            audit.record(session, chain="case/1", actor="test", action="opened", details={})
        one_round(platform)
        with platform.database.transaction() as session:
            sealed = audit.last_seal(session)
    assert sealed is not None
    assert sealed.position == 1


def test_a_faulty_round_is_logged_and_does_not_end_the_rounds(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    with open_platform(load(settings_file, {}), "test") as platform:
        monkeypatch.setattr(audit, "seal", fail)
        one_round(platform)
    assert "This round failed." in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_an_unknown_role_is_answered_with_the_known_ones(settings_file: Path) -> None:
    with pytest.raises(InvalidInput, match=r"'baker'.*Known: api, worker, collector\."):
        roles.run_roles(load(settings_file, {}), ("baker",))
