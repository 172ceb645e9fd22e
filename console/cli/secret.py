"""Keep the passwords, communities and keys that settings and assets name."""

import sys

import click

from console.cli.context import format_option, print_table, settings_of
from foundation.errors import InvalidInput
from foundation.secret import Secret


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Keep the passwords, communities and keys that settings and assets name."""


@command.command("set")
@click.argument("name")
@click.option("--stdin", is_flag=True, help="Read the value from standard input instead of asking.")
@click.pass_context
def set_(ctx: click.Context, name: str, stdin: bool) -> None:
    """Keep a secret under NAME, replacing an earlier one.

    The value is never an argument: other users of the machine can read those.
    """
    settings_of(ctx).secrets().set(name, read_secret("Value", stdin))
    click.echo(f"Kept the secret {name}.")


@command.command("list")
@format_option
@click.pass_context
def list_(ctx: click.Context, output: str) -> None:
    """List the names of the secrets; never their values."""
    print_table("Secrets", ("name",), [(name,) for name in settings_of(ctx).secrets().names()], output)


@command.command()
@click.argument("name")
@click.pass_context
def remove(ctx: click.Context, name: str) -> None:
    """Forget the secret NAME."""
    settings_of(ctx).secrets().remove(name)
    click.echo(f"Removed the secret {name}.")


def read_secret(prompt: str, stdin: bool) -> Secret:
    """A secret from standard input (one trailing newline is not part of it), or asked for twice.

    Raises:
        InvalidInput: it is empty or no text.
    """
    if stdin:
        try:
            value = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise InvalidInput(
                "The secret is not UTF-8 text.", remedy="Encode a binary key first."
            ) from error
    else:
        value = click.prompt(prompt, hide_input=True, confirmation_prompt=True)
    if not value:
        raise InvalidInput("The secret is empty.", remedy="Give a value.")
    return Secret(value)
