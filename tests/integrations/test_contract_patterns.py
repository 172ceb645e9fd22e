"""A pattern lets the same texts pass by JSON and by XML."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from foundation.errors import DefinitionError
from integrations import contracts
from integrations.contracts.patterns import to_xsd
from integrations.contracts.xsd import XS
from tests.integrations.contract_values import LETTERS


def patterns(part: Any) -> Iterator[str]:
    """Every pattern in a part of the contract."""
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from patterns(each)
    if isinstance(part, dict) and isinstance(part.get("pattern"), str):
        yield part["pattern"]


OURS = sorted(set(patterns(contracts.licensing()["components"])))
OTHERS = [
    r"^[\]a]?b$",
    r"^[^a-c0-9]$",
    r"^a{2}(b|cd){1,2}[\^\-\\]*$",
    r"^[\x20-\x7e]+$",
    r"^[+\--.]{1,3}$",
    r"a\.b",
    r"^[\t\n -~]*$",
    r"^\u0623[؀-ۿ]*$",
    r"^a\$",
    r"^[!-\[]+$",
    r"^[\]-~]+$",
]


@cache
def by_xml(pattern: str) -> etree.XMLSchema:
    """An XSD of one element, whose text has the pattern."""
    schema = etree.fromstring(
        f'<xs:schema xmlns:xs="{XS}"><xs:element name="a"><xs:simpleType><xs:restriction base="xs:string"/>'
        "</xs:simpleType></xs:element></xs:schema>"
    )
    written = to_xsd(pattern)
    if written is not None:
        etree.SubElement(schema[0][0][0], f"{{{XS}}}pattern", {"value": written})
    return etree.XMLSchema(schema)


def passes(pattern: str, text: str) -> bool:
    element = etree.Element("a")
    element.text = text
    return by_xml(pattern).validate(element)


@pytest.mark.parametrize("pattern", [*OURS, *OTHERS])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_it_lets_the_same_texts_pass(pattern: str, data: st.DataObject) -> None:
    # ECMA's $ is the end, and Python's also stands before a last line break.
    closed = pattern.endswith("$") and not pattern.endswith(r"\$")
    python = re.compile(pattern[:-1] + r"\Z" if closed else pattern)
    right = st.from_regex(python, alphabet=LETTERS)
    near = st.tuples(right, LETTERS, st.integers(0, 40)).map(
        lambda made: made[0][: made[2]] + made[1] + made[0][made[2] + 1 :]
    )
    text = data.draw(right | near | st.text(LETTERS, max_size=8))
    assert passes(pattern, text) is (python.search(text) is not None)


@pytest.mark.parametrize("sign", [*" !\"#&'<>[\\]^-~\x7fZ_az{|}09\t\n\r€ا😀"])
def test_every_sign_is_told_apart_where_ranges_end(sign: str) -> None:
    for pattern in (r"^[!#-\[\]-~]$", r"^[^!#-\[\]-~]$", r"^[^\x00-\x1f\x7f]$", r"^[\t-\r]$", r"^[Z-\^]$"):
        assert passes(pattern, sign) is (re.search(pattern[:-1] + r"\Z", sign) is not None), pattern


def test_a_pattern_that_forbids_only_what_xml_cannot_carry_says_nothing() -> None:
    assert to_xsd(r"^[^\x00]*$") is None
    assert to_xsd(r"^[^\x00-\x08\x0b]*$") is None
    assert to_xsd(r"^[^\x00]+$") == r"[\s\S]+"


@pytest.mark.parametrize(
    "pattern",
    [
        r"^a|b$",
        r"^(?:a)$",
        r"^(?=a)b$",
        r"^a*?$",
        r"^a++$",
        r"^\d+$",
        r"^\bword$",
        r"^\p{L}$",
        r"^a.b$",
        r"^(a$",
        r"^a)$",
        r"^a^b$",
        r"^[a$",
        r"^(*a)$",
        r"^[\x00-\x08]$",
        r"^(a)\1$",
    ],
)
def test_a_sign_that_xml_reads_otherwise_is_refused(pattern: str) -> None:
    with pytest.raises(DefinitionError, match="pattern"):
        to_xsd(pattern)
