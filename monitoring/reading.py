"""What one poll of one device gave: samples by family, and what could not be read, as values beside them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Number = int | float

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Labels:
    """The labels of one row, shared by every sample of the row, so that their text is made once.

    Args:
        pairs: names and texts, in the model's order; names as the MIB writes them.
    """

    __slots__ = ("_text", "pairs")

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = tuple(pairs)
        self._text: str | None = None

    @property
    def text(self) -> str:
        """The labels in Prometheus's text format, with the braces; "" when there are none."""
        if self._text is None:
            inner = ",".join(f'{snake_case(name)}="{escape_label(text)}"' for name, text in self.pairs)
            self._text = f"{{{inner}}}" if inner else ""
        return self._text


@dataclass
class Family:
    """All samples of one metric.

    Args:
        name: the metric.
        type: gauge or counter, as Prometheus has it.
        unit: the metric's unit.
        help: one sentence.
        rows: labels, value, and where it came from: OID of the object, index ("" for a scalar's instance),
            name of the model. The whole OID is only put together for who asks; Prometheus does not.
    """

    name: str
    type: str
    unit: str
    help: str
    rows: list[tuple[Labels, Number, str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Trouble:
    """Something that a poll could not read.

    Args:
        what: the OID or table.
        reason: why, in one sentence.
    """

    what: str
    reason: str


@dataclass
class Reading:
    """The result of one poll.

    Args:
        target: the device's name.
        models: names of the models that were read.
        families: the samples, by metric.
        troubles: what could not be read.
        duration: wall time of the poll, in seconds.
        cpu: CPU time of the polling thread, in seconds.
        requests: SNMP requests sent, retries included.
    """

    target: str
    models: tuple[str, ...]
    families: list[Family]
    troubles: tuple[Trouble, ...]
    duration: float
    cpu: float
    requests: int

    def samples(self) -> Iterator[dict[str, Any]]:
        """One row a sample: metric, labels, value, unit, oid, model."""
        for family in self.families:
            for labels, value, oid, index, model in family.rows:
                yield {
                    "metric": family.name,
                    "labels": dict(labels.pairs),
                    "value": value,
                    "unit": family.unit,
                    "oid": f"{oid}.{index}" if index else oid,
                    "model": model,
                }

    def cost(self) -> list[Family]:
        """What the poll itself cost and missed, as metrics."""
        one = Labels()
        rows: list[tuple[str, str, str, Number]] = [
            ("rakeeza_snmp_poll_duration_seconds", "seconds", "Wall time of this poll.", self.duration),
            ("rakeeza_snmp_poll_cpu_seconds", "seconds", "CPU time of this poll.", self.cpu),
            ("rakeeza_snmp_poll_requests", "requests", "SNMP requests of this poll.", self.requests),
            (
                "rakeeza_snmp_poll_samples",
                "samples",
                "Samples of this poll.",
                sum(len(family.rows) for family in self.families),
            ),
            (
                "rakeeza_snmp_poll_troubles",
                "troubles",
                "Columns and tables that this poll could not read whole.",
                len(self.troubles),
            ),
        ]
        return [Family(name, "gauge", unit, text, [(one, v, "", "", "")]) for name, unit, text, v in rows]


def snake_case(name: str) -> str:
    """ifIndex as if_index: promtool refuses capitals in a label's name."""
    return _HUMP.sub("_", name).lower()


def escape_label(text: str) -> str:
    r"""A label's text with \, " and line feed escaped (Prometheus text format 0.0.4)."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
