"""Manage the webhooks by which clients are told what happens to their cases."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from console.cli.context import caller, format_choice, format_option, open_platform, print_table
from foundation.errors import InvalidInput

_COLUMNS = (
    *("id", "client", "url", "kinds", "state", "failures", "reason", "cursor", "next_at", "created"),
    *("secret_version", "previous_until"),
)
# A terminal is only so wide; json and csv have the rest.
_NARROW = ("id", "client", "url", "kinds", "state", "failures", "reason")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Manage the webhooks by which clients are told what happens to their cases."""


@command.command()
@click.argument("client")
@click.argument("url")
@click.option("--kind", "kinds", multiple=True, help='Kind of event, as "licence." or "case.moved"; several.')
@format_choice("text", "json")
@click.pass_context
def add(ctx: click.Context, client: str, url: str, kinds: tuple[str, ...], output: str) -> None:
    """Subscribe the API client CLIENT to events, sent to URL; the secret that signs is printed once."""
    with open_platform(ctx) as platform:
        made = platform.licensing.outside.subscribe(
            caller(), url, kinds, str(uuid.uuid4()), client=f"client/{client}"
        ).body
    if output == "json":
        click.echo(json.dumps({name: made[name] for name in ("id", "client", "url", "kinds", "secret")}))
    else:
        _show_secret(made)


@command.command("list")
@format_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """List the webhooks, with how their deliveries stand."""
    with open_platform(ctx) as platform:
        found = platform.licensing.outside.webhooks(caller())
    columns = _NARROW if output == "table" else _COLUMNS
    rows = [
        [
            row[name] if output == "json" or name != "kinds" else " ".join(row[name]) or "all"
            for name in columns
        ]
        for row in found
    ]
    print_table("Webhooks", columns, rows, output)


@command.command()
@click.argument("webhook", type=int)
@click.pass_context
def remove(ctx: click.Context, webhook: int) -> None:
    """Remove the webhook WEBHOOK; a message under way is the last."""
    with open_platform(ctx) as platform:
        platform.licensing.outside.unsubscribe(caller(), webhook)
    click.echo(f"Removed the webhook {webhook}.")


@command.command()
@click.argument("webhook", type=int)
@click.pass_context
def pause(ctx: click.Context, webhook: int) -> None:
    """Deliver nothing to the webhook WEBHOOK until it is resumed; nothing is lost."""
    with open_platform(ctx) as platform:
        platform.licensing.outside.pause(caller(), webhook, str(uuid.uuid4()))
    click.echo(f"Paused the webhook {webhook}.")


@command.command()
@click.argument("webhook", type=int)
@click.pass_context
def resume(ctx: click.Context, webhook: int) -> None:
    """Deliver to the webhook WEBHOOK again, from where it stopped."""
    with open_platform(ctx) as platform:
        platform.licensing.outside.unpause(caller(), webhook, str(uuid.uuid4()))
    click.echo(f"The webhook {webhook} is delivered to again.")


@command.command()
@click.argument("webhook", type=int)
@click.option("--after", help="Cursor of the last event that is not wanted again.")
@click.option("--since", help="In its place a moment, as 2026-11-22T07:00:00Z.")
@click.pass_context
def replay(ctx: click.Context, webhook: int, after: str | None, since: str | None) -> None:
    """Deliver to the webhook WEBHOOK again, with the same ids and bodies."""
    moment = None if since is None else _moment(since)
    with open_platform(ctx) as platform:
        platform.licensing.outside.replay(caller(), webhook, after, moment, str(uuid.uuid4()))
    click.echo(f"The webhook {webhook} is told again.")


@command.command("rotate-secret")
@click.argument("webhook", type=int)
@format_choice("text", "json")
@click.pass_context
def rotate_secret(ctx: click.Context, webhook: int, output: str) -> None:
    """Give the webhook WEBHOOK a new secret, printed once; for a day the one before signs too."""
    with open_platform(ctx) as platform:
        made = platform.licensing.outside.rotate_secret(caller(), webhook, str(uuid.uuid4())).body
    if output == "json":
        click.echo(json.dumps({name: made[name] for name in ("id", "secret", "previous_until")}))
    else:
        _show_secret(made)
        click.echo(f"The secret before signs too until {made['previous_until']}.")


def _show_secret(made: Mapping[str, Any]) -> None:
    click.echo(f"Webhook: {made['id']}\nSecret:  {made['secret']}\nIt is shown only now; keep it.")


def _moment(given: str) -> datetime:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidInput(
            f"{given!r} is no moment with its zone.", remedy="Write it as 2026-11-22T07:00:00Z."
        )
    return moment.astimezone(UTC)
