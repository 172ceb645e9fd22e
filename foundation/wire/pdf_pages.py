"""What a PDF shows: its pages, and the rows of letters on the first one."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import pypdfium2  # type: ignore[import-untyped] # it ships no types

from foundation.wire.apart import apart

_SECONDS = 5  # of CPU; a paper takes a tenth of one
_LETTERS = 20_000  # of one page


class Unreadable(Exception):
    """It is no PDF, or one that is damaged or locked."""


@dataclass(frozen=True)
class Pages:
    """A PDF as it shows.

    Args:
        count: of pages.
        rows: of the first page, from left to right as an eye sees them; none where it is a picture.
    """

    count: int
    rows: tuple[str, ...]


def read_here(data: bytes) -> Pages:
    """A PDF whose author is trusted.

    Raises:
        Unreadable: it has no page that can be read.
    """
    told = told_of(data)
    if told is None:
        raise Unreadable("no PDF")
    return Pages(told["count"], tuple(told["rows"]))


def read_apart(data: bytes) -> Pages:
    """A PDF of anybody, within bounds of memory and time.

    Raises:
        Unreadable: it has no page that can be read.
        TooMuch: reading it took more than the bounds allow, or brought the reader down.
    """
    told = apart(f"{__name__}:{told_of.__name__}", data, _SECONDS)
    if told is None:
        raise Unreadable("no PDF")
    return Pages(told["count"], tuple(told["rows"]))


def told_of(data: bytes) -> dict[str, Any] | None:
    """Count and rows of a PDF, as `apart` gives them; None where it cannot be read."""
    try:
        with pypdfium2.PdfDocument(data) as document:
            return {"count": len(document), "rows": _rows(document[0])} if len(document) else None
    except pypdfium2.PdfiumError:
        return None


def _rows(page: pypdfium2.PdfPage) -> list[str]:
    """The order in which a reader of PDF gives out a line of two scripts turns SL-2026-000001 into pieces, so
    letters are put in order by their place."""
    text, rows = page.get_textpage(), defaultdict[int, list[tuple[float, str]]](list)
    for index in range(min(text.count_chars(), _LETTERS)):
        # The loose box is as high as the font, so that letters of another size are another row.
        left, bottom, right, _ = text.get_charbox(index, loose=True)
        if right > left:
            rows[round(bottom)].append((left, text.get_text_range(index, 1)))
    return ["".join(letter for _, letter in sorted(row)).strip() for row in rows.values()]
