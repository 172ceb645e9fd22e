"""List, show and check municipal services."""

import json
from pathlib import Path

import click

from console.cli.context import format_choice, format_option, print_table, settings_of
from foundation.definitions import Bilingual
from foundation.registry import Registry
from integrations.cases.money import amount_text
from integrations.service import Fee, Service, load_service, load_services


@click.group
def command() -> None:
    """Municipal services: what their definitions say."""


@command.command("list")
@format_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """List the services."""
    rows = [
        (service.code, service.version, service.title.en, service.title.ar, len(service.activities))
        for service in _services(ctx).items()
    ]
    print_table("Services", ("code", "version", "title", "title_ar", "activities"), rows, output)


@command.command()
@click.argument("code")
@format_choice("table", "json")
@click.pass_context
def show(ctx: click.Context, code: str, output: str) -> None:
    """Show a service: its form, its fees, its states and actions."""
    service = _services(ctx).get(code)
    if output == "json":
        click.echo(json.dumps(service.for_clients(), ensure_ascii=False, indent=2))
        return
    click.echo(
        f"{service.title.en} ({service.title.ar}), version {service.version}, {service.fingerprint[:12]}"
    )
    fields = [
        (field.name, field.label.en, field.label.ar, field.type, _marks(service, field.name))
        for field in service.form
    ]
    print_table("Form", ("field", "label", "label_ar", "type", "marks"), fields)
    activities = [
        (a.code, a.title.en, a.title.ar, "immediate" if a.immediate else "reviewed")
        for a in service.activities
    ]
    print_table("Activities", ("code", "title", "title_ar", "decided"), activities)
    print_table(
        "Fees, SAR by class of the municipality",
        ("fee", "unit", "from", "until", "1", "2", "3", "4", "5", "minimum", "VAT", "source"),
        [row for fee in service.fees for row in _rates(fee)],
    )
    actions = [
        (
            action.name,
            ", ".join(action.from_) or None,
            action.to,
            ", ".join(action.roles) or "automatic",
            action.effect,
            json.dumps(action.when.model_dump(mode="json", by_alias=True, exclude_none=True))
            if action.when
            else None,
        )
        for action in service.actions
    ]
    print_table("Actions", ("action", "from", "to", "taken by", "does", "when"), actions)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
def validate(file: Path) -> None:
    """Check a definition file: form, fees, and every way a case can take."""
    service = load_service(file)
    finals = ", ".join(name for name, state in service.states.items() if state.final)
    click.echo(
        f"{file}: {service.code} version {service.version} is sound: {len(service.states)} states, "
        f"{len(service.actions)} actions, every case ends in one of: {finals}."
    )


def _services(ctx: click.Context) -> Registry[Service]:
    return load_services(settings_of(ctx).licences.folders)


def _marks(service: Service, name: str) -> str:
    field = service.fields[name]
    marks = {
        "required": field.required,
        "personal": field.personal,
        "public": name in service.public,
    }
    return " ".join(mark for mark, holds in marks.items() if holds)


def _rates(fee: Fee) -> list[tuple[object, ...]]:
    title: Bilingual = fee.title
    unit = f"{fee.unit or 'licence'}{' x years' if fee.yearly else ''}"
    return [
        (
            title.en,
            unit,
            rate.effective_from,
            rate.effective_until,
            *(amount_text(rate.by_class[number]) for number in range(1, 6)),
            amount_text(rate.minimum),
            fee.vat,
            f"{rate.source}{' (sample)' if rate.sample else ''}",
        )
        for rate in fee.rates
    ]
