"""What the platform says of itself: one JSON line a record, no secret and no person in it; and its health."""

import json
import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from stdnum import luhn

from foundation.errors import RakeezaError
from foundation.secret import Secret

_MASK = "<secret>"
# Credentials in the texts of others: HTTP authorisations, tokens, passwords in URLs and libpq strings.
_PATTERNS = (
    re.compile(r"(?i)\b((?:bearer|basic)\s+)(?=\S*[\d=])[\w.~+/=-]{6,}"),
    re.compile(r"()\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*"),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)"),
    re.compile(r"(?i)\b((?:password|client_secret|access_token)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;]+"),
)
# A national id (1…) or iqama (2…), ten digits; a Saudi mobile as people write it. In digits of any script.
_PERSON = re.compile(
    r"(?<!\d)(?:([12١٢\u06f1\u06f2]\d{9})"
    r"|(?:\+|[0٠]{2})?[9٩][6٦]{2}[ -]?(?:\([0٠]\))?[5٥](?:[ -]?\d){8}"
    r"|[0٠][5٥]\d{8})(?!\d)"
)
# What any of them begins with; most texts have nothing of the kind, and this is found out quickly.
_LONG_NUMBER = re.compile(r"[+\d][\d() -]{9}")
_PERSON_MASK = "<personal>"
_LEAST_TEN_DIGITS = 10**9
# What every record has; the rest was given by `extra` and becomes a field.
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def masked(text: str) -> str:
    """The text with tokens and passwords replaced by `<secret>`, people's numbers by `<personal>`."""
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{_MASK}", text)
    return _PERSON.sub(_without_person, text) if _LONG_NUMBER.search(text) else text


def _without_person(found: re.Match[str]) -> str:
    # Of ten other numbers nine pass, such as moments in seconds; int() reads the digits of every script.
    other = found[1] and not luhn.is_valid(str(int(found[1])))
    return found[0] if other else _PERSON_MASK


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON: time (UTC), level, role, logger, message, and its extra fields.

    Args:
        name: of the role that speaks, as "api".
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "role": self._name,
            "process": record.process,
            "logger": record.name,
            "message": masked(record.getMessage()),
        }
        line |= {masked(key): _plain(value) for key, value in vars(record).items() if key not in _ORDINARY}
        if record.exc_info:
            line["traceback"] = masked(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


def configure_logging(level: str, name: str, stream: TextIO | None = None) -> None:
    """Send every record of this process to standard error, one JSON line each.

    Args:
        level: least level written: debug, info, warning or error.
        name: of the role that speaks.
        stream: instead of standard error.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(name))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    # They tell each request and each statement at "info"; that is what "debug" is for.
    for chatty in ("httpx", "httpcore", "procrastinate", "alembic", "asyncio"):
        logging.getLogger(chatty).setLevel(logging.DEBUG if level == "debug" else logging.WARNING)


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Args:
        detail: what is wrong and its remedy; empty when all is well.
    """

    name: str
    well: bool
    detail: str = ""


class Health:
    """Named checks of one process. A check returns when all is well and raises one of our errors when not."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], object]] = {}

    def add(self, name: str, check: Callable[[], object]) -> None:
        """Add a check; a later one of the same name replaces it."""
        self._checks[name] = check

    def look(self) -> list[Check]:
        """Run every check, in the order of adding; a failing one does not hide the others."""
        return [_look(name, check) for name, check in self._checks.items()]


def _look(name: str, check: Callable[[], object]) -> Check:
    try:
        check()
    except RakeezaError as error:
        return Check(name, False, masked(str(error)))
    return Check(name, True)


def _plain(value: Any) -> Any:
    if isinstance(value, Secret):
        return _MASK
    if isinstance(value, dict):
        return {masked(str(key)): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, int | float) and abs(value) >= _LEAST_TEN_DIGITS:
        # A number stays a number, unless it is somebody's.
        whole = str(int(value)) if isinstance(value, int) or value.is_integer() else ""
        return value if masked(whole) == whole else _PERSON_MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    return masked(str(value))
