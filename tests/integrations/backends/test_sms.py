"""The driver of text messages."""

import pytest

from integrations.backend import BackendRejection
from integrations.backends.sms import MOST_PARTS, parts
from integrations.cases import notices
from tests.integrations.backends.conformance import Conformance, Example, Subject

TEXT = "استلمنا طلبك رقم TC-2026-000001.\nWe received your application TC-2026-000001."


class TestSms(Conformance):
    driver = "sms"
    examples = (
        Example({"to": "+966501234567", "text": TEXT}, "accepted"),
        Example(
            {"to": "+966500000001", "text": TEXT},
            "refused",
            ("لا يرغب صاحب الرقم في استلام الرسائل.", "The receiver wants no messages."),
        ),
        Example(
            {"to": "+966500000002", "text": TEXT},
            "unreachable",
            ("رقم الجوال غير مستخدم.", "Nobody has this mobile number."),
        ),
    )
    wrong = ("to", "0501234567")

    def test_it_comes_from_the_name_that_the_settings_give(self, subject: Subject) -> None:
        question = self.question()
        assert subject.open(sender="Rakeeza").ask(question).passed
        assert subject.running.log()["questions"][-1] == {**question.parameters, "sender": "Rakeeza"}

    def test_a_message_of_too_many_parts_is_not_sent(self, subject: Subject) -> None:
        for character in ("ر", "\N{GRINNING FACE}"):
            units = len(character.encode("utf-16-be")) // 2
            long = character * (67 * MOST_PARTS // units)
            question = self.question(Example({"to": "+966501234567", "text": long + character}, None))
            with pytest.raises(BackendRejection) as caught:
                subject.open().ask(question)
            assert caught.value.reason == "question_too_large"
            assert subject.running.asked(question.key) == 0


@pytest.mark.parametrize(
    ("units", "count"), [(1, 1), (70, 1), (71, 2), (134, 2), (135, 3), (670, 10), (671, 11)]
)
def test_a_part_holds_so_many_characters_of_arabic(units: int, count: int) -> None:
    assert parts("ر" * units) == count
    # One outside the basic plane takes the place of two.
    assert parts("\N{GRINNING FACE}" + "ر" * (units - 2)) == (count if units > 1 else 1)


@pytest.mark.parametrize("name", notices.NAMES)
def test_no_message_of_ours_is_longer_than_four_parts(name: str) -> None:
    class Longest(dict[str, str]):
        def __missing__(self, _key: str) -> str:
            return "x" * 16

    assert parts(notices.text_of(name, Longest())) <= 4
