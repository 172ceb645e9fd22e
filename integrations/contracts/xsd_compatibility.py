"""What a change of the XSD would break for a client that was made from a released one.

The rule is that of `compatibility`: a released request stays valid, and today's answers are valid by the
released XSD.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from integrations.contracts.compatibility import Breaking
from integrations.contracts.xsd import XS

_LOWER = frozenset({"minLength", "minInclusive"})
_UPPER = frozenset({"maxLength", "maxInclusive"})
# A type that holds all of another.
_WIDER = frozenset({("xs:int", "xs:long")})


@dataclass(frozen=True, slots=True)
class _Item:
    """A place in a sequence: an element, or a choice of sequences; `most` None is without end."""

    name: str
    element: etree._Element
    least: int
    most: int | None


def breaking_xsd(released: bytes, today: bytes) -> tuple[Breaking, ...]:
    """What of today's XSD breaks a client that was made from the released one."""
    old, new = (_Schema(each) for each in (released, today))
    if old.namespace != new.namespace:
        return (Breaking("the XSD", f"its namespace was {old.namespace}, and is {new.namespace}"),)
    return tuple(_changes(old, new))


class _Schema:
    """One of the two schemas."""

    def __init__(self, text: bytes) -> None:
        root = etree.fromstring(text)
        self.namespace = root.get("targetNamespace")
        self.elements = {each.get("name", ""): each for each in root.findall(f"{{{XS}}}element")}
        self._types = {
            f"l:{each.get('name')}": each
            for each in root
            if each.tag in (_x("complexType"), _x("simpleType"))
        }

    def type_of(self, element: etree._Element) -> etree._Element | str:
        """The type of an element, or the name of one that XML Schema itself has."""
        name = element.get("type")
        if name is not None:
            return self._types.get(name, name)
        return next(each for each in element if each.tag in (_x("complexType"), _x("simpleType")))

    def facets(self, simple: etree._Element | str) -> tuple[str, list[tuple[str, str]]]:
        """The type of XML Schema that a simple type is at last, and all that restricts it."""
        if isinstance(simple, str):
            return simple, []
        restriction = simple[-1]
        base = restriction.get("base", "")
        own = [(etree.QName(each).localname, each.get("value", "")) for each in restriction]
        last, before = self.facets(self._types.get(base, base))
        return last, before + own


def _changes(old: _Schema, new: _Schema) -> Iterator[Breaking]:
    for name, element in old.elements.items():
        if name not in new.elements:
            yield Breaking(name, "the element is gone")
            continue
        # An element of a request is followed by that of its answer; a fault's has a named type.
        asked = f"{name}Response" in old.elements
        walk = _Walk(old, new) if asked else _Walk(new, old)
        mine, theirs = (element, new.elements[name]) if asked else (new.elements[name], element)
        for place, gap in walk.types(mine, theirs, name):
            said = "a request that was valid is refused" if asked else "an answer may be what it never was"
            yield Breaking(place, f"{said}: {gap}")


class _Walk:
    """Looks for messages that one schema lets pass and another does not."""

    def __init__(self, inner: _Schema, outer: _Schema) -> None:
        self._inner = inner
        self._outer = outer
        self._seen: set[tuple[str, str]] = set()

    def types(self, mine: etree._Element, theirs: etree._Element, place: str) -> Iterator[tuple[str, str]]:
        names = (mine.get("type"), theirs.get("type"))
        if names[0] is not None and names[1] is not None:
            # Values hold lists of values.
            if (names[0], names[1]) in self._seen:
                return
            self._seen.add((names[0], names[1]))
        one, other = self._inner.type_of(mine), self._outer.type_of(theirs)
        kinds = [not isinstance(each, str) and each.tag == _x("complexType") for each in (one, other)]
        if kinds[0] != kinds[1]:
            yield place, f"the type {names[0]}, not {names[1]}"
        elif kinds[0] and not isinstance(one, str) and not isinstance(other, str):
            yield from self._sequence(one, other, place)
        else:
            yield from self._facets(one, other, place)

    def _sequence(self, one: etree._Element, other: etree._Element, place: str) -> Iterator[tuple[str, str]]:
        mine, theirs = ({each.name: each for each in _items(holder)} for holder in (one, other))
        common = [name for name in mine if name in theirs]
        if common != [name for name in theirs if name in mine]:
            yield place, f"the order {', '.join(common)}"
        for name in mine:
            if name not in theirs:
                yield f"{place}/{name}", "the element, which is not known"
        for name, item in theirs.items():
            if name not in mine and item.least:
                yield f"{place}/{name}", "the element, which is required and missing"
        for name in common:
            yield from self._item(mine[name], theirs[name], f"{place}/{name}")
        attributes = [
            {
                each.get("name"): (each.get("type"), each.get("use"))
                for each in holder.findall(_x("attribute"))
            }
            for holder in (one, other)
        ]
        if attributes[0] != attributes[1]:
            yield place, "other attributes"

    def _item(self, mine: _Item, theirs: _Item, place: str) -> Iterator[tuple[str, str]]:
        if mine.least < theirs.least:
            yield place, f"at least {mine.least} of it, not {theirs.least}"
        if theirs.most is not None and (mine.most is None or mine.most > theirs.most):
            yield place, f"at most {mine.most or 'any number'} of it, not {theirs.most}"
        if mine.element.tag != theirs.element.tag:
            yield place, "an element, not a choice"
        elif mine.element.tag == _x("choice"):
            branches = {each.name: each for each in _items(theirs.element)}
            for item in _items(mine.element):
                if item.name not in branches:
                    yield f"{place}/{item.name}", "the alternative, which is not known"
                else:
                    yield from self._item(item, branches[item.name], f"{place}/{item.name}")
        elif mine.element.tag == _x("sequence"):
            yield from self._sequence(mine.element, theirs.element, place)
        else:
            if mine.element.get("nillable") == "true" and theirs.element.get("nillable") != "true":
                yield place, "nothing (xsi:nil)"
            yield from self.types(mine.element, theirs.element, place)

    def _facets(
        self, one: etree._Element | str, other: etree._Element | str, place: str
    ) -> Iterator[tuple[str, str]]:
        (base, mine), (other_base, theirs) = self._inner.facets(one), self._outer.facets(other)
        if base != other_base and (base, other_base) not in _WIDER:
            yield place, f"the type {base}, not {other_base}"
        values, allowed = (
            [value for name, value in each if name == "enumeration"] for each in (mine, theirs)
        )
        for value in values:
            if allowed and value not in allowed:
                yield place, f"the value {value!r}"
        if values:
            return
        if allowed:
            yield place, f"only {', '.join(allowed)}"
        held = dict(mine)
        for name, value in theirs:
            if name == "pattern" and (name, value) not in mine:
                yield place, f"what the pattern {value} refuses"
            low = name in _LOWER and int(held.get(name, "-1")) < int(value)
            high = name in _UPPER and (name not in held or int(held[name]) > int(value))
            if low or high:
                yield place, f"{name} {held.get(name, 'none')}, not {value}"


def _items(holder: etree._Element) -> Iterator[_Item]:
    """What a type, sequence or choice holds, in its order; one in another is called by its first element."""
    for each in holder:
        if each.tag == _x("sequence") and holder.tag == _x("complexType"):
            yield from _items(each)
        elif each.tag in (_x("element"), _x("choice"), _x("sequence")):
            most = each.get("maxOccurs", "1")
            name = each.get("name") or f"{etree.QName(each).localname} of {next(_items(each)).name}"
            yield _Item(
                name, each, int(each.get("minOccurs", "1")), None if most == "unbounded" else int(most)
            )


def _x(name: str) -> str:
    return f"{{{XS}}}{name}"
