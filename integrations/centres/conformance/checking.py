"""A check, its outcome, and the report of all: as text for a person, as JSON for a build."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

import httpx

from foundation.errors import RakeezaError
from integrations.centres.conformance.talking import Server

Result = Literal["passed", "failed", "left out"]

_MARKS: dict[Result, str] = {"passed": "ok", "failed": "FAILED", "left out": "-"}


class Failed(Exception):
    """A check that did not pass, and what its reader can do."""

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.remedy = remedy


class LeftOut(Exception):
    """A check that needs what was not given."""


@dataclass(frozen=True)
class Check:
    """One thing that has to hold.

    Args:
        name: a sentence.
        section: where the contract says so.
        ask: asks the server; raises `Failed` or `LeftOut`.
    """

    name: str
    section: str
    ask: Callable[[Server], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a check.

    Args:
        detail: what was seen, where it did not pass.
        remedy: what can be done about it.
    """

    name: str
    section: str
    result: Result
    detail: str = ""
    remedy: str = ""


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

    def to_json(self) -> str:
        """The report for a program."""
        counts = {result: self._count(result) for result in _MARKS}
        told = {
            "server": self.server,
            "centre": self.centre,
            "conforms": self.conforms,
            "counts": counts,
            "checks": [asdict(each) for each in self.outcomes],
        }
        return json.dumps(told, ensure_ascii=False, indent=2)

    def to_text(self) -> str:
        """The report for a person."""
        lines = [f"{self.centre} at {self.server}", ""]
        for each in self.outcomes:
            lines.append(f"{_MARKS[each.result]:>6}  {each.name}  ({each.section})")
            if each.detail:
                lines.append(f"        {each.detail}")
            if each.remedy:
                lines.append(f"        -> {each.remedy}")
        counts = ", ".join(f"{self._count(result)} {result}" for result in _MARKS)
        return "\n".join([*lines, "", f"{counts}."])

    def _count(self, result: Result) -> int:
        return sum(each.result == result for each in self.outcomes)


def carry_out(server: Server, checks: Iterable[Check]) -> Report:
    """Ask a server everything, whatever fails on the way.

    Returns:
        One outcome for each check, in their order.
    """
    return Report(server.url, server.credentials.centre, tuple(_outcome(server, check) for check in checks))


def _outcome(server: Server, check: Check) -> Outcome:
    try:
        check.ask(server)
    except LeftOut as reason:
        return Outcome(check.name, check.section, "left out", str(reason))
    except Failed as failure:
        return Outcome(check.name, check.section, "failed", failure.detail, failure.remedy)
    except httpx.HTTPError as error:
        detail = f"The server did not answer: {error or type(error).__name__}."
        return Outcome(check.name, check.section, "failed", detail, "Look at the address and the network.")
    except RakeezaError as error:
        return Outcome(check.name, check.section, "failed", error.message, error.remedy)
    return Outcome(check.name, check.section, "passed")
