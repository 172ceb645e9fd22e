"""Campaigns: long fault and soak runs, one file a case; `script/campaign [CASE]`.

A case is a module whose docstring begins with one line that says what it shows, and whose `run()` gives the
evidence, or raises `Failed`. What it gives is kept under docs/evidence/.
"""

from dataclasses import dataclass


class Failed(Exception):
    """What the campaign was to show did not hold."""


@dataclass(frozen=True)
class Evidence:
    """What a campaign observed.

    Args:
        story: what was done, in a few sentences.
        figures: name and value, in the order they are shown.
    """

    story: str
    figures: tuple[tuple[str, str], ...]
