"""Hides secret texts in whatever a run says, also where they are escaped, encoded or broken over lines.

Imports the standard library only: it also runs in `ansible_process.py`.
"""

import base64
import html
import json
import re
import urllib.parse
from collections.abc import Iterable, Iterator

MASK = "<secret>"

# A shorter text is part of too many words: it is hidden where it stands alone.
_SHORTEST = 4
# A line of a secret of several lines is hidden by itself from this length on, in characters, and so is an
# encoded secret: shorter pieces are met by chance.
_LINE = 8
# A secret is looked for across blanks and ends of lines from this length on.
_BROKEN = 12


class Masking:
    """Hides secrets.

    Args:
        values: the secret texts.
    """

    def __init__(self, values: Iterable[str]) -> None:
        stripped = {value.strip() for value in values} - {""}
        self._alone = frozenset(value for value in stripped if len(value) < _SHORTEST)
        found = {form for value in stripped - self._alone for form in _forms(value)}
        # The longest first: a line of a key must not be hidden before the whole of it.
        self._forms = sorted(found, key=lambda form: (-len(form), form))
        squeezed = {"".join(form.split()) for form in self._forms}
        self._squeezed = sorted((form for form in squeezed if len(form) >= _BROKEN), key=len, reverse=True)
        #: The longest text that is looked for, in characters.
        self.longest = max(map(len, self._forms), default=0)

    def __bool__(self) -> bool:
        return bool(self._forms or self._alone)

    def text(self, text: str) -> str:
        """A text without secrets."""
        if not self or not text:
            return text
        if text.strip() in self._alone:
            return MASK
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        squeezed = "".join(text.split())
        if len(squeezed) != len(text):
            for form in self._squeezed:
                if form in squeezed:
                    text = re.sub(r"\s*".join(map(re.escape, form)), MASK, text)
                    squeezed = "".join(text.split())
        return text

    def beginning(self, text: str, length: int) -> str:
        """The beginning of a text, without secrets, and without what is left of one that was cut through."""
        part = text[: length + self.longest]
        shown = self.text(part)
        return shown if len(part) == len(text) else shown[: max(0, len(shown) - self.longest)]


def _forms(value: str) -> Iterator[str]:
    yield from _written(value)
    yield from _encoded(value.encode("utf-8", "surrogatepass"))
    lines = value.splitlines()
    if len(lines) > 1:
        for line in (line.strip() for line in lines):
            # The frame of a key is the same in every key, and in certificates, which are no secrets.
            if len(line) >= _LINE and not line.startswith("-----"):
                yield from _written(line)


def _written(text: str) -> Iterator[str]:
    """As it stands, and as programs write it within their own marks of quotation."""
    yield text
    for plain in (False, True):
        escaped = json.dumps(text, ensure_ascii=plain)[1:-1]
        # JSON within JSON too: the answer of a program within the answer of a module.
        yield from (escaped, json.dumps(escaped)[1:-1])
    yield repr(text)[1:-1]
    yield html.escape(text)
    for theirs in ("''", "'\"'\"'", "'\\''"):
        yield text.replace("'", theirs)
    data = text.encode("utf-8", "surrogatepass")
    for quoted in (
        urllib.parse.quote(data, safe=""),
        urllib.parse.quote(data),
        urllib.parse.quote_plus(data),
    ):
        yield quoted
        yield re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), quoted)


def _encoded(data: bytes) -> Iterator[str]:
    found = [data.hex(), data.hex().upper()]
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        found += [encode(data).decode(), encode(data + b"\n").decode()]
        for before in range(3):
            # Within other bytes a secret begins at any of three places of a group. What shares a character
            # with its neighbours is left out.
            whole = encode(b"\0" * before + data + b"\0" * (-(before + len(data)) % 3)).decode()
            end = len(whole) - (0 if (before + len(data)) % 3 == 0 else 4)
            found.append(whole[0 if before == 0 else 4 : end])
    yield from (form for form in found if len(form) >= _LINE)
