"""The simulated devices of one terminal: a scanner on a pseudo-terminal, a receipt printer on TCP."""

import json
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.guard import Guard, Program, free_port, wait_for_port

_ROOT = Path(__file__).resolve().parent.parent
_START_LIMIT = 60.0


@dataclass(frozen=True)
class KioskDevices:
    """Running devices.

    Args:
        scanner_url: path of the scanner's serial port.
        printer_url: address of the printer's line.
        paper: folder with one PNG for each piece of paper cut off.
        scanner_control: control port of the scanner.
        printer_control: control port of the printer.
    """

    scanner_url: str
    printer_url: str
    paper: Path
    scanner_control: int
    printer_control: int

    def scan(self, text: str, suffix: str = "\r\n") -> None:
        """Hold a code to the scanner."""
        _ask(self.scanner_control, {"text": text, "suffix": suffix})

    def scanner_sends(self, data: bytes) -> None:
        """Let the scanner send any bytes."""
        _ask(self.scanner_control, {"hex": data.hex()})

    def plug_scanner(self, plugged: bool) -> None:
        """Pull the scanner's cable, or plug it in."""
        _ask(self.scanner_control, {"plugged": plugged})

    def printer(self, **changes: Any) -> dict[str, Any]:
        """Change the printer's script or condition (lab.escpos_printer.Script, lab.escpos_decoder.Condition).

        Returns:
            Its state: condition, receipts, rows on the roll, waiting and received bytes, unknown commands.
        """
        return _ask(self.printer_control, changes)

    def receipts(self) -> list[Path]:
        """The pieces of paper cut off so far, oldest first."""
        return sorted(self.paper.glob("receipt-*.png"))


def start(guard: Guard, folder: Path, name: str = "kiosk") -> KioskDevices:
    """Start both devices; they end with their guard.

    Args:
        guard: what they run under.
        folder: for the scanner's port, the paper and the logs; made if missing.
        name: begins their names under the guard.

    Raises:
        Unavailable: one does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paper = folder / "paper"
    link = folder / "scanner"
    port, printer_control, scanner_control = free_port(), free_port(), free_port()
    printer = ("--port", str(port), "--control", str(printer_control), "--folder", str(paper))
    scanner = ("--link", str(link), "--control", str(scanner_control))
    programs = {"printer": ("lab.escpos_printer", *printer), "scanner": ("lab.barcode_gun", *scanner)}
    for device, arguments in programs.items():
        argv = (sys.executable, "-m", *arguments)
        log = folder / f"{device}.log"
        guard.start(Program(name=f"{name}-{device}", argv=argv, log=log, folder=_ROOT))
    for control, device in ((printer_control, "printer"), (scanner_control, "scanner")):
        wait_for_port("127.0.0.1", control, _START_LIMIT, f"the simulated {device}")
    return KioskDevices(str(link), f"socket://127.0.0.1:{port}", paper, scanner_control, printer_control)


def _ask(port: int, request: dict[str, Any]) -> dict[str, Any]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as peer, peer.makefile("rwb") as lines:
        lines.write(json.dumps(request).encode() + b"\n")
        lines.flush()
        answer: dict[str, Any] = json.loads(lines.readline())
        return answer
