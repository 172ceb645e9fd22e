"""The driver against the lab's printer: a process of its own that decodes what comes over TCP."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import pytest
from PIL import Image, ImageChops, ImageDraw

from foundation.errors import InvalidInput
from foundation.guard import free_port
from kiosks.device_classes import (
    DeviceSettings,
    DeviceState,
    MediaControl,
    PaperStatus,
    Printed,
    PrinterNotReady,
    PrintUncertain,
)
from kiosks.drivers.escpos_printer import EscPosPrinter, build, encode
from lab.escpos_decoder import EscPosDecoder
from lab.kiosk_devices import KioskDevices

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    async def limited() -> Result:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(limited())


@contextlib.asynccontextmanager
async def printer_on(url: str, **options: Any) -> AsyncIterator[EscPosPrinter]:
    printer = build(DeviceSettings("printer", url, {"answer_timeout": 0.3, **options}))
    try:
        yield printer
    finally:
        await printer.close()


def picture(rows: int = 300, seed: int = 1) -> Image.Image:
    noise = random.Random(seed)
    image = Image.new("1", (576, rows), 1)
    draw = ImageDraw.Draw(image)
    for _ in range(rows // 10):
        x, y = noise.randrange(576), noise.randrange(rows)
        draw.rectangle((x, y, x + noise.randrange(80), y + noise.randrange(6)), fill=0)
    # The last row is black, so that the paper's length shows every lost row.
    draw.line((0, rows - 1, 575, rows - 1), fill=0)
    return image


def equal(paper: Image.Image, wanted: Image.Image) -> bool:
    return (
        paper.size == wanted.size
        and ImageChops.logical_xor(paper.convert("1"), wanted.convert("1")).getbbox() is None
    )


async def printed_and_cut(devices: KioskDevices, image: Image.Image) -> Printed:
    async with printer_on(devices.printer_url) as printer:
        result = await printer.print_raster(image)
        await printer.control_media(MediaControl.PARTIAL_CUT)
        return result


def decoded(data: bytes) -> Image.Image:
    decoder = EscPosDecoder(lambda _: None)
    decoder.receive(b"\x1b@\x1dP\xcb\xcb" + data)
    decoder.work()
    assert decoder.unknown == []
    assert decoder.waiting == 0
    return decoder.picture()


@pytest.mark.parametrize("trim_left", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_every_picture_comes_out_dot_for_dot(trim_left: bool, seed: int) -> None:
    wanted = picture(rows=50 + seed * 97, seed=seed)
    assert equal(decoded(encode(wanted, trim_left=trim_left)), wanted)


@pytest.mark.parametrize("color", [0, 1])
def test_a_black_and_a_white_page_come_out_dot_for_dot(color: int) -> None:
    wanted = Image.new("1", (576, 700), color)
    assert equal(decoded(encode(wanted)), wanted)


def test_white_costs_almost_nothing() -> None:
    assert len(encode(Image.new("1", (576, 2550), 1))) == 30


def test_a_left_margin_is_left_out() -> None:
    image = Image.new("1", (576, 60), 1)
    ImageDraw.Draw(image).rectangle((500, 0, 575, 59), fill=0)
    assert len(encode(image)) < 60 * 12
    assert len(encode(image, trim_left=False)) > 60 * 72


def test_the_paper_of_the_printer_is_the_picture(devices: KioskDevices) -> None:
    wanted = picture()
    result = run(printed_and_cut(devices, wanted))
    (paper,) = devices.receipts()
    assert equal(Image.open(paper), wanted)
    assert result.rows == 300
    assert devices.printer()["unknown"] == []


def test_a_second_receipt_is_not_joined_to_the_first(devices: KioskDevices) -> None:
    async def work() -> None:
        async with printer_on(devices.printer_url) as printer:
            for seed in (1, 2):
                await printer.print_raster(picture(seed=seed))
                await printer.control_media(MediaControl.CUT)

    run(work())
    first, second = devices.receipts()
    assert equal(Image.open(first), picture(seed=1))
    assert equal(Image.open(second), picture(seed=2))


def test_a_picture_that_looks_like_a_status_question_prints_all_the_same(devices: KioskDevices) -> None:
    # Real printers answer DLE EOT also inside a picture; the answers must not be taken for others.
    question = bytes([0x10, 0x04, 0x01, 0x10, 0x04, 0x04, 0x10, 0x04, 0x02]) * 8
    wanted = Image.frombytes("1", (576, 64), bytes(255 - byte for byte in question) * 64)
    run(printed_and_cut(devices, wanted))
    (paper,) = devices.receipts()
    assert equal(Image.open(paper), wanted)


def test_a_slow_printer_is_waited_for(devices: KioskDevices) -> None:
    devices.printer(bytes_per_second=8000)
    wanted = Image.new("1", (576, 250), 0)
    run(printed_and_cut(devices, wanted))
    (paper,) = devices.receipts()
    assert equal(Image.open(paper), wanted)


@pytest.mark.parametrize(
    ("fault", "state", "paper", "sentence"),
    [
        ({"paper": "low"}, DeviceState.ONLINE, PaperStatus.LOW, "low"),
        ({"paper": "out"}, DeviceState.ONLINE, PaperStatus.OUT, "out"),
        ({"cover_open": True}, DeviceState.USER_ERROR, PaperStatus.FULL, "cover"),
        ({"cutter_error": True}, DeviceState.HARDWARE_ERROR, PaperStatus.FULL, "cutter"),
        ({"broken": True}, DeviceState.HARDWARE_ERROR, PaperStatus.FULL, "unrecoverable"),
        ({"head_hot": True}, DeviceState.DEVICE_BUSY, PaperStatus.FULL, "cooling"),
        ({"mute": True}, DeviceState.OFFLINE, PaperStatus.UNKNOWN, "does not answer"),
        ({}, DeviceState.ONLINE, PaperStatus.FULL, ""),
    ],
)
def test_the_printer_names_its_fault(
    devices: KioskDevices, fault: dict[str, Any], state: DeviceState, paper: PaperStatus, sentence: str
) -> None:
    devices.printer(**fault)

    async def work() -> None:
        async with printer_on(devices.printer_url) as printer:
            status = await printer.status()
            assert (status.device, status.paper) == (state, paper)
            assert sentence in status.detail

    run(work())


def test_a_printer_that_is_not_there_is_offline_and_its_paper_unknown() -> None:
    async def work() -> None:
        url = f"socket://127.0.0.1:{free_port()}"
        async with printer_on(url) as printer:
            status = await printer.status()
            assert (status.device, status.paper) == (DeviceState.OFFLINE, PaperStatus.UNKNOWN)
            with pytest.raises(PrinterNotReady) as caught:
                await printer.print_raster(picture())
            assert caught.value.place == url

    run(work())


@pytest.mark.parametrize(
    "fault", [{"paper": "out"}, {"cover_open": True}, {"cutter_error": True}, {"mute": True}]
)
def test_a_printer_that_cannot_is_sent_nothing(devices: KioskDevices, fault: dict[str, Any]) -> None:
    devices.printer(**fault, silent_after=None)
    with pytest.raises(PrinterNotReady):
        run(printed_and_cut(devices, picture()))
    # Status questions and what clears the printer, and no picture.
    assert devices.printer()["received"] < 100


def test_paper_that_ends_in_mid_receipt_is_told_and_the_rest_never_comes_out(devices: KioskDevices) -> None:
    devices.printer(rows_left=100)
    with pytest.raises(PrinterNotReady, match="paper is out"):
        run(printed_and_cut(devices, picture()))
    state = devices.printer()
    assert state["rows"] == 100
    # New paper: nothing of the old citizen's receipt may come out of it.
    state = devices.printer(paper="full", rows_left=None)
    assert (state["rows"], state["waiting"]) == (100, 0)


def test_after_new_paper_the_whole_receipt_is_printed(devices: KioskDevices) -> None:
    devices.printer(rows_left=100)

    async def work() -> None:
        async with printer_on(devices.printer_url) as printer:
            with pytest.raises(PrinterNotReady):
                await printer.print_raster(picture())
            devices.printer(paper="full", rows_left=None)
            await printer.print_raster(picture())
            await printer.control_media(MediaControl.CUT)

    run(work())
    (paper,) = devices.receipts()
    whole = Image.open(paper).convert("1")
    # The strip that came out first hangs before it.
    assert whole.height == 400
    assert equal(whole.crop((0, 100, 576, 400)), picture())


@pytest.mark.parametrize("at", [5_000, 8_000])
def test_a_printer_that_hangs_up_in_mid_receipt_leaves_it_uncertain(devices: KioskDevices, at: int) -> None:
    devices.printer(hang_up_after=at)

    async def work() -> None:
        async with printer_on(devices.printer_url) as printer:
            with pytest.raises(PrintUncertain):
                await printer.print_raster(Image.new("1", (576, 250), 0))
            # Plugged in again: half of the old picture must not swallow the next.
            await printer.print_raster(picture())
            await printer.control_media(MediaControl.CUT)

    run(work())
    whole = Image.open(devices.receipts()[0]).convert("1")
    assert equal(whole.crop((0, whole.height - 300, 576, whole.height)), picture())


def test_a_printer_that_falls_silent_behind_the_data_leaves_it_uncertain(devices: KioskDevices) -> None:
    devices.printer(silent_after=6_000)
    with pytest.raises(PrintUncertain, match="not known"):
        run(printed_and_cut(devices, Image.new("1", (576, 250), 0)))


def test_a_cutter_that_fails_is_named_after_the_print(devices: KioskDevices) -> None:
    devices.printer(cutter_jams=True)

    async def work() -> None:
        async with printer_on(devices.printer_url) as printer:
            await printer.print_raster(picture())
            with pytest.raises(PrinterNotReady, match="cutter") as caught:
                await printer.control_media(MediaControl.CUT)
            assert caught.value.status.device is DeviceState.HARDWARE_ERROR

    run(work())
    assert devices.receipts() == []


def test_a_job_that_is_cancelled_leaves_nothing_behind(devices: KioskDevices) -> None:
    devices.printer(bytes_per_second=2000)

    async def work() -> None:
        async with printer_on(devices.printer_url) as printer:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await printer.print_raster(Image.new("1", (576, 250), 0))

    run(work())
    devices.printer(bytes_per_second=0)
    assert devices.printer()["waiting"] == 0
    run(printed_and_cut(devices, picture()))
    whole = Image.open(devices.receipts()[0]).convert("1")
    assert equal(whole.crop((0, whole.height - 300, 576, whole.height)), picture())


def test_a_picture_wider_than_the_paper_is_refused(devices: KioskDevices) -> None:
    with pytest.raises(InvalidInput, match="wide"):
        run(printed_and_cut(devices, Image.new("1", (640, 10), 1)))
