"""Certify our own servers, and show the authority that does."""

from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING

import click

from console.cli.context import settings_of

if TYPE_CHECKING:
    from infra.server_authority import ServerAuthority

_LARGEST = 100_000  # characters of a request


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Certify our own servers, and show the authority that does.

    No database is needed. The playbook `certificates` calls these.
    """


@command.command()
@click.pass_context
def show(ctx: click.Context) -> None:
    """Print the authority's certificate, PEM, which others trust; it is made if there is none."""
    click.echo(_authority(ctx).certificate_pem(), nl=False)


@command.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--days", type=int, default=90, show_default=True, help="Until it ends, 1 to 397.")
@click.option(
    "--request",
    type=click.File(),
    default="-",
    help="The server's request (PKCS #10, PEM); - is standard input.",
)
@click.pass_context
def certify(ctx: click.Context, names: tuple[str, ...], days: int, request: IO[str]) -> None:
    """Print a certificate for the server that is called NAME, and the authority's, PEM.

    The key is that of the request, and the server keeps it; names that stand in the request do not count.
    """
    chain = _authority(ctx).certify(request.read(_LARGEST), names, days, datetime.now(UTC))
    click.echo(chain, nl=False)


def _authority(ctx: click.Context) -> "ServerAuthority":
    # Not at the top: `rakeeza authority --help` need not load the library of certificates.
    from infra.server_authority import ServerAuthority

    settings = settings_of(ctx)
    platform = settings.platform
    return ServerAuthority((platform.municipality, platform.name_en), settings.secrets())
