"""Plays against bare `ansible-playbook`: the same playbook, host, configuration and options, in pairs.

`python -m benchmarks.plays [PAIRS]`. Ours is the whole way of a run: folder, guard, Ansible, events and
results in PostgreSQL (whose own CPU, as sshd's, is not counted). CPU is counted in seconds of this process
and of every process it waits for, and is the figure to judge by; wall time depends on what else is running.
"""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from foundation.assets import Asset, Assets, Kind
from foundation.database import migrate, open_database
from foundation.definitions import Bilingual
from foundation.guard import Guard
from foundation.jobs import Jobs
from foundation.settings import Platform, Settings
from foundation.settings import Plays as PlaySettings
from infra.plays import runner
from infra.plays.plays import Plays
from infra.plays.records import get_run
from lab import sshd

_LOOP = """\
- name: Many events
  hosts: all
  gather_facts: false
  vars:
    about:
      title: {ar: أحداث كثيرة, en: Many events}
      purpose: {ar: قياس كلفة الأحداث, en: Measures what events cost}
      risk: reads
      approval: none
      window: always
      targets: [host]
  tasks:
    - name: Loop
      ansible.builtin.debug: {msg: "{{ item }}"}
      loop: "{{ range(4000) | list }}"
"""


@dataclass(frozen=True)
class Cost:
    """What one run cost: seconds of wall time and of CPU."""

    wall: float
    cpu: float


def measured(work: Callable[[], None]) -> Cost:
    """The cost of a piece of work."""
    wall, cpu = time.monotonic(), _cpu()
    work()
    return Cost(time.monotonic() - wall, _cpu() - cpu)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class Bench:
    """A lab server, a platform without workers, and both ways to run a playbook on it.

    Args:
        folder: for everything.
        plays: the platform's plays.
    """

    def __init__(self, folder: Path, plays: Plays) -> None:
        self._folder = folder
        self._plays = plays

    def ours(self, name: str) -> None:
        """Run a playbook as the platform does."""
        with self._plays.database.transaction() as session:
            run_id = self._plays.request(session, name, requested_by="benchmark", enqueue=False)
        self._plays.perform(run_id)
        with self._plays.database.transaction() as session:
            run = get_run(session, run_id)
            assert run.state == "successful", run.reason

    def bare(self, name: str) -> None:
        """Run it by `ansible-playbook` alone, with the inventory and the configuration that ours writes."""
        playbook = self._plays.playbook(name)
        folder = self._folder / "bare" / name
        with self._plays.database.transaction() as session:
            inventory = self._plays.inventory(session, playbook)
        order = runner.Order(name, playbook.files(), inventory, parameters=playbook.values({}))
        runner.prepare(folder, order)
        with tempfile.TemporaryDirectory(prefix="rk-", dir="/tmp") as sockets:
            text = runner.configuration(folder, order.forks, Path(sockets))
            (folder / "ansible.cfg").write_text(text, encoding="utf-8")
            argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-e", "@env/extravars"]
            environment = {**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
            with (folder / "output.log").open("wb") as log:
                subprocess.run(
                    [*argv, f"project/{name}.yml"],
                    cwd=folder,
                    env=environment,
                    stdout=log,
                    stderr=log,
                    check=True,
                )
            for control in Path(sockets).iterdir():
                subprocess.run(
                    ["ssh", "-o", f"ControlPath={control}", "-O", "exit", "x"],
                    check=True,
                    capture_output=True,
                )


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Everything started, and ended with the block."""
    with tempfile.TemporaryDirectory(prefix="rakeeza-bench-") as name, Guard() as guard:
        folder = Path(name)
        folder.chmod(0o711)
        extra = folder / "playbooks"
        extra.mkdir()
        (extra / "many_events.yml").write_text(_LOOP, encoding="utf-8")
        server = sshd.start(guard, folder / "sshd")
        settings = Settings(
            platform=Platform(folder=folder / "platform"), plays=PlaySettings(folders=(extra,))
        )
        with open_database(settings) as database:
            migrate(database)
            assets = Assets()
            title = Bilingual(ar="خادم", en="Server")
            with database.transaction() as session:
                host = Asset("lab-server", Kind.HOST, title, attributes=server.attributes())
                assets.add(session, host, actor="benchmark")
            yield Bench(folder, Plays(database, Jobs(database), settings, assets))


def compare(one: Bench, name: str, pairs: int) -> dict[str, object]:
    """Run a playbook both ways in turn; the first of a pair changes from pair to pair."""
    one.bare(name)
    one.ours(name)
    bare: list[Cost] = []
    ours: list[Cost] = []
    for pair in range(pairs):
        for way in ("bare", "ours") if pair % 2 == 0 else ("ours", "bare"):
            if way == "bare":
                bare.append(measured(lambda: one.bare(name)))
            else:
                ours.append(measured(lambda: one.ours(name)))
    return {
        "playbook": name,
        "pairs": pairs,
        "bare_cpu_s": round(statistics.median(cost.cpu for cost in bare), 2),
        "ours_cpu_s": round(statistics.median(cost.cpu for cost in ours), 2),
        "cpu_ratio": round(statistics.median(o.cpu / b.cpu for b, o in zip(bare, ours, strict=True)), 2),
        "wall_ratio": round(statistics.median(o.wall / b.wall for b, o in zip(bare, ours, strict=True)), 2),
    }


def main() -> None:
    """Print one JSON line a playbook."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with bench() as one:
        for name in ("baseline", "many_events"):
            print(json.dumps(compare(one, name, pairs)), flush=True)


if __name__ == "__main__":
    main()
