"""Read the audit trail, and check that nobody changed it."""

import json

import click

from console.cli.context import format_option, open_platform, print_table
from foundation import audit
from foundation.audit import Sealed
from foundation.errors import Damaged


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Read the audit trail, and check that nobody changed it."""


@command.command("list")
@click.option("--chain", help="Only this chain, such as asset/NAME, case/NUMBER or client/ID.")
@click.option("--count", default=50, show_default=True, type=click.IntRange(1, 100_000), help="How many.")
@format_option
@click.pass_context
def list_(ctx: click.Context, chain: str | None, count: int, output: str) -> None:
    """List the latest entries, oldest first."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        rows = [
            (
                entry.at.isoformat(timespec="seconds"),
                entry.chain,
                entry.position,
                entry.actor,
                entry.action,
                entry.details if output == "json" else json.dumps(entry.details, ensure_ascii=False),
            )
            for entry in audit.entries(session, chain, count)
        ]
    print_table("Audit trail", ("at", "chain", "position", "actor", "action", "details"), rows, output)


@command.command()
@click.option(
    "--noted", metavar="NUMBER:HASH", help="A seal noted outside the database; it must still be there."
)
@format_option
@click.pass_context
def verify(ctx: click.Context, noted: str | None, output: str) -> None:
    """Read the whole trail and name the first broken entry of each chain."""
    seal = Sealed.parse(noted) if noted else None
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        broken = audit.verify(session, seal)
        last = audit.last_seal(session)
    rows = [(item.chain, item.position, item.reason) for item in broken]
    if broken or output != "table":
        print_table("Broken chains", ("chain", "position", "reason"), rows, output)
    if broken:
        raise Damaged(
            f"The audit trail is broken in {len(broken)} chains."
            if len(broken) > 1
            else f"The audit trail is broken in the chain {broken[0].chain}.",
            remedy="Compare with a backup; keep this database as it is, as evidence.",
        )
    if output == "table":
        click.echo("The audit trail is whole.")
        click.echo(f"Last seal: {last}. Note it outside this machine." if last else "Nothing is sealed yet.")


@command.command()
@click.pass_context
def seal(ctx: click.Context) -> None:
    """Seal what was written since the last seal, and print the seal to note it elsewhere."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        made = audit.seal(session) or audit.last_seal(session)
    click.echo(str(made) if made else "Nothing to seal.")
