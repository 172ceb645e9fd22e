"""A receipt printer on TCP, as a process of its own, with faults by script and its paper kept as PNG.

    python -m lab.escpos_printer --port 9100 --control 9101 --folder FOLDER

The control port takes one JSON object a line: fields to change (those of `Script`, `Condition`), and answers
with the printer's state.
"""

import argparse
import asyncio
import contextlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from PIL import Image

from lab.escpos_decoder import Condition, EscPosDecoder


@dataclass
class Script:
    """How the printer behaves on its line.

    Args:
        mute: it takes everything and answers nothing.
        silent_after: it answers nothing more once that many bytes have come; None never.
        hang_up_after: it closes the connection once that many bytes have come; None never.
        bytes_per_second: how fast it prints; 0 is at once.
    """

    mute: bool = False
    silent_after: int | None = None
    hang_up_after: int | None = None
    bytes_per_second: int = 0


class PrinterSimulator:
    """One printer; one connection at a time, as port 9100 of a real one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._receipts = 0
        self._received = 0
        self._busy = asyncio.Lock()
        self._line: asyncio.StreamWriter | None = None
        self.script = Script()
        self.decoder = EscPosDecoder(self._keep)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Print what one connection sends."""
        async with self._busy:
            self._line = writer
            with contextlib.suppress(OSError):
                await self._connection(reader, writer)
            self._line = None
            writer.close()

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Change the script or the condition, and tell the state."""
        async for line in reader:
            self._change(json.loads(line))
            if not self.script.bytes_per_second:
                self.decoder.work()
            writer.write(json.dumps(self._state()).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def print_on(self) -> None:
        """Print what waits in the buffer, also when nobody is connected any more."""
        credit = 0.0
        while True:
            if self.script.bytes_per_second:
                credit = min(credit + self.script.bytes_per_second * 0.02, 1000)
                if credit > 0:
                    credit -= self.decoder.work(int(credit) + 1)
                await asyncio.sleep(0.02)
            else:
                self.decoder.work()
                await asyncio.sleep(0.002)
            with contextlib.suppress(OSError):
                await self._answer()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            limit = self.script.hang_up_after
            if limit is not None and self._received + len(data) > limit:
                self.decoder.receive(data[: max(0, limit - self._received)])
                self.script.hang_up_after = None
                # Reset, not an orderly end: a pulled plug takes its leave of nobody.
                writer.transport.abort()
                return
            self._received += len(data)
            self.decoder.receive(data)
            await self._answer()

    async def _answer(self) -> None:
        answers = bytes(self.decoder.answers)
        self.decoder.answers.clear()
        silent = self.script.silent_after is not None and self._received >= self.script.silent_after
        if answers and self._line is not None and not self.script.mute and not silent:
            self._line.write(answers)
            await self._line.drain()

    def _keep(self, paper: Image.Image) -> None:
        self._receipts += 1
        draft = self._folder / "receipt.new"
        paper.save(draft, format="PNG")
        # A reader that sees the name sees the whole picture.
        draft.rename(self._folder / f"receipt-{self._receipts:04}.png")

    def _change(self, request: dict[str, Any]) -> None:
        for name, value in request.items():
            for part in (self.script, self.decoder.condition):
                if name in {one.name for one in fields(part)}:
                    setattr(part, name, value)
        # Counters of bytes start with the script that names them.
        if {"hang_up_after", "silent_after"} & set(request):
            self._received = 0

    def _state(self) -> dict[str, Any]:
        condition: Condition = self.decoder.condition
        return {
            **asdict(condition),
            "receipts": self._receipts,
            "rows": self.decoder.rows,
            "waiting": self.decoder.waiting,
            "received": self._received,
            "unknown": self.decoder.unknown[:20],
        }


async def _main(port: int, control: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    printer = PrinterSimulator(folder)
    data = await asyncio.start_server(printer.serve, "127.0.0.1", port)
    script = await asyncio.start_server(printer.control, "127.0.0.1", control)
    async with data, script:
        await asyncio.gather(data.serve_forever(), script.serve_forever(), printer.print_on())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.port, arguments.control, arguments.folder))
