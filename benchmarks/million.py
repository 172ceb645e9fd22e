"""What an action costs with 1,000,000 cases on file against 10,000, and how long pages take.

`script/bench million [SMALL LARGE]`. Two databases of one private PostgreSQL: in each the engine takes three
cases through (one issued, one under review, one billed), and SQL copies all their rows (case, journal, heads,
events, quote, bill, payment, ledger, licence, version, job, kept answers of the last tenth) as often as is
asked, with other numbers, holders, centres, places and times. Then actions are taken in turn on both, by the
desks themselves. Papers are copied without their PDF, which no action reads.
"""

import contextlib
import random
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo
from sqlalchemy import text

from benchmarks._copies import fill
from foundation.database import Database, migrate
from foundation.identity import Caller
from foundation.jobs import Jobs
from foundation.postgres import PrivatePostgres
from foundation.secret import SecretFile
from foundation.settings import Platform, Settings
from integrations.cases.inbox import Spot
from integrations.cases.payments import Notice
from integrations.cases.views import cursor
from integrations.licensing import Licensing
from integrations.service import load_services

_ROUNDS, _EACH, _PAGES = 30, 5, 200
_MOST = 1.2
_CENTRE = Caller("centre-3", "client", frozenset({"centre"}))
_BANK = Caller("bench-bank", "client", frozenset({"payment"}))
_REVIEWER = Caller("bench", "person", frozenset({"reviewer"}))
_LOCAL = Caller("local", "person", frozenset({"reviewer"}), frozenset(f"حي {n}" for n in range(8)))
_NOWHERE = Caller("nowhere", "person", frozenset({"reviewer"}), frozenset({"حي آخر"}))
_FORM = {
    "trade_name": "مخبز الندى",
    "commercial_register": "4030123456",
    "activity": "107101",
    "area_m2": 120.5,
    "years": 1,
    "street": "شارع الأمير سلطان",
    "building_number": "7214",
    "postal_code": "23434",
    "manager_name": "سعد بن محمد الشهري",
}
_REVIEWED = {**_FORM, "activity": "561010"}
_APPLICANT = {
    "kind": "national_id",
    "identifier": "1058529940",
    "name": "نورة بنت عبدالعزيز القحطاني",
    "mobile": "+966501234567",
}


@dataclass
class Office:
    # One database with so many cases, and what its actions took, in milliseconds.
    size: int
    database: Database
    licensing: Licensing
    issued: list[str] = field(default_factory=list)
    taken: dict[str, list[float]] = field(default_factory=dict)

    def timed(self, name: str, act: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        found = act()
        self.taken.setdefault(name, []).append((time.perf_counter() - start) * 1_000)
        return found

    def apply(self, form: dict[str, Any], place: int) -> str:
        message = {
            "service": "shop_licence",
            "applicant": _APPLICANT,
            "form": {**form, "district": f"حي {place}"},
        }
        return str(self.licensing.cases.submit(_CENTRE, message, _key()).body["number"])

    def bill(self, number: str) -> dict[str, Any]:
        self.timed("quote", lambda: self.licensing.cases.quote(_CENTRE, number, _key()))
        answer = self.timed("invoice", lambda: self.licensing.cases.invoice(_CENTRE, number, _key()))
        bill: dict[str, Any] = answer.body
        return bill

    def issue(self, place: int) -> None:
        number = self.timed("submit", lambda: self.apply(_FORM, place))
        bill = self.bill(number)
        notice = Notice(bill["bill_number"], Decimal(bill["amount"]), datetime.now(UTC), _key())
        self.timed("pay and issue", lambda: self.licensing.money.notify(_BANK, notice, _key()))
        self.issued.append(number)

    def decide(self, place: int) -> None:
        number = self.apply(_REVIEWED, place)

        def act() -> None:
            self.licensing.inbox.page(_REVIEWER)
            self.licensing.cases.take(_REVIEWER, number, "reject", _key())

        self.timed("inbox page and decision", act)


def main() -> None:
    """Print the figures."""
    sizes = [int(size) for size in sys.argv[1:3]] or [10_000, 1_000_000]
    with (
        tempfile.TemporaryDirectory(prefix="rakeeza-bench-", ignore_cleanup_errors=True) as name,
        contextlib.ExitStack() as stack,
    ):
        folder = Path(name)
        # PostgreSQL runs as another user under root, who has to pass through.
        folder.chmod(0o711)
        url = stack.enter_context(PrivatePostgres(folder / "postgres", max_connections=40).lease())
        offices = [stack.enter_context(filled(url, folder, size)) for size in sizes]
        for office in offices:
            with office.database.engine.connect() as connection:
                connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("CHECKPOINT"))
        _measure(offices)
        for office in offices:
            _pages(office)


@contextlib.contextmanager
def filled(url: str, folder: Path, size: int) -> Iterator[Office]:
    """An office with cases on file, in a database of its own.

    Args:
        url: of the server.
        folder: for its secrets.
        size: cases.
    """
    name = f"bench_{size}"
    server = Database(url, role="bench")
    with server.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    database = Database(make_conninfo(url, dbname=name), role="bench")
    migrate(database)
    settings = Settings(platform=Platform(folder=folder))
    secrets = SecretFile(folder / "secrets.json", folder / "secrets.key")
    licensing = Licensing(database, Jobs(database), settings, secrets, load_services(()))
    office = Office(size, database, licensing)
    office.issue(0)
    office.apply(_REVIEWED, 0)
    office.bill(office.apply(_FORM, 0))
    office.taken.clear()
    start = time.perf_counter()
    fill(database, size)
    with database.transaction() as session:
        bytes_ = session.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    print(
        f"{size:,} cases: {bytes_ / 2**30:.2f} GiB, filled in {time.perf_counter() - start:.0f} s", flush=True
    )
    try:
        yield office
    finally:
        database.dispose()


def _measure(offices: list[Office]) -> None:
    chance = random.Random(7)
    for turn in range(_ROUNDS + 2):
        # In turn, and not always in the same order, so that all meet the same minute of the machine.
        for office in offices if turn % 2 else reversed(offices):
            for _ in range(_EACH):
                office.issue(chance.randrange(50))
                office.decide(chance.randrange(50))
            if turn < 2:
                office.taken.clear()
    small, large = offices[0], offices[-1]
    print(f"median of {_ROUNDS * _EACH}, ms {small.size:>22,} {large.size:>12,}   ratio")
    whole = [0.0, 0.0]
    for name, taken in small.taken.items():
        medians = statistics.median(taken), statistics.median(large.taken[name])
        whole = [a + b for a, b in zip(whole, medians, strict=True)]
        _tell_ratio(name, *medians)
    _tell_ratio("together", *whole)


def _tell_ratio(name: str, small: float, large: float) -> None:
    over = "" if large / small <= _MOST else f"   more than {_MOST}"
    print(f"  {name:26} {small:14.2f} {large:12.2f} {large / small:7.2f}{over}", flush=True)


def _pages(office: Office) -> None:
    chance = random.Random(7)
    cases, inbox = office.licensing.cases, office.licensing.inbox

    def spot() -> str:
        return Spot(False, datetime.now(UTC), chance.randrange(1, office.size)).cursor()

    def place() -> str:
        return cursor(chance.randrange(1_000, 1_000 + office.size))

    asked: dict[str, Callable[[], object]] = {
        "inbox, first page": lambda: inbox.page(_REVIEWER),
        "inbox, later page": lambda: inbox.page(_REVIEWER, after=spot()),
        "inbox, eight places, counted": lambda: inbox.page(_LOCAL, count=True),
        "inbox of a centre": lambda: inbox.page(_CENTRE),
        "list of a centre": lambda: cases.cases(_CENTRE),
        "list of a centre, later page": lambda: cases.cases(_CENTRE, after=place()),
        "list of a centre, under review": lambda: cases.cases(_CENTRE, state="under_review"),
        "list of a centre, lapsed": lambda: cases.cases(_CENTRE, state="lapsed"),
        "list of a reviewer, eight places": lambda: cases.cases(_LOCAL),
        "list of a reviewer, lapsed": lambda: cases.cases(_REVIEWER, state="lapsed"),
        "list of a reviewer, no such place": lambda: cases.cases(_NOWHERE),
        "a case": lambda: cases.case(_CENTRE, chance.choice(office.issued)),
    }
    print(f"{office.size:,} cases, {_PAGES} times, ms")
    for name, act in asked.items():
        act()
        office.taken.pop(name, None)
        for _ in range(_PAGES):
            office.timed(name, act)
        taken = office.taken[name]
        p95 = statistics.quantiles(taken, n=20)[-1]
        print(f"  {name:34} median {statistics.median(taken):8.2f}   p95 {p95:8.2f}", flush=True)


def _key() -> str:
    return str(uuid.uuid4())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
