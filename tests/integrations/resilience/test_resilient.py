"""A back-end within its limits, against a simulated one, and against drivers that fail as no lab does."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foundation.definitions import Bilingual
from foundation.guard import free_port
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from foundation.settings import Settings
from integrations.backend import Backend, BackendRejection, BackendUnavailable, Nature, Question, Reply
from integrations.backend_drivers import open_backends
from integrations.resilience.breaker import Turn
from integrations.resilience.resilient import Resilient
from lab.backends.running import Running, running
from tests.processes import until

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
ACTIVE, STRUCK_OFF, PERSON = "7001234567", "7001234617", "1058529940"
PATIENT = 30.0


def question(number: str = ACTIVE, case: int = 1) -> Question:
    return Question(f"case/SC-2026-{case:06}/check/register/1", "commerce", {"unified_number": number})


@pytest.fixture(scope="module")
def commerce() -> Iterator[Running]:
    with running("commercial_registry") as one:
        yield one


@dataclass
class Opened:
    """Back-ends of one section, and what was told of their circuits."""

    commerce: Running
    folder: Path
    told: list[Turn] = field(default_factory=list)

    def open(self, **more: object) -> Backend:
        given = {"url": self.commerce.url, "driver": "commercial_registry", "timeout": PATIENT}
        settings = Settings(backends={"commerce": Section.model_validate({**given, **more})})
        secrets = SecretFile(self.folder / "secrets.json", self.folder / "secrets.key")
        return open_backends(settings, secrets, lambda: NOW, self.told.append)["commerce"]


@pytest.fixture
def opened(commerce: Running, tmp_path: Path) -> Opened:
    commerce.behave("answer")
    return Opened(commerce, tmp_path)


def reason(backend: Backend, asked: Question) -> str:
    with pytest.raises(BackendUnavailable) as caught:
        backend.ask(asked)
    return caught.value.reason


@pytest.mark.parametrize("mode", ["reset", "drop_before", "drop_after", "half"])
def test_a_connection_lost_once_is_asked_again_at_once_and_acted_on_once(opened: Opened, mode: str) -> None:
    asked = question(case={"reset": 11, "drop_before": 12, "drop_after": 13, "half": 14}[mode])
    opened.commerce.behave(mode, times=1)  # type: ignore[arg-type]  # parametrize knows no literals
    assert opened.open().ask(asked).code == "active"
    assert (opened.commerce.asked(asked.key), opened.commerce.acted(asked.key)) == (2, 1)


def test_a_back_end_that_says_when_is_asked_then(opened: Opened) -> None:
    opened.commerce.behave("rate_limit", times=1, seconds=1)
    assert opened.open().ask(question(case=21)).code == "active"
    opened.commerce.behave("rate_limit", times=1, seconds=3_600)
    asked = question(case=22)
    with pytest.raises(BackendUnavailable) as caught:
        opened.open().ask(asked)
    assert (caught.value.retry_after, opened.commerce.asked(asked.key)) == (3_600, 1)


def test_a_back_end_that_is_down_is_left_alone_and_found_again(opened: Opened) -> None:
    port = free_port()
    backend = opened.open(url=f"http://127.0.0.1:{port}/questions", failures=2, pause=0.2, attempts=1)
    assert [reason(backend, question(case=31)) for _ in range(3)] == ["connect", "connect", "circuit_open"]
    other = Running("commercial_registry", port)
    try:
        other.start()

        def answered() -> bool:
            try:
                return backend.ask(question(case=31)).passed
            except BackendUnavailable:
                return False

        until(answered, "the back-end to be found again")
        assert other.asked(question(case=31).key) == 1
    finally:
        other.stop()
    states = [turn.state for turn in opened.told]
    assert (states[0], states[-1]) == ("open", "closed")
    assert opened.told[0].reason == "connect"


def test_a_lying_back_end_is_left_alone_too(opened: Opened) -> None:
    backend = opened.open(failures=3)
    opened.commerce.behave("other_person")
    found = [reason(backend, question(case=41)) for _ in range(4)]
    assert found == ["not_ours", "not_ours", "not_ours", "circuit_open"]


def test_a_wrong_question_says_that_the_back_end_is_well(opened: Opened) -> None:
    backend = opened.open(failures=1)
    opened.commerce.behave("reject")
    for _ in range(3):
        with pytest.raises(BackendRejection):
            backend.ask(question(case=51))
    opened.commerce.behave("answer")
    assert backend.ask(question(case=51)).passed


def test_never_more_are_under_way_than_may_be_and_none_of_another_waits(opened: Opened) -> None:
    held = opened.open(places=2, total=PATIENT)
    free = opened.open()
    opened.commerce.behave("slow", times=2, seconds=5)
    outcomes: list[str] = []

    def ask(case: int) -> None:
        try:
            outcomes.append(held.ask(question(case=case)).code)
        except BackendUnavailable as error:
            outcomes.append(error.reason)

    slow = [threading.Thread(target=ask, args=(case,)) for case in (61, 62)]
    for thread in slow:
        thread.start()
    keys = [question(case=case).key for case in (61, 62)]
    until(lambda: all(opened.commerce.asked(key) for key in keys), "both to be under way")
    for case in range(63, 73):
        ask(case)
    assert outcomes == ["busy"] * 10
    assert free.ask(question(case=80)).passed
    for thread in slow:
        thread.join()
    assert sorted(outcomes[10:]) == ["active", "active"]
    assert all(opened.commerce.asked(question(case=case).key) == 0 for case in range(63, 73))


def test_an_answer_is_kept_with_its_age_and_each_look_up_says_what_for(
    opened: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    backend = opened.open(keep=600)
    with caplog.at_level(logging.INFO, "integrations.resilience.resilient"):
        first = backend.ask(question(case=91))
        second = backend.ask(question(case=92))
        refused = [backend.ask(question(STRUCK_OFF, case=case)).age for case in (93, 94)]
    assert (first.age, second.code) == (timedelta(), "active")
    assert second.age > timedelta()
    assert refused == [timedelta(), timedelta()]
    assert opened.commerce.asked(question(case=92).key) == 0
    assert opened.commerce.asked(question(case=94).key) == 1
    noted = [(vars(record)["purpose"], vars(record)["outcome"]) for record in caplog.records]
    purposes = [f"case/SC-2026-{case:06}/check/register" for case in (91, 92, 93, 94)]
    assert noted == list(zip(purposes, ["answered", "kept", "answered", "answered"], strict=True))
    assert "age_s" in vars(caplog.records[1])


def test_that_nobody_answers_is_never_kept(opened: Opened) -> None:
    backend = opened.open(keep=600)
    opened.commerce.behave("error", times=1)
    assert reason(backend, question(case=101)) == "server"
    assert backend.ask(question(case=102)).age == timedelta()


class Scripted:
    """A driver that does one thing."""

    def __init__(self, act: Callable[[Question], Reply]) -> None:
        self.act = act

    def ask(self, question: Question) -> Reply:
        return self.act(question)


def resilient(act: Callable[[Question], Reply], nature: Nature | None = None, **limits: object) -> Resilient:
    section = Section.model_validate({"url": "http://127.0.0.1:9/", "attempts": 1, **limits})
    return Resilient("commerce", Scripted(act), nature or Nature(), section, lambda _: None)


def test_a_driver_that_hangs_is_given_up() -> None:
    go = threading.Event()

    def hang(_: Question) -> Reply:
        go.wait(60)
        return Reply(True, NOW)

    assert reason(resilient(hang, total=0.05), question()) == "timeout"
    go.set()


def test_a_driver_that_fails_is_told_by_kind_and_place_and_never_by_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(asked: Question) -> Reply:
        raise LookupError(f"nobody has {asked.parameters}")

    with pytest.raises(BackendUnavailable) as caught:
        resilient(fail).ask(Question("case/1/check/a/1", "commerce", {"owner": PERSON}))
    assert caught.value.reason == "driver_fault"
    assert "LookupError at test_resilient.py:" in str(caught.value)
    assert "LookupError at test_resilient.py:" in caplog.text
    assert PERSON not in caplog.text + str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("code", "passed"), [("maybe", True), ("active", False), ("expired", True), ("", True)]
)
def test_a_word_that_a_driver_has_not_declared_so_is_no_answer(code: str, passed: bool) -> None:
    nature = Nature({"active": True, "expired": False})
    assert reason(resilient(lambda _: Reply(passed, NOW, code), nature), question()) == "undeclared"


def test_a_reply_prints_nothing_that_a_back_end_wrote() -> None:
    reply = Reply(False, NOW, "failed", Bilingual(ar="نورة", en="Noura"))
    assert "Noura" not in repr(reply)
    assert "نورة" not in repr(reply)


def test_a_question_that_was_not_sent_closes_no_circuit(opened: Opened) -> None:
    backend = opened.open(failures=1, pause=0.1, attempts=1)
    opened.commerce.behave("error")
    assert reason(backend, question(case=191)) == "server"
    until(lambda: reason_or_none(backend, question("4030123456", case=192)) == "wrong_parameter", "a try")
    opened.commerce.behave("answer")
    # The try was none: the next question is one, and closes it.
    assert [turn.state for turn in opened.told] == ["open", "half_open"]
    assert backend.ask(question(case=193)).passed
    assert [turn.state for turn in opened.told] == ["open", "half_open", "closed"]


def reason_or_none(backend: Backend, asked: Question) -> str:
    """Why a question has no answer."""
    try:
        return backend.ask(asked).code
    except (BackendUnavailable, BackendRejection) as error:
        return error.reason
