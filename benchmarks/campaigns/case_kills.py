"""Eight clients issue licences while API, worker and PostgreSQL are killed; none is lost, none doubled."""

import contextlib
import heapq
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
from typing import Literal

from benchmarks.campaigns import Evidence, Failed
from benchmarks.faults.clients import Habit, Teller
from benchmarks.faults.platform import Platform, running
from benchmarks.faults.receiver import receiving
from benchmarks.faults.relay import Boundary, Trap, When, is_read

_CLIENTS: dict[Habit, int] = {"immediate": 4, "reviewed": 3, "withdrawn": 1}
RANDOM_KILLS = 60
SECONDS = 2_400.0
"""For the kills at boundaries; what is left of them then is told."""

_ROOT = Path(__file__).resolve().parents[2]
# Seconds: to learn the statements of a start and those of the work, for one boundary to be met, most between
# two cases of one client.
_START, _LEARN, _MEET, _PAUSE = 8.0, 25.0, 8.0, 3.0
_ONCE = 8

Victim = Literal["api", "worker", "postgres"]
_SENDERS: dict[str, Victim] = {"rakeeza api": "api", "rakeeza worker": "worker"}


@dataclass(frozen=True)
class _Kill:
    victim: Victim
    when: When
    boundary: Boundary


_Turn = tuple[int, bool, float, _Kill]


@dataclass
class _Observed:
    kills: Counter[str] = field(default_factory=Counter)
    learnt: Counter[str] = field(default_factory=Counter)
    met: set[Boundary] = field(default_factory=set)
    not_met: set[Boundary] = field(default_factory=set)
    untried: int = 0
    ended_alone: int = 0
    repeated: int = 0


def run(random_kills: int = RANDOM_KILLS, seconds: float = SECONDS) -> Evidence:
    """The campaign.

    Args:
        random_kills: beside those at the boundaries of statements.
        seconds: for those at boundaries.
    """
    observed = _Observed()
    with (
        tempfile.TemporaryDirectory(prefix="rakeeza-kills-", ignore_cleanup_errors=True) as name,
        receiving(Path(name) / "events.jsonl") as receiver,
    ):
        folder = Path(name)
        folder.chmod(0o711)
        with running(folder) as platform:
            started = _learn_start(platform)
            platform.subscribe(receiver)
            with _working(platform, folder, observed) as tellers:
                time.sleep(_LEARN)
                _at_boundaries(platform, tellers, started, seconds, observed)
                _at_random(platform, tellers, random_kills, observed)
            found = _checked(platform, folder)
    return _evidence(observed, found)


def _learn_start(platform: Platform) -> set[Boundary]:
    # Started a second time: the schema is there, and what is learnt can be met again.
    platform.relay.seen.clear()
    platform.relay.often.clear()
    for process in platform.processes.values():
        process.again()
    platform.await_api()
    time.sleep(_START)
    # And a third time, for all of it to have been met more than once.
    for process in platform.processes.values():
        process.again()
    platform.await_api()
    time.sleep(_START)
    return set(platform.relay.seen)


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
    platform: Platform, tellers: list[Teller], started: set[Boundary], seconds: float, observed: _Observed
) -> None:
    limit = time.monotonic() + seconds
    chance = random.Random(2026)
    known: set[Boundary] = set()
    waiting: list[_Turn] = []
    while True:
        # What is first met after a kill, as the return of a lost job, comes in its turn as all others.
        for boundary in _learnt(platform):
            if boundary not in known:
                known.add(boundary)
                observed.learnt[boundary.application] += 1
                for turn in _turns(boundary, platform.relay.seen[boundary], chance):
                    heapq.heappush(waiting, turn)
        if not waiting or time.monotonic() > limit:
            observed.untried = len(waiting)
            return
        *_, kill = heapq.heappop(waiting)
        if kill.boundary not in observed.not_met:
            _kill_at(platform, kill, kill.boundary in started, observed)
            _check(tellers)


def _turns(boundary: Boundary, statement: str, chance: random.Random) -> list[_Turn]:
    # Each boundary once, those of writes first, before any is met a second time by another victim.
    kills = _kills_at(boundary, statement)
    chance.shuffle(kills)
    return [(turn, is_read(statement), chance.random(), kill) for turn, kill in enumerate(kills)]


def _learnt(platform: Platform) -> list[Boundary]:
    # What each client meets once, as the definition that is kept with its first case, will not be met again.
    often = dict(platform.relay.often)
    return [b for b in list(platform.relay.seen) if b.application in _SENDERS and often[b] > _ONCE]


def _kills_at(boundary: Boundary, statement: str) -> list[_Kill]:
    sender = _SENDERS[boundary.application]
    if is_read(statement):
        # After it is before the next one: nothing has changed but what the sender knows.
        return [_Kill(sender, "before", boundary)]
    kills = [_Kill(sender, "before", boundary), _Kill(sender, "after", boundary)]
    return [*kills, *(_Kill("postgres", kill.when, boundary) for kill in kills)]


def _kill_at(platform: Platform, kill: _Kill, at_start: bool, observed: _Observed) -> None:
    trap = Trap(kill.boundary, kill.when, lambda: _kill(platform, kill.victim))
    sender = platform.processes[_SENDERS[kill.boundary.application]]
    platform.relay.set(trap)
    met = not at_start and trap.sprung.wait(_MEET)
    if not met:
        # Perhaps it is sent at a start only.
        sender.kill()
        observed.kills[f"{sender.role}, to have it start"] += 1
        sender.again()
        met = trap.sprung.wait(_MEET)
    platform.relay.set(None)
    if met:
        observed.kills[f"{kill.victim}, {kill.when} a statement"] += 1
        observed.met.add(kill.boundary)
    elif kill.boundary not in observed.met:
        observed.not_met.add(kill.boundary)
    _revive(platform, observed, kill.victim if met else None)


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


def _revive(platform: Platform, observed: _Observed, killed: Victim | None = None) -> None:
    for role, process in platform.processes.items():
        if not process.alive:
            observed.ended_alone += role != killed
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


def _evidence(observed: _Observed, found: list[tuple[str, str]]) -> Evidence:
    return Evidence(
        story=(
            "Eight clients work through REST, each request repeated under its key until it is answered, and "
            "write down what they were told: some have licences of activities that are issued on payment, "
            "some hand in documents, are approved by an officer and pay in two parts, one withdraws when it "
            "is billed and pays all the same. A receiver of webhooks notes what it gets, and refuses one "
            "message in 1,000. A relay before PostgreSQL kills (SIGKILL) at the boundary of each statement "
            "that the API and the worker send: before the server has it, and after it has answered and "
            "before the client hears of it; a statement after others in its transaction is another boundary "
            "than after none. Then kills come at random. Whatever was killed is started again. A separate "
            "program then compares what the clients and the receiver were told with the database."
        ),
        figures=(
            ("clients", ", ".join(f"{count} {habit}" for habit, count in _CLIENTS.items())),
            ("kills", str(observed.kills.total())),
            *((f"kills: {name}", str(count)) for name, count in sorted(observed.kills.items())),
            *((f"boundaries of {name}", str(count)) for name, count in sorted(observed.learnt.items())),
            ("boundaries killed at", str(len(observed.met))),
            ("boundaries not met again", str(len(observed.not_met))),
            ("kills left when the time was over", str(observed.untried)),
            ("processes that ended because PostgreSQL was gone", str(observed.ended_alone)),
            ("requests repeated", str(observed.repeated)),
            *found,
        ),
    )
