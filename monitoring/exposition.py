"""Writes samples in Prometheus's text format.

prometheus-client takes 11 µs a sample for this, five times what the sample's SNMP costs; so the sample path
has its own writer. A row's labels are text once, and a sample is one join.

Source: Prometheus, "Exposition formats", text format 0.0.4.
"""

import math
from collections.abc import Iterable

from monitoring.reading import Family, Number

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def write(families: Iterable[Family]) -> str:
    """The families as text, sorted by name; HELP and TYPE once a family, families without samples left out.

    Args:
        families: names must be unique among them.
    """
    parts: list[str] = []
    for family in sorted(families, key=lambda one: one.name):
        if not family.rows:
            continue
        name = family.name
        parts.append(f"# HELP {name} {_escape_help(family.help)}\n# TYPE {name} {family.type}\n")
        parts += [
            f"{name}{labels.text} {value if type(value) is int else number(value)}\n"
            for labels, value, _, _, _ in family.rows
        ]
    return "".join(parts)


def number(value: Number) -> str:
    """A value as the format writes it: shortest form that reads back the same; +Inf, -Inf, NaN."""
    if isinstance(value, int):
        return str(value)
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")


def _escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
