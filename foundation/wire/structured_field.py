"""Structured fields of HTTP, read so that no text has two readings.

Only what signatures and digests are written with: dictionaries of items and inner lists; whole numbers,
strings, tokens, byte sequences, booleans and their parameters. Where the standard lets a reader be lenient (a
key that stands twice, base64 with loose padding, leading zeros), this one refuses: what is signed must say
one thing to everybody.

Source: RFC 9651 (and RFC 8941, which it replaces), sections 3 and 4.
"""

import base64
import binascii
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from foundation.errors import Malformed, TooLarge

LONGEST = 16_384
"""Characters of a field; more are refused unread."""

_LARGEST = 999_999_999_999_999  # RFC 9651, section 3.3.1
_MOST_MEMBERS = 64
_LOWER, _DIGITS = string.ascii_lowercase, string.digits
_KEY_START, _KEY = frozenset(_LOWER + "*"), frozenset(_LOWER + _DIGITS + "_-.*")
_TOKEN_START = frozenset(string.ascii_letters + "*")
_TOKEN = frozenset(string.ascii_letters + _DIGITS + "!#$%&'*+-.^_`|~:/")
_BASE64 = frozenset(string.ascii_letters + _DIGITS + "+/=")


@dataclass(frozen=True)
class Token:
    """A word without quotation marks."""

    text: str


Bare = bool | int | str | bytes | Token
Parameters = Mapping[str, Bare]
_NONE: Parameters = MappingProxyType({})


@dataclass(frozen=True)
class Item:
    """A value with its parameters, in their order."""

    value: Bare
    parameters: Parameters = field(default_factory=lambda: _NONE)


@dataclass(frozen=True)
class InnerList:
    """Items in brackets, with parameters of the whole."""

    items: tuple[Item, ...]
    parameters: Parameters = field(default_factory=lambda: _NONE)


Member = Item | InnerList


def read_dictionary(text: str) -> dict[str, Member]:
    """A dictionary.

    Args:
        text: the field's value; of several lines, joined by ", ".

    Raises:
        TooLarge: it has more than `LONGEST` characters.
        Malformed: it cannot be read, or could be read in two ways; the sentence says at which character.

    Source: RFC 9651, section 4.2.2.
    """
    if len(text) > LONGEST:
        raise TooLarge(
            f"The field has more than {LONGEST} characters.", message_ar="الترويسة أطول من الحد المسموح."
        )
    return _Reader(text).dictionary()


def write_dictionary(members: Mapping[str, Member]) -> str:
    """A dictionary in its one spelling.

    Raises:
        ValueError: a part of it cannot be written.

    Source: RFC 9651, section 4.1.2.
    """
    return ", ".join(_written_member(key, member) for key, member in members.items())


def write_member(member: Member) -> str:
    """An item or an inner list in its one spelling; raises as `write_dictionary` does."""
    if isinstance(member, InnerList):
        inside = " ".join(write_member(item) for item in member.items)
        return f"({inside}){_written_parameters(member.parameters)}"
    return _written(member.value) + _written_parameters(member.parameters)


def _written_member(key: str, member: Member) -> str:
    _check_key(key)
    if isinstance(member, Item) and member.value is True:
        return key + _written_parameters(member.parameters)
    return f"{key}={write_member(member)}"


def _written_parameters(parameters: Parameters) -> str:
    for key in parameters:
        _check_key(key)
    return "".join(
        f";{key}" if value is True else f";{key}={_written(value)}" for key, value in parameters.items()
    )


def _written(value: Bare) -> str:
    if isinstance(value, bool):
        return f"?{int(value)}"
    if isinstance(value, int):
        if abs(value) > _LARGEST:
            raise ValueError(f"{value} has more than fifteen digits")
        return str(value)
    if isinstance(value, bytes):
        return f":{base64.b64encode(value).decode()}:"
    if isinstance(value, Token):
        if not value.text or value.text[0] not in _TOKEN_START or not _TOKEN.issuperset(value.text):
            raise ValueError(f"{value.text!r} is no token")
        return value.text
    if not all(" " <= character <= "~" for character in value):
        raise ValueError(f"{value!r} has a character that no string of a field can have")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _check_key(key: str) -> None:
    if not key or key[0] not in _KEY_START or not _KEY.issuperset(key):
        raise ValueError(f"{key!r} is no key")


class _Reader:
    """Goes through a text once; `_at` is the next character."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def dictionary(self) -> dict[str, Member]:
        members: dict[str, Member] = {}
        self._skip(" ")
        while self._more():
            key = self._key()
            if key in members:
                raise self._wrong(f"{key!r} stands twice")
            if len(members) == _MOST_MEMBERS:
                raise self._wrong(f"there are more than {_MOST_MEMBERS} members")
            members[key] = self._member() if self._take("=") else Item(True, self._parameters())
            self._skip(" \t")
            if not self._more():
                break
            self._expect(",")
            self._skip(" \t")
            if not self._more():
                raise self._wrong("nothing stands after the last comma")
        return members

    def _member(self) -> Member:
        return self._inner_list() if self._next() == "(" else self._item()

    def _inner_list(self) -> InnerList:
        self._expect("(")
        items: list[Item] = []
        while True:
            self._skip(" ")
            if self._take(")"):
                return InnerList(tuple(items), self._parameters())
            if items and self._text[self._at - 1] != " ":
                raise self._wrong("a space is missing")
            if len(items) == _MOST_MEMBERS:
                raise self._wrong(f"there are more than {_MOST_MEMBERS} items")
            items.append(self._item())

    def _item(self) -> Item:
        return Item(self._bare(), self._parameters())

    def _parameters(self) -> Parameters:
        found: dict[str, Bare] = {}
        while self._take(";"):
            self._skip(" ")
            key = self._key()
            if key in found:
                raise self._wrong(f"the parameter {key!r} stands twice")
            if len(found) == _MOST_MEMBERS:
                raise self._wrong(f"there are more than {_MOST_MEMBERS} parameters")
            found[key] = self._bare() if self._take("=") else True
        return MappingProxyType(found) if found else _NONE

    def _key(self) -> str:
        if self._next() not in _KEY_START:
            raise self._wrong("a key is missing")
        return self._run(_KEY)

    def _bare(self) -> Bare:
        first = self._next()
        if first == '"':
            return self._string()
        if first == ":":
            return self._bytes()
        if first == "?":
            return self._boolean()
        if first in _TOKEN_START:
            return Token(self._run(_TOKEN))
        if first == "-" or first in _DIGITS:
            return self._integer()
        raise self._wrong("no value of a kind known here")

    def _integer(self) -> int:
        start = self._at
        self._take("-")
        self._run(frozenset(_DIGITS))
        written = self._text[start : self._at]
        if not written.isascii() or written in ("", "-") or len(written.lstrip("-")) > 15:
            raise self._wrong("no whole number of at most fifteen digits")
        if str(int(written)) != written or self._next() == ".":
            raise self._wrong("a whole number in its one spelling is needed")
        return int(written)

    def _string(self) -> str:
        self._expect('"')
        found: list[str] = []
        while True:
            character = self._pop("the string does not end")
            if character == '"':
                return "".join(found)
            if character == "\\":
                character = self._pop("the string does not end")
                if character not in '"\\':
                    raise self._wrong("only quotation marks and backslashes are escaped")
            elif not " " <= character <= "~":
                raise self._wrong("a character that no string can have")
            found.append(character)

    def _bytes(self) -> bytes:
        self._expect(":")
        written = self._run(_BASE64)
        self._expect(":")
        try:
            value = base64.b64decode(written, validate=True)
        except binascii.Error:
            raise self._wrong("no base64") from None
        if base64.b64encode(value).decode() != written:
            raise self._wrong("base64 with its padding and no loose bits is needed")
        return value

    def _boolean(self) -> bool:
        self._expect("?")
        value = self._pop("a boolean is missing")
        if value not in "01":
            raise self._wrong("a boolean is ?0 or ?1")
        return value == "1"

    def _more(self) -> bool:
        return self._at < len(self._text)

    def _next(self) -> str:
        # A NUL is no character of any field, and stands for the end.
        return self._text[self._at] if self._more() else "\0"

    def _pop(self, missing: str) -> str:
        if not self._more():
            raise self._wrong(missing)
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, character: str) -> bool:
        taken = self._next() == character
        self._at += taken
        return taken

    def _expect(self, character: str) -> None:
        if not self._take(character):
            raise self._wrong(f"{character!r} is missing")

    def _skip(self, characters: str) -> None:
        while self._more() and self._text[self._at] in characters:
            self._at += 1

    def _run(self, characters: frozenset[str]) -> str:
        start = self._at
        while self._next() in characters:
            self._at += 1
        return self._text[start : self._at]

    def _wrong(self, what: str) -> Malformed:
        return Malformed(
            f"The field cannot be read: {what}, at character {self._at + 1}.",
            remedy="Write it as RFC 9651 has it.",
            message_ar="تعذّرت قراءة الترويسة؛ اكتبها وفق المعيار RFC 9651.",
        )
