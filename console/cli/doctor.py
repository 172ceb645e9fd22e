"""Look at settings, keys, database, clock and components, and say what to do about what is wrong.

Exit code 0: nothing is wrong (advice may remain); 1: something is.
"""

import json
from dataclasses import asdict
from pathlib import Path

import click

from console.checks import Finding, State, examine

_MARKS = {State.GOOD: ("✓", "green"), State.ADVICE: ("!", "yellow"), State.WRONG: ("✗", "red")}


@click.command(help=__doc__)
@click.option("--format", "output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
@click.pass_context
def command(ctx: click.Context, output: str) -> None:
    named = ctx.find_root().obj
    findings: list[Finding] = []
    for finding in examine(named if isinstance(named, Path) else None):
        findings.append(finding)
        if output == "text":
            _print(finding)
    if output == "json":
        click.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2))
    if any(finding.state is State.WRONG for finding in findings):
        ctx.exit(1)


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    line = f"{click.style(mark, fg=colour)} {finding.check}: {finding.detail}"
    click.echo(f"{line} {finding.remedy}".rstrip())
