"""One immediate licence through REST at eight clients, against a plain SQLAlchemy loop and pgbench.

`python -m benchmarks.licensing [LICENCES]`. A licence is submit, quote, invoice and payment, which issues it.
The loop sends the very statements that one licence sends, in as many transactions to the same tables, with
fresh names and row numbers; it has no rules, signature, seal or HTTP. pgbench sends what the loop sends.
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
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks import _replay as replay
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
_CLIENTS, _ROUNDS = 8, 5


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
    alone = _in_process(database, folder, application)
    # A process meets a definition for the first time once, and the database once.
    alone()
    alone()
    script = replay.script(database, alone)
    replay.check(database, script, alone)
    print(f"one licence: {len(script.transactions)} commits, {script.statements} statements")
    sides: dict[str, Callable[[int], float]] = {
        "licences through REST": lambda count: _through_rest(served, application, count),
        "plain SQLAlchemy loop": lambda count: _rate(lambda: replay.again(database, script), count),
        "pgbench": lambda count: replay.pgbench(database, folder, script, _CLIENTS, count),
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
