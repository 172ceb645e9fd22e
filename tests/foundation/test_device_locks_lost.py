"""Locks on devices that are broken, taken over, or cannot be renewed, within one process."""

import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation import audit, events
from foundation.database import Database
from foundation.device_lease import Process
from foundation.device_locks import DeviceHeld, DeviceLocks, HeldLock, Lease, LeaseLost
from foundation.errors import DatabaseUnavailable, InvalidInput, NotFound, Unavailable
from tests.foundation.device_lock_looks import Take, change, count, forget, held, waiting
from tests.processes import until

pytest_plugins = ["tests.foundation.device_lock_fixtures"]


def test_a_broken_lock_is_told_to_its_holder_and_to_the_audit(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    lease = take("r1", "r2")
    with database.transaction() as session:
        broken = locks.break_lock(session, "r1", actor="cli/chief", reason="The terminal hangs.")
    assert (broken.device, broken.holder, broken.token) == ("r1", "cli/aisha", 1)
    assert [lock.device for lock in held(database, locks)] == ["r2"]
    with pytest.raises(LeaseLost, match=r"The lock of r1 was broken by cli/chief: The terminal hangs\."):
        lease.hold()
    with database.transaction() as session, pytest.raises(LeaseLost, match="broken by cli/chief"):
        lease.check(session)
    with database.transaction() as session:
        (entry,) = audit.entries(session, "device/r1")
        told = events.read(session, after=None, kind_prefix="device.")
    assert (entry.actor, entry.action) == ("cli/chief", "lock_broken")
    assert entry.details["holder"] == "cli/aisha"
    assert entry.details["reason"] == "The terminal hangs."
    assert [(event.kind, event.subject) for event in told] == [("device.lock_broken", "device/r1")]
    assert told[0].payload["token"] == 1
    # The next has a higher token; what the first still works on stays his until he has stopped.
    assert take("r1").tokens == {"r1": 2}
    with pytest.raises(DeviceHeld):
        take("r2")
    lease.release()
    assert take("r2").tokens == {"r2": 2}


def test_the_check_alone_sees_a_broken_lock(take: Take, locks: DeviceLocks, database: Database) -> None:
    lease = take("r1")
    with database.transaction() as session:
        locks.break_lock(session, "r1", actor="cli/chief", reason="because")
    with database.transaction() as session, pytest.raises(LeaseLost, match="because"):
        lease.check(session)
    with pytest.raises(LeaseLost, match="because"):
        lease.hold()


@pytest.mark.parametrize("reason", ["", "  ", "a\0b"])
def test_a_lock_is_not_broken_without_a_reason(
    reason: str, take: Take, locks: DeviceLocks, database: Database
) -> None:
    take("r1").hold()
    with pytest.raises(InvalidInput, match="The reason"), database.transaction() as session:
        locks.break_lock(session, "r1", actor="cli/chief", reason=reason)
    assert len(held(database, locks)) == 1


def test_what_nobody_holds_is_not_broken(take: Take, locks: DeviceLocks, database: Database) -> None:
    take("r1").release()
    for device in ("r1", "r9"):
        with pytest.raises(NotFound, match=f"Nobody holds the device {device}"), database.transaction() as s:
            locks.break_lock(s, device, actor="cli/chief", reason="because")


def test_a_break_that_is_rolled_back_breaks_nothing(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    lease = take("r1")
    with database.transaction() as session:
        locks.break_lock(session, "r1", actor="cli/chief", reason="because")
        # The holder does not wait for whoever has its lease in hand.
        lease.hold()
        session.rollback()
    lease.hold()
    with database.transaction() as session:
        lease.check(session)


def test_breaking_waits_for_what_the_holder_is_committing(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    lease = take("r1")
    order: list[str] = []

    def break_it() -> None:
        with database.transaction() as session:
            locks.break_lock(session, "r1", actor="cli/chief", reason="because")
            order.append("broken")

    with database.transaction() as session:
        lease.check(session)
        other = threading.Thread(target=break_it)
        other.start()
        until(lambda: waiting(database), "the wait for the commit")
        order.append("committed")
    other.join()
    assert order == ["committed", "broken"]


def test_a_foreign_machines_holder_is_believed_for_its_grace_and_then_freed(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    lease = take("r1", "r2")
    forget(database, lease, seconds=60)
    with pytest.raises(DeviceHeld):
        take("r1", holder="cli/badr", by=DeviceLocks(database, grace=1))
    assert locks.sweep() == []
    change(database, "UPDATE device_lease SET renewed_at = renewed_at - interval '31 s'")
    assert [lock.alive for lock in held(database, locks)] == [False, False]
    freed = locks.sweep()
    assert [(lock.device, lock.holder) for lock in freed] == [("r1", "cli/aisha"), ("r2", "cli/aisha")]
    assert (held(database, locks), locks.sweep()) == ([], [])
    with database.transaction() as session:
        told = events.read(session, after=None, kind_prefix="device.lock_freed")
        (entry,) = audit.entries(session, "device/r2")
    assert [event.subject for event in told] == ["device/r1", "device/r2"]
    assert re.search(r"was not heard of for \d\d+ s", told[0].payload["reason"])
    assert (entry.actor, entry.action, entry.details["lease"]) == ("system", "lock_freed", lease.id)
    with pytest.raises(LeaseLost, match="not heard of"):
        lease.hold()
    assert take("r1").tokens == {"r1": 2}


def test_what_a_dead_holder_left_is_taken_over_and_told(take: Take, database: Database) -> None:
    lease = take("r1", "r2")
    forget(database, lease)
    assert take("r2", "r3", holder="cli/badr").tokens == {"r2": 2, "r3": 1}
    with database.transaction() as session:
        told = events.read(session, after=None, kind_prefix="device.lock_freed")
    assert [event.subject for event in told] == ["device/r1", "device/r2"]
    with database.transaction() as session, pytest.raises(LeaseLost):
        lease.check(session)


def test_a_dead_holder_beside_a_living_one_frees_nothing(take: Take, database: Database) -> None:
    forget(database, take("r1", holder="cli/dead"))
    take("r2", holder="cli/badr")
    with pytest.raises(DeviceHeld, match=r"^r2 is held by cli/badr"):
        take("r1", "r2")
    with database.transaction() as session:
        assert events.read(session, after=None, kind_prefix="device.") == []


def test_a_connected_holder_keeps_his_devices_however_long_he_is_silent(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    lease = take("r1")
    change(database, "UPDATE device_lease SET renewed_at = '2000-01-01', boot_id = 'another', started = 1")
    with pytest.raises(DeviceHeld):
        take("r1")
    assert locks.sweep() == []
    lease.hold()


def test_this_machines_holder_is_freed_at_once_when_its_process_is_another_by_now(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    lease = take("r1")
    this = Process.this()
    forget(database, lease, seconds=0, host=this.host, boot_id=this.boot_id)
    assert locks.sweep() == []
    change(database, "UPDATE device_lease SET started = started - 1")
    (freed,) = locks.sweep()
    assert freed.device == "r1"
    with database.transaction() as session:
        (event,) = events.read(session, after=None, kind_prefix="device.lock_freed")
    assert event.payload["reason"] == f"The process {this.worker} has ended."


def test_a_cut_connection_is_made_again(take: Take, database: Database) -> None:
    lease = take("r1")
    for _ in range(3):
        change(
            database,
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name = 'rakeeza device lock'",
        )
        with pytest.raises(DeviceHeld):
            take("r1")
        lease.hold()
    assert count(database, "pg_locks WHERE locktype = 'advisory'") == 1


def hold_while_away(lease: Lease) -> None:
    while True:
        with pytest.raises(DatabaseUnavailable):
            lease.hold()
        time.sleep(0.02)


def test_a_holder_who_cannot_renew_stops_before_another_may_begin(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    quick = DeviceLocks(database, grace=6)
    lease = take("r1", by=quick)
    line, url = lease._line, lease._line._where
    line._where = url.replace("host=", "host=/nowhere")
    line.close()
    with pytest.raises(LeaseLost, match=r"could not be renewed for \d+ s: PostgreSQL does not answer"):
        hold_while_away(lease)
    # Nobody has taken it over yet, and it is lost for good all the same.
    assert [lock.alive for lock in held(database, locks)] == [True]
    line._where = url
    with pytest.raises(LeaseLost):
        lease.hold()
    with database.transaction() as session, pytest.raises(LeaseLost):
        lease.check(session)
    assert lease.release()
    assert held(database, locks) == []


def test_a_server_that_hangs_does_not_hang_the_holder(take: Take, database: Database) -> None:
    lease = take("r1", by=DeviceLocks(database, grace=6))
    with database.transaction() as session:
        session.execute(text("LOCK TABLE device_lease IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(DatabaseUnavailable, match=r"no answer for 1 s"):
            lease.hold()
    lease.hold()


def test_a_release_that_cannot_be_told_is_made_up_for(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    lease = take("r1")
    where = lease._line._where
    lease._line.close()
    lease._line._where = where.replace("host=", "host=/nowhere")
    assert lease.release() is False
    assert lease.release() is False
    assert [lock.device for lock in held(database, locks)] == ["r1"]
    assert take("r1").tokens == {"r1": 2}


def test_a_take_whose_commit_has_no_answer_leaves_nothing_locked(
    locks: DeviceLocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = locks._give

    def answer_lost(*given: Any) -> dict[str, int]:
        whole(*given)
        raise DatabaseUnavailable("PostgreSQL does not answer.")

    monkeypatch.setattr(locks, "_give", answer_lost)
    with pytest.raises(DatabaseUnavailable):
        locks.take(["r1"], holder="cli/a", purpose="x", subject="play/1")
    monkeypatch.undo()
    with locks.take(["r1"], holder="cli/a", purpose="x", subject="play/1") as lease:
        assert lease.tokens == {"r1": 2}


def test_a_lease_that_lost_its_last_lock_is_cleared_away(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    lease = take("r1")
    with database.transaction() as session:
        locks.break_lock(session, "r1", actor="cli/chief", reason="because")
        assert locks.alive(session, lease.id)
    forget(database, lease)
    assert locks.sweep() == []
    with database.transaction() as session:
        assert not locks.alive(session, lease.id)
    assert count(database, "device_lease") == 0


def test_a_holder_that_renews_while_it_is_being_freed_keeps_its_devices(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    lease = take("r1")
    forget(database, lease)
    freed: list[HeldLock] = []
    with database.transaction() as session:
        session.execute(text("UPDATE device_lease SET renewed_at = clock_timestamp()"))
        other = threading.Thread(target=lambda: freed.extend(locks.sweep()))
        other.start()
        until(lambda: waiting(database), "the wait for the lease")
    other.join()
    assert freed == []
    lease.hold()


def test_a_lease_that_somebody_has_in_hand_keeps_no_other_from_being_freed(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    first, second = take("r1"), take("r2")
    first._line.close()
    forget(database, second)
    forget(database, first)
    with database.transaction() as session:
        session.execute(text("SELECT FROM device_lease WHERE id = :id FOR UPDATE"), {"id": first.id})
        assert [lock.device for lock in locks.sweep()] == ["r2"]
        with pytest.raises(Unavailable, match="Another change holds these records"):
            take("r1")
    assert [lock.device for lock in locks.sweep()] == ["r1"]


def test_a_process_is_gone_when_it_ended_or_its_number_is_anothers() -> None:
    this = Process.this()
    assert not this.gone()
    assert replace(this, started=this.started + 1).gone()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = int(Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8").split()[21])
        other = Process(this.host, this.boot_id, child.pid, started)
        assert not other.gone()
        child.kill()
        # Nobody has waited for it yet: its number is still there.
        until(other.gone, "its end")
        assert Path(f"/proc/{child.pid}").exists()
    assert other.gone()
    # Of a process elsewhere nothing is known from here.
    assert not replace(other, host="far").gone()
    assert not replace(other, boot_id=f"{this.boot_id}0").gone()
