"""The command `rakeeza centre conformance`, for a centre's developer."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from foundation.errors import InvalidInput, Malformed

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_COLOURS = {"passed": "green", "failed": "red", "left out": None}
_WIDEST = 120  # columns


@click.command("conformance")
@click.argument("url")
@click.option("--centre", required=True, help="Code of the test centre.")
@click.option("--key", type=_FILE, required=True, help="The centre's private key, PEM.")
@click.option("--certificate", type=_FILE, required=True, help="The certificate that was issued for it, PEM.")
@click.option("--clerk-key", type=_FILE, required=True, help="Private key of a clerk, PEM.")
@click.option("--clerk", help="The clerk's name, for SOAP.")
@click.option("--clerk-secret-file", type=_FILE, help="File with the clerk's secret for SOAP, alone in it.")
@click.option("--device", help="Code of the device at which the clerk acts.")
@click.option(
    "--application",
    type=_FILE,
    help="JSON of an application of a test service; with it cases are opened, and licences issued.",
)
@click.option("--ca", type=_FILE, help="PEM of the authority that the server's TLS certificate is of.")
@click.option("--verbose", is_flag=True, help="Show each request and answer, secrets and tokens masked.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit's XML to a file.")
def command(
    url: str,
    centre: str,
    key: Path,
    certificate: Path,
    clerk_key: Path,
    clerk: str | None,
    clerk_secret_file: Path | None,
    device: str | None,
    application: Path | None,
    ca: Path | None,
    verbose: bool,
    as_json: bool,
    junit: Path | None,
) -> None:
    """Check a server, and the credentials of a test centre, before its software meets them.

    The exit code is 0 if everything that was tried holds, and 1 if anything failed.
    """
    # Not at the top: none of it is needed for another command's help.
    import httpx

    from integrations.centres.conformance import GROUPS, Outcome, Report, Server, carry_out
    from integrations.centres.conformance.report import lines, opening
    from integrations.centres.conformance.talking import TIMEOUT, credentials, soap_clerk

    if (clerk is None) != (clerk_secret_file is None):
        raise click.UsageError("--clerk and --clerk-secret-file go together.")
    by_soap = soap_clerk(clerk, _text(clerk_secret_file)) if clerk and clerk_secret_file else None
    known = credentials(
        centre,
        key.read_bytes(),
        certificate.read_bytes(),
        clerk_key.read_bytes(),
        device,
        by_soap,
        _application(application),
    )
    tell = _teller(as_json)
    outcomes: list[Outcome] = []
    with httpx.Client(verify=_trusted(ca), timeout=TIMEOUT) as http:
        server = Server(url, known, http)
        tell(lambda _width: [opening(server.url, centre)])
        for outcome in carry_out(server, GROUPS):
            group = outcomes[-1].group if outcomes else ""
            outcomes.append(outcome)
            tell(lambda width: lines(outcomes[-1], group, width, _paint, verbose))  # noqa: B023 -- called at once
    report = Report(server.url, centre, tuple(outcomes))
    if as_json:
        click.echo(report.to_json(verbose))
    tell(report.closing)
    if junit is not None:
        junit.write_bytes(report.to_junit())
    if not report.conforms:
        sys.exit(1)


def _teller(as_json: bool) -> Callable[[Callable[[int], Any]], None]:
    """Prints lines as soon as they are known, as wide as the terminal is; nothing where JSON is wanted."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)

    def tell(told: Callable[[int], Any]) -> None:
        if not as_json:
            for line in told(width):
                click.echo(line)

    return tell


def _paint(text: str, result: str | None) -> str:
    return click.style(text, dim=True) if result is None else click.style(text, fg=_COLOURS[result])


def _trusted(ca: Path | None) -> Any:
    import ssl

    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError as error:
        raise InvalidInput(
            "The file holds no certificate.", place="--ca", remedy="Give a PEM file."
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("The file is no text.", place=str(path), remedy="Write it as UTF-8.") from error


def _application(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        read = json.loads(_text(path))
    except ValueError as error:
        raise Malformed(
            f"The application is not JSON: {error}.", place=str(path), remedy="Correct it."
        ) from error
    if not isinstance(read, dict):
        raise Malformed("The application is no JSON object.", place=str(path), remedy="Correct it.")
    return read
