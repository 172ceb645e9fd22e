"""Tables whose last two columns are English and Arabic."""

import textwrap
from collections.abc import Sequence

import click

from foundation.definitions import Bilingual

# On a narrow terminal Arabic keeps so many letters a line, and English folds around it.
_ARABIC_LEAST, _ARABIC_MOST = 12, 40


def print_bilingual(
    title: Bilingual,
    columns: Sequence[str],
    rows: Sequence[Sequence[str | None]],
    folding: Sequence[str] = (),
) -> None:
    """Print a table for a terminal.

    Args:
        title: shown above it.
        columns: their names; the last two are English and Arabic.
        rows: one sequence a row; None is shown as "-".
        folding: columns that may be broken, as English is, where a terminal is narrow.
    """
    # Not at the top: rich takes 60 ms, which a command that prints no table need not pay.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column not in (*folding, columns[-2]))
    fixed = sum(
        max(len(line) for row in (columns, *rows) for line in (row[place] or "-").splitlines())
        for place in range(len(columns) - 2)
    )
    left = (console.width - fixed - 3 * len(columns) - 1) // 2
    width = max(_ARABIC_LEAST, min(_ARABIC_MOST, left))
    for row in rows:
        # Arabic is broken into lines here and not by the table: each line needs an isolate of its own.
        lines = textwrap.wrap(row[-1] or "", width)
        cells = [*(cell or "-" for cell in row[:-1]), "\n".join(map(isolated, lines)) or "-"]
        table.add_row(*map(Text, cells))
    # Not as the table's own title, which it would break in the middle of an isolate.
    click.echo(f"{title.en} | {isolated(title.ar)}")
    console.print(table)


def isolated(text: str) -> str:
    """Arabic for a terminal.

    Source: UAX 9. Without an isolate, a terminal that orders both directions draws the neighbours' digits and
    the lines of the table into it. Files for machines hold the bare text.
    """
    return f"\u2067{text}\u2069"
