"""A bar code scanner on a pseudo-terminal, as a process of its own.

    python -m lab.barcode_gun --link FOLDER/scanner --control 9102

The control port takes one JSON object a line: `{"text": "…", "suffix": "\\r\\n"}` scans a code,
`{"hex": "…"}` sends any bytes, `{"plugged": false}` pulls its cable and `true` plugs it in again.
"""

import argparse
import asyncio
import json
import os
import tty
from pathlib import Path
from typing import Any


class BarcodeGun:
    """One scanner; its port is a symbolic link to whatever pseudo-terminal it has now."""

    def __init__(self, link: Path) -> None:
        self._link = link
        self._ends: tuple[int, int] | None = None
        self.plug()

    def plug(self) -> None:
        """Appear as a serial port."""
        if self._ends is not None:
            return
        # Our own end of the terminal stays open, so that the line lives on while nobody listens.
        main, terminal = os.openpty()
        tty.setraw(terminal)
        self._ends = (main, terminal)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(terminal))

    def unplug(self) -> None:
        """Vanish, as a pulled cable does."""
        if self._ends is not None:
            for end in self._ends:
                os.close(end)
            self._ends = None
        self._link.unlink(missing_ok=True)

    def send(self, data: bytes) -> None:
        """Put bytes on the line."""
        if self._ends is not None:
            while data:
                data = data[os.write(self._ends[0], data) :]

    def obey(self, request: dict[str, Any]) -> None:
        """Do what one control line asks."""
        if "plugged" in request:
            (self.plug if request["plugged"] else self.unplug)()
        if "hex" in request:
            self.send(bytes.fromhex(request["hex"]))
        if "text" in request:
            self.send((request["text"] + request.get("suffix", "\r\n")).encode())

    async def control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Obey one control connection."""
        async for line in reader:
            # A line that nobody reads fills up and blocks; the control port must not stop for it.
            await asyncio.to_thread(self.obey, json.loads(line))
            writer.write(b"{}\n")
            await writer.drain()
        writer.close()


async def _main(link: Path, control: int) -> None:
    gun = BarcodeGun(link)
    server = await asyncio.start_server(gun.control, "127.0.0.1", control)
    try:
        async with server:
            await server.serve_forever()
    finally:
        gun.unplug()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--link", type=Path, required=True)
    parser.add_argument("--control", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.link, arguments.control))
