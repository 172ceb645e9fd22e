"""The SOAP face beside bare FastAPI with lxml and pydantic-xml, beside spyne, and beside our own REST face.

`python -m benchmarks.soap [MESSAGES]`. First one message of 2 kB, over HTTP to one process without a
database: read safely, held against the XSD, bound, and answered. The server has one core, its clients
another, and all servers take turns. Then the same operations by both faces end to end, signed as each is, by
the CPU that the API's process used. spyne (LGPL) runs as a process, in an environment that the first run
makes.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks._centres import Centre, enrol, number_in
from benchmarks._http_load import Connection, cpu_of, load_now, request, together
from benchmarks.faults.platform import Served
from foundation.guard import free_port, wait_for_port
from foundation.postgres import PrivatePostgres
from integrations.contracts.binding import request_text
from integrations.contracts.names import by_id
from integrations.entrypoints.soap.app import PATH

_ROOT = Path(__file__).resolve().parent.parent
_SPYNE = Path(__file__).with_name("spyne")
_CONNECTIONS, _ROUNDS = 8, 7
_MESSAGE = 2_000  # octets
_BARE_GOAL, _SPYNE_GOAL, _REST_GOAL = 1.0, 2.0, 1.6


@dataclass
class _Side:
    name: str
    port: int
    process: int
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)


def main() -> None:
    """Print the figures."""
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 1_600
    print(f"load {load_now()}")
    _compare_servers(messages)
    _compare_faces(max(messages // 40, 8))
    print(f"load {load_now()}")


def _compare_servers(messages: int) -> None:
    message = _message()
    cores = sorted(os.sched_getaffinity(0))
    serving, asking = {cores[0]}, set(cores[1:]) or set(cores)
    with contextlib.ExitStack() as stack:
        sides = [
            stack.enter_context(_server("ours", [sys.executable, "-m", "benchmarks._soap_servers", "ours"])),
            stack.enter_context(
                _server(
                    "FastAPI, lxml, pydantic-xml", [sys.executable, "-m", "benchmarks._soap_servers", "bare"]
                )
            ),
            stack.enter_context(_server("spyne 2.14, granian", _spyne())),
        ]
        for side in sides:
            _pin(side.process, serving)
        os.sched_setaffinity(0, asking)
        stack.callback(os.sched_setaffinity, 0, set(cores))
        for side in sides:
            _ask(side, message, _CONNECTIONS * 20)
            side.rates.clear()
            side.cpu.clear()
        for _ in range(_ROUNDS):
            # In turn, so that all meet the same minute of the machine.
            for side in sides:
                _ask(side, message, messages)
    ours = sides[0]
    print(f"one message of {len(message)} octets, {_CONNECTIONS} connections, {_ROUNDS} rounds of {messages}")
    for side, goal in zip(sides, (0.0, _BARE_GOAL, _SPYNE_GOAL), strict=True):
        cpu = statistics.median(side.cpu)
        line = f"{side.name:28} {side.rate:7.0f}/s  {cpu * 1e6:6.0f} us of CPU each"
        if goal:
            less = cpu / statistics.median(ours.cpu)
            line += f"   ours / this: {ours.rate / side.rate:.2f} (wanted {goal:.1f}), by CPU {less:.2f}"
        print(line)


def _ask(side: _Side, message: bytes, count: int) -> None:
    headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""', "Authorization": "Bearer x"}
    octets = request(PATH, message, headers, side.port)
    each = count // _CONNECTIONS

    def work(_number: int) -> None:
        connection = Connection(side.port)
        for _ in range(each):
            status, answer = connection.ask(octets)
            if status != 200 or b"SC-2026-000001" not in answer:
                raise RuntimeError(f"{side.name} answers {status}: {answer[:300]!r}")
        connection.close()

    before = cpu_of(side.process)
    seconds = together(_CONNECTIONS, work)
    done = each * _CONNECTIONS
    side.rates.append(done / seconds)
    side.cpu.append((cpu_of(side.process) - before) / done)


def _message() -> bytes:
    """An application for a shop licence, as a message of 2 kB."""
    form: dict[str, Any] = {
        "trade_name": "مخبز الندى",
        "commercial_register": "4030123456",
        "activity": "107101",
        "area_m2": 120.5,
        "years": 1,
        "district": "حي الروضة",
        "street": "شارع الأمير سلطان",
        "building_number": "7214",
        "postal_code": "23434",
        "delivery": True,
    }
    applicant = {
        "kind": "national_id",
        "identifier": "1058529940",
        "name": "نورة بنت عبدالعزيز",
        "mobile": "+966501234567",
    }
    for more in range(100):
        body = {"service": "shop_licence", "applicant": applicant, "form": form}
        key = {"idempotencyKey": "4f9c1e0a-2f0e-4c53-9a1e-5d9b2f1f0a77"}
        text = request_text(by_id()["submit"], key, json.dumps(body).encode())
        soap = "http://schemas.xmlsoap.org/soap/envelope/"
        message = (
            f'<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="{soap}"><soap:Body>{text}'
            "</soap:Body></soap:Envelope>"
        ).encode()
        if len(message) >= _MESSAGE:
            break
        form[f"remark_{more + 1}"] = "الباب الثاني"
    return message


@contextlib.contextmanager
def _server(name: str, command: list[str]) -> Iterator[_Side]:
    port = free_port()
    folder = _SPYNE if "server:application" in command else _ROOT
    process = subprocess.Popen(
        [*command, str(port)], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for_port("127.0.0.1", port, 60, name)
        yield _Side(name, port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _pin(process: int, cores: set[int]) -> None:
    tasks = [process]
    for number in tasks:
        for task in Path(f"/proc/{number}/task").iterdir():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(int(task.name), cores)
                tasks += map(int, (task / "children").read_text(encoding="ascii").split())


def _spyne() -> list[str]:
    """The command of spyne's server, in its environment, which is made where it is not yet."""
    lock = _SPYNE / "requirements.lock"
    stamp = sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    folder = (
        Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rakeeza" / f"spyne-{stamp[:16]}"
    )
    ready = folder / "ready"
    if not ready.exists():
        print(f"making spyne's environment in {folder}", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, "--quiet", "--require-hashes", "-r", str(lock)], check=True)
        ready.touch()
    granian = [str(folder / "bin" / "granian"), "--interface", "wsgi", "--workers", "1", "--no-ws"]
    return [*granian, "--host", "127.0.0.1", "server:application", "--port"]


def _compare_faces(cases: int) -> None:
    with tempfile.TemporaryDirectory(prefix="rakeeza-bench-") as name:
        folder = Path(name)
        # PostgreSQL runs as another user under root, who has to pass through.
        folder.chmod(0o711)
        with PrivatePostgres(folder / "postgres", max_connections=60).lease() as url:
            served = Served(folder, url, ("api",), clients=())
            try:
                (centre,) = enrol(served.settings, ["centre-7"], 1)
                centre.sign_in(served.port)
                _compare_cpu(served, centre, cases)
            finally:
                served.stop()


def _compare_cpu(served: Served, centre: Centre, cases: int) -> None:
    application = served.example()
    api = served.processes["api"].number
    connection = Connection(served.port)
    faces: dict[str, Callable[[], None]] = {
        "REST": lambda: _by_rest(connection, centre, application),
        "SOAP": lambda: _by_soap(connection, centre, application),
    }
    used: dict[str, list[float]] = {face: [] for face in faces}
    taken: dict[str, list[float]] = {face: [] for face in faces}
    for act in faces.values():
        for _ in range(5):
            act()
    for _ in range(_ROUNDS):
        for face, act in faces.items():
            before, start = cpu_of(api), time.perf_counter()
            for _ in range(cases):
                act()
            taken[face].append((time.perf_counter() - start) / cases / 2)
            used[face].append((cpu_of(api) - before) / cases / 2)
    rest, soap = statistics.median(used["REST"]), statistics.median(used["SOAP"])
    print(f"submit and take_action, signed by centre and clerk, {_ROUNDS} rounds of {cases} of both, by face")
    for face in faces:
        cpu, wall = statistics.median(used[face]), statistics.median(taken[face])
        print(
            f"{face}: {cpu * 1e3:6.2f} ms of CPU of the API each, {wall * 1e3:6.2f} ms with the client's own"
        )
    print(f"CPU of SOAP / REST: {soap / rest:.2f} (wanted at most {_REST_GOAL})")


def _by_rest(connection: Connection, centre: Centre, application: dict[str, Any]) -> None:
    clerk = centre.clerks[0]
    number = number_in(_done(connection, centre.by_rest(clerk, "POST", "/v1/cases", application), 201))
    path = f"/v1/cases/{number}/actions/withdraw"
    _done(connection, centre.by_rest(clerk, "POST", path, {"comment": "عدل عن الطلب"}), 201)


def _by_soap(connection: Connection, centre: Centre, application: dict[str, Any]) -> None:
    clerk = centre.clerks[0]
    number = number_in(_done(connection, centre.by_soap(clerk, "submit", None, application), 200))
    named = {"number": number, "action": "withdraw"}
    _done(connection, centre.by_soap(clerk, "take_action", named, {"comment": "عدل عن الطلب"}), 200)


def _done(connection: Connection, octets: bytes, expected: int) -> bytes:
    status, answer = connection.ask(octets)
    if status != expected:
        raise RuntimeError(f"{status}: {answer[:500]!r}")
    return answer


if __name__ == "__main__":
    main()
