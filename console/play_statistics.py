"""`rakeeza play statistics`: how plays fared over time."""

import dataclasses
import json
from datetime import UTC, datetime
from typing import Any

import click

from console.cli.context import format_choice, open_platform, print_table, settings_of
from foundation.errors import NotFound
from infra.plays.definition import find_playbook
from infra.plays.records import UNDER_WAY
from infra.plays.statistics import Statistics, statistics

_ENDS = ("successful", "failed", "interrupted", "cancelled", "rejected")


@click.command("statistics")
@click.argument("name", required=False)
@click.option(
    "--days", default=30, show_default=True, type=click.IntRange(1, 3_650), help="How many days back."
)
@format_choice("table", "json")
@click.pass_context
def command(ctx: click.Context, name: str | None, days: int, output: str) -> None:
    """Show how plays fared: results, times, what fails most, approvals; runs with --check are not counted.

    NAME is a playbook; without it all are shown. Times are in seconds.
    """
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        found = statistics(session, now=datetime.now(UTC), days=days, playbook=name)
    if name is not None and not found.playbooks:
        # A mistyped name must not pass for a playbook that was never run.
        _known(ctx, name)
    if output == "json":
        click.echo(json.dumps(_document(found), ensure_ascii=False, indent=2))
        return
    _print(found, days)


def _known(ctx: click.Context, name: str) -> None:
    try:
        find_playbook(name, settings_of(ctx).plays.folders)
    except NotFound as error:
        raise NotFound(
            f"There is no playbook {name!r}, and no run of one.",
            remedy="List them with: rakeeza play list",
            message_ar="لا يوجد دليل تشغيل بهذا الاسم ولا تشغيل سابق له.",
        ) from error


def _print(found: Statistics, days: int) -> None:
    columns = ("playbook", *_ENDS, "under_way", "success_rate", "p50_s", "p95_s", "last_success")
    rows = [
        (
            each.playbook,
            *(each.runs.get(state, 0) for state in _ENDS),
            sum(each.runs.get(state, 0) for state in UNDER_WAY),
            _short(each.success_rate, 3),
            _short(each.p50_s),
            _short(each.p95_s),
            _moment(each.last_success),
        )
        for each in found.playbooks
    ]
    print_table(f"Plays of the last {days} days", columns, rows)
    for title, figures in (
        ("Hosts that are not well most often", found.hosts),
        ("Slowest tasks", found.tasks),
    ):
        _print_figures(title, figures)
    _print_figures("Approvals", (found.approvals,))


def _print_figures(title: str, figures: tuple[Any, ...]) -> None:
    columns = tuple(field.name for field in dataclasses.fields(figures[0])) if figures else ()
    rows = [tuple(_short(getattr(each, column)) for column in columns) for each in figures]
    print_table(title, columns, rows)


def _document(found: Statistics) -> dict[str, Any]:
    document = dataclasses.asdict(found)
    for each in document["playbooks"]:
        each["last_success"] = _moment(each["last_success"])
    return document


def _short(value: Any, digits: int = 1) -> Any:
    return round(value, digits) if isinstance(value, float) else value


def _moment(value: datetime | None) -> str | None:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value else None
