"""From JSON to elements: one function a shape, made once, that writes XML text in the contract's order."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias

from integrations.contracts.shapes import (
    MORE,
    Flag,
    Free,
    ListOf,
    MapOf,
    Nothing,
    Record,
    Shape,
    Text,
    Use,
    Whole,
)

Writer: TypeAlias = Callable[[Any], str]
"""Gives the XML text of a JSON value, its element included."""

# What XML 1.0 cannot hold, even escaped (section 2.2), is shown by the sign that stands for such.
_CANNOT = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_IN_TEXT = re.compile(f"[&<>\r{_CANNOT}]")
_IN_ATTRIBUTE = re.compile(f'[&<>"\r\n\t{_CANNOT}]')
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}
# A number of more digits than this is written by nobody, and would fill the memory: 1e1000000000.
_LARGEST_EXPONENT = 400


class OutOfContract(ValueError):
    """An answer of ours is not as the contract says: a defect, and never the caller's."""


def writer(name: str, use: Use) -> Writer:
    """What writes an element of this name and shape; OutOfContract is raised for another value."""
    inside = _inside(use.shape, name)
    nullable = use.nullable or isinstance(use.shape, Nothing)
    opened, closed, nil = f"<{name}>", f"</{name}>", f'<{name} xsi:nil="true"/>'

    def write(value: Any) -> str:
        if value is None:
            if not nullable:
                raise OutOfContract(f"{name} is null")
            return nil
        return opened + inside(value) + closed

    return write


def members(shape: Record) -> Writer:
    """What writes the members of an object, without an element around them."""
    table = tuple((each.name, each.required, writer(each.name, each.use)) for each in shape.members)
    chosen = {name for alternative in shape.choice for name in alternative}
    known = {each.name for each in shape.members}
    alternatives = tuple(frozenset(each) for each in shape.choice)

    def write(value: Any) -> str:
        if not isinstance(value, dict):
            raise _wrong(shape.type, value)
        parts = []
        written = 0
        for name, required, write_member in table:
            if name in value:
                parts.append(write_member(value[name]))
                written += 1
            elif required:
                raise OutOfContract(f"{shape.type} is without {name}")
        if written < len(value):
            others = {name: held for name, held in value.items() if name not in known}
            if not shape.more:
                raise OutOfContract(
                    f"{shape.type} has {', '.join(sorted(others))}, which the contract does not know"
                )
            parts.append(f"<{MORE}>{_fields(others)}</{MORE}>")
        if chosen and frozenset(chosen & value.keys()) not in alternatives:
            raise OutOfContract(f"{shape.type} is none of its alternatives")
        return "".join(parts)

    return write


def escaped(text: str) -> str:
    """A text as an element holds it."""
    return _IN_TEXT.sub(_escape, text) if _IN_TEXT.search(text) else text


def _inside(shape: Shape, name: str) -> Writer:
    match shape:
        case Text():
            return lambda value: escaped(value) if type(value) is str else _raise(name, value)
        case Whole():
            return lambda value: str(value) if type(value) is int else _raise(name, value)
        case Flag():
            return lambda value: _FLAGS[value] if type(value) is bool else _raise(name, value)
        case Free():
            return lambda value: _fields(value) if type(value) is dict else _raise(name, value)
        case Record():
            return members(shape)
        case ListOf():
            return _list(writer("item", shape.item), name)
        case MapOf():
            return _map(writer("value", shape.value), name)
        case Nothing():
            return lambda value: _raise(name, value)


_FLAGS = {True: "true", False: "false"}


def _list(item: Writer, name: str) -> Writer:
    return lambda value: (
        "".join([item(each) for each in value]) if type(value) is list else _raise(name, value)
    )


def _map(value: Writer, name: str) -> Writer:
    def write(held: Any) -> str:
        if type(held) is not dict:
            raise _wrong(name, held)
        return "".join(f"<entry><key>{escaped(key)}</key>{value(each)}</entry>" for key, each in held.items())

    return write


def _fields(value: Mapping[str, Any]) -> str:
    return "".join(
        f'<field name="{_IN_ATTRIBUTE.sub(_escape, name)}">{_value(held)}</field>'
        for name, held in value.items()
    )


def _value(value: Any) -> str:
    match value:
        case str():
            return f"<text>{escaped(value)}</text>"
        case bool():
            return f"<flag>{_FLAGS[value]}</flag>"
        case int() | Decimal():
            return f"<number>{decimal(value)}</number>"
        case None:
            return "<nothing>true</nothing>"
        case list():
            return f"<list>{''.join(f'<item>{_value(each)}</item>' for each in value)}</list>"
        case dict():
            return f"<object>{_fields(value)}</object>"
        case _:
            raise _wrong("a field", value)


def decimal(value: int | Decimal) -> str:
    """The xs:decimal of a JSON number; xs:decimal knows no exponents."""
    if isinstance(value, int):
        return str(value)
    if not value.is_finite() or abs(value.adjusted()) > _LARGEST_EXPONENT:
        raise OutOfContract(f"{value!r} is no number that xs:decimal can hold")
    return format(value, "f")


def _escape(found: re.Match[str]) -> str:
    return _ESCAPES.get(found[0], "�")


def _wrong(name: str, value: Any) -> OutOfContract:
    return OutOfContract(f"{name} is of the type {type(value).__name__}")


def _raise(name: str, value: Any) -> str:
    raise _wrong(name, value)
