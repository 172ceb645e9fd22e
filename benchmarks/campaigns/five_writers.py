"""Five writer processes issue on the private PostgreSQL for a minute; nothing fails and nothing is lost."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from sqlalchemy import text

from benchmarks.campaigns import Evidence, Failed
from foundation import audit, events
from foundation.database import Database, migrate, open_database
from foundation.jobs import Jobs
from foundation.settings import Settings, load
from integrations.cases.numbers import next_number

WRITERS = 5
SECONDS = 60.0

_TABLE = """
    CREATE TABLE campaign_licence (
        number text PRIMARY KEY, holder text NOT NULL, valid_to date NOT NULL, content jsonb NOT NULL
    )
"""
_INSERT = text("INSERT INTO campaign_licence VALUES (:number, :holder, :valid_to, CAST(:content AS jsonb))")
_CONTENT = json.dumps({"activity": "471101", "trade_name": "بقالة النخيل", "area": "84.50", "years": 2})
_JOB = "campaign.document"


def run(seconds: float = SECONDS) -> Evidence:
    """The campaign.

    Args:
        seconds: how long the writers write.
    """
    with _folder() as folder:
        settings = load(None, {"RAKEEZA_PLATFORM_FOLDER": str(folder)})
        with open_database(settings, role="campaign") as database:
            migrate(database)
            with database.transaction() as session:
                session.execute(text(_TABLE))
            with _reader(database) as seen:
                results = _write(folder, seconds)
            return _judge(database, results, len(seen), seconds)


def _write(folder: Path, seconds: float) -> list[list[float]]:
    command = [sys.executable, "-m", "benchmarks.campaigns.five_writers", str(folder)]
    writers = [
        subprocess.Popen(
            [*command, str(number), str(seconds)], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for number in range(WRITERS)
    ]
    try:
        told = [writer.communicate(timeout=seconds + 120) for writer in writers]
    finally:
        for writer in writers:
            if writer.poll() is None:
                writer.kill()
                writer.wait()
    for writer, (_, complaint) in zip(writers, told, strict=True):
        if writer.returncode or complaint:
            raise Failed(f"a writer ended with {writer.returncode}: {complaint.strip() or 'no word'}")
    return [json.loads(answer) for answer, _ in told]


def _judge(database: Database, results: list[list[float]], seen: int, seconds: float) -> Evidence:
    done = sum(map(len, results))
    with database.transaction() as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        kept = {
            name: session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()
            for name, table in {
                "licences": "campaign_licence",
                "audit entries": "audit",
                "events": "event",
                "jobs": "procrastinate_jobs",
                "last number given": "(SELECT generate_series(1, last) FROM case_counter) AS numbers",
            }.items()
        }
        breaks = list(audit.verify(session))
    kept["events that a reader followed"] = seen
    wrong = {name: count for name, count in kept.items() if count != done}
    if wrong or breaks or not done:
        raise Failed(f"{done} transactions were acknowledged, but: {wrong}; broken chains: {breaks}")
    times = sorted(duration for result in results for duration in result)
    return Evidence(
        story=(
            "Each transaction writes an audit entry into the chain of its case, enqueues a job, takes the "
            "next licence number without a gap, writes the licence and publishes an event; it counts once "
            "COMMIT has returned, with fsync and synchronous_commit on. The number's row is locked until "
            "the commit, so the writers wait for one another as real ones do. Meanwhile another connection "
            "follows the events. At the end every table is counted and every chain verified."
        ),
        figures=(
            ("writer processes", str(WRITERS)),
            ("errors", "0"),
            ("transactions", str(done)),
            ("transactions a second", f"{done / seconds:.0f}"),
            ("time of one, p50", f"{_quantile(times, 0.5):.1f} ms"),
            ("time of one, p99", f"{_quantile(times, 0.99):.1f} ms"),
            ("time of one, longest", f"{times[-1] * 1000:.0f} ms"),
            ("fewest and most of one writer", f"{min(map(len, results))}, {max(map(len, results))}"),
            ("licences, audit entries, events, jobs and numbers found at the end", f"{done} of each"),
            ("events that the follower saw, each once", str(seen)),
            ("broken chains", "0"),
        ),
    )


@contextlib.contextmanager
def _reader(database: Database) -> Iterator[set[str]]:
    """What a follower of the events saw; at the end of the block it catches up and stops."""
    seen: set[str] = set()
    ended = threading.Event()
    repeated: list[str] = []

    def follow() -> None:
        for event in events.follow(database, after=None, kind_prefix="campaign.", stop=ended.is_set):
            if event.cursor in seen:
                repeated.append(event.cursor)
            seen.add(event.cursor)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield seen
        limit = time.monotonic() + 60
        with database.transaction() as session:
            count = session.execute(text("SELECT count(*) FROM event")).scalar_one()
        while len(seen) < count and time.monotonic() < limit:
            time.sleep(0.1)
    finally:
        ended.set()
        thread.join()
    if repeated:
        raise Failed(f"the follower saw {len(repeated)} events twice")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rakeeza-campaign-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Under root PostgreSQL runs as a user of its own, which has to pass.
        folder.chmod(0o711)
        yield folder


def _quantile(times: list[float], share: float) -> float:
    return times[min(int(len(times) * share), len(times) - 1)] * 1000


def _writer(settings: Settings, number: int, seconds: float) -> list[float]:
    """Write until the time is over; seconds that each transaction took."""
    times: list[float] = []
    with open_database(settings, role=f"writer {number}") as database:
        jobs = Jobs(database)
        jobs.register(_JOB, lambda _payload, _attempt: None)
        limit = time.monotonic() + seconds
        while (started := time.monotonic()) < limit:
            case = f"case/W{number}-{len(times)}"
            with database.transaction() as session:
                audit.record(session, chain=case, actor="centre", action="case.issue", details={"years": 2})
                jobs.enqueue(session, _JOB, {"case": case})
                licence = next_number(session, "SL", date(2026, 1, 1))
                session.execute(
                    _INSERT,
                    {"number": licence, "holder": case, "valid_to": date(2028, 1, 1), "content": _CONTENT},
                )
                events.publish(session, "campaign.issued", case, {"licence": licence})
            times.append(time.monotonic() - started)
    return times


def main() -> None:
    """One writer process: FOLDER NUMBER SECONDS; prints its times as JSON."""
    folder, number, seconds = sys.argv[1:]
    os.environ["RAKEEZA_PLATFORM_FOLDER"] = folder
    print(json.dumps(_writer(load(), int(number), float(seconds))))


if __name__ == "__main__":
    main()
