"""What is sent again at once, and when."""

from datetime import UTC, datetime

import pytest

from integrations.backend import BackendRejection, BackendUnavailable, Reply
from integrations.json_client import FAILURES, STATUSES
from integrations.resilience.retry import HELPS, LONGEST_WAIT, PASSING, repeated, wait_after

REPLY = Reply(True, datetime(2026, 11, 22, 7, tzinfo=UTC))


class Source:
    """Fails as it is told to, then answers; its time passes only by waiting."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0
        self.waits: list[float] = []

    def ask(self) -> Reply:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return REPLY

    def repeated(self, attempts: int = 3, seconds: float = 60.0) -> Reply:
        return repeated(self.ask, attempts, seconds, lambda: sum(self.waits), self.waits.append)


def down(reason: str, status: int | None = None, retry_after: float | None = None) -> BackendUnavailable:
    return BackendUnavailable("It is down.", reason=reason, status=status, retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "helps"),
    [
        (down("connect"), True),
        (down("network"), True),
        (down("protocol"), True),
        (down("exchange"), True),
        (down("in_progress", 409), True),
        (down("too_early", 425), True),
        (down("server", 502), True),
        (down("server", 503), True),
        (down("server", 504), True),
        (down("rate_limit", 429, 3.0), True),
        (down("server", 500, 3.0), True),
        (down("server", 500), False),
        (down("rate_limit", 429), False),
        (down("timeout"), False),
        (down("connect_timeout"), False),
        (down("credentials", 401), False),
        (down("malformed", 200), False),
        (down("wrong_shape", 200), False),
        (down("wrong_signature", 200), False),
        (down("not_ours", 200), False),
        (down("too_large", 200), False),
        (down("pending", 200), False),
        (down("busy"), False),
        (down("circuit_open", retry_after=1.0), False),
        (down("driver_fault"), False),
    ],
    ids=lambda value: f"{value.reason}-{value.status}" if isinstance(value, BackendUnavailable) else "",
)
def test_only_what_sending_again_can_help_is_sent_again(error: BackendUnavailable, helps: bool) -> None:
    source = Source(error)
    if helps:
        assert source.repeated() is REPLY
    else:
        with pytest.raises(BackendUnavailable):
            source.repeated()
    assert source.asked == 1 + helps


def test_every_way_an_exchange_fails_was_thought_of() -> None:
    known = {reason for reason, _ in FAILURES.values()} | set(STATUSES.values())
    assert known - HELPS == {"timeout", "connect_timeout", "credentials", "rate_limit"}
    assert min(PASSING) > 500


def test_a_rejection_is_never_sent_again() -> None:
    source = Source(BackendRejection("Wrong.", reason="status_422"))
    with pytest.raises(BackendRejection):
        source.repeated()
    assert source.asked == 1


def test_it_is_sent_so_often_and_no_more() -> None:
    source = Source(*(down("connect") for _ in range(9)))
    with pytest.raises(BackendUnavailable):
        source.repeated(attempts=4)
    assert (source.asked, len(source.waits)) == (4, 3)


def test_waits_grow_are_bounded_and_are_not_all_the_same() -> None:
    waits = [[wait_after(down("connect"), attempt) or 0.0 for _ in range(40)] for attempt in (1, 2, 3, 12)]
    assert 0.1 <= min(waits[0]) <= max(waits[0]) <= 0.2 <= min(waits[1]) <= max(waits[1]) <= 0.4
    assert max(waits[3]) <= LONGEST_WAIT
    assert all(len(set(row)) > 1 for row in waits)


def test_what_the_back_end_asks_for_is_waited() -> None:
    source = Source(down("rate_limit", 429, 3.0))
    source.repeated()
    assert source.waits == [3.0]


def test_nothing_is_sent_that_could_not_end_in_time() -> None:
    source = Source(down("rate_limit", 429, 30.0))
    with pytest.raises(BackendUnavailable) as caught:
        source.repeated(seconds=20.0)
    assert (caught.value.retry_after, source.waits) == (30.0, [])
