"""`rakeeza play inventory`: the hosts that plays can reach, seen or carried away as a folder for Ansible."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli.context import actor, format_option, open_platform, print_table
from foundation import audit
from foundation.asset_kinds import Kind
from foundation.errors import DefinitionError
from infra.plays.definition import Playbook
from infra.plays.inventory import Inventory, build_inventory

if TYPE_CHECKING:
    from console.bootstrap import Platform

_COLUMNS = ("host", "address", "kind", "site", "rack", "municipality", "host_key", "groups")


@click.command("inventory")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", help="Write a folder for Ansible.")
@click.option("--playbook", metavar="NAME", help="Only hosts of the kinds that this playbook is for.")
@click.option("--with-playbooks", is_flag=True, help="Copy the playbooks and their roles into the folder.")
@format_option
@click.pass_context
def inventory(
    ctx: click.Context, out: Path | None, playbook: str | None, with_playbooks: bool, output: str
) -> None:
    """List the hosts that plays can reach, or write them as an Ansible inventory.

    With the folder plain ansible-playbook runs while the platform is down; its README says how. Secret
    variables are in it sealed, passwords and private keys are not.
    """
    if with_playbooks and out is None:
        raise click.UsageError("--with-playbooks needs --out FOLDER.")
    with open_platform(ctx) as platform:
        named = platform.plays.playbook(playbook) if playbook else None
        with platform.database.transaction() as session:
            kinds = named.about.targets if named else tuple(Kind)
            found = build_inventory(platform.assets.list(session), kinds)
        if out is None:
            _print(found, output)
        else:
            _write(platform, out, found, _playbooks(platform, named) if with_playbooks else [])
    for name, reason in found.refused.items():
        click.secho(f"{name} is left out: {reason}.", fg="yellow", err=True)


def _print(found: Inventory, output: str) -> None:
    rows = []
    for host in map(found.host, found.hosts):
        facts = host.variables["rakeeza_asset"]
        rows.append(
            (
                host.name,
                host.variables["ansible_host"],
                *(facts[name] for name in _COLUMNS[2:6]),
                host.host_key is not None,
                ", ".join(sorted(host.groups)),
            )
        )
    print_table("Hosts", _COLUMNS, rows, output)


def _playbooks(platform: "Platform", named: Playbook | None) -> list[Playbook]:
    if named is not None:
        return [named]
    playbooks = []
    for name, found in platform.plays.playbooks().items():
        if isinstance(found, DefinitionError):
            # One faulty file must not keep the others from who needs them now.
            click.secho(f"The playbook {name} is left out: {found}", fg="yellow", err=True)
        else:
            playbooks.append(found)
    return playbooks


def _write(platform: "Platform", out: Path, found: Inventory, playbooks: list[Playbook]) -> None:
    # Not at the top: a list of hosts need not pay for it.
    from infra.plays.export import export, export_resealing
    from infra.plays.vault import load_secrets

    # Refused while it can be mended: a folder without a host helps nobody when the platform is down.
    found.limited(None)
    options = platform.settings.plays
    secrets = load_secrets(
        options.secrets_folders,
        found,
        platform.secrets,
        options.age_identities,
        resealing=lambda: export_resealing(platform.secrets),
    )
    with platform.database.transaction() as session:
        audit.record(
            session,
            chain="play-inventory",
            actor=actor(),
            action="inventory.exported",
            details={
                "folder": str(out.absolute()),
                "hosts": len(found.hosts),
                "fingerprint": found.fingerprint(found.hosts),
                "playbooks": {playbook.name: playbook.revision for playbook in playbooks},
                "secrets": tuple(sorted(secrets.files)),
            },
        )
        # Within the transaction: what cannot be written leaves no entry.
        written = export(out.absolute(), found, secrets, playbooks)
    click.echo(f"{written.folder}: {written.hosts} hosts, {len(written.playbooks)} playbooks.")
    if written.vault_ids:
        click.echo(f"Passwords needed, of the vaults: {', '.join(written.vault_ids)}.")
