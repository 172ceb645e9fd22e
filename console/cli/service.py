"""List, show, check and draw municipal services."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import get_args

import click

from console.cli.context import caller, format_choice, format_option, open_platform, print_table, settings_of
from foundation.calendar import today
from foundation.errors import DefinitionError, InvalidInput, exit_code
from foundation.registry import Registry
from integrations.cases.money import amount_text
from integrations.fee_table import Fee, Rate
from integrations.flow import Action, State
from integrations.procedure import Procedure, Promise, Window
from integrations.service import Service, load_service, load_services
from integrations.service_graph import Format, draw, format_of, span_text

_MOVED = ("number", "from", "to", "refused")


@click.group
def command() -> None:
    """Municipal services: what their definitions say."""


@command.command("list")
@format_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """List the services."""
    rows = [
        (
            service.code,
            service.version,
            service.title.en,
            service.title.ar,
            len(service.procedures),
            len(service.activities),
        )
        for service in _services(ctx).items()
    ]
    columns = ("code", "version", "title", "title_ar", "procedures", "activities")
    print_table("Services", columns, rows, output)


@command.command()
@click.argument("code")
@format_choice("table", "json")
@click.pass_context
def show(ctx: click.Context, code: str, output: str) -> None:
    """Show a service: what can be asked, by whom, for how much, and how it runs."""
    service = _services(ctx).get(code)
    if output == "json":
        # Not at the top: only this form needs it.
        import json

        click.echo(json.dumps(service.for_clients(), ensure_ascii=False, indent=2))
        return
    click.echo(
        f"{service.title.en} ({service.title.ar}), version {service.version}, {service.fingerprint[:12]}"
    )
    if service.parent is not None:
        months = _counted(service.parent.remaining_months, "month")
        click.echo(f"Hangs on a licence of {service.parent.service} that has {months} left.")
    print_table(
        "Procedures",
        ("procedure", "title", "title_ar", "asked by", "at"),
        [_who(name, procedure) for name, procedure in service.procedures.items()],
    )
    print_table(
        "What they need",
        ("procedure", "on a licence", "promise", "documents", "fees"),
        [_needs(name, procedure) for name, procedure in service.procedures.items()],
    )
    print_table(
        "Form",
        ("field", "label", "label_ar", "type", "marks"),
        [(f.name, f.label.en, f.label.ar, f.type, _marks(service, f.name)) for f in service.form],
    )
    if service.activities:
        print_table(
            "Activities",
            ("code", "title", "title_ar", "decided"),
            [
                (a.code, a.title.en, a.title.ar, "immediate" if a.immediate else "reviewed")
                for a in service.activities
            ],
        )
    day = today()
    print_table(
        f"Fees on {day}",
        ("fee", "title", "unit", "when", "VAT", "source"),
        [_fee(fee, day) for fee in service.fees],
    )
    # Apart, so that no column of the two is as narrow as a letter.
    print_table(
        "Fees, SAR a unit by class of the municipality",
        ("fee", "1", "2", "3", "4", "5", "least"),
        [row for fee in service.fees for row in _amounts(fee, day)],
    )
    for name, flow in service.flows.items():
        print_table(
            f"Flow {name}: actions",
            ("action", "title", "from", "to", "taken by", "does", "when"),
            [_action(action) for action in flow.actions],
        )
        deadlines = [_deadline(code, state) for code, state in flow.states.items() if state.deadline]
        if deadlines:
            print_table(f"Flow {name}: deadlines", ("state", "title", "within", "then"), deadlines)


@command.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_context
def validate(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Check definition files: names, fees, and every way a case can take; all faults are printed."""
    code = 0
    for file in files:
        try:
            service = load_service(file)
        except DefinitionError as error:
            code = exit_code(error)
            if not error.fields:
                click.secho(f"rakeeza: {error}", fg="red", err=True)
            for field in error.fields:
                click.secho(
                    f"{file}:{field.line}: {field.pointer or '/'}: {field.detail}", fg="red", err=True
                )
        else:
            click.echo(_sound(file, service))
    ctx.exit(code)


@command.command()
@click.argument("code")
@click.option("--procedure", help="Which one; without it, the first that issues.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file ending in .svg, .png, .pdf or .dot; without it, SVG on standard output.",
)
@click.pass_context
def graph(ctx: click.Context, code: str, procedure: str | None, output: Path | None) -> None:
    """Draw the states of a procedure, and who leads from one to the next."""
    service = _services(ctx).get(code)
    kind: Format | None = "svg" if output is None else format_of(output)
    if kind is None:
        known = ", ".join(f".{each}" for each in get_args(Format))
        raise InvalidInput(
            "The ending of the file says no format that can be drawn.",
            place=str(output),
            remedy=f"Use one of: {known}.",
        )
    drawn = draw(service, procedure or service.default_procedure or "", kind)
    if output is None:
        click.echo(drawn.decode(), nl=False)
    else:
        output.write_bytes(drawn)


@command.command()
@click.argument("code")
@click.option("--from", "version", type=click.IntRange(1), required=True, help="Version that they run under.")
@click.option("--state", "states", multiple=True, metavar="OLD=NEW", help="A state's new name; repeatable.")
@click.option("--case", "number", help="Only the case of this number.")
@click.option("--apply", is_flag=True, help="Move them; without it, only what would become of them is told.")
@format_choice("table", "json")
@click.pass_context
def migrate(
    ctx: click.Context,
    code: str,
    version: int,
    states: tuple[str, ...],
    number: str | None,
    apply: bool,
    output: str,
) -> None:
    """Move open cases of the service CODE from an older version of its definition to today's.

    Each case is moved by itself; what cannot move is told and stays as it is.
    """
    with open_platform(ctx) as platform:
        report = platform.licensing.cases.migrate(caller(), code, version, _map(states), number, not apply)
    if output == "json":
        # Not at the top: only this form needs it.
        import json

        click.echo(json.dumps(report, ensure_ascii=False, indent=2))
    else:
        rows = [[case[name] for name in _MOVED] for case in report["cases"]]
        print_table(f"Open cases of {code}, version {version}", _MOVED, rows, output)
        verb = "moved" if apply else "would move"
        click.echo(
            f"{report['moved']} {verb} to version {report['to_version']}, {report['refused']} refused."
        )
    if report["refused"]:
        ctx.exit(1)


def _map(states: tuple[str, ...]) -> dict[str, str]:
    found = dict(each.partition("=")[::2] for each in states)
    if not all(found.values()):
        raise InvalidInput("A state has no new name.", place="--state", remedy="Write it as OLD=NEW.")
    return found


def _services(ctx: click.Context) -> Registry[Service]:
    return load_services(settings_of(ctx).licences.folders)


def _sound(file: Path, service: Service) -> str:
    states = [(name, state) for flow in service.flows.values() for name, state in flow.states.items()]
    finals = list(dict.fromkeys(name for name, state in states if state.final))
    actions = sum(len(flow.actions) for flow in service.flows.values())
    procedures = _counted(len(service.procedures), "procedure")
    return (
        f"{file}: {service.code} version {service.version} is sound: {procedures} in "
        f"{_counted(len(service.flows), 'flow')}, {_counted(len(states), 'state')}, "
        f"{_counted(actions, 'action')}, every case ends in {'one of: ' if len(finals) > 1 else ''}"
        f"{', '.join(finals)}."
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _marks(service: Service, name: str) -> str:
    field = service.fields[name]
    marks = {
        "required": field.required,
        "personal": field.personal,
        "public": name in service.public,
        "place": name == service.place,
    }
    return " ".join(mark for mark, holds in marks.items() if holds)


def _who(name: str, procedure: Procedure) -> tuple[object, ...]:
    return (
        name,
        procedure.title.en,
        procedure.title.ar,
        ", ".join(procedure.capacities) or "the office",
        ", ".join(procedure.channels),
    )


def _needs(name: str, procedure: Procedure) -> tuple[object, ...]:
    return (
        name,
        _window(procedure.on) if procedure.on else None,
        _promise(procedure.promise) if procedure.promise else None,
        ", ".join(procedure.documents) or None,
        ", ".join(procedure.fees) or "free",
    )


def _window(window: Window) -> str:
    parts = [" or ".join(window.statuses)]
    if window.from_days_before_end is not None:
        parts.append(f"from {_counted(window.from_days_before_end, 'day')} before its end")
    if window.until_days_after_end is not None:
        parts.append(f"until {_counted(window.until_days_after_end, 'day')} after its end")
    if window.within_days is not None:
        parts.append(f"within {_counted(window.within_days, 'day')}")
    if window.same_day:
        parts.append("on the day of its issue")
    return ", ".join(parts)


def _promise(promise: Promise) -> str:
    if promise.working_days is not None:
        return _counted(promise.working_days, "working day")
    assert promise.hours is not None
    return _counted(promise.hours, "hour")


def _fee(fee: Fee, day: date) -> tuple[object, ...]:
    rate = fee.rate_on(day)
    when = str(fee.when) if fee.when else None
    source = f"{rate.source}{' (sample)' if rate.sample else ''}" if rate else "not in effect"
    return fee.code, fee.title.en, _unit(fee), when, fee.vat, source


def _amounts(fee: Fee, day: date) -> list[tuple[object, ...]]:
    rate = fee.rate_on(day)
    if rate is None:
        return []
    return [
        (
            f"{fee.code}{bounds}",
            *(amount_text(prices[number]) for number in range(1, 6)),
            amount_text(rate.minimum),
        )
        for bounds, prices in _prices(rate)
    ]


def _prices(rate: Rate) -> list[tuple[str, dict[int, Decimal]]]:
    if rate.by_class is not None:
        return [("", dict(rate.by_class))]
    return [
        (f", up to {slab.up_to}" if slab.up_to is not None else ", above", dict(slab.by_class))
        for slab in rate.slabs
    ]


def _unit(fee: Fee) -> str:
    unit = " x ".join(fee.units) or ("row" if fee.each else "licence")
    each = f" of each of {fee.each}" if fee.each else ""
    zones = "".join(f" x {table.field if len(fee.tables) > 1 else 'zone'}" for table in fee.tables)
    return f"{unit}{each}{' x years' if fee.yearly else ''}{zones}"


def _action(action: Action) -> tuple[object, ...]:
    taker = {"automatic": "automatic", "timed": "the clock", "role": ", ".join(action.roles)}[action.taker]
    return (
        action.name,
        action.title.en,
        ", ".join(action.from_) or None,
        action.to,
        f"{taker}{', not who opened it' if action.four_eyes else ''}",
        action.effect or ", ".join(f"{name} {said}" for name, said in (action.answers or {}).items()) or None,
        str(action.when) if action.when else None,
    )


def _deadline(code: str, state: State) -> tuple[object, ...]:
    deadline = state.deadline
    assert deadline is not None
    then = deadline.then if deadline.then is not None else f"shown to {deadline.escalate}"
    return code, state.title.en, span_text(deadline).en, then
