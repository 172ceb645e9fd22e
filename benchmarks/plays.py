"""Plays against bare `ansible-playbook`: the same playbook, hosts, configuration and options, in pairs.

`python -m benchmarks.plays [PAIRS]`. `runner` is what starts, reads and ends Ansible; `whole` is a run as the
platform performs it, with events and results in PostgreSQL (whose own CPU, as sshd's, is not counted). CPU is
counted in seconds of this process and of every process it waits for, and is the figure to judge by; wall time
depends on what else is running, so it is judged only where twenty hosts wait for one another.
"""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn

from foundation import events
from foundation.assets import Asset, Assets, Kind
from foundation.database import migrate, open_database
from foundation.definitions import Bilingual
from foundation.guard import Guard, free_port
from foundation.http import create_app
from foundation.identity import Identity, Role
from foundation.jobs import Jobs
from foundation.secret import SecretFile
from foundation.settings import Platform, Settings
from foundation.settings import Plays as PlaySettings
from infra.plays import http as plays_http
from infra.plays import runner
from infra.plays.plays import Plays
from infra.plays.records import get_run
from lab import sshd

_HOSTS = 20
_SEEN = 20
_HEAD = """\
- name: {name}
  hosts: all
  gather_facts: false
  vars:
    about:
      title: {{ar: قياس, en: Measurement}}
      purpose: {{ar: قياس الكلفة, en: Measures what a run costs}}
      risk: reads
      approval: none
      window: always
      targets: [host]
  tasks:
"""
_TASKS = {
    # Such as a baseline has: facts are not gathered, files are looked at and written.
    "local": """\
    - ansible.builtin.command: "true"
    - ansible.builtin.copy: {dest: "{{ ansible_remote_tmp }}/a", content: "one line\\n"}
    - ansible.builtin.stat: {path: /etc/passwd}
    - ansible.builtin.lineinfile: {path: "{{ ansible_remote_tmp }}/b", line: another, create: true}
    - ansible.builtin.debug: {msg: done}
""",
    "many_events": """\
    - ansible.builtin.debug: {msg: "{{ item }}"}
      loop: "{{ range(4000) | list }}"
""",
    "twenty_hosts": """\
    - ansible.builtin.ping:
    - ansible.builtin.command: uptime
    - ansible.builtin.stat: {path: /etc/passwd}
    - ansible.builtin.copy: {dest: "{{ ansible_remote_tmp }}/c", content: "one line\\n"}
""",
    "moments": f"""\
    - ansible.builtin.debug: {{msg: "{{{{ lookup('pipe', 'date +%s.%N') }}}}"}}
      loop: "{{{{ range({_SEEN}) | list }}}}"
      loop_control: {{pause: 0.2}}
""",
}
_LIMITS = {"local": "here", "moments": "here", "many_events": "host-00", "twenty_hosts": "!here"}


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
    """Lab servers, a platform without workers, and the ways to run a playbook on it.

    Args:
        folder: for everything.
        plays: the platform's plays.
        jobs: the platform's jobs.
        identity: the platform's identities.
    """

    def __init__(self, folder: Path, plays: Plays, jobs: Jobs, identity: Identity) -> None:
        self._folder = folder
        self._plays = plays
        self._jobs = jobs
        self._identity = identity
        self._count = 0

    def whole(self, name: str) -> None:
        """Run a playbook as the platform does."""
        run_id = self.request(name)
        self._plays.perform(run_id)
        self._check(run_id)

    def alone(self, name: str) -> None:
        """Run it by the runner alone, which nobody listens to but this."""
        self._count += 1
        end: dict[str, object] = {}
        for batch in runner.run(self._folder / "runner" / str(self._count), self._order(name)):
            end = batch[-1] if batch else end
        assert end["status"] == "successful", end

    def bare(self, name: str) -> None:
        """Run it by `ansible-playbook` alone, with the inventory and the configuration that ours writes."""
        order = self._order(name)
        folder = self._folder / "bare" / name
        runner.prepare(folder, order)
        with tempfile.TemporaryDirectory(prefix="rk-", dir="/tmp") as sockets:
            text = runner.configuration(folder, order.forks, Path(sockets))
            (folder / "ansible.cfg").write_text(text, encoding="utf-8")
            argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-e", "@env/extravars"]
            argv += ["--limit", str(order.limit), f"project/{name}.yml"]
            environment = {**os.environ, "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
            with (folder / "output.log").open("wb") as log:
                subprocess.run(argv, cwd=folder, env=environment, stdout=log, stderr=log, check=True)
            # The connections that ssh keeps are ended by a run too.
            for control in Path(sockets).iterdir():
                subprocess.run(
                    ["ssh", "-o", f"ControlPath={control}", "-O", "exit", "x"],
                    check=True,
                    capture_output=True,
                )

    def request(self, name: str, *, enqueue: bool = False) -> int:
        """Ask for a run of a playbook."""
        with self._plays.database.transaction() as session:
            return self._plays.request(
                session, name, requested_by="benchmark", limit=_LIMITS[name], enqueue=enqueue
            )

    def start(self) -> float:
        """Milliseconds from the commit that asks for a run to its start by a worker that waits."""
        run_id = self.request("local", enqueue=True)
        asked = time.time()
        while True:
            with self._plays.database.transaction() as session:
                run = get_run(session, run_id)
                if run.finished_at is not None:
                    assert run.started_at is not None
                    return (run.started_at.timestamp() - asked) * 1000
            time.sleep(0.05)

    @contextlib.contextmanager
    def worker(self) -> Iterator[None]:
        """A worker beside us, that waits."""
        with _beside(lambda stop: self._jobs.work(None, 1, stop.is_set)):
            time.sleep(2)
            yield

    def seen(self) -> dict[str, list[float]]:
        """Seconds from a moment that a task tells to the moment that a reader is told of it, by reader."""
        run_id = self.request("moments")
        late: dict[str, list[float]] = {"follow": [], "server_sent": []}
        readers = [
            threading.Thread(target=self._follow, args=(run_id, late["follow"])),
            threading.Thread(target=self._server_sent, args=(run_id, late["server_sent"])),
        ]
        for reader in readers:
            reader.start()
        time.sleep(1.5)
        self._plays.perform(run_id)
        for reader in readers:
            reader.join()
        self._check(run_id)
        return late

    def _follow(self, run_id: int, late: list[float]) -> None:
        ended = threading.Event()
        database = self._plays.database
        for event in events.follow(database, after=None, subject=f"play/{run_id}", stop=ended.is_set):
            if event.kind == "play.item":
                late.append(time.time() - float(event.payload["message"]))
            elif event.kind == "play.finished":
                ended.set()

    def _server_sent(self, run_id: int, late: list[float]) -> None:
        with self._served() as client, client.stream("GET", f"/v1/plays/runs/{run_id}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("data: ") and "message" in (told := json.loads(line[6:])):
                    late.append(time.time() - float(told["message"]))

    @contextlib.contextmanager
    def _served(self) -> Iterator[httpx.Client]:
        app = create_app("benchmark", max_body=10_000)
        app.include_router(plays_http.router(self._plays, self._identity))
        with self._plays.database.transaction() as session:
            secret = self._identity.add_client(session, "benchmark", [Role.ENGINEER], "benchmark")
        token = self._identity.token("benchmark", secret).token.reveal()
        port = free_port()
        server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            headers = {"Authorization": f"Bearer {token}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()

    def _order(self, name: str) -> runner.Order:
        playbook = self._plays.playbook(name)
        with self._plays.database.transaction() as session:
            inventory = self._plays.inventory(session, playbook)
        files, values = playbook.files(), playbook.values({})
        return runner.Order(name, files, inventory, limit=_LIMITS[name], parameters=values)

    def _check(self, run_id: int) -> None:
        with self._plays.database.transaction() as session:
            run = get_run(session, run_id)
            assert run.state == "successful", run.reason


@contextlib.contextmanager
def _beside(work: Callable[[threading.Event], None]) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Everything started, and ended with the block."""
    with tempfile.TemporaryDirectory(prefix="rakeeza-bench-") as name, Guard() as guard:
        folder = Path(name)
        folder.chmod(0o711)
        extra = folder / "playbooks"
        extra.mkdir()
        for play, tasks in _TASKS.items():
            text = _HEAD.format(name=play.replace("_", " ").capitalize()) + tasks
            (extra / f"{play}.yml").write_text(text, encoding="utf-8")
        servers = [sshd.start(guard, folder / f"sshd-{number}", f"sshd-{number}") for number in range(_HOSTS)]
        settings = Settings(
            platform=Platform(folder=folder / "platform"), plays=PlaySettings(folders=(extra,))
        )
        with open_database(settings) as database:
            migrate(database)
            assets, title = Assets(), Bilingual(ar="خادم", en="Server")
            hosts = {f"host-{number:02}": server.attributes() for number, server in enumerate(servers)}
            here = folder / "here"
            here.mkdir()
            hosts["here"] = {
                "ansible_host": "localhost",
                "ansible_connection": "local",
                "ansible_remote_tmp": str(here),
            }
            with database.transaction() as session:
                for host, attributes in hosts.items():
                    assets.add(
                        session, Asset(host, Kind.HOST, title, attributes=attributes), actor="benchmark"
                    )
            jobs = Jobs(database)
            identity = Identity(database, SecretFile(folder / "secrets.json", folder / "secrets.key"), 600)
            yield Bench(folder, Plays(database, jobs, settings, assets), jobs, identity)


def compare(one: Bench, name: str, pairs: int) -> dict[str, object]:
    """Run a playbook all ways in turn; which way is first changes from turn to turn."""
    ways = {"bare": one.bare, "runner": one.alone, "whole": one.whole}
    costs: dict[str, list[Cost]] = {way: [] for way in ways}
    for work in ways.values():
        work(name)
    for pair in range(pairs):
        order = list(ways) if pair % 2 == 0 else list(reversed(ways))
        for way in order:
            costs[way].append(measured(lambda work=ways[way]: work(name)))  # type: ignore[misc]
    found: dict[str, object] = {"playbook": name, "pairs": pairs}
    for way, its in costs.items():
        found[f"{way}_cpu_s"] = round(statistics.median(cost.cpu for cost in its), 2)
        found[f"{way}_wall_s"] = round(statistics.median(cost.wall for cost in its), 2)
    for way in ("runner", "whole"):
        both = list(zip(costs[way], costs["bare"], strict=True))
        found[f"{way}_cpu_ratio"] = round(statistics.median(ours.cpu / bare.cpu for ours, bare in both), 2)
        found[f"{way}_wall_ratio"] = round(statistics.median(ours.wall / bare.wall for ours, bare in both), 2)
    return found


def main() -> None:
    """Print one JSON line a figure."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    wanted = sys.argv[2:] or ["local", "many_events", "twenty_hosts", "start", "seen"]
    with bench() as one:
        for name in [name for name in _LIMITS if name in wanted]:
            print(json.dumps(compare(one, name, pairs)), flush=True)
        if "start" in wanted:
            with one.worker():
                waited = sorted(one.start() for _ in range(2 * pairs))
            told = {"enqueue_to_start_ms": round(statistics.median(waited)), "worst_ms": round(waited[-1])}
            print(json.dumps({**told, "runs": 2 * pairs}), flush=True)
        if "seen" in wanted:
            for reader, late in one.seen().items():
                middle, worst = round(statistics.median(late), 3), round(max(late), 3)
                print(json.dumps({"reader": reader, "late_s": middle, "worst_s": worst, "events": len(late)}))


if __name__ == "__main__":
    main()
