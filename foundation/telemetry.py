"""What the platform says of itself: one JSON line a record, no secret and no person in it; and its health."""

import json
import logging
import re
import sys
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from stdnum import luhn

from foundation.errors import RakeezaError
from foundation.secret import Secret

_MASK = "<secret>"
# Credentials in the texts of others: HTTP authorisations, tokens, passwords in URLs and libpq strings. Before
# each pattern, words of which its texts have one: to look for these costs a twentieth.
_PATTERNS = (
    (("bearer", "basic"), re.compile(r"(?i)\b((?:bearer|basic)\s+)(?=\S*[\d=])[\w.~+/=-]{6,}")),
    (("eyj",), re.compile(r"()\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*")),
    (("://",), re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]+(?=@)")),
    (
        ("password", "client_secret", "access_token"),
        re.compile(r"(?i)\b((?:password|client_secret|access_token)[\"']?\s*[=:]\s*[\"']?)[^\s\"'&,;]+"),
    ),
)
# What people put between digits and is one character of another script: blanks that end no line, marks of
# direction, hyphens and dashes.
_BLANKS = "\u00a0\u2000-\u200f\u202a-\u202f\u2066-\u2069"
_DASHES = "\u2010-\u2015"
# What every number of a person has; most texts have nothing of the kind, and this is found out quickly.
_LONG_NUMBER = re.compile(rf"\d(?:[ .()\-{_BLANKS}{_DASHES}]{{0,3}}\d){{8}}")
_DIGIT, _BLANK, _DASH = re.compile(r"\d"), re.compile(f"[{_BLANKS}]"), re.compile(f"[{_DASHES}]")
# A national id (1…) or iqama (2…), ten digits; a Saudi mobile as it is dialled at home or with its country.
# As people write them: in groups, a mobile also with brackets.
_PERSON = re.compile(
    r"(?<!\d)(?:(?P<id>[12](?:[ -]?\d){9})"
    r"|(?P<home>0[ ()-]{0,2}5(?:[ ()-]{0,2}\d){8})"
    r"|(?:(?:\+|0[ -]?0)[ -]?)?966(?:[ .()-]{0,3}0)?[ .()-]{0,3}5(?:[ .()-]{0,2}\d){8})(?!\d)"
)
# Lengths of the groups. Not those of 1 790 000 000, 200 1234567, 2026 11 23 05 and 05-11-2026 12: these are
# counts and times.
_ID_GROUPS = frozenset(
    {(10,), (1, 4, 4, 1), (1, 4, 5), (1, 9), (2, 2, 2, 2, 2), (2, 4, 4), (3, 3, 4), (3, 4, 3), (4, 3, 3)}
    | {(4, 4, 2), (4, 6), (5, 5), (6, 4)}
)
_HOME_GROUPS = frozenset(
    {(10,), (1, 9), (1, 2, 3, 4), (1, 2, 7), (2, 2, 2, 2, 2), (2, 3, 5), (2, 4, 4), (2, 8), (3, 2, 2, 3)}
    | {(3, 2, 5), (3, 3, 2, 2), (3, 3, 4), (3, 4, 3), (3, 7), (4, 2, 2, 2), (4, 3, 3), (4, 6), (5, 5)}
)
# How a year begins, Gregorian or Hijri, which stands ahead of the number of a case.
_YEARS = ("13", "14", "15", "19", "20")
_COUNTED = re.compile(r" ?(?:bytes?|seconds?|[mnuµ]?s)\b")
_PERSON_MASK = "<personal>"
_LEAST_TEN_DIGITS = 10**9
# What every record has; the rest was given by `extra` and becomes a field.
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def masked(text: str) -> str:
    """The text with tokens and passwords replaced by `<secret>`, people's numbers by `<personal>`."""
    folded = text.casefold()
    for words, pattern in _PATTERNS:
        for word in words:
            if word in folded:
                text = pattern.sub(rf"\1{_MASK}", text)
                break
    return _without_people(text) if _LONG_NUMBER.search(text) else text


def _without_people(text: str) -> str:
    # In ASCII, and each character one again: places in the one are places in the other.
    plain = text
    if not text.isascii():
        plain = _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), text)
        plain = _DASH.sub("-", _BLANK.sub(" ", plain))
    parts, end, start = list[str](), 0, 0
    while (found := _PERSON.search(plain, start)) is not None:
        start = found.start() + 1
        if _is_persons(found):
            parts += (text[end : found.start()], _PERSON_MASK)
            end = start = found.end()
    return "".join((*parts, text[end:]))


def _is_persons(found: re.Match[str]) -> bool:
    kind = found.lastgroup
    if kind is None:
        return True
    groups = re.findall(r"\d+", found[0])
    lengths = tuple(map(len, groups))
    if kind == "home":
        return lengths in _HOME_GROUPS
    # Of ten other numbers nine pass, such as moments in seconds.
    if not luhn.is_valid("".join(groups)) or _COUNTED.match(found.string, found.end()):
        return False
    if lengths == (10,):
        return True
    between = set(_DIGIT.sub("", found[0]))
    return lengths in _ID_GROUPS and len(between) == 1 and not (between == {"-"} and _is_named(found, groups))


def _is_named(found: re.Match[str], groups: list[str]) -> bool:
    # The number of a case or a licence, or a part of something longer.
    text, start, end = found.string, found.start(), found.end()
    longer = text[max(start - 1, 0) : start] == "-" or text[end : end + 1] == "-"
    return longer or (len(groups[0]) == 4 and groups[0].startswith(_YEARS))


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
