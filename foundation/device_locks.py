"""One lock a device, whoever works on it: a play, a change of the network, a person on its serial line.

Whoever works on devices takes all of them together, by a lease (`device_lease.py`), and is named to everybody
else. Each taking gives a device a token higher than all before. What an older holder writes is not committed
once another has taken over: `Lease.check` and the taking over exclude one another.

A lease is over when its row is gone; a device that names a lease without a row is free. So a release is one
row, whatever the number of devices. Locks of rows are taken in one order: a lease's before its devices', and
devices' by name; who takes devices locks no lease of another. So nobody waits in a circle.
"""

import logging
from collections.abc import Iterable, Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.chain import JSON
from foundation.database import Database
from foundation.device_lease import Lease, LeaseLost, Line, Process, patience, take_number
from foundation.device_lock_records import (
    DeviceHeld,
    HeldLock,
    checked_name,
    checked_words,
    named,
    read_locks,
)
from foundation.errors import Conflict, DatabaseUnavailable, InvalidInput, NotFound, Unavailable

__all__ = ["DeviceHeld", "DeviceLocks", "HeldLock", "Lease", "LeaseLost"]

_log = logging.getLogger(__name__)

_GRACE = 90.0
# Rounds in which a take may find dead holders' locks: others may die while we free the first.
_ROUNDS = 3

# Whoever stops in the middle of a take must not hold up the others for longer than this.
_BOUNDS = text(
    "SELECT set_config('lock_timeout', '5s', true), "
    "set_config('idle_in_transaction_session_timeout', '10s', true)"
)
_MAKE = text(
    """
    INSERT INTO device_lock (device)
    SELECT device FROM unnest(CAST(:devices AS text[])) AS device ORDER BY device COLLATE "C"
    ON CONFLICT DO NOTHING
    """
)
_LOCK = text(
    """
    SELECT 1 FROM device_lock WHERE device = ANY (CAST(:devices AS text[]))
    ORDER BY device COLLATE "C" FOR UPDATE
    """
)
_BEGIN = text(
    """
    INSERT INTO device_lease (id, holder, purpose, subject, worker, host, boot_id, pid, started, grace)
    VALUES (:id, :holder, :purpose, :subject, :worker, :host, :boot_id, :pid, :started, :grace)
    """
)
_GIVE = text(
    """
    UPDATE device_lock SET token = token + 1, lease = :id WHERE device = ANY (CAST(:devices AS text[]))
    RETURNING device, token
    """
)
_LOCK_LEASE = text("SELECT id FROM device_lease WHERE id = :lease FOR UPDATE")
_LOCK_DEVICE = text("SELECT 1 FROM device_lock WHERE device = :device AND lease = :lease FOR UPDATE")
_END = text("DELETE FROM device_lease WHERE id = ANY (CAST(:leases AS bigint[]))")
_TAKE_AWAY = text("UPDATE device_lock SET lease = NULL WHERE device = :device AND lease = :lease")
_TELL_HOLDER = text("UPDATE device_lease SET lost = coalesce(lost, :said) WHERE id = :lease")


class DeviceLocks:
    """The locks of all devices.

    Args:
        database: where they are kept.
        grace: seconds for which a holder that cannot be asked is believed to live, counted from his last
            renewal, and in which he stops by himself when he cannot renew.
    """

    def __init__(self, database: Database, *, grace: float = _GRACE) -> None:
        self._database = database
        self._grace = grace
        self._abandoned: set[int] = set()

    def take(self, devices: Iterable[str], *, holder: str, purpose: str, subject: str) -> Lease:
        """Lock all of these devices, or none.

        What dead holders left is taken over, and told.

        Args:
            devices: their names.
            holder: who asks; the same asking twice is refused like another.
            purpose: what for, in a few words.
            subject: the work ("play/7").

        Raises:
            DeviceHeld: one of them is held, by whom, what for and since when.
            InvalidInput: no device, or a name or text that cannot be kept.
            DatabaseUnavailable: PostgreSQL does not answer; nothing stays locked.
            Unavailable: others were changing these locks for seconds; try again.
        """
        names = sorted({checked_name(device) for device in devices})
        if not names:
            raise InvalidInput("There is no device to lock.", remedy="Name one at least.")
        said = {"holder": holder, "purpose": purpose, "subject": subject}
        said = {field: checked_words(field, value) for field, value in said.items()}
        self._end_abandoned()
        for _ in range(_ROUNDS):
            # Asking costs no connection of its own, and who waits asks often.
            with self._database.transaction() as session:
                dead = self._dead_among(session, names)
            if not dead and (lease := self._try(names, said)) is not None:
                return lease
            for number in sorted({lock.lease for lock in dead}):
                self._free(number)
        raise Unavailable("Others are changing these locks.", place=subject, remedy="Try again.")

    def held(self, session: Session, devices: Iterable[str] | None = None) -> list[HeldLock]:
        """The devices that are held, by name.

        Args:
            session: any.
            devices: only of these.
        """
        wanted = None if devices is None else list(devices)
        return [found.lock for found in read_locks(session, devices=wanted) if found.row.device is not None]

    def alive(self, session: Session, lease: int) -> bool:
        """Whether a lease's holder lives, or may live: False once he released it, or is known to be dead."""
        return any(not found.dead for found in read_locks(session, lease=lease))

    def break_lock(self, session: Session, device: str, *, actor: str, reason: str) -> HeldLock:
        """Take a device away from its holder, who learns of it when he next looks, and stops.

        The other devices of his stay his until he has stopped.

        Args:
            session: of the caller's transaction; breaking waits for what the holder is just committing.
            device: its name.
            actor: who breaks it; that he may is for the caller to see to.
            reason: why, for the audit and for the holder.

        Returns:
            What was broken.

        Raises:
            NotFound: nobody holds the device.
            Conflict: it changed hands at this moment.
            InvalidInput: no reason, or one that cannot be kept.
        """
        why = checked_words("reason", reason)
        before = self.held(session, [checked_name(device)])
        if not before:
            raise NotFound(
                f"Nobody holds the device {named(device)}.",
                remedy="See who holds what with: rakeeza lock list",
            )
        place = {"device": device, "lease": before[0].lease}
        session.execute(_LOCK_LEASE, place)
        session.execute(_LOCK_DEVICE, place)
        # As of now: while we waited, its holder may have released it.
        after = self.held(session, [device])
        if [lock.lease for lock in after] != [before[0].lease]:
            raise Conflict(
                f"The lock of {named(device)} changed hands at this moment; nothing was broken.",
                remedy="See who holds it with: rakeeza lock list",
            )
        session.execute(_TAKE_AWAY, place)
        end = "" if why.endswith((".", "!", "?", "؟")) else "."
        told = f"The lock of {named(device)} was broken by {named(actor)}: {named(why)}{end}"
        session.execute(_TELL_HOLDER, {**place, "said": told})
        _tell(session, after[0], "lock_broken", actor, why)
        return after[0]

    def sweep(self) -> list[HeldLock]:
        """Free what dead holders left; each is told by an event `device.lock_freed` and in the audit.

        Returns:
            What was freed.

        Raises:
            DatabaseUnavailable: PostgreSQL does not answer.
        """
        self._end_abandoned()
        with self._database.transaction() as session:
            dead = sorted({found.row.id for found in read_locks(session) if found.dead})
        freed = []
        for number in dead:
            try:
                freed += self._free(number)
            except DatabaseUnavailable:
                raise
            except Unavailable as error:
                # Somebody else has it in hand; the others must not wait for that.
                _log.warning("The locks of lease %s are freed later: %s", number, error)
        return freed

    def _dead_among(self, session: Session, names: list[str]) -> list[HeldLock]:
        held = self.held(session, names)
        if living := [lock for lock in held if lock.alive]:
            raise DeviceHeld(living)
        return held

    def _try(self, names: list[str], said: Mapping[str, str]) -> Lease | None:
        # None if one died meanwhile who was quicker.
        line, number = Line(self._database, patience(self._grace)), 0
        try:
            line.open()
            number = take_number(line)
            lease = Lease(line, number, said["subject"], self._grace, self._abandoned)
            lease.tokens = self._give(names, {"id": number, "grace": self._grace, **said})
        except BaseException as error:
            line.close()
            # Of a commit without an answer it is not known whether it took place.
            if number and not isinstance(error, Conflict):
                self._abandoned.add(number)
            raise
        if lease.tokens:
            return lease
        line.close()
        return None

    def _give(self, names: list[str], said: Mapping[str, object]) -> dict[str, int]:
        with self._database.transaction() as session:
            session.execute(_BOUNDS)
            session.execute(_MAKE, {"devices": names})
            session.execute(_LOCK, {"devices": names})
            if self._dead_among(session, names):
                return {}
            process = Process.this()
            session.execute(_BEGIN, {**said, **vars(process), "worker": process.worker})
            given = session.execute(_GIVE, {"id": said["id"], "devices": names})
            return {row.device: row.token for row in given}

    def _free(self, number: int) -> list[HeldLock]:
        with self._database.transaction() as session:
            session.execute(_BOUNDS)
            session.execute(_LOCK_LEASE, {"lease": number})
            # As of now: while we waited, its holder may have renewed it, or another freed it.
            found = [item for item in read_locks(session, lease=number) if item.dead]
            if not found:
                return []
            session.execute(_END, {"leases": [number]})
            freed = [item for item in found if item.row.device is not None]
            for item in freed:
                _tell(session, item.lock, "lock_freed", "system", item.dead)
        return [item.lock for item in freed]

    def _end_abandoned(self) -> None:
        if leases := sorted(self._abandoned):
            with self._database.transaction() as session:
                session.execute(_BOUNDS)
                session.execute(_END, {"leases": leases})
            self._abandoned.difference_update(leases)


def _tell(session: Session, lock: HeldLock, what: str, actor: str, reason: str) -> None:
    details: dict[str, JSON] = {
        "holder": lock.holder,
        "purpose": lock.purpose,
        "subject": lock.subject,
        "worker": lock.worker,
        "lease": lock.lease,
        "token": lock.token,
        "taken_at": lock.taken_at.isoformat(),
        "reason": reason,
    }
    chain = f"device/{lock.device}"
    told = {**details, "device": lock.device, "actor": actor}
    audit.record_all(
        session, chain=chain, entries=[(actor, what, details)], events=[(f"device.{what}", chain, told)]
    )
