"""Sending a question again at once, where that can help; the long retries are those of the calls' jobs.

What helps is decided by the kind of the failure: a connection that was refused or lost, a server that is just
being replaced, a first request that is still worked on. A back-end that was too slow is not asked again: it
has enough to do. Sending again is safe, since the key lets the back-end act once.
"""

import random
import time
from collections.abc import Callable

from integrations.backend import BackendUnavailable, Reply

HELPS = frozenset({"connect", "exchange", "network", "protocol", "in_progress", "too_early"})
"""Reasons after which the same question may be answered a moment later."""
PASSING = frozenset({502, 503, 504})
"""Statuses of a server that may be well a moment later."""
WHEN_TOLD = frozenset({"rate_limit", "server"})
"""Reasons after which it may be, where the back-end says when."""

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0


def repeated(
    ask: Callable[[], Reply],
    attempts: int,
    ends: float,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Reply:
    """Ask until there is a reply, or no use in asking again at once.

    Args:
        ask: asks once.
        attempts: at most.
        ends: by `monotonic`, when the time for the question is over.

    Raises:
        BackendUnavailable: as the last attempt did.
        BackendRejection: as `ask` does.
    """
    attempt = 1
    while True:
        try:
            return ask()
        except BackendUnavailable as error:
            wait = wait_after(error, attempt)
            if wait is None or attempt >= attempts or monotonic() + wait >= ends:
                raise
        sleep(wait)
        attempt += 1


def wait_after(error: BackendUnavailable, attempt: int) -> float | None:
    """Seconds until the same question is worth another attempt; None if it is not.

    Args:
        attempt: the number of the one that failed, from 1.
    """
    told = error.retry_after
    if not (
        error.reason in HELPS or error.status in PASSING or (told is not None and error.reason in WHEN_TOLD)
    ):
        return None
    # Questions that failed together must not come back together.
    backoff = min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0)
    return max(backoff, told or 0.0)
