"""The command `rakeeza`: one file of this folder is one command.

A command's file is imported only when the command is called, and its help line is the first line of its
docstring, read without importing it: `rakeeza --help` stays quick however many parts there are.
"""

import ast
import importlib
import os
import signal
import sys
import tempfile
import traceback
from pathlib import Path

import click

from foundation.errors import RakeezaError, exit_code

_FOLDER = Path(__file__).parent
_NOT_COMMANDS = {"__init__", "main", "context"}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        return sorted(path.stem for path in _FOLDER.glob("*.py") if path.stem not in _NOT_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        command = importlib.import_module(f"console.cli.{name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, _first_line(name)) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _first_line(name: str) -> str:
    tree = ast.parse((_FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        # Not at the top: reading distribution metadata costs 20 ms that only this option needs.
        from importlib.metadata import version

        click.echo(f"rakeeza {version('rakeeza')}")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--settings", type=click.Path(path_type=Path), help="Settings file instead of ./rakeeza.toml.")
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version and end.",
)
@click.pass_context
def cli(ctx: click.Context, settings: Path | None) -> None:
    """Rakeeza: run a municipality's infrastructure and its service centres."""
    ctx.obj = settings


def main() -> None:
    """Run the command line; a failure is one sentence on standard error and an exit code."""
    try:
        # Without click's own error printing, so that every error ends in the one style below. A command that
        # calls ctx.exit(code) comes back as that code.
        result = cli.main(prog_name="rakeeza", standalone_mode=False)
        sys.exit(result if isinstance(result, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except RakeezaError as error:
        click.secho(f"rakeeza: {error}", fg="red", err=True)
        for field in error.fields[1:]:
            where = f"line {field.line}: " if field.line else ""
            click.echo(f"  {where}{field.pointer}: {field.detail}", err=True)
        sys.exit(exit_code(error))
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nrakeeza: interrupted.", err=True)
        sys.exit(128 + signal.SIGINT)
    except BrokenPipeError:
        # The reader of our output (`head`, a closed pager) has seen enough.
        sys.stderr.close()
        sys.exit(128 + signal.SIGPIPE)
    except OSError as error:
        # What the system refused: a folder that is closed, a disk that is full.
        place = f"{error.filename}: " if error.filename else ""
        click.secho(f"rakeeza: {place}{error.strerror or error}.", fg="red", err=True)
        sys.exit(os.EX_IOERR)
    except Exception as error:  # noqa: BLE001 -- nothing stands behind this one
        # A fault of ours: its reader gets one sentence, who mends it gets the trace.
        kind = type(error).__name__
        said = f"rakeeza: this is a fault of the program ({kind}), not yours. Report it with {_keep_trace()}"
        click.secho(said, fg="red", err=True)
        sys.exit(os.EX_SOFTWARE)


def _keep_trace() -> str:
    with tempfile.NamedTemporaryFile("w", prefix="rakeeza-fault-", suffix=".txt", delete=False) as file:
        traceback.print_exc(file=file)
        return file.name
