import csv
import io
import re

import pytest

from console.cli.context import actor
from foundation import audit
from foundation.database import Database
from foundation.device_locks import DeviceLocks, LeaseLost
from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]

COLUMNS = ["device", "holder", "purpose", "subject", "worker", "taken_at", "token", "alive"]


def test_who_holds_what_is_listed(rakeeza: Rakeeza, database: Database) -> None:
    assert rakeeza("lock", "list").out == "Locked devices: none.\n"
    locks = DeviceLocks(database)
    with locks.take(["r1", "r\n2"], holder="cli/aisha", purpose="play baseline", subject="play/7") as lease:
        first, second = rakeeza("lock", "list", "--format", "json").rows
        assert list(first) == COLUMNS
        assert (first["device"], second["device"]) == ("r\n2", "r1")
        assert {key: second[key] for key in ("holder", "purpose", "subject", "token", "alive")} == {
            "holder": "cli/aisha",
            "purpose": "play baseline",
            "subject": "play/7",
            "token": lease.tokens["r1"],
            "alive": True,
        }
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", second["taken_at"])
        rows = list(csv.reader(io.StringIO(rakeeza("lock", "list", "--format", "csv").out)))
        assert [row[0] for row in rows] == ["device", "r\n2", "r1"]
        table = rakeeza("lock", "list").out
        assert "'r\\n2'" in table
        assert "│ r1" in table
    assert rakeeza("lock", "list", "--format", "json").rows == []


def test_a_lock_is_broken_with_a_reason(rakeeza: Rakeeza, database: Database) -> None:
    locks = DeviceLocks(database)
    with locks.take(["r1"], holder="cli/aisha", purpose="play baseline", subject="play/7") as lease:
        done = rakeeza("lock", "break", "r1", "--reason", "Her terminal hangs.")
        assert done.code == 0
        assert "Broke the lock of r1 that cli/aisha held for play baseline (play/7, process " in done.out
        with pytest.raises(LeaseLost, match="Her terminal hangs"):
            lease.hold()
    with database.transaction() as session:
        (entry,) = audit.entries(session, "device/r1")
    assert (entry.actor, entry.details["reason"]) == (actor(), "Her terminal hangs.")
    (row,) = rakeeza("audit", "list", "--chain", "device/r1", "--format", "json").rows
    assert row["action"] == "lock_broken"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("r1",), 2, "--reason"),
        (("r1", "--reason", " "), 65, "The reason is empty."),
        (("r1", "--reason", "because"), 66, "Nobody holds the device r1. See who holds what with: "),
        (("", "--reason", "because"), 65, "The name of the device is empty."),
        (("\udcff", "--reason", "because"), 65, "holds a character that cannot be kept"),
    ],
)
def test_what_cannot_be_broken_is_answered_in_one_sentence(
    rakeeza: Rakeeza, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = rakeeza("lock", "break", *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
