"""What commands share: the settings, the opened platform, and tables."""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

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
        rows: one sequence a row, in the order of `columns`; None prints as "-".
        output: table, json or csv.
    """
    if output == "json":
        records = [dict(zip(columns, row, strict=True)) for row in rows]
        click.echo(json.dumps(records, ensure_ascii=False, indent=2, default=str))
    elif output == "csv":
        writer = csv.writer(sys.stdout)
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        # Not at the top: rich takes 60 ms, which a command that prints no table need not pay.
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, title_justify="left")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            # Text, not markup: a name such as "[red]" is a name.
            table.add_row(*(Text("-" if cell is None else str(cell)) for cell in row))
        Console(highlight=False).print(table)
