"""Logs: one JSON line a record, and no secret in any of them."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
