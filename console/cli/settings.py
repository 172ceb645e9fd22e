"""Show every setting: its value, where it comes from, and what it is for."""

import os

import click

from console.cli.context import format_option, print_table, settings_of
from foundation.settings import listed, options

_COLUMNS = ("option", "value", "from", "default", "environment", "description")
_NARROW = ("option", "value", "from", "description")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@format_option
@click.pass_context
def command(ctx: click.Context, output: str) -> None:
    """Show every setting: its value, where it comes from, and what it is for."""
    settings = settings_of(ctx)
    rows = []
    for name, variable, default, description in options():
        section, option = name.split(".")
        values = getattr(settings, section)
        if variable in os.environ:
            origin = "environment"
        else:
            origin = "file" if option in values.model_fields_set else "default"
        rows.append((name, _shown(getattr(values, option)), origin, default, variable, description))
    if output == "table":
        # A terminal is only so wide; json and csv have the rest.
        print_table("Settings", _NARROW, [(row[0], row[1], row[2], row[5]) for row in rows], output)
    else:
        print_table("Settings", _COLUMNS, rows, output)


def _shown(value: object) -> str | None:
    if isinstance(value, tuple):
        return listed(value)
    # A secret prints as <secret>.
    return None if value is None else str(value)
