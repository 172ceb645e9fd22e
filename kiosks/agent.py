"""The agent of one terminal: it hears the devices, leads the visit, asks headquarters and prints.

What it does is told as JSON lines, without personal data and without what was scanned.
"""

import asyncio
import json
import logging
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, TextIO
from zoneinfo import ZoneInfo

from foundation.errors import DeviceUnreachable, NotFound, RakeezaError, Unavailable
from foundation.wire.verification import Verdict
from kiosks.codes import licence_number, offline_verdict
from kiosks.device_classes import (
    BarcodeFault,
    BarcodeInvalid,
    BarcodeReader,
    MediaControl,
    Printer,
    PrinterNotReady,
    PrintUncertain,
)
from kiosks.headquarters import Headquarters
from kiosks.receipt import draw_receipt
from kiosks.terminal import Terminal
from kiosks.visit import Visit, VisitState

log = logging.getLogger(__name__)

Press = Literal["print", "finish", "ar", "en"]
_RIYADH = ZoneInfo("Asia/Riyadh")
_ENDED_STAYS = 15.0
_LOOK_AGAIN = 2.0
# Seconds between two looks for newer status lists, and after one that failed.
_LISTS_EVERY, _LISTS_AGAIN = 900.0, 60.0


class EventLines:
    """Writes what happens as one JSON object a line.

    Args:
        stream: where; each line is flushed, so that a reader sees it at once.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def tell(self, event: str, **details: str | int | bool) -> None:
        """One event; `details` never hold what a citizen scanned or read."""
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **details}
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()


class Agent:
    """One running terminal.

    Args:
        terminal: what it is made of.
        headquarters: whom it asks.
        events: where it tells what happens.
    """

    def __init__(self, terminal: Terminal, headquarters: Headquarters, events: EventLines) -> None:
        self.section = terminal.file.terminal
        self._terminal = terminal
        self._headquarters = headquarters
        self._events = events
        self._reader_up = {reader.name: False for reader in terminal.readers}
        self._task: asyncio.Task[None] | None = None
        self._deadline = 0.0
        self._changed = asyncio.Event()
        self._stopping = False
        self.version = 0
        self.visit = Visit(self.section.language)

    @property
    def has_printer(self) -> bool:
        """Whether this terminal can print at all."""
        return self._terminal.printer is not None

    @property
    def can_read(self) -> bool:
        """Whether a reader works now."""
        return any(self._reader_up.values())

    async def run(self) -> None:
        """Serve citizens until cancelled; the devices are closed at the end, however it comes."""
        self._touch()
        try:
            async with asyncio.TaskGroup() as group:
                for reader in self._terminal.readers:
                    group.create_task(self._listen(reader))
                group.create_task(self._watch_the_clock())
                group.create_task(self._keep_lists())
        finally:
            self._stopping = True
            self._wake()
            await self._drop_task()
            for installed in self._terminal.devices:
                await installed.device.close()

    async def next_version(self, seen: int) -> int | None:
        """Wait until the screen shows something else than version `seen`; None when the terminal ends."""
        while self.version == seen and not self._stopping:
            await self._changed.wait()
        return None if self._stopping else self.version

    def press(self, button: Press) -> None:
        """The citizen touched a button; one that the state does not offer is ignored."""
        self._touch()
        visit = self.visit
        if button in ("ar", "en"):
            visit.language = button
            self._show_change()
        elif button == "print" and visit.can_print:
            self._start(self._print())
        elif button == "finish" and visit.state is not VisitState.PRINTING:
            self._forget("finished")

    # -- readers ----------------------------------------------------------------------------------

    async def _listen(self, reader: BarcodeReader) -> None:
        while True:
            try:
                if not self._reader_up[reader.name]:
                    await self._wait_for(reader)
                self._scanned(await reader.read())
            except BarcodeInvalid as error:
                self._refused(error.fault)
            except DeviceUnreachable as error:
                log.warning("%s", error)
                self._mark(reader, up=False)

    async def _wait_for(self, reader: BarcodeReader) -> None:
        while not (status := await reader.status()).ready:
            log.debug("%s: %s", reader.name, status.detail)
            await asyncio.sleep(_LOOK_AGAIN / 2)
        self._mark(reader, up=True)

    def _mark(self, reader: BarcodeReader, *, up: bool) -> None:
        self._reader_up[reader.name] = up
        self._events.tell("reader", name=reader.name, state="online" if up else "offline")
        self._show_change()

    def _scanned(self, code: str) -> None:
        if not self.visit.takes_codes:
            self._events.tell("ignored", state=self.visit.state)
            return
        self._events.tell("scan")
        self._begin()
        self._start(self._look_up(code))

    def _refused(self, fault: BarcodeFault) -> None:
        self._events.tell("refused", reason=fault)
        if self.visit.takes_codes:
            self._begin()
            self._trouble("forged" if fault is BarcodeFault.FORGED else "refused")

    def _begin(self) -> None:
        # A new code is a new visit; only the language that was chosen on the first screen goes with it.
        self.visit = Visit(self.visit.language)
        self._touch()
        self.visit.read()
        self._show_change()

    # -- one licence ------------------------------------------------------------------------------

    async def _look_up(self, code: str) -> None:
        visit = self.visit
        try:
            number = await licence_number(code, lambda fresh: self._headquarters.keys(fresh=fresh))
            visit.show(await self._headquarters.licence(number))
        except BarcodeInvalid as error:
            self._events.tell("refused", reason=error.fault)
            self._trouble("forged" if error.fault is BarcodeFault.FORGED else "refused")
            return
        except NotFound:
            self._events.tell("not_found")
            self._trouble("not_found")
            return
        except RakeezaError as error:
            # Headquarters is away, or does not accept us: the citizen can do nothing about either.
            log.warning("%s", error)
            self._events.tell("offline", reason=type(error).__name__)
            self._trouble("offline", self._by_itself(code))
            return
        self._touch()
        self._events.tell("shown")
        self._show_change()
        if self.section.print_at_once and self.has_printer:
            await self._print()

    async def _print(self) -> None:
        visit, printer = self.visit, self._terminal.printer
        if printer is None or visit.licence is None:
            return
        # Drawn once: what comes out after a repair is what the citizen asked for.
        receipt = await asyncio.to_thread(
            draw_receipt,
            visit.licence,
            language=visit.language,
            terminal=self.section.name,
            printed_at=datetime.now(_RIYADH),
        )
        while True:
            visit.begin_print()
            self._show_change()
            try:
                result = await printer.print_raster(receipt)
                break
            except PrinterNotReady as error:
                log.warning("%s", error)
                self._events.tell("pending", device=error.status.device, paper=error.status.paper)
                visit.wait_for_printer()
                self._show_change()
                await asyncio.sleep(_LOOK_AGAIN)
            except PrintUncertain as error:
                log.warning("%s", error)
                self._events.tell("uncertain")
                self._trouble("uncertain")
                return
        cut = await self._cut(printer)
        self._events.tell("printed", rows=result.rows, bytes=result.sent, cut=cut)
        visit.end()
        self._touch(min(_ENDED_STAYS, self.section.visit_timeout))
        self._show_change()

    async def _cut(self, printer: Printer) -> bool:
        # A paper that is printed and not cut is still the citizen's: he tears it off.
        try:
            await printer.control_media(MediaControl.PARTIAL_CUT)
        except (PrinterNotReady, PrintUncertain) as error:
            log.warning("%s", error)
            return False
        return True

    # -- state ------------------------------------------------------------------------------------

    def _by_itself(self, code: str) -> Verdict | None:
        peer = self._headquarters
        verdict = offline_verdict(code, peer.known_keys, peer.lists, datetime.now(UTC))
        if verdict is not None:
            self._events.tell("judged_offline", answer=verdict.answer.value)
        return verdict

    async def _keep_lists(self) -> None:
        while True:
            try:
                newer = await self._headquarters.refresh_lists()
                if newer:
                    self._events.tell("lists", newer=newer)
                await asyncio.sleep(_LISTS_EVERY)
            except RakeezaError as error:
                # Those held still serve, and tell their age. That headquarters is away is nothing new; that
                # it says something that is not to be believed is.
                log.log(logging.DEBUG if isinstance(error, Unavailable) else logging.WARNING, "%s", error)
                await asyncio.sleep(_LISTS_AGAIN)

    def _trouble(self, key: str, verdict: Verdict | None = None) -> None:
        self._touch()
        self.visit.fail(key, verdict)
        self._show_change()

    def _forget(self, why: str) -> None:
        if self.visit.state is VisitState.PENDING:
            self._events.tell("expired")
        if self.visit.state is not VisitState.ATTRACT:
            self._events.tell("ended", reason=why)
        if self._task is not None:
            self._task.cancel()
        self.visit = Visit(self.section.language)
        self._show_change()

    async def _watch_the_clock(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(0.5, max(0.05, self._deadline - loop.time())))
            if loop.time() < self._deadline:
                continue
            # Paper in motion and a question under way have ends of their own.
            if self.visit.state not in (VisitState.PRINTING, VisitState.READING):
                fresh = self.visit == Visit(self.section.language)
                if not fresh:
                    self._forget("timeout")
            self._touch()

    def _touch(self, seconds: float | None = None) -> None:
        self._deadline = asyncio.get_running_loop().time() + (seconds or self.section.visit_timeout)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(work)
        self._task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or task.exception() is None:
            return
        # A fault of ours must not freeze the screen before the next citizen.
        log.error("A visit failed.", exc_info=task.exception())
        self._events.tell("failed", reason=type(task.exception()).__name__)
        self._forget("failed")

    async def _drop_task(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._task

    def _show_change(self) -> None:
        self.version += 1
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
