"""What people decide of a run: approve, reject, cancel, retry."""

import click

from console.cli.context import actor, open_platform
from console.play_output import follow_run, perform_here, show_run
from foundation.events import newest
from infra.plays import decisions

EXIT_WAITS = 75
"""The exit code of a run that is not done yet, and not failed: it awaits an approval, or its time.

Source: sysexits.h (BSD), EX_TEMPFAIL."""

run_argument = click.argument("run_id", metavar="RUN", type=click.IntRange(min=1))


@click.command()
@run_argument
@click.option("--plan", required=True, metavar="DIGEST", help="Of what you looked at: 12 characters or more.")
@click.option("--comment", help="What you say to it; kept in the audit.")
@click.option("--follow", "live", is_flag=True, help="Follow the run to its end.")
@click.pass_context
def approve(ctx: click.Context, run_id: int, plan: str, comment: str | None, live: bool) -> None:
    """Approve exactly what a check showed; not your own."""
    with open_platform(ctx) as platform:
        with platform.database.transaction() as session:
            # What was told before is known to who approves.
            told = newest(session)
            run = platform.plays.approve(session, run_id, by=actor(), plan=plan, comment=comment)
            workers = platform.jobs.workers_alive(session)
            assert run.plan is not None
            click.echo(f"Run {run_id} of {run.playbook} is approved, plan {run.plan[:12]}.")
        if not workers:
            click.echo(f"No worker is alive: this process performs run {run_id} itself.")
            perform_here(platform, run_id, told)
        elif live:
            follow_run(platform, run_id, until_decision=True, after=told)
        if live or not workers:
            ctx.exit(exit_code(show_run(platform, run_id, "table").state))


@click.command()
@run_argument
@click.option("--reason", required=True, help="Why; whoever asked for it reads this.")
@click.pass_context
def reject(ctx: click.Context, run_id: int, reason: str) -> None:
    """Reject what a check showed; the run ends."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        run = decisions.reject(session, run_id, by=actor(), reason=reason)
        click.echo(f"Run {run_id} of {run.playbook} is rejected.")


@click.command()
@run_argument
@click.option("--reason", help="Why; kept in the audit.")
@click.pass_context
def cancel(ctx: click.Context, run_id: int, reason: str | None) -> None:
    """End a run, with Ansible and all it started."""
    with open_platform(ctx) as platform:
        with platform.database.transaction() as session:
            # How it ends is told, and not all that it did before.
            told = newest(session)
            performed = decisions.cancel(session, run_id, by=actor(), reason=reason).under_way
        if performed:
            follow_run(platform, run_id, after=told)
        show_run(platform, run_id, "table")


@click.command()
@run_argument
@click.option("--failed", is_flag=True, help="Only on the hosts that were not well.")
@click.pass_context
def retry(ctx: click.Context, run_id: int, failed: bool) -> None:
    """Ask for a run once more, with the same parameters."""
    with open_platform(ctx) as platform:
        platform.plays.reconcile()
        with platform.database.transaction() as session:
            workers = platform.jobs.workers_alive(session)
            again = platform.plays.retry(
                session, run_id, requested_by=actor(), failed=failed, enqueue=workers > 0
            )
        if workers:
            follow_run(platform, again, until_decision=True)
        else:
            perform_here(platform, again)
        ctx.exit(exit_code(show_run(platform, again, "table").state))


def exit_code(state: str) -> int:
    """0 only if every host is well; 75 if the run has yet to be done."""
    return {
        "successful": 0,
        "queued": EXIT_WAITS,
        "awaiting_approval": EXIT_WAITS,
        "approved": EXIT_WAITS,
    }.get(state, 1)
