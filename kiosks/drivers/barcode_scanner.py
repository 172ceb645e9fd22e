"""Bar code and QR scanners that send each code as text over a serial line, real or over USB.

Whatever a scanner sends was written by a stranger: only printable ASCII of a stated length gets through.
"""

import asyncio

from pydantic import Field

from foundation.definitions import Strict
from foundation.errors import DeviceUnreachable
from foundation.wire.link import Link, open_link
from kiosks.device_classes import BarcodeFault, BarcodeInvalid, DeviceSettings, DeviceState, DeviceStatus

_ENDS = b"\r\n"


class Options(Strict):
    """What a scanner's `[device.options]` may say.

    Args:
        baudrate: bit/s of the serial line.
        max_length: longest code taken, in characters. A licence's QR has about 400.
        idle: seconds of silence that end a code, for scanners set to send no CR or LF.
    """

    baudrate: int = Field(9600, ge=300, le=921_600)
    max_length: int = Field(1200, ge=8, le=4296)
    idle: float = Field(0.2, gt=0, le=5)


def build(settings: DeviceSettings) -> "BarcodeScanner":
    """The scanner that terminal.toml describes."""
    return BarcodeScanner(settings, Options.model_validate(settings.options))


class BarcodeScanner:
    """A BarcodeReader."""

    def __init__(self, settings: DeviceSettings, options: Options) -> None:
        self.name = settings.name
        self._url = settings.url
        self._options = options
        self._link: Link | None = None
        self._waiting = bytearray()
        self._overlong = False

    async def read(self) -> str:
        """The next code. Raises as `BarcodeReader.read` does."""
        while True:
            code = self._next_line()
            if code is not None:
                return self._checked(code)
            try:
                await self._more()
            except TimeoutError:
                code = bytes(self._waiting)
                self._waiting.clear()
                if code or self._overlong:
                    return self._checked(code)
            except DeviceUnreachable:
                await self.close()
                raise

    async def status(self) -> DeviceStatus:
        """Online when its line is open or can be opened; a scanner has no more to say."""
        try:
            await self._line()
        except DeviceUnreachable as error:
            return DeviceStatus(DeviceState.OFFLINE, error.message)
        return DeviceStatus(DeviceState.ONLINE)

    async def reset(self) -> None:
        """Forget half a code."""
        self._waiting.clear()
        self._overlong = False
        await self._line()

    async def close(self) -> None:
        """Give the line back, and forget half a code: its rest will never come."""
        self._waiting.clear()
        self._overlong = False
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def _line(self) -> Link:
        if self._link is None:
            self._link = await open_link(self._url, baudrate=self._options.baudrate)
        return self._link

    async def _more(self) -> None:
        link = await self._line()
        begun = bool(self._waiting) or self._overlong
        async with asyncio.timeout(self._options.idle if begun else None):
            self._waiting += await link.read()

    def _next_line(self) -> bytes | None:
        while True:
            end = next((i for i, byte in enumerate(self._waiting) if byte in _ENDS), None)
            if end is None:
                # An endless code must not fill the memory: it is dropped as it comes, and refused at its end.
                if len(self._waiting) > self._options.max_length:
                    self._waiting.clear()
                    self._overlong = True
                return None
            code = bytes(self._waiting[:end])
            del self._waiting[: end + 1]
            # CR LF leaves an empty line behind each code.
            if code or self._overlong:
                return code

    def _checked(self, code: bytes) -> str:
        overlong, self._overlong = self._overlong, False
        if overlong or len(code) > self._options.max_length:
            raise BarcodeInvalid(BarcodeFault.TOO_LONG, self.name)
        if any(byte < 0x20 or byte == 0x7F for byte in code):
            raise BarcodeInvalid(BarcodeFault.CONTROL_CHARACTERS, self.name)
        if any(byte > 0x7F for byte in code):
            raise BarcodeInvalid(BarcodeFault.NOT_ASCII, self.name)
        return code.decode("ascii")
