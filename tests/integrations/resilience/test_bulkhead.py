"""The places of a back-end: never more questions under way, and none that holds its asker for ever."""

import threading
from collections.abc import Callable

import pytest

from integrations.backend import BackendUnavailable
from integrations.resilience.bulkhead import Bulkhead
from tests.processes import until

FOR_EVER = 60.0


class Held:
    """Questions that are under way until they are let go."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.go = threading.Event()
        self.begun = 0
        self.threads: list[threading.Thread] = []

    def hold(self) -> None:
        before = self.begun

        def act() -> None:
            self.begun += 1
            self.go.wait(FOR_EVER)

        self.threads.append(threading.Thread(target=self.bulkhead.run, args=(act, FOR_EVER)))
        self.threads[-1].start()
        until(lambda: self.begun == before + 1, "the question to be under way")

    def release(self) -> None:
        self.go.set()
        for thread in self.threads:
            thread.join()


def reason(bulkhead: Bulkhead, act: Callable[[], object], seconds: float = FOR_EVER) -> str:
    with pytest.raises(BackendUnavailable) as caught:
        bulkhead.run(act, seconds)
    return caught.value.reason


def test_what_the_question_returns_or_raises_comes_through() -> None:
    bulkhead = Bulkhead("commerce", 1)
    assert bulkhead.run(lambda: 7, FOR_EVER) == 7
    with pytest.raises(ZeroDivisionError):
        bulkhead.run(lambda: 1 // 0, FOR_EVER)
    assert bulkhead.run(lambda: 8, FOR_EVER) == 8


def test_one_more_than_there_are_places_is_refused_at_once_and_no_other_back_end_is() -> None:
    slow, other = Bulkhead("commerce", 2), Bulkhead("deeds", 2)
    held = Held(slow)
    held.hold()
    held.hold()
    assert reason(slow, lambda: None) == "busy"
    assert other.run(lambda: "answered", FOR_EVER) == "answered"
    held.release()
    assert slow.run(lambda: "again", FOR_EVER) == "again"


def test_a_question_that_takes_too_long_is_given_up_and_holds_its_place_until_it_ends() -> None:
    bulkhead, go = Bulkhead("commerce", 1), threading.Event()
    assert reason(bulkhead, lambda: go.wait(FOR_EVER), 0.05) == "timeout"
    assert reason(bulkhead, lambda: None) == "busy"
    go.set()

    def free() -> bool:
        try:
            bulkhead.run(lambda: None, FOR_EVER)
        except BackendUnavailable:
            return False
        return True

    until(free, "its place")


def test_who_is_told_of_an_end_finds_the_place_free() -> None:
    bulkhead = Bulkhead("commerce", 1)
    for number in range(200):
        assert bulkhead.run(lambda: "done", FOR_EVER) == "done", number
