"""Bills at the payment system: what it was told, what it did not take, and its settlements."""

import json
import uuid
from datetime import datetime
from typing import Any

import click

from console.cli.context import caller, format_choice, open_platform, print_table
from foundation.caller import Caller, Role

_UPLOAD = ("id", "state", "bills", "attempts", "reason", "made_at")
_DISCREPANCY = ("upload", "bill_number", "status", "amount", "code")
# Of what differs as much as a narrow terminal shows.
_DIFFERS = ("reference", "class", "bill_number", "engine", "bank", "ledger")
_DAY = ("day", "state", "clean", "attempts", "reason", "taken_at")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Bills at the payment system: what it was told, what it did not take, and its settlements."""


@command.command()
@format_choice("table", "json")
@click.pass_context
def show(ctx: click.Context, output: str) -> None:
    """Show what waits: uploads, bills that were not taken as they were told, the newest settlements."""
    with open_platform(ctx) as platform:
        found = platform.licensing.bills.unfinished(_caller())
    if output == "json":
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
        return
    _table("Uploads", _UPLOAD, found["uploads"], output)
    _table("Discrepancies", _DISCREPANCY, found["discrepancies"], output)
    _table("Settlements", _DAY, found["settlements"], output)


@command.command()
@click.argument("upload", type=int)
@click.pass_context
def again(ctx: click.Context, upload: int) -> None:
    """Give up the parked UPLOAD; what its bills are now is told anew."""
    with open_platform(ctx) as platform:
        platform.licensing.bills.tell_again(_caller(), upload, str(uuid.uuid4()))
    click.echo(f"The upload {upload} is given up, and its bills are told of anew.")


@command.command()
@click.argument("upload", type=int)
@click.argument("bill")
@click.option("--again", is_flag=True, help="Tell of the bill anew.")
@click.pass_context
def seen(ctx: click.Context, upload: int, bill: str, again: bool) -> None:
    """Note that somebody has looked at why BILL of the UPLOAD was not taken."""
    with open_platform(ctx) as platform:
        platform.licensing.bills.see(_caller(), upload, bill, again, str(uuid.uuid4()))
    click.echo(f"The bill {bill} of the upload {upload} is looked after.")


@command.command()
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]))
@click.option("--take-in", is_flag=True, help="Take in payments that we were never told of.")
@click.option("--anew", is_flag=True, help="Ask for it also if it was taken: it has been corrected.")
@format_choice("table", "json", "csv")
@click.pass_context
def settle(ctx: click.Context, day: datetime, take_in: bool, anew: bool, output: str) -> None:
    """Take the settlement of a DAY and compare it with the engine and the ledger.

    Ends with 0 if all agree, with 1 if something does not.
    """
    with open_platform(ctx) as platform:
        report = platform.licensing.bills.settle(_caller(), day.date(), take_in, anew)
    if output == "json":
        click.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
    else:
        # Not at the top: the engine's parts take long to import, and help needs none of them.
        from integrations.cases.reconciliation import COLUMNS

        rows = [row for row in report.rows() if output == "csv" or row["class"] != "matched"]
        columns = COLUMNS if output == "csv" else _DIFFERS
        _table(f"Settlement of {report.day}, SAR", columns, rows, output)
        for each in report.left:
            click.echo(f"Not taken in: {each.reference} ({each.place}): {each.why}.", err=True)
    ctx.exit(0 if report.clean else 1)


def _table(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]], output: str) -> None:
    print_table(title, columns, [[row[name] for name in columns] for row in rows], output)


def _caller() -> Caller:
    return caller(Role.FINANCE)
