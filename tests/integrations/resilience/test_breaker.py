"""The circuit of a back-end: closed, open, half open, and what is told of it."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.backend import BackendUnavailable
from integrations.resilience.breaker import ALIVE, LONGEST_PAUSE, SILENT, Breaker, Turn


class Circuit:
    """A breaker, a clock that stands until it is moved, and what was told."""

    def __init__(self, failures: int = 3, pause: float = 10.0) -> None:
        self.now = 0.0
        self.told: list[Turn] = []
        self.breaker = Breaker("commerce", failures, pause, self.told.append, lambda: self.now)

    def fail(self, reason: str = "connect", retry_after: float | None = None) -> None:
        self.breaker.admit()
        self.breaker.unanswered(unavailable(reason, retry_after))

    def answer(self) -> None:
        self.breaker.admit()
        self.breaker.answered()

    def refused(self) -> BackendUnavailable:
        with pytest.raises(BackendUnavailable) as caught:
            self.breaker.admit()
        return caught.value

    def state(self) -> str:
        return self.breaker.state

    @property
    def states(self) -> list[str]:
        return [turn.state for turn in self.told]


def unavailable(reason: str, retry_after: float | None = None) -> BackendUnavailable:
    return BackendUnavailable("It is down.", reason=reason, retry_after=retry_after)


def test_it_opens_after_so_many_failures_in_a_row_and_not_before() -> None:
    circuit = Circuit(failures=3)
    for _ in range(2):
        circuit.fail()
    circuit.answer()
    for _ in range(2):
        circuit.fail()
    assert circuit.state() == "closed"
    circuit.fail("timeout")
    assert circuit.state() == "open"
    assert circuit.told[-1].reason == "timeout"
    error = circuit.refused()
    assert (error.reason, error.retryable) == ("circuit_open", True)
    assert error.retry_after is not None
    assert 0 < error.retry_after <= 12


def test_one_question_tries_it_when_the_pause_is_over_and_its_answer_closes_it() -> None:
    circuit = Circuit(failures=1)
    circuit.fail()
    circuit.now += 12.1
    circuit.breaker.admit()
    assert circuit.state() == "half_open"
    assert circuit.refused().reason == "circuit_open"
    circuit.breaker.answered()
    circuit.answer()
    assert circuit.states == ["open", "half_open", "closed"]


def test_a_try_that_fails_opens_it_for_longer_and_never_for_too_long() -> None:
    circuit, left = Circuit(failures=1), []
    circuit.fail()
    for _ in range(12):
        left.append(circuit.refused().retry_after or 0.0)
        circuit.now += LONGEST_PAUSE + 0.1
        circuit.fail()
    assert left[0] <= 12 < 20 <= left[1] <= 24 < 40 <= left[2]
    assert max(left) <= LONGEST_PAUSE + 0.001
    circuit.now += LONGEST_PAUSE + 0.1
    circuit.answer()
    circuit.fail()
    assert (circuit.refused().retry_after or 0.0) <= 12


def test_a_back_end_that_says_how_long_is_left_alone_for_so_long() -> None:
    circuit = Circuit(failures=3)
    circuit.fail("rate_limit", retry_after=42.0)
    assert circuit.refused().retry_after == 42.0
    circuit.now += 42.1
    circuit.answer()
    assert circuit.state() == "closed"
    circuit.fail("server", retry_after=86_400.0)
    assert circuit.refused().retry_after == LONGEST_PAUSE


@pytest.mark.parametrize("reason", sorted(SILENT))
def test_what_says_nothing_of_the_back_end_never_opens_it(reason: str) -> None:
    circuit = Circuit(failures=1)
    for _ in range(5):
        circuit.fail(reason)
    assert circuit.state() == "closed"
    circuit.fail()
    circuit.now += 100
    # And a try that learnt nothing leaves the next question to try.
    circuit.fail(reason)
    circuit.answer()
    assert circuit.state() == "closed"


@pytest.mark.parametrize("reason", sorted(ALIVE))
def test_one_that_is_well_and_has_no_answer_yet_closes_it(reason: str) -> None:
    circuit = Circuit(failures=2)
    circuit.fail()
    circuit.fail(reason)
    circuit.fail()
    assert circuit.state() == "closed"


def test_a_try_of_which_nothing_is_known_leaves_the_next_to_try() -> None:
    circuit = Circuit(failures=1)
    circuit.fail()
    circuit.now += 100
    circuit.breaker.admit()
    circuit.breaker.passed_over()
    circuit.answer()
    assert circuit.states == ["open", "half_open", "closed"]


def test_without_a_number_of_failures_it_never_opens() -> None:
    circuit = Circuit(failures=0)
    for _ in range(50):
        circuit.fail()
    circuit.fail("rate_limit", retry_after=60.0)
    circuit.answer()
    assert circuit.states == []


def test_of_many_that_come_together_one_tries() -> None:
    circuit = Circuit(failures=1)
    circuit.fail()
    circuit.now += 100
    barrier, passed = threading.Barrier(16), []

    def come() -> None:
        barrier.wait()
        try:
            circuit.breaker.admit()
        except BackendUnavailable:
            return
        passed.append(1)

    threads = [threading.Thread(target=come) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 1


@given(st.lists(st.sampled_from(["answer", "connect", "busy", "pending", "rate_limit", "wait"]), max_size=60))
def test_it_always_comes_back_whatever_happened(fates: list[str]) -> None:
    circuit = Circuit(failures=2)
    for fate in fates:
        if fate == "wait":
            circuit.now += 15
            continue
        try:
            circuit.breaker.admit()
        except BackendUnavailable:
            assert circuit.state() != "closed"
            continue
        if fate == "answer":
            circuit.breaker.answered()
            assert circuit.state() == "closed"
        else:
            circuit.breaker.unanswered(unavailable(fate, 5.0 if fate == "rate_limit" else None))
    circuit.now += LONGEST_PAUSE + 1
    circuit.answer()
    assert circuit.state() == "closed"
