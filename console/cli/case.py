"""List and show cases."""

import json
from typing import Any

import click

from console.cli.context import format_choice, format_option, open_platform, print_table
from foundation.identity import Caller

# Whoever can run this command can read the database itself.
_CALLER = Caller("rakeeza", "system", frozenset())


@click.group
def command() -> None:
    """Cases: applications and where they stand."""


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Cases shown.")
@click.option("--after", help="Go on where a page ended: its `next`.")
@format_option
@click.pass_context
def list_(ctx: click.Context, limit: int, after: str | None, output: str) -> None:
    """List cases, newest first."""
    with open_platform(ctx) as platform:
        page = platform.licensing.cases(_CALLER, after, limit)
    columns = ("number", "service", "state", "version", "submitted_at", "changed_at")
    print_table("Cases", columns, [[case[name] for name in columns] for case in page["items"]], output)
    if page["next"] is not None:
        click.echo(f"More: rakeeza case list --after {page['next']}", err=True)


@command.command()
@click.argument("number")
@format_choice("table", "json")
@click.pass_context
def show(ctx: click.Context, number: str, output: str) -> None:
    """Show a case: where it stands, its bill, and its journal."""
    with open_platform(ctx) as platform:
        case = platform.licensing.case(_CALLER, number)
    if output == "json":
        click.echo(json.dumps(case, ensure_ascii=False, indent=2))
        return
    click.echo(
        f"{case['number']}: {case['service']}, {case['state_title']['en']} ({case['state_title']['ar']})"
    )
    for name, value in _facts(case):
        click.echo(f"  {name:<12} {value}")
    columns = ("version", "at", "actor", "action", "from", "to", "details")
    rows = [[_cell(entry[name]) for name in columns] for entry in case["journal"]]
    print_table("Journal", columns, rows)


def _facts(case: dict[str, Any]) -> list[tuple[str, str]]:
    quote, invoice = case["quote"], case["invoice"]
    return [
        ("application", "intact" if case["intact"] else "NOT as it was submitted"),
        ("definition", f"version {case['definition']['version']}, {case['definition']['sha256'][:12]}"),
        ("quote", f"{quote['total']} SAR of {quote['day']}" if quote else "none"),
        (
            "bill",
            f"{invoice['bill_number']}, {invoice['amount']} SAR, {invoice['state']}" if invoice else "none",
        ),
        ("licence", case["licence"] or "none"),
    ]


def _cell(value: Any) -> Any:
    return ", ".join(f"{name} {item}" for name, item in value.items()) if isinstance(value, dict) else value
