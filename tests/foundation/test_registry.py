from pathlib import Path

import pytest

from foundation.errors import DefinitionError, NotFound
from foundation.registry import Registry, definition_files, driver_modules


def test_two_registries_do_not_see_each_other() -> None:
    first: Registry[int] = Registry("service")
    second: Registry[int] = Registry("service")
    first.add("shop", 1, "a.yaml")
    assert first.names() == ["shop"]
    assert second.names() == []


def test_a_duplicate_names_both_origins() -> None:
    registry: Registry[int] = Registry("service")
    registry.add("shop", 1, "a.yaml")
    with pytest.raises(DefinitionError, match=r"b\.yaml.*twice.*a\.yaml"):
        registry.add("shop", 2, "b.yaml")
    assert registry.get("shop") == 1


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    registry: Registry[int] = Registry("service")
    registry.add("shop", 1, "a.yaml")
    registry.add("health", 2, "b.yaml")
    with pytest.raises(NotFound, match=r"Known: health, shop\."):
        registry.get("shopp")


def test_definition_files_come_from_the_package_and_then_from_further_folders(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("")
    (tmp_path / "note.txt").write_text("")
    files = definition_files("foundation.wire", [tmp_path], ".py")
    assert files[-1] == tmp_path / "own.py"
    assert "__init__.py" in [path.name for path in files[:-1]]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="absent"):
        definition_files("foundation.wire", [tmp_path / "absent"], ".yaml")


def test_a_driver_file_of_a_further_folder_is_loaded_by_its_file_name(tmp_path: Path) -> None:
    (tmp_path / "beeper.py").write_text("SOUND = 'beep'\n")
    modules = driver_modules("foundation.wire", [tmp_path], "rakeeza.test_drivers")
    assert modules["beeper"].SOUND == "beep"


def test_a_driver_file_that_does_not_import_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(DefinitionError, match=r"broken\.py.*ZeroDivisionError"):
        driver_modules("foundation.wire", [tmp_path], "rakeeza.test_drivers")
