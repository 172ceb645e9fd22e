"""`rakeeza play schedule`, run as a person runs it."""

import json
from pathlib import Path

import pytest

from foundation.database import Database
from infra.plays.schedules import PlaySchedule
from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]

HOST = """\
assets:
- {kind: host, name: web1, title: {ar: خادم, en: Server}, attributes: {ansible_host: "::1"}}
"""
NIGHTLY = ("nightly", "baseline", "--when", "daily 02:00")


@pytest.fixture(autouse=True)
def host(rakeeza: Rakeeza, tmp_path: Path) -> None:
    file = tmp_path / "hosts.yaml"
    file.write_text(HOST, encoding="utf-8")
    assert rakeeza("asset", "import", str(file)).code == 0


def test_a_schedule_is_added_listed_paused_resumed_and_removed(rakeeza: Rakeeza) -> None:
    how = ("--limit", "web1", "--check", "--diff", "--param", "minimum_free=900", "--late-after", "30m")
    added = rakeeza("play", "schedule", "add", *NIGHTLY, *how)
    assert added.code == 0, added.err
    assert added.out.startswith("nightly runs next on ")
    assert ", 02:00 (" in added.out
    assert "الساعة 02:00" in added.out
    (row,) = rakeeza("play", "schedule", "list", "--format", "json").rows
    assert (row["name"], row["playbook"], row["limit"], row["rule"]) == (
        "nightly",
        "baseline",
        "web1",
        "daily 02:00",
    )
    assert (row["enabled"], row["last_at"], row["last_run"], row["last_state"]) == (True, None, None, None)
    assert row["next_at"].endswith("T23:00:00Z")
    shown = rakeeza("play", "schedule", "show", "nightly").out.splitlines()
    assert shown[0] == "nightly: baseline on web1, daily 02:00"
    assert shown[1] == "With minimum_free=900, check, diff."
    assert shown[2].startswith("In the name of cli/")
    assert shown[2].endswith("missed after 30m.")
    assert len(shown) == 3 + 2 * 5
    assert rakeeza("play", "schedule", "pause", "nightly").out == "The schedule nightly is paused.\n"
    assert "It is paused.\n" in rakeeza("play", "schedule", "show", "nightly").out
    assert rakeeza("play", "schedule", "list", "--format", "json").rows[0]["next_at"] is None
    assert rakeeza("play", "schedule", "resume", "nightly").out == added.out
    assert rakeeza("play", "schedule", "remove", "nightly").code == 0
    assert rakeeza("play", "schedule", "list").out == "Schedules: none.\n"
    trail = rakeeza("audit", "list", "--chain", "play-schedule/nightly", "--format", "json")
    assert trail.code == 0, trail.err
    kinds = [entry["action"].removeprefix("play.schedule_") for entry in trail.rows]
    assert kinds == ["added", "paused", "resumed", "removed"]


def test_the_next_moments_are_shown_in_both_calendars(rakeeza: Rakeeza) -> None:
    rakeeza("play", "schedule", "add", "ramadan", "baseline", "--when", "hijri-yearly 9-1 10:00")
    rows = rakeeza("play", "schedule", "show", "ramadan", "--count", "3", "--format", "json").rows
    assert len(rows) == 3
    for row in rows:
        assert row["hijri"].endswith("-09-01")
        assert row["local"].endswith(" 10:00")
        assert row["moment"].endswith("T07:00:00Z")
    table = rakeeza("play", "schedule", "show", "ramadan", "--count", "1").out
    assert "1 Ramadan 14" in table
    assert "\u2067" in table
    assert "1 رمضان 14" in table


def test_who_makes_a_schedule_is_told_that_its_moments_lie_outside_the_windows(rakeeza: Rakeeza) -> None:
    # 4 Dhu al-Hijjah 1488: far ahead, because only what is to come is scheduled.
    added = rakeeza("play", "schedule", "add", "patching", "patch", "--when", "once 2066-02-28 23:00")
    assert added.code == 0, added.err
    assert (
        "It will wait then. Changes of medium risk at hosts whose site is not recorded are frozen"
        in added.out
    )
    assert "Hajj freeze" in added.out
    assert "تجميد موسم الحج" in added.out
    (row,) = rakeeza("play", "schedule", "show", "patching", "--format", "json").rows
    assert (row["open"], row["opens_at"]) == (False, "2066-03-09T21:00:00Z")
    rakeeza("play", "schedule", "remove", "patching")
    rakeeza("play", "schedule", "add", "patching", "patch", "--when", "once 2066-03-10 23:00")
    (row,) = rakeeza("play", "schedule", "show", "patching", "--format", "json").rows
    assert (row["open"], row["opens_at"]) == (True, None)
    assert "It will wait" not in rakeeza("play", "schedule", "show", "patching").out


def test_a_schedule_is_kept_in_the_name_of_who_adds_it(rakeeza: Rakeeza, database: Database) -> None:
    rakeeza("play", "schedule", "add", *NIGHTLY)
    with database.transaction() as session:
        row = session.get_one(PlaySchedule, "nightly")
    assert row.created_by.startswith("cli/")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "nightly", "baseline", "--when", "0 2 * * *"), "does not say when|no time of day"),
        (("add", "nightly", "baseline", "--when", "daily 2am"), "no time of day"),
        (("add", "nightly", "bassline", "--when", "daily 02:00"), "no playbook 'bassline'"),
        (("add", *NIGHTLY, "--param", "colour=red"), "colour is no parameter"),
        (("add", *NIGHTLY, "--param", "colour"), "is not NAME=VALUE"),
        (("add", *NIGHTLY, "--late-after", "soon"), "'soon' is no length"),
        (("add", *NIGHTLY, "--late-after", "8d"), "a week at most"),
        (("add", *NIGHTLY, "--limit", "web9"), "web9"),
        (("show", "nightly"), "There is no schedule 'nightly'"),
        (("pause", "nightly"), "There is no schedule 'nightly'"),
        (("resume", "nightly"), "There is no schedule 'nightly'"),
        (("remove", "nightly"), "There is no schedule 'nightly'"),
    ],
)
def test_what_cannot_be_is_refused(rakeeza: Rakeeza, words: tuple[str, ...], said: str) -> None:
    done = rakeeza("play", "schedule", *words)
    assert done.code in (65, 66)
    assert any(part in done.err for part in said.split("|"))
    assert json.loads(rakeeza("play", "schedule", "list", "--format", "json").out) == []
