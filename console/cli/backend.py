"""Back-ends: which answer, since when the others do not, and how many cases wait for them."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from console.cli.context import format_option, open_platform, print_table

_COLUMNS = ("backend", "circuit", "answered_at", "unanswered_since", "reason", "waiting", "parked")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Back-ends: which answer, since when the others do not, and how many cases wait for them."""


@command.command("list")
@format_option
@click.pass_context
def show(ctx: click.Context, output: str) -> None:
    """List the back-ends of the settings.

    Ends with 0 if all answer, with 1 if one that was asked does not.
    """
    with open_platform(ctx) as platform:
        found = platform.licensing.outside.standings()
    rows = [
        {
            name: _moment(value) if isinstance(value, datetime) else value
            for name, value in asdict(each).items()
        }
        for each in found
    ]
    if output == "json":
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        print_table("Back-ends", _COLUMNS, [[row[name] for name in _COLUMNS] for row in rows], output)
    ctx.exit(1 if any(each.unanswered_since is not None for each in found) else 0)


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
