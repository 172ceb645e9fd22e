"""Give people their data, and erase it."""

import json
import os
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from console.cli.context import (
    caller,
    check_person,
    format_option,
    not_written,
    open_platform,
    person_options,
    print_table,
)

if TYPE_CHECKING:
    from integrations.desks.people import PeopleDesk


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
        if output is None:
            click.echo(_text(people, kind, identifier))
            return
        # Before the copy is made: that it was given out is journalled, and must not be said of a file that
        # cannot be written.
        with _new_file(output) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("copy.json", _text(people, kind, identifier))
            for name, content in people.contents(caller(), kind, identifier):
                archive.writestr(name, content)
    click.echo(f"Written to {output}.")


def _text(people: "PeopleDesk", kind: str, identifier: str) -> str:
    return json.dumps(people.copy(caller(), kind, identifier), ensure_ascii=False, indent=2)


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A new file that only this user reads; gone again if it is not finished."""
    try:
        # O_EXCL: what lies there already is not ours to overwrite.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise not_written(path, error) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        path.unlink()
        raise


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
        done = platform.licensing.people.erase(caller(), case, reason, str(uuid.uuid4())).body
    licence = f", licence {done['licence']}" if done["licence"] else ""
    click.echo(f"Erased: {', '.join(done['erased'])}{licence}.")


@command.command()
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="Cases shown.")
@format_option
@click.pass_context
def due(ctx: click.Context, limit: int, output: str) -> None:
    """List the cases that retention keeps no longer; the worker erases them."""
    with open_platform(ctx) as platform:
        found = platform.licensing.people.due(caller(), limit)
    print_table(
        "Cases due for erasure",
        ("case", "closed_at"),
        [(each["case"], each["closed_at"]) for each in found],
        output,
    )
