"""The plan of the kill campaign: each boundary, by each victim, once."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

from benchmarks.faults.plan import Kill, Plan, Victim
from benchmarks.faults.relay import Boundary, When
from tests.processes import PATIENCE, until

WRITE, READ = Boundary("worker's", "w"), Boundary("worker's", "r")


_WHENS: tuple[When, ...] = ("before", "after")


def _lives() -> bool:
    return True


class _House:
    def __init__(self) -> None:
        self.killed: list[Victim] = []
        self.plan = Plan({"worker's": "worker"}, self.killed.append, random.Random(1))
        self.plan.begin()

    def write(self) -> list[Kill]:
        """Go over a write, again after each kill, until it passes."""
        made = len(self.plan.done)
        while any(self.plan.watch(WRITE, "COMMIT", when, _lives) for when in _WHENS):
            pass
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
    assert not house.plan.watch(READ, "SELECT 1", "after", _lives)
    assert house.plan.watch(READ, "SELECT 1", "before", _lives)
    assert house.killed == ["worker"]


def test_who_comes_to_an_untouched_boundary_waits_while_another_kill_is_under_way() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(_: Victim) -> None:
        begun.set()
        go_on.wait(PATIENCE)

    plan = Plan({"worker's": "worker"}, slowly, random.Random(1))
    plan.begin()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(plan.watch, READ, "SELECT 1", "before", _lives)
        assert begun.wait(PATIENCE)
        held = pool.submit(plan.watch, WRITE, "COMMIT", "before", _lives)
        until(lambda: WRITE in plan.left)
        assert not held.done()
        assert plan.done == []
        go_on.set()
        assert first.result()
        assert held.result()
    kills = plan.await_kills(1)
    assert [kill.boundary for kill in kills] == [READ, WRITE]
    assert plan.await_kills(0) == []


def test_whose_sender_died_meanwhile_is_not_killed_and_the_boundary_waits_for_another() -> None:
    house = _House()
    assert not house.plan.watch(WRITE, "COMMIT", "before", lambda: False)
    assert house.killed == []
    assert house.plan.watch(WRITE, "COMMIT", "before", _lives)


def test_at_the_end_everything_passes_and_nothing_is_added() -> None:
    house = _House()
    house.plan.end()
    assert not house.plan.watch(WRITE, "COMMIT", "before", _lives)
    assert house.plan.left == {}


def test_what_others_send_passes_and_is_no_part_of_the_plan() -> None:
    house = _House()
    assert not house.plan.watch(Boundary("psql", "w"), "COMMIT", "before", _lives)
    assert house.plan.left == {}
