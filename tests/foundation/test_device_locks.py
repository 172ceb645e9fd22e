"""Locks on devices, within one process."""

from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy.exc import IntegrityError

from foundation import audit
from foundation.database import Database
from foundation.device_lease import Process
from foundation.device_locks import DeviceHeld, DeviceLocks, LeaseLost
from foundation.errors import DatabaseUnavailable, InvalidInput, problem
from tests.foundation.device_lock_looks import Take, change, held

pytest_plugins = ["tests.foundation.device_lock_fixtures"]

ODD = [
    "r1",
    "R1",
    "موجّه-١",
    "a b",
    " leading",
    'quote\'s "and" %s :name {x}',
    "line\nbreak",
    "\u202eturned",
    "*",
    "NULL",
    "'; DROP TABLE device_lock; --",
    "../../etc",
    "\U0001f5a7",
    "e\u0301",
    "\u00e9",
    "x" * 150,
]


def test_a_device_is_held_by_one_whose_name_and_work_the_other_is_told(
    locks: DeviceLocks, take: Take, database: Database
) -> None:
    before = datetime.now(UTC)
    lease = take("r2", "r1")
    assert lease.tokens == {"r1": 1, "r2": 1}
    with pytest.raises(DeviceHeld) as refused:
        take("r3", "r2", holder="cli/badr")
    (lock,) = refused.value.held
    assert (lock.device, lock.holder, lock.purpose, lock.subject) == (
        "r2",
        "cli/aisha",
        "play baseline",
        "play/7",
    )
    assert (lock.lease, lock.token, lock.alive) == (lease.id, 1, True)
    assert lock.worker == Process.this().worker
    assert before <= lock.taken_at <= datetime.now(UTC)
    said = str(refused.value)
    since = f"{lock.taken_at:%Y-%m-%d %H:%M:%S} UTC"
    assert f"r2 is held by cli/aisha for play baseline (play/7, process {lock.worker}) since {since}." in said
    assert "rakeeza lock break" in said
    shown = problem(refused.value)
    assert (shown["status"], shown["type"]) == (409, "urn:rakeeza:problem:device-held")
    assert "الجهاز r2" in shown["detail_ar"]
    # All or none: what was free stays free.
    assert [lock.device for lock in held(database, locks)] == ["r1", "r2"]
    with pytest.raises(DeviceHeld):
        take("r1")


def test_tokens_only_grow_and_outlive_the_release(take: Take, locks: DeviceLocks, database: Database) -> None:
    seen = []
    for _ in range(3):
        lease = take("r1")
        seen.append(lease.tokens["r1"])
        assert lease.release() is True
        assert lease.release() is True
        assert held(database, locks) == []
    assert seen == [1, 2, 3]
    assert take("r1", "r2").tokens == {"r1": 4, "r2": 1}


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM device_lock",
        "UPDATE device_lock SET token = 0",
        "UPDATE device_lock SET device = 'r2'",
        "UPDATE device_lock SET lease = 99",
    ],
)
def test_the_database_itself_lets_no_token_be_given_twice(
    take: Take, database: Database, statement: str
) -> None:
    take("r1")
    with pytest.raises(IntegrityError, match="would go back"):
        change(database, statement)


def test_a_context_ends_the_lease_and_a_released_one_is_lost(locks: DeviceLocks, database: Database) -> None:
    with locks.take(["r1"], holder="cli/a", purpose="x", subject="play/1") as lease:
        lease.hold()
        with database.transaction() as session:
            lease.check(session)
            assert locks.alive(session, lease.id)
    with pytest.raises(LeaseLost, match="They were released"):
        lease.hold()
    with database.transaction() as session:
        assert not locks.alive(session, lease.id)
        with pytest.raises(LeaseLost) as lost:
            lease.check(session)
    assert problem(lost.value)["type"] == "urn:rakeeza:problem:lease-lost"
    assert held(database, locks) == []


@pytest.mark.parametrize("device", ODD)
def test_a_name_may_hold_any_characters(
    device: str, take: Take, locks: DeviceLocks, database: Database
) -> None:
    lease = take(device, "other")
    assert lease.tokens[device] == 1
    with pytest.raises(DeviceHeld) as refused:
        take(device)
    assert [lock.device for lock in refused.value.held] == [device]
    assert str(refused.value).isprintable()
    with database.transaction() as session:
        assert [lock.device for lock in locks.held(session, [device])] == [device]
        locks.break_lock(session, device, actor="cli/x", reason="'; -- %s :x")
    with database.transaction() as session:
        (entry,) = audit.entries(session, f"device/{device}")
    assert entry.details["reason"] == "'; -- %s :x"
    with database.transaction() as session:
        assert audit.verify(session) == []
    with pytest.raises(LeaseLost):
        lease.hold()


def test_names_that_look_alike_are_different_devices(take: Take) -> None:
    take("r1", "\u00e9")
    assert take("R1", "e\u0301", "r1 ").tokens == {"R1": 1, "e\u0301": 1, "r1 ": 1}


@pytest.mark.parametrize("device", ["", " ", "a\0b", "\ud800", "x" * 151])
def test_a_name_that_cannot_be_kept_is_refused_before_anything_is_locked(
    device: str, take: Take, locks: DeviceLocks, database: Database
) -> None:
    with pytest.raises(InvalidInput, match="name of the device"):
        take("r1", device)
    assert held(database, locks) == []


@pytest.mark.parametrize("field", ["holder", "purpose", "subject"])
@pytest.mark.parametrize("value", ["", "a\0b", "\udfff", "x" * 501])
def test_a_text_that_cannot_be_kept_is_refused(locks: DeviceLocks, field: str, value: str) -> None:
    said = {"holder": "cli/a", "purpose": "x", "subject": "play/1", field: value}
    with pytest.raises(InvalidInput, match=f"The {field} "):
        locks.take(["r1"], **said)


def test_no_device_is_no_lock(take: Take) -> None:
    with pytest.raises(InvalidInput, match="no device"):
        take()


def test_five_hundred_devices_are_taken_together_and_told_in_one_sentence(
    take: Take, locks: DeviceLocks, database: Database
) -> None:
    names = [f"switch-{number:03}" for number in range(500)]
    lease = take(*names, *names)
    assert lease.tokens == dict.fromkeys(names, 1)
    lease.hold()
    with database.transaction() as session:
        lease.check(session)
    with pytest.raises(DeviceHeld) as refused:
        take(*names, "router", holder="cli/badr")
    assert len(refused.value.held) == 500
    assert "switch-019 and 480 more are held by cli/aisha" in str(refused.value)
    assert lease.release()
    assert held(database, locks) == []
    assert set(take(*names).tokens.values()) == {2}


def test_several_holders_are_all_named(take: Take) -> None:
    take("r1", holder="cli/aisha")
    take("r2", holder="cli/badr")
    with pytest.raises(DeviceHeld, match=r"^r1 is held by cli/aisha .*; r2 is held by cli/badr ") as refused:
        take("r1", "r2", "r3")
    assert [lock.holder for lock in refused.value.held] == ["cli/aisha", "cli/badr"]


def test_without_a_database_nothing_is_locked(database_url: str) -> None:
    away = Database(database_url.replace("host=", "host=/nowhere"))
    with pytest.raises(DatabaseUnavailable):
        DeviceLocks(away).take(["r1"], holder="cli/a", purpose="x", subject="play/1")
    with pytest.raises(DatabaseUnavailable):
        DeviceLocks(away).sweep()
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM device_lock").fetchone() == (0,)
