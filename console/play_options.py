"""Parameters of a playbook as options of the command that runs it."""

from typing import Any

import click

from console.cli.context import settings_of
from foundation.errors import InvalidInput, RakeezaError
from infra.plays.definition import BooleanParameter, Parameter, find_playbook


class PlaybookCommand(click.Command):
    """A command whose first argument names a playbook; the playbook's parameters are options of it.

    `minimum_free` is `--minimum-free 500`; what is true or false is `--as-root` or `--no-as-root`. An option
    that the command has itself goes first; such a parameter, as any other, is given by `--param NAME=VALUE`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options, the playbook's among them; `--help` after a playbook's name lists these too."""
        own = {option for parameter in self.params for option in parameter.opts}
        options = {
            name: option
            for name, option in _options(ctx, args).items()
            if not own & {*option.opts, *option.secondary_opts}
        }
        parameters = self.params
        # For this one call: the next may be for another playbook.
        self.params = [*parameters, *options.values()]
        try:
            rest = super().parse_args(ctx, args)
        finally:
            self.params = parameters
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
        if name in values and str(values[name]).lower() != value.lower():
            raise InvalidInput(f"{name} is given twice.", place="--param", remedy="Give it once.")
        values[name] = value
    return values


def _options(ctx: click.Context, args: list[str]) -> dict[str, click.Option]:
    name = next((word for word in args if not word.startswith("-")), None)
    if name is None:
        return {}
    try:
        about = find_playbook(name, settings_of(ctx).plays.folders).about
    except RakeezaError:
        # Said where the command looks for it, in the house's words.
        return {}
    return {key: _option(key, parameter) for key, parameter in about.parameters.items()}


def _option(name: str, parameter: Parameter) -> click.Option:
    flag = name.replace("_", "-")
    default = "" if parameter.default is None else f"; {parameter.default} if not given"
    words = f"{parameter.title.en} ({parameter.bounds}{default})"
    if isinstance(parameter, BooleanParameter):
        return click.Option([f"parameter_{name}", f"--{flag}/--no-{flag}"], default=None, help=words)
    # Text: the playbook's own words say what is wrong with a value.
    return click.Option([f"parameter_{name}", f"--{flag}"], metavar="VALUE", help=words)
