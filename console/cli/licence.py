"""Verify a licence without a network, and show one that was issued here."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from console.cli.context import caller, format_choice, not_written, open_platform, print_table, settings_of
from console.verifying import find, local, shown
from foundation.errors import Malformed, SettingsError, TooLarge, Unavailable
from foundation.wire.credential import KeySet
from foundation.wire.credential_keys import KEYS_FILE, trusted_keys
from foundation.wire.status_folder import STATUS_FOLDER, keep, read_lists
from foundation.wire.status_list import MAX_TOKEN, ListRefused, StatusList
from foundation.wire.verdict_words import age_words
from foundation.wire.verification import verify as judged

if TYPE_CHECKING:
    import httpx

    from foundation.wire.paper_certificates import PaperCertificates

_MAX_INDEX = 1_000_000  # bytes of the index of lists
_MOST_LISTS = 2_048
_TIMEOUT = 30.0
_INDEX = "/.well-known/rakeeza-status.json"
_EXPORTED = {"public keys": "keys", "certificates": "certificate"}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Verify a licence without a network, and show one that was issued here."""


@command.command()
@click.argument("source")
@click.option("--keys", "keys_file", type=click.Path(path_type=Path), help="Public keys (JWK Set) to trust.")
@click.option(
    "--status",
    "status_place",
    type=click.Path(path_type=Path, exists=True),
    help="Status list, or a folder of them, instead of those kept here.",
)
@click.option(
    "--certificates",
    "certificates_file",
    type=click.Path(path_type=Path),
    help="Certificates of papers (JSON) to trust.",
)
@format_choice("text", "json")
@click.pass_context
def verify(
    ctx: click.Context,
    source: str,
    keys_file: Path | None,
    status_place: Path | None,
    certificates_file: Path | None,
    output: str,
) -> None:
    """Verify a licence by its code, picture or PDF, without a network.

    SOURCE is the text of the QR code, a picture or PDF with the code, a file with the text, or - for standard
    input. Needed are public keys (of --keys, or those in the platform's folder) and the municipality's status
    lists (of --status, or those that `rakeeza licence lists` keeps in the platform's folder). The age of the
    list is always told.

    A PDF is told twice: what its code says, and whether the file is the paper that the municipality signed,
    whole and unchanged; for that its certificates are needed (of --certificates, or those in the platform's
    folder).

    Ends with 0 if every licence in SOURCE is valid, and a PDF as it was signed; else with 1 if a licence is
    genuine and does not hold (expired, suspended, revoked, replaced, not yet valid), with 3 if that cannot be
    told here (no list, one too old, an unknown key, a wrong clock; a PDF without a signature, or by an
    unknown certificate), with 4 if one is not accepted (forged, damaged, no licence; a PDF that was changed,
    added to, or signed by another). Of several the highest counts.
    """
    keys = _keys(ctx, keys_file)
    lists, unused = read_lists(status_place or settings_of(ctx).platform.folder / STATUS_FOLDER, keys)
    now = datetime.now(UTC)
    findings = find(
        source,
        lambda text: judged(text, keys, lists, now),
        lambda: _certificates(ctx, certificates_file),
        unused,
    )
    if output == "json":
        click.echo(json.dumps(findings.to_json(), ensure_ascii=False, indent=2))
    else:
        findings.tell()
    ctx.exit(findings.exit_code)


@command.command()
@click.argument("url")
@click.option("--keys", "keys_file", type=click.Path(path_type=Path), help="Public keys (JWK Set) to trust.")
@click.pass_context
def lists(ctx: click.Context, url: str, keys_file: Path | None) -> None:
    """Fetch the status lists of the municipality at URL, and keep them for `rakeeza licence verify`.

    A list is kept only if a trusted key signed it, and never in place of a newer one. Keys are not fetched:
    they are what everything else is trusted by.
    """
    keys = _keys(ctx, keys_file)
    folder = settings_of(ctx).platform.folder / STATUS_FOLDER
    now = datetime.now(UTC)
    for kept in _fetched(url.rstrip("/"), folder, keys):
        click.echo(f"{shown(kept.uri)}: version {kept.version} of {local(kept.issued_at)}, kept in {folder}")
        click.echo(f"  {age_words(max(now - kept.issued_at, timedelta())).en}")


@command.command()
@click.argument("number")
@click.option("--document", type=click.Path(path_type=Path), help="Write its PDF to this file.")
@format_choice("table", "json")
@click.pass_context
def show(ctx: click.Context, number: str, document: Path | None, output: str) -> None:
    """Show the licence NUMBER as it stands now."""
    with open_platform(ctx) as platform:
        licence = platform.licensing.licences.licence(number)
        if document is not None:
            pdf = platform.licensing.licences.document(caller(), number)
            _write(document, pdf)
    if output == "json":
        click.echo(json.dumps(licence, ensure_ascii=False, indent=2))
        return
    rows = [
        ("status", f"{licence['status']} since {licence['since']}", licence["status_title"]["ar"]),
        ("version", str(licence["version"]), None),
        ("licence", licence["title"]["en"], licence["title"]["ar"]),
        ("municipality", licence["municipality"]["en"], licence["municipality"]["ar"]),
        ("valid from", licence["valid_from"], None),
        ("valid to", licence["valid_to"], None),
        *((line["label"]["en"], line["value"]["en"], line["value"]["ar"]) for line in licence["lines"]),
    ]
    print_table(f"Licence {licence['number']}", ("field", "English", "Arabic"), rows)


@command.command()
@click.argument("number")
@format_choice("table", "json")
@click.pass_context
def history(ctx: click.Context, number: str, output: str) -> None:
    """Show what became of the licence NUMBER: each case, each change of its standing, what hangs on it."""
    with open_platform(ctx) as platform:
        told = platform.licensing.licences.history(caller(), number)
    if output == "json":
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    columns = ("at", "outcome", "case", "version", "copy", "status", "valid_to")
    # What was signed anew, its key being retired, no case made.
    steps = [
        tuple("-" if step[name] is None else str(step[name]) for name in columns) for step in told["steps"]
    ]
    print_table(f"Licence {number}, {told['status']} since {told['since']}", columns, steps)
    if told["entries"]:
        rows = [(entry["at"], entry["action"], entry["actor"], _why(entry)) for entry in told["entries"]]
        print_table("Changes of its standing and holder", ("at", "action", "actor", "by"), rows)
    if told["children"]:
        names = ("number", "service", "status", "since", "valid_to")
        hanging = [tuple(str(child[name]) for name in names) for child in told["children"]]
        print_table("What hangs on it", names, hanging)


def _why(entry: dict[str, Any]) -> str:
    parent = entry.get("parent")
    return f"with {parent}" if parent else str(entry.get("case", "-"))


def _keys(ctx: click.Context, keys_file: Path | None) -> KeySet:
    if keys_file is not None:
        return KeySet.from_json(_read_text(keys_file, "public keys"), str(keys_file))
    settings = settings_of(ctx)
    place = settings.platform.folder / KEYS_FILE
    keys = trusted_keys(settings.secrets(), settings.platform.municipality, place)
    if not len(keys):
        raise SettingsError(
            "There are no public keys to verify with.",
            place=str(place),
            remedy=f"Get the municipality's /.well-known/{KEYS_FILE} and name it with --keys.",
        )
    return keys


def _certificates(ctx: click.Context, file: Path | None) -> "PaperCertificates":
    # Not at the top: only who verifies a PDF needs the library of certificates.
    from foundation.wire.paper_certificates import PaperCertificates
    from integrations.licences.certificate import trusted_certificates

    if file is None:
        return trusted_certificates(settings_of(ctx))
    return PaperCertificates.from_json(_read_text(file, "certificates"), str(file))


def _read_text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"The {what} cannot be read ({error.strerror}).",
            place=str(path),
            remedy="Name a readable file.",
        ) from error
    except UnicodeDecodeError as error:
        raise Malformed(
            f"The {what} are no text.",
            place=str(path),
            remedy=f"Get them again from the municipality, or with: rakeeza {_EXPORTED[what]} export",
        ) from error


def _fetched(url: str, folder: Path, keys: KeySet) -> Iterator[StatusList]:
    # Not at the top: who only verifies speaks to nobody.
    import httpx

    try:
        with httpx.Client(timeout=_TIMEOUT, trust_env=False) as client:
            index = _get(client, url + _INDEX, _MAX_INDEX)
            refused: ListRefused | None = None
            for number, uri in _numbers(index, url):
                token = _get(client, f"{url}/v1/status-lists/{number}", MAX_TOKEN)
                try:
                    yield keep(folder, token, keys, uri, datetime.now(UTC))
                except ListRefused as error:
                    # One that is not accepted must not keep the others away.
                    refused = error
            if refused is not None:
                raise refused
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        # UnicodeError: a name that no name server could be asked for.
        raise Unavailable(
            f"The status lists cannot be had ({type(error).__name__}).",
            place=url,
            remedy="Check the address and the network; lists that are kept already still serve.",
        ) from error


def _get(client: "httpx.Client", url: str, most: int) -> bytes:
    with client.stream("GET", url) as answer:
        answer.raise_for_status()
        data = b""
        for part in answer.iter_bytes():
            data += part
            if len(data) > most:
                raise TooLarge(
                    f"The answer has more than {most} bytes.", place=url, remedy="Check the address."
                )
        return data


def _numbers(index: bytes, url: str) -> list[tuple[int, str]]:
    try:
        rows = json.loads(index)["lists"][:_MOST_LISTS]
        return [(int(each["number"]), str(each["uri"])) for each in rows]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise Malformed(
            "The answer is no index of status lists.", place=url, remedy="Check the address."
        ) from error


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise not_written(path, error) from error
