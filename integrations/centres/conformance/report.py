"""The report of a run: as text for a person, as JSON for a build, as JUnit's XML for a CI system."""

import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from lxml import etree

from integrations.centres.conformance.checking import Outcome, Result
from integrations.centres.conformance.exchanges import Exchange

Paint = Callable[[str, Result | None], str]
"""Colours the mark of a result, or what says a check's source (None)."""

_MARKS: dict[Result, str] = {"passed": "ok", "failed": "FAILED", "left out": "-"}
_MARGIN = " " * 8
_MOST_SHOWN = 3  # exchanges of a check that failed
# What XML 1.0 has no character for.
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks of a server."""

    server: str
    centre: str
    outcomes: tuple[Outcome, ...]

    @property
    def conforms(self) -> bool:
        """Whether nothing failed."""
        return all(each.result != "failed" for each in self.outcomes)

    @property
    def counts(self) -> dict[Result, int]:
        """How many came out each way."""
        return {result: self._count(result) for result in get_args(Result)}

    def to_json(self, verbose: bool = False) -> str:
        """The report for a program.

        Args:
            verbose: with the requests and answers themselves, secrets and tokens masked.
        """
        told = {
            "server": self.server,
            "centre": self.centre,
            "conforms": self.conforms,
            "counts": self.counts,
            "checks": [_as_json(each, verbose) for each in self.outcomes],
        }
        return json.dumps(told, ensure_ascii=False, indent=2)

    def to_junit(self) -> bytes:
        """The report as CI systems read it: a testsuite a group, a testcase a check."""
        root = etree.Element("testsuites", name=f"rakeeza centre conformance {self.server}")
        for group in dict.fromkeys(each.group for each in self.outcomes):
            own = [each for each in self.outcomes if each.group == group]
            suite = etree.SubElement(root, "testsuite", name=group, tests=str(len(own)), errors="0")
            suite.set("failures", str(sum(each.result == "failed" for each in own)))
            suite.set("skipped", str(sum(each.result == "left out" for each in own)))
            for each in own:
                _testcase(suite, each)
        return etree.tostring(root, encoding="UTF-8", xml_declaration=True, pretty_print=True)

    def to_text(self, width: int = 80, paint: Paint | None = None, verbose: bool = False) -> str:
        """The report for a person: the whole of what `opening`, `lines` and `closing` give."""
        parts = [opening(self.server, self.centre)]
        group = ""
        for each in self.outcomes:
            parts += lines(each, group, width, paint, verbose)
            group = each.group
        return "\n".join([*parts, *self.closing(width)])

    def closing(self, width: int = 80) -> list[str]:
        """The last lines: how many, what was left out and why, and the verdict."""
        counted = ", ".join(f"{number} {result}" for result, number in self.counts.items())
        told = ["", f"{counted}."]
        reasons = Counter(each.detail for each in self.outcomes if each.result == "left out")
        for reason, number in reasons.items():
            told += _wrapped(f"{number} left out: {reason}", "  ", width, "    ")
        verdict = (
            "Everything that was tried holds." if self.conforms else "Something failed: see FAILED above."
        )
        return [*told, verdict]

    def _count(self, result: Result) -> int:
        return sum(each.result == result for each in self.outcomes)


def opening(server: str, centre: str) -> str:
    """The first line."""
    return f"{centre} at {server}"


def lines(
    outcome: Outcome, group: str, width: int = 80, paint: Paint | None = None, verbose: bool = False
) -> Iterator[str]:
    """The lines of an outcome.

    Args:
        group: of the outcome before it.
        width: columns of the terminal.
        verbose: with the requests and answers themselves.
    """
    if outcome.group != group:
        yield f"\n{outcome.group}"
    mark = f"{_MARKS[outcome.result]:>6}"
    first, *rest = _wrapped(outcome.name, _MARGIN, width)
    painted = f"{paint(mark, outcome.result) if paint else mark}{first[len(mark) :]}"
    source = f"({outcome.section})"
    if not rest and len(first) + 2 + len(source) <= width:
        yield f"{painted}  {paint(source, None) if paint else source}"
    elif outcome.result == "left out":
        # Why is told at the end, once for all of that reason.
        yield from (painted, *rest)
    else:
        yield painted
        yield from rest
        for line in _wrapped(source, _MARGIN, width):
            yield paint(line, None) if paint else line
    if outcome.detail and outcome.result != "left out":
        yield from _wrapped(outcome.detail, _MARGIN, width)
    if outcome.remedy:
        yield from _wrapped(f"-> {outcome.remedy}", _MARGIN, width, f"{_MARGIN}   ")
    if outcome.result == "failed" or verbose:
        shown = outcome.exchanges if verbose else outcome.exchanges[-_MOST_SHOWN:]
        if hidden := len(outcome.exchanges) - len(shown):
            yield f"{_MARGIN}({hidden} before that; --verbose shows them)"
        for each in shown:
            yield from _exchange(each, width, verbose)


def _exchange(exchange: Exchange, width: int, verbose: bool) -> Iterator[str]:
    yield from _wrapped(f"sent {exchange.sent}", _MARGIN, width, f"{_MARGIN}     ")
    if verbose:
        yield from _quoted(exchange.request_text(), ">")
    yield from _wrapped(f"came {exchange.came}", _MARGIN, width, f"{_MARGIN}     ")
    if verbose:
        yield from _quoted(exchange.answer_text(), "<")


def _quoted(text: str, mark: str) -> Iterator[str]:
    # Not wrapped: who compares octets wants them as they are. A terminal's own codes are not let through.
    for line in text.splitlines():
        clean = "".join(each if each.isprintable() else "." for each in line)
        yield f"{_MARGIN}{mark} {clean}".rstrip()


def _wrapped(text: str, margin: str, width: int, following: str | None = None) -> Sequence[str]:
    clean = "".join(each if each.isprintable() else " " for each in text)
    return textwrap.wrap(
        clean,
        max(width, 40),
        initial_indent=margin,
        subsequent_indent=margin if following is None else following,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _as_json(outcome: Outcome, verbose: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "group": outcome.group,
        "name": outcome.name,
        "section": outcome.section,
        "result": outcome.result,
        "detail": outcome.detail,
        "remedy": outcome.remedy,
    }
    exchanges = []
    for each in outcome.exchanges:
        made = {"sent": each.sent, "came": each.came}
        if verbose:
            made |= {"request": each.request_text(), "answer": each.answer_text()}
        exchanges.append(made)
    return {**told, "exchanges": exchanges}


def _testcase(suite: etree._Element, outcome: Outcome) -> None:
    case = etree.SubElement(suite, "testcase", name=outcome.name, classname=outcome.group)
    exchanges = [f"sent {each.sent}\ncame {each.came}" for each in outcome.exchanges]
    if outcome.result == "failed":
        failure = etree.SubElement(case, "failure", message=_text(outcome.detail), type="failed")
        failure.text = _text("\n".join([outcome.section, f"-> {outcome.remedy}", *exchanges]))
    elif outcome.result == "left out":
        etree.SubElement(case, "skipped", message=_text(outcome.detail))


def _text(text: str) -> str:
    return _NO_CHARACTER.sub("�", text)
