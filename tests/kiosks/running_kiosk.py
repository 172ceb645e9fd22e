"""One whole terminal for the tests: its simulated devices and the real agent, each a process."""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.errors import Unavailable
from foundation.guard import Guard, Program, free_port, wait_for_port
from lab import kiosk_devices
from lab.kiosk_devices import KioskDevices
from tests.processes import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
RAKEEZA = (sys.executable, "-c", "from console.cli.main import main; main()")


@dataclass(frozen=True)
class Kiosk:
    """A running terminal.

    Args:
        name: of the agent under the guard.
        url: its screen.
        devices: its simulated devices.
        file: its terminal.toml.
        log: its events, one JSON object a line, and whatever else it says.
    """

    name: str
    url: str
    devices: KioskDevices
    file: Path
    log: Path

    def scan(self, code: str) -> None:
        """Hold a code to the scanner."""
        self.devices.scan(code)

    def receipt(self) -> Path | None:
        """The newest piece of paper, if there is one."""
        receipts = self.devices.receipts()
        return receipts[-1] if receipts else None

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """What the agent told, oldest first; with a name only those events."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        # Beside its events stand its log lines, which have no event.
        return [event for event in told if "event" in event and name in ("", event["event"])]

    def wait_for(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait until the agent has told an event that many times.

        Raises:
            Unavailable: it does not in time.
        """
        limit = time.monotonic() + PATIENCE
        while len(found := self.events(name)) < count:
            if time.monotonic() > limit:
                told = ", ".join(event["event"] for event in self.events())
                raise Unavailable(f"The kiosk did not tell {name!r}; it told: {told}.", place=str(self.log))
            time.sleep(0.02)
        return found[count - 1]


def start(
    guard: Guard,
    folder: Path,
    *,
    api: str,
    client_id: str,
    secret: str,
    options: dict[str, str | bool | float],
) -> Kiosk:
    """Start a terminal; it ends with its guard.

    Args:
        guard: what it runs under.
        folder: for its files; made if missing.
        api: base URL of headquarters.
        client_id: its API client.
        secret: the client's secret.
        options: more of `[terminal]` in terminal.toml, such as `print_at_once`.

    Raises:
        Unavailable: a part does not start; the error names its log.
    """
    devices = kiosk_devices.start(guard, folder)
    (folder / "secret").write_text(secret, encoding="utf-8")
    port = free_port()
    file = folder / "terminal.toml"
    # A JSON string, number or truth value is a TOML one too.
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items())
    file.write_text(_TERMINAL.format(more=more, port=port, api=api, client_id=client_id, d=devices))
    log = folder / "agent.log"
    guard.start(Program(name="agent", argv=(*RAKEEZA, "kiosk", "run", str(file)), log=log, folder=ROOT))
    try:
        wait_for_port("127.0.0.1", port, PATIENCE, "the kiosk's screen")
    except Unavailable as error:
        tail = log.read_text(encoding="utf-8", errors="replace")[-500:].strip()
        raise Unavailable(f"{error.message} Its log ends: {tail}", place=str(log)) from error
    return Kiosk("agent", f"http://127.0.0.1:{port}/", devices, file, log)


_TERMINAL = """\
[terminal]
name = "kiosk-1"
{more}
[screen]
port = {port}

[headquarters]
url = "{api}"
timeout = 60
client_id = "{client_id}"
secret_file = "secret"

[[device]]
class = "BarcodeReader"
driver = "barcode_scanner"
url = "{d.scanner_url}"

[[device]]
class = "Printer"
driver = "escpos_printer"
url = "{d.printer_url}"
options = {{ answer_timeout = 1.0 }}
"""
