"""Finds what can be added by adding one file: definitions in folders, drivers in folders and entry points.

A registry is an object that its owner makes and fills; there is no global one, so two parts (or two tests)
never see each other's entries.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

from foundation.errors import DefinitionError, NotFound

Item = TypeVar("Item")


class Registry(Generic[Item]):
    """Items by name, each with the place it came from.

    Args:
        kind: what an item is, in one word that errors can show ("service", "driver").
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._items: dict[str, tuple[Item, str]] = {}

    def add(self, name: str, item: Item, origin: str) -> None:
        """Register an item.

        Raises:
            DefinitionError: the name is taken; the error names both origins.
        """
        if name in self._items:
            raise DefinitionError(
                f"The {self._kind} {name!r} is defined twice, here and in {self._items[name][1]}.",
                place=origin,
                remedy="Rename or remove one of them.",
            )
        self._items[name] = (item, origin)

    def get(self, name: str) -> Item:
        """The item of this name.

        Raises:
            NotFound: there is none; the error names those there are.
        """
        if name not in self._items:
            known = ", ".join(self.names()) or "none"
            raise NotFound(f"There is no {self._kind} {name!r}.", remedy=f"Known: {known}.")
        return self._items[name][0]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._items)

    def items(self) -> list[Item]:
        """All items, in the order of their names."""
        return [self._items[name][0] for name in self.names()]


def definition_files(package: str, extra: Sequence[Path], suffix: str) -> list[Path]:
    """Definition files of an installed package folder, then of further folders.

    Args:
        package: dotted name of the folder, such as "integrations.services".
        extra: further folders, in the order they are searched.
        suffix: ending of the files, such as ".yaml".

    Raises:
        DefinitionError: a further folder does not exist.
    """
    files: list[Path] = []
    for folder in [*_package_folders(package), *extra]:
        if not folder.is_dir():
            raise DefinitionError(
                "This folder of definitions does not exist.",
                place=str(folder),
                remedy="Create it, or take it out of the settings.",
            )
        files += sorted(path for path in folder.iterdir() if path.suffix == suffix)
    return files


def driver_modules(package: str, extra: Sequence[Path], group: str) -> dict[str, ModuleType]:
    """Driver modules by name: a package's files, further folders' files, then entry points.

    Args:
        package: dotted name of the package whose modules are drivers; files that start with "_" are not.
        extra: further folders of driver files.
        group: entry-point group under which other distributions offer drivers.

    Raises:
        DefinitionError: two drivers have one name, or a driver file does not import.
    """
    drivers: Registry[ModuleType] = Registry("driver")
    for path in definition_files(package, extra, ".py"):
        if not path.name.startswith("_"):
            drivers.add(path.stem, _import_file(path, package), str(path))
    for entry in entry_points(group=group):
        drivers.add(entry.name, entry.load(), f"entry point {entry.value}")
    return {name: drivers.get(name) for name in drivers.names()}


def _package_folders(package: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise DefinitionError(
            f"The product's own folder {package} is missing.", remedy="Install the distribution again."
        )
    # An editable install can list one folder twice.
    return list(dict.fromkeys(Path(place) for place in spec.submodule_search_locations))


def _import_file(path: Path, package: str) -> ModuleType:
    if path.parent in _package_folders(package):
        return importlib.import_module(f"{package}.{path.stem}")
    # A file of a further folder gets a name of its own, so that it can never replace one of ours.
    name = f"{package}_extra.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        # A stranger's file may fail in any way; its author needs to know where.
        del sys.modules[name]
        raise DefinitionError(
            f"The driver does not import ({type(error).__name__}: {error}).",
            place=str(path),
            remedy="Correct the file.",
        ) from error
    return module
