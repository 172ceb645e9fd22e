"""Pages of an inbox with 10,000 open cases and with 1,000,000, against sorting them all.

`script/bench inbox [CASES ...]`. Rows are made by SQL on one private PostgreSQL. Each page is asked of
the desk itself, as the faces do: desks found, cases read, summaries made. The peer is the plain query: a
condition on the desks, ORDER BY, LIMIT. A page is 50 cases: the first, and one from a random place on.
"""

import contextlib
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import text

from foundation.caller import Caller
from foundation.database import Database, migrate
from foundation.jobs import Jobs
from foundation.postgres import PrivatePostgres
from foundation.secret import SecretFile
from foundation.settings import Platform, Settings
from integrations.cases.inbox import Spot
from integrations.licensing import Licensing
from integrations.service import load_services

_ROUNDS = 200
_PLAIN_ROUNDS = 15
_START = datetime(2026, 11, 1, tzinfo=UTC)
_DESKS = [
    "reviewer",
    "inspector",
    "centre",
    "finance",
    "centre+reviewer",
    "reviewer+supervisor",
    "objections",
]
_CALLERS = {
    "reviewer, everywhere": Caller("bench", "person", frozenset({"reviewer"})),
    "three roles, eight places": Caller(
        "bench",
        "person",
        frozenset({"reviewer", "finance", "archive"}),
        frozenset(f"place-{number}" for number in range(8)),
    ),
    "a centre": Caller("centre-3", "client", frozenset({"centre"})),
}
_GENERATE = text(
    """
    INSERT INTO case_file (number, service, procedure, definition, state, version, centre, subject, form,
        done, checks, quote_free, desk, place, assignee, due, escalated, entered_at, submitted_at, changed_at)
    SELECT 'TT-2026-' || lpad(CAST(n AS text), 9, '0'), 'shop_licence', 'issue', :definition,
        'under_review', 1, 'client/centre-' || n % 26, decode(md5(CAST(n AS text)), 'hex'),
        jsonb_build_object('trade_name', md5(CAST(n AS text)), 'area_m2', n % 500), '["submit"]', '{}', false,
        (CAST(:desks AS text[]))[1 + n % :kinds],
        CASE WHEN n % 10 > 0 THEN 'place-' || n / 7 % 50 END,
        CASE WHEN n % 100 = 0 THEN 'person/bench' END,
        CASE WHEN n % 5 > 0 THEN CAST(:start AS timestamptz) + make_interval(secs => n * 7919 % 2600000) END,
        n % 97 = 0, :start, :start, :start
    FROM generate_series(1, CAST(:rows AS bigint)) AS n
    """
)
_PLAIN = text(
    "SELECT * FROM case_file WHERE desk LIKE '%reviewer%' "
    "ORDER BY escalated DESC, due NULLS LAST, id LIMIT 51"
)
_KEEP = text(
    "INSERT INTO case_definition VALUES (:f, :c, :v, CAST('{}' AS jsonb), now()) ON CONFLICT DO NOTHING"
)


def main() -> None:
    """Print the figures."""
    sizes = [int(size) for size in sys.argv[1:]] or [10_000, 1_000_000]
    with tempfile.TemporaryDirectory(prefix="rakeeza-bench-") as name:
        folder = Path(name)
        # PostgreSQL runs as another user under root, who has to pass through.
        folder.chmod(0o711)
        with PrivatePostgres(folder / "postgres", max_connections=40).lease() as url:
            database = Database(url, role="bench")
            migrate(database)
            for size in sizes:
                _fill(database, size)
                _measure(database, folder, size)
            database.dispose()


def _fill(database: Database, size: int) -> None:
    service = load_services(()).get("shop_licence")
    with database.transaction() as session:
        session.execute(text("TRUNCATE case_file CASCADE"))
        session.execute(_KEEP, {"f": service.fingerprint, "c": service.code, "v": service.version})
        words = {"rows": size, "desks": _DESKS, "kinds": len(_DESKS), "start": _START}
        session.execute(_GENERATE, {**words, "definition": service.fingerprint})
    with database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE case_file"))


def _measure(database: Database, folder: Path, size: int) -> None:
    settings = Settings(platform=Platform(folder=folder))
    secrets = SecretFile(folder / "secrets.json", folder / "secrets.key")
    inbox = Licensing(database, Jobs(database), settings, secrets, load_services(())).inbox
    chance = random.Random(7)

    def somewhere() -> str:
        day = datetime.fromtimestamp(_START.timestamp() + chance.randrange(2_600_000), UTC)
        return Spot(False, day, chance.randrange(1, size + 1)).cursor()

    def later(caller: Caller) -> object:
        return inbox.page(caller, after=somewhere())

    print(f"{size:,} open cases")
    for name, caller in _CALLERS.items():
        page = partial(inbox.page, caller)
        _tell(f"{name}: first page", page, _ROUNDS)
        _tell(f"{name}: later page", partial(later, caller), _ROUNDS)
        if caller.kind == "person":
            _tell(f"{name}: first page, counted", partial(page, count=True), _ROUNDS)
            _tell(f"{name}: mine", partial(page, mine=True), _ROUNDS)
            _tell(f"{name}: nobody's", partial(page, unassigned=True), _ROUNDS)

    def plain() -> None:
        with database.transaction() as session:
            session.execute(_PLAIN).all()

    _tell("peer, sorting: first page", plain, _PLAIN_ROUNDS)


def _tell(name: str, act: Callable[[], object], rounds: int) -> None:
    act()
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        act()
        taken.append((time.perf_counter() - start) * 1_000)
    p95 = statistics.quantiles(taken, n=20)[-1]
    print(f"  {name:48} median {statistics.median(taken):8.2f} ms   p95 {p95:8.2f} ms", flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
