"""Numbers that people quote: of cases and licences without gaps, of bills with a check digit."""

import re
from datetime import date

from sqlalchemy import Sequence, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column
from stdnum import luhn

from foundation.database import Base

BILLS = Sequence("case_bill_seq", metadata=Base.metadata)

TEST_SERIES = "TEST"
"""How the prefixes of a test service's numbers begin, and those of no other."""
# The two digits of a year that no bill of ours is of.
_NO_YEAR = "00"
TEST_BILLS = f"{_NO_YEAR}%"
"""The numbers of tests' bills, as a pattern of SQL's LIKE."""

_NUMBER = re.compile(r"[A-Z]{2,5}-[0-9]{4}-[0-9]{6,9}")


class Counter(Base):
    """The last number given out in a series and year."""

    __tablename__ = "case_counter"

    series: Mapped[str] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int]


COUNT = """
    INSERT INTO case_counter AS counter (series, year, last) VALUES (:series, :year, 1)
    ON CONFLICT (series, year) DO UPDATE SET last = counter.last + 1
    RETURNING last
"""
"""SQL that counts on, for a statement that does more; values as `next_number` gives them."""

_NEXT = text(COUNT)
_NEXT_BILL = select(BILLS.next_value())


def next_number(session: Session, series: str, day: date) -> str:
    """The next number of a series, such as SL-2026-000001.

    The counter's row stays locked until the transaction ends and goes back with it, so there is no gap; ask
    for the number late in the transaction, for others wait.

    Args:
        series: prefix of the numbers.
        day: whose Gregorian year counts.
    """
    last = session.execute(_NEXT, {"series": series, "year": day.year}).scalar_one()
    return numbered(series, day, last)


def numbered(series: str, day: date, last: int) -> str:
    """The number that a count of a series makes on a day."""
    return f"{series}-{day.year}-{last:06}"


def is_number(text: str) -> bool:
    """Whether a text has the form of a case's or a licence's number."""
    return _NUMBER.fullmatch(text) is not None


def is_test(number: str) -> bool:
    """Whether a case or a licence of this number is a test, whatever its service has become."""
    return number.startswith(TEST_SERIES)


def next_bill_number(session: Session, day: date) -> str:
    """The next bill number: two digits of the year, ten that count, a check digit.

    A bill may be numbered and then not written: gaps do no harm here, and nobody waits.

    Source: ISO/IEC 7812-1, annex B (Luhn).
    """
    return bill_number(session.execute(_NEXT_BILL).scalar_one(), day)


def bill_number(count: int, day: date) -> str:
    """The bill number that a count of the sequence makes on a day."""
    digits = f"{day.year % 100:02}{count:010}"
    return digits + luhn.calc_check_digit(digits)


def bill_number_of_test(count: int) -> str:
    """The number of a test's bill: of no year, and its check digit is wrong, so that no bank takes it."""
    digits = f"{_NO_YEAR}{count:010}"
    return digits + str((int(luhn.calc_check_digit(digits)) + 1) % 10)


def is_test_bill(text: str) -> bool:
    """Whether a text can be the number of a test's bill."""
    return re.fullmatch(rf"{_NO_YEAR}[0-9]{{11}}", text) is not None and not luhn.is_valid(text)


def is_bill_number(text: str) -> bool:
    """Whether a text can be a bill number of ours: its length and its check digit."""
    return re.fullmatch(r"[0-9]{13}", text) is not None and luhn.is_valid(text)
