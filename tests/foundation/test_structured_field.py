import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from foundation.errors import Malformed, TooLarge
from foundation.wire.structured_field import (
    LONGEST,
    InnerList,
    Item,
    Token,
    read_dictionary,
    write_dictionary,
)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", {}),
        ("a=1", {"a": Item(1)}),
        ("a=-15, b=0", {"a": Item(-15), "b": Item(0)}),
        ('a="x\\"y\\\\z"', {"a": Item('x"y\\z')}),
        ("a=:aGVsbG8=:", {"a": Item(b"hello")}),
        ("a=::", {"a": Item(b"")}),
        ("a", {"a": Item(True)}),
        ("a=?0;b;c=tok/en", {"a": Item(False, {"b": True, "c": Token("tok/en")})}),
        ("*a.b-c_1=*t", {"*a.b-c_1": Item(Token("*t"))}),
        ("a=()", {"a": InnerList(())}),
        ('a=( "x"  "y";z=1 );q="r"', {"a": InnerList((Item("x"), Item("y", {"z": 1})), {"q": "r"})}),
        ("  a=1 ,\t b=2  ", {"a": Item(1), "b": Item(2)}),
        ("a=1;  b=2", {"a": Item(1, {"b": 2})}),
    ],
)
def test_a_dictionary_is_read(text: str, read: dict[str, Any]) -> None:
    assert read_dictionary(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "a=1, a=2",
        "a=1;b=1;b=2",
        "a=1,",
        "a=1,,b=2",
        ",a=1",
        "a=1 b=2",
        "a =1",
        "a= 1",
        "A=1",
        "1=1",
        "=1",
        "é=1",
        "a=",
        "a=01",
        "a=-0",
        "a=-",
        "a=1000000000000000",
        "a=1.0",
        "a=1.",
        "a=٣",
        "a=@1",
        'a=%"x"',
        'a="x',
        'a="x\\',
        'a="x\\n"',
        'a="é"',
        'a="\t"',
        "a='x'",
        "a=:aGVsbG8:",
        "a=:aGVsbG9=:",
        "a=:aGVsbG8==:",
        "a=:aGVsb G8=:",
        "a=:aGVs-_8=:",
        "a=:aGVsbG8=",
        "a=:====:",
        "a=:=:",
        "a=?2",
        "a=?",
        "a=?true",
        "a=(",
        'a=("x"',
        'a=("x""y")',
        'a=("x","y")',
        "a=((1))",
        "a=1;",
        "a=1;B",
        "a\0",
        "a=1\0",
        "a=1\r\nb=2",
        ", ".join(f"a{number}" for number in range(65)),
        f"a=({' '.join(['1'] * 65)})",
        "a=1" + "".join(f";b{number}" for number in range(65)),
    ],
)
def test_what_has_no_reading_or_two_is_refused_at_a_character(text: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_dictionary(text)
    assert re.search(r"at character \d+\.$", refused.value.message)
    assert refused.value.message_ar


def test_a_field_that_is_too_long_is_refused_unread() -> None:
    assert read_dictionary(f'a="{"x" * (LONGEST - 4)}"')
    with pytest.raises(TooLarge):
        read_dictionary(f'a="{"x" * (LONGEST - 3)}"')


@pytest.mark.parametrize(
    "members",
    [
        {"A": Item(1)},
        {"": Item(1)},
        {"a": Item(10**15)},
        {"a": Item("é")},
        {"a": Item("\n")},
        {"a": Item(Token(""))},
        {"a": Item(Token("a b"))},
        {"a": Item(1, {"B": 1})},
    ],
)
def test_what_no_field_can_hold_is_not_written(members: dict[str, Item]) -> None:
    with pytest.raises(ValueError, match=r"^'|^1000000000000000"):
        write_dictionary(members)


_KEYS = st.from_regex(r"[a-z*][a-z0-9_\-.*]{0,8}", fullmatch=True)
_BARE = st.one_of(
    st.booleans(),
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20),
    st.binary(max_size=20),
    st.from_regex(r"[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]{0,8}", fullmatch=True).map(Token),
)
_PARAMETERS = st.dictionaries(_KEYS, _BARE, max_size=3)
_ITEMS = st.builds(Item, _BARE, _PARAMETERS)
_MEMBERS = st.one_of(_ITEMS, st.builds(InnerList, st.lists(_ITEMS, max_size=3).map(tuple), _PARAMETERS))


@given(st.dictionaries(_KEYS, _MEMBERS, max_size=4))
def test_what_is_written_is_read_back_the_same(members: dict[str, Any]) -> None:
    read = read_dictionary(write_dictionary(members))
    assert read == members
    assert list(read) == list(members)


_CHARACTERS = ',=():;?10-. \t\\"aA*'
# Pieces of what signatures are written with, put together in any order, and anything else.
_PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ['centre=("@method" "@target-uri")', ";created=1", ';keyid="k"', ", ", ":AAAA:", *_CHARACTERS]
        ),
        st.characters(max_codepoint=0x250),
    ),
    max_size=25,
).map("".join)


@given(_PIECES)
@example('centre=("@method");created=1, centre=("@path");created=1')
@example("a=:AAB=:")
def test_any_text_is_refused_or_has_one_reading(text: str) -> None:
    try:
        read = read_dictionary(text)
    except Malformed:
        return
    written = write_dictionary(read)
    # Its one spelling is read as the same, and written as the same again.
    assert read_dictionary(written) == read
    assert write_dictionary(read_dictionary(written)) == written
    # What was left out is space, and the `=?1` that a key alone says as well; nothing else was passed over.
    assert _bare(written) == _bare(text)


def _bare(text: str) -> str:
    return re.sub(r"[ \t]", "", text).replace("=?1", "")


@given(_PIECES, _PIECES)
def test_a_key_never_stands_for_two_values(first: str, second: str) -> None:
    texts = [f"centre={first}", f"centre={second}"]
    try:
        assert [read_dictionary(text).keys() for text in texts]
    except Malformed:
        return
    with pytest.raises(Malformed):
        read_dictionary(", ".join(texts))
