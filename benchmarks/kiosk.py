"""The kiosk's receipt, line and agent: milliseconds, bytes, round trips and memory, beside python-escpos.

`python -m benchmarks.kiosk [ROUNDS] [PYTHON]`. PYTHON is an interpreter that has python-escpos 3.1; without
one its part is left out, because the project does not depend on it. Both encode the same pictures.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tty
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from foundation.wire.link import open_link
from kiosks.drivers.escpos_printer import encode
from kiosks.licence import Licence
from kiosks.receipt import draw_receipt

_TRIPS = 3000
_AT = datetime(2026, 11, 22, 10, 30)
_PEER = """
import io, json, statistics, sys, time, warnings
from escpos.printer import Dummy
times = []
for _ in range(int(sys.argv[2])):
    printer = Dummy(profile="default")
    printer.profile.profile_data["media"]["width"]["pixels"] = 576
    start = time.perf_counter()
    printer.image(sys.argv[1], impl="bitImageRaster")
    times.append(time.perf_counter() - start)
print(json.dumps({"ms": statistics.median(times) * 1e3, "bytes": len(printer.output)}))
"""


def _licence(lines: int) -> Licence:
    def both(ar: str, en: str) -> dict[str, str]:
        return {"ar": ar, "en": en}

    row = {"label": both("النشاط التجاري", "Activity"), "value": both("بيع الخبز رقم 2026-004512", "Bread")}
    return Licence.model_validate(
        {
            "number": "SL-2026-004512",
            "status": "valid",
            "title": both("رخصة محل تجاري", "Shop licence"),
            "municipality": both("أمانة نموذجية", "Sample Municipality"),
            "valid_from": date(2026, 11, 22),
            "valid_to": date(2027, 11, 21),
            "lines": [row] * lines,
            "credential": "RKZ1:" + "6BFOXN*TS0BI$ZD4N9:9S6RCVN5+O30K3/XIV0W23NTDE" * 8,
        }
    )


def _timed(work: Callable[[], Any], rounds: int) -> tuple[float, float, Any]:
    times, result = [], None
    for _ in range(rounds):
        start = time.perf_counter()
        result = work()
        times.append((time.perf_counter() - start) * 1e3)
    times.sort()
    return statistics.median(times), times[int(len(times) * 0.95)], result


def _receipt(lines: int, rounds: int, peer: str | None) -> None:
    licence = _licence(lines)

    def draw() -> Image.Image:
        return draw_receipt(licence, language="ar", terminal="kiosk-1", printed_at=_AT)

    draw()
    draw_ms, draw_p95, image = _timed(draw, rounds)
    encode_ms, encode_p95, data = _timed(lambda: encode(image), rounds)
    print(f"  receipt of {lines} lines, {image.width}x{image.height}:")
    print(f"    draw    {draw_ms:6.1f} ms (p95 {draw_p95:.1f})")
    print(f"    encode  {encode_ms:6.1f} ms (p95 {encode_p95:.1f}), {len(data):,} bytes", end="")
    print(f" = {len(data) / 11_520:.1f} s at 115200 bit/s")
    if peer is not None:
        with tempfile.NamedTemporaryFile(suffix=".png") as file:
            image.save(file.name)
            argv = [peer, "-c", _PEER, file.name, str(rounds)]
            done = subprocess.run(argv, capture_output=True, text=True, check=True)
        theirs = json.loads(done.stdout.splitlines()[-1])
        print(f"    python-escpos: encode {theirs['ms']:.1f} ms, {theirs['bytes']:,} bytes")


async def _round_trips() -> None:
    main, terminal = os.openpty()
    tty.setraw(main)
    tty.setraw(terminal)
    echo = subprocess.Popen([sys.executable, "-c", _ECHO, str(main)], pass_fds=[main])
    try:
        link = await open_link(os.ttyname(terminal))

        async def ours() -> None:
            await link.write(b"12345678")
            got = 0
            while got < 8:
                got += len(await link.read())

        loop = asyncio.get_running_loop()
        descriptor = os.open(os.ttyname(terminal), os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

        async def raw() -> None:
            os.write(descriptor, b"12345678")
            got = 0
            while got < 8:
                ready = loop.create_future()
                loop.add_reader(descriptor, ready.set_result, None)
                await ready
                loop.remove_reader(descriptor)
                got += len(os.read(descriptor, 64))

        for name, trip in (("link", ours), ("raw descriptor", raw)):
            if name == "raw descriptor":
                await link.close()
            times: list[float] = []
            cpu = time.process_time()
            for _ in range(_TRIPS):
                start = time.perf_counter()
                await trip()
                times.append((time.perf_counter() - start) * 1e6)
            cpu = (time.process_time() - cpu) / _TRIPS * 1e6
            times.sort()
            p50, p99 = statistics.median(times), times[int(_TRIPS * 0.99)]
            print(f"    {name:15} p50 {p50:6.0f} µs, p99 {p99:6.0f} µs, CPU {cpu:5.1f} µs")
        os.close(descriptor)
    finally:
        echo.kill()
        echo.wait()
        os.close(main)
        os.close(terminal)


_ECHO = "import os, sys\nwhile True: os.write(int(sys.argv[1]), os.read(int(sys.argv[1]), 64))"


def _agent() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "terminal.toml"
        peer = 'url = "http://127.0.0.1:9"\nclient_id = "x"\nsecret_env = "S"\n'
        file.write_text(f"[screen]\nport = 0\n[headquarters]\n{peer}")
        start = time.perf_counter()
        argv = [sys.executable, "-m", "console", "kiosk", "run", str(file)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "S": "x"}) as agent:
            assert agent.stdout is not None
            agent.stdout.readline()
            cold = time.perf_counter() - start
            status = Path(f"/proc/{agent.pid}/status").read_text()
            memory = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
            agent.terminate()
    print(f"  agent: screen listens after {cold:.2f} s, {int(memory) / 1024:.0f} MB resident")


def main(arguments: list[str]) -> None:
    """Measure and print."""
    rounds = int(arguments[0]) if arguments else 50
    peer = arguments[1] if len(arguments) > 1 else None
    _receipt(5, rounds, peer)
    _receipt(40, rounds, peer)
    print(f"  8 bytes over a pseudo-terminal and back, {_TRIPS} times:")
    asyncio.run(_round_trips())
    _agent()


if __name__ == "__main__":
    main(sys.argv[1:])
