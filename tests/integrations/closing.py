"""Closures around open cases."""

from datetime import UTC, datetime
from typing import Any

from foundation.closures import Closures
from foundation.definitions import Bilingual
from integrations.desks.closures import follow_closures
from tests.integrations.desk import CENTRE, REVIEWER, Desk, message
from tests.integrations.engine_probing import PROBE, answer

WHY = Bilingual(ar="عطل في مركز البيانات", en="Outage of the data centre")
HERE, ELSEWHERE = str(PROBE["zone"]), "حي الملز"
# Of `engine_probe`: the office's turn, 48 hours, then the chief sees it; the promise is four working days.
FILED, PROMISED = "2026-11-24T07:00:00Z", "2026-11-26T11:30:00Z"


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of November 2026; the 22nd is a Sunday, and the office closes at 11:30."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def noted(
    desk: Desk,
    starts: datetime,
    ends: datetime | None,
    *,
    outage: bool = True,
    place: str | None = None,
) -> int:
    """Write a closure down; its number."""
    with desk.database.transaction() as session:
        row = Closures().add(
            session, starts_at=starts, ends_at=ends, title=WHY, actor="cli/t", outage=outage, place=place
        )
        return row.id


def ended(desk: Desk, number: int, at: datetime) -> None:
    """Write down that a closure has ended."""
    with desk.database.transaction() as session:
        Closures().end(session, number, at=at, actor="cli/t")


def withdrawn(desk: Desk, number: int) -> None:
    """Take a closure back."""
    with desk.database.transaction() as session:
        Closures().withdraw(session, number, actor="cli/t")


def filed(desk: Desk, zone: str = HERE) -> str:
    """A case that the office has; its number."""
    said = message({**PROBE, "zone": zone}, "engine_probe")
    return str(desk.do.submit(CENTRE, said).body["number"])


def returned(desk: Desk) -> str:
    """A case that its applicant has, for three working days; its number."""
    number = filed(desk)
    desk.do.take(REVIEWER, number, "send_back", comment="المخطط")
    return number


def judged(desk: Desk) -> str:
    """A case that is deemed granted after two working days; its number."""
    number = filed(desk)
    answer(desk, number, "passed")
    desk.do.put(CENTRE, number, "drawing")
    desk.do.take(REVIEWER, number, "judge")
    return number


def dates(desk: Desk, number: str) -> tuple[str, str]:
    """Deadline and promise of a case."""
    case = desk.case(number)
    return case["due"], case["promised_for"]


def moves(desk: Desk, number: str) -> list[dict[str, Any]]:
    """What the journal says of a case's moved deadlines."""
    return [e["details"] for e in desk.case(number)["journal"] if e["action"] == "deadline_moved"]


def follow(desk: Desk, limit: int = 100) -> None:
    """Follow the closures to the last."""
    while follow_closures(desk.licensing.desk, limit):
        pass
