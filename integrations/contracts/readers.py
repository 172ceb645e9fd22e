"""From elements to JSON: a function a shape, made once; it reads an element that the XSD has found valid."""

import re
from collections.abc import Callable, Iterator
from json.encoder import encode_basestring
from typing import TypeAlias

from lxml import etree

from foundation.errors import FieldError, InvalidInput
from integrations.contracts.names import NAMESPACE
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

Reader: TypeAlias = Callable[[etree._Element], str]
"""Gives the JSON text of what an element holds."""

NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"

_TRUE = frozenset({"true", "1"})
_NUMBER = re.compile(r"([+-]?)0*([0-9]*)(?:\.([0-9]*))?")
_XML_SPACE = " \t\n\r"


def reader(use: Use) -> Reader:
    """What reads an element of this shape.

    The reader raises InvalidInput where a name stands twice in a free object or a map: JSON would keep one of
    the two, and which is anyone's guess. And also where a free value is none or several.
    """
    read = _of(use.shape)
    if not use.nullable or isinstance(use.shape, Nothing):
        return read
    return lambda element: "null" if is_nil(element) else read(element)


def plain(shape: Shape) -> Reader:
    """What reads a parameter: its text as a URL or a header has it, without JSON's quotes."""
    match shape:
        case Text():
            return _collapsed if shape.format else text_of
        case Whole():
            return _whole
        case Flag():
            return _flag
        case _:
            raise TypeError(f"{shape!r} is no parameter")


def text_of(element: etree._Element) -> str:
    """All text of an element, also around a comment: what its author sees is what is done."""
    text = element.text or ""
    if len(element):
        text += "".join(child.tail or "" for child in element)
    return text


def is_nil(element: etree._Element) -> bool:
    """Whether an element says xsi:nil."""
    nil = element.get(NIL)
    return nil is not None and nil.strip(_XML_SPACE) in _TRUE


def children(element: etree._Element) -> Iterator[etree._Element]:
    """The elements in an element, without comments and instructions."""
    return (child for child in element if isinstance(child.tag, str))


def tag(name: str) -> str:
    """A name in the contract's namespace, as lxml writes it."""
    return f"{{{NAMESPACE}}}{name}"


def quoted(text: str) -> str:
    """A text as JSON."""
    return encode_basestring(text)


def _of(shape: Shape) -> Reader:
    match shape:
        case Text():
            return _text if not shape.format else _moment
        case Whole():
            return _whole
        case Flag():
            return _flag
        case Nothing():
            return _null
        case Free():
            return fields
        case Record():
            return _record(shape)
        case ListOf():
            return _list(reader(shape.item))
        case MapOf():
            return _map(reader(shape.value))


def _text(element: etree._Element) -> str:
    return encode_basestring(element.text or "" if not len(element) else text_of(element))


def _collapsed(element: etree._Element) -> str:
    return text_of(element).strip(_XML_SPACE)


def _moment(element: etree._Element) -> str:
    return encode_basestring(_collapsed(element))


def _whole(element: etree._Element) -> str:
    return str(int(text_of(element)))


def _flag(element: etree._Element) -> str:
    return "true" if _collapsed(element) in _TRUE else "false"


def _null(_element: etree._Element) -> str:
    return "null"


def _decimal(element: etree._Element) -> str:
    """The JSON number that is the same decimal; every digit behind the point is kept."""
    found = _NUMBER.fullmatch(_collapsed(element))
    if found is None:
        raise _wrong(f"{text_of(element)!r} is no number", "القيمة ليست رقمًا.")
    sign, whole, fraction = found.groups()
    return ("-" if sign == "-" else "") + (whole or "0") + (f".{fraction}" if fraction else "")


def fields(element: etree._Element) -> str:
    """Reads `Fields`, a free object."""
    return f"{{{','.join(_members(element, set()))}}}"


def _members(element: etree._Element, seen: set[str]) -> list[str]:
    members = []
    for field in element:
        name = field.get("name")
        if name is not None:  # or it is a comment
            if name in seen:
                raise _twice(name)
            seen.add(name)
            members.append(f"{encode_basestring(name)}:{_value(field)}")
    return members


def _value(element: etree._Element) -> str:
    """Reads `Value`: one element that says what kind of value it holds."""
    held = element[0] if len(element) == 1 else None
    read = _KINDS.get(held.tag) if held is not None else None
    if held is not None and read is not None:
        return read(held)
    each = list(children(element))  # without the comments
    if len(each) == 1:
        return _KINDS[each[0].tag](each[0])
    name = element.get("name", "item")
    said = "several values" if each else "no value"
    raise _wrong(f"the field {name!r} holds {said}", f"يجب أن يحمل الحقل {name} قيمة واحدة.")


def _values(element: etree._Element) -> str:
    return f"[{','.join(_value(item) for item in children(element))}]"


_KINDS: dict[str, Reader] = {
    tag("text"): _text,
    tag("number"): _decimal,
    tag("flag"): _flag,
    tag("nothing"): _null,
    tag("list"): _values,
    tag("object"): fields,
}


def _record(shape: Record) -> Reader:
    # By the tag: the XSD has seen to the order, and to who is there.
    table = {tag(each.name): (f"{quoted(each.name)}:", reader(each.use)) for each in shape.members}
    more = tag(MORE) if shape.more else None
    names = {each.name for each in shape.members}

    def read(element: etree._Element) -> str:
        parts = []
        for child in element:
            entry = table.get(child.tag)
            if entry is not None:
                parts.append(entry[0] + entry[1](child))
            elif child.tag == more:
                parts += _members(child, set(names))
        return f"{{{','.join(parts)}}}"

    return read


def _list(item: Reader) -> Reader:
    def read(element: etree._Element) -> str:
        return f"[{','.join([item(child) for child in children(element)])}]"

    return read


def _map(value: Reader) -> Reader:
    def read(element: etree._Element) -> str:
        seen: set[str] = set()
        parts = []
        for entry in children(element):
            key, held = children(entry)
            name = text_of(key)
            if name in seen:
                raise _twice(name)
            seen.add(name)
            parts.append(f"{quoted(name)}:{value(held)}")
        return f"{{{','.join(parts)}}}"

    return read


def _twice(name: str) -> InvalidInput:
    return _wrong(f"the field {name!r} stands twice", f"الحقل {name} مكرر.")


def _wrong(message: str, arabic: str) -> InvalidInput:
    return InvalidInput(
        message,
        remedy="Send each field once, with one value.",
        fields=(FieldError("", message, detail_ar=arabic),),
        message_ar=arabic,
    )
