"""Let managers and agents act for owners, and end it."""

import json
from datetime import datetime
from typing import Any

import click

from console.cli.context import (
    caller,
    check_person,
    format_choice,
    format_option,
    open_platform,
    person_options,
    print_table,
)

_DAY = click.DateTime(["%Y-%m-%d"])
_COLUMNS = ("id", "capacity", "principal", "agent", "services", "procedures", "from", "until", "status")


class _Party(click.ParamType[dict[str, str]]):
    name = "kind:identifier:name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, str]:
        kind, _, rest = str(value).partition(":")
        identifier, _, name = rest.partition(":")
        if not (kind and identifier and name):
            self.fail("write it as national_id:1058529940:NAME", param, ctx)
        return {"kind": kind, "identifier": identifier, "name": name}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Let managers and agents act for owners, and end it."""


@command.command("list")
@person_options("Of the owner, or of who acts.")
@format_option
@click.pass_context
def list_(ctx: click.Context, kind: str, identifier: str, output: str) -> None:
    """List the delegations that a person gave or holds."""
    check_person(kind, identifier)
    with open_platform(ctx) as platform:
        found = platform.licensing.people.delegations(caller(), kind, identifier)
    rows = [
        (
            each["id"],
            each["capacity"],
            _named(each["principal"]),
            _named(each["agent"]),
            " ".join(each["services"]) or "all",
            " ".join(each["procedures"]) or "all",
            each["valid_from"],
            each["valid_until"],
            each["status"],
        )
        for each in found
    ]
    print_table("Delegations", _COLUMNS, rows, output)


@command.command()
@click.option("--principal", type=_Party(), required=True, help="The owner: KIND:IDENTIFIER:NAME.")
@click.option("--agent", type=_Party(), required=True, help="Who acts for him: KIND:IDENTIFIER:NAME.")
@click.option("--capacity", type=click.Choice(["manager", "agent"]), required=True, help="As what.")
@click.option("--service", "services", multiple=True, help="Only for this service; several may be given.")
@click.option("--procedure", "procedures", multiple=True, help="Only for this; several may be given.")
@click.option("--from", "valid_from", type=_DAY, help="First day, as 2026-12-01; today if not given.")
@click.option("--until", "valid_until", type=_DAY, help="Last day; an agent needs one.")
@click.option("--evidence", help="SHA-256 of the paper that shows it, in hex.")
@click.option("--key", required=True, help="Idempotency key: the same again adds nothing.")
@format_choice("text", "json")
@click.pass_context
def add(ctx: click.Context, /, key: str, output: str, **parts: Any) -> None:
    """Let somebody act for an owner."""
    message = {name: _plain(value) for name, value in parts.items()}
    with open_platform(ctx) as platform:
        made = platform.licensing.people.delegate(caller(), message, key).body
    until = made["valid_until"] or "it is ended"
    said = f"Delegation {made['id']}: {made['capacity']}, from {made['valid_from']} until {until}."
    click.echo(json.dumps(made, ensure_ascii=False) if output == "json" else said)


@command.command()
@click.argument("number", type=click.IntRange(min=1))
@click.pass_context
def end(ctx: click.Context, number: int) -> None:
    """Revoke the delegation NUMBER at once."""
    with open_platform(ctx) as platform:
        platform.licensing.people.end_delegation(caller(), number, f"cli-end-{number}")
    click.echo(f"Delegation {number} is revoked.")


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.date().isoformat()
    return list(value) if isinstance(value, tuple) else value


def _named(person: dict[str, str] | None) -> str:
    return f"{person['name']} ({person['identifier']})" if person is not None else "erased"
