"""Run playbooks on servers, and see what became of them."""

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from console.cli.context import actor, format_option, open_platform, print_table, settings_of
from foundation.errors import DefinitionError, InvalidInput
from foundation.events import StoredEvent, follow, read
from infra.plays.definition import find_playbook, load_playbooks
from infra.plays.records import get_run, host_results, subject_of

if TYPE_CHECKING:
    from console.bootstrap import Platform

_COLOURS = {
    "ok": "green",
    "successful": "green",
    "changed": "yellow",
    "skipped": "cyan",
    "retrying": "cyan",
    "failed": "red",
    "unreachable": "red",
    "interrupted": "red",
    "cancelled": "red",
}
_HOST_COLUMNS = ("host", "state", "ok", "changed", "failed", "unreachable", "skipped", "task", "message")
# While we follow: seconds between two looks whether the worker still lives.
_RECONCILE_EVERY = 3.0


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Run playbooks on servers, and see what became of them."""


@command.command("list")
@click.option("--runs", is_flag=True, help="The latest runs instead of the playbooks.")
@click.option("--count", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many runs.")
@format_option
@click.pass_context
def list_(ctx: click.Context, runs: bool, count: int, output: str) -> None:
    """List the playbooks, or the latest runs."""
    if not runs:
        rows: list[tuple[Any, ...]] = []
        for name, entry in sorted(load_playbooks(settings_of(ctx).plays.folders).items()):
            if isinstance(entry, DefinitionError):
                rows.append((name, str(entry), None, None, None))
            else:
                about = entry.about
                rows.append((name, about.title.en, about.title.ar, about.risk, ", ".join(about.parameters)))
        print_table("Playbooks", ("name", "title", "title_ar", "risk", "parameters"), rows, output)
        return
    with open_platform(ctx) as platform:
        platform.plays.reconcile()
        with platform.database.transaction() as session:
            found = [
                (
                    run.id,
                    run.playbook,
                    run.target_limit,
                    run.check_mode,
                    run.state,
                    run.requested_by,
                    run.requested_at,
                )
                for run in platform.plays.runs(session, count)
            ]
    columns = ("run", "playbook", "limit", "check", "state", "requested_by", "requested_at")
    print_table("Runs", columns, found, output)


@command.command()
@click.argument("name_or_run")
@format_option
@click.pass_context
def show(ctx: click.Context, name_or_run: str, output: str) -> None:
    """Show a playbook's parameters, or a run's result for each host."""
    if name_or_run.isascii() and name_or_run.isdigit():
        with open_platform(ctx) as platform:
            platform.plays.reconcile()
            _show_run(platform, int(name_or_run), output)
        return
    playbook = find_playbook(name_or_run, settings_of(ctx).plays.folders)
    about = playbook.about
    if output == "table":
        click.echo(f"{playbook.name}: {about.title.en} | {about.title.ar}")
        click.echo(f"{about.purpose.en}\n{about.purpose.ar}")
        click.echo(f"Risk: {about.risk}. Runs on: {', '.join(about.targets)}.")
        click.echo(f"Revision {playbook.revision[:16]} of {playbook.path}")
    rows = [
        (name, parameter.bounds, parameter.default, parameter.title.en, parameter.title.ar)
        for name, parameter in about.parameters.items()
    ]
    print_table("Parameters", ("name", "value", "default", "title", "title_ar"), rows, output)


@command.command()
@click.argument("name")
@click.option("--limit", metavar="NAMES", help="Hosts and groups, separated by commas; !name leaves one out.")
@click.option("--check", is_flag=True, help="Change nothing; say what would change.")
@click.option("--diff", is_flag=True, help="Show how files change.")
@click.option(
    "--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated."
)
@click.pass_context
def run(
    ctx: click.Context, name: str, limit: str | None, check: bool, diff: bool, parameters: tuple[str, ...]
) -> None:
    """Run a playbook and follow it; the exit code is 0 only if every host is well."""
    values = dict(map(_parameter, parameters))
    with open_platform(ctx) as platform:
        plays = platform.plays
        plays.reconcile()
        with platform.database.transaction() as session:
            workers = platform.jobs.workers_alive(session)
            run_id = plays.request(
                session,
                name,
                requested_by=actor(),
                limit=limit,
                parameters=values,
                check=check,
                diff=diff,
                enqueue=workers > 0,
            )
        if workers:
            _follow_worker(platform, run_id)
        else:
            click.echo(f"No worker is alive: this process performs run {run_id} itself.")
            _perform_here(platform, run_id)
        ctx.exit(0 if _show_run(platform, run_id, "table") else 1)


@command.command()
@click.argument("run_id", metavar="RUN", type=int)
@click.option("--follow", "live", is_flag=True, help="Go on until the run ends.")
@click.pass_context
def log(ctx: click.Context, run_id: int, live: bool) -> None:
    """Print what happened in a run."""
    with open_platform(ctx) as platform:
        platform.plays.reconcile()
        with platform.database.transaction() as session:
            get_run(session, run_id)
        if live:
            _follow_worker(platform, run_id)
            return
        for event in _stored(platform, run_id):
            _print(event)


def _parameter(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise InvalidInput(
            f"{word!r} is not NAME=VALUE.", place="--param", remedy="Write --param minimum_free=500"
        )
    return name, value


def _follow_worker(platform: "Platform", run_id: int) -> None:
    looked = time.monotonic()

    def stop() -> bool:
        # Should the worker be killed, nobody else would say that the run has ended.
        nonlocal looked
        if time.monotonic() - looked > _RECONCILE_EVERY:
            looked = time.monotonic()
            platform.plays.reconcile()
        return False

    try:
        for event in follow(platform.database, after=None, subject=subject_of(run_id), stop=stop):
            _print(event)
            if event.kind == "play.finished":
                return
    except KeyboardInterrupt:
        click.echo(
            f"\nRun {run_id} goes on in the worker. See it with: rakeeza play log {run_id} --follow", err=True
        )
        raise


def _perform_here(platform: "Platform", run_id: int) -> None:
    ended = threading.Event()

    def print_events() -> None:
        for event in follow(platform.database, after=None, subject=subject_of(run_id), stop=ended.is_set):
            _print(event)
            if event.kind == "play.finished":
                return

    printer = threading.Thread(target=print_events, name="play events")
    printer.start()
    try:
        platform.plays.perform(run_id)
        # The end is published; the printer leaves after it.
        printer.join()
    except KeyboardInterrupt:
        click.echo(f"\nAnsible was stopped; run {run_id} is cancelled.", err=True)
        raise
    finally:
        ended.set()
        printer.join()


def _stored(platform: "Platform", run_id: int) -> Iterator[StoredEvent]:
    after: str | None = None
    while True:
        with platform.database.transaction() as session:
            batch = read(session, after=after, subject=subject_of(run_id))
        if not batch:
            return
        yield from batch
        after = batch[-1].cursor


def _show_run(platform: "Platform", run_id: int, output: str) -> bool:
    with platform.database.transaction() as session:
        record = get_run(session, run_id)
        results = host_results(session, run_id)
    rows = [[_printable(getattr(result, name)) for name in _HOST_COLUMNS] for result in results]
    title = f"Run {run_id} of {record.playbook}: {record.state}"
    if output == "table" and record.reason:
        click.echo(_printable(record.reason))
    print_table(title, _HOST_COLUMNS, rows, output)
    return record.state == "successful"


def _print(event: StoredEvent) -> None:
    payload = event.payload
    kind = event.kind.removeprefix("play.")
    if kind == "requested":
        checked = ", in check mode" if payload["check"] else ""
        hosts = ", ".join(payload["hosts"])
        asked = f"asked for by {payload['requested_by']}{checked}"
        click.echo(f"{event.subject}: {payload['playbook']} on {hosts}, {asked}")
    elif kind == "started":
        click.echo(f"Started by {payload['worker']}.")
    elif kind == "task_started":
        click.secho(_printable(payload["task"]), bold=True)
    elif kind == "finished":
        click.secho(f"{event.subject} is {payload['state']}.", fg=_COLOURS.get(payload["state"]))
    elif kind == "output":
        click.echo(_printable(payload["text"]))
    else:
        _print_host(kind, payload)


def _print_host(kind: str, payload: dict[str, Any]) -> None:
    state = payload["result"] if kind == "item" else kind.removeprefix("host_")
    colour = _COLOURS.get(state)
    what = f" {payload['item']}" if kind == "item" and payload.get("item") else ""
    click.secho(_printable(f"  {payload['host']}{what}: {state}"), fg=colour)
    if state in ("failed", "unreachable"):
        ignored = " (ignored)" if payload.get("ignored") else ""
        click.secho(_indented(f"{payload.get('message') or ''}{ignored}"), fg=colour)
    if payload.get("diff"):
        click.echo(_indented(payload["diff"]))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in _printable(text).splitlines())


def _printable(value: Any) -> Any:
    # What a host prints could else move the cursor, recolour or retitle the reader's terminal.
    if not isinstance(value, str):
        return value
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in value)
