"""CSV files that others hand us: read whole and strictly, or refused with the line.

A row that has more or fewer cells than the file has columns is refused: an amount such as 1,234.00 that was
written without quotes would else be read as one riyal.

Source: RFC 4180.
"""

import csv
import io
from collections.abc import Iterator, Set

from foundation.errors import Malformed


def rows(data: bytes, place: str, needed: Set[str], what: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The rows of a file by the names of its columns, each with its place.

    Args:
        data: UTF-8, with or without a byte order mark; the first line names the columns.
        place: name of the file, for errors.
        needed: columns that it must have.
        what: what it is, as a sentence begins: "The bank's file".

    Raises:
        Malformed: it is no such CSV.
    """
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        columns = list(reader.fieldnames or ())
        _check_columns(columns, place, needed, what)
        for row in reader:
            at = f"{place}:{reader.line_num}"
            if None in row or None in row.values():
                raise Malformed(
                    f"A row of the file has not as many cells as the file has columns ({len(columns)}).",
                    place=at,
                    remedy="Put an amount with commas in quotes, or ask for the file again.",
                )
            yield at, row
    except (UnicodeDecodeError, csv.Error) as error:
        raise Malformed(
            f"{what} is no readable CSV.", place=place, remedy="Ask for it again, in UTF-8."
        ) from error


def _check_columns(columns: list[str], place: str, needed: Set[str], what: str) -> None:
    if missing := needed - set(columns):
        raise Malformed(
            f"{what} has no column {', '.join(sorted(missing))}.",
            place=place,
            remedy="Give CSV whose first line names its columns.",
        )
    twice = {name for name in columns if columns.count(name) > 1}
    if twice:
        raise Malformed(
            f"{what} has twice the column {', '.join(sorted(twice))}.",
            place=place,
            remedy="Name each column once.",
        )
