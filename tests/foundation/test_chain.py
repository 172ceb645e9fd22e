import hashlib
import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.chain import GENESIS, JSON, canonical, entry_hash
from foundation.errors import InvalidInput

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)


def test_the_spelling_is_fixed() -> None:
    content: dict[str, JSON] = {"ب": [True, None, -5], "a": 'رخصة "1" \n', "A": {"z": 1, "y": ()}}
    assert canonical(content).decode() == ('{"A":{"y":[],"z":1},"a":"رخصة \\"1\\" \\n","ب":[true,null,-5]}')


def test_the_hash_is_that_of_the_bytes_before_and_the_spelling() -> None:
    # Computed apart, with coreutils: (head -c 32 /dev/zero; printf '{"a":1}') | sha256sum
    expected = "b06a229070741292512e8760f470dd7a4c46ccfdf253df781d88dabe58c1ccb1"
    assert entry_hash(GENESIS, {"a": 1}).hex() == expected


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_a_content_keeps_its_spelling_through_json(content: dict[str, JSON]) -> None:
    again = json.loads(canonical(content))
    assert canonical(again) == canonical(content)
    assert canonical(dict(reversed(list(content.items())))) == canonical(content)


@given(st.dictionaries(TEXT, VALUES, max_size=4), st.dictionaries(TEXT, VALUES, max_size=4))
def test_different_contents_have_different_hashes(one: dict[str, JSON], other: dict[str, JSON]) -> None:
    # Compared through JSON text because Python takes 1 and True for equal.
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (entry_hash(GENESIS, one) == entry_hash(GENESIS, other)) is same


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        (1.0, "/a/1"),
        (float("nan"), "/a/1"),
        (Decimal("1.00"), "/a/1"),
        (date(2026, 1, 1), "/a/1"),
        (b"x", "/a/1"),
        ({1: "x"}, "/a/1"),
        ({"k": {2}}, "/a/1/k"),
        (2**53, "/a/1"),
        ("\0", "/a/1"),
        ("\ud800", "/a/1"),
    ],
)
def test_what_has_no_one_spelling_is_refused_with_its_place(value: JSON, pointer: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{pointer} "):
        canonical({"a": [1, value]})


def test_a_previous_hash_of_another_length_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="32 bytes, not 5"):
        entry_hash(b"short", {})
    assert len(hashlib.sha256().digest()) == len(GENESIS)
