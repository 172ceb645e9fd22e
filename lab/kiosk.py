"""One terminal of the lab: simulated devices, and the platform's own kiosk agent that drives them."""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from foundation.errors import Refused, Unavailable
from foundation.guard import Guard, Program
from lab import kiosk_devices

_STARTS_WITHIN = 120.0
_SCANNER = {"class": "BarcodeReader", "driver": "barcode_scanner"}

Sections = Mapping[str, Mapping[str, Any]]


class LabKiosk:
    """A running terminal; `start()` makes one.

    Args:
        devices: its simulated devices.
        log: the agent's events, one JSON object a line.
        url: of its screen.
    """

    def __init__(self, devices: kiosk_devices.KioskDevices, log: Path, url: str) -> None:
        self.devices = devices
        self.log = log
        self.url = url

    def scan(self, code: str) -> None:
        """Hold a code to the scanner, which ends it with CR LF."""
        self.devices.scan(code)

    def screen(self) -> str:
        """The page that the terminal's browser shows now."""
        return httpx.get(self.url, timeout=_STARTS_WITHIN).raise_for_status().text

    def press(self, button: str) -> None:
        """Touch a button of the screen: print, finish, ar or en."""
        answer = httpx.post(f"{self.url}press/{button}", follow_redirects=True, timeout=_STARTS_WITHIN)
        answer.raise_for_status()

    def receipt(self) -> Path | None:
        """The newest piece of paper that was cut off, as a picture."""
        receipts = self.devices.receipts()
        return receipts[-1] if receipts else None


def start(
    guard: Guard,
    folder: Path,
    *,
    api: str,
    client_id: str,
    secret: str,
    terminal: Mapping[str, Any] | None = None,
    scanner: Mapping[str, str] | None = None,
) -> LabKiosk:
    """Start the devices, then the agent.

    Args:
        guard: what they run under.
        folder: for terminal.toml, the paper and the logs; made if missing.
        api: base URL of headquarters.
        client_id: the terminal's API client.
        secret: its secret.
        terminal: options over the lab's own of the section [terminal].
        scanner: class and driver of the scanner instead of the product's own.

    Raises:
        Unavailable: a device or the agent does not start.
    """
    devices = kiosk_devices.start(guard, folder)
    secret_file = folder / "kiosk.secret"
    with os.fdopen(os.open(secret_file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(secret)
    municipality = {"ar": "أمانة المدينة النموذجية", "en": "Model City Municipality"}
    options = {"name": "lab-kiosk", "municipality": municipality, **(terminal or {})}
    headquarters = {"url": api, "client_id": client_id, "secret_file": secret_file.name}
    lines = [
        *_table("[terminal]", options),
        *_table("[screen]", {"port": 0}),
        *_table("[headquarters]", headquarters),
        *_table("[[device]]", {**(scanner or _SCANNER), "url": devices.scanner_url}),
        *_table("[[device]]", {"class": "Printer", "driver": "escpos_printer", "url": devices.printer_url}),
    ]
    settings = folder / "terminal.toml"
    settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
    log = folder / "agent.log"
    argv = (sys.executable, "-m", "console", "kiosk", "run", str(settings))
    guard.start(Program("kiosk-agent", argv, log))
    return LabKiosk(devices, log, _listening(guard, log))


def _listening(guard: Guard, log: Path) -> str:
    # The terminal is ready for a citizen when its screen listens and its scanner is heard.
    limit = time.monotonic() + _STARTS_WITHIN
    while time.monotonic() < limit and "kiosk-agent" not in guard.poll():
        events = [
            json.loads(line)
            for line in log.read_text(encoding="utf-8").splitlines()
            if line.startswith("{") and line.endswith("}")
        ]
        heard = [
            event for event in events if event.get("event") == "reader" and event.get("state") == "online"
        ]
        url = next((str(event["url"]) for event in events if event.get("event") == "listening"), None)
        if url and heard:
            return url
        time.sleep(0.05)
    raise Unavailable(
        f"The kiosk's agent does not start: {log.read_text(encoding='utf-8').strip()}", place=str(log)
    )


def _table(head: str, options: Mapping[str, Any]) -> list[str]:
    return [head, *(f"{key} = {_value(value)}" for key, value in options.items()), ""]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, (str, bool, int, float, list)):
        # Written alike in JSON and TOML.
        return json.dumps(value, ensure_ascii=False)
    raise Refused(f"{value!r} has no place in terminal.toml.")
