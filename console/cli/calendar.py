"""Working days and hours, deadlines, and the closures that change them."""

import textwrap
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from console.cli.context import actor, format_option, open_platform, print_table
from foundation.calendar import format_date, hijri, today
from foundation.closures import ClosureRow, Closures
from foundation.definitions import Bilingual
from foundation.errors import InvalidInput
from foundation.working_time import DEFAULT, Closure, WorkingCalendar, WorkingTime, load_calendars

Callback = TypeVar("Callback", bound=Callable[..., Any])

_WEEKDAYS = {
    "ar": ("الاثنين", "الثلاثاء", "الأربعاء", "الخميس", "الجمعة", "السبت", "الأحد"),
    "en": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
}
_DAYS = ("gregorian", "hijri", "works", "hours", "title_en", "title_ar")
_CLOSURES = ("id", "starts_at", "ends_at", "place", "outage", "noted_by", "title_en", "title_ar")
# On a narrow terminal Arabic keeps so many letters a line, and English folds around it.
_ARABIC_LEAST, _ARABIC_MOST = 12, 40


def _calendar_options(callback: Callback) -> Callback:
    for option in (
        click.option("--place", metavar="PLACE", help="Also what is shut at this place alone."),
        click.option(
            "--folder",
            "folders",
            multiple=True,
            type=click.Path(path_type=Path),
            help="A further folder of calendars; may be repeated.",
        ),
        click.option("--calendar", "code", default=DEFAULT, show_default=True, help="Code of the calendar."),
    ):
        callback = option(callback)
    return callback


@click.group
def command() -> None:
    """Working days and hours, deadlines, and the closures that change them."""


@command.command()
@click.option("--from", "first", metavar="DATE", help="First day, as 2026-11-22; today without it.")
@click.option("--days", type=click.IntRange(1, 400), default=14, show_default=True, help="Days shown.")
@_calendar_options
@format_option
@click.pass_context
def show(
    ctx: click.Context,
    first: str | None,
    days: int,
    code: str,
    folders: tuple[Path, ...],
    place: str | None,
    output: str,
) -> None:
    """Show days: Hijri beside Gregorian, hours of work, holidays and closures in both languages."""
    calendar = load_calendars(folders).get(code)
    begin = _date(first) if first else today(calendar.zone)
    # Refused before the database is opened, if the table does not hold these days.
    hijri(begin)
    span = [begin + timedelta(days=number) for number in range(days)]
    hijri(span[-1])
    closures = _bearing(ctx, datetime.combine(begin, datetime.min.time(), calendar.place), place)
    reckoned = WorkingTime(calendar, closures)
    rows = [_day(calendar, reckoned, closures, day) for day in span]
    if output == "table":
        shown = [
            (_weekday(day), row[1], "yes" if row[2] else "no", "\n".join(row[3]) or "-", row[4], row[5])
            for day, row in zip(span, rows, strict=True)
        ]
        _print_bilingual(calendar.title, ("gregorian", *_DAYS[1:]), shown)
        return
    whole = [[*row[:3], row[3] if output == "json" else " ".join(row[3]), *row[4:]] for row in rows]
    print_table(calendar.title.en, _DAYS, whole, output)


@command.command()
@click.option("--from", "start", metavar="MOMENT", help="When it begins to run; now without it.")
@click.option("--working-days", type=click.IntRange(1), metavar="N", help="A deadline of N working days.")
@click.option("--hours", type=click.IntRange(0), metavar="N", help="A deadline of N clock hours.")
@_calendar_options
@click.pass_context
def deadline(
    ctx: click.Context,
    start: str | None,
    working_days: int | None,
    hours: int | None,
    code: str,
    folders: tuple[Path, ...],
    place: str | None,
) -> None:
    """When a deadline ends, by the calendar and the closures; MOMENT is local, as 2026-11-22T09:30."""
    if (working_days is None) == (hours is None):
        raise click.UsageError("Give either --working-days or --hours.")
    calendar = load_calendars(folders).get(code)
    begins = _moment(start, calendar) if start else datetime.now(UTC)
    reckoned = WorkingTime(calendar, _bearing(ctx, begins, place))
    if working_days is not None:
        ends = reckoned.after_working_days(begins, working_days)
    else:
        ends = reckoned.after_hours(begins, hours or 0)
    for name, moment in (("begins", begins), ("ends", ends)):
        english, arabic = _said(moment, calendar)
        click.echo(f"{name:<7} {english}\n{'':<7} {_isolated(arabic)}")
    click.echo(f"{'utc':<7} {_plain(ends)}")


@command.group
def closure() -> None:
    """When a place was shut beside its calendar, and outages of our own."""


@closure.command()
@click.option("--title-ar", required=True, help="Why, in Arabic.")
@click.option("--title-en", required=True, help="Why, in English.")
@click.option("--from", "start", metavar="MOMENT", help="Its beginning, local; now without it.")
@click.option("--until", metavar="MOMENT", help="Its end, local; without it, it holds until it is ended.")
@click.option("--outage", is_flag=True, help="An outage of ours: it prolongs clock hours, too.")
@click.option("--place", metavar="PLACE", help="Where; everywhere without it.")
@click.pass_context
def add(
    ctx: click.Context,
    title_ar: str,
    title_en: str,
    start: str | None,
    until: str | None,
    outage: bool,
    place: str | None,
) -> None:
    """Write a closure down; MOMENT is local, as 2026-11-22T09:30."""
    calendar = load_calendars().get(DEFAULT)
    begins = _moment(start, calendar) if start else datetime.now(UTC).replace(microsecond=0)
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        row = Closures().add(
            session,
            starts_at=begins,
            ends_at=_moment(until, calendar) if until else None,
            title=Bilingual(ar=title_ar, en=title_en),
            outage=outage,
            place=place,
            actor=actor(),
        )
    click.echo(f"Noted closure {row.id}.")


@closure.command()
@click.argument("number", type=click.IntRange(1))
@click.option("--at", metavar="MOMENT", help="When it ended, local; now without it.")
@click.pass_context
def end(ctx: click.Context, number: int, at: str | None) -> None:
    """Write down that the closure NUMBER has ended."""
    calendar = load_calendars().get(DEFAULT)
    moment = _moment(at, calendar) if at else datetime.now(UTC).replace(microsecond=0)
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        Closures().end(session, number, at=moment, actor=actor())
    click.echo(f"Closure {number} has ended.")


@closure.command()
@click.argument("number", type=click.IntRange(1))
@click.pass_context
def withdraw(ctx: click.Context, number: int) -> None:
    """Take back the closure NUMBER that never was, or was noted wrongly; deadlines are reckoned anew."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        Closures().withdraw(session, number, actor=actor())
    click.echo(f"Closure {number} is withdrawn.")


@closure.command("list")
@click.option("--open", "open_only", is_flag=True, help="Only what still holds.")
@format_option
@click.pass_context
def list_(ctx: click.Context, open_only: bool, output: str) -> None:
    """List closures in the order they began."""
    zone = load_calendars().get(DEFAULT)
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        rows = Closures().list(session, open_only=open_only)
    if output == "table" and rows:
        columns = ("id", "held", "place", "outage", "noted_by", "title_en", "title_ar")
        _print_bilingual(
            Bilingual(ar="الإغلاقات", en="Closures"), columns, [_closure_line(row, zone) for row in rows]
        )
        return
    whole = [
        (
            row.id,
            _plain(row.starts_at),
            row.ends_at and _plain(row.ends_at),
            row.place,
            row.outage,
            row.noted_by,
            row.title_en,
            row.title_ar,
        )
        for row in rows
    ]
    print_table("Closures", _CLOSURES, whole, output)


def _bearing(ctx: click.Context, since: datetime, place: str | None) -> tuple[Closure, ...]:
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        return Closures().bearing(session, since=since, place=place, now=datetime.now(UTC))


def _day(
    calendar: WorkingCalendar, reckoned: WorkingTime, closures: tuple[Closure, ...], day: date
) -> list[Any]:
    def clock(moment: datetime) -> str:
        return moment.astimezone(calendar.place).strftime("%H:%M")

    begins = datetime.combine(day, datetime.min.time(), calendar.place)
    shut = [one.title for one in closures if one.starts < begins + timedelta(days=1) and one.until > begins]
    titles = [*calendar.table.names.get(day.toordinal(), ()), *shut]
    return [
        day.isoformat(),
        str(hijri(day)),
        reckoned.is_working_day(day),
        [f"{clock(opens)}-{clock(closes)}" for opens, closes in reckoned.opening(day)],
        "; ".join(dict.fromkeys(title.en for title in titles)) or None,
        "؛ ".join(dict.fromkeys(title.ar for title in titles)) or None,
    ]


def _closure_line(row: ClosureRow, calendar: WorkingCalendar) -> tuple[str, ...]:
    def local(moment: datetime) -> str:
        return moment.astimezone(calendar.place).strftime("%Y-%m-%d %H:%M")

    held = f"{local(row.starts_at)}\n{local(row.ends_at) if row.ends_at else 'still'}"
    outage = "yes" if row.outage else "no"
    return (str(row.id), held, row.place or "-", outage, row.noted_by, row.title_en, row.title_ar)


def _weekday(day: date) -> str:
    return f"{_WEEKDAYS['en'][day.weekday()]} {day.isoformat()}"


def _said(moment: datetime, calendar: WorkingCalendar) -> tuple[str, str]:
    local = moment.astimezone(calendar.place)
    day = local.date()
    english = (
        f"{_WEEKDAYS['en'][day.weekday()]} {format_date(day, 'en', 'gregorian')}, {local:%H:%M} "
        f"({format_date(day, 'en', 'umm_al_qura')})"
    )
    arabic = (
        f"{_WEEKDAYS['ar'][day.weekday()]} {format_date(day, 'ar', 'umm_al_qura')} "
        f"الموافق {format_date(day, 'ar', 'gregorian')} الساعة {local:%H:%M}"
    )
    return english, arabic


def _print_bilingual(title: Bilingual, columns: Sequence[str], rows: Sequence[Sequence[str | None]]) -> None:
    # A table whose last two columns are English and Arabic. Arabic is broken into lines here and not by the
    # table: each line needs an isolate of its own.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(title=f"{title.en} | {_isolated(title.ar)}", title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in ("place", "noted_by", "title_en"))
    fixed = sum(
        max(len(line) for row in (columns, *rows) for line in (row[place] or "-").splitlines())
        for place in range(len(columns) - 2)
    )
    left = (console.width - fixed - 3 * len(columns) - 1) // 2
    width = max(_ARABIC_LEAST, min(_ARABIC_MOST, left))
    for row in rows:
        lines = textwrap.wrap(row[-1] or "", width)
        cells = [*(cell or "-" for cell in row[:-1]), "\n".join(map(_isolated, lines)) or "-"]
        table.add_row(*map(Text, cells))
    console.print(table)


def _isolated(text: str) -> str:
    # UAX 9: without it, a terminal that orders both directions draws the neighbours' digits and the lines of
    # the table into the Arabic. Files for machines hold the bare text.
    return f"\u2067{text}\u2069"


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no date.", remedy="Write it as 2026-11-22.") from error


def _moment(text: str, calendar: WorkingCalendar) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no moment.", remedy="Write it as 2026-11-22T09:30.") from error
    # What lies outside the Umm al-Qura table is a slip of the pen.
    hijri(moment.date())
    return moment if moment.tzinfo else moment.replace(tzinfo=calendar.place)


def _plain(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
