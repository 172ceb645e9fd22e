"""Agree with private service centres, stop them at once, and see what they do."""

import json
import re
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from console import conformance
from console.centre_books import evidence, settle, statement, statements, transferred
from console.centre_people import clerk, device
from console.cli.context import caller, format_choice, format_option, open_platform, print_table
from integrations.cases.money import PATTERN, amount_text, half_up, plus

_DAY = click.DateTime(["%Y-%m-%d"])
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_COLUMNS = ("code", "title", "state", "since", "contract", "last day", "today", "this month")
_REASON = click.option("--reason", required=True, help="Why; it stands in the centre's journal.")
# Those of the list of revocations (RFC 5280, section 5.3.1).
_WHY_REVOKED = (
    "key-compromise",
    "superseded",
    "affiliation-changed",
    "cessation-of-operation",
    "privilege-withdrawn",
    "unspecified",
)
_AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Agree with private service centres, stop them at once, and see what they do."""


for _part in (conformance.command, clerk, device, settle, transferred, statements, statement, evidence):
    command.add_command(_part)


@command.command()
@click.argument("code")
@click.argument("contract", type=_FILE)
@click.option("--title-ar", required=True, help="What it is called in Arabic.")
@click.option("--title-en", required=True, help="What it is called in English.")
@click.option("--test", is_flag=True, help="A developer's: for test services alone, and for ever.")
@click.pass_context
def add(ctx: click.Context, code: str, contract: Path, title_ar: str, title_en: str, test: bool) -> None:
    """Keep a new centre with its contract, a YAML file; its code is the id of its API client."""
    from foundation.definitions import Bilingual
    from foundation.identity import ApiClient
    from integrations.centres.contract import load

    agreed = load(contract)
    with open_platform(ctx) as platform:

        def make_client(session: Any) -> None:
            # Whose key opens nothing: a centre proves itself by its certificate.
            if session.get(ApiClient, code) is None:
                platform.identity.add_client(session, code, ["centre"], title_en, actor=caller().actor)

        title = Bilingual(ar=title_ar, en=title_en)
        made = platform.licensing.centres.add(caller(), code, title, agreed, make_client, test)
    first, last = made["contracts"][0]["first_day"], made["contracts"][0]["last_day"]
    click.echo(f"{code}: contract {agreed.reference} from {first} to {last}.")
    click.echo(f"Now certify its key: rakeeza centre rotate-key {code} REQUEST.pem")


@command.command()
@click.argument("code")
@click.argument("contract", type=_FILE)
@click.option("--instead-of", help="Contract that ends with the day before this one begins.")
@click.pass_context
def agree(ctx: click.Context, code: str, contract: Path, instead_of: str | None) -> None:
    """Keep another contract of a centre; no two cover the same day."""
    from integrations.centres.contract import load

    agreed = load(contract)
    with open_platform(ctx) as platform:
        platform.licensing.centres.agree(caller(), code, agreed, instead_of)
    click.echo(f"{code}: contract {agreed.reference} from {agreed.first_day} to {agreed.last_day}.")


@command.command("list")
@format_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """List the centres with the contract that is in force, and what is used of its quotas."""
    with open_platform(ctx) as platform:
        found = platform.licensing.centres.list(caller())
    rows = []
    for each in found:
        contract = each["contract"] or {}
        used = contract.get("used", {})
        rows.append(
            (
                each["code"],
                each["title"]["en"],
                _state(each),
                each["state_since"],
                contract.get("reference"),
                contract.get("last_day"),
                _used(used.get("day")),
                _used(used.get("month")),
            )
        )
    print_table("Centres", _COLUMNS, rows, output)


@command.command()
@click.argument("code")
@_AS_JSON
@click.pass_context
def show(ctx: click.Context, code: str, as_json: bool) -> None:
    """Show a centre: its contracts, clerks, devices, certificates and open shifts."""
    with open_platform(ctx) as platform:
        shown = platform.licensing.centres.show(caller(), code)
    if as_json:
        click.echo(json.dumps(shown, ensure_ascii=False, indent=2))
        return
    why = f" ({shown['state_reason']})" if shown["state_reason"] else ""
    click.echo(f"{code}: {shown['title']['en']}, {_state(shown)} since {shown['state_since']}{why}")
    contracts = [
        (each["reference"], each["first_day"], each["last_day"], each["ended_at"], _services(each))
        for each in shown["contracts"]
    ]
    print_table("Contracts", ("reference", "first day", "last day", "ended", "services"), contracts)
    quotas = [
        (code, _used(each["day"]), _used(each["month"])) for code, each in shown["service_quotas"].items()
    ]
    if quotas:
        print_table("Quotas of services", ("service", "today", "this month"), quotas)
    clerks = [
        (each["id"], each["name"], each["branch"], each["active"], len(each["keys"]))
        for each in shown["clerks"]
    ]
    print_table("Clerks", ("id", "name", "branch", "active", "keys"), clerks)
    devices = [(each["code"], each["branch"], each["title"], each["active"]) for each in shown["devices"]]
    print_table("Devices", ("code", "branch", "title", "active"), devices)
    columns = ("serial", "state", "not after")
    print_table("Certificates", columns, [tuple(each.values()) for each in shown["certificates"]])
    shifts = [
        (each["id"], each["clerk"], each["device"], each["opened_at"], each["expected"])
        for each in shown["open_shifts"]
    ]
    print_table("Open shifts", ("id", "clerk", "device", "opened", "expected"), shifts)


@command.command()
@click.argument("code")
@_REASON
@click.pass_context
def suspend(ctx: click.Context, code: str, reason: str) -> None:
    """Stop a centre at once, on every process."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.suspend(caller(), code, reason)
    click.echo(f"{code} is suspended.")


@command.command()
@click.argument("code")
@_REASON
@click.pass_context
def resume(ctx: click.Context, code: str, reason: str) -> None:
    """Let a suspended centre act again."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.resume(caller(), code, reason)
    click.echo(f"{code} is active.")


@command.command()
@click.argument("code")
@_REASON
@click.confirmation_option(prompt="This cannot be undone. End it?")
@click.pass_context
def end(ctx: click.Context, code: str, reason: str) -> None:
    """End a centre for good, with its contracts and certificates."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.end(caller(), code, reason)
    click.echo(f"{code} is ended.")


@command.command("rotate-key")
@click.argument("code")
@click.argument("request", type=_FILE)
@click.option("--out", type=click.Path(path_type=Path), help="Write the certificate here, not to the screen.")
@click.option("--revoke-old", is_flag=True, help="Revoke its other certificates at once.")
@click.pass_context
def rotate_key(ctx: click.Context, code: str, request: Path, out: Path | None, revoke_old: bool) -> None:
    """Certify a new key of a centre, by its request (PKCS #10, PEM); the old one goes on until it ends."""
    csr = request.read_text(encoding="ascii", errors="replace")
    with open_platform(ctx) as platform:
        pem = platform.licensing.centres.certify(
            caller(), code, csr, platform.certificates, revoke_others=revoke_old
        )
    if out is None:
        click.echo(pem, nl=False)
    else:
        out.write_text(pem, encoding="ascii")
        click.echo(f"{out}: the certificate of {code}.")


@command.command("revoke-key")
@click.argument("code")
@click.argument("serial")
@click.option("--reason", required=True, type=click.Choice(_WHY_REVOKED), help="Why.")
@click.pass_context
def revoke_key(ctx: click.Context, code: str, serial: str, reason: str) -> None:
    """Let the certificate SERIAL of a centre count no more, at once; its key is never certified again."""
    with open_platform(ctx) as platform:
        platform.licensing.centres.revoke_certificate(caller(), code, serial, reason.replace("-", "_"))
    click.echo(f"{code}: the certificate {serial} counts no more.")


@command.command()
@click.argument("code")
@click.option("--from", "since", type=_DAY, help="First day; that of this month if not given.")
@click.option("--to", "until", type=_DAY, help="Last day, inclusive; today if not given.")
@_AS_JSON
@click.pass_context
def report(
    ctx: click.Context, code: str, since: datetime | None, until: datetime | None, as_json: bool
) -> None:
    """Tell what a centre did: applications, licences, refusals, its share, its quotas, its shifts."""
    with open_platform(ctx) as platform:
        today = platform.licensing.desk.today()
        last = until.date() if until else today
        first = since.date() if since else last.replace(day=1)
        told = platform.licensing.centres.report(caller(), first, last, code)
        told |= platform.licensing.settlements.overview(caller(), code)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    _print_report(told, first, last)


@command.command("close-shift")
@click.argument("code")
@click.argument("shift", type=click.IntRange(min=1))
@click.option("--counted", required=True, help='What was found in the drawer, SAR, as "300.00".')
@click.option("--note", default="", help="What explains a difference.")
@format_choice("text", "json")
@click.pass_context
def close_shift(ctx: click.Context, code: str, shift: int, counted: str, note: str, output: str) -> None:
    """Close a shift in a clerk's place."""
    found = _sum(counted)
    with open_platform(ctx) as platform:
        closed = platform.licensing.centres.close_for(caller(), code, shift, found, note)
    said = f"Shift {shift}: expected {closed['expected']}, counted {closed['counted']} SAR."
    click.echo(json.dumps(closed, ensure_ascii=False) if output == "json" else said)


def _sum(counted: str) -> Decimal:
    if not re.fullmatch(PATTERN, counted):
        raise click.BadParameter('write it as "300.00"', param_hint="--counted")
    return half_up(Decimal(counted))


def _print_report(told: dict[str, Any], first: date, last: date) -> None:
    click.echo(f"{told['centre']}, {first} to {last} (SAR)")
    counts = ("applications", "licences", "refused")
    money = ("share", "accrued", "taken_back")
    rows = [(each["service"], *(each[name] for name in (*counts, *money))) for each in told["services"]]
    rows.append(("all", *(told["total"][name] for name in (*counts, *money))))
    print_table("Services", ("service", *counts, "share", "accrued", "taken back"), rows)
    clerks = [(each["clerk"], *(each[name] for name in counts)) for each in told["clerks"]]
    print_table("Clerks", ("clerk", *counts), clerks)
    refusals = [(each["kind"], each["times"]) for each in told["refusals"]]
    print_table("Refused by a rule", ("rule", "times"), refusals)
    quotas = [(each["period"], each["contract"], _used(each)) for each in told["quotas"]]
    print_table("Quotas", ("period", "contract", "used"), quotas)
    shifts = told["shifts"]
    click.echo(
        f"Shifts: {shifts['opened']} opened, {shifts['closed']} closed, {shifts['differing']} of them with "
        f"another sum than expected; all differences together {shifts['difference']}."
    )
    waiting = plus(Decimal(each["total"]) for each in told["statements"] if each["state"] == "open")
    click.echo(
        f"Owed to it by the books today: {told['owed']}; of this {amount_text(waiting)} with its tax in "
        f"statements that wait for their transfer, {told['open']['net']} not settled yet."
    )


def _state(centre: dict[str, Any]) -> str:
    return f"{centre['state']} (test)" if centre["test"] else str(centre["state"])


def _used(each: dict[str, Any] | None) -> str | None:
    return f"{each['used']} of {each['quota'] or 'no limit'}" if each is not None else None


def _services(contract: dict[str, Any]) -> str:
    return " ".join(f"{each['service']}:{each['percent']}%+{each['fixed']}" for each in contract["services"])
