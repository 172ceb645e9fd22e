"""1,000 clerks at 10 applications an hour each, half by SOAP and half by REST: p99 under 500 ms, no error.

An hour's rate is kept, 2.78 applications a second with all that follows each of them, and not compressed;
what is cut short is the hour: it runs for the seconds that CLERKS_HOUR_SECONDS in the environment says, 600
by default, of which the last sixth has three times that rate.
"""

import heapq
import itertools
import json
import os
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks._centres import Centre, Clerk, enrol, number_in
from benchmarks._http_load import Connection, load_now, percentile, request
from benchmarks.campaigns import Evidence, Failed
from benchmarks.faults.platform import Served
from foundation import audit
from foundation.database import Database
from foundation.postgres import PrivatePostgres

CENTRES, CLERKS_EACH = 25, 40
RATE = 10_000 / 3_600
"""Applications a second of 1,000 clerks at 10 an hour."""
PEAK = 3
SECONDS = 600.0
LIMIT = 500.0
"""Milliseconds."""

_WORKERS = 48
_SEED = 2016


@dataclass
class _Seen:
    """What the clerks met: seconds from the moment a request was due, by face and operation."""

    times: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    peak: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, face: str, operation: str, seconds: float, peak: bool) -> None:
        with self.lock:
            self.times.setdefault((face, operation), []).append(seconds)
            if peak:
                self.peak.append(seconds)

    def all(self, face: str = "") -> list[float]:
        chosen = (times for (by, _), times in self.times.items() if face in ("", by))
        return list(itertools.chain.from_iterable(chosen))


def run(seconds: float | None = None) -> Evidence:
    """The campaign.

    Args:
        seconds: how long applications arrive.
    """
    length = seconds or float(os.environ.get("CLERKS_HOUR_SECONDS", SECONDS))
    before = load_now()
    with tempfile.TemporaryDirectory(prefix="rakeeza-campaign-") as name:
        folder = Path(name)
        # Under root PostgreSQL runs as a user of its own, which has to pass.
        folder.chmod(0o711)
        with PrivatePostgres(folder / "postgres", max_connections=80).lease() as url:
            served = Served(folder, url, ("api", "worker"), apis=2, clients=("payment",))
            try:
                centres = enrol(
                    served.settings, [f"centre-{each + 1}" for each in range(CENTRES)], CLERKS_EACH
                )
                for centre in centres:
                    centre.sign_in(served.port)
                seen = _work(served, centres, length)
            finally:
                served.stop()
            return _judge(seen, url, length, f"{before}; {load_now()}")


def _arrivals(length: float) -> Iterator[tuple[float, bool]]:
    """Moments of a Poisson process from its beginning on, each with whether it is in the peak."""
    chance, at = random.Random(_SEED), 0.0
    while True:
        peak = at >= length * 5 / 6
        at += chance.expovariate(RATE * (PEAK if peak else 1))
        if at >= length:
            return
        yield at, at >= length * 5 / 6


def _work(served: Served, centres: list[Centre], length: float) -> _Seen:
    application = served.example()
    seen = _Seen()
    everyone = [(centre, clerk) for centre in centres for clerk in centre.clerks]
    random.Random(_SEED).shuffle(everyone)
    turn = itertools.cycle(everyone)
    # Before anything is timed each process has met the definition, and each face.
    for number, (centre, clerk) in zip(range(16), turn, strict=False):
        face = "SOAP" if number % 2 else "REST"
        _Visit(served, centre, clerk, face, application, Connection(served.port), None, False).all()
    begin = time.perf_counter() + 0.2

    def visit(number: int, due: float, peak: bool, centre: Centre, clerk: Clerk) -> None:
        # Of the visit: the server closes what is idle between two of them.
        connection = Connection(served.port)
        face = "SOAP" if number % 2 else "REST"
        seen.late.append(time.perf_counter() - due)
        try:
            _Visit(served, centre, clerk, face, application, connection, seen, peak).all()
        except (OSError, RuntimeError, LookupError) as error:
            with seen.lock:
                seen.errors[str(error)[:160]] += 1
        else:
            with seen.lock:
                seen.done += 1
        finally:
            connection.close()

    with ThreadPoolExecutor(_WORKERS) as clerks:
        for number, (at, peak) in enumerate(_arrivals(length)):
            due = begin + at
            time.sleep(max(0.0, due - time.perf_counter()))
            clerks.submit(visit, number, due, peak, *next(turn))
    return seen


@dataclass
class _Visit:
    """One applicant at a clerk's desk: submit, quote, invoice, the bank's notice, and a look at the case."""

    served: Served
    centre: Centre
    clerk: Clerk
    face: str
    application: dict[str, Any]
    connection: Connection
    seen: _Seen | None
    peak: bool

    def all(self) -> None:
        number = number_in(self._asked("submit", "POST", "/v1/cases", {}, self.application))
        named = {"number": number}
        self._asked("quote", "POST", f"/v1/cases/{number}/quote", named)
        bill = self._asked("invoice", "POST", f"/v1/cases/{number}/invoice", named)
        self._paid(_text(bill, "bill_number"), _text(bill, "amount"))
        self._asked("get_case", "GET", f"/v1/cases/{number}", named)

    def _asked(
        self, operation: str, method: str, path: str, named: dict[str, str], body: Any = None
    ) -> bytes:
        if self.face == "REST":
            octets = self.centre.by_rest(self.clerk, method, path, body)
        else:
            octets = self.centre.by_soap(self.clerk, operation, named, body)
        return self._timed(self.face, operation, octets)

    def _paid(self, bill: str, amount: str) -> None:
        # The bank's own, by REST: it is no centre.
        paid_at = datetime.now(UTC).isoformat(timespec="seconds")
        notice = {"bill_number": bill, "amount": amount, "paid_at": paid_at, "reference": bill}
        headers = {
            "Authorization": f"Bearer {self.served.tokens['payment']}",
            "Idempotency-Key": f"notice-{bill}",
            "Content-Type": "application/json",
        }
        octets = request("/v1/payments", json.dumps(notice).encode(), headers, self.served.port)
        if b'"settled":true' not in self._timed("bank", "notify", octets).replace(b" ", b""):
            raise RuntimeError(f"the bill {bill} is not settled")

    def _timed(self, face: str, operation: str, octets: bytes) -> bytes:
        start = time.perf_counter()
        status, answer = self.connection.ask(octets)
        if self.seen is not None:
            self.seen.note(face, operation, time.perf_counter() - start, self.peak)
        if status not in (200, 201):
            raise RuntimeError(f"{operation} by {face}: {status} {answer[:300]!r}")
        return answer


def _text(answer: bytes, name: str) -> str:
    """A member of an answer, on either face."""
    if answer.startswith(b"{"):
        return str(json.loads(answer)[name])
    return answer.partition(f"<{name}>".encode())[2].partition(b"<")[0].decode()


def _judge(seen: _Seen, url: str, length: float, load: str) -> Evidence:
    if seen.errors:
        what, count = seen.errors.most_common(1)[0]
        raise Failed(f"{sum(seen.errors.values())} visits failed; {count} so: {what}")
    times = seen.all()
    slowest = percentile(times, 0.99)
    database = Database(url, role="campaign")
    try:
        with database.transaction() as session:
            breaks = list(audit.verify(session))
    finally:
        database.dispose()
    if breaks:
        raise Failed(f"broken chains: {breaks}")
    if slowest >= LIMIT:
        raise Failed(f"p99 of {len(times)} requests is {slowest:.0f} ms; load {load}")
    rows = [
        (
            f"{operation} by {face}, p50 and p99",
            f"{percentile(each, 0.5):.0f} and {percentile(each, 0.99):.0f} ms",
        )
        for (face, operation), each in sorted(seen.times.items())
    ]
    worst = heapq.nlargest(1, times)[0] * 1000
    return Evidence(
        story=(
            f"{CENTRES} centres of {CLERKS_EACH} clerks each. Applicants arrive by a Poisson process at the "
            f"rate of 10,000 an hour, uncompressed, for {length:.0f} s, and at {PEAK} times that in the last "
            "sixth. A visit is submit, quote, invoice, the bank's notice, and the case with its licence; "
            "every request of a centre is signed by the centre and its clerk, the visits by turns on both "
            "faces. Two processes of the API, a worker that makes the papers, PostgreSQL with fsync, and "
            "the clerks who sign are on the same cores. Each request is timed from its first octet to its "
            "answer's last; how late a visit began for want of a free hand is told beside."
        ),
        figures=(
            ("applications", str(seen.done)),
            ("requests", str(len(times))),
            ("errors", "0"),
            (
                "p50, p95, p99 of all",
                " / ".join(f"{percentile(times, q):.0f}" for q in (0.5, 0.95, 0.99)) + " ms",
            ),
            ("slowest", f"{worst:.0f} ms"),
            ("p99 by SOAP", f"{percentile(seen.all('SOAP'), 0.99):.0f} ms"),
            ("p99 by REST", f"{percentile(seen.all('REST'), 0.99):.0f} ms"),
            ("p99 in the peak", f"{percentile(seen.peak, 0.99):.0f} ms"),
            ("visits began late by, p99", f"{percentile(seen.late, 0.99):.0f} ms"),
            *rows,
            ("broken chains", "0"),
            ("load of the machine before; after", load),
        ),
    )
