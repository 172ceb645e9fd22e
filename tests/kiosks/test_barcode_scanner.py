"""The driver against the lab's scanner: a process of its own on a real pseudo-terminal."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from foundation.errors import DeviceUnreachable
from kiosks.device_classes import BarcodeFault, BarcodeInvalid, DeviceSettings, DeviceState
from kiosks.drivers.barcode_scanner import BarcodeScanner, build
from lab.kiosk_devices import KioskDevices

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    async def limited() -> Result:
        async with asyncio.timeout(30):
            return await work

    return asyncio.run(limited())


def codes_of(
    devices: KioskDevices, sent: list[bytes], count: int, **options: Any
) -> list[str | BarcodeFault]:
    """What the driver makes of bytes that come one packet after the other."""

    async def work() -> list[str | BarcodeFault]:
        scanner = build(DeviceSettings("scanner", devices.scanner_url, options))
        assert (await scanner.status()).ready
        sending = asyncio.create_task(send())
        seen: list[str | BarcodeFault] = []
        try:
            while len(seen) < count:
                try:
                    seen.append(await scanner.read())
                except BarcodeInvalid as error:
                    seen.append(error.fault)
        finally:
            await sending
            await scanner.close()
        return seen

    async def send() -> None:
        for packet in sent:
            await asyncio.to_thread(devices.scanner_sends, packet)

    return run(work())


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b""])
def test_a_code_ends_with_any_usual_mark_or_with_silence(devices: KioskDevices, end: bytes) -> None:
    assert codes_of(devices, [b"SL-2026-004512" + end], 1) == ["SL-2026-004512"]


def test_codes_that_come_together_are_told_apart(devices: KioskDevices) -> None:
    assert codes_of(devices, [b"SL-1-1\r\nSL-2-2\r\n\r\nSL-3-3\r"], 3) == ["SL-1-1", "SL-2-2", "SL-3-3"]


def test_a_code_that_comes_in_pieces_is_one(devices: KioskDevices) -> None:
    pieces = [b"SL-20", b"26-0", b"04512\r"]
    assert codes_of(devices, pieces, 1, idle=3) == ["SL-2026-004512"]


@pytest.mark.parametrize(
    ("sent", "fault"),
    [
        (b"\x1b[2JSL-2026-004512\r", BarcodeFault.CONTROL_CHARACTERS),
        (b"SL-2026\x00-004512\r", BarcodeFault.CONTROL_CHARACTERS),
        (b"\x04\r", BarcodeFault.CONTROL_CHARACTERS),
        ("رخصة\r".encode(), BarcodeFault.NOT_ASCII),
        (b"\xff\xfe\r", BarcodeFault.NOT_ASCII),
        (b"A" * 3000 + b"\r", BarcodeFault.TOO_LONG),
        (b"A" * 3000, BarcodeFault.TOO_LONG),
        (b"A" * 1201 + b"\n", BarcodeFault.TOO_LONG),
    ],
)
def test_what_no_licence_holds_is_refused_by_name_and_the_next_code_is_read(
    devices: KioskDevices, sent: bytes, fault: BarcodeFault
) -> None:
    silence_ends_it = [sent, b"SL-2026-004512\r"] if sent[-1:] in b"\r\n" else [sent]
    expected: list[str | BarcodeFault] = [fault, "SL-2026-004512"]
    assert codes_of(devices, silence_ends_it, len(silence_ends_it)) == expected[: len(silence_ends_it)]


def test_an_endless_code_is_one_refusal_and_does_not_fill_the_memory(devices: KioskDevices) -> None:
    endless = [b"A" * 25_000 for _ in range(40)]
    assert codes_of(devices, [*endless, b"\rSL-1-1\r"], 2, idle=5) == [BarcodeFault.TOO_LONG, "SL-1-1"]


def test_the_refusal_never_repeats_the_code() -> None:
    error = BarcodeInvalid(BarcodeFault.CONTROL_CHARACTERS, "scanner")
    assert str(error) == "scanner: The code was refused (controlCharacters). Scan a licence."


def test_a_pulled_cable_is_named_and_the_scanner_comes_back(devices: KioskDevices) -> None:
    async def work() -> None:
        scanner = build(DeviceSettings("scanner", devices.scanner_url))
        assert (await scanner.status()).ready
        reading = asyncio.create_task(scanner.read())
        await asyncio.sleep(0.05)
        await asyncio.to_thread(devices.plug_scanner, False)
        with pytest.raises(DeviceUnreachable) as caught:
            await reading
        assert caught.value.place == devices.scanner_url
        assert (await scanner.status()).device is DeviceState.OFFLINE
        await asyncio.to_thread(devices.plug_scanner, True)
        assert (await scanner.status()).ready
        await asyncio.to_thread(devices.scan, "SL-1-1")
        assert await scanner.read() == "SL-1-1"
        await scanner.close()

    run(work())


def test_half_a_code_is_forgotten_with_the_cable(devices: KioskDevices) -> None:
    async def work() -> str:
        scanner = build(DeviceSettings("scanner", devices.scanner_url, {"idle": 5}))
        assert (await scanner.status()).ready
        reading = asyncio.create_task(scanner.read())
        await asyncio.to_thread(devices.scanner_sends, b"SL-2026-0")
        await asyncio.sleep(0.1)
        await asyncio.to_thread(devices.plug_scanner, False)
        with pytest.raises(DeviceUnreachable):
            await reading
        await asyncio.to_thread(devices.plug_scanner, True)
        reading = asyncio.create_task(scanner.read())
        await asyncio.sleep(0.1)
        await asyncio.to_thread(devices.scan, "SL-1-1")
        code = await reading
        await scanner.close()
        return code

    assert run(work()) == "SL-1-1"


def test_a_cancelled_read_keeps_the_half_that_came(devices: KioskDevices) -> None:
    async def work() -> str:
        scanner: BarcodeScanner = build(DeviceSettings("scanner", devices.scanner_url, {"idle": 5}))
        await scanner.status()
        await asyncio.to_thread(devices.scanner_sends, b"SL-20")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await scanner.read()
        await asyncio.to_thread(devices.scanner_sends, b"26-1\r")
        code = await scanner.read()
        await scanner.close()
        return code

    assert run(work()) == "SL-2026-1"
