"""One look at the database for all readers of an event loop that follow events.

A hub has one connection that listens, and one query at a time for all that is followed: what it finds is
kept a while for each selection of events, and its readers take it from there, each in its own time. Who
stands further back, because he comes late or reads slowly, reads pages until he has come up; a page that
several need is read once. Nothing is kept for a reader but where he stands.

What is known to be read whole is bounded by events that stand in the database, never by numbers of
transactions that have not written: a server that died may give those numbers out again.
"""

import asyncio
import bisect
import contextlib
import logging
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg

from foundation import events
from foundation.database import Database
from foundation.errors import Unavailable
from foundation.events import Place, StoredEvent

_log = logging.getLogger(__name__)

# Events read at once; those kept of each selection for readers that come up; pages kept for those behind.
_PAGE = 200
_KEPT = 400
_PAGES = 32
# Threads that read pages: with the hub's own thread this many connections of the pool at most.
_BEHIND = 2
# Seconds: between two looks when nothing wakes the hub; after a wake that found its event still held back;
# between two looks at most when much happens; between two questions whether to stop; before another attempt.
_POLL = 2.0
_SOON = 0.05
_GATHER = 0.01
_STOP_STEP = 0.25
_PAUSE = 0.5

# Subject, kind_prefix, and the place before the page.
_Key = tuple[str | None, str | None, Place]


@dataclass(frozen=True)
class _Page:
    """Events after a place, and the place up to which these are all."""

    events: Sequence[StoredEvent]
    end: Place
    full: bool


class _Selection:
    """What the readers of one subject and kind follow: the last events, and where these begin."""

    def __init__(self, subject: str | None, kind_prefix: str | None) -> None:
        self.subject = subject
        self.kind_prefix = kind_prefix
        self.readers = 0
        self.moved = asyncio.Event()
        # None until the hub has looked with this selection; every event after it and up to `end` is kept.
        self.start: Place | None = None
        self.end: Place = (0, 0)
        self._places: list[Place] = []
        self._events: list[StoredEvent] = []

    def begin(self, place: Place) -> None:
        self.start = self.end = place
        self._places, self._events = [], []

    def add(self, found: Sequence[StoredEvent], end: Place) -> None:
        self.end = end
        if not found:
            return
        self._places += [events.place(event.cursor) for event in found]
        self._events += found
        if (old := len(self._events) - _KEPT) > 0:
            self.start = self._places[old - 1]
            del self._places[:old], self._events[:old]
        self.tell()

    def tell(self) -> None:
        # Each waits on the event that stood here when he looked.
        moved, self.moved = self.moved, asyncio.Event()
        moved.set()

    def after(self, place: Place) -> Sequence[StoredEvent] | None:
        """The events after a place; None if they are not all kept."""
        if self.start is None or place < self.start:
            return None
        return self._events[bisect.bisect_right(self._places, place) :]

    def takes(self, event: StoredEvent) -> bool:
        return self.kind_prefix is None or event.kind.startswith(self.kind_prefix)


async def follow(
    database: Database,
    *,
    after: Place,
    subject: str | None,
    kind_prefix: str | None,
    stop: Callable[[], bool] | None,
) -> AsyncGenerator[StoredEvent, None]:
    """Every event after a place, and then those to come; survives a restart of PostgreSQL.

    All that follow in one event loop share one connection that listens and one query; it ends when the last
    of them leaves.

    Args:
        after: where the reader stands.
        subject: only of this subject.
        kind_prefix: only of kinds that begin so.
        stop: asked several times a second; None never stops.
    """
    hub = _hub(database)
    selection = hub.join(subject, kind_prefix)
    try:
        while stop is None or not stop():
            moved = selection.moved
            found = selection.after(after)
            if found is None:
                page = await hub.page(selection, after)
                # Never back: the last events may have been removed since.
                found, patience = page.events, _POLL
                came_up, after = page.end > after, max(after, page.end)
            else:
                came_up, patience = bool(found), None
                after = max(after, selection.end)
            for event in found:
                yield event
                if stop is not None and stop():
                    return
            if not came_up:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(patience if stop is None else _STOP_STEP):
                        await moved.wait()
    finally:
        hub.leave(selection)


_hubs: dict[tuple[asyncio.AbstractEventLoop, Database], "_Hub"] = {}


def _hub(database: Database) -> "_Hub":
    loop = asyncio.get_running_loop()
    # A loop that was closed with its readers in it told nobody.
    for key in [key for key in list(_hubs) if key[0].is_closed()]:
        _hubs.pop(key, None)
    hub = _hubs.get((loop, database))
    if hub is None or hub.ended:
        hub = _hubs[loop, database] = _Hub(loop, database)
    return hub


class _Hub:
    """Listens and looks for all readers of a database in one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, database: Database) -> None:
        self._loop = loop
        self._database = database
        self._selections: dict[tuple[str | None, str | None], _Selection] = {}
        self._pages: OrderedDict[_Key, asyncio.Task[_Page]] = OrderedDict()
        # Threads of its own: whoever is behind holds up neither the live end nor other work.
        self._live = ThreadPoolExecutor(1, "events-live")
        self._behind = ThreadPoolExecutor(_BEHIND, "events-behind")
        self._woken = asyncio.Event()
        self._answers = True
        self._tasks = [loop.create_task(self._listen()), loop.create_task(self._look())]

    @property
    def ended(self) -> bool:
        return any(task.done() for task in self._tasks)

    def join(self, subject: str | None, kind_prefix: str | None) -> _Selection:
        key = subject, kind_prefix
        selection = self._selections.get(key)
        if selection is None:
            selection = self._selections[key] = _Selection(subject, kind_prefix)
            self._woken.set()
        selection.readers += 1
        return selection

    def leave(self, selection: _Selection) -> None:
        selection.readers -= 1
        if selection.readers == 0:
            self._selections.pop((selection.subject, selection.kind_prefix), None)
        if not self._selections:
            self._end()

    def _end(self) -> None:
        if _hubs.get((self._loop, self._database)) is self:
            del _hubs[self._loop, self._database]
        if self._loop.is_closed():
            self._stop_reading(wait=False)
            return
        for task in (*self._tasks, *self._pages.values()):
            task.cancel()
        # The loop ends no sooner than its threads: a read that is under way gives its connection back.
        try:
            self._loop.run_in_executor(None, self._stop_reading)
        except RuntimeError:
            # It has ended its own threads, and ends now.
            self._stop_reading(wait=False)

    def _stop_reading(self, wait: bool = True) -> None:
        self._live.shutdown(wait=wait, cancel_futures=True)
        self._behind.shutdown(wait=wait, cancel_futures=True)

    async def page(self, selection: _Selection, after: Place) -> _Page:
        """What follows a place, read once for all that ask the same; waits while PostgreSQL is away."""
        key = selection.subject, selection.kind_prefix, after
        while True:
            reading = self._pages.get(key)
            if reading is None:
                reading = self._loop.create_task(self._read_page(*key))
                self._pages[key] = reading
                reading.add_done_callback(lambda done: self._keep(key, done))
            try:
                # Whoever leaves takes it from nobody else.
                page = await asyncio.shield(reading)
            except Unavailable as error:
                self._fails(error)
                await asyncio.sleep(_PAUSE)
            else:
                self._answers = True
                return page

    def _keep(self, key: _Key, reading: asyncio.Task[_Page]) -> None:
        # A full page stays what it is; one that reached the end is soon followed by more.
        if reading.cancelled() or reading.exception() is not None or not reading.result().full:
            self._pages.pop(key, None)
        while len(self._pages) > _PAGES and next(iter(self._pages.values())).done():
            self._pages.popitem(last=False)

    async def _read_page(self, subject: str | None, kind_prefix: str | None, after: Place) -> _Page:
        subjects = None if subject is None else [subject]
        return await self._loop.run_in_executor(self._behind, self._read, subjects, kind_prefix, after)

    def _read(self, subjects: Sequence[str] | None, kind_prefix: str | None, after: Place | None) -> _Page:
        with self._database.transaction() as session:
            # Before the events: what it names they reach in any case.
            newest = events.newest(session)
            last = events.place(newest)
            if after is None:
                return _Page([], last, False)
            one = subjects[0] if subjects is not None and len(subjects) == 1 else None
            several = None if one is not None else subjects
            found = events.read(
                session,
                after=events.cursor_at(after),
                subject=one,
                subjects=several,
                kind_prefix=kind_prefix,
                limit=_PAGE,
            )
        reached = events.place(found[-1].cursor) if found else after
        full = len(found) == _PAGE
        return _Page(found, reached if full else max(reached, last), full)

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._database.connection_info, autocommit=True
                ) as listener:
                    await listener.execute(f"LISTEN {events.CHANNEL}")
                    # What came while nobody listened.
                    self._woken.set()
                    async for notice in listener.notifies():
                        if self._follows(notice.payload):
                            self._woken.set()
            except psycopg.OperationalError as error:
                self._fails(error)
            except Exception:  # noqa: BLE001 -- logged with its trace, and tried again
                # Without it nobody is told in time; the readers go on by looking now and then.
                _log.exception("Listening for events failed")
            await asyncio.sleep(_PAUSE)

    def _follows(self, subject: str) -> bool:
        return any(selection.subject in (None, subject) for selection in self._selections.values())

    async def _look(self) -> None:
        place: Place | None = None
        wait = 0.0
        while True:
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._woken.wait()
                if self._woken.is_set():
                    wait = 0.0
                self._woken.clear()
                page = await self._look_once(place)
            except Unavailable as error:
                self._fails(error)
                await asyncio.sleep(_PAUSE)
            except Exception:  # noqa: BLE001 -- logged with its trace, and tried again
                # The readers stay; those that come read for themselves and are told what is wrong.
                _log.exception("Looking for events failed")
                await asyncio.sleep(_PAUSE)
            else:
                self._answers = True
                # What woke us may still be held back by an older transaction, whose end wakes nobody: look
                # again soon, then ever later.
                more = place is None or page.full
                place = page.end
                wait = 0.0 if more else min(_POLL, max(_SOON, wait * 2))
                if not more:
                    await asyncio.sleep(_GATHER)

    async def _look_once(self, place: Place | None) -> _Page:
        looking = list(self._selections.values())
        if place is not None:
            for selection in looking:
                # What was found before this look lacks what it asks for.
                if selection.start is None:
                    selection.begin(place)
                    selection.tell()
        subjects: set[str] | None = set()
        for selection in looking:
            if selection.subject is None:
                subjects = None
                break
            if subjects is not None:
                subjects.add(selection.subject)
        prefixes = {selection.kind_prefix for selection in looking}
        prefix = prefixes.pop() if len(prefixes) == 1 else None
        asked = None if subjects is None else sorted(subjects)
        page = await self._loop.run_in_executor(self._live, self._read, asked, prefix, place)
        if place is not None:
            self._hand_out(looking, page)
        return page

    @staticmethod
    def _hand_out(looking: Sequence[_Selection], page: _Page) -> None:
        by_subject: defaultdict[str | None, list[StoredEvent]] = defaultdict(list)
        for event in page.events:
            by_subject[event.subject].append(event)
            by_subject[None].append(event)
        for selection in looking:
            told = by_subject.get(selection.subject, [])
            selection.add([event for event in told if selection.takes(event)], page.end)

    def _fails(self, error: Exception) -> None:
        # Once for all readers, until it answers again.
        if self._answers:
            _log.warning("Events wait for PostgreSQL: %s", error)
        self._answers = False
