"""Manage people and API clients, and what they may do."""

import json
from datetime import UTC, datetime

import click

from console.cli.context import actor, format_choice, format_option, open_platform, print_table
from console.cli.secret import read_secret
from foundation.identity import Role
from foundation.secret import Secret

role_option = click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    help=f"What it may do: {', '.join(Role)}, or one that a service declares; may be given several times.",
)
place_option = click.option(
    "--place",
    "places",
    multiple=True,
    help="Where it may do so; may be given several times. Everywhere if not given.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Manage people and API clients, and what they may do."""


@command.group()
def client() -> None:
    """API clients: service centres, banks, kiosks, services."""


@client.command("add")
@click.argument("client_id")
@role_option
@place_option
@click.option("--title", help="What it is called; its id if not given.")
@format_choice("text", "json")
@click.pass_context
def add_client(
    ctx: click.Context,
    client_id: str,
    roles: tuple[str, ...],
    places: tuple[str, ...],
    title: str | None,
    output: str,
) -> None:
    """Add the API client CLIENT_ID; its generated secret is printed once."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        secret = platform.identity.add_client(
            session, client_id, roles, title or client_id, places=places, actor=actor()
        )
    _print_secret(client_id, secret, output, roles=sorted(set(roles)), places=sorted(set(places)))


@client.command()
@click.argument("client_id")
@format_choice("text", "json")
@click.pass_context
def rotate(ctx: click.Context, client_id: str, output: str) -> None:
    """Give CLIENT_ID a new secret, printed once; the old one stops at once.

    Tokens that were given for the old secret hold until they expire. If it became known to others, disable
    the client until then.
    """
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        secret = platform.identity.rotate_client(session, client_id, actor=actor())
    _print_secret(client_id, secret, output)


def _print_secret(client_id: str, secret: Secret, output: str, **more: list[str]) -> None:
    # Called after the commit: a secret that was not kept would be of no use.
    if output == "json":
        click.echo(
            json.dumps({"client_id": client_id, "secret": secret.reveal(), **more}, ensure_ascii=False)
        )
    else:
        click.echo(f"Client id: {client_id}\nSecret:    {secret.reveal()}\nIt is shown only now; keep it.")


@client.command("list")
@format_option
@click.pass_context
def list_clients(ctx: click.Context, output: str) -> None:
    """List the API clients."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        rows = [
            (
                row.client_id,
                row.title,
                " ".join(row.roles),
                ", ".join(row.places),
                row.enabled,
                row.created.isoformat(timespec="seconds"),
            )
            for row in platform.identity.clients(session)
        ]
    print_table("API clients", ("client_id", "title", "roles", "places", "enabled", "created"), rows, output)


@client.command()
@click.option(
    "--within",
    type=click.IntRange(min=0, max=3_650),
    default=30,
    show_default=True,
    help="Days from now in which they end.",
)
@format_option
@click.pass_context
def expiring(ctx: click.Context, within: int, output: str) -> None:
    """List the certificates of API clients that end soon, and whether the client has a later one."""
    # Not at the top: certificates take long to import, and no other command here needs them.
    from integrations.centres import certificates

    with open_platform(ctx) as platform, platform.database.transaction() as session:
        rows = [
            (
                each.certificate.serial,
                each.certificate.client_id,
                each.certificate.not_after.astimezone(UTC).isoformat(timespec="seconds"),
                each.renewed,
            )
            for each in certificates.expiring(session, within, datetime.now(UTC))
        ]
    print_table("Certificates", ("serial", "client_id", "not_after", "renewed"), rows, output)


@client.command()
@click.argument("client_id")
@click.pass_context
def disable(ctx: click.Context, client_id: str) -> None:
    """Shut CLIENT_ID out, with all its tokens."""
    _enable(ctx, client_id, enabled=False)


@client.command()
@click.argument("client_id")
@click.pass_context
def enable(ctx: click.Context, client_id: str) -> None:
    """Let CLIENT_ID in again."""
    _enable(ctx, client_id, enabled=True)


def _enable(ctx: click.Context, client_id: str, *, enabled: bool) -> None:
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        platform.identity.enable_client(session, client_id, enabled, actor=actor())
    click.echo(f"{client_id} is {'enabled' if enabled else 'disabled'}.")


@command.group()
def person() -> None:
    """People who sign in."""


@person.command("add")
@click.argument("username")
@role_option
@place_option
@click.option("--stdin", is_flag=True, help="Read the password from standard input instead of asking.")
@click.pass_context
def add_person(
    ctx: click.Context, username: str, roles: tuple[str, ...], places: tuple[str, ...], stdin: bool
) -> None:
    """Add the person USERNAME."""
    password = read_secret("Password", stdin)
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        platform.identity.add_person(session, username, password, roles, places=places, actor=actor())
    click.echo(f"Added {username}.")


@person.command("list")
@format_option
@click.pass_context
def list_people(ctx: click.Context, output: str) -> None:
    """List the people."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        rows = [
            (
                row.username,
                " ".join(row.roles),
                ", ".join(row.places),
                row.enabled,
                row.created.isoformat(timespec="seconds"),
            )
            for row in platform.identity.people(session)
        ]
    print_table("People", ("username", "roles", "places", "enabled", "created"), rows, output)


@person.command("disable")
@click.argument("username")
@click.pass_context
def disable_person(ctx: click.Context, username: str) -> None:
    """Shut USERNAME out, with all tokens."""
    _enable_person(ctx, username, enabled=False)


@person.command("enable")
@click.argument("username")
@click.pass_context
def enable_person(ctx: click.Context, username: str) -> None:
    """Let USERNAME in again."""
    _enable_person(ctx, username, enabled=True)


def _enable_person(ctx: click.Context, username: str, *, enabled: bool) -> None:
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        platform.identity.enable_person(session, username, enabled, actor=actor())
    click.echo(f"{username} is {'enabled' if enabled else 'disabled'}.")
