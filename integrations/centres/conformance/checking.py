"""A check and its outcome, and how all are carried out, whatever fails on the way."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import httpx

from foundation.errors import RakeezaError
from integrations.centres.conformance import trouble
from integrations.centres.conformance.exchanges import Exchange
from integrations.centres.conformance.talking import Server

Result = Literal["passed", "failed", "left out"]

THEIRS = "Tell the municipality; this is the server's fault."


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
        section: where the contract or the standard says so.
        ask: asks the server; may return what is worth knowing though it holds. Raises `Failed` or `LeftOut`.
        needs: names of checks before it; where one of them failed, this one could only fail for its reason.
    """

    name: str
    section: str
    ask: Callable[[Server], str | None]
    needs: tuple[str, ...] = ()

    def after(self, *needs: str) -> "Check":
        """The same, which needs more."""
        return replace(self, needs=(*needs, *self.needs))


@dataclass(frozen=True)
class Group:
    """Checks of one subject."""

    title: str
    checks: Sequence[Check]


@dataclass(frozen=True)
class Outcome:
    """What became of a check.

    Args:
        group: title of its group.
        detail: what was seen where it did not pass; else what is worth knowing.
        remedy: what can be done about it.
        exchanges: what was sent for it, and what came.
    """

    group: str
    name: str
    section: str
    result: Result
    detail: str = ""
    remedy: str = ""
    exchanges: tuple[Exchange, ...] = ()


def carry_out(server: Server, groups: Sequence[Group]) -> Iterator[Outcome]:
    """Ask a server everything.

    Yields:
        One outcome for each check, in their order, each as soon as it is known.
    """
    # What cannot hold now, each with the check that failed first.
    stopped: dict[str, str] = {}
    for group in groups:
        for check in group.checks:
            cause = next((stopped[each] for each in check.needs if each in stopped), None)
            if cause is not None:
                outcome = Outcome(group.title, check.name, check.section, "left out", _needs(cause))
            else:
                outcome = _outcome(server, group.title, check)
            if outcome.result == "failed" or cause is not None:
                stopped[check.name] = cause or check.name
            yield outcome


def _needs(name: str) -> str:
    return f"It needs what failed: {name}."


def _outcome(server: Server, group: str, check: Check) -> Outcome:
    before = len(server.exchanges.all)
    result, detail, remedy = _result(server, check)
    made = tuple(server.exchanges.all[before:])
    return Outcome(group, check.name, check.section, result, detail, remedy, made)


def _result(server: Server, check: Check) -> tuple[Result, str, str]:
    try:
        return "passed", check.ask(server) or "", ""
    except LeftOut as reason:
        return "left out", str(reason), ""
    except Failed as failure:
        return "failed", failure.detail, failure.remedy
    except httpx.HTTPError as error:
        return "failed", *trouble.told(error, server.url)
    except RakeezaError as error:
        return "failed", error.message, error.remedy
    except Exception as error:  # noqa: BLE001 -- a strange answer may break a check, and none of the others
        what = f"{type(error).__name__}: {error}".strip().rstrip(".")
        return "failed", f"The answer is none that the contract has ({what}).", THEIRS
