"""The keys that sign and verify licences: list, rotate, retire, export; and what a retired one signed."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli.context import actor, format_option, print_table, settings_of
from foundation.settings import Settings
from foundation.wire.credential_keys import KEYS_FILE, PublicKey, trusted_keys
from foundation.wire.key_file import write_keys

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from foundation.database import Database
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
    if settings.has_database():
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
    kiosks that work offline need the new set before its first licence comes; this machine's own file of keys
    has it at once.
    """
    with _changing(ctx) as (session, ring):
        key = ring.rotate(session, actor=actor(), overlap=timedelta(hours=overlap))
    click.echo(f"Published {key.kid} ({key.store}); it signs from {_moment(key.public.not_before)}.")


@command.command()
@click.argument("kid")
@click.option("--because", required=True, help="Why it is not to be believed any more, for the audit trail.")
@click.pass_context
def retire(ctx: click.Context, kid: str, because: str) -> None:
    """Revoke the key KID: nothing that it signed is believed any more, whenever it signed it.

    For a key that may be in other hands. A key that only has grown old needs no retirement: it signs no more
    once the next one does. The worker then signs every licence anew that holds and that it signed; see
    `rakeeza keys reissue`.
    """
    with _changing(ctx) as (session, ring):
        key = ring.retire(session, kid, because=because, actor=actor())
    click.echo(f"Retired {key.kid} at {_moment(key.public.revoked_at)}; give verifiers the new set of keys.")
    click.echo(
        "The worker makes new papers of the licences that it signed, from its next round on; "
        f"how far it is: rakeeza keys reissue {key.kid}"
    )


@command.command()
@click.argument("kid")
@click.option("--again", is_flag=True, help="Look through all licences once more, as after a fault.")
@click.pass_context
def reissue(ctx: click.Context, kid: str, again: bool) -> None:
    """Tell how far the licences are that the retired key KID signed: each gets a new paper under another key.

    The worker does it by itself, behind other papers. A licence that could not be signed anew is named in
    the worker's log, and is tried again with --again. Nothing is done twice.
    """
    # Not at the top: it knows licences, and the other commands only keys.
    from integrations.licences.reissue import look_again, progress

    with _ring(ctx) as (session, ring):
        key = ring.find(session, kid)
        if again:
            look_again(session, key, actor=actor(), at=ring.now(session))
        told = progress(session, key)
    click.echo(f"{told.stage.capitalize()}: {told.done} licences signed anew, {told.failed} could not be.")


@command.command()
@click.option("--output", "target", type=click.Path(path_type=Path), help="File instead of standard output.")
@click.pass_context
def export(ctx: click.Context, target: Path | None) -> None:
    """Print every public key as a JWK Set; the first is made if there is none yet.

    Whoever has this file can verify licences without a network. It holds nothing secret.
    """
    with _changing(ctx) as (session, ring):
        keys = ring.published(session)
    if target is None:
        click.echo(keys.to_json())
        return
    write_keys(target, keys)
    click.echo(f"{', '.join(key.kid.hex() for key in keys)} written to {target}", err=True)


@contextmanager
def _ring(ctx: click.Context) -> "Iterator[tuple[Session, Keyring]]":
    from integrations.licences.keyring import Keyring

    settings = settings_of(ctx)
    with _database(settings) as database, database.transaction() as session:
        yield session, Keyring(settings, settings.secrets())


@contextmanager
def _changing(ctx: click.Context) -> "Iterator[tuple[Session, Keyring]]":
    """The ring, and this machine's own file of keys brought up to date with what is done to it.

    Before, too: a file that cannot be written must not be found out when the key is retired already, and what
    an earlier command was killed before is made up for.
    """
    from integrations.licences.keyring import Keyring
    from integrations.licences.signing_keys import keep_here

    settings = settings_of(ctx)
    with _database(settings) as database:
        keep_here(database, settings.platform.folder)
        with database.transaction() as session:
            yield session, Keyring(settings, settings.secrets())
        keep_here(database, settings.platform.folder)


@contextmanager
def _database(settings: Settings) -> "Iterator[Database]":
    # Not at the top, as with all that needs it: a machine that only verifies has no database.
    from foundation.database import migrate, open_database

    with open_database(settings, role="command") as database:
        migrate(database)
        yield database


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
