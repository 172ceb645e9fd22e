"""List and export the public keys that verify licences."""

import os
from pathlib import Path

import click

from console.cli.context import format_option, print_table, settings_of
from foundation.errors import SettingsError
from foundation.wire.credential_keys import KEYS_FILE, KeySet, licence_key, trusted_keys


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List and export the public keys that verify licences."""


@command.command("list")
@format_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """List the public keys that this machine trusts."""
    settings = settings_of(ctx)
    file = settings.platform.folder / KEYS_FILE
    rows = [
        (
            key.kid.hex(),
            key.municipality,
            key.not_before.isoformat() if key.not_before else None,
            key.not_after.isoformat() if key.not_after else None,
        )
        for key in trusted_keys(settings.secrets(), settings.platform.municipality, file)
    ]
    print_table("Public keys", ("key", "municipality", "not_before", "not_after"), rows, output)


@command.command()
@click.option("--output", "target", type=click.Path(path_type=Path), help="File instead of standard output.")
@click.pass_context
def export(ctx: click.Context, target: Path | None) -> None:
    """Print this municipality's public key as a JWK Set; the key is made if there is none yet.

    Whoever has this file can verify licences without a network. It holds nothing secret.
    """
    settings = settings_of(ctx)
    key = licence_key(settings.secrets(), settings.platform.municipality)
    text = KeySet([key.public]).to_json()
    if target is None:
        click.echo(text)
        return
    draft = target.with_name(f"{target.name}.{os.getpid()}.new")
    try:
        draft.write_text(text + "\n", encoding="utf-8")
        # A rename is atomic: a verifier sees the old keys or the new ones, never half a file.
        draft.replace(target)
    except OSError as error:
        raise SettingsError(
            f"The keys cannot be written ({error.strerror}).", place=str(target), remedy="Name another file."
        ) from error
    click.echo(f"{key.public.kid.hex()} written to {target}", err=True)
