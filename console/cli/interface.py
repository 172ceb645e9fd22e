"""Show the versions of the interface that centres write software for, and save their files."""

from pathlib import Path

import click

from console.cli.context import format_option, not_written, print_table

_COLUMNS = ("version", "rest", "soap", "deprecated", "sunset")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show the versions of the interface that centres write software for, and save their files."""


@command.command("list")
@format_option
def list_(output: str) -> None:
    """List the versions, and when one will end if that is known; it needs no settings and no network."""
    # Not at the top: `rakeeza interface --help` need not load the contract.
    from integrations.contracts.versions import versions

    rows = [
        (number, f"/v{number}", f"/v{number}/soap", each.deprecated, each.sunset)
        for number, each in versions().items()
    ]
    print_table("Versions of the interface", _COLUMNS, rows, output)


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--version", "number", type=int, help="Version, instead of the newest.")
def save(folder: Path, number: int | None) -> None:
    """Save OpenAPI, WSDL and XSD of a version in FOLDER, as they were released.

    The WSDL names no server: tell its client the address, or get it from the server itself.
    """
    from integrations.contracts.versions import FILES, file_of, versions

    wanted = max(versions()) if number is None else number
    contents = {name: file_of(wanted, name).read_bytes() for name in FILES}
    for name, octets in contents.items():
        target = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            target.write_bytes(octets)
        except OSError as error:
            raise not_written(target, error) from error
        click.echo(str(target))
