"""The classes of device a terminal knows, in XFS4IoT's names, states and error codes.

A driver is one file in `kiosks/drivers` (or in a folder that terminal.toml names, or an entry point). It has
a pydantic model `Options` and `build(settings: DeviceSettings)`, which returns an object of one of these
classes. Building opens nothing: a device connects when it is first used and again after each loss.

Source: CEN CWA 17852 (XFS4IoT), Common, BarcodeReader and Printer interfaces.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable

from PIL import Image

from foundation.errors import InvalidInput, Unavailable


class DeviceState(StrEnum):
    """State of a device (Common.Status, `device`)."""

    ONLINE = "online"
    OFFLINE = "offline"
    POWER_OFF = "powerOff"
    NO_DEVICE = "noDevice"
    HARDWARE_ERROR = "hardwareError"
    USER_ERROR = "userError"
    DEVICE_BUSY = "deviceBusy"
    STARTING = "starting"


class PaperStatus(StrEnum):
    """What the printer says of its paper; a printer that says nothing is `unknown`, never `full`."""

    FULL = "full"
    LOW = "low"
    OUT = "out"
    JAMMED = "jammed"
    UNKNOWN = "unknown"


class MediaControl(StrEnum):
    """What to do with the paper (Printer.ControlMedia)."""

    CUT = "cut"
    PARTIAL_CUT = "partialCut"


class BarcodeFault(StrEnum):
    """Why a code was refused; the code itself is never repeated."""

    CONTROL_CHARACTERS = "controlCharacters"
    NOT_ASCII = "notAscii"
    TOO_LONG = "tooLong"
    NOT_A_LICENCE = "notALicence"
    FORGED = "forged"


@dataclass(frozen=True)
class DeviceSettings:
    """One device of a terminal, as terminal.toml names it.

    Args:
        name: unique in the terminal.
        url: address of its line, for `foundation.wire.link.open_link`.
        options: what only this driver understands.
    """

    name: str
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DeviceStatus:
    """A device as it is now.

    Args:
        device: its state.
        detail: one sentence for the technician; "" when there is nothing to say.
    """

    device: DeviceState
    detail: str = ""

    @property
    def ready(self) -> bool:
        """Whether it can do its work now."""
        return self.device is DeviceState.ONLINE


@dataclass(frozen=True)
class PrinterStatus(DeviceStatus):
    """A printer as it is now.

    Args:
        paper: state of the paper.
    """

    paper: PaperStatus = PaperStatus.UNKNOWN

    @property
    def ready(self) -> bool:
        """Whether it can print now. Unknown paper does not stop it: many printers have no sensor."""
        return super().ready and self.paper not in (PaperStatus.OUT, PaperStatus.JAMMED)


@dataclass(frozen=True)
class Printed:
    """What a completed print took.

    Args:
        rows: height of the picture in dots.
        sent: bytes on the wire.
    """

    rows: int
    sent: int


class BarcodeInvalid(InvalidInput):
    """A code was read and refused (BarcodeReader.Read, errorCode `barcodeInvalid`).

    Args:
        fault: why.
        place: the reader.
    """

    def __init__(self, fault: BarcodeFault, place: str = "") -> None:
        super().__init__(f"The code was refused ({fault}).", place=place, remedy="Scan a licence.")
        self.fault = fault


class PrinterNotReady(Unavailable):
    """The printer says why it cannot; the receipt is not printed, or not whole, and none of it is left in it.

    Args:
        status: what the printer said.
        place: its address.
    """

    def __init__(self, status: PrinterStatus, place: str) -> None:
        super().__init__(f"The printer cannot print: {status.detail}", place=place)
        self.status = status


class PrintUncertain(Unavailable):
    """The printer went silent after data was sent; nobody knows what came out.

    Args:
        reason: what happened.
        place: its address.
    """

    def __init__(self, reason: str, place: str) -> None:
        super().__init__(
            f"Whether the receipt came out is not known: {reason}",
            place=place,
            remedy="Look at the paper; check the printer's power and cable.",
        )


class Device(Protocol):
    """Any device. `status` never raises: a device that does not answer is `offline`."""

    name: str

    async def status(self) -> DeviceStatus:
        """How it is now, asked of the device itself."""
        ...

    async def reset(self) -> None:
        """Forget every job and be ready for the next.

        Raises:
            DeviceUnreachable: it does not answer.
        """
        ...

    async def close(self) -> None:
        """Give its line back; the next use opens it again."""
        ...


@runtime_checkable
class BarcodeReader(Device, Protocol):
    """Reads bar codes and QR codes."""

    async def read(self) -> str:
        """The next code: printable ASCII without its end mark. Waits for one; safe to cancel.

        Raises:
            BarcodeInvalid: a code was read and refused.
            DeviceUnreachable: the reader is gone.
        """
        ...


@runtime_checkable
class Printer(Device, Protocol):
    """Prints receipts. Each method returns only after the device itself said that it was done."""

    async def print_raster(self, image: Image.Image) -> Printed:
        """Print a picture, one dot a pixel, black on white.

        Raises:
            PrinterNotReady: it cannot print now; nothing of this job will come out later.
            PrintUncertain: it went silent in the middle.
            InvalidInput: the picture is wider than the paper.
        """
        ...

    async def control_media(self, control: MediaControl) -> None:
        """Cut the paper behind what was printed.

        Raises:
            PrinterNotReady: the cutter or the printer reports an error.
            PrintUncertain: it went silent.
        """
        ...

    async def status(self) -> PrinterStatus:
        """How it is now, asked of the printer itself."""
        ...
