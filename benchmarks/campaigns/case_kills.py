"""Eight clients issue licences while API, worker and PostgreSQL are killed; none is lost, none doubled."""

import itertools
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Literal

from benchmarks.campaigns import Evidence, Failed
from benchmarks.faults.clients import Teller
from benchmarks.faults.platform import Platform, running
from benchmarks.faults.relay import Trap, When

CLIENTS = 8
RANDOM_KILLS = 60
_ROOT = Path(__file__).resolve().parents[2]
# Seconds: for one boundary to be met by a client, and for the warm-up that learns the statements.
_MEET, _LEARN = 30.0, 12.0

Victim = Literal["api", "worker", "postgres"]


def run(random_kills: int = RANDOM_KILLS) -> Evidence:
    """The campaign.

    Args:
        random_kills: beside those at the boundaries of statements.
    """
    with tempfile.TemporaryDirectory(prefix="rakeeza-kills-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        with running(folder) as platform:
            kills, statements, tellers = _break(platform, folder, random_kills)
            found = _checked(platform, folder)
        return _evidence(kills, statements, tellers, found)


def _break(
    platform: Platform, folder: Path, random_kills: int
) -> tuple[Counter[str], dict[str, int], list[Teller]]:
    stop = threading.Event()
    application = platform.example()
    tellers = [
        Teller(platform.base, platform.tokens, application, folder / f"told-{number}.jsonl")
        for number in range(CLIENTS)
    ]
    threads = [threading.Thread(target=teller.work, args=(stop,)) for teller in tellers]
    for thread in threads:
        thread.start()
    try:
        time.sleep(_LEARN)
        seen = {name: set(found) for name, found in platform.relay.seen.items()}
        kills = _at_boundaries(platform, seen)
        kills += _at_random(platform, random_kills)
    finally:
        _revive(platform)
        stop.set()
        for thread in threads:
            thread.join(120)
    faults = [fault for teller in tellers for fault in teller.faults]
    if faults or any(thread.is_alive() for thread in threads):
        raise Failed(f"clients were told of a fault or hang: {faults[:5]}")
    learnt = {name: len(found) for name, found in seen.items() if name in ("rakeeza api", "rakeeza worker")}
    return kills, learnt, tellers


def _at_boundaries(platform: Platform, seen: dict[str, set[str]]) -> Counter[str]:
    kills: Counter[str] = Counter()
    whens: tuple[When, ...] = ("before", "after")
    victims: tuple[tuple[str, Victim], ...] = (
        ("rakeeza api", "api"),
        ("rakeeza api", "postgres"),
        ("rakeeza worker", "worker"),
    )
    for (application, victim), when in itertools.product(victims, whens):
        for statement in sorted(seen.get(application, ())):
            trap = Trap(application, statement, when, lambda victim=victim: _kill(platform, victim))  # type: ignore[misc]
            platform.relay.set(trap)
            met = trap.sprung.wait(_MEET)
            platform.relay.set(None)
            kills[f"{victim}, {when} a statement" if met else f"{victim}, boundary not met again"] += 1
            _revive(platform)
    return kills


def _at_random(platform: Platform, count: int) -> Counter[str]:
    kills: Counter[str] = Counter()
    chance = random.Random(2026)
    for _ in range(count):
        time.sleep(chance.uniform(0.1, 1.5))
        victim: Victim = chance.choice(("api", "worker", "postgres"))
        _kill(platform, victim)
        kills[f"{victim}, at random"] += 1
        _revive(platform)
    return kills


def _kill(platform: Platform, victim: Victim) -> None:
    if victim == "postgres":
        platform.kill_postgres()
    else:
        platform.processes[victim].kill()


def _revive(platform: Platform) -> None:
    for process in platform.processes.values():
        limit = time.monotonic() + 0.2
        while process.alive and time.monotonic() < limit:
            time.sleep(0.02)
        if not process.alive:
            process.again()
    platform.await_api()


def _checked(platform: Platform, folder: Path) -> list[tuple[str, str]]:
    # A program of its own, that shares nothing with the platform but SQL and the clients' files.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults.checker", platform.url, str(folder)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise Failed(f"the checker found: {done.stdout}{done.stderr}")
    return [(name, value) for name, _, value in (line.partition("\t") for line in done.stdout.splitlines())]


def _evidence(
    kills: Counter[str], statements: dict[str, int], tellers: list[Teller], found: list[tuple[str, str]]
) -> Evidence:
    done = sum(count for name, count in kills.items() if "not met" not in name)
    return Evidence(
        story=(
            "Eight clients submit, quote, bill and pay, each request repeated under its key until it is "
            "answered, and write down what they were told. A relay before PostgreSQL kills (SIGKILL) at the "
            "boundary of each statement that the API and the worker send: before the server has it, and "
            "after it has answered and before the client hears of it; then kills come at random. Whatever "
            "was killed is started again. A separate program then compares what the clients were told with "
            "the database."
        ),
        figures=(
            ("clients", str(CLIENTS)),
            ("kills", str(done)),
            *((f"kills: {name}", str(count)) for name, count in sorted(kills.items())),
            *((f"statements of {name}", str(count)) for name, count in sorted(statements.items())),
            ("requests repeated", str(sum(teller.retries for teller in tellers))),
            *found,
        ),
    )
