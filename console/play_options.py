"""Parameters of a playbook as options of the command that runs it."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from console.cli.context import settings_of
from foundation.errors import DefinitionError, InvalidInput, RakeezaError
from infra.plays.definition import BooleanParameter, Parameter, Playbook, load_playbooks


class PlaybookCommand(click.Command):
    """A command whose first argument names a playbook; the playbook's parameters are options of it.

    `minimum_free` is `--minimum-free 500`; what is true or false is `--as-root` or `--no-as-root`. An option
    that the command has itself goes first; such a parameter, as any other, is given by `--param NAME=VALUE`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options, the playbook's among them; `--help` with a playbook's name lists these too.

        Raises:
            InvalidInput: an option that neither the command nor the playbook has.
        """
        own = self.params
        playbook = _named(ctx, own, args)
        options = dict(_options(playbook, own)) if playbook else {}
        # For this one call: the next may be for another playbook.
        self.params = [*own, *options.values()]
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise _unknown(ctx, error.option_name, playbook, options) from error
        finally:
            self.params = own
        given = {
            name: value
            for name, option in options.items()
            if (value := ctx.params.pop(str(option.name), None)) is not None
        }
        ctx.params["options"] = given
        return rest


def given_parameters(options: dict[str, Any], words: tuple[str, ...]) -> dict[str, Any]:
    """The parameters given as options and by `--param`.

    Raises:
        InvalidInput: a word that is not NAME=VALUE, or a parameter given twice with different values.
    """
    values = dict(options)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise InvalidInput(
                f"{word!r} is not NAME=VALUE.", place="--param", remedy="Write --param minimum_free=500"
            )
        if name in values and not _same(values[name], value):
            raise InvalidInput(
                f"{name} is given twice, as {values[name]} and as {value}.",
                place="--param",
                remedy="Give it once.",
            )
        values[name] = value
    return values


def _same(given: object, word: str) -> bool:
    return str(given).lower() == word.lower() if isinstance(given, bool) else given == word


def _named(ctx: click.Context, own: Sequence[click.Parameter], args: Sequence[str]) -> Playbook | None:
    words = list(_words(own, args))
    try:
        known = load_playbooks(settings_of(ctx).plays.folders) if words else {}
    except RakeezaError:
        # Said where the command looks for it, in the house's words.
        return None
    # The value of an option of the playbook may stand before its name.
    found = known.get(next((word for word in words if word in known), ""))
    return None if found is None or isinstance(found, DefinitionError) else found


def _words(own: Sequence[click.Parameter], args: Sequence[str]) -> Iterator[str]:
    # The words that are neither options nor values of the command's own options.
    with_value = {
        word
        for option in own
        if isinstance(option, click.Option) and not option.is_flag
        for word in option.opts
    }
    skipped = False
    for word in args:
        if not skipped and not word.startswith("-"):
            yield word
        skipped = not skipped and word in with_value


def _options(playbook: Playbook, own: Sequence[click.Parameter]) -> Iterator[tuple[str, click.Option]]:
    taken = {"-h", "--help"}.union(*(parameter.opts for parameter in own))
    for name, parameter in playbook.about.parameters.items():
        option = _option(name, parameter)
        words = {*option.opts, *option.secondary_opts}
        if not words & taken:
            taken |= words
            yield name, option


def _option(name: str, parameter: Parameter) -> click.Option:
    flag = name.replace("_", "-")
    default = "" if parameter.default is None else f"; {_shown(parameter.default)} if not given"
    words = f"{parameter.title.en} ({parameter.bounds}{default})"
    if isinstance(parameter, BooleanParameter):
        return click.Option([f"parameter_{name}", f"--{flag}/--no-{flag}"], default=None, help=words)
    # Text: the playbook's own words say what is wrong with a value.
    return click.Option([f"parameter_{name}", f"--{flag}"], metavar="VALUE", help=words)


def _shown(default: object) -> str:
    return str(default).lower() if isinstance(default, bool) else str(default) or "empty"


def _unknown(
    ctx: click.Context, word: str, playbook: Playbook | None, options: dict[str, click.Option]
) -> InvalidInput:
    if playbook is None:
        return InvalidInput(
            f"{word} is no option of {ctx.command_path}.", remedy=f"See: {ctx.command_path} --help"
        )
    names = ", ".join(option.opts[0] for option in options.values()) or "none"
    return InvalidInput(
        f"{word} is neither an option of {ctx.command_path} nor a parameter of {playbook.name}.",
        remedy=f"Its parameters: {names}. See: {ctx.command_path} {playbook.name} --help",
    )
