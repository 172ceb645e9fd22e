"""Starts one terminal as a whole, and ends it cleanly."""

import asyncio
import signal
from pathlib import Path
from typing import TextIO

from kiosks import receipt
from kiosks.agent import Agent, EventLines
from kiosks.device_classes import PrinterStatus
from kiosks.headquarters import Headquarters
from kiosks.keeping import Keeping
from kiosks.screen.server import HOST, listening, serve_screen
from kiosks.terminal import load_devices, load_terminal


async def run_terminal(file: Path, stream: TextIO) -> None:
    """Run a terminal until SIGINT or SIGTERM.

    Args:
        file: terminal.toml.
        stream: where its events go, one JSON object a line.

    Raises:
        DefinitionError: terminal.toml is wrong.
        SettingsError: the secret, a font or the screen's port is missing.
    """
    terminal = load_terminal(file)
    if terminal.printer is not None:
        # Now, and not when the first citizen waits for his paper.
        receipt.check()
    section = terminal.file.headquarters
    events = EventLines(stream)
    keeping = Keeping(file.parent / terminal.file.terminal.state_folder, terminal.secret, section.url)
    headquarters = Headquarters(section.url, section.client_id, terminal.secret, section.timeout, keeping)
    with listening(terminal.file.screen.port) as server:
        async with headquarters as peer:
            agent = Agent(terminal, peer, events)
            events.tell("listening", url=f"http://{HOST}:{server.getsockname()[1]}/")
            await _until_told(agent, asyncio.create_task(serve_screen(agent, server)))
            events.tell("stopped")


async def ask_devices(file: Path) -> list[tuple[str, ...]]:
    """One row for each device: name, class, driver, url, state, paper, detail.

    Raises:
        DefinitionError: terminal.toml is wrong.
    """
    rows: list[tuple[str, ...]] = []
    for installed in load_devices(file):
        status = await installed.device.status()
        await installed.device.close()
        paper = status.paper if isinstance(status, PrinterStatus) else "-"
        name = installed.device.name
        head = (name, installed.device_class, installed.driver, installed.url)
        rows.append((*head, str(status.device), str(paper), status.detail))
    return rows


async def _until_told(agent: Agent, screen: "asyncio.Task[None]") -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, told.set)
    visit = asyncio.create_task(agent.run())
    waiting = asyncio.create_task(told.wait())
    try:
        await asyncio.wait({screen, visit, waiting}, return_when=asyncio.FIRST_COMPLETED)
        # Whatever ended by itself ended by a fault: say so now.
        for part in (screen, visit):
            if part.done():
                part.result()
    finally:
        # The devices first; that also ends the screen's open streams.
        for task in (visit, screen, waiting):
            task.cancel()
        await asyncio.wait({visit, screen, waiting})
