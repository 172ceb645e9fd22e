"""Serve the platform: PostgreSQL, Prometheus, and the roles api, worker and collector."""

import signal
from typing import TYPE_CHECKING

import click

from console.cli.context import settings_of

if TYPE_CHECKING:
    from console.serve import Faces


@click.command("serve")
@click.option(
    "--roles",
    default="",
    metavar="ROLE[,ROLE]",
    help="Run only these roles, in this process: api, worker, collector.",
)
@click.pass_context
def command(ctx: click.Context, roles: str) -> None:
    """Serve the platform until it is interrupted.

    Without --roles everything runs on this machine, supervised. With --roles this process is those roles and
    nothing else, against the database that the settings name: so the platform spreads over machines.
    """
    settings = settings_of(ctx)
    if roles:
        from console.roles import run_roles

        run_roles(settings, tuple(role.strip() for role in roles.split(",")))
        return
    from console.serve import serving

    # Being told to end by the system is the same as Ctrl-C, also while we are still starting.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with serving(settings, ctx.find_root().obj) as supervisor:
            _show(supervisor.faces)
            supervisor.watch()
    except KeyboardInterrupt:
        click.echo("Stopped.")


def _show(faces: "Faces") -> None:
    click.echo(f"API         {faces.api}")
    if faces.secured is not None:
        click.echo(f"API by TLS  {faces.secured}")
    click.echo(f"Collector   {faces.collector}/metrics")
    click.echo(f"Prometheus  {faces.prometheus}")
    click.echo(f"Logs        {faces.logs}")
    click.echo("Serving; Ctrl-C stops.")
