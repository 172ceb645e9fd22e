"""Runs one playbook on many hosts in slices: each with its own process of Ansible, and one stream of events.

Ansible's memory and its loop grow with the hosts of a process, and a process that is killed loses all of
them. A playbook says in its `about` whether it may be sliced: `serial`, `run_once` and what hosts know of one
another end at the border of a slice.
"""

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foundation.errors import RakeezaError, Unavailable
from infra.plays.runner import Order, run

# Batches that slices may be ahead of their reader; then their Ansible waits, as it does without slices.
_AHEAD = 100
# From the best end to the worst.
_WORST = ("successful", "failed", "canceled")
_STATS = ("ok", "changed", "failures", "dark", "skipped", "rescued", "ignored", "processed")

_Batch = list[dict[str, Any]]


def run_sliced(
    folder: Path, order: Order, hosts: Sequence[str], cancelled: Callable[[], bool] = lambda: False
) -> Generator[_Batch, None, None]:
    """Run a playbook in slices of `order.slice_hosts` hosts; see `runner.run`.

    Without `slice_hosts`, or if one slice holds all, this is `runner.run`. Otherwise each slice has its own
    folder, `slice-1` and so on; at most as many run at a time as this machine has cores, in the order of the
    hosts' names. The events come as they happen; the statistics are united into one event before `end`.

    Args:
        folder: the run's own folder, made here.
        order: what to run.
        hosts: the hosts that it is for, by name.
        cancelled: asked at every step; True ends every slice, and begins no further one.

    Raises:
        InvalidInput: as `runner.run`.
        Unavailable: the process of a slice was killed, or its folder cannot be written. It is raised after
            the other slices have come to their end and told everything.
    """
    parts = _parts(hosts, order.slice_hosts)
    if len(parts) <= 1:
        yield from run(folder, order, cancelled)
        return
    slices = [
        _Slice(folder / f"slice-{number}", replace(order, limit=",".join(part), slice_hosts=None))
        for number, part in enumerate(parts, 1)
    ]
    yield from _Slices(slices, cancelled).events()


def _parts(hosts: Sequence[str], size: int | None) -> list[list[str]]:
    # Sorted: a host is in the same slice when the check of a run is done again.
    names = sorted(set(hosts))
    return [names[at : at + size] for at in range(0, len(names), size)] if size else [names]


class _Slice:
    """One slice, and how it ended."""

    def __init__(self, folder: Path, order: Order) -> None:
        self.folder = folder
        self.order = order
        self.end: dict[str, Any] | None = None
        self.error: Exception | None = None


class _Slices:
    """The slices of one run, performed by a few threads."""

    def __init__(self, slices: list[_Slice], cancelled: Callable[[], bool]) -> None:
        self._slices = slices
        self._cancelled = cancelled
        self._left = iter(slices)
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._batches = queue.Queue[_Batch | None](_AHEAD)
        self._stats: dict[str, dict[str, int]] = {name: {} for name in _STATS}

    def events(self) -> Generator[_Batch, None, None]:
        """Yield what the slices tell, and then one end; see `run_sliced`."""
        count = min(len(self._slices), os.cpu_count() or 1)
        threads = [threading.Thread(target=self._perform, daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            while count:
                # Asked here, by the thread of the caller, who may hold a database session.
                if not self._ending.is_set() and self._cancelled():
                    self._ending.set()
                try:
                    batch = self._batches.get(timeout=0.1)
                except queue.Empty:
                    yield []
                    continue
                if batch is None:
                    count -= 1
                else:
                    yield [event for event in batch if not self._taken(event)]
        finally:
            self._ending.set()
            for thread in threads:
                while thread.is_alive():
                    # A thread that waits to be heard must see the end.
                    with contextlib.suppress(queue.Empty):
                        self._batches.get(timeout=0.05)
        yield from self._united()

    def _perform(self) -> None:
        while (part := self._next()) is not None:
            try:
                # Empty ones only say that nothing happened yet: that is said for all of them together.
                for batch in run(part.folder, part.order, self._ending.is_set):
                    if batch and batch[-1]["event"] == "end":
                        part.end = batch.pop()
                    if batch:
                        self._batches.put(batch)
            except Exception as error:  # noqa: BLE001 -- raised again when the others have ended
                part.error = error
        self._batches.put(None)

    def _next(self) -> _Slice | None:
        with self._lock:
            return None if self._ending.is_set() else next(self._left, None)

    def _taken(self, event: dict[str, Any]) -> bool:
        if event["event"] != "playbook_on_stats":
            return False
        for name, counts in event["stats"].items():
            self._stats[name].update(counts)
        return True

    def _united(self) -> Iterator[_Batch]:
        ended = [part.end for part in self._slices if part.end is not None]
        if self._stats["processed"]:
            yield [{"event": "playbook_on_stats", "stats": self._stats}]
        faulty = [part for part in self._slices if part.error is not None]
        if len(faulty) == 1 or any(not isinstance(part.error, Unavailable) for part in faulty):
            raise _first(faulty)
        if faulty:
            raise Unavailable(
                " ".join(part.error.message for part in faulty if isinstance(part.error, RakeezaError)),
                place=", ".join(str(part.folder) for part in faulty),
                remedy="See what was applied, and run it again.",
            )
        status = max((end["status"] for end in ended), key=_WORST.index, default="canceled")
        if len(ended) < len(self._slices):
            status = "canceled"
        codes = [end["code"] for end in ended if end["code"] is not None]
        code = max(codes, key=abs, default=None) if status != "canceled" else None
        yield [{"event": "end", "status": status, "code": code}]


def _first(faulty: list[_Slice]) -> Exception:
    errors = [part.error for part in faulty if part.error is not None]
    return next((error for error in errors if not isinstance(error, Unavailable)), errors[0])
