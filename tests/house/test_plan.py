"""The plan of the kill campaign: each boundary, by each victim, once."""

import random

from benchmarks.faults.plan import Kill, Plan, Victim
from benchmarks.faults.relay import Boundary

WRITE, READ = Boundary("worker's", "w"), Boundary("worker's", "r")


class _House:
    def __init__(self) -> None:
        self.killed: list[Victim] = []
        self.plan = Plan({"worker's": "worker"}, self.killed.append, random.Random(1))
        self.plan.arm()

    def write(self) -> list[Kill]:
        """Go over a write, again after each kill, until it passes."""
        made = len(self.plan.done)
        while True:
            if self.plan.watch(WRITE, "COMMIT", "before") or self.plan.watch(WRITE, "COMMIT", "after"):
                self.plan.arm()
            else:
                return self.plan.done[made:]


def test_sender_and_postgres_are_killed_before_and_after_a_write_and_then_it_passes() -> None:
    house = _House()
    made = {(kill.victim, kill.when) for kill in house.write()}
    assert made == {(v, w) for v in ("worker", "postgres") for w in ("before", "after")}
    assert sorted(house.killed) == ["postgres", "postgres", "worker", "worker"]
    assert house.write() == []
    assert house.plan.left == {WRITE: []}


def test_at_a_read_its_sender_is_killed_before_it_alone() -> None:
    house = _House()
    assert not house.plan.watch(READ, "SELECT 1", "after")
    assert house.plan.watch(READ, "SELECT 1", "before")
    assert house.killed == ["worker"]


def test_after_one_kill_all_passes_until_it_is_armed_again_and_what_was_met_is_kept() -> None:
    house = _House()
    assert house.plan.watch(READ, "SELECT 1", "before")
    assert not house.plan.watch(WRITE, "COMMIT", "before")
    assert len(house.plan.left[WRITE]) == 4
    assert house.plan.await_kill(1) == Kill("worker", "before", READ)
    house.plan.arm()
    assert house.plan.await_kill(0) is None
    assert house.plan.watch(WRITE, "COMMIT", "before")


def test_what_others_send_passes_and_is_no_part_of_the_plan() -> None:
    house = _House()
    assert not house.plan.watch(Boundary("psql", "w"), "COMMIT", "before")
    assert house.plan.left == {}
