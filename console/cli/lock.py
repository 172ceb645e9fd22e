"""See which devices are held, by whom and what for, and break a lock.

A device is held by one at a time, whatever he does with it: a play, a change of the network, a serial line.
"""

import click

from console.cli.context import actor, format_option, open_platform, print_table
from foundation.device_lock_records import named
from foundation.device_locks import DeviceLocks

_COLUMNS = ("device", "holder", "purpose", "subject", "worker", "taken_at", "token", "alive")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """See which devices are held, by whom and what for, and break a lock."""


@command.command("list")
@format_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """List the devices that are held, and whether their holders live.

    What a holder left that does not live any more is free: whoever wants the device next takes it over.
    """
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        held = DeviceLocks(platform.database).held(session)
    shown = named if output == "table" else str
    rows = [
        (
            shown(lock.device),
            shown(lock.holder),
            shown(lock.purpose),
            shown(lock.subject),
            lock.worker,
            lock.taken_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            lock.token,
            lock.alive,
        )
        for lock in held
    ]
    print_table("Locked devices", _COLUMNS, rows, output)


@command.command("break")
@click.argument("device")
@click.option("--reason", required=True, help="Why, for the audit trail and for the holder.")
@click.pass_context
def break_(ctx: click.Context, device: str, reason: str) -> None:
    """Take DEVICE away from who holds it.

    He is told by his next look, within a second, and stops. Until then he may still change the device: break
    a lock of a holder that lives only to stop him.
    """
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        broken = DeviceLocks(platform.database).break_lock(session, device, actor=actor(), reason=reason)
    click.echo(
        f"Broke the lock of {named(device)} that {named(broken.holder)} held for {named(broken.purpose)} "
        f"({named(broken.subject)}, process {broken.worker})."
    )
