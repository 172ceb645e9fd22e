"""The desk for what centres have earned: statements, what was transferred for them, and what is open."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from foundation.caller import Role
from foundation.identity import Caller
from integrations.centres import centre as centres
from integrations.centres import settlement
from integrations.desks.desk import Desk


@dataclass(frozen=True)
class SettlementsDesk:
    """Settles with centres.

    Args:
        desk: what all desks share.
    """

    desk: Desk

    def settle(self, caller: Caller, code: str, until: date) -> dict[str, Any] | None:
        """Fix a statement of all that a centre has earned up to a day and that stands in none yet.

        Args:
            until: of Riyadh, inclusive; over.

        Returns:
            The statement with its lines; None if nothing is left.

        Raises:
            PermissionDenied: the caller does not have the role finance.
            NotFound: there is no such centre.
            InvalidInput: the day is not over.
        """
        caller.require(Role.FINANCE)
        with self.desk.database.transaction() as session:
            centre = centres.find(session, code)
            fixed = settlement.settle(session, centre, until, caller.actor, self.desk.clock())
            if fixed is None:
                return None
            lines = [settlement.line_view(line) for line in settlement.lines_of(session, fixed)]
            return {**settlement.view(fixed), "lines": lines}

    def transferred(
        self, caller: Caller, code: str, number: int, reference: str, day: date
    ) -> dict[str, Any]:
        """Note what was transferred for a statement. Raises as `settlement.transferred` and `settle` do."""
        caller.require(Role.FINANCE)
        with self.desk.database.transaction() as session:
            centre, at = centres.find(session, code), self.desk.clock()
            noted = settlement.transferred(session, centre, number, reference, day, caller.actor, at)
            return settlement.view(noted)

    def statement(self, caller: Caller, code: str, number: int) -> dict[str, Any]:
        """A statement with its lines.

        Raises:
            PermissionDenied: the caller may not see money.
            NotFound: there is no such statement.
        """
        _require_sight(caller)
        with self.desk.database.transaction() as session:
            found = settlement.find(session, centres.find(session, code).code, number)
            lines = [settlement.line_view(line) for line in settlement.lines_of(session, found)]
            return {**settlement.view(found), "lines": lines}

    def overview(self, caller: Caller, code: str) -> dict[str, Any]:
        """What stands in statements, each without its lines, and what is open. Raises as `statement` does."""
        _require_sight(caller)
        with self.desk.database.transaction() as session:
            centre = centres.find(session, code).code
            lines = settlement.open_lines(session, centre)
            return {
                "statements": [settlement.view(each) for each in settlement.all_of(session, centre)],
                "open": {"lines": len(lines), **settlement.sums_view(settlement.sums_of(lines))},
            }


def _require_sight(caller: Caller) -> None:
    if caller.kind != "system":
        caller.require(Role.FINANCE, Role.AUDITOR, Role.ADMINISTRATOR)
