"""How the commands of plays show a run: its events as they come, its hosts, its plan."""

import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from console.cli.context import print_table
from foundation.events import StoredEvent, follow, read
from infra.plays.artifacts import removal_of
from infra.plays.records import TO_BEGIN, PlayRun, changes_of, get_run, host_results, subject_of

if TYPE_CHECKING:
    from console.bootstrap import Platform

_COLOURS = {
    "ok": "green",
    "successful": "green",
    "changed": "yellow",
    "awaiting_approval": "yellow",
    "skipped": "cyan",
    "retrying": "cyan",
    "failed": "red",
    "unreachable": "red",
    "interrupted": "red",
    "cancelled": "red",
    "rejected": "red",
}
_HOST_COLUMNS = ("host", "state", "ok", "changed", "failed", "unreachable", "skipped", "task", "message")
# While we follow: seconds between two looks whether the worker still lives.
_RECONCILE_EVERY = 3.0
# What of a plan's digest is shown; `approve` takes it.
_SHOWN = 12
# Waits that end by themselves soon, so that a command without a worker waits with them.
_SHORT_WAITS = ("device", "turn", "site")


def follow_run(
    platform: "Platform", run_id: int, *, until_decision: bool = False, after: str | None = None
) -> None:
    """Print what happens in a run that a worker performs, until it ends.

    Args:
        until_decision: also until it awaits an approval, or waits for anything but a worker.
        after: cursor of the last event that is not told.
    """
    looked = time.monotonic()

    def stop() -> bool:
        # Should the worker be killed, nobody else would say that the run has ended.
        nonlocal looked
        if time.monotonic() - looked > _RECONCILE_EVERY:
            looked = time.monotonic()
            platform.plays.reconcile()
        return False

    try:
        for event in follow(platform.database, after=after, subject=subject_of(run_id), stop=stop):
            print_event(event)
            long_wait = event.kind == "play.waiting" and event.payload["for"] not in _SHORT_WAITS
            if event.kind == "play.finished" or (
                until_decision and (event.kind == "play.planned" or long_wait)
            ):
                return
    except KeyboardInterrupt:
        click.echo(
            f"\nRun {run_id} goes on in the worker. See it with: rakeeza play log {run_id} --follow\n"
            f"End it with: rakeeza play cancel {run_id}",
            err=True,
        )
        raise


def perform_here(platform: "Platform", run_id: int, after: str | None = None) -> None:
    """Perform a run in this process, and print what happens after an event."""
    ended = threading.Event()
    state = "queued"

    def print_events() -> None:
        for event in follow(platform.database, after=after, subject=subject_of(run_id), stop=ended.is_set):
            print_event(event)
            if event.kind in ("play.finished", "play.planned"):
                return

    printer = threading.Thread(target=print_events, name="play events")
    printer.start()
    try:
        while True:
            platform.plays.perform(run_id)
            with platform.database.transaction() as session:
                run = get_run(session, run_id)
                state = run.state
            # Without a reason to wait it is to begin anew, with the hosts that it is for now.
            if state not in TO_BEGIN or run.waits_for not in (None, *_SHORT_WAITS):
                break
            time.sleep(0.5)
        if state in ("awaiting_approval", *_ENDS):
            # That is published; the printer leaves after it.
            printer.join()
    except KeyboardInterrupt:
        with platform.database.transaction() as session:
            state = get_run(session, run_id).state
        if state in TO_BEGIN:
            said = f"Nothing was begun; run {run_id} is {state}. End it with: rakeeza play cancel {run_id}"
        else:
            said = f"Ansible was stopped; run {run_id} is {state}."
        click.echo(f"\n{said}", err=True)
        raise
    finally:
        ended.set()
        printer.join()


_ENDS = ("successful", "failed", "cancelled", "interrupted", "rejected")


def stored(platform: "Platform", run_id: int) -> Iterator[StoredEvent]:
    """Every event of a run that was published so far."""
    after: str | None = None
    while True:
        with platform.database.transaction() as session:
            batch = read(session, after=after, subject=subject_of(run_id))
        if not batch:
            return
        yield from batch
        after = batch[-1].cursor


def show_run(platform: "Platform", run_id: int, output: str) -> PlayRun:
    """Print the state of a run and the result of each host."""
    with platform.database.transaction() as session:
        record = get_run(session, run_id)
        results = host_results(session, run_id)
        removal = removal_of(session, run_id)
    rows = [[_printable(getattr(result, name)) for name in _HOST_COLUMNS] for result in results]
    if output == "table":
        for line in _said(record):
            click.echo(_printable(line))
        if removal is not None:
            click.echo(str(removal))
    title = f"Run {run_id} of {record.playbook}: {record.state.replace('_', ' ')}"
    columns: Sequence[str] = _HOST_COLUMNS
    if output == "table":
        # A terminal is only so wide: what no host has is left out.
        kept = [place for place in range(len(columns)) if place < 2 or any(row[place] for row in rows)]
        columns, rows = [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]
    print_table(title, columns, rows, output)
    return record


def show_changes(platform: "Platform", run_id: int, output: str) -> None:
    """Print what the last check of a run showed."""
    with platform.database.transaction() as session:
        record = get_run(session, run_id)
        changes = changes_of(session, run_id)
    if output != "table":
        columns = ("host", "number", "task", "item", "diff", "digest")
        rows = [[getattr(change, name) for name in columns] for change in changes]
        print_table(f"Plan of run {run_id}", columns, rows, output)
        return
    host = None
    for change in changes:
        if change.host != host:
            host = change.host
            click.secho(_printable(host), bold=True)
        item = f" ({change.item})" if change.item else ""
        click.secho(_printable(f"  {change.task}{item}"), fg="yellow")
        for line in change.diff.splitlines():
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1])
            click.secho(f"    {_printable(line)}", fg=colour)
    if not changes:
        click.echo("The check showed no change." if record.plan else "It was not checked yet.")
    if record.plan:
        click.echo(f"Plan {record.plan}")
    if record.state == "awaiting_approval" and record.plan:
        click.echo(f"Approve it with: rakeeza play approve {run_id} --plan {record.plan[:_SHOWN]}")


def _said(run: PlayRun) -> Iterator[str]:
    if run.reason:
        yield run.reason
    if run.waiting:
        yield f"It waits. {run.waiting}"
    if run.emergency:
        yield f"Emergency: {run.emergency}"
    if run.state == "awaiting_approval" and run.plan:
        yield f"{run.requested_by} asked for it; another engineer has to approve plan {run.plan[:_SHOWN]}."
        yield f"Look at it: rakeeza play show {run.id} --changes"
        yield f"Approve it: rakeeza play approve {run.id} --plan {run.plan[:_SHOWN]}"
    if run.approved_by and run.approved_plan:
        yield f"{run.approved_by} approved plan {run.approved_plan[:_SHOWN]}."
    elif run.decided_reason and run.state == "awaiting_approval":
        yield run.decided_reason
    if run.retry_of:
        yield f"It retries run {run.retry_of}."


def print_event(event: StoredEvent) -> None:
    """Print one event of a run."""
    payload = event.payload
    kind = event.kind.removeprefix("play.")
    told = _TOLD.get(kind)
    if told is not None:
        values = {name: _worded(value) for name, value in payload.items()}
        click.echo(_printable(told.format(subject=event.subject, **values)))
    elif kind in ("checking", "started"):
        what = "Check begun" if kind == "checking" else "Started"
        click.echo(f"{what} by {payload['worker']}.")
    elif kind == "requested":
        checked = ", in check mode" if payload["check"] else ""
        asked = f"asked for by {payload['requested_by']}{checked}"
        click.echo(f"{event.subject}: {payload['playbook']} on {', '.join(payload['hosts'])}, {asked}")
    elif kind == "task_started":
        click.secho(_printable(payload["task"]), bold=True)
    elif kind == "finished":
        click.secho(f"{event.subject} is {payload['state']}.", fg=_COLOURS.get(payload["state"]))
    elif kind == "output":
        click.echo(_printable(payload["text"]))
    else:
        _print_host(kind, payload)


_TOLD = {
    "planned": "The check is done. Changes: {changes}; hosts: {hosts_changed}; plan {plan:.12}.",
    "waiting": "It waits. {reason}",
    "approved": "{by} approved plan {plan:.12}.",
    "rejected": "{by} rejected it: {reason}",
    "approval_voided": "The approval is void. {reason}",
    "cancel_requested": "{by} cancels it.",
    "left_out": "Left out, for they are no hosts of this play any more: {hosts}.",
    "emergency": "Emergency, said {by}: {reason}",
}


def _worded(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


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
