"""Show, ask for and install the certificate that the papers of licences are signed with."""

from datetime import UTC, datetime
from pathlib import Path

import click

from console.cli.context import format_option, not_written, print_table, settings_of
from foundation.errors import SettingsError

_LARGEST = 1_000_000  # bytes of a chain


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Show, ask for and install the certificate that the papers of licences are signed with."""


@command.command()
@format_option
@click.pass_context
def show(ctx: click.Context, output: str) -> None:
    """Show the certificate that papers are signed with, those that signed before, and those of others.

    Key and certificate are made if there are none yet.
    """
    # Not at the top: `rakeeza certificate --help` need not load the library of certificates.
    from integrations.licences.certificate import paper_keys, trusted_certificates

    settings = settings_of(ctx)
    current = paper_keys(settings).current().certificate
    rows = [
        (
            one.fingerprint.hex()[:16],
            one.municipality,
            one.leaf.subject.rfc4514_string(),
            "itself" if one.leaf.issuer == one.leaf.subject else one.leaf.issuer.rfc4514_string(),
            one.leaf.not_valid_before_utc.date().isoformat(),
            one.leaf.not_valid_after_utc.date().isoformat(),
            "signs" if one.fingerprint == current.fingerprint else "verifies",
        )
        for one in trusted_certificates(settings)
    ]
    columns = ("certificate", "municipality", "subject", "issued_by", "valid_from", "valid_to", "use")
    print_table("Certificates of papers", columns, rows, output)
    if not current.covers(datetime.now(UTC)):
        raise SettingsError(
            "The certificate that signs is not valid now: no paper is made.",
            place=current.fingerprint.hex()[:16],
            remedy="Ask an authority for another: rakeeza certificate request",
        )


@command.command()
@click.option("--output", "target", type=click.Path(path_type=Path), help="File instead of standard output.")
@click.pass_context
def request(ctx: click.Context, target: Path | None) -> None:
    """Write a request (PKCS #10) with which a national authority issues a certificate for our key."""
    from integrations.licences.certificate import paper_keys

    _put(paper_keys(settings_of(ctx)).request(), target)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def install(ctx: click.Context, file: Path) -> None:
    """Take the certificate in FILE, and sign papers with it from now on.

    FILE is PEM: our certificate first, then each one above it in turn. Papers signed before stay good.
    """
    from integrations.licences.certificate import paper_keys

    settings = settings_of(ctx)
    leaf = paper_keys(settings).install(_read(file)).certificate.leaf
    click.echo(
        f"Papers are signed as {leaf.subject.rfc4514_string()} until {leaf.not_valid_after_utc:%Y-%m-%d}."
    )


@command.command()
@click.option("--output", "target", type=click.Path(path_type=Path), help="File instead of standard output.")
@click.pass_context
def export(ctx: click.Context, target: Path | None) -> None:
    """Print the certificates of this municipality's papers, as others trust them; they are made if need be.

    Whoever has this file can check a paper without a network. It holds nothing secret.
    """
    from integrations.licences.certificate import own_certificates, paper_keys

    settings = settings_of(ctx)
    paper_keys(settings).current()
    _put(own_certificates(settings.secrets(), settings.platform.municipality).to_json() + "\n", target)


def _read(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(_LARGEST)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The certificate cannot be read ({error}).", place=str(file), remedy="Name a readable PEM file."
        ) from error


def _put(text: str, target: Path | None) -> None:
    if target is None:
        click.echo(text, nl=False)
        return
    try:
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise not_written(target, error) from error
