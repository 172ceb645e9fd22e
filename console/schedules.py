"""The commands of `rakeeza play schedule`."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from console.bilingual import isolated
from console.cli.context import actor, format_option, open_platform, print_table
from foundation.calendar import hijri
from foundation.errors import InvalidInput, NotFound
from infra.changes.freezes import Freezes
from infra.changes.recurring import FORMS
from infra.changes.verdict import Verdict, verdict_of
from infra.changes.words import said
from infra.plays.catalogue import sites_of
from infra.plays.records import PlayRun
from infra.plays.schedules import LATE_AFTER, PlaySchedule, Schedules

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from console.bootstrap import Platform

_LISTED = ("name", "playbook", "limit", "rule", "next_at", "enabled", "last_at", "last_run", "last_state")
_SHOWN = ("moment", "local", "hijri", "open", "opens_at")
_LENGTH = re.compile(r"([1-9]\d{0,5})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


@click.group
def schedule() -> None:
    """Plays that are run again and again, by the clock and both calendars."""


@schedule.command()
@click.argument("name")
@click.argument("playbook")
@click.option("--when", "rule", required=True, metavar="RULE", help=f"One like: {'; '.join(FORMS)}.")
@click.option("--limit", metavar="NAMES", help="Hosts and groups, separated by commas; !name leaves one out.")
@click.option(
    "--param", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated."
)
@click.option("--check", is_flag=True, help="Change nothing; say what would change.")
@click.option("--diff", is_flag=True, help="Show how files change.")
@click.option(
    "--late-after",
    metavar="LENGTH",
    default=f"{LATE_AFTER // timedelta(hours=1)}h",
    show_default=True,
    help="A run that could not begin in this time is missed, and told; as 30m, 2h, 1d.",
)
@click.pass_context
def add(
    ctx: click.Context,
    name: str,
    playbook: str,
    rule: str,
    limit: str | None,
    parameters: tuple[str, ...],
    check: bool,
    diff: bool,
    late_after: str,
) -> None:
    """Run PLAYBOOK in your name whenever RULE says; you cannot approve these runs yourself."""
    values = dict(map(_parameter, parameters))
    length = _length(late_after)
    with _opened(ctx) as (platform, schedules, session):
        row = schedules.add(
            session,
            name,
            playbook,
            rule=rule,
            created_by=actor(),
            limit=limit,
            parameters=values,
            check=check,
            diff=diff,
            late_after=length,
        )
        (waits,) = _verdicts(platform, session, row, schedules.upcoming(row, 1))
    _print_next(row, schedules.place, waits)


@schedule.command("list")
@format_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """List the schedules, by name."""
    with _opened(ctx) as (_, schedules, session):
        rows = [
            (
                row.name,
                row.playbook,
                row.target_limit,
                row.rule,
                _moment(row.next_at),
                row.enabled,
                _moment(row.last_at),
                row.last_run,
                _state(session, row),
            )
            for row in schedules.list(session)
        ]
    print_table("Schedules", _LISTED, rows, output)


@schedule.command()
@click.argument("name")
@click.option("--count", default=5, show_default=True, type=click.IntRange(1, 100), help="Moments shown.")
@format_option
@click.pass_context
def show(ctx: click.Context, name: str, count: int, output: str) -> None:
    """Show a schedule and its next moments, in both calendars."""
    with _opened(ctx) as (platform, schedules, session):
        row = schedules.get(session, name)
        state = _state(session, row)
        moments = schedules.upcoming(row, count)
        verdicts = _verdicts(platform, session, row, moments)
    place = schedules.place
    if output == "table":
        given = ", ".join(f"{key}={value}" for key, value in sorted(row.parameters.items()))
        how = [word for word, is_so in (("check", row.check_mode), ("diff", row.diff)) if is_so]
        click.echo(f"{row.name}: {row.playbook} on {row.target_limit or 'all'}, {row.rule}")
        if given or how:
            click.echo(f"With {', '.join([*([given] if given else []), *how])}.")
        click.echo(f"In the name of {row.created_by}; missed after {_written(row.late_after)}.")
        if row.last_at is not None:
            ran = f"run {row.last_run} is {state}" if row.last_run is not None else "no run"
            click.echo(f"Last on {said(row.last_at, place).en}: {ran}.")
        if not row.enabled:
            click.echo("It is paused.")
        elif not moments:
            click.echo("It has no moment to come.")
        for moment, found in zip(moments, verdicts, strict=True):
            both = said(moment, place)
            click.echo(f"  {both.en}\n  {isolated(both.ar)}")
            _print_waiting(found, "    ")
        return
    lines = []
    for moment, found in zip(moments, verdicts, strict=True):
        local = moment.astimezone(place)
        waits = (found.open, _moment(found.opens_at)) if found else (None, None)
        lines.append((_moment(moment), f"{local:%Y-%m-%d %H:%M}", str(hijri(local.date())), *waits))
    print_table(row.name, _SHOWN, lines, output)


@schedule.command()
@click.argument("name")
@click.pass_context
def pause(ctx: click.Context, name: str) -> None:
    """Let a schedule rest; what comes meanwhile is not caught up."""
    with _opened(ctx) as (_, schedules, session):
        schedules.pause(session, name, actor=actor())
    click.echo(f"The schedule {name} is paused.")


@schedule.command()
@click.argument("name")
@click.pass_context
def resume(ctx: click.Context, name: str) -> None:
    """Let a paused schedule go on."""
    with _opened(ctx) as (platform, schedules, session):
        row = schedules.resume(session, name, actor=actor())
        (waits,) = _verdicts(platform, session, row, schedules.upcoming(row, 1))
    _print_next(row, schedules.place, waits)


@schedule.command()
@click.argument("name")
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Forget a schedule; its runs stay."""
    with _opened(ctx) as (_, schedules, session):
        schedules.remove(session, name, actor=actor())
    click.echo(f"The schedule {name} is removed.")


@contextmanager
def _opened(ctx: click.Context) -> "Iterator[tuple[Platform, Schedules, Session]]":
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        place = platform.plays.calendar.place
        yield platform, Schedules(platform.database, platform.plays, place), session


def _parameter(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals or not name:
        raise InvalidInput(
            f"{word!r} is not NAME=VALUE.", place="--param", remedy="Write --param minimum_free=500"
        )
    return name, value


def _length(text: str) -> timedelta:
    match = _LENGTH.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text!r} is no length.", place="--late-after", remedy="Write 30m, 2h or 1d.")
    return int(match[1]) * _UNITS[match[2]]


def _written(length: timedelta) -> str:
    for unit in ("d", "h"):
        if not length % _UNITS[unit]:
            return f"{length // _UNITS[unit]}{unit}"
    return f"{length // _UNITS['m']}m"


def _state(session: "Session", row: PlaySchedule) -> str | None:
    run = session.get(PlayRun, row.last_run) if row.last_run is not None else None
    return run.state if run else None


def _verdicts(
    platform: "Platform", session: "Session", row: PlaySchedule, moments: Sequence[datetime]
) -> list[Verdict | None]:
    # Whether its hosts' windows are open at these moments; None if what is to be run is not known any more.
    plays = platform.plays
    try:
        playbook = plays.playbook(row.playbook)
        inventory = plays.inventory(session, playbook)
        sites = sites_of(inventory, inventory.limited(row.target_limit))
    except (InvalidInput, NotFound):
        return [None] * len(moments)
    if row.check_mode:
        # It changes nothing, and waits for no window.
        return [Verdict(True)] * len(moments)
    freezes = Freezes(platform.assets).holding(session, datetime.now(UTC))
    about = playbook.about
    return [
        verdict_of(plays.calendar, freezes, sites=sites, risk=about.risk, window=about.window, moment=moment)
        for moment in moments
    ]


def _print_next(row: PlaySchedule, place: ZoneInfo, waits: Verdict | None) -> None:
    if row.next_at is not None:
        both = said(row.next_at, place)
        click.echo(f"{row.name} runs next on {both.en}.\n{isolated(both.ar)}")
        _print_waiting(waits, "")


def _print_waiting(found: Verdict | None, indent: str) -> None:
    if found is not None and not found.open:
        click.echo(f"{indent}It will wait then. {found.reason}\n{indent}{isolated(found.reason_ar or '')}")


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
