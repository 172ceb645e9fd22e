"""Logs: one JSON line a record, and no secret and no person in any of them."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from foundation.errors import DatabaseUnavailable
from foundation.secret import Secret
from foundation.telemetry import Check, Health, configure_logging, masked


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    written = io.StringIO()
    configure_logging("info", "api", written)
    yield written
    logging.captureWarnings(False)
    root.handlers[:] = before
    root.setLevel(level)


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_with_its_fields(stream: io.StringIO) -> None:
    logging.getLogger("rakeeza.test").info(
        "Case %s\nopened", "R-1", extra={"case": "R-1", "lines": (1, None)}
    )
    (line,) = _lines(stream)
    assert (line["level"], line["role"], line["logger"]) == ("info", "api", "rakeeza.test")
    assert line["message"] == "Case R-1\nopened"
    assert (line["case"], line["lines"]) == ("R-1", [1, None])
    assert line["time"].endswith("Z")


def test_a_level_below_the_least_is_not_written(stream: io.StringIO) -> None:
    logging.getLogger("rakeeza.test").debug("small")
    assert stream.getvalue() == ""


def test_a_traceback_stays_in_its_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("password=tiger42")
    except ValueError:
        logging.getLogger("rakeeza.test").exception("It failed.")
    (line,) = _lines(stream)
    assert "ValueError: password=<secret>" in line["traceback"]
    assert "tiger42" not in stream.getvalue()


def test_a_secret_is_masked_wherever_it_stands(stream: io.StringIO) -> None:
    secret = Secret("tiger42")
    log = logging.getLogger("rakeeza.test")
    log.warning("The key is %s", secret, extra={"key": secret, "deep": {"keys": [secret]}})
    (line,) = _lines(stream)
    assert line["key"] == "<secret>"
    assert line["deep"] == {"keys": ["<secret>"]}
    assert "tiger42" not in stream.getvalue()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer <secret>"),
        ("authorization: basic Y2xpZW50OnM=", "authorization: basic <secret>"),
        ("got eyJhbGciOi.eyJzdWIi.c2ln at once", "got <secret> at once"),
        ("postgresql://rakeeza:tiger@db:5432/x", "postgresql://rakeeza:<secret>@db:5432/x"),
        ("host=db password='tiger' user=x", "host=db password='<secret>' user=x"),
        ('{"client_secret": "tiger"}', '{"client_secret": "<secret>"}'),
        ("grant=x&client_secret=tiger&a=b", "grant=x&client_secret=<secret>&a=b"),
        ("The bearer certificate", "The bearer certificate"),
        ("http://127.0.0.1:8080/v1/cases", "http://127.0.0.1:8080/v1/cases"),
    ],
)
def test_tokens_and_passwords_in_a_text_are_masked(text: str, expected: str) -> None:
    assert masked(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("holder 1058529940 (resident 2000000006)", "holder <personal> (resident <personal>)"),
        ("GET /v1/cases?holder=1058529940&x=1", "GET /v1/cases?holder=<personal>&x=1"),
        ("1058529940.pdf,1058529940", "<personal>.pdf,<personal>"),
        ("صاحب الطلب ١٠٥٨٥٢٩٩٤٠.", "صاحب الطلب <personal>."),
        ("call +966501234567, 00966501234567 or 0501234567", "call <personal>, <personal> or <personal>"),
        ("+966 50 123 4567; +966-50-123-4567; 966501234567", "<personal>; <personal>; <personal>"),
        ("الجوال ٠٥٠١٢٣٤٥٦٧", "الجوال <personal>"),
        ("1058 529 940, 1058-529-940 or ١٠٥٨ ٥٢٩ ٩٤٠", "<personal>, <personal> or <personal>"),
        ("in row 7 1058 529 940", "in row 7 <personal>"),
        ("050 123 4567, (050) 123-4567, ٠٥٠-١٢٣-٤٥٦٧", "<personal>, (<personal>, <personal>"),
        ("+966 (0) 50 123 4567, 00 966 50 1234567, +966.50.123.4567", "<personal>, <personal>, <personal>"),
        ("\u202a+966 50 123 4567\u202c, ۱۰۵۸۵۲۹۹۴۰", "\u202a<personal>\u202c, <personal>"),
        # No check digit, another first digit, more digits: a moment, a licence, a bill, a landline.
        ("at 1058529941 of 3058529940, 71058529940, 10585299400", None),
        ("2026-05-11 12:30:45.123456 SC-2026-000001", None),
        ("+966114567890 2026051112304512", None),
        # Their digits fit, and they are counts, the numbers of cases and times.
        ("read 1058529940 bytes in 1058529940 ns", None),
        ("GET / 200 1058529 940", None),
        ("1 058 529 940 rows; 1,058,529,940; 10585.29940", None),
        ("SC-2026-000006 and 1448-000008, AB-1058-529-940-7", None),
        ("05-11-2026 12:30, 2026-05-11 12:30, 2026-05-1112", None),
    ],
)
def test_the_numbers_of_people_are_masked_in_any_text(text: str, expected: str | None) -> None:
    assert masked(text) == (text if expected is None else expected)


class _Form:
    """What prints its content, as data classes do."""

    def __repr__(self) -> str:
        return "Form(national_id='1058529940')"


def test_no_number_of_a_person_is_in_any_field_of_a_record(stream: io.StringIO) -> None:
    logging.getLogger("rakeeza.test").warning(
        "%s is wrong: %r",
        "1058529940",
        _Form(),
        extra={
            "holder": 1058529940,
            "mobile": "+966501234567",
            "1058529940": {"2000000006": [("1058529940",), 1058529940.0, _Form(), b"1058529940"]},
            "count": 1058529941,
            "ratio": float("inf"),
            "seconds": 1790000000.25,
        },
    )
    (line,) = _lines(stream)
    assert line["message"] == "<personal> is wrong: Form(national_id='<personal>')"
    assert (line["holder"], line["mobile"]) == ("<personal>", "<personal>")
    assert line["<personal>"] == {
        "<personal>": [
            ["<personal>"],
            "<personal>",
            "Form(national_id='<personal>')",
            "b'<personal>'",
        ]
    }
    assert (line["count"], line["ratio"], line["seconds"]) == (1058529941, float("inf"), 1790000000.25)


def test_no_number_of_a_person_is_in_a_traceback(stream: io.StringIO) -> None:
    def fail() -> None:
        try:
            int("1058529940x")
        except ValueError as error:
            raise LookupError("No applicant 2000000006, +966501234567") from error

    try:
        fail()
    except LookupError:
        logging.getLogger("rakeeza.test").exception("It failed.")
    (line,) = _lines(stream)
    assert "LookupError: No applicant <personal>, <personal>" in line["traceback"]
    assert "'<personal>x'" in line["traceback"]
    for number in ("1058529940", "2000000006", "501234567"):
        assert number not in stream.getvalue()


@given(st.sampled_from("12"), st.integers(0, 10**8 - 1), st.text("ab .,:;/=\"'\n-_ه", max_size=5))
def test_every_number_with_its_check_digit_is_masked(first: str, middle: int, around: str) -> None:
    number = first + f"{middle:08}"
    number += luhn.calc_check_digit(number)
    assert masked(f"{around}{number}{around}") == f"{around}<personal>{around}"


_SCRIPTS = ["0123456789", "٠١٢٣٤٥٦٧٨٩", "۰۱۲۳۴۵۶۷۸۹", "".join(map(chr, range(0xFF10, 0xFF1A)))]
_BETWEEN = st.sampled_from(["", " ", "-", "\u00a0", "\u202f", "\u2009", "\u2010", "\u2011", "\u2013"])
_AROUND = st.sampled_from(["", " ", "صاحب الطلب ", "(", '"', "holder=", ": ", "\n", "\u200f", "، "])


def _spelt(groups: list[str], between: str, script: str) -> str:
    return between.join(groups).translate(str.maketrans(_SCRIPTS[0], script))


def _grouped(digits: str, lengths: tuple[int, ...]) -> list[str]:
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    return [digits[start : start + length] for start, length in zip(starts, lengths, strict=True)]


@given(
    start=st.sampled_from(["10", "11", "12", "16", "21", "23", "24", "25"]),
    middle=st.integers(0, 10**7 - 1),
    lengths=st.sampled_from(
        [(4, 3, 3), (3, 3, 4), (3, 4, 3), (1, 4, 4, 1), (2, 4, 4), (5, 5), (4, 6), (2,) * 5]
    ),
    between=_BETWEEN,
    script=st.sampled_from(_SCRIPTS),
    around=_AROUND,
)
def test_an_identifier_is_masked_however_it_is_spelt(
    start: str, middle: int, lengths: tuple[int, ...], between: str, script: str, around: str
) -> None:
    number = f"{start}{middle:07}"
    number += luhn.calc_check_digit(number)
    said = _spelt(_grouped(number, lengths), between, script)
    assert masked(f"{around}{said}{around}") == f"{around}<personal>{around}"


@given(
    subscriber=st.integers(0, 10**8 - 1),
    country=st.sampled_from(["+966", "00966", "966", "+966 (0)", "0"]),
    lengths=st.sampled_from([(2, 3, 4), (2, 7), (3, 3, 3), (1, 4, 4), (9,)]),
    between=_BETWEEN,
    script=st.sampled_from(_SCRIPTS),
    around=_AROUND,
)
def test_a_mobile_is_masked_however_it_is_spelt(
    subscriber: int, country: str, lengths: tuple[int, ...], between: str, script: str, around: str
) -> None:
    groups = _grouped(f"5{subscriber:08}", lengths)
    # At home the zero belongs to the first group.
    groups = [f"0{groups[0]}", *groups[1:]] if country == "0" else [country, *groups]
    assert masked(f"{around}{_spelt(groups, between, script)}{around}") == f"{around}<personal>{around}"


_MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))


@given(
    moment=_MOMENTS,
    written=st.sampled_from(
        [
            "%Y-%m-%dT%H:%M:%S.%fZ",
            "%Y-%m-%d %H:%M:%S,%f",
            "%d-%m-%Y %H:%M",
            "%d/%m/%Y %H:%M:%S",
            "%Y/%m/%d %H:%M",
            "%Y%m%dT%H%M%S",
            "%Y%m%d%H%M%S",
            "%d %b %Y %H:%M:%S",
            "%Y-%j %H",
        ]
    ),
    around=_AROUND,
)
def test_a_moment_is_not_masked(moment: datetime, written: str, around: str) -> None:
    said = f"{around}{moment.strftime(written)}{around}"
    assert masked(said) == said


@given(
    prefix=st.sampled_from(["SC-", "SL-", "PC-", "", "case/SC-", "رقم "]),
    year=st.integers(1440, 1460) | st.integers(2020, 2060),
    number=st.integers(1, 999_999),
    around=_AROUND,
)
def test_the_number_of_a_case_is_not_masked(prefix: str, year: int, number: int, around: str) -> None:
    said = f"{around}{prefix}{year}-{number:06}{around}"
    assert masked(said) == said


@given(
    count=st.integers(0, 10**11 - 1),
    written=st.sampled_from(["{} bytes", "{}ms", "{:,}", "{} s", "{:_} rows", "GET / 200 {:04} bytes"]),
)
def test_a_count_is_not_masked(count: int, written: str) -> None:
    said = written.format(count)
    assert masked(said) == said


def test_logs_go_to_standard_error() -> None:
    program = (
        "import logging; from foundation.telemetry import configure_logging; "
        "configure_logging('info', 'worker'); logging.getLogger('a').info('up')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    assert done.stdout == ""
    assert json.loads(done.stderr)["message"] == "up"


def test_a_failing_check_does_not_hide_the_others() -> None:
    def fail() -> None:
        raise DatabaseUnavailable("PostgreSQL does not answer.", remedy="Start it.")

    health = Health()
    health.add("clock", lambda: None)
    health.add("database", fail)
    health.add("keys", lambda: None)
    assert health.look() == [
        Check("clock", True),
        Check("database", False, "PostgreSQL does not answer. Start it."),
        Check("keys", True),
    ]
