"""Locks on devices between real processes: killed, stopped, racing, and over restarts of PostgreSQL."""

import json
import signal
import subprocess
import sys
import threading
import time

import pytest
from sqlalchemy import text

from foundation import events
from foundation.database import Database
from foundation.device_locks import DeviceHeld, DeviceLocks, HeldLock
from foundation.errors import DatabaseUnavailable
from tests.foundation.device_lock_holder import Holder
from tests.foundation.device_lock_looks import waiting
from tests.own_server import OwnServer
from tests.processes import ROOT, until

RACE = """
import json, sys
from foundation.database import Database
from foundation.device_locks import DeviceHeld, DeviceLocks
database = Database(sys.argv[1])
locks = DeviceLocks(database)
taken, refused = [], 0
while len(taken) < 25 and refused < 20_000:
    names = sys.argv[2:] if (len(taken) + refused) % 2 else sys.argv[:1:-1]
    try:
        with locks.take(names, holder="cli/racer", purpose="a race", subject="test/1") as lease:
            with database.transaction() as session:
                lease.check(session)
                others = [lock.device for lock in locks.held(session) if lock.lease != lease.id]
                assert not set(others) & set(names), (names, others)
            taken.append(dict(lease.tokens))
    except DeviceHeld:
        refused += 1
print(json.dumps(taken))
"""


def rival(locks: DeviceLocks, *devices: str) -> dict[str, int] | None:
    """One try of a rival: the tokens, or nothing where he was refused."""
    try:
        with locks.take(devices, holder="cli/rival", purpose="another test", subject="test/2") as lease:
            return dict(lease.tokens)
    except DeviceHeld:
        return None


def freed(database: Database) -> list[tuple[str, str]]:
    """Devices that were told to be freed, and why."""
    with database.transaction() as session:
        told = events.read(session, after=None, kind_prefix="device.lock_freed")
    return [(event.payload["device"], event.payload["reason"]) for event in told]


def test_a_killed_holder_is_freed_at_once_and_tokens_grow(database: Database, database_url: str) -> None:
    locks, seen = DeviceLocks(database), []
    for _ in range(3):
        with Holder(database_url, "r1", "r2") as holder:
            seen.append(holder.until()["tokens"])
            holder.until(state="held")
            assert rival(locks, "r2") is None
            holder.kill()
            # Its grace is 90 s: nobody waits for that.
            until(lambda: rival(locks, "r2"), "the takeover")
    assert [tokens["r1"] for tokens in seen] == [1, 2, 3]
    assert [tokens["r2"] for tokens in seen] == [1, 3, 5]
    told = freed(database)
    assert [device for device, _ in told] == ["r1", "r2"] * 3
    assert told[0][1].endswith("has ended.")


def test_a_sweep_frees_what_a_killed_holder_left(database: Database, database_url: str) -> None:
    locks = DeviceLocks(database)
    swept: list[HeldLock] = []
    with Holder(database_url, "r1") as dead, Holder(database_url, "r2") as living:
        lease = dead.until()["taken"]
        living.until(state="held")
        assert locks.sweep() == []
        dead.kill()

        def sweep() -> list[HeldLock]:
            swept.extend(locks.sweep())
            return swept

        until(sweep, "the sweep")
        assert [(lock.device, lock.lease, lock.alive) for lock in swept] == [("r1", lease, False)]
        with database.transaction() as session:
            assert [lock.device for lock in locks.held(session)] == ["r2"]
            assert not locks.alive(session, lease)


def test_a_released_lock_is_anybodys(database: Database, database_url: str) -> None:
    with Holder(database_url, "r1") as holder:
        holder.until(state="held")
        with Holder(database_url, "r1") as second:
            assert "r1 is held by cli/holder for a test (test/1, process" in second.next()["refused"]
        holder.tell("release")
        assert holder.until()["released"] is True
        assert rival(DeviceLocks(database), "r1") == {"r1": 2}
    assert freed(database) == []


def test_a_restart_of_postgresql_lets_nobody_onto_a_device_whose_holder_lives(own_server: OwnServer) -> None:
    locks = DeviceLocks(own_server.database)
    url = own_server.database.connection_info
    with Holder(url, "r1", "r2") as holder:
        holder.until(state="held")
        for _ in range(2):
            # It comes back too late to be quicker than the rival.
            holder.signal(signal.SIGSTOP)
            own_server.kill()
            refusals = 0
            while refusals < 20:
                try:
                    assert rival(locks, "r2") is None
                    assert locks.sweep() == []
                    refusals += 1
                except DatabaseUnavailable:
                    time.sleep(0.01)
            holder.signal(signal.SIGCONT)
            holder.tell("write")
            assert holder.until(wrote=True)
        with own_server.database.transaction() as session:
            assert [(lock.device, lock.token, lock.alive) for lock in locks.held(session)] == [
                ("r1", 1, True),
                ("r2", 1, True),
            ]
        own_server.kill()
        holder.kill()
        own_server.wait()
        until(lambda: rival(locks, "r1"), "the takeover")


def test_a_holder_that_lives_takes_its_lock_again_after_a_restart(own_server: OwnServer) -> None:
    locks = DeviceLocks(own_server.database)
    with Holder(own_server.database.connection_info, "r1") as holder:
        holder.until(state="held")
        own_server.kill()
        own_server.wait()
        # No renewal is believed in from now on: what keeps the device is the connection alone.
        connected = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")

        def is_back() -> bool:
            with own_server.database.transaction() as session:
                return bool(session.scalar(connected))

        until(is_back, "the new connection")
        with own_server.database.transaction() as session:
            session.execute(text("UPDATE device_lease SET renewed_at = '2000-01-01'"))
        assert rival(locks, "r1") is None


def test_a_stopped_holder_that_was_cut_off_writes_nothing_once_another_has_taken_over(
    database: Database, database_url: str
) -> None:
    locks = DeviceLocks(database)
    with Holder(database_url, "r1", grace=6) as holder:
        assert holder.until()["tokens"] == {"r1": 1}
        holder.until(state="held")
        holder.tell("write")
        assert holder.until(wrote=True)
        holder.tell("deaf")
        holder.until(deaf=True)
        holder.signal(signal.SIGSTOP)
        # Stopped, and still connected: a person may break its lock, nobody else gets it.
        cut = text(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
            "WHERE application_name = 'rakeeza device lock'"
        )
        with database.transaction() as session:
            session.execute(text("UPDATE device_lease SET renewed_at = '2000-01-01'"))
        assert rival(locks, "r1") is None
        with database.transaction() as session:
            session.execute(text("UPDATE device_lease SET renewed_at = clock_timestamp()"))
            session.execute(cut)
        assert rival(locks, "r1") is None
        until(lambda: rival(locks, "r1"), "the takeover after its grace")
        holder.tell("write")
        holder.signal(signal.SIGCONT)
        assert "not heard of" in holder.until(wrote=False)["why"]
    ((device, reason),) = freed(database)
    assert device == "r1"
    assert "was not heard of for" in reason
    with database.transaction() as session:
        assert len(events.read(session, after=None, kind_prefix="test.written")) == 1


def test_a_takeover_waits_for_what_a_dying_holder_is_committing(
    database: Database, database_url: str
) -> None:
    locks = DeviceLocks(database)
    with Holder(database_url, "r1") as holder:
        holder.until(state="held")
        holder.tell("slow")
        assert holder.until(checked=True)
        # It is cut off between its check and its commit, and its grace is over.
        with database.transaction() as session:
            session.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                    "WHERE application_name = 'rakeeza device lock'"
                )
            )
            session.execute(text("UPDATE device_lease SET renewed_at = '2000-01-01'"))
        taken: list[dict[str, int] | None] = []
        other = threading.Thread(target=lambda: taken.append(rival(locks, "r1")))
        other.start()
        until(lambda: waiting(database), "the wait for the commit")
        holder.tell("go")
        assert holder.until(wrote=True)
        other.join()
        assert taken == [{"r1": 2}]
    with database.transaction() as session:
        kinds = [event.kind for event in events.read(session, after=None)]
    assert kinds == ["test.written", "device.lock_freed"]


def test_breaking_stops_a_holder_in_another_process(database: Database, database_url: str) -> None:
    locks = DeviceLocks(database)
    with Holder(database_url, "r1", "r2") as holder:
        holder.until(state="held")
        with database.transaction() as session:
            locks.break_lock(session, "r2", actor="cli/chief", reason="it hangs")
        assert "The lock of r2 was broken by cli/chief: it hangs" in holder.until(state="lost")["why"]
        assert rival(locks, "r2") == {"r2": 2}
        assert rival(locks, "r1") is None
        holder.tell("release")
        assert holder.until()["released"] is True
        assert rival(locks, "r1") == {"r1": 2}


@pytest.mark.parametrize(
    "sets",
    [
        [("a", "b", "c"), ("c", "b", "d"), ("d", "a")],
        [("e", "f"), ("f", "e"), ("e", "f")],
    ],
)
def test_processes_that_race_for_overlapping_devices_never_share_one_and_never_hang(
    database: Database, database_url: str, sets: list[tuple[str, ...]]
) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, database_url, *names],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for names in sets
    ]
    tokens: dict[str, list[int]] = {}
    for racer, names in zip(racers, sets, strict=True):
        out, err = racer.communicate(timeout=300)
        assert (racer.returncode, err) == (0, "")
        taken = json.loads(out)
        assert len(taken) == 25
        for given in taken:
            assert set(given) == set(names)
            for device, token in given.items():
                tokens.setdefault(device, []).append(token)
    # Each token was given once, and none was left out: a refused take uses none up.
    for device, given in tokens.items():
        assert sorted(given) == list(range(1, len(given) + 1)), device
    with database.transaction() as session:
        assert DeviceLocks(database).held(session) == []
    assert freed(database) == []
