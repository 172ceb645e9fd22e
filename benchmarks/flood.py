"""One centre floods both faces with signed applications; the others' median latency stays what it was.

`python -m benchmarks.flood [SECONDS [open]]`. Twelve centres work at a steady pace, their applications by
turns of the faces, and are timed from the moment at which each was due. In turn: alone, and beside another
that keeps 64 connections busy and does not wait when it is told to. Its requests are signed beforehand, so
that the machine's cores bear its flood and not its signing. `open` leaves out what holds it back.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks._centres import Centre, enrol
from benchmarks._http_load import Connection, load_now, percentile
from benchmarks.faults.platform import Served
from foundation.postgres import PrivatePostgres

_GOAL = 1.2
_OTHERS, _CONNECTIONS = 12, 64
_PACE = 0.5  # applications a second of each of the others
_ROUNDS = 5
_PREPARED = 2_000


@dataclass
class _Seen:
    times: list[float] = field(default_factory=list)
    refused: int = 0


def main() -> None:
    """Print the figures."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 12.0
    print(f"load {load_now()}")
    with tempfile.TemporaryDirectory(prefix="rakeeza-bench-") as name:
        folder = Path(name)
        # PostgreSQL runs as another user under root, who has to pass through.
        folder.chmod(0o711)
        with PrivatePostgres(folder / "postgres", max_connections=60).lease() as url:
            share = {"http": {"centre_share": 1.0}} if "open" in sys.argv[2:] else {}
            served = Served(folder, url, ("api",), apis=2, clients=(), further=share)
            try:
                _compare(served, folder, seconds)
            finally:
                served.stop()
    print(f"load {load_now()}")


def _compare(served: Served, folder: Path, seconds: float) -> None:
    *others, flood = enrol(served.settings, [f"centre-{number}" for number in range(1, _OTHERS + 2)], 2)
    for each in (*others, flood):
        each.sign_in(served.port)
    application = served.example()
    # A process meets a definition for the first time once.
    _pace(others, application, 6.0)
    alone: list[float] = []
    beside: list[float] = []
    tails: dict[str, list[float]] = {"alone": [], "beside": []}
    told: Counter[str] = Counter()
    for _ in range(_ROUNDS):
        for name, medians in (("alone", alone), ("beside", beside)):
            flooding = None
            if name == "beside":
                flooding = _Flood(folder, flood, application, served.port, seconds + 6.0)
                # It has spent what it had saved up before the others are looked at.
                time.sleep(5.0)
            seen = _pace(others, application, seconds)
            if flooding is not None:
                told.update(flooding.end())
            if seen.refused:
                raise RuntimeError(f"{seen.refused} requests of the others were refused")
            medians.append(percentile(seen.times, 0.5))
            tails[name].append(percentile(seen.times, 0.99))
    quiet, loud = statistics.median(alone), statistics.median(beside)
    print(
        f"{_OTHERS} centres at {_PACE}/s each, {_ROUNDS} rounds of {seconds:.0f} s in turn; 2 API processes"
    )
    print(f"alone           p50 {quiet:6.1f} ms  p99 {statistics.median(tails['alone']):6.1f} ms")
    print(f"beside a flood  p50 {loud:6.1f} ms  p99 {statistics.median(tails['beside']):6.1f} ms")
    answers = ", ".join(f"{count} of {status}" for status, count in sorted(told.items()))
    print(f"the flood ({_CONNECTIONS} connections) was answered: {answers}")
    ratios = ", ".join(f"{after / before:.2f}" for before, after in zip(alone, beside, strict=True))
    print(f"median beside / alone: {loud / quiet:.2f} (wanted at most {_GOAL}); by round {ratios}")


def _pace(centres: list[Centre], application: dict[str, Any], seconds: float) -> _Seen:
    """What the centres meet, each at its own pace."""
    seen, lock = _Seen(), threading.Lock()

    def work(number: int, centre: Centre) -> None:
        connection, clerk = Connection(centre.port), centre.clerks[0]
        begin = time.perf_counter() + 0.1 + number / len(centres) / _PACE
        for turn in range(max(2, int(seconds * _PACE))):
            due = begin + turn / _PACE
            octets = (
                centre.by_soap(clerk, "submit", None, application)
                if turn % 2
                else centre.by_rest(clerk, "POST", "/v1/cases", application)
            )
            time.sleep(max(0.0, due - time.perf_counter()))
            status, _ = connection.ask(octets)
            with lock:
                seen.times.append(time.perf_counter() - due)
                seen.refused += status not in (200, 201)
        connection.close()

    threads = [threading.Thread(target=work, args=each) for each in enumerate(centres)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


class _Flood:
    """A process that floods; its requests are signed when this returns."""

    def __init__(
        self, folder: Path, centre: Centre, application: dict[str, Any], port: int, seconds: float
    ) -> None:
        prepared = folder / "flood"
        with prepared.open("wb") as file:
            for number in range(_PREPARED):
                clerk = centre.clerks[number % 2]
                octets = (
                    centre.by_soap(clerk, "submit", None, application)
                    if number % 2
                    else centre.by_rest(clerk, "POST", "/v1/cases", application)
                )
                file.write(len(octets).to_bytes(4, "big") + octets)
        command = [sys.executable, "-m", "benchmarks._flooding", str(prepared), str(port), str(seconds)]
        self._process = subprocess.Popen(
            [*command, str(_CONNECTIONS)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )

    def end(self) -> dict[str, int]:
        """Answers by status, when it is over."""
        told, _ = self._process.communicate(timeout=120)
        if self._process.returncode:
            raise RuntimeError("the flood failed")
        found: dict[str, int] = json.loads(told)
        return found


if __name__ == "__main__":
    main()
