"""Run playbooks on servers, and see what became of them."""

from datetime import UTC, datetime
from typing import Any

import click

from console import inventories, play_decisions, play_statistics, schedules
from console.cli.context import actor, format_option, open_platform, print_table, settings_of
from console.play_options import PlaybookCommand, given_parameters
from console.play_output import follow_run, perform_here, print_event, show_changes, show_run, stored
from foundation.errors import DefinitionError
from infra.plays.definition import find_playbook, load_playbooks
from infra.plays.records import get_run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Run playbooks on servers, and see what became of them."""


command.add_command(play_decisions.approve)
command.add_command(play_decisions.reject)
command.add_command(play_decisions.cancel)
command.add_command(play_decisions.retry)
command.add_command(inventories.inventory)
command.add_command(play_statistics.command)
command.add_command(schedules.schedule)


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
                rows.append((name, str(entry), *[None] * 5))
            else:
                about = entry.about
                titles, names = (about.title.en, about.title.ar), ", ".join(about.parameters)
                rows.append((name, *titles, about.risk, about.approval, about.window, names))
        columns: tuple[str, ...] = ("name", "title", "title_ar", "risk", "approval", "window", "parameters")
        print_table("Playbooks", columns, rows, output)
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
@click.option("--changes", is_flag=True, help="Of a run: what its check showed, and the plan's digest.")
@format_option
@click.pass_context
def show(ctx: click.Context, name_or_run: str, changes: bool, output: str) -> None:
    """Show a playbook's parameters, or a run's result for each host."""
    if name_or_run.isascii() and name_or_run.isdigit():
        with open_platform(ctx) as platform:
            platform.plays.reconcile()
            if changes:
                show_changes(platform, int(name_or_run), output)
            else:
                show_run(platform, int(name_or_run), output)
        return
    playbook = find_playbook(name_or_run, settings_of(ctx).plays.folders)
    about = playbook.about
    if output == "table":
        click.echo(f"{playbook.name}: {about.title.en} | {about.title.ar}")
        click.echo(f"{about.purpose.en}\n{about.purpose.ar}")
        approval = "another engineer's approval" if about.approval == "needed" else "no approval"
        window = "in a change window" if about.window == "change" else "at any time but in a freeze"
        click.echo(
            f"Risk: {about.risk}; it needs {approval}. It runs on {', '.join(about.targets)}, {window}."
        )
        click.echo(f"Revision {playbook.revision[:16]} of {playbook.path}")
    rows = [
        (name, parameter.bounds, parameter.default, parameter.title.en, parameter.title.ar)
        for name, parameter in about.parameters.items()
    ]
    print_table("Parameters", ("name", "value", "default", "title", "title_ar"), rows, output)


@command.command(cls=PlaybookCommand)
@click.argument("name")
@click.option("--limit", metavar="NAMES", help="Hosts and groups, separated by commas; !name leaves one out.")
@click.option("--check", is_flag=True, help="Change nothing; say what would change.")
@click.option("--diff", is_flag=True, help="Show how files change.")
@click.option(
    "--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated."
)
@click.option(
    "--not-before", type=click.DateTime(["%Y-%m-%dT%H:%MZ"]), help="Begin at this moment (UTC) or later."
)
@click.option(
    "--emergency", metavar="REASON", help="Outside of windows and in a freeze; it then needs an approval."
)
@click.pass_context
def run(
    ctx: click.Context,
    name: str,
    limit: str | None,
    check: bool,
    diff: bool,
    parameters: tuple[str, ...],
    not_before: datetime | None,
    emergency: str | None,
    options: dict[str, Any],
) -> None:
    """Run a playbook and follow it; the exit code is 0 only if every host is well.

    Its parameters are options too: `rakeeza play run baseline --help` lists them. The exit code is 75 while a
    run awaits an approval or its time.
    """
    values = given_parameters(options, parameters)
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
                emergency=emergency,
                not_before=not_before.replace(tzinfo=UTC) if not_before else None,
                enqueue=workers > 0,
            )
        if workers:
            follow_run(platform, run_id, until_decision=True)
        else:
            click.echo(f"No worker is alive: this process performs run {run_id} itself.")
            perform_here(platform, run_id)
        ctx.exit(play_decisions.exit_code(show_run(platform, run_id, "table").state))


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
            follow_run(platform, run_id)
            return
        for event in stored(platform, run_id):
            print_event(event)
