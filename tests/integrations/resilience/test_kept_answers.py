"""Answers that are kept: only what may be, only so long, and nothing of who was asked about."""

from datetime import UTC, datetime, timedelta

from integrations.backend import Nature, Question, Reply
from integrations.resilience.kept_answers import KeptAnswers

AT = datetime(2026, 11, 22, 7, tzinfo=UTC)
NATURE = Nature({"active": True, "expired": False}, {"active": timedelta(seconds=60)})
PERSON = "1058529940"


class Memory:
    """Kept answers, and a clock that stands until it is moved."""

    def __init__(self, seconds: float = 30.0, most: int = 10, nature: Nature = NATURE) -> None:
        self.now = 1_000.0
        self.kept = KeptAnswers(nature, seconds, lambda: self.now, most)


def question(number: str, key: str = "case/1/check/a/1", backend: str = "commerce") -> Question:
    return Question(key, backend, {"unified_number": number, "owner": PERSON})


def test_another_case_gets_the_same_answer_with_its_age() -> None:
    memory = Memory()
    memory.kept.keep(question("7001234567"), Reply(True, AT, "active"))
    memory.now += 12.5
    found = memory.kept.find(question("7001234567", "case/2/check/b/1"))
    assert found == Reply(True, AT, "active", age=timedelta(seconds=12.5))
    assert memory.kept.find(question("7001234575")) is None
    assert memory.kept.find(question("7001234567", backend="deeds")) is None


def test_it_is_kept_for_as_long_as_both_let_it() -> None:
    for allowed, seconds in ((30.0, 30.0), (600.0, 60.0)):
        memory = Memory(allowed)
        memory.kept.keep(question("7"), Reply(True, AT, "active"))
        memory.now += seconds - 0.1
        assert memory.kept.find(question("7")) is not None
        memory.now += 0.2
        assert memory.kept.find(question("7")) is None


def test_a_word_that_the_driver_does_not_name_is_not_kept() -> None:
    memory = Memory()
    memory.kept.keep(question("7"), Reply(False, AT, "expired"))
    assert memory.kept.find(question("7")) is None


def test_without_a_setting_and_without_a_driver_that_lets_it_nothing_is_kept() -> None:
    for memory in (Memory(0.0), Memory(nature=Nature())):
        memory.kept.keep(question("7"), Reply(True, AT, "active"))
        assert memory.kept.find(question("7")) is None


def test_only_so_many_are_kept_those_that_were_asked_for_last() -> None:
    memory = Memory(most=3)
    for number in "123":
        memory.kept.keep(question(number), Reply(True, AT, "active"))
    assert memory.kept.find(question("1")) is not None
    memory.kept.keep(question("4"), Reply(True, AT, "active"))
    assert [number for number in "1234" if memory.kept.find(question(number))] == ["1", "3", "4"]


def test_nothing_of_what_was_asked_lies_in_it() -> None:
    memory = Memory()
    memory.kept.keep(question("7001234567"), Reply(True, AT, "active"))
    inside = repr(vars(memory.kept))
    assert "active" in inside
    assert PERSON not in inside
    assert "7001234567" not in inside
    # Under another process's secret the same question has another name.
    other = Memory()
    other.kept.keep(question("7001234567"), Reply(True, AT, "active"))
    assert not set(memory.kept._answers) & set(other.kept._answers)
