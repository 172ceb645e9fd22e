"""Verify a licence without a network, and show one that was issued here."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from console.cli.context import caller, format_choice, not_written, open_platform, print_table, settings_of
from foundation.calendar import format_date
from foundation.errors import InvalidInput, Malformed, NotFound, SettingsError, TooLarge, Unavailable
from foundation.wire import qr_reader
from foundation.wire.credential import PREFIX, KeySet, LicenceClaims
from foundation.wire.credential_keys import KEYS_FILE, trusted_keys
from foundation.wire.status_folder import STATUS_FOLDER, Unused, keep, read_lists
from foundation.wire.status_list import MAX_TOKEN, StatusList
from foundation.wire.verdict_words import LAPSED, UNDECIDED, age_words
from foundation.wire.verification import Verdict
from foundation.wire.verification import verify as judged

if TYPE_CHECKING:
    import httpx

_MAX_TEXT = 10_000  # bytes of a file that may be a text
_MAX_INDEX = 1_000_000  # bytes of the index of lists
_TIMEOUT = 30.0
_INDEX = "/.well-known/rakeeza-status.json"


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
@format_choice("text", "json")
@click.pass_context
def verify(
    ctx: click.Context, source: str, keys_file: Path | None, status_place: Path | None, output: str
) -> None:
    """Verify a licence by its code, picture or PDF, without a network.

    SOURCE is the text of the QR code, a picture or PDF with the code, a file with the text, or - for standard
    input. Needed are public keys (of --keys, or those in the platform's folder) and the municipality's status
    lists (of --status, or those that `rakeeza licence lists` keeps in the platform's folder). The age of the
    list is always told.

    Ends with 0 if every licence in SOURCE is valid; else with 1 if one is genuine and does not hold (expired,
    suspended, revoked, replaced, not yet valid), with 3 if that cannot be told here (no list, one too old, an
    unknown key, a wrong clock), with 4 if one is not accepted (forged, damaged, no licence). Of several the
    highest counts.
    """
    keys = _keys(ctx, keys_file)
    lists, unused = read_lists(status_place or settings_of(ctx).platform.folder / STATUS_FOLDER, keys)
    now = datetime.now(UTC)
    verdicts = [judged(text, keys, lists, now) for text in _texts(source)]
    if output == "json":
        document = {
            "valid": all(verdict.valid for verdict in verdicts),
            "licences": [verdict.to_json() for verdict in verdicts],
            "unused_lists": [{"file": str(each.place), "reason": each.refusal.message} for each in unused],
        }
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        for verdict in verdicts:
            _print(verdict)
        _print_unused(unused)
    ctx.exit(max(_exit_code(verdict) for verdict in verdicts))


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
        click.echo(
            f"{_shown(kept.uri)}: version {kept.version} of {_local(kept.issued_at)}, kept in {folder}"
        )
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
    steps = [tuple(str(step[name]) for name in columns) for step in told["steps"]]
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
        return KeySet.from_json(_read_text(keys_file), str(keys_file))
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


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"The public keys cannot be read ({error.strerror}).",
            place=str(path),
            remedy="Name a readable file.",
        ) from error
    except UnicodeDecodeError as error:
        raise Malformed(
            "The public keys are no text.",
            place=str(path),
            remedy="Name a JWK Set, as `rakeeza keys export` makes.",
        ) from error


def _texts(source: str) -> list[str]:
    """The QR texts in a source; where some are ours, only those."""
    if source.startswith(PREFIX):
        return [source]
    if source == "-":
        data, place = sys.stdin.buffer.read(qr_reader.MAX_FILE + 1), "standard input"
    else:
        data, place = _read_file(Path(source)), source
    text = _as_text(data)
    if text is not None:
        return [text]
    found = qr_reader.read(data, place)
    return [text for text in found if text.startswith(PREFIX)] or found[:1]


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(qr_reader.MAX_FILE + 1)
    except FileNotFoundError as error:
        raise NotFound(
            "This is neither a file nor the text of a licence code.",
            place=str(path)[:80],
            remedy=f"Name a picture or a PDF, or give the text that begins with {PREFIX}",
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"The file cannot be read ({error.strerror}).",
            place=str(path)[:80],
            remedy="Name a readable file.",
        ) from error


def _as_text(data: bytes) -> str | None:
    if len(data) > _MAX_TEXT:
        return None
    try:
        # Line ends come from editors and scanners. A space may be part of the code, and stays.
        text = data.decode("utf-8-sig").strip("\r\n")
    except UnicodeDecodeError:
        return None
    return text if text.startswith(PREFIX) else None


def _exit_code(verdict: Verdict) -> int:
    if verdict.valid:
        return 0
    if verdict.answer in LAPSED:
        return 1
    return 3 if verdict.answer in UNDECIDED else 4


def _print(verdict: Verdict) -> None:
    colour = "green" if verdict.valid else "yellow" if verdict.answer in UNDECIDED else "red"
    for language in ("en", "ar"):
        click.secho(_shown(_heading(verdict, language)), fg=colour, bold=True)
        click.echo(f"  {verdict.words.sentence.in_language(language)}")
        click.echo(f"  {verdict.words.remedy.in_language(language)}")
        click.echo(f"  {age_words(verdict.list_age).in_language(language)}")
    if verdict.listed is not None:
        _line(
            "list", f"{_local(verdict.listed.made_at)}, relied on until {_local(verdict.listed.expires_at)}"
        )
    if verdict.claims is not None and verdict.key is not None:
        _print_claims(verdict.claims, verdict.key.kid.hex())


def _heading(verdict: Verdict, language: str) -> str:
    title, claims = verdict.words.title.in_language(language), verdict.claims
    title = title.upper() if language == "en" else title
    if claims is None:
        return title
    ends = format_date(claims.valid_to, "ar" if language == "ar" else "en", "gregorian")
    if language == "ar":
        return f"{title} - {claims.title.ar}، تنتهي في {ends}"
    return f"{title} - {claims.title.en} {claims.number}, valid to {ends}"


def _print_claims(claims: LicenceClaims, key: str) -> None:
    _line("number", claims.number)
    _line("municipality", claims.municipality)
    _line("valid_from", claims.valid_from.isoformat())
    _line("valid_to", claims.valid_to.isoformat())
    _line("issued_at", _local(claims.issued_at))
    _line("key", key)
    for name, value in claims.public.items():
        _line(name, value)


def _line(name: str, value: str) -> None:
    click.echo(f"  {_shown(name):<14}{_shown(value)}")


def _print_unused(unused: list[Unused]) -> None:
    for each in unused:
        click.echo(f"Not used: {each.place}: {each.refusal.message}", err=True)


def _local(moment: datetime) -> str:
    return moment.astimezone(ZoneInfo("Asia/Riyadh")).isoformat(sep=" ", timespec="minutes")


def _fetched(url: str, folder: Path, keys: KeySet) -> Iterator[StatusList]:
    # Not at the top: who only verifies speaks to nobody.
    import httpx

    try:
        with httpx.Client(timeout=_TIMEOUT, trust_env=False) as client:
            index = _get(client, url + _INDEX, _MAX_INDEX)
            for number, uri in _numbers(index, url):
                token = _get(client, f"{url}/v1/status-lists/{number}", MAX_TOKEN)
                yield keep(folder, token, keys, uri)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
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
        return [(int(each["number"]), str(each["uri"])) for each in json.loads(index)["lists"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Malformed(
            "The answer is no index of status lists.", place=url, remedy="Check the address."
        ) from error


def _shown(text: str) -> str:
    # What a trusted key signed may still hold what steers a terminal.
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise not_written(path, error) from error
