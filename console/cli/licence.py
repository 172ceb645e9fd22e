"""Verify a licence without a network, and show one that was issued here."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from console.cli.context import caller, format_choice, not_written, open_platform, print_table, settings_of
from foundation.calendar import format_date, today
from foundation.errors import InvalidInput, Malformed, NotFound, RakeezaError, SettingsError
from foundation.wire import qr_reader
from foundation.wire.credential import PREFIX, REFUSALS, Credential, KeySet, Status, open_credential
from foundation.wire.credential_keys import KEYS_FILE, trusted_keys

_VERDICTS = {
    Status.VALID: ("VALID", "سارية"),
    Status.NOT_YET_VALID: ("NOT YET VALID", "لم تبدأ صلاحيتها بعد"),
    Status.EXPIRED: ("EXPIRED", "منتهية الصلاحية"),
}
_REFUSED = ("NOT ACCEPTED", "غير مقبولة")
_NOT_CHECKED = (
    "Suspension and revocation are not part of an offline check yet: ask the address on the licence.",
    "لا يشمل التحقق دون اتصال حالات الإيقاف والإلغاء حتى الآن: استعلم من العنوان المطبوع على الرخصة.",
)
_MAX_TEXT = 10_000  # bytes of a file that may be a text


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Verify a licence without a network, and show one that was issued here."""


@command.command()
@click.argument("source")
@click.option("--keys", "keys_file", type=click.Path(path_type=Path), help="Public keys (JWK Set) to trust.")
@format_choice("text", "json")
@click.pass_context
def verify(ctx: click.Context, source: str, keys_file: Path | None, output: str) -> None:
    """Verify a licence by its code, picture or PDF.

    SOURCE is the text of the QR code, a picture or PDF with the code, a file with the text, or - for standard
    input. Only public keys are needed: of --keys, or those in the platform's folder. Ends with 0 if every
    licence in SOURCE is valid today, with 1 if one is not.
    """
    keys = _keys(ctx, keys_file)
    results = [_judge(text, keys) for text in _texts(source)]
    valid = all(result["valid"] for result in results)
    if output == "json":
        document = {"valid": valid, "revocation_checked": False, "licences": results}
        click.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        for result in results:
            _print(result)
        click.echo("\n".join(_NOT_CHECKED))
    ctx.exit(0 if valid else 1)


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


def _judge(text: str, keys: KeySet) -> dict[str, Any]:
    day = today()
    try:
        opened = open_credential(text, keys, today=day)
    except REFUSALS as error:
        return _refused(error)
    return _accepted(opened)


def _refused(error: RakeezaError) -> dict[str, Any]:
    return {
        "valid": False,
        "status": "refused",
        "reason": type(error).__name__,
        "detail": {"ar": error.message_ar, "en": error.message},
        "remedy": error.remedy,
    }


def _accepted(opened: Credential) -> dict[str, Any]:
    claims = opened.claims
    return {
        "valid": opened.status is Status.VALID,
        "status": opened.status.value,
        "number": claims.number,
        "service": claims.service,
        "title": {"ar": claims.title.ar, "en": claims.title.en},
        "municipality": claims.municipality,
        "valid_from": claims.valid_from.isoformat(),
        "valid_to": claims.valid_to.isoformat(),
        "issued_at": claims.issued_at.isoformat().replace("+00:00", "Z"),
        "public": dict(claims.public),
        "key": opened.key.kid.hex(),
        "verdict": _verdict(opened),
    }


def _verdict(opened: Credential) -> dict[str, str]:
    english, arabic = _VERDICTS[opened.status]
    ends = opened.claims.valid_to
    return {
        "en": f"{english} - {opened.claims.title.en} {opened.claims.number}, "
        f"valid to {format_date(ends, 'en', 'gregorian')}",
        "ar": f"{arabic} - {opened.claims.title.ar}، تنتهي في {format_date(ends, 'ar', 'gregorian')}",
    }


def _print(result: dict[str, Any]) -> None:
    colour = "green" if result["valid"] else "red"
    if result["status"] == "refused":
        click.secho(f"{_REFUSED[0]} - {result['detail']['en']}", fg=colour, bold=True)
        click.secho(f"{_REFUSED[1]} - {result['detail']['ar']}", fg=colour, bold=True)
        click.echo(f"  {'reason':<14}{result['reason']}\n  {'remedy':<14}{result['remedy']}")
        return
    click.secho(_shown(result["verdict"]["en"]), fg=colour, bold=True)
    click.secho(_shown(result["verdict"]["ar"]), fg=colour, bold=True)
    for name in ("number", "municipality", "valid_from", "valid_to", "issued_at", "key"):
        click.echo(f"  {name:<14}{_shown(result[name])}")
    for name, value in result["public"].items():
        click.echo(f"  {_shown(name):<14}{_shown(value)}")


def _shown(text: str) -> str:
    # What a trusted key signed may still hold what steers a terminal.
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text)


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise not_written(path, error) from error
