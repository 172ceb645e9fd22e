"""`rakeeza serve`: one program, many processes, on one machine.

The first process supervises: it opens the database (running the private PostgreSQL if no other is named),
brings it up to date, and starts one process a role and the private Prometheus under a guard. A role that ends
is started again; when the supervisor ends, in whatever way, everything it started ends too.
"""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from foundation.database import migrate, open_database
from foundation.errors import Conflict, Unavailable
from foundation.guard import Guard, Program, free_port, wait_for_port
from foundation.settings import Settings
from monitoring import prometheus

ROLES = ("api", "worker", "collector")
# A role that keeps dying is started again ever more slowly, so that its log stays readable.
_FIRST_DELAY, _LAST_DELAY = 0.5, 30.0
_READY_WITHIN = 120.0
# A process of the API keeps 150 MB; what more of them would bring, PostgreSQL needs.
_MOST_APIS = 4


@dataclass(frozen=True)
class Faces:
    """Where the running platform is reached.

    Args:
        api: base URL of the REST API.
        secured: base URL of the same API over TLS; None where it is not served so.
        collector: base URL of the collector.
        prometheus: base URL of Prometheus.
        logs: folder with one log file a process.
    """

    api: str
    secured: str | None
    collector: str
    prometheus: str
    logs: Path


@dataclass
class _Restart:
    delay: float = _FIRST_DELAY
    due: float | None = None
    started: float = field(default_factory=time.monotonic)


@contextmanager
def serving(settings: Settings, settings_file: Path | None) -> Iterator["Supervisor"]:
    """The whole platform, started; stopped at the end of the block.

    Args:
        settings: of this process.
        settings_file: handed to the roles, which read it again themselves.

    Raises:
        Conflict: another `rakeeza serve` runs in the same folder.
        Unavailable: a port is taken, or a part does not come up in time.
    """
    folder = settings.platform.folder
    folder.mkdir(parents=True, exist_ok=True)
    with _only_one(folder), open_database(settings) as database:
        migrate(database)
        logs = folder / "log"
        logs.mkdir(exist_ok=True)
        ports = {
            "http": _claim(settings.http.host, settings.http.port, "http.port"),
            "collector": _claim(settings.collector.host, settings.collector.port, "collector.port"),
        }
        if settings.tls.port is not None:
            ports["tls"] = _claim(settings.tls.host, settings.tls.port, "tls.port")
        if settings.prometheus.url is None:
            port = _claim(settings.prometheus.host, settings.prometheus.port, "prometheus.port")
            ports["prometheus"] = port
        settings = _with_ports(settings, ports)
        apis = _apis(settings, settings_file, ports, logs)
        programs = [*apis.values(), *(_role(role, settings_file, ports, logs) for role in ROLES[1:])]
        if settings.prometheus.url is None:
            place, log = folder / "prometheus", logs / "prometheus.log"
            programs.append(prometheus.program(settings, place, log, list(apis)))
        with Guard() as guard:
            supervisor = Supervisor(guard, programs, _faces(settings, logs))
            supervisor.start(settings)
            yield supervisor


class Supervisor:
    """Keeps a set of programs running.

    Args:
        guard: starts them, and ends them when we end.
        programs: what runs, in the order of start.
        faces: where the platform is reached.
    """

    def __init__(self, guard: Guard, programs: Sequence[Program], faces: Faces) -> None:
        self.faces = faces
        self._guard = guard
        self._programs = {program.name: program for program in programs}
        self._restarts = {program.name: _Restart() for program in programs}

    def start(self, settings: Settings) -> None:
        """Start every program and wait until those with a port answer."""
        for name, program in self._programs.items():
            if name != "prometheus":
                self._guard.start(program)
        self._await("api", settings.http.host, settings.http.port)
        if settings.tls.port is not None:
            self._await("api", settings.tls.host, settings.tls.port)
        self._await("collector", settings.collector.host, settings.collector.port)
        # Last: one that finds no collector asks again only after a whole interval.
        if "prometheus" in self._programs:
            self._guard.start(self._programs["prometheus"])
            self._await("prometheus", settings.prometheus.host, settings.prometheus.port)

    def watch(self) -> None:
        """Start again what ends; returns only by KeyboardInterrupt."""
        while True:
            time.sleep(0.2)
            now = time.monotonic()
            for name in self._guard.poll():
                restart = self._restarts[name]
                if restart.due is None:
                    # Having run well for a while, it gets the short delay again.
                    if now - restart.started > _LAST_DELAY:
                        restart.delay = _FIRST_DELAY
                    restart.due = now + restart.delay
                    restart.delay = min(restart.delay * 2, _LAST_DELAY)
                elif now >= restart.due:
                    restart.due, restart.started = None, now
                    self._guard.start(self._programs[name])

    def _await(self, name: str, host: str, port: int) -> None:
        limit = time.monotonic() + _READY_WITHIN
        while True:
            try:
                wait_for_port(host, port, 0.1, name)
            except Unavailable as error:
                if time.monotonic() < limit and name not in self._guard.poll():
                    continue
                log = self._programs[name].log
                raise Unavailable(
                    f"{name} does not come up{_last_words(log)}.",
                    place=f"{host}:{port}",
                    remedy=f"Read {log}.",
                ) from error
            else:
                return


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / "serve.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise Conflict(
                f"The platform is served from this folder already (process {file.read().strip()}).",
                place=str(folder),
                remedy="Stop that one, or name another folder in platform.folder.",
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _claim(host: str, port: int, option: str) -> int:
    if port == 0:
        return free_port(host)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As the servers themselves do: a port in TIME_WAIT is free, one that is listened on is not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Unavailable(
                f"The port cannot be listened on ({error.strerror}).",
                place=f"{host}:{port}",
                remedy=f"End what holds it, or set {option} to another port (0 takes a free one).",
            ) from error
    return port


def _with_ports(settings: Settings, ports: dict[str, int]) -> Settings:
    sections = {
        name: getattr(settings, name).model_copy(update={"port": port}) for name, port in ports.items()
    }
    return settings.model_copy(update=sections)


def _apis(
    settings: Settings, settings_file: Path | None, ports: dict[str, int], logs: Path
) -> dict[str, Program]:
    """The processes of the API, by the address of their metrics; several share the API's own port."""
    http = settings.http
    count = http.processes or min(len(os.sched_getaffinity(0)), _MOST_APIS)
    if count == 1:
        return {f"{http.host}:{http.port}": _role("api", settings_file, ports, logs)}
    found = {}
    for number in range(1, count + 1):
        port = free_port(http.host)
        program = _role("api", settings_file, {**ports, "http_metrics": port}, logs)
        name = "api" if number == 1 else f"api-{number}"
        found[f"{http.host}:{port}"] = replace(program, name=name, log=logs / f"{name}.log")
    return found


def _role(role: str, settings_file: Path | None, ports: dict[str, int], logs: Path) -> Program:
    named = ("--settings", str(settings_file)) if settings_file else ()
    return Program(
        name=role,
        argv=(sys.executable, "-m", "console", *named, "serve", "--roles", role),
        log=logs / f"{role}.log",
        environment={f"RAKEEZA_{name}_PORT".upper(): str(port) for name, port in ports.items()},
        grace=10.0,
    )


def _faces(settings: Settings, logs: Path) -> Faces:
    http, collector, history = settings.http, settings.collector, settings.prometheus
    tls = settings.tls
    return Faces(
        api=f"http://{http.host}:{http.port}",
        secured=f"https://{tls.names[0]}:{tls.port}" if tls.port is not None else None,
        collector=f"http://{collector.host}:{collector.port}",
        prometheus=history.url or f"http://{history.host}:{history.port}",
        logs=logs,
    )


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() if log.exists() else []
    # A program of ours says in one sentence why it ends; details of it may follow.
    reasons = [line for line in lines if line.startswith("rakeeza: ")] or lines
    return f": {reasons[-1].removeprefix('rakeeza: ').rstrip('.')}" if reasons else ""
