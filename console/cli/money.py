"""Bills, refunds, the ledger, and the reconciliation of a day."""

import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from console.cli.context import caller, format_choice, format_option, not_written, open_platform, print_table
from foundation.caller import Caller, Role
from foundation.errors import InvalidInput

_DAY = click.DateTime(["%Y-%m-%d"])
_REFUND = (
    "id",
    "state",
    "amount",
    "reason",
    "payment",
    "bill_number",
    "asked_by",
    "approved_by",
    "reference",
)
_PAYMENT = ("reference", "outcome", "amount", "credited", "owed_back", "waiting", "paid_at", "case")

_limit = click.option(
    "--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Rows of the page."
)
_after = click.option("--after", help="Go on where a page ended: its `next`.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Bills, refunds, the ledger, and the reconciliation of a day."""


@command.command()
@click.argument("number")
@format_choice("table", "json")
@click.pass_context
def bill(ctx: click.Context, number: str, output: str) -> None:
    """Show the bill NUMBER: what is due, what was paid of it, what is owed back."""
    with open_platform(ctx) as platform:
        shown = platform.licensing.money.bill(_caller(), number)
    if output == "json":
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    click.echo(
        f"{shown['bill_number']}: {shown['state']}, {shown['amount']} SAR, rest {shown['rest']} SAR, "
        f"due {shown['due']}, case {shown['case']}"
    )
    _table("Payments", _PAYMENT, shown["payments"], "table")
    _table("Refunds", _REFUND, shown["refunds"], "table")


@command.command()
@click.option("--until", type=_DAY, help="Only what moved up to this day.")
@format_option
@click.pass_context
def balance(ctx: click.Context, until: datetime | None, output: str) -> None:
    """Show the trial balance of the ledger."""
    with open_platform(ctx) as platform:
        found = platform.licensing.money.balance(_caller(), until.date() if until else None)
    total = {"account": "total", "debit": found["debit"], "credit": found["credit"], "balance": None}
    rows = [*found["accounts"], total]
    _table("Trial balance, SAR", ("account", "debit", "credit", "balance"), rows, output)


@command.command()
@click.option("--from", "since", type=_DAY, required=True, help="First day.")
@click.option("--to", "until", type=_DAY, required=True, help="Last day.")
@click.option(
    "--by",
    type=click.Choice(["moved", "written"]),
    default="moved",
    show_default=True,
    help="Days on which the money moved, as for a reconciliation; or on which it was written down, so that "
    "exports of one day after the other hold each posting once, also what a bank told late.",
)
@click.option("--output", type=click.Path(path_type=Path), help="A file instead of standard output.")
@click.pass_context
def ledger(ctx: click.Context, since: datetime, until: datetime, by: str, output: Path | None) -> None:
    """Write the ledger of some days as CSV, for the financial system."""
    with open_platform(ctx) as platform:
        days = since.date(), until.date()
        content = platform.licensing.money.ledger(_caller(), *days, written=by == "written")
    if output is None:
        click.echo(content, nl=False)
        return
    try:
        output.write_text(content, encoding="utf-8", newline="")
    except OSError as error:
        raise not_written(output, error) from error


@command.command()
@click.option(
    "--bank", type=click.Path(path_type=Path), required=True, help="The bank's file: CSV or camt.053."
)
@click.option("--ledger", type=click.Path(path_type=Path), required=True, help="What `money ledger` wrote.")
@click.option("--day", type=_DAY, required=True, help="The day to reconcile.")
@click.option(
    "--take-in",
    is_flag=True,
    help="Take in payments that we were never notified of; note refunds that were carried out.",
)
@click.option("--all", "whole", is_flag=True, help="Show also what agrees.")
@format_option
@click.pass_context
def reconcile(
    ctx: click.Context, bank: Path, ledger: Path, day: datetime, take_in: bool, whole: bool, output: str
) -> None:
    """Compare a day in the engine, the bank's file and the ledger.

    Ends with 0 if all agree, with 1 if something does not.
    """
    files = (str(bank), _read(bank)), (str(ledger), _read(ledger))
    with open_platform(ctx) as platform:
        report = platform.licensing.money.reconcile(_caller(), *files, day.date(), take_in)
    if output == "json":
        click.echo(json.dumps(report.to_json(), ensure_ascii=False, indent=2))
    else:
        # Not at the top: the engine's parts take long to import, and help needs none of them.
        from integrations.cases.reconciliation import COLUMNS

        rows = [row for row in report.rows() if whole or output == "csv" or row["class"] != "matched"]
        _table(f"Reconciliation of {report.day}, SAR", COLUMNS, rows, output)
        if output == "table":
            _totals(report.to_json()["totals"])
        for each in report.left:
            # Beside the table, so that a CSV stays one.
            click.echo(
                f"Not taken in: {each.direction} {each.reference} ({each.place}): {each.why}.", err=True
            )
    ctx.exit(0 if report.clean else 1)


@command.command()
@_limit
@_after
@format_option
@click.pass_context
def waiting(ctx: click.Context, limit: int, after: str | None, output: str) -> None:
    """List payments that wait for a person to say where they go, oldest first."""
    with open_platform(ctx) as platform:
        page = platform.licensing.money.waiting(_caller(), after, limit)
    _table("Waiting payments", (*_PAYMENT, "bill_number"), page["items"], output)
    _more("waiting", page)


@command.command()
@click.argument("reference")
@click.argument("bill_number")
@click.pass_context
def assign(ctx: click.Context, reference: str, bill_number: str) -> None:
    """Credit the waiting payment REFERENCE to the bill BILL_NUMBER."""
    with open_platform(ctx) as platform:
        done = platform.licensing.money.assign(_caller(), reference, bill_number, _key()).body
    click.echo(f"{reference}: {done['outcome']}, {done['credited']} SAR credited to {bill_number}.")


@command.command("give-back")
@click.argument("reference")
@click.pass_context
def give_back(ctx: click.Context, reference: str) -> None:
    """Let what waits of the payment REFERENCE be owed back; another person approves it."""
    with open_platform(ctx) as platform:
        done = platform.licensing.money.give_back(_caller(), reference, _key()).body
    click.echo(f"{reference}: {done['owed_back']} SAR owed back.")


@command.group
def refunds() -> None:
    """Money that is owed back."""


@refunds.command("list")
@click.option(
    "--state",
    type=click.Choice(["due", "approved", "sent", "confirmed", "failed"]),
    help="Only in this state.",
)
@_limit
@_after
@format_option
@click.pass_context
def list_(ctx: click.Context, state: str | None, limit: int, after: str | None, output: str) -> None:
    """List refunds, oldest first."""
    with open_platform(ctx) as platform:
        page = platform.licensing.money.refunds(_caller(), after, limit, state)
    _table("Refunds, SAR", _REFUND, page["items"], output)
    _more("refunds list", page)


@refunds.command()
@click.argument("number", type=int)
@click.pass_context
def approve(ctx: click.Context, number: int) -> None:
    """Let the refund NUMBER be paid out; not by who asked for it."""
    with open_platform(ctx) as platform:
        _tell(platform.licensing.money.approve_refund(_caller(), number, _key()).body)


@refunds.command()
@click.argument("number", type=int)
@click.argument("reference")
@click.pass_context
def sent(ctx: click.Context, number: int, reference: str) -> None:
    """Note that the refund NUMBER has left, under the bank's REFERENCE; not by who approved it."""
    with open_platform(ctx) as platform:
        _tell(platform.licensing.money.refund_sent(_caller(), number, reference, _key()).body)


@refunds.command()
@click.argument("number", type=int)
@click.pass_context
def confirmed(ctx: click.Context, number: int) -> None:
    """Note that the refund NUMBER has arrived."""
    with open_platform(ctx) as platform:
        _tell(platform.licensing.money.refund_confirmed(_caller(), number, _key()).body)


@refunds.command()
@click.argument("number", type=int)
@click.argument("why")
@click.pass_context
def failed(ctx: click.Context, number: int, why: str) -> None:
    """Note that the refund NUMBER came back, even once it had arrived, and WHY; a new one is due."""
    with open_platform(ctx) as platform:
        _tell(platform.licensing.money.refund_failed(_caller(), number, why, _key()).body)


def _caller() -> Caller:
    return caller(Role.FINANCE)


def _key() -> str:
    return str(uuid.uuid4())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"The file cannot be read ({error.strerror}).", place=str(path), remedy="Name a readable file."
        ) from error


def _more(command: str, page: dict[str, Any]) -> None:
    if page["next"] is not None:
        click.echo(f"More: rakeeza money {command} --after {page['next']}", err=True)


def _tell(refund: dict[str, Any]) -> None:
    click.echo(f"Refund {refund['id']} of {refund['amount']} SAR is {refund['state']}.")


def _totals(totals: dict[str, Any]) -> None:
    columns = ("direction", "class", "count", "engine", "bank", "ledger")
    rows: list[dict[str, Any]] = []
    for way, of in totals.items():
        found = [{"direction": way, "class": kind, **sums} for kind, sums in of["classes"].items()]
        rows += [row for row in found if row["count"]]
        rows.append({"direction": way, "class": "total", **of["total"]})
    _table("Totals, SAR", columns, rows, "table")


def _table(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]], output: str) -> None:
    print_table(title, columns, [[row[name] for name in columns] for row in rows], output)
