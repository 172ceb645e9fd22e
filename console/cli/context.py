"""What commands share: the settings, the opened platform, and tables."""

import csv
import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from foundation.caller import Caller
from foundation.errors import InvalidInput
from foundation.settings import Settings, load

if TYPE_CHECKING:
    from console.bootstrap import Platform

Callback = TypeVar("Callback", bound=Callable[..., Any])


def format_choice(*choices: str) -> Callable[[Callback], Callback]:
    """The option --format with these choices; the first is the default."""
    return click.option(
        "--format",
        "output",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="How to print.",
    )


format_option = format_choice("table", "json", "csv")


_KINDS = ("national_id", "iqama", "border_number", "unified_number")
_MOMENT = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:\.\d+)?Z")
_KEPT_WHOLE = 24  # characters
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def person_options(whose: str) -> Callable[[Callback], Callback]:
    """The options --kind and --identifier, which name a person; `check_person` judges them.

    Args:
        whose: what the identifier is of, for the help.
    """

    def add(callback: Callback) -> Callback:
        kind = click.option("--kind", type=click.Choice(_KINDS), required=True, help="Kind of identifier.")
        return kind(click.option("--identifier", required=True, help=whose)(callback))

    return add


def check_person(kind: str, identifier: str) -> None:
    """Refuse an identifier that nobody can have: of a mistyped one, "nothing is held" would be no answer.

    Raises:
        InvalidInput: it is mistyped.
    """
    # Not at the top: commands that name no person must not pay for it.
    from integrations.identifiers import Kind, fault

    known = next(each for each in get_args(Kind) if each == kind)
    if (wrong := fault(known, identifier)) is not None:
        raise InvalidInput(wrong.en, place="--identifier", message_ar=wrong.ar)


def user() -> str:
    """Who runs this command: the name of the system's user, or his number where he has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def actor() -> str:
    """Who runs this command, as the audit trail names him where no desk is asked."""
    return f"cli/{user()}"


def caller(*roles: str) -> Caller:
    """Who runs this command, as a desk is asked.

    Whoever can run a command can read and write the database itself; the trail names who it was.

    Args:
        roles: that the desk asks for, beside being of the system.
    """
    return Caller(f"cli-{user()}", "system", frozenset(roles))


def not_written(path: Path, error: OSError) -> InvalidInput:
    """What is said of a file that cannot be written."""
    return InvalidInput(
        f"The file cannot be written ({error.strerror}).", place=str(path), remedy="Name another file."
    )


def settings_of(ctx: click.Context) -> Settings:
    """The settings of this call: of `--settings`, or found as foundation.settings.load finds them."""
    path = ctx.find_root().obj
    return load(path if isinstance(path, Path) else None)


@contextmanager
def open_platform(ctx: click.Context, role: str = "command") -> Iterator["Platform"]:
    """The opened platform, its database migrated; closed at the end.

    Args:
        ctx: the command's context.
        role: what this process is, as the database shows it.
    """
    # Not at the top: commands that need no database must not pay for it.
    from console.bootstrap import open_platform as opened

    with opened(settings_of(ctx), role) as platform:
        yield platform


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], output: str = "table"
) -> None:
    """Print rows.

    Args:
        title: shown above the table.
        columns: names, also the keys of `json`.
        rows: one sequence a row, in the order of `columns`; a table has them as `shown`, numbers right.
        output: table, json or csv.
    """
    if output == "json":
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        click.echo(json.dumps(records, ensure_ascii=False, indent=2, default=str))
    elif output == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(rows)
    elif not rows:
        click.echo(f"{title}: none.")
    else:
        # Not at the top: rich takes 60 ms, which a command that prints no table need not pay.
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, title_justify="left")
        cells = [[shown(cell) for cell in row] for row in rows]
        for number, column in enumerate(columns):
            numbers = all(_NUMBER.fullmatch(row[number]) for row in cells if row[number] != "-")
            # The first names the row, and is what a person copies into the next command. A longer one would
            # be cut off where a terminal is narrow.
            whole = number == 0 and max(len(row[0]) for row in cells) <= _KEPT_WHOLE
            table.add_column(column, overflow="fold", justify="right" if numbers else "left", no_wrap=whole)
        for row in cells:
            # Text, not markup: a name such as "[red]" is a name.
            table.add_row(*(Text(cell) for cell in row))
        Console(highlight=False).print(table)


def shown(cell: Any) -> str:
    """A value as people read it: a moment to the second, "-" for none, yes and no."""
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return _MOMENT.sub(r"\1 \2Z", str(cell))
