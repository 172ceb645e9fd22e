"""The worker of plays: performs runs from the queues of its sites until it is told to stop."""

import logging
import threading
from collections.abc import Callable, Sequence

from foundation.asset_kinds import Kind
from foundation.assets import Assets
from foundation.database import Database
from foundation.errors import Unavailable
from foundation.jobs import Jobs
from foundation.settings import Plays as PlaySettings
from infra.plays.queue import CENTRAL, queue_of

_log = logging.getLogger(__name__)

# Seconds between two looks for sites that are new.
_BETWEEN_LOOKS = 5.0
_STEP = 0.1


def work(
    database: Database, jobs: Jobs, assets: Assets, settings: PlaySettings, stop: Callable[[], bool]
) -> None:
    """Perform the runs of the sites in the settings, or of every site and of none.

    A site that is added meanwhile is served a few seconds later.

    Raises:
        Unavailable: the database stayed away, or the queue's worker ended by itself.
    """
    served: set[str] = set()
    failed: list[BaseException] = []
    threads: list[threading.Thread] = []

    def serve(queues: Sequence[str]) -> None:
        try:
            jobs.work(queues, settings.threads, lambda: stop() or bool(failed))
        except BaseException as error:  # noqa: BLE001 -- raised again by who waits for this thread
            failed.append(error)

    while not stop() and not failed:
        wanted = {queue_of(site) for site in settings.sites} or {CENTRAL, *_sites(database, assets)}
        if new := sorted(wanted - served):
            served |= wanted
            threads.append(threading.Thread(target=serve, args=(new,), name="plays", daemon=True))
            threads[-1].start()
        _wait(stop, failed)
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


def _sites(database: Database, assets: Assets) -> set[str]:
    try:
        with database.transaction() as session:
            return {queue_of(site.name) for site in assets.list(session, Kind.SITE)}
    except Unavailable as error:
        # What is served already goes on; the next look may find the new ones.
        _log.warning("New sites are not looked for: %s", error)
        return set()


def _wait(stop: Callable[[], bool], failed: list[BaseException]) -> None:
    quiet = threading.Event()
    for _ in range(int(_BETWEEN_LOOKS / _STEP)):
        if stop() or failed:
            return
        quiet.wait(_STEP)
