"""Runs a migration of open cases: each case in a transaction of its own, with a report of every one."""

from typing import Any

from foundation.errors import NotFound, RakeezaError, Unavailable
from foundation.identity import Caller
from integrations.cases import case_store, migration
from integrations.cases.migration import Plan
from integrations.desks.desk import Desk
from integrations.service import Service


class _DryRun(Exception):
    """Undoes what a dry run has tried."""


def run_migration(desk: Desk, caller: Caller, plan: Plan) -> dict[str, Any]:
    """Move the cases that a plan names.

    Returns:
        `cases`: of each its number, state, new state and, where it was refused, why; and how many were moved.

    Raises:
        NotFound: no such service, no case was opened under that version, or the one named is not open.
    """
    new = desk.definitions.services.get(plan.service)
    with desk.database.transaction() as session:
        old = desk.definitions.kept(session, plan.service, plan.from_version)
        numbers = migration.candidates(session, old, plan.number)
    if plan.number is not None and not numbers:
        raise NotFound(
            f"No open case runs under version {plan.from_version} of {plan.service} by the number given.",
            message_ar="لا توجد معاملة مفتوحة بهذا الرقم على هذا الإصدار.",
        )
    rows = (
        [] if old.fingerprint == new.fingerprint else [_one(desk, caller, plan, old, new, n) for n in numbers]
    )
    return {
        "service": plan.service,
        "from_version": plan.from_version,
        "to_version": new.version,
        "dry_run": plan.dry_run,
        "moved": sum(row["refused"] is None for row in rows),
        "refused": sum(row["refused"] is not None for row in rows),
        "cases": rows,
    }


def _one(desk: Desk, caller: Caller, plan: Plan, old: Service, new: Service, number: str) -> dict[str, Any]:
    before, after = "", None
    try:
        with desk.database.transaction() as session:
            case = case_store.locked(session, number)
            before = case.state
            if case.definition != old.fingerprint or case.closed_at is not None:
                raise NotFound(f"The case {number} was moved or closed meanwhile.")
            desk.engine.migrate(session, case, new, plan.states, caller, desk.clock())
            after = case.state
            if plan.dry_run:
                raise _DryRun
    except _DryRun:
        pass
    except Unavailable:
        raise
    except RakeezaError as error:
        return migration.row(number, before, None, error)
    return migration.row(number, before, after)
