"""Freezes, change windows, and the hours in which changes may be made."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args
from zoneinfo import ZoneInfo

import click

from console.bilingual import print_bilingual
from console.cli.context import actor, format_option, open_platform, print_table, settings_of
from foundation.calendar import hijri, today
from foundation.definitions import Bilingual
from infra.changes.calendar import ChangeCalendar, Changing, load_change_calendars
from infra.changes.freezes import FreezeRow, Freezes
from infra.changes.verdict import Stretch, stretches
from infra.changes.words import read_day, read_moment, said

_RISKS = get_args(Changing)
_LISTED = ("id", "starts_at", "ends_at", "sites", "risks", "declared_by", "reason_en", "reason_ar")
_DAYS = ("gregorian", "hijri", "open", "why_en", "why_ar")
_DAY = timedelta(days=1)
_NO_WINDOW = Bilingual(ar="لا توجد نافذة", en="no window")


@click.group
def command() -> None:
    """Freezes, change windows, and the hours in which changes may be made."""


@command.command("list")
@click.option("--all", "whole", is_flag=True, help="Also what has ended.")
@format_option
@click.pass_context
def list_(ctx: click.Context, whole: bool, output: str) -> None:
    """List the freezes that were declared and have not ended, in the order they begin."""
    calendar = _calendar(ctx)
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        rows = Freezes(platform.assets).list(session, since=None if whole else datetime.now(UTC))
    if output == "table" and rows:
        columns = ("id", "holds", "of", "by", "reason_en", "reason_ar")
        lines = [_line(row, calendar.place) for row in rows]
        print_bilingual(Bilingual(ar="التجميد المعلن", en="Freezes"), columns, lines, folding=("of", "by"))
        return
    found = [
        (
            row.id,
            _plain(row.starts_at),
            row.ends_at and _plain(row.ends_at),
            _some(row.sites, output),
            _some(row.risks, output),
            row.declared_by,
            row.reason_en,
            row.reason_ar,
        )
        for row in rows
    ]
    print_table("Freezes", _LISTED, found, output)


@command.command()
@click.option("--reason-ar", required=True, help="Why, in Arabic; who waits reads it.")
@click.option("--reason-en", required=True, help="Why, in English.")
@click.option("--from", "start", metavar="MOMENT", help="Its beginning; now without it.")
@click.option(
    "--until", metavar="MOMENT", help="Its end; a day is frozen to its last moment. Without it, until ended."
)
@click.option(
    "--site", "sites", multiple=True, metavar="NAME", help="Where; may be repeated. Else everywhere."
)
@click.option(
    "--risk", "risks", multiple=True, type=click.Choice(_RISKS), help="Of which changes; all without it."
)
@click.pass_context
def add(
    ctx: click.Context,
    reason_ar: str,
    reason_en: str,
    start: str | None,
    until: str | None,
    sites: tuple[str, ...],
    risks: tuple[str, ...],
) -> None:
    """Declare a freeze; MOMENT is local, as 2026-11-22, 2026-11-22T09:30 or, Hijri, 1448-06-12T09:30."""
    place = _calendar(ctx).place
    begins = read_moment(start, place) if start else datetime.now(UTC).replace(microsecond=0)
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        row = Freezes(platform.assets).add(
            session,
            reason=Bilingual(ar=reason_ar, en=reason_en),
            actor=actor(),
            starts_at=begins,
            ends_at=read_moment(until, place, end=True) if until else None,
            sites=sites or None,
            risks=risks or _RISKS,
        )
    end = said(row.ends_at, place).en if row.ends_at else "it is ended"
    click.echo(f"Freeze {row.id} holds from {said(row.starts_at, place).en} until {end}.")


@command.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--at", metavar="MOMENT", help="Its end, local; now without it.")
@click.pass_context
def end(ctx: click.Context, number: int, at: str | None) -> None:
    """End the freeze NUMBER before its time, or set the end that it lacks."""
    place = _calendar(ctx).place
    moment = read_moment(at, place, end=True) if at else None
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        row = Freezes(platform.assets).end(session, number, actor=actor(), at=moment)
    if row.ends_at is not None and row.ends_at <= row.starts_at:
        click.echo(f"Freeze {number} had not begun, and never holds.")
    elif row.ends_at is not None:
        click.echo(f"Freeze {number} ends on {said(row.ends_at, place).en}.")


@command.command()
@click.option("--site", metavar="NAME", help="Where; without it, hours that are open everywhere.")
@click.option("--from", "first", metavar="DATE", help="First day, Gregorian or Hijri; today without it.")
@click.option("--days", type=click.IntRange(1, 400), default=14, show_default=True, help="Days shown.")
@click.option(
    "--risk", type=click.Choice(_RISKS), default="medium", show_default=True, help="Of the changes."
)
@click.option("--always", is_flag=True, help="For plays that need no window: only freezes count.")
@format_option
@click.pass_context
def show(
    ctx: click.Context,
    site: str | None,
    first: str | None,
    days: int,
    risk: Changing,
    always: bool,
    output: str,
) -> None:
    """Show for each day which hours are open for changes and why others are not."""
    calendar = _calendar(ctx)
    begin = read_day(first) if first else today(calendar.zone)
    # Refused before the database is opened, if the table does not hold these days.
    hijri(begin + (days - 1) * _DAY)
    since, until = calendar.midnight(begin), calendar.midnight(begin + days * _DAY)
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        freezes = Freezes(platform.assets)
        if site is not None:
            freezes.expect_site(session, site)
        found = stretches(
            calendar,
            freezes.holding(session, since),
            site=site,
            risk=risk,
            window="always" if always else "change",
            since=since,
            until=until,
        )
    rows = [_day(calendar, found, begin + number * _DAY) for number in range(days)]
    title = Bilingual(
        ar=f"{calendar.title.ar}: {site or 'جميع المواقع'}", en=f"{calendar.title.en}: {site or 'all sites'}"
    )
    if output == "table":
        print_bilingual(
            Bilingual(ar=title.ar, en=f"{title.en}, {risk} risk"),
            _DAYS,
            [
                (f"{day:%a} {row[0]}", row[1], "\n".join(row[2]) or "-", row[3], row[4])
                for day, row in ((begin + number * _DAY, row) for number, row in enumerate(rows))
            ],
        )
        return
    print_table(title.en, _DAYS, [[*row[:2], _some(row[2], output), *row[3:]] for row in rows], output)


def _day(calendar: ChangeCalendar, found: Sequence[Stretch], day: date) -> list[Any]:
    begins, ends = calendar.midnight(day), calendar.midnight(day + _DAY)
    parts = [
        (max(one.starts, begins), min(one.until, ends), one)
        for one in found
        if one.starts < ends and one.until > begins
    ]

    def hours(starts: datetime, until: datetime) -> str:
        last = "24:00" if until == ends else f"{until.astimezone(calendar.place):%H:%M}"
        return f"{starts.astimezone(calendar.place):%H:%M}-{last}"

    def joined(spans: Sequence[tuple[datetime, datetime]]) -> list[str]:
        merged: list[tuple[datetime, datetime]] = []
        for starts, until in spans:
            if merged and merged[-1][1] == starts:
                starts = merged.pop()[0]
            merged.append((starts, until))
        return [hours(*span) for span in merged]

    why: list[Bilingual] = []
    for freeze in dict.fromkeys(freeze for *_, one in parts for freeze in one.freezes):
        spans = joined([(starts, until) for starts, until, one in parts if freeze in one.freezes])
        when = "" if spans == ["00:00-24:00"] else f" {' '.join(spans)}"
        why.append(Bilingual(ar=f"{freeze.label.ar}{when}", en=f"{freeze.label.en}{when}"))
    if not why and not any(one.open for *_, one in parts):
        why.append(_NO_WINDOW)
    return [
        day.isoformat(),
        str(hijri(day)),
        joined([(starts, until) for starts, until, one in parts if one.open]),
        "; ".join(one.en for one in why) or None,
        "؛ ".join(one.ar for one in why) or None,
    ]


def _calendar(ctx: click.Context) -> ChangeCalendar:
    section = settings_of(ctx).changes
    return load_change_calendars(section.folders).get(section.calendar)


def _line(row: FreezeRow, place: ZoneInfo) -> tuple[str, ...]:
    def both(moment: datetime) -> str:
        local = moment.astimezone(place)
        return f"{local:%Y-%m-%d %H:%M}\n{hijri(local.date())}"

    held = f"{both(row.starts_at)}\n{both(row.ends_at) if row.ends_at else 'until ended'}"
    what = "\n".join([*(row.sites or ["all sites"]), *row.risks])
    return (str(row.id), held, what, row.declared_by, row.reason_en, row.reason_ar)


def _some(values: Sequence[str] | None, output: str) -> Any:
    # A list for programs that read JSON; for a line of a table, words.
    if output == "json" or values is None:
        return None if values is None else list(values)
    return " ".join(values)


def _plain(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
