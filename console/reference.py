"""The reference pages under docs/, written from the code so that they cannot say anything else.

`script/docs` writes them; a test compares them with the code.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType

import click
from prometheus_client import Metric

from console.cli.main import cli
from foundation import errors, settings
from foundation.database import Database
from foundation.errors import RakeezaError
from foundation.settings import Backend, backend_options

PACKAGES = ("foundation", "infra", "monitoring", "integrations", "kiosks", "console")


def modules() -> Iterator[ModuleType]:
    """Every module of the product, imported; migrations are Alembic's to import."""
    for package in PACKAGES:
        root = importlib.import_module(package)
        yield root
        for found in pkgutil.walk_packages(root.__path__, f"{package}."):
            if ".migrations" not in found.name and not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def settings_page() -> str:
    """Every option with its environment name, default and meaning."""
    rows: dict[str, list[str]] = {}
    for option, variable, default, description in settings.options():
        section, _, name = option.partition(".")
        rows.setdefault(section, ["| option | default | meaning | environment |", "|---|---|---|---|"])
        rows[section].append(f"| `{name}` | {default} | {_cell(description)} | `{variable}` |")
    parts = [
        "# Settings",
        "One file holds them: the one that `--settings` or `RAKEEZA_SETTINGS` names, else `rakeeza.toml` in "
        "the current folder. An environment variable overrides the file. An unknown section, option or "
        "variable is refused with its place. Without a file, every option has the default below.",
        '```toml\n[http]\nport = 8443\n\n[platform]\nfolder = "/srv/rakeeza"\n```',
        "`rakeeza settings` prints the values in use. Passwords and communities of devices never stand in "
        "this file: `rakeeza secret set NAME` keeps them.",
    ]
    for section, lines in rows.items():
        about = _first(type(settings.Settings.model_fields[section].default))
        parts += [f"## [{section}]", about, "\n".join(lines)]
    backends = [f"| `{name}` | {default} | {_cell(about)} |" for name, default, about in backend_options()]
    parts += [
        "## [backends.NAME]",
        f"{_first(Backend)} One section for each; no option of theirs is taken from the environment.",
        "\n".join(["| option | default | meaning |", "|---|---|---|", *backends]),
    ]
    return _page(parts)


def errors_page() -> str:
    """The error tree, and what each error is on HTTP and on the command line."""
    lines = [
        "| error | meaning | HTTP | exit code | try again | title | العنوان |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in _tree(RakeezaError):
        # Without its own constructor, which may want what only a real failure has.
        sample = kind.__new__(kind)
        RakeezaError.__init__(sample, "")
        face, code = errors.problem(sample), errors.exit_code(sample)
        retry = "yes" if kind.retryable else "no"
        lines.append(
            f"| `{kind.__name__}` | {_cell(_first(kind))} | {face['status']} | {code} | {retry} "
            f"| {face['title']} | {face['title_ar']} |"
        )
    tree = (inspect.getdoc(errors) or "").partition("::\n\n")[2].partition("\n\n")[0]
    return _page(
        [
            "# Errors",
            "Every failure is one sentence with its place and its remedy. On the command line it is one line "
            "on standard error and an exit code; on HTTP it is a problem document (RFC 9457, "
            "`application/problem+json`) whose `type` is `urn:rakeeza:problem:` and the name of the error, "
            "or of the nearest one above it that has a title of its own.",
            f"```\n{inspect.cleandoc(tree)}\n```",
            "\n".join(lines),
            "Exit codes follow sysexits.h. Besides: 0 is success, 2 a wrong use of the command line, 130 an "
            "interruption by Ctrl-C. A job whose error says *try again* is tried again with growing delays; "
            "any other error ends it at once.",
        ]
    )


def commands_page() -> str:
    """Every command with its arguments and options."""
    parts = ["# Commands", "`rakeeza COMMAND --help` prints the same."]
    for path, command in _commands(cli, ()):
        context = click.Context(command, info_name=" ".join(("rakeeza", *path)))
        usage = " ".join([context.info_name or "", *command.collect_usage_pieces(context)])
        parts += [f"{'#' * min(len(path) + 1, 4)} {context.info_name}", inspect.cleandoc(command.help or "")]
        parts.append(f"```\n{usage}\n```")
        lines = [
            f"| {', '.join(f'`{name}`' for name in (*option.opts, *option.secondary_opts))} "
            f"| {_cell(option.help or '')} | {_code(_default(option))} |"
            for option in command.params
            if isinstance(option, click.Option)
        ]
        if lines:
            parts.append("\n".join(["| option | meaning | default |", "|---|---|---|", *lines]))
    return _page(parts)


def metrics_page() -> str:
    """Every metric: of the device models, of a poll, of the collector itself, of the API and its cases."""
    # Not at the top: the other pages need no part of monitoring.
    from console.web.metrics import PROCESS, Cases
    from integrations.cases.stays import StayCollector
    from integrations.centres.certificate_metrics import CertificateCollector
    from integrations.resilience.look_ups import BackendCollector
    from monitoring.catalogue import Catalogue
    from monitoring.exporter import Collector
    from monitoring.reading import Reading

    catalogue = Catalogue()
    parts = [
        "# Metrics",
        "Names end in their base unit. What a device does not know gives no sample. A label that comes from "
        "a device has the MIB's own name in small letters: ifDescr is `if_descr`.",
        "## Of devices",
    ]
    for model in catalogue.models():
        extends = f", and all of {', '.join(model.extends)}" if model.extends else ""
        parts.append(f"### {model.model}\n\n{model.title.en} ({model.title.ar}). {model.source}{extends}.")
        rows: list[tuple[str, str, str, str]] = [
            (item.metric, item.unit, item.type, f"{item.help}{_states(item.states)}")
            for item in model.every_metric()
        ]
        parts.append(_metric_table(rows))
    cost = Reading("", (), [], (), 0.0, 0.0, 0).cost()
    parts += ["## Of each reading", _metric_table([(f.name, f.unit, f.type, f.help) for f in cost])]
    collector = Collector(catalogue)
    parts += ["## Of the collector", _metric_table(_own(collector.registry.collect()))]
    collector.close()
    # Names are asked for without a database, which is never opened.
    nowhere = Database("postgresql://127.0.0.1:1/nowhere", role="reference")
    told = [
        *PROCESS.collect(),
        *Cases(StayCollector(nowhere)).describe(),
        *BackendCollector(nowhere, ()).describe(),
        *CertificateCollector(nowhere).describe(),
    ]
    nowhere.dispose()
    parts += ["## Of the API", _metric_table(_own(told))]
    return _page(parts)


def _own(families: Iterable[Metric]) -> list[tuple[str, str, str, str]]:
    return [
        (family.name + ("_total" if family.type == "counter" else ""), "", family.type, family.documentation)
        for family in families
        if family.name.startswith("rakeeza_")
    ]


def _metric_table(rows: list[tuple[str, str, str, str]]) -> str:
    lines = [f"| `{name}` | {unit} | {kind} | {_cell(about)} |" for name, unit, kind, about in rows]
    return "\n".join(["| metric | unit | type | meaning |", "|---|---|---|---|", *lines])


def _states(states: dict[int, str]) -> str:
    return f" {', '.join(f'{number} {name}' for number, name in states.items())}." if states else ""


PAGES: dict[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "errors.md": errors_page,
    "commands.md": commands_page,
    "metrics.md": metrics_page,
}


def commands() -> list[tuple[str, click.Command]]:
    """Every command by its full name, groups before what they hold."""
    return [(" ".join(("rakeeza", *path)), command) for path, command in _commands(cli, ())]


def _commands(
    command: click.Command, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, (*path, name))


def _default(option: click.Option) -> str:
    value = option.to_info_dict()["default"]
    return "" if option.is_flag or value is None or callable(value) else str(value)


def _tree(kind: type[RakeezaError]) -> Iterator[type[RakeezaError]]:
    yield kind
    # Those of the tree's own file in its order, then the parts' by place and name: the order in which modules
    # happened to be imported must not show.
    ours = [below for below in kind.__subclasses__() if below.__module__.partition(".")[0] in PACKAGES]
    own = [below for below in ours if below.__module__ == errors.__name__]
    others = [below for below in ours if below.__module__ != errors.__name__]
    for below in own + sorted(others, key=lambda item: (item.__module__, item.__name__)):
        yield from _tree(below)


def _first(documented: type) -> str:
    return (inspect.getdoc(documented) or "").partition("\n\n")[0].replace("\n", " ")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    return f"`{_cell(text)}`" if text else ""


def _page(parts: list[str]) -> str:
    written = "<!-- Written by script/docs from the code; change it there. -->"
    return "\n\n".join([parts[0], written, *filter(None, parts[1:])]) + "\n"


def main() -> None:
    """Write the pages into the folder named on the command line."""
    folder = Path(sys.argv[1])
    for _ in modules():
        pass
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
