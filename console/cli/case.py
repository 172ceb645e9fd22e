"""List and show cases, and what waits for a person among their calls to back-ends."""

import json
import re
import uuid
from typing import Any

import click

from console.cli.context import caller, format_choice, format_option, open_platform, print_table, shown

_LISTED = ("number", "service", "procedure", "state", "version", "submitted_at", "promised_for", "escalated")
_CALL = ("id", "key", "case", "kind", "name", "backend", "state", "attempts", "reason", "next_at", "answer")
# A terminal is only so wide; json and csv have the rest.
_LISTED_NARROW = tuple(name for name in _LISTED if name != "version")
_CALL_NARROW = ("id", "name", "state", "attempts", "reason", "answer")
_PARKED_NARROW = ("id", "case", "name", "backend", "attempts", "reason")
_HASH = re.compile(r"[0-9a-f]{40,}")
_STEP = ("version", "at", "actor", "action", "to", "details")
_NOT_SHOWN = {"applicants_turn", "currency"}


@click.group
def command() -> None:
    """List and show cases, and what waits for a person among their calls to back-ends."""


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Cases shown.")
@click.option("--after", help="Go on where a page ended: its `next`.")
@click.option("--service", help="Only cases of this service.")
@click.option("--state", help="Only cases in this state.")
@click.option("--licence", help="Only cases on or of this licence.")
@format_option
@click.pass_context
def list_(
    ctx: click.Context,
    limit: int,
    after: str | None,
    service: str | None,
    state: str | None,
    licence: str | None,
    output: str,
) -> None:
    """List cases, newest first."""
    with open_platform(ctx) as platform:
        page = platform.licensing.cases.cases(caller(), after, limit, service, state, licence)
    _table("Cases", _LISTED_NARROW if output == "table" else _LISTED, page["items"], output)
    if page["next"] is not None:
        click.echo(f"More: rakeeza case list --after {page['next']}", err=True)


@command.command()
@click.argument("number")
@format_choice("table", "json")
@click.pass_context
def show(ctx: click.Context, number: str, output: str) -> None:
    """Show the case NUMBER: state, promise, bill, licence, calls, journal; as a table nothing of a person."""
    with open_platform(ctx) as platform:
        case = platform.licensing.cases.case(caller(), number)
        case["calls"] = platform.licensing.outside.calls(caller(), number)
    if output == "json":
        click.echo(json.dumps(case, ensure_ascii=False, indent=2))
        return
    click.echo(f"{case['number']}: {_both(case['procedure_title'])}, {_both(case['state_title'])}")
    for name, value in _facts(case):
        click.echo(f"  {name:<12} {value}")
    _table("Calls", _CALL_NARROW, case["calls"], "table")
    _table("Journal", _STEP, case["journal"], "table")


@command.command()
@click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Calls shown.")
@click.option("--after", help="Go on where a page ended: its `next`.")
@format_option
@click.pass_context
def parked(ctx: click.Context, limit: int, after: str | None, output: str) -> None:
    """List the calls to back-ends that were given up and wait for a person, with the reason."""
    with open_platform(ctx) as platform:
        page = platform.licensing.outside.parked(caller(), after, limit)
    _table("Parked calls", _PARKED_NARROW if output == "table" else _CALL, page["items"], output)
    if page["next"] is not None:
        click.echo(f"More: rakeeza case parked --after {page['next']}", err=True)


@command.command()
@click.argument("call", type=click.IntRange(1))
@click.pass_context
def retry(ctx: click.Context, call: int) -> None:
    """Put the parked call CALL (its id) back; a worker asks again."""
    with open_platform(ctx) as platform:
        # Each call of the command is a wish of its own.
        put_back = platform.licensing.outside.retry(caller(), call, str(uuid.uuid4())).body
    click.echo(f"The call {put_back['key']} is asked again.")


def _facts(case: dict[str, Any]) -> list[tuple[str, str]]:
    quote, invoice = case["quote"], case["invoice"]
    bill = f"{invoice['bill_number']}, {invoice['amount']} SAR, {invoice['state']}" if invoice else "none"
    return [
        ("version", str(case["version"])),
        ("application", _application(case)),
        ("definition", f"version {case['definition']['version']}, {case['definition']['sha256'][:12]}"),
        ("promised", shown(case["promised_for"] or "nothing")),
        ("due", f"{shown(case['due'] or 'never')}{', escalated' if case['escalated'] else ''}"),
        ("assignee", case["assignee"] or "nobody"),
        ("checks", ", ".join(f"{c['name']} {c['answer'] or 'open'}" for c in case["checks"]) or "none"),
        ("quote", f"{quote['total']} SAR of {quote['day']}" if quote else "none"),
        ("bill", bill),
        ("licence", case["licence"] or "none"),
    ]


def _application(case: dict[str, Any]) -> str:
    whole = "intact" if case["intact"] else "NOT as it was submitted"
    return f"{whole}, personal data erased {shown(case['erased_at'])}" if case["erased_at"] else whole


def _both(title: dict[str, str]) -> str:
    return f"{title['ar']} ({title['en']})"


def _table(title: str, columns: tuple[str, ...], rows: list[dict[str, Any]], output: str) -> None:
    cells = [[_cell(row[name], output) for name in columns] for row in rows]
    print_table(title, columns, cells, output)


def _cell(value: Any, output: str) -> Any:
    if output == "json" or not isinstance(value, dict):
        return value
    if output == "csv":
        return json.dumps(value, ensure_ascii=False)
    return ", ".join(f"{name} {_brief(name, item)}" for name, item in value.items() if name not in _NOT_SHOWN)


def _brief(name: str, value: Any) -> str:
    # Of a hash its beginning, of hashed fields how many there are: json has the rest.
    if name == "personal" and isinstance(value, dict):
        return f"{len(value)} fields"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{inner} {_brief(inner, item)}" for inner, item in value.items()) + ")"
    if isinstance(value, str) and _HASH.fullmatch(value):
        return f"{value[:12]}…"
    return shown(value)
