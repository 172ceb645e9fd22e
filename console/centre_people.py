"""`rakeeza centre clerk` and `rakeeza centre device`: who works for a centre, and at what."""

from pathlib import Path
from typing import Any

import click

from console.cli.context import caller, check_person, open_platform, person_options

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def clerk() -> None:
    """Enrol clerks, let them sign, and stop them."""


@clerk.command("add")
@click.argument("code")
@click.argument("clerk")
@click.option("--name", required=True, help="His own name; it is kept sealed.")
@person_options("His own; it is kept sealed, and tells that he is nobody else's second name.")
@click.option("--branch", required=True, help="Where he works; a branch of the contract.")
@click.pass_context
def add_clerk(
    ctx: click.Context, code: str, clerk: str, name: str, kind: str, identifier: str, branch: str
) -> None:
    """Enrol a clerk; prints his secret, once."""
    check_person(kind, identifier)
    person: Any = (kind, identifier)
    with open_platform(ctx) as platform:
        _, secret = platform.licensing.centres.add_clerk(caller(), code, clerk, name, branch, person)
    click.echo(secret.reveal())


@clerk.command("move")
@click.argument("code")
@click.argument("clerk")
@click.argument("branch")
@click.pass_context
def move_clerk(ctx: click.Context, code: str, clerk: str, branch: str) -> None:
    """Let a clerk work at another branch; he has closed his shift."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.move_clerk(caller(), code, clerk, branch)
    click.echo(f"{clerk} of {code} works at {branch}.")


@clerk.command("stop")
@click.argument("code")
@click.argument("clerk")
@click.pass_context
def stop_clerk(ctx: click.Context, code: str, clerk: str) -> None:
    """Stop a clerk at once, with his secret and his keys."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.enable_clerk(caller(), code, clerk, active=False)
    click.echo(f"{clerk} of {code} is stopped.")


@clerk.command("enable")
@click.argument("code")
@click.argument("clerk")
@click.pass_context
def enable_clerk(ctx: click.Context, code: str, clerk: str) -> None:
    """Let a clerk who was stopped act again."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.enable_clerk(caller(), code, clerk, active=True)
    click.echo(f"{clerk} of {code} may act.")


@clerk.command("secret")
@click.argument("code")
@click.argument("clerk")
@click.pass_context
def secret(ctx: click.Context, code: str, clerk: str) -> None:
    """Give a clerk another secret; prints it, once. The old one stops."""
    with open_platform(ctx) as platform:
        made = platform.licensing.centres.new_secret(caller(), code, clerk)
    click.echo(made.reveal())


@clerk.command("key")
@click.argument("code")
@click.argument("clerk")
@click.argument("public_key", type=_FILE)
@click.pass_context
def enrol_key(ctx: click.Context, code: str, clerk: str, public_key: Path) -> None:
    """Let a clerk sign with a P-256 key, by its public half (PEM); prints the key's id."""
    with open_platform(ctx) as platform:
        click.echo(platform.licensing.centres.enrol_key(caller(), code, clerk, public_key.read_bytes()))


@clerk.command("revoke-key")
@click.argument("code")
@click.argument("clerk")
@click.argument("thumbprint")
@click.pass_context
def revoke_key(ctx: click.Context, code: str, clerk: str, thumbprint: str) -> None:
    """Let a clerk's key hold no more, at once."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.revoke_key(caller(), code, clerk, thumbprint)
    click.echo(f"The key {thumbprint} is revoked.")


@click.group()
def device() -> None:
    """Enrol the devices that clerks work at, and stop them."""


@device.command("add")
@click.argument("code")
@click.argument("device")
@click.option("--branch", required=True, help="Where it stands; a branch of the contract.")
@click.option("--title", required=True, help="What people call it.")
@click.pass_context
def add_device(ctx: click.Context, code: str, device: str, branch: str, title: str) -> None:
    """Enrol a device of a branch."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.add_device(caller(), code, device, branch, title)
    click.echo(f"{device} of {code} may be used.")


@device.command("stop")
@click.argument("code")
@click.argument("device")
@click.pass_context
def stop_device(ctx: click.Context, code: str, device: str) -> None:
    """Stop a device at once. A shift that is open at it is closed by: rakeeza centre close-shift."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.enable_device(caller(), code, device, active=False)
    click.echo(f"{device} of {code} is stopped.")


@device.command("enable")
@click.argument("code")
@click.argument("device")
@click.pass_context
def enable_device(ctx: click.Context, code: str, device: str) -> None:
    """Let a device that was stopped be used again."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.enable_device(caller(), code, device, active=True)
    click.echo(f"{device} of {code} may be used.")
