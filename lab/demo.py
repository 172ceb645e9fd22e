"""The demo's face: live progress while the story runs, then what was observed and where to look on."""

import contextlib
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from foundation.errors import RakeezaError
from lab.municipality import Municipality, municipality
from lab.observing import Observation
from lab.story import Story


def demonstrate(folder: Path | None, *, serve_on: bool) -> int:
    """Start the lab and the platform, tell the story, show what was observed.

    Args:
        folder: where the lab keeps its files; without it a temporary one, removed at the end.
        serve_on: keep everything running after the story until Ctrl-C.

    Returns:
        0 if every step was observed from outside, else 1.
    """
    console = Console(highlight=False)
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        with _progress(console) as progress:
            task = progress.add_task("Start the lab and the platform", total=1)
            lab = stack.enter_context(municipality(folder))
            progress.update(task, completed=1)
        seen, whole = _tell(console, lab)
        _show(console, seen)
        console.print(f"Told in {time.monotonic() - started:.1f} s.")
        if serve_on and whole:
            _show_ways_on(console, lab)
            lab.wait()
        return 0 if whole else 1


def _tell(console: Console, lab: Municipality) -> tuple[list[tuple[str, Observation]], bool]:
    seen: list[tuple[str, Observation]] = []
    story = Story(lab)
    try:
        for step in story.steps():
            with _progress(console) as progress:
                task = progress.add_task(step.title, total=1)
                try:
                    for observation in step.perform():
                        seen.append((step.title, observation))
                        progress.update(task, description=f"{step.title} [dim]· {observation.what}[/dim]")
                except (RakeezaError, httpx.HTTPError, subprocess.TimeoutExpired) as error:
                    progress.update(task, description=f"[red]✗[/red] {step.title}")
                    progress.stop()
                    console.print(Text(str(error), style="red"))
                    return seen, False
                progress.update(task, description=step.title, completed=1)
    finally:
        story.close()
    return seen, True


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(finished_text="[green]✓[/green]"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
    )


def _show(console: Console, seen: Sequence[tuple[str, Observation]]) -> None:
    table = Table("Observed", "Seen by", "Value", title="What was observed", title_justify="left")
    told = ""
    for step, observation in seen:
        if step != told:
            table.add_section()
            table.add_row(Text(step, style="bold"))
            told = step
        value = Text(observation.value, overflow="fold")
        table.add_row(Text(observation.what), Text(observation.seen_by), value)
    console.print(table)


def _show_ways_on(console: Console, lab: Municipality) -> None:
    places = Table("What", "Where", title="Look at it", title_justify="left")
    for what, where in lab.places():
        places.add_row(what, where)
    console.print(places)
    accounts = Table("Client", "Secret", "Roles", title="Accounts of this lab", title_justify="left")
    for account in lab.accounts.values():
        accounts.add_row(account.client_id, account.secret, ", ".join(account.roles))
    console.print(accounts)
    console.print(f"Try: {lab.command()} play list")
    console.print("Serving; Ctrl-C stops everything.")
