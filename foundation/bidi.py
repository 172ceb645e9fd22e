"""Lines in which Arabic and Latin meet, so that each reads in its own order wherever it is shown.

Source: Unicode Standard Annex 9, sections 2.4 (isolates), 2.6 (marks).
"""

import re

_RIGHT_TO_LEFT_MARK = "\u200f"
_LEFT_ISOLATE, _ANY_ISOLATE, _END = "\u2066", "\u2068", "\u2069"
_ARABIC = re.compile("[\u0600-\u06ff]")
_NO_TEXT = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_UNPRINTABLE = re.compile(f"[{_NO_TEXT}]+")
# And what turns text round: a stranger's name must not reorder our sentence.
_UNWANTED = re.compile(f"[{_NO_TEXT}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+")


def one_line(text: str) -> str:
    """A text of ours without ends of lines or anything else that cannot be printed; its marks stay."""
    return _UNPRINTABLE.sub(" ", text).strip()


def plain(value: object, longest: int = 200) -> str:
    """A value of others as one line without marks of direction, cut to so many characters."""
    text = _UNWANTED.sub(" ", str(value)).strip()
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def isolated(value: object) -> str:
    """A value of others for the middle of a sentence of any direction: it moves nothing around it."""
    return f"{_ANY_ISOLATE}{plain(value)}{_END}"


def right_to_left(text: str) -> str:
    """Lines of an Arabic text, each marked; a line without Arabic is a command or a name, and left alone."""
    return "\n".join(
        f"{_RIGHT_TO_LEFT_MARK}{line}" if _ARABIC.search(line) else line for line in text.splitlines()
    )


def left_to_right(text: str) -> str:
    """Lines of a Latin text, each to stand in a text that begins in Arabic.

    An indented line is a command, which is copied: no mark may stand in it.
    """
    return "\n".join(
        f"{_LEFT_ISOLATE}{line}{_END}" if line and not line.startswith(" ") else line
        for line in text.splitlines()
    )
