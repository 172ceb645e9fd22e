"""The folders of runs: how long they are kept, and whether there is room for another.

A folder goes in three steps: under the lock of its run's record, by which no run can begin, it is written
down as removed and gets another name; then it is deleted. Who is killed between leaves a name that says what
to finish. Nothing is reached but by the descriptor of the folder above, so that no link leads out of it.
"""

import contextlib
import fcntl
import logging
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.errors import Unavailable
from foundation.settings import Plays
from infra.plays.records import UNDER_WAY

_log = logging.getLogger(__name__)

NEEDED = 50_000_000
"""Bytes that must be free before a run begins."""

_MEGABYTE = 1_000_000
# Files that must be possible still, where the file system counts them.
_FILES = 1_000
_RUN = re.compile(r"[1-9][0-9]{0,18}")
_GOING = re.compile(r"\.removing-([1-9][0-9]{0,18})-(runs|days|megabytes)")

Rule = Literal["runs", "days", "megabytes"]

_STATES = text("SELECT id, state, finished_at FROM play_run WHERE id = ANY(:ids)")
_HELD = text("SELECT state FROM play_run WHERE id = :id FOR UPDATE")
_WRITTEN = text(
    """
    INSERT INTO play_artifacts_removal (run_id, machine, rule, bytes)
    SELECT id, :machine, :rule, :bytes FROM play_run WHERE id = :id
    ON CONFLICT (run_id) DO NOTHING
    """
)


@dataclass(frozen=True)
class Removal:
    """That and why the artifacts of a run are gone.

    Args:
        at: when, aware.
        machine: where they lay.
        rule: `runs`, `days` or `megabytes`: which limit took them.
        size: bytes that they had.
    """

    at: datetime
    machine: str
    rule: str
    size: int

    def __str__(self) -> str:
        day = f"{self.at:%Y-%m-%d %H:%M}Z"
        return (
            f"Its artifacts ({self.size / _MEGABYTE:.1f} MB on {self.machine}) were removed {day} "
            f"by plays.keep_{self.rule}."
        )


@dataclass
class Artifacts:
    """The folders of the runs that were performed on this machine.

    Args:
        database: migrated.
        folder: which they lie in, each named as its run's number.
        settings: how many, how long and how much is kept.
        machine: name of this one.
    """

    database: Database
    folder: Path
    settings: Plays
    machine: str = field(default_factory=socket.gethostname)
    # Of runs that have ended: their folders change no more.
    _sizes: dict[int, int] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def prune(self) -> list[int]:
        """Delete what the limits leave no place for; never the folder of a run that is under way.

        Returns:
            The runs whose folders went; none if another process is at it.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer; nothing more goes than what had another name.
        """
        try:
            with self._alone() as place:
                if place is None:
                    return []
                self._finish_earlier(place)
                return [run for run, rule in self._surplus(place) if self._remove(place, run, rule)]
        except OSError as error:
            # Whoever has just performed a run must not fail by it.
            self._tell("", f"The folder of all runs cannot be looked through ({error.strerror}).")
            return []

    @contextlib.contextmanager
    def _alone(self) -> Iterator[int | None]:
        try:
            place = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None
            return
        try:
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield place
        finally:
            os.close(place)

    def _finish_earlier(self, place: int) -> None:
        for name in os.listdir(place):
            if found := _GOING.fullmatch(name):
                run, rule = int(found[1]), found[2]
                with self.database.transaction() as session:
                    # Whoever renamed it may have been killed before he could write it down.
                    self._write(session, run, rule, _size(place, name))
                self._delete(place, name)

    def _surplus(self, place: int) -> list[tuple[int, Rule]]:
        runs = sorted(self._runs(place), reverse=True)
        with self.database.transaction() as session:
            rows = {row.id: row for row in session.execute(_STATES, {"ids": runs})}
            now = session.execute(text("SELECT clock_timestamp()")).scalar_one()
        for run in set(runs) - set(rows):
            self._tell(str(run), "No run of the database has this number; it is left alone.")
        return list(self._chosen(place, [run for run in runs if run in rows], rows, now))

    def _chosen(
        self, place: int, runs: list[int], rows: Mapping[int, Any], now: datetime
    ) -> Iterator[tuple[int, Rule]]:
        kept = size = 0
        for run in runs:
            row = rows[run]
            ended = row.state not in UNDER_WAY
            old = row.finished_at is not None and now - row.finished_at > timedelta(
                days=self.settings.keep_days
            )
            rule: Rule | None = None
            bytes_ = self._size(place, run, ended)
            if kept >= self.settings.keep_runs:
                rule = "runs"
            elif old:
                rule = "days"
            elif kept and size + bytes_ > self.settings.keep_megabytes * _MEGABYTE:
                # The newest stays however large it is: somebody wants to see why.
                rule = "megabytes"
            if ended and rule is not None:
                yield run, rule
            else:
                kept, size = kept + 1, size + bytes_

    def _remove(self, place: int, run: int, rule: Rule) -> bool:
        going = f".removing-{run}-{rule}"
        with self.database.transaction() as session:
            state = session.execute(_HELD, {"id": run}).scalar_one_or_none()
            # Asked anew, and nothing can begin it while we hold its record.
            if state is None or state in UNDER_WAY:
                return False
            self._write(session, run, rule, self._sizes.get(run, 0))
            try:
                os.rename(str(run), going, src_dir_fd=place, dst_dir_fd=place)
            except OSError as error:
                self._tell(str(run), f"It cannot be removed ({error.strerror}).")
                session.rollback()
                return False
        self._sizes.pop(run, None)
        self._delete(place, going)
        return True

    def _write(self, session: Session, run: int, rule: str, size: int) -> None:
        words = {"id": run, "machine": self.machine, "rule": rule, "bytes": size}
        session.execute(_WRITTEN, words)

    def _delete(self, place: int, name: str) -> None:
        faults: list[str] = []

        def note(_function: object, path: object, error: Any) -> None:
            faults.append(f"{path}: {getattr(error[1], 'strerror', error[1])}")

        try:
            shutil.rmtree(name, onerror=note, dir_fd=place)
        except RecursionError:
            faults.append(f"{name}: folders in folders without end")
        if faults:
            self._tell(name, f"It cannot be deleted whole ({faults[0]}); it is tried again each time.")

    def _runs(self, place: int) -> Iterator[int]:
        with os.scandir(place) as entries:
            for entry in entries:
                if not _RUN.fullmatch(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    yield int(entry.name)
                else:
                    self._tell(entry.name, "It is no folder of a run; it is left alone.")

    def _size(self, place: int, run: int, ended: bool) -> int:
        if run not in self._sizes or not ended:
            self._sizes[run] = _size(place, str(run))
        return self._sizes[run]

    def _tell(self, name: str, sentence: str) -> None:
        # Once: it is looked at after every run.
        if name not in self._told:
            self._told.add(name)
            _log.warning("%s: %s", self.folder / name, sentence)


def removal_of(session: Session, run_id: int) -> Removal | None:
    """Why the artifacts of a run are gone; None if no limit took them."""
    row = session.execute(
        text("SELECT removed_at, machine, rule, bytes FROM play_artifacts_removal WHERE run_id = :id"),
        {"id": run_id},
    ).one_or_none()
    return Removal(row.removed_at, row.machine, row.rule, row.bytes) if row else None


def check_room(folder: Path) -> None:
    """Refuse to begin where a run's artifacts would find no room.

    Args:
        folder: of the run, or above it; it need not exist yet.

    Raises:
        Unavailable: less than `NEEDED` is free there, or no more files can be made, or it cannot be asked.
    """
    existing = next((path for path in (folder, *folder.parents) if path.exists()), Path("/"))
    try:
        found = os.statvfs(existing)
    except OSError as error:
        raise _no_room(folder, f"The disk for artifacts cannot be asked ({error.strerror}).") from error
    free = found.f_bavail * found.f_frsize
    if free < NEEDED:
        raise _no_room(
            folder,
            f"The disk for artifacts has {free / _MEGABYTE:.0f} MB free; "
            f"a run needs {NEEDED / _MEGABYTE:.0f}.",
        )
    if found.f_files and found.f_favail < _FILES:
        raise _no_room(folder, f"The disk for artifacts has room for {found.f_favail} more files only.")


def _no_room(folder: Path, message: str) -> Unavailable:
    return Unavailable(
        message,
        place=str(folder),
        remedy="Free space there, or lower plays.keep_megabytes or plays.keep_days.",
        message_ar="لا توجد مساحة كافية لملفات التشغيل.",
    )


def _size(place: int, name: str) -> int:
    # What it takes of the disk, links as themselves; what vanishes meanwhile takes nothing.
    whole = 0
    with contextlib.suppress(OSError, RecursionError):
        for _, folders, files, here in os.fwalk(name, dir_fd=place, follow_symlinks=False):
            for each in (*folders, *files):
                with contextlib.suppress(OSError):
                    whole += os.stat(each, dir_fd=here, follow_symlinks=False).st_blocks * 512
    return whole
