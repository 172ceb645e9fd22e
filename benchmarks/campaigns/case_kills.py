"""Eight clients issue licences while API, worker and PostgreSQL are killed; none is lost, none doubled."""

import contextlib
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.campaigns import Evidence, Failed
from benchmarks.faults.clients import Habit, Teller
from benchmarks.faults.plan import Plan, Victim
from benchmarks.faults.platform import Platform, running
from benchmarks.faults.receiver import receiving

_CLIENTS: dict[Habit, int] = {"immediate": 4, "reviewed": 3, "withdrawn": 1}
RANDOM_KILLS = 60
SECONDS = 2_700.0
"""For the kills at boundaries, at most; they end when none was met for a while."""

_ROOT = Path(__file__).resolve().parents[2]
# Seconds: for one more boundary to be met, most between two cases of one client.
_MEET, _PAUSE = 10.0, 3.0
# Waits in vain, with a start of each process between them, after which the rest will not be met again.
_IN_VAIN = 8

_SENDERS: dict[str, Victim] = {"rakeeza api": "api", "rakeeza worker": "worker"}
_STARTED: tuple[Victim, ...] = ("api", "worker")


@dataclass
class _Observed:
    kills: Counter[str] = field(default_factory=Counter)
    ended_alone: int = 0
    repeated: int = 0
    in_time: bool = True


def run(random_kills: int = RANDOM_KILLS, seconds: float = SECONDS) -> Evidence:
    """The campaign.

    Args:
        random_kills: beside those at the boundaries of statements.
        seconds: for those at boundaries, at most.
    """
    observed = _Observed()
    with (
        tempfile.TemporaryDirectory(prefix="rakeeza-kills-", ignore_cleanup_errors=True) as name,
        receiving(Path(name) / "events.jsonl") as receiver,
    ):
        folder = Path(name)
        folder.chmod(0o711)
        with running(folder) as platform:
            platform.subscribe(receiver)
            plan = Plan(_SENDERS, lambda victim: _kill(platform, victim), random.Random(2026))
            platform.relay.set(plan.watch)
            with _working(platform, folder, observed) as tellers:
                _at_boundaries(platform, tellers, plan, seconds, observed)
                _at_random(platform, tellers, random_kills, observed)
            found = _checked(platform, folder)
    return _evidence(observed, plan, found)


@contextlib.contextmanager
def _working(platform: Platform, folder: Path, observed: _Observed) -> Iterator[list[Teller]]:
    stop = threading.Event()
    application = platform.example()
    tellers = [
        Teller(platform.base, platform.tokens, application, folder / f"told-{number}.jsonl", habit, _PAUSE)
        for number, habit in enumerate(habit for habit, count in _CLIENTS.items() for _ in range(count))
    ]
    threads = [threading.Thread(target=teller.work, args=(stop,)) for teller in tellers]
    for thread in threads:
        thread.start()
    try:
        yield tellers
    finally:
        platform.relay.set(None)
        _revive(platform, observed)
        stop.set()
        for thread in threads:
            thread.join(120)
    _check(tellers)
    if any(thread.is_alive() for thread in threads):
        raise Failed("a client still waits for its answer")
    observed.repeated = sum(teller.retries for teller in tellers)


def _check(tellers: list[Teller]) -> None:
    faults = [fault for teller in tellers for fault in teller.faults]
    if faults:
        raise Failed(f"clients were told of a fault: {faults}")


def _at_boundaries(
    platform: Platform, tellers: list[Teller], plan: Plan, seconds: float, observed: _Observed
) -> None:
    limit = time.monotonic() + seconds
    in_vain = 0
    plan.begin()
    while in_vain < _IN_VAIN and observed.in_time:
        kills = plan.await_kills(_MEET)
        for kill in kills:
            observed.kills[f"{kill.victim}, {kill.when} a statement"] += 1
        in_vain = 0 if kills else in_vain + 1
        if not kills:
            # Perhaps what is left is sent at a start only.
            role = _STARTED[in_vain % len(_STARTED)]
            platform.processes[role].again()
            observed.kills[f"{role}, to have it start"] += 1
        _revive(platform, observed, *(kill.victim for kill in kills))
        _check(tellers)
        observed.in_time = time.monotonic() < limit
    plan.end()
    _revive(platform, observed)


def _at_random(platform: Platform, tellers: list[Teller], count: int, observed: _Observed) -> None:
    chance = random.Random(2026)
    for _ in range(count):
        time.sleep(chance.uniform(0.1, 1.5))
        victim: Victim = chance.choice(("api", "worker", "postgres"))
        _kill(platform, victim)
        observed.kills[f"{victim}, at random"] += 1
        _revive(platform, observed, victim)
        _check(tellers)


def _kill(platform: Platform, victim: Victim) -> None:
    if victim == "postgres":
        platform.kill_postgres()
    else:
        platform.processes[victim].kill()


def _revive(platform: Platform, observed: _Observed, *killed: Victim) -> None:
    for role, process in platform.processes.items():
        if not process.alive:
            observed.ended_alone += role not in killed
            process.again()
    platform.await_api()


def _checked(platform: Platform, folder: Path) -> list[tuple[str, str]]:
    # A program of its own, that shares nothing with the platform but SQL and the clients' files.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults.checker", platform.url, str(folder)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=3_600,
        check=False,
    )
    if done.returncode:
        raise Failed(f"the checker found: {done.stdout}{done.stderr}")
    return [(name, value) for name, _, value in (line.partition("\t") for line in done.stdout.splitlines())]


def _evidence(observed: _Observed, plan: Plan, found: list[tuple[str, str]]) -> Evidence:
    met = Counter(boundary.application for boundary in plan.left)
    killed_at = {kill.boundary for kill in plan.done}
    left = sum(len(kills) for kills in plan.left.values())
    return Evidence(
        story=(
            "Eight clients work through REST, each request repeated under its key until it is answered, and "
            "write down what they were told: some have licences of activities that are issued on payment, "
            "some hand in documents, are approved by an officer and pay in two parts, one withdraws when it "
            "is billed and pays all the same. A receiver of webhooks notes what it gets, and refuses one "
            "message in 1,000. A relay before PostgreSQL kills (SIGKILL) at the boundary of each statement "
            "that the API and the worker send: before the server has it, and after it has answered and "
            "before the client hears of it; a statement after others in its transaction is another boundary "
            "than after none. Each boundary is killed at when it is first met, and again until sender and "
            "PostgreSQL were both killed before and after it. Then kills come at random. Whatever was killed "
            "is started again. A separate program then compares what the clients and the receiver were told "
            "with the database."
        ),
        figures=(
            ("clients", ", ".join(f"{count} {habit}" for habit, count in _CLIENTS.items())),
            ("kills", str(observed.kills.total())),
            *((f"kills: {name}", str(count)) for name, count in sorted(observed.kills.items())),
            *((f"boundaries of {name}", str(count)) for name, count in sorted(met.items())),
            ("boundaries killed at", str(len(killed_at))),
            ("boundaries whose sender died elsewhere at that moment", str(len(plan.left.keys() - killed_at))),
            ("further kills whose boundary was not met again", str(left)),
            ("all of it done in its time", "yes" if observed.in_time else "no"),
            ("processes that ended because PostgreSQL was gone", str(observed.ended_alone)),
            ("requests repeated", str(observed.repeated)),
            *found,
        ),
    )
