"""Requests made by chance from the XSD itself: valid ones, and valid ones with one thing wrong."""

import base64
from collections.abc import Callable
from datetime import date, datetime
from functools import partial

from hypothesis import strategies as st
from lxml import etree

from integrations.entrypoints.soap.contract_files import XSD

XS, OURS = "http://www.w3.org/2001/XMLSchema", "l:"
NAMESPACE = "urn:rakeeza:licensing:1"
MOST = 3
"""Items of a list, and lists within one another."""

_ONE = "exactly one of the elements"

SCHEMA = etree.XMLSchema(etree.parse(str(XSD)))
_ROOT = etree.parse(str(XSD)).getroot()
_TYPES = {each.get("name", ""): each for each in _ROOT if each.tag != f"{{{XS}}}element"}
ELEMENTS = {each.get("name", ""): each for each in _ROOT if each.tag == f"{{{XS}}}element"}
_LETTERS = st.characters(min_codepoint=32, exclude_categories=("Cs", "Cc", "Cn", "Co"))
_PLAIN: dict[str, st.SearchStrategy[str]] = {
    "string": st.text(_LETTERS, max_size=40),
    "boolean": st.sampled_from(["true", "false", "1", "0"]),
    "decimal": st.decimals(allow_nan=False, allow_infinity=False, places=3).map(lambda each: f"{each:f}"),
    "base64Binary": st.binary(max_size=60).map(lambda each: base64.b64encode(each).decode()),
    "dateTime": st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)).map(lambda each: f"{each:%FT%T}Z"),
    "date": st.dates(date(2000, 1, 1), date(2099, 1, 1)).map(lambda each: each.isoformat()),
    "anyURI": st.just("https://example.sa/x"),
}
_Text = st.SearchStrategy[etree._Element]


def request(name: str) -> _Text:
    """Elements of a name that the XSD declares."""
    return _element(ELEMENTS[name], 0)


@st.composite
def with_one_fault(draw: st.DrawFn, name: str) -> etree._Element:
    """An element of a name with one thing in it that may be wrong."""
    made = draw(request(name))
    below = list(made.iter())
    where = draw(st.sampled_from(below))
    parent = where.getparent()
    changes: list[Callable[[], None]] = [
        partial(setattr, where, "text", draw(st.text(_LETTERS, max_size=300))),
        partial(where.set, "surprise", "x"),
        partial(_add, where, "surprise"),
        partial(where.set, "{http://www.w3.org/2001/XMLSchema-instance}nil", "true"),
    ]
    if parent is not None:
        changes += [partial(parent.remove, where), partial(_twice, where), partial(_rename, where)]
    draw(st.sampled_from(changes))()
    return made


def _add(where: etree._Element, name: str) -> None:
    etree.SubElement(where, f"{{{NAMESPACE}}}{name}")


def _twice(where: etree._Element) -> None:
    where.addnext(etree.fromstring(etree.tostring(where, with_tail=False)))


def _rename(where: etree._Element) -> None:
    where.tag = f"{{{NAMESPACE}}}surprise"


@st.composite
def _element(draw: st.DrawFn, declared: etree._Element, depth: int) -> etree._Element:
    made = etree.Element(f"{{{NAMESPACE}}}{declared.get('name')}")
    named = declared.get("type", "")
    kind = _TYPES[named.removeprefix(OURS)] if named.startswith(OURS) else None
    inside = kind if kind is not None else declared.find(f"{{{XS}}}simpleType")
    if inside is None:
        inside = declared.find(f"{{{XS}}}complexType")
    if inside is None:
        made.text = draw(_plain(named, None))
    elif inside.tag == f"{{{XS}}}simpleType":
        made.text = draw(_simple(inside))
    else:
        _fill(draw, made, inside, depth)
    return made


def _fill(draw: st.DrawFn, made: etree._Element, kind: etree._Element, depth: int) -> None:
    for attribute in kind.iterfind(f"{{{XS}}}attribute"):
        made.set(attribute.get("name", ""), draw(st.uuids().map(str)))
    for sequence in kind.iterfind(f"{{{XS}}}sequence"):
        if _ONE in (kind.findtext(f"{{{XS}}}annotation/{{{XS}}}documentation") or ""):
            # What the XSD says in words, for clients that know no choice.
            made.append(draw(_element(draw(st.sampled_from(_ways(sequence, depth))), depth + 1)))
            continue
        for particle in sequence:
            for declared in _particles(draw, particle, depth):
                made.append(draw(_element(declared, depth + 1)))


def _particles(draw: st.DrawFn, particle: etree._Element, depth: int) -> list[etree._Element]:
    """The elements that stand in the place of a particle."""
    if particle.tag == f"{{{XS}}}choice":
        way = draw(st.sampled_from(_ways(particle, depth)))
        parts = list(way) if way.tag == f"{{{XS}}}sequence" else [way]
        return [each for part in parts for each in _particles(draw, part, depth)]
    if particle.tag != f"{{{XS}}}element":
        return []
    least, most = int(particle.get("minOccurs", "1")), particle.get("maxOccurs", "1")
    highest = max(least, MOST if most == "unbounded" else min(int(most), MOST))
    return [particle] * draw(st.integers(least, highest if depth < 3 * MOST else least))


def _ways(choice: etree._Element, depth: int) -> list[etree._Element]:
    # Deep down what holds nothing more; a list of lists would not end.
    return list(choice) if depth < 3 * MOST else list(choice)[:1]


def _simple(kind: etree._Element) -> st.SearchStrategy[str]:
    restriction = kind.find(f"{{{XS}}}restriction")
    assert restriction is not None
    return _plain(restriction.get("base", ""), restriction)


def _plain(named: str, facets: etree._Element | None) -> st.SearchStrategy[str]:
    def values(facet: str) -> list[str]:
        return (
            [] if facets is None else [each.get("value", "") for each in facets.iterfind(f"{{{XS}}}{facet}")]
        )

    if values("enumeration"):
        return st.sampled_from(values("enumeration"))
    if (base := _base(named)) in ("date", "dateTime", "anyURI"):
        # Narrower by patterns that all of these match.
        return _PLAIN[base]
    least, most = values("minLength") or ["0"], values("maxLength") or ["10000"]
    if values("pattern"):
        matching = st.one_of(
            *(st.from_regex(each, fullmatch=True, alphabet=_LETTERS) for each in values("pattern"))
        )
        return matching.filter(lambda each: int(least[0]) <= len(each) <= int(most[0]))
    if named.startswith(OURS):
        return _simple(_TYPES[named.removeprefix(OURS)])
    if base in ("long", "int", "integer"):
        low, high = values("minInclusive") or ["-9"], values("maxInclusive") or ["2147483647"]
        return st.integers(int(low[0]), int(high[0])).map(str)
    if base == "string":
        return st.text(_LETTERS, min_size=int(least[0]), max_size=min(int(most[0]), 60))
    return _PLAIN[base]


def _base(named: str) -> str:
    """The type of XML Schema that a type is made of."""
    while named.startswith(OURS):
        restriction = _TYPES[named.removeprefix(OURS)].find(f"{{{XS}}}restriction")
        assert restriction is not None
        named = restriction.get("base", "")
    return named.partition(":")[2]
