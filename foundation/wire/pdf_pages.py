"""What a PDF shows: its pages, and the rows of letters on the first one.

A PDF of anybody can unpack to terabytes, go round in circles, or bring its reader down. So `read_apart` reads
it in a process of its own, with little memory and little time; this file is that process's program too, and
imports nothing of ours.
"""

import json
import resource
import subprocess
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped] # it ships no types

_MEMORY = 1_000_000_000  # bytes of address space; a scan of ten pages takes a third
_SECONDS = 5  # of CPU; a paper takes a tenth of one
_PATIENCE = 30.0  # seconds by the clock
_LETTERS = 20_000  # of one page
_UNREADABLE = 3  # exit status of a reader of what is no PDF; any other says that it came to grief


class TooMuch(Exception):
    """Reading it takes more memory or time than a paper needs."""


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
    try:
        with pypdfium2.PdfDocument(data) as document:
            if len(document) == 0:
                raise Unreadable("no page")
            return Pages(len(document), tuple(_rows(document[0])))
    except pypdfium2.PdfiumError as error:
        raise Unreadable(str(error)) from error


def read_apart(data: bytes) -> Pages:
    """A PDF of anybody, within bounds of memory and time.

    Raises:
        Unreadable: it has no page that can be read.
        TooMuch: reading it took more than the bounds allow, or brought the reader down.
    """
    # Isolated (-I): neither the folder it starts in nor the environment names modules to load.
    reader = [sys.executable, "-I", str(Path(__file__).resolve())]
    try:
        done = subprocess.run(reader, input=data, capture_output=True, timeout=_PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise TooMuch("time") from error
    if done.returncode == _UNREADABLE:
        raise Unreadable("no PDF")
    if done.returncode != 0:
        # Refused memory, ended by the kernel for its time, or fallen over what it read.
        raise TooMuch(f"status {done.returncode}")
    told = json.loads(done.stdout)
    return Pages(told["count"], tuple(told["rows"]))


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


def _main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        pages = read_here(sys.stdin.buffer.read())
    except Unreadable:
        return _UNREADABLE
    json.dump({"count": pages.count, "rows": pages.rows}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(_main())
