"""What `foundation.jobs` is told a process can do, and what the worker of `foundation.job_worker` does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Handler = Callable[[dict[str, Any], int], object]


@dataclass(frozen=True)
class Registration:
    """What a process can do.

    Args:
        name: of the job, as "licence.document".
        handler: called with the payload and the number of the attempt (1 is the first), in a thread.
        queue: that it waits in.
        attempts: most times it is tried.
        backoff: seconds before the second attempt; doubled for each one after it, up to ten minutes.
    """

    name: str
    handler: Handler
    queue: str
    attempts: int
    backoff: float
