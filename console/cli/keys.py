"""The keys that sign and verify licences: list, rotate, retire, export."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli.context import actor, format_option, print_table, settings_of
from foundation.errors import SettingsError
from foundation.settings import Settings
from foundation.wire.credential_keys import KEYS_FILE, PublicKey, trusted_keys

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from integrations.licences.keyring import Keyring

_COLUMNS = ("key", "state", "since", "until", "store", "municipality")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List, rotate, retire and export the keys that sign and verify licences."""


@command.command("list")
@format_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """List the keys: which one signs, which will, which did, and which are retired.

    A key that this machine only trusts, from the file of keys in the platform's folder, is listed as trusted.
    """
    settings = settings_of(ctx)
    rows = []
    if _has_database(settings):
        with _ring(ctx) as (session, ring):
            now = ring.now(session)
            rows = [
                _row(key.public, key.state(now).value, key.store, key.public.revoked_at)
                for key in ring.keys(session)
            ]
    ours = {row[0] for row in rows}
    file = settings.platform.folder / KEYS_FILE
    trusted = trusted_keys(settings.secrets(), settings.platform.municipality, file)
    rows += [_row(key, "trusted", None, key.revoked_at) for key in trusted if key.kid.hex() not in ours]
    print_table("Keys", _COLUMNS, rows, output)


@command.command()
@click.option(
    "--overlap",
    type=click.FloatRange(0, 2160),
    default=24,
    show_default=True,
    help="Hours for which it is published before it signs; 0 is as soon as every process knows it.",
)
@click.pass_context
def rotate(ctx: click.Context, overlap: float) -> None:
    """Publish a new key, which signs once the overlap is over.

    Until then the present key signs. What it signed verifies for ever, unless it is retired. Phones and
    kiosks that work offline need the new set before its first licence comes.
    """
    with _ring(ctx) as (session, ring):
        key = ring.rotate(session, actor=actor(), overlap=timedelta(hours=overlap))
    click.echo(f"Published {key.kid} ({key.store}); it signs from {_moment(key.public.not_before)}.")


@command.command()
@click.argument("kid")
@click.option("--because", required=True, help="Why it is not to be believed any more, for the audit trail.")
@click.pass_context
def retire(ctx: click.Context, kid: str, because: str) -> None:
    """Revoke the key KID: nothing that it signed is believed any more, whenever it signed it.

    For a key that may be in other hands. Licences that it signed have to be issued anew. A key that only has
    grown old needs no retirement: it signs no more once the next one does.
    """
    with _ring(ctx) as (session, ring):
        key = ring.retire(session, kid, because=because, actor=actor())
    click.echo(f"Retired {key.kid} at {_moment(key.public.revoked_at)}; give verifiers the new set of keys.")


@command.command()
@click.option("--output", "target", type=click.Path(path_type=Path), help="File instead of standard output.")
@click.pass_context
def export(ctx: click.Context, target: Path | None) -> None:
    """Print every public key as a JWK Set; the first is made if there is none yet.

    Whoever has this file can verify licences without a network. It holds nothing secret.
    """
    with _ring(ctx) as (session, ring):
        keys = ring.published(session)
    text = keys.to_json()
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
    click.echo(f"{', '.join(key.kid.hex() for key in keys)} written to {target}", err=True)


@contextmanager
def _ring(ctx: click.Context) -> "Iterator[tuple[Session, Keyring]]":
    # Not at the top: a machine that only verifies has no database.
    from foundation.database import migrate, open_database
    from integrations.licences.keyring import Keyring

    settings = settings_of(ctx)
    with open_database(settings, role="command") as database:
        migrate(database)
        with database.transaction() as session:
            yield session, Keyring(settings, settings.secrets())


def _has_database(settings: Settings) -> bool:
    return settings.database.url is not None or (settings.platform.folder / "postgres" / "data").exists()


def _row(
    key: PublicKey, state: str, store: str | None, revoked_at: datetime | None
) -> tuple[str | None, ...]:
    return (
        key.kid.hex(),
        state,
        _moment(key.not_before),
        _moment(revoked_at or key.not_after),
        store,
        key.municipality,
    )


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None
