"""Polls a device over SNMP: what its models name becomes samples.

One column is walked once a poll, however many metrics and labels use it. What the device does not have is no
sample; what it could not give is a trouble in the reading, and its neighbours stay.
"""

import math
import struct
import time
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cache

from foundation.errors import RakeezaError
from monitoring.catalogue import Catalogue, Plan
from monitoring.collectors.snmp_index import split_index
from monitoring.collectors.snmp_session import Column, Session, Value, text
from monitoring.device_model import Label, Metric, Source, Table
from monitoring.identify import identify
from monitoring.reading import Family, Labels, Number, Reading, Trouble
from monitoring.targets import Target

# After this many columns without an answer the device counts as gone, and the rest is not asked: a device
# that dies in the middle of a poll must not hold a thread for the time-out of every column.
_SILENT_COLUMNS = 2


def poll(target: Target, catalogue: Catalogue, plan: Plan | None = None) -> Reading:
    """Read a device once.

    Args:
        target: the device.
        catalogue: the models; they choose the plan by what the device says it is, unless `target.model` does.
        plan: what to read, when it is known from an earlier poll.

    Raises:
        DeviceUnreachable: the device does not answer.
        Refused: it refuses the SNMPv3 user.
        NotSnmp: its first answer is no SNMP.
        NotFound: `target.model` does not exist.
    """
    started, cpu = time.perf_counter(), time.thread_time()
    if plan is None and target.model:
        plan = catalogue.plan([target.model])
    session = Session(target)
    if plan is None:
        plan = catalogue.plan(identify(session, catalogue).models)
    poller = _Poller(session)
    families = poller.read(plan)
    return Reading(
        target=target.name,
        models=plan.models,
        families=families,
        troubles=tuple(poller.troubles),
        duration=time.perf_counter() - started,
        cpu=time.thread_time() - cpu,
        requests=session.requests,
    )


class _Poller:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._scalars: Mapping[str, Value] = {}
        self._columns: dict[str, Column] = {}
        self._silent = 0
        self._families: dict[str, Family] = {}
        self.troubles: list[Trouble] = []

    def read(self, plan: Plan) -> list[Family]:
        self._scalars = self._session.get(_scalar_oids(plan))
        for model, metric in plan.scalars:
            pairs = [(name, self._scalar_label(label)) for name, label in metric.labels.items()]
            family = self._family(metric)
            # The most specific model came first; Prometheus refuses a second sample of one series.
            if any(row[0].pairs == tuple(pairs) for row in family.rows):
                continue
            for source in metric.sources():
                value = self._scalars.get(source.oid)
                number = None if value is None else self._convert(metric, source, value, None)
                if number is not None:
                    family.rows.append((Labels(pairs), number, source.oid, "", model))
                    break
        for model, name, table in plan.tables:
            self._read_table(model, name, table)
        return list(self._families.values())

    def _read_table(self, model: str, name: str, table: Table) -> None:
        label_columns = {oid: self._column(oid) for label in table.labels.values() for oid in label.oid}
        # The rows that the table is known to have: those of labels taken row by row.
        known: set[str] = set()
        for label in table.labels.values():
            if not label.by:
                known.update(*(label_columns[oid].rows for oid in label.oid))
        labels: dict[str, Labels | None] = {}
        for metric in table.metrics:
            family = self._family(metric)
            # Within a table an index is a row of its own; a series can only come twice from two tables.
            given = {row[0].pairs for row in family.rows}
            done: set[str] = set()
            for source in metric.sources():
                # The poorer column costs a walk of its own, so only when the better one has left rows open.
                if done and known and done >= known:
                    break
                plain = _is_plain(metric, source)
                for index, value in self._column(source.oid).rows.items():
                    if index in done:
                        continue
                    if plain and type(value) is int and value >= 0:
                        number: Number | None = value
                    else:
                        number = self._convert(metric, source, value, index)
                    if number is None:
                        continue
                    if index not in labels:
                        labels[index] = self._row_labels(table, label_columns, index)
                    row = labels[index]
                    if row is None:
                        continue
                    done.add(index)
                    if not given or row.pairs not in given:
                        family.rows.append((row, number, source.oid, index, model))
            known |= done
        self._check_rows(name, table, known)

    def _check_rows(self, name: str, table: Table, known: set[str]) -> None:
        expected = self._scalars.get(table.rows) if table.rows else None
        if isinstance(expected, int) and len(known) < expected:
            self.troubles.append(
                Trouble(name, f"The table has {len(known)} rows where {table.rows} says {expected}.")
            )

    def _column(self, oid: str) -> Column:
        column = self._columns.get(oid)
        if column is None:
            if self._silent >= _SILENT_COLUMNS:
                column = Column(error="not asked: the device stopped answering")
            else:
                column = self._walk(oid)
            self._columns[oid] = column
            if column.error:
                self.troubles.append(Trouble(oid, column.error))
        return column

    def _walk(self, oid: str) -> Column:
        before = self._session.timeouts
        try:
            column = self._session.column(oid)
        except RakeezaError as error:
            column = Column(error=error.message)
        self._silent = self._silent + 1 if self._session.timeouts > before else 0
        return column

    def _row_labels(self, table: Table, columns: Mapping[str, Column], index: str) -> Labels | None:
        texts = split_index(index, table.index)
        if texts is None:
            self.troubles.append(Trouble(index, "The index is not built as the model says."))
            return None
        for name, label in table.labels.items():
            key = ".".join(texts[one] for one in label.by) if label.by else index
            texts[name] = ""
            for oid in label.oid:
                value = columns[oid].rows.get(key)
                if value is not None and value not in (b"", ""):
                    texts[name] = _label_text(value, label)
                    break
        return Labels(texts.items())

    def _scalar_label(self, label: Label) -> str:
        found = (self._scalars.get(oid) for oid in label.oid)
        return next((_label_text(value, label) for value in found if value not in (None, b"", "")), "")

    def _convert(self, metric: Metric, source: Source, value: Value, index: str | None) -> Number | None:
        if metric.type == "info":
            return 1
        number = to_number(value)
        if number is None or number in source.absent or (metric.type == "counter" and number < 0):
            return None
        factor = _fraction(source.scale)
        if source.scale_from:
            other = self._factor(source.scale_from, index)
            if other is None:
                return None
            factor *= other
        return scaled(number, factor)

    def _factor(self, oid: str, index: str | None) -> Fraction | None:
        if index is None or oid in self._scalars:
            value = self._scalars.get(oid)
        else:
            value = self._column(oid).rows.get(index)
        number = None if value is None else to_number(value)
        return None if number is None else Fraction(number)

    def _family(self, metric: Metric) -> Family:
        family = self._families.get(metric.metric)
        if family is None:
            kind = "counter" if metric.type == "counter" else "gauge"
            family = Family(metric.metric, kind, metric.unit, _help(metric))
            self._families[metric.metric] = family
        return family


def _is_plain(metric: Metric, source: Source) -> bool:
    # Most columns: the device's number is the value. They skip the conversion, most of a sample's cost.
    return metric.type != "info" and source.scale == 1 and not source.scale_from and not source.absent


@cache
def _fraction(scale: Decimal) -> Fraction:
    return Fraction(scale)


def to_number(value: Value) -> Number | None:
    """A value as a number; None when it is none, or no finite one.

    Text that is a number counts (laLoad is "0.69"), and so does net-snmp's float in an Opaque.

    Source: NET-SNMP-TC; draft-perkins-float-00 (Opaque floats).
    """
    if isinstance(value, int):
        return value
    if isinstance(value, bytes):
        if value[:3] == b"\x9f\x78\x04" and len(value) == 7:
            value = float(struct.unpack(">f", value[3:])[0])
        elif value[:3] == b"\x9f\x79\x08" and len(value) == 11:
            value = float(struct.unpack(">d", value[3:])[0])
        else:
            value = value.decode("ascii", errors="replace").rstrip("\0").strip()
    if isinstance(value, str):
        # float() would take "infinity", "1_000" and digits of other scripts as well.
        if not value or not set(value) <= set("0123456789+-.eE"):
            return None
        try:
            value = float(value)
        except ValueError:
            return None
    return value if math.isfinite(value) else None


def scaled(number: Number, factor: Fraction) -> Number:
    """A number times a factor, rounded once: 231 x 1/10 is 23.1, not 23.100000000000001."""
    if factor == 1:
        return number
    if isinstance(number, int):
        product = number * factor.numerator
        return product if factor.denominator == 1 else product / factor.denominator
    return float(Fraction(number) * factor)


def _label_text(value: Value, label: Label) -> str:
    if label.format == "mac" and isinstance(value, bytes):
        return value.hex(":")
    return text(value)


def _help(metric: Metric) -> str:
    if not metric.states:
        return metric.help
    states = ", ".join(f"{number} {name}" for number, name in sorted(metric.states.items()))
    return f"{metric.help} {states}."


def _scalar_oids(plan: Plan) -> list[str]:
    oids: dict[str, None] = {}
    for _, metric in plan.scalars:
        for source in metric.sources():
            oids[source.oid] = None
            if source.scale_from:
                oids[source.scale_from] = None
        for label in metric.labels.values():
            oids.update(dict.fromkeys(label.oid))
    for _, _, table in plan.tables:
        if table.rows:
            oids[table.rows] = None
        for column in table.metrics:
            for source in column.sources():
                if source.scale_from and source.scale_from.endswith(".0"):
                    oids[source.scale_from] = None
    return list(oids)
