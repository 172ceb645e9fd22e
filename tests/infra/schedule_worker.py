"""Does what is due: `python -m tests.infra.schedule_worker URL FOLDER PLAYBOOKS CLOCK [stuck]`.

CLOCK is a file with the moment that it takes for now. `stuck` stops in the middle of the first request, with
its transaction open, and says so.
"""

import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from foundation.assets import Assets
from foundation.database import Database
from foundation.jobs import Jobs
from foundation.settings import Platform, Settings
from foundation.settings import Plays as PlaySettings
from infra.plays.plays import Plays
from infra.plays.schedules import Schedules
from tests.processes import ROOT

RIYADH = ZoneInfo("Asia/Riyadh")
_STEP = 0.01


class _Stuck(Plays):
    def request(self, *arguments: Any, **named: Any) -> int:
        run = super().request(*arguments, **named)
        print("in the middle", flush=True)
        time.sleep(3600)
        return run


def schedules_of(database: Database, folder: Path, playbooks: Path, kind: type[Plays] = Plays) -> Schedules:
    """The schedules of a database, with playbooks of a test."""
    settings = Settings(platform=Platform(folder=folder), plays=PlaySettings(folders=(playbooks,)))
    return Schedules(database, kind(database, Jobs(database), settings, Assets()), RIYADH)


def start(url: str, folder: Path, playbooks: Path, clock: Path, *words: str) -> "subprocess.Popen[str]":
    """Start one; whoever does ends it."""
    argv = [sys.executable, "-m", __name__, url, str(folder), str(playbooks), str(clock), *words]
    return subprocess.Popen(argv, cwd=ROOT, text=True, stdout=subprocess.PIPE)


def main() -> None:
    """Look, again and again."""
    url, folder, playbooks, clock, *stuck = sys.argv[1:]
    database = Database(url, role="test")
    schedules = schedules_of(database, Path(folder), Path(playbooks), _Stuck if stuck else Plays)
    print("alive", flush=True)
    while True:
        schedules.due(datetime.fromisoformat(Path(clock).read_text(encoding="ascii")))
        time.sleep(_STEP)


if __name__ == "__main__":
    main()
