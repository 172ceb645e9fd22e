"""The command `rakeeza centre conformance`, for a centre's developer."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from foundation.errors import Malformed

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("conformance")
@click.argument("url")
@click.option("--centre", required=True, help="Code of the test centre.")
@click.option("--key", type=_FILE, required=True, help="The centre's private key, PEM.")
@click.option("--certificate", type=_FILE, required=True, help="The certificate that was issued for it, PEM.")
@click.option("--clerk-key", type=_FILE, required=True, help="Private key of a clerk, PEM.")
@click.option("--device", help="Code of the device at which the clerk acts.")
@click.option(
    "--application", type=_FILE, help="JSON of an application; with it, cases are opened and acts are tried."
)
@click.option("--ca", type=_FILE, help="PEM of the authority that the server's TLS certificate is of.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def command(
    url: str,
    centre: str,
    key: Path,
    certificate: Path,
    clerk_key: Path,
    device: str | None,
    application: Path | None,
    ca: Path | None,
    as_json: bool,
) -> None:
    """Check a server, and the credentials of a test centre, before its software meets them."""
    # Not at the top: none of it is needed for another command's help.
    import ssl

    import httpx

    from integrations.centres.conformance import CHECKS, Server, carry_out
    from integrations.centres.conformance.talking import TIMEOUT, credentials

    known = credentials(
        centre,
        key.read_bytes(),
        certificate.read_bytes(),
        clerk_key.read_bytes(),
        device,
        _application(application),
    )
    trusted = ssl.create_default_context(cafile=ca)
    with httpx.Client(verify=trusted, timeout=TIMEOUT) as http:
        report = carry_out(Server(url, known, http), CHECKS)
    click.echo(report.to_json() if as_json else report.to_text())
    if not report.conforms:
        sys.exit(1)


def _application(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Malformed(
            f"The application is not JSON: {error}.", place=str(path), remedy="Correct it."
        ) from error
    if not isinstance(read, dict):
        raise Malformed("The application is no JSON object.", place=str(path), remedy="Correct it.")
    return read
