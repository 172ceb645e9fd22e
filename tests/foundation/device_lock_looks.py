"""What tests of locks on devices look at and change in the database."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import text

from foundation.database import Database
from foundation.device_locks import DeviceLocks, HeldLock, Lease
from tests.processes import until

Take = Callable[..., Lease]


def held(database: Database, locks: DeviceLocks) -> list[HeldLock]:
    with database.transaction() as session:
        return locks.held(session)


def change(database: Database, statement: str, **values: Any) -> None:
    with database.transaction() as session:
        session.execute(text(statement), values)


def count(database: Database, of: str) -> int:
    with database.transaction() as session:
        return int(session.execute(text(f"SELECT count(*) FROM {of}")).scalar_one())


def waiting(database: Database) -> int:
    """Sessions that wait for a lock."""
    return count(database, "pg_stat_activity WHERE wait_event_type = 'Lock'")


def forget(database: Database, lease: Lease, seconds: float = 91.0, **changes: Any) -> None:
    """Make a lease one of another machine, cut off, and last heard of so many seconds ago."""
    lease._line.close()
    lines = "pg_stat_activity WHERE application_name = 'rakeeza device lock'"
    until(lambda: not count(database, lines), "the end of the connection")
    values = {"host": "far", "boot_id": "another", **changes, "seconds": seconds, "id": lease.id}
    names = ", ".join(f"{name} = :{name}" for name in values if name not in ("seconds", "id"))
    change(
        database,
        f"UPDATE device_lease SET {names}, renewed_at = renewed_at - make_interval(secs => :seconds) "
        "WHERE id = :id",
        **values,
    )
