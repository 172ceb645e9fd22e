"""Splits a table's index into the labels that a model names.

Source: RFC 2578, section 7.7 (mapping of the INDEX clause).
"""

from collections.abc import Sequence

from monitoring.collectors.snmp_session import text
from monitoring.device_model import IndexPart


def split_index(index: str, parts: Sequence[IndexPart]) -> dict[str, str] | None:
    """The texts of the parts of an index, by label; None when it is not built as the parts say.

    Args:
        index: dotted arcs, such as "2" or "3.97.98.99".
        parts: the parts, in order.
    """
    if len(parts) == 1 and parts[0].type == "integer":
        # Nearly every table; and a poll splits an index a row. Some UPS cards write row 1 of UPS-MIB as 1.0.
        index = index.removesuffix(".0")
        return {parts[0].label: index} if index.isdecimal() else None
    arcs = index.split(".")
    texts: dict[str, str] = {}
    for part in parts:
        size = _size(part, arcs)
        if size is None or size > len(arcs):
            return None
        taken, arcs = arcs[:size], arcs[size:]
        label = _text(part, taken)
        if label is None:
            return None
        texts[part.label] = label
    return texts if not arcs else None


def _size(part: IndexPart, arcs: list[str]) -> int | None:
    if part.type == "string":
        return 1 + int(arcs[0]) if arcs and arcs[0].isdecimal() else None
    if part.type == "implied_string":
        return len(arcs)
    return {"integer": 1, "ipv4": 4, "mac": 6}[part.type]


def _text(part: IndexPart, arcs: list[str]) -> str | None:
    if part.type in ("integer", "ipv4"):
        return ".".join(arcs)
    octets = arcs[1:] if part.type == "string" else arcs
    if any(int(octet) > 255 for octet in octets):
        return None
    raw = bytes(int(octet) for octet in octets)
    return raw.hex(":") if part.type == "mac" else text(raw)
