"""Licences through the engine against bare SQLAlchemy loops with the same commits and rows.

`python -m benchmarks.licensing [LICENCES]`. One licence is submit, quote, invoice and payment, which issues
it: four commits. One bare loop writes as many rows in as many commits; the other sends as many statements,
the rest of them reads by key. Neither has rules, locks or a signature. One thread and eight, all in turn, on
one private PostgreSQL.
"""

import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from foundation.database import Database, migrate
from foundation.identity import Caller
from foundation.jobs import Jobs
from foundation.postgres import PrivatePostgres
from foundation.secret import SecretFile
from foundation.settings import Platform, Settings
from integrations.cases.payments import Notice
from integrations.licensing import Licensing
from integrations.service import load_services

_CENTRE = Caller("bench-centre", "client", frozenset({"centre"}))
_BANK = Caller("bench-bank", "client", frozenset({"payment"}))
_APPLICANT = {
    "kind": "national_id",
    "identifier": "1058529940",
    "name": "مقدم الطلب",
    "mobile": "+966501234567",
}
_TABLE = "CREATE TABLE bench (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, row jsonb)"
_ROUNDS = 3
_COMMITS = 4


def main() -> None:
    """Print the figures."""
    licences = int(sys.argv[1]) if len(sys.argv) > 1 else 120
    with tempfile.TemporaryDirectory(prefix="rakeeza-bench-") as name:
        folder = Path(name)
        # PostgreSQL runs as another user under root, who has to pass through.
        folder.chmod(0o711)
        with PrivatePostgres(folder / "postgres", max_connections=40).lease() as url:
            database = Database(url, pool=10, role="bench")
            migrate(database)
            _compare(database, folder, licences)
            database.dispose()


def _compare(database: Database, folder: Path, licences: int) -> None:
    issue = _licensing(database, folder)
    rows, statements = _rows_of(database, issue), _statements_of(database, issue)
    written = sum(rows.values())
    print(f"one licence: {_COMMITS} commits, {written} rows, {statements} statements ({_told(rows)})")
    with database.transaction() as session:
        session.execute(text(_TABLE))
    sides = {
        "Licensing": issue,
        "bare, same rows": _bare(database, written, 0),
        "bare, same statements": _bare(database, written, statements - written),
    }
    for threads in (1, 8):
        rates: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(_ROUNDS):
            # In turn, so that all meet the same minute of the machine.
            for name, act in sides.items():
                rates[name].append(_rate(act, licences, threads))
        syncs = _syncs(database)
        _rate(issue, licences, threads)
        syncs = (_syncs(database) - syncs) // licences
        ours = statistics.median(rates["Licensing"])
        for name, measured in rates.items():
            rate = statistics.median(measured)
            ratio = "" if name == "Licensing" else f"   Licensing / this: {ours / rate:.2f}"
            print(f"{threads} threads  {name:22} {rate:7.1f} licences/s{ratio}")
        print(f"{threads} threads  Licensing: {syncs} WAL syncs a licence")


def _licensing(database: Database, folder: Path) -> Callable[[], None]:
    settings = Settings(platform=Platform(folder=folder))
    secrets = SecretFile(folder / "secrets.json", folder / "secrets.key")
    services = load_services(())
    licensing = Licensing(database, Jobs(database), settings, secrets, services)
    schema = services.get("shop_licence").form_json("issue")
    form = {name: field["examples"][0] for name, field in schema["properties"].items()}

    def issue() -> None:
        key = str(uuid.uuid4())
        asked = {"service": "shop_licence", "applicant": _APPLICANT, "form": form}
        number = licensing.cases.submit(_CENTRE, asked, f"{key}-1").body["number"]
        licensing.cases.quote(_CENTRE, number, f"{key}-2")
        bill = licensing.cases.invoice(_CENTRE, number, f"{key}-3").body
        notice = Notice(bill["bill_number"], Decimal(bill["amount"]), datetime.now(UTC), key)
        assert licensing.money.notify(_BANK, notice, f"{key}-4").body["settled"]

    return issue


def _bare(database: Database, rows: int, reads: int) -> Callable[[], None]:
    row = '{"text": "' + "x" * 300 + '"}'
    insert = text("INSERT INTO bench (row) VALUES (CAST(:row AS jsonb)) RETURNING id")
    read = text("SELECT id, row FROM bench WHERE id = :id")
    steps = [(_share(rows, n), _share(reads, n)) for n in range(_COMMITS)]

    def write() -> None:
        for inserts, selects in steps:
            with database.transaction() as session:
                last = 0
                for _ in range(inserts):
                    last = session.execute(insert, {"row": row}).scalar_one()
                for _ in range(selects):
                    session.execute(read, {"id": last}).one()

    return write


def _share(total: int, part: int) -> int:
    return total // _COMMITS + (part < total % _COMMITS)


def _rate(act: Callable[[], None], count: int, threads: int) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(act) for _ in range(count)]:
            done.result()
    return count / (time.perf_counter() - start)


def _rows_of(database: Database, issue: Callable[[], None]) -> dict[str, int]:
    issue()
    before = _inserted(database)
    issue()
    after = _inserted(database)
    return {name: after[name] - before.get(name, 0) for name in after if after[name] > before.get(name, 0)}


def _inserted(database: Database) -> dict[str, int]:
    # A backend hands in its counters when it ends.
    database.engine.dispose()
    time.sleep(0.5)
    with database.transaction() as session:
        found = session.execute(text("SELECT relname, n_tup_ins FROM pg_stat_user_tables"))
        return {str(name): int(count) for name, count in found}


def _statements_of(database: Database, issue: Callable[[], None]) -> int:
    sent: list[str] = []

    def note(*call: Any) -> None:
        sent.append(str(call[2]))

    event.listen(database.engine, "before_cursor_execute", note)
    issue()
    event.remove(database.engine, "before_cursor_execute", note)
    return len(sent)


def _syncs(database: Database) -> int:
    # A backend hands in its counters when it ends.
    database.engine.dispose()
    time.sleep(0.5)
    with database.transaction() as session:
        found = session.execute(text("SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal'"))
        return int(found.scalar_one())


def _told(rows: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(rows.items()))


if __name__ == "__main__":
    main()
