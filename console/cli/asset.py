"""Keep the inventory: what there is, where it stands, and what powers, cools and connects it."""

import json
from pathlib import Path
from typing import Any

import click
import yaml

from console.cli.context import actor, format_choice, format_option, not_written, open_platform, print_table
from foundation.asset import Asset, parse_asset
from foundation.asset_kinds import RELATIONS, Kind
from foundation.errors import InvalidInput

kind_type = click.Choice([str(kind) for kind in Kind])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Keep the inventory: what there is, where it stands, and what powers, cools and connects it."""


@command.command()
@click.argument("name")
@click.option("--kind", required=True, type=kind_type, help="What it is.")
@click.option("--title-ar", help="Its title in Arabic.")
@click.option("--title-en", help="Its title in English.")
@click.option("--parent", help="The asset it stands in or belongs to.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="An attribute; may be repeated.")
@click.option("--link", "links", multiple=True, metavar="RELATION:NAME", help="Such as powers:rack-1.")
@click.pass_context
def add(ctx: click.Context, /, name: str, kind: str, **given: Any) -> None:
    """Add the asset NAME."""
    asset = _changed({"name": name, "kind": kind}, given)
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        platform.assets.add(session, asset, actor=actor())
    click.echo(f"Added {name}.")


@command.command()
@click.argument("name")
@click.option("--kind", type=kind_type, help="What it is.")
@click.option("--title-ar", help="Its title in Arabic.")
@click.option("--title-en", help="Its title in English.")
@click.option("--parent", help="The asset it stands in or belongs to; empty for none.")
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="An attribute; may be repeated.")
@click.option("--unset", multiple=True, metavar="NAME", help="Take an attribute away.")
@click.option("--link", "links", multiple=True, metavar="RELATION:NAME", help="Such as powers:rack-1.")
@click.option("--unlink", multiple=True, metavar="RELATION:NAME", help="Take a link away.")
@click.pass_context
def edit(ctx: click.Context, /, name: str, **given: Any) -> None:
    """Change the asset NAME; what is not named stays."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        before = platform.assets.get(session, name)
        after = platform.assets.edit(
            session, _changed(before.plain(), given), actor=actor(), version=before.version
        )
    click.echo(f"{name} is unchanged." if after.version == before.version else f"Changed {name}.")


@command.command("import")
@click.argument("path", type=click.Path(path_type=Path))
@click.pass_context
def import_(ctx: click.Context, path: Path) -> None:
    """Bring the inventory to what a YAML or CSV file says; all of it or nothing.

    Assets that the file does not name stay as they are.
    """
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        done = platform.assets.import_file(session, path, actor=actor())
    click.echo(f"{len(done.added)} added, {len(done.changed)} changed, {len(done.unchanged)} unchanged.")


@command.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(["yaml", "csv"]),
    default="yaml",
    show_default=True,
    help="How to write.",
)
@click.option("--output", type=click.Path(path_type=Path), help="A file instead of standard output.")
@click.pass_context
def export(ctx: click.Context, form: str, output: Path | None) -> None:
    """Write the whole inventory as a file that `import` reads."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        written = platform.assets.export(session, form)
    if output is None:
        click.echo(written, nl=False)
        return
    try:
        # The mark tells spreadsheets that the file is UTF-8; without it Arabic opens as rubbish.
        output.write_text(written, encoding="utf-8-sig" if form == "csv" else "utf-8", newline="")
    except OSError as error:
        raise not_written(output, error) from error


@command.command("list")
@click.option("--kind", type=kind_type, help="Only of this kind.")
@click.option("--under", metavar="NAME", help="Only what stands in this asset, at any depth.")
@format_option
@click.pass_context
def list_(ctx: click.Context, kind: str | None, under: str | None, output: str) -> None:
    """List assets."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        assets = platform.assets.list(session, kind=kind, under=under)
    columns = ("name", "kind", "title_ar", "title_en", "parent", "address")
    rows = [(a.name, str(a.kind), a.title.ar, a.title.en, a.parent, a.address) for a in assets]
    print_table("Assets", columns, rows, output)


@command.command()
@click.argument("name")
@format_choice("yaml", "json")
@click.pass_context
def show(ctx: click.Context, name: str, output: str) -> None:
    """Show the asset NAME with all its attributes, and what stands in it."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        asset = platform.assets.get(session, name)
        inside = [a.name for a in platform.assets.list(session, under=name) if a.parent == name]
    whole = {**asset.plain(), "version": asset.version, "holds": inside}
    if output == "json":
        click.echo(json.dumps(whole, ensure_ascii=False, indent=2))
    else:
        click.echo(yaml.safe_dump(whole, allow_unicode=True, sort_keys=False), nl=False)


@command.command()
@click.argument("name")
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Remove the asset NAME; refused while something stands in it or hangs on it."""
    with open_platform(ctx) as platform, platform.database.transaction() as session:
        platform.assets.remove(session, name, actor=actor())
    click.echo(f"Removed {name}.")


def _changed(before: dict[str, Any], given: dict[str, Any]) -> Asset:
    after = {key: value for key, value in before.items() if key != "title"}
    titles = {**before.get("title", {})}
    titles |= {name: given[f"title_{name}"] for name in ("ar", "en") if given[f"title_{name}"] is not None}
    if titles:
        after["title"] = titles
    if given.get("kind"):
        after["kind"] = given["kind"]
    if given["parent"] is not None:
        after["parent"] = given["parent"] or None
    attributes = {**before.get("attributes", {}), **dict(_split(value, "=") for value in given["values"])}
    after["attributes"] = {
        key: value for key, value in attributes.items() if key not in given.get("unset", ())
    }
    links: dict[str, list[str]] = {
        relation: list(before.get("links", {}).get(relation, ())) for relation in RELATIONS
    }
    for relation, name in (_split(link, ":") for link in given["links"]):
        links.setdefault(relation, []).append(name)
    for relation, name in (_split(link, ":") for link in given.get("unlink", ())):
        if name not in links.get(relation, ()):
            raise InvalidInput(
                f"It does not have the link {relation}:{name}.", remedy="See: rakeeza asset show"
            )
        links[relation].remove(name)
    after["links"] = {relation: names for relation, names in links.items() if names}
    return parse_asset(after)


def _split(text: str, separator: str) -> tuple[str, str]:
    name, found, value = text.partition(separator)
    if not found or not name:
        raise InvalidInput(
            f"{text!r} is not of the form NAME{separator}VALUE.",
            remedy=f"Put a {separator!r} between the two.",
        )
    return name, value
