"""What of `rakeeza centre` is about money and evidence: statements, transfers, whether acts are proven."""

import json
from datetime import datetime
from typing import Any

import click

from console.cli.context import caller, format_choice, format_option, open_platform, print_table
from foundation.caller import Role

_DAY = click.DateTime(["%Y-%m-%d"])
_STATEMENT = (
    "statement",
    "until",
    "net",
    "vat",
    "total",
    "state",
    "made_by",
    "reference",
    "transferred_on",
    "noted_by",
)
_LINE = ("day", "kind", "case", "service", "bill_number", "fees", "share", "vat_percent")


@click.command()
@click.argument("code")
@click.option("--until", type=_DAY, required=True, help="Last day that it is about; over.")
@format_choice("table", "json")
@click.pass_context
def settle(ctx: click.Context, code: str, until: datetime, output: str) -> None:
    """Fix a statement of all that a centre has earned and that stands in none yet.

    What is earned on these days and written later, and what is taken back after it was settled, stands in
    the next one. A second run finds nothing left.
    """
    with open_platform(ctx) as platform:
        fixed = platform.licensing.settlements.settle(caller(Role.FINANCE), code, until.date())
    if output == "json":
        click.echo(json.dumps(fixed, ensure_ascii=False, indent=2))
    elif fixed is None:
        click.echo(f"{code}: nothing is left to settle up to {until.date()}.")
    else:
        click.echo(_sentence(code, fixed))


@click.command()
@click.argument("code")
@click.argument("number", type=click.IntRange(min=1))
@click.option("--reference", required=True, help="Of the transfer, as the bank has it.")
@click.option("--day", type=_DAY, required=True, help="On which the money moved.")
@click.pass_context
def transferred(ctx: click.Context, code: str, number: int, reference: str, day: datetime) -> None:
    """Note what was transferred for the statement NUMBER; not by who fixed it."""
    with open_platform(ctx) as platform:
        desk = platform.licensing.settlements
        noted = desk.transferred(caller(Role.FINANCE), code, number, reference, day.date())
    click.echo(_sentence(code, noted))


@click.command()
@click.argument("code")
@format_option
@click.pass_context
def statements(ctx: click.Context, code: str, output: str) -> None:
    """List the statements of a centre, what was transferred for each, and what is open."""
    with open_platform(ctx) as platform:
        found = platform.licensing.settlements.overview(caller(), code)
    rows = [tuple(each[name] for name in _STATEMENT) for each in found["statements"]]
    still = found["open"]
    rows.append((None, None, still["net"], still["vat"], still["total"], "not settled", *[None] * 4))
    print_table(f"Statements of {code}, SAR", _STATEMENT, rows, output)


@click.command()
@click.argument("code")
@click.argument("number", type=click.IntRange(min=1))
@format_option
@click.pass_context
def statement(ctx: click.Context, code: str, number: int, output: str) -> None:
    """Show the statement NUMBER of a centre, line by line."""
    with open_platform(ctx) as platform:
        found = platform.licensing.settlements.statement(caller(), code, number)
    rows = [tuple(line[name] for name in _LINE) for line in found["lines"]]
    print_table(f"Statement {number} of {code}, SAR", _LINE, rows, output)
    if output == "table":
        click.echo(_sentence(code, found))


@click.command()
@click.argument("code")
@format_option
@click.pass_context
def evidence(ctx: click.Context, code: str, output: str) -> None:
    """Prove all acts of a centre again: signatures of centre and clerk, and the journal that names them.

    Nothing but what is kept is asked. Ends with 0 if all holds, with 1 if something does not.
    """
    with open_platform(ctx) as platform:
        found = platform.licensing.centres.examine(caller(), code)
    if output != "table" or found.unproven:
        rows = [(each.what, each.why) for each in found.unproven]
        print_table(f"What does not hold of {code}", ("what", "why"), rows, output)
    if output == "table":
        told = f"{found.proofs:,} proofs, named by {found.entries:,} entries of the journal"
        held = "all hold" if not found.unproven else f"{len(found.unproven):,} faults"
        click.echo(f"{code}: {told}: {held}. The chains themselves: rakeeza audit verify")
    ctx.exit(1 if found.unproven else 0)


def _sentence(code: str, statement: dict[str, Any]) -> str:
    said = (
        f"{code}: statement {statement['statement']} until {statement['until']}: {statement['net']} "
        f"and {statement['vat']} tax, {statement['total']} SAR"
    )
    if statement["reference"] is not None:
        day, who = statement["transferred_on"], statement["noted_by"]
        return f"{said}, transferred on {day} as {statement['reference']} (noted by {who})."
    if statement["state"] == "nothing due":
        return f"{said}; nothing is to be transferred."
    return f"{said}; to be {'paid back by the centre' if statement['total'][0] == '-' else 'transferred'}."
