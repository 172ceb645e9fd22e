"""Worker processes for the tests of plays: killed by SIGKILL, or held where a test wants to kill them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from infra.plays.records import PlayRun
from tests.infra.test_plays import World
from tests.processes import until

ROOT = Path(__file__).parents[2]

# As the platform's own worker: it performs runs, and looks after those of dead ones. With a place to stop at
# it holds for ever there, so that a test kills it at exactly this step.
PROGRAM = """
import importlib, json, logging, sys, threading, time
from pathlib import Path
from foundation.assets import Assets
from foundation.database import Database
from foundation.jobs import Jobs
from foundation.settings import Changes, Platform, Plays as PlaySettings, Settings
from infra.plays import worker
from infra.plays.plays import Plays

url, given, stop_at, mark = sys.argv[1:]
logging.basicConfig(level=logging.INFO)
given = json.loads(given)
settings = Settings(
    platform=Platform(folder=Path(given["folder"])),
    plays=PlaySettings(**given["plays"]),
    changes=Changes(**given["changes"]),
)
database = Database(url, role="worker")
jobs = Jobs(database, heartbeat=0.2)
assets = Assets()
plays = Plays(database, jobs, settings, assets)
if stop_at:
    place, name, count = stop_at.split(":")
    owner = getattr(importlib.import_module(place), name.split(".")[0])
    attribute = name.split(".")[1]
    real, left = getattr(owner, attribute), [int(count)]

    def held(*words, **named):
        left[0] -= 1
        if left[0] == 0:
            Path(mark).touch()
            time.sleep(600)
        return real(*words, **named)

    setattr(owner, attribute, held)

def look():
    while True:
        time.sleep(0.3)
        try:
            plays.reconcile()
        except Exception as error:
            logging.warning("reconcile: %s", error)

threading.Thread(target=look, daemon=True).start()
worker.work(database, jobs, assets, settings.plays, lambda: False)
"""


class Worker:
    """A worker process.

    Args:
        world: whose runs it performs.
        log: file for all it says.
        stop_at: `module:Class.method:N`: where it holds for ever, at the Nth call; nowhere by default.
    """

    def __init__(self, world: World, log: Path, stop_at: str = "") -> None:
        self.log = log
        self._mark = log.with_suffix(".held")
        self._mark.unlink(missing_ok=True)
        settings = world.settings
        given = {
            "folder": str(settings.platform.folder),
            "plays": settings.plays.model_dump(mode="json"),
            "changes": settings.changes.model_dump(mode="json"),
        }
        argv = [sys.executable, "-c", PROGRAM, world.database.connection_info, json.dumps(given), stop_at]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*argv, str(self._mark)], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def held(self) -> bool:
        """Whether it has come to the place where it stops."""
        return self._mark.exists()

    def kill(self) -> None:
        """SIGKILL, as the kernel does it when memory is short."""
        self.process.kill()
        self.process.wait()


@contextmanager
def at_work(world: World, log: Path, **how: Any) -> Iterator[Worker]:
    """A worker for as long as the block lasts, or until it is killed there."""
    worker = Worker(world, log, **how)
    try:
        yield worker
    finally:
        worker.kill()


def ended(world: World, run_id: int) -> PlayRun:
    """A run when it has ended."""
    until(lambda: not world.run(run_id).under_way)
    return world.run(run_id)


def comes_to(world: World, run_id: int, state: str) -> PlayRun:
    """A run when it has come to a state."""
    until(lambda: world.run(run_id).state == state, f"the run is {state}")
    return world.run(run_id)


def locked(world: World) -> list[str]:
    """The devices that are held."""
    with world.database.transaction() as session:
        return [lock.device for lock in world.plays.locks.held(session)]
