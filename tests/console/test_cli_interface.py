from pathlib import Path

from integrations.contracts.compatibility import RELEASED
from integrations.contracts.versions import FILES
from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]


def test_the_versions_of_the_interface_are_listed(rakeeza: Rakeeza) -> None:
    (first, *_) = rakeeza("interface", "list", "--format", "json").rows
    assert (first["version"], first["rest"], first["soap"]) == (1, "/v1", "/v1/soap")


def test_the_files_of_a_version_are_saved_as_they_were_released(rakeeza: Rakeeza, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "interface"
    done = rakeeza("interface", "save", str(folder), "--version", "1")
    assert done.code == 0
    assert {each.name for each in folder.iterdir()} == set(FILES)
    for each in folder.iterdir():
        assert each.read_bytes() == (RELEASED / "1" / each.name).read_bytes()
        assert str(each) in done.out


def test_what_cannot_be_saved_is_said(rakeeza: Rakeeza, tmp_path: Path) -> None:
    assert rakeeza("interface", "save", str(tmp_path), "--version", "99").code == 66
    (tmp_path / "file").write_text("")
    assert rakeeza("interface", "save", str(tmp_path / "file")).code == 65
