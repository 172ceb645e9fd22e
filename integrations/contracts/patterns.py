"""Patterns of JSON Schema (ECMA 262) as those of XML Schema, which are anchored and know fewer signs."""

import re
import sys

from integrations.contracts.names import refused

_ANYTHING = r"[\s\S]"
_QUANTIFIER = re.compile(r"[*+?]|\{[0-9]+(,[0-9]*)?\}")
_SPECIAL = frozenset(r"\|.?*+(){}[]^")
_SPECIAL_IN_CLASS = frozenset("\\[]^-\t\n\r")
_PLAIN_ESCAPES = frozenset(r"\|.?*+(){}[]^$-/")
_CONTROLS = {"t": 0x09, "n": 0x0A, "r": 0x0D}
# XML 1.0, section 2.2. What it cannot hold cannot be written, so that forbidding it says nothing.
_XML = ((0x09, 0x0A), (0x0D, 0x0D), (0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, sys.maxunicode))


def to_xsd(pattern: str) -> str | None:
    """The same pattern for xs:pattern.

    Args:
        pattern: of JSON Schema 2020-12, which looks for it anywhere unless it says ^ and $.

    Returns:
        The pattern, or None where it holds for every text that XML can carry.

    Raises:
        DefinitionError: it has a sign that XML Schema lacks or understands otherwise.

    Source: XML Schema 1.0 part 2, appendix F; ECMA 262, section 22.2.
    """
    inner = pattern.removeprefix("^")
    before = "" if inner != pattern else f"{_ANYTHING}*"
    closed = inner.endswith("$") and not inner.endswith("\\$")
    inner = inner[:-1] if closed else inner
    after = "" if closed else f"{_ANYTHING}*"
    whole = before + _Reader(pattern, inner).read() + after
    return None if whole == f"{_ANYTHING}*" else whole


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str, inner: str) -> None:
        self._pattern = pattern
        self._rest = inner
        self._depth = 0

    def read(self) -> str:
        written = []
        while self._rest:
            sign = self._take()
            if sign == "[":
                written.append(self._class())
            elif sign == "\\":
                written.append(_escaped(self._escape(), _SPECIAL))
            elif sign in "()|":
                written.append(self._grouping(sign))
            elif sign in "^$.*+?{}]":
                raise self._refused(sign)
            else:
                written.append(_escaped(ord(sign), _SPECIAL))
            written.append(self._quantifier(sign))
        if self._depth:
            raise self._refused("(")
        return "".join(written)

    def _grouping(self, sign: str) -> str:
        if sign == "(" and self._rest.startswith("?"):
            raise self._refused("(?")
        if sign == "|" and not self._depth:
            raise self._refused("| beside ^ or $")
        self._depth += {"(": 1, ")": -1, "|": 0}[sign]
        return sign

    def _quantifier(self, sign: str) -> str:
        found = _QUANTIFIER.match(self._rest)
        if found is None:
            return ""
        if sign in "(|":
            raise self._refused(found[0])
        self._rest = self._rest[found.end() :]
        if _QUANTIFIER.match(self._rest):
            raise self._refused(found[0] + self._rest[0])
        return found[0]

    def _class(self) -> str:
        negated = self._rest.startswith("^")
        if negated:
            self._take()
        ranges = []
        while not self._rest.startswith("]"):
            first = last = self._member()
            if self._rest.startswith("-") and not self._rest.startswith("-]"):
                self._take()
                last = self._member()
            ranges.append((first, last))
        self._take()
        kept = [
            (max(low, first), min(high, last))
            for first, last in ranges
            for low, high in _XML
            if max(low, first) <= min(high, last)
        ]
        if not kept and not negated:
            raise self._refused("a class of nothing that XML can carry")
        if not kept:
            return _ANYTHING
        body = "".join(_range(first, last) for first, last in kept)
        return f"[{'^' if negated else ''}{body}]"

    def _member(self) -> int:
        sign = self._take()
        return self._escape() if sign == "\\" else ord(sign)

    def _escape(self) -> int:
        sign = self._take()
        if sign in _CONTROLS:
            return _CONTROLS[sign]
        width = {"x": 2, "u": 4}.get(sign)
        if width is not None:
            digits, self._rest = self._rest[:width], self._rest[width:]
            return int(digits, 16)
        if sign not in _PLAIN_ESCAPES:
            raise self._refused("\\" + sign)
        return ord(sign)

    def _take(self) -> str:
        if not self._rest:
            raise self._refused("its end")
        sign, self._rest = self._rest[0], self._rest[1:]
        return sign

    def _refused(self, sign: str) -> Exception:
        return refused(f"the pattern {self._pattern} has {sign}, which XML Schema does not read the same way")


def _range(first: int, last: int) -> str:
    """A range of a class. An end that must be escaped stands beside it: libxml2 takes none as an end."""
    singles = ""
    while first <= last and chr(first) in _SPECIAL_IN_CLASS:
        singles += _escaped(first, _SPECIAL_IN_CLASS)
        first += 1
    while first < last and chr(last) in _SPECIAL_IN_CLASS:
        singles += _escaped(last, _SPECIAL_IN_CLASS)
        last -= 1
    if first > last:
        return singles
    ends = [_escaped(code, _SPECIAL_IN_CLASS) for code in ([first, last] if first < last else [first])]
    return "-".join(ends) + singles


def _escaped(code: int, special: frozenset[str]) -> str:
    if code in _CONTROLS.values():
        return "\\" + next(sign for sign, each in _CONTROLS.items() if each == code)
    return f"\\{chr(code)}" if chr(code) in special else chr(code)
