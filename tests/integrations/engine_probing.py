"""Cases of the service that shows every rule of the engine."""

from typing import Any, Literal

from sqlalchemy import text

from foundation.identity import Caller
from integrations.cases import case_store
from tests.integrations.desk import (
    CENTRE,
    FORM,
    REVIEWER,
    Desk,
    message,
)

PROBE: dict[str, Any] = {
    "subject": "مظلة",
    "zone": FORM["district"],
    "keeper": "سعد بن محمد",
    "size_m2": 12.5,
}
CHIEF = Caller("chief", "person", frozenset({"chief"}))
CLERK = Caller("clerk", "person", frozenset({"reviewer"}))


def opened(desk: Desk, caller: Caller = CENTRE) -> str:
    """A case of the probe; its number."""
    return str(desk.do.submit(caller, message(PROBE, "engine_probe")).body["number"])


def answer(desk: Desk, number: str, said: Literal["passed", "failed"]) -> None:
    """Let the register answer."""
    with desk.database.transaction() as session:
        case = case_store.locked(session, number)
        desk.licensing.desk.engine.answer(session, case, desk.now[-1], "register", said, "R-1")


def judged(desk: Desk) -> str:
    """A case that is judged; its number."""
    number = opened(desk)
    answer(desk, number, "passed")
    desk.do.put(CENTRE, number, "drawing")
    desk.do.take(REVIEWER, number, "judge")
    return number


def kinds(desk: Desk, number: str) -> list[str]:
    """Kinds of a case's events, in order."""
    with desk.database.transaction() as session:
        query = text("SELECT kind FROM event WHERE subject = :of ORDER BY id")
        return list(session.execute(query, {"of": f"case/{number}"}).scalars())


def names(case: dict[str, Any]) -> list[str]:
    """Names of the actions that a view offers."""
    return [action["name"] for action in case["actions"]]
