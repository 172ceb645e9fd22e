"""What a definition says with dates and a source, such as a rate; each follows the one before it."""

from collections.abc import Iterator, Sequence
from datetime import date

from pydantic import Field

from foundation.definitions import Strict


class Dated(Strict):
    """Something in effect from a day to a day, both inclusive; without a last day it has no end yet."""

    effective_from: date
    effective_until: date | None = None
    source: str = Field(min_length=1)
    sample: bool = False

    def covers(self, day: date) -> bool:
        """Whether it is in effect on a day."""
        return self.effective_from <= day and (self.effective_until is None or day <= self.effective_until)


def broken_dates(rows: Sequence[Dated], what: str) -> Iterator[tuple[tuple[int, str], str]]:
    """What is wrong with the dates of rows that follow one another.

    Args:
        what: a row is, as in "a rate".

    Returns:
        Number of the row and key, and the reason.
    """
    for number, row in enumerate(rows):
        if row.effective_until is not None and row.effective_until < row.effective_from:
            yield (number, "effective_until"), "the last day is before the first"
        if number == 0:
            continue
        before = rows[number - 1].effective_until
        if before is None or (row.effective_from - before).days != 1:
            yield (number, "effective_from"), f"{what} starts the day after the one before it ends"
