"""The inbox in SQL: open cases that wait for a role, the most urgent first, a page at a time.

Urgent is what is escalated, then what is due first, then the oldest; what has no deadline comes last. A page
is one walk of an index for each desk (and each place, for a caller who has some), merged lazily: it reads
about as many rows as it shows, however many cases wait.

Source: PostgreSQL 18 manual, sections 11.4 (indexes and ORDER BY), 9.25.5 (row comparison).
"""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.errors import Malformed
from foundation.identity import Role
from integrations.cases.case import Case
from integrations.cases.numbers import TEST_SERIES

Whose = Literal["all", "mine", "unassigned"]
MOST_COUNTED = 1_000
"""More waiting cases than these are not counted."""

# A case is settled by a bank's message and shown at a kiosk: neither has an inbox. A centre has its own.
_NO_INBOX = frozenset({Role.PAYMENT, Role.KIOSK, Role.CENTRE})
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"inbox:([01]):(-|[0-9]{1,17}):([0-9]{1,18})")
_COLUMNS = ", ".join(field.name for field in fields(Case) if field.name != "personal")
_URGENCY = "NOT escalated, coalesce(due, 'infinity'::timestamptz), id"

# From each desk to the next by one look into the index, however many cases lie between them.
_DESKS = text(
    """
    WITH RECURSIVE found AS (
        (SELECT desk FROM case_file WHERE desk IS NOT NULL ORDER BY desk LIMIT 1)
        UNION ALL
        SELECT (SELECT desk FROM case_file WHERE desk > found.desk ORDER BY desk LIMIT 1)
        FROM found WHERE found.desk IS NOT NULL
    )
    SELECT desk FROM found WHERE desk IS NOT NULL
    """
)


@dataclass(frozen=True)
class Wanted:
    """Whose inbox, and which part of it.

    Args:
        actor: the caller, as the audit trail names him.
        roles: his; a desk is his if it holds one of them.
        places: within which he acts; empty is everywhere.
        place: only cases of this one.
        everything: every desk, whatever the roles.
        service: only cases of this service.
        whose: only those assigned to the caller, or to nobody.
    """

    actor: str
    roles: frozenset[str]
    places: frozenset[str] = frozenset()
    place: str | None = None
    everything: bool = False
    service: str | None = None
    whose: Whose = "all"


@dataclass(frozen=True)
class Spot:
    """A place in the order of an inbox.

    Args:
        escalated: of the case there.
        due: of the case there, aware; None if it has no deadline.
        id: of the case there.
    """

    escalated: bool
    due: datetime | None
    id: int

    @classmethod
    def of(cls, case: Case) -> "Spot":
        """Where a case stands."""
        return cls(case.escalated, case.due, case.id)

    def cursor(self) -> str:
        """The spot as an opaque text."""
        due = "-" if self.due is None else str((self.due - _EPOCH) // timedelta(microseconds=1))
        plain = f"inbox:{int(self.escalated)}:{due}:{self.id}"
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, cursor: str) -> "Spot":
        """The spot that a cursor names.

        Raises:
            Malformed: it is none of ours.
        """
        try:
            plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        except (ValueError, binascii.Error):
            plain = ""
        found = _CURSOR.fullmatch(plain)
        if found is None:
            raise Malformed(
                "This is no place in the inbox.",
                remedy="Use the `next` of the page before.",
                message_ar="هذا ليس موضعًا في صندوق المعاملات.",
            )
        due = None if found[2] == "-" else _EPOCH + timedelta(microseconds=int(found[2]))
        return cls(found[1] == "1", due, int(found[3]))


def cases(session: Session, wanted: Wanted, after: Spot | None, limit: int) -> list[Case]:
    """The next cases of an inbox, the most urgent first; without their personal data.

    Args:
        after: where the page before ended; a case that has become more urgent since is found by beginning
            anew, and none is shown twice.
        limit: most cases to return, 1 or more.
    """
    query, values = statement(wanted, desks(session), after, limit)
    if query is None:
        return []
    return [Case(personal=None, **row._mapping) for row in session.execute(text(query), values)]


def counted(session: Session, wanted: Wanted) -> int:
    """How many cases wait in an inbox; one more than `MOST_COUNTED` stands for all above it."""
    branches, values = _branches(wanted, desks(session))
    if not branches:
        return 0
    every = " UNION ALL ".join(f"SELECT 1 FROM case_file WHERE {branch}" for branch in branches)
    query = text(f"SELECT count(*) FROM (SELECT 1 FROM ({every}) AS waiting LIMIT :most) AS bounded")
    return int(session.execute(query, {**values, "most": MOST_COUNTED + 1}).scalar_one())


def desks(session: Session) -> list[str]:
    """Every desk that a case waits at, sorted."""
    return list(session.scalars(_DESKS))


def statement(
    wanted: Wanted, waiting: Sequence[str], after: Spot | None, limit: int
) -> tuple[str | None, dict[str, Any]]:
    """The query of one page, and its values.

    Args:
        waiting: as `desks` gives them.
        after, limit: as `cases` takes them.

    Returns:
        No query for a caller whom no desk concerns.
    """
    branches, values = _branches(wanted, waiting)
    if not branches:
        return None, {}
    values["limit"] = limit
    further = ""
    if after is not None:
        values |= {"calm": not after.escalated, "due": after.due, "id": after.id}
        further = (
            f" AND ({_URGENCY}) > "
            "(:calm, coalesce(CAST(:due AS timestamptz), 'infinity'::timestamptz), CAST(:id AS bigint))"
        )
    # Each branch by its own index and limit: the planner then merges them, and reads no row too many.
    every = " UNION ALL ".join(
        f"(SELECT {_COLUMNS}, NOT escalated AS calm, coalesce(due, 'infinity'::timestamptz) AS urgent_at "
        f"FROM case_file WHERE {branch}{further} ORDER BY {_URGENCY} LIMIT :limit)"
        for branch in branches
    )
    query = f"SELECT {_COLUMNS} FROM ({every}) AS waiting ORDER BY calm, urgent_at, id LIMIT :limit"
    return query, values


def _branches(wanted: Wanted, waiting: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    acting = wanted.roles - _NO_INBOX
    theirs = [desk for desk in waiting if wanted.everything or acting & set(desk.split("+"))]
    own = [desk for desk in waiting if Role.CENTRE in wanted.roles and Role.CENTRE in desk.split("+")]
    values: dict[str, Any] = {}

    def named(value: str | list[str]) -> str:
        name = f"value_{len(values)}"
        values[name] = value
        return f":{name}"

    rest = _filters(wanted, named)
    places = sorted(wanted.places)
    if wanted.whose == "mine":
        # Few, by an index of their own; a role or a place that was taken away takes its cases with it.
        at = [f"(desk = ANY({named(theirs)}){_within(places, named)})"] if theirs else []
        if own:
            at.append(f"(centre = {named(wanted.actor)} AND desk = ANY({named(own)}))")
        return ([f"desk IS NOT NULL{rest} AND ({' OR '.join(at)})"] if at else []), values
    # One place is a part of the index's key in each branch, and so is left out of the filters.
    here = [wanted.place] if wanted.place is not None else places
    if wanted.place is not None and places and wanted.place not in places:
        theirs = []
    branches = [
        f"desk = {named(desk)}{place}{rest}"
        for desk in theirs
        for place in ([f" AND place = {named(each)}" for each in here] or [""])
    ]
    at_place = f" AND place = {named(wanted.place)}" if wanted.place is not None else ""
    for desk in own:
        if desk in theirs and (wanted.place is not None or not places):
            continue
        # What a branch above shows is not shown again.
        seen = f" AND coalesce(place <> ALL({named(places)}), true)" if desk in theirs else ""
        branches.append(f"centre = {named(wanted.actor)} AND desk = {named(desk)}{at_place}{seen}{rest}")
    return branches, values


def _filters(wanted: Wanted, named: Callable[[str], str]) -> str:
    service = f" AND service = {named(wanted.service)}" if wanted.service is not None else ""
    if wanted.everything and wanted.service is None:
        # Nobody but its centre waits for a test.
        service = f" AND number NOT LIKE '{TEST_SERIES}%'"
    if wanted.whose == "mine":
        at = f" AND place = {named(wanted.place)}" if wanted.place is not None else ""
        return f"{service}{at} AND assignee = {named(wanted.actor)}"
    return service + (" AND assignee IS NULL" if wanted.whose == "unassigned" else "")


def _within(places: list[str], named: Callable[[list[str]], str]) -> str:
    return f" AND place = ANY({named(places)})" if places else ""
