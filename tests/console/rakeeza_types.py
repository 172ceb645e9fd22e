"""What the fixture `rakeeza` is and gives."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Done:
    """What a call left behind."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> Any:
        """What it printed as JSON."""
        return json.loads(self.out)


Rakeeza = Callable[..., Done]
