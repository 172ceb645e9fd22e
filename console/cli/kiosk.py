"""Run a self-service terminal, or look at its devices."""

import asyncio
import sys
from pathlib import Path

import click

from console.cli.context import format_option, print_table
from foundation.telemetry import configure_logging


@click.group("kiosk")
def command() -> None:
    """Run a self-service terminal, or look at its devices."""


@command.command("run")
@click.argument("file", type=click.Path(path_type=Path), metavar="TERMINAL.TOML")
def run(file: Path) -> None:
    """Run the terminal that TERMINAL.TOML describes, until it is interrupted.

    What it does is printed as JSON lines, the first of which holds the address of its screen; what goes wrong
    is written to standard error, one JSON line each.
    """
    from kiosks.running import run_terminal

    configure_logging("info", "kiosk")
    asyncio.run(run_terminal(file, sys.stdout))


@command.command("devices")
@click.argument("file", type=click.Path(path_type=Path), metavar="TERMINAL.TOML")
@format_option
def devices(file: Path, output: str) -> None:
    """Ask each device of TERMINAL.TOML how it is now."""
    from kiosks.running import ask_devices

    columns = ("name", "class", "driver", "url", "state", "paper", "detail")
    print_table("Devices", columns, asyncio.run(ask_devices(file)), output)
