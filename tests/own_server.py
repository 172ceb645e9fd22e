"""A PostgreSQL server that a test may kill."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from foundation.database import Database
from foundation.errors import DatabaseUnavailable


@dataclass(frozen=True)
class OwnServer:
    """A migrated database on a server of its own, which a test may kill."""

    database: Database
    folder: Path

    def kill(self) -> None:
        """kill -9 of the postmaster, and nothing more."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)

    def wait(self) -> None:
        """Wait until it takes transactions again."""
        limit = time.monotonic() + 60
        while True:
            try:
                with self.database.transaction() as session:
                    session.execute(text("SELECT 1"))
            except DatabaseUnavailable:
                assert time.monotonic() < limit
                time.sleep(0.05)
            else:
                return
