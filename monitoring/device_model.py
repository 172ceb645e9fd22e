"""The grammar of device models: which objects of a device become which metrics.

A model is one YAML file of `monitoring/devices/` or of a folder that the settings name. It holds facts of a
MIB, never credentials or addresses. How to write one: docs/device-models.md.

    Device model
    ├── applies_to     every device; or by sysObjectID, sysDescr, or an object that the device answers
    ├── extends        models whose metrics are part of this one
    ├── metrics        scalars
    └── tables         index -> labels, labels from other columns and tables, one metric a column
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from foundation.definitions import Bilingual, Strict, load_yaml
from monitoring.units import name_error

# Two arcs at least; the first is 0 to 2 and no arc is above 2^32 - 1 (RFC 2578, section 3.5).
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,9}))+")


def _oid(value: str) -> str:
    if not _OID.fullmatch(value) or any(int(arc) > 0xFFFF_FFFF for arc in value.split(".")):
        raise ValueError(f"{value!r} is no numeric OID such as 1.3.6.1.2.1.1.3.0 (no leading dot, no names)")
    return value


def _scalar_oid(value: str) -> str:
    if not value.endswith(".0"):
        raise ValueError(f"{value!r} is no scalar's instance: it must end in .0")
    return value


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is no regular expression ({error})") from error
    return value


Oid = Annotated[str, AfterValidator(_oid)]
ScalarOid = Annotated[Oid, AfterValidator(_scalar_oid)]
Pattern = Annotated[str, AfterValidator(_pattern)]
ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
LabelName = Annotated[str, Field(pattern=r"^[a-zA-Z][a-zA-Z0-9_]*$")]

# Prometheus sets these itself; a device's label of the same name would be renamed behind its reader's back.
_RESERVED_LABELS = frozenset({"job", "instance", "le", "quantile"})


class AppliesTo(Strict):
    """Which devices a model is for; one true condition is enough.

    Args:
        every_device: all of them.
        sys_object_id: prefixes of sysObjectID, by whole arcs.
        sys_descr: regular expressions, searched for in sysDescr.
        answers: subtrees; the model applies where the device has an object below one of them.
    """

    every_device: bool = False
    sys_object_id: tuple[Oid, ...] = ()
    sys_descr: tuple[Pattern, ...] = ()
    answers: tuple[Oid, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.every_device or self.sys_object_id or self.sys_descr or self.answers):
            raise ValueError("states no condition, so the model would apply to no device")
        return self


class Source(Strict):
    """One object that can give a metric's value.

    Args:
        oid: the scalar's instance, or the table's column.
        scale: what the device's number is multiplied by to be in the metric's unit.
        scale_from: an object of the same row (or a scalar) that it is multiplied by as well.
        absent: numbers by which the device says "not known"; they give no sample.
    """

    oid: Oid
    scale: Decimal = Decimal(1)
    scale_from: Oid | None = None
    absent: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _scale_is_a_factor(self) -> Self:
        if not self.scale.is_finite() or self.scale == 0:
            raise ValueError(f"scale {self.scale} is no factor")
        return self


class Metric(Source):
    """One metric, from a scalar or from a table's column.

    Args:
        metric: its name, ending in its unit.
        help: what it is, one sentence.
        unit: one of `monitoring.units.UNITS`.
        type: gauge, counter, state (the MIB's number of the state) or info (1, and labels that tell).
        states: the MIB's names of a state's numbers.
        prefer: better objects for the same value, tried first, row by row: Counter64 before Counter32.
    """

    metric: str
    help: str = Field(min_length=1)
    unit: str
    type: Literal["gauge", "counter", "state", "info"]
    states: dict[int, str] = Field(default_factory=dict)
    prefer: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _name_fits_unit(self) -> Self:
        wrong = name_error(self.metric, self.unit, self.type)
        if wrong:
            raise ValueError(wrong)
        if (self.type == "state") != bool(self.states):
            raise ValueError(f"{self.metric}: `states` belongs to metrics of type state, and to all of them")
        if self.type == "counter" and any(source.scale < 0 for source in self.sources()):
            raise ValueError(f"{self.metric}: a counter's scale must be above 0")
        if self.type in ("state", "info") and any(s.scale != 1 or s.scale_from for s in self.sources()):
            raise ValueError(f"{self.metric}: a metric of type {self.type} has no scale")
        return self

    def sources(self) -> tuple[Source, ...]:
        """The objects that can give the value, best first."""
        return (*self.prefer, self)


class Label(Strict):
    """A label's text, from a scalar or a column.

    Args:
        oid: the objects to take it from; the first that has a text wins.
        by: names of index parts or earlier labels whose text, joined by dots, is the index of the row to take
            it from; without it, the row of the same index. This is how a label comes from another table.
        format: text, or mac (six bytes as 02:fc:00:00:00:01).
    """

    oid: tuple[Oid, ...] = Field(min_length=1)
    by: tuple[LabelName, ...] = ()
    format: Literal["text", "mac"] = "text"


class IndexPart(Strict):
    """One part of a table's index, and the label it becomes.

    Args:
        label: the name; the MIB's own name of the index object.
        type: how it is encoded: an integer (one arc), a string (its length, then its bytes), an
            implied_string (the bytes to the end), an ipv4 address (four arcs) or a mac address (six).
    """

    label: LabelName
    type: Literal["integer", "string", "implied_string", "ipv4", "mac"] = "integer"


class ScalarMetric(Metric):
    """A metric of a scalar; `labels` come from other scalars."""

    oid: ScalarOid
    labels: dict[LabelName, Label] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _labels_are_scalars(self) -> Self:
        _check_labels(self.metric, list(self.labels.items()), [])
        for name, label in self.labels.items():
            if label.by or not all(oid.endswith(".0") for oid in label.oid):
                raise ValueError(f"{self.metric}: the label {name!r} of a scalar must come from scalars")
        return self


class Table(Strict):
    """A table: its rows' labels, and one metric a column.

    Args:
        index: the parts of its index, in order.
        rows: a scalar that holds the number of its rows, to cross-check them.
        labels: labels that every metric of the table carries, beside the index.
        metrics: its columns.
    """

    index: tuple[IndexPart, ...] = Field(min_length=1)
    rows: ScalarOid | None = None
    labels: dict[LabelName, Label] = Field(default_factory=dict)
    metrics: tuple[Metric, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _labels_hold_together(self) -> Self:
        _check_labels("the table", list(self.labels.items()), [part.label for part in self.index])
        if any(part.type == "implied_string" for part in self.index[:-1]):
            raise ValueError("an implied_string has no end, so it must be the last part of the index")
        return self


class DeviceModel(Strict):
    """A device model.

    Args:
        model: its name.
        title: its name for people.
        source: the MIB, RFC or document that its objects are taken from.
        applies_to: which devices it is for; nothing for a model that only others extend.
        extends: models whose metrics are part of it; its own metric of the same name replaces theirs.
        metrics: scalars.
        tables: tables by name.
    """

    model: ModelName
    title: Bilingual
    source: str = Field(min_length=1)
    applies_to: AppliesTo | None = None
    extends: tuple[ModelName, ...] = ()
    metrics: tuple[ScalarMetric, ...] = ()
    tables: dict[str, Table] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_metrics_once(self) -> Self:
        seen: set[str] = set()
        for metric in self.every_metric():
            if metric.metric in seen:
                raise ValueError(f"the metric {metric.metric!r} stands twice")
            seen.add(metric.metric)
        if not seen and not self.extends:
            raise ValueError("has no metric and extends nothing")
        return self

    def every_metric(self) -> Iterator[Metric]:
        """Its own metrics, scalars first, then table by table."""
        yield from self.metrics
        for table in self.tables.values():
            yield from table.metrics


def load_model(path: Path) -> DeviceModel:
    """One model from one file.

    Raises:
        DefinitionError: the file breaks a rule of the grammar; it names file, line and reason.
    """
    return load_yaml(path, DeviceModel)


def _check_labels(owner: str, labels: list[tuple[str, Label]], known: list[str]) -> None:
    known = list(known)
    for name, label in labels:
        for reference in label.by:
            if reference not in known:
                raise ValueError(
                    f"{owner}: the label {name!r} is looked up by {reference!r}, "
                    "which is no index part and no earlier label"
                )
        known.append(name)
    for name in known:
        if name in _RESERVED_LABELS:
            raise ValueError(f"{owner}: the label name {name!r} is Prometheus's own")
    # Prometheus shows ifIndex as if_index: names that differ only by case and underscores would meet there.
    plain = [name.replace("_", "").lower() for name in known]
    for name, form in zip(known, plain, strict=True):
        if plain.count(form) > 1:
            raise ValueError(f"{owner}: the label {name!r} stands twice")
