"""Give people their data, and erase it."""

import json
import uuid
import zipfile
from pathlib import Path

import click

from console.cli.context import check_person, format_option, open_platform, person_options, print_table
from foundation.identity import Caller

# Whoever can run this command can read the database itself.
_CALLER = Caller("rakeeza", "system", frozenset())


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Give people their data, and erase it."""


@command.command()
@person_options("Of the person.")
@click.option("--output", type=click.Path(path_type=Path), help="ZIP file to write, with the documents.")
@click.pass_context
def copy(ctx: click.Context, kind: str, identifier: str, output: Path | None) -> None:
    """Print everything that is held about a person as JSON; that it was given out is journalled."""
    check_person(kind, identifier)
    with open_platform(ctx) as platform:
        people = platform.licensing.people
        text = json.dumps(people.copy(_CALLER, kind, identifier), ensure_ascii=False, indent=2)
        if output is None:
            click.echo(text)
            return
        # "x": what lies there already is not ours to overwrite.
        with output.open("xb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            output.chmod(0o600)
            archive.writestr("copy.json", text)
            for name, content in people.contents(_CALLER, kind, identifier):
                archive.writestr(name, content)
    click.echo(f"Written to {output}.")


@command.command()
@click.argument("case")
@click.option("--reason", required=True, help="Why, before its time.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def erase(ctx: click.Context, case: str, reason: str, yes: bool) -> None:
    """Erase the personal data of the closed CASE, of its licence, and of all cases on it."""
    if not yes:
        click.confirm(f"Erase {case}, its licence and all cases on it? Nothing brings it back.", abort=True)
    with open_platform(ctx) as platform:
        done = platform.licensing.people.erase(_CALLER, case, reason, str(uuid.uuid4())).body
    licence = f", licence {done['licence']}" if done["licence"] else ""
    click.echo(f"Erased: {', '.join(done['erased'])}{licence}.")


@command.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Cases shown.")
@format_option
@click.pass_context
def due(ctx: click.Context, limit: int, output: str) -> None:
    """List the cases that retention keeps no longer; the worker erases them."""
    with open_platform(ctx) as platform:
        found = platform.licensing.people.due(_CALLER, limit)
    print_table(
        "Cases due for erasure",
        ("case", "closed_at"),
        [(each["case"], each["closed_at"]) for each in found],
        output,
    )
