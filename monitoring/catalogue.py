"""Every device model that is installed, and the plan that reads a device by some of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import DefinitionError
from foundation.registry import Registry, definition_files
from monitoring.device_model import DeviceModel, ScalarMetric, Table, load_model


@dataclass(frozen=True)
class Plan:
    """What to read from a device: its models with inheritance resolved, most specific first.

    Args:
        models: names of the models.
        scalars: (model that wrote it, metric).
        tables: (model that wrote it, name of the table, table).
    """

    models: tuple[str, ...]
    scalars: tuple[tuple[str, ScalarMetric], ...]
    tables: tuple[tuple[str, str, Table], ...]


class Catalogue:
    """The installed models: `monitoring/devices/*.yaml`, then the files of further folders.

    Args:
        folders: further folders.
        files: further single files; one that the folders hold is not loaded twice.

    Raises:
        DefinitionError: a model is wrong, stands twice, extends itself or an unknown one.
    """

    def __init__(self, folders: Sequence[Path] = (), files: Sequence[Path] = ()) -> None:
        self._models: Registry[DeviceModel] = Registry("device model")
        self._origin: dict[str, str] = {}
        found = {path.resolve(): path for path in definition_files("monitoring.devices", folders, ".yaml")}
        found |= {path.resolve(): path for path in files}
        for path in found.values():
            model = load_model(path)
            self._models.add(model.model, model, str(path))
            self._origin[model.model] = str(path)
        self._check_ancestry()

    def models(self) -> list[DeviceModel]:
        """All models, by name."""
        return self._models.items()

    def get(self, name: str) -> DeviceModel:
        """The model of this name.

        Raises:
            NotFound: there is none.
        """
        return self._models.get(name)

    def origin(self, name: str) -> str:
        """The file that a model came from.

        Raises:
            NotFound: there is no such model.
        """
        self.get(name)
        return self._origin[name]

    def plan(self, names: Iterable[str]) -> Plan:
        """The plan for a device that these models apply to.

        Args:
            names: model names, most specific first; one that another of them extends is part of that one.

        Raises:
            NotFound: one of them does not exist.
        """
        wanted = list(dict.fromkeys(names))
        lines = {name: self._lineage(name) for name in wanted}
        chosen = [n for n in wanted if not any(n in lines[other][1:] for other in wanted if other != n)]
        scalars: list[tuple[str, ScalarMetric]] = []
        tables: list[tuple[str, str, Table]] = []
        written: set[tuple[str, str]] = set()
        for name in chosen:
            taken: set[str] = set()
            for ancestor in lines[name]:
                model = self.get(ancestor)
                scalars += [
                    (ancestor, metric)
                    for metric in model.metrics
                    if metric.metric not in taken and (ancestor, metric.metric) not in written
                ]
                for table_name, table in model.tables.items():
                    metrics = tuple(
                        m
                        for m in table.metrics
                        if m.metric not in taken and (ancestor, m.metric) not in written
                    )
                    if metrics:
                        kept = table.model_copy(update={"metrics": metrics})
                        tables.append((ancestor, table_name, kept))
                own = {metric.metric for metric in model.every_metric()}
                taken |= own
                written |= {(ancestor, metric) for metric in own}
        return Plan(tuple(chosen), tuple(scalars), tuple(tables))

    def _lineage(self, name: str) -> list[str]:
        # The model, then what it extends, depth first: the nearest definition of a metric is met first.
        found = [name]
        for parent in self.get(name).extends:
            found += [one for one in self._lineage(parent) if one not in found]
        return found

    def _check_ancestry(self) -> None:
        known = self._models.names()
        done: set[str] = set()

        def visit(name: str, path: tuple[str, ...]) -> None:
            if name in path:
                raise DefinitionError(
                    f"The model extends itself: {' -> '.join((*path, name))}.",
                    place=self._origin[path[-1]],
                    remedy="Take one `extends` out.",
                )
            if name in done:
                return
            for parent in self._models.get(name).extends:
                if parent not in known:
                    raise DefinitionError(
                        f"The model extends {parent!r}, which does not exist.",
                        place=self._origin[name],
                        remedy=f"Known: {', '.join(known)}.",
                    )
                visit(parent, (*path, name))
            done.add(name)

        for name in known:
            visit(name, ())
