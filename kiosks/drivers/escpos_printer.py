"""Receipt printers that speak ESC/POS.

Receipts go as pictures: printers print Arabic text reversed and unjoined. A job counts as printed only after
the printer's answer to a question asked behind the data (GS r), because real-time status (DLE EOT) is
answered at once, while the data still waits in the printer's buffer.

Source: Epson ESC/POS command reference: GS v 0, ESC $, ESC J, GS P, GS V, GS r, GS a, DLE EOT, DLE ENQ,
DLE DC4.
"""

import asyncio
import contextlib
from collections.abc import Iterator

from PIL import Image
from pydantic import Field

from foundation.definitions import Strict
from foundation.errors import DeviceUnreachable, InvalidInput
from foundation.wire.link import Link, open_link
from kiosks.device_classes import (
    DeviceSettings,
    DeviceState,
    MediaControl,
    PaperStatus,
    Printed,
    PrinterNotReady,
    PrinterStatus,
    PrintUncertain,
)

_INITIALISE = b"\x1b@"
_NO_AUTOMATIC_STATUS = b"\x1da\x00"
_ASK_IN_ORDER = b"\x1dr\x01"
_CLEAR_BUFFERS = b"\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08"
_RECOVER_AND_CLEAR = b"\x10\x05\x02"
_CUTS = {MediaControl.CUT: b"\x1dVA\x00", MediaControl.PARTIAL_CUT: b"\x1dVB\x00"}
_INVERTED = bytes(255 - byte for byte in range(256))
# Low bands let each line of text have margins of its own, and bound what an interrupted picture swallows.
_BAND_ROWS = 64
_BAND_COST = 12


class Options(Strict):
    """What a printer's `[device.options]` may say.

    Args:
        baudrate: bit/s of a serial line.
        width: dots across the paper; 576 on 80 mm paper, 384 on 58 mm.
        dpi: dots an inch; 203, or 180 on some older models.
        trim_left: false for models that ignore ESC $ before a picture; costs a third more bytes in Arabic.
        answer_timeout: seconds a status answer may take.
        print_timeout: seconds a whole receipt may take.
    """

    baudrate: int = Field(115_200, ge=1200, le=921_600)
    width: int = Field(576, ge=128, le=1024, multiple_of=8)
    dpi: int = Field(203, ge=100, le=255)
    trim_left: bool = True
    answer_timeout: float = Field(1.0, gt=0, le=10)
    print_timeout: float = Field(60.0, gt=0, le=600)


def build(settings: DeviceSettings) -> "EscPosPrinter":
    """The printer that terminal.toml describes."""
    return EscPosPrinter(settings, Options.model_validate(settings.options))


def encode(image: Image.Image, *, trim_left: bool = True) -> bytes:
    """A picture as ESC/POS raster commands.

    Blank rows become paper feed, white margins are left out, the rest goes in bands.

    Args:
        image: black on white; its width a multiple of 8.
        trim_left: leave out the left margin too, by ESC $.

    Source: ESC/POS GS v 0 (m=0), ESC $, ESC J; lengths in dots once GS P has set the motion units.
    """
    width = image.width // 8
    # Pillow packs white as 1, the printer takes 1 for a dot.
    packed = image.convert("1").tobytes().translate(_INVERTED)
    rows = [packed[start : start + width] for start in range(0, len(packed), width)]
    commands = bytearray()
    for top, bottom, left, right in _bands(rows, trim_left):
        if right == left:
            for feed in range(bottom - top, 0, -255):
                commands += b"\x1bJ" + bytes([min(feed, 255)])
            continue
        if left:
            commands += b"\x1b$" + (left * 8).to_bytes(2, "little")
        commands += (
            b"\x1dv0\x00" + (right - left).to_bytes(2, "little") + (bottom - top).to_bytes(2, "little")
        )
        commands += b"".join(row[left:right] for row in rows[top:bottom])
    return bytes(commands)


def _bands(rows: list[bytes], trim_left: bool) -> Iterator[tuple[int, int, int, int]]:
    # (top, bottom, left, right), columns in bytes; left == right is white.
    top = left = right = 0
    for number, row in enumerate(rows):
        end = len(row.rstrip(b"\0"))
        start = len(row) - len(row.lstrip(b"\0")) if trim_left and end else 0
        height = number - top
        if not height:
            left, right = start, end
        elif (left == right) != (end == 0) or (end and not _joins(height, left, right, start, end)):
            yield top, number, left, right
            top, left, right = number, start, end
        else:
            left, right = min(left, start), max(right, end)
    if rows:
        yield top, len(rows), left, right


def _joins(height: int, left: int, right: int, start: int, end: int) -> bool:
    # A row joins the band above it where that costs fewer bytes than the head of a new band.
    joined = (height + 1) * (max(right, end) - min(left, start))
    apart = height * (right - left) + _BAND_COST + (end - start)
    return height < _BAND_ROWS and joined <= apart


class EscPosPrinter:
    """A Printer."""

    def __init__(self, settings: DeviceSettings, options: Options) -> None:
        self.name = settings.name
        self._url = settings.url
        self._options = options
        self._link: Link | None = None
        self._alone = asyncio.Lock()
        self._waiting = bytearray()
        # What an earlier process left in the printer is as unknown as what we leave there when a job breaks.
        self._doubtful = True

    async def print_raster(self, image: Image.Image) -> Printed:
        """Print a picture. Raises as `Printer.print_raster` does."""
        if image.width > self._options.width or image.width % 8:
            raise InvalidInput(
                f"The picture is {image.width} dots wide; the paper takes {self._options.width}.",
                place=self._url,
                remedy="Draw it for this width, a multiple of 8.",
            )
        data = encode(image, trim_left=self._options.trim_left)
        dpi = self._options.dpi
        head = _INITIALISE + _NO_AUTOMATIC_STATUS + b"\x1dP" + bytes([dpi, dpi])
        await self._job(head + data)
        return Printed(image.height, len(head + data))

    async def control_media(self, control: MediaControl) -> None:
        """Cut. Raises as `Printer.control_media` does."""
        await self._job(_CUTS[control])

    async def status(self) -> PrinterStatus:
        """How it is now; a printer that does not answer is offline and its paper unknown."""
        async with self._alone:
            return await self._ask()

    async def reset(self) -> None:
        """Empty the printer of everything it still holds."""
        async with self._alone:
            await self._empty(await self._line())

    async def close(self) -> None:
        """Give the line back."""
        link, self._link = self._link, None
        self._waiting.clear()
        if link is not None:
            await link.close()

    async def _job(self, data: bytes) -> None:
        async with self._alone:
            status = await self._ask()
            if not status.ready and status.device is not DeviceState.DEVICE_BUSY:
                raise PrinterNotReady(status, self._url)
            link = await self._line()
            await self._emptied(link)
            finished = False
            try:
                await link.write(data + _ASK_IN_ORDER)
                await self._done(link)
                finished = True
            except DeviceUnreachable as error:
                raise PrintUncertain(error.message, self._url) from error
            finally:
                if not finished:
                    await self._abandon()

    async def _emptied(self, link: Link) -> None:
        try:
            if self._doubtful:
                await self._empty(link)
        except DeviceUnreachable as error:
            await self.close()
            raise PrinterNotReady(PrinterStatus(DeviceState.OFFLINE, error.message), self._url) from error

    async def _abandon(self) -> None:
        # Half a receipt of this citizen must not come out before the next one's: empty the printer now if it
        # listens, and again before the next job.
        self._doubtful = True
        try:
            if self._link is not None:
                await self._link.write(_CLEAR_BUFFERS)
        except DeviceUnreachable:
            await self.close()

    async def _empty(self, link: Link) -> None:
        # Zeros fill up a picture that was interrupted (they are white there, and ignored elsewhere). Clearing
        # is answered by bytes that look like an answer in order; the status asked behind it comes after them.
        await link.write(bytes(_BAND_ROWS * self._options.width // 8))
        await link.write(_RECOVER_AND_CLEAR + _CLEAR_BUFFERS + b"\x10\x04\x01")
        if await self._answer(link, in_order=False) is None:
            raise DeviceUnreachable("The printer does not answer.", place=self._url)
        self._waiting.clear()
        self._doubtful = False

    async def _done(self, link: Link) -> None:
        # While the printer works it answers real-time questions; two equal complaints in a row are believed,
        # because three bytes of a picture can look like a question and be answered.
        loop = asyncio.get_running_loop()
        end = loop.time() + self._options.print_timeout
        complaint: PrinterStatus | None = None
        while await self._answer(link, in_order=True) is None:
            status = await self._ask(keep_in_order=True)
            if self._answered_in_order():
                return
            if status.device is DeviceState.OFFLINE and status.paper is PaperStatus.UNKNOWN:
                raise DeviceUnreachable(status.detail, place=self._url)
            if not status.ready and status.device is not DeviceState.DEVICE_BUSY and status == complaint:
                raise PrinterNotReady(status, self._url)
            complaint = status
            if loop.time() > end:
                raise DeviceUnreachable("The printer did not finish in time.", place=self._url)

    async def _ask(self, keep_in_order: bool = False) -> PrinterStatus:
        try:
            link = await self._line()
            if not keep_in_order:
                await self._forget(link)
            answers = []
            for number in (1, 2, 3, 4):
                await link.write(b"\x10\x04" + bytes([number]))
                answer = await self._answer(link, in_order=False)
                if answer is None:
                    return PrinterStatus(DeviceState.OFFLINE, "The printer does not answer.")
                answers.append(answer)
        except DeviceUnreachable as error:
            await self.close()
            return PrinterStatus(DeviceState.OFFLINE, error.message)
        return _status(*answers)

    async def _answer(self, link: Link, *, in_order: bool) -> int | None:
        kind = _is_in_order if in_order else _is_real_time
        try:
            async with asyncio.timeout(self._options.answer_timeout):
                while True:
                    for place, byte in enumerate(self._waiting):
                        if kind(byte):
                            del self._waiting[place]
                            return byte
                    self._waiting += await link.read()
        except TimeoutError:
            return None

    def _answered_in_order(self) -> bool:
        return any(_is_in_order(byte) for byte in self._waiting)

    async def _forget(self, link: Link) -> None:
        # Answers to questions of the past must not be taken for answers to the next.
        self._waiting.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await link.read()

    async def _line(self) -> Link:
        if self._link is None:
            self._link = await open_link(self._url, baudrate=self._options.baudrate)
            self._doubtful = True
        return self._link


def _is_real_time(byte: int) -> bool:
    # DLE EOT: bits 1 and 4 set, bits 0 and 7 clear.
    return byte & 0x93 == 0x12


def _is_in_order(byte: int) -> bool:
    # GS r 1: bits 4 to 7 clear, each sensor in two equal bits.
    return byte in (0x00, 0x03, 0x0C, 0x0F)


def _status(printer: int, offline: int, error: int, paper: int) -> PrinterStatus:
    left = PaperStatus.LOW if paper & 0x0C else PaperStatus.FULL
    if paper & 0x60 or offline & 0x20:
        left = PaperStatus.OUT
    # An open cover also lifts the paper off its sensor, so it is named first.
    if offline & 0x04:
        return PrinterStatus(DeviceState.USER_ERROR, "The cover is open.", left)
    if left is PaperStatus.OUT:
        return PrinterStatus(DeviceState.ONLINE, "The paper is out.", left)
    if error & 0x08:
        return PrinterStatus(DeviceState.HARDWARE_ERROR, "The cutter reports an error.", left)
    if error & 0x20:
        return PrinterStatus(DeviceState.HARDWARE_ERROR, "The printer reports an unrecoverable error.", left)
    if error & 0x40:
        return PrinterStatus(DeviceState.DEVICE_BUSY, "The print head is cooling down.", left)
    if offline & 0x40:
        return PrinterStatus(DeviceState.HARDWARE_ERROR, "The printer reports an error.", left)
    if printer & 0x08:
        return PrinterStatus(DeviceState.OFFLINE, "The printer says that it is offline.", left)
    low = "The paper is running low." if left is PaperStatus.LOW else ""
    return PrinterStatus(DeviceState.ONLINE, low, left)
