"""Device locks as the database keeps them and as people read them: who holds what, and whether he lives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Double, Row, Text, text
from sqlalchemy import Sequence as DatabaseSequence
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.database import Base
from foundation.device_lease import KEY, Process
from foundation.errors import Conflict, InvalidInput

# Characters. "device/<name>" is the subject of a device's events, which has at most 200.
_LONGEST_NAME = 150
_LONGEST_WORDS = 500
# Names of devices in one sentence; `DeviceHeld.held` has all.
_NAMED = 20

# The server's own list of advisory locks: a lock that we tried to take would be in its holder's way.
_READ = text(
    """
    WITH connected AS MATERIALIZED (
        SELECT (classid::bigint << 32) | objid::bigint AS key FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    )
    SELECT lock.device, lock.token, lease.*,
        (CAST(:key AS bigint) | lease.id) IN (SELECT key FROM connected) AS connected,
        extract(epoch FROM clock_timestamp() - lease.renewed_at)::double precision AS silent
    FROM device_lease AS lease LEFT JOIN device_lock AS lock ON lock.lease = lease.id
    WHERE (CAST(:devices AS text[]) IS NULL OR lock.device = ANY (CAST(:devices AS text[])))
      AND (CAST(:lease AS bigint) IS NULL OR lease.id = :lease)
    ORDER BY lock.device COLLATE "C", lease.id
    """
)


class DeviceLockRow(Base):
    """A device's last token, and the lease it was given to; without a row of that lease it is free."""

    __tablename__ = "device_lock"

    device: Mapped[str] = mapped_column(Text, primary_key=True)
    token: Mapped[int] = mapped_column(BigInteger, server_default="0")
    lease: Mapped[int | None] = mapped_column(BigInteger)


class DeviceLeaseRow(Base):
    """A lease under way.

    Args:
        worker: its process, as people name it.
        host, boot_id, pid, started: the same, to look for it.
        grace: seconds without a renewal after which its devices may be taken over.
        lost: why it is none any more, for its holder.
    """

    __tablename__ = "device_lease"

    id: Mapped[int] = mapped_column(BigInteger, DatabaseSequence("device_lease_id"), primary_key=True)
    holder: Mapped[str] = mapped_column(Text)
    purpose: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    worker: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(Text)
    boot_id: Mapped[str] = mapped_column(Text)
    pid: Mapped[int]
    started: Mapped[int] = mapped_column(BigInteger)
    grace: Mapped[float] = mapped_column(Double)
    taken_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=text("clock_timestamp()")
    )
    renewed_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=text("clock_timestamp()")
    )
    lost: Mapped[str | None] = mapped_column(Text)


@dataclass(frozen=True)
class HeldLock:
    """A device that is held.

    Args:
        device: its name.
        token: higher than that of every holder before.
        holder: who works on it ("cli/…", "person/…").
        purpose: what for, in a few words.
        subject: the work ("play/7").
        lease: of which this lock is one.
        worker: the process, `host:pid`.
        taken_at: when, in UTC.
        alive: whether its holder lives, or may live; what a dead one left is free to be taken.
    """

    device: str
    token: int
    holder: str
    purpose: str
    subject: str
    lease: int
    worker: str
    taken_at: datetime
    alive: bool


class DeviceHeld(Conflict):
    """Another works on the device.

    Args:
        held: what is held, by device.
    """

    titles = ("Device held", "الجهاز محجوز")

    def __init__(self, held: Sequence[HeldLock]) -> None:
        self.held = tuple(held)
        groups: dict[int, list[HeldLock]] = {}
        for lock in self.held:
            groups.setdefault(lock.lease, []).append(lock)
        super().__init__(
            "; ".join(map(_told, groups.values())) + ".",
            remedy="Wait until that is done, or break it with: rakeeza lock break",
            message_ar="؛ ".join(map(_told_ar, groups.values())) + ". انتظر انتهاء هذا العمل.",
        )


@dataclass(frozen=True)
class Found:
    """A lock as it was read, or a lease that has none any more.

    Args:
        row: device (None without one), token, and the lease's columns.
        dead: why its holder is known to be dead; empty while he may live.
    """

    row: Row[Any]
    dead: str

    @property
    def lock(self) -> HeldLock:
        """As others see it."""
        row, alive = self.row, not self.dead
        since = row.taken_at.astimezone(UTC)
        return HeldLock(
            row.device, row.token, row.holder, row.purpose, row.subject, row.id, row.worker, since, alive
        )


def read_locks(
    session: Session, *, devices: list[str] | None = None, lease: int | None = None
) -> list[Found]:
    """The locks that are held, and leases without any, by device; each with whether its holder lives.

    Args:
        devices: only of these; then no lease without a lock.
        lease: only of this one.
    """
    rows = session.execute(_READ, {"key": KEY, "devices": devices, "lease": lease}).all()
    dead: dict[int, str] = {}
    for row in rows:
        if row.id not in dead:
            dead[row.id] = _why_dead(row)
    return [Found(row, dead[row.id]) for row in rows]


def _why_dead(row: Row[Any]) -> str:
    if row.connected:
        return ""
    if Process(row.host, row.boot_id, row.pid, row.started).gone():
        return f"The process {row.worker} has ended."
    if row.silent > row.grace:
        return f"The process {row.worker} was not heard of for {row.silent:.0f} s."
    return ""


def checked_name(device: str) -> str:
    """A device's name, of any characters that can be kept.

    Raises:
        InvalidInput: it is empty, too long, or holds what no database keeps.
    """
    return _checked("name of the device", device, _LONGEST_NAME)


def checked_words(field: str, value: str) -> str:
    """What somebody says of a lock.

    Args:
        field: what it is, for the error.

    Raises:
        InvalidInput: it is empty, too long, or holds what no database keeps.
    """
    return _checked(field, value, _LONGEST_WORDS)


def _checked(field: str, value: str, longest: int) -> str:
    reason = ""
    if not value.strip():
        reason = "is empty"
    elif len(value) > longest:
        reason = f"is longer than {longest} characters"
    elif "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        reason = "holds a character that cannot be kept"
    if reason:
        raise InvalidInput(f"The {field} {reason}.", place=named(value[:60]), remedy="Give another one.")
    return value


def named(text: str) -> str:
    """A text within a sentence: what would break the line, or turn it round, is shown escaped."""
    return text if text.isprintable() and text == text.strip() and text else repr(text)


def _told(locks: list[HeldLock]) -> str:
    first, verb = locks[0], "is" if len(locks) == 1 else "are"
    since = f"{first.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"{_names(locks, 'and', 'more')} {verb} held by {named(first.holder)} for {named(first.purpose)} "
        f"({named(first.subject)}, process {first.worker}) since {since}"
    )


def _told_ar(locks: list[HeldLock]) -> str:
    first = locks[0]
    word, held = ("الجهاز", "محجوز") if len(locks) == 1 else ("الأجهزة", "محجوزة")
    since = f"{first.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"{word} {_names(locks, 'و', 'أخرى')}: {held} لدى {named(first.holder)} "
        f"لأجل {named(first.purpose)} ({named(first.subject)}) منذ {since}"
    )


def _names(locks: list[HeldLock], and_: str, more: str) -> str:
    names = [named(lock.device) for lock in locks[:_NAMED]]
    if (left := len(locks) - len(names)) > 0:
        return f"{', '.join(names)} {and_} {left} {more}"
    return ", ".join(names)
