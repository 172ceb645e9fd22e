"""Read devices over SNMP, and check device models."""

import json
from pathlib import Path
from typing import cast

import click

from console.cli.context import format_choice, format_option, print_table, settings_of
from foundation.errors import InvalidInput
from foundation.secret import Secret
from foundation.settings import Settings
from monitoring.catalogue import Catalogue
from monitoring.collectors.snmp import poll as poll_device
from monitoring.device_model import DeviceModel, load_model
from monitoring.exposition import write
from monitoring.reading import Reading
from monitoring.targets import AuthProtocol, Community, PrivProtocol, Target, User, parse_address

_AUTH = ["MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512"]
_PRIV = ["DES", "AES", "AES-192", "AES-256"]


@click.group("monitor")
def command() -> None:
    """Read devices over SNMP, and check device models."""


@command.command("poll")
@click.argument("address")
@click.option("--community", help="SNMPv2c community.")
@click.option("--community-secret", metavar="NAME", help="Name of the secret that holds the community.")
@click.option("--user", help="SNMPv3 user.")
@click.option("--auth", type=click.Choice(_AUTH), help="SNMPv3 authentication protocol.")
@click.option("--auth-secret", metavar="NAME", help="Name of the secret that holds its pass phrase.")
@click.option("--priv", type=click.Choice(_PRIV), help="SNMPv3 privacy protocol.")
@click.option("--priv-secret", metavar="NAME", help="Name of the secret that holds its pass phrase.")
@click.option("--model", help="Read by this device model only; without it, by those that apply.")
@format_choice("table", "json", "prometheus")
@click.pass_context
def poll(
    ctx: click.Context, /, address: str, model: str | None, output: str, **credentials: str | None
) -> None:
    """Read the device at ADDRESS (host, host:port or [IPv6]:port) once.

    What the device could not give is told on standard error; the samples that it gave are printed.
    """
    settings = settings_of(ctx)
    host, port = parse_address(address)
    target = Target(
        name=address,
        host=host,
        port=port,
        credentials=_credentials(settings, **credentials),
        model=model,
        timeout=settings.collector.timeout,
        retries=settings.collector.retries,
    )
    reading = poll_device(target, Catalogue(settings.monitoring.folders))
    _print(reading, output)
    for trouble in reading.troubles:
        click.echo(f"rakeeza: {trouble.what}: {trouble.reason}", err=True)


@command.command("models")
@format_option
@click.pass_context
def models(ctx: click.Context, output: str) -> None:
    """List the device models that are installed."""
    catalogue = Catalogue(settings_of(ctx).monitoring.folders)
    rows = [
        (model.model, model.title.en, _applies_to(model), _count(model), model.source)
        for model in catalogue.models()
    ]
    print_table("Device models", ("model", "title", "applies_to", "metrics", "source"), rows, output)


@command.command("validate")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def validate(ctx: click.Context, file: Path) -> None:
    """Check the device model in FILE, by itself and beside those that are installed."""
    model = load_model(file)
    Catalogue(settings_of(ctx).monitoring.folders, [file]).plan([model.model])
    click.echo(f"{file}: the model {model.model!r} is right; {_count(model)} metrics of its own.")


def _credentials(
    settings: Settings,
    *,
    community: str | None,
    community_secret: str | None,
    user: str | None,
    auth: str | None,
    auth_secret: str | None,
    priv: str | None,
    priv_secret: str | None,
) -> Community | User:
    given = [one for one in (community, community_secret, user) if one is not None]
    if len(given) != 1:
        raise InvalidInput(
            "A device is read with one community or as one user.",
            remedy="Give --community, --community-secret or --user.",
        )
    if user is not None:
        return User(
            user,
            cast(AuthProtocol | None, auth),
            settings.secrets().get(auth_secret) if auth_secret else None,
            cast(PrivProtocol | None, priv),
            settings.secrets().get(priv_secret) if priv_secret else None,
        )
    if community_secret is not None:
        return Community(settings.secrets().get(community_secret))
    return Community(Secret(community or ""))


def _print(reading: Reading, output: str) -> None:
    if output == "json":
        click.echo(json.dumps(list(reading.samples()), ensure_ascii=False, indent=1))
    elif output == "prometheus":
        click.echo(write([*reading.families, *reading.cost()]), nl=False)
    else:
        rows = [
            (
                sample["metric"],
                ", ".join(f"{name}={text}" for name, text in sample["labels"].items()),
                sample["value"],
                sample["unit"],
            )
            for sample in reading.samples()
        ]
        title = f"{reading.target}: {', '.join(reading.models)}"
        print_table(title, ("metric", "labels", "value", "unit"), rows)


def _count(model: DeviceModel) -> int:
    return len(list(model.every_metric()))


def _applies_to(model: DeviceModel) -> str:
    applies = model.applies_to
    if applies is None:
        return "what extends it"
    if applies.every_device:
        return "every device"
    return ", ".join(
        [
            *(f"sysObjectID {oid}" for oid in applies.sys_object_id),
            *(f"sysDescr {pattern}" for pattern in applies.sys_descr),
            *(f"answers {oid}" for oid in applies.answers),
        ]
    )
