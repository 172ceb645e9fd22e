"""Scanners that frame each code by STX and ETX instead of ending it with a line end."""

import asyncio

from foundation.wire.link import Link, open_link
from kiosks.device_classes import BarcodeFault, BarcodeInvalid, DeviceSettings, DeviceState, DeviceStatus

STX, ETX = b"\x02", b"\x03"


def build(settings: DeviceSettings) -> "FramedScanner":
    return FramedScanner(settings)


class FramedScanner:
    def __init__(self, settings: DeviceSettings) -> None:
        self.name = settings.name
        self._url = settings.url
        self._link: Link | None = None
        self._opening = asyncio.Lock()
        self._waiting = b""

    async def read(self) -> str:
        while ETX not in self._waiting:
            link = await self._line()
            self._waiting += await link.read()
        code, _, self._waiting = self._waiting.partition(ETX)
        text = code.rpartition(STX)[2]
        if not text.isascii():
            raise BarcodeInvalid(BarcodeFault.NOT_ASCII, self.name)
        return text.decode("ascii")

    async def status(self) -> DeviceStatus:
        await self._line()
        return DeviceStatus(DeviceState.ONLINE)

    async def reset(self) -> None:
        self._waiting = b""

    async def close(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _line(self) -> Link:
        async with self._opening:
            if self._link is None:
                self._link = await open_link(self._url, baudrate=9600)
            return self._link
